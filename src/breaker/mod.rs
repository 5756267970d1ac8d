//! The breaker's handle, which callers share.

pub(crate) mod request;
pub(crate) mod permit;
pub(crate) mod listening;
pub(crate) mod shared;
pub(crate) mod nested;
pub(crate) mod fallback;
mod ask;
#[cfg(feature = "tracing")]
pub(crate) mod traced;

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::task::{Context, Poll};
use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use pin_project_lite::pin_project;

use crate::breaker::permit::{OwnedPermit, Permit, PermitGuard};
use crate::clock::{Now, saturating_nanos};
use crate::error::{CallError, Rejected};
use crate::outcome::{Classify, DefaultClassifier};
use crate::policy::TripLevel;
#[cfg(feature = "serde")]
use crate::saved::SavedState;
use crate::state::{Phase, State};
use crate::{breaker::shared::SharedBreaker, engine::Core, snapshot::Snapshot};

/// A circuit breaker: stops calling a dependency that fails, and finds out when it works again.
///
/// Clones share the breaker. Keep one for each dependency, and hand out clones or references. All
/// methods take `&self`. None of them waits for another thread, and none panics.
///
/// `C` classifies a call's result; the default is that `Err` is a failure. See
/// [`CircuitBreakerBuilder::classify`](crate::CircuitBreakerBuilder::classify) and
/// [`with_classifier`](Self::with_classifier).
///
/// # Cost
/// On a closed breaker a call that succeeds costs
///
/// - some loads of shared words that are rarely written,
/// - a reading of the clock, and
/// - a load and a store of a word that no other thread writes.
///
/// A compare-exchange takes the place of the store in three cases:
///
/// - The window has not yet [grown](crate::CircuitBreakerBuilder::shards).
/// - The thread has no words of its own, because too many threads came before it.
/// - The window is one by count. It reads no clock.
///
/// A call that fails costs two compare-exchanges on words that all threads share, and the sum of
/// the window's failures. If those are enough for a policy to trip, it also costs the sum of the
/// successes.
///
/// A breaker that [times](crate::CircuitBreakerBuilder::latency) its calls reads the clock twice. A
/// histogram costs another load and store of the thread's own. A slow call costs as much as a
/// failure.
///
/// A call allocates nothing, with these exceptions:
///
/// - once in the breaker's life, when its window grows
/// - when a thread then gets a histogram
/// - once in a thread's life, when it first tells listeners of a transition
/// - once in a thread's life, if the system allocates to register work for the thread's end
///
/// # Memory ordering
/// A thread's command or outcome may change the state. Calls that the new state lets through see
/// all that the thread did before.
///
/// ```
/// use tripcurve::{CallError, CircuitBreaker};
///
/// let payments = CircuitBreaker::new("payments");
/// match payments.call(|| "42".parse::<u32>()) {
///     Ok(receipt) => assert_eq!(receipt, 42),
///     Err(CallError::Rejected(rejected)) => eprintln!("not now: {rejected}"),
///     Err(error) => eprintln!("payment failed: {error}"),
/// }
/// ```
pub struct CircuitBreaker<C = DefaultClassifier> {
    pub(crate) shared: Arc<SharedBreaker>,
    pub(crate) classifier: C,
}

impl<C> CircuitBreaker<C> {
    /// The part that all handles share.
    #[cfg(feature = "registry")]
    pub(crate) fn shared(&self) -> &Arc<SharedBreaker> {
        &self.shared
    }

    /// Makes a handle of this breaker with another classifier.
    ///
    /// So one breaker can guard calls of several types. The handles share the state and the window.
    /// Only the classification of a result differs.
    ///
    /// ```
    /// use tripcurve::{CircuitBreaker, Outcome};
    ///
    /// let breaker = CircuitBreaker::new("payments");
    /// let lookups = breaker.with_classifier(|result: &Result<u16, String>| match result {
    ///     Ok(404) => Outcome::Success,
    ///     Ok(400..) | Err(_) => Outcome::Failure,
    ///     Ok(_) => Outcome::Success,
    /// });
    /// let _ = lookups.call(|| Ok(503));
    /// assert_eq!(breaker.snapshot().failures(), 1);
    /// ```
    #[must_use]
    pub fn with_classifier<D>(&self, classifier: D) -> CircuitBreaker<D> {
        CircuitBreaker {
            shared: Arc::clone(&self.shared),
            classifier,
        }
    }

