//! A breaker around a dependency that is down for a while, with a fallback.
//!
//! ```text
//! cargo run --example quickstart
//! ```

use std::time::Duration;

use tripcurve::error::ConfigError;
use tripcurve::time::Clock;
use tripcurve::{CircuitBreaker, Fallback, State};

fn main() -> Result<(), ConfigError> {
    // The defaults are enough: `CircuitBreaker::new("recommendations")`. This program also prints
    // transitions. And its clock is moved by hand, so that twelve seconds pass at once.
    let (clock, hand) = Clock::mock();
    let breaker = CircuitBreaker::builder("recommendations")
        .on_transition(|transition| println!("      {transition}"))
        .clock(clock)
        .build()?;

    let (mut calls_made, mut cached_at) = (0, None);
    for second in 0..12_u32 {
        let books = breaker
            .call(|| {
                calls_made += 1;
                recommend(second)
            })
            .inspect(|_| cached_at = Some(second))
            .or_fallback(|_| {
                let at = cached_at.filter(|at| second - at < 4)?;
                Some(format!("books picked at second {at}, from the cache"))
            })
            .unwrap_or_else(|error| format!("what everybody reads, since {error}"));
        println!("{second:>3} s {books}");
        hand.advance(Duration::from_secs(1));
    }

    println!("{}", breaker.snapshot());
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(calls_made, 10, "two calls were rejected");
    Ok(())
}

/// Stands for a call over the network. It fails from second 2 up to second 7.
fn recommend(second: u32) -> Result<String, &'static str> {
    match second {
        2..8 => Err("connection refused"),
        _ => Ok(format!("books picked at second {second}")),
    }
}
