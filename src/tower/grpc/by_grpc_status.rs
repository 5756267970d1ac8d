//! How calls of gRPC count, by their status.

use std::marker::PhantomData;

use http::{HeaderMap, Response, StatusCode};

use super::code::{Code, pushback, says_timeout_expired};
use crate::outcome::{Label, Outcome, Report};
use crate::tower::http::body::ClassifyEnd;
use crate::tower::http::calls::{ClassifyHead, Head};
use crate::tower::http::error_label;
use crate::tower::{ByCause, ClassifyError};

/// Counts calls of gRPC by their status, and errors by `X`; the default of
/// [`CircuitBreakerLayer::grpc`](crate::tower::CircuitBreakerLayer::grpc).
///
/// | status or error | counts as |
/// |---|---|
/// | `UNAVAILABLE`, `DATA_LOSS`, `INTERNAL`, `UNKNOWN` | [`Failure`](Outcome::Failure) |
/// | `DEADLINE_EXCEEDED` | [`TimedOut`](Outcome::TimedOut) |
/// | `CANCELLED` with the message `Timeout expired`, which tonic sends for its own time limits | [`TimedOut`](Outcome::TimedOut) |
/// | `RESOURCE_EXHAUSTED` | a failure, or a success with [`exhausted_is_success`](Self::exhausted_is_success) |
/// | any other `CANCELLED`, `ABORTED` | [`Ignored`](Outcome::Ignored) |
/// | all others | [`Success`](Outcome::Success) |
/// | an error | as [`ByCause`] says: a failure, timed out or ignored |
///
/// # Where the status is
/// 1. If the status of HTTP isn't 200, no server of gRPC has answered as it should. A `grpc-status`
///    in the headers counts, unless it is `OK`. Otherwise
///    [gRPC's own table](https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md)
///    tells the code: a proxy's 502, 503 or 504 is `UNAVAILABLE`.
/// 2. Otherwise a `grpc-status` in the headers counts. The response has no other frames.
/// 3. Otherwise the `grpc-status` in the trailers counts. The call lasts until then.
/// 4. A body that ends without a status is `UNKNOWN`.
///
/// A code that no version of gRPC knows is `UNKNOWN`.
///
/// The `grpc-retry-pushback-ms` beside the status of a failure is the call's
/// [retry-after](crate::CircuitBreakerBuilder::retry_after). A negative one is none. A proxy's
/// `Retry-After` takes its place where there is no pushback.
///
/// A failure has a [label](crate::outcome::Classify::label), such as `grpc_unavailable`, `timeout`
/// or `no_response`.
///
/// ```
/// use tripcurve::CircuitBreaker;
/// use tripcurve::tower::{ByGrpcStatus, CircuitBreakerLayer};
///
/// let breaker = CircuitBreaker::new("prices");
/// let by_status = ByGrpcStatus::new().exhausted_is_success();
/// let layer = CircuitBreakerLayer::grpc(&breaker).classify(by_status);
/// # use http::{Request, Response};
/// # use tower::Layer;
/// # fn check<S: tower::Service<Request<String>>>(_: S) {}
/// # check(layer.layer(tower::service_fn(|_: Request<String>| async {
/// #     Ok::<_, std::io::Error>(Response::new(String::new()))
/// # })));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ByGrpcStatus<X = ByCause> {
    errors: X,
    exhausted_is_success: bool,
}

impl ByGrpcStatus {
    /// Makes the table with its defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            errors: ByCause,
            exhausted_is_success: false,
        }
    }
}

impl<X> ByGrpcStatus<X> {
    /// Counts `RESOURCE_EXHAUSTED` as a success.
    ///
    /// Use it where the status speaks of one user's quota, and not of the server.
    #[must_use]
    pub fn exhausted_is_success(mut self) -> Self {
        self.exhausted_is_success = true;
        self
    }

    /// Counts errors as `errors` says, in place of [`ByCause`].
    ///
    /// A closure names the type of its argument, such as `|error: &tonic::transport::Error| …`.
    #[must_use]
    pub fn errors_with<Y>(self, errors: Y) -> ByGrpcStatus<Y> {
        ByGrpcStatus {
            errors,
            exhausted_is_success: self.exhausted_is_success,
        }
    }

    fn at_end(&self) -> StatusAtEnd {
        StatusAtEnd {
            exhausted_is_success: self.exhausted_is_success,
        }
    }
}

/// A body ends with its status of gRPC.
#[derive(Clone, Copy, Debug)]
pub struct StatusAtEnd {
    exhausted_is_success: bool,
}

impl StatusAtEnd {
    fn outcome(self, code: Code, headers: &HeaderMap) -> Outcome {
        match code {
            Code::Unavailable | Code::DataLoss | Code::Internal | Code::Unknown => Outcome::Failure,
            Code::DeadlineExceeded => Outcome::TimedOut,
            Code::Cancelled if says_timeout_expired(headers) => Outcome::TimedOut,
            Code::ResourceExhausted if !self.exhausted_is_success => Outcome::Failure,
            Code::Cancelled | Code::Aborted => Outcome::Ignored,
            Code::Ok
            | Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Unauthenticated => Outcome::Success,
        }
    }

    /// How a call with this code counts. `headers` are those beside the code.
    fn report(self, code: Code, headers: &HeaderMap) -> Report {
        let outcome = self.outcome(code, headers);
        let mut report = Report::from(outcome);
        if outcome.counts_against() {
            report.retry_after = pushback(headers);
            report.label = Some(Label::new(code.label()));
        }
        report
    }
}

impl ClassifyEnd for StatusAtEnd {
    const IN_TRAILERS: bool = true;

    fn classify_end(&self, trailers: Option<&HeaderMap>) -> Report {
        let code = trailers.and_then(Code::of).unwrap_or(Code::Unknown);
        match trailers {
            Some(trailers) => self.report(code, trailers),
            None => Report::failure().label(const { Label::new("grpc_no_status") }),
        }
    }
}

/// Looks for the status in the head of a response. `M` says where the service's errors are.
#[derive(Debug)]
pub struct StatusInHead<X, M> {
    pub(super) by_status: ByGrpcStatus<X>,
    pub(super) errors: PhantomData<fn() -> M>,
}

impl<B, E, M, X: ClassifyError<E, M>> ClassifyHead<B, E> for StatusInHead<X, M> {
    type End = StatusAtEnd;

    fn classify_head(&self, result: &Result<Response<B>, E>) -> Head<StatusAtEnd> {
        let at_end = self.by_status.at_end();
        let response = match result {
            Ok(response) => response,
            Err(error) => {
                let outcome = self.by_status.errors.classify_error(error);
                return Head::Ended(Report::from(outcome).label(error_label(outcome)));
            }
        };
        let headers = response.headers();
        let code = match (Code::of(headers), response.status()) {
            (None, StatusCode::OK) => return Head::GoesOn(at_end),
            (Some(code), StatusCode::OK) => code,
            (None | Some(Code::Ok), status) => Code::of_http(status),
            (Some(code), _) => code,
        };
        Head::Ended(at_end.report(code, headers))
    }
}
