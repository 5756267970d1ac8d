//! Attempts of one request that count as one call.

use std::future::{Future, poll_fn};
use std::{fmt, pin::pin};

use super::Handle;
use super::layer::{Admitted, Unlimited};
use super::span::CallSpan;
use crate::breaker::{CircuitBreaker, request::Request};
use crate::error::{CallError, TimedOut};
use crate::outcome::{Classify, Outcome};

/// The attempts of one request, which count as one call; made by [`CircuitBreaker::attempts`].
///
/// Without it, each attempt of a request is a call of its own. A request with eight attempts that
/// all fail is then eight failures, and may open the breaker alone. Through this value it is one
/// failure.
///
/// Make the value where the request begins, and make each attempt through it. The request ends when
/// the value is dropped. The retries are a loop of yours or of a crate for retries.
///
/// ```
/// use tripcurve::{CallError, CircuitBreaker, State, TripPolicy};
///
/// # fn charge() -> Result<u32, String> { Err("connection reset".into()) }
/// fn pay(payments: &CircuitBreaker) -> Result<u32, CallError<String>> {
///     let mut attempts = payments.attempts();
///     for _ in 1..8 {
///         match attempts.call(charge) {
///             Err(CallError::Inner(_)) => {} // after a pause, in earnest
///             done => return done,
///         }
///     }
///     attempts.call(charge)
/// }
///
/// let payments = CircuitBreaker::builder("payments").trip_when(TripPolicy::classic()).build()?;
/// for broken_requests in 1..5 {
///     assert!(pay(&payments).is_err());
///     assert_eq!(payments.snapshot().failures(), broken_requests);
/// }
/// assert!(pay(&payments).is_err());
/// assert_eq!(payments.state(), State::Open);
/// # Ok::<(), tripcurve::error::ConfigError>(())
/// ```
///
/// # What counts
///
/// | the request | counts |
/// |---|---|
/// | an attempt succeeded | as a success, at once. The attempts before it count for nothing |
/// | an attempt's outcome is [`Trip`](Outcome::Trip) | as that, at once: the breaker opens |
/// | it ends after attempts that failed | as one failure, with the outcome and the time of the last that failed |
/// | it ends, and all its attempts were ignored | as [`Ignored`](Outcome::Ignored) |
/// | it is dropped in its first attempt | as [`on_cancel`](crate::CircuitBreakerBuilder::on_cancel) says |
///
/// A success and a `Trip` end the request. The next call through the same value begins another one.
/// An attempt that is dropped or [ignored](Outcome::Ignored) changes nothing about a request that
/// has already failed. The breaker hears of each [`Retry-After`](Classify::retry_after) at once,
/// and the longest applies.
///
/// # What stops the attempts
///
/// The handle is asked for each attempt, as for each call. So an open breaker rejects it with
/// [`CallError::Rejected`], and the snapshot counts this rejection.
///
/// - While the breaker is half-open, a request is one probe. Its attempts are
///   [parts of it](CircuitBreaker::call), and its pauses count toward the
///   [probe's time](crate::CircuitBreakerBuilder::probe_timeout).
/// - If the breaker has changed its state since the last attempt, the next one is a new call for
///   it. It may be rejected, or become a probe. The request counts in the new state, and what it
///   did before counts nowhere.
///
/// # What an attempt holds
///
/// Each attempt takes its own place of a `Bulkhead` and has its own
/// [time limit](crate::handles::CallTimeout). In a pause the request holds no place. The time that
/// the breaker records is that of one attempt. But calls in flight that a policy for
/// [slow calls](crate::TripPolicy::slow_rate) finds overdue may be requests in a pause.
///
/// # Cost
/// A request with one attempt costs some 70 instructions more than a [call](CircuitBreaker#cost).
/// Each further attempt asks the handle again. A failed attempt of a breaker that times its calls
/// reads the clock once more. Nothing is allocated, and nothing here panics.
#[must_use = "the request ends when this is dropped"]
pub struct Attempts<'a, H = CircuitBreaker> {
    handle: &'a H,
    request: Request<'a>,
}

