//! Traces of an earlier generation never affect a later one, after any number of state changes in
//! any time.
//!
//! Packed words hold 11, 12 or 21 bits of a generation's number. The tests use the distances at
//! which these bits repeat.

use std::time::Duration;

use tripcurve::events::Cause;
use tripcurve::outcome::Report;
use tripcurve::recovery::{Backoff, Jitter};
use tripcurve::time::{Clock, MockClock};
use tripcurve::window::{Recording, Window};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, Recovery, State, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(2);

/// The numbers of state changes after which the low 11 or 12 bits repeat.
const ROUNDS: [u32; 5] = [2_047, 2_048, 4_096, 8_192, 3 * 2_048];

fn breaker(
    settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) -> (CircuitBreaker, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("generations").clock(clock);
    (settings(builder).build().unwrap(), hand)
}

fn reset(breaker: &CircuitBreaker, times: u32) {
    for _ in 0..times {
        breaker.reset();
    }
}

fn fail(breaker: &CircuitBreaker, calls: u32) {
    for _ in 0..calls {
        breaker.try_acquire().unwrap().failure();
    }
}

fn windows() -> [Window; 4] {
    [
        Window::time(60 * SECOND, 10),
        Window::time(60 * SECOND, 1_024),
        Window::count(100).into(),
        Window::count(100).within(60 * SECOND).into(),
    ]
}

/// A breaker that counts, times and weighs every call, and doesn't trip soon.
fn counting(window: Window) -> (CircuitBreaker, MockClock) {
    let weighs = !format!("{window:?}").contains("Count");
    breaker(|builder| {
        let builder = builder
            .window(window)
            .latency(Recording::ByOutcome)
            .trip_when(TripPolicy::consecutive_failures(9))
            .trip_when(TripPolicy::failure_count(90))
            .trip_when(TripPolicy::slow_rate(1.0).slower_than(LIMIT).min_calls(90))
            .start_in(State::Closed);
        if weighs {
            builder.trip_when(TripPolicy::adaptive().slower_than(LIMIT))
        } else {
            builder
        }
    })
}

#[track_caller]
fn assert_empty(breaker: &CircuitBreaker) {
    let snapshot = breaker.snapshot();
    let counts = [
        snapshot.calls(),
        snapshot.failures(),
        snapshot.slow(),
        snapshot.overdue(),
        snapshot.ignored(),
        snapshot.consecutive_failures(),
        snapshot.latency().unwrap().count(),
        snapshot.latency_of_failures().unwrap().count(),
    ];
    assert_eq!(counts, [0; 8], "{snapshot:?}");
}

#[test]
fn nothing_that_a_generation_counted_is_there_again_after_as_many_resets_at_one_moment() {
    for window in windows() {
        for times in ROUNDS {
            let (breaker, hand) = counting(window.clone());
            hand.advance(SECOND);
            fail(&breaker, 2);
            breaker
                .try_acquire()
                .unwrap()
                .record(Report::success().took(2 * LIMIT));
            breaker.try_acquire().unwrap().record(Outcome::Ignored);
            fail(&breaker, 2);
            reset(&breaker, times);
            assert_empty(&breaker);
            // The call isn't counted among later calls, either.
            fail(&breaker, 1);
            assert_eq!(breaker.snapshot().failures(), 1);
            assert_eq!(breaker.snapshot().consecutive_failures(), 1);
            assert_eq!(breaker.state(), State::Closed);
        }
    }
}

#[test]
fn hung_calls_are_not_overdue_after_as_many_resets() {
    for times in ROUNDS {
        let (breaker, hand) = breaker(|builder| {
            builder.trip_when(TripPolicy::slow_rate(0.5).slower_than(LIMIT).min_calls(5))
        });
        let hung: Vec<_> = (0..5).map(|_| breaker.try_acquire().unwrap()).collect();
        reset(&breaker, times);
        hand.advance(2 * LIMIT);
        assert_eq!(breaker.snapshot().overdue(), 0, "after {times} resets");
        breaker.try_acquire().unwrap().success();
        assert_eq!(breaker.state(), State::Closed, "after {times} resets");
        drop(hung);
    }
}

#[test]
fn hung_calls_are_no_evidence_after_as_many_resets() {
    for times in ROUNDS {
        let (breaker, hand) =
            breaker(|builder| builder.trip_when(TripPolicy::adaptive().slower_than(LIMIT)));
        let hung: Vec<_> = (0..20).map(|_| breaker.try_acquire().unwrap()).collect();
        reset(&breaker, times);
        hand.advance(2 * LIMIT);
        for _ in 0..3 {
            breaker.try_acquire().unwrap().success();
        }
        assert_eq!(breaker.state(), State::Closed, "after {times} resets");
        drop(hung);
    }
}

