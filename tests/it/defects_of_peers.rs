//! Defects of other circuit breakers. Each is a test that tripcurve must pass.
//!
//! The comments name the peer and, if there is one, the issue.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::generation::shown_of_generation;
use crate::race::{THREADS, in_rounds};
use tripcurve::time::{Clock, MockClock};
use tripcurve::window::Window;
use tripcurve::{CallError, CircuitBreaker, CircuitBreakerBuilder, Outcome, State, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);
const NANO: Duration = Duration::from_nanos(1);

fn just_before(end: Duration) -> Duration {
    end.saturating_sub(NANO)
}

fn breaker(
    settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) -> (CircuitBreaker, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("peer").clock(clock);
    (settings(builder).build().unwrap(), hand)
}

fn succeed(breaker: &CircuitBreaker, calls: u32) {
    for _ in 0..calls {
        breaker.try_acquire().unwrap().success();
    }
}

fn fail(breaker: &CircuitBreaker, calls: u32) {
    for _ in 0..calls {
        breaker.try_acquire().unwrap().failure();
    }
}

/// Opens the breaker and lets the open time pass, so the next call is the first probe.
fn let_it_try_again(breaker: &CircuitBreaker, hand: &MockClock) {
    breaker.trip(SECOND);
    hand.advance(2 * SECOND);
}

/// A breaker whose only policy is a failure rate.
fn by_rate(fraction: f64, min_calls: u32) -> (CircuitBreaker, MockClock) {
    breaker(|builder| builder.trip_when(TripPolicy::failure_rate(fraction).min_calls(min_calls)))
}

// ------------------------------------------------------------------------------------- the clock

// resilience4j: after one step back of the wall clock, the ring stays a second ahead for ever, and
// each later record evicts a bucket. Also stoplight PR#873. failsafe-rs's ema.rs panics.
#[test]
fn a_clock_that_is_set_back_costs_no_call_of_the_window() {
    let (breaker, hand) = breaker(|builder| builder.window(Window::time(10 * SECOND, 10)));
    for step in 2..3_002_u32 {
        let now = step * Duration::from_millis(10);
        hand.advance_to(now);
        succeed(&breaker, 1);
        hand.advance_to(now.saturating_sub(Duration::from_millis(15)));
    }
    let calls = breaker.snapshot().calls();
    assert!((900..=1_000).contains(&calls), "{calls} calls");
}

// resilience4j: the LOCK_FREE window ignores its configured clock.
#[test]
fn the_clock_that_was_given_governs_window_and_open_time() {
    let (breaker, hand) = breaker(|builder| builder.window(Window::time(10 * SECOND, 10)));
    fail(&breaker, 1);
    hand.advance(9 * SECOND);
    assert_eq!(breaker.snapshot().failures(), 1);
    hand.advance(SECOND);
    assert_eq!(breaker.snapshot().failures(), 0);
    breaker.trip(SECOND);
    assert!(breaker.try_acquire().is_err());
    hand.advance(2 * SECOND);
    assert!(breaker.try_acquire().is_ok());
}

// ------------------------------------------------------------------------------------ the window

// tower-resilience: the counts of its sliding window only grow until the next transition. So after
// a million healthy calls, a million failures are needed.
#[test]
fn a_count_window_slides() {
    let (breaker, _hand) = breaker(|builder| {
        builder
            .window(Window::count(10))
            .trip_when(TripPolicy::failure_rate(0.5).min_calls(10))
    });
    succeed(&breaker, 100_000);
    assert_eq!(breaker.snapshot().calls(), 10);
    fail(&breaker, 4);
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
}

// recloser: `set_current` returns -1 until one call more than the ring's length.
#[test]
fn a_window_is_judged_by_the_call_that_fills_it() {
    let (breaker, _hand) = breaker(|builder| {
        builder
            .window(Window::count(10))
            .trip_when(TripPolicy::failure_rate(0.5).min_calls(10))
    });
    fail(&breaker, 9);
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
}

// recloser, tower-resilience: a window of a hundred gives no verdict before it is full.
#[test]
fn a_window_need_not_be_full() {
    let (breaker, _hand) = breaker(|builder| {
        builder
            .window(Window::count(100))
            .trip_when(TripPolicy::failure_rate(0.5).min_calls(10))
    });
    fail(&breaker, 10);
    assert_eq!(breaker.state(), State::Open);
}

