//! A window that has taken over the newest calls of the window before it.

use crate::state::Generation;
use crate::sync::{AtomicU64, Ordering};

/// The calls that a new window has taken over from the window before it.
#[derive(Debug)]
pub(crate) struct Carried {
    /// The generation that the calls were taken from.
    pub(crate) from: Generation,
    /// The date since when these calls have come.
    pub(crate) since: u64,
    /// The number of failures in a row.
    pub(crate) run: u64,
    /// Whether the thread that brings the window has entered the generation that holds the calls.
    ///
    /// Another thread may enter that generation first. The window must then be empty for it.
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

    /// Notes that the generation that holds the calls is entered.
    pub(crate) fn enter(&self) {
        // Release: pairs with the Acquire in `is_entered`, for the state change that came before.
        // Otherwise a call of the former generation could find that generation current, and
        // overwrite the calls that were taken over.
        self.is_entered.store(1, Ordering::Release);
    }

    /// Whether the generation that holds the calls is entered.
    pub(crate) fn is_entered(&self) -> bool {
        // Acquire: pairs with the Release in `enter`. A thread that finds 1 here and then loads the
        // state finds the former generation over. Otherwise it could still count a call there, over
        // those that were taken over.
        self.is_entered.load(Ordering::Acquire) == 1
    }

    /// Whether calls of `generation` can still be counted.
    ///
    /// Calls of the former generation can't. Once the next generation is entered, this returns true
    /// for them. From then on, the state word rules them out.
    pub(crate) fn counts(&self, generation: Generation) -> bool {
        generation != self.from || self.is_entered()
    }

    /// Whether `generation` is the one that holds the calls.
    pub(crate) fn is_in(&self, generation: Generation) -> bool {
        generation == self.from.next()
    }

    /// The date since when the calls of `generation` have come, if it has taken over some.
    pub(crate) fn counted_since(&self, generation: Generation) -> Option<u64> {
        (self.is_in(generation) && self.is_entered()).then_some(self.since)
    }

    /// Whether `generation` may be judged.
    pub(crate) fn may_judge(&self, generation: Generation) -> bool {
        !self.is_in(generation) || self.is_entered()
    }
}
