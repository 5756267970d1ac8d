//! The counts of an excursion: the calls since there was last no evidence, in one word.

use super::baseline::{Learnt, Logs};
use super::nats::{Nats, Outages, Outcomes, Surprise};
use crate::state::Generation;
use crate::sync::field::Field;

/// The fields of a packed `Excursion`.
///
/// ```text
///  63         53 52    46 45     37 36      28 27   19 18     10 9        0
/// +-------------+--------+---------+----------+-------+---------+----------+
/// |generation,11| run, 7 |failed, 9|succeeded,9|pairs,9|failed, 9|succeeded,10|
/// +-------------+--------+---------+----------+-------+---------+----------+
///                        |  against what is usual     | against what is tolerated
/// ```
///
/// *Run*: failures since the last success, counted one by one up to 64 and then in steps of 16.
/// *Pairs*: failures that came right after another failure. When a field is full, its half of the
/// word is halved. Halving only ever loses evidence.
mod layout {
    use super::Field;

    pub(super) const TOLERATED_SUCCEEDED: Field = Field::lowest(10);
    pub(super) const TOLERATED_FAILED: Field = TOLERATED_SUCCEEDED.then(9);
    pub(super) const PAIRS: Field = TOLERATED_FAILED.then(9);
    pub(super) const SUCCEEDED: Field = PAIRS.then(9);
    pub(super) const FAILED: Field = SUCCEEDED.then(9);
    pub(super) const RUN: Field = FAILED.then(7);
    pub(super) const GENERATION: Field = RUN.then(11);

    const _: () = assert!(GENERATION.end_bit() == 64);
}

/// The counts of an excursion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Excursion {
    /// Calls that failed, against what is usual.
    pub(super) failed: u32,
    /// Calls that succeeded, against what is usual.
    pub(super) succeeded: u32,
    /// Calls that failed right after another failure.
    pub(super) pairs: u32,
    /// Calls that failed since the last success, as the word counts them; see
    /// [`Excursion::run_length`].
    pub(super) run: u32,
    /// The calls against what is tolerated. They may begin at another call than the others.
    pub(super) tolerated: Outcomes,
}

/// The tolerated share of failures, against which outcomes are weighed in addition.
#[derive(Debug)]
pub(super) struct Tolerance {
    pub(super) surprise: Surprise,
    pub(super) outages: Outages,
}

impl Tolerance {
    /// The handicap of all shares but the smallest, in nats.
    pub(super) const HANDICAP: f64 = 0.5;

    /// Tolerates this share of failures.
    pub(super) fn of(tolerated: f64) -> Self {
        Self {
            surprise: Surprise::at(tolerated),
            outages: Outages::new(Self::outages(tolerated), Self::HANDICAP),
        }
    }

    /// The failure rates that are an outage where the share `tolerated` is no outage.
    pub(super) fn outages(tolerated: f64) -> [f64; 3] {
        let share = |of_the_rest: f64| tolerated + (1.0 - tolerated) * of_the_rest;
        [share(0.333), share(0.733), share(0.95)]
    }
}

/// Where a failure comes in an excursion.
#[cfg(feature = "fleet")]
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    AtStart,
    AfterSuccess,
    AfterFailure,
}

impl Excursion {
    fn full(field: Field) -> u32 {
        u32::try_from(field.max()).unwrap_or(u32::MAX)
    }

    /// The low bits of the generation's number.
    fn tag(generation: Generation) -> u64 {
        layout::GENERATION.get(layout::GENERATION.of(generation.number()))
    }

    pub(super) fn unpack(word: u64, generation: Generation) -> Self {
        if !Self::is_of(word, generation) {
            return Self::default();
        }
        // No field has more than ten bits.
        let get = |field: Field| u32::try_from(field.get(word)).unwrap_or(u32::MAX);
        Self {
            failed: get(layout::FAILED),
            succeeded: get(layout::SUCCEEDED),
            pairs: get(layout::PAIRS),
            run: get(layout::RUN),
            tolerated: Outcomes {
                failed: get(layout::TOLERATED_FAILED),
                succeeded: get(layout::TOLERATED_SUCCEEDED),
            },
        }
    }

