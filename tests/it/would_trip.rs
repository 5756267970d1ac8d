//! A breaker that has cause to trip, but may not, tells of it once and counts it.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tripcurve::events::{Cause, WouldTrip, WouldTripReason};
use tripcurve::outcome::Report;
use tripcurve::time::Clock;
use tripcurve::window::Window;
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, State, TripPolicy};

type Told = Arc<Mutex<Vec<WouldTrip>>>;

fn builder(policy: impl Into<TripPolicy>) -> (CircuitBreakerBuilder, Told) {
    let told = Told::default();
    let log = Arc::clone(&told);
    let builder = CircuitBreaker::builder("payments")
        .trip_when(policy)
        .on_would_trip(move |event| log.lock().unwrap().push(event.clone()));
    (builder, told)
}

fn measuring(policy: impl Into<TripPolicy>) -> (CircuitBreaker, Told) {
    let (builder, told) = builder(policy);
    (builder.metrics_only(true).build().unwrap(), told)
}

fn fail(breaker: &CircuitBreaker, times: u32) {
    for _ in 0..times {
        let _ = breaker.call(|| Err::<(), _>("no"));
    }
}

fn succeed(breaker: &CircuitBreaker, times: u32) {
    for _ in 0..times {
        let _ = breaker.call(|| Ok::<_, String>(()));
    }
}

#[test]
fn a_policy_that_becomes_satisfied_is_told_once_each_time() {
    let (breaker, told) = measuring(TripPolicy::consecutive_failures(2));
    fail(&breaker, 5);
    assert_eq!(breaker.snapshot().would_have_opened(), 1);
    succeed(&breaker, 1);
    fail(&breaker, 1);
    assert_eq!(breaker.snapshot().would_have_opened(), 1);
    fail(&breaker, 3);
    assert_eq!(breaker.snapshot().would_have_opened(), 2);
    assert_eq!(breaker.state(), State::MetricsOnly);
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 2);
    let event = &told[0];
    assert_eq!(event.name(), "payments");
    assert_eq!(event.state(), State::MetricsOnly);
    assert_eq!(event.reason(), WouldTripReason::MetricsOnly);
    let cause = Cause::ConsecutiveFailures {
        failures: 2,
        limit: 2,
    };
    assert_eq!(event.cause(), cause);
    assert_eq!(
        event.to_string(),
        "payments would have tripped (metrics-only): 2 calls in a row failed (limit 2)"
    );
}

#[test]
fn a_breaker_that_trips_would_not_have() {
    let (builder, told) = builder(TripPolicy::consecutive_failures(2));
    let breaker = builder.build().unwrap();
    fail(&breaker, 5);
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(breaker.snapshot().would_have_opened(), 0);
    assert!(told.lock().unwrap().is_empty());
}

/// By settings, by command, by a start state, by a reconfiguration, or by a restored state.
#[test]
fn it_makes_no_difference_how_the_breaker_came_to_measure() {
    let policy = || TripPolicy::consecutive_failures(2);
    let commanded = CircuitBreaker::builder("payments")
        .trip_when(policy())
        .build()
        .unwrap();
    commanded.metrics_only();
    let started = CircuitBreaker::builder("payments")
        .trip_when(policy())
        .start_in(State::MetricsOnly)
        .build()
        .unwrap();
    let reconfigured = CircuitBreaker::new("payments");
    let settings = CircuitBreaker::builder("payments").trip_when(policy());
    let settings = settings.metrics_only(true);
    reconfigured.reconfigure(settings).unwrap();
    #[cfg(feature = "serde")]
    let restored = CircuitBreaker::builder("payments")
        .trip_when(policy())
        .restore(commanded.save())
        .build()
        .unwrap();
    for breaker in [
        commanded,
        started,
        reconfigured,
        #[cfg(feature = "serde")]
        restored,
    ] {
        assert_eq!(breaker.state(), State::MetricsOnly);
        fail(&breaker, 3);
        assert_eq!(breaker.snapshot().would_have_opened(), 1);
    }
}

#[test]
fn a_transition_starts_over_and_the_count_stays() {
    let (builder, _told) = builder(TripPolicy::consecutive_failures(2));
    let breaker = builder.build().unwrap();
    for count in 1..=3 {
        breaker.metrics_only();
        fail(&breaker, 3);
        breaker.reset();
        assert_eq!(breaker.snapshot().would_have_opened(), count);
    }
}

