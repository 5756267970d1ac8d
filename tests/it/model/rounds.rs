//! The rounds of an adaptive ramp: how long they last, and which one follows.

use super::outage::spread;

/// How a ramp treats failures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mood {
    /// Nothing speaks against more load. Shares grow fourfold.
    Bold,
    /// The load was too much once. Shares grow by a quarter.
    Careful,
    /// The load isn't the reason for failures. Shares grow fourfold.
    Lenient,
}

impl Mood {
    fn growth(self) -> f64 {
        match self {
            Self::Careful => 1.25,
            Self::Bold | Self::Lenient => 4.0,
        }
    }
}

/// A round, without its share and its counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    pub(super) mood: Mood,
    /// The failing share of the round before in 15ths, if that one was cut to less load.
    cut_at: Option<u32>,
    /// How long the ramp's rounds last, in nanoseconds.
    length: u64,
}

/// What the calls of a round have shown so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// The share that is let through, in 1,024ths.
    pub(super) share: u64,
    pub(super) bad: u32,
    pub(super) good: u32,
    /// How long the round has lasted, in nanoseconds.
    pub(super) lasted: u64,
    /// The mean time between two calls that ask, in nanoseconds.
    pub(super) spacing: u64,
    /// How many times as much evidence as for independent failures a verdict takes.
    pub(super) dispersion: f64,
    /// Whether the larger tolerated share is in force.
    pub(super) tolerates_more: bool,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Follows {
    Same,
    Next,
    Cut,
    IsBack,
    HasFailed,
}

/// What a ramp goes by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rules {
    pub(super) clients: u32,
    /// The share of failures that doesn't hold the ramp up, and the larger one.
    pub(super) acceptable: f64,
    pub(super) more: f64,
}

const WHOLE: u64 = 1_024;
/// A wrong verdict against a round comes once in ninety rounds.
const EVIDENCE: f64 = 4.5;