    pub(super) fn pack(self, generation: Generation) -> u64 {
        let of = |field: Field, value: u32| field.of(u64::from(value));
        layout::GENERATION.of(Self::tag(generation))
            | of(layout::RUN, self.run)
            | of(layout::FAILED, self.failed)
            | of(layout::SUCCEEDED, self.succeeded)
            | of(layout::PAIRS, self.pairs)
            | of(layout::TOLERATED_FAILED, self.tolerated.failed)
            | of(layout::TOLERATED_SUCCEEDED, self.tolerated.succeeded)
    }

    /// The place of a failure of `generation` that is added to `word`.
    #[cfg(feature = "fleet")]
    pub(super) fn place_of_next_failure(word: u64, generation: Generation) -> Place {
        if !Self::is_of(word, generation) || layout::FAILED.get(word) == 0 {
            Place::AtStart
        } else if layout::RUN.get(word) == 0 {
            Place::AfterSuccess
        } else {
            Place::AfterFailure
        }
    }

    /// Whether the word belongs to `generation`.
    pub(super) fn is_of(word: u64, generation: Generation) -> bool {
        layout::GENERATION.get(word) == Self::tag(generation)
    }

    /// Returns the fields in the order in which they are saved.
    #[cfg(feature = "serde")]
    pub(super) fn save(self) -> [u32; 6] {
        [
            self.failed,
            self.succeeded,
            self.pairs,
            self.run,
            self.tolerated.failed,
            self.tolerated.succeeded,
        ]
    }

    #[cfg(feature = "serde")]
    pub(super) fn restore(saved: [u32; 6]) -> Self {
        Self {
            failed: saved[0],
            succeeded: saved[1],
            pairs: saved[2],
            run: saved[3],
            tolerated: Outcomes {
                failed: saved[4],
                succeeded: saved[5],
            },
        }
    }

    /// The largest value of each field, in the order in which they are saved.
    #[cfg(feature = "serde")]
    pub(super) const MOST: [u64; 6] = [
        layout::FAILED.max(),
        layout::SUCCEEDED.max(),
        layout::PAIRS.max(),
        layout::RUN.max(),
        layout::TOLERATED_FAILED.max(),
        layout::TOLERATED_SUCCEEDED.max(),
    ];

    /// The length up to which failures of a run are counted one by one.
    const EXACT_RUN: u32 = 64;
    /// Beyond `EXACT_RUN`, a run grows whenever the count of all failures is divisible by this.
    const RUN_STEP: u32 = 16;

    /// The run with one more failure, which is the `failed`th of the excursion.
    fn longer_run(run: u32, failed: u32) -> u32 {
        let counts = run < Self::EXACT_RUN || failed.is_multiple_of(Self::RUN_STEP);
        (run + u32::from(counts)).min(Self::full(layout::RUN))
    }

    /// A lower bound of the failures since the last success, up to 1,057.
    ///
    /// Where nearly all failures come right after another, each is little evidence. Only a run that
    /// is known to be long shows a total outage there.
    pub(super) fn run_length(self) -> u32 {
        match self.run.checked_sub(Self::EXACT_RUN + 1) {
            None => self.run,
            Some(steps) => Self::EXACT_RUN + steps * Self::RUN_STEP + 1,
        }
    }

    /// Whether a breaker can have counted these numbers.
    #[cfg(any(feature = "serde", test))]
    pub(super) fn is_possible(self) -> bool {
        let runs = self.failed.saturating_sub(self.pairs);
        let ended = runs.saturating_sub(u32::from(self.run > 0));
        let is_one_possible = |failed: u32, succeeded: u32| failed > 0 || succeeded == 0;
        is_one_possible(self.failed, self.succeeded)
            && is_one_possible(self.tolerated.failed, self.tolerated.succeeded)
            // The first failure of a run is of no pair.
            && self.pairs <= self.failed.saturating_sub(1)
            && self.run <= self.failed.min(self.tolerated.failed)
            // A success ended each earlier run.
            && ended <= self.succeeded
    }

