//! One call: the right to it, what a caller gets in its place, and its way through the engine.

use crate::clock::context::CallContext;
use crate::state::history::date_of;
use crate::state::{Generation, Phase, State, StateWord};
use crate::window::{ClockReading, Ring};

/// One call on its way through the engine.
#[derive(Debug)]
pub(super) struct Call<'c, C> {
    /// The generation that let the call through.
    pub(super) generation: Generation,
    /// The clock reading by which the call is recorded and judged.
    pub(super) reading: ClockReading,
    /// The caller's clock and thread slot.
    pub(super) context: &'c C,
}

impl<C> Clone for Call<'_, C> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Call<'_, C> {}

impl<C: CallContext> Call<'_, C> {
    /// The clock reading in nanoseconds.
    #[inline]
    pub(super) fn nanos(self) -> u64 {
        self.context.nanos_at(self.reading.raw)
    }

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

/// The right to one call, as the core knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The state that has let it through.
    pub(super) admitted: StateWord,
    /// When the call began, in the clock's units, if the breaker takes the time.
    pub(super) begin: u64,
}

impl Ticket {
    /// The generation in which this call was let through, if the breaker was half-open. Calls
    /// within this one are then parts of it.
    pub(crate) fn outer_generation(self) -> Option<Generation> {
        let generation = self.admitted.generation();
        match self.admitted.phase() {
            Phase::HalfOpen { .. } | Phase::Ramp(_) => Some(generation),
            // A part of a half-open call has a place, a call of a disabled breaker has none.
            Phase::Disabled => self.admitted.without_watch().1.map(|_| generation),
            _ => None,
        }
    }

    /// The ticket of a part of a call that was let through in `generation`. It is not recorded.
    pub(super) fn part_of(generation: Generation, begin: u64) -> Self {
        Self {
            admitted: StateWord::new(generation, Phase::Disabled).watched_at(0),
            begin,
        }
    }

    /// Lists a half-open call with its thread, if `IS_CALL`. Calls within it are parts of it from
    /// now on.
    #[inline]
    pub(super) fn begun<const IS_CALL: bool>(self, context: &impl CallContext) -> Self {
        let generation = self.admitted.generation();
        let place = IS_CALL.then(|| context.enter_call(generation)).flatten();
        let admitted = place.map_or(self.admitted, |place| self.admitted.watched_at(place));
        Self { admitted, ..self }
    }

    /// Takes the call off its thread's list. No call is a part of it any more.
    pub(super) fn ended(self, context: &impl CallContext) -> Self {
        let (admitted, place) = self.admitted.without_watch();
        if let Some(place) = place {
            context.leave_call(place);
        }
        Self { admitted, ..self }
    }

    /// When a call began whose time isn't taken: no sooner than it ends.
    pub(super) const UNTIMED: u64 = u64::MAX;

    /// Whether the breaker records this call: a disabled one records none.
    pub(crate) fn is_recorded(self) -> bool {
        self.admitted.phase() != Phase::Disabled
    }
}

/// A call that was not let through. Smaller than what the caller gets, which is therefore made where
/// it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The state that rejected it.
    pub state: State,
    /// How many nanoseconds until a call may be let through at the latest.
    pub retry_after: Option<u64>,
}
