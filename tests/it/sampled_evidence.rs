//! Slow calls as evidence where a sample of dense calls is timed: it comes as soon as from all calls.

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

/// The trips while a usual share of slow calls lasts and the traffic changes.
fn trips_while_the_odds_change(timing: Timing, policy: Adaptive, seed: u64) -> u32 {
    let slow = |dice: &mut Dice, _: f64| {
        if dice.is(0.08) {
            Answer::good(0.15)
        } else {
            Answer::good(dice.latency().min(0.95 * LIMIT))
        }
    };
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
    let var = |name: &str, default: &str| std::env::var(name).unwrap_or(default.into());
    let seeds = var("SEEDS", "20").parse().unwrap();
    for policy in [tolerant(), sensitive()] {
        for rate in var("RATES", "1e3,1e4,3e4,1e5").split(',') {
            let rate: f64 = rate.parse().unwrap();
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
