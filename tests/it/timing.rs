//! Timed calls: of dense traffic a sample is timed, and the estimates are those of all calls.

use std::time::Duration;

use crate::effort;
use tripcurve::outcome::Report;
use tripcurve::policy::SlowRate;
use tripcurve::time::{Clock, MockClock};
use tripcurve::window::{Recording, Timing, Window};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Permit, Recovery, State, TripPolicy};

/// The duration of a call in time.
const FAST: Duration = Duration::from_millis(5);
/// The limit for slow calls.
const LIMIT: Duration = Duration::from_millis(100);
/// The duration of a slow call.
const SLOW: Duration = Duration::from_secs(1);
/// More calls a second than the breaker times.
const DENSE: u32 = 100_000;

/// A breaker and its clock.
struct Timed {
    breaker: CircuitBreaker,
    hand: MockClock,
}

impl Timed {
    /// A breaker with a window of ten seconds in ten buckets.
    fn new(set: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder) -> Self {
        let (clock, hand) = Clock::mock();
        let builder = CircuitBreaker::builder("payments")
            .clock(clock)
            .window(Window::time(Duration::from_secs(10), 10));
        let breaker = set(builder).build().unwrap();
        Self { breaker, hand }
    }

    /// A breaker that counts slow calls and trips if all of many calls are slow.
    fn counting_slow_calls() -> Self {
        Self::new(|builder| builder.trip_when(slow_rate(1.0).min_calls(u32::MAX)))
    }

    /// Makes `calls` calls, `rate` a second. `report` gets the number of each.
    fn make(&self, calls: u32, rate: u32, report: impl Fn(u32) -> Report) {
        for call in 0..calls {
            self.hand.advance(Duration::from_secs(1) / rate);
            if let Ok(permit) = self.breaker.try_acquire() {
                permit.record(report(call));
            }
        }
    }
}

fn slow_rate(rate: f64) -> SlowRate {
    TripPolicy::slow_rate(rate).slower_than(LIMIT)
}

fn fast(_: u32) -> Report {
    Report::success().took(FAST)
}

/// In each hundred calls, so many are slow. They are spread over the hundred.
fn slow_in_a_hundred(slow: u32) -> impl Fn(u32) -> Report {
    move |call| {
        let is_slow = call * 61 % 100 < slow;
        Report::success().took(if is_slow { SLOW } else { FAST })
    }
}

fn assert_near(estimate: u64, exact: u64, percent: u64) {
    let error = estimate.abs_diff(exact);
    assert!(
        100 * error <= percent * exact,
        "{estimate} isn't within {percent} % of {exact}"
    );
}

#[test]
fn at_a_thousand_calls_a_second_each_call_is_timed() {
    let timed = Timed::new(|builder| {
        builder
            .trip_when(slow_rate(1.0).min_calls(u32::MAX))
            .latency(Recording::Combined)
    });
    timed.make(9_000, 1_000, slow_in_a_hundred(7));
    let snapshot = timed.breaker.snapshot();
    let latency = snapshot.latency().unwrap();
    assert_eq!((snapshot.successes(), snapshot.slow()), (9_000, 630));
    assert_near(latency.count(), 9_000, 1);
    assert!(latency.max().unwrap() > SLOW * 9 / 10);
}

#[test]
fn where_each_call_is_timed_dense_slow_calls_are_counted_exactly() {
    let timed = Timed::new(|builder| {
        builder
            .trip_when(slow_rate(1.0).min_calls(u32::MAX))
            .timing(Timing::EveryCall)
    });
    timed.make(100_000, DENSE, slow_in_a_hundred(7));
    assert_eq!(timed.breaker.snapshot().slow(), 7_000);
}

#[test]
fn a_window_by_count_times_each_call() {
    let timed = Timed::new(|builder| {
        builder
            .window(Window::count(10_000))
            .trip_when(slow_rate(1.0).min_calls(10_000))
    });
    timed.make(20_000, DENSE, slow_in_a_hundred(7));
    assert_eq!(timed.breaker.snapshot().slow(), 700);
}

