//! Probes of which some may fail.

use std::time::Duration;

use tripcurve::events::Cause;
use tripcurve::time::{Clock, MockClock};
use tripcurve::{CircuitBreaker, Outcome, Recovery, State};

const SECOND: Duration = Duration::from_secs(1);

/// A breaker whose open time is over.
fn probing(recovery: Recovery) -> (CircuitBreaker, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("probes").recovery(recovery);
    let breaker = builder.clock(clock).build().unwrap();
    breaker.trip(Duration::ZERO);
    (breaker, hand)
}

fn report(breaker: &CircuitBreaker, outcomes: &[Outcome]) {
    for outcome in outcomes {
        breaker.try_acquire().unwrap().record(*outcome);
    }
}

const GOOD: Outcome = Outcome::Success;
const BAD: Outcome = Outcome::Failure;

fn three_of_five() -> Recovery {
    Recovery::fixed(SECOND, 5).success_threshold(3)
}

#[test]
fn as_many_successes_as_must_close_the_breaker() {
    let (breaker, _hand) = probing(three_of_five());
    report(&breaker, &[BAD, GOOD, BAD, GOOD]);
    let snapshot = breaker.snapshot();
    assert_eq!(snapshot.state(), State::HalfOpen);
    assert_eq!(
        (snapshot.probes_succeeded(), snapshot.probes_failed()),
        (2, 2)
    );
    report(&breaker, &[GOOD]);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn it_opens_as_soon_as_they_cannot_be_reached() {
    let (breaker, _hand) = probing(three_of_five());
    report(&breaker, &[BAD, GOOD, BAD, BAD]);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_probe_that_has_failed_keeps_its_place() {
    let (breaker, _hand) = probing(three_of_five());
    report(&breaker, &[BAD, BAD]);
    let permits: Vec<_> = (0..10).filter_map(|_| breaker.try_acquire().ok()).collect();
    assert_eq!(permits.len(), 3);
}

#[test]
fn what_failed_is_kept_when_probes_are_overdue() {
    let (breaker, hand) = probing(three_of_five());
    report(&breaker, &[BAD, BAD]);
    let _hang: Vec<_> = (0..3).map(|_| breaker.try_acquire().unwrap()).collect();
    hand.advance(31 * SECOND);
    breaker.try_acquire().unwrap().failure();
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_probe_that_says_trip_opens_whatever_may_fail() {
    let (breaker, _hand) = probing(three_of_five());
    report(&breaker, &[Outcome::Trip]);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn listeners_hear_how_many_it_were() {
    let (sender, told) = std::sync::mpsc::channel();
    let breaker = CircuitBreaker::builder("probes")
        .recovery(three_of_five())
        .on_transition(move |transition| sender.send(transition.cause()).unwrap())
        .build()
        .unwrap();
    breaker.trip(Duration::ZERO);
    std::iter::repeat_with(|| breaker.try_acquire())
        .find_map(Result::ok)
        .unwrap()
        .failure();
    report(&breaker, &[GOOD, GOOD, GOOD]);
    let cause = told.try_iter().last().unwrap();
    let expected = Cause::EnoughProbesSucceeded {
        succeeded: 3,
        probes: 5,
    };
    assert_eq!(cause, expected);
    assert_eq!(cause.to_string(), "3 of up to 5 probes succeeded");
}

/// How many of the probes may fail with this largest failure rate.
fn may_fail(share: f64, probes: u32) -> u32 {
    let (breaker, _hand) = probing(Recovery::fixed(SECOND, probes).max_failure_rate(share));
    let mut failed = 0;
    loop {
        breaker.try_acquire().unwrap().failure();
        if breaker.state() == State::Open {
            return failed;
        }
        failed += 1;
    }
}

#[test]
fn a_largest_failure_rate_is_meant_to_the_probe() {
    for (share, probes, expected) in [
        (0.0, 3, 0),
        (0.5, 4, 2),
        (0.5, 5, 2),
        (0.29, 100, 29),
        (0.1, 30, 3),
        (0.7, 10, 7),
        (0.99, 3, 2),
        (0.999_999, 1, 0),
        (0.25, 1_023, 255),
    ] {
        assert_eq!(may_fail(share, probes), expected, "{share} of {probes}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let fixed = Recovery::fixed(SECOND, 5);
    for (recovery, expected) in [
        (
            fixed.success_threshold(0),
            "success_threshold: 0 is not in 1..=5, the number of probes; leave it out where all probes \
             must succeed",
        ),
        (
            fixed.success_threshold(6),
            "success_threshold: 6 is not in 1..=5, the number of probes; leave it out where all probes \
             must succeed",
        ),
        (
            fixed.max_failure_rate(1.0),
            "max_failure_rate: 1 is not at least 0 and less than 1; 0.5 lets half of them fail",
        ),
        (
            fixed.max_failure_rate(f64::NAN),
            "max_failure_rate: NaN is not at least 0 and less than 1; 0.5 lets half of them fail",
        ),
    ] {
        let builder = CircuitBreaker::builder("nonsense").recovery(recovery);
        assert_eq!(builder.build().unwrap_err().to_string(), expected);
    }
}
