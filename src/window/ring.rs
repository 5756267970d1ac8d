//! What the core records in: a ring, and what it counts.

use super::{Bin, BinCounts, ClockReading, CountRing, Latencies, Recording, TimeRing};
use crate::clock::Now;
use crate::clock::context::CallContext;
use crate::state::Generation;

/// What a window can count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tally {
    /// A call that succeeded.
    Success,
    /// A call that was not counted: ignored, in a generation that lets calls through; rejected, in
    /// one that doesn't. No generation counts both, which saves a word in each bucket.
    Uncounted,
    /// A call that failed.
    Failure,
    /// A call that took too long. It has succeeded or failed besides, and was counted as that first.
    Slow,
}

impl Tally {
    /// Whether threads have words of their own for it.
    #[inline]
    pub(super) fn is_spread(self) -> bool {
        matches!(self, Self::Success | Self::Uncounted)
    }
}

/// What the decision sees of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that succeeded.
    pub successes: u64,
    /// Calls that failed.
    pub failures: u64,
    /// Those among both that took too long.
    pub slow: u64,
    /// Calls that have not come back and have already taken too long.
    pub overdue: u64,
}

impl Counts {
    /// Calls that succeeded or failed.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.successes + self.failures
    }

    /// How many of the calls were slow.
    #[must_use]
    pub fn slow_of_calls(&self) -> u64 {
        self.slow.min(self.calls())
    }
}

/// What a breaker's window keeps of the time that calls take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Whether it counts the slow ones.
    pub counts_slow: bool,
    /// Whether it has histograms.
    pub recording: Recording,
}

impl Timing {
    /// Calls are not timed.
    pub const NONE: Self = Self {
        counts_slow: false,
        recording: Recording::Off,
    };

    /// Whether calls are timed.
    #[must_use]
    pub fn is_timed(self) -> bool {
        self != Self::NONE
    }
}

