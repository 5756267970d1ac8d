//! The tasks that check the dependency's health, and how long calls wait for them.

use event_listener::{Event, EventListener};

use crate::sync::{Hint, SelfContained};

/// The tasks that check the dependency's health, so that no call has to serve as a probe.
#[derive(Debug, Default)]
pub struct HealthChecks {
    /// The number of tasks.
    tasks: SelfContained,
    /// When the latest check began, in nanoseconds of the breaker's clock; never goes back.
    began: Hint,
    /// Wakes the tasks when the breaker has opened.
    bell: Event,
}

impl HealthChecks {
    /// Adds a task.
    pub fn enter(&self) {
        self.tasks.add(1);
    }

    /// Removes a task.
    pub fn leave(&self) {
        self.tasks.add(1_u64.wrapping_neg());
    }

    /// Notes that a check begins at `now`.
    pub fn start_check(&self, now: u64) {
        // A call that misses this update may probe at the earlier time that it reads. The check
        // then belongs to a generation that is over.
        self.began.raise(now);
    }

    /// Until when an open breaker rejects calls, in nanoseconds of its clock.
    ///
    /// Without a task this is `open_until`. With a task, calls wait `patience` nanoseconds longer
    /// for a check. If no check comes to a verdict in that time, calls probe instead.
    #[must_use]
    pub fn hold_until(&self, open_until: u64, patience: u64) -> u64 {
        if self.tasks.load() == 0 {
            return open_until;
        }
        let began = self.began.load();
        open_until.max(began).saturating_add(patience)
    }

    /// Returns a listener that is ready once the bell rings after this call.
    ///
    /// The caller asks for it before it looks at the state. `event-listener` puts a fence between
    /// the two. So an opening that the caller doesn't see rings this listener.
    #[must_use]
    pub fn listen(&self) -> EventListener {
        self.bell.listen()
    }

    /// Wakes all tasks. The caller does this after it has changed the state.
    pub fn ring(&self) {
        self.bell.notify(usize::MAX);
    }
}

/// Wakes the tasks when the breaker's last handle is dropped. They then find that it is gone.
impl Drop for HealthChecks {
    fn drop(&mut self) {
        self.ring();
    }
}
