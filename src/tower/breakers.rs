//! The breaker of a request.

use crate::breaker::CircuitBreaker;

/// Where a service finds the breaker of a request: one for all, or one by key.
pub trait BreakerSource<Request> {
    /// The classifier of the breakers.
    type Own;

    /// The breaker of all requests, or `None` if only a request tells its breaker.
    fn breaker_of_all(&self) -> Option<&CircuitBreaker<Self::Own>>;

    /// Passes the breaker of `request` to `make_call`.
    fn with_breaker_of<T>(
        &self,
        request: &Request,
        make_call: impl FnOnce(&CircuitBreaker<Self::Own>) -> T,
    ) -> T;
}

/// One breaker for all requests.
impl<Request, D> BreakerSource<Request> for CircuitBreaker<D> {
    type Own = D;

    #[inline]
    fn breaker_of_all(&self) -> Option<&CircuitBreaker<D>> {
        Some(self)
    }

    #[inline]
    fn with_breaker_of<T>(
        &self,
        _: &Request,
        make_call: impl FnOnce(&CircuitBreaker<D>) -> T,
    ) -> T {
        make_call(self)
    }
}
