//! Bounds the calls in flight, and lets callers wait for a place.

pub(crate) mod blocking;
mod permit;
pub(crate) mod places;
mod wait;
pub(crate) mod word;

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::{fmt, future::Future, sync::Arc, time::Duration};

use crate::clock::sleep::{DefaultSleep, Sleep};
use crate::error::{BulkheadFull, ConfigError};
use crate::{name::Name, sync::wait_queue::EventQueue};
pub use blocking::BlockingBulkhead;
use permit::SharedBulkhead;
pub use permit::{BulkheadPermit, OwnedBulkheadPermit};
pub(crate) use places::{Places, Waiter};
use wait::wait;
pub(crate) use word::PlacesWord;

/// A bulkhead: bounds how many calls are in flight at a time.
///
/// So a dependency that hangs can't take all threads, connections or memory of its callers.
///
/// A task that waits for a place must go on being polled. Suppose that it is handed a place and is
/// no longer polled. Then it keeps the place until its future is dropped, however short
/// [`max_wait`](Self::max_wait) is. No other call can take the place away. Don't set a waiting
/// future aside, such as a branch of a `select!` that is tried again later; drop it.
///
/// A call beyond the bound is rejected at once, or after it has [waited](Self::max_wait) for a
/// place. Waiting threads and tasks are served alike, first come first served. A place that becomes
/// free goes to the first waiter, and a later caller can't overtake. A waiter that leaves loses no
/// place, whether its time is over or its future is dropped.
///
/// Clones share the places. So do the handles that [`named`](Self::named),
/// [`max_wait`](Self::max_wait) and [`sleep_with`](Self::sleep_with) return. Each handle has its
/// own maximum wait, so one call may wait longer than another for these places.
///
/// # Cost
/// With no contention: a load and a compare-exchange to enter, the same to leave, and no
/// allocation. A caller that waits allocates its entry in the line of
/// [`event-listener`](https://docs.rs/event-listener), and takes that line's lock.
///
/// # Memory ordering
/// The call that takes a place sees all that the former call did before it gave the place back.
///
/// ```
/// use std::time::Duration;
/// use tripcurve::bulkhead::Bulkhead;
///
/// let reports = Bulkhead::new(10)?.named("reports").max_wait(Duration::from_millis(50));
/// let pages = reports.call(|| 42);
/// assert_eq!(pages, Ok(42));
/// # Ok::<(), tripcurve::error::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Bulkhead<S = DefaultSleep> {
    places: Arc<SharedBulkhead>,
    name: Name,
    max_wait: Duration,
    timer: S,
}

impl Bulkhead {
    /// Makes a bulkhead for at most `max_concurrent` calls in flight, 1 to 1,048,575. It rejects
    /// calls beyond them at once.
    ///
    /// # Errors
    /// `max_concurrent` is out of range.
    ///
    /// ```
    /// use tripcurve::bulkhead::Bulkhead;
    ///
    /// let error = Bulkhead::new(0).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "bulkhead.max_concurrent: 0 is not in 1..=1048575; as many as the dependency serves at a time"
    /// );
    /// ```
    pub fn new(max_concurrent: u32) -> Result<Self, ConfigError> {
        if !(1..=PlacesWord::MAX_IN_FLIGHT).contains(&max_concurrent) {
            return Err(ConfigError::new(
                "bulkhead.max_concurrent",
                max_concurrent,
                format!("in 1..={}", PlacesWord::MAX_IN_FLIGHT),
                "as many as the dependency serves at a time",
            ));
        }
        Ok(Self {
            places: Arc::new(Places::new(max_concurrent, EventQueue::default())),
            name: "bulkhead".into(),
            max_wait: Duration::ZERO,
            timer: DefaultSleep::default(),
        })
    }
}

impl<S> Bulkhead<S> {
    /// Sets this handle's name, for its errors. The default is "bulkhead".
    #[must_use]
    pub fn named(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets how long this handle's calls wait for a place before they are rejected.
    ///
    /// With zero, the default, they don't wait. With [`Duration::MAX`] they wait without bound.
    ///
    /// Choose a wait well below the callers' timeout. A longer wait works for callers that have
    /// left. [`try_acquire`](Self::try_acquire) never waits.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::bulkhead::Bulkhead;
    ///
    /// let reports = Bulkhead::new(1)?.max_wait(Duration::from_millis(1));
    /// let _permit = reports.acquire().unwrap();
    /// let error = reports.acquire().unwrap_err();
    /// assert_eq!(error.waited(), Duration::from_millis(1));
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    #[must_use]
    pub fn max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    /// Sets the timer for this handle's waiting tasks; see [`Sleep`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::bulkhead::Bulkhead;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// let reports = Bulkhead::new(1)?
    ///     .max_wait(Duration::from_millis(1))
    ///     .sleep_with(tokio::time::sleep);
    /// let _permit = reports.acquire_async().await.unwrap();
    /// assert!(reports.acquire_async().await.is_err());
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn sleep_with<Z: Sleep>(self, timer: Z) -> Bulkhead<Z> {
        Bulkhead {
            places: self.places,
            name: self.name,
            max_wait: self.max_wait,
            timer,
        }
    }

    /// Takes a place if one is free; never waits.
    ///
    /// # Errors
    /// No place is free.
    #[inline]
    pub fn try_acquire(&self) -> Result<BulkheadPermit<'_>, BulkheadFull> {
        match self.places.enter() {
            Ok(()) => Ok(BulkheadPermit::new(&self.places)),
            Err(full) => Err(self.full(full, Duration::ZERO)),
        }
    }

