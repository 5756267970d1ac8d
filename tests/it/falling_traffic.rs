//! Recovery while the traffic falls: a ramp that is spaced for many calls goes on with few.

use crate::effort;
use crate::service::{Answer, Dice, Load, Service};
use tripcurve::{CircuitBreaker, State, TripPolicy};

fn fails(share: f64) -> impl FnMut(&mut Dice, f64) -> Answer {
    move |dice, _| {
        let takes = dice.latency();
        if dice.is(share) {
            Answer::bad(takes)
        } else {
            Answer::good(takes)
        }
    }
}

/// When the traffic falls.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Falls {
    /// The traffic falls as soon as the breaker has tripped.
    AtTheTrip,
    /// At any time in the outage. By then, a ramp may run.
    Later,
}

/// The seconds from the end of an outage until the breaker is closed, and the calls that asked in
/// that time. The traffic falls from one number of calls a second to another after the trip.
fn recovery((from, to): (f64, f64), falls: Falls, share: f64, seed: u64) -> (f64, u32) {
    let mut service = Service::new(TripPolicy::adaptive(), Load::Open(from), seed);
    service.run(1_000.0 / from, fails(0.001));
    let is_tripped = |breaker: &CircuitBreaker| breaker.state() != State::Closed;
    service.run_until(30.0, fails(share), is_tripped);
    let rest = 20.0 + 40.0 * service.dice.uniform();
    let before = match falls {
        Falls::AtTheTrip => 0.0,
        Falls::Later => rest * service.dice.uniform(),
    };
    service.run(before, fails(share));
    service.load(to);
    service.run(rest - before, fails(share));
    service.take_figures();
    let is_closed = |breaker: &CircuitBreaker| breaker.state() == State::Closed;
    let took = service.run_until(300.0, fails(0.001), is_closed);
    (took, service.take_figures().calls)
}

/// The mean and the worst recovery of `lives` services, and the calls in the worst.
fn recoveries(falls: Falls, share: f64, seeds: std::ops::Range<u64>) -> (f64, f64, u32) {
    let lives = f64::from(u32::try_from(seeds.end - seeds.start).unwrap());
    let runs: Vec<_> = seeds
        .map(|seed| {
            let mut dice = Dice::new(seed);
            let from = dice.of_magnitude(20.0, 1_000.0);
            let to = dice.of_magnitude(2.0, from);
            (recovery((from, to), falls, share, seed), (from, to))
        })
        .collect();
    let sum: f64 = runs.iter().map(|((took, _), _)| took).sum();
    let worst = runs
        .iter()
        .max_by(|one, other| one.0.0.total_cmp(&other.0.0));
    let ((took, calls), rates) = *worst.unwrap();
    println!(
        "{falls:?}, {share} fail: {:.2} s on average, worst {took:.1} s and {calls} calls at {rates:?}",
        sum / lives
    );
    (sum / lives, took, calls)
}

fn check(falls: Falls, lives: u32) {
    let lives = effort::share_of(lives).max(10);
    for (share, most) in [(1.0, 2.0), (0.7, 4.5), (0.5, 4.5)] {
        let (mean, worst, calls) = recoveries(falls, share, 0..lives.into());
        assert!(mean <= most, "{share}: {mean} s on average");
        assert!(
            worst <= 25.0 || calls <= 50,
            "{share}: {worst} s, {calls} calls"
        );
    }
}

/// Fails when: `Ramp::pace_in` returns the known pace.
#[test]
fn a_ramp_goes_on_though_the_traffic_has_fallen() {
    check(Falls::AtTheTrip, 40);
}

/// Fails when: `Rules::judge` returns what `judge_calls` returns.
#[test]
fn a_ramp_that_runs_goes_on_though_the_traffic_falls() {
    check(Falls::Later, 60);
}

#[test]
#[ignore = "a sweep: cargo test --release --test it -- falling_traffic --ignored --nocapture"]
fn sweep_of_falling_traffic() {
    for falls in [Falls::AtTheTrip, Falls::Later] {
        for share in [1.0, 0.8, 0.7, 0.6, 0.5] {
            recoveries(falls, share, 7_000..7_200);
        }
    }
}
