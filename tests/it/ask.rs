//! Looking without acquiring, and rejecting later: nothing is counted twice and no state changes.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tripcurve::time::{Clock, MockClock};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, Recovery, Rejected, State};

const SECOND: Duration = Duration::from_secs(1);

fn built(
    settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) -> (CircuitBreaker, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("asked").clock(clock);
    (settings(builder).build().unwrap(), hand)
}

/// The answer, as the state that rejects and the earliest time.
fn answer(breaker: &CircuitBreaker) -> Result<(), (State, Option<Duration>)> {
    let rejection = |rejected: Rejected| (rejected.state(), rejected.earliest());
    breaker.ask().map_err(rejection)
}

#[test]
fn the_answer_is_that_of_the_next_call_in_every_state() {
    for (state, expected) in [
        (State::Closed, Ok(())),
        (State::Disabled, Ok(())),
        (State::MetricsOnly, Ok(())),
        (State::HalfOpen, Ok(())),
        (State::ForcedOpen, Err((State::ForcedOpen, None))),
        (State::Open, Err((State::Open, Some(5 * SECOND)))),
    ] {
        let (breaker, _hand) =
            built(|it| it.recovery(Recovery::fixed(5 * SECOND, 1)).start_in(state));
        assert_eq!(answer(&breaker), expected, "{state}");
        let admitted = breaker.try_acquire();
        assert_eq!(admitted.is_ok(), expected.is_ok(), "{state}");
    }
}

#[test]
fn asking_counts_nothing_and_changes_nothing() {
    let (breaker, hand) = built(|it| it);
    breaker.trip(SECOND);
    let before = breaker.snapshot();
    for _ in 0..10 {
        assert!(breaker.ask().is_err());
    }
    assert_eq!(breaker.snapshot().to_string(), before.to_string());
    hand.advance(SECOND);
    assert_eq!(answer(&breaker), Ok(()));
    let after = breaker.snapshot();
    assert_eq!((after.state(), after.generation()), (State::Open, 1));
    assert_eq!((after.rejected(), after.probes_in_flight()), (0, 0));
}

#[test]
fn a_half_open_breaker_admits_while_a_place_is_free_or_overdue() {
    let (breaker, hand) = built(|it| it.probes(2).start_in(State::HalfOpen));
    assert_eq!(answer(&breaker), Ok(()));
    let first = breaker.try_acquire().unwrap();
    assert_eq!(answer(&breaker), Ok(()));
    let _second = breaker.try_acquire().unwrap();
    let taken = Err((State::HalfOpen, Some(30 * SECOND)));
    assert_eq!(answer(&breaker), taken);
    hand.advance(29 * SECOND);
    assert_eq!(answer(&breaker), Err((State::HalfOpen, Some(SECOND))));
    drop(first);
    assert_eq!(answer(&breaker), Ok(()), "a place was given back");
    let _third = breaker.try_acquire().unwrap();
    assert_eq!(answer(&breaker), taken);
    hand.advance(30 * SECOND);
    assert_eq!(answer(&breaker), Ok(()), "the places are overdue");
}

#[test]
fn without_a_probe_timeout_no_time_is_told() {
    let (breaker, _hand) = built(|it| {
        let builder = it.probes(1).probe_timeout(Duration::MAX);
        builder.start_in(State::HalfOpen)
    });
    let _probe = breaker.try_acquire().unwrap();
    assert_eq!(answer(&breaker), Err((State::HalfOpen, None)));
}

#[test]
fn a_ramp_rejects_no_question() {
    let (breaker, hand) = built(|it| it.recovery(Recovery::steps(&[0.25, 1.0], SECOND)));
    breaker.trip(SECOND);
    hand.advance(2 * SECOND);
    breaker.try_acquire().unwrap().success();
    assert!(breaker.snapshot().admitted_share().unwrap() < 1.0);
    assert!((0..100).any(|_| breaker.try_acquire().is_err()));
    assert!((0..100).all(|_| breaker.ask().is_ok()));
}

#[test]
fn within_a_half_open_call_the_answer_is_yes() {
    let (breaker, _hand) = built(|it| it.probes(1).start_in(State::HalfOpen));
    let asked =
        breaker.call(|| Ok::<_, ()>((breaker.ask().is_ok(), breaker.try_acquire().is_ok())));
    assert_eq!(asked, Ok((true, true)));
    let (breaker, _hand) = built(|it| it.probes(1).start_in(State::HalfOpen));
    let _elsewhere = breaker.try_acquire().unwrap();
    assert!(breaker.ask().is_err());
}

