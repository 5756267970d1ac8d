//! The window as the engine sees it: a ring, and what it counts.

use super::latest::TimePoint;
use super::sample::Sample;
use super::{
    BinCounts, ClockReading, CountRing, Latencies, Recording, RingTotals, TimeRing, Total,
};
use crate::clock::Now;
use crate::clock::context::CallContext;
use crate::state::Generation;

/// A kind of call that a window counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tally {
    /// A call that succeeded.
    Success,
    /// A call that policies don't count. In a generation that admits calls it was ignored. In a
    /// generation that rejects calls it was rejected. No generation counts both, which saves a word
    /// in each bucket.
    Uncounted,
    /// A call that failed.
    Failure,
    /// A call that took too long. It has also succeeded or failed, and was counted as that first.
    Slow,
    /// A failed call that took too long. It was counted as failed and as slow before.
    SlowFailure,
}

impl Tally {
    /// Whether only windows that count slow calls have words for this kind.
    #[inline]
    pub(super) fn needs_limit(self) -> bool {
        matches!(self, Self::Slow | Self::SlowFailure)
    }
}

impl Tally {
    /// Whether each thread has its own words for this kind.
    #[inline]
    pub(super) fn is_spread(self) -> bool {
        matches!(self, Self::Success | Self::Uncounted)
    }
}

/// The counts of a window that policies judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that succeeded.
    pub successes: u64,
    /// Calls that failed.
    pub failures: u64,
    /// Calls among both that took too long.
    pub slow: u64,
    /// Calls still in flight that have already taken too long.
    pub overdue: u64,
}

impl Counts {
    /// Calls that succeeded or failed.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.successes + self.failures
    }

    /// The number of slow calls, at most the number of calls.
    #[must_use]
    pub fn slow_of_calls(&self) -> u64 {
        self.slow.min(self.calls())
    }
}

/// What a window keeps of the durations of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptTimes {
    /// Whether the window counts slow calls.
    pub counts_slow: bool,
    /// Whether the window has histograms.
    pub recording: Recording,
}

impl KeptTimes {
    /// The setting for calls that aren't timed.
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

/// The duration of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Took {
    /// The duration in nanoseconds. It may be zero if the call wasn't slow and nobody records the
    /// duration.
    pub nanos: u64,
    /// Whether the call took too long.
    pub is_slow: bool,
}

/// One call on its path through the breaker.
#[derive(Debug)]
pub struct Call<'c, C> {
    /// The generation that admitted the call.
    pub generation: Generation,
    /// The clock reading by which the call is recorded and judged.
    pub reading: ClockReading,
    /// The caller's clock and thread slot.
    pub context: &'c C,
}

impl<C> Clone for Call<'_, C> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Call<'_, C> {}

impl<C: CallContext> Call<'_, C> {
    /// The clock reading in nanoseconds.
    #[must_use]
    #[inline]
    pub fn nanos(self) -> u64 {
        self.context.nanos_at(self.reading.raw)
    }
}

impl<'c, C> Call<'c, C> {
    /// A call of `generation` with this clock reading.
    #[inline]
    pub fn new(generation: Generation, reading: ClockReading, context: &'c C) -> Self {
        Self {
            generation,
            reading,
            context,
        }
    }

    /// When the call ended.
    #[inline]
    pub(super) fn time(self) -> TimePoint<&'c C> {
        TimePoint {
            raw: self.reading.raw,
            clock: self.context,
        }
    }

    /// The call without its clock reading.
    #[inline]
    pub(super) fn origin(self) -> Origin<&'c C> {
        Origin::new(self.generation, self.context)
    }
}

/// The origin of a call. It fits into two registers.
#[derive(Clone, Copy, Debug)]
pub struct Origin<C> {
    /// The generation that admitted the call.
    pub generation: Generation,
    /// A reference to the caller's clock and thread slot.
    pub context: C,
}

impl<C> Origin<C> {
    /// The origin of a call of `generation`.
    #[inline]
    pub fn new(generation: Generation, context: C) -> Self {
        Self {
            generation,
            context,
        }
    }
}

