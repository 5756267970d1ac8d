//! The current bucket, found without a division and without waiting for the clock.
//!
//! It is nearly always the bucket of the previous call. So that bucket is the guess, which is then
//! checked. The check is a branch that the processor predicts. The processor finds the word and
//! counts in it while the clock is still being read.

use super::place::RingPosition;
use crate::clock::Now;
use crate::state::Generation;
use crate::sync::stamped::{Next, Stamped};
use crate::sync::{AtomicU64, Ordering};

/// The bucket of the latest call, or of one shortly before, and when the bucket begins.
///
/// The place and the beginning are two words, but a reader never takes a wrong pair for a match. A
/// writer changes the place first and then the beginning. So a reader that loads the beginning
/// first gets a place at least as late. The reader then reads the clock, no earlier than the writer
/// of the place did. If the place is later than the beginning, the clock has left the bucket that
/// begins there. The check then finds the guess wrong.
#[derive(Debug)]
pub(super) struct Latest {
    /// The first moment of the bucket, in the clock's units.
    beginning: AtomicU64,
    place: Stamped,
    /// The width of a bucket, in the clock's units.
    pub(super) width: u64,
}

/// The latest bucket and then the clock, read in this order.
#[derive(Clone, Copy, Debug)]
pub struct ClockReading {
    /// The clock, in its own units.
    pub raw: u64,
    beginning: u64,
    place: RingPosition,
}

/// A reading of a clock, together with the clock. It fits into two registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimePoint<C> {
    /// The reading, in the clock's own units.
    pub(super) raw: u64,
    /// A reference to the clock.
    pub(super) clock: C,
}

impl ClockReading {
    /// The reading of a caller that has read the clock before and knows no bucket.
    #[must_use]
    pub fn at(raw: u64) -> Self {
        Self {
            raw,
            // The bucket seems to begin after the reading, so the guess is never right.
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

    /// Reads the clock, and returns what else `clock` returns.
    #[inline]
    pub(super) fn read<T>(&self, clock: impl FnOnce() -> (u64, T)) -> (ClockReading, T) {
        // Acquire: pairs with the Release store of the beginning in `note`. It makes the place at
        // least as late as the beginning. Without it a call could be counted in another bucket than
        // the clock's.
        let beginning = self.beginning.load(Ordering::Acquire);
        // The clock reading is no earlier than that of the place's writer.
        let place = RingPosition::from_bits(self.place.acquire());
        let (raw, more) = clock();
        let reading = ClockReading {
            raw,
            beginning,
            place,
        };
        (reading, more)
    }

    /// The bucket of a call of `generation`, if the reading falls into the guessed bucket.
    #[inline]
    pub(super) fn guess(
        &self,
        reading: ClockReading,
        generation: Generation,
    ) -> Option<RingPosition> {
        let is_now = reading.raw.wrapping_sub(reading.beginning) < self.width;
        (is_now && reading.place.is_of(generation)).then_some(reading.place)
    }

    /// The latest bucket, if it is of `generation`. It may have ended.
    #[inline]
    pub(super) fn place_of(&self, generation: Generation) -> Option<RingPosition> {
        let place = RingPosition::from_bits(self.place.load());
        place.is_of(generation).then_some(place)
    }

    /// Whether calls that were counted in bucket `before` without a clock reading may be of a later
    /// bucket: of `place`, into which `raw` falls, or of one between the two.
    pub(super) fn leaves_doubt(
        &self,
        before: RingPosition,
        place: RingPosition,
        raw: u64,
        buckets: u32,
    ) -> bool {
        match place.buckets_after(before, buckets) {
            // Calls of the first 1/64 of a bucket stay in the one before.
            1 => raw % self.width > self.width / 64,
            later => later > 1,
        }
    }

    /// The number of the bucket that a reading falls into.
    fn tick(&self, raw: u64) -> u64 {
        raw / self.width
    }

    /// The width of a bucket, and the time since the reading's bucket began, in nanoseconds.
    pub(super) fn width_and_begun(&self, raw: u64, clock: &impl Now) -> (u64, u64) {
        let beginning = self.tick(raw) * self.width;
        let width = clock.nanos_between(beginning, beginning.saturating_add(self.width));
        (width, clock.nanos_between(beginning, raw))
    }

    /// How many buckets have begun since then.
    pub(super) fn age(&self, time: TimePoint<&impl Now>) -> u64 {
        self.tick(time.clock.raw())
            .saturating_sub(self.tick(time.raw))
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

    /// The bucket of a call of `generation` for which the guess was wrong. It is the guess from now
    /// on.
    ///
    /// `carry` is given the bucket noted before and this one, before this one is noted. It is also
    /// given what says whether this one is still current.
    #[cold]
    #[inline(never)]
    pub(super) fn note(
        &self,
        time: TimePoint<&impl Now>,
        generation: Generation,
        buckets: u32,
        is_current: impl Fn() -> bool,
        carry: impl Fn(RingPosition, RingPosition, &dyn Fn() -> bool),
    ) -> RingPosition {
        let tick = self.tick(time.raw);
        let place = RingPosition::new(generation, tick, buckets);
        let beginning = tick * self.width;
        // Relaxed: this load only asks whether this clock is behind the others'. Clocks agree,
        // except on a machine whose processors' counters differ. A reading that is behind is not
        // noted. No other memory is read because of it.
        if beginning < self.beginning.load(Ordering::Relaxed) {
            return place;
        }
        // As with a bucket's word, the replaced place is an older one. `is_current` was called
        // after the other place was read. `Stamped::update` exchanges it with AcqRel, which pairs
        // with the Acquire in `read`.
        let is_current = || self.tick(time.clock.raw()) == tick && is_current();
        let replaced = self.place.update(
            |before| {
                carry(RingPosition::from_bits(before), place, &is_current);
                Next::Other(place.bits())
            },
            is_current,
        );
        if replaced.is_some() {
            // Release: pairs with the Acquire in `read`. A reader that sees this beginning sees
            // this place or a later one. Without it the reader could pair an older place with this
            // beginning.
            self.beginning.store(beginning, Ordering::Release);
        }
        place
    }
}
