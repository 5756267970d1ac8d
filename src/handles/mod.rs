//! Handles of a breaker, each with its own way to make calls.
//!
//! | handle | made by | its calls |
//! |---|---|---|
//! | [`CircuitBreaker`] | | are made or rejected at once |
//! | [`CallTimeout`] | [`Handle::call_timeout`] | are given up after a time |
//! | `WithBulkhead` | `Handle::with_bulkhead`, feature `bulkhead` | need a place of the bulkhead too |
//! | `Waiting` | `Handle::waiting`, feature `async` | wait for the verdict of the probes |
//! | `InSpan` | `Handle::in_span`, feature `tracing` | have a span of `tracing` each |
//! | `WithBlocking` | `CircuitBreaker::with_blocking`, feature `bulkhead` | run on threads of their own |
//!
//! Handles nest. Each but the last can wrap each other one. All of them share the breaker. A health
//! check is a task beside them. It is made from the breaker, [`Handle::breaker`]. Through
//! [`Attempts`], the attempts of a request count as one call of any handle.
//!
//! A [`Listening`] makes no calls. It stands for a listener that was
//! [added](CircuitBreaker::on_transition) to a breaker that runs.
//!
//! ```
//! use std::time::Duration;
//! use tripcurve::CircuitBreaker;
//! use tripcurve::handles::Handle;
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
//! # runtime.block_on(async {
//! let payments = CircuitBreaker::new("payments")
//!     .call_timeout(Duration::from_secs(1))?
//!     .sleep_with(tokio::time::sleep);
//! assert_eq!(payments.call_async(|| async { Ok::<_, String>(42) }).await, Ok(42));
//! assert_eq!(payments.breaker().snapshot().successes(), 1);
//! # Ok::<(), tripcurve::error::ConfigError>(())
//! # }).unwrap();
//! ```

mod attempts;
pub(crate) mod call_timeout;
pub(crate) mod layer;
pub(crate) mod span;
#[cfg(feature = "tracing")]
pub(crate) mod in_span;
#[cfg(feature = "async")]
pub(crate) mod waiting;
#[cfg(feature = "async")]
pub(crate) mod health_check;
#[cfg(feature = "async")]
mod until_admitting;
#[cfg(feature = "bulkhead")]
pub(crate) mod with_bulkhead;
#[cfg(feature = "bulkhead")]
pub(crate) mod with_blocking;

use std::future::{Future, poll_fn};
use std::{convert::Infallible, pin::pin, time::Duration};

pub use crate::breaker::listening::{Listening, ListeningGuard};
pub use crate::breaker::permit::OwnedPermit;
#[cfg(feature = "bulkhead")]
use crate::bulkhead::Bulkhead;
use crate::error::{CallError, ConfigError, TimedOut};
use crate::outcome::{Classify, Outcome};
use crate::{breaker::CircuitBreaker, breaker::permit::Permit};
pub use attempts::Attempts;
pub use call_timeout::CallTimeout;
#[cfg(feature = "async")]
pub use health_check::HealthCheck;
#[cfg(feature = "tracing")]
pub use in_span::InSpan;
use layer::{Layer, Unlimited};
use span::CallSpan;
#[cfg(feature = "async")]
pub use waiting::Waiting;
#[cfg(feature = "bulkhead")]
pub use with_blocking::WithBlocking;
#[cfg(feature = "bulkhead")]
pub use with_bulkhead::WithBulkhead;

