//! A breaker and a bulkhead before the same dependency.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;

use crate::breaker::CircuitBreaker;
use crate::breaker::permit::PermitGuard;
use crate::breaker::shared::SharedBreaker;
use crate::bulkhead::{Bulkhead, BulkheadPermit};
use crate::engine::Ticket;
use crate::error::{CallError, Rejected};
use crate::outcome::{Classify, DefaultClassifier};

/// A breaker and a bulkhead before the same dependency; made by [`CircuitBreaker::with_bulkhead`].
/// A call that waits must go on being polled. Otherwise it keeps the place that it is handed until
/// its future is dropped; see [`Bulkhead`].
///
/// - The breaker is asked first. A call that it rejects takes no place, and doesn't wait for one.
/// - A call for which the bulkhead has no place says nothing about the dependency: it is not counted,
///   and if it would have been a probe, the probe's place is free again.
/// - A call that [waits](Bulkhead::max_wait) holds nothing of the breaker meanwhile, no probe's place
///   either. When it is given a place, the breaker is asked anew, since it may have tripped; if it
///   rejects, the place goes to the next who waits. So a probe and a place never wait for each other.
/// - The time of a call begins when it has its place, and its outcome is recorded before the place goes
///   back: who is handed the place meets the breaker that this outcome has left behind.
///
/// Who waits when the breaker trips is rejected when its turn comes, or its time is over.
///
/// Clones share both.
///
/// # Cost
/// A breaker's [call](CircuitBreaker#cost) and a bulkhead's [place](Bulkhead#cost).
///
/// ```
/// use tripcurve::bulkhead::Bulkhead;
/// use tripcurve::{CallError, CircuitBreaker};
///
/// let reports = CircuitBreaker::new("reports").with_bulkhead(Bulkhead::new(1)?);
/// let nested = reports.call(|| Ok::<_, String>(reports.call(|| Ok::<_, String>(42))));
/// assert!(matches!(nested, Ok(Err(CallError::Full(_)))));
/// assert_eq!(reports.breaker().snapshot().successes(), 1);
/// # Ok::<(), tripcurve::error::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Guarded<C = DefaultClassifier> {
    breaker: CircuitBreaker<C>,
    bulkhead: Bulkhead,
}

impl<C> CircuitBreaker<C> {
    /// This breaker with a bulkhead behind it: calls are made if the breaker lets them through and the
    /// bulkhead has a place.
    ///
    /// Several breakers may share one bulkhead, and several bulkheads one breaker: each is given a clone.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::bulkhead::Bulkhead;
    ///
    /// let reports = CircuitBreaker::new("reports")
    ///     .with_bulkhead(Bulkhead::new(10)?.max_wait(Duration::from_millis(50)));
    /// assert_eq!(reports.call(|| Ok::<_, String>(42)), Ok(42));
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    #[must_use]
    pub fn with_bulkhead(&self, bulkhead: Bulkhead) -> Guarded<C>
    where
        C: Clone,
    {
        Guarded {
            breaker: self.clone(),
            bulkhead,
        }
    }
}

/// A place, and then the breaker's permit, so that the permit is dropped first.
pub(crate) type Both<'a> = (BulkheadPermit<'a>, PermitGuard<&'a SharedBreaker>);

enum BulkheadEntry<'a> {
    Entered(Both<'a>),
    /// There is no place; the breaker's permit was withdrawn.
    Waits(Option<Ticket>),
}

impl<C> Guarded<C> {
    /// Makes a call if the breaker lets it through and the bulkhead has a place; the thread waits up to
    /// [`Bulkhead::max_wait`] for it.
    ///
    /// A panic in `operation` counts as a failure and goes on unwinding.
    ///
    /// # Errors
    /// [`CallError::Rejected`] or [`CallError::Full`] if the call was not made, [`CallError::Inner`] if
    /// it was made and failed.
    #[inline]
    pub fn call<T, E>(&self, operation: impl FnOnce() -> Result<T, E>) -> Result<T, CallError<E>>
    where
        C: Classify<T, E>,
    {
        let (_place, permit) = match self.enter_at_once()? {
            BulkheadEntry::Entered(both) => both,
            BulkheadEntry::Waits(withdrawn) => {
                self.admitted_to(self.bulkhead.acquire()?, withdrawn)?
            }
        };
        let result = permit.run(operation);
        self.breaker.conclude(permit, result)
    }

    /// Makes an asynchronous call if the breaker lets it through and the bulkhead has a place; the task
    /// waits up to [`Bulkhead::max_wait`] for it.
    ///
    /// The breaker is asked when the future is first polled. A future that is dropped while it waits
    /// counts for nothing; one that is dropped while the call is in flight counts as
    /// [`on_cancel`](crate::CircuitBreakerBuilder::on_cancel) says.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::bulkhead::Bulkhead;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let reports = CircuitBreaker::new("reports").with_bulkhead(Bulkhead::new(10)?);
    /// assert_eq!(reports.call_async(|| async { Ok::<_, String>(42) }).await, Ok(42));
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// # }).unwrap();
    /// ```
    pub async fn call_async<T, E, F>(
        &self,
        operation: impl FnOnce() -> F,
    ) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>>,
        C: Classify<T, E>,
    {
        let (_place, permit) = self.enter_async().await?;
        let result = {
            let mut call = pin!(permit.run(operation));
            poll_fn(|context| permit.run(|| call.as_mut().poll(context))).await
        };
        self.breaker.conclude(permit, result)
    }

    /// Asks both; the task waits for a place.
    #[inline]
    pub(crate) async fn enter_async<E>(&self) -> Result<Both<'_>, CallError<E>> {
        match self.enter_at_once()? {
            BulkheadEntry::Entered(both) => Ok(both),
            BulkheadEntry::Waits(withdrawn) => {
                Ok(self.admitted_to(self.bulkhead.acquire_async().await?, withdrawn)?)
            }
        }
    }

    /// The breaker.
    #[must_use]
    pub fn breaker(&self) -> &CircuitBreaker<C> {
        &self.breaker
    }

    /// The bulkhead.
    #[must_use]
    pub fn bulkhead(&self) -> &Bulkhead {
        &self.bulkhead
    }

    /// Asks the breaker, then the bulkhead.
    #[inline]
    fn enter_at_once<E>(&self) -> Result<BulkheadEntry<'_>, CallError<E>> {
        let shared = &*self.breaker.shared;
        let permit = PermitGuard::new(shared, shared.admit()?);
        match self.bulkhead.try_acquire() {
            Ok(place) => Ok(BulkheadEntry::Entered((place, permit))),
            Err(full) => {
                let withdrawn = permit.withdraw();
                if self.bulkhead.waits() {
                    Ok(BulkheadEntry::Waits(withdrawn))
                } else {
                    Err(full.into())
                }
            }
        }
    }

    /// Asks the breaker for a call that has waited for its place.
    fn admitted_to<'a>(
        &'a self,
        place: BulkheadPermit<'a>,
        withdrawn: Option<Ticket>,
    ) -> Result<Both<'a>, Rejected> {
        let shared = &*self.breaker.shared;
        let permit = PermitGuard::new(shared, shared.admit_again(withdrawn)?);
        Ok((place, permit))
    }
}

impl<C> fmt::Debug for Guarded<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded")
            .field("breaker", &self.breaker)
            .field("bulkhead", &self.bulkhead)
            .finish()
    }
}
