//! Calls that wait for the verdict of the probes.

use std::future::{Future, poll_fn};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::{Pin, pin};
use std::{fmt, task::Poll, time::Duration};

use super::Handle;
use super::layer::{Layer, LayerAnswer, Unlimited};
use crate::clock::sleep::{DefaultSleep, Sleep};
use crate::engine::probe_queue::{ProbeQueue, ProbeQueueEntry, QueuedCaller};
use crate::engine::{Core, Prospect};
use crate::error::{CallError, ConfigError};
use crate::{
    breaker::CircuitBreaker, builder::CircuitBreakerBuilder, clock::Clock, state::State,
    sync::wait_queue::EventQueue,
};

impl<C> CircuitBreakerBuilder<C> {
    /// Sets how many calls may wait for the verdict of the probes at a time, 1 to 1,000,000, for
    /// [`CircuitBreaker::waiting`] (default: none).
    ///
    /// When the breaker closes, all waiting calls go at once, together with the calls that arrive
    /// then. Allow no more than the dependency bears. The queue takes at most 256 bytes.
    ///
    /// # Errors
    /// [`build`](Self::build) refuses 0 and numbers above a million.
    pub fn max_waiting(mut self, calls: u32) -> Self {
        self.fixed.max_waiting = Some(calls);
        self
    }
}

/// A handle whose calls wait for the verdict of the probes instead of being rejected; made by
/// [`CircuitBreaker::waiting`].
///
/// A waiting call must go on being polled. Suppose that it is told of a probe's free place and is
/// no longer polled. Then the other waiting calls don't hear of the place before its future is
/// dropped. It doesn't hold the place: a new call gets it.
///
/// A call waits while the breaker is half-open and all places for
/// [probes](CircuitBreakerBuilder::probes) are taken, up to the handle's bound. The wait ends when
///
/// - the probes have succeeded: the breaker lets the call through;
/// - they have failed: the breaker rejects the call at once;
/// - a probe gives its place back, because it was cancelled or its outcome is ignored: the first
///   waiting call becomes the probe, unless another call was faster;
/// - the probes are [overdue](CircuitBreakerBuilder::probe_timeout): the call may become the probe.
///
/// In all other states its calls are those of the breaker: an open breaker rejects them at once. A
/// recovery by [ramp](crate::Recovery::adaptive) lets each call through or rejects it at once. This
/// includes calls that have waited for the probe before the ramp, so they don't all come at once.
/// With fixed probes they do, as many as [`max_waiting`](CircuitBreakerBuilder::max_waiting)
/// allows. A `Bulkhead` within the call (feature `bulkhead`) spreads them out further.
///
/// A waiting call may hear of a free place that another call takes first. It waits on, but the
/// breaker has counted a rejection.
///
/// The time of a call begins when it is let through; the wait doesn't count. A waiting call holds
/// no permit and no place. A call within a probe is [part of it](CircuitBreaker::call) and doesn't
/// wait.
///
/// Clones, and handles made by [`CircuitBreaker::waiting`] with other bounds, share the breaker.
///
/// # Cost
/// A breaker's [call](CircuitBreaker#cost) and another load of the state word. A call that waits
/// allocates its entry in the line of [`event-listener`](https://docs.rs/event-listener) and takes
/// that line's lock. The call that changes the breaker's state wakes all waiting calls.
///
/// ```
/// use std::time::Duration;
/// use tripcurve::handles::Handle;
/// use tripcurve::{CircuitBreaker, State};
///
/// let payments = CircuitBreaker::builder("payments")
///     .probes(1)
///     .max_waiting(100)
///     .start_in(State::HalfOpen)
///     .build()?;
/// let patient = payments.waiting(Duration::from_secs(1))?;
/// let probe = payments.try_acquire().unwrap();
/// let receipt = std::thread::scope(|scope| {
///     let waits = scope.spawn(|| patient.call(|| Ok::<_, String>(42)));
///     probe.success();
///     waits.join().unwrap()
/// });
/// assert_eq!(receipt, Ok(42));
/// # Ok::<(), tripcurve::error::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Waiting<H = CircuitBreaker, S = DefaultSleep> {
    handle: H,
    max_wait: Duration,
    timer: S,
}

