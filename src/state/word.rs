//! The state word as a value: phase, generation, and a payload that depends on the phase.

use super::{Interrupted, PackedRound, Round, State};
use crate::sync::field::Field;

/// ```text
///  63                        25    24   23           3 2     0
/// +----------------------------+-------+--------------+-------+
/// |        payload, 39         |timed,1| generation,21| phase,3|
/// +----------------------------+-------+--------------+-------+
///  Open                 the moment it ends, 39
///  HalfOpen             in flight, 8 | succeeded, 8 | slow, 8 | failed, 8 | admitted, 7, wrapping
///  Ramp                 a round, 39: see `round.rs`
///  Isolated             what it interrupts, 39: see `interrupted.rs`
///  Closed, MetricsOnly  notes, 3, highest
///                       in a ticket: where the call is watched, 7, lowest; its weight, 3
///  HalfOpen, Ramp       in a ticket: where its thread lists the call, 7, lowest; see `nested.rs`
///  others               unused
/// ```
///
/// *Timed*: whether the breaker times calls, or has another window than it was built with. Such
/// calls take a longer path. The flag stays from word to word. So the load at the beginning of a
/// call tells the call everything that it must know.
///
/// The word holds the generation's low 21 bits. A permit and a window's words compare them only for
/// equality, never for order. So wrapping is harmless, unless a permit is held through an exact
/// multiple of 2,097,152 state changes.
mod layout {
    use super::Field;

    pub(super) const KIND: Field = Field::lowest(3);
    pub(super) const GENERATION: Field = KIND.then(super::Generation::BITS);
    pub(super) const TIMED: Field = GENERATION.then(1);
    pub(super) const OPEN_UNTIL: Field = TIMED.then(39);
    pub(super) const ROUND: Field = TIMED.then(super::Round::BITS);
    pub(super) const INTERRUPTED: Field = TIMED.then(super::Interrupted::BITS);
    pub(super) const IN_FLIGHT: Field = TIMED.then(8);
    pub(super) const SUCCEEDED: Field = IN_FLIGHT.then(8);
    pub(super) const SLOW: Field = SUCCEEDED.then(8);
    pub(super) const FAILED: Field = SLOW.then(8);
    pub(super) const ADMITTED: Field = FAILED.then(7);
    pub(super) const WATCH: Field = TIMED.then(7);
    pub(super) const WEIGHT: Field = WATCH.then(3);
    const UNUSED: Field = WEIGHT.then(26);
    pub(super) const NOTES: Field = UNUSED.then(3);

    /// The bits that decide which path a call takes.
    pub(super) const PATH: u64 = KIND.of(u64::MAX) | TIMED.of(1) | WATCH.of(u64::MAX);

    const _: () = assert!(OPEN_UNTIL.end_bit() == 64);
    const _: () = assert!(ROUND.end_bit() == 64);
    const _: () = assert!(INTERRUPTED.end_bit() == 64);
    const _: () = assert!(ADMITTED.end_bit() == 64);
    const _: () = assert!(NOTES.end_bit() == 64);
    const _: () = assert!(IN_FLIGHT.max() == super::Phase::MAX_PROBES as u64);
}

/// A moment in nanoseconds since the clock's origin.
///
/// The state word shows it in units of 2²⁰ ns, about 1.05 ms, rounded up. 39 bits of such units
/// last 18 years. The exact moment stands beside the word; see [`AtomicState`](super::AtomicState).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub(super) u64);

impl Moment {
    const UNIT_SHIFT: u32 = 20;
    const LAST: u64 = layout::OPEN_UNTIL.max();

    const _FIFTEEN_YEARS_FIT: () =
        assert!((Self::LAST as u128) << Self::UNIT_SHIFT > 15 * 365 * 86_400 * 1_000_000_000_u128);

    /// The last moment, in nanoseconds.
    pub(crate) const LAST_NANOS: u64 = Self::LAST << Self::UNIT_SHIFT;

    /// The moment `nanos` nanoseconds after the clock's origin, at most the end of the range.
    #[must_use]
    pub fn at(nanos: u64) -> Self {
        Self(nanos.min(Self::LAST_NANOS))
    }

    /// Nanoseconds since the clock's origin.
    #[must_use]
    pub fn nanos(self) -> u64 {
        self.0
    }

