//! tripcurve's layer.

use tower::Layer;
use tripcurve::tower::{CircuitBreakerLayer, CircuitBreakerService};
use tripcurve::{CallError, CircuitBreaker, State, TripPolicy};

use crate::peers::{Worker, poll_service};
use crate::subject::{
    ERROR_RATE, FAILURES_IN_A_ROW, Failed, MIN_CALLS, OPEN_FOR, Settings, Subject, WINDOW, Work,
};

/// `CircuitBreakerLayer` with its defaults: a rejection is typed.
#[derive(Clone)]
pub(crate) struct Layered {
    service: CircuitBreakerService<Worker>,
    breaker: CircuitBreaker,
}

impl Subject for Layered {
    const NAME: &'static str = "tripcurve";
    type Reply = Result<u32, CallError<Failed>>;

    fn closed(settings: &Settings) -> Self {
        let mut builder = CircuitBreaker::builder("compare")
            .window(tripcurve::window::Window::time(WINDOW, 10))
            .trip_when(TripPolicy::consecutive_failures(FAILURES_IN_A_ROW))
            .trip_when(TripPolicy::failure_rate(f64::from(ERROR_RATE)).min_calls(MIN_CALLS))
            .open_for(OPEN_FOR);
        if let Some(shards) = settings.shards {
            builder = builder.shards(shards);
        }
        let breaker = builder.build().expect("the settings are valid");
        Self {
            service: CircuitBreakerLayer::new(&breaker).layer(Worker),
            breaker,
        }
    }

    #[inline]
    fn call(&mut self, work: Work) -> Self::Reply {
        poll_service(&mut self.service, work)
    }

    #[inline]
    fn admitted(reply: &Self::Reply) -> bool {
        !matches!(reply, Err(CallError::Rejected(_)))
    }

    /// A bucket counts one by one up to 131,071 calls. The other benchmarks have the same bound.
    #[inline]
    fn empty_window(&mut self) {
        match self.breaker.state() {
            State::Open => self.breaker.trip(OPEN_FOR),
            _ => self.breaker.reset(),
        }
    }
}