    /// Whether there is no evidence.
    pub(super) fn is_over(self) -> bool {
        self.failed == 0 && self.tolerated.failed == 0
    }

    /// Counts one more failure.
    #[must_use]
    pub(super) fn failure(mut self) -> Self {
        let is_pair = u32::from(self.run > 0 && self.failed > 0);
        if self.failed == Self::full(layout::FAILED) {
            self = self.halved();
        }
        if self.tolerated.failed == Self::full(layout::TOLERATED_FAILED) {
            self.tolerated = self.tolerated.halved();
        }
        self.failed += 1;
        self.pairs += is_pair;
        self.run = Self::longer_run(self.run, self.failed);
        self.tolerated.failed += 1;
        self
    }

    /// Counts one more success. Counts without evidence left are dropped.
    #[must_use]
    pub(super) fn success(mut self, usual: &Expected<'_>, tolerance: Option<&Tolerance>) -> Self {
        if self.succeeded == Self::full(layout::SUCCEEDED) {
            self = self.halved();
        }
        if self.tolerated.succeeded == Self::full(layout::TOLERATED_SUCCEEDED) {
            self.tolerated = self.tolerated.halved();
        }
        self.run = 0;
        if self.failed > 0 {
            self.succeeded += 1;
            if usual.any(self) <= Nats::ZERO {
                (self.failed, self.succeeded, self.pairs) = (0, 0, 0);
            }
        }
        if self.tolerated.failed > 0 {
            self.tolerated.succeeded += 1;
            if tolerance.is_none_or(|tolerance| tolerance.least(self) <= Nats::ZERO) {
                self.tolerated = Outcomes::default();
            }
        }
        self
    }

    /// The lesson of this excursion once a success has ended it.
    pub(super) fn lesson(self) -> Learnt {
        let runs = self.failed.saturating_sub(self.pairs);
        let ended = runs.saturating_sub(u32::from(self.run > 0));
        let after_success = self.succeeded.saturating_sub(ended) + runs.saturating_sub(1);
        Learnt {
            calls: u64::from(self.failed + self.succeeded) + 1,
            failed: self.failed.into(),
            pairs: self.pairs.into(),
            starts: 1,
            // This includes the success that ends the excursion.
            inside: u64::from(after_success) + 1,
            conceded: false,
        }
    }

    /// The calls against what is usual.
    fn outcomes(self) -> Outcomes {
        Outcomes {
            failed: self.failed,
            succeeded: self.succeeded,
        }
    }

    /// What three outages come to: of 60 % of the calls, of 98 %, and of all of them.
    ///
    /// If failures usually follow one another, an outage with rare successes is less evidence than
    /// one of 60 %. The grid in `deafness.rs` shows which outages these three are enough for.
    fn of_outages() -> [Self; 3] {
        [
            Self::of_outage(60),
            Self::of_outage(98),
            Self::of_total_outage(),
        ]
    }

    /// What an outage comes to in which so many percent of the calls fail independently. The counts
    /// of failures are three quarters full, as they often are: a full count is halved.
    pub(super) fn of_outage(percent: u32) -> Self {
        let failed = Self::full(layout::FAILED) / 4 * 3;
        let succeeded = (failed * (100 - percent)).div_ceil(percent);
        Self {
            failed,
            succeeded,
            pairs: failed * percent / 100,
            run: 0,
            tolerated: Outcomes { failed, succeeded },
        }
    }

    /// What an outage in which all calls fail comes to: a run that is known to be as long as any.
    fn of_total_outage() -> Self {
        let failed = Self::full(layout::FAILED);
        let succeeded = 0;
        Self {
            failed,
            succeeded,
            pairs: failed - 1,
            run: Self::full(layout::RUN),
            tolerated: Outcomes { failed, succeeded },
        }
    }

