//! Who checks the dependency's health, and for how long calls are left to wait for it.

use event_listener::{Event, EventListener};

use crate::sync::{AtomicU64, Ordering};

/// The tasks that check the dependency's health, so that no call has to be the guinea pig.
#[derive(Debug, Default)]
pub struct HealthChecks {
    /// How many tasks there are.
    tasks: AtomicU64,
    /// When the latest check began, in nanoseconds of the breaker's clock; never goes back.
    began: AtomicU64,
    /// Wakes the tasks when the breaker has opened.
    bell: Event,
}

impl HealthChecks {
    /// One task more.
    pub fn enter(&self) {
        // Relaxed: the word is all there is; who hears of the task by other means sees it counted.
        self.tasks.fetch_add(1, Ordering::Relaxed);
    }

    /// One task less.
    pub fn leave(&self) {
        // Relaxed: as in `enter`.
        self.tasks
            .fetch_add(1_u64.wrapping_neg(), Ordering::Relaxed);
    }

    /// Notes that a check begins.
    pub fn start_check(&self, now: u64) {
        // Relaxed: a call that doesn't see it yet may take over at the moment that it has seen; the check
        // then belongs to a generation that is over.
        self.began.fetch_max(now, Ordering::Relaxed);
    }

    /// Until when calls are rejected of a breaker that is open until `open_until`: longer while there is a
    /// task that may check instead. Should none come to a verdict for `patience` nanoseconds, they go.
    #[must_use]
    pub fn hold_until(&self, open_until: u64, patience: u64) -> u64 {
        // Relaxed, both: see where they are written.
        if self.tasks.load(Ordering::Relaxed) == 0 {
            return open_until;
        }
        let began = self.began.load(Ordering::Relaxed);
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
