//! How a breaker that has tripped recovers: by probes and, with an adaptive recovery, by a ramp.

use std::{cell::Cell, num::NonZero};

use super::call::{Call, Ended};
use super::transition::NextOpening;
use super::view::{Configuration, View};
use super::{Core, Refusal, Settings, Ticket};
use crate::adaptive::{Evidence, Recovered};
use crate::recovery::{AdaptiveRecovery, Ask, HalfOpenLimit, HalfOpenVerdict, RampReport};
use crate::state::{
    Generation, PackedRound, Phase, ProbeReport, ProbeVerdict, Probes, RampMode, State,
    StateChange, StateWord,
};
use crate::{
    clock::context::CallContext,
    events::Cause,
    events::entry::Reason,
    name::label::Label,
    outcome::Outcome,
    state::history::date_of,
    window::{ClockReading, Total},
};

/// A probe, or a call that a ramp has admitted, at its end.
#[derive(Clone, Copy)]
pub(super) struct EndedProbe {
    pub(super) ticket: Ticket,
    pub(super) outcome: Outcome,
    /// Whether the call took longer than the limit for slow calls.
    is_slow: bool,
    /// When the call began, in nanoseconds.
    began: u64,
    /// How many nanoseconds the call took. A caller's own measurement takes precedence.
    took: u64,
    /// When the outcome was recorded, in nanoseconds.
    pub(super) now: u64,
    /// See [`CallContext::label`].
    pub(super) label: Label,
}

impl EndedProbe {
    pub(super) fn succeeded(self) -> bool {
        self.outcome == Outcome::Success && !self.is_slow
    }

    fn report(
        self,
        adaptive: &AdaptiveRecovery,
        dispersion: f64,
        tolerates_more: bool,
    ) -> RampReport {
        RampReport {
            ticket: self.ticket.admitted,
            is_good: self.succeeded(),
            began: self.began,
            now: self.now,
            spacing: adaptive.outage.spacing(),
            dispersion,
            tolerates_more,
        }
    }

    /// The cause of the transition to `to` that this call has decided as a probe.
    fn cause(self, probes: Probes, to: State) -> Cause {
        let permitted = probes.permitted();
        let is_slow = self.outcome == Outcome::Success && self.is_slow;
        match (to, self.outcome, probes.may_be_slow()) {
            (State::Closed, ..) if probes.needed() == permitted => {
                Cause::ProbesSucceeded { probes: permitted }
            }
            (State::Closed, ..) => Cause::EnoughProbesSucceeded {
                succeeded: probes.needed(),
                probes: permitted,
            },
            (_, Outcome::Trip, _) => Cause::TripRequested,
            (.., Some(may_be_slow @ 1..)) if is_slow => Cause::TooManyProbesSlow {
                slow: may_be_slow + 1,
                probes: permitted,
            },
            (.., Some(0)) if is_slow => Cause::ProbeSlow,
            _ if probes.may_fail() > 0 => Cause::TooManyProbesFailed {
                failed: probes.may_fail() + 1,
                probes: permitted,
            },
            _ if is_slow => Cause::ProbeSlow,
            _ => Cause::ProbeFailed,
        }
    }
}

impl Core {
    /// The state word of the ticket for a call that a ramp admits in this round.
    pub(super) fn in_round(generation: Generation, round: PackedRound) -> StateWord {
        let round = round.unpack().without_counts();
        StateWord::new(generation, Phase::Ramp(round.pack()))
    }
}