impl<C> CircuitBreaker<C> {
    /// Begins a request whose attempts count as one call; see [`Attempts`].
    ///
    /// This asks nothing and costs nothing. The first attempt asks the breaker.
    #[inline]
    pub fn attempts(&self) -> Attempts<'_, Self> {
        Attempts::new(self)
    }
}

impl<'a, H> Attempts<'a, H> {
    pub(super) fn new(handle: &'a H) -> Self {
        let request = Request::default();
        Self { handle, request }
    }
}

impl<H: Handle> Attempts<'_, H> {
    /// Makes an attempt if the handle lets it through; the thread waits as the handle says.
    ///
    /// A panic in `operation` is a failed attempt and continues to unwind.
    ///
    /// # Errors
    /// Those of [`Handle::call`].
    pub fn call<T, E>(
        &mut self,
        operation: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, CallError<E>>
    where
        H: Unlimited,
        H::Classifier: Classify<T, E>,
    {
        let (handle, request) = (self.handle, &mut self.request);
        let span = handle.call_span();
        span.within(|| {
            let admitted = request.run_within(|| handle.admit());
            let admitted = admitted.map_err(|error| span.not_made(error.widen()))?;
            let Admitted { permit, held } = admitted;
            // It drops after the outcome is recorded, or when the attempt panics.
            let _held = held;
            request.begin(permit);
            let result = span.run(|| request.run(operation));
            request.conclude(&span.noting(handle.breaker().classifier()), &result);
            result.map_err(CallError::Inner)
        })
    }

    /// Makes an asynchronous attempt if the handle lets it through; the task waits as the handle
    /// says.
    ///
    /// If the future is dropped before it is ready, the attempt is dropped, and others may follow.
    ///
    /// # Errors
    /// Those of [`Handle::call_async`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::handles::Handle;
    /// use tripcurve::{CallError, CircuitBreaker};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// let payments = CircuitBreaker::new("payments");
    /// let limited = payments
    ///     .call_timeout(Duration::from_secs(1))?
    ///     .sleep_with(tokio::time::sleep);
    /// let mut attempts = limited.attempts();
    /// let failed = attempts.call_async(async || Err::<u32, _>("connection reset")).await;
    /// assert_eq!(failed, Err(CallError::Inner("connection reset")));
    /// assert_eq!(attempts.call_async(async || Ok::<_, &str>(42)).await, Ok(42));
    /// let snapshot = payments.snapshot();
    /// assert_eq!((snapshot.successes(), snapshot.failures()), (1, 0));
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// # }).unwrap();
    /// ```
    pub async fn call_async<T, E, F>(
        &mut self,
        operation: impl FnOnce() -> F,
    ) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>>,
        H::Classifier: Classify<T, E>,
    {
        let (handle, request) = (self.handle, &mut self.request);
        let span = handle.call_span();
        let admitted = {
            let mut admission = pin!(span.around(handle.admit_async()));
            poll_fn(|context| request.run_within(|| admission.as_mut().poll(context))).await
        };
        let admitted = admitted.map_err(|error| span.not_made(error.widen()))?;
        let Admitted { permit, held } = admitted;
        let _held = held;
        request.begin(permit);
        let ended = {
            let attempt = async {
                let mut attempt = pin!(span.run(|| request.run(operation)));
                poll_fn(|context| span.run(|| request.run(|| attempt.as_mut().poll(context)))).await
            };
            span.around(handle.limit_call(attempt)).await
        };
        span.within(|| match ended {
            Ok(result) => {
                request.conclude(&span.noting(handle.breaker().classifier()), &result);
                result.map_err(CallError::Inner)
            }
            Err(limit) => {
                span.note_outcome(Outcome::TimedOut);
                request.end(Outcome::TimedOut, None);
                let name = handle.breaker().shared.core.name().clone();
                Err(CallError::TimedOut(TimedOut { name, limit }))
            }
        })
    }
}

impl<H: fmt::Debug> fmt::Debug for Attempts<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempts")
            .field("handle", &self.handle)
            .field("request", &self.request)
            .finish()
    }
}