/// How long a call took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Took {
    /// In nanoseconds.
    pub nanos: u64,
    /// Whether that is too long.
    pub is_slow: bool,
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
        context: &impl CallContext,
        is_current: impl Fn() -> bool,
    ) -> bool {
        match self {
            Self::Time(ring) => {
                let reading = ring.read(context);
                ring.record_at(reading, tally, generation, context, is_current)
            }
            Self::Count(ring) => ring.record(tally, generation, context, is_current),
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
        context: &impl CallContext,
        is_current: impl Fn() -> bool,
    ) -> bool {
        match self {
            Self::Time(ring) => ring.record_at(reading, tally, generation, context, is_current),
            Self::Count(ring) => ring.record(tally, generation, context, is_current),
        }
    }

    /// The same, of a call that was timed.
    #[allow(
        clippy::inline_always,
        reason = "measured: out of line, `cargo bench -- closed_latency` shows a slower path"
    )]
    #[inline(always)]
    pub fn record_timed_at(
        &self,
        reading: ClockReading,
        tally: Tally,
        (took, latencies): (Took, Option<&Latencies>),
        generation: Generation,
        context: &impl CallContext,
        is_current: impl Fn() -> bool,
    ) -> bool {
        match self {
            Self::Time(ring) => {
                let counted = ring.record_at(reading, tally, generation, context, &is_current);
                if let Some(latencies) = latencies {
                    let (bin, failed) = (Bin::of(took.nanos), tally == Tally::Failure);
                    let bin = latencies.number(bin, failed);
                    ring.record_latency(latencies, bin, reading, generation, context, &is_current);
                }
                // After it was counted as a call, so that a reader who begins with the slow ones finds
                // no more of them than of calls.
                if took.is_slow {
                    ring.record_at(reading, Tally::Slow, generation, context, is_current);
                }
                counted
            }
            Self::Count(ring) => {
                ring.record_timed(tally, Some(took), generation, context, is_current)
            }
        }
    }

    /// What speaks against the dependency in `generation`'s window: its failed and its slow calls.
    ///
    /// While others record, a time window's sums are those of no single moment. The slow ones are read
    /// first, of which each was counted as a call before; those that a bucket which ends meanwhile takes
    /// away from the calls are left out by [`Counts::slow_of_calls`]. And both are read before
    /// the successes: successes that are recorded meanwhile can make a rate too low, but failures
    /// can't make it too high. Only a bucket that ends meanwhile can: it takes successes away.
    #[must_use]
    #[allow(
        clippy::inline_always,
        reason = "counted: with all features the compiler leaves it out of line, and a failing call \
                  takes 30 instructions more"
    )]
    #[inline(always)]
    pub fn failures_and_slow(
        &self,
        generation: Generation,
        reading: ClockReading,
        context: &impl CallContext,
    ) -> Counts {
        match self {
            Self::Time(ring) => ring.failures_and_slow(generation, reading),
            Self::Count(ring) => ring.sum(generation, context.nanos_at(reading.raw)),
        }
    }

    /// How many failures of a `run` are young enough for the window, which holds these counts.
    ///
    /// Calls leave a window by time in their order. If the success before the run has left, all
    /// failures that the window holds are of the run. Otherwise the window holds the whole run. So
    /// it holds the lesser of the two numbers.
    #[must_use]
    #[inline]
    pub fn run_held(
        &self,
        run: u64,
        counts: &Counts,
        reading: ClockReading,
        context: &impl CallContext,
    ) -> u64 {
        match self {
            Self::Time(_) => run.min(counts.failures),
            Self::Count(ring) => ring.run_held(run, counts, context.nanos_at(reading.raw)),
        }
    }

    /// Adds to these the successes, if the sum is `worth` knowing: asked first without any, and again
    /// as they are added.
    pub fn add_successes(
        &self,
        counts: Counts,
        generation: Generation,
        reading: ClockReading,
        context: &impl CallContext,
        worth: impl Fn(Counts) -> bool,
    ) -> Option<Counts> {
        match self {
            Self::Time(ring) => ring.add_successes(
                counts,
                generation,
                reading,
                context.known_thread_slot(),
                worth,
            ),
            // It has no such parts; they were all counted at once.
            Self::Count(_) => Some(counts),
        }
    }

    /// The failures and successes of the last `buckets` buckets of `generation`'s window, the present one
    /// among them, if that is `worth` knowing; asked as in [`add_successes`](Self::add_successes).
    pub fn short_counts(
        &self,
        buckets: u32,
        generation: Generation,
        reading: ClockReading,
        context: &impl CallContext,
        worth: impl Fn(Counts) -> bool,
    ) -> Option<Counts> {
        match self {
            Self::Time(ring) => ring.short_counts(
                buckets,
                generation,
                reading,
                context.known_thread_slot(),
                worth,
            ),
            // It has no buckets.
            Self::Count(_) => None,
        }
    }

    /// The same as [`add_successes`](Self::add_successes), whatever it is worth.
    #[must_use]
    pub fn all_counts(
        &self,
        counts: Counts,
        generation: Generation,
        reading: ClockReading,
        context: &impl CallContext,
    ) -> Counts {
        self.add_successes(counts, generation, reading, context, |_| true)
            .unwrap_or(counts)
    }

    /// Adds to `counts` how long the calls of `generation`'s window took.
    pub fn read_latencies(
        &self,
        latencies: Option<&Latencies>,
        generation: Generation,
        reading: ClockReading,
        context: &impl CallContext,
        counts: &mut BinCounts,
    ) {
        match self {
            Self::Time(ring) => {
                if let Some(latencies) = latencies {
                    ring.read_latencies(latencies, generation, reading, counts);
                }
            }
            Self::Count(ring) => {
                ring.read_latencies(generation, context.nanos_at(reading.raw), counts);
            }
        }
    }

    /// How many calls `generation`'s window holds.
    #[must_use]
    pub fn calls(
        &self,
        generation: Generation,
        reading: ClockReading,
        context: &impl CallContext,
    ) -> u64 {
        match self {
            Self::Time(ring) => {
                let sum = |tally| ring.sum(tally, generation, reading);
                sum(Tally::Failure) + sum(Tally::Success)
            }
            Self::Count(ring) => ring.sum(generation, context.nanos_at(reading.raw)).calls(),
        }
    }

    /// How many calls of `generation` were not counted; see [`Tally::Uncounted`].
    #[must_use]
    pub fn uncounted(&self, generation: Generation, reading: ClockReading) -> u64 {
        match self {
            Self::Time(ring) => ring.sum(Tally::Uncounted, generation, reading),
            Self::Count(ring) => ring.uncounted(generation),
        }
    }

    /// Whether what one has counted is what the other would have, had it been there.
    #[must_use]
    pub fn same_config(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Time(own), Self::Time(other)) => own.same_config(other),
            (Self::Count(own), Self::Count(other)) => own.same_config(other),
            _ => false,
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
    pub fn start_generation(&self, generation: Generation, is_current: impl Fn() -> bool) {
        match self {
            // Its words tell generations apart by themselves.
            Self::Time(_) => {}
            Self::Count(ring) => ring.start_generation(generation, is_current),
        }
    }
}
