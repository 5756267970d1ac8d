//! Calls that wait for the verdict of the probes.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::breaker::CircuitBreaker;
use crate::breaker::permit::{Permit, PermitGuard};
use crate::builder::CircuitBreakerBuilder;
use crate::clock::Clock;
use crate::clock::timer::{Alarm, Timer};
use crate::engine::probe_queue::{ProbeQueue, ProbeQueueEntry, QueuedCaller};
use crate::engine::{Prospect, Ticket};
use crate::error::{CallError, ConfigError, Rejected};
use crate::outcome::{Classify, DefaultClassifier};
use crate::state::State;
use crate::sync::wait_queue::EventQueue;

impl<C> CircuitBreakerBuilder<C> {
    /// How many calls may wait for the verdict of the probes at a time, 1 to 1,000,000, for
    /// [`CircuitBreaker::waiting`] (default: none).
    ///
    /// When the breaker closes, they all go at once, beside those that come then: allow no more than the
    /// dependency bears. Takes at most 256 bytes.
    ///
    /// # Errors
    /// [`build`](Self::build) refuses 0 and what is above a million.
    pub fn max_waiting(mut self, calls: u32) -> Self {
        self.max_waiting = Some(calls);
        self
    }
}

/// A breaker whose calls wait for the verdict of the probes instead of being rejected; made by
/// [`CircuitBreaker::waiting`]. A call that waits must go on being polled. If it is told of a free
/// place for a probe and is no longer polled, the others that wait don't hear of the place before
/// its future is dropped. It doesn't hold the place: a new call gets it.
///
/// A call waits while the breaker is half-open and all places for [probes](CircuitBreakerBuilder::probes) are taken, up
/// to the handle's bound, until
/// - the probes have succeeded: it is let through;
/// - they have failed: it is rejected at once;
/// - a probe gives its place back, because it was cancelled or its outcome is ignored: the first who waits
///   becomes the probe, unless another call was faster;
/// - the probes are [overdue](CircuitBreakerBuilder::probe_timeout): it may become the probe.
///
/// In all other states its calls are those of the breaker: rejected at once while it is open. A recovery
/// by [ramp](crate::Recovery::adaptive) lets each call through or rejects it at once, also those that have
/// waited for the probe before it: so they don't come all at once. With fixed probes they do, as many as
/// [`max_waiting`](CircuitBreakerBuilder::max_waiting) allows; a `Bulkhead` within
/// the call (feature `bulkhead`) spreads them out further.
///
/// The time of a call begins when it is let through; a wait counts for nothing. A call that is waiting
/// holds nothing of the breaker. A call within a probe is a
/// [part of it](CircuitBreaker::call) and doesn't wait.
///
/// Clones, and handles made by [`CircuitBreaker::waiting`] with other bounds, share the breaker.
///
/// # Cost
/// A breaker's [call](CircuitBreaker#cost) and another load of the state word. Who waits allocates its
/// place in the line of [`event-listener`](https://docs.rs/event-listener), takes that line's lock, and
/// for a bounded wait in a task allocates a timer. Who changes the breaker's state wakes all who wait.
///
/// ```
/// use std::time::Duration;
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
pub struct Waiting<C = DefaultClassifier> {
    breaker: CircuitBreaker<C>,
    max_wait: Duration,
    timer: Timer,
}

impl<C> CircuitBreaker<C> {
    /// This breaker, whose calls wait up to `max_wait` for the verdict of the probes; zero is not at all,
    /// [`Duration::MAX`] without bound.
    ///
    /// Choose it below the callers' own timeout. It is real time, whatever [clock](CircuitBreakerBuilder::clock) the
    /// breaker has.
    ///
    /// # Errors
    /// The breaker was built without [`max_waiting`](CircuitBreakerBuilder::max_waiting).
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::CircuitBreaker;
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
    pub fn waiting(&self, max_wait: Duration) -> Result<Waiting<C>, ConfigError>
    where
        C: Clone,
    {
        if self.shared.core.probe_queue().is_none() {
            return Err(ConfigError::new(
                "max_waiting",
                "none",
                "set for this breaker",
                "say in its builder how many may wait",
            ));
        }
        Ok(Waiting {
            breaker: self.clone(),
            max_wait,
            timer: Timer::default(),
        })
    }
}

