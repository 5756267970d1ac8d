//! What an outcome weighs, in a breaker that decides by evidence.

use std::time::Duration;

use super::Core;
use super::view::{Fitted, View, with_view};
use crate::adaptive::Evidence;
use crate::clock::context::CallContext;
use crate::events::Cause;
use crate::state::Generation;
use crate::state::history::date_of;
use crate::window::ClockReading;

impl Core {
    /// Ends the run of failures, and weighs a success where there is evidence that it can speak against.
    #[inline]
    pub(super) fn after_success(&self, generation: Generation, context: &impl CallContext) {
        if self.run.has_any() {
            self.after_success_slow(generation, context);
        }
    }

    #[cold]
    #[inline(never)]
    fn after_success_slow(&self, generation: Generation, context: &impl CallContext) {
        with_view!(self, |view| view.end_run(generation, context));
    }

    /// When the generation began, if it is known; else now.
    pub(super) fn began_at(&self, generation: Generation, now: u64) -> u64 {
        self.history.since(generation).unwrap_or(now).min(now)
    }
}

impl<'a, F: Fitted<'a>> View<'a, F> {
    fn end_run(self, generation: Generation, context: &impl CallContext) {
        let Some(evidence) = self.evidence() else {
            return self.run.clear_with(generation, || false);
        };
        // Ask first, as `weigh` does: the evidence tells generations apart by 11 bits only.
        let lesson = self
            .is_current(generation)
            .then(|| evidence.success(generation))
            .flatten();
        let has_any = || evidence.has_any(generation);
        self.run.clear_with(generation, has_any);
        if let Some(lesson) = lesson {
            let reading = self.ring().read(context);
            let now = date_of(context.nanos_at(reading.raw));
            evidence.learn(lesson, now, self.began_at(generation, now));
            self.look(evidence, reading, generation, context);
        }
    }

    /// Weighs a failure, or a call that took too long, and says whether there is evidence.
    ///
    /// Before it is noted in the run of failures: who finds the note finds the evidence.
    #[inline]
    pub(super) fn weigh_failure(
        self,
        reading: ClockReading,
        generation: Generation,
        context: &impl CallContext,
    ) -> bool {
        let evidence = self.evidence();
        evidence.is_some_and(|evidence| self.weigh(evidence, reading, generation, context))
    }

    #[inline(never)]
    fn weigh(
        self,
        evidence: &Evidence,
        reading: ClockReading,
        generation: Generation,
        context: &impl CallContext,
    ) -> bool {
        // The evidence tells generations apart by 11 bits, which repeat after 2,048 state changes.
        // A call may last that long, so ask first: then only the time between two instructions is
        // left. A generation that is over has no window to look at either.
        let is_current = || self.is_current(generation);
        if !is_current() {
            return false;
        }
        let now = date_of(context.nanos_at(reading.raw));
        let since = self.counted_since(generation);
        let since = since.unwrap_or_else(|| self.began_at(generation, now));
        if evidence.wants_look(now, since) {
            self.look(evidence, reading, generation, context);
        }
        evidence.failure(generation, now, is_current).is_some()
    }

    /// Judges by evidence after an outcome that was weighed.
    #[inline]
    pub(super) fn judge_weighed(
        self,
        generation: Generation,
        reading: ClockReading,
        context: &impl CallContext,
    ) -> bool {
        let evidence = self.evidence();
        evidence.is_some_and(|it| self.judge_by_evidence(it, generation, reading, context))
    }

    /// Trips if there is evidence enough, and says whether it has.
    #[inline(never)]
    fn judge_by_evidence(
        self,
        evidence: &Evidence,
        generation: Generation,
        reading: ClockReading,
        context: &impl CallContext,
    ) -> bool {
        let Some(seen) = self.closed_in(generation) else {
            return false;
        };
        let nanos = context.nanos_at(reading.raw);
        let now = date_of(nanos);
        let in_flight = self.timed().and_then(|timed| timed.in_flight());
        let overdue = || {
            in_flight.map_or(0, |in_flight| {
                in_flight.overdue_of_watched(generation, nanos)
            })
        };
        let since = self.began_at(generation, now);
        let verdict = evidence.verdict(generation, now, since, overdue);
        verdict.is_some_and(|verdict| {
            let cause = Cause::Evidence {
                failures: verdict.failures,
                calls: verdict.calls,
                within: Duration::from_nanos(verdict.within),
                usual: verdict.usual,
                nats: verdict.nats,
                needed: verdict.needed,
            };
            // Read anew, since this thread may have slept: the open time begins now.
            let trips = self.open(seen, cause, self.ring().read(context), context);
            if trips {
                evidence.trip(&verdict, now, since);
            }
            trips
        })
    }

    /// Lets it see how much traffic there is, once in a while.
    fn look(
        self,
        evidence: &Evidence,
        reading: ClockReading,
        generation: Generation,
        context: &impl CallContext,
    ) {
        let now = date_of(context.nanos_at(reading.raw));
        let began = self.began_at(generation, now);
        let counted_since = self.counted_since(generation).unwrap_or(began);
        evidence.look(generation, now, (began, counted_since), || {
            self.ring().calls(generation, reading, context)
        });
    }
}
