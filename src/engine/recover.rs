//! How a breaker that has tripped finds its way back: probes and, with an adaptive recovery, a ramp.

use std::num::NonZero;

use super::view::{Fitted, View, with_view};
use super::{Core, Refusal, Settings, Ticket};
use crate::clock::context::CallContext;
use crate::events::Cause;
use crate::outcome::Outcome;
use crate::recovery::{Ask, Report, Streak};
use crate::state::history::date_of;
use crate::state::{
    Generation, Moment, PackedRound, Phase, ProbeReport, ProbeVerdict, State, StateChange,
    StateWord,
};
use crate::window::{ClockReading, Ring};

/// An opening that is about to be made.
#[derive(Clone, Copy)]
pub(super) struct Opening {
    until: Moment,
    /// What is to be noted of it, where open times grow.
    streak: Option<Streak>,
}

impl Opening {
    pub(super) fn phase(self) -> Phase {
        Phase::Open { until: self.until }
    }
}

impl Core {
    /// Heeds that the dependency wants to be left alone for so many nanoseconds.
    pub fn note_retry_after(&self, nanos: u64, now: u64) {
        let longest = with_view!(self, |view| view.max_retry_after());
        self.stay_open(self.retry_after.note(nanos, now, longest));
    }

    /// Lengthens the open time, if there is one that ends before `until`.
    fn stay_open(&self, until: u64) {
        let until = Moment::at(until);
        let mut seen = self.state.load();
        while let Phase::Open { until: present } = self.state.phase_of(seen)
            && present < until
        {
            match self.state.stay(seen, Phase::Open { until }) {
                Ok(()) => return,
                Err(found) => seen = found,
            }
        }
    }

    /// For how many nanoseconds there has been `generation`; none, until who began it has noted when.
    pub(super) fn age(&self, generation: Generation, now: u64) -> u64 {
        self.history.age(generation, now).unwrap_or(0)
    }

    /// What the ticket of a call says that a ramp lets through in this round.
    pub(super) fn in_round(generation: Generation, round: PackedRound) -> StateWord {
        let round = round.unpack().without_counts();
        StateWord::new(generation, Phase::Ramp(round.pack()))
    }
}

