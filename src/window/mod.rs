//! The window: the stretch of recent calls that the decision looks at.

mod bucket;
mod config;
mod count;
mod counter;
mod divisor;
mod time;

pub use bucket::{AtomicBucket, Stamp};
pub use config::{CountWindow, Window};
pub use count::CountRing;
pub use counter::GenerationCounter;
pub use time::TimeRing;

use crate::caller::Caller;
use crate::state::Generation;
use crate::sync::{Ordering, fence};

/// What a window can count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tally {
    /// A call that succeeded.
    Success,
    /// A call that failed.
    Failure,
    /// A call that was not counted: ignored, in a generation that lets calls through; rejected, in
    /// one that doesn't. No generation counts both, which saves a word in each bucket.
    Aside,
}

/// What the decision sees of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that succeeded.
    pub successes: u64,
    /// Calls that failed.
    pub failures: u64,
}

impl Counts {
    /// Calls that succeeded or failed.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.successes + self.failures
    }
}

/// `part` of `whole`, which isn't zero.
///
/// Divided, not compared with `threshold × whole`: the quotient of two integers is rounded once, as
/// the literal was, so 3 of 30 is 0.1, while 0.1 × 30 is more than 3.
#[allow(
    clippy::cast_precision_loss,
    reason = "a rate needs no more than 53 bits of a count"
)]
pub(crate) fn rate(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// A window as the core records in it: one of the rings, chosen when the breaker is built.
#[derive(Debug)]
pub enum Ring {
    /// The last stretch of time, in buckets.
    Time(TimeRing),
    /// The last n calls. Boxed because it keeps a cache line to itself, which breakers with a time
    /// window needn't pay for.
    Count(Box<CountRing>),
}

impl Ring {
    /// Counts one call of `generation`, and says whether it was counted.
    ///
    /// It is not when it comes too late: its bucket has left the window, or `is_current` says that
    /// its generation is over. `is_current` is asked only on the rare path on which a word of
    /// another generation or turn is about to be replaced.
    #[inline]
    pub fn record(
        &self,
        tally: Tally,
        generation: Generation,
        caller: &impl Caller,
        is_current: impl Fn() -> bool,
    ) -> bool {
        match self {
            Self::Time(ring) => ring.record(tally, generation, caller, is_current),
            Self::Count(ring) => ring.record(tally, generation, caller, is_current),
        }
    }

    /// What `generation`'s window holds at `now`.
    ///
    /// While others record, a time window's sums are those of no single moment. The failures are
    /// read first: successes that are recorded meanwhile can make the rate too low, but failures
    /// can't make it too high.
    #[must_use]
    pub fn counts(&self, generation: Generation, now: u64) -> Counts {
        match self {
            Self::Time(ring) => {
                let failures = ring.sum(Tally::Failure, generation, now);
                // Acquire: pairs with the Release in `stamped::update_own` and in `update`; the
                // successes that a thread recorded before the failures above are seen below.
                fence(Ordering::Acquire);
                Counts {
                    successes: ring.sum(Tally::Success, generation, now),
                    failures,
                }
            }
            Self::Count(ring) => ring.sum(generation, now),
        }
    }

    /// How many calls of `generation` were not counted; see [`Tally::Aside`].
    #[must_use]
    pub fn asides(&self, generation: Generation, now: u64) -> u64 {
        match self {
            Self::Time(ring) => ring.sum(Tally::Aside, generation, now),
            Self::Count(ring) => ring.asides(generation),
        }
    }

    /// Readies the window for `generation`, which the caller has just entered.
    pub fn begin(&self, generation: Generation, is_current: impl Fn() -> bool) {
        match self {
            // Its words tell generations apart by themselves.
            Self::Time(_) => {}
            Self::Count(ring) => ring.begin(generation, is_current),
        }
    }
}
