//! The classifier of a service's results.

use super::in_flight::RunningCall;
use crate::breaker::permit::Permit;
use crate::outcome::Classify;

/// Results count as the breaker's own [classifier](crate::CircuitBreakerBuilder::classify) says.
///
/// This is the default of a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnClassifier;

/// Results count as the layer's classifier says; made by
/// [`CircuitBreakerLayer::classify`](super::CircuitBreakerLayer::classify).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassifyBy<C>(pub(super) C);

/// Decides when the calls of a layer end, and how they count.
pub trait CountCalls<Request, Own, T, E> {
    /// The service's response.
    type Response;

    /// What the future of a call keeps until the call's result is there.
    type Call: EndCall<T, E, Response = Self::Response>;

    /// Begins to count a call. `own` is the breaker's classifier.
    fn begin(&self, own: &Own, request: &Request) -> Self::Call;

    /// Counts an error of `poll_ready` as a call with this result.
    fn count_ready_error(&self, own: &Own, permit: Permit<'_>, result: &Result<T, E>);
}

/// A call until its result is there.
pub trait EndCall<T, E> {
    /// The service's response.
    type Response;

    /// Records the outcome of a result, or hands the permit on to the response.
    fn end(&self, running: RunningCall, result: Result<T, E>) -> Result<Self::Response, E>;

    /// Makes the service's response of one that stands for a rejection.
    fn rejected(response: T) -> Self::Response;
}

/// A call that ends with its result.
#[derive(Clone, Copy, Debug)]
pub struct EndsWithResult<C>(C);

impl<T, E, C: Classify<T, E>> EndCall<T, E> for EndsWithResult<C> {
    type Response = T;

    #[inline]
    fn end(&self, running: RunningCall, result: Result<T, E>) -> Result<T, E> {
        running.record_result(&self.0, &result);
        result
    }

    #[inline]
    fn rejected(response: T) -> T {
        response
    }
}

impl<Request, Own, T, E> CountCalls<Request, Own, T, E> for OwnClassifier
where
    Own: Classify<T, E> + Clone,
{
    type Response = T;
    type Call = EndsWithResult<Own>;

    #[inline]
    fn begin(&self, own: &Own, _: &Request) -> EndsWithResult<Own> {
        EndsWithResult(own.clone())
    }

    fn count_ready_error(&self, own: &Own, permit: Permit<'_>, result: &Result<T, E>) {
        permit.record_result(own, result);
    }
}

impl<Request, Own, T, E, C> CountCalls<Request, Own, T, E> for ClassifyBy<C>
where
    C: Classify<T, E> + Clone,
{
    type Response = T;
    type Call = EndsWithResult<C>;

    #[inline]
    fn begin(&self, _: &Own, _: &Request) -> EndsWithResult<C> {
        EndsWithResult(self.0.clone())
    }

    fn count_ready_error(&self, _: &Own, permit: Permit<'_>, result: &Result<T, E>) {
        permit.record_result(&self.0, result);
    }
}