impl<C> CircuitBreaker<C> {
    /// Makes a handle whose calls wait up to `max_wait` for the verdict of the probes.
    ///
    /// With zero they don't wait. With [`Duration::MAX`] they wait without bound.
    ///
    /// Choose a wait below the callers' own timeout. The wait is real time, whatever
    /// [clock](CircuitBreakerBuilder::clock) the breaker has.
    ///
    /// # Errors
    /// The breaker was built without [`max_waiting`](CircuitBreakerBuilder::max_waiting).
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::handles::Handle;
    ///
    /// let payments = CircuitBreaker::builder("payments").max_waiting(100).build()?;
    /// let patient = payments.waiting(Duration::from_millis(200))?;
    /// assert_eq!(patient.call(|| Ok::<_, String>(42)), Ok(42));
    ///
    /// let error = CircuitBreaker::new("payments").waiting(Duration::from_millis(200)).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "max_waiting: none is not set for this breaker; say in its builder how many may wait"
    /// );
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn waiting(&self, max_wait: Duration) -> Result<Waiting<Self>, ConfigError>
    where
        C: Clone,
    {
        Waiting::new(self.clone(), max_wait)
    }
}

/// The next step of a call.
enum Step<'a> {
    /// Asks the handle within. With `is_last` the call takes any answer.
    Ask { is_last: bool },
    Wait {
        waiter: QueuedCaller<'a, EventQueue>,
        /// The time after which the call may become the probe.
        overdue_in: Option<Duration>,
    },
}

/// Why a task stops waiting.
#[derive(PartialEq, Eq)]
enum Woken {
    LooksAgain,
    TimeIsOver,
}

impl<H: Layer> Waiting<H> {
    pub(super) fn new(handle: H, max_wait: Duration) -> Result<Self, ConfigError> {
        let breaker = handle.circuit_breaker();
        if breaker.shared.core.probe_queue().is_none() {
            return Err(ConfigError::new(
                "max_waiting",
                "none",
                "set for this breaker",
                "say in its builder how many may wait",
            ));
        }
        Ok(Self {
            handle,
            max_wait,
            timer: DefaultSleep::default(),
        })
    }
}

impl<H, S> Waiting<H, S> {
    /// Returns this handle with another timer for its tasks; see [`Sleep`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::handles::Handle;
    /// use tripcurve::{CircuitBreaker, State};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// let payments = CircuitBreaker::builder("payments")
    ///     .probes(1)
    ///     .max_waiting(100)
    ///     .start_in(State::HalfOpen)
    ///     .build()?;
    /// let patient = payments
    ///     .waiting(Duration::from_millis(1))?
    ///     .sleep_with(tokio::time::sleep);
    /// let _probe = payments.try_acquire().unwrap();
    /// assert!(patient.acquire_async().await.is_err());
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn sleep_with<Z: Sleep>(self, timer: Z) -> Waiting<H, Z> {
        Waiting {
            handle: self.handle,
            max_wait: self.max_wait,
            timer,
        }
    }

    /// The longest wait; `None`: without bound.
    fn bound(&self) -> Option<Duration> {
        (self.max_wait != Duration::MAX).then_some(self.max_wait)
    }
}

impl<H: Layer, S> Waiting<H, S> {
    /// The number of calls that wait now. Calls that were woken and have not yet gone on are
    /// included.
    #[must_use]
    pub fn queued(&self) -> u32 {
        let probe_queue = self.core().probe_queue();
        let waiting = probe_queue.map_or(0, ProbeQueue::waiting);
        u32::try_from(waiting).unwrap_or(u32::MAX)
    }

    fn core(&self) -> &Core {
        &self.handle.circuit_breaker().shared.core
    }

    fn prospect(&self) -> Prospect {
        let shared = &*self.handle.circuit_breaker().shared;
        shared.core.prospect(shared)
    }

