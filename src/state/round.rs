//! A round of a ramp, as the state word's payload holds it.

use crate::sync::field::Field;
use crate::util::number::whole;

/// ```text
///  38       31 30       21 20       17 16     15    14    13      7 6      0
/// +-----------+-----------+-----------+---------+--------+--------+--------+
/// | number, 8 | share, 10 | at cut, 4 |mode, 2|settl.,1| bad, 7 | good, 7|
/// +-----------+-----------+-----------+---------+--------+--------+--------+
/// ```
///
/// The share is stored less one, because it is never zero and may be all. The good calls have the
/// lowest bits. A ticket uses these bits for the call's place, because a ticket counts no calls.
mod layout {
    use super::Field;

    pub(super) const GOOD: Field = Field::lowest(7);
    pub(super) const BAD: Field = GOOD.then(7);
    pub(super) const SETTLES: Field = BAD.then(1);
    pub(super) const MANNER: Field = SETTLES.then(2);
    pub(super) const AT_CUT: Field = MANNER.then(4);
    pub(super) const SHARE: Field = AT_CUT.then(10);
    pub(super) const NUMBER: Field = SHARE.then(8);

    const _: () = assert!(NUMBER.end_bit() == super::Round::BITS);
    const _: () = assert!(SHARE.max() + 1 == super::Share::ALL.0 as u64);
}

/// A share of the calls, in 1,024ths. It is at least 1/1,024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u16);

impl Share {
    /// All calls.
    pub const ALL: Self = Self(1_024);

    /// The representable share that is nearest to `share`.
    #[must_use]
    pub fn nearest(share: f64) -> Self {
        // NaN becomes the smallest share.
        let units = whole((share * f64::from(Self::ALL.0)).round());
        u16::try_from(units).map_or(Self::ALL, |units| Self(units).clamp(Self(1), Self::ALL))
    }

    /// The share in 1,024ths.
    #[must_use]
    pub fn units(self) -> u64 {
        self.0.into()
    }

    /// The share as a number above 0.0, at most 1.0.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / f64::from(Self::ALL.0)
    }
}

/// How a ramp treats failures, and how fast it grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RampMode {
    /// So far, nothing speaks against a larger share.
    Fast,
    /// The load was too much once.
    Cautious,
    /// Calls fail, but the load isn't the reason.
    Tolerant,
    /// A fleet leads the ramp.
    #[cfg(feature = "fleet")]
    Ordered,
}

/// A round of a ramp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// The number of the round in its ramp, wrapping.
    pub number: u8,
    /// The share of the calls that is admitted.
    pub share: Share,
    /// The share that failed in the round before, in 15ths, if that round ended with a cut; else
    /// zero.
    pub at_cut: u8,
    /// How the ramp treats failures.
    pub mode: RampMode,
    /// Whether the backend must first recover from the load of the round before.
    pub settles: bool,
    /// Calls that failed or were too slow.
    pub bad: u8,
    /// Calls that succeeded.
    ///
    /// When one of the two counts is full, both are halved. So recent calls count more, and the
    /// proportion stays.
    pub good: u8,
}

impl Round {
    pub(super) const BITS: u32 = 39;

    /// The first round.
    #[must_use]
    pub fn first(share: Share, mode: RampMode) -> Self {
        Self {
            number: 0,
            share,
            at_cut: 0,
            mode,
            settles: false,
            bad: 0,
            good: 0,
        }
    }

    /// A round of a ramp that a fleet leads. A number beyond eight bits wraps.
    #[cfg(feature = "fleet")]
    #[must_use]
    pub fn ordered(number: u32, share: Share) -> Self {
        Self {
            number: number.to_le_bytes()[0],
            ..Self::first(share, RampMode::Ordered)
        }
    }

    /// Whether a fleet leads the ramp of this round.
    #[cfg(feature = "fleet")]
    #[must_use]
    pub fn is_ordered(self) -> bool {
        self.mode == RampMode::Ordered
    }

    /// This round without its counts, as tickets hold it.
    #[must_use]
    pub fn without_counts(self) -> Self {
        Self {
            bad: 0,
            good: 0,
            ..self
        }
    }

