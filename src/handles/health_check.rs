//! A task that checks the dependency's health while the breaker is open.

use std::future::{Future, poll_fn};
use std::sync::{Arc, Weak};
use std::{fmt, pin::pin, task::Poll, time::Duration};

use event_listener::EventListener;

use crate::clock::sleep::{DefaultSleep, Sleep};
use crate::outcome::{Classify, Outcome};
use crate::{
    breaker::CircuitBreaker, breaker::nested::OuterCall, breaker::shared::SharedBreaker,
    clock::Now, engine::NextCheck, state::Generation,
};

/// The longest sleep that the task asks a timer for. Then it looks again.
pub(super) const LONGEST_SLEEP: Duration = Duration::from_secs(86_400);

impl<C> CircuitBreaker<C> {
    /// Makes a task that checks the dependency while the breaker is open, so that no user's call is
    /// the probe.
    ///
    /// Spawn the task; any runtime works. Nothing happens before it is first polled.
    ///
    /// When an open time is over, the task runs `check`. The breaker still rejects calls. A result
    /// that [counts](crate::CircuitBreakerBuilder::classify) as a success makes the breaker
    /// half-open: it admits probes, or begins a ramp with one. A dependency whose health endpoint
    /// answers may still be ill, so the check alone doesn't close the breaker.
    ///
    /// After any other result the next open time begins, with a
    /// [backoff](crate::CircuitBreakerBuilder::backoff) a longer one. This also happens when the
    /// check has taken half of the [time of a probe](crate::CircuitBreakerBuilder::probe_timeout);
    /// the check is then dropped. So a health endpoint that fails keeps the breaker open, even if
    /// the dependency works.
    ///
    /// The check may call through the breaker: such a call is let through and not recorded. The
    /// window doesn't count the results of checks. The breaker honours a
    /// [`Retry-After`](crate::CircuitBreakerBuilder::retry_after) of a result that counts as a
    /// failure.
    ///
    /// # Without the task
    /// The breaker doesn't depend on the task. If the task was dropped or aborted or has panicked,
    /// calls probe as they do without it.
    ///
    /// A task may not be polled, or may block its thread. Then calls probe when no check has
    /// reached a verdict within the whole time of a probe. That time counts from the end of the
    /// open time or from the start of the check. With [`Duration::MAX`] it never ends. Until then a
    /// rejected call is told to [wait](crate::Rejected::retry_after) for that moment.
    ///
    /// Several tasks check at the same time, and the first verdict counts.
    ///
    /// The task makes at most one check each time that it is polled. A clock that is 18 years ahead
    /// can't tell when an open time ends. The task then waits a second between two checks.
    ///
    /// The task doesn't keep the breaker alive. It ends when the last handle of the breaker, or
    /// permit, is gone. A check that runs then is finished first.
    ///
    /// # Cost
    /// Calls pay nothing while the breaker is closed. The task sleeps until the breaker opens. The
    /// call that opens the breaker wakes the task. For that it may wait for a lock of
    /// [`event-listener`](https://docs.rs/event-listener) or of the runtime. The time comes from
    /// the [timer](HealthCheck::sleep_with).
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::{CircuitBreaker, State};
    ///
    /// # #[derive(Clone)]
    /// # struct Client;
    /// # impl Client {
    /// #     async fn get(&self, _path: &str) -> Result<u16, std::io::Error> { Ok(200) }
    /// # }
    /// # let client = Client;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// let payments = CircuitBreaker::new("payments");
    /// let health_check = payments.health_check(async move || client.get("/health").await);
    /// tokio::spawn(health_check.run());
    ///
    /// payments.trip(Duration::from_millis(1));
    /// while payments.state() == State::Open {
    ///     tokio::task::yield_now().await;
    /// }
    /// assert_eq!(payments.state(), State::HalfOpen);
    /// assert_eq!(payments.snapshot().calls(), 0);
    /// # });
    /// ```
    pub fn health_check<A>(&self, check: A) -> HealthCheck<C, A>
    where
        C: Clone,
    {
        HealthCheck {
            breaker: Arc::downgrade(&self.shared),
            classifier: self.classifier.clone(),
            check,
            timer: DefaultSleep::default(),
        }
    }
}

/// A health check and its timer, to be run as a task; made by [`CircuitBreaker::health_check`].
#[derive(Clone)]
#[must_use = "it does nothing unless its `run` is spawned or awaited"]
pub struct HealthCheck<C, A, S = DefaultSleep> {
    breaker: Weak<SharedBreaker>,
    classifier: C,
    check: A,
    timer: S,
}

impl<C, A, S> HealthCheck<C, A, S> {
    /// Returns this check with another timer; see [`Sleep`].
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// let payments = CircuitBreaker::new("payments");
    /// let check = async || Ok::<_, std::io::Error>(());
    /// let health_check = payments.health_check(check).sleep_with(tokio::time::sleep);
    /// let task = tokio::spawn(health_check.run());
    ///
    /// drop(payments);
    /// assert!(task.await.is_ok());
    /// # });
    /// ```
    pub fn sleep_with<Z: Sleep>(self, timer: Z) -> HealthCheck<C, A, Z> {
        HealthCheck {
            breaker: self.breaker,
            classifier: self.classifier,
            check: self.check,
            timer,
        }
    }

