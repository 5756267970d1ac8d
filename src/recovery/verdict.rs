//! How a ramp judges a round: a sequential test.

use super::clients::Clients;
use crate::state::{RampMode, Round, Share};
use crate::util::number::whole;
use crate::window::rate;

/// The acceptable share of failures where no setting names one.
pub(crate) const ACCEPTABLE: f64 = 0.25;

/// The verdict on a round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// The round goes on.
    Undecided,
    /// Another round begins.
    Next(Round),
    /// Another round begins, because too many calls fail.
    Cut(Round),
    /// All of the traffic is back.
    Back,
    /// The dependency can't bear even a little traffic.
    Failed,
}

/// The weight of an outcome, in nats.
///
/// It says how much likelier the outcome is if too many calls fail than if an acceptable share
/// does.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Weight {
    bad: f64,
    good: f64,
}

impl Weight {
    fn new(acceptable: f64, too_many: f64) -> Self {
        Self {
            bad: (too_many / acceptable).ln(),
            good: ((1.0 - too_many) / (1.0 - acceptable)).ln(),
        }
    }

    fn sum(self, round: Round) -> f64 {
        f64::from(round.bad) * self.bad + f64::from(round.good) * self.good
    }
}

/// A test against somewhat too many failures, and against nearly all calls failing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Test {
    more: Weight,
    nearly_all: Weight,
    /// The evidence that rounds come to, if so many calls fail that the ramp must not go on.
    most: f64,
}

impl Test {
    pub(super) fn new(acceptable: f64, more: f64) -> Self {
        let mut test = Self {
            more: Weight::new(acceptable, more),
            nearly_all: Weight::new(acceptable, f64::midpoint(1.0, more)),
            most: 0.0,
        };
        let [sixty_percent, all] = Self::OUTAGES.map(|(bad, good)| test.nats(bad, good));
        let full = if sixty_percent > 0.0 {
            sixty_percent.min(all)
        } else {
            all
        };
        test.most = Self::SURELY * full;
        test
    }

    /// The failed and the other calls of a full round, if 60 % of the calls fail and if all do. A
    /// round counts up to 127 of each, and is then halved.
    const OUTAGES: [(f64, f64); 2] = [(127.0, 85.0), (127.0, 0.0)];
    /// Each outage comes to this part of a full round's evidence, whatever the order of its calls.
    const SURELY: f64 = 0.75;

    fn nats(&self, bad: f64, good: f64) -> f64 {
        let sum = |weight: Weight| bad * weight.bad + good * weight.good;
        sum(self.more).max(sum(self.nearly_all))
    }

    /// Whether too many calls of the round fail. `dispersion` multiplies the evidence that this
    /// takes, up to what an outage comes to.
    pub(super) fn finds_too_many(&self, round: Round, dispersion: f64) -> bool {
        let taken = (Rules::EVIDENCE * dispersion).min(self.most);
        self.nats(round.bad.into(), round.good.into()) >= taken.max(Rules::EVIDENCE)
    }
}

/// The rules of an adaptive ramp.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rules {
    /// The test while the load may cause the failures: nearly none against a quarter more.
    strict: Test,
    /// The test when the load doesn't cause the failures: the acceptable share against more.
    lenient: Test,
    /// The share of failing calls of a long ramp with which it is over: usually, and while more
    /// than the acceptable share is tolerated.
    accepted: [f64; 2],
    /// The lenient test while more than the acceptable share is tolerated.
    more_lenient: Test,
}

/// How fast calls come, and how long a round is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// The mean time between two calls that ask, in nanoseconds.
    pub(super) spacing: u64,
    /// The length of a round, in nanoseconds.
    pub(super) round: u64,
    /// How many times as much evidence as for independent failures it takes to judge a round.
    pub(super) dispersion: f64,
    /// The clients that may each make a ramp at once.
    pub(super) clients: Clients,
    /// Whether more than the acceptable share is tolerated.
    pub(super) tolerates_more: bool,
}

