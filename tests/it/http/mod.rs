//! The layer for HTTP: which calls count as what, and when they end.
//!
//! Scripted bodies show each way in which a body can end. Servers of hyper on loopback show what
//! real ones do.
#![cfg(all(feature = "http", feature = "registry", feature = "tokio"))]

mod bodies;
mod by_cause;
mod by_status;
#[cfg(feature = "grpc")]
mod drive;
mod http_allocations;
mod http_servers;
mod http_settings;
#[cfg(feature = "grpc")]
mod odd_bodies;
pub(crate) mod server;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use tower::{Layer, Service};
use tripcurve::tower::{CircuitBreakerLayer, GuardedBody};
use tripcurve::{CircuitBreaker, Outcome, Recovery, TripPolicy};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A breaker that trips at the third failure in a row, and closes after one probe.
pub(crate) fn breaker() -> CircuitBreaker {
    CircuitBreaker::builder("exchange")
        .trip_when(TripPolicy::consecutive_failures(3))
        .recovery(Recovery::fixed(5 * SECOND, 1))
        .build()
        .unwrap()
}

/// How many calls have ended, by outcome: successes, failures, timed out, ignored.
pub(crate) fn counted<D>(breaker: &CircuitBreaker<D>) -> [u64; 4] {
    let totals = breaker.snapshot().totals();
    let counts = [totals.successes, totals.failures];
    [counts[0], counts[1], totals.timed_out, totals.ignored]
}

pub(crate) const NONE: [u64; 4] = [0; 4];
pub(crate) const SUCCESS: [u64; 4] = [1, 0, 0, 0];
pub(crate) const FAILURE: [u64; 4] = [0, 1, 0, 0];
pub(crate) const TIMED_OUT: [u64; 4] = [0, 0, 1, 0];
pub(crate) const IGNORED: [u64; 4] = [0, 0, 0, 1];

/// The counts of a breaker with one call of this outcome.
pub(crate) fn once(outcome: Outcome) -> [u64; 4] {
    match outcome {
        Outcome::Success => SUCCESS,
        Outcome::Failure | Outcome::Trip => FAILURE,
        Outcome::TimedOut => TIMED_OUT,
        Outcome::Ignored => IGNORED,
        _ => unreachable!("{outcome:?}"),
    }
}

pub(crate) fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Polls a future that must be ready at once.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut context()) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("the future is not ready"),
    }
}

/// What a [`Scripted`] body does when it is polled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Data(&'static str),
    Trailers(HeaderMap),
    /// Waits, and never wakes its task.
    Pending,
    /// Lets the task poll again. A server sends meanwhile what it has.
    Yield,
    Error,
    Panic,
}

/// A body that follows a script, and says no more about itself than it is told to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scripted {
    pub(crate) steps: VecDeque<Step>,
    /// `size_hint().exact()`
    pub(crate) size: Option<u64>,
    /// Whether `is_end_stream` tells the end.
    pub(crate) tells_end: bool,
}

impl Scripted {
    pub(crate) fn of(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            ..Self::default()
        }
    }

    pub(crate) fn sized(mut self, size: u64) -> Self {
        self.size = Some(size);
        self
    }

    pub(crate) fn telling_end(mut self) -> Self {
        self.tells_end = true;
        self
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken")
    }
}

impl std::error::Error for Broken {}

impl Body for Scripted {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        Poll::Ready(match self.steps.pop_front() {
            None => None,
            Some(Step::Data(text)) => Some(Ok(Frame::data(Bytes::from_static(text.as_bytes())))),
            Some(Step::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(Step::Pending) => return Poll::Pending,
            Some(Step::Yield) => {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Step::Error) => Some(Err(Broken)),
            // This prints nothing, unlike `panic!`.
            Some(Step::Panic) => std::panic::resume_unwind(Box::new("as ordered")),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.tells_end && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.size.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

/// A service that answers each request with the same result.
#[derive(Clone)]
pub(crate) struct Answers<B, E>(pub(crate) Result<Response<B>, E>);

impl<Q, B: Clone, E: Clone> Service<Request<Q>> for Answers<B, E> {
    type Response = Response<B>;
    type Error = E;
    type Future = Ready<Result<Response<B>, E>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Q>) -> Self::Future {
        ready(self.0.clone())
    }
}

pub(crate) fn request(method: &str) -> Request<()> {
    Request::builder().method(method).body(()).unwrap()
}

/// A response of this status, with headers.
pub(crate) fn response<B>(status: u16, headers: &[(&str, &str)], body: B) -> Response<B> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body).unwrap()
}

/// The answer to a `GET` through the layer of `breaker`.
pub(crate) fn get(
    breaker: &CircuitBreaker,
    answer: Response<Scripted>,
) -> Response<GuardedBody<Scripted>> {
    call(breaker, "GET", answer)
}

pub(crate) fn call(
    breaker: &CircuitBreaker,
    method: &str,
    answer: Response<Scripted>,
) -> Response<GuardedBody<Scripted>> {
    let inner = Answers(Ok::<_, Infallible>(answer));
    let mut service = CircuitBreakerLayer::http(breaker).layer(inner);
    now(service.call(request(method))).unwrap()
}

type NextFrame<B> = Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>;

/// The next frame of a body.
pub(crate) fn poll<B: Body + Unpin>(body: &mut B) -> Poll<NextFrame<B>> {
    Pin::new(body).poll_frame(&mut context())
}

/// A service that fails before it is ready.
#[derive(Clone)]
pub(crate) struct Gone;
impl Service<Request<()>> for Gone {
    type Response = Response<Scripted>;
    type Error = Broken;
    type Future = std::future::Ready<Result<Response<Scripted>, Broken>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Err(Broken))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        unreachable!("it is never ready")
    }
}