/// A handle of a breaker. It makes a call if all its layers let the call through.
///
/// The layers are asked from the innermost to the outermost. A `Waiting` layer waits before it asks
/// the layers within. The time limit of a [`CallTimeout`] starts when the last layer has let the
/// call through.
///
/// Only handles without a time limit have `call`, `acquire` and `try_acquire`, because nothing
/// stops a thread that waits in the kernel. This trait is sealed.
pub trait Handle: Layer {
    /// Makes a call if the handle lets it through; the thread waits as the handle says.
    ///
    /// A panic in `operation` counts as a failure and continues to unwind.
    ///
    /// # Errors
    /// [`CallError::Rejected`] or `CallError::Full` if the call was not made,
    /// [`CallError::Inner`] if it was made and failed.
    #[inline]
    fn call<T, E>(&self, operation: impl FnOnce() -> Result<T, E>) -> Result<T, CallError<E>>
    where
        Self: Unlimited,
        Self::Classifier: Classify<T, E>,
    {
        let span = self.call_span();
        span.within(|| {
            let admitted = self.admit().map_err(|error| span.not_made(error.widen()))?;
            // The permit drops first, even if the operation panics.
            let _held = admitted.held;
            let permit = admitted.permit;
            let result = span.run(|| permit.run(operation));
            permit.conclude(&span.noting(self.breaker().classifier()), &result);
            result.map_err(CallError::Inner)
        })
    }

    /// Makes an asynchronous call if the handle lets it through; the task waits as the handle says.
    ///
    /// The handle is asked when the future is first polled. A future that is dropped while it waits
    /// counts for nothing. A future that is dropped while the call is in flight counts as
    /// [`on_cancel`](crate::CircuitBreakerBuilder::on_cancel) says.
    ///
    /// # Errors
    /// Those of [`call`](Self::call), and [`CallError::TimedOut`] if the call was made and given
    /// up.
    fn call_async<T, E, F>(
        &self,
        operation: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<T, CallError<E>>>
    where
        F: Future<Output = Result<T, E>>,
        Self::Classifier: Classify<T, E>,
    {
        async move {
            let span = self.call_span();
            let admitted = span.around(self.admit_async()).await;
            let admitted = admitted.map_err(|error| span.not_made(error.widen()))?;
            let _held = admitted.held;
            let permit = admitted.permit;
            let ended = {
                let call = async {
                    let mut call = pin!(span.run(|| permit.run(operation)));
                    poll_fn(|context| span.run(|| permit.run(|| call.as_mut().poll(context)))).await
                };
                span.around(self.limit_call(call)).await
            };
            span.within(|| match ended {
                Ok(result) => {
                    permit.conclude(&span.noting(self.breaker().classifier()), &result);
                    result.map_err(CallError::Inner)
                }
                Err(limit) => {
                    span.note_outcome(Outcome::TimedOut);
                    permit.finish(Outcome::TimedOut, None);
                    let name = self.breaker().shared.core.name().clone();
                    Err(CallError::TimedOut(TimedOut { name, limit }))
                }
            })
        }
    }

    /// Takes a permit for one call, without waiting.
    ///
    /// The permit holds what the call needs, such as a place of a bulkhead. It records one outcome
    /// later, and then gives the place back. So code that can't be wrapped in [`call`](Self::call)
    /// takes the permit first and settles it when its call has ended.
    ///
    /// A permit that is dropped unrecorded gives the place back, and counts as
    /// [`on_cancel`](crate::CircuitBreakerBuilder::on_cancel) says.
    ///
    /// # Errors
    /// The handle doesn't let the call through: [`CallError::Rejected`] or `CallError::Full`.
    ///
    /// ```
    /// # #[cfg(feature = "bulkhead")] {
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::bulkhead::Bulkhead;
    /// use tripcurve::handles::Handle;
    ///
    /// let reports = CircuitBreaker::new("reports").with_bulkhead(Bulkhead::new(1)?);
    /// let permit = reports.try_acquire()?;
    /// assert!(reports.try_acquire().unwrap_err().full().is_some());
    /// // later, when the call has ended:
    /// permit.success();
    /// assert_eq!(reports.breaker().snapshot().successes(), 1);
    /// assert!(reports.try_acquire().is_ok());
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn try_acquire(&self) -> Result<Permit<'_, Self::Held<'_>>, CallError<Infallible>>
    where
        Self: Unlimited,
    {
        self.try_admit().map(layer::Admitted::into_permit)
    }

    /// Takes a permit for one call; the thread waits as the handle says.
    ///
    /// In a task this would hold up the other tasks of its thread. Use
    /// [`acquire_async`](Self::acquire_async) there.
    ///
    /// # Errors
    /// Those of [`try_acquire`](Self::try_acquire).
    fn acquire(&self) -> Result<Permit<'_, Self::Held<'_>>, CallError<Infallible>>
    where
        Self: Unlimited,
    {
        self.admit().map(layer::Admitted::into_permit)
    }

    /// Like [`acquire`](Self::acquire), for tasks. A future that is dropped while it waits loses no
    /// place.
    ///
    /// # Errors
    /// Those of [`try_acquire`](Self::try_acquire).
    fn acquire_async(
        &self,
    ) -> impl Future<Output = Result<Permit<'_, Self::Held<'_>>, CallError<Infallible>>>
    where
        Self: Unlimited,
    {
        async { self.admit_async().await.map(layer::Admitted::into_permit) }
    }

    /// Begins a request whose attempts count as one call; see [`Attempts`].
    fn attempts(&self) -> Attempts<'_, Self> {
        Attempts::new(self)
    }

