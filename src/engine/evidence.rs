//! How an outcome is weighed, in a breaker that decides by evidence.

use std::time::Duration;

use super::Ticket;
use super::call::Call;
use super::view::{Configuration, View};
use crate::latency::in_flight::InFlight;
use crate::{adaptive::Evidence, clock::context::CallContext, events::Cause, state::Judgement};

impl<'a, F: Configuration<'a>> View<'a, F> {
    /// Weighs a failure, or a call that took too long, and returns whether there is evidence.
    ///
    /// The caller notes it in the run of failures afterwards. A thread that finds the note finds
    /// the evidence.
    #[inline]
    pub(super) fn weigh_failure(self, call: Call<'_, impl CallContext>) -> bool {
        let evidence = self.evidence();
        evidence.is_some_and(|evidence| self.weigh(evidence, call))
    }

    /// Weighs a watched call that has come back and wasn't weighed as overdue.
    ///
    /// The caller judges the evidence if `is_bad`.
    pub(super) fn weigh_watched(
        self,
        ticket: Ticket,
        is_bad: bool,
        call: Call<'_, impl CallContext>,
    ) {
        let began = call.context.nanos_at(ticket.begin);
        let in_flight = self.timed().and_then(|timed| timed.in_flight());
        let watched = self.evidence().and_then(Evidence::of_watched);
        let (Some(in_flight), Some(watched)) = (in_flight, watched) else {
            return;
        };
        // Its place may be another's since then, or not.
        if in_flight.has_left(began, call.nanos()) {
            return;
        }
        if is_bad {
            self.weigh(watched, call);
        } else if watched.has_any(call.generation) && self.is_current(call.generation) {
            let lesson = watched.success(call.generation);
            if let Some(lesson) = lesson {
                let now = call.date();
                watched.learn(lesson, now, self.began_at(call.generation, now));
                self.look(watched, call);
            }
        }
    }

    /// Weighs the watched calls that have become overdue, each once.
    pub(super) fn weigh_overdue(self, in_flight: &InFlight, call: Call<'_, impl CallContext>) {
        let Some(watched) = self.evidence().and_then(Evidence::of_watched) else {
            return;
        };
        for _ in 0..in_flight.charge(call.generation, call.nanos()) {
            self.weigh(watched, call);
        }
    }

    #[inline(never)]
    fn weigh(self, evidence: &Evidence, call: Call<'_, impl CallContext>) -> bool {
        let generation = call.generation;
        // The evidence tells generations apart by 11 bits, which repeat after 2,048 state changes.
        // A call may last that long, so this thread asks first. After that, only the time between
        // two instructions is unguarded. A generation that is over has no window to look at either.
        let is_current = || self.is_current(generation);
        if !is_current() {
            return false;
        }
        let now = call.date();
        let since = self.counted_since(generation);
        let since = since.unwrap_or_else(|| self.began_at(generation, now));
        if evidence.wants_look(now, since) {
            self.look(evidence, call);
        }
        evidence.failure(generation, now, is_current).is_some()
    }

    /// Judges by evidence after an outcome was weighed, and returns whether the breaker tripped.
    #[inline]
    pub(super) fn judge_weighed(self, call: Call<'_, impl CallContext>) -> bool {
        let evidence = self.evidence();
        evidence.is_some_and(|it| self.judge_by_evidence(it, call))
    }

    /// Trips if there is enough evidence, and returns whether it did.
    #[inline(never)]
    fn judge_by_evidence(self, evidence: &Evidence, call: Call<'_, impl CallContext>) -> bool {
        let generation = call.generation;
        let Some(seen) = self.judged_in(generation) else {
            return false;
        };
        let now = call.date();
        let since = self.began_at(generation, now);
        let verdict = evidence.verdict(generation, now, since);
        if verdict.is_none() {
            self.found_none(seen, Judgement::Evidence);
        }
        verdict.is_some_and(|verdict| {
            let cause = Cause::Evidence {
                failures: verdict.failures,
                calls: verdict.calls,
                within: Duration::from_nanos(verdict.within),
                usual: verdict.usual,
                nats: verdict.nats,
                needed: verdict.needed,
            };
            // This thread may have slept. The open time begins at a fresh clock reading.
            let call = call.read_again(self.ring());
            let trips = self.open(seen, Judgement::Evidence, cause, call);
            if trips {
                evidence.trip(&verdict, now, since);
            }
            trips
        })
    }

    /// Tells the evidence of a stream from time to time how much traffic the stream has.
    pub(super) fn look(self, evidence: &Evidence, call: Call<'_, impl CallContext>) {
        let generation = call.generation;
        let now = call.date();
        let began = self.began_at(generation, now);
        let counted_since = self.counted_since(generation).unwrap_or(began);
        evidence.look(generation, now, (began, counted_since), || {
            let calls = self.ring().calls(call);
            let in_flight = self.timed().and_then(|timed| timed.in_flight());
            let weight = in_flight.filter(|_| !evidence.is_of_all());
            calls >> weight.map_or(0, InFlight::weight)
        });
    }
}
