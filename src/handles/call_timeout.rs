//! How long a call may take.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

#[cfg(feature = "async")]
use super::waiting::Waiting;
#[cfg(feature = "bulkhead")]
use super::with_bulkhead::Guarded;
use crate::breaker::CircuitBreaker;
use crate::breaker::permit::PermitGuard;
use crate::breaker::shared::SharedBreaker;
use crate::error::{CallError, ConfigError, TimedOut};
use crate::outcome::{Classify, Outcome};

/// A breaker whose asynchronous calls are given up after a time; made by
/// [`CircuitBreaker::call_timeout_with_timer`] or, with tokio's timer, by `CircuitBreaker::call_timeout` (feature
/// `tokio`).
///
/// A call that has not come back after its limit
/// - counts as [`Outcome::TimedOut`]: as a failure and, where there is a
///   [limit for slow calls](crate::TripPolicy::slow_rate), as slow, also if that limit is longer;
/// - is dropped, before its outcome is recorded;
/// - returns [`CallError::TimedOut`] to the caller. Whether the dependency has done the work nobody knows.
///
/// The limit counts from when the call is let through. A call that is ready when its time is over
/// counts as what it came to, and is returned. If the future is dropped before, it counts as
/// [`on_cancel`](crate::CircuitBreakerBuilder::on_cancel) says, as ever: users who go away say nothing about the
/// dependency, unless the call has outlasted the limit for slow calls.
///
/// Of a breaker with a bulkhead, [`Guarded`](crate::Guarded), the time in the bulkhead's line doesn't count: it
/// has a bound of its own, [`max_wait`](crate::Bulkhead::max_wait), and is not the dependency's fault. So the whole takes
/// up to the sum of both. The place goes back after the outcome was recorded. The same holds for who
/// [waits](crate::Waiting) for the verdict of the probes.
///
/// **Blocking calls can't be stopped.** There is no time limit for [`call`](CircuitBreaker::call), and none for
/// work on a `BlockingBulkhead`'s threads: nothing ends a thread that waits in the kernel. Set the time limits of
/// the client instead, for connecting and for reading, and let your
/// [classifier](crate::CircuitBreakerBuilder::classify) return [`Outcome::TimedOut`] for its error. Likewise a task that
/// computes and never awaits isn't stopped, since it is not asked.
///
/// Choose the limit below the [probe's time](crate::CircuitBreakerBuilder::probe_timeout), and below the time
/// that your own callers wait. With a longer limit a probe loses its place before it is given up,
/// and the recovery takes longer. It comes to an end even so: a call that is given up late
/// lengthens the probe's time.
///
/// Clones, and handles with other limits, share the breaker.
///
/// # Cost
/// The breaker's [call](CircuitBreaker#cost), and making the timer's future. That future is polled, which for most
/// timers is what starts it, only if the call isn't ready at once. It lies in the call's own future: nothing is allocated
/// but what the timer allocates. Breakers and calls without a limit pay nothing.
///
/// ```
/// use std::future::pending;
/// use std::time::Duration;
/// use tripcurve::{CallError, CircuitBreaker};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
/// # runtime.block_on(async {
/// let search = CircuitBreaker::new("search");
/// let limited = search.call_timeout_with_timer(Duration::from_millis(2), tokio::time::sleep)?;
/// let result = limited.call_async(|| pending::<Result<u32, String>>()).await;
/// assert!(matches!(result, Err(CallError::TimedOut(_))));
/// assert_eq!(search.snapshot().failures(), 1);
/// assert_eq!(limited.call_async(|| async { Ok::<_, String>(42) }).await, Ok(42));
/// # Ok::<(), tripcurve::error::ConfigError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct CallTimeout<B, S> {
    breaker: B,
    limit: Duration,
    timer: S,
}