    /// Takes a place; the thread waits up to [`max_wait`](Self::max_wait) for it.
    ///
    /// In a task this would hold up the other tasks of its thread. Use
    /// [`acquire_async`](Self::acquire_async) there.
    ///
    /// # Errors
    /// No place became free in this time, or 1,048,575 callers wait already.
    pub fn acquire(&self) -> Result<BulkheadPermit<'_>, BulkheadFull> {
        let Some(waiter) = self.enter_or_wait()? else {
            return Ok(BulkheadPermit::new(&self.places));
        };
        if waiter.wait(self.bound()) {
            Ok(BulkheadPermit::new(&self.places))
        } else {
            Err(self.full(self.places.load(), self.max_wait))
        }
    }

    /// Takes a place; the task waits up to [`max_wait`](Self::max_wait) for it.
    ///
    /// Any runtime works: nothing is spawned, and the time comes from the handle's
    /// [timer](Self::sleep_with). A future that is dropped while it waits loses no place.
    ///
    /// # Errors
    /// Those of [`acquire`](Self::acquire).
    ///
    /// ```
    /// use tripcurve::bulkhead::Bulkhead;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let reports = Bulkhead::new(1)?;
    /// let permit = reports.acquire_async().await.unwrap();
    /// assert_eq!(reports.in_flight(), 1);
    /// # drop(permit);
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// # }).unwrap();
    /// ```
    pub async fn acquire_async(&self) -> Result<BulkheadPermit<'_>, BulkheadFull>
    where
        S: Sleep,
    {
        let Some(waiter) = self.enter_or_wait()? else {
            return Ok(BulkheadPermit::new(&self.places));
        };
        let end = self.bound().map(|bound| self.timer.sleep(bound));
        if wait(waiter, end).await {
            Ok(BulkheadPermit::new(&self.places))
        } else {
            Err(self.full(self.places.load(), self.max_wait))
        }
    }

    /// Makes a call in a place of this bulkhead; the thread waits up to [`max_wait`](Self::max_wait)
    /// for it.
    ///
    /// # Errors
    /// The bulkhead had no place, so the call was not made.
    ///
    /// ```
    /// use tripcurve::bulkhead::Bulkhead;
    ///
    /// let reports = Bulkhead::new(1)?;
    /// let nested = reports.call(|| reports.call(|| 42));
    /// assert!(nested.unwrap().is_err());
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    #[inline]
    pub fn call<T>(&self, operation: impl FnOnce() -> T) -> Result<T, BulkheadFull> {
        let _permit = self.acquire()?;
        Ok(operation())
    }

    /// Makes an asynchronous call in a place of this bulkhead; the task waits up to
    /// [`max_wait`](Self::max_wait) for it.
    ///
    /// # Errors
    /// The bulkhead had no place, so the call was not made.
    ///
    /// ```
    /// use tripcurve::bulkhead::Bulkhead;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let reports = Bulkhead::new(1)?;
    /// assert_eq!(reports.call_async(|| async { 42 }).await, Ok(42));
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// # }).unwrap();
    /// ```
    pub async fn call_async<F: Future>(
        &self,
        operation: impl FnOnce() -> F,
    ) -> Result<F::Output, BulkheadFull>
    where
        S: Sleep,
    {
        let _permit = self.acquire_async().await?;
        Ok(operation().await)
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The maximum number of calls in flight.
    #[must_use]
    pub fn max_concurrent(&self) -> u32 {
        self.places.max()
    }

    /// The number of places taken now. Places just handed to a waiter are included.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.places.load().in_flight()
    }

    /// The number of callers that wait now. Callers that were just handed a place and have not yet
    /// woken are included.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.places.load().waiting()
    }

    pub(crate) fn waits(&self) -> bool {
        !self.max_wait.is_zero()
    }

    /// The longest wait; `None`: without bound.
    fn bound(&self) -> Option<Duration> {
        (self.max_wait != Duration::MAX).then_some(self.max_wait)
    }

    /// Takes a place or enters the line. A handle that doesn't wait rejects the call instead.
    #[inline]
    fn enter_or_wait(&self) -> Result<Option<Waiter<'_, EventQueue>>, BulkheadFull> {
        match self.places.enter() {
            Ok(()) => Ok(None),
            Err(full) if !self.waits() => Err(self.full(full, Duration::ZERO)),
            Err(_) => {
                let waiter = self.places.enter_or_wait();
                waiter.map_err(|full| self.full(full, Duration::ZERO))
            }
        }
    }

    #[cold]
    fn full(&self, seen: PlacesWord, waited: Duration) -> BulkheadFull {
        BulkheadFull {
            name: self.name.clone(),
            max_concurrent: self.places.max(),
            in_flight: seen.in_flight(),
            waited,
        }
    }
}

/// A call that unwinds gives its place back. The rest can't be broken from here.
impl<S> UnwindSafe for Bulkhead<S> {}
impl<S> RefUnwindSafe for Bulkhead<S> {}

impl<S> fmt::Debug for Bulkhead<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.places.load();
        f.debug_struct("Bulkhead")
            .field("name", &self.name)
            .field("max_concurrent", &self.places.max())
            .field("in_flight", &seen.in_flight())
            .field("waiting", &seen.waiting())
            .field("max_wait", &self.max_wait)
            .finish_non_exhaustive()
    }
}
