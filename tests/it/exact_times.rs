//! A mock clock is advanced by exactly the time of a setting. Nothing happens a nanosecond earlier,
//! and everything happens then.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tripcurve::events::Cause;
use tripcurve::outcome::Report;
use tripcurve::recovery::{Backoff, Jitter};
use tripcurve::time::{Clock, MockClock};
use tripcurve::window::Window;
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Recovery, State, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);
const NANO: Duration = Duration::from_nanos(1);

/// The clock's time when a test begins: at the begin of a unit of the state word (2²⁰ ns), one
/// nanosecond from it, and elsewhere.
const BEGINNINGS: [u64; 7] = [
    0,
    1,
    (1 << 20) - 1,
    1 << 20,
    (1 << 20) + 1,
    123_456_789,
    86_400_000_000_007,
];

const OPEN_TIMES: [Duration; 5] = [
    MILLI,
    Duration::from_nanos(1_234_567),
    Duration::from_nanos(1 << 20),
    SECOND,
    Duration::from_secs(3_600),
];

fn breaker_at(
    beginning: u64,
    settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) -> (CircuitBreaker, MockClock) {
    let (clock, hand) = Clock::mock();
    hand.advance(Duration::from_nanos(beginning));
    let builder = CircuitBreaker::builder("exact")
        .trip_when(TripPolicy::consecutive_failures(1))
        .clock(clock);
    (settings(builder).build().unwrap(), hand)
}

fn just_before(time: Duration) -> Duration {
    time.saturating_sub(NANO)
}

fn fail(breaker: &CircuitBreaker) {
    breaker.try_acquire().unwrap().failure();
}