    /// Makes a call if the breaker lets it through.
    ///
    /// A panic in `operation` counts as a failure and continues to unwind.
    ///
    /// # Calls within a call
    /// `operation` may call this breaker again, for example when one helper calls another. While
    /// the breaker is half-open, such an inner call is a part of the outer one. It is let through,
    /// takes no probe's place and no share of a ramp, and isn't recorded. So the breaker closes as
    /// soon as it would with single calls. This also holds for asynchronous calls and for all other
    /// handles of the breaker. While the breaker is closed, each call counts for itself.
    ///
    /// An inner call is one that the outer call makes on its own thread, or while its own future is
    /// polled. A call that `operation` starts on another thread or in another task counts for
    /// itself, and may be rejected. So may a call made while a [`Permit`] is held, because a permit
    /// can go to another thread. If such a rejection can become the error of the outer call, let
    /// the [classifier](crate::CircuitBreakerBuilder::classify) return
    /// [`Outcome::Ignored`](crate::Outcome::Ignored) for it. The breaker finds calls of up to 32
    /// different half-open breakers within each other.
    ///
    /// # Errors
    /// [`CallError::Rejected`] if the call was not made, [`CallError::Inner`] if it was made and
    /// failed.
    ///
    /// ```
    /// use tripcurve::{CallError, CircuitBreaker};
    ///
    /// let breaker = CircuitBreaker::new("payments");
    /// assert_eq!(breaker.call(|| Ok::<_, String>(7)), Ok(7));
    /// assert_eq!(breaker.call(|| Err::<i32, _>("no")), Err(CallError::Inner("no")));
    /// ```
    #[inline]
    pub fn call<T, E>(&self, operation: impl FnOnce() -> Result<T, E>) -> Result<T, CallError<E>>
    where
        C: Classify<T, E>,
    {
        let permit = PermitGuard::new(&*self.shared, self.shared.admit::<true>()?);
        let result = operation();
        self.conclude(permit, result)
    }

    /// Makes an asynchronous call if the breaker lets it through.
    ///
    /// The breaker is asked when the future is first polled. Any runtime works: nothing is spawned,
    /// timed or allocated. A panic counts as a failure. A future that is dropped before it is ready
    /// counts as [`on_cancel`](crate::CircuitBreakerBuilder::on_cancel) says. While the breaker is
    /// half-open, a call within this one is [part of it](Self::call).
    ///
    /// # Errors
    /// Those of [`call`](Self::call).
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let breaker = CircuitBreaker::new("payments");
    /// let receipt = breaker.call_async(|| async { Ok::<_, String>(7) }).await;
    /// assert_eq!(receipt, Ok(7));
    /// # });
    /// ```
    ///
    /// A value whose type is only known to be [`AsyncFnOnce`] goes into a closure:
    ///
    /// ```
    /// use tripcurve::{CallError, CircuitBreaker};
    ///
    /// async fn guarded(
    ///     breaker: &CircuitBreaker,
    ///     backend: impl AsyncFnOnce() -> Result<u32, String>,
    /// ) -> Result<u32, CallError<String>> {
    ///     breaker.call_async(|| backend()).await
    /// }
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let breaker = CircuitBreaker::new("payments");
    /// assert_eq!(guarded(&breaker, async || Ok(7)).await, Ok(7));
    /// # });
    /// ```
    pub async fn call_async<T, E, F>(
        &self,
        operation: impl FnOnce() -> F,
    ) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>>,
        C: Classify<T, E>,
    {
        let permit = PermitGuard::new(&*self.shared, self.shared.admit::<true>()?);
        let (permit, result) = CallFuture {
            permit,
            is_paused: false,
            future: operation(),
        }
        .await;
        self.conclude(permit, result)
    }

