//! Counts beyond their exact range, by many threads at once.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use crate::effort;
use tripcurve::outcome::Report;
use tripcurve::time::Clock;
use tripcurve::window::{Recording, Timing, Window};
use tripcurve::{CircuitBreaker, TripPolicy};

/// The duration of the calls, all in one bin of the histogram.
const TOOK: Duration = Duration::from_millis(1);

/// The counts of failed calls that several threads have made at once.
struct Counted {
    failures: u64,
    slow: u64,
    bin: u64,
}

fn count(threads: u64, calls: u64) -> Counted {
    // The clock stands still, so one bucket counts all calls.
    let (clock, _hand) = Clock::mock();
    let slow = TripPolicy::slow_rate(1.0).slower_than(TOOK / 2);
    let breaker = CircuitBreaker::builder("payments")
        .clock(clock)
        .window(Window::time(Duration::from_secs(60), 10))
        .trip_when(TripPolicy::failure_count(u32::MAX))
        .trip_when(slow.min_calls(u32::MAX))
        .latency(Recording::Combined)
        .timing(Timing::EveryCall)
        .shards(1)
        .build()
        .unwrap();
    let barrier = Barrier::new(usize::try_from(threads).unwrap());
    thread::scope(|scope| {
        for thread in 0..threads {
            let (breaker, barrier) = (&breaker, &barrier);
            scope.spawn(move || {
                barrier.wait();
                for _ in 0..calls / threads + u64::from(thread < calls % threads) {
                    let permit = breaker.try_acquire().unwrap();
                    permit.record(Report::failure().took(TOOK));
                }
            });
        }
    });
    let snapshot = breaker.snapshot();
    Counted {
        failures: snapshot.failures(),
        slow: snapshot.slow(),
        bin: snapshot.latency().unwrap().count(),
    }
}

#[test]
fn up_to_131_071_calls_in_a_bucket_are_counted_exactly_by_many_threads() {
    let numbers_of_threads = [8, 1, 4, 2];
    let some = effort::share_of(4).max(2) as usize;
    for threads in numbers_of_threads.into_iter().take(some) {
        let counted = count(threads, 131_071);
        assert_eq!(counted.failures, 131_071, "{threads} threads");
        assert_eq!(counted.slow, 131_071, "{threads} threads");
    }
}

#[test]
fn up_to_511_calls_in_a_bin_are_counted_exactly_by_many_threads() {
    for threads in [2, 4, 8] {
        for _ in 0..20 {
            assert_eq!(count(threads, 511).bin, 511, "{threads} threads");
        }
    }
}

/// The mean of many runs is tested where it is fast, next to the words (`src/window`).
#[test]
fn beyond_that_two_threads_lose_no_more_than_a_thousandth() {
    let calls = u64::from(effort::share_of(400_000).max(200_000));
    let counted = count(2, calls);
    for found in [counted.failures, counted.slow] {
        assert!(found.abs_diff(calls) <= calls / 1_000, "{found}");
    }
}