/// What came of asking.
enum Asked<'a> {
    Answered(Result<Ticket, Rejected>),
    Waits {
        waiter: QueuedCaller<'a, EventQueue>,
        /// After this time it may become the probe.
        overdue_in: Option<Duration>,
    },
}

/// Why a task doesn't wait any longer.
#[derive(PartialEq, Eq)]
enum Woken {
    LooksAgain,
    TimeIsOver,
}

impl<C> Waiting<C> {
    /// The same handle, whose tasks take the time of their waits from this function, which returns a
    /// future that is ready after the duration: `tokio::time::sleep`, `smol::Timer::after`.
    ///
    /// The default is a thread of [`futures-timer`](https://docs.rs/futures-timer), one for the process,
    /// which starts when the first task waits with a bound. Threads need neither.
    ///
    /// ```
    /// use std::time::Duration;
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
    pub fn sleep_with<S>(mut self, after: impl Fn(Duration) -> S + Send + Sync + 'static) -> Self
    where
        S: Future + Send + 'static,
    {
        self.timer = Timer::given(after);
        self
    }

    /// Makes a call if the breaker lets it through; the thread waits for the verdict of the probes.
    ///
    /// A panic in `operation` counts as a failure and goes on unwinding.
    ///
    /// # Errors
    /// [`CallError::Rejected`] if the call was not made, [`CallError::Inner`] if it was made and failed.
    #[inline]
    pub fn call<T, E>(&self, operation: impl FnOnce() -> Result<T, E>) -> Result<T, CallError<E>>
    where
        C: Classify<T, E>,
    {
        let permit = self.acquire()?.0;
        let result = permit.run(operation);
        self.breaker.conclude(permit, result)
    }

    /// Makes an asynchronous call if the breaker lets it through; the task waits for the verdict of the
    /// probes.
    ///
    /// The breaker is asked when the future is first polled. A future that is dropped while it waits
    /// counts for nothing; one that is dropped while the call is in flight counts as
    /// [`on_cancel`](CircuitBreakerBuilder::on_cancel) says.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::CircuitBreaker;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let payments = CircuitBreaker::builder("payments").max_waiting(100).build()?;
    /// let patient = payments.waiting(Duration::from_millis(200))?;
    /// assert_eq!(patient.call_async(|| async { Ok::<_, String>(42) }).await, Ok(42));
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
        let permit = self.acquire_async().await?.0;
        let result = {
            let mut call = pin!(permit.run(operation));
            poll_fn(|context| permit.run(|| call.as_mut().poll(context))).await
        };
        self.breaker.conclude(permit, result)
    }

