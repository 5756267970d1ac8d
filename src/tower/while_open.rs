//! What `poll_ready` does while the breaker is open.

use std::task::{Context, Poll, ready};
use std::{fmt, future::Future, pin::Pin};

use crate::clock::sleep::Sleep;
use crate::{breaker::CircuitBreaker, error::Rejected};

/// Decides whether callers of an open breaker are rejected or wait.
pub trait WhileOpen {
    /// The wait of one service.
    type Wait: Default;

    /// Polls a service whose breaker has just answered `rejected`.
    ///
    /// Ready with the rejection that the next call gets, or with `None` if the breaker would let a
    /// call through.
    fn poll_open<D>(
        &self,
        wait: &mut Self::Wait,
        breaker: &CircuitBreaker<D>,
        rejected: Rejected,
        context: &mut Context<'_>,
    ) -> Poll<Option<Rejected>>;
}

/// A service is ready while the breaker is open, and rejects the call. This is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RejectWhileOpen;

impl WhileOpen for RejectWhileOpen {
    type Wait = ();

    #[inline]
    fn poll_open<D>(
        &self,
        (): &mut (),
        _: &CircuitBreaker<D>,
        rejected: Rejected,
        _: &mut Context<'_>,
    ) -> Poll<Option<Rejected>> {
        Poll::Ready(Some(rejected))
    }
}

/// A service is not ready while the breaker is open; made by
/// [`CircuitBreakerLayer::backpressure`](super::CircuitBreakerLayer::backpressure).
#[derive(Clone, Copy)]
pub struct WaitWhileOpen<Z>(pub(super) Z);

impl<Z: Sleep + Clone + Send + Sync + 'static> WhileOpen for WaitWhileOpen<Z> {
    type Wait = Option<Pin<Box<dyn Future<Output = ()> + Send>>>;

    fn poll_open<D>(
        &self,
        wait: &mut Self::Wait,
        breaker: &CircuitBreaker<D>,
        _: Rejected,
        context: &mut Context<'_>,
    ) -> Poll<Option<Rejected>> {
        let future = wait.get_or_insert_with(|| {
            let (breaker, timer) = (breaker.with_classifier(()), self.0.clone());
            Box::pin(async move { breaker.until_admitting(timer).await })
        });
        ready!(future.as_mut().poll(context));
        *wait = None;
        Poll::Ready(None)
    }
}

impl<Z> fmt::Debug for WaitWhileOpen<Z> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitWhileOpen").finish_non_exhaustive()
    }
}