    /// Runs the check as a task. It ends when the breaker is gone.
    #[must_use = "it does nothing unless it is spawned or awaited"]
    pub fn run<T, E>(self) -> impl Future<Output = ()> + use<C, A, S, T, E>
    where
        A: AsyncFn() -> Result<T, E>,
        C: Classify<T, E>,
        S: Sleep,
    {
        let Self {
            breaker,
            classifier,
            check,
            timer,
        } = self;
        async move {
            let Some(attendance) = Attendance::enter(breaker) else {
                return;
            };
            let mut last = Last::Other;
            while let Some((next, bell)) = attendance.look() {
                match next {
                    NextCheck::None => {
                        last = Last::Other;
                        bell.await;
                    }
                    NextCheck::In(nanos) => {
                        if last == Last::Wait {
                            // The timer was early. A timer that is always ready would otherwise
                            // keep the thread.
                            yield_once().await;
                        }
                        let wait = Duration::from_nanos(nanos).min(LONGEST_SLEEP);
                        let has_rung = until(bell, timer.sleep(wait)).await.is_some();
                        last = if has_rung { Last::Other } else { Last::Wait };
                    }
                    NextCheck::Now { .. } if last == Last::Check => {
                        last = Last::Other;
                        yield_once().await;
                        until(bell, timer.sleep(PAUSE)).await;
                    }
                    NextCheck::Now {
                        generation,
                        at_most,
                    } => {
                        drop(bell);
                        last = Last::Check;
                        // Calls of this breaker within the check are parts of it. Otherwise the
                        // breaker would reject them.
                        let outer = OuterCall::of(attendance.0.as_ptr(), generation);
                        let check = async {
                            let mut check = pin!(outer.run(|| check()));
                            poll_fn(|context| outer.run(|| check.as_mut().poll(context))).await
                        };
                        let result = match at_most.map(Duration::from_nanos) {
                            Some(at_most) => until(check, timer.sleep(at_most)).await,
                            None => Some(check.await),
                        };
                        let verdict = result.map(|result| {
                            let outcome = classifier.classify(&result);
                            let is_against = outcome.counts_against();
                            CheckResult {
                                is_well: outcome == Outcome::Success,
                                retry_after: is_against
                                    .then(|| classifier.retry_after(&result))
                                    .flatten(),
                            }
                        });
                        attendance.tell(generation, verdict.unwrap_or_default());
                    }
                }
            }
        }
    }
}

impl<C, A, S> fmt::Debug for HealthCheck<C, A, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthCheck").finish_non_exhaustive()
    }
}

/// How long the task waits between two checks if the next one is due at once. Open times last at
/// least a millisecond, so this happens only if the clock is beyond its range.
const PAUSE: Duration = Duration::from_secs(1);

/// The latest step of the task.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Check,
    Wait,
    Other,
}

/// Yields to the runtime once.
pub(super) async fn yield_once() {
    let mut has_yielded = false;
    poll_fn(|context| {
        if has_yielded {
            return Poll::Ready(());
        }
        has_yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The result of a check. The default stands for a check without a result in time.
#[derive(Default)]
struct CheckResult {
    is_well: bool,
    retry_after: Option<Duration>,
}

/// Registers a task with its breaker, without keeping the breaker alive.
struct Attendance(Weak<SharedBreaker>);

impl Attendance {
    fn enter(breaker: Weak<SharedBreaker>) -> Option<Self> {
        breaker.upgrade()?.core.checks_or_init().enter();
        Some(Self(breaker))
    }

    /// The next step, and an event that tells when it may have changed. `None` if the breaker is
    /// gone.
    fn look(&self) -> Option<(NextCheck, EventListener)> {
        let breaker = self.0.upgrade()?;
        let bell = breaker.core.checks_or_init().listen();
        Some((breaker.core.next_check(breaker.nanos()), bell))
    }

    fn tell(
        &self,
        generation: Generation,
        CheckResult {
            is_well,
            retry_after,
        }: CheckResult,
    ) {
        if let Some(breaker) = self.0.upgrade() {
            if let Some(retry_after) = retry_after {
                breaker.note_retry_after(retry_after);
            }
            breaker.core.checked(generation, is_well, &*breaker);
        }
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        if let Some(breaker) = self.0.upgrade() {
            breaker.core.leave_checks();
        }
    }
}

/// Returns the future's output, or `None` if `end` is ready first.
pub(super) async fn until<F: Future>(future: F, end: impl Future) -> Option<F::Output> {
    let (mut future, mut end) = (pin!(future), pin!(end));
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => end.as_mut().poll(context).map(|_| None),
    })
    .await
}