#[test]
fn dense_slow_calls_are_estimated_and_calls_and_failures_are_exact() {
    for rate in [3_000, 10_000, 30_000, DENSE] {
        let some = effort::share_of(3) as usize;
        for slow in [30, 5, 100].into_iter().take(some) {
            let timed = Timed::counting_slow_calls();
            let report = slow_in_a_hundred(slow);
            let calls = 5 * rate;
            timed.make(calls, rate, |call| match call % 10 {
                0 => Report::failure().took(FAST),
                _ => report(call),
            });
            let snapshot = timed.breaker.snapshot();
            assert_eq!(snapshot.failures(), u64::from(calls) / 10);
            assert_near(snapshot.successes(), u64::from(calls) * 9 / 10, 1);
            let exact = (0..calls).filter(|call| call % 10 > 0 && call * 61 % 100 < slow);
            assert_near(snapshot.slow(), exact.count() as u64, 20);
        }
    }
}

#[test]
fn percentiles_of_dense_calls_are_those_of_all_calls() {
    for rate in [3_000, 10_000, 30_000, DENSE] {
        let timed = Timed::new(|builder| builder.latency(Recording::Combined));
        timed.make(5 * rate, rate, |call| {
            Report::success().took(Duration::from_micros(u64::from(1_000 + call * 617 % 1_000)))
        });
        let snapshot = timed.breaker.snapshot();
        let latency = snapshot.latency().unwrap();
        assert_near(latency.count(), u64::from(5 * rate), 3);
        for (percentile, micros) in [(10.0, 1_100.0), (50.0, 1_500.0), (99.0, 1_990.0)] {
            let found = latency.percentile(percentile).unwrap().as_secs_f64() * 1e6;
            assert!(
                (found / micros - 1.0).abs() < 0.06,
                "{found} for {micros} at {rate}"
            );
        }
    }
}

#[test]
fn histograms_of_dense_calls_tell_failures_apart() {
    let timed = Timed::new(|builder| {
        builder
            .latency(Recording::ByOutcome)
            .trip_when(TripPolicy::failure_count(u32::MAX))
    });
    timed.make(500_000, DENSE, |call| match call % 4 {
        0 => Report::failure().took(SLOW),
        _ => fast(call),
    });
    let snapshot = timed.breaker.snapshot();
    let count = |of: Option<&tripcurve::snapshot::Latency>| of.unwrap().count();
    assert_near(count(snapshot.latency_of_failures()), 125_000, 5);
    assert_near(count(snapshot.latency_of_successes()), 375_000, 5);
}

#[test]
fn a_slow_rate_trips_a_dense_breaker_above_its_threshold_and_not_below() {
    let timed = Timed::new(|builder| builder.trip_when(slow_rate(0.5)));
    timed.make(500_000, DENSE, slow_in_a_hundred(40));
    assert_eq!(timed.breaker.state(), State::Closed);
    timed.make(500_000, DENSE, slow_in_a_hundred(70));
    assert_eq!(timed.breaker.state(), State::Open);
}

#[test]
fn after_a_burst_one_slow_call_of_few_counts_once() {
    let timed = Timed::counting_slow_calls();
    timed.make(DENSE, DENSE, fast);
    timed.hand.advance(Duration::from_secs(20));
    timed.make(200, 10, |call| {
        Report::success().took(if call == 150 { SLOW } else { FAST })
    });
    assert_eq!(timed.breaker.snapshot().slow(), 1);
}

#[test]
fn after_a_burst_a_failure_times_each_call_again() {
    let timed = Timed::counting_slow_calls();
    timed.make(DENSE, DENSE, fast);
    timed.hand.advance(Duration::from_secs(20));
    timed.make(1, 10, |_| Report::failure().took(FAST));
    timed.make(50, 10, slow_in_a_hundred(100));
    assert_eq!(timed.breaker.snapshot().slow(), 50);
}

