//! Slow calls as evidence where a sample of dense calls is timed.
//!
//! The evidence comes as soon as it would from all calls.

use std::time::Duration;

use crate::service::{Answer, Dice, Load, Service};
use tripcurve::policy::Adaptive;
use tripcurve::window::Timing;
use tripcurve::{State, TripPolicy};

const LIMIT: f64 = 0.1;

fn tolerant() -> Adaptive {
    TripPolicy::adaptive().slower_than(Duration::from_secs_f64(LIMIT))
}

fn sensitive() -> Adaptive {
    tolerant().tolerate(0.0)
}

fn healthy(dice: &mut Dice, _: f64) -> Answer {
    Answer::good(dice.latency().min(0.95 * LIMIT))
}

/// What goes wrong: a share of the calls takes so many seconds.
#[derive(Clone, Copy, Debug)]
struct Fault {
    share: f64,
    takes: f64,
}

/// Faults of each kind: hangs, and calls that get slow.
const FAULTS: [Fault; 6] = [
    Fault {
        share: 1.0,
        takes: 30.0,
    },
    Fault {
        share: 0.4,
        takes: 30.0,
    },
    Fault {
        share: 1.0,
        takes: 0.12,
    },
    Fault {
        share: 0.4,
        takes: 0.12,
    },
    Fault {
        share: 1.0,
        takes: 0.3,
    },
    Fault {
        share: 0.4,
        takes: 0.3,
    },
];

/// The milliseconds from the beginning of the fault until the breaker trips.
fn detection(timing: Timing, policy: Adaptive, rate: f64, fault: Fault, seed: u64) -> f64 {
    let mut service = Service::timed(timing, policy, Load::Open(rate), seed);
    service.run((6_000.0 / rate).max(1.0), healthy);
    assert_eq!(service.take_figures().trips, 0);
    let fault = move |dice: &mut Dice, now: f64| {
        if dice.is(fault.share) {
            Answer::good(fault.takes)
        } else {
            healthy(dice, now)
        }
    };
    1e3 * service.run_until(60.0, fault, |breaker| breaker.state() != State::Closed)
}

/// The mean of so many detections, by a sample and by all calls.
fn both(policy: &Adaptive, rate: f64, fault: Fault, seeds: u32) -> [f64; 2] {
    [Timing::Sampled, Timing::EveryCall].map(|timing| {
        let of =
            |seed: u32| detection(timing, policy.clone(), rate, fault, 3_000 + u64::from(seed));
        (0..seeds).map(of).sum::<f64>() / f64::from(seeds)
    })
}

/// Fails when: the sample is that of counts, 512 calls a second, or slow calls of the sample are
/// compared with all calls.
#[test]
fn by_a_sample_slow_calls_are_seen_as_soon_as_by_all_calls() {
    for fault in FAULTS {
        let [sampled, every] = both(&sensitive(), 30_000.0, fault, 3);
        assert!(
            sampled <= 1.2 * every,
            "{fault:?}: {sampled:.1} ms by a sample, {every:.1} ms by all"
        );
    }
}

/// Fails when: failures of calls outside the sample aren't evidence.
#[test]
fn by_a_sample_failures_are_seen_as_soon_as_by_all_calls() {
    let failed = |timing| {
        let mut service = Service::timed(timing, tolerant(), Load::Open(30_000.0), 7);
        service.run(1.0, healthy);
        service.take_figures();
        let fails = |dice: &mut Dice, _: f64| Answer::bad(dice.latency() / 100.0);
        service.run_until(1.0, fails, |breaker| breaker.state() != State::Closed);
        assert!(!service.is_closed());
        service.take_figures().failed
    };
    let [sampled, every] = [Timing::Sampled, Timing::EveryCall].map(failed);
    assert!(
        sampled <= every + 2,
        "{sampled} by a sample, {every} by all"
    );
}

/// A usual share of slow calls.
fn slow_share(share: f64, takes: f64) -> impl Fn(&mut Dice, f64) -> Answer + Copy {
    move |dice, now| {
        if dice.is(share) {
            Answer::good(takes)
        } else {
            healthy(dice, now)
        }
    }
}

/// The trips after the traffic jumps to `rate`, in a life with a usual share of slow calls.
fn trips_at_a_jump(timing: Timing, policy: Adaptive, rate: f64, seed: u64) -> u32 {
    let slow = slow_share(0.08, 0.15);
    let mut service = Service::timed(timing, policy, Load::Open(500.0), seed);
    service.run(10.0, slow);
    service.take_figures();
    service.load(rate);
    service.run(0.2, slow);
    service.take_figures().trips
}

/// Fails when: calls that were watched before the jump are weighed as the others are when they
/// become overdue, or when they come back. Then 4 of 20 lives have a trip.
#[test]
fn when_traffic_jumps_a_usual_share_of_slow_calls_trips_in_at_most_one_of_20_lives() {
    for policy in [tolerant(), sensitive()] {
        let trips = |seed| trips_at_a_jump(Timing::Sampled, policy.clone(), 40_000.0, seed);
        let lives = (40..60).filter(|seed| trips(*seed) > 0).count();
        assert!(lives <= 1, "{policy:?}: {lives} of 20 lives");
    }
}