/// The share of the calls in 1,024ths: the nearest one, at least one.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is rounded"
)]
fn units(share: f64) -> u64 {
    ((share * 1_024.0).round() as u64).clamp(1, WHOLE)
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
fn float(number: u64) -> f64 {
    number as f64
}

/// How much likelier a call's end is with more failures, in nats.
#[derive(Clone, Copy)]
struct Odds {
    bad: f64,
    good: f64,
}

impl Odds {
    fn of(usual: f64, more: f64) -> Self {
        Self {
            bad: (more / usual).ln(),
            good: ((1.0 - more) / (1.0 - usual)).ln(),
        }
    }

    fn sum(self, bad: u32, good: u32) -> f64 {
        f64::from(bad) * self.bad + f64::from(good) * self.good
    }
}

/// The odds of somewhat more failures, and of nearly all calls failing.
struct Test([Odds; 2]);

impl Test {
    fn of(usual: f64, more: f64) -> Self {
        Self([more, f64::midpoint(more, 1.0)].map(|more| Odds::of(usual, more)))
    }

    fn nats(&self, bad: u32, good: u32) -> f64 {
        self.0
            .map(|odds| odds.sum(bad, good))
            .into_iter()
            .fold(f64::MIN, f64::max)
    }

    /// Whether too many calls fail. It takes more evidence where failures come in company, but no
    /// more than three quarters of what full rounds of two outages come to.
    fn finds_too_many(&self, seen: Seen) -> bool {
        let outages = [(127, 85), (127, 0)].map(|(bad, good)| self.nats(bad, good));
        let most = outages
            .into_iter()
            .filter(|nats| *nats > 0.0)
            .fold(f64::MAX, f64::min);
        let taken = (EVIDENCE * seen.dispersion).min(0.75 * most).max(EVIDENCE);
        self.nats(seen.bad, seen.good) >= taken
    }
}

impl Rules {
    /// The first round after a probe that took so many nanoseconds, and its share.
    pub(super) fn begin(self, took: u64, spacing: u64) -> (Round, u64) {
        let shortest = self.times_spread_twice(150_000_000);
        let longest = shortest.max(1_000_000_000);
        let round = Round {
            mood: Mood::Bold,
            cut_at: None,
            length: took.saturating_mul(3).clamp(shortest, longest),
        };
        let share = self.first_share(spacing);
        self.fit(round, share, spacing, share)
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "as the breaker does"
    )]
    fn times_spread_twice(self, nanos: u64) -> u64 {
        (float(nanos) * spread(self.clients) * spread(self.clients)) as u64
    }

    /// Thirty calls a second for all clients, but at least a sixteenth of the calls.
    fn first(self, spacing: u64) -> f64 {
        let all = f64::from(self.clients) * spread(self.clients);
        (30.0 / all * float(spacing) / 1e9).max(1.0 / 16.0)
    }

    pub(super) fn first_share(self, spacing: u64) -> u64 {
        units(self.first(spacing))
    }

    /// No cut leaves less than a quarter of the first share.
    fn smallest_share(self, spacing: u64) -> u64 {
        units(self.first(spacing) / 4.0)
    }

    /// The round with at least the share `least`. If no share is too small, the load isn't to
    /// blame.
    fn fit(self, round: Round, share: u64, spacing: u64, least: u64) -> (Round, u64) {
        let is_little = self.smallest_share(spacing) == WHOLE;
        let mood = if is_little { Mood::Lenient } else { round.mood };
        (Round { mood, ..round }, share.max(least))
    }

    /// The share below which the traffic is too little for a round.
    fn least_share(self, mood: Mood, spacing: u64) -> u64 {
        match mood {
            Mood::Bold => self.first_share(spacing),
            Mood::Careful | Mood::Lenient => self.smallest_share(spacing),
        }
    }

    /// What follows a round, and the round and share that come next.
    pub(super) fn judge(self, round: Round, seen: Seen) -> (Follows, Round, u64) {
        let (follows, next, share) = self.judge_calls(round, seen);
        let least = |mood| self.least_share(mood, seen.spacing);
        match follows {
            // The traffic has fallen.
            Follows::Same if seen.share < least(round.mood) => {
                let again = round.after(round.mood);
                let (next, share) = self.fit(again, seen.share, seen.spacing, least(round.mood));
                (Follows::Next, next, share)
            }
            Follows::Next | Follows::Cut => {
                let (next, share) = self.fit(next, share, seen.spacing, least(next.mood));
                (follows, next, share)
            }
            Follows::Same | Follows::IsBack | Follows::HasFailed => (follows, next, share),
        }
    }

    fn test(self, mood: Mood, tolerates_more: bool) -> Test {
        let bounded = |share: f64| share.clamp(0.01, 0.9);
        let usual = match (mood, tolerates_more) {
            (Mood::Bold | Mood::Careful, _) => {
                let few = bounded(self.acceptable).min(0.05);
                return Test::of(few, few + 0.25);
            }
            (Mood::Lenient, false) => bounded(self.acceptable),
            (Mood::Lenient, true) => bounded(self.more),
        };
        Test::of(usual, usual + 0.2 * (1.0 - usual))
    }

    fn judge_calls(self, round: Round, seen: Seen) -> (Follows, Round, u64) {
        let test = self.test(round.mood, seen.tolerates_more);
        if test.finds_too_many(seen) {
            return self.cut(round, seen);
        }
        let stays = (Follows::Same, round, seen.share);
        let Test([somewhat_more, _]) = test;
        let good_in_a_row = round.needed(seen) * somewhat_more.good;
        if seen.lasted < round.least(seen.share)
            || somewhat_more.sum(seen.bad, seen.good) > good_in_a_row
        {
            return stays;
        }
        if seen.share == WHOLE {
            return (Follows::IsBack, round, seen.share);
        }
        let mood = if round.has_stayed(seen) {
            Mood::Lenient
        } else {
            round.mood
        };
        let share = units(float(seen.share) / 1_024.0 * mood.growth());
        (Follows::Next, round.after(mood), share)
    }

    /// Too many calls of the round fail.
    fn cut(self, round: Round, seen: Seen) -> (Follows, Round, u64) {
        let failing = seen.failing();
        let smallest = self.smallest_share(seen.spacing);
        let is_smallest = seen.share <= smallest;
        // A fifth of the calls, and no more than at first, isn't too much load.
        let is_trickle =
            seen.share <= self.first_share(seen.spacing) && float(seen.share) / 1_024.0 <= 0.2;
        let is_in_vain = is_smallest || is_trickle || round.cut_at.is_some();
        if is_in_vain && failing >= 0.8 {
            let is_sure = seen.bad + seen.good >= 4;
            let follows = if is_sure {
                Follows::HasFailed
            } else {
                Follows::Same
            };
            return (follows, round, seen.share);
        }
        let is_lenient = round.mood == Mood::Lenient;
        if is_lenient && is_smallest {
            return (Follows::HasFailed, round, seen.share);
        }
        if !is_lenient && (is_trickle || round.has_stayed(seen)) {
            return (Follows::Cut, round.after(Mood::Lenient), seen.share);
        }
        // 85 % of the load that the dependency has borne, at least a quarter of the present one.
        let borne = 0.85 * (1.0 - failing);
        let borne = borne.clamp(0.25, 1.0 / round.mood.growth());
        let share = units(float(seen.share) / 1_024.0 * borne).max(smallest.min(seen.share));
        let next = Round {
            cut_at: Some(seen.failing_in_fifteenths()),
            ..round.after(Mood::Careful)
        };
        (Follows::Cut, next, share)
    }

    /// Whether a ramp is over that has lasted so long, by its calls in rounds of little load.
    pub(super) fn is_over(self, seen: Seen, lasted: u64, (bad, calls): (u64, u64)) -> bool {
        let share = if seen.tolerates_more {
            self.more
        } else {
            self.acceptable
        };
        lasted >= 8_000_000_000
            && calls >= 100
            && seen.share <= self.first_share(seen.spacing)
            && float(bad) <= share.max(0.25) * float(calls)
    }
}

