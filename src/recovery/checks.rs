//! Who checks the dependency's health, and for how long calls are left to wait for it.

use event_listener::{Event, EventListener};

use crate::sync::{Hint, SelfContained};

/// The tasks that check the dependency's health, so that no call has to be the guinea pig.
#[derive(Debug, Default)]
pub struct HealthChecks {
    /// How many tasks there are.
    tasks: SelfContained,
    /// When the latest check began, in nanoseconds of the breaker's clock; never goes back.
    began: Hint,
    /// Wakes the tasks when the breaker has opened.
    bell: Event,
}

impl HealthChecks {
    /// One task more.
    pub fn enter(&self) {
        self.tasks.add(1);
    }

    /// One task less.
    pub fn leave(&self) {
        self.tasks.add(1_u64.wrapping_neg());
    }

    /// Notes that a check begins.
    pub fn start_check(&self, now: u64) {
        // A call that doesn't see it yet may take over at the moment that it has seen; the check then
        // belongs to a generation that is over.
        self.began.raise(now);
    }

    /// Until when calls are rejected of a breaker that is open until `open_until`: longer while there is a
    /// task that may check instead. Should none come to a verdict for `patience` nanoseconds, they go.
    #[must_use]
    pub fn hold_until(&self, open_until: u64, patience: u64) -> u64 {
        if self.tasks.load() == 0 {
            return open_until;
        }
        let began = self.began.load();
        open_until.max(began).saturating_add(patience)
    }

    /// What is ready when the bell rings after this. Asked for before the state is looked at, from which
    /// `event-listener` parts it by a fence: of an opening that isn't seen it hears.
    #[must_use]
    pub fn listen(&self) -> EventListener {
        self.bell.listen()
    }

    /// Wakes all tasks, after the state has changed.
    pub fn ring(&self) {
        self.bell.notify(usize::MAX);
    }
}

/// With the last handle of the breaker, which is then what the tasks find.
impl Drop for HealthChecks {
    fn drop(&mut self) {
        self.ring();
    }
}