impl Pace {
    /// The calls per second that the ramps of all clients admit at first, unless `FIRST_SHARE`
    /// admits more.
    const FIRST_RATE: f64 = 30.0;
    const FIRST_SHARE: f64 = 0.0625;
    /// A cut may go down to this part of the first share.
    const BELOW_FIRST: f64 = 0.25;

    /// The share with which a ramp begins, multiplied by `factor`.
    fn first(self, factor: f64) -> Share {
        let by_rate = self.clients.first_rate(Self::FIRST_RATE) * rate(self.spacing, 1) / 1e9;
        Share::nearest(by_rate.max(Self::FIRST_SHARE) * factor)
    }

    /// The smallest share that a cut leaves.
    pub(super) fn smallest(self) -> Share {
        self.first(Self::BELOW_FIRST)
    }

    /// The shortest time that a round lasts, in nanoseconds.
    ///
    /// A round in which the dependency settles lasts two lengths longer, so that the load before it
    /// doesn't count. A round with all calls also lasts longer.
    pub(super) fn least(self, round: Round) -> u64 {
        let all = match (round.share, round.mode) {
            (Share::ALL, RampMode::Tolerant) => self.round * 2,
            (Share::ALL, _) => self.round / 2,
            _ => 0,
        };
        self.round + self.settling(round) + all
    }

    /// How long after a round's beginning a call must begin to count, in nanoseconds.
    pub(super) fn settling(self, round: Round) -> u64 {
        if round.settles { 2 * self.round } else { 0 }
    }

    /// The number of successive good calls that make a round clean: half of those that it should
    /// have.
    fn needed(self, round: Round) -> f64 {
        let calls = rate(self.round, self.spacing.max(1)) * round.share.as_f64();
        let few = if round.at_cut > 0 { 5.0 } else { 1.0 };
        (calls / 2.0).clamp(few, 8.0)
    }
}

impl Rules {
    /// The evidence that a verdict against a round takes, in nats.
    ///
    /// At most one of ninety acceptable rounds is taken for a bad one (Wald 1945, "Sequential Tests
    /// of Statistical Hypotheses").
    const EVIDENCE: f64 = 4.5;
    /// The part of the load it has borne that the dependency gets after a cut.
    const AFTER_CUT: f64 = 0.85;
    const DEEPEST_CUT: f64 = 0.25;
    const BOLD_GROWTH: f64 = 4.0;
    const CAREFUL_GROWTH: f64 = 1.25;
    const LENIENT_GROWTH: f64 = 4.0;
    /// If this part of the failing share is still there after a cut, the load isn't its cause.
    const STAYS: f64 = 0.4;
    /// The failing share from which nearly all calls fail, if the round has `SURE` calls.
    const NEARLY_ALL: f64 = 0.8;
    const SURE: u32 = 4;
    /// A first share up to this size can't be too much load.
    const TRICKLE: f64 = 0.2;
    const CUT_SCALE: f64 = 15.0;
    /// A ramp that has lasted so long, in nanoseconds, and has had so many calls of little load,
    /// may be over.
    const LONG: u64 = 8_000_000_000;
    const MANY: u64 = 100;
    /// The largest share that is little.
    const LITTLE: f64 = 0.1;

    /// Creates rules that accept this share of failing calls, and a larger one at times.
    pub(super) fn new(acceptable: f64, more: f64) -> Self {
        // At 0 a single failure would end the ramp. At 1 no failures would.
        let bounded = |share: f64| share.clamp(0.01, 0.9);
        let few = bounded(acceptable).min(0.05);
        let lenient = |share: f64| Test::new(share, share + 0.2 * (1.0 - share));
        Self {
            strict: Test::new(few, few + 0.25),
            lenient: lenient(bounded(acceptable)),
            more_lenient: lenient(bounded(more)),
            accepted: [acceptable, more].map(|share| share.max(ACCEPTABLE)),
        }
    }

    /// Whether the round has so little of the load that the load can't be to blame for failures.
    pub(super) fn is_little(round: Round) -> bool {
        round.share.as_f64() <= Self::LITTLE
    }

