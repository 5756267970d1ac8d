//! A window that has taken over the newest calls of the window before it.

use crate::state::Generation;
use crate::sync::{AtomicU64, Ordering};

/// What a new window has taken over from the window before it.
#[derive(Debug)]
pub(crate) struct Carried {
    /// The generation that the calls were taken from.
    pub(crate) from: Generation,
    /// Since when the calls have come, as a date.
    pub(crate) since: u64,
    /// How many failures in a row there were.
    pub(crate) run: u64,
    /// Whether the thread that brings the window has entered the generation that holds the calls. Until
    /// then another thread may have entered it, for which the window has to be empty.
    is_entered: AtomicU64,
}

impl Carried {
    pub(crate) fn new(from: Generation, since: u64, run: u64) -> Self {
        Self {
            from,
            since,
            run,
            is_entered: AtomicU64::new(0),
        }
    }

    /// Notes that its generation is entered.
    pub(crate) fn enter(&self) {
        // Release: pairs with the Acquire in `is_entered`, for the exchange of the state word that came
        // before. Otherwise a call of the former generation could find that generation current, and
        // overwrite what was taken over.
        self.is_entered.store(1, Ordering::Release);
    }

    /// Whether its generation is entered.
    pub(crate) fn is_entered(&self) -> bool {
        // Acquire: pairs with the Release in `enter`. A thread that finds 1 here, and then loads the state,
        // finds the former generation over.
        self.is_entered.load(Ordering::Acquire) == 1
    }

    /// Whether calls of `generation` can still be counted. Those of the generation whose calls were taken
    /// over can't.
    pub(crate) fn counts(&self, generation: Generation) -> bool {
        generation != self.from || self.is_entered()
    }

    /// Whether the calls that were taken over count in `generation`.
    pub(crate) fn is_in(&self, generation: Generation) -> bool {
        generation == self.from.next()
    }

    /// Since when the calls of `generation` have come, if it has taken over some; as a date.
    pub(crate) fn counted_since(&self, generation: Generation) -> Option<u64> {
        (self.is_in(generation) && self.is_entered()).then_some(self.since)
    }

    /// Whether `generation` may be judged.
    pub(crate) fn may_judge(&self, generation: Generation) -> bool {
        !self.is_in(generation) || self.is_entered()
    }
}
