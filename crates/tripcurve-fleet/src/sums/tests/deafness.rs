//! No fleet is deaf: outages of 60 and 75 % open it, whatever its members have learned.
//! An outage of 98 % opens a fleet of a hundred, unless nearly all failures usually follow another.

use super::{START, judge, sender};
use crate::message::{Pulse, SHARE};
use crate::sums::FleetSums;
use crate::verdict::Failures;

/// What all members have learned: the chances of a failure at the start of an excursion of their
/// own, after a success, and after a failure.
#[derive(Clone, Copy, Debug)]
struct Learned {
    start: f64,
    inside: f64,
    next: f64,
}

/// All that can be learned, on a grid.
fn all_that_can_be_learned() -> Vec<Learned> {
    let chances = [0.001, 0.05, 0.15];
    let mut all = Vec::new();
    for start in chances {
        for inside in chances {
            for next in (1..=10).map(|it| 0.095 * f64::from(it)) {
                if start <= inside && inside <= next {
                    all.push(Learned {
                        start,
                        inside,
                        next,
                    });
                }
            }
        }
    }
    all
}

impl Learned {
    /// The share that usually fails: between that at the start and that of an endless excursion.
    /// No larger one is believed than 15 %.
    fn share(self) -> f64 {
        let inside = self.inside / (self.inside + 1.0 - self.next);
        f64::midpoint(inside, self.start).clamp(0.001, 0.15)
    }
}

/// The excursion of a member's own breaker, which says how much a failure surprises.
#[derive(Clone, Copy, Debug, Default)]
struct Own {
    failed: f64,
    succeeded: f64,
    /// The surprise of both.
    surprise: f64,
    /// Whether the last call failed.
    fails: bool,
}

impl Own {
    /// The surprise that a failure has for the fleet, as the breaker reports it.
    fn failure(&mut self, it: Learned) -> f64 {
        let (chance, more) = match (self.failed > 0.0, self.fails) {
            (false, _) => (it.start, 0.0),
            (true, false) => (it.inside, it.next - it.share()),
            (true, true) => (it.next, it.next - it.share()),
        };
        self.surprise -= chance.ln();
        self.failed += 1.0;
        self.fails = true;
        more.max(0.0) - chance.ln()
    }

    fn success(&mut self, it: Learned) {
        let chance = if self.fails { it.next } else { it.inside };
        self.fails = false;
        if self.failed == 0.0 {
            return;
        }
        self.surprise -= (1.0 - chance).ln();
        self.succeeded += 1.0;
        let evidence = |share: f64| {
            self.surprise + self.failed * share.ln() + self.succeeded * (1.0 - share).ln()
        };
        if [0.3, 0.6, 0.95].into_iter().all(|it| evidence(it) <= 0.0) {
            *self = Self::default();
        }
    }
}

struct Dice(u64);

impl Dice {
    fn number(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.0 >> 32).unwrap()
    }

    fn happens(&mut self, chance: f64) -> bool {
        f64::from(self.number()) < chance * f64::from(u32::MAX)
    }
}

/// The calls of all members until an outage of `share` opens the fleet. It makes a thousand calls
/// a second. Before, the members have had the failures that are usual.
fn calls_to_trip(members: u32, learned: Learned, share: f64, most: u64) -> Option<u64> {
    let (judge, mut sums, mut dice) = (judge(), FleetSums::default(), Dice(1));
    for member in 0..members {
        let pulse = Pulse {
            sender: sender(member.into()),
            // A tenth more than there are, as members announce it.
            rate: 1_100_000 / u64::from(members),
            normal: units(learned.share() * f64::from(SHARE)),
        };
        sums.pulse(&pulse, START).unwrap();
    }
    let mut own = vec![Own::default(); members as usize];
    let usual = 20 * u64::from(members) + 2_000;
    for call in 1..=usual + most {
        let now = START + call;
        let number = dice.number() % members;
        let of = &mut own[number as usize];
        let chance = match (call > usual, of.failed > 0.0, of.fails) {
            (true, _, _) => share,
            (_, _, true) => learned.next,
            (_, true, _) => learned.inside,
            _ => learned.start,
        };
        if !dice.happens(chance) {
            of.success(learned);
            continue;
        }
        let failures = Failures {
            failures: 1,
            surprise: units(of.failure(learned).min(7.99) * 256.0),
            spread_ms: 0,
        };
        let from = sender(number.into());
        let report = judge.report(from, call, failures);
        let reported = sums.report(&report, now).unwrap().answer;
        if call <= usual || !judge.may_trip(&reported) {
            continue;
        }
        let weighed = sums.weigh(&judge.weigh(from), now).unwrap().answer;
        if judge.trip(&weighed, from, 100).is_some() {
            return Some(call - usual);
        }
    }
    None
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn units(it: f64) -> u32 {
    it.round() as u32
}

/// Fails when: an excursion ends as soon as the smallest outage explains it no better than what is
/// usual does; the members that hide an outage are looked for by the smallest one alone; a failure
/// has no more surprise for a fleet than for its breaker.
#[test]
fn an_outage_opens_the_fleet_whatever_its_members_have_learned() {
    // Where 95 % of the failures usually follow another, 98 % can't be told from what is usual.
    let cases = [
        (20, 0.6, 1.0),
        (20, 0.75, 1.0),
        (100, 0.6, 1.0),
        (100, 0.75, 1.0),
        (100, 0.98, 0.9),
    ];
    for (members, share, most_next) in cases {
        let mut worst = (0, None);
        let all = all_that_can_be_learned().into_iter();
        for learned in all.filter(|it| it.next <= most_next) {
            let calls = calls_to_trip(members, learned, share, 3_000);
            let calls =
                calls.unwrap_or_else(|| panic!("{members} are deaf to {share}: {learned:?}"));
            if calls > worst.0 {
                worst = (calls, Some(learned));
            }
        }
        println!("{members} members, {share}: at most {worst:?}");
        assert!(worst.0 <= 1_000, "{members} members, {share}: {worst:?}");
    }
}