    fn of_units(units: u64) -> Self {
        Self(units << Self::UNIT_SHIFT)
    }

    fn units(self) -> u64 {
        self.0.div_ceil(1 << Self::UNIT_SHIFT)
    }

    /// Whether `shown`, which is rounded, is what the word shows of this moment.
    #[inline]
    pub(super) fn is_shown_as(self, shown: Self) -> bool {
        shown.0.wrapping_sub(self.0) < 1 << Self::UNIT_SHIFT
    }
}

/// The low 21 bits of a generation's number, as packed words carry them.
///
/// The bits are rotated: the low 11 bits, which change with every generation, are the upper ones. A
/// word with room for 11 bits takes the upper bits of the field unchanged (see `window/place.rs`).
/// A word with room for all 21 bits compares the whole field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Generation(u64);

impl Generation {
    /// How many bits there are. The lowest `FAST_BITS` ones are uppermost.
    pub(crate) const BITS: u32 = 21;
    pub(crate) const FAST_BITS: u32 = 11;
    const SLOW_BITS: u32 = Self::BITS - Self::FAST_BITS;
    const MASK: u64 = layout::GENERATION.max();

    /// The generation that a breaker starts in.
    pub const FIRST: Self = Self(0);

    /// The generation of this number.
    pub(crate) fn of_number(number: u64) -> Self {
        let number = number & Self::MASK;
        Self(layout::GENERATION.of(number << Self::SLOW_BITS | number >> Self::FAST_BITS))
    }

    /// The generation after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self::of_number(self.number() + 1)
    }

    /// The low 21 bits of the number.
    #[must_use]
    pub fn number(self) -> u64 {
        (self.bits() >> Self::SLOW_BITS | self.bits() << Self::FAST_BITS) & Self::MASK
    }

    /// The bits where they stand in the word, for equality only.
    #[inline]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the field ends below bit 32"
    )]
    pub(crate) fn in_place(self) -> u32 {
        const { assert!(layout::GENERATION.end_bit() <= 32) };
        self.0 as u32
    }

    /// The bits in the order of the word, for equality only.
    #[must_use]
    #[inline]
    pub fn bits(self) -> u64 {
        layout::GENERATION.get(self.0)
    }

    /// Whether this generation stands in `field` of another word. The field has the same width.
    #[inline]
    pub(crate) fn stands_in(self, word: u64, field: Field) -> bool {
        let shift = field.first_bit() - layout::GENERATION.first_bit();
        (word >> shift) & layout::GENERATION.of(u64::MAX) == self.0
    }

    /// The generation in `field` of another word. The field has the same width.
    pub(crate) fn standing_in(word: u64, field: Field) -> Self {
        Self(layout::GENERATION.of(field.get(word)))
    }

    /// Whether this generation is later than `other`, at most a million state changes apart.
    #[must_use]
    pub fn is_after(self, other: Self) -> bool {
        let ahead = self.number().wrapping_sub(other.number()) & Self::MASK;
        ahead > 0 && ahead <= Self::MASK / 2
    }

    /// The full number of this generation.
    ///
    /// `near` is the full number of a generation that is at most a million state changes away.
    #[must_use]
    pub fn full_number(self, near: u64) -> u64 {
        let modulus = Self::MASK + 1;
        let ahead = self.number().wrapping_sub(near) & Self::MASK;
        if ahead <= modulus / 2 {
            near + ahead
        } else {
            (near + ahead).saturating_sub(modulus)
        }
    }
}

/// The probes of a half-open generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProbeCounts {
    /// Probes that were admitted and have not reported.
    pub in_flight: u32,
    /// Probes that have reported a success in time.
    pub succeeded: u32,
    /// Probes that have reported a late success, if some may.
    pub slow: u32,
    /// Probes that have reported a failure, if some may fail.
    pub failed: u32,
    /// Probes admitted since the generation began, wrapping.
    ///
    /// A place that was given back and taken again leaves the other counts as they were. This count
    /// differs, which tells a thread that is about to take back an expired place (see
    /// `AtomicState::admit`).
    pub admitted: u8,
}

impl ProbeCounts {
    /// The places that are taken: a probe keeps its place after its report.
    pub(super) fn taken(self) -> u32 {
        self.in_flight + self.succeeded + self.slow + self.failed
    }
}

