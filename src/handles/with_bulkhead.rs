//! A breaker and a bulkhead in front of one dependency.

use std::{convert::Infallible, fmt, future::Future, time::Duration};

use super::Handle;
use super::layer::{Admitted, Layer, LayerAnswer, Unlimited};
use crate::bulkhead::{Bulkhead, BulkheadPermit};
use crate::clock::sleep::{DefaultSleep, Sleep};
use crate::{
    breaker::CircuitBreaker, breaker::permit::PermitGuard, engine::Ticket, error::CallError,
};

/// A breaker and a bulkhead in front of one dependency; made by [`CircuitBreaker::with_bulkhead`].
///
/// A waiting call must go on being polled. Otherwise it keeps the place that it is handed until its
/// future is dropped; see [`Bulkhead`].
///
/// - The breaker is asked first. A call that it rejects takes no place, and doesn't wait for one.
/// - A call for which the bulkhead has no place says nothing about the dependency. It is not
///   counted. If it would have been a probe, it frees the probe's place again.
/// - A call that [waits](Bulkhead::max_wait) holds nothing of the breaker meanwhile, not even a
///   probe's place. When it gets a place, it asks the breaker again, because the breaker may have
///   tripped. If the breaker rejects it, the place goes to the next waiting call. So a probe and a
///   place never wait for each other.
/// - The time of a call begins when it has its place. Its outcome is recorded before the place goes
///   back. So the next call in this place meets a breaker that has counted the outcome.
///
/// A queued caller is rejected when its turn comes or its wait expires, if the breaker has tripped.
///
/// With a `Waiting` handle within, a call that has waited for its place doesn't wait for the
/// verdict of the probes again. With `Waiting` around this handle it does, and holds no place
/// meanwhile.
///
/// Clones share both.
///
/// # Cost
/// A breaker's [call](CircuitBreaker#cost) and a bulkhead's [place](Bulkhead#cost).
///
/// ```
/// use tripcurve::bulkhead::Bulkhead;
/// use tripcurve::handles::Handle;
/// use tripcurve::{CallError, CircuitBreaker};
///
/// let reports = CircuitBreaker::new("reports").with_bulkhead(Bulkhead::new(1)?);
/// let nested = reports.call(|| Ok::<_, String>(reports.call(|| Ok::<_, String>(42))));
/// assert!(matches!(nested, Ok(Err(CallError::Full(_)))));
/// assert_eq!(reports.breaker().snapshot().successes(), 1);
/// # Ok::<(), tripcurve::error::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct WithBulkhead<H = CircuitBreaker, S = DefaultSleep> {
    handle: H,
    bulkhead: Bulkhead<S>,
}

impl<C> CircuitBreaker<C> {
    /// Makes a handle whose calls need the breaker's permit and a place of the bulkhead.
    ///
    /// Several breakers may share one bulkhead, and several bulkheads one breaker. Give each a
    /// clone.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::bulkhead::Bulkhead;
    /// use tripcurve::handles::Handle;
    ///
    /// let reports = CircuitBreaker::new("reports")
    ///     .with_bulkhead(Bulkhead::new(10)?.max_wait(Duration::from_millis(50)));
    /// assert_eq!(reports.call(|| Ok::<_, String>(42)), Ok(42));
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    #[must_use]
    pub fn with_bulkhead<S>(&self, bulkhead: Bulkhead<S>) -> WithBulkhead<Self, S>
    where
        C: Clone,
    {
        WithBulkhead::new(self.clone(), bulkhead)
    }
}

impl<H, S> WithBulkhead<H, S> {
    pub(super) fn new(handle: H, bulkhead: Bulkhead<S>) -> Self {
        Self { handle, bulkhead }
    }

    /// The bulkhead.
    #[must_use]
    pub fn bulkhead(&self) -> &Bulkhead<S> {
        &self.bulkhead
    }
}

/// The answer of the handle within, followed by that of the bulkhead.
enum BulkheadEntry<'a, G> {
    Entered(Admitted<'a, (BulkheadPermit<'a>, G)>),
    /// There is no place; the breaker's permit was withdrawn.
    Waits {
        withdrawn: Option<Ticket>,
        held: G,
    },
}

impl<H: Layer, S> WithBulkhead<H, S> {
    /// Takes a place for a call that the handle within has let through, without waiting.
    #[inline]
    fn enter<'a, G>(
        &'a self,
        admitted: Admitted<'a, G>,
    ) -> Result<BulkheadEntry<'a, G>, CallError<Infallible>> {
        let Admitted { permit, held } = admitted;
        match self.bulkhead.try_acquire() {
            Ok(place) => {
                let held = (place, held);
                Ok(BulkheadEntry::Entered(Admitted { permit, held }))
            }
            Err(full) => {
                let withdrawn = permit.withdraw();
                if self.bulkhead.waits() {
                    Ok(BulkheadEntry::Waits { withdrawn, held })
                } else {
                    Err(full.into())
                }
            }
        }
    }

    /// Asks the breaker again for a call that has waited for its place.
    fn admit_again<'a, G>(
        &'a self,
        place: BulkheadPermit<'a>,
        withdrawn: Option<Ticket>,
        held: G,
    ) -> LayerAnswer<'a, (BulkheadPermit<'a>, G)> {
        let shared = &*self.handle.circuit_breaker().shared;
        let permit = PermitGuard::new(shared, shared.admit_again(withdrawn)?);
        let held = (place, held);
        Ok(Admitted { permit, held })
    }
}

impl<H: Layer, S: Sleep> Handle for WithBulkhead<H, S> {}
impl<H: Unlimited, S> Unlimited for WithBulkhead<H, S> {}

impl<H: Layer, S: Sleep> Layer for WithBulkhead<H, S> {
    type Classifier = H::Classifier;
    type Span = H::Span;
    type Held<'a>
        = (BulkheadPermit<'a>, H::Held<'a>)
    where
        Self: 'a;

    fn circuit_breaker(&self) -> &CircuitBreaker<H::Classifier> {
        self.handle.circuit_breaker()
    }

    fn call_span(&self) -> H::Span {
        self.handle.call_span()
    }

    fn try_admit(&self) -> LayerAnswer<'_, Self::Held<'_>> {
        let Admitted { permit, held } = self.handle.try_admit()?;
        match self.bulkhead.try_acquire() {
            Ok(place) => {
                let held = (place, held);
                Ok(Admitted { permit, held })
            }
            Err(full) => {
                permit.withdraw();
                Err(full.into())
            }
        }
    }

    #[inline]
    fn admit(&self) -> LayerAnswer<'_, Self::Held<'_>> {
        match self.enter(self.handle.admit()?)? {
            BulkheadEntry::Entered(admitted) => Ok(admitted),
            BulkheadEntry::Waits { withdrawn, held } => {
                self.admit_again(self.bulkhead.acquire()?, withdrawn, held)
            }
        }
    }

    #[inline]
    async fn admit_async(&self) -> LayerAnswer<'_, Self::Held<'_>> {
        match self.enter(self.handle.admit_async().await?)? {
            BulkheadEntry::Entered(admitted) => Ok(admitted),
            BulkheadEntry::Waits { withdrawn, held } => {
                self.admit_again(self.bulkhead.acquire_async().await?, withdrawn, held)
            }
        }
    }

    fn limit_call<F: Future>(&self, call: F) -> impl Future<Output = Result<F::Output, Duration>> {
        self.handle.limit_call(call)
    }
}

impl<H: fmt::Debug, S> fmt::Debug for WithBulkhead<H, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithBulkhead")
            .field("handle", &self.handle)
            .field("bulkhead", &self.bulkhead)
            .finish()
    }
}