    #[inline]
    fn step(&self) -> Step<'_> {
        match self.prospect() {
            Prospect::Answer => Step::Ask { is_last: false },
            Prospect::Ramp => Step::Ask { is_last: true },
            Prospect::Verdict { .. } => self.step_slow(),
        }
    }

    /// Enters the line, if the verdict is still to come.
    #[cold]
    #[inline(never)]
    fn step_slow(&self) -> Step<'_> {
        let (Some(probe_queue), false) = (self.core().probe_queue(), self.max_wait.is_zero())
        else {
            return Step::Ask { is_last: true };
        };
        let mut prospect = self.prospect();
        let entry = probe_queue.enter(|| {
            prospect = self.prospect();
            matches!(prospect, Prospect::Verdict { .. })
        });
        match (entry, prospect) {
            (ProbeQueueEntry::Waits(waiter), Prospect::Verdict { overdue_in }) => {
                let is_ever = overdue_in != u64::MAX;
                Step::Wait {
                    waiter,
                    overdue_in: is_ever.then(|| Duration::from_nanos(overdue_in)),
                }
            }
            (ProbeQueueEntry::Full, _) | (_, Prospect::Ramp) => Step::Ask { is_last: true },
            _ => Step::Ask { is_last: false },
        }
    }

    /// Whether another call has taken the probe's place.
    fn came_too_late<G>(answer: &LayerAnswer<'_, G>) -> bool {
        matches!(answer, Err(CallError::Rejected(rejected)) if rejected.state() == State::HalfOpen)
    }

    #[cold]
    fn wait<'a>(
        &'a self,
        mut waiter: QueuedCaller<'a, EventQueue>,
        mut overdue_in: Option<Duration>,
    ) -> LayerAnswer<'a, H::Held<'a>> {
        let clock = Clock::default();
        let end = self.bound().map(|bound| clock.now().saturating_add(bound));
        loop {
            let left = end.map(|end| end.saturating_sub(clock.now()));
            if left.is_some_and(|left| left.is_zero()) {
                drop(waiter);
                return self.handle.admit();
            }
            waiter.wait(left.into_iter().chain(overdue_in).min());
            (waiter, overdue_in) = loop {
                match self.step() {
                    Step::Wait { waiter, overdue_in } => break (waiter, overdue_in),
                    Step::Ask { is_last } => {
                        let answer = self.handle.admit();
                        if is_last || !Self::came_too_late(&answer) {
                            return answer;
                        }
                    }
                }
            };
        }
    }
}

impl<H: Layer, S: Sleep> Handle for Waiting<H, S> {}
impl<H: Unlimited, S> Unlimited for Waiting<H, S> {}

impl<H: Layer, S: Sleep> Layer for Waiting<H, S> {
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
        loop {
            match self.step() {
                Step::Wait { waiter, overdue_in } => return self.wait(waiter, overdue_in),
                Step::Ask { is_last } => {
                    let answer = self.handle.admit();
                    if is_last || !Self::came_too_late(&answer) {
                        return answer;
                    }
                }
            }
        }
    }

    async fn admit_async(&self) -> LayerAnswer<'_, H::Held<'_>> {
        let mut end = pin!(None);
        let mut has_waited = false;
        loop {
            match self.step() {
                Step::Wait { waiter, overdue_in } => {
                    if !has_waited {
                        has_waited = true;
                        end.set(self.bound().map(|bound| self.timer.sleep(bound)));
                    }
                    let overdue = overdue_in.map(|wait| self.timer.sleep(wait));
                    if woken(waiter, end.as_mut(), overdue).await == Woken::TimeIsOver {
                        return self.handle.admit_async().await;
                    }
                }
                Step::Ask { is_last } => {
                    let answer = self.handle.admit_async().await;
                    if is_last || !Self::came_too_late(&answer) {
                        return answer;
                    }
                }
            }
        }
    }

    fn limit_call<F: Future>(&self, call: F) -> impl Future<Output = Result<F::Output, Duration>> {
        self.handle.limit_call(call)
    }
}

/// Waits until the waiter is woken or one of the times is over.
async fn woken(
    mut waiter: QueuedCaller<'_, EventQueue>,
    mut end: Pin<&mut Option<impl Future<Output = ()>>>,
    overdue: Option<impl Future<Output = ()>>,
) -> Woken {
    let mut overdue = pin!(overdue);
    poll_fn(|context| {
        let end = end.as_mut().as_pin_mut();
        if end.is_some_and(|end| end.poll(context).is_ready()) {
            return Poll::Ready(Woken::TimeIsOver);
        }
        let overdue = overdue.as_mut().as_pin_mut();
        if overdue.is_some_and(|overdue| overdue.poll(context).is_ready()) {
            return Poll::Ready(Woken::LooksAgain);
        }
        waiter.poll(context).map(|()| Woken::LooksAgain)
    })
    .await
}

/// A call that unwinds leaves the breaker consistent. The handle within can't be broken from here.
impl<H: UnwindSafe, S> UnwindSafe for Waiting<H, S> {}
impl<H: RefUnwindSafe, S> RefUnwindSafe for Waiting<H, S> {}

impl<H: Layer + fmt::Debug, S> fmt::Debug for Waiting<H, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting")
            .field("handle", &self.handle)
            .field("max_wait", &self.max_wait)
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}
