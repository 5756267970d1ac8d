//! The two breakers of the protected storefront, and their policies.

use std::time::Duration;

use tower::BoxError;
use tripcurve::error::ConfigError;
use tripcurve::events::Transition;
use tripcurve::window::Window;
use tripcurve::{CircuitBreaker, Outcome, TripPolicy};

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
        // All times are short, to fit a script of half a minute.
        let payments = CircuitBreaker::builder("payments")
            .window(Window::time(Duration::from_secs(4), 8))
            .trip_when(TripPolicy::consecutive_failures(5))
            .trip_when(TripPolicy::failure_rate(0.4).min_calls(20))
            .open_for(Duration::from_secs(1))
            // Two probes, because a backend that refuses most calls still lets one in five through.
            // A single lucky probe would close the breaker.
            .probes(2)
            .on_transition(listener.clone())
            .classify(judge as Judge)
            .build()?;
        let recommendations = CircuitBreaker::builder("recommendations")
            .window(Window::count(100))
            // The fallbacks are good, so the breaker can wait for more evidence.
            .trip_when(TripPolicy::failure_rate(0.5).min_calls(40))
            .open_for(Duration::from_secs(1))
            .probes(1)
            .on_transition(listener)
            .classify(judge as Judge)
            .build()?;
        Ok(Self {
            payments,
            recommendations,
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
