//! The queue in which callers wait: `event-listener`'s, behind a trait that a model can implement.

use std::time::Duration;

use event_listener::{Event, EventListener, IntoNotification, Listener};

/// A queue that is served from its head.
pub trait Queue {
    /// A waiter in the queue.
    type InLine: InLine;

    /// Adds a waiter at the end of the queue.
    fn listen(&self) -> Self::InLine;

    /// Notifies the first waiter that isn't notified yet. Returns `false` if there is none.
    ///
    /// It finds every waiter whose `listen` happened before. The notified waiter sees what happened
    /// before this call.
    fn notify_first(&self) -> bool;

    /// Notifies all waiters, the first one first. Otherwise like
    /// [`notify_first`](Self::notify_first).
    fn notify_all(&self);
}

/// A place in the queue.
pub trait InLine {
    /// Waits until it is notified, at most for `at_most` if given, and leaves the queue. Returns
    /// whether it was notified.
    fn wait(self, at_most: Option<Duration>) -> bool;

    /// Leaves the queue. Returns whether it was notified.
    fn discard(self) -> bool;
}

/// The queue that ships. While no caller waits, it is a null pointer.
#[derive(Debug, Default)]
pub struct EventQueue(Event);

impl Queue for EventQueue {
    type InLine = EventListener;

    fn listen(&self) -> EventListener {
        self.0.listen()
    }

    fn notify_first(&self) -> bool {
        self.0.notify(1.additional()) > 0
    }

    fn notify_all(&self) {
        self.0.notify(usize::MAX);
    }
}

impl InLine for EventListener {
    fn wait(self, at_most: Option<Duration>) -> bool {
        if let Some(at_most) = at_most {
            return self.wait_timeout(at_most).is_some();
        }
        Listener::wait(self);
        true
    }

    fn discard(self) -> bool {
        Listener::discard(self)
    }
}