/// Tokio's timer, for those who name the type of a [`CallTimeout`].
///
/// ```
/// use std::time::Duration;
/// use tripcurve::CircuitBreaker;
/// use tripcurve::handles::CallTimeout;
/// use tripcurve::time::TokioSleep;
///
/// struct Shop {
///     payments: CallTimeout<CircuitBreaker, TokioSleep>,
/// }
///
/// let payments = CircuitBreaker::new("payments").call_timeout(Duration::from_secs(2))?;
/// let shop = Shop { payments };
/// assert_eq!(shop.payments.limit(), Duration::from_secs(2));
/// # Ok::<(), tripcurve::error::ConfigError>(())
/// ```
#[cfg(feature = "tokio")]
pub type TokioSleep = fn(Duration) -> tokio::time::Sleep;

impl<B, S, A> CallTimeout<B, S>
where
    S: Fn(Duration) -> A,
    A: Future,
{
    fn new(breaker: B, limit: Duration, timer: S) -> Result<Self, ConfigError> {
        ConfigError::check_duration(
            "call_timeout",
            limit,
            Duration::MAX,
            "at least 1ms",
            "take a little more than the slowest call that is worth waiting for",
        )?;
        Ok(Self {
            breaker,
            limit,
            timer,
        })
    }

    /// What the operation came to, or `None` if it was dropped at the limit.
    async fn within<F: Future>(
        &self,
        permit: &PermitGuard<&SharedBreaker>,
        operation: impl FnOnce() -> F,
    ) -> Option<F::Output> {
        let mut alarm = pin!((self.timer)(self.limit));
        let mut call = pin!(permit.run(operation));
        let mut is_set = false;
        poll_fn(|context| {
            // A runtime that rations what a task does in one turn may have nothing left for the alarm after
            // a call that never lacks work. So from the second turn on the alarm is asked first; the call is
            // asked even so.
            let mut rings = is_set && alarm.as_mut().poll(context).is_ready();
            if let Poll::Ready(output) = permit.run(|| call.as_mut().poll(context)) {
                return Poll::Ready(Some(output));
            }
            if !is_set {
                is_set = true;
                rings = alarm.as_mut().poll(context).is_ready();
            }
            if rings {
                Poll::Ready(None)
            } else {
                Poll::Pending
            }
        })
        .await
    }

    /// Makes the call, records what it came to and, if it came to nothing in time, that.
    async fn call<C, T, E, F>(
        &self,
        breaker: &CircuitBreaker<C>,
        permit: PermitGuard<&SharedBreaker>,
        operation: impl FnOnce() -> F,
    ) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>>,
        C: Classify<T, E>,
    {
        if let Some(result) = self.within(&permit, operation).await {
            return breaker.conclude(permit, result);
        }
        permit.finish(Outcome::TimedOut, None);
        let (name, limit) = (breaker.shared.core.name().clone(), self.limit);
        Err(CallError::TimedOut(TimedOut { name, limit }))
    }
}

impl<B, S> CallTimeout<B, S> {
    /// How long a call may take.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// What makes the calls: the breaker, or the breaker with its bulkhead.
    #[must_use]
    pub fn inner(&self) -> &B {
        &self.breaker
    }
}

impl<C, S, A> CallTimeout<CircuitBreaker<C>, S>
where
    S: Fn(Duration) -> A,
    A: Future,
{
    /// Makes an asynchronous call if the breaker lets it through, and gives it up when it takes longer than
    /// the limit.
    ///
    /// The breaker is asked when the future is first polled. A panic in the call counts as a failure; a future
    /// that is dropped before it is ready counts as [`on_cancel`](crate::CircuitBreakerBuilder::on_cancel) says.
    ///
    /// # Errors
    /// [`CallError::Rejected`] if the call was not made, [`CallError::TimedOut`] if it was made and given up,
    /// [`CallError::Inner`] if it was made and failed.
    pub async fn call_async<T, E, F>(
        &self,
        operation: impl FnOnce() -> F,
    ) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>>,
        C: Classify<T, E>,
    {
        let shared = &*self.breaker.shared;
        let permit = PermitGuard::new(shared, shared.admit()?);
        self.call(&self.breaker, permit, operation).await
    }
}

