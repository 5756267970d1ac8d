//! How many calls of a layer are in flight.

use std::{fmt, sync::Arc};

use crate::breaker::permit::OwnedPermit;
use crate::outcome::Classify;
#[cfg(feature = "http")]
use crate::outcome::Report;

/// Counts the calls in flight of one or more layers; a handle for
/// [`CircuitBreakerLayer::count_in_flight`](super::CircuitBreakerLayer::count_in_flight).
///
/// A call is in flight as long as it holds its permit: until its result is there, or its future is
/// dropped. A call of HTTP or gRPC that goes on after its headers is in flight until its body has
/// ended. Rejected calls don't count. Clones share one count.
///
/// # Cost
/// A call adds one to a word that all threads share, and takes it off at its end.
///
/// ```
/// use tripcurve::tower::CallsInFlight;
///
/// let in_flight = CallsInFlight::new();
/// assert_eq!(in_flight.count(), 0);
/// ```
#[derive(Clone, Default)]
#[allow(
    clippy::redundant_allocation,
    reason = "the outer `Arc` counts the handles, the inner one the calls"
)]
pub struct CallsInFlight(
    // Each call owns the inner `Arc`, each handle the outer one. So the inner one's references are
    // the calls, and this handle's.
    Arc<Arc<()>>,
);

impl CallsInFlight {
    /// Makes a counter that no layer uses yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns how many calls are in flight now.
    ///
    /// Calls that begin or end meanwhile on other threads may count or not.
    #[must_use]
    pub fn count(&self) -> u32 {
        let places: &Arc<()> = &self.0;
        let calls = Arc::strong_count(places) - 1;
        u32::try_from(calls).unwrap_or(u32::MAX)
    }
}

impl fmt::Debug for CallsInFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CallsInFlight").field(&self.count()).finish()
    }
}

/// A call that a layer has let through: its permit, and its place among the calls in flight.
#[derive(Debug)]
pub struct RunningCall {
    pub(super) permit: OwnedPermit,
    /// It is only there to be dropped, after the permit.
    _place: Option<Arc<()>>,
}

impl RunningCall {
    #[inline]
    pub(super) fn new(permit: OwnedPermit, in_flight: Option<&CallsInFlight>) -> Self {
        Self {
            permit,
            _place: in_flight.map(|calls| Arc::clone(&*calls.0)),
        }
    }

    /// Polls the call's future or its body once; see
    /// [`PermitGuard::run`](crate::breaker::permit::PermitGuard::run).
    #[inline]
    pub(super) fn run<R>(&self, operation: impl FnOnce() -> R) -> R {
        self.permit.0.run(operation)
    }

    #[cfg(feature = "http")]
    #[inline]
    pub(super) fn record(self, report: impl Into<Report>) {
        self.permit.record(report);
    }

    #[inline]
    pub(super) fn record_result<T, E>(
        self,
        classifier: &impl Classify<T, E>,
        result: &Result<T, E>,
    ) {
        self.permit.record_result(classifier, result);
    }
}