    fn halved(mut self) -> Self {
        let halved = self.outcomes().halved();
        (self.failed, self.succeeded) = (halved.failed, halved.succeeded);
        // Rounded up, because a failure of a pair is less evidence. The first failure is of no pair.
        self.pairs = self.pairs.div_ceil(2).min(self.failed.saturating_sub(1));
        self
    }
}

/// The usual behaviour, against which outcomes are always weighed.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    pub(super) logs: Logs,
    pub(super) outages: &'a Outages,
}

impl Expected<'_> {
    /// How surprising these calls would be if nothing were wrong.
    fn surprise(&self, counted: Excursion) -> Nats {
        let logs = self.logs;
        let runs = counted.failed.saturating_sub(counted.pairs);
        // The first run started the excursion. A success ended each run except one that still goes
        // on.
        let again = runs.saturating_sub(1);
        let ended = runs.saturating_sub(u32::from(counted.run > 0));
        let others = counted.succeeded.saturating_sub(ended);
        let of =
            |surprise: Surprise, failed, succeeded| surprise.of(Outcomes { failed, succeeded });
        logs.start
            + of(logs.after_success, again, others)
            + of(logs.after_failure, counted.pairs, ended)
    }

    /// The evidence for any outage; see [`Outages::any`].
    fn any(&self, counted: Excursion) -> Nats {
        self.outages.any(self.surprise(counted), counted.outcomes())
    }

    /// The evidence against the usual behaviour.
    pub(super) fn evidence(&self, counted: Excursion) -> Nats {
        if counted.failed == 0 {
            return Nats::ZERO;
        }
        let usual = self.surprise(counted);
        let run = match counted.run {
            0 => Nats::ZERO,
            run => {
                // A run that holds all failures started the excursion. A run above `EXACT_RUN` is
                // counted short, so it is never taken for the start.
                let first = if counted.failed > run {
                    self.logs.after_success.failure
                } else {
                    self.logs.start
                };
                first + self.logs.after_failure.failure * (counted.run_length() - 1)
            }
        };
        self.outages.best(usual, counted.outcomes(), run)
    }

    /// The evidence that an outage is sure to come to: one of 60 % or 98 % of the calls, or a total
    /// one.
    ///
    /// A trip never takes more, whatever was learnt. Otherwise such an outage might not be seen.
    pub(super) fn most(&self) -> Nats {
        let [one, other, total] = Excursion::of_outages().map(|counted| self.evidence(counted));
        one.min(other).min(total)
    }
}

impl Tolerance {
    fn usual(&self, counted: Excursion) -> Nats {
        self.surprise.of(counted.tolerated)
    }

    fn least(&self, counted: Excursion) -> Nats {
        self.outages.least(self.usual(counted), counted.tolerated)
    }

    /// The evidence against the tolerated share.
    pub(super) fn evidence(&self, counted: Excursion) -> Nats {
        let run = self.surprise.failure * counted.run_length();
        self.outages
            .best(self.usual(counted), counted.tolerated, run)
    }

