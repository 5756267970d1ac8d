//! Durations as evidence: slow calls, hanging calls, and the recording of both.
//!
//! `percentiles.rs` tests how exact the histograms are. `against_model.rs` tests that each step is
//! the documented one. `percentile_policies.rs` tests the policies on percentiles.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::effort;
use crate::generation::shown_of_generation;
use tripcurve::events::Cause;
use tripcurve::outcome::Report;
use tripcurve::snapshot::{Latency, Snapshot};
use tripcurve::time::{Clock, MockClock};
use tripcurve::window::{Recording, Timing, Window};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, State, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);
const NANO: Duration = Duration::from_nanos(1);

/// The duration above which a call of these tests is slow.
const LIMIT: Duration = Duration::from_secs(2);

fn breaker(
    settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) -> (CircuitBreaker, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("latency").clock(clock);
    (settings(builder).build().unwrap(), hand)
}

/// A policy that trips if half of at least five calls are slow.
fn half_slow(builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
    let policy = TripPolicy::slow_rate(0.5).slower_than(LIMIT).min_calls(5);
    builder.trip_when(policy)
}

fn causes(builder: CircuitBreakerBuilder) -> (CircuitBreakerBuilder, Arc<Mutex<Vec<Cause>>>) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let causes = Arc::clone(&log);
    let builder = builder.on_transition(move |told| causes.lock().unwrap().push(told.cause()));
    (builder, log)
}

/// Makes a call that takes this long by the clock.
fn call(breaker: &CircuitBreaker, hand: &MockClock, outcome: Outcome, takes: Duration) {
    let permit = breaker.try_acquire().unwrap();
    hand.advance(takes);
    permit.record(outcome);
}

/// Records a call that reports its duration.
fn record(breaker: &CircuitBreaker, outcome: Outcome, took: Duration) {
    let permit = breaker.try_acquire().unwrap();
    permit.record(Report::from(outcome).took(took));
}

/// Asserts that the histogram has one call, of about this duration.
#[track_caller]
fn assert_one_of(latency: Option<&Latency>, took: Duration) {
    let latency = latency.unwrap();
    assert_eq!(latency.count(), 1);
    let max = latency.max().unwrap();
    assert!(
        32 * max.abs_diff(took) <= took,
        "{max:?} instead of {took:?}"
    );
}

// ------------------------------------------------------------------------- calls that don't come back

#[test]
fn a_hanging_backend_at_low_traffic_trips_before_the_first_time_out_ends() {
    const TIME_OUT: Duration = Duration::from_secs(30);

    for healthy in [0, 10] {
        let (breaker, hand) = breaker(half_slow);
        for _ in 0..healthy {
            call(&breaker, &hand, Outcome::Success, 20 * MILLI);
            hand.advance(SECOND);
        }
        let mut waiting = Vec::new();
        while let Ok(permit) = breaker.try_acquire() {
            assert!(
                SECOND * u32::try_from(waiting.len()).unwrap() < TIME_OUT,
                "the first caller has given up and the breaker is {breaker:?}"
            );
            waiting.push(permit);
            hand.advance(SECOND);
        }
        assert_eq!(breaker.state(), State::Open);
        // With five hanging calls, the last one beyond the limit. After healthy calls, with as many
        // hanging ones.
        let overdue = 5.max(healthy);
        assert_eq!(waiting.len(), overdue + 2);
    }
}

#[test]
fn what_hangs_counts_as_a_call_and_as_a_slow_one() {
    let (clock, hand) = Clock::mock();
    let (builder, log) = causes(CircuitBreaker::builder("latency").clock(clock));
    let breaker = half_slow(builder).build().unwrap();
    for took in [SECOND, SECOND, 3 * SECOND] {
        record(&breaker, Outcome::Success, took);
    }
    let hangs = [breaker.try_acquire(), breaker.try_acquire()];
    hand.advance(3 * SECOND);
    let snapshot = breaker.snapshot();
    let counts = [snapshot.calls(), snapshot.slow(), snapshot.overdue()];
    assert_eq!(counts, [3, 1, 2]);
    assert!(breaker.try_acquire().is_err());
    let slow_rate = Cause::SlowRate {
        slow: 3,
        calls: 5,
        threshold: 0.5,
    };
    assert_eq!(*log.lock().unwrap(), [slow_rate]);
    drop(hangs);
}

