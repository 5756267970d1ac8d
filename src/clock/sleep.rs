//! The timer of a runtime, for tasks that wait.

use std::future::Future;
use std::time::Duration;

/// A timer for tasks: a source of futures that are ready after a duration.
///
/// With the feature `tokio`, tokio's timer is the default: `TokioSleep`. Without the feature, there
/// is no default. A task that waits with a bound then needs `sleep_with`; code that lacks it
/// doesn't compile. Threads that wait need no timer.
///
/// Every `Fn(Duration)` that returns a future is a timer, such as `tokio::time::sleep` or
/// `smol::Timer::after`. Implement the trait for your own type where a handle's type must be named.
///
/// ```
/// use std::future::Future;
/// use std::time::Duration;
/// use tripcurve::CircuitBreaker;
/// use tripcurve::handles::CallTimeout;
/// use tripcurve::time::Sleep;
///
/// #[derive(Clone)]
/// struct RuntimeTimer;
///
/// impl Sleep for RuntimeTimer {
///     fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
///         tokio::time::sleep(duration)
///     }
/// }
///
/// struct Shop {
///     payments: CallTimeout<CircuitBreaker, RuntimeTimer>,
/// }
///
/// let payments = CircuitBreaker::new("payments")
///     .call_timeout(Duration::from_secs(2))?
///     .sleep_with(RuntimeTimer);
/// let shop = Shop { payments };
/// assert_eq!(shop.payments.limit(), Duration::from_secs(2));
/// # Ok::<(), tripcurve::error::ConfigError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a timer",
    note = "pass a timer with `sleep_with`, or turn on tripcurve's feature `tokio`"
)]
pub trait Sleep {
    /// Returns a future that is ready after `duration`.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
}

impl<S, F> Sleep for S
where
    S: Fn(Duration) -> F,
    F: Future + Send,
{
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        let sleep = self(duration);
        async move {
            sleep.await;
        }
    }
}

/// Tokio's timer, the default with the feature `tokio`.
///
/// # Panics
/// A task that begins to wait panics outside of a tokio runtime whose time is enabled, as
/// [`tokio::time::sleep`] does. Tokio's message says what is missing: the runtime, or
/// `enable_time`. These begin to wait:
///
/// - each asynchronous call with a [`CallTimeout`](crate::handles::CallTimeout); there the panic
///   counts as a failed call
/// - a task for which a `Bulkhead` with a bounded wait has no place
/// - a task that waits for the verdict of the probes, with a bounded wait or a probe timeout
/// - a health check, and `until_admitting`
///
/// The panic leaves the breaker and the bulkhead consistent. Threads that wait need no timer.
///
/// Nothing checks the timer earlier. A handle may be made before its runtime, and tokio has no
/// question about its timer that doesn't panic. For another runtime use `sleep_with`.
#[cfg(feature = "tokio")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokioSleep;

#[cfg(feature = "tokio")]
impl Sleep for TokioSleep {
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(duration)
    }
}

/// The absence of a timer, the default without the feature `tokio`. It is not a [`Sleep`].
///
/// ```compile_fail,E0277
/// use std::time::Duration;
/// use tripcurve::CircuitBreaker;
/// use tripcurve::time::NoSleep;
///
/// let payments = CircuitBreaker::new("payments")
///     .call_timeout(Duration::from_secs(2))?
///     .sleep_with(NoSleep);
/// # Ok::<(), tripcurve::error::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoSleep;

/// The timer of a handle without its own: `TokioSleep` with the feature `tokio`, otherwise
/// [`NoSleep`].
#[cfg(feature = "tokio")]
pub type DefaultSleep = TokioSleep;

/// The timer of a handle without its own: `TokioSleep` with the feature `tokio`, otherwise
/// [`NoSleep`].
#[cfg(not(feature = "tokio"))]
pub type DefaultSleep = NoSleep;
