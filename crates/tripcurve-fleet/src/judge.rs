//! Decides from the failures of all members whether their dependency has an outage.
//!
//! A *member* is a process that calls the dependency. The failures of all members are judged as a
//! Poisson stream, against the calls that their announced call rates let expect. Successes aren't
//! counted. For an outage in which a share *a* of the calls fails, and a normal share *q*, a member
//! adds to the evidence, in nats:
//!
//! ```text
//! surprise + failures × ln a − expected calls × (a − q)
//! ```
//!
//! A trip takes enough evidence in all, and two thirds of it without the members that add most. So
//! a broken member can't trip the others, nor can two in a fleet of five or more.

use std::time::Duration;

use tripcurve::fleet::{EvidenceRule, FailureShare};

/// The units of [`MemberSums::surprise`] in one nat.
pub const SURPRISE_UNITS: u32 = 256;

/// The share of the needed evidence that must remain without the loudest members.
pub(crate) const REMAINING: f64 = 2.0 / 3.0;

/// The numbers of one test, at the call rate of the whole fleet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Test {
    /// The share of calls that fails while nothing is wrong: above 0.0, below 1.0.
    pub normal: f64,
    /// The failure rates that an outage may have. The largest evidence counts.
    pub outages: [FailureShare; 4],
    /// The evidence that a trip takes, in nats. It may be negative; then one failure is enough,
    /// if a member that isn't left out has it.
    pub needed: f64,
}

/// What a member has added to an excursion.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MemberSums {
    /// How many of its calls failed.
    pub failures: u64,
    /// How surprising these failures are by the member's own baseline, in 1/256 nat.
    pub surprise: u64,
    /// How many calls it was expected to make since the excursion began: 0.0 or more.
    pub expected_calls: f64,
}

/// The sums since there was last no evidence for an outage.
#[derive(Clone, Copy, Debug)]
pub struct Excursion<'a> {
    /// The failures of all members.
    pub failures: u64,
    /// How surprising these failures are, in 1/256 nat.
    pub surprise: u64,
    /// The calls that all members were expected to make, those without failures too: 0.0 or more.
    pub expected_calls: f64,
    /// How many members have failures.
    pub failing: u64,
    /// The members that may add most, each once, in any order: at least the two that add most
    /// evidence for each outage. Without them there is no [`Evidence::remaining`].
    pub loudest: &'a [MemberSums],
}

impl<'a> Excursion<'a> {
    /// Adds up what all members with failures have added.
    ///
    /// `expected_calls` counts the calls of all members, those without failures too.
    #[must_use]
    pub fn of(failing: &'a [MemberSums], expected_calls: f64) -> Self {
        Self {
            failures: failing.iter().map(|it| it.failures).sum(),
            surprise: failing.iter().map(|it| it.surprise).sum(),
            expected_calls,
            failing: failing.iter().filter(|it| it.failures > 0).count() as u64,
            loudest: failing,
        }
    }
}

impl Test {
    /// The test against the usual failure rate.
    ///
    /// `normal` is the usual failure rate of the fleet, and `calls_per_second` its call rate.
    #[must_use]
    pub fn usual(rule: &EvidenceRule, normal: f64, calls_per_second: f64) -> Self {
        Self {
            normal,
            outages: rule.outages(),
            needed: rule.needed(calls_per_second),
        }
    }

    /// The test against the tolerated failure rate. `None` if none is tolerated.
    ///
    /// `age` is the time since the excursion began.
    #[must_use]
    pub fn beyond_tolerated(
        rule: &EvidenceRule,
        calls_per_second: f64,
        age: Duration,
    ) -> Option<Self> {
        Some(Self {
            normal: rule.tolerated()?,
            outages: rule.outages_beyond_tolerated()?,
            needed: rule.needed_beyond_tolerated(calls_per_second, age)?,
        })
    }
}

/// The evidence of an excursion, in nats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// For the outage that explains the failures of all members best.
    pub all: f64,
    /// For the outage that explains the failures of the others best, without the members that add
    /// most to it.
    pub remaining: f64,
    /// Whether a failure remains without these members.
    pub others_fail: bool,
}

/// How many of the members that add most are left out.
///
/// None is left out of a fleet of one, which never trips. One is left out of a fleet of two to
/// four, and two of a larger one.
#[must_use]
pub fn left_out(members: usize) -> usize {
    match members {
        0 | 1 => 0,
        2..=4 => 1,
        _ => 2,
    }
}

