//! Time limits for calls.

use std::future::{Future, poll_fn};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::{fmt, pin::pin, task::Poll, time::Duration};

use super::Handle;
use super::layer::{Layer, LayerAnswer};
use crate::clock::sleep::{DefaultSleep, Sleep};
use crate::{breaker::CircuitBreaker, error::ConfigError};

/// A handle that gives its asynchronous calls up after a time; made by
/// [`CircuitBreaker::call_timeout`].
///
/// A call that has not come back within its limit
/// - counts as [`Outcome::TimedOut`](crate::Outcome::TimedOut): as a failure and, where there is a
///   [limit for slow calls](crate::TripPolicy::slow_rate), as slow, even if that limit is longer;
/// - is dropped, before its outcome is recorded;
/// - returns [`CallError::TimedOut`](crate::CallError::TimedOut) to the caller. Then the caller
///   can't know whether the dependency has done the work.
///
/// The limit counts from when the call is let through. A call that is ready when its time is over
/// counts with its own result, and the caller gets that result. A future that is dropped earlier
/// counts as [`on_cancel`](crate::CircuitBreakerBuilder::on_cancel) says. A user who leaves says
/// nothing about the dependency, unless the call has outlasted the limit for slow calls.
///
/// The time in a bulkhead's line doesn't count, in a handle with
/// [`WithBulkhead`](crate::handles::WithBulkhead). That time has its own bound,
/// [`max_wait`](crate::Bulkhead::max_wait), and is not the dependency's fault. So the whole takes
/// up to the sum of both. The place goes back after the outcome is recorded. The time that a call
/// [waits](crate::handles::Waiting) for the verdict of the probes doesn't count either.
///
/// **Blocking calls can't be stopped.** There is no time limit for [`call`](CircuitBreaker::call),
/// and none for work on a `BlockingBulkhead`'s threads. A thread that waits in the kernel can't be
/// ended. Set the client's own time limits instead, for connecting and for reading. Let your
/// [classifier](crate::CircuitBreakerBuilder::classify) return
/// [`Outcome::TimedOut`](crate::Outcome::TimedOut) for its error. A task that computes and never
/// awaits isn't stopped either, because the runtime can't interrupt it.
///
/// Choose the limit below the [probe's time](crate::CircuitBreakerBuilder::probe_timeout), and
/// below the time that your own callers wait. With a longer limit a probe loses its place before it
/// is given up, and the recovery takes longer. The recovery still ends: a call that is given up
/// late lengthens the probe's time.
///
/// Clones, and handles with other limits, share the breaker.
///
/// # Cost
/// The breaker's [call](CircuitBreaker#cost), and making the timer's future. That future lies in
/// the call's own future, so only the timer may allocate. The handle polls it only if the call
/// isn't ready at once; most timers start at their first poll. Breakers and calls without a limit
/// pay nothing.
///
/// ```
/// use std::future::pending;
/// use std::time::Duration;
/// use tripcurve::handles::Handle;
/// use tripcurve::{CallError, CircuitBreaker};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
/// # runtime.block_on(async {
/// let search = CircuitBreaker::new("search");
/// let limited = search
///     .call_timeout(Duration::from_millis(2))?
///     .sleep_with(tokio::time::sleep);
/// let result = limited.call_async(|| pending::<Result<u32, String>>()).await;
/// assert!(matches!(result, Err(CallError::TimedOut(_))));
/// assert_eq!(search.snapshot().failures(), 1);
/// assert_eq!(limited.call_async(|| async { Ok::<_, String>(42) }).await, Ok(42));
/// # Ok::<(), tripcurve::error::ConfigError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct CallTimeout<H, S = DefaultSleep> {
    handle: H,
    limit: Duration,
    timer: S,
}

impl<H> CallTimeout<H> {
    pub(super) fn new(handle: H, limit: Duration) -> Result<Self, ConfigError> {
        ConfigError::check_duration(
            "call_timeout",
            limit,
            Duration::MAX,
            "at least 1ms",
            "take a little more than the slowest call that is worth waiting for",
        )?;
        Ok(Self {
            handle,
            limit,
            timer: DefaultSleep::default(),
        })
    }
}

impl<H, S> CallTimeout<H, S> {
    /// Returns this handle with another timer for its limit; see [`Sleep`].
    #[must_use]
    pub fn sleep_with<Z: Sleep>(self, timer: Z) -> CallTimeout<H, Z> {
        CallTimeout {
            handle: self.handle,
            limit: self.limit,
            timer,
        }
    }

    /// The longest time that a call may take.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// The wrapped handle: the breaker, or another handle around it.
    #[must_use]
    pub fn inner(&self) -> &H {
        &self.handle
    }
}

impl<H: Layer, S: Sleep> Handle for CallTimeout<H, S> {}

impl<H: Layer, S: Sleep> Layer for CallTimeout<H, S> {
    type Classifier = H::Classifier;
    type Span = H::Span;
    type Held<'a>
        = H::Held<'a>
    where
        Self: 'a;

    fn circuit_breaker(&self) -> &CircuitBreaker<H::Classifier> {
        self.handle.circuit_breaker()
    }

    fn call_span(&self) -> H::Span {
        self.handle.call_span()
    }

    fn try_admit(&self) -> LayerAnswer<'_, H::Held<'_>> {
        self.handle.try_admit()
    }

    fn admit(&self) -> LayerAnswer<'_, H::Held<'_>> {
        self.handle.admit()
    }

    fn admit_async(&self) -> impl Future<Output = LayerAnswer<'_, H::Held<'_>>> {
        self.handle.admit_async()
    }

    async fn limit_call<F: Future>(&self, call: F) -> Result<F::Output, Duration> {
        let mut alarm = pin!(self.timer.sleep(self.limit));
        let mut call = pin!(self.handle.limit_call(call));
        let mut is_set = false;
        poll_fn(|context| {
            // Some runtimes ration what a task does in one turn. A call that always has work may
            // leave no ration for the alarm. So the alarm is polled first from the second turn on.
            // The call is polled in any case.
            let mut rings = is_set && alarm.as_mut().poll(context).is_ready();
            if let Poll::Ready(ended) = call.as_mut().poll(context) {
                return Poll::Ready(ended);
            }
            if !is_set {
                is_set = true;
                rings = alarm.as_mut().poll(context).is_ready();
            }
            if rings {
                Poll::Ready(Err(self.limit))
            } else {
                Poll::Pending
            }
        })
        .await
    }
}

impl<C> CircuitBreaker<C> {
    /// Makes a handle that gives asynchronous calls up after `limit`, at least a millisecond; see
    /// [`CallTimeout`].
    ///
    /// # Errors
    /// `limit` is below a millisecond.
    pub fn call_timeout(&self, limit: Duration) -> Result<CallTimeout<Self>, ConfigError>
    where
        C: Clone,
    {
        CallTimeout::new(self.clone(), limit)
    }
}

/// A call that unwinds leaves the breaker consistent. The handle within can't be broken from here.
impl<H: UnwindSafe, S> UnwindSafe for CallTimeout<H, S> {}
impl<H: RefUnwindSafe, S> RefUnwindSafe for CallTimeout<H, S> {}

impl<H: fmt::Debug, S> fmt::Debug for CallTimeout<H, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallTimeout")
            .field("handle", &self.handle)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
