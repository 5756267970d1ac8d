//! The line in which callers wait: `event-listener`'s, behind a seam through which a model puts its own.

use std::time::Duration;

use event_listener::{Event, EventListener, IntoNotification, Listener};

/// A line that is served from its head.
pub trait Queue {
    /// Somebody in line.
    type InLine: InLine;

    /// Stands at the end of the line.
    fn listen(&self) -> Self::InLine;

    /// Notifies the first who has not been; `false` if there is none.
    ///
    /// It finds everybody whose `listen` happened before, and what happened before it is seen by whom it
    /// notifies.
    fn notify_first(&self) -> bool;

    /// Notifies all, the first one first; the rest as `notify_first`.
    fn notify_all(&self);
}

/// A place in line.
pub trait InLine {
    /// Waits until it is notified, no longer than this if there is a bound, and leaves the line; says
    /// whether it was notified.
    fn wait(self, at_most: Option<Duration>) -> bool;

    /// Leaves the line; says whether it was notified.
    fn discard(self) -> bool;
}

/// The line that ships. While nobody is in it, it is a null pointer.
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