    #[allow(
        clippy::inline_always,
        reason = "measured: out of line, `cargo bench -- closed` shows a slower path"
    )]
    #[inline(always)]
    pub(crate) fn conclude<T, E>(
        &self,
        permit: PermitGuard<&SharedBreaker>,
        result: Result<T, E>,
    ) -> Result<T, CallError<E>>
    where
        C: Classify<T, E>,
    {
        permit.conclude(&self.classifier, &result);
        result.map_err(CallError::Inner)
    }

    /// Takes a permit for one call, for code that can't be wrapped in [`call`](Self::call).
    ///
    /// Cost while closed: one load of the state word.
    ///
    /// # Errors
    /// The breaker does not let the call through.
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<'_>, Rejected> {
        let ticket = self.shared.admit::<false>()?;
        Ok(Permit(PermitGuard::new(&self.shared, ticket), ()))
    }

    /// Like [`try_acquire`](Self::try_acquire), for a permit that outlives this handle.
    ///
    /// # Errors
    /// The breaker does not let the call through.
    pub fn try_acquire_owned(&self) -> Result<OwnedPermit, Rejected> {
        let ticket = self.shared.admit::<false>()?;
        Ok(OwnedPermit(PermitGuard::new(
            Arc::clone(&self.shared),
            ticket,
        )))
    }

    /// The breaker's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.shared.core.name().as_str()
    }

    /// The current state. Costs one load.
    ///
    /// A breaker whose open time is over stays open until the next call. That call is the first
    /// probe.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.core.state()
    }

    /// Takes a snapshot of state and window. It reads each bucket of each shard. It writes only the
    /// [totals](Snapshot::totals) that it has seen.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = self.shared.core.snapshot(&*self.shared);
        snapshot.totals = self.shared.core.totals();
        snapshot
    }

    /// Replaces another snapshot by a new one, without allocating. Only the first snapshot of a
    /// breaker allocates, for its [totals](Snapshot::totals).
    ///
    /// `snapshot` must be of this breaker, or of one with the same
    /// [`latency`](crate::CircuitBreakerBuilder::latency).
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::window::Recording;
    ///
    /// let breaker = CircuitBreaker::builder("payments").latency(Recording::Combined).build()?;
    /// let mut snapshot = breaker.snapshot();
    /// loop {
    ///     breaker.snapshot_into(&mut snapshot);
    ///     println!("{snapshot}");
    /// #   break;
    /// }
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn snapshot_into(&self, snapshot: &mut Snapshot) {
        self.shared.core.snapshot_into(snapshot, &*self.shared);
        snapshot.totals = self.shared.core.totals();
    }

    /// Tells how near each policy is to a trip, in the order in which the builder got them.
    ///
    /// It is for display: a breaker at 90 % of its threshold deserves a look. Calls that run
    /// meanwhile may be missing. While the breaker is neither closed nor
    /// [measures only](State::MetricsOnly), the levels are 0 and the thresholds stay.
    ///
    /// It reads the window as a [snapshot](Self::snapshot) does. It writes nothing, waits for no
    /// thread, and allocates the list that it returns.
    ///
    /// ```
    /// use tripcurve::{CircuitBreaker, TripPolicy};
    ///
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .trip_when(TripPolicy::consecutive_failures(4))
    ///     .build()?;
    /// for _ in 0..3 {
    ///     let _ = breaker.call(|| Err::<(), _>("timeout"));
    /// }
    /// let level = breaker.trip_levels()[0];
    /// assert_eq!((level.kind(), level.measured()), ("consecutive_failures", 3.0));
    /// assert_eq!(level.fill(), 0.75);
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    #[must_use]
    pub fn trip_levels(&self) -> Vec<TripLevel> {
        self.shared.core.trip_levels(&*self.shared)
    }

    /// Lists the settings in force, for display: the name of the builder's method, and the value in
    /// words.
    ///
    /// The policies are not among them; see [`trip_levels`](Self::trip_levels). The words are for
    /// people, and any release may change them.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::window::Window;
    ///
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .window(Window::time(Duration::from_secs(30), 10))
    ///     .open_for(Duration::from_secs(5))
    ///     .build()?;
    /// let settings = breaker.settings_in_words();
    /// assert_eq!(settings[0], ("window", "30s in 10 buckets".to_owned()));
    /// assert_eq!(settings[1], ("open_for", "5s".to_owned()));
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    #[must_use]
    pub fn settings_in_words(&self) -> Vec<(&'static str, String)> {
        self.shared.core.settings_in_words(&*self.shared)
    }

    /// Saves what the breaker knows, for the next process to
    /// [restore](crate::CircuitBreakerBuilder::restore); see [`SavedState`](crate::SavedState).
    ///
    /// Like a [snapshot](Self::snapshot), the value belongs to one generation. Saving reads as much
    /// as a snapshot does. It writes nothing, waits for no thread, and allocates what it returns.
    #[cfg(feature = "serde")]
    #[must_use]
    pub fn save(&self) -> SavedState {
        let shared = &*self.shared;
        let at = shared.clock.system_nanos();
        SavedState::new(self.name(), at, shared.core.save(shared))
    }

    /// Closes the breaker, whatever its state (also forced open or disabled), with an empty window.
    pub fn reset(&self) {
        self.shared.core.reset(self.shared.nanos());
    }

    /// Opens the breaker, whatever its state (also forced open or disabled), for `duration`. Then
    /// it recovers as after any trip.
    pub fn trip(&self, duration: Duration) {
        let now = self.shared.nanos();
        self.shared.core.trip(saturating_nanos(duration), now);
    }

    /// Rejects all calls until [`reset`](Self::reset) or another command.
    pub fn force_open(&self) {
        self.hold(Phase::ForcedOpen);
    }

    /// Lets all calls through and records nothing, until [`reset`](Self::reset) or another command.
    pub fn disable(&self) {
        self.hold(Phase::Disabled);
    }

    /// Lets all calls through and records them, but never trips, until [`reset`](Self::reset) or
    /// another command.
    pub fn metrics_only(&self) {
        self.hold(Phase::MetricsOnly);
    }

    fn hold(&self, phase: Phase) {
        self.shared.core.hold(phase, self.shared.nanos());
    }
}

