//! Totals: for a reader they never fall, and at rest they hold every call.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::effort;
use tripcurve::outcome::Report;
use tripcurve::snapshot::Totals;
use tripcurve::time::{Clock, MockClock};
use tripcurve::window::{Timing, Window};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);

fn numbers(totals: Totals) -> [u64; 6] {
    [
        totals.successes,
        totals.failures,
        totals.timed_out,
        totals.ignored,
        totals.rejected,
        totals.slow,
    ]
}

/// Outcomes as the callers count them, in the order of [`numbers`].
#[derive(Default)]
struct Ledger([AtomicU64; 6]);

impl Ledger {
    fn add(&self, kind: usize) {
        self.0[kind].fetch_add(1, Ordering::Relaxed);
    }

    fn numbers(&self) -> [u64; 6] {
        self.0.each_ref().map(|it| it.load(Ordering::Relaxed))
    }
}

/// Makes a call that ends in one of all ways, and notes what must be counted.
fn call(breaker: &CircuitBreaker, ledger: &Ledger, number: u64) {
    let Ok(permit) = breaker.try_acquire() else {
        return ledger.add(4);
    };
    let (outcome, kind) = match number % 11 {
        0 => (Outcome::Failure, 1),
        1 => (Outcome::TimedOut, 2),
        2 | 3 => (Outcome::Ignored, 3),
        _ => (Outcome::Success, 0),
    };
    ledger.add(kind);
    let is_slow = kind == 2 || number.is_multiple_of(3) && kind != 3;
    if is_slow {
        ledger.add(5);
    }
    let took = if is_slow {
        2 * SECOND
    } else {
        Duration::from_millis(1)
    };
    permit.record(Report::from(outcome).took(took));
}

