//! The layer's settings for HTTP, and one call until its head is there.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use http::{Method, Request, Response, StatusCode};
use http_body::Body;

use super::body::{ClassifyEnd, GuardedBody, SuccessAtEnd};
use super::by_cause::Unboxed;
use super::by_status::{ByStatus, ClassifyResponse};
use crate::breaker::CircuitBreaker;
use crate::breaker::permit::{Permit, PermitGuard};
use crate::breaker::shared::SharedBreaker;
use crate::outcome::{Outcome, Report};
use crate::tower::CircuitBreakerLayer;
use crate::tower::classifier::{CountCalls, EndCall};
use crate::tower::in_flight::RunningCall;
use crate::tower::rejection::Typed;

/// Counts calls of HTTP by a classifier, and a success not before its body has ended; made by
/// [`CircuitBreakerLayer::http`].
///
/// `M` says where the service's errors are: [`Unboxed`], or in a [box](super::InBox) as those of
/// tower's `Timeout`. The compiler infers it.
pub struct HttpCalls<C = ByStatus, M = Unboxed> {
    classifier: C,
    until_headers: bool,
    errors: PhantomData<fn() -> M>,
}

impl<C: Clone, M> Clone for HttpCalls<C, M> {
    #[inline]
    fn clone(&self) -> Self {
        Self {
            classifier: self.classifier.clone(),
            until_headers: self.until_headers,
            errors: PhantomData,
        }
    }
}

impl<C: fmt::Debug, M> fmt::Debug for HttpCalls<C, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpCalls")
            .field("classifier", &self.classifier)
            .field("until_headers", &self.until_headers)
            .finish()
    }
}

impl<M, D: Clone> CircuitBreakerLayer<Typed, HttpCalls<ByStatus, M>, CircuitBreaker<D>> {
    /// Makes a layer for a client or a server of HTTP.
    ///
    /// The service takes an [`http::Request`] and returns an [`http::Response`]. Results count as
    /// [`ByStatus`] says: most 5xx and most errors are failures. A failure counts when its head is
    /// there. A success counts when its body has ended, so the body is a [`GuardedBody`] that owns
    /// the permit.
    ///
    /// - [`classify`](CircuitBreakerLayer::classify) chooses another table, or other settings of
    ///   this one.
    /// - [`until_headers`](Self::until_headers) ends each call with its headers.
    /// - All other settings are those of [`new`](CircuitBreakerLayer::new). A response in place of
    ///   a rejection has the inner service's body.
    ///
    /// The breaker's own classifier isn't asked.
    ///
    /// The service's error is an [`Error`](std::error::Error) or a
    /// [`BoxError`](crate::tower::BoxError). For another type, such as a `String`, say how it
    /// counts by [`ByStatus::errors_with`]. Without that, the layered service is no `Service`.
    ///
    /// # Cost
    /// That of [`new`](CircuitBreakerLayer::new), and a few instructions for each frame of a body.
    /// A call that passes allocates nothing.
    ///
    /// ```
    /// use http::{Request, Response, StatusCode};
    /// use tower::{Layer, ServiceExt};
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::tower::CircuitBreakerLayer;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let breaker = CircuitBreaker::new("prices");
    /// let client = CircuitBreakerLayer::http(&breaker).layer(tower::service_fn(
    ///     |_: Request<String>| async {
    ///         let mut response = Response::new("no replica is left".to_string());
    ///         *response.status_mut() = StatusCode::BAD_GATEWAY;
    ///         Ok::<_, std::io::Error>(response)
    ///     },
    /// ));
    /// let response = client.oneshot(Request::default()).await?;
    /// assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    /// assert_eq!(breaker.snapshot().failures(), 1);
    /// # Ok::<(), tripcurve::CallError<std::io::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn http(breaker: &CircuitBreaker<D>) -> Self {
        CircuitBreakerLayer::new(breaker).with_calls(|_| HttpCalls {
            classifier: ByStatus::new(),
            until_headers: false,
            errors: PhantomData,
        })
    }
}