#[test]
fn a_longer_open_time_is_told_at_once() {
    let (breaker, _hand) = built(|it| it);
    let late = breaker.try_acquire().unwrap();
    breaker.trip(SECOND);
    assert_eq!(answer(&breaker), Err((State::Open, Some(SECOND))));
    late.record(tripcurve::outcome::Report::failure().retry_after(60 * SECOND));
    assert_eq!(answer(&breaker), Err((State::Open, Some(60 * SECOND))));
    breaker.trip(5 * SECOND);
    assert_eq!(answer(&breaker), Err((State::Open, Some(5 * SECOND))));
}

#[test]
fn a_breaker_with_other_settings_answers_by_them() {
    let (breaker, _hand) = built(|it| it.probes(1).start_in(State::HalfOpen));
    let _probe = breaker.try_acquire().unwrap();
    assert_eq!(answer(&breaker), Err((State::HalfOpen, Some(30 * SECOND))));
    let settings = CircuitBreaker::builder("asked").probes(1);
    let settings = settings
        .probe_timeout(60 * SECOND)
        .start_in(State::HalfOpen);
    breaker.reconfigure(settings).unwrap();
    assert_eq!(answer(&breaker), Err((State::HalfOpen, Some(60 * SECOND))));
}

/// A service says that it is ready to reject, and the call comes when the open time is over.
#[test]
fn a_later_rejection_is_counted_and_probes_nothing() {
    let (breaker, hand) = built(|it| it);
    breaker.trip(SECOND);
    let rejected = breaker.ask().unwrap_err();
    assert_eq!(breaker.snapshot().rejected(), 0);
    hand.advance(2 * SECOND);
    assert_eq!(breaker.reject(rejected.clone()), rejected);
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state(), snapshot.rejected()), (State::Open, 1));
    assert_eq!(snapshot.generation(), 1);
}

#[test]
fn a_later_rejection_is_never_an_ignored_call() {
    let (breaker, _hand) = built(|it| it);
    let rejected = {
        breaker.force_open();
        breaker.ask().unwrap_err()
    };
    for change in [
        CircuitBreaker::reset,
        CircuitBreaker::disable,
        CircuitBreaker::metrics_only,
    ] {
        change(&breaker);
        let _answer = breaker.reject(rejected.clone());
        let snapshot = breaker.snapshot();
        assert_eq!((snapshot.ignored(), snapshot.rejected()), (0, 0));
    }
    breaker.force_open();
    let _answer = breaker.reject(rejected);
    assert_eq!(breaker.snapshot().rejected(), 1);
}

#[test]
fn a_later_rejection_is_counted_by_a_half_open_breaker_and_by_a_ramp() {
    let (breaker, hand) = built(|it| it.recovery(Recovery::adaptive()));
    breaker.trip(SECOND);
    let rejected = breaker.ask().unwrap_err();
    hand.advance(2 * SECOND);
    let probe = breaker.try_acquire().unwrap();
    let _answer = breaker.reject(rejected.clone());
    assert_eq!(breaker.snapshot().rejected(), 1);
    probe.success();
    assert!(breaker.snapshot().admitted_share().is_some());
    let _answer = breaker.reject(rejected);
    assert_eq!(breaker.snapshot().rejected(), 1);
    assert_eq!(breaker.snapshot().probes_in_flight(), 0);
}

#[test]
fn the_rejection_of_a_breaker_of_another_name_is_not_counted() {
    let (breaker, _hand) = built(|it| it);
    breaker.force_open();
    let other = CircuitBreaker::new("another");
    other.force_open();
    let rejected = other.ask().unwrap_err();
    assert_eq!(breaker.reject(rejected.clone()), rejected);
    assert_eq!(breaker.snapshot().rejected(), 0);
    // Handles of one breaker share its name.
    let handle = other.with_classifier(|_: &Result<(), ()>| Outcome::Success);
    let _answer = handle.reject(rejected);
    assert_eq!(other.snapshot().rejected(), 1);
}

#[test]
fn questions_race_with_calls_and_disturb_none() {
    let (breaker, hand) = built(|it| it.probes(1));
    let admitted = AtomicU32::new(0);
    let mut rounds = 0;
    crate::race::in_rounds(
        200,
        |thread| {
            if thread == 0 {
                if breaker.try_acquire().is_ok_and(|permit| {
                    permit.success();
                    true
                }) {
                    admitted.fetch_add(1, Ordering::SeqCst);
                }
            } else if let Err(rejected) = breaker.ask() {
                let _answer = breaker.reject(rejected);
            }
        },
        |_| {
            rounds += 1;
            breaker.trip(SECOND);
            hand.advance(SECOND);
        },
    );
    assert_eq!(admitted.load(Ordering::SeqCst), rounds);
}