// resilience4j#2334: the lock-free window of one call throws.
#[test]
fn a_window_of_one_call_works() {
    let (breaker, _hand) = breaker(|builder| {
        builder
            .window(Window::count(1))
            .trip_when(TripPolicy::failure_rate(1.0).min_calls(1))
    });
    succeed(&breaker, 3);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
}

// cockatiel#64: each call rotates one bucket, after any pause; rubyist PR#36.
#[test]
fn calls_from_before_an_idle_time_are_not_counted_after_it() {
    let windows: [Window; 2] = [
        Window::time(10 * SECOND, 10),
        Window::count(100).within(10 * SECOND).into(),
    ];
    for window in windows {
        for idle in [10, 11, 15, 20, 1_000] {
            let (breaker, hand) = breaker(|builder| {
                builder
                    .window(window.clone())
                    .trip_when(TripPolicy::failure_count(5))
            });
            fail(&breaker, 4);
            hand.advance(idle * SECOND);
            fail(&breaker, 1);
            assert_eq!(breaker.snapshot().failures(), 1, "{window:?}, {idle} s");
        }
    }
}

// Sentinel's one bucket, gobreaker's Interval (#64), Envoy's interval: all counts are cleared at
// the end of each. Failures on both sides of the boundary never meet.
#[test]
fn failures_on_both_sides_of_a_boundary_add_up() {
    let (breaker, hand) = breaker(|builder| {
        builder
            .window(Window::time(10 * SECOND, 10))
            .trip_when(TripPolicy::failure_count(10))
    });
    hand.advance(just_before(10 * SECOND));
    fail(&breaker, 5);
    hand.advance(NANO);
    fail(&breaker, 5);
    assert_eq!(breaker.state(), State::Open);
}

// gobreaker#21: after the window was cleared, 900 failures of 10,000 calls looked like 90 %.
#[test]
fn a_burst_just_after_a_boundary_is_seen_against_the_whole_window() {
    let (breaker, hand) = by_rate(0.5, 10);
    hand.advance(just_before(60 * SECOND));
    succeed(&breaker, 9_100);
    hand.advance(NANO);
    fail(&breaker, 900);
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(breaker.snapshot().failure_rate(), Some(0.09));
}

// Polly: a window of less than 200 ms is one counter that is cleared.
#[test]
fn the_shortest_window_slides_too() {
    let (breaker, hand) = breaker(|builder| {
        builder
            .window(Window::time(Duration::from_millis(100), 10))
            .trip_when(TripPolicy::failure_count(10))
    });
    for _ in 0..9 {
        hand.advance(Duration::from_millis(10));
        fail(&breaker, 1);
    }
    assert_eq!(breaker.snapshot().failures(), 9);
    hand.advance(Duration::from_millis(10));
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
}

// armeria#2761: the event that changes the bucket isn't counted.
#[test]
fn the_call_that_begins_a_bucket_is_counted() {
    let (breaker, hand) = breaker(|builder| builder.window(Window::time(10 * SECOND, 10)));
    for calls in 1..=10 {
        succeed(&breaker, 1);
        assert_eq!(breaker.snapshot().calls(), calls);
        hand.advance(SECOND);
    }
    assert_eq!(breaker.snapshot().calls(), 9);
}

// gobreaker: a result goes to the bucket in which its call began. A call that took longer than the
// window, such as a timeout, isn't counted.
#[test]
fn a_call_that_took_longer_than_the_window_counts_when_it_ends() {
    let (breaker, hand) = breaker(|builder| {
        builder
            .window(Window::time(SECOND, 10))
            .trip_when(TripPolicy::failure_count(3))
    });
    let permits: Vec<_> = (0..3).map(|_| breaker.try_acquire().unwrap()).collect();
    hand.advance(30 * SECOND);
    for permit in permits {
        permit.failure();
    }
    assert_eq!(breaker.state(), State::Open);
}

// ---------------------------------------------------------------------------------- the decision

// Sentinel: `rate > threshold`, so no rate can exceed a threshold of 100 %.
#[test]
fn a_rate_of_one_trips_when_all_calls_fail() {
    let (breaker, _hand) = by_rate(1.0, 20);
    fail(&breaker, 20);
    assert_eq!(breaker.state(), State::Open);
}