impl<R, C, M, B, W> CircuitBreakerLayer<R, HttpCalls<C, M>, B, W> {
    /// Classifies the results of a layer for HTTP with `classifier`: [`ByStatus`] with settings, or
    /// any [`Classify`](crate::outcome::Classify) for an [`http::Response`].
    ///
    /// What counts as a success still has to come to the end of its body.
    ///
    /// ```
    /// use http::Response;
    /// use tripcurve::tower::{ByStatus, CircuitBreakerLayer};
    /// use tripcurve::{CircuitBreaker, Outcome};
    ///
    /// # type Client = tower::util::BoxCloneService<
    /// #     http::Request<String>, Response<String>, std::io::Error>;
    /// # fn client() -> Client {
    /// #     tower::util::BoxCloneService::new(tower::service_fn(
    /// #         |_| async { Ok(Response::new(String::new())) }))
    /// # }
    /// use tower::ServiceBuilder;
    ///
    /// let breaker = CircuitBreaker::new("prices");
    /// let by_status = ByStatus::new().count_429().heed_503();
    /// let prices = ServiceBuilder::new()
    ///     .layer(CircuitBreakerLayer::http(&breaker).classify(by_status))
    ///     .service(client());
    /// # fn check<S: tower::Service<http::Request<String>>>(_: S) {}
    /// # check(prices);
    ///
    /// let only_500 = |result: &Result<Response<String>, std::io::Error>| match result {
    ///     Ok(response) if response.status() == 500 => Outcome::Failure,
    ///     Ok(_) => Outcome::Success,
    ///     Err(_) => Outcome::Failure,
    /// };
    /// let prices = ServiceBuilder::new()
    ///     .layer(CircuitBreakerLayer::http(&breaker).classify(only_500))
    ///     .service(client());
    /// # check(prices);
    /// ```
    pub fn classify<T>(self, classifier: T) -> CircuitBreakerLayer<R, HttpCalls<T, M>, B, W> {
        self.with_calls(|calls| HttpCalls {
            classifier,
            until_headers: calls.until_headers,
            errors: PhantomData,
        })
    }

    /// Ends each call of a layer for HTTP with its headers, whatever becomes of the body.
    ///
    /// Use it for bodies that don't end in a time like that of other calls: server-sent events,
    /// long polls and large downloads. A probe whose body goes on for an hour would otherwise lose
    /// its place by [`probe_timeout`](crate::CircuitBreakerBuilder::probe_timeout). Use it also for
    /// callers that look at the status and drop the body. Those calls would count as cancelled.
    ///
    /// ```
    /// use http::{Request, Response};
    /// use tower::{Layer, ServiceExt};
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::tower::CircuitBreakerLayer;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let breaker = CircuitBreaker::new("events");
    /// let events = CircuitBreakerLayer::http(&breaker).until_headers().layer(
    ///     tower::service_fn(|_: Request<String>| async {
    ///         Ok::<_, std::io::Error>(Response::new("event: price\n\n".to_string()))
    ///     }),
    /// );
    /// let response = events.oneshot(Request::default()).await?;
    /// assert_eq!(breaker.snapshot().successes(), 1);
    /// # drop(response);
    /// # Ok::<(), tripcurve::CallError<std::io::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn until_headers(self) -> Self {
        self.with_calls(|calls| HttpCalls {
            until_headers: true,
            ..calls
        })
    }
}

/// What the head of a response says about its call.
#[derive(Debug)]
pub enum Head<T> {
    /// The call has ended.
    Ended(Report),
    /// The call ends with its body.
    GoesOn(T),
}

/// Decides by the head of a response, or by an error, how a call counts.
pub trait ClassifyHead<B, E> {
    /// Decides how the end of the body counts.
    type End: ClassifyEnd;

    /// Returns what `result` says.
    fn classify_head(&self, result: &Result<Response<B>, E>) -> Head<Self::End>;
}

/// What a classifier counts as a success goes on until the end of its body.
#[derive(Debug)]
pub struct SuccessGoesOn<C, M> {
    classifier: C,
    errors: PhantomData<fn() -> M>,
}

impl<B, E, M, C: ClassifyResponse<B, E, M>> ClassifyHead<B, E> for SuccessGoesOn<C, M> {
    type End = SuccessAtEnd;

