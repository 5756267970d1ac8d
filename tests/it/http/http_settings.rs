//! The layer for HTTP with the other settings, and among other layers.

use std::convert::Infallible;
use std::io;

use crate::runtime::paused;
use axum::body::Body as AxumBody;
use axum::response::IntoResponse;
use axum::{Router, routing::get as route};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt};
use tripcurve::outcome::Classify;
use tripcurve::registry::Registry;
use tripcurve::tower::{Boxed, ByStatus, CircuitBreakerLayer, GuardedBody, respond};
use tripcurve::{CallError, CircuitBreaker, Outcome, Rejected, State, TripPolicy};

use super::{
    Answers, Broken, FAILURE, Gone, IGNORED, NONE, SECOND, SUCCESS, Scripted, Step, TIMED_OUT,
    breaker, counted, now, request, response,
};

fn one_piece() -> Scripted {
    Scripted::of([Step::Data("ab")])
}

fn answers(status: u16) -> Answers<Scripted, Infallible> {
    Answers(Ok(response(status, &[], one_piece())))
}

#[test]
fn until_headers_ends_a_call_with_its_headers() {
    for (status, expected) in [(200, SUCCESS), (404, SUCCESS), (500, FAILURE)] {
        let breaker = breaker();
        let layer = CircuitBreakerLayer::http(&breaker).until_headers();
        let response = now(layer.layer(answers(status)).call(request("GET"))).unwrap();
        assert_eq!(counted(&breaker), expected);
        drop(response);
        assert_eq!(counted(&breaker), expected);
    }
}

/// Whether it comes before or after the classifier makes no difference.
#[test]
fn until_headers_and_a_classifier_combine_in_both_orders() {
    let quota = || answers(429);
    let layers: [fn(&CircuitBreaker) -> _; 2] = [
        |breaker| {
            let layer = CircuitBreakerLayer::http(breaker).until_headers();
            layer.classify(ByStatus::new().count_429())
        },
        |breaker| {
            let layer = CircuitBreakerLayer::http(breaker);
            layer.classify(ByStatus::new().count_429()).until_headers()
        },
    ];
    for layer in layers {
        let breaker = breaker();
        let _ = now(layer(&breaker).layer(quota()).call(request("GET"))).unwrap();
        assert_eq!(counted(&breaker), FAILURE);
        let _ = now(layer(&breaker).layer(answers(200)).call(request("GET"))).unwrap();
        assert_eq!(counted(&breaker)[0], 1);
    }
}

#[test]
fn a_503_that_is_heeded_opens_the_breaker() {
    let breaker = breaker();
    let layer = CircuitBreakerLayer::http(&breaker).classify(ByStatus::new().heed_503());
    let busy = response(503, &[("retry-after", "60")], one_piece());
    let mut service = layer.layer(Answers(Ok::<_, Infallible>(busy)));
    let _ = now(service.call(request("GET"))).unwrap();
    assert_eq!(breaker.state(), State::Open);
    assert!(breaker.ask().unwrap_err().earliest().unwrap() > 59 * SECOND);
    let opening = breaker.snapshot().latest_opening().unwrap();
    assert_eq!(opening.label().unwrap().as_str(), "http_503");
}

/// A success of a user's classifier lasts until the end of the body, too.
#[test]
fn a_classifier_of_the_user_decides_at_the_headers() {
    for (outcome, at_head, at_end) in [
        (Outcome::Success, NONE, SUCCESS),
        (Outcome::Failure, FAILURE, FAILURE),
        (Outcome::TimedOut, TIMED_OUT, TIMED_OUT),
        (Outcome::Ignored, IGNORED, IGNORED),
    ] {
        let breaker = breaker();
        let classifier = move |_: &Result<Response<Scripted>, Infallible>| outcome;
        let layer = CircuitBreakerLayer::http(&breaker).classify(classifier);
        let response = now(layer.layer(answers(200)).call(request("GET"))).unwrap();
        assert_eq!(counted(&breaker), at_head);
        now(response.into_body().collect()).unwrap();
        assert_eq!(counted(&breaker), at_end);
    }
}

/// An error that counts as a success has no body to wait for.
#[test]
fn an_error_may_count_as_a_success() {
    let breaker = breaker();
    let by_status = ByStatus::new().errors_with(|_: &io::ErrorKind| Outcome::Success);
    let layer = CircuitBreakerLayer::http(&breaker).classify(by_status);
    let inner: Answers<Scripted, _> = Answers(Err(io::ErrorKind::NotFound));
    assert!(now(layer.layer(inner).call(request("GET"))).is_err());
    assert_eq!(counted(&breaker), SUCCESS);
}

#[test]
fn a_classifier_that_panics_counts_as_ignored() {
    #[derive(Clone)]
    struct Panics;
    impl<T, E> Classify<T, E> for Panics {
        fn classify(&self, _: &Result<T, E>) -> Outcome {
            // This prints nothing, unlike `panic!`.
            std::panic::resume_unwind(Box::new("as ordered"))
        }
    }
    let breaker = breaker();
    let mut service = CircuitBreakerLayer::http(&breaker)
        .classify(Panics)
        .layer(answers(200));
    let call = std::panic::AssertUnwindSafe(|| now(service.call(request("GET"))));
    assert!(std::panic::catch_unwind(call).is_err());
    assert_eq!(counted(&breaker), IGNORED);
}

