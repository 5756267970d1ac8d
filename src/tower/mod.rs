//! A layer for services of [`tower`](https://docs.rs/tower): [`CircuitBreakerLayer`].
//!
//! ```
//! use std::time::Duration;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//! use tripcurve::CircuitBreaker;
//! use tripcurve::tower::CircuitBreakerLayer;
//!
//! # async fn fetch(user: u32) -> Result<u32, std::io::Error> { Ok(user) }
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
//! # runtime.block_on(async {
//! let breaker = CircuitBreaker::new("recommendations");
//! let mut client = ServiceBuilder::new()
//!     .layer(CircuitBreakerLayer::new(&breaker))
//!     .timeout(Duration::from_secs(2)) // inside the layer, so that it counts
//!     .service(tower::service_fn(fetch));
//!
//! let books = client.ready().await?.call(42).await;
//! assert!(matches!(books, Ok(42)));
//! assert_eq!(breaker.snapshot().successes(), 1);
//! # Ok::<(), tripcurve::CallError<tower::BoxError>>(())
//! # }).unwrap();
//! ```
//!
//! The settings of the layer:
//!
//! | setting | chooses | default |
//! |---|---|---|
//! | [`classify`](CircuitBreakerLayer::classify) | what counts as a failure | the breaker's classifier, usually `Err` |
//! | [`reject_with`](CircuitBreakerLayer::reject_with) | what a rejection becomes | [`Typed`]: [`CallError`](crate::CallError) |
//! | `key_by` (feature `registry`) | the breaker of a request | one breaker for all |
//! | [`backpressure`](CircuitBreakerLayer::backpressure) | whether callers wait while the breaker is open | they are rejected |
//! | [`count_ready_errors`](CircuitBreakerLayer::count_ready_errors) | whether an error of `poll_ready` counts | it counts for nothing |
//! | [`count_in_flight`](CircuitBreakerLayer::count_in_flight) | whether calls in flight are counted | they aren't |
//!
//! With the feature `http`, `CircuitBreakerLayer::http` knows which responses of HTTP are failures,
//! and ends a call with its body. With the feature `grpc`, `CircuitBreakerLayer::grpc` finds the
//! status in headers and trailers. [Their guide](crate::guide::http) says more.
//!
//! The [guide](crate::guide::tower) says where the layer stands among `timeout`, `buffer`,
//! `load_shed` and `balance`.

mod breakers;
mod classifier;
mod future;
#[cfg(feature = "grpc")]
mod grpc;
#[cfg(feature = "http")]
mod http;
mod in_flight;
#[cfg(feature = "registry")]
mod keys;
mod layer;
mod rejection;
mod service;
mod while_open;

#[cfg(feature = "http")]
pub use self::http::{
    ByCause, ByStatus, ClassifyError, GuardedBody, HttpCalls, InBox, SuccessAtEnd, Unboxed,
};
pub use classifier::{ClassifyBy, OwnClassifier};
pub use future::ResponseFuture;
#[cfg(feature = "grpc")]
pub use grpc::{ByGrpcStatus, GrpcCalls, StatusAtEnd};
pub use in_flight::CallsInFlight;
#[cfg(feature = "registry")]
pub use keys::BreakerByKey;
pub use layer::CircuitBreakerLayer;
pub use rejection::{BoxError, Boxed, RejectWith, Respond, Typed, respond};
pub use service::CircuitBreakerService;
pub use while_open::{RejectWhileOpen, WaitWhileOpen};