/// The state together with its payload in the state word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// See [`State::Closed`].
    Closed,
    /// See [`State::Open`].
    Open {
        /// When the first probe may go. From a word, it is rounded up.
        until: Moment,
    },
    /// See [`State::HalfOpen`].
    HalfOpen(ProbeCounts),
    /// Half-open, and a share of the calls is admitted; see `recovery/`.
    Ramp(PackedRound),
    /// Forced open by hand; see [`State::ForcedOpen`].
    ForcedOpen,
    /// Forced open by a control group until its release; see [`State::ForcedOpen`].
    Isolated(Interrupted),
    /// See [`State::Disabled`].
    Disabled,
    /// See [`State::MetricsOnly`].
    MetricsOnly,
}

impl Phase {
    /// Half-open, with no probes so far.
    pub const PROBING: Self = Self::HalfOpen(ProbeCounts {
        in_flight: 0,
        succeeded: 0,
        slow: 0,
        failed: 0,
        admitted: 0,
    });

    /// The most probes that the word can count.
    pub const MAX_PROBES: u32 = 255;

    /// Whether the breaker is open or half-open, or comes back to that after its isolation.
    #[must_use]
    pub fn is_open(self) -> bool {
        match self {
            Self::Open { .. } | Self::HalfOpen { .. } | Self::Ramp(_) => true,
            Self::Isolated(interrupted) => interrupted.is_open(),
            Self::Closed | Self::ForcedOpen | Self::Disabled | Self::MetricsOnly => false,
        }
    }

    /// The state without its payload.
    #[must_use]
    pub fn state(self) -> State {
        match self {
            Self::Closed => State::Closed,
            Self::Open { .. } => State::Open,
            Self::HalfOpen(_) | Self::Ramp(_) => State::HalfOpen,
            Self::ForcedOpen | Self::Isolated(_) => State::ForcedOpen,
            Self::Disabled => State::Disabled,
            Self::MetricsOnly => State::MetricsOnly,
        }
    }
}

/// A kind of judgement, which has a note of its own in the state word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// By the window's counts and the run of failures.
    Counts = 1,
    /// By evidence.
    Evidence = 2,
    /// By the window's percentiles.
    Percentiles = 4,
}

/// The packed state of a breaker.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StateWord(pub(super) u64);

impl StateWord {
    /// Packs a state.
    #[must_use]
    pub fn new(generation: Generation, phase: Phase) -> Self {
        let (code, payload) = match phase {
            Phase::Closed => (0, 0),
            Phase::MetricsOnly => (1, 0),
            Phase::Open { until } => (2, layout::OPEN_UNTIL.of(until.units())),
            Phase::HalfOpen(probes) => {
                debug_assert!(probes.taken() <= Phase::MAX_PROBES);
                let in_flight = layout::IN_FLIGHT.of(probes.in_flight.into());
                let succeeded = layout::SUCCEEDED.of(probes.succeeded.into());
                let slow = layout::SLOW.of(probes.slow.into());
                let failed = layout::FAILED.of(probes.failed.into());
                let admitted = layout::ADMITTED.of(probes.admitted.into());
                (3, in_flight | succeeded | slow | failed | admitted)
            }
            Phase::Ramp(round) => (4, layout::ROUND.of(round.0)),
            Phase::ForcedOpen => (5, 0),
            Phase::Disabled => (6, 0),
            Phase::Isolated(interrupted) => (7, layout::INTERRUPTED.of(interrupted.bits())),
        };
        Self(layout::KIND.of(code) | generation.0 | payload)
    }

    /// The generation that this state belongs to.
    #[must_use]
    #[inline]
    pub fn generation(self) -> Generation {
        Generation(self.0 & layout::GENERATION.of(u64::MAX))
    }

    /// Whether the state is closed or metrics only.
    #[inline]
    pub(crate) fn lets_through_and_records(self) -> bool {
        layout::KIND.get(self.0) <= 1
    }

    /// Whether the state is closed or metrics-only and calls aren't timed.
    #[inline]
    pub(crate) fn lets_through_untimed(self) -> bool {
        self.0 & layout::PATH <= 1
    }

