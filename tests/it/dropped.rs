//! Calls whose callers give up: a permit or a future is dropped unrecorded.

use std::future::pending;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tripcurve::events::Cause;
use tripcurve::handles::OwnedPermit;
use tripcurve::time::{Clock, MockClock};
use tripcurve::window::Window;
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, Recovery, State, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);
const NANO: Duration = Duration::from_nanos(1);

/// The limit for slow calls in these tests.
const LIMIT: Duration = Duration::from_secs(2);

/// The time after which the callers of these tests give up.
const PATIENCE: Duration = Duration::from_secs(5);

fn breaker(
    settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) -> (CircuitBreaker, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("dropped").clock(clock);
    (settings(builder).build().unwrap(), hand)
}

fn slow_rate(builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
    builder.trip_when(TripPolicy::slow_rate(0.5).slower_than(LIMIT))
}

fn adaptive(builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
    builder.trip_when(TripPolicy::adaptive().slower_than(LIMIT))
}

/// Drops a call after this time.
fn drop_after(breaker: &CircuitBreaker, hand: &MockClock, time: Duration) {
    let permit = breaker.try_acquire().unwrap();
    hand.advance(time);
    drop(permit);
}

/// The time until the breaker opens, at most ten minutes. Each caller waits `patience` for a
/// backend that hangs, drops the call and makes another.
fn time_to_open(
    settings: fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
    callers: u32,
    patience: Duration,
) -> Option<Duration> {
    let (breaker, hand) = breaker(settings);
    let step = patience / callers;
    let mut in_flight: Vec<Option<OwnedPermit>> = (0..callers).map(|_| None).collect();
    let mut time = Duration::ZERO;
    while time < 600 * SECOND {
        for caller in &mut in_flight {
            drop(caller.take());
            if breaker.state() != State::Open {
                *caller = breaker.try_acquire_owned().ok();
            }
            if breaker.state() == State::Open {
                return Some(time);
            }
            hand.advance(step);
            time += step;
        }
    }
    None
}

#[test]
fn a_backend_that_hangs_opens_the_breaker_although_each_caller_gives_up() {
    for settings in [slow_rate, adaptive] {
        for callers in 1..=8 {
            let opened = time_to_open(settings, callers, PATIENCE);
            assert!(
                opened.is_some_and(|time| time <= 60 * SECOND),
                "{callers} callers: {opened:?}"
            );
        }
    }
}

#[test]
fn hedges_that_lose_after_ten_milliseconds_never_count() {
    for settings in [slow_rate, adaptive] {
        for callers in [1, 8] {
            assert_eq!(time_to_open(settings, callers, 10 * MILLI), None);
        }
        let (breaker, hand) = breaker(settings);
        for _ in 0..10_000 {
            let hedge = breaker.try_acquire().unwrap();
            breaker.try_acquire().unwrap().success();
            hand.advance(10 * MILLI);
            drop(hedge);
        }
        let snapshot = breaker.snapshot();
        assert_eq!((snapshot.state(), snapshot.slow()), (State::Closed, 0));
        assert_eq!(snapshot.calls(), snapshot.successes());
    }
}

#[test]
fn a_call_is_slow_if_it_is_dropped_after_the_limit_and_ignored_if_before() {
    let windows: [fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder; 2] = [
        |builder| builder.window(Window::time(60 * SECOND, 10)),
        |builder| builder.window(Window::count(100)),
    ];
    for window in windows {
        let (breaker, hand) = breaker(|builder| window(slow_rate(builder)));
        drop_after(&breaker, &hand, LIMIT);
        let counts = |breaker: &CircuitBreaker| {
            let snapshot = breaker.snapshot();
            let slow = snapshot.slow();
            [
                snapshot.calls(),
                snapshot.failures(),
                slow,
                snapshot.ignored(),
            ]
        };
        assert_eq!(counts(&breaker), [0, 0, 0, 1]);
        drop_after(&breaker, &hand, LIMIT + NANO);
        assert_eq!(counts(&breaker), [1, 0, 1, 1]);
    }
}

