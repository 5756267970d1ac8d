//! Tasks that wait until the breaker would admit a call. They hold no permit and no place.
//!
//! A task first registers and then looks at the state. A thread first changes the state and then
//! looks for registered tasks. A fence stands between the two steps of each. So either the task
//! sees the change, or the thread sees the task and wakes it.

use super::{Core, Refusal};
use crate::clock::context::CallContext;
use crate::sync::wait_queue::{EventQueue, Queue};
use crate::sync::{Ordering, fence};

impl Core {
    /// The refusal that a call would get now, and a listener for the next change.
    ///
    /// `None` if the breaker would admit the call. The listener is notified of each transition, of
    /// each place that a probe gives back, and of each new configuration.
    pub fn watch(
        &self,
        context: &impl CallContext,
    ) -> Option<(Refusal, <EventQueue as Queue>::InLine)> {
        let late = self.late.get_or_init(Box::default);
        let listener = late.watchers.get_or_init(Box::default).listen();
        // SeqCst: pairs with the fence before each `wake_watchers`. Either this thread sees the
        // change that the other made, or the other finds this listener. Otherwise the task could
        // wait for a change that has already happened.
        fence(Ordering::SeqCst);
        let refusal = self.peek(context).err()?;
        Some((refusal, listener))
    }

    /// Wakes the tasks that watch, after a change of what they look at and a fence.
    #[inline]
    pub(super) fn wake_watchers(&self) {
        if let Some(watchers) = self.late.get().and_then(|late| late.watchers.get()) {
            watchers.notify_all();
        }
    }

    /// Removes a task that checks the dependency's health.
    ///
    /// Calls no longer wait for the task, so an open breaker may admit a call sooner.
    pub fn leave_checks(&self) {
        self.checks_or_init().leave();
        // SeqCst: pairs with the fence in `watch`. Either this thread finds the listener, or the
        // task sees that the check has gone. Otherwise the task could wait for a change that has
        // already happened.
        fence(Ordering::SeqCst);
        self.wake_watchers();
    }
}