    /// Whether the state is closed or metrics-only and calls are timed.
    ///
    /// False for a ticket whose call is watched.
    #[inline]
    pub(crate) fn lets_through_timed(self) -> bool {
        (self.0 & layout::PATH).wrapping_sub(layout::TIMED.of(1)) <= 1
    }

    /// Whether the state is closed and no judgement has a note.
    #[inline]
    pub(crate) fn is_closed_without_notes(self) -> bool {
        self.0 & (layout::KIND.of(u64::MAX) | layout::NOTES.of(u64::MAX)) == 0
    }

    /// Whether a judgement has a note, in a word that is closed or metrics-only.
    #[must_use]
    pub fn has_notes(self) -> bool {
        layout::NOTES.get(self.0) != 0
    }

    /// Whether this judgement has a note, in a word that is closed or metrics-only.
    #[must_use]
    #[inline]
    pub fn has_note(self, judgement: Judgement) -> bool {
        layout::NOTES.get(self.0) & judgement as u64 != 0
    }

    /// This word, with a note of the judgement.
    #[must_use]
    pub fn noted(self, judgement: Judgement) -> Self {
        Self(self.0 | layout::NOTES.of(judgement as u64))
    }

    /// This word, without a note of the judgement.
    #[must_use]
    pub fn without_note(self, judgement: Judgement) -> Self {
        Self(self.0 & !layout::NOTES.of(judgement as u64))
    }

    /// Whether calls are timed.
    #[must_use]
    #[inline]
    pub fn is_timed(self) -> bool {
        layout::TIMED.get(self.0) == 1
    }

    /// This word, for a breaker that times calls if `is_timed`.
    #[must_use]
    pub fn timed(self, is_timed: bool) -> Self {
        Self(self.0 & !layout::TIMED.of(1) | layout::TIMED.of(u64::from(is_timed)))
    }

    /// A ticket of this word for a call that is watched at `place`.
    pub(crate) fn watched_at(self, place: u32) -> Self {
        Self(self.0 | layout::WATCH.of(u64::from(place) + 1))
    }

    /// The word of such a ticket without its place, and the place if there is one.
    #[allow(clippy::cast_possible_truncation, reason = "seven bits")]
    pub(crate) fn without_watch(self) -> (Self, Option<u32>) {
        let unwatched = Self(self.0 & !layout::WATCH.of(u64::MAX));
        let place = (layout::WATCH.get(self.0) as u32).checked_sub(1);
        (unwatched, place)
    }

    /// A ticket of this word for a timed call that stands for 2^`weight` calls, `weight` up to 7.
    /// The word is closed or metrics-only and has no weight.
    #[inline]
    pub(crate) fn weighing(self, weight: u32) -> Self {
        Self(self.0 | layout::WEIGHT.of(u64::from(weight)))
    }

    /// The weight in such a ticket.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "three bits")]
    pub(crate) fn weight(self) -> u32 {
        layout::WEIGHT.get(self.0) as u32
    }

    /// The state and its payload.
    #[must_use]
    #[inline]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the fields have 10 and 9 bits"
    )]
    pub fn phase(self) -> Phase {
        match layout::KIND.get(self.0) {
            0 => Phase::Closed,
            1 => Phase::MetricsOnly,
            2 => Phase::Open {
                until: Moment::of_units(layout::OPEN_UNTIL.get(self.0)),
            },
            3 => Phase::HalfOpen(ProbeCounts {
                in_flight: layout::IN_FLIGHT.get(self.0) as u32,
                succeeded: layout::SUCCEEDED.get(self.0) as u32,
                slow: layout::SLOW.get(self.0) as u32,
                failed: layout::FAILED.get(self.0) as u32,
                admitted: layout::ADMITTED.get(self.0) as u8,
            }),
            4 => Phase::Ramp(PackedRound(layout::ROUND.get(self.0))),
            5 => Phase::ForcedOpen,
            6 => Phase::Disabled,
            // The field has three bits.
            _ => Phase::Isolated(Interrupted::from_bits(layout::INTERRUPTED.get(self.0))),
        }
    }
}

