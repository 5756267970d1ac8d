//! What becomes of a call that was let through: it is recorded.

use std::num::NonZero;

use super::view::{Fitted, View, with_view};
use super::{Core, Ticket};
use crate::clock::context::CallContext;
use crate::outcome::Outcome;
use crate::state::{Generation, Phase};
use crate::window::{ClockReading, Latencies, Tally, Took};

impl Core {
    /// Takes the outcome of a call that was let through, and how many nanoseconds it took if the
    /// caller knows better than the breaker.
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
    ) {
        if outcome == Outcome::Success && ticket.admitted.lets_through_untimed() {
            let generation = ticket.admitted.generation();
            self.count(Tally::Success, generation, context);
            self.after_success(generation, context);
        } else {
            self.record_unless_untimed(ticket, outcome, took, context);
        }
    }

    /// Chooses between two ways, and is little but two jumps.
    #[inline(never)]
    fn record_unless_untimed(
        &self,
        ticket: Ticket,
        outcome: Outcome,
        given: Option<NonZero<u64>>,
        context: &impl CallContext,
    ) {
        with_view!(self, |view| {
            if outcome == Outcome::Success && ticket.admitted.lets_through_timed() {
                view.record_timed_success(ticket, given, context);
            } else {
                view.record_slow(ticket, outcome, given, context);
            }
        });
    }

    /// Counts a call in its generation's window. If the generation is over, then so is its window,
    /// and what is counted there is read by nobody.
    ///
    /// In the window that the breaker was built with: calls that are counted in another one don't come here.
    #[allow(
        clippy::inline_always,
        reason = "measured: out of line, `cargo bench -- closed` shows a slower path"
    )]
    #[inline(always)]
    fn count(&self, tally: Tally, generation: Generation, context: &impl CallContext) {
        self.built.ring.record(tally, generation, context, move || {
            self.is_current(generation)
        });
    }

    /// Settles a call that was let through and then cancelled.
    #[inline(never)]
    pub fn cancel(&self, ticket: Ticket, context: &impl CallContext) {
        with_view!(self, |view| view.cancel(ticket, context));
    }

    /// Takes back a call that was let through and isn't made. Nothing is counted, and a probe's place is
    /// free again.
    #[inline(never)]
    pub fn withdraw(&self, ticket: Ticket, context: &impl CallContext) {
        with_view!(self, |view| {
            if let Phase::HalfOpen { .. } | Phase::Ramp(_) = ticket.admitted.phase() {
                view.record_half_open(ticket, Outcome::Ignored, None, context);
            } else {
                view.unwatched(ticket, context);
            }
        });
    }
}