// opossum, cockatiel: `>` as well, so exactly half of the calls doesn't reach a threshold of a
// half.
#[test]
fn a_rate_is_reached_at_the_threshold_itself() {
    let (breaker, _hand) = by_rate(0.5, 20);
    succeed(&breaker, 10);
    fail(&breaker, 9);
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
}

// Hystrix: the percentage is truncated to an integer.
#[test]
fn a_rate_is_not_cut_to_whole_percents() {
    let (breaker, _hand) = by_rate(0.015, 200);
    succeed(&breaker, 197);
    fail(&breaker, 2);
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open, "3 of 200 are 1.5 %");
}

// Hystrix: judged only on the tick of 500 ms; Envoy: on the sweep of 10 s.
#[test]
fn a_failure_is_judged_when_it_is_recorded() {
    let (breaker, _hand) = by_rate(0.5, 10);
    fail(&breaker, 10);
    assert_eq!(breaker.state(), State::Open, "the clock has not moved");
}

// finagle, failsafe-rs: no trip before a whole window has passed since the start or the recovery.
#[test]
fn there_is_no_time_of_grace_after_start_or_recovery() {
    let (breaker, hand) = breaker(|builder| builder.trip_when(TripPolicy::classic()).probes(1));
    for _ in 0..10 {
        fail(&breaker, 5);
        assert_eq!(breaker.state(), State::Open);
        hand.advance(6 * SECOND);
        succeed(&breaker, 1);
        assert_eq!(breaker.state(), State::Closed);
    }
}

// resilience4j: with the default minimum of 100 and a ring that ran ahead, it never trips again.
#[test]
fn after_each_recovery_it_trips_again_as_the_first_time() {
    let (breaker, hand) = breaker(|builder| {
        builder
            .window(Window::time(10 * SECOND, 10))
            .trip_when(TripPolicy::failure_rate(0.5).min_calls(100))
            .probes(1)
    });
    for round in 0..100 {
        fail(&breaker, 99);
        assert_eq!(breaker.state(), State::Closed, "round {round}");
        fail(&breaker, 1);
        assert_eq!(breaker.state(), State::Open, "round {round}");
        hand.advance(7 * SECOND);
        succeed(&breaker, 1);
        assert_eq!(breaker.state(), State::Closed, "round {round}");
    }
}

