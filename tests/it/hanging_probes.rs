//! Probes that hang: with a limit for slow calls, the breaker doesn't wait for them.

use std::time::Duration;

use crate::effort;
use crate::service::{Answer, Dice, Load, Service};
use tripcurve::{CircuitBreaker, State, TripPolicy};

const LIMIT: f64 = 0.1;

fn healthy(dice: &mut Dice, _: f64) -> Answer {
    Answer::good(dice.latency().min(0.95 * LIMIT))
}

/// The seconds from the end of a hang until the breaker is closed, and the part of the calls in the
/// hang that went to the dependency. Before calls hang, they fail until the breaker has tripped.
/// Calls that hang take `hang` seconds.
fn recovery(load: Load, hang: f64, seed: u64) -> (f64, f64) {
    let policy = TripPolicy::adaptive().slower_than(Duration::from_secs_f64(LIMIT));
    let mut service = Service::new(policy, load, seed);
    service.run(20.0, healthy);
    let length = 30.0 + 30.0 * service.dice.uniform();
    let is_tripped = |breaker: &CircuitBreaker| breaker.state() != State::Closed;
    service.run_until(length, |dice, _| Answer::bad(dice.latency()), is_tripped);
    service.take_figures();
    service.run(length, |_, _| Answer::good(hang));
    let figures = service.take_figures();
    let onto_dead = f64::from(figures.calls - figures.rejected) / f64::from(figures.calls);
    let back = service.run_until(60.0, healthy, |breaker| breaker.state() == State::Closed);
    (back, onto_dead)
}

/// Fails when: a probe that hangs keeps its place for `probe_timeout`, or a late report of one
/// lengthens the lease of others.
#[test]
fn a_breaker_closes_soon_after_a_hang() {
    for hang in [4.0, 25.0] {
        // Probes that hang must leave some workers.
        for load in [Load::Open(10.0), Load::Open(40.0), Load::Closed(100)] {
            let lives = effort::share_of(5);
            let runs = (0..lives).map(|seed| recovery(load, hang, seed.into()));
            let runs: Vec<_> = runs.collect();
            let mean = runs.iter().map(|run| run.0).sum::<f64>() / f64::from(lives);
            let dead = runs.iter().map(|run| run.1).sum::<f64>() / f64::from(lives);
            println!("{load:?}, {hang} s: {mean:.2} s, {:.2} %", 100.0 * dead);
            assert!(mean <= 2.0 + LIMIT, "{load:?}, {hang}: {runs:?}");
            assert!(dead <= 0.1, "{load:?}, {hang}: {runs:?}");
        }
    }
}