#[test]
fn a_policy_that_looks_at_percentiles_would_trip_too() {
    let (clock, hand) = Clock::mock();
    let (builder, told) =
        builder(TripPolicy::latency_percentile(50.0).above(Duration::from_millis(100)));
    let breaker = builder
        .window(Window::time(Duration::from_secs(10), 10))
        .metrics_only(true)
        .clock(clock)
        .build()
        .unwrap();
    let calls = |millis: u64| {
        for _ in 0..400 {
            hand.advance(Duration::from_millis(50));
            let report = Report::success().took(Duration::from_millis(millis));
            breaker.try_acquire().unwrap().record(report);
        }
    };
    calls(10);
    assert_eq!(breaker.snapshot().would_have_opened(), 0);
    calls(500);
    assert_eq!(breaker.snapshot().would_have_opened(), 1);
    calls(10);
    calls(500);
    assert_eq!(breaker.snapshot().would_have_opened(), 2);
    let told = told.lock().unwrap();
    assert!(matches!(told[1].cause(), Cause::LatencyPercentile { .. }));
}

#[test]
fn two_policies_that_are_satisfied_together_are_told_once() {
    let (builder, told) = builder(TripPolicy::consecutive_failures(3));
    let breaker = builder
        .trip_when(TripPolicy::adaptive())
        .metrics_only(true)
        .build()
        .unwrap();
    fail(&breaker, 200);
    assert_eq!(told.lock().unwrap().len(), 1);
}

/// Fails when: a cause by evidence stays noted once no policy judges by evidence.
#[test]
fn a_cause_by_evidence_ends_with_the_policy() {
    let minute = Duration::from_secs(60);
    let (breaker, told) = measuring(TripPolicy::adaptive().false_trip_budget(minute));
    fail(&breaker, 30);
    assert_eq!(told.lock().unwrap().len(), 1);
    let settings = CircuitBreaker::builder("payments")
        .metrics_only(true)
        .trip_when(TripPolicy::consecutive_failures(2));
    succeed(&breaker, 1);
    breaker.reconfigure(settings).unwrap();
    fail(&breaker, 2);
    assert_eq!(told.lock().unwrap().len(), 2);
    assert_eq!(breaker.snapshot().would_have_opened(), 2);
}

/// Fails when: a reconfiguration looks for notes in the word of an open breaker.
#[test]
fn a_reconfiguration_without_evidence_leaves_open_times_alone() {
    let second = Duration::from_secs(1);
    for ticks in 0..64 {
        let (clock, _hand) = Clock::mock();
        let settings = |limit| {
            CircuitBreaker::builder("payments")
                .trip_when(TripPolicy::consecutive_failures(limit))
                .clock(clock.clone())
        };
        let breaker = settings(2).build().unwrap();
        breaker.trip(second * ticks + second);
        let before = breaker.snapshot().remaining_open();
        breaker.reconfigure(settings(3)).unwrap();
        assert_eq!(breaker.snapshot().remaining_open(), before);
    }
}

#[test]
fn a_listener_that_panics_harms_nobody() {
    let told = Told::default();
    let log = Arc::clone(&told);
    let breaker = CircuitBreaker::builder("payments")
        .trip_when(TripPolicy::consecutive_failures(1))
        .metrics_only(true)
        .on_would_trip(|_| std::panic::resume_unwind(Box::new(())))
        .on_would_trip(move |event| log.lock().unwrap().push(event.clone()))
        .build()
        .unwrap();
    fail(&breaker, 1);
    assert_eq!(told.lock().unwrap().len(), 1);
    assert_eq!(breaker.snapshot().failures(), 1);
}

#[test]
fn a_call_that_would_trip_allocates_nothing_but_the_event() {
    let breaker = CircuitBreaker::builder("payments")
        .trip_when(TripPolicy::consecutive_failures(2))
        .build()
        .unwrap();
    fail(&breaker, 1);
    breaker.metrics_only();
    let made = allocation_counter::measure(|| fail(&breaker, 5));
    assert_eq!(made.count_total, 0);
    assert_eq!(breaker.snapshot().would_have_opened(), 1);
}

#[test]
fn as_many_failures_as_threads_are_told_once() {
    for _ in 0..50 {
        let (breaker, told) = measuring(TripPolicy::consecutive_failures(4));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| fail(&breaker, 3));
            }
        });
        assert_eq!(told.lock().unwrap().len(), 1);
        assert_eq!(breaker.snapshot().would_have_opened(), 1);
    }
}

#[test]
fn a_reconfiguration_with_such_a_listener_is_refused() {
    let breaker = CircuitBreaker::new("payments");
    let settings = CircuitBreaker::builder("payments").on_would_trip(|_| ());
    let error = breaker.reconfigure(settings).unwrap_err();
    assert_eq!(
        error.to_string(),
        "on_would_trip: set 1 times is not left out; a breaker keeps its listeners; add them where it \
         is built"
    );
}