impl<'a, F: Fitted<'a>> View<'a, F> {
    /// The opening with which an outage begins `now` and ends `generation`.
    #[cold]
    #[inline(never)]
    pub(super) fn first_opening(
        self,
        generation: Generation,
        reading: ClockReading,
        now: u64,
        context: &impl CallContext,
    ) -> Opening {
        if let Some(adaptive) = self.adaptive() {
            let calls = self.ring().calls(generation, reading, context);
            let within = self.lasted(generation, now);
            // What the last n calls have taken nobody knows; that they were few, it may be.
            let calls = match self.ring() {
                Ring::Time(_) => calls,
                Ring::Count(_) => 0,
            };
            adaptive.outage.start(now, calls, within);
        }
        self.opening(self.age(generation, now), now)
    }

    /// The next opening, after a recovery that has failed.
    pub(super) fn next_opening(self, now: u64) -> Opening {
        self.opening(0, now)
    }

    /// An opening of a breaker that has been closed for `healthy` nanoseconds.
    fn opening(self, healthy: u64, now: u64) -> Opening {
        let generation = || self.state.load().generation();
        let times = self.open_times();
        let streak = times.map(|times| {
            let random = self.latest_opening.random(now, generation());
            times.next(self.latest_opening.get(), healthy, random)
        });
        let wait = match (streak, self.adaptive()) {
            (Some(streak), _) => streak.wait,
            (None, Some(adaptive)) if adaptive.by_traffic => {
                adaptive.outage.wait(now, generation().number())
            }
            (None, _) => self.settings().open_for,
        };
        let wished = self.max_retry_after().cut(self.retry_after.so_far(), now);
        let until = Moment::at(now.saturating_add(wait).max(wished));
        Opening { until, streak }
    }

    /// What the winner of an opening has to do after it.
    pub(super) fn opened(self, moved: StateChange, opening: Opening, now: u64, cause: Cause) {
        if let Some(streak) = opening.streak {
            self.latest_opening.note(moved.generation, streak);
        }
        let wished = self.retry_after.until();
        self.stay_open(self.max_retry_after().cut(wished, now));
        self.entered(moved, now, cause);
    }

    /// The same of a transition that may have been an opening.
    fn moved(self, moved: StateChange, opening: Opening, now: u64, cause: Cause) {
        if moved.to == State::Open {
            self.opened(moved, opening, now, cause);
        } else {
            self.entered(moved, now, cause);
        }
    }

    /// For how many nanoseconds the window has counted calls of `generation`.
    fn lasted(self, generation: Generation, now: u64) -> u64 {
        let length = self.adaptive().map_or(0, |it| it.window);
        if let Some(since) = self.counted_since(generation) {
            return date_of(now).saturating_sub(since).min(length);
        }
        let lasted = self.age(generation, now).min(length);
        self.ring_age(now).map_or(lasted, |age| lasted.min(age))
    }

    /// How many calls have asked while the breaker was open, and within how many nanoseconds; `None` if
    /// it isn't open or nobody wants to know.
    #[inline]
    pub(super) fn asked_while_open(self, reading: ClockReading, now: u64) -> Option<(u64, u64)> {
        self.adaptive()?;
        let seen = self.state.load();
        let Phase::Open { .. } = seen.phase() else {
            return None;
        };
        let generation = seen.generation();
        let asked = self.ring().uncounted(generation, reading) + 1;
        Some((asked, self.lasted(generation, now)))
    }

    /// Learns from this how much traffic there is.
    pub(super) fn observe(self, asked: Option<(u64, u64)>) {
        if let (Some(adaptive), Some((calls, within))) = (self.adaptive(), asked) {
            adaptive.outage.observe(calls, within);
        }
    }

    /// Lets a call through if it is one of the ramp's share.
    pub(super) fn admit_to_ramp<const IS_CALL: bool>(
        self,
        seen: StateWord,
        reading: ClockReading,
        now: u64,
        context: &impl CallContext,
    ) -> Result<Ticket, Refusal> {
        let generation = seen.generation();
        let half_open = |wait| self.refuse(State::HalfOpen, generation, wait, reading, context);
        let (Some(adaptive), Phase::Ramp(round)) = (self.adaptive(), seen.phase()) else {
            // Only an adaptive recovery makes ramps.
            return Err(half_open(None));
        };
        let round = round.unpack();
        let timeout = self.settings().probe_timeout;
        let spacing = adaptive.outage.spacing();
        match adaptive.ramp.ask(round, now, timeout, spacing) {
            Ask::Admitted => {
                let ticket = Ticket {
                    admitted: Core::in_round(generation, round.pack()),
                    begin: reading.raw,
                };
                Ok(ticket.begun::<IS_CALL>(context))
            }
            Ask::Rejected { retry_after } => Err(half_open(Some(retry_after))),
            Ask::Overdue => {
                let opening = self.next_opening(now);
                // If it is over, whatever has ended it, this call asks nothing more of it.
                if let Some(moved) = self.state.leave(generation, opening.phase()) {
                    let share = round.share.as_f64();
                    self.opened(moved, opening, now, Cause::RampOverdue { share });
                }
                let wait = opening.until.nanos().saturating_sub(now);
                Err(self.refuse(State::Open, generation.next(), Some(wait), reading, context))
            }
        }
    }

    fn is_slow(
        self,
        ticket: Ticket,
        raw: u64,
        given: Option<NonZero<u64>>,
        context: &impl CallContext,
    ) -> bool {
        let timed = self.timed();
        timed.is_some_and(|timed| timed.took(ticket.begin, raw, given, context).is_slow)
    }

    /// Takes the outcome of a probe, or of a call that a ramp has let through.
    #[inline(never)]
    pub(super) fn record_half_open(
        self,
        ticket: Ticket,
        outcome: Outcome,
        given: Option<NonZero<u64>>,
        context: &impl CallContext,
    ) {
        let ticket = ticket.ended(context);
        let time = context.raw_and_nanos();
        if outcome != Outcome::Ignored {
            self.learn_duration(ticket, time.1, context);
        }
        if let Phase::Ramp(_) = ticket.admitted.phase() {
            self.record_ramp_call(ticket, outcome, given, time, context);
        } else {
            self.record_probe(ticket, outcome, given, time, context);
        }
    }

    /// Learns how long calls of the recovery take, from one that has reported. If its generation is
    /// over, the calls in flight get more time, because they may take as long.
    fn learn_duration(self, ticket: Ticket, now: u64, context: &impl CallContext) {
        let took = now.saturating_sub(context.nanos_at(ticket.begin));
        if let Some(adaptive) = self.adaptive() {
            adaptive.ramp.learn(took);
        }
        if !self.is_current(ticket.admitted.generation()) {
            let timeout = self.settings().probe_timeout;
            self.state.lengthen_lease(now, took, timeout);
        }
    }

    fn record_ramp_call(
        self,
        ticket: Ticket,
        outcome: Outcome,
        given: Option<NonZero<u64>>,
        (raw, now): (u64, u64),
        context: &impl CallContext,
    ) {
        let Some(adaptive) = self.adaptive() else {
            return;
        };
        let generation = ticket.admitted.generation();
        let opening = self.next_opening(now);
        let led = match outcome {
            Outcome::Ignored => {
                adaptive.ramp.withdraw(&self.state, generation);
                None
            }
            Outcome::Trip => {
                let moved = self.state.leave(generation, opening.phase());
                moved.map(|moved| (moved, Cause::TripRequested))
            }
            Outcome::Success | Outcome::Failure | Outcome::TimedOut => {
                let is_slow = self.is_slow(ticket, raw, given, context);
                let report = Report {
                    ticket: ticket.admitted,
                    is_good: outcome == Outcome::Success && !is_slow,
                    began: context.nanos_at(ticket.begin),
                    now,
                    spacing: adaptive.outage.spacing(),
                };
                adaptive
                    .ramp
                    .report(&self.state, report, || opening.phase())
            }
        };
        if let Some((moved, cause)) = led {
            self.moved(moved, opening, now, cause);
        }
    }

    fn record_probe(
        self,
        ticket: Ticket,
        outcome: Outcome,
        given: Option<NonZero<u64>>,
        (raw, now): (u64, u64),
        context: &impl CallContext,
    ) {
        let Settings { probes, .. } = *self.settings();
        let generation = ticket.admitted.generation();
        let is_slow = outcome == Outcome::Success && self.is_slow(ticket, raw, given, context);
        let opening = self.next_opening(now);
        let report = match outcome {
            Outcome::Success if !is_slow => {
                if let Some(moved) = self.begin_ramp(ticket, raw, given, context) {
                    return moved.map_or((), |(moved, cause)| self.entered(moved, now, cause));
                }
                ProbeReport::Succeeded
            }
            Outcome::Ignored => ProbeReport::Withdrawn,
            Outcome::Success | Outcome::Failure | Outcome::TimedOut | Outcome::Trip => {
                ProbeReport::Failed {
                    open_until: opening.until,
                    is_enough: outcome == Outcome::Trip,
                }
            }
        };
        let verdict = self.state.report_probe(generation, report, probes);
        #[cfg(feature = "async")]
        if let (ProbeReport::Withdrawn, ProbeVerdict::Counted) = (report, verdict) {
            self.wake_one();
        }
        if let ProbeVerdict::Decided(moved) = verdict {
            let cause = match outcome {
                Outcome::Success if !is_slow && probes.may_fail() == 0 => {
                    let probes = probes.permitted();
                    Cause::ProbesSucceeded { probes }
                }
                Outcome::Success if !is_slow => Cause::EnoughProbesSucceeded {
                    succeeded: probes.needed(),
                    probes: probes.permitted(),
                },
                Outcome::Success | Outcome::Failure | Outcome::TimedOut
                    if probes.may_fail() > 0 =>
                {
                    Cause::TooManyProbesFailed {
                        failed: probes.may_fail() + 1,
                        probes: probes.permitted(),
                    }
                }
                Outcome::Success => Cause::ProbeSlow,
                Outcome::Trip => Cause::TripRequested,
                // What is withdrawn decides nothing.
                Outcome::Failure | Outcome::TimedOut | Outcome::Ignored => Cause::ProbeFailed,
            };
            self.moved(moved, opening, now, cause);
        }
    }

    /// Begins a ramp, if the recovery is adaptive and the probe's generation isn't over.
    #[allow(
        clippy::option_option,
        reason = "the first says whether there are ramps"
    )]
    fn begin_ramp(
        self,
        ticket: Ticket,
        raw: u64,
        given: Option<NonZero<u64>>,
        context: &impl CallContext,
    ) -> Option<Option<(StateChange, Cause)>> {
        let adaptive = self.adaptive()?;
        let took = context.nanos_between(ticket.begin, raw);
        let took = given.map_or(took, NonZero::get);
        let generation = ticket.admitted.generation();
        let (now, spacing) = (context.nanos_at(raw), adaptive.outage.spacing());
        Some(
            adaptive
                .ramp
                .start(&self.state, generation, took, now, spacing),
        )
    }
}
