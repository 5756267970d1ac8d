//! A call of HTTP that passes allocates nothing for the layer, and neither does its body.

use std::convert::Infallible;
use std::task::Poll;

use http::Response;
use http_body::Body;
use tower::{Layer, Service};
use tripcurve::registry::Registry;
use tripcurve::tower::CircuitBreakerLayer;
use tripcurve::{CircuitBreaker, State};

use super::{Answers, Scripted, Step, counted, now, poll, request};

/// Makes a call of a layered service, and reads its body to the end.
fn call<S, B>(service: &mut S)
where
    S: Service<http::Request<()>, Response = Response<B>>,
    S::Error: std::fmt::Debug,
    B: Body + Unpin,
{
    let mut body = now(service.call(request("GET"))).unwrap().into_body();
    while let Poll::Ready(Some(frame)) = poll(&mut body) {
        assert!(frame.is_ok());
    }
}

/// A request and a scripted body allocate a little. The layer adds nothing.
#[track_caller]
fn assert_adds_none<S, B>(mut service: S, breaker: &CircuitBreaker)
where
    S: Service<http::Request<()>, Response = Response<B>>,
    S::Error: std::fmt::Debug,
    B: Body + Unpin,
{
    // The first copy of a header's value allocates once more.
    let mut inner = answers();
    call(&mut service);
    call(&mut inner);
    let before = counted(breaker);
    let with_layer = allocation_counter::measure(|| call(&mut service));
    assert_eq!(counted(breaker)[0], before[0] + 1);
    let without = allocation_counter::measure(|| call(&mut inner));
    assert_eq!(with_layer.count_total, without.count_total);
}

fn answers() -> Answers<Scripted, Infallible> {
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", 0.into());
    let body = Scripted::of([Step::Data("ab"), Step::Data("cd"), Step::Trailers(trailers)]);
    Answers(Ok(Response::new(body)))
}

#[cfg(feature = "grpc")]
#[test]
fn a_call_of_grpc_that_passes_allocates_nothing() {
    let breaker = CircuitBreaker::new("exchange");
    let layer = CircuitBreakerLayer::grpc(&breaker);
    assert_adds_none(layer.layer(answers()), &breaker);
}

#[test]
fn a_call_of_http_that_passes_allocates_nothing() {
    for state in [State::Closed, State::HalfOpen, State::MetricsOnly] {
        let breaker = CircuitBreaker::builder("exchange")
            .start_in(state)
            .probes(5)
            .build()
            .unwrap();
        let layer = CircuitBreakerLayer::http(&breaker);
        assert_adds_none(layer.layer(answers()), &breaker);
    }
}

#[test]
fn a_call_of_http_by_key_that_passes_allocates_nothing() {
    let template = CircuitBreaker::builder("exchange");
    let registry = Registry::<u32>::builder(template).build().unwrap();
    let breaker = CircuitBreaker::new("others");
    let layer = CircuitBreakerLayer::http(&breaker).key_by(&registry, |_: &http::Request<()>| 7);
    let key = registry.get_or_create(&7).clone();
    assert_adds_none(layer.layer(answers()), &key);
}
