//! No breaker is deaf: an outage of 60 % of the calls, and a total one, trip it, whatever it has
//! learnt. Up to 1,000 calls a second, so does an outage of up to 98 %.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::*;

const FIRST: Generation = Generation::FIRST;
const NOW: u64 = 1_000_000_000;

/// The largest share of usual failures, and the largest chance of a failure after a failure, that
/// are believed together.
const LIMITS: [(f64, f64); 2] = [
    (Learnt::LARGEST_SHARE, 0.95),
    (Learnt::LARGEST_CONCEDED, Learnt::ALONE),
];

/// All that can be learnt, on a grid: the chances of a failure at the start of an excursion, after
/// a success and after a failure.
/// The share of what can be learnt that the effort asks for, spread evenly.
fn some_that_can_be_learnt() -> impl Iterator<Item = Logs> {
    let all = all_that_can_be_learnt();
    let some = crate::effort::share_of(u32::try_from(all.len()).unwrap());
    let step = all.len() / some as usize;
    all.into_iter().step_by(step)
}

fn all_that_can_be_learnt() -> Vec<Logs> {
    let mut all = Vec::new();
    for (largest, most) in LIMITS {
        for start in [0.001, 0.01, 0.05, 0.1, largest] {
            for inside in [0.001, 0.01, 0.05, 0.1, 0.15, largest] {
                for next in (1..=19).map(|it| f64::from(it) / 20.0) {
                    if start <= inside && inside <= next && next <= most {
                        all.push(Logs::of_chances(start, inside, next));
                    }
                }
            }
        }
    }
    all
}

/// What is tolerated: nothing, a quarter, or more than that after a bad shard.
const TOLERATED: [(f64, bool); 3] = [(0.0, false), (0.25, false), (0.25, true)];

/// Evidence of a breaker that has learnt this, with this budget, pace and dispersion.
fn taught(
    logs: Logs,
    (tolerate, more): (f64, bool),
    budget: Duration,
    pace: f64,
    excess: u32,
) -> Evidence {
    let config = AdaptiveConfig {
        tolerate,
        false_trip_budget: budget,
    };
    let evidence = Evidence::new(config, 60 * NOW);
    if more {
        evidence.opened((4, 10), NOW, NOW);
    }
    assert_eq!(evidence.tolerates_more(), more);
    evidence.baseline.teach(logs, pace);
    evidence.dispersion.teach(Nats::whole(excess));
    evidence
}

/// The number of calls until the evidence is enough, of which `share` fail at random.
fn calls_to_trip(evidence: &Evidence, share: f64, seed: u64, most: u32) -> Option<u32> {
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(seed);
    (1..=most).find(|_| {
        if dice.random_bool(share) {
            evidence.failure(FIRST, NOW, || true);
            evidence.verdict(FIRST, NOW, 0).is_some()
        } else {
            // An excursion that ends teaches nothing here: what was learnt stays at its worst.
            let _lesson = evidence.success(FIRST);
            false
        }
    })
}

const DAY: Duration = Duration::from_secs(86_400);
const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);

/// The bound: dispersion times what a trip takes is at most what the counts of an outage come to.
/// Without dispersion, even the dearest trip takes no more than an outage of 60 % comes to.
///
/// Fails when: `Weighed::times` ignores the bound; a conceded share goes with any chance of a
/// failure after a failure.
#[test]
fn what_a_trip_takes_is_within_what_an_outage_comes_to() {
    for (budget, pace) in [(DAY, 1e8), (TEN_YEARS, 1e6), (DAY, 1_000.0), (DAY, 1.0)] {
        for logs in all_that_can_be_learnt() {
            for excess in [0, 40, 120, 512] {
                let evidence = taught(logs, (0.0, false), budget, pace, excess);
                let needed = evidence.needed.usual(pace);
                let most = evidence.usual().most();
                let own = Weighed { nats: most, needed };
                let taken = own.times(evidence.dispersion.get(), || most).needed;
                let bound = most.max(needed);
                assert!(
                    taken <= bound,
                    "{logs:?} at {pace}/s: {taken:?} of {bound:?}"
                );
                let sixty = evidence.usual().evidence(Excursion::of_outage(60));
                assert!(
                    needed <= sixty,
                    "{logs:?} at {pace}/s: {needed:?} of {sixty:?}"
                );
            }
        }
    }
}

/// Fails when: a conceded share goes with any chance of a failure after a failure; `Expected::most`
/// has no bound.
#[test]
fn an_outage_of_sixty_percent_trips_whatever_was_learnt() {
    let worst = most_calls_to_trip(0.6, &[1.0, 1_000.0, 1e6]);
    assert!(worst <= 1_000, "{worst} calls");
}

/// Beyond 1,000 calls a second, what a trip takes without dispersion can be more than an outage
/// with rare successes comes to, if nearly every failure usually follows another.
///
/// Fails when: an excursion ends as soon as the smallest outage explains it no better than what was
/// learnt does; `Expected::most` leaves out the outage of 98 %.
#[test]
fn an_outage_with_rare_successes_trips_whatever_was_learnt() {
    for share in [0.75, 0.9, 0.95, 0.98] {
        let worst = most_calls_to_trip(share, &[1.0, 1_000.0]);
        assert!(worst <= 1_000, "{share}: {worst} calls");
    }
}

/// The most calls that an outage of `share` takes to trip at any of these paces, whatever was
/// learnt.
fn most_calls_to_trip(share: f64, paces: &[f64]) -> u32 {
    let mut worst = (0, None);
    for tolerated in TOLERATED {
        for pace in paces {
            for logs in some_that_can_be_learnt() {
                for excess in [0, 60, 512] {
                    let evidence = taught(logs, tolerated, DAY, *pace, excess);
                    let calls = calls_to_trip(&evidence, share, 1, 40_000);
                    let what = (logs, tolerated, pace, excess);
                    let calls = calls.unwrap_or_else(|| panic!("{what:?} is deaf to {share}"));
                    if calls > worst.0 {
                        worst = (calls, Some(what));
                    }
                }
            }
        }
    }
    println!("{share}: at most {} calls: {:?}", worst.0, worst.1);
    worst.0
}

/// Fails when: `Excursion::of_total_outage` has a longer run than can be counted.
#[test]
fn a_total_outage_trips_after_at_most_eleven_hundred_calls_whatever_was_learnt() {
    for tolerated in TOLERATED {
        for (budget, pace) in [(DAY, 1.0), (DAY, 1e8), (TEN_YEARS, 1e6)] {
            for logs in some_that_can_be_learnt() {
                for excess in [0, 60, 512] {
                    let evidence = taught(logs, tolerated, budget, pace, excess);
                    let calls = calls_to_trip(&evidence, 1.0, 1, 1_100);
                    assert!(
                        calls.is_some(),
                        "{logs:?}, {tolerated:?}, {pace}/s, {excess}"
                    );
                }
            }
        }
    }
}
