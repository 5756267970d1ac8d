//! The window: the stretch of recent calls that the decision looks at.

mod config;
mod time;
mod latest;
mod shards;
mod place;
mod bucket;
mod count;
mod counter;

pub use bucket::{Added, AtomicBucket, Stamp};
pub use config::{CountWindow, Window};
pub use count::CountRing;
pub use counter::GenerationCounter;
pub use latest::ClockReading;
pub use time::TimeRing;

use crate::caller::Caller;
use crate::clock::Now;
use crate::state::Generation;

/// What a window can count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tally {
    /// A call that succeeded.
    Success,
    /// A call that was not counted: ignored, in a generation that lets calls through; rejected, in
    /// one that doesn't. No generation counts both, which saves a word in each bucket.
    Aside,
    /// A call that failed. The last, because threads have no words of their own for it.
    Failure,
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
    #[allow(
        clippy::inline_always,
        reason = "measured: out of line, `cargo bench -- closed` shows a slower path"
    )]
    #[inline(always)]
    pub fn record(
        &self,
        tally: Tally,
        generation: Generation,
        caller: &impl Caller,
        is_current: impl Fn() -> bool,
    ) -> bool {
        match self {
            Self::Time(ring) => {
                let reading = ring.read(caller);
                ring.record_at(reading, tally, generation, caller, is_current)
            }
            Self::Count(ring) => ring.record(tally, generation, caller, is_current),
        }
    }

    /// Reads the clock, for who needs the time besides.
    #[must_use]
    #[inline]
    pub fn read(&self, clock: &impl Now) -> ClockReading {
        match self {
            Self::Time(ring) => ring.read(clock),
            Self::Count(_) => ClockReading::at(clock.raw()),
        }
    }

    /// Reads the clock, in its own units and in nanoseconds.
    #[inline]
    pub fn read_with_nanos(&self, clock: &impl Now) -> (ClockReading, u64) {
        match self {
            Self::Time(ring) => ring.read_with_nanos(clock),
            Self::Count(_) => {
                let (raw, nanos) = clock.raw_and_nanos();
                (ClockReading::at(raw), nanos)
            }
        }
    }

    /// Records a call that ended when the clock was read; it may have moved on meanwhile.
    #[inline]
    pub fn record_at(
        &self,
        reading: ClockReading,
        tally: Tally,
        generation: Generation,
        caller: &impl Caller,
        is_current: impl Fn() -> bool,
    ) -> bool {
        match self {
            Self::Time(ring) => ring.record_at(reading, tally, generation, caller, is_current),
            Self::Count(ring) => ring.record(tally, generation, caller, is_current),
        }
    }

    /// What `generation`'s window holds, if that is `worth` knowing: asked with the failures, and
    /// again as successes are added to them.
    ///
    /// While others record, a time window's sums are those of no single moment. The failures are
    /// read first: successes that are recorded meanwhile can make the rate too low, but failures
    /// can't make it too high. Only a bucket that ends meanwhile can: it takes successes away.
    pub fn counts_if(
        &self,
        generation: Generation,
        reading: ClockReading,
        caller: &impl Caller,
        worth: impl Fn(Counts) -> bool,
    ) -> Option<Counts> {
        match self {
            Self::Time(ring) => ring.counts_if(generation, reading, caller.lane_so_far(), worth),
            Self::Count(ring) => Some(ring.sum(generation, caller.nanos_at(reading.raw))),
        }
    }

    /// What `generation`'s window holds.
    #[must_use]
    pub fn counts(
        &self,
        generation: Generation,
        reading: ClockReading,
        caller: &impl Caller,
    ) -> Counts {
        self.counts_if(generation, reading, caller, |_| true)
            .unwrap_or_default()
    }

    /// How many calls of `generation` were not counted; see [`Tally::Aside`].
    #[must_use]
    pub fn asides(&self, generation: Generation, reading: ClockReading) -> u64 {
        match self {
            Self::Time(ring) => ring.sum(Tally::Aside, generation, reading),
            Self::Count(ring) => ring.asides(generation),
        }
    }

    /// Lets the window grow now, if it does.
    pub fn grow(&self) {
        match self {
            Self::Time(ring) => ring.grow(),
            Self::Count(_) => {}
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