#[test]
fn a_call_is_overdue_when_the_limit_has_passed_and_no_more_once_it_is_back() {
    let (breaker, hand) = breaker(half_slow);
    let permit = breaker.try_acquire().unwrap();
    hand.advance(LIMIT);
    assert_eq!(breaker.snapshot().overdue(), 0);
    hand.advance(NANO);
    assert_eq!(breaker.snapshot().overdue(), 1);
    permit.success();
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.overdue(), snapshot.slow()), (0, 1));
}

#[test]
fn a_permit_that_is_leaked_stops_counting_with_the_window() {
    for (window, length) in [
        (Window::time(10 * SECOND, 10), 10 * SECOND),
        (Window::count(10).within(20 * SECOND).into(), 20 * SECOND),
        (Window::count(10).into(), 60 * SECOND),
    ] {
        let (breaker, hand) = breaker(|builder| half_slow(builder).window(window.clone()));
        for _ in 0..4 {
            std::mem::forget(breaker.try_acquire());
        }
        hand.advance(LIMIT + length);
        assert_eq!(breaker.snapshot().overdue(), 4, "{window:?}");
        hand.advance(NANO);
        assert_eq!(breaker.snapshot().overdue(), 0, "{window:?}");
        for _ in 0..5 {
            call(&breaker, &hand, Outcome::Success, SECOND);
        }
        assert_eq!(breaker.state(), State::Closed, "{window:?}");
    }
}

#[test]
fn permits_that_are_leaked_leave_room_for_calls_that_hang() {
    // Leaked permits leave with the window, or with their generation, which ends when all places
    // are taken.
    for (length, leaks, resets) in [(SECOND, 1_000, false), (60 * SECOND, 127, true)] {
        let window = Window::time(length, 10);
        let settings = |builder| half_slow(builder).window(window);
        let (breaker, hand) = breaker(|builder| settings(builder).start_in(State::MetricsOnly));
        for _ in 0..leaks {
            std::mem::forget(breaker.try_acquire());
            hand.advance(100 * MILLI);
            if resets {
                breaker.reset();
            }
        }
        hand.advance(LIMIT + SECOND);
        let hangs: Vec<_> = (0..30).map(|_| breaker.try_acquire().unwrap()).collect();
        hand.advance(LIMIT + MILLI);
        assert_eq!(breaker.snapshot().overdue(), 30, "resets: {resets}");
        drop(hangs);
    }
}

#[test]
fn a_call_of_an_earlier_generation_is_not_overdue_in_a_later_one() {
    let (breaker, hand) = breaker(half_slow);
    let hangs: Vec<_> = (0..5).map(|_| breaker.try_acquire().unwrap()).collect();
    breaker.reset();
    hand.advance(3 * SECOND);
    assert_eq!(breaker.snapshot().overdue(), 0);
    breaker.try_acquire().unwrap().success();
    let before = shown_of_generation(&breaker.snapshot());
    for permit in hangs {
        permit.success();
    }
    assert_eq!(
        shown_of_generation(&breaker.snapshot()),
        before,
        "nor is it slow in it"
    );
}

// -------------------------------------------------------------------------------------- slow calls

#[test]
fn a_call_that_takes_exactly_as_long_as_the_limit_is_not_slow() {
    let (breaker, hand) = breaker(half_slow);
    call(&breaker, &hand, Outcome::Success, LIMIT);
    record(&breaker, Outcome::Success, LIMIT);
    assert_eq!(breaker.snapshot().slow(), 0);
    call(&breaker, &hand, Outcome::Success, LIMIT + NANO);
    record(&breaker, Outcome::Success, LIMIT + NANO);
    assert_eq!(breaker.snapshot().slow(), 2);
}