impl<'a, F: Configuration<'a>> View<'a, F> {
    /// For how many nanoseconds the window has counted calls of `generation`, at most its length.
    pub(super) fn lasted(self, generation: Generation, now: u64) -> u64 {
        let length = self.adaptive().map_or(0, |it| it.window);
        if let Some(since) = self.counted_since(generation) {
            return date_of(now).saturating_sub(since).min(length);
        }
        let lasted = self.age(generation, now).min(length);
        self.ring_age(now).map_or(lasted, |age| lasted.min(age))
    }

    /// How many calls have asked while the breaker was open, and within how many nanoseconds.
    ///
    /// `None` if the breaker isn't open, or if no adaptive recovery needs the number.
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

    /// The limit above which a call of the recovery is sure to fail, if there is one. It is the
    /// limit for slow calls of an adaptive recovery that goes by the traffic.
    fn limit_of_probes(self) -> Option<(&'a AdaptiveRecovery, u64)> {
        let adaptive = self.adaptive().filter(|it| it.by_traffic)?;
        Some((adaptive, self.timed()?.limit()?))
    }

    /// For how many nanoseconds a probe keeps its place, and a ramp waits for a report.
    ///
    /// A slow probe has failed. So nothing is gained by waiting longer than the limit for slow
    /// calls. But probes that hang aren't sent more often than probes that fail.
    pub(super) fn probe_timeout(self, now: u64) -> u64 {
        let timeout = self.settings().probe_timeout;
        self.limit_of_probes().map_or(timeout, |(adaptive, limit)| {
            timeout.min(limit.max(adaptive.outage.mean_wait(now)))
        })
    }

    /// Learns from `asked` how much traffic there is.
    pub(super) fn observe(self, asked: Option<(u64, u64)>) {
        if let (Some(adaptive), Some((calls, within))) = (self.adaptive(), asked) {
            adaptive.outage.observe(calls, within);
        }
    }

    /// Admits a call if it belongs to the ramp's share.
    pub(super) fn admit_to_ramp<const IS_CALL: bool>(
        self,
        seen: StateWord,
        reading: ClockReading,
        now: u64,
        context: &impl CallContext,
    ) -> Result<Ticket, Refusal> {
        let generation = seen.generation();
        let call = |generation| Call::new(generation, reading, context);
        let half_open = |wait| {
            let wait = self.wait_half_open(wait, now);
            self.refuse(State::HalfOpen, wait, call(generation))
        };
        #[cfg(feature = "fleet")]
        if let Phase::Ramp(round) = seen.phase()
            && round.unpack().is_ordered()
        {
            return self.admit_by_order::<IS_CALL>((seen, round), reading, now, context);
        }
        let (Some(adaptive), Phase::Ramp(round)) = (self.adaptive(), seen.phase()) else {
            // Only an adaptive recovery makes ramps.
            return Err(half_open(None));
        };
        let round = round.unpack();
        let timeout = self.probe_timeout(now);
        let spacing = adaptive.outage.spacing();
        match adaptive.ramp.ask(round, now, timeout, spacing) {
            Ask::Admitted => {
                let admitted = Core::in_round(generation, round.pack());
                let begin = reading.raw;
                let ticket = Ticket { admitted, begin };
                Ok(ticket.begun::<IS_CALL>(context))
            }
            Ask::Rejected { retry_after } => Err(half_open(Some(retry_after))),
            Ask::Overdue => {
                let opening = self.next_opening(now);
                // If the generation is already over, this call has nothing left to end.
                if let Some(moved) = self.state.leave(generation, opening.phase()) {
                    let share = round.share.as_f64();
                    self.opened(moved, opening, now, Cause::RampOverdue { share });
                }
                let wait = opening.until.nanos().saturating_sub(now);
                Err(self.refuse(State::Open, Some(wait), call(generation.next())))
            }
        }
    }

    /// Ends a half-open state that has lasted too long, or notes that one may begin.
    ///
    /// Returns whether the half-open state has ended, here or on another thread. The caller asks for
    /// admission afterwards.
    #[inline(never)]
    pub(super) fn keep_half_open_limit(self, limit: &HalfOpenLimit, now: u64) -> bool {
        let seen = self.state.load();
        let generation = seen.generation();
        match (seen.phase(), limit.verdict()) {
            // Noted before a probe takes its place. A thread that finds the place taken finds the
            // note too. Otherwise it could end a half-open state that has just begun.
            (Phase::Open { .. }, _) => {
                limit.begin(now);
                false
            }
            (Phase::HalfOpen { .. } | Phase::Ramp(_), verdict) if limit.ends_at() <= now => {
                let opening = match verdict {
                    HalfOpenVerdict::Reopen => Some(self.next_opening(now)),
                    HalfOpenVerdict::Close => None,
                };
                let phase = opening.map_or(Phase::Closed, NextOpening::phase);
                // `None`: another thread has ended the generation.
                if let Some(moved) = self.state.leave(generation, phase) {
                    self.moved(moved, opening, now, Cause::HalfOpenExpired);
                }
                // At the end of the clock's range, open times are over at once.
                limit.begin(now);
                true
            }
            _ => false,
        }
    }

    /// How long a half-open breaker rejects calls, at most until its limit.
    pub(super) fn wait_half_open(self, wait: Option<u64>, now: u64) -> Option<u64> {
        let Some(limit) = self.half_open_limit() else {
            return wait;
        };
        let left = limit.ends_at().saturating_sub(now);
        Some(wait.map_or(left, |wait| wait.min(left)))
    }

    /// Records the outcome of a probe, or of a call that a ramp has admitted. Returns whether it
    /// counted.
    ///
    /// The window doesn't hold such calls, but its totals do.
    #[inline(never)]
    pub(super) fn record_half_open(
        self,
        ticket: Ticket,
        ended: Ended,
        context: &impl CallContext,
    ) -> bool {
        let add = |kind| self.ring().add_to_total(kind, context);
        match ended.outcome {
            Outcome::Success => add(Total::Success),
            Outcome::Ignored => {
                add(Total::Ignored);
                add(Total::Uncounted);
            }
            Outcome::Failure | Outcome::Trip => add(Total::Failure),
            Outcome::TimedOut => {
                add(Total::TimedOut);
                add(Total::Failure);
            }
        }
        self.report_half_open(ticket, ended, context)
    }

    /// Tells the recovery the outcome of a probe, or of a call that a ramp has admitted. Returns
    /// whether it counted.
    #[inline(never)]
    pub(super) fn report_half_open(
        self,
        ticket: Ticket,
        ended: Ended,
        context: &impl CallContext,
    ) -> bool {
        let ticket = ticket.ended(context);
        let (raw, now) = context.raw_and_nanos();
        let timed = self.timed();
        let Ended { outcome, took } = ended;
        let ended = EndedProbe {
            ticket,
            outcome,
            is_slow: timed.is_some_and(|it| {
                let took = it.took(ticket.begin, raw, took, context);
                match outcome {
                    Outcome::TimedOut => it.given_up(took).is_slow,
                    _ => took.is_slow,
                }
            }),
            began: context.nanos_at(ticket.begin),
            took: took.map_or_else(|| context.nanos_between(ticket.begin, raw), NonZero::get),
            now,
            label: context.label(),
        };
        if outcome != Outcome::Ignored {
            self.learn_duration(ended);
            if ended.is_slow {
                self.ring().add_to_total(Total::Slow, context);
            }
        }
        if let Phase::Ramp(_) = ticket.admitted.phase() {
            let is_current = self.is_current(ticket.admitted.generation());
            #[cfg(feature = "fleet")]
            if self.record_by_order(ended) {
                return is_current;
            }
            self.record_ramp_call(ended);
            is_current
        } else {
            self.record_probe(ended)
        }
    }

    /// Learns from a call that has reported how long calls of the recovery take.
    ///
    /// If the call's generation is over, the calls in flight get more time, because they may take
    /// as long.
    fn learn_duration(self, ended: EndedProbe) {
        let took = ended.now.saturating_sub(ended.began);
        // A call that takes longer fails. So nobody waits longer for one.
        let longest = self.limit_of_probes().map(|(_, limit)| limit);
        let took = longest.map_or(took, |longest| took.min(longest));
        if let Some(adaptive) = self.adaptive() {
            adaptive.ramp.learn(took);
        }
        if !self.is_current(ended.ticket.admitted.generation()) {
            let timeout = self.probe_timeout(ended.now);
            self.state.lengthen_lease(ended.now, took, timeout);
        }
    }

    fn record_ramp_call(self, ended: EndedProbe) {
        let Some(adaptive) = self.adaptive() else {
            return;
        };
        let generation = ended.ticket.admitted.generation();
        // A success computes no opening, unless it ends the round with too many failures.
        let opening = Cell::new(None);
        let reopen = || {
            let next = self.next_opening(ended.now);
            opening.set(Some(next));
            next.phase()
        };
        let led = match ended.outcome {
            Outcome::Ignored => {
                adaptive.ramp.withdraw(&self.state, generation);
                None
            }
            Outcome::Trip => {
                let moved = self.state.leave(generation, reopen());
                moved.map(|moved| (moved, Cause::TripRequested))
            }
            Outcome::Success | Outcome::Failure | Outcome::TimedOut => {
                let report = ended.report(adaptive, self.dispersion(), self.tolerates_more());
                adaptive.ramp.report(&self.state, report, reopen)
            }
        };
        if let Some((moved, cause)) = led {
            if moved.to == State::Closed {
                self.learn_from_recovery(adaptive, moved, cause, ended);
            }
            if let Cause::RampFailed {
                failures, calls, ..
            } = cause
            {
                self.ramp_failed((failures, calls), ended.now);
            }
            let reason = Reason::of_call(cause, ended.label);
            self.moved(moved, opening.get(), ended.now, reason);
        }
    }

    /// How many times as much evidence it takes as for independent failures.
    fn dispersion(self) -> f64 {
        self.evidence().map_or(1.0, Evidence::dispersion)
    }

    /// Learns from a ramp that has closed the breaker by the report of `ended`: whether the trip
    /// was false, and what share of failures the recovery has accepted.
    fn learn_from_recovery(
        self,
        adaptive: &AdaptiveRecovery,
        moved: StateChange,
        cause: Cause,
        ended: EndedProbe,
    ) {
        let Some(evidence) = self.evidence() else {
            return;
        };
        let Cause::RampCompleted { failures, calls } = cause else {
            return;
        };
        Self::learn_from_quick_recovery(adaptive, moved, failures, ended, evidence);
        evidence.concede(failures, calls);
    }

    /// Learns that a trip was false, if its first recovery was short, or no round of it had too
    /// many failures. `failures` is that of the cause.
    ///
    /// Where calls are rare, a ramp admits all calls from the start and tolerates failures. There
    /// the first round must be the only one, without a failure.
    ///
    /// Open times that don't go by the traffic may outlast an outage. So nothing is learnt from
    /// them.
    fn learn_from_quick_recovery(
        adaptive: &AdaptiveRecovery,
        moved: StateChange,
        failures: u32,
        ended: EndedProbe,
        evidence: &Evidence,
    ) {
        let Phase::Ramp(round) = ended.ticket.admitted.phase() else {
            return;
        };
        let round = round.unpack();
        let is_clean = round.mode == RampMode::Fast || (round.number == 0 && failures == 0);
        let outage = &adaptive.outage;
        let after = match (outage.may_be_a_run(ended.now), outage.is_young(ended.now)) {
            (true, _) => Recovered::Soon,
            (_, is_young) if is_young || is_clean => Recovered::AtOnce,
            _ => return,
        };
        if adaptive.by_traffic {
            evidence.learn_from_false_trip(moved.generation, after, date_of(ended.now));
        }
    }

    /// Returns whether the generation that admitted the probe isn't over.
    fn record_probe(self, ended: EndedProbe) -> bool {
        let Settings { probes, .. } = *self.settings();
        let EndedProbe { outcome, now, .. } = ended;
        let generation = ended.ticket.admitted.generation();
        let (report, opening) = if ended.succeeded() {
            if let Some(moved) = self.begin_ramp(ended) {
                if let Some((moved, cause)) = moved {
                    self.entered(moved, now, cause);
                }
                return moved.is_some();
            }
            (ProbeReport::Succeeded, None)
        } else if outcome == Outcome::Ignored {
            (ProbeReport::Withdrawn, None)
        } else {
            let opening = self.next_opening(now);
            let open_until = opening.until;
            let may_be_slow = probes.may_be_slow().is_some();
            let report = match outcome {
                Outcome::Success if may_be_slow => ProbeReport::Slow { open_until },
                _ => ProbeReport::Failed {
                    open_until,
                    is_enough: outcome == Outcome::Trip,
                },
            };
            (report, Some(opening))
        };
        let verdict = self.state.report_probe(generation, report, probes);
        #[cfg(feature = "async")]
        if let (ProbeReport::Withdrawn, ProbeVerdict::Counted) = (report, verdict) {
            self.wake_one();
        }
        if let ProbeVerdict::Decided(moved) = verdict {
            let reason = Reason::of_call(ended.cause(probes, moved.to), ended.label);
            self.moved(moved, opening, now, reason);
        }
        verdict != ProbeVerdict::Stale
    }

    /// Starts a ramp, if the recovery is adaptive and the probe's generation isn't over.
    #[allow(
        clippy::option_option,
        reason = "the outer one says whether there are ramps"
    )]
    fn begin_ramp(self, ended: EndedProbe) -> Option<Option<(StateChange, Cause)>> {
        let adaptive = self.adaptive()?;
        let probe = ended.report(adaptive, 1.0, self.tolerates_more());
        Some(adaptive.ramp.start(&self.state, probe, ended.took))
    }
}