impl std::fmt::Debug for StateWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateWord")
            .field("generation", &self.generation().number())
            .field("kind", &self.phase())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Moment {
        /// The moment as the word shows it.
        fn rounded(self) -> Self {
            Self::of_units(self.units())
        }
    }

    fn kinds() -> impl Strategy<Value = Phase> {
        prop_oneof![
            Just(Phase::Closed),
            any::<u64>().prop_map(|nanos| Phase::Open {
                until: Moment::at(nanos).rounded()
            }),
            ([0..=63_u32, 0..=63, 0..=63, 0..=63], 0..1_u8 << 7).prop_map(
                |([in_flight, succeeded, slow, failed], admitted)| Phase::HalfOpen(ProbeCounts {
                    in_flight,
                    succeeded,
                    slow,
                    failed,
                    admitted,
                })
            ),
            crate::state::round_tests::rounds().prop_map(|round| Phase::Ramp(round.pack())),
            Just(Phase::ForcedOpen),
            Just(Phase::Disabled),
            Just(Phase::MetricsOnly),
            crate::state::interrupted_tests::phases()
                .prop_filter_map("can't be interrupted", Interrupted::of)
                .prop_map(Phase::Isolated),
        ]
    }

    proptest! {
        #[test]
        fn a_word_gives_back_what_was_packed(
            phase in kinds(), changes in 0..5_u32, near: u64, is_timed: bool, place in 0..127_u32,
        ) {
            let mut generation = Generation::of_number(near);
            for _ in 0..changes {
                generation = generation.next();
            }
            let word = StateWord::new(generation, phase).timed(is_timed);
            prop_assert_eq!(word.is_timed(), is_timed);
            prop_assert_eq!(word.timed(false), StateWord::new(generation, phase));
            prop_assert_eq!(word.generation(), generation);
            prop_assert_eq!(word.phase(), phase);
            let recorded = matches!(phase, Phase::Closed | Phase::MetricsOnly);
            prop_assert_eq!(word.lets_through_untimed(), recorded && !is_timed);
            prop_assert_eq!(word.lets_through_timed(), recorded && is_timed);
            if recorded {
                let ticket = word.watched_at(place);
                prop_assert!(!ticket.lets_through_untimed() && !ticket.lets_through_timed());
                prop_assert_eq!(ticket.phase(), phase);
                prop_assert_eq!(ticket.without_watch(), (word, Some(place)));
                prop_assert_eq!(word.without_watch(), (word, None));
            }
        }

        #[test]
        fn a_word_shows_a_moment_at_most_a_unit_late_and_no_other_than_its_own(
            nanos in 0..u64::MAX / 64, other in 0..4_u64 << Moment::UNIT_SHIFT,
        ) {
            let moment = Moment::at(nanos);
            let shown = moment.rounded();
            prop_assert!(shown >= moment);
            prop_assert!(shown.nanos() - nanos < 1 << Moment::UNIT_SHIFT);
            for other in [nanos, nanos.saturating_sub(other), nanos + other].map(Moment::at) {
                prop_assert_eq!(other.is_shown_as(shown), other.rounded() == shown);
            }
        }

        #[test]
        fn the_full_number_is_found_from_one_nearby(full in 0..u64::MAX / 2, drift in -1_000_000_i64..1_000_000) {
            let near = full.saturating_add_signed(drift);
            let low = Generation::of_number(full);
            prop_assert_eq!(low.number(), full % (1 << Generation::BITS));
            prop_assert_eq!(low.full_number(near), full);
        }
    }

    #[test]
    fn a_moment_beyond_the_range_is_its_end() {
        let last = Moment::at(u64::MAX);
        assert_eq!(last.units(), Moment::LAST);
        assert_eq!(last.rounded(), last);
    }

    proptest! {
        #[test]
        fn of_two_generations_the_later_one_is_after_the_other(full: u64, ahead in 1..1_000_000_u64) {
            let (first, second) = (full, full.wrapping_add(ahead));
            let (first, second) = (Generation::of_number(first), Generation::of_number(second));
            prop_assert!(second.is_after(first));
            prop_assert!(!first.is_after(second) && !first.is_after(first));
        }
    }

    #[test]
    fn the_generation_after_the_last_is_the_first() {
        let last = Generation::of_number(Generation::MASK);
        assert_eq!(last.next(), Generation::FIRST);
        assert_eq!(last.next().full_number(Generation::MASK), 1 << 21);
    }
}
