//! Endpoints with a breaker each, behind tower's balancer.

use std::cell::Cell;
use std::rc::Rc;

use tokio::time::{Instant, sleep};
use tower::balance::p2c::Balance;
use tower::discover::ServiceList;
use tower::load::{CompleteOnResponse, Constant, PendingRequests};
use tower::{BoxError, Layer, Service, ServiceExt};
use tripcurve::tower::WaitWhileOpen;
use tripcurve::tower::{CircuitBreakerLayer, CircuitBreakerService, OwnClassifier, Typed};
use tripcurve::{CircuitBreaker, State};

use super::{Broken, Order, SECOND, Strict, breaker, paused};
use std::time::Duration;

fn endpoints<const N: usize>() -> ([CircuitBreaker; N], [Strict; N]) {
    (
        std::array::from_fn(|_| breaker()),
        std::array::from_fn(|_| Strict::default()),
    )
}

/// A balancer of endpoints whose callers wait while they are open.
macro_rules! balancer {
    ($breakers:expr, $endpoints:expr) => {{
        let services = $breakers
            .iter()
            .zip(&$endpoints)
            .map(|(breaker, endpoint)| {
                let layer = CircuitBreakerLayer::new(breaker).backpressure(sleep);
                Constant::new(layer.layer(endpoint.clone()), 1)
            });
        Balance::new(ServiceList::new(services.collect::<Vec<_>>()))
    }};
}

#[test]
fn three_endpoints_that_are_all_open_recover_by_themselves() {
    paused(async {
        let (breakers, endpoints) = endpoints::<3>();
        let mut balancer = balancer!(breakers, endpoints);
        let is_well = Rc::new(Cell::new(false));
        let order = || {
            if is_well.get() {
                Order::Succeed
            } else {
                Order::Fail
            }
        };
        for _ in 0..9 {
            assert!(breakers.iter().any(|it| it.state() == State::Closed));
            assert!(balancer.ready().await.unwrap().call(order()).await.is_err());
        }
        assert!(breakers.iter().all(|it| it.state() == State::Open));
        let begin = Instant::now();
        is_well.set(true);
        for _ in 0..100 {
            assert!(balancer.ready().await.unwrap().call(order()).await.is_ok());
        }
        let waited = begin.elapsed();
        assert!((4 * SECOND..6 * SECOND).contains(&waited), "{waited:?}");
        // An endpoint whose open time is over takes part again.
        for _ in 0..100 {
            assert!(balancer.ready().await.unwrap().call(order()).await.is_ok());
        }
        for (breaker, endpoint) in breakers.iter().zip(&endpoints) {
            assert_eq!(breaker.state(), State::Closed);
            assert_eq!(breaker.snapshot().totals().rejected, 0);
            assert!(endpoint.calls() > 3);
        }
    });
}

#[test]
fn endpoints_that_stay_ill_are_probed_again_and_again() {
    paused(async {
        let (breakers, endpoints) = endpoints::<3>();
        let mut balancer = balancer!(breakers, endpoints);
        for breaker in &breakers {
            breaker.trip(5 * SECOND);
        }
        let begin = Instant::now();
        for _ in 0..9 {
            assert!(
                balancer
                    .ready()
                    .await
                    .unwrap()
                    .call(Order::Fail)
                    .await
                    .is_err()
            );
        }
        assert!(begin.elapsed() >= 15 * SECOND);
        assert!(endpoints.iter().all(|endpoint| endpoint.calls() == 3));
        assert!(
            balancer
                .ready()
                .await
                .unwrap()
                .call(Order::Succeed)
                .await
                .is_ok()
        );
    });
}

#[test]
fn while_one_of_two_endpoints_is_open_no_call_is_rejected() {
    paused(async {
        let (breakers, endpoints) = endpoints::<2>();
        let mut balancer = balancer!(breakers, endpoints);
        for round in 0..50 {
            if round % 10 == 0 {
                // The balancer may already hold it for ready.
                breakers[0].trip(3600 * SECOND);
            }
            assert!(
                balancer
                    .ready()
                    .await
                    .unwrap()
                    .call(Order::Succeed)
                    .await
                    .is_ok()
            );
        }
        assert_eq!((endpoints[0].calls(), endpoints[1].calls()), (0, 50));
        assert!(
            breakers
                .iter()
                .all(|it| it.snapshot().totals().rejected == 0)
        );
        breakers[0].reset();
        for _ in 0..50 {
            assert!(
                balancer
                    .ready()
                    .await
                    .unwrap()
                    .call(Order::Succeed)
                    .await
                    .is_ok()
            );
        }
        assert!(endpoints[0].calls() > 0);
    });
}

#[test]
fn commands_and_retry_after_reach_a_balancer_that_waits() {
    paused(async {
        let (breakers, endpoints) = endpoints::<2>();
        let mut balancer = balancer!(breakers, endpoints);
        breakers.iter().for_each(CircuitBreaker::force_open);
        let waiting = tokio::spawn(async move {
            let begin = Instant::now();
            let answer = balancer.ready().await.unwrap().call(Order::Succeed).await;
            answer
                .map(|_| begin.elapsed())
                .map_err(|it: BoxError| it.to_string())
        });
        sleep(SECOND).await;
        breakers[1].trip(5 * SECOND);
        sleep(SECOND).await;
        breakers[1].trip(10 * SECOND);
        let waited = waiting.await.unwrap().unwrap();
        let about = 12 * SECOND..12 * SECOND + Duration::from_millis(5);
        assert!(about.contains(&waited), "{waited:?}");
        assert_eq!(endpoints[1].calls(), 1);
    });
}

/// Why endpoints of a balancer need backpressure.
#[test]
fn without_backpressure_a_balancer_prefers_the_open_endpoint() {
    paused(async {
        let (breakers, endpoints) = endpoints::<2>();
        let services = breakers.iter().zip(&endpoints).map(|(breaker, endpoint)| {
            let service = CircuitBreakerLayer::new(breaker).layer(endpoint.clone());
            PendingRequests::new(service, CompleteOnResponse::default())
        });
        let mut balancer = Balance::new(ServiceList::new(services.collect::<Vec<_>>()));
        breakers[0].force_open();
        let mut calls = Vec::new();
        for _ in 0..100 {
            let order = Order::SucceedAfter(SECOND);
            let call = balancer.ready().await.unwrap().call(order);
            calls.push(tokio::spawn(call));
            tokio::time::sleep(SECOND / 50).await;
        }
        let mut rejected = 0;
        for call in calls {
            rejected += u32::from(call.await.unwrap().is_err());
        }
        assert!(rejected > 60, "{rejected}");
    });
}

/// The type of such a service can be named, with a timer that can.
#[test]
fn the_service_of_an_endpoint_has_a_name() {
    type Endpoint = CircuitBreakerService<
        Strict,
        Typed,
        OwnClassifier,
        CircuitBreaker,
        WaitWhileOpen<tripcurve::time::TokioSleep>,
    >;
    paused(async {
        let layer = CircuitBreakerLayer::new(&breaker()).backpressure(tripcurve::time::TokioSleep);
        let mut endpoint: Endpoint = layer.layer(Strict::default());
        let answer = endpoint.ready().await.unwrap().call(Order::Fail).await;
        assert_eq!(answer.unwrap_err().into_inner(), Some(Broken));
    });
}
