//! The two breakers of the protected storefront, and their policies.

use std::time::Duration;

use tower::BoxError;
use tripcurve::error::ConfigError;
use tripcurve::events::Transition;
use tripcurve::{CircuitBreaker, Outcome};

use crate::client::Reply;

/// A slower answer is a sign of overload, so it counts as a failure. This keeps a breaker open
/// while the backend is back but cold. If the breaker closed too soon, it would let all shoppers
/// through again.
const TOO_SLOW: Duration = Duration::from_millis(250);

/// A function pointer instead of a closure, so that the type has a name.
type Judge = fn(&Result<Reply, BoxError>) -> Outcome;
pub(crate) type Breaker = CircuitBreaker<Judge>;

pub(crate) struct Breakers {
    pub(crate) payments: Breaker,
    pub(crate) recommendations: Breaker,
}

impl Breakers {
    pub(crate) fn new(
        listener: impl Fn(&Transition) + Clone + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        // The defaults suit both. They need no number of calls and no open time.
        let breaker = |name: &'static str| {
            let builder = CircuitBreaker::builder(name).on_transition(listener.clone());
            builder.classify(judge as Judge).build()
        };
        Ok(Self {
            payments: breaker("payments")?,
            recommendations: breaker("recommendations")?,
        })
    }
}

/// To hyper, a 503 is an `Ok`, so the breaker must be told. A 4xx, such as a declined card, shows
/// that the backend is healthy.
fn judge(result: &Result<Reply, BoxError>) -> Outcome {
    match result {
        Ok(reply) if reply.is_server_error() || reply.took > TOO_SLOW => Outcome::Failure,
        Ok(_) => Outcome::Success,
        Err(_) => Outcome::Failure,
    }
}
