//! What a breaker costs in memory when it is built and nobody calls: the bytes on the heap, the
//! `Arc`'s counts and the policies among them, and the handle.
//!
//! The crate `allocation-counter` is this program's allocator. It counts what is asked for, not
//! what the system's allocator rounds it up to.

use std::time::Duration;

use tripcurve::{Builder, CircuitBreaker, Clock, Window};

/// Bytes on the heap and in the handle, and how many pieces they are in.
fn measure(what: &str, settings: impl Fn(Builder) -> Builder) -> usize {
    // What a process has once: the clock's origin, the number of cores.
    let clock = Clock::default();
    drop(CircuitBreaker::new("first"));
    let mut breaker = None;
    let heap = allocation_counter::measure(|| {
        let builder = CircuitBreaker::builder("memory").clock(clock.clone());
        breaker = Some(settings(builder).build().unwrap());
    });
    let handle = size_of_val(&breaker.unwrap());
    let bytes = usize::try_from(heap.bytes_current).unwrap() + handle;
    println!("{what}: {bytes} bytes in {} pieces", heap.count_current);
    bytes
}

#[test]
fn a_breaker_with_the_default_window_takes_at_most_4096_bytes() {
    assert!(measure("default", |builder| builder) <= 4_096);
}

#[test]
fn counts_for_eight_threads_take_at_most_five_kibibytes() {
    assert!(
        measure("default, 8 shards from the start", |builder| builder
            .shards(8))
            <= 5_120
    );
}

#[test]
fn a_compact_breaker_takes_at_most_512_bytes() {
    assert!(measure("compact, 10 buckets", |builder| builder.shards(1)) <= 512);
    let policies = |builder: Builder| {
        builder
            .shards(1)
            .window(Window::time(Duration::from_secs(10), 10))
            .trip_when(tripcurve::TripPolicy::consecutive_failures(5))
            .trip_when(tripcurve::TripPolicy::failure_count(20))
            .trip_when(tripcurve::TripPolicy::error_rate(0.5))
    };
    assert!(measure("compact, 3 policies", policies) <= 512 + 64);
}

#[test]
fn a_count_window_takes_half_a_byte_a_call() {
    let bytes = |calls| measure("count", |builder| builder.window(Window::count(calls)));
    let more = bytes(100_000) - bytes(20_000);
    assert!(
        (39_992..=40_008).contains(&more),
        "80,000 calls take {more}"
    );
}

#[test]
fn a_breaker_that_is_dropped_leaves_nothing_behind() {
    let heap = allocation_counter::measure(|| {
        let breaker = CircuitBreaker::builder(String::from("memory"))
            .on_transition(|_| {})
            .build()
            .unwrap();
        let permit = breaker.clone().try_acquire_owned();
        breaker.reset();
        drop(permit);
    });
    assert_eq!(heap.count_current, 0);
}
