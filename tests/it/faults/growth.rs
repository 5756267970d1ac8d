//! The heap doesn't grow with the calls that a breaker has made or that were cancelled.

use std::future::{Future, pending};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Waker};

use super::*;
use tripcurve::TripPolicy;

/// The bytes that `work` leaves on the heap. It is warmed up once.
fn left_behind(mut work: impl FnMut(u32), times: u32) -> i64 {
    (0..1_000).for_each(&mut work);
    allocation_counter::measure(|| (0..times).for_each(&mut work)).bytes_current
}

fn settings(builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
    let slow_rate = TripPolicy::slow_rate(0.9).slower_than(SECOND);
    builder
        .trip_when(TripPolicy::classic())
        .trip_when(slow_rate)
        .on_transition(|transition| {
            black_box(transition);
        })
}

/// Successes, outages that open the breaker, rejections and recoveries.
fn calls(times: u32) {
    let (breaker, hand) = breaker(settings);
    let left = left_behind(
        |n| {
            hand.advance(MILLI);
            let outage = n % 10_000 < 1_000;
            let _ = black_box(breaker.call(|| if outage { Err(()) } else { Ok(()) }));
        },
        times,
    );
    let rejected = breaker.snapshot().totals().rejected;
    assert!(rejected > 0, "the breaker never opened");
    assert_eq!(left, 0, "after {times} calls");
}

fn cancelled(times: u32) {
    let (breaker, hand) = breaker(settings);
    let mut context = Context::from_waker(Waker::noop());
    let left = left_behind(
        |_| {
            hand.advance(MILLI);
            let call = pin!(breaker.call_async(pending::<Result<(), ()>>));
            assert!(call.poll(&mut context).is_pending());
        },
        times,
    );
    assert_eq!(left, 0, "after {times} cancelled futures");
}

#[test]
fn calls_leave_nothing_on_the_heap() {
    calls(50_000);
}

#[test]
fn cancelled_futures_leave_nothing_on_the_heap() {
    cancelled(50_000);
}

#[test]
#[ignore = "some seconds: cargo test --release --all-features --test it -- faults --ignored"]
fn ten_million_calls_leave_nothing_on_the_heap() {
    calls(10_000_000);
}

#[test]
#[ignore = "some seconds: cargo test --release --all-features --test it -- faults --ignored"]
fn a_million_cancelled_futures_leave_nothing_on_the_heap() {
    cancelled(1_000_000);
}