#[test]
fn a_call_in_flight_beyond_the_limit_is_counted_once_when_it_is_dropped() {
    let (breaker, hand) = breaker(|builder| {
        builder.trip_when(TripPolicy::slow_rate(1.0).slower_than(LIMIT).min_calls(3))
    });
    let calls = [breaker.try_acquire(), breaker.try_acquire()];
    hand.advance(PATIENCE);
    let counts = || {
        let snapshot = breaker.snapshot();
        (snapshot.overdue(), snapshot.slow())
    };
    assert_eq!(counts(), (2, 0));
    let [first, second] = calls;
    drop(first);
    assert_eq!(counts(), (1, 1));
    drop(second);
    assert_eq!(counts(), (0, 2));
    assert_eq!(breaker.state(), State::Closed, "two calls are not three");
    drop_after(&breaker, &hand, PATIENCE);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_future_that_is_dropped_after_the_limit_counts_as_slow() {
    let (breaker, hand) = breaker(slow_rate);
    {
        let mut call = pin!(breaker.call_async(pending::<Result<(), ()>>));
        let mut context = Context::from_waker(Waker::noop());
        assert!(matches!(call.as_mut().poll(&mut context), Poll::Pending));
        hand.advance(PATIENCE);
    }
    assert_eq!(breaker.snapshot().slow(), 1);
}

#[test]
fn an_outcome_that_is_said_to_be_ignored_stays_ignored_however_late() {
    let (breaker, hand) = breaker(slow_rate);
    let permit = breaker.try_acquire().unwrap();
    hand.advance(PATIENCE);
    permit.record(Outcome::Ignored);
    let snapshot = breaker.snapshot();
    assert_eq!(
        (snapshot.calls(), snapshot.slow(), snapshot.ignored()),
        (0, 0, 1)
    );
}

#[test]
fn without_a_limit_a_dropped_call_is_ignored_however_late() {
    for settings in [
        (|builder| builder) as fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
        |builder| builder.trip_when(TripPolicy::adaptive()),
    ] {
        assert_eq!(time_to_open(settings, 4, PATIENCE), None);
    }
}

#[test]
fn a_dropped_call_does_not_end_a_run_of_failures() {
    let (breaker, hand) =
        breaker(|builder| slow_rate(builder.trip_when(TripPolicy::consecutive_failures(3))));
    let fail = || breaker.try_acquire().unwrap().failure();
    fail();
    fail();
    drop_after(&breaker, &hand, PATIENCE);
    assert_eq!(breaker.snapshot().consecutive_failures(), 2);
    fail();
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn where_dropped_calls_count_as_failures_a_late_one_is_slow_too() {
    let (breaker, hand) = breaker(|builder| slow_rate(builder).on_cancel(Outcome::Failure));
    drop_after(&breaker, &hand, PATIENCE);
    let snapshot = breaker.snapshot();
    assert_eq!(
        (snapshot.failures(), snapshot.slow(), snapshot.calls()),
        (1, 1, 1)
    );
}

#[test]
fn a_breaker_that_only_measures_counts_a_late_drop_and_never_trips() {
    let (breaker, hand) = breaker(adaptive);
    breaker.metrics_only();
    for _ in 0..100 {
        drop_after(&breaker, &hand, PATIENCE);
    }
    assert_eq!(breaker.state(), State::MetricsOnly);
    assert!(breaker.snapshot().slow() > 0);
    breaker.disable();
    drop_after(&breaker, &hand, PATIENCE);
    assert_eq!(breaker.snapshot().slow(), 0);
}

#[test]
fn a_late_drop_of_an_earlier_generation_counts_in_none() {
    let (breaker, hand) = breaker(slow_rate);
    let permit = breaker.try_acquire().unwrap();
    hand.advance(PATIENCE);
    breaker.reset();
    drop(permit);
    let snapshot = breaker.snapshot();
    assert_eq!(
        (snapshot.calls(), snapshot.slow(), snapshot.ignored()),
        (0, 0, 0)
    );
}

/// An open breaker, and a function that returns the cause of its last state change.
fn recovering(recovery: Recovery) -> (CircuitBreaker, MockClock, impl Fn() -> Option<Cause>) {
    let (sender, causes) = std::sync::mpsc::channel();
    let (breaker, hand) = breaker(|builder| {
        slow_rate(builder.recovery(recovery)).on_transition(move |transition| {
            let _ = sender.send(transition.cause());
        })
    });
    breaker.trip(SECOND);
    hand.advance(2 * SECOND);
    (breaker, hand, move || causes.try_iter().last())
}

#[test]
fn a_probe_that_is_dropped_after_the_limit_has_failed_and_before_gives_its_place_back() {
    let (breaker, hand, cause) = recovering(Recovery::fixed(SECOND, 1));
    drop_after(&breaker, &hand, LIMIT);
    assert_eq!(breaker.state(), State::HalfOpen);
    drop_after(&breaker, &hand, LIMIT + NANO);
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(cause(), Some(Cause::ProbeSlow));
}

#[test]
fn a_call_of_a_ramp_that_is_dropped_after_the_limit_counts_as_failed() {
    let (breaker, hand, cause) = recovering(Recovery::steps(&[0.5], SECOND));
    breaker.try_acquire().unwrap().success();
    let mut in_flight = Vec::new();
    while in_flight.len() < 20 {
        in_flight.extend(breaker.try_acquire().ok());
    }
    hand.advance(LIMIT);
    drop(in_flight.pop());
    assert_eq!(breaker.state(), State::HalfOpen);
    hand.advance(NANO);
    drop(in_flight);
    assert_eq!(breaker.state(), State::Open);
    assert!(
        matches!(cause(), Some(Cause::RampFailed { .. })),
        "{:?}",
        cause()
    );
}

#[test]
fn a_late_drop_leaves_the_last_calls_as_a_slow_one() {
    let (breaker, hand) = breaker(|builder| slow_rate(builder).window(Window::count(10)));
    drop_after(&breaker, &hand, PATIENCE);
    assert_eq!(breaker.snapshot().slow(), 1);
    for _ in 0..10 {
        breaker.try_acquire().unwrap().success();
    }
    assert_eq!(breaker.snapshot().slow(), 0);
}