/// Checks that the breaker is open for exactly this long, and leaves it half-open.
#[track_caller]
fn assert_open_for(breaker: &CircuitBreaker, hand: &MockClock, time: Duration) {
    assert_eq!(breaker.snapshot().remaining_open(), Some(time));
    hand.advance(just_before(time));
    let rejected = breaker.try_acquire().unwrap_err();
    assert_eq!(rejected.state(), State::Open);
    assert_eq!(rejected.earliest(), Some(NANO));
    assert_eq!(breaker.snapshot().remaining_open(), Some(NANO));
    hand.advance(NANO);
    assert_eq!(breaker.snapshot().remaining_open(), Some(Duration::ZERO));
    drop(breaker.try_acquire().unwrap());
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[test]
fn a_breaker_is_open_for_exactly_its_open_time() {
    for (beginning, time) in BEGINNINGS
        .into_iter()
        .flat_map(|at| OPEN_TIMES.map(|time| (at, time)))
    {
        let (breaker, hand) = breaker_at(beginning, |builder| builder.open_for(time));
        fail(&breaker);
        assert_open_for(&breaker, &hand, time);
        // The open time is equally exact after a failed probe.
        fail(&breaker);
        assert_open_for(&breaker, &hand, time);
        breaker.reset();
        hand.advance(NANO);
        fail(&breaker);
        assert_open_for(&breaker, &hand, time);
    }
}

#[test]
fn a_breaker_that_is_tripped_by_hand_or_starts_open_is_so_for_exactly_its_time() {
    for (beginning, time) in BEGINNINGS
        .into_iter()
        .flat_map(|at| OPEN_TIMES.map(|time| (at, time)))
    {
        let settings =
            |builder: CircuitBreakerBuilder| builder.open_for(time).start_in(State::Open);
        let (breaker, hand) = breaker_at(beginning, settings);
        assert_open_for(&breaker, &hand, time);
        // A longer and a shorter trip come before it.
        breaker.trip(time * 2);
        breaker.trip(time);
        assert_open_for(&breaker, &hand, time);
        breaker.trip(time / 2);
        breaker.trip(time);
        assert_open_for(&breaker, &hand, time);
    }
}

#[test]
fn a_backoff_and_a_retry_after_end_exactly_when_they_say() {
    for beginning in BEGINNINGS {
        let first = Duration::from_nanos(1_500_000_001);
        let backoff = Backoff::exponential(first, 2.0, 60 * SECOND).jitter(Jitter::None);
        let (breaker, hand) = breaker_at(beginning, |builder| builder.backoff(backoff));
        fail(&breaker);
        assert_open_for(&breaker, &hand, first);
        fail(&breaker);
        assert_open_for(&breaker, &hand, first * 2);

        let settings =
            |builder: CircuitBreakerBuilder| builder.open_for(SECOND).max_retry_after(60 * SECOND);
        let (breaker, hand) = breaker_at(beginning, settings);
        let wish = 2 * SECOND + NANO;
        let record = |wish| {
            let permit = breaker.try_acquire().unwrap();
            permit.record(Report::failure().retry_after(wish));
        };
        record(wish);
        assert_open_for(&breaker, &hand, wish);
        // Two `Retry-After`s end in the same unit. The longer one holds.
        let permits = [
            breaker.try_acquire().unwrap(),
            breaker.try_acquire().unwrap(),
        ];
        for (permit, more) in permits.into_iter().zip([NANO, 3 * NANO]) {
            permit.record(Report::failure().retry_after(wish + more));
        }
        assert_open_for(&breaker, &hand, wish + 3 * NANO);
    }
}

#[test]
fn a_probe_loses_its_place_exactly_after_its_time() {
    for beginning in BEGINNINGS {
        let timeout = Duration::from_nanos(2_000_000_003);
        let (breaker, hand) = breaker_at(beginning, |builder| {
            builder.open_for(SECOND).probes(1).probe_timeout(timeout)
        });
        fail(&breaker);
        hand.advance(SECOND);
        let lost = breaker.try_acquire().unwrap();
        hand.advance(just_before(timeout));
        let rejected = breaker.try_acquire().unwrap_err();
        assert_eq!(rejected.earliest(), Some(NANO));
        hand.advance(NANO);
        breaker.try_acquire().unwrap().success();
        assert_eq!(breaker.state(), State::Closed);
        drop(lost);
    }
}

#[test]
fn a_step_of_a_ramp_lasts_exactly_its_time() {
    for beginning in BEGINNINGS {
        let each = Duration::from_nanos(3_000_000_001);
        let (breaker, hand) = breaker_at(beginning, |builder| {
            builder.recovery(Recovery::steps(&[0.5, 1.0], each))
        });
        breaker.trip(SECOND);
        hand.advance(SECOND);
        breaker.try_acquire().unwrap().success();
        let let_through = || {
            let mut calls = std::iter::repeat_with(|| breaker.try_acquire());
            calls.find_map(Result::ok).unwrap()
        };
        for share in [0.5, 1.0] {
            assert_eq!(breaker.snapshot().admitted_share(), Some(share));
            hand.advance(just_before(each));
            let_through().success();
            assert_eq!(breaker.snapshot().admitted_share(), Some(share));
            hand.advance(NANO);
            let_through().success();
        }
        assert_eq!(breaker.state(), State::Closed);
    }
}

#[test]
fn a_call_in_flight_is_overdue_a_nanosecond_after_the_limit() {
    for beginning in BEGINNINGS {
        let (breaker, hand) = breaker_at(beginning, |builder| {
            builder.trip_when(TripPolicy::slow_rate(1.0).slower_than(SECOND).min_calls(9))
        });
        let hangs = breaker.try_acquire().unwrap();
        hand.advance(SECOND);
        assert_eq!(breaker.snapshot().overdue(), 0);
        hand.advance(NANO);
        assert_eq!(breaker.snapshot().overdue(), 1);
        drop(hangs);
    }
}

/// A call leaves a window at its end or up to a bucket earlier, at any clock time.
#[test]
fn a_call_leaves_its_window_no_later_than_the_window_is_long() {
    let windows: [(Window, Duration, u32); 5] = [
        (Window::time(10 * SECOND, 10), 10 * SECOND, 10),
        (Window::time(SECOND, 7), SECOND, 7),
        (Window::time(SECOND, 1), SECOND, 1),
        (
            Window::count(20).within(10 * SECOND).into(),
            10 * SECOND,
            64,
        ),
        (
            Window::count(20).within(100 * MILLI + NANO).into(),
            100 * MILLI + NANO,
            64,
        ),
    ];
    for (window, length, buckets) in windows {
        let bucket = length / buckets;
        for beginning in BEGINNINGS {
            for offset in [
                Duration::ZERO,
                NANO,
                bucket / 2,
                just_before(bucket),
                bucket,
            ] {
                let (breaker, hand) = breaker_at(beginning, |builder| {
                    let policy = TripPolicy::failure_rate(1.0).min_calls(20);
                    builder.window(window.clone()).trip_when(policy)
                });
                breaker.metrics_only();
                hand.advance(offset);
                fail(&breaker);
                // If the buckets don't divide the length evenly, the window is shorter by the
                // remainder.
                let cut = NANO * buckets;
                hand.advance(length.saturating_sub(bucket + cut));
                assert_eq!(
                    breaker.snapshot().failures(),
                    1,
                    "{window:?} at {beginning}"
                );
                hand.advance((bucket + cut).min(length));
                assert_eq!(
                    breaker.snapshot().failures(),
                    0,
                    "{window:?} at {beginning}"
                );
            }
        }
    }
}

/// At a bucket's boundary, a call leaves exactly at the window's end.
#[test]
fn a_call_at_the_beginning_of_a_bucket_leaves_exactly_with_the_window() {
    for window in [
        Window::time(10 * SECOND, 10),
        Window::count(20).within(10 * SECOND).into(),
    ] {
        let (breaker, hand) = breaker_at(0, |builder| builder.window(window));
        breaker.metrics_only();
        hand.advance(30 * SECOND);
        fail(&breaker);
        hand.advance(just_before(10 * SECOND));
        assert_eq!(breaker.snapshot().failures(), 1);
        hand.advance(NANO);
        assert_eq!(breaker.snapshot().failures(), 0);
    }
}

#[test]
fn listeners_are_told_of_a_probe_at_exactly_the_end_of_the_open_time() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&log);
    let (breaker, hand) = breaker_at(5, |builder| {
        builder
            .open_for(SECOND)
            .probes(1)
            .on_transition(move |transition| {
                told.lock()
                    .unwrap()
                    .push((transition.at(), transition.cause()));
            })
    });
    fail(&breaker);
    hand.advance(SECOND);
    breaker.try_acquire().unwrap().success();
    let log = log.lock().unwrap();
    let (tripped, probed) = (log[0].0, log[1]);
    assert_eq!(probed, (tripped + SECOND, Cause::OpenExpired));
}

