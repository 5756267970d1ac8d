//! Faults of the program around a breaker: its clock, threads, tasks and functions.
//!
//! `docs/verification.md` lists all faults that tests of this crate make, with what is promised.

#[cfg(all(feature = "async", feature = "bulkhead"))]
mod dropped_futures;
mod functions;
mod growth;
#[cfg(feature = "registry")]
mod million_keys;
mod odd_clocks;
mod odd_permits;
#[cfg(unix)]
mod stopped_process;
mod thread_flood;

use std::time::Duration;

use tripcurve::time::{Clock, MockClock};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, State};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);

fn breaker(
    settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) -> (CircuitBreaker, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("faulty").clock(clock);
    (settings(builder).build().unwrap(), hand)
}

/// A total outage opens the breaker, and a dependency that works again closes it.
fn works(breaker: &CircuitBreaker, hand: &MockClock) {
    breaker.reset();
    for _ in 0..1_000 {
        if let Ok(permit) = breaker.try_acquire() {
            permit.failure();
        }
    }
    assert_eq!(breaker.state(), State::Open, "{}", breaker.snapshot());
    for _ in 0..100_000 {
        hand.advance(MILLI);
        if let Ok(permit) = breaker.try_acquire() {
            permit.success();
        }
        if breaker.state() == State::Closed {
            return;
        }
    }
    panic!("{}", breaker.snapshot());
}
