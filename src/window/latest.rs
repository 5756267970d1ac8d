//! The bucket that the calls of the moment go to, found without a division and without waiting for
//! the clock.
//!
//! It is nearly always that of the call before, so that is taken for a guess and then checked. The
//! check is a branch, which the processor predicts: it finds the word and counts in it while the
//! reading of the clock is still on its way.

use super::place::RingPosition;
use crate::clock::Now;
use crate::clock::context::CallContext;
use crate::state::Generation;
use crate::sync::stamped::{Next, Stamped};
use crate::sync::{AtomicU64, Ordering};

/// The bucket of the latest call, or of one shortly before, and when it begins.
///
/// The two words are not one, but they can't be mistaken for each other's. A writer changes the
/// place first and the beginning after it, so who reads the beginning first has a place at least as
/// late. And who then reads the clock, after the place, reads it no earlier than the writer of the
/// place did: if the place is later than the beginning, then the clock has left the bucket that
/// begins there, and the guess is found wrong.
#[derive(Debug)]
pub(super) struct Latest {
    /// The first moment of the bucket, in the clock's units.
    beginning: AtomicU64,
    place: Stamped,
    /// The width of a bucket, in the clock's units.
    width: u64,
}

/// What was read of the latest bucket and then of the clock, in this order.
#[derive(Clone, Copy, Debug)]
pub struct ClockReading {
    /// The clock, in its own units.
    pub raw: u64,
    beginning: u64,
    place: RingPosition,
}

impl ClockReading {
    /// The reading of a caller who has read the clock before and knows of no bucket.
    #[must_use]
    pub fn at(raw: u64) -> Self {
        Self {
            raw,
            // No bucket is so narrow that it begins and ends behind the clock.
            beginning: raw.wrapping_add(1),
            place: RingPosition::from_bits(0),
        }
    }
}

impl Latest {
    pub(super) fn new(width: u64, buckets: u32) -> Self {
        Self {
            beginning: AtomicU64::new(0),
            place: Stamped::new(RingPosition::new(Generation::FIRST, 0, buckets).bits()),
            width,
        }
    }

    pub(super) fn same_config(&self, other: &Self) -> bool {
        self.width == other.width
    }

    /// Reads the clock.
    #[inline]
    pub(super) fn read(&self, clock: &impl Now) -> ClockReading {
        self.read_by(|| (clock.raw(), ())).0
    }

    /// Reads the clock, and what else is to be had of it.
    #[inline]
    pub(super) fn read_by<T>(&self, clock: impl FnOnce() -> (u64, T)) -> (ClockReading, T) {
        // Acquire, both: pair with the Releases in `note`; for why, see the type.
        let beginning = self.beginning.load(Ordering::Acquire);
        let place = RingPosition::from_bits(self.place.atomic().load(Ordering::Acquire));
        let (raw, more) = clock();
        let reading = ClockReading {
            raw,
            beginning,
            place,
        };
        (reading, more)
    }

    /// The bucket of a call of `generation`, if it is that of the reading.
    #[inline]
    pub(super) fn guess(
        &self,
        reading: ClockReading,
        generation: Generation,
    ) -> Option<RingPosition> {
        let is_now = reading.raw.wrapping_sub(reading.beginning) < self.width;
        (is_now && reading.place.is_of(generation)).then_some(reading.place)
    }

    /// The number of the bucket that a reading falls in.
    fn tick(&self, raw: u64) -> u64 {
        raw / self.width
    }

    /// For how many nanoseconds a bucket lasts, and for how many there has been the one that a reading falls in.
    pub(super) fn width_and_begun(&self, raw: u64, clock: &impl Now) -> (u64, u64) {
        let beginning = self.tick(raw) * self.width;
        let width = clock.nanos_between(beginning, beginning.saturating_add(self.width));
        (width, clock.nanos_between(beginning, raw))
    }

    /// How many buckets have begun since the clock was read.
    pub(super) fn age(&self, raw: u64, clock: &impl Now) -> u64 {
        self.tick(clock.raw()).saturating_sub(self.tick(raw))
    }

    /// The bucket of a call of `generation`, in a ring of `buckets`.
    pub(super) fn find(
        &self,
        reading: ClockReading,
        generation: Generation,
        buckets: u32,
    ) -> RingPosition {
        self.guess(reading, generation)
            .unwrap_or_else(|| RingPosition::new(generation, self.tick(reading.raw), buckets))
    }

    /// The bucket of a call of `generation` that was not guessed right; from now on it is guessed.
    #[cold]
    #[inline(never)]
    pub(super) fn note(
        &self,
        raw: u64,
        generation: Generation,
        buckets: u32,
        context: &impl CallContext,
        is_current: impl Fn() -> bool,
    ) -> RingPosition {
        let tick = self.tick(raw);
        let place = RingPosition::new(generation, tick, buckets);
        let beginning = tick * self.width;
        // Relaxed: a look whether this clock is behind the others', which it isn't, but might be on
        // a machine whose processors' counters differ. Such a reading guides nobody.
        if beginning < self.beginning.load(Ordering::Relaxed) {
            return place;
        }
        // As with a bucket's word, the place that is replaced is an older one: this one is found
        // current after the other was read. AcqRel in `Stamped::update`: pairs with `read`.
        let replaced = self.place.update(
            |_| Next::Other(place.bits()),
            || self.tick(context.raw()) == tick && is_current(),
        );
        if replaced.is_some() {
            // Release: pairs with the Acquire in `read`, which sees this place or a later one.
            self.beginning.store(beginning, Ordering::Release);
        }
        place
    }
}
