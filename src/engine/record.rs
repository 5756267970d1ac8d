//! What becomes of a call that was let through: it is recorded.

use std::num::NonZero;

use super::view::{Fitted, Present, at_present};
use super::{Core, Ticket};
use crate::clock::context::Caller;
use crate::outcome::Outcome;
use crate::state::{Generation, Kind};
use crate::window::{ClockReading, Latencies, Tally, Took};

impl Core {
    /// Takes the outcome of a call that was let through, and how many nanoseconds it took if the
    /// caller knows better than the breaker.
    #[allow(
        clippy::inline_always,
        reason = "measured: out of line, `cargo bench -- closed` shows a slower path"
    )]
    #[inline(always)]
    pub fn settle(
        &self,
        ticket: Ticket,
        outcome: Outcome,
        took: Option<NonZero<u64>>,
        caller: &impl Caller,
    ) {
        if outcome == Outcome::Success && ticket.admitted.lets_through_untimed() {
            let generation = ticket.admitted.generation();
            self.record(Tally::Success, generation, caller);
            self.after_success(generation, caller);
        } else {
            self.settle_otherwise(ticket, outcome, took, caller);
        }
    }

    /// Chooses between two ways, and is little but two jumps.
    #[inline(never)]
    fn settle_otherwise(
        &self,
        ticket: Ticket,
        outcome: Outcome,
        given: Option<NonZero<u64>>,
        caller: &impl Caller,
    ) {
        at_present!(self, |present| {
            if outcome == Outcome::Success && ticket.admitted.lets_through_timed() {
                present.settle_timed(ticket, given, caller);
            } else {
                present.settle_rarely(ticket, outcome, given, caller);
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
    fn record(&self, tally: Tally, generation: Generation, caller: &impl Caller) {
        self.built.ring.record(tally, generation, caller, move || {
            self.is_current(generation)
        });
    }

    /// Settles a call that was let through and then cancelled.
    #[inline(never)]
    pub fn cancel(&self, ticket: Ticket, caller: &impl Caller) {
        at_present!(self, |present| present.cancel(ticket, caller));
    }

    /// Takes back a call that was let through and isn't made. Nothing is counted, and a probe's place is
    /// free again.
    #[inline(never)]
    pub fn withdraw(&self, ticket: Ticket, caller: &impl Caller) {
        at_present!(self, |present| {
            if let Kind::HalfOpen { .. } | Kind::Ramp(_) = ticket.admitted.kind() {
                present.settle_half_open(ticket, Outcome::Ignored, None, caller);
            } else {
                present.unwatched(ticket, caller);
            }
        });
    }
}

impl<'a, F: Fitted<'a>> Present<'a, F> {
    /// Takes the success of a call whose time is taken.
    #[inline(never)]
    fn settle_timed(self, ticket: Ticket, given: Option<NonZero<u64>>, caller: &impl Caller) {
        let reading = self.ring().read(caller);
        let generation = ticket.admitted.generation();
        let Some(timed) = self.timed() else {
            // It has another window than it was built with, and takes no time.
            self.record_at(reading, Tally::Success, generation, caller);
            return self.after_success(generation, caller);
        };
        let took = timed.took(ticket.begin, reading.raw, given, caller);
        if took.is_slow || timed.is_tick(reading) {
            self.record_success_rarely(reading, took, true, generation, caller);
        } else {
            let took = Some((took, timed.latencies()));
            self.record_timed(reading, Tally::Success, took, generation, caller);
            self.after_success(generation, caller);
        }
    }

    #[inline(never)]
    fn settle_rarely(
        self,
        ticket: Ticket,
        outcome: Outcome,
        given: Option<NonZero<u64>>,
        caller: &impl Caller,
    ) {
        if let Kind::HalfOpen { .. } | Kind::Ramp(_) = ticket.admitted.kind() {
            return self.settle_half_open(ticket, outcome, given, caller);
        }
        let ticket = self.unwatched(ticket, caller);
        let generation = ticket.admitted.generation();
        match (ticket.admitted.kind(), outcome) {
            (Kind::Disabled, _) => {}
            (_, Outcome::Failure | Outcome::TimedOut | Outcome::Trip) => {
                self.record_failure(ticket, outcome, given, caller);
            }
            (_, Outcome::Success) => self.settle_timed(ticket, given, caller),
            (_, Outcome::Ignored) => {
                let reading = self.ring().read(caller);
                self.record_at(reading, Tally::Aside, generation, caller);
            }
        }
    }

    /// Settles a cancelled call. If it counts as ignored but took too long, it is a slow call: the
    /// caller gave up because the dependency didn't answer.
    fn cancel(self, ticket: Ticket, caller: &impl Caller) {
        let on_cancel = self.settings().on_cancel;
        if let (Outcome::Ignored, Some(timed)) = (on_cancel, self.timed()) {
            let reading = self.ring().read(caller);
            let took = timed.took(ticket.begin, reading.raw, None, caller);
            if took.is_slow {
                return self.settle_late(ticket, took, reading, caller);
            }
        }
        self.settle_rarely(ticket, on_cancel, None, caller);
    }

    /// Settles a call that was cancelled after the limit for slow calls.
    fn settle_late(self, ticket: Ticket, took: Took, reading: ClockReading, caller: &impl Caller) {
        if let Kind::HalfOpen { .. } | Kind::Ramp(_) = ticket.admitted.kind() {
            // With the time at hand the call is slow, so it fails as a probe, by any reading of the
            // clock.
            let took = NonZero::new(took.nanos);
            return self.settle_half_open(ticket, Outcome::Success, took, caller);
        }
        // First out of the calls in flight, then recorded: so no reader finds it both slow and in
        // flight.
        let ticket = self.unwatched(ticket, caller);
        match ticket.admitted.kind() {
            Kind::Closed | Kind::MetricsOnly => {
                let generation = ticket.admitted.generation();
                self.record_success_rarely(reading, took, false, generation, caller);
            }
            // Other states record nothing.
            _ => {}
        }
    }

    /// The ticket of a call whose time in flight is watched no more.
    #[inline]
    fn unwatched(self, ticket: Ticket, caller: &impl Caller) -> Ticket {
        let (admitted, place) = ticket.admitted.without_watch();
        let in_flight = self.timed().and_then(|timed| timed.in_flight());
        if let (Some(place), Some(in_flight)) = (place, in_flight) {
            let began = caller.nanos_at(ticket.begin);
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
        caller: &impl Caller,
    ) {
        self.ring()
            .record_at(reading, tally, generation, caller, move || {
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
        caller: &impl Caller,
    ) {
        let Some(took) = took else {
            return self.record_at(reading, tally, generation, caller);
        };
        let is_current = move || self.is_current(generation);
        self.ring()
            .record_timed_at(reading, tally, took, generation, caller, is_current);
    }

    /// Records a success that was slow, or after which percentiles are to be judged. A slow call
    /// that was cancelled comes here too, and doesn't end the run of failures.
    #[cold]
    #[inline(never)]
    fn record_success_rarely(
        self,
        reading: ClockReading,
        took: Took,
        ends_run: bool,
        generation: Generation,
        caller: &impl Caller,
    ) {
        let latencies = self.timed().and_then(|timed| timed.latencies());
        let recorded = Some((took, latencies));
        self.record_timed(reading, Tally::Success, recorded, generation, caller);
        if took.is_slow {
            // As with failures, so that of two slow calls the second to write here sees the other.
            let is_current = || self.is_current(generation);
            let weighed = self.weigh_failure(reading, generation, caller);
            let run = if ends_run {
                self.run.restart(weighed, generation, is_current).map(|_| 0)
            } else {
                self.run.stay(weighed, generation, is_current)
            };
            if let Some(run) = run {
                at_present!(&self, |present| {
                    let reading = self.reading_for(present, reading);
                    present.judge(generation, run, Outcome::Success, reading, caller);
                    present.judge_weighed(generation, reading, caller);
                });
            }
        } else {
            self.after_success(generation, caller);
        }
        self.judge_at_tick(generation, reading, caller);
    }

    fn record_failure(
        self,
        ticket: Ticket,
        outcome: Outcome,
        given: Option<NonZero<u64>>,
        caller: &impl Caller,
    ) {
        let generation = ticket.admitted.generation();
        let reading = self.ring().read(caller);
        let timed = self.timed();
        let took = timed.map(|timed| {
            let took = timed.took(ticket.begin, reading.raw, given, caller);
            let took = match outcome {
                Outcome::TimedOut => timed.given_up(took),
                _ => took,
            };
            (took, timed.latencies())
        });
        self.record_timed(reading, Tally::Failure, took, generation, caller);
        // No trip is lost: all failures add to one word, after they were written to the window, and
        // each addition acquires what the ones before it have released (see `stamped::update`). Of
        // two threads that each write a failure and then sum, the second to add sees the other's.
        let weighed = self.weigh_failure(reading, generation, caller);
        let is_current = || self.is_current(generation);
        let Some(run) = self.run.add_with(weighed, generation, is_current) else {
            return;
        };
        // Under another configuration that has come meanwhile: who brings it makes it known and then
        // comes to the same word, so of the two the second to come there judges this failure by it.
        at_present!(&self, |present| {
            let reading = self.reading_for(present, reading);
            present.judge(generation, run, outcome, reading, caller);
            present.judge_weighed(generation, reading, caller);
            present.judge_at_tick(generation, reading, caller);
        });
    }
}