/// A call of an earlier generation counts for nothing, whatever its outcome.
#[test]
fn a_call_that_comes_back_after_as_many_resets_changes_nothing() {
    let comes_back: [fn(tripcurve::Permit<'_>); 5] = [
        |permit| permit.failure(),
        |permit| permit.success(),
        |permit| assert!(!permit.record(Outcome::Ignored)),
        |permit| assert!(!permit.record(Outcome::TimedOut)),
        |permit| drop(permit),
    ];
    for window in windows() {
        for times in ROUNDS {
            for comes_back in comes_back {
                let (breaker, hand) = counting(window.clone());
                let calls: Vec<_> = (0..30).map(|_| breaker.try_acquire().unwrap()).collect();
                reset(&breaker, times);
                hand.advance(2 * LIMIT);
                for call in calls {
                    comes_back(call);
                }
                assert_empty(&breaker);
                // No evidence is left, either. Otherwise one more failure would be enough.
                fail(&breaker, 1);
                assert_eq!(
                    breaker.state(),
                    State::Closed,
                    "{window:?} after {times} resets"
                );
            }
        }
    }
}

#[test]
fn evidence_is_not_there_again_after_as_many_resets() {
    for times in ROUNDS {
        let (breaker, _) = breaker(|builder| builder.trip_when(TripPolicy::adaptive()));
        let enough = {
            let (other, _) = self::breaker(|builder| builder.trip_when(TripPolicy::adaptive()));
            let fails = |_: &u32| {
                fail(&other, 1);
                other.state() == State::Open
            };
            (1..100).find(fails).unwrap()
        };
        fail(&breaker, enough - 1);
        reset(&breaker, times);
        fail(&breaker, enough - 1);
        assert_eq!(breaker.state(), State::Closed, "after {times} resets");
        fail(&breaker, 1);
        assert_eq!(breaker.state(), State::Open);
    }
}

#[test]
fn open_times_begin_anew_after_as_many_resets() {
    for times in ROUNDS {
        let backoff = Backoff::exponential(SECOND, 2.0, 60 * SECOND).jitter(Jitter::None);
        let (breaker, hand) = breaker(|builder| {
            builder
                .trip_when(TripPolicy::consecutive_failures(1))
                .backoff(backoff)
        });
        fail(&breaker, 1);
        hand.advance(SECOND);
        fail(&breaker, 1);
        assert_eq!(breaker.snapshot().remaining_open(), Some(2 * SECOND));
        reset(&breaker, times);
        fail(&breaker, 1);
        assert_eq!(breaker.snapshot().remaining_open(), Some(SECOND));
    }
}

#[test]
fn a_probe_and_a_call_of_a_ramp_change_nothing_after_as_many_resets() {
    for times in ROUNDS {
        let (breaker, hand) = breaker(|builder| builder.recovery(Recovery::steps(&[0.5], SECOND)));
        let half_open = || {
            breaker.trip(SECOND);
            hand.advance(SECOND);
            breaker.try_acquire().unwrap()
        };
        let probe = half_open();
        // Two more state changes make it half-open again.
        reset(&breaker, times - 2);
        let present = half_open();
        probe.failure();
        assert_eq!(breaker.state(), State::HalfOpen, "after {times} changes");
        assert_eq!(breaker.snapshot().probes_in_flight(), 1);
        present.success();
        let call = std::iter::repeat_with(|| breaker.try_acquire()).find_map(Result::ok);
        let generation = breaker.snapshot().generation();
        reset(&breaker, times - 3);
        half_open().success();
        assert_eq!(
            breaker.snapshot().generation(),
            generation + u64::from(times)
        );
        call.unwrap().record(Outcome::Trip);
        assert_eq!(breaker.state(), State::HalfOpen, "after {times} changes");
    }
}

#[test]
fn since_when_there_is_a_generation_is_known_after_as_many_resets() {
    for times in ROUNDS {
        let (breaker, hand) = breaker(|builder| builder);
        hand.advance(SECOND);
        reset(&breaker, times);
        assert_eq!(breaker.snapshot().since(), SECOND);
        hand.advance(SECOND);
        reset(&breaker, times);
        assert_eq!(breaker.snapshot().since(), 2 * SECOND);
        assert_eq!(breaker.snapshot().generation(), 2 * u64::from(times));
    }
}

#[test]
fn a_listener_is_told_of_each_of_as_many_resets() {
    let (sender, told) = std::sync::mpsc::channel();
    let (breaker, _) = breaker(|builder| {
        builder.on_transition(move |transition| {
            let _ = sender.send((transition.generation(), transition.cause()));
        })
    });
    reset(&breaker, 5_000);
    let told: Vec<_> = told.try_iter().collect();
    let expected: Vec<_> = (1..=5_000)
        .map(|generation| (generation, Cause::Manual))
        .collect();
    assert_eq!(told, expected);
}
