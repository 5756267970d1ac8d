//! Admission: whether a call runs.

#[cfg(not(feature = "tracing"))]
use super::view::with_view;
use super::view::{Configuration, View};
use super::{Core, Refusal, Ticket, call::Call};
#[cfg(feature = "async")]
use crate::state::Moment;
use crate::state::{Admission, Generation, Phase, State, StateWord};
#[cfg(feature = "tracing")]
use crate::sync::Replaceable;
use crate::window::{ClockReading, Tally};
use crate::{
    clock::context::CallContext, events::Cause, latency::in_flight::InFlight, latency::odds::Odds,
    outcome::Outcome,
};

impl Core {
    /// Decides whether a call is admitted.
    ///
    /// A breaker that is closed or metrics-only reads no clock here, unless it times the call.
    ///
    /// # Errors
    /// The call is rejected.
    #[inline]
    pub fn admit(&self, context: &impl CallContext) -> Result<Ticket, Refusal> {
        self.admit_as::<false>(context)
    }

    /// Like [`admit`](Self::admit). With `IS_CALL`, the caller's thread runs the call until it is
    /// settled.
    ///
    /// If such a call is admitted half-open, calls of this breaker that the thread makes meanwhile
    /// are parts of it.
    ///
    /// # Errors
    /// The call is rejected.
    #[inline]
    pub(crate) fn admit_as<const IS_CALL: bool>(
        &self,
        context: &impl CallContext,
    ) -> Result<Ticket, Refusal> {
        let seen = self.state.load();
        if seen.lets_through_untimed() {
            Ok(Ticket::untimed(seen))
        } else if seen.lets_through_timed() && self.odds().is_some_and(Odds::leaves_out) {
            Ok(Ticket::left_out(seen))
        } else {
            self.admit_with_clock::<IS_CALL>(seen, context)
        }
    }

    #[inline(never)]
    fn admit_with_clock<const IS_CALL: bool>(
        &self,
        seen: StateWord,
        context: &impl CallContext,
    ) -> Result<Ticket, Refusal> {
        // With the feature, one word says whether there are overrides or events. So a breaker that
        // has neither pays nothing more.
        #[cfg(feature = "tracing")]
        if self.has_detour() {
            self.admit_by_detour::<IS_CALL>(seen, context)
        } else {
            self.as_built().admit_by_phase::<IS_CALL>(seen, context)
        }
        #[cfg(not(feature = "tracing"))]
        with_view!(self, |view| {
            view.admit_by_phase::<IS_CALL>(seen, context)
        })
    }

    /// Decides about a call of a breaker that has other settings now, or makes events for
    /// rejections.
    #[cfg(feature = "tracing")]
    #[cold]
    #[inline(never)]
    fn admit_by_detour<const IS_CALL: bool>(
        &self,
        seen: StateWord,
        context: &impl CallContext,
    ) -> Result<Ticket, Refusal> {
        // This is out of line already, so `with_view!` would only add another call.
        let answer = match self.overrides().map(Replaceable::load) {
            Some(current) => {
                let view = self.with_overrides(current.get());
                view.admit_by_phase::<IS_CALL>(seen, context)
            }
            None => self.as_built().admit_by_phase::<IS_CALL>(seen, context),
        };
        if let Err(refusal) = answer
            && let Some(limit) = self.rejection_events()
        {
            self.trace_refusal(refusal, limit, context);
        }
        answer
    }

    /// Notes that this thread doesn't run the call until [`resume`](Self::resume). The call's
    /// future is pending.
    pub(crate) fn pause(ticket: Ticket, context: &impl CallContext) -> Ticket {
        match ticket.admitted.phase() {
            Phase::HalfOpen { .. } | Phase::Ramp(_) => ticket.ended(context),
            _ => ticket,
        }
    }

    /// Notes that this thread runs the call from now on.
    pub(crate) fn resume(ticket: Ticket, context: &impl CallContext) -> Ticket {
        match ticket.admitted.phase() {
            Phase::HalfOpen { .. } | Phase::Ramp(_) => ticket.begun::<true>(context),
            _ => ticket,
        }
    }

    /// Decides again about an admitted call that was withdrawn while it waited for something else.
    ///
    /// If the ramp that admitted the call goes on, the call isn't drawn again. Otherwise only a
    /// share of the share would pass.
    ///
    /// # Errors
    /// The call is rejected.
    #[inline(never)]
    pub fn admit_again(
        &self,
        withdrawn: Ticket,
        context: &impl CallContext,
    ) -> Result<Ticket, Refusal> {
        let seen = self.state.load();
        let is_same = seen.generation() == withdrawn.admitted.generation();
        if is_same && withdrawn.admitted.phase() == Phase::Disabled {
            // The call is a part of a call that still counts, though another thread may continue
            // it.
            return Ok(withdrawn);
        }
        match seen.phase() {
            Phase::Ramp(round) if is_same => Ok(Ticket {
                admitted: Self::in_round(seen.generation(), round),
                begin: context.raw(),
            }),
            _ => self.admit(context),
        }
    }
}