#[cfg(feature = "serde")]
#[test]
fn what_is_left_of_an_open_time_is_restored_to_the_nanosecond() {
    for beginning in BEGINNINGS {
        let (clock, hand) = Clock::mock();
        hand.advance(Duration::from_nanos(beginning));
        let builder = || CircuitBreaker::builder("exact").clock(clock.clone());
        let breaker = builder().build().unwrap();
        breaker.trip(5 * SECOND + NANO);
        hand.advance(SECOND);
        let saved = breaker.save();
        hand.advance(SECOND);
        let restored = builder().restore(saved).build().unwrap();
        assert_open_for(&restored, &hand, 3 * SECOND + NANO);
        // This one is restored after the open time.
        let late = {
            let breaker = builder().build().unwrap();
            breaker.trip(SECOND);
            let saved = breaker.save();
            hand.advance(SECOND);
            builder().restore(saved).build().unwrap()
        };
        drop(late.try_acquire().unwrap());
        assert_eq!(late.state(), State::HalfOpen);
    }
}

#[cfg(feature = "retry")]
#[test]
fn a_retry_waits_exactly_for_the_open_time() {
    use tripcurve::retry::{RetryBudget, RetryRefused};

    let (breaker, hand) = breaker_at(7, |builder| builder.open_for(SECOND));
    let budget = RetryBudget::new(&breaker);
    fail(&breaker);
    hand.advance(just_before(SECOND));
    let RetryRefused::NotClosed(rejected) = budget.try_withdraw().unwrap_err() else {
        panic!("the breaker is open")
    };
    assert_eq!(rejected.earliest(), Some(NANO));
}
