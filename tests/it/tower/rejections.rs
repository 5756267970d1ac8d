//! What a rejection becomes, and which error type the service then has.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::IntoResponse;
use axum::{Router, routing::get};
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tripcurve::tower::{Boxed, CircuitBreakerLayer, respond};
use tripcurve::{CallError, Rejected, State};

use super::{Broken, Order, Strict, breaker, call, paused};

#[test]
fn typed_tells_a_rejection_from_an_error() {
    paused(async {
        let breaker = breaker();
        let mut service = CircuitBreakerLayer::new(&breaker).layer(Strict::default());
        assert_eq!(
            call(&mut service, Order::Fail),
            Err(CallError::Inner(Broken))
        );
        breaker.force_open();
        let error: CallError<Broken> = call(&mut service, Order::Succeed).unwrap_err();
        assert_eq!(error.rejected().unwrap().state(), State::ForcedOpen);
    });
}

#[test]
fn boxed_holds_the_rejection_or_the_error_itself() {
    paused(async {
        let breaker = breaker();
        let layer = CircuitBreakerLayer::new(&breaker).reject_with(Boxed);
        let mut service = layer.layer(Strict::default());
        let error: BoxError = call(&mut service, Order::Fail).unwrap_err();
        assert!(error.is::<Broken>());
        let boxed = service_fn(|_: Order| async { Err::<u32, _>(BoxError::from(Broken)) });
        let error = layer.layer(boxed).oneshot(Order::Fail).await.unwrap_err();
        assert!(error.is::<Broken>(), "it stays in its box");
        breaker.force_open();
        let error = call(&mut service, Order::Succeed).unwrap_err();
        assert!(error.is::<Rejected>());
    });
}

#[test]
fn a_response_leaves_the_error_type_as_it_was() {
    paused(async {
        let breaker = breaker();
        let answer = respond(|rejected: Rejected| rejected.name().len());
        let layer = CircuitBreakerLayer::new(&breaker).reject_with(answer);
        let service = layer.layer(service_fn(|()| async { Ok::<_, Infallible>(42) }));
        let Ok(answer) = service.clone().oneshot(()).await;
        assert_eq!(answer, 42);
        breaker.force_open();
        let Ok(answer) = service.oneshot(()).await;
        assert_eq!(answer, "layered".len());
        assert_eq!(breaker.snapshot().rejected(), 1);
    });
}

/// axum calls `layer` for each route, and wants no error.
#[test]
fn routes_of_axum_share_the_breaker() {
    paused(async {
        let breaker = breaker();
        let layer = CircuitBreakerLayer::new(&breaker)
            .classify(
                |answer: &Result<axum::response::Response, Infallible>| match answer {
                    Ok(answer) if answer.status().is_server_error() => tripcurve::Outcome::Failure,
                    _ => tripcurve::Outcome::Success,
                },
            )
            .reject_with(respond(|rejected: Rejected| {
                (StatusCode::SERVICE_UNAVAILABLE, rejected.to_string()).into_response()
            }));
        let router: Router = Router::new()
            .route("/fails", get(|| async { StatusCode::BAD_GATEWAY }))
            .route("/works", get(|| async { "works" }))
            .layer(layer);
        let status = async |path: &str| {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let Ok(answer) = router.clone().oneshot(request).await;
            answer.status()
        };
        assert_eq!(status("/works").await, StatusCode::OK);
        for _ in 0..3 {
            assert_eq!(status("/fails").await, StatusCode::BAD_GATEWAY);
        }
        assert_eq!(breaker.state(), State::Open);
        assert_eq!(status("/works").await, StatusCode::SERVICE_UNAVAILABLE);
    });
}