    /// The breaker.
    fn breaker(&self) -> &CircuitBreaker<Self::Classifier> {
        Layer::circuit_breaker(self)
    }

    /// Makes a handle that gives asynchronous calls up after `limit`, at least a millisecond; see
    /// [`CallTimeout`].
    ///
    /// # Errors
    /// `limit` is below a millisecond.
    fn call_timeout(&self, limit: Duration) -> Result<CallTimeout<Self>, ConfigError>
    where
        Self: Clone,
    {
        CallTimeout::new(self.clone(), limit)
    }

    /// Makes a handle whose calls also need a place of the bulkhead. The handle within is asked
    /// first.
    ///
    /// Several breakers may share one bulkhead, and several bulkheads one breaker. Give each a
    /// clone.
    #[cfg(feature = "bulkhead")]
    #[must_use]
    fn with_bulkhead<S>(&self, bulkhead: Bulkhead<S>) -> WithBulkhead<Self, S>
    where
        Self: Clone,
    {
        WithBulkhead::new(self.clone(), bulkhead)
    }

    /// Makes a handle whose calls wait up to `max_wait` for the verdict of the probes; see
    /// [`CircuitBreaker::waiting`].
    ///
    /// # Errors
    /// The breaker was built without [`max_waiting`](crate::CircuitBreakerBuilder::max_waiting).
    #[cfg(feature = "async")]
    fn waiting(&self, max_wait: Duration) -> Result<Waiting<Self>, ConfigError>
    where
        Self: Clone,
    {
        Waiting::new(self.clone(), max_wait)
    }

    /// Makes a handle that makes a span of [`tracing`](https://docs.rs/tracing) for each call; see
    /// [`InSpan`].
    #[cfg(feature = "tracing")]
    #[must_use]
    fn in_span(&self) -> InSpan<Self>
    where
        Self: Clone,
    {
        InSpan::new(self.clone())
    }
}

/// [`call`](CircuitBreaker::call) and [`call_async`](CircuitBreaker::call_async) of the breaker
/// itself cost less than those of this trait.
impl<C> Handle for CircuitBreaker<C> {
    #[inline]
    fn call<T, E>(&self, operation: impl FnOnce() -> Result<T, E>) -> Result<T, CallError<E>>
    where
        C: Classify<T, E>,
    {
        CircuitBreaker::call(self, operation)
    }

    fn call_async<T, E, F>(
        &self,
        operation: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<T, CallError<E>>>
    where
        F: Future<Output = Result<T, E>>,
        C: Classify<T, E>,
    {
        CircuitBreaker::call_async(self, operation)
    }
}
