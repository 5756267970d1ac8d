//! One call: its ticket or its refusal, and its path through the engine.

use std::num::NonZero;

use crate::state::{Admission, Generation, Phase, State, StateWord};
pub(super) use crate::window::Call;
use crate::window::Ring;
use crate::{clock::Now, clock::context::CallContext, outcome::Outcome, state::history::date_of};

impl<C: CallContext> Call<'_, C> {
    /// The clock reading as a date.
    #[inline]
    pub(super) fn date(self) -> u64 {
        date_of(self.nanos())
    }

    /// The call with a new reading of the clock.
    ///
    /// The thread may have slept since the last reading.
    #[inline]
    pub(super) fn read_again(self, ring: &Ring) -> Self {
        let reading = ring.read(self.context);
        Self { reading, ..self }
    }
}

/// The engine's permit for one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The state word that admitted the call.
    pub(super) admitted: StateWord,
    /// When the call began, in the clock's units, if the breaker times calls.
    pub(super) begin: u64,
}

impl Ticket {
    /// The ticket for a call that the breaker doesn't time.
    #[inline]
    pub(super) fn untimed(admitted: StateWord) -> Self {
        let begin = Self::UNTIMED;
        Self { admitted, begin }
    }

    /// Whether a half-open breaker admitted this call.
    #[inline]
    pub(super) fn is_half_open(self) -> bool {
        let phase = self.admitted.phase();
        matches!(phase, Phase::HalfOpen { .. } | Phase::Ramp(_))
    }

    /// The generation that admitted this call, if the breaker was half-open.
    ///
    /// Calls within this call are then parts of it.
    pub(crate) fn outer_generation(self) -> Option<Generation> {
        let generation = self.admitted.generation();
        match self.admitted.phase() {
            Phase::HalfOpen { .. } | Phase::Ramp(_) => Some(generation),
            // A part of a half-open call has a place. A call of a disabled breaker has none.
            Phase::Disabled => self.admitted.without_watch().1.map(|_| generation),
            _ => None,
        }
    }

    /// The ticket for a part of a call that `generation` admitted. The part isn't recorded.
    pub(super) fn part_of(generation: Generation, begin: u64) -> Self {
        let admitted = StateWord::new(generation, Phase::Disabled).watched_at(0);
        Self { admitted, begin }
    }

    /// Lists a half-open call with its thread, if `IS_CALL`.
    ///
    /// From then on, calls within this call are parts of it.
    #[inline]
    pub(super) fn begun<const IS_CALL: bool>(self, context: &impl CallContext) -> Self {
        let generation = self.admitted.generation();
        let place = IS_CALL.then(|| context.enter_call(generation)).flatten();
        let admitted = place.map_or(self.admitted, |place| self.admitted.watched_at(place));
        Self { admitted, ..self }
    }

    /// Takes the call off its thread's list. From then on, no call is a part of it.
    pub(super) fn ended(self, context: &impl CallContext) -> Self {
        let (admitted, place) = self.admitted.without_watch();
        if let Some(place) = place {
            context.leave_call(place);
        }
        Self { admitted, ..self }
    }

    /// This call's ticket with the time of its part `part`, or `None` if `part` is another call.
    #[inline]
    pub(crate) fn continued_by(self, part: Self) -> Option<Self> {
        let outer = part.outer_generation().filter(|_| !part.is_recorded());
        let begin = part.begin;
        (outer.is_some() && outer == self.outer_generation()).then_some(Self { begin, ..self })
    }

    /// How long the call has taken until now, at least a nanosecond, if the breaker times it.
    #[inline]
    pub(crate) fn elapsed(self, now: &impl Now) -> Option<NonZero<u64>> {
        let took = || now.nanos_between(self.begin, now.raw()).max(1);
        let has_begin = self.begin < Self::LEFT_OUT;
        NonZero::new(if has_begin { took() } else { 0 })
    }

    /// The ticket for a call that a breaker leaves out of those it times.
    #[inline]
    pub(super) fn left_out(admitted: StateWord) -> Self {
        let begin = Self::LEFT_OUT;
        Self { admitted, begin }
    }

    /// Whether the breaker times calls, but not this one. Then a time that its caller gives doesn't
    /// count either, because other calls stand for this one.
    #[inline]
    pub(super) fn is_left_out(self) -> bool {
        self.begin == Self::LEFT_OUT
    }

    /// A timed call of this ticket stands for 2^this calls.
    #[inline]
    pub(super) fn weight(self) -> u32 {
        self.admitted.weight()
    }

    /// The `begin` of a call that isn't timed. It is never earlier than the call's end.
    pub(super) const UNTIMED: u64 = u64::MAX;
    /// The `begin` of a call that is left out of those that are timed. It is never earlier than the
    /// call's end either.
    const LEFT_OUT: u64 = u64::MAX - 1;

    /// Whether the breaker records this call. A disabled breaker records none.
    pub(crate) fn is_recorded(self) -> bool {
        self.admitted.phase() != Phase::Disabled
    }
}

/// What the caller says about a call that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    /// How many nanoseconds the call took, if the caller knows it better than the breaker.
    pub(super) took: Option<NonZero<u64>>,
}

impl From<Outcome> for Ended {
    #[inline]
    fn from(outcome: Outcome) -> Self {
        let took = None;
        Self { outcome, took }
    }
}

/// A rejected call, as the engine reports it.
///
/// It is smaller than the caller's error, which is built only where it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The state that rejected the call.
    pub state: State,
    /// The generation of the opening because of which the call is rejected.
    pub(crate) opened_in: Generation,
    /// See [`retry_after`](Self::retry_after). It is packed as the caller's error keeps it.
    pub(crate) retry_after: u64,
}

impl Refusal {
    #[inline]
    pub(super) fn new(state: State, opened_in: Generation, retry_after: Option<u64>) -> Self {
        Self {
            state,
            opened_in,
            retry_after: retry_after.unwrap_or(Admission::NEVER),
        }
    }

    /// In how many nanoseconds a call may be admitted, at the latest.
    #[must_use]
    pub fn retry_after(self) -> Option<u64> {
        (self.retry_after < Admission::ISOLATED).then_some(self.retry_after)
    }
}
