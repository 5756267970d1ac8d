//! Stalls of the client: they are no evidence against the dependency, and hide no hang.

use std::time::Duration;

use crate::effort;
use crate::service::{Answer, Dice, Load, Service};
use tripcurve::policy::Adaptive;
use tripcurve::{State, TripPolicy};

const LIMIT: f64 = 0.1;

fn policies() -> [Adaptive; 2] {
    let limit = Duration::from_secs_f64(LIMIT);
    [
        TripPolicy::adaptive().slower_than(limit),
        TripPolicy::adaptive().tolerate(0.0).slower_than(limit),
    ]
}

fn healthy(dice: &mut Dice, _: f64) -> Answer {
    Answer::good(dice.latency().min(0.95 * LIMIT))
}

/// The trips of `stalls` stalls. The rate and the lengths, which are between these seconds, are
/// drawn by `seed`.
fn trips(policy: Adaptive, seed: u64, stalls: u32, (from, to): (f64, f64)) -> (u32, String) {
    let mut dice = Dice::new(seed);
    let rate = dice.of_magnitude(100.0, 1_000.0);
    let mut service = Service::new(policy, Load::Open(rate), seed);
    service.run(2_000.0 / rate, healthy);
    for _ in 0..stalls {
        let length = dice.of_magnitude(from, to);
        service.stall(0.5 + dice.uniform(), length);
        service.run(length + length.min(20.0) + 2.0, healthy);
    }
    let figures = service.take_figures();
    (figures.trips, format!("{rate:.0}/s: {figures:?}"))
}

/// Fails when: `View::is_excused` is always false, or `InFlight::charge` charges the time of stalls.
#[test]
fn a_stall_of_the_client_trips_nothing() {
    for policy in policies() {
        for seed in 0..3 {
            let (trips, what) = trips(policy.clone(), 300 + seed, 3, (0.6, 4.0));
            assert_eq!(trips, 0, "{policy:?}: {what}");
        }
    }
}

/// The window of 60 s then holds few of the calls before the pause, or none.
///
/// Fails when: `note_progress_slow` goes by the calls of the window whatever the gap is.
#[test]
fn a_pause_as_long_as_the_window_trips_nothing() {
    for policy in policies() {
        for seed in 320..320 + u64::from(effort::share_of(20).max(2)) {
            let (trips, what) = trips(policy.clone(), seed, 3, (4.0, 300.0));
            assert_eq!(trips, 0, "{policy:?}: {what}");
        }
    }
}

#[test]
#[ignore = "a sweep of minutes: cargo test --release --test it -- stalls --ignored --nocapture"]
fn sweep_of_stalls() {
    for policy in policies() {
        for (from, to) in [(0.6, 4.0), (4.0, 40.0), (40.0, 400.0)] {
            let mut sum = 0;
            for seed in 4_000..4_040 {
                let (trips, what) = trips(policy.clone(), seed, 10, (from, to));
                sum += trips;
                if trips > 0 {
                    println!("{what}");
                }
            }
            println!("{policy:?}: {sum} trips in 400 stalls of {from} to {to} s");
        }
    }
}

/// The seconds until the breaker of a closed loop trips when the dependency hangs. Calls that hang
/// take `hang` to `2 * hang` seconds.
fn closed_loop(policy: Adaptive, workers: u32, hang: f64, seed: u64) -> f64 {
    let mut service = Service::new(policy, Load::Closed(workers), seed);
    service.run(5_000.0 / (45.0 * f64::from(workers)), healthy);
    assert_eq!(service.take_figures().trips, 0);
    let hangs = |dice: &mut Dice, _: f64| Answer::good(hang * (1.0 + dice.uniform()));
    service.run_until(300.0, hangs, |breaker| breaker.state() != State::Closed)
}

/// Fails when: `Stalls::is_apart` is always true.
#[test]
fn workers_that_all_wait_for_a_dependency_that_hangs_are_no_stall_for_ever() {
    for policy in policies() {
        for workers in [4, 12, 40] {
            for hang in [0.5, 2.0, 10.0] {
                let took = closed_loop(policy.clone(), workers, hang, 7);
                println!("{workers} workers, {hang} s: tripped after {took:.2} s");
                assert!(took <= 3.0 * hang + 1.0, "{workers}, {hang}: {took}");
            }
        }
    }
}