// resilience4j#547, #1443 and others: a dependency with fewer than 100 calls a minute isn't judged.
#[test]
fn a_dependency_that_is_called_once_in_ten_seconds_is_judged_by_default() {
    let (breaker, hand) = breaker(|builder| builder);
    for _ in 0..4 {
        fail(&breaker, 1);
        hand.advance(10 * SECOND);
    }
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_dependency_that_is_called_once_an_hour_is_judged_by_its_last_calls() {
    let (breaker, hand) = breaker(|builder| builder.window(Window::count(100)));
    for _ in 0..4 {
        fail(&breaker, 1);
        hand.advance(3_600 * SECOND);
    }
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
}

// circuitbreaker-rs: the windows of its time-based policies get no data.
#[test]
fn every_policy_can_trip_with_every_window() {
    let windows: [Window; 3] = [
        Window::time(10 * SECOND, 10),
        Window::count(10).into(),
        Window::count(10).within(10 * SECOND).into(),
    ];
    let policies: [TripPolicy; 3] = [
        TripPolicy::consecutive_failures(10),
        TripPolicy::failure_count(10).into(),
        TripPolicy::failure_rate(0.5).min_calls(10).into(),
    ];
    for window in &windows {
        for policy in &policies {
            let (breaker, _hand) =
                breaker(|builder| builder.window(window.clone()).trip_when(policy.clone()));
            fail(&breaker, 10);
            assert_eq!(breaker.state(), State::Open, "{policy:?} with {window:?}");
        }
    }
}

// resilience4j: `transitionOnResult` to open throws after it has set a flag. From then on the
// closed breaker rejects every call, and no rate can trip it.
#[test]
fn a_breaker_that_one_result_opened_goes_on_to_work() {
    let (breaker, hand) = breaker(|builder| builder.trip_when(TripPolicy::classic()).probes(1));
    for _ in 0..3 {
        breaker.try_acquire().unwrap().record(Outcome::Trip);
        assert_eq!(breaker.state(), State::Open);
        hand.advance(6 * SECOND);
        succeed(&breaker, 1);
        assert_eq!(breaker.state(), State::Closed);
        fail(&breaker, 5);
        assert_eq!(breaker.state(), State::Open);
        hand.advance(6 * SECOND);
        succeed(&breaker, 1);
    }
}

// opossum: the denominator includes rejected calls; kratos#2777: they count as failures.
#[test]
fn a_rejected_call_is_neither_a_call_nor_a_failure() {
    let (breaker, hand) = breaker(|builder| builder.probes(1));
    breaker.trip(SECOND);
    for _ in 0..1_000 {
        let result = breaker.call(|| -> Result<(), ()> { unreachable!("it was let through") });
        assert!(matches!(result, Err(CallError::Rejected(_))));
    }
    assert_eq!(breaker.snapshot().rejected(), 1_000);
    assert_eq!(breaker.snapshot().calls(), 0);
    hand.advance(2 * SECOND);
    succeed(&breaker, 1);
    fail(&breaker, 1);
    assert_eq!(breaker.snapshot().calls(), 1);
    assert_eq!(breaker.state(), State::Closed);
}

// ----------------------------------------------------------------------------------- generations

// Polly#216, #217, #218; resilience4j; tower-resilience; cockatiel; opossum; Sentinel; linkerd.
#[test]
fn results_of_the_closed_era_do_not_decide_half_open() {
    let (breaker, hand) = breaker(|builder| builder.probes(2));
    let mut of_the_closed_era: Vec<_> = (0..20).map(|_| breaker.try_acquire().unwrap()).collect();
    let_it_try_again(&breaker, &hand);
    let probe = breaker.try_acquire().unwrap();
    let before = shown_of_generation(&breaker.snapshot());
    let outcomes = [
        Outcome::Success,
        Outcome::Failure,
        Outcome::Ignored,
        Outcome::Trip,
    ];
    for outcome in outcomes.into_iter().cycle().take(20) {
        of_the_closed_era.pop().unwrap().record(outcome);
        assert_eq!(
            shown_of_generation(&breaker.snapshot()),
            before,
            "{outcome:?}"
        );
    }
    probe.success();
    assert_eq!(breaker.snapshot().probes_succeeded(), 1);
}

// resilience4j: late results that arrive while open are recorded as the closed state's.
#[test]
fn results_of_the_closed_era_change_nothing_while_open_or_closed_again() {
    let (breaker, hand) = breaker(|builder| builder.probes(1));
    let mut of_the_closed_era: Vec<_> = (0..20).map(|_| breaker.try_acquire().unwrap()).collect();
    breaker.trip(SECOND);
    for permit in of_the_closed_era.drain(..10) {
        permit.failure();
    }
    assert_eq!(breaker.snapshot().calls(), 0);
    hand.advance(2 * SECOND);
    succeed(&breaker, 1);
    for permit in of_the_closed_era {
        permit.failure();
    }
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(breaker.snapshot().calls(), 0);
    assert_eq!(breaker.snapshot().consecutive_failures(), 0);
}

// Sentinel: closing resets only the current bucket, and the older ones open it again at once.
#[test]
fn calls_from_before_an_opening_are_not_judged_after_it() {
    let windows: [Window; 3] = [
        Window::time(60 * SECOND, 10),
        Window::count(100).into(),
        Window::count(100).within(60 * SECOND).into(),
    ];
    for window in windows {
        let (breaker, hand) = breaker(|builder| {
            builder
                .window(window.clone())
                .trip_when(TripPolicy::failure_count(10))
                .open_for(SECOND)
                .probes(1)
        });
        fail(&breaker, 10);
        hand.advance(2 * SECOND);
        succeed(&breaker, 1);
        fail(&breaker, 9);
        assert_eq!(breaker.state(), State::Closed, "{window:?}");
    }
}

// ------------------------------------------------------------------------------------- half-open

// Polly: a trial that its caller cancels counts as handled and closes the circuit.
#[test]
fn a_cancelled_probe_does_not_close_the_circuit() {
    let (breaker, hand) = breaker(|builder| builder.probes(1));
    let_it_try_again(&breaker, &hand);
    drop(breaker.try_acquire().unwrap());
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(breaker.snapshot().probes_succeeded(), 0);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
}

// failsafe: a cancelled execution never returns its permit; recloser: a dropped future records
// nothing.
#[test]
fn a_cancelled_future_gives_its_place_back() {
    let (breaker, hand) = breaker(|builder| builder.probes(1));
    let_it_try_again(&breaker, &hand);
    {
        let call = breaker.call_async(std::future::pending::<Result<(), ()>>);
        let mut call = std::pin::pin!(call);
        let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Pending));
        assert!(breaker.try_acquire().is_err(), "the place is taken");
    }
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), State::Closed);
}

