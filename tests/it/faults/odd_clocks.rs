//! A clock that stands still, jumps an hour or jumps ten years.

use super::*;
use tripcurve::window::Window;
use tripcurve::{Outcome, TripPolicy};

const JUMPS: [Duration; 3] = [
    Duration::ZERO,
    HOUR,
    Duration::from_secs(10 * 365 * 24 * 3_600),
];

fn windows() -> [Window; 3] {
    [
        Window::time(10 * SECOND, 10),
        Window::count(100).into(),
        Window::count(100).within(10 * SECOND).into(),
    ]
}

/// A breaker for each window, by evidence where that is possible and by the classic policies.
fn breakers() -> Vec<(CircuitBreaker, MockClock)> {
    let classic = |builder: CircuitBreakerBuilder| builder.trip_when(TripPolicy::classic());
    let mut all = vec![breaker(|builder| builder)];
    all.extend(windows().map(|window| breaker(|builder| classic(builder.window(window)))));
    all
}

fn enter(breaker: &CircuitBreaker, state: State) {
    match state {
        State::Closed | State::HalfOpen => breaker.reset(),
        State::Open => breaker.trip(SECOND),
        State::ForcedOpen => breaker.force_open(),
        State::Disabled => breaker.disable(),
        State::MetricsOnly => breaker.metrics_only(),
        other => panic!("{other}"),
    }
    if state == State::HalfOpen {
        breaker.trip(Duration::ZERO);
        drop(breaker.try_acquire());
    }
    assert_eq!(breaker.state(), state);
}

#[test]
fn whatever_the_clock_did_and_the_state_was_the_breaker_trips_and_recovers() {
    for jump in JUMPS {
        for state in [
            State::Closed,
            State::Open,
            State::HalfOpen,
            State::ForcedOpen,
            State::Disabled,
            State::MetricsOnly,
        ] {
            for (breaker, hand) in breakers() {
                for _ in 0..100 {
                    breaker.try_acquire().unwrap().success();
                }
                enter(&breaker, state);
                hand.advance(jump);
                works(&breaker, &hand);
            }
        }
    }
}

#[test]
fn a_call_in_flight_during_a_jump_counts_once_and_trips_nothing() {
    for jump in JUMPS {
        for outcome in [Outcome::Success, Outcome::Failure] {
            for (breaker, hand) in breakers() {
                let permit = breaker.try_acquire().unwrap();
                hand.advance(jump);
                assert!(permit.record(outcome));
                let snapshot = breaker.snapshot();
                assert_eq!((snapshot.state(), snapshot.calls()), (State::Closed, 1));
                works(&breaker, &hand);
            }
        }
    }
}

#[test]
fn while_the_clock_stands_still_an_open_breaker_stays_open_and_a_closed_one_judges() {
    for (breaker, hand) in breakers() {
        for _ in 0..10_000 {
            breaker.try_acquire().unwrap().success();
        }
        while breaker.state() == State::Closed {
            breaker.try_acquire().unwrap().failure();
        }
        for _ in 0..1_000 {
            assert!(breaker.try_acquire().is_err());
        }
        hand.advance(HOUR);
        assert!(breaker.try_acquire().is_ok());
    }
}
