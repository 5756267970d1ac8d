//! How the outcome of an admitted call is recorded.

use std::num::NonZero;

use super::call::{Call, Ended};
use super::view::{Configuration, View, with_view};
use super::{Core, Ticket};
use crate::latency::times::Timed;
use crate::state::{Generation, Phase};
use crate::window::{Sample, Tally, Took, Total};
use crate::{clock::context::CallContext, outcome::Outcome};

impl Core {
    /// Records the outcome of an admitted call.
    ///
    /// `took` is its duration in nanoseconds, if the caller knows it better than the breaker.
    /// Returns whether the breaker has counted the outcome, though perhaps for a generation that is
    /// over; see [`counts`](Self::counts).
    #[allow(
        clippy::inline_always,
        reason = "measured: out of line, `cargo bench -- closed` shows a slower path"
    )]
    #[inline(always)]
    pub fn record(
        &self,
        ticket: Ticket,
        outcome: Outcome,
        took: Option<NonZero<u64>>,
        context: &impl CallContext,
    ) -> bool {
        if outcome == Outcome::Success
            && (ticket.admitted.lets_through_untimed() || self.takes_short_way(ticket))
        {
            let generation = ticket.admitted.generation();
            // Calls for another window don't come here. If the generation is over, its window is
            // over too, and no thread reads this count.
            let is_current = move || self.is_current(generation);
            let ring = &self.parts.ring;
            let counted = ring.record(Tally::Success, generation, context, is_current);
            self.after_success(generation, context);
            counted
        } else {
            self.record_unless_untimed(ticket, Ended { outcome, took }, context)
        }
    }

    /// Whether the call is left out of those that are timed, and the breaker has the window that it
    /// was built with.
    #[inline]
    fn takes_short_way(&self, ticket: Ticket) -> bool {
        ticket.is_left_out() && self.overrides().is_none()
    }

    /// Whether the outcome of an admitted call would count now.
    pub fn counts(&self, ticket: Ticket) -> bool {
        ticket.is_recorded() && self.is_current(ticket.admitted.generation())
    }

    /// Chooses between two paths. It compiles to little more than two jumps.
    #[inline(never)]
    fn record_unless_untimed(
        &self,
        ticket: Ticket,
        ended: Ended,
        context: &impl CallContext,
    ) -> bool {
        with_view!(self, |view| {
            if ended.outcome == Outcome::Success && ticket.admitted.lets_through_timed() {
                view.record_timed_success(ticket, ended, context)
            } else {
                view.record_slow(ticket, ended, context)
            }
        })
    }

    /// Settles a call that was admitted and then cancelled.
    #[inline(never)]
    pub fn cancel(&self, ticket: Ticket, context: &impl CallContext) {
        with_view!(self, |view| view.cancel(ticket, context));
    }

    /// Takes back an admitted call that isn't made.
    ///
    /// Nothing is counted. A probe's place becomes free again.
    #[inline(never)]
    pub fn withdraw(&self, ticket: Ticket, context: &impl CallContext) {
        with_view!(self, |view| {
            if ticket.is_half_open() {
                view.report_half_open(ticket, Outcome::Ignored.into(), context);
            } else {
                view.unwatched(ticket, None, context);
            }
        });
    }

    /// Ends the run of failures, and weighs a success that can count against the evidence.
    #[inline]
    fn after_success(&self, generation: Generation, context: &impl CallContext) {
        if self.run.has_any() {
            self.after_success_slow(generation, context);
        }
    }

    #[cold]
    #[inline(never)]
    fn after_success_slow(&self, generation: Generation, context: &impl CallContext) {
        with_view!(self, |view| view.end_run(generation, context));
    }
}