#[test]
#[ignore = "a sweep of a minute: cargo test --release --test it -- sampled_evidence --ignored --nocapture"]
fn sweep_of_jumps() {
    for policy in [tolerant(), sensitive()] {
        for timing in [Timing::Sampled, Timing::EveryCall] {
            for rate in [5_000.0, 40_000.0, 200_000.0] {
                let trips = |seed| trips_at_a_jump(timing, policy.clone(), rate, seed);
                let lives = (40..140).filter(|seed| trips(*seed) > 0).count();
                println!("{policy:?}, {timing:?}, to {rate}/s: a trip in {lives} of 100 lives");
            }
        }
    }
}

/// The trips of a life with a steady share of slow calls, of 5 % to 10 %. Also says which.
fn trips_while_steady(policy: &Adaptive, rate: f64, seconds: f64, seed: u64) -> (u32, String) {
    let mut dice = Dice::new(77 + seed);
    let share = 0.05 + 0.05 * dice.uniform();
    let takes = dice.of_magnitude(0.12, 5.0);
    let mut service = Service::new(policy.clone(), Load::Open(rate), seed);
    service.run(seconds, slow_share(share, takes));
    let trips = service.take_figures().trips;
    (
        trips,
        format!("{trips} trips, {share:.3} take {takes:.2} s"),
    )
}

/// Fails when: a sample at high traffic makes slow calls look more frequent than they are.
#[test]
fn a_steady_share_of_slow_calls_trips_nothing_by_a_sample() {
    for policy in [tolerant(), sensitive()] {
        for (rate, seed) in [(100.0, 1), (1_000.0, 2), (10_000.0, 3), (10_000.0, 4)] {
            let (trips, what) = trips_while_steady(&policy, rate, 40_000.0 / rate, seed);
            assert_eq!(trips, 0, "{policy:?} at {rate}/s: {what}");
        }
    }
}

/// The values of an environment variable, separated by commas.
fn variable<T: std::str::FromStr<Err: std::fmt::Debug>>(name: &str, default: &str) -> Vec<T> {
    let values = std::env::var(name).unwrap_or_else(|_| default.into());
    values.split(',').map(|it| it.parse().unwrap()).collect()
}

/// Prints the trips of each mode in a day, which is 24 lives of an hour. `HOURS=48` makes it two.
#[test]
#[ignore = "a sweep of half an hour: cargo test --release --test it -- sampled_evidence --ignored --nocapture"]
fn sweep_of_steady_shares() {
    let hours = variable::<u64>("HOURS", "24")[0];
    for rate in variable("RATES", "100,1000,10000") {
        for policy in [tolerant(), sensitive()] {
            let lives = (0..hours).map(|seed| trips_while_steady(&policy, rate, 3_600.0, seed));
            let mut sum = 0;
            for (trips, what) in lives.filter(|(trips, _)| *trips > 0) {
                println!("  {what}");
                sum += trips;
            }
            println!("{policy:?} at {rate}/s: {sum} trips in {hours} h");
        }
    }
}

/// The trips while a usual share of slow calls lasts and the traffic rises and falls.
fn trips_while_the_odds_change(timing: Timing, policy: Adaptive, seed: u64) -> u32 {
    let slow = slow_share(0.08, 0.15);
    let mut service = Service::timed(timing, policy, Load::Open(500.0), seed);
    service.run(20.0, slow);
    service.take_figures();
    for rate in [40_000.0, 300.0, 60_000.0, 1_000.0] {
        service.load(rate);
        service.run((40_000.0 / rate).max(1.0), slow);
    }
    service.take_figures().trips
}

#[test]
#[ignore = "a sweep of a minute: cargo test --release --test it -- sampled_evidence --ignored --nocapture"]
fn sweep_of_changing_odds() {
    for policy in [tolerant(), sensitive()] {
        for timing in [Timing::Sampled, Timing::EveryCall] {
            let trips = |seed| trips_while_the_odds_change(timing, policy.clone(), seed);
            let sum: u32 = (40..60).map(trips).sum();
            println!("{policy:?}, {timing:?}: {sum} trips in 20 lives");
        }
    }
}

#[test]
#[ignore = "a sweep of minutes: cargo test --release --test it -- sampled_evidence --ignored --nocapture"]
fn sweep_of_detections() {
    let seeds = variable("SEEDS", "20")[0];
    for policy in [tolerant(), sensitive()] {
        for rate in variable("RATES", "1e3,1e4,3e4,1e5") {
            for fault in FAULTS {
                let [sampled, every] = both(&policy, rate, fault, seeds);
                let ratio = sampled / every;
                println!(
                    "{rate}/s {fault:?}: {sampled:.1} ms by a sample, {every:.1} by all: {ratio:.2}"
                );
            }
        }
    }
}
