//! The layer's settings for HTTP, and one call until its head is there.

use http::{Method, Request, Response, StatusCode};
use http_body::Body;

use super::body::{ClassifyEnd, GuardedBody, SuccessAtEnd};
use super::by_cause::ByCause;
use super::by_status::ByStatus;
use crate::breaker::CircuitBreaker;
use crate::breaker::permit::{OwnedPermit, Permit};
use crate::outcome::{Classify, Outcome, Report};
use crate::tower::CircuitBreakerLayer;
use crate::tower::classifier::{CountCalls, EndCall};
use crate::tower::rejection::Typed;

/// Counts calls of HTTP by a classifier, and a success not before its body has ended; made by
/// [`CircuitBreakerLayer::http`].
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpCalls<C = ByStatus> {
    classifier: C,
    until_headers: bool,
}

impl<M, D: Clone> CircuitBreakerLayer<Typed, HttpCalls<ByStatus<ByCause<M>>>, CircuitBreaker<D>> {
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
    /// # Cost
    /// That of [`new`](CircuitBreakerLayer::new), and a few instructions for each frame of a body.
    /// A call that passes allocates nothing.
    ///
    /// ```
    /// use axum::http::{Request, Response, StatusCode};
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
        })
    }
}

impl<R, C, B, W> CircuitBreakerLayer<R, HttpCalls<C>, B, W> {
    /// Classifies the results of a layer for HTTP with `classifier`: [`ByStatus`] with settings, or
    /// any [`Classify`] for an [`http::Response`].
    ///
    /// What counts as a success still has to come to the end of its body.
    ///
    /// ```
    /// use axum::http::Response;
    /// use tripcurve::tower::{ByStatus, CircuitBreakerLayer};
    /// use tripcurve::{CircuitBreaker, Outcome};
    ///
    /// # type Client = tower::util::BoxCloneService<
    /// #     axum::http::Request<String>, Response<String>, std::io::Error>;
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
    /// # fn check<S: tower::Service<axum::http::Request<String>>>(_: S) {}
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
    pub fn classify<T>(self, classifier: T) -> CircuitBreakerLayer<R, HttpCalls<T>, B, W> {
        self.with_calls(|calls| HttpCalls {
            classifier,
            until_headers: calls.until_headers,
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
    /// use axum::http::{Request, Response};
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
#[derive(Clone, Copy, Debug)]
pub struct SuccessGoesOn<C>(C);

impl<B, E, C: Classify<Response<B>, E>> ClassifyHead<B, E> for SuccessGoesOn<C> {
    type End = SuccessAtEnd;

    #[inline]
    fn classify_head(&self, result: &Result<Response<B>, E>) -> Head<SuccessAtEnd> {
        let outcome = self.0.classify(result);
        if outcome == Outcome::Success && result.is_ok() {
            return Head::GoesOn(SuccessAtEnd);
        }
        let mut report = Report::from(outcome);
        if outcome.counts_against() {
            report.retry_after = self.0.retry_after(result);
            report.label = self.0.label(result);
        }
        Head::Ended(report)
    }
}

/// When the head of a response ends its call.
#[derive(Clone, Copy, Debug)]
enum EndsAtHead {
    Always,
    /// If the status says that there is no body.
    WithoutBody,
    /// Also if the status says that a tunnel begins.
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
        mut permit: OwnedPermit,
        result: Result<Response<B>, E>,
    ) -> Result<Self::Response, E> {
        // The call has come back. If the classifier panics, the call counts as ignored.
        let mut over = permit.0.take::<true>();
        let head = self.classifier.classify_head(&result);
        permit.0 = over.take();
        let goes_on = match head {
            Head::Ended(report) => {
                permit.record(report);
                None
            }
            Head::GoesOn(end) => Some((permit, end)),
        };
        let response = result?;
        let Some((permit, end)) = goes_on else {
            return Ok(response.map(GuardedBody::unguarded));
        };
        if self.ends_at_head.with(response.status()) {
            permit.success();
            return Ok(response.map(GuardedBody::unguarded));
        }
        let (head, body) = response.into_parts();
        let body = GuardedBody::new(body, permit, end, &head.headers);
        Ok(Response::from_parts(head, body))
    }

    fn rejected(response: Response<B>) -> Self::Response {
        response.map(GuardedBody::unguarded)
    }
}

impl<Q, Own, B, E, C> CountCalls<Request<Q>, Own, Response<B>, E> for HttpCalls<C>
where
    B: Body,
    C: Classify<Response<B>, E> + Clone,
{
    type Response = Response<GuardedBody<B>>;
    type Call = HttpCall<SuccessGoesOn<C>>;

    #[inline]
    fn begin(&self, _: &Own, request: &Request<Q>) -> Self::Call {
        let classifier = SuccessGoesOn(self.classifier.clone());
        HttpCall::new(classifier, request.method(), self.until_headers)
    }

    fn count_ready_error(&self, _: &Own, permit: Permit<'_>, result: &Result<Response<B>, E>) {
        permit.record_result(&self.classifier, result);
    }
}