pin_project! {
    /// A call's future with its permit. Between two polls no thread runs the call.
    struct CallFuture<'a, F> {
        permit: PermitGuard<&'a SharedBreaker>,
        is_paused: bool,
        #[pin]
        future: F,
    }
}

impl<'a, F: Future> Future for CallFuture<'a, F> {
    type Output = (PermitGuard<&'a SharedBreaker>, F::Output);

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if *this.is_paused {
            *this.permit = this.permit.take().map(Core::resume);
        }
        match this.future.poll(context) {
            Poll::Ready(output) => Poll::Ready((this.permit.take(), output)),
            Poll::Pending => {
                *this.is_paused = true;
                *this.permit = this.permit.take().map(Core::pause);
                Poll::Pending
            }
        }
    }
}

/// Clones the handle. Both share the breaker.
impl<C: Clone> Clone for CircuitBreaker<C> {
    fn clone(&self) -> Self {
        self.with_classifier(self.classifier.clone())
    }
}

/// A call that unwinds leaves the breaker consistent, and the breaker catches its listeners'
/// panics.
impl<C: UnwindSafe> UnwindSafe for CircuitBreaker<C> {}
impl<C: RefUnwindSafe> RefUnwindSafe for CircuitBreaker<C> {}

impl<C> fmt::Debug for CircuitBreaker<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CircuitBreaker({})", self.snapshot())
    }
}
