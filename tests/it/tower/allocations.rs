//! A call that passes through the layer allocates nothing, and neither does a typed rejection.

use std::future::{Future, Ready, ready};
use std::pin::pin;

use tower::{Layer, Service, service_fn};
use tripcurve::registry::Registry;
use tripcurve::tower::{Boxed, CallsInFlight, CircuitBreakerLayer, respond};
use tripcurve::{CircuitBreaker, State};

use super::{Broken, context};

fn fetch(works: bool) -> Ready<Result<u32, Broken>> {
    ready(if works { Ok(42) } else { Err(Broken) })
}

/// Polls, calls and polls again, and returns how many allocations the second call of a kind makes.
#[track_caller]
fn allocations<S, E>(mut service: S, works: bool) -> u64
where
    S: Service<bool, Response = u32, Error = E>,
{
    let mut call = || {
        let is_ready = service.poll_ready(&mut context()).is_ready();
        assert!(is_ready);
        let answer = pin!(service.call(works)).poll(&mut context());
        assert!(answer.is_ready());
        answer
    };
    drop(call());
    let mut answer = None;
    let counted = allocation_counter::measure(|| answer = Some(call()));
    counted.count_total
}

#[test]
fn a_call_that_passes_allocates_nothing() {
    for state in [
        State::Closed,
        State::HalfOpen,
        State::Disabled,
        State::MetricsOnly,
    ] {
        let breaker = CircuitBreaker::builder("layered")
            .start_in(state)
            .probes(5)
            .build()
            .unwrap();
        let layer = CircuitBreakerLayer::new(&breaker);
        let inner = || service_fn(fetch);
        assert_eq!(allocations(layer.layer(inner()), true), 0, "{state}");
        let counting = layer.clone().count_in_flight(&CallsInFlight::new());
        assert_eq!(allocations(counting.layer(inner()), true), 0, "{state}");
        let boxed = layer.clone().reject_with(Boxed);
        assert_eq!(allocations(boxed.layer(inner()), true), 0, "{state}");
        breaker.reset();
    }
}

#[test]
fn a_call_that_fails_allocates_nothing() {
    let breaker = CircuitBreaker::new("layered");
    let layer = CircuitBreakerLayer::new(&breaker);
    assert_eq!(allocations(layer.layer(service_fn(fetch)), false), 0);
}

#[test]
fn a_typed_rejection_and_a_response_allocate_nothing() {
    let breaker = CircuitBreaker::new("layered");
    breaker.force_open();
    let layer = CircuitBreakerLayer::new(&breaker);
    assert_eq!(allocations(layer.layer(service_fn(fetch)), true), 0);
    let answers = layer.clone().reject_with(respond(|_| 7));
    assert_eq!(allocations(answers.layer(service_fn(fetch)), true), 0);
    let boxed = layer.reject_with(Boxed);
    assert_eq!(allocations(boxed.layer(service_fn(fetch)), true), 1);
}

#[test]
fn backpressure_costs_a_call_that_passes_nothing() {
    let breaker = CircuitBreaker::new("layered");
    let layer = CircuitBreakerLayer::new(&breaker).backpressure(tokio::time::sleep);
    assert_eq!(allocations(layer.layer(service_fn(fetch)), true), 0);
}

#[test]
fn a_key_that_is_cheap_to_make_costs_no_allocation() {
    let template = CircuitBreaker::builder("layered");
    let registry = Registry::<u32>::builder(template).build().unwrap();
    let others = CircuitBreaker::new("others");
    let layer =
        CircuitBreakerLayer::new(&others).key_by(&registry, |works: &bool| u32::from(*works));
    assert_eq!(allocations(layer.layer(service_fn(fetch)), true), 0);
}