    /// The evidence that an outage is sure to come to; see [`Expected::most`].
    pub(super) fn most(&self) -> Nats {
        let [one, other, total] = Excursion::of_outages().map(|counted| self.evidence(counted));
        one.min(other).min(total)
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn generation(number: i32) -> Generation {
        (0..number).fold(Generation::FIRST, |generation, _| generation.next())
    }

    fn outages() -> Outages {
        Outages::new([0.3, 0.6, 0.95], 0.0)
    }

    fn tolerance(tolerated: f64) -> Tolerance {
        let share = |of_the_rest: f64| tolerated + (1.0 - tolerated) * of_the_rest;
        Tolerance {
            surprise: Surprise::at(tolerated),
            outages: Outages::new([share(0.333), share(0.733), share(0.95)], 0.5),
        }
    }

    /// Any counts that fit into the word.
    fn excursions() -> impl Strategy<Value = Excursion> {
        let most = |field| 0..=Excursion::full(field);
        (
            most(layout::FAILED),
            most(layout::SUCCEEDED),
            most(layout::PAIRS),
            most(layout::RUN),
            most(layout::TOLERATED_FAILED),
            most(layout::TOLERATED_SUCCEEDED),
        )
            .prop_map(
                |(failed, succeeded, pairs, run, tolerated_failed, tolerated_succeeded)| {
                    Excursion {
                        failed,
                        succeeded,
                        pairs,
                        run,
                        tolerated: Outcomes {
                            failed: tolerated_failed,
                            succeeded: tolerated_succeeded,
                        },
                    }
                },
            )
    }

    /// Counts with at least one field that is full.
    fn full_excursions() -> impl Strategy<Value = Excursion> {
        let failed = Excursion::full(layout::FAILED);
        let runs = prop_oneof![1..=3_u32, 1..=failed];
        (excursions(), runs, any::<bool>()).prop_map(move |(counted, runs, failed_is_full)| {
            let counted = if failed_is_full {
                Excursion {
                    failed,
                    tolerated: Outcomes {
                        failed,
                        ..counted.tolerated
                    },
                    ..counted
                }
            } else {
                Excursion {
                    succeeded: Excursion::full(layout::SUCCEEDED),
                    tolerated: Outcomes {
                        succeeded: Excursion::full(layout::TOLERATED_SUCCEEDED),
                        ..counted.tolerated
                    },
                    ..counted
                }
            };
            Excursion {
                pairs: counted.failed.saturating_sub(runs),
                run: counted.run.min(counted.failed),
                ..counted
            }
        })
    }

    fn shares() -> impl Strategy<Value = Logs> {
        let shares = (0.001..0.15_f64, 0.001..0.15_f64, 0.02..0.95_f64);
        shares.prop_map(|(start, inside, next)| Logs {
            start: Surprise::at(start).failure,
            after_success: Surprise::at(inside.max(start)),
            after_failure: Surprise::at(next.max(inside).max(start)),
        })
    }

    /// One call in a hundred fails, and one in four right after a failure.
    fn logs() -> Logs {
        Logs {
            start: Surprise::at(0.01).failure,
            after_success: Surprise::at(0.01),
            after_failure: Surprise::at(0.25),
        }
    }

    fn failures(calls: u32) -> Excursion {
        (0..calls).fold(Excursion::default(), |counted, _| counted.failure())
    }

    /// Page's test for a total outage, for which a failure weighs ln(1 / usual share).
    #[test]
    fn a_run_of_failures_weighs_as_many_times_what_one_does_less_the_handicap() {
        let tolerance = tolerance(0.25);
        let logs = logs();
        let outages = outages();
        let usual = Expected {
            logs,
            outages: &outages,
        };
        for run in 1..=64 {
            let counted = failures(run);
            let expected = f64::from(run) * 4_f64.ln() - 0.5;
            let found = tolerance.evidence(counted).get();
            assert!((found - expected).abs() < 0.001 * f64::from(run), "{run}");
            let expected = 100_f64.ln() + f64::from(run - 1) * 4_f64.ln();
            let found = usual.evidence(counted).get();
            assert!((found - expected).abs() < 0.001 * f64::from(run), "{run}");
        }
    }

    /// Fails when: a run stops growing where its field ends, or counts as longer than it is.
    #[test]
    fn a_long_run_is_known_to_be_long() {
        for before in 0..100 {
            let mut counted = Excursion {
                run: 0,
                ..failures(before)
            };
            for run in 1..=1_100_u32 {
                counted = counted.failure();
                let known = counted.run_length();
                let least = match run {
                    0..=64 => run,
                    _ => (run - 31).clamp(64, 1_057),
                };
                assert!((least..=run).contains(&known), "{known} of {run}");
                assert!(known <= 1_057);
            }
        }
    }

    /// Fails when: `success` leaves the run.
    #[test]
    fn a_success_ends_the_run_and_takes_evidence_away_until_none_is_left() {
        let (outages, tolerance) = (outages(), tolerance(0.25));
        let logs = logs();
        let usual = Expected {
            logs,
            outages: &outages,
        };
        let mut counted = failures(5);
        let mut before = usual.evidence(counted);
        let mut successes = 0;
        while counted.failed > 0 {
            counted = counted.success(&usual, Some(&tolerance));
            successes += 1;
            assert_eq!(counted.run, 0);
            let after = usual.evidence(counted);
            assert!(after < before, "{successes}");
            before = after;
        }
        assert_eq!(counted, Excursion::default());
        // Five failures, four of them right after another, and a success after a failure: against
        // 30 %.
        let evidence = (0.3_f64 / 0.01).recip().ln() + 4.0 * (0.3_f64 / 0.25).recip().ln();
        let first = (0.7_f64 / 0.75).ln();
        let each = (0.7_f64 / 0.99).ln();
        let expected = 1.0 + ((-evidence + first) / -each).ceil();
        assert!((f64::from(successes) - expected).abs() < 0.5, "{successes}");
    }

    #[test]
    fn only_a_failure_right_after_another_is_one_of_a_pair() {
        let (outages, tolerance) = (outages(), tolerance(0.25));
        let logs = logs();
        let usual = Expected {
            logs,
            outages: &outages,
        };
        let success = |counted: Excursion| counted.success(&usual, Some(&tolerance));
        let counted = success(failures(3)).failure().failure();
        assert_eq!((counted.failed, counted.pairs, counted.run), (5, 3, 2));
        let counted = success(counted).failure();
        assert_eq!((counted.failed, counted.pairs, counted.run), (6, 3, 1));
    }

    /// Fails when: all failures but those right after another surprise alike.
    #[test]
    fn a_failure_that_starts_an_excursion_surprises_more_than_one_in_it() {
        let outages = outages();
        let logs = Logs {
            start: Surprise::at(0.002).failure,
            after_success: Surprise::at(0.1),
            after_failure: Surprise::at(0.25),
        };
        let usual = Expected {
            logs,
            outages: &outages,
        };
        let counted = failures(1).success(&usual, None).failure();
        // One of 500 fails, then a call succeeds at a chance of three in four, then one of ten
        // fails. An outage of 60 % explains that better.
        let usual_nats = 500_f64.ln() + 0.75_f64.recip().ln() + 10_f64.ln();
        let expected = usual_nats + 2.0 * 0.6_f64.ln() + 0.4_f64.ln();
        let found = usual.evidence(counted).get();
        assert!((found - expected).abs() < 0.001, "{found}, not {expected}");
        // Then three more calls fail in a row. The first of them is inside of the excursion.
        let counted = (0..20).fold(counted, |counted, _| counted.success(&usual, None));
        let counted = counted.failure().failure().failure();
        assert_eq!((counted.failed, counted.run), (5, 3));
        let expected = 10_f64.ln() + 2.0 * 4_f64.ln();
        let found = usual.evidence(counted).get();
        assert!((found - expected).abs() < 0.001, "{found}, not {expected}");
    }

    #[test]
    fn a_lesson_tells_starts_pairs_and_calls_inside_apart() {
        let outages = outages();
        let usual = Expected {
            logs: logs(),
            outages: &outages,
        };
        let success = |counted: Excursion| counted.success(&usual, None);
        let mut expected = Learnt {
            calls: 4,
            failed: 3,
            pairs: 2,
            starts: 1,
            inside: 1,
            conceded: false,
        };
        assert_eq!(failures(3).lesson(), expected);
        // The success that would end it comes after another success. One before it did too.
        let counted = success(success(failures(3)));
        (expected.calls, expected.inside) = (6, 2);
        assert_eq!(counted.lesson(), expected);
        let counted = counted.failure();
        (expected.calls, expected.failed, expected.inside) = (7, 4, 3);
        assert_eq!(counted.lesson(), expected);
        let counted = success(counted.failure());
        (expected.calls, expected.failed, expected.pairs) = (9, 5, 3);
        assert_eq!(counted.lesson(), expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn a_word_gives_back_what_was_packed_and_nothing_to_another_generation(
            counted in excursions(), number in 0..300, others in 1..1 << 11,
        ) {
            let own = generation(number);
            let word = counted.pack(own);
            prop_assert!(Excursion::is_of(word, own));
            prop_assert_eq!(Excursion::unpack(word, own), counted);
            let other = generation(number + others);
            prop_assert!(!Excursion::is_of(word, other));
            prop_assert_eq!(Excursion::unpack(word, other), Excursion::default());
        }

        /// So nothing trips because a field was full. The weight of the first failure is not
        /// halved. Had that weight been enough, the breaker would have tripped on it.
        ///
        /// Fails when: `halved` leaves the successes, or halves the pairs alone.
        #[test]
        fn evidence_that_is_halved_for_one_more_outcome_is_less_than_if_there_were_room(
            counted in full_excursions(), logs in shares(), tolerated in 0.01..0.9_f64,
        ) {
            let outages = outages();
            let usual = Expected { logs, outages: &outages };
            let tolerance = tolerance(tolerated);
            let room_for_failure = Excursion {
                failed: counted.failed + 1,
                pairs: counted.pairs + u32::from(counted.run > 0),
                run: counted.run + 1,
                tolerated: Outcomes { failed: counted.tolerated.failed + 1, ..counted.tolerated },
                ..counted
            };
            let room_for_success = Excursion {
                succeeded: counted.succeeded + 1,
                run: 0,
                tolerated: Outcomes {
                    succeeded: counted.tolerated.succeeded + 1,
                    ..counted.tolerated
                },
                ..counted
            };
            let after_failure = counted.failure();
            let after_success = counted.success(&usual, Some(&tolerance));
            for (halved, room) in [
                (after_failure, room_for_failure),
                (after_success, room_for_success),
            ] {
                if counted.is_possible() && usual.any(counted) > Nats::ZERO {
                    let [halved, room, first] =
                        [halved, room, failures(1)].map(|counted| usual.evidence(counted));
                    prop_assert!(halved <= room.max(first), "{halved:?} > {room:?}");
                }
                if counted.tolerated.failed > 0 && tolerance.least(counted) > Nats::ZERO {
                    let [halved, room] = [halved, room].map(|counted| tolerance.evidence(counted));
                    prop_assert!(halved <= room.max(Nats::ZERO), "{halved:?} > {room:?}");
                }
            }
        }
    }

    /// Fails when: a configuration is accepted by which an outage would go unseen.
    #[test]
    fn an_outage_has_its_share_of_failures_one_after_another_by_chance() {
        for percent in [60, 98] {
            let it = Excursion::of_outage(percent);
            let part = |part: u32, whole: u32| 100.0 * f64::from(part) / f64::from(whole);
            let failed = part(it.failed, it.failed + it.succeeded);
            let pairs = part(it.pairs, it.failed);
            for found in [failed, pairs] {
                assert!(
                    (found - f64::from(percent)).abs() < 1.0,
                    "{percent}: {it:?}"
                );
            }
            let full = part(it.failed, Excursion::full(layout::FAILED));
            assert!((full - 75.0).abs() < 1.0, "{it:?}");
            assert_eq!(it.outcomes(), it.tolerated);
        }
    }

    #[test]
    fn the_worst_outage_is_one_run_that_is_as_long_as_any() {
        let it = Excursion::of_total_outage();
        assert_eq!(it.failed, Excursion::full(layout::FAILED));
        assert_eq!(it.run, Excursion::full(layout::RUN));
        assert_eq!((it.pairs, it.succeeded), (it.failed - 1, 0));
        assert_eq!(it.outcomes(), it.tolerated);
        let all = Excursion::of_outages();
        assert_eq!(all[2].failed, it.failed);
        assert_ne!(all[0].succeeded, all[1].succeeded);
    }
}