// resilience4j#544, #903, #935, #1568, #2172; Hystrix PR#1621: an ignored error keeps the permit.
#[test]
fn an_ignored_outcome_gives_the_place_back() {
    let (breaker, hand) = breaker(|builder| builder.probes(2));
    let_it_try_again(&breaker, &hand);
    for _ in 0..100 {
        breaker.try_acquire().unwrap().record(Outcome::Ignored);
    }
    succeed(&breaker, 2);
    assert_eq!(breaker.state(), State::Closed);
}

// failsafe#391: any late result adds a permit; resilience4j: an ignored one from the closed state
// does.
#[test]
fn a_late_result_makes_no_room_for_another_probe() {
    let (breaker, hand) = breaker(|builder| builder.probes(2));
    let of_the_closed_era: Vec<_> = (0..10).map(|_| breaker.try_acquire().unwrap()).collect();
    let_it_try_again(&breaker, &hand);
    let probes = [
        breaker.try_acquire().unwrap(),
        breaker.try_acquire().unwrap(),
    ];
    for permit in of_the_closed_era {
        permit.record(Outcome::Ignored);
        assert!(breaker.try_acquire().is_err());
    }
    assert_eq!(breaker.snapshot().probes_in_flight(), 2);
    drop(probes);
}

// Polly, gobreaker: a trial that never reports blocks the breaker for good; resilience4j: for ever
// by default; OmniRoute#13836: for six days.
#[test]
fn half_open_is_not_wedged_by_probes_that_never_report() {
    let (breaker, hand) = breaker(|builder| builder.probes(2).probe_timeout(30 * SECOND));
    let_it_try_again(&breaker, &hand);
    for _ in 0..2 {
        std::mem::forget(breaker.try_acquire().unwrap());
    }
    hand.advance(just_before(30 * SECOND));
    assert!(breaker.try_acquire().is_err());
    hand.advance(NANO);
    succeed(&breaker, 2);
    assert_eq!(breaker.state(), State::Closed);
}

// The leases of OmniRoute PR#13849 need a generation to prevent this.
#[test]
fn the_late_report_of_a_lost_probe_changes_nothing() {
    let (breaker, hand) = breaker(|builder| builder.probes(1).probe_timeout(30 * SECOND));
    let_it_try_again(&breaker, &hand);
    let lost = breaker.try_acquire().unwrap();
    hand.advance(30 * SECOND);
    let probe = breaker.try_acquire().unwrap();
    lost.failure();
    assert_eq!(breaker.state(), State::HalfOpen);
    assert!(breaker.try_acquire().is_err(), "no place was given back");
    probe.success();
    assert_eq!(breaker.state(), State::Closed);
}

// recloser, failsafe-rs: `State::HalfOpen(..) => true`; Envoy: full traffic after the ejection.
#[test]
fn half_open_does_not_admit_everybody() {
    let (breaker, hand) = breaker(|builder| builder.probes(3));
    let_it_try_again(&breaker, &hand);
    let permits: Vec<_> = (0..100)
        .filter_map(|_| breaker.try_acquire().ok())
        .collect();
    assert_eq!(permits.len(), 3);
}

// circuitbreaker-rs: the call that makes the breaker half-open takes no place; virtrigaud PR#100.
#[test]
fn the_call_that_ends_the_open_time_is_the_first_probe() {
    let (breaker, hand) = breaker(|builder| builder.probes(1));
    let_it_try_again(&breaker, &hand);
    let probe = breaker.try_acquire().unwrap();
    assert_eq!(breaker.snapshot().probes_in_flight(), 1);
    assert!(breaker.try_acquire().is_err());
    drop(probe);
}

// breaker-machines: a failed probe opens only if the old window is still bad enough.
#[test]
fn a_failed_probe_opens_whatever_the_window_holds() {
    let (breaker, hand) = by_rate(1.0, 1_000);
    let_it_try_again(&breaker, &hand);
    hand.advance(3_600 * SECOND);
    succeed(&breaker, 2);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
}

