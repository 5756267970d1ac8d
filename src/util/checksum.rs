//! A checksum over a saved value, which tells whether the value was changed since.
//!
//! It protects against damage, not against forgery. Whoever can write the value can write its
//! checksum.

use crate::util::random::{GOLDEN_RATIO, mixed};

/// The checksum so far. Each word goes through a permutation, so a change of a single word always
/// shows.
#[derive(Debug)]
pub(crate) struct Checksum(u64);

impl Checksum {
    /// The checksum of a value, as it is written.
    pub(crate) fn of(value: &impl Summed) -> String {
        let mut sum = Self(GOLDEN_RATIO);
        value.add_to(&mut sum);
        format!("{:016x}", sum.0)
    }

    fn add(&mut self, word: u64) {
        self.0 = mixed(self.0 ^ word).wrapping_add(GOLDEN_RATIO);
    }
}

/// A value that has a checksum.
pub(crate) trait Summed {
    /// Adds every part of the value to `sum`.
    fn add_to(&self, sum: &mut Checksum);
}

/// Implements [`Summed`] for a structure, field by field. A missing field is a compile error.
macro_rules! summed {
    ($type:ty { $($field:ident),* $(,)? }) => {
        impl $crate::util::checksum::Summed for $type {
            fn add_to(&self, sum: &mut $crate::util::checksum::Checksum) {
                let Self { $($field),* } = self;
                $($crate::util::checksum::Summed::add_to($field, sum);)*
            }
        }
    };
}
pub(crate) use summed;

impl Summed for u64 {
    fn add_to(&self, sum: &mut Checksum) {
        sum.add(*self);
    }
}

impl Summed for u32 {
    fn add_to(&self, sum: &mut Checksum) {
        sum.add((*self).into());
    }
}

/// The length comes first. So the values after a list aren't taken for a part of it.
impl<T: Summed> Summed for Vec<T> {
    fn add_to(&self, sum: &mut Checksum) {
        sum.add(self.len() as u64);
        for value in self {
            value.add_to(sum);
        }
    }
}

impl<T: Summed, const N: usize> Summed for [T; N] {
    fn add_to(&self, sum: &mut Checksum) {
        for value in self {
            value.add_to(sum);
        }
    }
}

impl<T: Summed> Summed for Option<T> {
    fn add_to(&self, sum: &mut Checksum) {
        sum.add(self.is_some().into());
        if let Some(value) = self {
            value.add_to(sum);
        }
    }
}

impl Summed for String {
    fn add_to(&self, sum: &mut Checksum) {
        sum.add(self.len() as u64);
        self.bytes().for_each(|byte| sum.add(byte.into()));
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(words: &[u64]) -> String {
        Checksum::of(&words.to_vec())
    }

    #[test]
    fn what_stands_beside_a_list_is_not_taken_for_a_part_of_it() {
        let (one, other) = ([vec![1_u64], vec![2, 3]], [vec![1_u64, 2], vec![3]]);
        assert_ne!(Checksum::of(&one), Checksum::of(&other));
        assert_ne!(Checksum::of(&Some(0_u64)), Checksum::of(&None::<u64>));
        assert_ne!(sum(&[]), sum(&[0]));
        assert_ne!(sum(&[0]), sum(&[0, 0]));
    }

    /// Fails when: values that were saved by an earlier release would be refused for no reason.
    #[test]
    fn the_sum_stays_the_same_from_release_to_release() {
        assert_eq!(Checksum::of(&"payments".to_owned()), "ff51f85a75d3d412");
    }

    proptest! {
        #[test]
        fn a_word_that_has_changed_is_seen(
            words in proptest::collection::vec(any::<u64>(), 1..20),
            place: usize,
            change in 1..=u64::MAX,
        ) {
            let mut changed = words.clone();
            changed[place % words.len()] ^= change;
            prop_assert_ne!(sum(&words), sum(&changed));
        }
    }
}