#[test]
fn each_key_has_its_breaker_for_http_too() {
    let template = CircuitBreaker::builder("host").trip_when(TripPolicy::consecutive_failures(1));
    let hosts = Registry::<String>::builder(template).build().unwrap();
    let others = breaker();
    let layer = CircuitBreakerLayer::http(&others).key_by(&hosts, |request: &Request<()>| {
        request.uri().host().map(ToString::to_string)
    });
    let get = |uri: &str| Request::get(uri).body(()).unwrap();
    let mut ill = layer.clone().layer(answers(500));
    let mut well = layer.layer(answers(200));
    let _ = now(ill.call(get("http://ill/"))).unwrap();
    let error = now(ill.call(get("http://ill/"))).unwrap_err();
    assert!(matches!(error, CallError::Rejected(_)));
    let response = now(well.call(get("http://well/"))).unwrap();
    let of_well = hosts.get_or_create("well");
    assert_eq!(counted(&of_well), NONE);
    now(response.into_body().collect()).unwrap();
    assert_eq!(counted(&of_well), SUCCESS);
    assert_eq!(hosts.get_or_create("ill").state(), State::Open);
    let _ = now(well.call(get("/books"))).unwrap();
    assert_eq!(counted(&others), IGNORED);
}

#[test]
fn a_rejection_is_a_response_of_the_inner_body() {
    let breaker = breaker();
    breaker.force_open();
    let answer = respond(|rejected: Rejected| {
        let seconds = rejected.retry_after().unwrap_or_default().as_secs();
        response(503, &[("retry-after", &seconds.to_string())], one_piece())
    });
    let layer = CircuitBreakerLayer::http(&breaker).reject_with(answer);
    let mut service = layer.layer(answers(200));
    let rejected: Result<Response<GuardedBody<Scripted>>, Infallible> =
        now(service.call(request("GET")));
    let response = rejected.unwrap();
    assert_eq!(response.status(), 503);
    let body = now(response.into_body().collect()).unwrap().to_bytes();
    assert_eq!(body, "ab");
    assert_eq!(counted(&breaker), NONE);
    assert_eq!(breaker.snapshot().totals().rejected, 1);
}

#[test]
fn an_error_of_poll_ready_counts_if_it_is_asked_to() {
    let breaker = breaker();
    let layer = CircuitBreakerLayer::http(&breaker);
    assert!(now(layer.clone().layer(Gone).ready()).is_err());
    assert_eq!(counted(&breaker), NONE);
    assert!(now(layer.count_ready_errors().layer(Gone).ready()).is_err());
    assert_eq!(counted(&breaker), FAILURE);
}

/// Five lines around a client, with a timeout, whose errors are boxed.
#[test]
fn the_layer_stands_over_a_timeout_and_under_a_buffer() {
    paused(async {
        let breaker = breaker();
        let hangs = tower::service_fn(|_: Request<()>| {
            std::future::pending::<Result<Response<Scripted>, Broken>>()
        });
        let client = ServiceBuilder::new()
            .buffer(8)
            .layer(CircuitBreakerLayer::http(&breaker).reject_with(Boxed))
            .timeout(SECOND)
            .service(hangs);
        for _ in 0..3 {
            let error: BoxError = client.clone().oneshot(request("GET")).await.unwrap_err();
            assert!(error.is::<tower::timeout::error::Elapsed>());
        }
        assert_eq!(counted(&breaker), [0, 0, 3, 0]);
        let error = client.oneshot(request("GET")).await.unwrap_err();
        assert!(error.is::<Rejected>());
        let opening = breaker.snapshot().latest_opening().unwrap();
        assert_eq!(opening.label().unwrap().as_str(), "timeout");
    });
}

#[test]
fn callers_wait_while_the_breaker_is_open_if_they_are_asked_to() {
    paused(async {
        let breaker = CircuitBreaker::builder("exchange")
            .clock(tripcurve::time::Clock::tokio())
            .build()
            .unwrap();
        let layer = CircuitBreakerLayer::http(&breaker).backpressure(tokio::time::sleep);
        let service = layer.layer(answers(200));
        breaker.trip(5 * SECOND);
        let begin = tokio::time::Instant::now();
        let response = service.oneshot(request("GET")).await;
        assert!(begin.elapsed() >= 5 * SECOND);
        response.unwrap().into_body().collect().await.unwrap();
        assert_eq!(counted(&breaker), SUCCESS);
    });
}

/// All routes share the breaker, and the router's error stays `Infallible`.
#[test]
fn a_router_of_axum_needs_no_error_handler() {
    paused(async {
        let breaker = breaker();
        let answer = respond(|rejected: Rejected| {
            (StatusCode::SERVICE_UNAVAILABLE, rejected.to_string()).into_response()
        });
        let router: Router = Router::new()
            .route("/works", route(|| async { "Emma" }))
            .route("/fails", route(|| async { StatusCode::BAD_GATEWAY }))
            .layer(CircuitBreakerLayer::http(&breaker).reject_with(answer));
        let send = |path: &'static str| {
            let request = Request::get(path).body(AxumBody::empty()).unwrap();
            let router = router.clone();
            async move { router.oneshot(request).await.unwrap() }
        };
        let works = send("/works").await;
        assert_eq!(works.status(), StatusCode::OK);
        assert_eq!(works.headers()["content-length"], "4");
        let text = works.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(text, "Emma");
        assert_eq!(counted(&breaker), SUCCESS);
        for _ in 0..3 {
            assert_eq!(send("/fails").await.status(), StatusCode::BAD_GATEWAY);
        }
        assert_eq!(breaker.state(), State::Open);
        assert_eq!(
            send("/works").await.status(),
            StatusCode::SERVICE_UNAVAILABLE
        );
    });
}
