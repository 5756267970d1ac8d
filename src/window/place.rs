//! The position of a call in the ring, in one word.

use super::bucket::Stamp;
use crate::state::Generation;
use crate::sync::field::Field;

/// ```text
///  63             33 32            12 11 10        1 0
/// +-----------------+----------------+--+-----------+-+
/// |    turn, 31     | generation, 21 |0 | slot, 10  |0|
/// +-----------------+----------------+--+-----------+-+
/// ```
///
/// *Slot*: the index in the ring. *Turn*: how often the ring had gone round. The upper 42 bits are
/// the turn and the fast bits of the generation. They are a bucket word's stamp as it is.
mod layout {
    use super::Field;

    pub(super) const SLOT: Field = Field::lowest(1).then(10);
    pub(super) const GENERATION: Field = SLOT.then(1).then(super::Generation::BITS);
    pub(super) const TURN: Field = GENERATION.then(31);

    pub(super) const LAST_SLOT: u64 = SLOT.max();
    /// The bits of the slot. The zero below them makes them twice the slot.
    pub(super) const TWICE_SLOT: u64 = SLOT.of(u64::MAX);

    const _: () = assert!(TURN.end_bit() == 64);
}

/// The bucket of one tick in one generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RingPosition(u64);

impl RingPosition {
    /// The most slots that a ring can have.
    #[allow(clippy::cast_possible_truncation, reason = "ten bits")]
    pub(super) const SLOTS: u32 = layout::LAST_SLOT as u32 + 1;

    /// The position of the calls of `generation` in `tick`, in a ring of `buckets`.
    ///
    /// The epoch is the tick plus the number of the generation. Its remainder is the slot, and its
    /// quotient is the turn. The ring's length is added so that the turn before the first exists.
    pub(super) fn new(generation: Generation, tick: u64, buckets: u32) -> Self {
        let buckets = u64::from(buckets);
        let epoch = tick + generation.number() + buckets;
        Self(
            layout::TURN.of(epoch / buckets)
                | layout::GENERATION.of(generation.bits())
                | layout::SLOT.of(epoch % buckets),
        )
    }

    /// The position `age` buckets earlier, in a ring of `buckets`. `age` is less than `buckets`.
    pub(super) fn back(self, age: u32, buckets: u32) -> Self {
        let slot = self.slot();
        let (slot, turns) = match slot.checked_sub(age) {
            Some(slot) => (slot, 0),
            None => (slot + buckets - age, 1),
        };
        let turn = layout::TURN.get(self.0).wrapping_sub(turns);
        let generation = layout::GENERATION.of(layout::GENERATION.get(self.0));
        Self(layout::TURN.of(turn) | generation | layout::SLOT.of(slot.into()))
    }

    #[inline]
    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline]
    pub(super) fn bits(self) -> u64 {
        self.0
    }

    #[inline]
    pub(super) fn is_of(self, generation: Generation) -> bool {
        generation.stands_in(self.0, layout::GENERATION)
    }

    /// How many buckets this position comes after `other`, in a ring of `buckets`. It is negative
    /// if it comes before, and 0 for a position of another generation.
    pub(super) fn buckets_after(self, other: Self, buckets: u32) -> i64 {
        if layout::GENERATION.get(self.0) != layout::GENERATION.get(other.0) {
            return 0;
        }
        // The turn is in the uppermost bits, so the difference has its sign.
        let turns = (self.0 & layout::TURN.of(u64::MAX))
            .wrapping_sub(other.0 & layout::TURN.of(u64::MAX))
            .cast_signed()
            >> layout::TURN.first_bit();
        turns * i64::from(buckets) + i64::from(self.slot()) - i64::from(other.slot())
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "ten bits")]
    pub(super) fn slot(self) -> u32 {
        (self.0 >> 1 & layout::LAST_SLOT) as u32
    }

    /// Twice the slot, for a caller with two words in each slot.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "eleven bits")]
    pub(super) fn twice_slot(self) -> usize {
        (self.0 & layout::TWICE_SLOT) as usize
    }

    /// The stamp that the words of this bucket carry.
    #[inline]
    pub(super) fn stamp(self) -> Stamp {
        Stamp::from_upper_bits(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_place_gives_back_its_generation_slot_and_stamp(
            changes in 0..5_000_u32, tick in 0..1_u64 << 40, ticks in 0..5_000_u64,
            buckets in 1..=RingPosition::SLOTS,
        ) {
            let mut generation = Generation::FIRST;
            for _ in 0..changes {
                generation = generation.next();
            }
            let place = RingPosition::new(generation, tick, buckets);
            let epoch = tick + generation.number() + u64::from(buckets);
            prop_assert!(place.is_of(generation));
            prop_assert!(!place.is_of(generation.next()));
            let later = RingPosition::new(generation, tick + ticks, buckets);
            let ticks = i64::try_from(ticks).unwrap();
            prop_assert_eq!(later.buckets_after(place, buckets), ticks);
            prop_assert_eq!(place.buckets_after(later, buckets), -ticks);
            let other = RingPosition::new(generation.next(), tick, buckets);
            prop_assert_eq!(other.buckets_after(place, buckets), 0);
            prop_assert_eq!(u64::from(place.slot()), epoch % u64::from(buckets));
            prop_assert_eq!(place.stamp(), Stamp::new(generation, epoch / u64::from(buckets)));
            prop_assert_eq!(RingPosition::from_bits(place.bits()), place);
        }
    }
}