    /// This round with one more call.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "seven bits")]
    pub fn counting(self, is_good: bool) -> Self {
        const FULL: u8 = layout::GOOD.max() as u8;
        let shift = u8::from(self.good == FULL || self.bad == FULL);
        let (good, bad) = (self.good >> shift, self.bad >> shift);
        Self {
            good: good + u8::from(is_good),
            bad: bad + u8::from(!is_good),
            ..self
        }
    }

    /// How many calls were counted.
    #[must_use]
    pub fn calls(self) -> u32 {
        u32::from(self.good) + u32::from(self.bad)
    }

    /// The share of the counted calls that failed.
    #[must_use]
    pub fn failing(self) -> f64 {
        f64::from(self.bad) / f64::from(self.calls().max(1))
    }

    /// The round as the state word holds it.
    #[must_use]
    pub fn pack(self) -> PackedRound {
        let bits = layout::NUMBER.of(self.number.into())
            | layout::SHARE.of(self.share.units() - 1)
            | layout::AT_CUT.of(self.at_cut.into())
            | layout::MANNER.of(self.mode as u64)
            | layout::SETTLES.of(self.settles.into())
            | layout::BAD.of(self.bad.into())
            | layout::GOOD.of(self.good.into());
        PackedRound(bits)
    }
}

/// A round as the state word holds it.
///
/// It is unpacked only where it is needed. So reading a state that is no ramp costs nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedRound(pub(super) u64);

impl PackedRound {
    /// The unpacked round.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "the fields are as narrow")]
    pub fn unpack(self) -> Round {
        let bits = self.0;
        Round {
            number: layout::NUMBER.get(bits) as u8,
            share: Share(layout::SHARE.get(bits) as u16 + 1),
            at_cut: layout::AT_CUT.get(bits) as u8,
            mode: match layout::MANNER.get(bits) {
                0 => RampMode::Fast,
                1 => RampMode::Cautious,
                #[cfg(feature = "fleet")]
                3 => RampMode::Ordered,
                _ => RampMode::Tolerant,
            },
            settles: layout::SETTLES.get(bits) == 1,
            bad: layout::BAD.get(bits) as u8,
            good: layout::GOOD.get(bits) as u8,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn rounds() -> impl Strategy<Value = Round> {
        let modes = proptest::sample::select(vec![
            RampMode::Fast,
            RampMode::Cautious,
            RampMode::Tolerant,
            #[cfg(feature = "fleet")]
            RampMode::Ordered,
        ]);
        (
            any::<u8>(),
            1..=1_024_u16,
            0..16_u8,
            modes,
            any::<bool>(),
            0..128_u8,
            0..128_u8,
        )
            .prop_map(|(number, share, at_cut, mode, settles, bad, good)| Round {
                number,
                share: Share(share),
                at_cut,
                mode,
                settles,
                bad,
                good,
            })
    }

    proptest! {
        #[test]
        fn a_round_comes_back_as_it_was_packed(round in rounds()) {
            prop_assert_eq!(round.pack().unpack(), round);
            prop_assert!(round.pack().0 < 1 << Round::BITS);
        }

        #[test]
        fn a_ticket_holds_its_round_without_what_has_been_counted(round in rounds()) {
            let held = round.without_counts();
            prop_assert_eq!((held.good, held.bad), (0, 0));
            let counted = Round { good: round.good, bad: round.bad, ..held };
            prop_assert_eq!(counted, round);
        }

        #[test]
        fn a_share_is_the_nearest_and_never_nothing(share in -1.0..2.0_f64) {
            let nearest = Share::nearest(share);
            prop_assert!((1..=1_024).contains(&nearest.units()));
            prop_assert!((nearest.as_f64() - share.clamp(1.0 / 1_024.0, 1.0)).abs() <= 0.5 / 1_024.0);
        }
    }

    #[test]
    fn what_is_no_number_is_the_smallest_share() {
        assert_eq!(Share::nearest(f64::NAN).units(), 1);
    }

    #[test]
    fn counters_that_are_full_keep_their_proportion() {
        let mut round = Round::first(Share::ALL, RampMode::Fast);
        for call in 0..10_000 {
            round = round.counting(call % 4 != 0);
            if call > 100 {
                assert!(
                    (0.2..0.3).contains(&round.failing()),
                    "{round:?} after {call}"
                );
            }
        }
        assert!(round.calls() >= 64);
    }
}
