//! What an isolation interrupts, packed into the payload of the state word.

use super::{Moment, Phase};
use crate::sync::field::Field;

/// ```text
///  38                                      3 2      0
/// +-----------------------------------------+--------+
/// |        end of the open time, 36         | phase,3|
/// +-----------------------------------------+--------+
/// ```
///
/// *Phase*: closed 0, metrics-only 1, disabled 2, half-open 3, open 4. The end counts for open. Its
/// unit is 2²³ ns, about 8.4 ms, rounded up. The exact end stands beside the state word.
mod layout {
    use super::Field;

    pub(super) const PHASE: Field = Field::lowest(3);
    pub(super) const END: Field = PHASE.then(36);
}

/// The phase that a breaker has when its isolation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted(u64);

impl Interrupted {
    /// The phase to come back to is closed.
    pub const CLOSED: Self = Self(0);

    /// How many bits there are.
    pub(super) const BITS: u32 = layout::END.end_bit();
    const UNIT_SHIFT: u32 = 23;

    /// The phase to come back to from `phase`.
    ///
    /// A breaker that is half-open comes back with all places for probes free. `None` if a command
    /// has forced it open or if it is isolated already: an isolation changes nothing then.
    #[must_use]
    pub fn of(phase: Phase) -> Option<Self> {
        let code = match phase {
            Phase::Closed => 0,
            Phase::MetricsOnly => 1,
            Phase::Disabled => 2,
            Phase::HalfOpen { .. } | Phase::Ramp(_) => 3,
            Phase::Open { until } => 4 | layout::END.of(Self::units(until)),
            Phase::ForcedOpen | Phase::Isolated(_) => return None,
        };
        Some(Self(code))
    }

    /// The phase to come back to. `exactly` is the end of an open time as it was last noted.
    #[must_use]
    pub(super) fn phase(self, noted: Moment) -> Phase {
        match layout::PHASE.get(self.0) {
            0 => Phase::Closed,
            1 => Phase::MetricsOnly,
            2 => Phase::Disabled,
            3 => Phase::PROBING,
            // Only `of` makes these words, and it writes no code above 4.
            _ => {
                let units = layout::END.get(self.0);
                // An end that was noted for another opening is less than a unit earlier.
                let until = if Self::units(noted) == units {
                    noted
                } else if units == layout::END.max() {
                    Moment::at(u64::MAX)
                } else {
                    Moment::at(units << Self::UNIT_SHIFT)
                };
                Phase::Open { until }
            }
        }
    }

    /// Whether the breaker was open or half-open.
    #[must_use]
    pub fn is_open(self) -> bool {
        layout::PHASE.get(self.0) >= 3
    }

    /// The last units stand for the end of the range, which is not a whole number of them.
    fn units(moment: Moment) -> u64 {
        let units = moment.nanos().div_ceil(1 << Self::UNIT_SHIFT);
        units.min(layout::END.max())
    }

    pub(super) fn bits(self) -> u64 {
        self.0
    }

    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::state::{Generation, StateWord};
    use proptest::prelude::*;

    pub(crate) fn phases() -> impl Strategy<Value = Phase> {
        prop_oneof![
            Just(Phase::Closed),
            Just(Phase::MetricsOnly),
            Just(Phase::Disabled),
            Just(Phase::PROBING),
            any::<u64>().prop_map(|nanos| Phase::Open {
                until: Moment::at(nanos)
            }),
            (u64::MAX - 10_000_000..=u64::MAX)
                .prop_map(|less| Moment::LAST_NANOS.saturating_sub(u64::MAX - less))
                .prop_map(|nanos| Phase::Open {
                    until: Moment::at(nanos)
                }),
        ]
    }

    proptest! {
        #[test]
        fn an_interrupted_phase_comes_back(phase in phases(), other: u64) {
            let interrupted = Interrupted::of(phase).unwrap();
            let Phase::Open { until } = phase else {
                prop_assert_eq!(interrupted.phase(Moment::at(other)), phase);
                return Ok(());
            };
            prop_assert_eq!(interrupted.phase(until), phase);
            // The word shows the end rounded up, whatever was noted beside it.
            let shown = StateWord::new(Generation::FIRST, phase).phase();
            let shown = Interrupted::of(shown).unwrap();
            prop_assert_eq!(shown, interrupted);
            let Phase::Open { until: rounded } = interrupted.phase(Moment::at(other)) else {
                panic!("it was open");
            };
            // The last unit is almost twice as long.
            prop_assert!(rounded.nanos().abs_diff(until.nanos()) < 1 << 24);
            if Interrupted::of(Phase::Open { until: Moment::at(other) }) != Some(interrupted) {
                prop_assert!(rounded >= until);
            }
        }
    }

    /// Fails when: an isolated breaker holds a place among those that may be open though it was
    /// closed, or gives its place away though it was open or half-open.
    #[test]
    fn what_was_open_or_half_open_stays_so_while_isolated() {
        let open = Phase::Open {
            until: Moment::at(7),
        };
        for phase in [
            Phase::Closed,
            Phase::MetricsOnly,
            Phase::Disabled,
            Phase::PROBING,
            open,
        ] {
            let isolated = Interrupted::of(phase).map(Phase::Isolated);
            assert_eq!(
                isolated.map(Phase::is_open),
                Some(phase.is_open()),
                "{phase:?}"
            );
        }
    }

    #[test]
    fn what_is_forced_open_is_not_interrupted() {
        let isolated = Interrupted::of(Phase::Closed).map(Phase::Isolated);
        assert_eq!(Interrupted::of(Phase::ForcedOpen), None);
        assert_eq!(isolated.and_then(Interrupted::of), None);
    }
}
