//! Tasks that wait until a breaker would let a call through.

use std::future::Future;
use std::time::Duration;

use super::health_check::{LONGEST_SLEEP, until, yield_once};
use crate::breaker::CircuitBreaker;
use crate::breaker::shared::SharedBreaker;
use crate::clock::sleep::Sleep;

impl<C> CircuitBreaker<C> {
    /// Waits until the breaker would let a call through: until [`ask`](Self::ask) returns `Ok`.
    ///
    /// The future is ready at once if the breaker lets calls through. Otherwise it asks again
    ///
    /// - when the open time is over; if it was lengthened meanwhile, by
    ///   [`trip`](Self::trip) or a `Retry-After`, the future sleeps on,
    /// - at each transition, commands included,
    /// - when a probe gives its place back, or is
    ///   [overdue](crate::CircuitBreakerBuilder::probe_timeout), and
    /// - when the breaker gets another configuration.
    ///
    /// The future holds no permit and no place, and counts nothing. It can be dropped at any time.
    /// The answer holds for the moment at which the future is ready. If several tasks wait, all of
    /// them are ready when the open time ends. The first call becomes the probe, and the breaker
    /// may reject the others. They can then wait again. While a ramp lets a share of the calls
    /// through, the future is ready at once, and each call is drawn.
    ///
    /// `timer` makes the sleeps: [`tokio::time::sleep`], `smol::Timer::after`, or any other
    /// [`Sleep`]. It should measure the same time as the breaker's
    /// [clock](crate::CircuitBreakerBuilder::clock). If the breaker's time stands still, as that of
    /// a mock clock does, the future asks again after each sleep and goes on waiting.
    ///
    /// # Cost
    /// That of [`ask`](Self::ask) if the breaker lets calls through. Otherwise the future allocates
    /// an entry in a list of [`event-listener`](https://docs.rs/event-listener) and takes that
    /// list's lock. The call that changes the breaker's state wakes the task. Never panics, if the
    /// timer doesn't.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::{CircuitBreaker, State};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// let payments = CircuitBreaker::builder("payments").probes(1).build()?;
    /// payments.trip(Duration::from_millis(5));
    ///
    /// payments.until_admitting(tokio::time::sleep).await;
    /// let receipt = payments.call_async(|| async { Ok::<_, String>(42) }).await;
    /// assert_eq!(receipt, Ok(42));
    /// assert_eq!(payments.state(), State::Closed);
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// # }).unwrap();
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub fn until_admitting<Z: Sleep>(&self, timer: Z) -> impl Future<Output = ()> + use<'_, C, Z> {
        until_admitting(&self.shared, timer)
    }
}

/// The shortest sleep after one that ended too early. A timer may be coarser or faster than the
/// breaker's clock.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);

async fn until_admitting(shared: &SharedBreaker, timer: impl Sleep) {
    if shared.core.peek(shared).is_ok() {
        return;
    }
    let mut has_slept = false;
    while let Some((refusal, change)) = shared.core.watch(shared) {
        let Some(nanos) = refusal.retry_after() else {
            // Time alone changes nothing.
            change.await;
            has_slept = false;
            continue;
        };
        let mut sleep = Duration::from_nanos(nanos).min(LONGEST_SLEEP);
        if has_slept {
            // A timer that is always ready would otherwise keep the thread.
            sleep = sleep.max(SHORTEST_SLEEP);
            yield_once().await;
        }
        let is_changed = until(change, timer.sleep(sleep)).await.is_some();
        has_slept = !is_changed;
    }
}