#[test]
fn a_slow_success_trips_at_once_if_enough_are_slow() {
    let (breaker, hand) = breaker(half_slow);
    for takes in [LIMIT, LIMIT, LIMIT, 2 * LIMIT, 2 * LIMIT] {
        call(&breaker, &hand, Outcome::Success, takes);
    }
    assert_eq!(breaker.state(), State::Closed, "two of five");
    call(&breaker, &hand, Outcome::Success, 2 * LIMIT);
    assert_eq!(breaker.state(), State::Open, "three of six");
}

#[test]
fn a_failure_that_is_slow_counts_as_both() {
    let policies = |builder: CircuitBreakerBuilder| {
        half_slow(builder).trip_when(TripPolicy::failure_rate(0.5))
    };
    let (breaker, hand) = breaker(policies);
    call(&breaker, &hand, Outcome::Failure, 2 * LIMIT);
    let snapshot = breaker.snapshot();
    let counts = [snapshot.failures(), snapshot.slow(), snapshot.calls()];
    assert_eq!(counts, [1, 1, 1]);
    assert_eq!(snapshot.consecutive_failures(), 1);
    for _ in 0..4 {
        call(&breaker, &hand, Outcome::Failure, 2 * LIMIT);
    }
    assert_eq!(breaker.state(), State::Open, "five of five were slow");
}