#[test]
fn a_breaker_that_closes_after_a_dense_outage_times_each_call_at_first() {
    let timed = Timed::new(|builder| {
        builder
            .trip_when(slow_rate(0.5))
            .recovery(Recovery::probes(1).open_for(Duration::from_millis(100)))
    });
    timed.make(DENSE, DENSE, fast);
    timed.make(2 * DENSE, DENSE, slow_in_a_hundred(100));
    assert_ne!(timed.breaker.state(), State::Closed);
    timed.hand.advance(Duration::from_secs(1));
    timed.make(1, DENSE, fast);
    assert_eq!(timed.breaker.state(), State::Closed);
    timed.make(500, DENSE, slow_in_a_hundred(10));
    assert_eq!(timed.breaker.snapshot().slow(), 50);
}

#[test]
fn dense_calls_that_hang_are_estimated_in_flight() {
    let timed = Timed::counting_slow_calls();
    timed.make(2 * DENSE, DENSE, fast);
    let hanging: Vec<Permit<'_>> = (0..10_000)
        .map(|_| {
            timed.hand.advance(Duration::from_secs(1) / DENSE);
            timed.breaker.try_acquire().unwrap()
        })
        .collect();
    timed.hand.advance(LIMIT);
    assert_near(timed.breaker.snapshot().overdue(), 10_000, 50);
    drop(hanging);
}

#[test]
fn a_dense_hang_trips_a_slow_rate() {
    let timed = Timed::new(|builder| builder.trip_when(slow_rate(0.5)));
    let mut hanging = Vec::new();
    timed.make(DENSE, DENSE, fast);
    while let Ok(permit) = timed.breaker.try_acquire() {
        hanging.push(permit);
        timed.hand.advance(Duration::from_secs(1) / DENSE);
        assert!(hanging.len() < 1_000_000, "all of these calls hang");
    }
    assert_eq!(timed.breaker.state(), State::Open);
}

#[test]
fn no_success_is_lost_when_a_dense_breaker_gets_other_timing() {
    let policy = || slow_rate(1.0).min_calls(u32::MAX);
    let timed = Timed::new(|builder| builder.trip_when(policy()));
    let builder =
        || CircuitBreaker::builder("payments").window(Window::time(Duration::from_secs(10), 10));
    timed.make(50_000, DENSE, fast);
    let settings: [CircuitBreakerBuilder; 4] = [
        builder().trip_when(policy()).timing(Timing::EveryCall),
        builder().trip_when(policy()),
        builder().trip_when(TripPolicy::failure_count(u32::MAX)),
        builder().trip_when(policy()),
    ];
    for (number, settings) in (1..).zip(settings) {
        let kept = timed.breaker.snapshot().successes();
        timed.breaker.reconfigure(settings).unwrap();
        let begun = timed.breaker.snapshot().successes();
        assert!(
            begun == kept || begun == 0,
            "{begun} of {kept}, settings {number}"
        );
        timed.make(50_000, DENSE, fast);
        let successes = timed.breaker.snapshot().successes();
        assert_eq!(successes, begun + 50_000, "settings {number}");
    }
}

#[test]
fn from_sampled_to_every_call_slow_calls_are_exact_at_once() {
    let policy = || slow_rate(1.0).min_calls(u32::MAX);
    let timed = Timed::new(|builder| builder.trip_when(policy()));
    timed.make(DENSE, DENSE, fast);
    let settings = CircuitBreaker::builder("payments")
        .window(Window::time(Duration::from_secs(10), 10))
        .trip_when(policy())
        .timing(Timing::EveryCall);
    timed.breaker.reconfigure(settings).unwrap();
    timed.make(10_000, DENSE, slow_in_a_hundred(20));
    assert_eq!(timed.breaker.snapshot().slow(), 2_000);
}
