//! Whether what was recorded trips the breaker.

use super::view::{Fitted, View};
use crate::clock::context::CallContext;
use crate::events::Cause;
use crate::latency::times::Timed;
use crate::outcome::Outcome;
use crate::policy::TripPolicy;
use crate::state::{Generation, Phase, StateWord};
use crate::window::{BinCounts, ClockReading, Counts};

impl<'a, F: Fitted<'a>> View<'a, F> {
    /// Trips if a policy says so, and returns whether it did. `outcome` is the outcome of the call
    /// that was just recorded. `run` is the number of failures in a row, however long ago.
    pub(super) fn judge(
        self,
        generation: Generation,
        run: u64,
        outcome: Outcome,
        reading: ClockReading,
        context: &impl CallContext,
    ) -> bool {
        let Some(seen) = self.closed_in(generation) else {
            return false;
        };
        let cause = |reading| match outcome {
            Outcome::Trip => Some(Cause::TripRequested),
            _ => self.cause(generation, run, reading, context),
        };
        if cause(reading).is_none() {
            return false;
        }
        // This thread may have slept since it has read the clock, and a bucket may have ended while
        // it summed. Then some of the failures may be too old, and of the successes beside them
        // some may be gone; so what trips is judged by the time at which it trips.
        let reading = self.ring().read(context);
        cause(reading).is_some_and(|cause| self.open(seen, cause, reading, context))
    }

    /// The state, if it is closed and this is its generation.
    ///
    /// Not between the two steps of who replaces the window that the breaker was built with: as long as its
    /// generation goes on, successes are counted in the one before, and the failures in the new one
    /// aren't all there is.
    pub(super) fn closed_in(self, generation: Generation) -> Option<StateWord> {
        let seen = self.state.load();
        let is_closed = seen.generation() == generation && seen.phase() == Phase::Closed;
        let is_whole = seen.is_timed() || self.has_built_ring();
        (is_closed && is_whole && self.may_judge(generation)).then_some(seen)
    }

    /// Opens the breaker if its state is still that which was seen.
    pub(super) fn open(
        self,
        seen: StateWord,
        cause: Cause,
        reading: ClockReading,
        context: &impl CallContext,
    ) -> bool {
        let now = context.nanos_at(reading.raw);
        let opening = self.first_opening(seen.generation(), reading, now, context);
        // An error means that somebody else has ended the generation; nothing is left to do.
        let moved = self.state.change(seen, opening.phase());
        if let Ok(moved) = moved {
            self.opened(moved, opening, now, cause);
        }
        moved.is_ok()
    }

    /// Whether the window's counts are reason enough to trip.
    #[inline]
    fn cause(
        self,
        generation: Generation,
        run: u64,
        reading: ClockReading,
        context: &impl CallContext,
    ) -> Option<Cause> {
        let policies = &self.settings().policies;
        let (run, counts) = if policies.iter().any(|policy| policy.looks_at_window(run)) {
            let counts = self.suspicions_inline(generation, reading, context);
            let run = self.ring().run_held(run, &counts, reading, context);
            let worth = |counts| policies.iter().any(|policy| policy.may_trip(run, &counts));
            let counts = self
                .ring()
                .add_successes(counts, generation, reading, context, worth)?;
            (run, counts)
        } else {
            (run, Counts::default())
        };
        policies.iter().find_map(|policy| {
            let cause = policy.judge(run, &counts)?;
            self.unless_it_has_stopped(policy, cause, &counts, generation, context)
        })
    }

    /// The cause found in the window, unless the policy looks at a short stretch of it besides, in which
    /// the failures don't go on.
    #[cold]
    #[inline(never)]
    fn unless_it_has_stopped(
        self,
        policy: &TripPolicy,
        cause: Cause,
        counts: &Counts,
        generation: Generation,
        context: &impl CallContext,
    ) -> Option<Cause> {
        let Some(burn_rate) = policy.looks_at_short_stretch() else {
            return Some(cause);
        };
        // The clock is read anew, so the stretch ends no earlier than any failure that was added to the
        // run before this thread's: it is found there as it is in the window. By its older reading this
        // thread might judge a stretch that ends before the other's failure and is still full of
        // successes, while the other has not seen this one's, and nobody would trip.
        let reading = self.ring().read(context);
        let buckets = burn_rate.short_buckets();
        let goes_on = |short| burn_rate.may_go_on(&short);
        let short = self
            .ring()
            .short_counts(buckets, generation, reading, context, goes_on)?;
        Some(burn_rate.cause(counts, &short))
    }

    /// All that speaks against the dependency: failed, slow and overdue calls.
    #[inline(never)]
    pub(super) fn suspicions(
        self,
        generation: Generation,
        reading: ClockReading,
        context: &impl CallContext,
    ) -> Counts {
        self.suspicions_inline(generation, reading, context)
    }

    /// Like [`suspicions`](Self::suspicions), on the path of a failing call.
    #[allow(
        clippy::inline_always,
        reason = "counted: out of line, `.ci/run instructions` shows a longer path with all features"
    )]
    #[inline(always)]
    fn suspicions_inline(
        self,
        generation: Generation,
        reading: ClockReading,
        context: &impl CallContext,
    ) -> Counts {
        let counts = self.ring().failures_and_slow(generation, reading, context);
        // After the slow ones, and in this order by the fence there: what is found recorded is no
        // longer found in flight, so no call counts twice.
        let in_flight = self.timed().and_then(|timed| timed.in_flight());
        let overdue = in_flight.map_or(0, |in_flight| {
            in_flight.overdue(generation, context.nanos_at(reading.raw))
        });
        Counts { overdue, ..counts }
    }

    /// Trips if the window's percentiles are reason enough, once in a tick.
    #[inline]
    pub(super) fn judge_at_tick(
        self,
        generation: Generation,
        reading: ClockReading,
        context: &impl CallContext,
    ) {
        if let Some(timed) = self.timed()
            && timed.takes_tick(reading)
        {
            self.judge_percentiles(timed, generation, reading, context);
        }
    }

    #[cold]
    #[inline(never)]
    fn judge_percentiles(
        self,
        timed: &Timed,
        generation: Generation,
        reading: ClockReading,
        context: &impl CallContext,
    ) {
        let Some(seen) = self.closed_in(generation) else {
            return;
        };
        let mut bins = BinCounts::default();
        self.ring()
            .read_latencies(timed.latencies(), generation, reading, context, &mut bins);
        if let Some(cause) = timed.judge(&self.settings().policies, &bins) {
            let reading = self.ring().read(context);
            // Unless this thread has slept for so long that there is another to judge.
            if !timed.is_tick(reading) {
                self.open(seen, cause, reading, context);
            }
        }
    }
}