    /// Whether a ramp that has lasted for `lasted` nanoseconds is over, though `round` is one of
    /// little load. Of the `calls` of such rounds, `bad` have failed.
    ///
    /// Failures that come in company may cut each ramp for ever, though few calls fail. They fail
    /// as often while the load is little, so the load isn't to blame. A ramp that has found how
    /// much the dependency bears has a larger share.
    pub(super) fn is_over(
        self,
        round: Round,
        lasted: u64,
        (calls, bad): (u64, u64),
        pace: Pace,
    ) -> bool {
        let is_long = lasted >= Self::LONG && calls >= Self::MANY;
        let accepted = self.accepted[usize::from(pace.tolerates_more)];
        let are_few = rate(bad, 1) <= accepted * rate(calls, 1);
        is_long && round.share <= pace.first(1.0) && are_few
    }

    /// The first round. If the traffic is so little that the smallest share is all of it, no cut is
    /// possible. Then the load isn't to blame.
    pub(super) fn first(pace: Pace) -> Round {
        let mode = if pace.smallest() == Share::ALL {
            RampMode::Tolerant
        } else {
            RampMode::Fast
        };
        Round::first(pace.first(1.0), mode)
    }

    /// Judges a round that has lasted for `lasted` nanoseconds.
    ///
    /// If the traffic has fallen, the round's share may be too small for it. Then the next round
    /// begins at once.
    pub(super) fn judge(&self, round: Round, lasted: u64, pace: Pace) -> Verdict {
        match self.judge_calls(round, lasted, pace) {
            Verdict::Undecided if round.share < Self::least_share(round.mode, pace) => {
                let again = Self::after(round, round.share, round.mode);
                Verdict::Next(Self::raised(again, pace))
            }
            Verdict::Next(next) => Verdict::Next(Self::raised(next, pace)),
            Verdict::Cut(next) => Verdict::Cut(Self::raised(next, pace)),
            verdict => verdict,
        }
    }

    /// Judges a round by the calls that have reported.
    fn judge_calls(&self, round: Round, lasted: u64, pace: Pace) -> Verdict {
        let test = match round.mode {
            RampMode::Tolerant if pace.tolerates_more => self.more_lenient,
            RampMode::Tolerant => self.lenient,
            RampMode::Fast | RampMode::Cautious => self.strict,
            // A fleet judges the rounds that it has set.
            #[cfg(feature = "fleet")]
            RampMode::Ordered => self.strict,
        };
        if test.finds_too_many(round, pace.dispersion) {
            return Self::cut(round, pace);
        }
        let sum = test.more.sum(round);
        if lasted < pace.least(round) || sum > pace.needed(round) * test.more.good {
            return Verdict::Undecided;
        }
        match round.share {
            Share::ALL => Verdict::Back,
            _ => Verdict::Next(Self::grown(round)),
        }
    }

    /// Whether the failing share has stayed although the round before cut the load.
    fn has_stayed(round: Round) -> bool {
        let before = f64::from(round.at_cut) / Self::CUT_SCALE;
        round.at_cut > 0 && round.bad > 1 && round.failing() >= Self::STAYS * before
    }

    /// The verdict on a round in which too many calls fail.
    fn cut(round: Round, pace: Pace) -> Verdict {
        let (failing, smallest) = (round.failing(), pace.smallest());
        let is_smallest = round.share <= smallest;
        let is_trickle = round.share <= pace.first(1.0) && round.share.as_f64() <= Self::TRICKLE;
        // A smaller share would gain nothing.
        let in_vain = is_smallest || is_trickle || round.at_cut > 0;
        if in_vain && failing >= Self::NEARLY_ALL {
            return if round.calls() < Self::SURE {
                Verdict::Undecided
            } else {
                Verdict::Failed
            };
        }
        let is_lenient = round.mode == RampMode::Tolerant;
        if is_lenient && is_smallest {
            return Verdict::Failed;
        }
        let is_load = !(is_trickle || Self::has_stayed(round));
        Verdict::Cut(if is_lenient || is_load {
            let borne = Self::AFTER_CUT * (1.0 - failing);
            let borne = borne.clamp(Self::DEEPEST_CUT, 1.0 / Self::growth(round.mode));
            let share = Share::nearest(round.share.as_f64() * borne).max(smallest.min(round.share));
            Round {
                at_cut: Self::in_fifteenths(failing),
                settles: true,
                ..Self::after(round, share, RampMode::Cautious)
            }
        } else {
            Self::after(round, round.share, RampMode::Tolerant)
        })
    }

