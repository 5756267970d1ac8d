//! The dashboard's router, asked without a browser. `tests/browser` looks at the page.
//!
//! Tests that wait for the next frame do so in Tokio's paused time: it moves on as soon as all
//! tasks wait. One test of the stream uses real time.

mod actions;
mod api;
mod fleet;
mod page;
mod stream;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;
use tripcurve::registry::Roster;
use tripcurve::{CircuitBreaker, TripPolicy};

/// A breaker on a roster.
fn breaker(name: &'static str, roster: &Roster) -> CircuitBreaker {
    CircuitBreaker::builder(name)
        .trip_when(TripPolicy::classic())
        .enlist(roster)
        .build()
        .unwrap()
}

/// Makes calls fail until the breaker is open.
fn trip(breaker: &CircuitBreaker) {
    while breaker
        .call(|| Err::<(), _>("refused"))
        .unwrap_err()
        .rejected()
        .is_none()
    {}
}

/// The status and the JSON of an answer.
async fn answer(app: &Router, request: Request<Body>) -> (StatusCode, Value) {
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn get(app: &Router, path: &str) -> (StatusCode, Value) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    answer(app, request).await
}
