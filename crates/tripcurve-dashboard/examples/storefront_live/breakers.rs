//! The storefront's breakers, as `examples/storefront` has them, and on a roster.

use std::time::Duration;

use tower::BoxError;
use tripcurve::error::ConfigError;
use tripcurve::registry::Roster;
use tripcurve::window::{Recording, Window};
use tripcurve::{CircuitBreaker, Outcome, TripPolicy};

use crate::client::Reply;

/// A slower answer is a sign of overload, so it counts as a failure.
const TOO_SLOW: Duration = Duration::from_millis(250);

/// A function pointer instead of a closure, so that the type has a name.
type Judge = fn(&Result<Reply, BoxError>) -> Outcome;
pub(crate) type Breaker = CircuitBreaker<Judge>;

#[derive(Clone)]
pub(crate) struct Breakers {
    pub(crate) payments: Breaker,
    pub(crate) recommendations: Breaker,
}

impl Breakers {
    pub(crate) fn new(roster: &Roster) -> Result<Self, ConfigError> {
        let payments = CircuitBreaker::builder("payments")
            .window(Window::time(Duration::from_secs(4), 8))
            .trip_when(TripPolicy::consecutive_failures(5))
            .trip_when(TripPolicy::failure_rate(0.4).min_calls(20))
            .open_for(Duration::from_secs(1))
            .probes(2)
            .latency(Recording::Combined)
            .enlist(roster)
            .classify(judge as Judge)
            .build()?;
        let recommendations = CircuitBreaker::builder("recommendations")
            .window(Window::count(100))
            .trip_when(TripPolicy::failure_rate(0.5).min_calls(40))
            .open_for(Duration::from_secs(1))
            .probes(1)
            .enlist(roster)
            .classify(judge as Judge)
            .build()?;
        Ok(Self {
            payments,
            recommendations,
        })
    }
}

/// To hyper, a 503 is an `Ok`, so the breaker must be told.
fn judge(result: &Result<Reply, BoxError>) -> Outcome {
    match result {
        Ok(reply) if reply.is_server_error() || reply.took > TOO_SLOW => Outcome::Failure,
        Ok(_) => Outcome::Success,
        Err(_) => Outcome::Failure,
    }
}