/// `part` divided by `whole`, which isn't zero.
///
/// The code divides instead of comparing with `threshold × whole`. The quotient of two integers is
/// rounded once, as the literal was. So 3 of 30 is 0.1, while 0.1 × 30 is more than 3.
#[allow(
    clippy::cast_precision_loss,
    reason = "a rate needs no more than 53 bits of a count"
)]
pub(crate) fn rate(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// A window as the engine records in it: one of the rings, chosen when the breaker is built.
#[derive(Debug)]
pub enum Ring {
    /// A recent stretch of time, in buckets.
    Time(TimeRing),
    /// The last n calls. Boxed because this ring keeps a cache line to itself. Breakers with a time
    /// window shouldn't pay for that line.
    Count(Box<CountRing>),
}

impl Ring {
    /// Counts one call of `generation`, and returns whether it was counted.
    ///
    /// A call that comes too late isn't counted. Either its bucket has left the window, or
    /// `is_current` says that its generation is over. Only the rare path that replaces a word of
    /// another generation or turn calls `is_current`.
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
            Self::Time(ring) if tally == Tally::Success => {
                ring.record_success(generation, context, is_current)
            }
            Self::Time(ring) => {
                let call = Call::new(generation, ring.read(context), context);
                ring.record_at(call, tally, is_current)
            }
            Self::Count(ring) => {
                let origin = Origin::new(generation, context);
                ring.record(tally, None, origin, is_current)
            }
        }
    }

    /// A call of `generation` that ends now.
    #[inline]
    pub fn call<'c, C: CallContext>(&self, generation: Generation, context: &'c C) -> Call<'c, C> {
        Call::new(generation, self.read(context), context)
    }

    /// Reads the clock, for a caller that needs the time too.
    #[must_use]
    #[allow(
        clippy::inline_always,
        reason = "counted: out of line, `.ci/run instructions` shows a longer path"
    )]
    #[inline(always)]
    pub fn read(&self, clock: &impl Now) -> ClockReading {
        self.read_by(|| (clock.raw(), ())).0
    }

    /// Reads the clock, in its own units and in nanoseconds.
    #[allow(
        clippy::inline_always,
        reason = "counted: out of line, `.ci/run instructions` shows a longer path"
    )]
    #[inline(always)]
    pub fn read_with_nanos(&self, clock: &impl Now) -> (ClockReading, u64) {
        self.read_by(|| clock.raw_and_nanos())
    }

    /// Reads the clock, and returns what else `clock` returns.
    #[allow(
        clippy::inline_always,
        reason = "counted: out of line, `.ci/run instructions` shows a longer path"
    )]
    #[inline(always)]
    fn read_by<T>(&self, clock: impl FnOnce() -> (u64, T)) -> (ClockReading, T) {
        match self {
            Self::Time(ring) => ring.latest.read(clock),
            Self::Count(_) => {
                let (raw, more) = clock();
                (ClockReading::at(raw), more)
            }
        }
    }

    /// Records a call that ended at its clock reading. The clock may have moved on since.
    #[allow(
        clippy::inline_always,
        reason = "measured: out of line, `cargo bench -- closed` shows a slower path"
    )]
    #[inline(always)]
    pub fn record_at(
        &self,
        call: Call<'_, impl CallContext>,
        tally: Tally,
        is_current: impl Fn() -> bool,
    ) -> bool {
        match self {
            Self::Time(ring) => ring.record_at(call, tally, is_current),
            Self::Count(ring) => ring.record(tally, None, call.origin(), is_current),
        }
    }

    /// Like [`record_at`](Self::record_at), for a call that was timed.
    #[allow(
        clippy::inline_always,
        reason = "measured: out of line, `cargo bench -- closed_latency` shows a slower path"
    )]
    #[inline(always)]
    pub fn record_timed_at(
        &self,
        call: Call<'_, impl CallContext>,
        tally: Tally,
        sample: Sample<'_>,
        is_current: impl Fn() -> bool,
    ) -> bool {
        let Sample {
            took,
            weight,
            latencies,
        } = sample;
        match self {
            Self::Time(ring) => {
                let counted = ring.record_at(call, tally, &is_current);
                if let Some(latencies) = latencies {
                    let bin = latencies.bin((took, weight), tally == Tally::Failure);
                    ring.record_latency(call, bin, &is_current);
                }
                // The call was counted before. So a reader that starts with the slow calls never
                // finds more slow calls than calls, if each call is timed.
                if took.is_slow {
                    ring.record_weighted_at(call, Tally::Slow, weight, &is_current);
                    if tally == Tally::Failure {
                        let tally = Tally::SlowFailure;
                        ring.record_weighted_at(call, tally, weight, is_current);
                    }
                }
                counted
            }
            Self::Count(ring) => {
                if took.is_slow {
                    ring.add_to_total(Total::Slow);
                }
                ring.record(tally, Some(took), call.origin(), is_current)
            }
        }
    }

    /// The calls of the window of the call's generation that failed and took too long.
    ///
    /// While other threads record, it may be more than the failed or the slow calls found elsewhere.
    #[must_use]
    pub fn slow_failures(&self, call: Call<'_, impl CallContext>) -> u64 {
        match self {
            Self::Time(ring) => ring.sum(Tally::SlowFailure, call.generation, call.reading),
            Self::Count(ring) => ring.slow_failures(call.generation, call.nanos()),
        }
    }

    /// The failed and the slow calls of the window of the call's generation.
    ///
    /// While other threads record, a time window's sums don't belong to a single moment. The slow
    /// calls are read first, each of which was counted as a call before. A bucket may end after its
    /// slow calls were read and before its calls are. [`Counts::slow_of_calls`] then caps the slow
    /// calls.
    ///
    /// Both are read before the successes. So successes that are recorded meanwhile can make a rate
    /// too low, but failures can't make it too high. Only a bucket that ends meanwhile can make it
    /// too high, because it takes successes away.
    #[must_use]
    #[allow(
        clippy::inline_always,
        reason = "counted: with all features the compiler leaves it out of line, and a failing call \
                  takes 30 instructions more"
    )]
    #[inline(always)]
    pub fn failures_and_slow(&self, call: Call<'_, impl CallContext>) -> Counts {
        match self {
            Self::Time(ring) => ring.failures_and_slow(call.generation, call.reading),
            Self::Count(ring) => ring.sum(call.generation, call.nanos()),
        }
    }

    /// How many failures of a `run` are in the window, which holds `counts`.
    ///
    /// Calls leave a time window in their order. If the success before the run has left, all
    /// failures in the window are of the run. Otherwise the window holds the whole run. So it holds
    /// the smaller of the two numbers.
    #[must_use]
    #[inline]
    pub fn run_held(&self, run: u64, counts: &Counts, call: Call<'_, impl CallContext>) -> u64 {
        match self {
            Self::Time(_) => run.min(counts.failures),
            Self::Count(ring) => ring.run_held(run, counts, call.nanos()),
        }
    }

    /// Adds the successes to `counts`, as long as `worth` returns `true` for the sum.
    ///
    /// `worth` is called before any success is added, and again after each part. Returns `None` as
    /// soon as it returns `false`.
    pub fn add_successes(
        &self,
        counts: Counts,
        call: Call<'_, impl CallContext>,
        worth: impl Fn(Counts) -> bool,
    ) -> Option<Counts> {
        match self {
            Self::Time(ring) => ring.add_successes(counts, call, worth),
            // This ring has no parts. Its calls were all counted at once.
            Self::Count(_) => Some(counts),
        }
    }

    /// The failures and successes of the last `buckets` buckets of the window, the current bucket
    /// included. Calls `worth` like [`add_successes`](Self::add_successes).
    pub fn short_counts(
        &self,
        buckets: u32,
        call: Call<'_, impl CallContext>,
        worth: impl Fn(Counts) -> bool,
    ) -> Option<Counts> {
        match self {
            Self::Time(ring) => ring.short_counts(buckets, call, worth),
            // This ring has no buckets.
            Self::Count(_) => None,
        }
    }

    /// Like [`add_successes`](Self::add_successes), for any sum.
    #[must_use]
    pub fn all_counts(&self, counts: Counts, call: Call<'_, impl CallContext>) -> Counts {
        self.add_successes(counts, call, |_| true).unwrap_or(counts)
    }

    /// Adds the latencies of the window of the call's generation to `counts`.
    pub fn read_latencies(
        &self,
        latencies: Option<&Latencies>,
        call: Call<'_, impl CallContext>,
        counts: &mut BinCounts,
    ) {
        match (self, latencies) {
            (Self::Time(ring), Some(latencies)) => {
                latencies.read(ring.place(call.generation, call.reading), counts);
            }
            (Self::Time(_), None) => {}
            (Self::Count(ring), _) => ring.read_latencies(call.generation, call.nanos(), counts),
        }
    }

    /// The number of calls in the window of the call's generation.
    #[must_use]
    pub fn calls(&self, call: Call<'_, impl CallContext>) -> u64 {
        match self {
            Self::Time(ring) => {
                let sum = |tally| ring.sum(tally, call.generation, call.reading);
                sum(Tally::Failure) + sum(Tally::Success)
            }
            Self::Count(ring) => ring.sum(call.generation, call.nanos()).calls(),
        }
    }

    /// The number of uncounted calls of `generation`; see [`Tally::Uncounted`].
    #[must_use]
    pub fn uncounted(&self, generation: Generation, reading: ClockReading) -> u64 {
        match self {
            Self::Time(ring) => ring.sum(Tally::Uncounted, generation, reading),
            Self::Count(ring) => ring.uncounted(generation),
        }
    }

    /// Counts in total alone a call that the window doesn't hold, or a part of a kind.
    ///
    /// A part is counted before the call itself; see [`RingTotals::without`].
    #[inline(never)]
    pub fn add_to_total(&self, kind: Total, context: &impl CallContext) {
        match self {
            Self::Time(ring) => ring.shards.add_to_total(kind, context),
            Self::Count(ring) => ring.add_to_total(kind),
        }
    }

    /// How many calls were counted since the window was made.
    #[must_use]
    pub fn totals(&self) -> RingTotals {
        match self {
            Self::Time(ring) => ring.shards.totals(),
            Self::Count(ring) => ring.totals(),
        }
    }

    /// Whether the other window would have counted the same in this window's place.
    #[must_use]
    pub fn same_config(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Time(own), Self::Time(other)) => own.same_config(other),
            (Self::Count(own), Self::Count(other)) => own.same_config(other),
            _ => false,
        }
    }

    /// Makes the window grow now, if it can grow.
    pub fn grow(&self) {
        if let Self::Time(ring) = self {
            ring.shards.grow();
        }
    }

    /// Prepares the window for `generation`, which the caller has just entered.
    pub fn start_generation(&self, generation: Generation, is_current: impl Fn() -> bool) {
        // The words of a time window tell generations apart by themselves.
        if let Self::Count(ring) = self {
            ring.start_generation(generation, is_current);
        }
    }

    /// Starts generation `to` with the calls that `former` holds of generation `from`, as far as
    /// this window reaches. No other thread knows of this window yet.
    ///
    /// Returns whether it could. Both windows must be of one kind, and this one must not need ages
    /// that the former doesn't know.
    ///
    /// The uncounted calls and the latencies aren't carried over.
    pub fn carry_over(
        &self,
        former: &Self,
        (from, to): (Generation, Generation),
        clock: &impl Now,
    ) -> bool {
        match (self, former) {
            (Self::Time(own), Self::Time(former)) => {
                own.carry_over(former, (from, to), clock);
                true
            }
            (Self::Count(own), Self::Count(former)) => {
                own.carry_over(former, (from, to), clock.nanos())
            }
            _ => false,
        }
    }

    /// The number of nanoseconds after which a call has left the window for sure. It is `u64::MAX`
    /// if calls don't leave the window by their age.
    pub fn span(&self, clock: &impl Now) -> u64 {
        match self {
            Self::Time(ring) => ring.span(clock),
            Self::Count(ring) => ring.span(),
        }
    }
}