#[test]
fn a_slow_success_ends_a_run_of_failures() {
    let policies = |builder: CircuitBreakerBuilder| {
        half_slow(builder).trip_when(TripPolicy::consecutive_failures(3))
    };
    let (breaker, _hand) = breaker(policies);
    for outcome in [Outcome::Failure, Outcome::Failure] {
        record(&breaker, outcome, SECOND);
    }
    record(&breaker, Outcome::Success, 2 * LIMIT);
    assert_eq!(breaker.snapshot().consecutive_failures(), 0);
    record(&breaker, Outcome::Failure, SECOND);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn slow_calls_leave_the_window_with_it() {
    let (breaker, hand) = breaker(|builder| half_slow(builder).window(Window::count(6)));
    record(&breaker, Outcome::Success, 2 * LIMIT);
    for _ in 0..5 {
        record(&breaker, Outcome::Success, SECOND);
    }
    assert_eq!(breaker.snapshot().slow(), 1);
    record(&breaker, Outcome::Success, SECOND);
    assert_eq!(breaker.snapshot().slow(), 0);
    drop(hand);
}

#[test]
fn what_a_call_says_that_it_took_goes_before_the_clock() {
    let (breaker, hand) = breaker(|builder| half_slow(builder).latency(Recording::Combined));
    let permit = breaker.try_acquire().unwrap();
    hand.advance(10 * SECOND);
    permit.record(Report::success().took(SECOND));
    assert_eq!(breaker.snapshot().slow(), 0);
    assert_one_of(breaker.snapshot().latency(), SECOND);

    breaker.reset();
    let permit = breaker.try_acquire_owned().unwrap();
    permit.record(Report::failure().took(3 * SECOND));
    assert_eq!(breaker.snapshot().slow(), 1);
    assert_one_of(breaker.snapshot().latency(), 3 * SECOND);
}

#[test]
fn a_breaker_that_only_measures_counts_what_is_slow_and_overdue_but_never_trips() {
    let (breaker, hand) = breaker(|builder| {
        half_slow(builder)
            .trip_when(
                TripPolicy::latency_percentile(50.0)
                    .above(SECOND)
                    .min_calls(1),
            )
            .start_in(State::MetricsOnly)
    });
    for _ in 0..10 {
        record(&breaker, Outcome::Success, 3 * SECOND);
        hand.advance(SECOND);
    }
    let hangs: Vec<_> = (0..5).map(|_| breaker.try_acquire().unwrap()).collect();
    hand.advance(3 * SECOND);
    breaker.try_acquire().unwrap().failure();
    let snapshot = breaker.snapshot();
    assert_eq!(snapshot.state(), State::MetricsOnly);
    assert_eq!((snapshot.slow(), snapshot.overdue()), (10, 5));
    assert_eq!(snapshot.latency().unwrap().count(), 11);
    drop(hangs);
}

// ------------------------------------------------------------------------------------------ probes

/// A breaker whose next call is the first of two probes.
fn probing() -> (CircuitBreaker, MockClock, Arc<Mutex<Vec<Cause>>>) {
    let (clock, hand) = Clock::mock();
    let (builder, log) = causes(CircuitBreaker::builder("latency").clock(clock));
    let breaker = half_slow(builder).probes(2).build().unwrap();
    breaker.trip(SECOND);
    hand.advance(2 * SECOND);
    (breaker, hand, log)
}

#[test]
fn a_slow_probe_opens_the_breaker_again() {
    let (breaker, hand, log) = probing();
    call(&breaker, &hand, Outcome::Success, LIMIT);
    assert_eq!(breaker.state(), State::HalfOpen);
    call(&breaker, &hand, Outcome::Success, LIMIT + NANO);
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(log.lock().unwrap().last(), Some(&Cause::ProbeSlow));
}

#[test]
fn a_probe_that_is_slow_and_fails_has_failed_and_one_that_is_ignored_is_not_slow() {
    let (breaker, hand, log) = probing();
    call(&breaker, &hand, Outcome::Ignored, 2 * LIMIT);
    assert_eq!(breaker.state(), State::HalfOpen);
    call(&breaker, &hand, Outcome::Failure, 2 * LIMIT);
    assert_eq!(log.lock().unwrap().last(), Some(&Cause::ProbeFailed));
}

#[test]
fn a_probe_may_say_how_long_it_took() {
    let (breaker, hand, log) = probing();
    let permit = breaker.try_acquire().unwrap();
    hand.advance(2 * LIMIT);
    permit.record(Report::success().took(MILLI));
    assert_eq!(breaker.snapshot().probes_succeeded(), 1);
    record(&breaker, Outcome::Success, 2 * LIMIT);
    assert_eq!(log.lock().unwrap().last(), Some(&Cause::ProbeSlow));
}

// ---------------------------------------------------------------------------------- what is recorded

#[test]
fn a_breaker_that_was_not_told_to_records_no_latency() {
    for settings in [|builder| builder, half_slow] {
        let (breaker, _hand) = breaker(settings);
        record(&breaker, Outcome::Success, SECOND);
        let snapshot = breaker.snapshot();
        assert_eq!(snapshot.latency(), None);
        assert_eq!(snapshot.latency_of_successes(), None);
        assert_eq!(snapshot.latency_of_failures(), None);
    }
}

#[test]
fn latency_is_told_apart_by_outcome_if_asked_for() {
    let (breaker, _hand) = breaker(|builder| builder.latency(Recording::ByOutcome));
    record(&breaker, Outcome::Success, SECOND);
    record(&breaker, Outcome::Failure, 10 * SECOND);
    let snapshot = breaker.snapshot();
    assert_eq!(snapshot.latency().unwrap().count(), 2);
    assert_one_of(snapshot.latency_of_successes(), SECOND);
    assert_one_of(snapshot.latency_of_failures(), 10 * SECOND);
}

#[test]
fn calls_that_were_ignored_or_rejected_and_probes_are_in_no_histogram() {
    let (breaker, hand) = breaker(|builder| builder.latency(Recording::ByOutcome).probes(2));
    record(&breaker, Outcome::Ignored, SECOND);
    drop(breaker.try_acquire());
    assert_eq!(breaker.snapshot().ignored(), 2);
    assert_eq!(breaker.snapshot().latency().unwrap().count(), 0);
    breaker.trip(SECOND);
    assert!(breaker.try_acquire().is_err());
    hand.advance(2 * SECOND);
    call(&breaker, &hand, Outcome::Success, SECOND);
    assert_eq!(breaker.snapshot().latency().unwrap().count(), 0);
    call(&breaker, &hand, Outcome::Success, SECOND);
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(breaker.snapshot().latency().unwrap().count(), 0);
}

#[test]
fn a_call_takes_as_long_as_its_operation() {
    let (breaker, hand) = breaker(|builder| builder.latency(Recording::Combined));
    let result = breaker.call(|| {
        hand.advance(3 * SECOND);
        Ok::<_, ()>(())
    });
    assert_eq!(result, Ok(()));
    assert_one_of(breaker.snapshot().latency(), 3 * SECOND);
}

#[test]
fn an_asynchronous_call_takes_from_its_first_poll_to_when_it_is_ready() {
    let (breaker, hand) = breaker(|builder| builder.latency(Recording::Combined));
    let is_ready = AtomicBool::new(false);
    let operation = || {
        std::future::poll_fn(|_| {
            if is_ready.load(Ordering::Relaxed) {
                Poll::Ready(Ok::<_, ()>(()))
            } else {
                Poll::Pending
            }
        })
    };
    let mut future = pin!(breaker.call_async(operation));
    let mut poll = || {
        future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
    };
    hand.advance(20 * SECOND);
    assert_eq!(poll(), Poll::Pending);
    hand.advance(3 * SECOND);
    assert_eq!(poll(), Poll::Pending);
    hand.advance(4 * SECOND);
    is_ready.store(true, Ordering::Relaxed);
    assert_eq!(poll(), Poll::Ready(Ok(())));
    assert_one_of(breaker.snapshot().latency(), 7 * SECOND);
}

#[test]
fn a_snapshot_leaves_nothing_of_the_one_in_whose_place_it_is_put() {
    let recordings = [Recording::Off, Recording::Combined, Recording::ByOutcome];
    let breakers = recordings.map(|recording| {
        let settings = |builder: CircuitBreakerBuilder| half_slow(builder).latency(recording);
        let (breaker, _hand) = breaker(settings);
        for took in [NANO, MILLI, SECOND, 3 * SECOND, 100 * SECOND] {
            record(&breaker, Outcome::Success, took);
            record(&breaker, Outcome::Failure, 2 * took);
        }
        breaker
    });
    let (other, _hand) = breaker(|builder| builder.start_in(State::Open));
    for first in &breakers {
        for second in breakers.iter().chain([&other]) {
            for third in &breakers {
                let mut snapshot: Snapshot = first.snapshot();
                for breaker in [second, third] {
                    breaker.snapshot_into(&mut snapshot);
                    assert_eq!(snapshot, breaker.snapshot());
                }
            }
        }
    }
    let counts = breakers.map(|breaker| {
        let snapshot = breaker.snapshot();
        snapshot.latency().map(Latency::count)
    });
    assert_eq!(counts, [None, Some(10), Some(10)]);
}

// ----------------------------------------------------------------------------------------- threads

const THREADS: u64 = 8;
const CALLS: u32 = 100_000;

/// A pseudorandom call: its outcome and its reported duration.
fn any_call(number: u64) -> (Outcome, Duration) {
    let dice = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let dice = (dice ^ dice >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 20;
    let outcome = match dice % 8 {
        0 => Outcome::Failure,
        1 => Outcome::Ignored,
        _ => Outcome::Success,
    };
    let took = match dice / 8 % 16 {
        0 => LIMIT + MILLI,
        _ => Duration::from_nanos(1_000 << (dice / 128 % 16)),
    };
    (outcome, took)
}

#[test]
fn what_threads_record_while_another_looks_is_counted_once() {
    // Each failed or slow call sums the window, and a window by count has no sums to begin with.
    for (window, calls_each) in [
        (Window::time(60 * SECOND, 10), effort::share_of(CALLS)),
        (Window::count(1 << 14).into(), effort::share_of(2_000)),
    ] {
        let calls_each = u64::from(calls_each);
        // As many shards as there can be thread slots, because threads that share words count
        // approximately.
        let (breaker, hand) = breaker(|builder| {
            half_slow(builder)
                .window(window.clone())
                .latency(Recording::ByOutcome)
                .timing(Timing::EveryCall)
                .shards(64)
                .start_in(State::MetricsOnly)
        });
        let (begun, ended) = (AtomicU64::new(0), AtomicU64::new(0));
        // The barrier keeps thread slots distinct, because successive threads in one slot count
        // approximately, too.
        let all_are_done = Barrier::new(THREADS.try_into().unwrap());
        let work = |thread: u64| {
            for number in thread * calls_each..(thread + 1) * calls_each {
                begun.fetch_add(1, Ordering::SeqCst);
                let (outcome, took) = any_call(number);
                record(&breaker, outcome, took);
            }
            ended.fetch_add(1, Ordering::SeqCst);
            all_are_done.wait();
        };
        let look = || {
            let mut snapshot = breaker.snapshot();
            let mut looks = 0;
            while ended.load(Ordering::SeqCst) < THREADS {
                // All calls stay within the window.
                if looks < 40 {
                    hand.advance(SECOND);
                    looks += 1;
                }
                breaker.snapshot_into(&mut snapshot);
                let begun = begun.load(Ordering::SeqCst);
                assert!(snapshot.calls() <= begun, "{snapshot}");
                assert!(snapshot.slow() <= begun, "{snapshot}");
                assert!(snapshot.overdue() <= begun, "{snapshot}");
            }
        };
        std::thread::scope(|threads| {
            for thread in 0..THREADS {
                threads.spawn(move || work(thread));
            }
            threads.spawn(look);
        });
        let count = |is_asked_for: &dyn Fn(Outcome, Duration) -> bool| {
            let calls = (0..THREADS * calls_each).map(any_call);
            calls
                .filter(|(outcome, took)| is_asked_for(*outcome, *took))
                .count() as u64
        };
        let successes = count(&|outcome, _| outcome == Outcome::Success);
        let failures = count(&|outcome, _| outcome == Outcome::Failure);
        let slow = count(&|outcome, took| outcome != Outcome::Ignored && took > LIMIT);
        let snapshot = breaker.snapshot();
        assert_eq!(snapshot.successes(), successes, "{window:?}");
        assert_eq!(snapshot.failures(), failures, "{window:?}");
        assert_eq!(snapshot.slow(), slow, "{window:?}");
        assert_eq!(snapshot.overdue(), 0, "{window:?}");
        for (latency, calls) in [
            (snapshot.latency(), successes + failures),
            (snapshot.latency_of_successes(), successes),
            (snapshot.latency_of_failures(), failures),
        ] {
            let counted = latency.unwrap().count();
            let off = counted.abs_diff(calls);
            assert!(200 * off <= calls, "{counted} of {calls}, {window:?}");
        }
    }
}

#[test]
fn no_snapshot_shows_more_slow_calls_than_calls_whatever_the_race() {
    for window in [Window::count(16).into(), Window::time(60 * SECOND, 10)] {
        let (breaker, _hand) = breaker(|builder| {
            let builder = half_slow(builder).window(window.clone());
            builder.start_in(State::MetricsOnly)
        });
        std::thread::scope(|threads| {
            let look = threads.spawn(|| {
                let mut snapshot = breaker.snapshot();
                for _ in 0..effort::share_of(50_000) {
                    breaker.snapshot_into(&mut snapshot);
                    let (slow, calls) = (snapshot.slow(), snapshot.calls());
                    assert!(slow <= calls, "{slow} of {calls}, {window:?}");
                }
            });
            while !look.is_finished() {
                // These are fewer than are counted approximately.
                for _ in 0..10_000 {
                    record(&breaker, Outcome::Failure, 2 * LIMIT);
                }
                breaker.disable();
                breaker.metrics_only();
            }
        });
    }
}
