//! A breaker that warms up counts and doesn't trip.

use std::sync::mpsc;
use std::time::Duration;

use tripcurve::events::WouldTripReason;
use tripcurve::time::{Clock, MockClock};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, State, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);

fn warming() -> (CircuitBreakerBuilder, MockClock) {
    let (clock, hand) = Clock::mock();
    hand.advance(100 * SECOND);
    let builder = CircuitBreaker::builder("cold")
        .trip_when(TripPolicy::consecutive_failures(3))
        .warm_up(30 * SECOND)
        .clock(clock);
    (builder, hand)
}

fn fail(breaker: &CircuitBreaker, times: u32) {
    for _ in 0..times {
        breaker.try_acquire().unwrap().failure();
    }
}

#[test]
fn a_breaker_that_warms_up_counts_and_does_not_trip() {
    let (builder, hand) = warming();
    let breaker = builder.build().unwrap();
    hand.advance(29 * SECOND);
    fail(&breaker, 5);
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state(), snapshot.failures()), (State::Closed, 5));
}

#[test]
fn the_first_failure_after_it_is_judged_by_all_calls_of_the_window() {
    let (builder, hand) = warming();
    let breaker = builder.build().unwrap();
    hand.advance(29 * SECOND);
    fail(&breaker, 2);
    hand.advance(SECOND);
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn an_outcome_that_asks_for_a_trip_and_evidence_do_not_trip_either() {
    let (builder, _hand) = warming();
    let breaker = builder.trip_when(TripPolicy::adaptive()).build().unwrap();
    breaker.try_acquire().unwrap().record(Outcome::Trip);
    fail(&breaker, 100);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn commands_hold_while_it_warms_up() {
    let (builder, _hand) = warming();
    let breaker = builder.build().unwrap();
    breaker.trip(SECOND);
    assert_eq!(breaker.state(), State::Open);
    breaker.reset();
    fail(&breaker, 3);
    assert_eq!(breaker.state(), State::Closed, "a reset doesn't end it");
}

#[test]
fn listeners_are_told_once_of_the_trip_that_did_not_come() {
    let (builder, _hand) = warming();
    let (sender, told) = mpsc::channel();
    let builder = builder.on_would_trip(move |event| sender.send(event.reason()).unwrap());
    let breaker = builder.build().unwrap();
    fail(&breaker, 10);
    assert_eq!(
        told.try_iter().collect::<Vec<_>>(),
        [WouldTripReason::WarmUp]
    );
    assert_eq!(breaker.snapshot().would_have_opened(), 1);
}

#[test]
fn a_breaker_in_use_keeps_its_warm_up() {
    let (builder, _hand) = warming();
    let breaker = builder.clone().build().unwrap();
    assert!(breaker.reconfigure(builder.clone()).is_ok());
    let error = breaker.reconfigure(builder.warm_up(SECOND)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "warm_up: 1s is not 30s, which the breaker was built with; a breaker warms up once; leave it \
         out"
    );
}

#[test]
fn a_warm_up_of_more_than_a_day_is_refused() {
    let builder = CircuitBreaker::builder("cold").warm_up(Duration::from_secs(86_401));
    assert_eq!(
        builder.build().unwrap_err().to_string(),
        "warm_up: 86401s is not at most 1 day; 30 s suit most services; for a breaker that never \
         trips there is metrics_only"
    );
}