impl<'a, F: Configuration<'a>> View<'a, F> {
    /// Records the success of a timed call.
    #[inline(never)]
    fn record_timed_success(
        self,
        ticket: Ticket,
        ended: Ended,
        context: &impl CallContext,
    ) -> bool {
        let generation = ticket.admitted.generation();
        let Some(timed) = self.timed().filter(|_| !ticket.is_left_out()) else {
            return self.record_untimed_success(generation, context);
        };
        let reading = self.ring().read(context);
        // Each use builds another call, so it stays in registers on the common path.
        let call = || Call::new(generation, reading, context);
        let took = timed.took(ticket.begin, reading.raw, ended.took, context);
        if took.is_slow || timed.is_tick(reading) {
            self.record_success_slow(call(), (took, ticket.weight()), true)
        } else {
            let took = Some(Sample::new(took, ticket.weight(), timed.latencies()));
            let counted = self.count_timed(call(), Tally::Success, took);
            self.after_success(generation, context);
            self.weigh_timed_success(ticket.weight(), call());
            counted
        }
    }

    /// Records the success of a call that wasn't timed, in a breaker that no longer has the window
    /// it was built with.
    #[inline(never)]
    fn record_untimed_success(self, generation: Generation, context: &impl CallContext) -> bool {
        let is_current = move || self.is_current(generation);
        let ring = self.ring();
        let counted = ring.record(Tally::Success, generation, context, is_current);
        self.after_success(generation, context);
        counted
    }

    #[inline(never)]
    fn record_slow(self, ticket: Ticket, ended: Ended, context: &impl CallContext) -> bool {
        if ticket.is_half_open() {
            return self.record_half_open(ticket, ended, context);
        }
        let ticket = self.unwatched(ticket, Some(ended), context);
        match (ticket.admitted.phase(), ended.outcome) {
            (Phase::Disabled, _) => false,
            (_, Outcome::Failure | Outcome::TimedOut | Outcome::Trip) => {
                self.record_failure(ticket, ended, context)
            }
            (_, Outcome::Success) => self.record_timed_success(ticket, ended, context),
            (_, Outcome::Ignored) => {
                let call = self.call_in(ticket.admitted.generation(), context);
                self.ring().add_to_total(Total::Ignored, context);
                self.count_at(call, Tally::Uncounted)
            }
        }
    }

    /// Records a cancelled call.
    ///
    /// If it counts as ignored but took too long, it is a slow call: the caller gave up because the
    /// dependency didn't answer.
    fn cancel(self, ticket: Ticket, context: &impl CallContext) {
        let on_cancel = self.settings().on_cancel;
        let timed = self.timed().filter(|_| !ticket.is_left_out());
        if let (Outcome::Ignored, Some(timed)) = (on_cancel, timed) {
            let call = self.call_in(ticket.admitted.generation(), context);
            let took = timed.took(ticket.begin, call.reading.raw, None, context);
            if took.is_slow {
                return self.record_late_cancel(ticket, took, call);
            }
        }
        self.record_slow(ticket, on_cancel.into(), context);
    }

    /// Records a call that was cancelled after the limit for slow calls.
    fn record_late_cancel(self, ticket: Ticket, took: Took, call: Call<'_, impl CallContext>) {
        if ticket.is_half_open() {
            // The call has already taken too long, so as a probe it fails by any later clock
            // reading.
            let ended = Ended {
                outcome: Outcome::Success,
                took: NonZero::new(took.nanos),
            };
            self.record_half_open(ticket, ended, call.context);
            return;
        }
        // The call leaves the calls in flight before it is recorded. So no reader finds it both
        // slow and in flight.
        let ended = Ended {
            outcome: Outcome::Success,
            took: NonZero::new(took.nanos),
        };
        let ticket = self.unwatched(ticket, Some(ended), call.context);
        match ticket.admitted.phase() {
            Phase::Closed | Phase::MetricsOnly => {
                self.record_success_slow(call, (took, ticket.weight()), false);
            }
            // Other states record nothing.
            _ => {}
        }
    }

    /// The ticket of a call whose time in flight is no longer watched.
    ///
    /// If the call was watched and isn't weighed yet, it is weighed by `ended`.
    #[inline]
    fn unwatched(self, ticket: Ticket, ended: Option<Ended>, context: &impl CallContext) -> Ticket {
        let (admitted, place) = ticket.admitted.without_watch();
        let ticket = Ticket { admitted, ..ticket };
        if let Some(place) = place {
            self.unwatch(ticket, place, ended, context);
        }
        ticket
    }

    #[cold]
    #[inline(never)]
    fn unwatch(self, ticket: Ticket, place: u32, ended: Option<Ended>, context: &impl CallContext) {
        let generation = ticket.admitted.generation();
        let timed = self.timed();
        let (Some(timed), Some(in_flight)) = (timed, timed.and_then(Timed::in_flight)) else {
            return;
        };
        let began = context.nanos_at(ticket.begin);
        let weight = self.weight_of_watched(in_flight);
        let is_evidence = in_flight.unwatch(place, generation, began, weight);
        self.note_progress(generation, context);
        let ended = ended.filter(|ended| ended.outcome != Outcome::Ignored);
        let (Some(ended), true) = (ended, is_evidence) else {
            return;
        };
        let call = self.call_in(generation, context);
        let took = || timed.took(ticket.begin, call.reading.raw, ended.took, context);
        let took = (ended.outcome == Outcome::Success).then(took);
        self.weigh_watched(ticket, took, call);
    }

    /// Counts a call that ended when the clock was read. Returns whether the window counted it.
    #[inline]
    pub(super) fn count_at(self, call: Call<'_, impl CallContext>, tally: Tally) -> bool {
        let generation = call.generation;
        let is_current = move || self.is_current(generation);
        self.ring().record_at(call, tally, is_current)
    }

    /// Like [`count_at`](Self::count_at), for a call that may have been timed.
    #[allow(
        clippy::inline_always,
        reason = "measured: out of line, `cargo bench -- closed_latency` shows a slower path"
    )]
    #[inline(always)]
    fn count_timed(
        self,
        call: Call<'_, impl CallContext>,
        tally: Tally,
        sample: Option<Sample<'_>>,
    ) -> bool {
        let Some(sample) = sample else {
            return self.count_at(call, tally);
        };
        let generation = call.generation;
        let is_current = move || self.is_current(generation);
        self.ring().record_timed_at(call, tally, sample, is_current)
    }

    /// Records a success that was slow, or that comes when percentiles are to be judged.
    ///
    /// A slow call that was cancelled comes here too. It doesn't end the run of failures.
    #[cold]
    #[inline(never)]
    fn record_success_slow(
        self,
        call: Call<'_, impl CallContext>,
        (took, weight): (Took, u32),
        ends_run: bool,
    ) -> bool {
        let generation = call.generation;
        let latencies = self.timed().and_then(|timed| timed.latencies());
        let sample = Sample::new(took, weight, latencies);
        let counted = self.count_timed(call, Tally::Success, Some(sample));
        if took.is_slow {
            // Every slow call writes to the run here. Of two slow calls, the second to write sees
            // the first.
            let is_current = || self.is_current(generation);
            // The note of evidence stays, since a success removes it if there is none.
            let weighed = self.is_excused(took, call) || self.weigh_slow(weight, call);
            let run = if ends_run {
                self.run.restart(weighed, generation, is_current).map(|_| 0)
            } else {
                self.run.stay(weighed, generation, is_current)
            };
            if let Some(run) = run {
                with_view!(&self, |view| {
                    let call = self.call_for(view, call);
                    view.judge(call, run, Outcome::Success);
                    view.judge_weighed(call);
                });
            }
            if ends_run && self.evidence_of_timed().is_some() {
                // Among all calls it is a success, as slow calls are that aren't timed.
                self.after_success(generation, call.context);
            }
        } else {
            self.after_success(generation, call.context);
            self.weigh_timed_success(weight, call);
        }
        self.judge_at_tick(call);
        counted
    }

    fn record_failure(self, ticket: Ticket, ended: Ended, context: &impl CallContext) -> bool {
        let call = self.call_in(ticket.admitted.generation(), context);
        let generation = call.generation;
        let timed = self.timed();
        let sample = timed.and_then(|timed| self.failed_sample(timed, ticket, ended, call));
        if ended.outcome == Outcome::TimedOut {
            self.ring().add_to_total(Total::TimedOut, context);
        }
        let counted = self.count_timed(call, Tally::Failure, sample);
        // No trip is lost. Each failure is written to the window first and then added to one word.
        // Each addition acquires what the additions before it have released (see
        // `Stamped::update`). If two threads each write a failure and then sum, the second to add
        // sees the first one's failure.
        let weighed = self.weigh_failure(ticket, call);
        let is_current = || self.is_current(generation);
        let Some(run) = self.run.add_with(weighed, generation, is_current) else {
            return counted;
        };
        // Another configuration may have come meanwhile. Its thread publishes it and then writes to
        // the same word. So the second of the two threads judges this failure by the new
        // configuration.
        with_view!(&self, |view| {
            let call = self.call_for(view, call);
            view.judge(call, run, ended.outcome);
            view.judge_weighed(call);
            view.judge_at_tick(call);
        });
        counted
    }

    /// What the window counts of the time of a failed call; `None` if the call is left out.
    #[inline(never)]
    fn failed_sample(
        self,
        timed: &'a Timed,
        ticket: Ticket,
        ended: Ended,
        call: Call<'_, impl CallContext>,
    ) -> Option<Sample<'a>> {
        timed.look(call.reading.raw, self.odds());
        if ticket.is_left_out() {
            return None;
        }
        let took = timed.took(ticket.begin, call.reading.raw, ended.took, call.context);
        let took = match ended.outcome {
            Outcome::TimedOut => timed.given_up(took),
            _ => took,
        };
        Some(Sample::new(took, ticket.weight(), timed.latencies()))
    }

    /// Ends the run of failures after a success. Learns from the success if there was evidence.
    fn end_run(self, generation: Generation, context: &impl CallContext) {
        let Some(evidence) = self.evidence() else {
            return self.run.clear_with(generation, || false);
        };
        // The evidence tells generations apart by 11 bits only. So this thread checks first whether
        // the generation is current.
        let lesson = self
            .is_current(generation)
            .then(|| evidence.success(generation))
            .flatten();
        let has_any = || evidence.has_any(generation);
        self.run.clear_with(generation, has_any);
        if let Some(lesson) = lesson {
            let call = self.call_in(generation, context);
            let now = call.date();
            evidence.learn(lesson, now, self.began_at(generation, now));
            self.look(evidence, call);
        }
    }
}