/// Weighs an excursion by the surprise that the members reported.
///
/// `members` is the number of members of the fleet. The cost is linear in the number of loudest
/// members, and nothing is allocated.
///
/// ```
/// use tripcurve::CircuitBreaker;
/// use tripcurve_fleet::judge::{self, Excursion, MemberSums, Test};
///
/// let payments = CircuitBreaker::builder("payments").build()?;
/// let rule = payments.fleet_port()?.rule().expect("the default policy is adaptive");
/// // A thousand calls a second in all, of which one in a hundred usually fails.
/// let test = Test::usual(&rule, 0.01, 1_000.0);
/// // A failure is a surprise of ln 100 = 4.6 nats.
/// let one = MemberSums { failures: 1, surprise: 1179, expected_calls: 0.01 };
///
/// // Ten of a thousand members fail within 10 ms; then a single one that fails ten times.
/// let ones = [one; 10];
/// let ten = Excursion::of(&ones, 10.0);
/// assert!(judge::trips(1_000, &ten, &test, None));
/// let loud = MemberSums { failures: 10, surprise: 11_790, ..one };
/// let louds = [loud];
/// let single = Excursion::of(&louds, 10.0);
/// assert!(!judge::trips(1_000, &single, &test, None));
/// # Ok::<(), tripcurve::error::ConfigError>(())
/// ```
#[must_use]
pub fn weigh(members: usize, excursion: &Excursion<'_>, test: &Test) -> Evidence {
    evidence(members, excursion, test, |surprise, _| {
        number(surprise) / f64::from(SURPRISE_UNITS)
    })
}

/// Weighs an excursion against a tolerated failure rate, which is `test.normal`.
///
/// The reported surprise doesn't count here. See [`weigh`] for the rest.
#[must_use]
pub fn weigh_beyond_tolerated(members: usize, excursion: &Excursion<'_>, test: &Test) -> Evidence {
    let each = -test.normal.ln();
    evidence(members, excursion, test, |_, failures| {
        number(failures) * each
    })
}

/// Whether the fleet trips.
///
/// `beyond` has the excursion and the test against the tolerated failure rate, if the policy
/// tolerates any. A trip takes both tests. Sums that aren't finite never trip. See [`weigh`] for an
/// example.
#[must_use]
pub fn trips(
    members: usize,
    excursion: &Excursion<'_>,
    test: &Test,
    beyond: Option<(&Excursion<'_>, &Test)>,
) -> bool {
    members > 1
        && is_enough(weigh(members, excursion, test), test)
        && beyond.is_none_or(|(excursion, test)| {
            is_enough(weigh_beyond_tolerated(members, excursion, test), test)
        })
}

fn is_enough(evidence: Evidence, test: &Test) -> bool {
    evidence.others_fail
        && evidence.all.is_finite()
        && evidence.all >= test.needed
        && evidence.remaining >= test.needed * REMAINING
}

/// `surprise` takes the reported surprise and the failures.
fn evidence(
    members: usize,
    excursion: &Excursion<'_>,
    test: &Test,
    surprise: impl Fn(u64, u64) -> f64,
) -> Evidence {
    let left_out = left_out(members);
    let mut best = Evidence {
        all: f64::NEG_INFINITY,
        remaining: f64::NEG_INFINITY,
        others_fail: excursion.failing > left_out as u64,
    };
    for outage in test.outages {
        let (log, excess) = (outage.share.ln(), outage.share - test.normal);
        let adds = |surprised, failures, expected_calls| {
            surprise(surprised, failures) + number(failures) * log - expected_calls * excess
        };
        let all = adds(
            excursion.surprise,
            excursion.failures,
            excursion.expected_calls,
        ) - outage.handicap;
        let mut loudest = [0.0_f64; 2];
        for sums in excursion.loudest {
            let adds = adds(sums.surprise, sums.failures, sums.expected_calls);
            if adds > loudest[0] {
                loudest = [adds, loudest[0]];
            } else if adds > loudest[1] {
                loudest[1] = adds;
            }
        }
        let remaining = all - loudest[..left_out].iter().sum::<f64>();
        best.all = best.all.max(all);
        best.remaining = best.remaining.max(remaining);
    }
    best
}

/// Sums are below 2⁵³.
#[expect(clippy::cast_precision_loss)]
pub(crate) fn number(sum: u64) -> f64 {
    sum as f64
}

#[cfg(test)]
mod tests;