#[cfg(feature = "bulkhead")]
impl<C, S, A> CallTimeout<Guarded<C>, S>
where
    S: Fn(Duration) -> A,
    A: Future,
{
    /// Makes an asynchronous call if the breaker lets it through and the bulkhead has a place, and gives it up
    /// when it then takes longer than the limit; see [`Guarded::call_async`].
    ///
    /// # Errors
    /// [`CallError::Rejected`] or [`CallError::Full`] if the call was not made, [`CallError::TimedOut`] if it
    /// was made and given up, [`CallError::Inner`] if it was made and failed.
    pub async fn call_async<T, E, F>(
        &self,
        operation: impl FnOnce() -> F,
    ) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>>,
        C: Classify<T, E>,
    {
        let (_place, permit) = self.breaker.enter_async().await?;
        self.call(self.breaker.breaker(), permit, operation).await
    }
}

#[cfg(feature = "async")]
impl<C, S, A> CallTimeout<Waiting<C>, S>
where
    S: Fn(Duration) -> A,
    A: Future,
{
    /// Makes an asynchronous call if the breaker lets it through, be it after a wait for the verdict of the
    /// probes, and gives it up when it then takes longer than the limit; see [`Waiting::call_async`].
    ///
    /// # Errors
    /// [`CallError::Rejected`] if the call was not made, [`CallError::TimedOut`] if it was made and given up,
    /// [`CallError::Inner`] if it was made and failed.
    pub async fn call_async<T, E, F>(
        &self,
        operation: impl FnOnce() -> F,
    ) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>>,
        C: Classify<T, E>,
    {
        let permit = self.breaker.acquire_async().await?.0;
        self.call(self.breaker.breaker(), permit, operation).await
    }
}

macro_rules! can_be_limited {
    ($what:ident) => {
        impl<C> $what<C> {
            /// The same, whose asynchronous calls are given up after `limit`, at least a millisecond, by
            /// tokio's timer; see [`CallTimeout`].
            ///
            /// Its calls panic outside of a tokio runtime that has its time enabled, as
            /// [`tokio::time::sleep`] does.
            ///
            /// # Errors
            /// `limit` is below a millisecond.
            #[cfg(feature = "tokio")]
            pub fn call_timeout(
                &self,
                limit: Duration,
            ) -> Result<CallTimeout<Self, TokioSleep>, ConfigError>
            where
                C: Clone,
            {
                self.call_timeout_with_timer(limit, tokio::time::sleep)
            }

            /// The same, whose asynchronous calls are given up after `limit`, at least a millisecond; see
            /// [`CallTimeout`]. `timer` returns a future that is ready after the duration:
            /// `tokio::time::sleep`, `smol::Timer::after`, `futures_timer::Delay::new`.
            ///
            /// # Errors
            /// `limit` is below a millisecond.
            pub fn call_timeout_with_timer<S, A>(
                &self,
                limit: Duration,
                timer: S,
            ) -> Result<CallTimeout<Self, S>, ConfigError>
            where
                S: Fn(Duration) -> A,
                A: Future,
                C: Clone,
            {
                CallTimeout::new(self.clone(), limit, timer)
            }
        }
    };
}

can_be_limited!(CircuitBreaker);
#[cfg(feature = "bulkhead")]
can_be_limited!(Guarded);
#[cfg(feature = "async")]
can_be_limited!(Waiting);

/// A call that unwinds leaves the breaker in order; the rest is not the caller's to break.
impl<B: UnwindSafe, S> UnwindSafe for CallTimeout<B, S> {}
impl<B: RefUnwindSafe, S> RefUnwindSafe for CallTimeout<B, S> {}

impl<B: fmt::Debug, S> fmt::Debug for CallTimeout<B, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallTimeout")
            .field("breaker", &self.breaker)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