    /// The round after a clean one.
    fn grown(round: Round) -> Round {
        let mode = if Self::has_stayed(round) {
            RampMode::Tolerant
        } else {
            round.mode
        };
        let share = Share::nearest(round.share.as_f64() * Self::growth(mode));
        Self::after(round, share, mode)
    }

    /// The share that the traffic asks for at the beginning of a ramp, or after a cut.
    fn least_share(mode: RampMode, pace: Pace) -> Share {
        match mode {
            RampMode::Fast => pace.first(1.0),
            RampMode::Cautious | RampMode::Tolerant => pace.smallest(),
            #[cfg(feature = "fleet")]
            RampMode::Ordered => pace.smallest(),
        }
    }

    /// `round` with a share that is large enough for the traffic.
    fn raised(round: Round, pace: Pace) -> Round {
        let is_little = pace.smallest() == Share::ALL;
        let mode = if is_little {
            RampMode::Tolerant
        } else {
            round.mode
        };
        let share = round.share.max(Self::least_share(mode, pace));
        Round {
            share,
            mode,
            ..round
        }
    }

    fn growth(mode: RampMode) -> f64 {
        match mode {
            RampMode::Fast => Self::BOLD_GROWTH,
            RampMode::Cautious => Self::CAREFUL_GROWTH,
            #[cfg(feature = "fleet")]
            RampMode::Ordered => Self::CAREFUL_GROWTH,
            RampMode::Tolerant => Self::LENIENT_GROWTH,
        }
    }

    fn after(round: Round, share: Share, mode: RampMode) -> Round {
        Round {
            number: round.number.wrapping_add(1),
            ..Round::first(share, mode)
        }
    }

    /// The failing share in 15ths that explains a cut to this part of the share before.
    #[cfg(feature = "fleet")]
    pub(super) fn failing_at_cut(factor: f64) -> u8 {
        Self::in_fifteenths(1.0 - factor / Self::AFTER_CUT)
    }