impl<'a, F: Configuration<'a>> View<'a, F> {
    #[allow(
        clippy::inline_always,
        reason = "counted: out of line, `.ci/run instructions` shows a longer path"
    )]
    #[inline(always)]
    fn admit_timed<const IS_CALL: bool>(
        self,
        seen: StateWord,
        context: &impl CallContext,
    ) -> Result<Ticket, Refusal> {
        let Some(timed) = self.timed() else {
            // The window isn't the one that the breaker was built with. The breaker doesn't time
            // calls.
            return Ok(Ticket::untimed(seen));
        };
        let begin = context.raw();
        let seen = seen.weighing(timed.begin(begin, self.odds()));
        if let Some(in_flight) = timed.in_flight()
            && in_flight.picks(begin, context)
        {
            return self.admit_watched::<IS_CALL>(in_flight, seen, begin, context);
        }
        let admitted = seen;
        Ok(Ticket { admitted, begin })
    }

    /// Admits a call whose time in flight is watched.
    ///
    /// If calls in flight are overdue, they are weighed. Then the breaker is judged, and may trip.
    #[cold]
    #[inline(never)]
    fn admit_watched<const IS_CALL: bool>(
        self,
        in_flight: &InFlight,
        seen: StateWord,
        begin: u64,
        context: &impl CallContext,
    ) -> Result<Ticket, Refusal> {
        let generation = seen.generation();
        let now = context.nanos_at(begin);
        self.note_progress(generation, context);
        if in_flight.overdue(generation, now) > 0 {
            let run = self.run.get(generation);
            let call = self.call_in(generation, context);
            self.weigh_overdue(in_flight, call);
            if self.judge(call, run, Outcome::Ignored) || self.judge_weighed(call) {
                let seen = self.state.load();
                return self.admit_by_phase::<IS_CALL>(seen, context);
            }
        }
        let place = in_flight.watch(generation, (begin, seen.weight()), context);
        let admitted = place.map_or(seen, |place| seen.watched_at(place));
        Ok(Ticket { admitted, begin })
    }

    #[allow(
        clippy::inline_always,
        reason = "counted: out of line, `.ci/run instructions` shows a longer path"
    )]
    #[inline(always)]
    pub(super) fn admit_by_phase<const IS_CALL: bool>(
        self,
        seen: StateWord,
        context: &impl CallContext,
    ) -> Result<Ticket, Refusal> {
        // Untimed calls of these states don't come here.
        if seen.lets_through_and_records() {
            return self.admit_timed::<IS_CALL>(seen, context);
        }
        let (reading, now) = self.ring().read_with_nanos(context);
        // An open breaker takes this path most often. It stands apart, so that it stays short.
        if let Phase::Open { until } = seen.phase() {
            let until = self.state.exactly(until).nanos();
            if now < until {
                let wait = Some(until - now);
                let call = Call::new(seen.generation(), reading, context);
                return Err(self.refuse(State::Open, wait, call));
            }
        }
        self.admit_slow::<IS_CALL>(reading, now, context)
    }

    #[inline(never)]
    fn admit_slow<const IS_CALL: bool>(
        self,
        reading: ClockReading,
        now: u64,
        context: &impl CallContext,
    ) -> Result<Ticket, Refusal> {
        let generation = self.state.load().generation();
        if context.is_within(generation) {
            return Ok(Ticket::part_of(generation, reading.raw));
        }
        let asked = self.asked_while_open(reading, now);
        if let Some(limit) = self.half_open_limit()
            && self.keep_half_open_limit(limit, now)
        {
            // A breaker that has closed watches this call in flight like any other.
            return self.admit_by_phase::<IS_CALL>(self.state.load(), context);
        }
        let begin = reading.raw;
        let ticket = |admitted| Ticket { admitted, begin };
        match self.ask(now) {
            Admission::Recorded(seen) => Ok(ticket(seen)),
            Admission::Unrecorded => Ok(ticket(StateWord::new(Generation::FIRST, Phase::Disabled))),
            Admission::Probe {
                generation,
                moved,
                overdue,
            } => {
                if let Some(moved) = moved {
                    self.observe(asked);
                    let cause = match moved.from {
                        State::HalfOpen => Cause::ProbesOverdue { probes: overdue },
                        _ => Cause::OpenExpired,
                    };
                    self.entered(moved, now, cause);
                }
                let probe = ticket(StateWord::new(generation, Phase::PROBING));
                Ok(probe.begun::<IS_CALL>(context))
            }
            Admission::Ramp(seen) => self.admit_to_ramp::<IS_CALL>(seen, reading, now, context),
            Admission::Rejected {
                state,
                generation,
                retry_after,
            } => {
                let call = Call::new(generation, reading, context);
                let retry_after = match state {
                    State::HalfOpen => self.wait_half_open(retry_after, now),
                    _ => retry_after,
                };
                Err(self.refuse(state, retry_after, call))
            }
        }
    }

    /// Asks the state.
    ///
    /// Inline, it makes a rejected `call` 18 instructions longer (`.ci/run instructions`).
    #[inline(never)]
    fn ask(self, now: u64) -> Admission {
        let settings = self.settings();
        let (permitted, timeout) = (settings.probes.permitted(), self.probe_timeout(now));
        #[cfg(feature = "async")]
        if let Some(checks) = self.checks() {
            let patience = settings.probe_timeout;
            let opens = |until: Moment| checks.hold_until(until.nanos(), patience);
            return self.state.admit_after(now, permitted, timeout, opens);
        }
        self.state.admit(now, permitted, timeout)
    }

    #[allow(
        clippy::inline_always,
        reason = "measured: out of line, `cargo bench -- open` shows a slower path"
    )]
    #[inline(always)]
    pub(super) fn refuse(
        self,
        state: State,
        retry_after: Option<u64>,
        call: Call<'_, impl CallContext>,
    ) -> Refusal {
        let generation = call.generation;
        let is_current = move || self.is_current(generation);
        self.ring().record_at(call, Tally::Uncounted, is_current);
        Refusal::new(state, self.opened_in(state, generation), retry_after)
    }
}
