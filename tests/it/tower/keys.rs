//! One breaker for each key of a request.

use std::task::Poll;

use axum::http::uri::Authority;
use tower::{Layer, Service, ServiceExt, service_fn};
use tripcurve::registry::Registry;
use tripcurve::tower::{CircuitBreakerLayer, Typed};
use tripcurve::{CallError, CircuitBreaker, Outcome, State};

use super::{Broken, Gate, Order, Strict, breaker, paused, poll_ready, settings};

type Request = (Option<&'static str>, bool);

fn fetch((_, works): Request) -> std::future::Ready<Result<u32, Broken>> {
    std::future::ready(if works { Ok(42) } else { Err(Broken) })
}

fn hosts() -> Registry<String> {
    Registry::builder(settings()).build().unwrap()
}

#[test]
fn each_key_has_its_breaker() {
    paused(async {
        let (hosts, others) = (hosts(), breaker());
        let layer = CircuitBreakerLayer::new(&others).key_by(&hosts, |request: &Request| {
            request.0.map(ToString::to_string)
        });
        let service = layer.layer(service_fn(fetch));
        for _ in 0..3 {
            assert!(service.clone().oneshot((Some("ill"), false)).await.is_err());
        }
        let error = service.clone().oneshot((Some("ill"), true)).await;
        assert!(matches!(error, Err(CallError::Rejected(_))));
        assert_eq!(service.clone().oneshot((Some("well"), true)).await, Ok(42));
        assert_eq!(hosts.get_or_create("ill").state(), State::Open);
        assert_eq!(hosts.get_or_create("well").snapshot().successes(), 1);
        assert_eq!(others.snapshot().calls(), 0);
        assert!(format!("{service:?}").contains("BreakerByKey"));
    });
}

#[test]
fn a_key_may_be_the_host_of_a_request() {
    paused(async {
        let hosts = Registry::<Authority>::builder(settings()).build().unwrap();
        let layer = CircuitBreakerLayer::new(&breaker())
            .key_by(&hosts, |request: &axum::http::Request<_>| {
                request.uri().authority().cloned()
            });
        let fetch = |_: axum::http::Request<()>| async { Ok::<_, Broken>(42) };
        let client = layer.layer(service_fn(fetch));
        let request = axum::http::Request::get("http://books.example:80/emma");
        assert_eq!(client.oneshot(request.body(()).unwrap()).await, Ok(42));
        let host = Authority::from_static("books.example:80");
        assert_eq!(hosts.get(&host).unwrap().snapshot().successes(), 1);
    });
}

#[test]
fn a_request_without_a_key_belongs_to_the_layers_breaker() {
    paused(async {
        let (hosts, others) = (hosts(), breaker());
        let layer = CircuitBreakerLayer::new(&others).key_by(&hosts, |request: &Request| {
            request.0.map(ToString::to_string)
        });
        let service = layer.layer(service_fn(fetch));
        assert!(service.oneshot((None, false)).await.is_err());
        assert_eq!(others.snapshot().failures(), 1);
        assert!(hosts.is_empty());
    });
}

#[test]
fn a_key_need_not_be_optional() {
    paused(async {
        let by_length = Registry::<usize>::builder(settings()).build().unwrap();
        let layer =
            CircuitBreakerLayer::new(&breaker()).key_by(&by_length, |request: &&str| request.len());
        let service = layer.layer(service_fn(|_: &str| async { Ok::<_, Broken>(1) }));
        assert_eq!(service.oneshot("four").await, Ok(1));
        assert_eq!(by_length.get(&4).unwrap().snapshot().successes(), 1);
    });
}

#[test]
fn the_classifier_is_the_registrys_or_that_of_the_layer() {
    paused(async {
        type Classifier = fn(&Result<u32, Broken>) -> Outcome;
        let ignores: Classifier = |_| Outcome::Ignored;
        let template = settings().classify(ignores);
        let hosts = Registry::<u8, _>::builder(template).build().unwrap();
        let others = breaker().with_classifier(ignores);
        let layer = CircuitBreakerLayer::new(&others).key_by(&hosts, |_: &Request| 7);
        let service = layer.clone().layer(service_fn(fetch));
        assert!(service.oneshot((None, false)).await.is_err());
        assert_eq!(hosts.get(&7).unwrap().snapshot().ignored(), 1);
        let service = layer
            .classify(|_: &Result<u32, Broken>| Outcome::Trip)
            .layer(service_fn(fetch));
        assert!(service.oneshot((None, false)).await.is_err());
        assert_eq!(hosts.get(&7).unwrap().state(), State::Open);
    });
}

/// Only a request tells its breaker.
#[test]
fn poll_ready_asks_the_inner_service_alone() {
    paused(async {
        let hosts = hosts();
        let others = breaker();
        others.force_open();
        let inner = Strict::default();
        let layer: CircuitBreakerLayer<Typed, _, _> = CircuitBreakerLayer::new(&others)
            .count_ready_errors()
            .key_by(&hosts, |_: &Order| "host".to_string());
        let mut service = layer.layer(inner.clone());
        inner.set(Gate::Never);
        assert!(poll_ready(&mut service).is_pending());
        inner.set(Gate::Gone);
        assert!(matches!(poll_ready(&mut service), Poll::Ready(Err(_))));
        inner.set(Gate::Ready);
        assert!(poll_ready(&mut service).is_ready());
        assert_eq!(service.call(Order::Succeed).await, Ok(0));
    });
}

/// A breaker that calls hold isn't evicted, though nobody else keeps a handle.
#[test]
fn a_call_in_flight_keeps_its_breaker_in_the_registry() {
    paused(async {
        let hosts = Registry::<u32>::builder(CircuitBreaker::builder("host").shards(1))
            .capacity(1)
            .build()
            .unwrap();
        let layer = CircuitBreakerLayer::new(&breaker())
            .key_by(&hosts, |order: &Order| u32::from(*order == Order::Hang));
        let mut service = layer.layer(Strict::default());
        assert!(poll_ready(&mut service).is_ready());
        let call = service.call(Order::Hang);
        for other in 100..200 {
            hosts.get_or_create(&other);
        }
        assert!(hosts.get(&1).is_some());
        drop(call);
    });
}