/// Eight threads call. One more moves the clock and commands the breaker. A reader looks on.
fn run_with_a_reader(breaker: &CircuitBreaker, hand: &MockClock, command: impl Fn(u64) + Sync) {
    const CALLS: u64 = if cfg!(debug_assertions) {
        20_000
    } else {
        100_000
    };
    let (ledger, done) = (Ledger::default(), AtomicBool::new(false));
    thread::scope(|threads| {
        let (ledger, done, command) = (&ledger, &done, &command);
        threads.spawn(move || {
            let mut before = [0; 6];
            while !done.load(Ordering::Acquire) {
                let now = numbers(breaker.snapshot().totals());
                for (before, now) in before.iter().zip(now) {
                    assert!(*before <= now, "from {before} to {now}");
                }
                before = now;
            }
        });
        threads.spawn(move || {
            for number in 0.. {
                if done.load(Ordering::Acquire) {
                    break;
                }
                hand.advance(Duration::from_millis(700));
                command(number);
                thread::yield_now();
            }
        });
        let callers: Vec<_> = (0..8)
            .map(|thread| {
                threads.spawn(move || {
                    for number in 0..CALLS {
                        call(breaker, ledger, number + thread);
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.join().unwrap();
        }
        done.store(true, Ordering::Release);
    });
    assert_eq!(numbers(breaker.snapshot().totals()), ledger.numbers());
}

fn builder() -> (CircuitBreakerBuilder, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("totals")
        .timing(Timing::EveryCall)
        .clock(clock)
        .open_for(SECOND)
        .trip_when(TripPolicy::consecutive_failures(u32::MAX))
        .trip_when(TripPolicy::slow_rate(1.0).slower_than(SECOND).min_calls(20));
    (builder, hand)
}

/// Trips and resets the breaker, so that calls come late and are probes.
fn disturb(breaker: &CircuitBreaker, number: u64) {
    match number % 40 {
        0 => breaker.trip(SECOND),
        5 | 20 => breaker.reset(),
        10 => breaker.metrics_only(),
        15 => breaker.force_open(),
        _ => {}
    }
}

#[test]
fn totals_of_a_time_window_hold_every_call_of_eight_threads_and_never_fall() {
    for shards in [1, 4, 16] {
        let (builder, hand) = builder();
        let window = Window::time(3 * SECOND, 3);
        let breaker = builder.window(window).shards(shards).build().unwrap();
        run_with_a_reader(&breaker, &hand, |number| disturb(&breaker, number));
    }
}

#[test]
fn totals_of_a_count_window_hold_every_call_of_eight_threads_and_never_fall() {
    for within in [None, Some(SECOND)] {
        let (builder, hand) = builder();
        let window = Window::count(20);
        let window = match within {
            Some(within) => window.within(within),
            None => window,
        };
        let breaker = builder.window(window).build().unwrap();
        run_with_a_reader(&breaker, &hand, |number| disturb(&breaker, number));
    }
}

#[test]
fn totals_stay_when_the_window_is_replaced_while_threads_call() {
    let (builder, hand) = builder();
    let windows = [
        Window::time(3 * SECOND, 3),
        Window::time(5 * SECOND, 10),
        Window::count(20).into(),
        Window::count(50).within(SECOND).into(),
    ];
    let breaker = builder.clone().window(windows[0].clone()).build().unwrap();
    run_with_a_reader(&breaker, &hand, |number| {
        disturb(&breaker, number);
        if number.is_multiple_of(7) {
            let window = windows[(number / 7) as usize % windows.len()].clone();
            breaker.reconfigure(builder.clone().window(window)).unwrap();
        }
    });
}

#[test]
fn totals_are_exact_where_a_bucket_no_longer_counts_each_call() {
    let calls = u64::from(effort::share_of(400_000).max(150_000));
    for shards in [1, 16] {
        let (builder, hand) = builder();
        let breaker = builder.shards(shards).build().unwrap();
        for _ in 0..2 {
            thread::scope(|threads| {
                for _ in 0..2 {
                    threads.spawn(|| {
                        for _ in 0..calls {
                            breaker.try_acquire().unwrap().success();
                        }
                    });
                }
            });
            hand.advance(60 * SECOND);
        }
        assert_eq!(breaker.snapshot().totals().successes, 4 * calls);
    }
}

#[test]
fn a_rejection_that_was_decided_earlier_is_in_the_totals_of_any_state() {
    let breaker = CircuitBreaker::new("totals");
    breaker.trip(SECOND);
    let rejected = breaker.ask().unwrap_err();
    breaker.reset();
    let _rejected = breaker.reject(rejected);
    assert_eq!(breaker.snapshot().rejected(), 0);
    assert_eq!(breaker.snapshot().totals().rejected, 1);
}

#[test]
fn a_disabled_breaker_counts_no_call() {
    let breaker = CircuitBreaker::new("totals");
    breaker.disable();
    let permit = breaker.try_acquire().unwrap();
    assert!(!permit.record(Outcome::Failure));
    assert_eq!(breaker.snapshot().totals(), Totals::default());
}

#[test]
fn record_tells_whether_the_outcome_counted() {
    let breaker = CircuitBreaker::new("totals");
    assert!(breaker.try_acquire().unwrap().record(Outcome::Success));
    assert!(breaker.try_acquire().unwrap().record(Outcome::Ignored));
    let late = breaker.try_acquire_owned().unwrap();
    let trips = breaker.try_acquire().unwrap();
    assert!(trips.record(Outcome::Trip), "it ends its own generation");
    assert!(!late.record(Outcome::Success));
    assert_eq!(breaker.snapshot().totals().successes, 2);
}

#[test]
fn a_classified_result_tells_whether_it_counted() {
    let breaker = CircuitBreaker::new("totals");
    let failure: Result<(), &str> = Err("refused");
    let permit = breaker.try_acquire().unwrap();
    assert!(permit.record_result(breaker.classifier(), &failure));
    let late = breaker.try_acquire().unwrap();
    breaker.reset();
    assert!(!late.record_result(breaker.classifier(), &failure));
}
