//! Judgement: whether the recorded calls trip the breaker.

use super::call::Call;
use super::view::{Configuration, View};
use crate::state::{Generation, Judgement, StateWord};
use crate::window::{BinCounts, Counts};
use crate::{
    clock::context::CallContext, events::Cause, latency::times::Timed, outcome::Outcome,
    policy::TripPolicy,
};

impl<'a, F: Configuration<'a>> View<'a, F> {
    /// Trips if a policy says so, and returns whether it did.
    ///
    /// `outcome` is the outcome of the call that was just recorded. `run` is the number of failures
    /// in a row, however long ago.
    pub(super) fn judge(
        self,
        call: Call<'_, impl CallContext>,
        run: u64,
        outcome: Outcome,
    ) -> bool {
        let Some(seen) = self.closed_in(call.generation) else {
            return self.judge_noted(call, run, outcome);
        };
        let cause_at = |call| match outcome {
            Outcome::Trip => Some(Cause::TripRequested),
            _ => self.cause(call, run),
        };
        if cause_at(call).is_none() {
            return false;
        }
        // This thread may have slept since it read the clock, and a bucket may have ended while it
        // summed. Then some failures may be too old, and some successes from their time may be
        // gone. So a trip is judged by the time at which it happens.
        let call = call.read_again(self.ring());
        cause_at(call).is_some_and(|cause| self.open(seen, Judgement::Counts, cause, call))
    }

    /// The state, if the breaker is closed in this generation, has no notes and may be judged.
    ///
    /// A breaker may not be judged between the two steps that replace the window it was built with.
    /// Until that generation ends, successes are counted in the old window and failures in the new
    /// one.
    pub(super) fn closed_in(self, generation: Generation) -> Option<StateWord> {
        let seen = self.state.load();
        let is_closed = seen.generation() == generation && seen.is_closed_without_notes();
        // The second step marks the state as timed, whether the breaker takes times or not. So this
        // holds after the second step, and as long as the window is the one it was built with.
        let is_whole = seen.is_timed() || self.has_built_ring();
        (is_closed && is_whole && self.may_judge(generation)).then_some(seen)
    }

    /// The cause for a trip, if the window's counts give one.
    #[inline]
    pub(super) fn cause(self, call: Call<'_, impl CallContext>, run: u64) -> Option<Cause> {
        let policies = &self.settings().policies;
        let (run, counts) = if policies.iter().any(|policy| policy.looks_at_window(run)) {
            let ring = self.ring();
            let counts = self.suspicions(call);
            let run = ring.run_held(run, &counts, call);
            let worth = |counts| policies.iter().any(|policy| policy.may_trip(run, &counts));
            let counts = ring.add_successes(counts, call, worth)?;
            (run, counts)
        } else {
            (run, Counts::default())
        };
        policies.iter().find_map(|policy| {
            let cause = policy.judge(run, &counts)?;
            self.unless_it_has_stopped(policy, cause, &counts, call)
        })
    }

    /// The cause found in the window, unless the failures have stopped.
    ///
    /// Some policies also look at a short stretch of the window, which tells whether the failures
    /// go on.
    #[cold]
    #[inline(never)]
    fn unless_it_has_stopped(
        self,
        policy: &TripPolicy,
        cause: Cause,
        counts: &Counts,
        call: Call<'_, impl CallContext>,
    ) -> Option<Cause> {
        let Some(burn_rate) = policy.looks_at_short_stretch() else {
            return Some(cause);
        };
        // This thread reads the clock again. So the stretch ends no earlier than any failure that
        // was added to the run before this thread's. By its older reading, it might judge a stretch
        // that ends before the other thread's failure. The other thread might not have seen this
        // failure either, and neither would trip.
        let call = call.read_again(self.ring());
        let buckets = burn_rate.short_buckets;
        let goes_on = |short| burn_rate.may_go_on(&short);
        let short = self.ring().short_counts(buckets, call, goes_on)?;
        Some(burn_rate.cause(counts, &short))
    }

    /// The calls that speak against the dependency: failed, slow and overdue ones.
    #[allow(
        clippy::inline_always,
        reason = "counted: out of line, `.ci/run instructions` shows a longer path with all features"
    )]
    #[inline(always)]
    pub(super) fn suspicions(self, call: Call<'_, impl CallContext>) -> Counts {
        let counts = self.ring().failures_and_slow(call);
        // This thread reads the calls in flight after the slow ones. The fence in
        // `CallSlot::began` keeps that order. A call that is found recorded is no longer found in
        // flight, so no call counts twice.
        let in_flight = self.timed().and_then(|timed| timed.in_flight());
        let overdue = in_flight.map_or(0, |in_flight| {
            in_flight.overdue(call.generation, call.nanos())
        });
        Counts { overdue, ..counts }
    }

    /// Judges the window's percentiles once in a tick, and trips if they give a cause.
    #[inline]
    pub(super) fn judge_at_tick(self, call: Call<'_, impl CallContext>) {
        if let Some(timed) = self.timed()
            && timed.takes_tick(call.reading)
        {
            self.judge_percentiles(timed, call);
        }
    }

    #[cold]
    #[inline(never)]
    fn judge_percentiles(self, timed: &Timed, call: Call<'_, impl CallContext>) {
        let Some(seen) = self.judged_in(call.generation) else {
            return;
        };
        let mut bins = BinCounts::default();
        self.ring()
            .read_latencies(timed.latencies(), call, &mut bins);
        if let Some(cause) = timed.judge(&self.settings().policies, &bins) {
            let call = call.read_again(self.ring());
            // A thread that has slept finds a later tick, which another thread judges.
            if !timed.is_tick(call.reading) {
                self.open(seen, Judgement::Percentiles, cause, call);
            }
        } else {
            self.found_none(seen, Judgement::Percentiles);
        }
    }
}
