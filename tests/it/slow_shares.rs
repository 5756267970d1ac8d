//! Slow calls as evidence: a usual share of them trips nothing, and a hang is seen soon.

use std::time::Duration;

use crate::effort;
use crate::service::{Answer, Dice, Load, Service};
use tripcurve::TripPolicy;
use tripcurve::policy::Adaptive;

const LIMIT: f64 = 0.1;

fn policies() -> [Adaptive; 2] {
    let limit = Duration::from_secs_f64(LIMIT);
    [
        TripPolicy::adaptive().slower_than(limit),
        TripPolicy::adaptive().tolerate(0.0).slower_than(limit),
    ]
}

/// A share of the calls takes `long` seconds, the others less than the limit.
fn slow_share(share: f64, long: f64) -> impl FnMut(&mut Dice, f64) -> Answer {
    move |dice, _| {
        Answer::good(if dice.is(share) {
            long
        } else {
            dice.latency().min(0.95 * LIMIT)
        })
    }
}

/// The trips in `hours` of a steady share of slow calls, drawn by `seed`, and a description.
fn trips(policy: Adaptive, seed: u64, calls: f64) -> (u32, f64, String) {
    let mut dice = Dice::new(seed);
    let share = 0.02 + 0.08 * dice.uniform();
    let long = dice.of_magnitude(0.15, 20.0);
    let rate = dice.of_magnitude(10.0, 1_000.0);
    let mut service = Service::new(policy, Load::Open(rate), seed);
    let seconds = calls / rate;
    service.run(seconds, slow_share(share, long));
    let figures = service.take_figures();
    let what = format!("{share:.3} take {long:.2} s at {rate:.0}/s: {figures:?}");
    (figures.trips, seconds / 3_600.0, what)
}

/// Fails when: overdue calls are weighed at each look, or the stream of watched calls has only
/// some of its outcomes.
#[test]
fn a_steady_share_of_slow_calls_of_any_duration_trips_nothing() {
    for policy in policies() {
        for seed in 100..100 + u64::from(effort::share_of(6).max(2)) {
            let (trips, _, what) = trips(policy.clone(), seed, 10_000.0);
            assert_eq!(trips, 0, "{policy:?}: {what}");
        }
    }
}

/// Prints the trips of each of 60 lives, and their sum in both modes.
#[test]
#[ignore = "a sweep of minutes: cargo test --release --test it -- slow_shares --ignored --nocapture"]
fn sweep_of_slow_shares() {
    for policy in policies() {
        let (mut sum, mut time) = (0, 0.0);
        for seed in 1_000..1_060 {
            let (trips, hours, what) = trips(policy.clone(), seed, 100_000.0);
            sum += trips;
            time += hours;
            if trips > 0 {
                println!("{what}");
            }
        }
        println!("{policy:?}: {sum} trips in {time:.1} h");
    }
}

/// The seconds until the breaker trips when this share of the calls hangs. None fails otherwise.
fn hang(policy: Adaptive, rate: f64, share: f64, seed: u64) -> f64 {
    let mut service = Service::new(policy, Load::Open(rate), seed);
    service.run(6_000.0 / rate, slow_share(0.0, 0.0));
    assert_eq!(service.take_figures().trips, 0);
    service.run_until(60.0, slow_share(share, 30.0), |breaker| {
        breaker.state() != tripcurve::State::Closed
    })
}

fn mean(count: u64, value: impl Fn(u64) -> f64) -> (f64, f64) {
    let values: Vec<_> = (0..count).map(value).collect();
    let sum: f64 = values.iter().sum();
    let worst = values.iter().copied().fold(0.0, f64::max);
    (sum / f64::from(u32::try_from(count).unwrap()), worst)
}

/// Fails when: overdue calls weigh only when they come back, or only the stream of all calls is
/// tested.
#[test]
fn a_hang_is_seen_soon() {
    for (rate, share, most) in [
        (30.0, 1.0, 0.6),
        (30.0, 0.4, 4.0),
        (300.0, 1.0, 0.25),
        (300.0, 0.4, 0.8),
        (3_000.0, 0.4, 0.6),
    ] {
        for policy in policies() {
            let seconds = |seed| hang(policy.clone(), rate, share, seed);
            let (mean, worst) = mean(effort::share_of(6).max(2).into(), seconds);
            println!("{share} at {rate}/s: {mean:.2} s, worst {worst:.2} s");
            assert!(mean <= most, "{share} at {rate}/s, {policy:?}: {mean}");
        }
    }
}

#[test]
#[ignore = "a sweep of a minute: cargo test --release --test it -- slow_shares --ignored --nocapture"]
fn sweep_of_hangs() {
    for share in [1.0, 0.6, 0.4] {
        for rate in [30.0, 300.0, 3_000.0] {
            for policy in policies() {
                let seconds = |seed| hang(policy.clone(), rate, share, 2_000 + seed);
                let (mean, worst) = mean(100, seconds);
                println!("{share} at {rate}/s, {policy:?}: {mean:.2} s, worst {worst:.2} s");
            }
        }
    }
}