impl<'a, F: Fitted<'a>> View<'a, F> {
    /// Takes the success of a call whose time is taken.
    #[inline(never)]
    fn record_timed_success(
        self,
        ticket: Ticket,
        given: Option<NonZero<u64>>,
        context: &impl CallContext,
    ) {
        let reading = self.ring().read(context);
        let generation = ticket.admitted.generation();
        let Some(timed) = self.timed() else {
            // It has another window than it was built with, and takes no time.
            self.record_at(reading, Tally::Success, generation, context);
            return self.after_success(generation, context);
        };
        let took = timed.took(ticket.begin, reading.raw, given, context);
        if took.is_slow || timed.is_tick(reading) {
            self.record_success_slow(reading, took, true, generation, context);
        } else {
            let took = Some((took, timed.latencies()));
            self.record_timed(reading, Tally::Success, took, generation, context);
            self.after_success(generation, context);
        }
    }

    #[inline(never)]
    fn record_slow(
        self,
        ticket: Ticket,
        outcome: Outcome,
        given: Option<NonZero<u64>>,
        context: &impl CallContext,
    ) {
        if let Phase::HalfOpen { .. } | Phase::Ramp(_) = ticket.admitted.phase() {
            return self.record_half_open(ticket, outcome, given, context);
        }
        let ticket = self.unwatched(ticket, context);
        let generation = ticket.admitted.generation();
        match (ticket.admitted.phase(), outcome) {
            (Phase::Disabled, _) => {}
            (_, Outcome::Failure | Outcome::TimedOut | Outcome::Trip) => {
                self.record_failure(ticket, outcome, given, context);
            }
            (_, Outcome::Success) => self.record_timed_success(ticket, given, context),
            (_, Outcome::Ignored) => {
                let reading = self.ring().read(context);
                self.record_at(reading, Tally::Uncounted, generation, context);
            }
        }
    }

    /// Settles a cancelled call. If it counts as ignored but took too long, it is a slow call: the
    /// caller gave up because the dependency didn't answer.
    fn cancel(self, ticket: Ticket, context: &impl CallContext) {
        let on_cancel = self.settings().on_cancel;
        if let (Outcome::Ignored, Some(timed)) = (on_cancel, self.timed()) {
            let reading = self.ring().read(context);
            let took = timed.took(ticket.begin, reading.raw, None, context);
            if took.is_slow {
                return self.record_late_cancel(ticket, took, reading, context);
            }
        }
        self.record_slow(ticket, on_cancel, None, context);
    }

    /// Settles a call that was cancelled after the limit for slow calls.
    fn record_late_cancel(
        self,
        ticket: Ticket,
        took: Took,
        reading: ClockReading,
        context: &impl CallContext,
    ) {
        if let Phase::HalfOpen { .. } | Phase::Ramp(_) = ticket.admitted.phase() {
            // With the time at hand the call is slow, so it fails as a probe, by any reading of the
            // clock.
            let took = NonZero::new(took.nanos);
            return self.record_half_open(ticket, Outcome::Success, took, context);
        }
        // First out of the calls in flight, then recorded: so no reader finds it both slow and in
        // flight.
        let ticket = self.unwatched(ticket, context);
        match ticket.admitted.phase() {
            Phase::Closed | Phase::MetricsOnly => {
                let generation = ticket.admitted.generation();
                self.record_success_slow(reading, took, false, generation, context);
            }
            // Other states record nothing.
            _ => {}
        }
    }

    /// The ticket of a call whose time in flight is watched no more.
    #[inline]
    fn unwatched(self, ticket: Ticket, context: &impl CallContext) -> Ticket {
        let (admitted, place) = ticket.admitted.without_watch();
        let in_flight = self.timed().and_then(|timed| timed.in_flight());
        if let (Some(place), Some(in_flight)) = (place, in_flight) {
            let began = context.nanos_at(ticket.begin);
            in_flight.unwatch(place, admitted.generation(), began);
        }
        Ticket { admitted, ..ticket }
    }

    /// Counts a call that ended when the clock was read; see [`Core::record`].
    #[inline]
    pub(super) fn record_at(
        self,
        reading: ClockReading,
        tally: Tally,
        generation: Generation,
        context: &impl CallContext,
    ) {
        self.ring()
            .record_at(reading, tally, generation, context, move || {
                self.is_current(generation)
            });
    }

    /// The same, of a call that may have been timed.
    #[allow(
        clippy::inline_always,
        reason = "measured: out of line, `cargo bench -- closed_latency` shows a slower path"
    )]
    #[inline(always)]
    fn record_timed(
        self,
        reading: ClockReading,
        tally: Tally,
        took: Option<(Took, Option<&Latencies>)>,
        generation: Generation,
        context: &impl CallContext,
    ) {
        let Some(took) = took else {
            return self.record_at(reading, tally, generation, context);
        };
        let is_current = move || self.is_current(generation);
        self.ring()
            .record_timed_at(reading, tally, took, generation, context, is_current);
    }

    /// Records a success that was slow, or after which percentiles are to be judged. A slow call
    /// that was cancelled comes here too, and doesn't end the run of failures.
    #[cold]
    #[inline(never)]
    fn record_success_slow(
        self,
        reading: ClockReading,
        took: Took,
        ends_run: bool,
        generation: Generation,
        context: &impl CallContext,
    ) {
        let latencies = self.timed().and_then(|timed| timed.latencies());
        let recorded = Some((took, latencies));
        self.record_timed(reading, Tally::Success, recorded, generation, context);
        if took.is_slow {
            // As with failures, so that of two slow calls the second to write here sees the other.
            let is_current = || self.is_current(generation);
            let weighed = self.weigh_failure(reading, generation, context);
            let run = if ends_run {
                self.run.restart(weighed, generation, is_current).map(|_| 0)
            } else {
                self.run.stay(weighed, generation, is_current)
            };
            if let Some(run) = run {
                with_view!(&self, |view| {
                    let reading = self.reading_for(view, reading);
                    view.judge(generation, run, Outcome::Success, reading, context);
                    view.judge_weighed(generation, reading, context);
                });
            }
        } else {
            self.after_success(generation, context);
        }
        self.judge_at_tick(generation, reading, context);
    }

    fn record_failure(
        self,
        ticket: Ticket,
        outcome: Outcome,
        given: Option<NonZero<u64>>,
        context: &impl CallContext,
    ) {
        let generation = ticket.admitted.generation();
        let reading = self.ring().read(context);
        let timed = self.timed();
        let took = timed.map(|timed| {
            let took = timed.took(ticket.begin, reading.raw, given, context);
            let took = match outcome {
                Outcome::TimedOut => timed.given_up(took),
                _ => took,
            };
            (took, timed.latencies())
        });
        self.record_timed(reading, Tally::Failure, took, generation, context);
        // No trip is lost: all failures add to one word, after they were written to the window, and
        // each addition acquires what the ones before it have released (see `stamped::update`). Of
        // two threads that each write a failure and then sum, the second to add sees the other's.
        let weighed = self.weigh_failure(reading, generation, context);
        let is_current = || self.is_current(generation);
        let Some(run) = self.run.add_with(weighed, generation, is_current) else {
            return;
        };
        // Under another configuration that has come meanwhile: who brings it makes it known and then
        // comes to the same word, so of the two the second to come there judges this failure by it.
        with_view!(&self, |view| {
            let reading = self.reading_for(view, reading);
            view.judge(generation, run, outcome, reading, context);
            view.judge_weighed(generation, reading, context);
            view.judge_at_tick(generation, reading, context);
        });
    }
}
