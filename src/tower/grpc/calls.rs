//! The layer's settings for gRPC.

use std::fmt;
use std::marker::PhantomData;

use http::{Request, Response};
use http_body::Body;

use super::by_grpc_status::{ByGrpcStatus, StatusAtEnd, StatusInHead};
use crate::breaker::CircuitBreaker;
use crate::breaker::permit::Permit;
use crate::outcome::Outcome;
use crate::tower::classifier::CountCalls;
use crate::tower::http::calls::{Head, HttpCall, classified};
use crate::tower::rejection::Typed;
use crate::tower::{CircuitBreakerLayer, ClassifyError, GuardedBody, Unboxed};

/// Counts calls of gRPC by their status, in the headers or in the trailers; made by
/// [`CircuitBreakerLayer::grpc`].
///
/// `M` says where the service's errors are: [`Unboxed`], or in a [box](crate::tower::InBox) as
/// those of tower's `Timeout`. The compiler infers it.
pub struct GrpcCalls<C = ByGrpcStatus, M = Unboxed> {
    classifier: C,
    until_headers: bool,
    errors: PhantomData<fn() -> M>,
}

impl<C: Clone, M> Clone for GrpcCalls<C, M> {
    #[inline]
    fn clone(&self) -> Self {
        Self {
            classifier: self.classifier.clone(),
            until_headers: self.until_headers,
            errors: PhantomData,
        }
    }
}

impl<C: fmt::Debug, M> fmt::Debug for GrpcCalls<C, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcCalls")
            .field("classifier", &self.classifier)
            .field("until_headers", &self.until_headers)
            .finish()
    }
}

impl<M, D: Clone> CircuitBreakerLayer<Typed, GrpcCalls<ByGrpcStatus, M>, CircuitBreaker<D>> {
    /// Makes a layer for a client or a server of gRPC, such as tonic's `Channel`.
    ///
    /// Calls count as [`ByGrpcStatus`] says. A call lasts until its status is there: in the headers
    /// of a response without messages, otherwise in the trailers. So a stream that breaks after
    /// three messages is a failure, though its headers promised a success. The body is a
    /// [`GuardedBody`] that owns the permit.
    ///
    /// - [`classify`](CircuitBreakerLayer::classify) takes a [`ByGrpcStatus`] with other settings.
    /// - [`until_headers`](Self::until_headers) ends each call with its headers.
    /// - All other settings are those of [`new`](CircuitBreakerLayer::new).
    ///
    /// The breaker's own classifier isn't asked. The layer needs no library of gRPC. The service's
    /// error is an [`Error`](std::error::Error) or a [`BoxError`](crate::tower::BoxError). For
    /// another type there is [`ByGrpcStatus::errors_with`].
    ///
    /// ```
    /// use http::{Request, Response};
    /// use tower::{Layer, ServiceExt};
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::tower::CircuitBreakerLayer;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let breaker = CircuitBreaker::new("prices");
    /// let channel = CircuitBreakerLayer::grpc(&breaker).layer(tower::service_fn(
    ///     |_: Request<String>| async {
    ///         let response = Response::builder().header("grpc-status", "14");
    ///         Ok::<_, std::io::Error>(response.body(String::new()).unwrap())
    ///     },
    /// ));
    /// channel.oneshot(Request::default()).await?;
    /// assert_eq!(breaker.snapshot().failures(), 1);
    /// # Ok::<(), tripcurve::CallError<std::io::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn grpc(breaker: &CircuitBreaker<D>) -> Self {
        CircuitBreakerLayer::new(breaker).with_calls(|_| GrpcCalls {
            classifier: ByGrpcStatus::new(),
            until_headers: false,
            errors: PhantomData,
        })
    }
}

impl<R, C, M, B, W> CircuitBreakerLayer<R, GrpcCalls<C, M>, B, W> {
    /// Classifies the calls of a layer for gRPC with other settings of the table.
    pub fn classify<X>(
        self,
        classifier: ByGrpcStatus<X>,
    ) -> CircuitBreakerLayer<R, GrpcCalls<ByGrpcStatus<X>, M>, B, W> {
        self.with_calls(|calls| GrpcCalls {
            classifier,
            until_headers: calls.until_headers,
            errors: PhantomData,
        })
    }

    /// Ends each call of a layer for gRPC with its headers, whatever status comes in the trailers.
    ///
    /// Only a status in the headers counts then, and a response without one is a success. Use it
    /// for streams that last, such as subscriptions. A probe with such a stream would otherwise
    /// lose its place by [`probe_timeout`](crate::CircuitBreakerBuilder::probe_timeout).
    pub fn until_headers(self) -> Self {
        self.with_calls(|calls| GrpcCalls {
            until_headers: true,
            ..calls
        })
    }
}

impl<Q, Own, B, E, X, M> CountCalls<Request<Q>, Own, Response<B>, E>
    for GrpcCalls<ByGrpcStatus<X>, M>
where
    B: Body,
    X: ClassifyError<E, M> + Clone,
{
    type Response = Response<GuardedBody<B, StatusAtEnd>>;
    type Call = HttpCall<StatusInHead<X, M>>;

    #[inline]
    fn begin(&self, _: &Own, request: &Request<Q>) -> Self::Call {
        let classifier = StatusInHead {
            by_status: self.classifier.clone(),
            errors: PhantomData,
        };
        HttpCall::new(classifier, request.method(), self.until_headers)
    }

    fn count_ready_error(&self, _: &Own, mut permit: Permit<'_>, result: &Result<Response<B>, E>) {
        let call = StatusInHead {
            by_status: self.classifier.clone(),
            errors: PhantomData::<fn() -> M>,
        };
        match classified(&mut permit.0, &call, result) {
            Head::Ended(report) => permit.record(report),
            Head::GoesOn(_) => permit.record(Outcome::Success),
        };
    }
}