// cerberus#1508: the wait that a rejected caller is told is invented.
#[test]
fn the_wait_that_a_rejected_caller_is_told_is_the_true_one() {
    let (breaker, hand) = breaker(|builder| builder.probes(1));
    breaker.trip(SECOND);
    for state in [State::Open, State::HalfOpen] {
        let rejected = breaker.try_acquire().unwrap_err();
        assert_eq!(rejected.state(), state);
        hand.advance(just_before(rejected.earliest().unwrap()));
        assert_eq!(breaker.try_acquire().unwrap_err().earliest(), Some(NANO));
        hand.advance(NANO);
        std::mem::forget(breaker.try_acquire().unwrap());
    }
}

// --------------------------------------------------------------------------------------- threads

// resilience4j#1432, #1090; failsafe#391; tower-resilience#382; opossum#119.
#[test]
fn a_race_for_the_places_admits_exactly_as_many_probes_as_there_are() {
    const PROBES: u32 = 3;
    let (breaker, hand) = breaker(|builder| builder.probes(PROBES));
    let_it_try_again(&breaker, &hand);
    let admitted = AtomicU32::new(0);
    let work = |_| {
        for _ in 0..PROBES {
            if let Ok(permit) = breaker.try_acquire() {
                admitted.fetch_add(1, Ordering::Relaxed);
                std::mem::forget(permit);
            }
        }
    };
    in_rounds(5_000, work, |round| {
        let admitted = admitted.swap(0, Ordering::Relaxed);
        assert_eq!(admitted, PROBES, "round {round}");
        let_it_try_again(&breaker, &hand);
    });
}

// circuitbreaker-rs: load, then fetch_sub. Two callers that take the last place leave
// 4,294,967,295.
#[test]
fn never_are_more_probes_in_flight_than_there_are_places_while_they_come_and_go() {
    const PROBES: u32 = 2;
    let (breaker, hand) = breaker(|builder| builder.probes(PROBES));
    let_it_try_again(&breaker, &hand);
    let in_flight = AtomicI64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    let Ok(permit) = breaker.try_acquire() else {
                        continue;
                    };
                    let others = in_flight.fetch_add(1, Ordering::SeqCst);
                    assert!(others < PROBES.into(), "{others} others are in flight");
                    in_flight.fetch_sub(1, Ordering::SeqCst);
                    permit.record(Outcome::Ignored);
                }
            });
        }
    });
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(breaker.snapshot().probes_in_flight(), 0);
    succeed(&breaker, PROBES);
    assert_eq!(breaker.state(), State::Closed);
}

// Hystrix#1781, PR#1863: under high concurrency, the circuit stays open for ever.
#[test]
fn a_breaker_that_many_threads_fought_over_still_recovers() {
    let (breaker, hand) = breaker(|builder| {
        builder
            .trip_when(TripPolicy::consecutive_failures(3))
            .open_for(Duration::from_millis(1))
            .probes(2)
    });
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let (breaker, hand) = (&breaker, &hand);
            scope.spawn(move || {
                for step in 0..20_000_u32 {
                    hand.advance(Duration::from_micros(100));
                    let Ok(permit) = breaker.try_acquire() else {
                        continue;
                    };
                    match (step + thread) % 7 {
                        0 => permit.success(),
                        1..4 => permit.failure(),
                        4 => drop(permit),
                        5 => std::mem::forget(permit),
                        _ => {
                            permit.record(Outcome::Trip);
                        }
                    }
                }
            });
        }
    });
    hand.advance(60 * SECOND);
    succeed(&breaker, 2);
    assert_eq!(breaker.state(), State::Closed);
}

// pybreaker holds its lock during the call, and recloser an epoch.
#[test]
fn a_call_in_progress_keeps_no_other_waiting() {
    let (breaker, _hand) = breaker(|builder| builder);
    let outcome = breaker.call(|| {
        let others = std::thread::scope(|scope| {
            scope
                .spawn(|| breaker.call(|| Ok::<_, ()>(1)))
                .join()
                .unwrap()
        });
        let nested = breaker.call(|| Ok::<_, ()>(2));
        Ok::<_, ()>((others, nested))
    });
    assert_eq!(outcome, Ok((Ok(1), Ok(2))));
    assert_eq!(breaker.snapshot().successes(), 3);
}