impl Seen {
    fn failing(self) -> f64 {
        f64::from(self.bad) / f64::from((self.bad + self.good).max(1))
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "15 at most"
    )]
    fn failing_in_fifteenths(self) -> u32 {
        ((self.failing() * 15.0).round() as u32).max(1)
    }
}

impl Round {
    fn after(self, mood: Mood) -> Self {
        Self {
            mood,
            cut_at: None,
            length: self.length,
        }
    }

    /// How long after its begin the calls of a round count. After a cut, the dependency first
    /// recovers from the load before.
    pub(super) fn settling(self) -> u64 {
        if self.cut_at.is_some() {
            2 * self.length
        } else {
            0
        }
    }

    /// How long the round lasts at least.
    pub(super) fn least(self, share: u64) -> u64 {
        let with_all_calls = match self.mood {
            _ if share < WHOLE => 0,
            Mood::Lenient => 2 * self.length,
            Mood::Bold | Mood::Careful => self.length / 2,
        };
        self.length + self.settling() + with_all_calls
    }

    /// How many good calls make the round clean: half of those that it should have, 8 at most.
    fn needed(self, seen: Seen) -> f64 {
        let calls = float(self.length) / float(seen.spacing.max(1)) * float(seen.share) / 1_024.0;
        let few = if self.cut_at.is_some() { 5.0 } else { 1.0 };
        (calls / 2.0).clamp(few, 8.0)
    }

    /// Whether two fifths of the failing share are still there after a cut.
    fn has_stayed(self, seen: Seen) -> bool {
        let before = |fifteenths| f64::from(fifteenths) / 15.0;
        let stays = |cut_at| seen.bad > 1 && seen.failing() >= 0.4 * before(cut_at);
        self.cut_at.is_some_and(stays)
    }
}

/// Whether a round has so little of the load that the load can't be to blame: a tenth.
pub(super) fn is_little(share: u64) -> bool {
    float(share) / 1_024.0 <= 0.1
}
