//! The bulkhead's word: how many places are taken, and how many callers wait.

use crate::sync::field::Field;

/// ```text
///  63              40 39          20 19            0
/// +------------------+--------------+---------------+
/// |   arrivals, 24   |  waiting, 20 | in flight, 20 |
/// +------------------+--------------+---------------+
/// ```
///
/// *In flight*: the places taken. Places handed to a waiter that has not yet woken are included.
/// *Waiting*: the waiters that have counted themselves in and not yet out. A waiter that has just
/// been given a place, or gives up, may still be among them. *Arrivals*: how often a caller began
/// to wait, wrapping. Without it the word would look unchanged after one waiter left and another
/// came.
mod layout {
    use super::Field;

    pub(super) const IN_FLIGHT: Field = Field::lowest(20);
    pub(super) const WAITING: Field = IN_FLIGHT.then(20);
    pub(super) const ARRIVALS: Field = WAITING.then(24);

    const _: () = assert!(ARRIVALS.end_bit() == 64);
    const _: () = assert!(IN_FLIGHT.max() == super::PlacesWord::MAX_IN_FLIGHT as u64);
}

/// The bulkhead's word as a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PlacesWord(u64);

impl PlacesWord {
    /// The largest number of places that the word can count.
    pub const MAX_IN_FLIGHT: u32 = (1 << 20) - 1;

    /// The largest number of waiters that the word can count.
    pub const MAX_WAITING: u32 = (1 << 20) - 1;

    /// The addend, wrapping, that counts one waiter out.
    pub(super) const ONE_WAITS_NO_MORE: u64 = layout::WAITING.of(1).wrapping_neg();

    /// The word of a bulkhead with all places free and no waiter.
    pub const EMPTY: Self = Self(0);

    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    #[allow(clippy::cast_possible_truncation, reason = "the field has 20 bits")]
    const fn small(field: Field, word: u64) -> u32 {
        field.get(word) as u32
    }

    /// The number of places taken.
    #[must_use]
    pub const fn in_flight(self) -> u32 {
        Self::small(layout::IN_FLIGHT, self.0)
    }

    /// The number of waiters counted.
    #[must_use]
    pub const fn waiting(self) -> u32 {
        Self::small(layout::WAITING, self.0)
    }

    /// Takes one more place; `None` if all `max` are taken.
    #[must_use]
    pub const fn entered(self, max: u32) -> Option<Self> {
        if self.in_flight() < max {
            Some(Self(self.0 + layout::IN_FLIGHT.of(1)))
        } else {
            None
        }
    }

    /// Frees one place. Leaves the word as it is if no place is taken, which doesn't happen.
    #[must_use]
    pub const fn left(self) -> Self {
        match self.in_flight() {
            0 => self,
            _ => Self(self.0 - layout::IN_FLIGHT.of(1)),
        }
    }

    /// Counts one more waiter; `None` if the word can count no more.
    #[must_use]
    pub const fn arrived(self) -> Option<Self> {
        if self.waiting() == Self::MAX_WAITING {
            return None;
        }
        // An overflow of the uppermost field drops off the word's end.
        let one = layout::WAITING.of(1) | layout::ARRIVALS.of(1);
        Some(Self(self.0.wrapping_add(one)))
    }
}

impl std::fmt::Debug for PlacesWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlacesWord")
            .field("in_flight", &self.in_flight())
            .field("waiting", &self.waiting())
            .field("arrivals", &layout::ARRIVALS.get(self.0))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn word(in_flight: u32, waiting: u32, arrivals: u64) -> PlacesWord {
        PlacesWord(
            layout::IN_FLIGHT.of(in_flight.into())
                | layout::WAITING.of(waiting.into())
                | layout::ARRIVALS.of(arrivals),
        )
    }

    fn waits_no_more(word: PlacesWord) -> PlacesWord {
        PlacesWord(word.bits().wrapping_add(PlacesWord::ONE_WAITS_NO_MORE))
    }

    proptest! {
        #[test]
        fn each_step_changes_its_own_fields_alone(
            in_flight in 0..=PlacesWord::MAX_IN_FLIGHT,
            waiting in 0..=PlacesWord::MAX_WAITING,
            arrivals in 0..=layout::ARRIVALS.max(),
        ) {
            let there = word(in_flight, waiting, arrivals);
            prop_assert_eq!(there.in_flight(), in_flight);
            prop_assert_eq!(there.waiting(), waiting);
            let entered = (in_flight < PlacesWord::MAX_IN_FLIGHT)
                .then(|| word(in_flight + 1, waiting, arrivals));
            prop_assert_eq!(there.entered(PlacesWord::MAX_IN_FLIGHT), entered);
            prop_assert_eq!(there.entered(in_flight), None);
            prop_assert_eq!(there.left(), word(in_flight.saturating_sub(1), waiting, arrivals));
            let arrived = (waiting < PlacesWord::MAX_WAITING)
                .then(|| word(in_flight, waiting + 1, arrivals + 1));
            prop_assert_eq!(there.arrived(), arrived);
            if waiting > 0 {
                prop_assert_eq!(waits_no_more(there), word(in_flight, waiting - 1, arrivals));
            }
        }
    }

    #[test]
    fn a_waiter_who_left_and_one_who_came_leave_another_word() {
        let there = word(3, 1, 7);
        assert_ne!(waits_no_more(there.arrived().unwrap()), there);
    }
}
