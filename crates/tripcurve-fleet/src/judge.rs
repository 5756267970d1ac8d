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

/// The units of [`MemberSums::surprise`] in one nat.
pub const SURPRISE_UNITS: u32 = 256;

/// The share of the needed evidence that must remain without the loudest members.
const REMAINING: f64 = 2.0 / 3.0;

/// A failure rate that an outage may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outage {
    /// The share of calls that fails: above 0.0, at most 1.0.
    pub share: f64,
    /// The nats to subtract from the evidence for this share: 0.0 or more.
    pub handicap: f64,
}

/// The numbers of one test, at the call rate of the whole fleet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Test {
    /// The share of calls that fails while nothing is wrong: above 0.0, below 1.0.
    pub normal: f64,
    /// The failure rates that an outage may have. The largest evidence counts.
    pub outages: [Outage; 4],
    /// The evidence that a trip takes, in nats. It may be negative; then one failure is enough,
    /// if a member that isn't left out has it.
    pub needed: f64,
}

/// What a member has added to an excursion.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MemberSums {
    /// How many of its calls failed.
    pub failures: u32,
    /// How surprising these failures are by the member's own baseline, in 1/256 nat.
    pub surprise: u32,
    /// How many calls it was expected to make since the excursion began: 0.0 or more.
    pub expected_calls: f64,
}

/// The sums since there was last no evidence for an outage.
#[derive(Clone, Copy, Debug)]
pub struct Excursion<'a> {
    /// The members that have failed calls, each once, in any order.
    pub failing: &'a [MemberSums],
    /// The calls that all members were expected to make, those without failures too: 0.0 or more.
    pub expected_calls: f64,
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
/// `members` is the number of members of the fleet. The cost is linear in the number of failing
/// members, and nothing is allocated.
///
/// ```
/// use tripcurve_fleet::judge::{self, Excursion, MemberSums, Outage, Test};
///
/// let outages = [0.3, 0.5, 0.8, 1.0].map(|share| Outage { share, handicap: 0.0 });
/// let test = Test { normal: 0.01, outages, needed: 17.8 };
/// // A failure is a surprise of ln 100 = 4.6 nats.
/// let one = MemberSums { failures: 1, surprise: 1179, expected_calls: 0.01 };
///
/// // Ten of a thousand members fail within 10 ms; then a single one that fails ten times.
/// let ten = Excursion { failing: &[one; 10], expected_calls: 10.0 };
/// assert!(judge::trips(1_000, &ten, &test, None));
/// let loud = MemberSums { failures: 10, surprise: 11_790, ..one };
/// let single = Excursion { failing: &[loud], expected_calls: 10.0 };
/// assert!(!judge::trips(1_000, &single, &test, None));
/// ```
#[must_use]
pub fn weigh(members: usize, excursion: &Excursion<'_>, test: &Test) -> Evidence {
    evidence(members, excursion, test, |sums| {
        f64::from(sums.surprise) / f64::from(SURPRISE_UNITS)
    })
}

/// Weighs an excursion against a tolerated failure rate, which is `test.normal`.
///
/// The reported surprise doesn't count here. See [`weigh`] for the rest.
#[must_use]
pub fn weigh_beyond_tolerated(members: usize, excursion: &Excursion<'_>, test: &Test) -> Evidence {
    let each = -test.normal.ln();
    evidence(members, excursion, test, |sums| {
        f64::from(sums.failures) * each
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

fn evidence(
    members: usize,
    excursion: &Excursion<'_>,
    test: &Test,
    surprise: impl Fn(&MemberSums) -> f64,
) -> Evidence {
    let left_out = left_out(members);
    let mut best = Evidence {
        all: f64::NEG_INFINITY,
        remaining: f64::NEG_INFINITY,
        others_fail: excursion
            .failing
            .iter()
            .filter(|sums| sums.failures > 0)
            .count()
            > left_out,
    };
    for outage in test.outages {
        let (log, excess) = (outage.share.ln(), outage.share - test.normal);
        // The expected calls of all members, then what the failing ones add.
        let mut all = -excursion.expected_calls * excess - outage.handicap;
        let mut loudest = [0.0_f64; 2];
        for sums in excursion.failing {
            let failures = surprise(sums) + f64::from(sums.failures) * log;
            all += failures;
            let adds = failures - sums.expected_calls * excess;
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

#[cfg(test)]
mod tests;