    fn in_fifteenths(failing: f64) -> u8 {
        let fifteenths = whole((failing * Self::CUT_SCALE).round());
        u8::try_from(fifteenths).map_or(15, |it| it.clamp(1, 15))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::round_tests::rounds;
    use proptest::prelude::*;

    const MILLISECOND: u64 = 1_000_000;

    fn pace(spacing: u64) -> Pace {
        Pace {
            spacing,
            round: 150 * MILLISECOND,
            dispersion: 1.0,
            clients: Clients::ONE,
            tolerates_more: false,
        }
    }

    /// A round of a ramp at a thousand calls per second.
    fn round(share: f64, mode: RampMode, good: u8, bad: u8) -> Round {
        Round {
            bad,
            good,
            ..Round::first(Share::nearest(share), mode)
        }
    }

    fn rules() -> Rules {
        Rules::new(ACCEPTABLE, ACCEPTABLE + 0.2)
    }

    fn judge(round: Round, lasted: u64) -> Verdict {
        rules().judge(round, lasted * MILLISECOND, pace(MILLISECOND))
    }

    fn next(round: Round, lasted: u64) -> Round {
        match judge(round, lasted) {
            Verdict::Next(next) => next,
            verdict => panic!("{verdict:?}"),
        }
    }

    fn after_cut(round: Round, lasted: u64) -> Round {
        match judge(round, lasted) {
            Verdict::Cut(next) => next,
            verdict => panic!("{verdict:?}"),
        }
    }

    proptest! {
        #[test]
        fn whatever_a_round_has_seen_the_next_is_in_bounds_and_has_counted_nothing(
            round in rounds(), lasted: u64, spacing: u64, acceptable in 0.0..=1.0_f64,
        ) {
            let pace = pace(spacing);
            if let Verdict::Next(next) | Verdict::Cut(next) = Rules::new(acceptable, acceptable).judge(round, lasted, pace) {
                prop_assert!(next.share >= pace.smallest().min(round.share));
                prop_assert_eq!(next.number, round.number.wrapping_add(1));
                prop_assert_eq!(next.calls(), 0);
            }
        }

        #[test]
        fn a_round_ends_well_only_after_its_time(round in rounds(), spacing: u64) {
            let pace = pace(spacing);
            let early = pace.least(round) - 1;
            match rules().judge(round, early, pace) {
                Verdict::Next(next) | Verdict::Cut(next) => {
                    let asked_for = Rules::least_share(next.mode, pace);
                    prop_assert!(next.share <= round.share.max(asked_for));
                }
                verdict => prop_assert_ne!(verdict, Verdict::Back),
            }
        }
    }

    #[test]
    fn a_clean_round_is_followed_by_a_larger_share_until_all_are_back() {
        let grown = next(round(0.0625, RampMode::Fast, 9, 0), 150);
        assert_eq!(
            grown,
            Round {
                number: 1,
                ..round(0.25, RampMode::Fast, 0, 0)
            }
        );
        assert_eq!(judge(round(1.0, RampMode::Fast, 90, 0), 225), Verdict::Back);
        assert_eq!(
            judge(round(1.0, RampMode::Fast, 90, 0), 224),
            Verdict::Undecided
        );
    }

    #[test]
    fn a_round_with_too_few_good_calls_goes_on() {
        assert_eq!(
            judge(round(0.0625, RampMode::Fast, 4, 0), 10_000),
            Verdict::Undecided
        );
        assert_eq!(
            judge(round(0.0625, RampMode::Fast, 0, 0), 10_000),
            Verdict::Undecided
        );
    }

    #[test]
    fn too_much_is_cut_to_what_was_borne_and_grows_slowly_from_there() {
        let cut = after_cut(round(0.4, RampMode::Cautious, 8, 8), 20);
        assert!(
            (cut.share.as_f64() - 0.4 * 0.85 / 2.0).abs() < 0.001,
            "{cut:?}"
        );
        assert!(cut.settles && cut.mode == RampMode::Cautious);
        let settled = Round { good: 20, ..cut };
        assert_eq!(judge(settled, 449), Verdict::Undecided);
        let grown = next(settled, 450);
        assert!(!grown.settles && grown.mode == RampMode::Cautious);
        assert!((grown.share.as_f64() / cut.share.as_f64() - 1.25).abs() < 0.01);
    }

    #[test]
    fn a_bold_step_that_was_too_much_is_taken_back() {
        let cut = after_cut(round(1.0, RampMode::Fast, 20, 10), 50);
        assert_eq!(cut.share, Share::nearest(0.25));
    }

    #[test]
    fn failures_that_stay_after_a_cut_do_not_come_from_the_load() {
        let cut = after_cut(round(0.4, RampMode::Cautious, 8, 8), 20);
        let stayed = Round {
            good: 8,
            bad: 8,
            ..cut
        };
        let lenient = after_cut(stayed, 450);
        assert_eq!(
            (lenient.mode, lenient.share),
            (RampMode::Tolerant, cut.share)
        );
        let gone = Round {
            good: 40,
            bad: 1,
            ..cut
        };
        assert_eq!(next(gone, 450).mode, RampMode::Cautious);
    }

    /// Fails when: the evidence that a round takes has no bound.
    #[test]
    fn an_outage_is_found_in_a_full_round_whatever_the_dispersion() {
        let full = |bad, good| round(1.0, RampMode::Tolerant, good, bad);
        for (acceptable, more) in [(0.25, 0.45), (0.5, 0.7), (0.7, 0.9)] {
            let rules = Rules::new(acceptable, more);
            for test in [rules.strict, rules.lenient, rules.more_lenient] {
                assert!(test.finds_too_many(full(127, 0), 4.0), "{test:?}");
            }
        }
        let rules = Rules::new(0.25, 0.45);
        assert!(rules.more_lenient.finds_too_many(full(127, 85), 4.0));
        assert!(!rules.more_lenient.finds_too_many(full(100, 110), 4.0));
    }

    #[test]
    fn if_the_traffic_has_fallen_the_share_grows_whatever_the_calls_show() {
        let slow = pace(500 * MILLISECOND);
        let small = round(0.0625, RampMode::Cautious, 0, 1);
        let all = Round {
            number: 1,
            ..round(1.0, RampMode::Tolerant, 0, 0)
        };
        let rules = rules();
        assert_eq!(judge(small, 100), Verdict::Undecided);
        assert_eq!(rules.judge(small, 100, slow), Verdict::Next(all));
        let doubted = Round { bad: 4, ..small };
        let nearly_all = rules.judge(doubted, 100, slow);
        assert_eq!(nearly_all, Verdict::Failed);
    }

    #[test]
    fn when_nearly_all_of_little_fail_the_ramp_has_failed() {
        assert_eq!(
            judge(round(0.0625, RampMode::Fast, 0, 4), 50),
            Verdict::Failed
        );
        assert_eq!(
            judge(round(0.0625, RampMode::Fast, 0, 3), 50),
            Verdict::Undecided
        );
        let cut = after_cut(round(1.0, RampMode::Fast, 0, 9), 50);
        assert_eq!(judge(Round { bad: 4, ..cut }, 400), Verdict::Failed);
    }

    #[test]
    fn what_is_acceptable_passes_where_failures_do_not_come_from_the_load() {
        assert_eq!(
            judge(round(1.0, RampMode::Tolerant, 75, 25), 450),
            Verdict::Back
        );
        let more = judge(round(1.0, RampMode::Tolerant, 60, 60), 450);
        assert!(matches!(more, Verdict::Cut(cut) if cut.share < Share::ALL));
    }

    /// Fails when: the larger share changes how failures are judged that may come from the load.
    #[test]
    fn while_more_is_tolerated_a_larger_share_passes_where_failures_do_not_come_from_the_load() {
        let more = Pace {
            tolerates_more: true,
            ..pace(MILLISECOND)
        };
        let judge = |round| rules().judge(round, 450 * MILLISECOND, more);
        let all = |mode, good, bad| judge(round(1.0, mode, good, bad));
        assert_eq!(all(RampMode::Tolerant, 55, 45), Verdict::Back);
        assert!(matches!(all(RampMode::Tolerant, 30, 70), Verdict::Cut(_)));
        assert!(matches!(all(RampMode::Fast, 55, 45), Verdict::Cut(_)));
    }

    #[test]
    fn with_little_traffic_all_are_let_through_and_one_good_call_is_enough() {
        let slow = pace(2_000 * MILLISECOND);
        let first = Rules::first(slow);
        assert_eq!((first.share, first.mode), (Share::ALL, RampMode::Tolerant));
        let rules = rules();
        let one = first.counting(true);
        assert_eq!(rules.judge(one, 2_000 * MILLISECOND, slow), Verdict::Back);
    }

    #[test]
    fn a_failing_share_is_kept_in_15ths_and_is_at_least_one() {
        let kept = [0.0, 0.2, 0.6, 1.0, 2.0].map(Rules::in_fifteenths);
        assert_eq!(kept, [1, 3, 9, 15, 15]);
    }

    #[cfg(feature = "fleet")]
    #[test]
    fn a_cut_tells_which_failing_share_it_came_of() {
        let told = [1.0, 0.4, 0.0].map(|borne| Rules::failing_at_cut(Rules::AFTER_CUT * borne));
        assert_eq!(told, [1, 9, 15]);
    }
}
