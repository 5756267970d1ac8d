//! The storefront's breakers, as `examples/storefront` has them, and on a roster.

use std::time::Duration;

use tower::BoxError;
use tripcurve::error::ConfigError;
use tripcurve::registry::Roster;
use tripcurve::window::Recording;
use tripcurve::{CircuitBreaker, Outcome};

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
            .latency(Recording::Combined)
            .enlist(roster)
            .classify(judge as Judge)
            .build()?;
        let recommendations = CircuitBreaker::builder("recommendations")
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