    #[inline]
    fn classify_head(&self, result: &Result<Response<B>, E>) -> Head<SuccessAtEnd> {
        let outcome = self.classifier.outcome_of(result);
        if outcome == Outcome::Success && result.is_ok() {
            return Head::GoesOn(SuccessAtEnd);
        }
        let mut report = Report::from(outcome);
        if outcome.counts_against() {
            self.classifier.explain(&mut report, result);
        }
        Head::Ended(report)
    }
}

/// Asks the classifier about a call that has come back. If the classifier panics, the call counts
/// as ignored.
#[inline]
pub(in crate::tower) fn classified<S, B, E, K>(
    permit: &mut PermitGuard<S>,
    classifier: &K,
    result: &Result<Response<B>, E>,
) -> Head<K::End>
where
    S: Deref<Target = SharedBreaker>,
    K: ClassifyHead<B, E>,
{
    let over = permit.take::<true>();
    let head = classifier.classify_head(result);
    *permit = over.resume();
    head
}

/// When the head of a response ends its call.
#[derive(Clone, Copy, Debug)]
enum EndsAtHead {
    Always,
    /// If the status says that there is no body.
    WithoutBody,
    /// If the status says that there is no body, or that a tunnel begins.
    WithTunnel,
}

impl EndsAtHead {
    fn of(method: &Method, until_headers: bool) -> Self {
        match *method {
            _ if until_headers => Self::Always,
            Method::HEAD => Self::Always,
            Method::CONNECT => Self::WithTunnel,
            _ => Self::WithoutBody,
        }
    }

    fn with(self, status: StatusCode) -> bool {
        let has_none = status.is_informational()
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED;
        match self {
            Self::Always => true,
            Self::WithoutBody => has_none,
            Self::WithTunnel => has_none || status.is_success(),
        }
    }
}

/// A call of HTTP until its head is there.
#[derive(Clone, Copy, Debug)]
pub struct HttpCall<K> {
    classifier: K,
    ends_at_head: EndsAtHead,
}

impl<K> HttpCall<K> {
    #[inline]
    pub(crate) fn new(classifier: K, method: &Method, until_headers: bool) -> Self {
        Self {
            classifier,
            ends_at_head: EndsAtHead::of(method, until_headers),
        }
    }
}

impl<B: Body, E, K: ClassifyHead<B, E>> EndCall<Response<B>, E> for HttpCall<K> {
    type Response = Response<GuardedBody<B, K::End>>;

    #[inline]
    fn end(
        &self,
        mut running: RunningCall,
        result: Result<Response<B>, E>,
    ) -> Result<Self::Response, E> {
        let head = classified(&mut running.permit.0, &self.classifier, &result);
        let goes_on = match head {
            Head::Ended(report) => {
                running.record(report);
                None
            }
            Head::GoesOn(end) => Some((running, end)),
        };
        let response = result?;
        let Some((running, end)) = goes_on else {
            return Ok(response.map(GuardedBody::unguarded));
        };
        if self.ends_at_head.with(response.status()) {
            running.record(Outcome::Success);
            return Ok(response.map(GuardedBody::unguarded));
        }
        let (head, body) = response.into_parts();
        let body = GuardedBody::new(body, running, end, &head.headers);
        Ok(Response::from_parts(head, body))
    }

    fn rejected(response: Response<B>) -> Self::Response {
        response.map(GuardedBody::unguarded)
    }
}

impl<Q, Own, B, E, C, M> CountCalls<Request<Q>, Own, Response<B>, E> for HttpCalls<C, M>
where
    B: Body,
    C: ClassifyResponse<B, E, M> + Clone,
{
    type Response = Response<GuardedBody<B>>;
    type Call = HttpCall<SuccessGoesOn<C, M>>;

    #[inline]
    fn begin(&self, _: &Own, request: &Request<Q>) -> Self::Call {
        let classifier = SuccessGoesOn {
            classifier: self.classifier.clone(),
            errors: PhantomData,
        };
        HttpCall::new(classifier, request.method(), self.until_headers)
    }

    fn count_ready_error(&self, _: &Own, mut permit: Permit<'_>, result: &Result<Response<B>, E>) {
        let call = SuccessGoesOn {
            classifier: self.classifier.clone(),
            errors: PhantomData,
        };
        match classified(&mut permit.0, &call, result) {
            Head::Ended(report) => permit.record(report),
            Head::GoesOn(_) => permit.record(Outcome::Success),
        };
    }
}