    /// Asks for the right to make one call; the thread waits for the verdict of the probes.
    ///
    /// In a task, this would hold up the others of its thread: there, use
    /// [`acquire_async`](Self::acquire_async).
    ///
    /// # Errors
    /// The breaker does not let the call through, the time is over, or too many wait already.
    pub fn acquire(&self) -> Result<Permit<'_>, Rejected> {
        let ticket = match self.ask() {
            Asked::Answered(ticket) => ticket,
            asked @ Asked::Waits { .. } => self.wait(asked),
        };
        Ok(Permit(PermitGuard::new(&self.breaker.shared, ticket?)))
    }

    /// The same; the task waits. Any runtime will do: nothing is spawned, and the time comes from
    /// [elsewhere](Self::sleep_with). If the future is dropped while it waits, nothing is lost.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    pub async fn acquire_async(&self) -> Result<Permit<'_>, Rejected> {
        let ticket = match self.ask() {
            Asked::Answered(ticket) => ticket,
            asked @ Asked::Waits { .. } => self.wait_async(asked).await,
        };
        Ok(Permit(PermitGuard::new(&self.breaker.shared, ticket?)))
    }

    /// How many calls wait now, those included who were woken and have not yet gone on.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        let probe_queue = self.breaker.shared.core.probe_queue();
        let waiting = probe_queue.map_or(0, ProbeQueue::waiting);
        u32::try_from(waiting).unwrap_or(u32::MAX)
    }

    /// The breaker.
    #[must_use]
    pub fn breaker(&self) -> &CircuitBreaker<C> {
        &self.breaker
    }

    /// Asks the breaker, or stands in line.
    #[inline]
    fn ask(&self) -> Asked<'_> {
        let shared = &*self.breaker.shared;
        match shared.core.prospect(shared) {
            Prospect::Answer => match shared.admit() {
                // Somebody else has taken the place.
                Err(rejected) if rejected.state() == State::HalfOpen => self.ask_slow(),
                answer => Asked::Answered(answer),
            },
            Prospect::Ramp => Asked::Answered(shared.admit()),
            Prospect::Verdict { .. } => self.ask_slow(),
        }
    }

    #[cold]
    #[inline(never)]
    fn ask_slow(&self) -> Asked<'_> {
        let shared = &*self.breaker.shared;
        let (Some(probe_queue), false) = (shared.core.probe_queue(), self.max_wait.is_zero())
        else {
            return Asked::Answered(shared.admit());
        };
        loop {
            let mut prospect = shared.core.prospect(shared);
            if let Prospect::Verdict { .. } = prospect {
                let entry = probe_queue.enter(|| {
                    prospect = shared.core.prospect(shared);
                    matches!(prospect, Prospect::Verdict { .. })
                });
                match (entry, prospect) {
                    (ProbeQueueEntry::Waits(waiter), Prospect::Verdict { overdue_in }) => {
                        let is_ever = overdue_in != u64::MAX;
                        return Asked::Waits {
                            waiter,
                            overdue_in: is_ever.then(|| Duration::from_nanos(overdue_in)),
                        };
                    }
                    (ProbeQueueEntry::Full, _) => return Asked::Answered(shared.admit()),
                    _ => {}
                }
            }
            match shared.admit() {
                Err(rejected)
                    if rejected.state() == State::HalfOpen && prospect != Prospect::Ramp => {}
                answer => return Asked::Answered(answer),
            }
        }
    }

    /// How long one waits; `None`: without bound.
    fn bound(&self) -> Option<Duration> {
        (self.max_wait != Duration::MAX).then_some(self.max_wait)
    }

    #[cold]
    fn wait<'a>(&'a self, mut asked: Asked<'a>) -> Result<Ticket, Rejected> {
        let clock = Clock::default();
        let end = self.bound().map(|bound| clock.now().saturating_add(bound));
        loop {
            let (waiter, overdue_in) = match asked {
                Asked::Answered(answer) => return answer,
                Asked::Waits { waiter, overdue_in } => (waiter, overdue_in),
            };
            let left = end.map(|end| end.saturating_sub(clock.now()));
            if left.is_some_and(|left| left.is_zero()) {
                break;
            }
            waiter.wait(left.into_iter().chain(overdue_in).min());
            asked = self.ask();
        }
        self.breaker.shared.admit()
    }

    async fn wait_async<'a>(&'a self, mut asked: Asked<'a>) -> Result<Ticket, Rejected> {
        let mut end = self.bound().map(|bound| self.timer.after(bound));
        loop {
            let (waiter, overdue_in) = match asked {
                Asked::Answered(answer) => return answer,
                Asked::Waits { waiter, overdue_in } => (waiter, overdue_in),
            };
            let overdue = overdue_in.map(|wait| self.timer.after(wait));
            if woken(waiter, &mut end, overdue).await == Woken::TimeIsOver {
                return self.breaker.shared.admit();
            }
            asked = self.ask();
        }
    }
}

/// Ready when the waiter is woken, or one of the times is over.
async fn woken(
    mut waiter: QueuedCaller<'_, EventQueue>,
    end: &mut Option<Alarm>,
    mut overdue: Option<Alarm>,
) -> Woken {
    poll_fn(|context| {
        let mut rings = |alarm: &mut Option<Alarm>| {
            let alarm = alarm.as_mut();
            alarm.is_some_and(|alarm| alarm.as_mut().poll(context).is_ready())
        };
        if rings(end) {
            return Poll::Ready(Woken::TimeIsOver);
        }
        if rings(&mut overdue) {
            return Poll::Ready(Woken::LooksAgain);
        }
        waiter.poll(context).map(|()| Woken::LooksAgain)
    })
    .await
}

/// A call that unwinds leaves the breaker in order; the rest is not the caller's to break.
impl<C: UnwindSafe> UnwindSafe for Waiting<C> {}
impl<C: RefUnwindSafe> RefUnwindSafe for Waiting<C> {}

impl<C> fmt::Debug for Waiting<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting")
            .field("breaker", &self.breaker)
            .field("max_wait", &self.max_wait)
            .field("waiting", &self.waiting())
            .field("timer", &self.timer)
            .finish()
    }
}
