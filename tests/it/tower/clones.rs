//! Clones and services of one layer share the breaker, and nothing else.

use tower::{Layer, Service, ServiceExt};
use tripcurve::tower::CircuitBreakerLayer;
use tripcurve::{CallError, State};

use super::{Broken, Gate, Order, SECOND, Strict, breaker, call, layered, paused, poll_ready};

#[test]
fn a_call_goes_to_the_inner_service_that_was_polled() {
    paused(async {
        let (mut service, inner) = layered(&breaker());
        for call in 0..5 {
            assert_eq!(
                service.ready().await.unwrap().call(Order::Succeed).await,
                Ok(call)
            );
        }
        assert_eq!(inner.calls(), 5);
    });
}

#[test]
#[should_panic(expected = "called without having been ready")]
fn a_clone_of_a_ready_service_is_not_ready() {
    paused(async {
        let (mut service, _) = layered(&breaker());
        assert!(poll_ready(&mut service).is_ready());
        drop(service.clone().call(Order::Succeed));
    });
}

#[test]
fn a_clone_forgets_the_rejection_of_the_original() {
    paused(async {
        let breaker = breaker();
        let (mut service, _) = layered(&breaker);
        breaker.force_open();
        assert!(poll_ready(&mut service).is_ready());
        breaker.reset();
        let mut clone = service.clone();
        assert_eq!(call(&mut clone, Order::Succeed), Ok(0));
        assert!(service.call(Order::Succeed).await.is_err());
    });
}

#[test]
fn a_clone_forgets_the_wait_of_the_original() {
    paused(async {
        let breaker = breaker();
        let layer = CircuitBreakerLayer::new(&breaker).backpressure(tokio::time::sleep);
        let mut service = layer.layer(Strict::default());
        breaker.trip(5 * SECOND);
        assert!(poll_ready(&mut service).is_pending());
        let clone = service.clone();
        drop(service);
        assert_eq!(clone.oneshot(Order::Succeed).await, Ok(0));
    });
}

#[test]
fn services_of_one_layer_share_the_breaker() {
    paused(async {
        let breaker = breaker();
        let layer = CircuitBreakerLayer::new(&breaker);
        let mut services = [
            layer.layer(Strict::default()),
            layer.layer(Strict::default()),
            layer.clone().layer(Strict::default()),
        ];
        for service in &mut services {
            assert_eq!(breaker.state(), State::Closed);
            assert!(call(service, Order::Fail).is_err());
        }
        for service in &mut services {
            let error = call(service, Order::Succeed).unwrap_err();
            assert!(matches!(error, CallError::Rejected(_)));
        }
    });
}

#[test]
fn a_layer_around_a_layer_of_the_same_breaker_makes_one_probe() {
    paused(async {
        let breaker = breaker();
        let layer = CircuitBreakerLayer::new(&breaker);
        let inner = Strict::default();
        let mut service = layer.layer(layer.layer(inner.clone()));
        breaker.trip(5 * SECOND);
        tokio::time::advance(5 * SECOND).await;
        let answer = service.ready().await.unwrap();
        assert_eq!(answer.call(Order::SucceedAfter(SECOND)).await, Ok(0));
        assert_eq!(breaker.state(), State::Closed);
    });
}

#[test]
fn a_call_of_the_breaker_within_the_future_of_a_probe_is_part_of_it() {
    paused(async {
        let breaker = breaker();
        let within = breaker.clone();
        let fetch = tower::service_fn(move |(): ()| {
            let breaker = within.clone();
            async move {
                tokio::task::yield_now().await;
                breaker.call(|| Ok::<_, Broken>(7))
            }
        });
        let service = CircuitBreakerLayer::new(&breaker).layer(fetch);
        breaker.trip(5 * SECOND);
        tokio::time::advance(5 * SECOND).await;
        assert_eq!(service.oneshot(()).await, Ok(7));
        assert_eq!(breaker.state(), State::Closed);
        assert_eq!(breaker.snapshot().totals().calls(), 1);
    });
}

#[test]
fn the_inner_service_is_handed_out() {
    paused(async {
        let (mut service, inner) = layered(&breaker());
        inner.set(Gate::Never);
        assert!(poll_ready(&mut service).is_pending());
        service.get_mut().set(Gate::Ready);
        assert!(poll_ready(&mut service).is_ready());
        assert_eq!(service.get_ref().polls(), 2);
        assert!(service.into_inner().is_ready);
    });
}

#[test]
fn types_may_cross_threads_and_tell_what_they_are() {
    fn shared<T: Send + Sync>(_: &T) {}
    fn sent<T: Send>(_: &T) {}
    paused(async {
        let breaker = breaker();
        let layer = CircuitBreakerLayer::new(&breaker);
        let waits = layer.clone().backpressure(tokio::time::sleep);
        shared(&layer);
        shared(&waits);
        let mut service = layer.layer("inner");
        shared(&service);
        sent(&waits.layer("inner"));
        assert!(format!("{layer:?} {waits:?} {service:?}").contains("layered"));
        assert_eq!(*service.get_mut(), "inner");
        let (mut service, _) = layered(&breaker);
        assert!(poll_ready(&mut service).is_ready());
        let call = service.call(Order::Succeed);
        sent(&call);
        assert_eq!(format!("{call:?}"), r#"ResponseFuture("called")"#);
    });
}
