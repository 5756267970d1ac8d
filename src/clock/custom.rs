//! Clocks that read a function of the user, and tokio's clock.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use super::{Clock, Source, Supplied, saturating_nanos};

/// A function that tells the time, and the time that counts as zero.
pub(super) struct Custom {
    read: Box<dyn Fn() -> Duration + Send + Sync>,
    origin: u64,
}

impl Custom {
    /// Out of line, so that the reading of other clocks stays short.
    #[cold]
    #[inline(never)]
    pub(super) fn nanos(&self) -> u64 {
        saturating_nanos((self.read)()).saturating_sub(self.origin)
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Custom").finish_non_exhaustive()
    }
}

/// A reading changes nothing in the clock. A function that panics has its own state to mend.
impl UnwindSafe for Clock {}
impl RefUnwindSafe for Clock {}

impl Clock {
    /// A clock that reads the time from `now`, for simulators and runtimes with their own time.
    ///
    /// The clock's origin is the time at this call: [`Clock::now`](Self::now) starts at zero.
    /// Clones read the same time, so give breakers whose times are compared clones of one clock.
    ///
    /// `now` should never go back. If it does, no call panics and no count is lost:
    ///
    /// - An open time lasts longer by the step.
    /// - The window keeps its calls after a step of less than its length. After a longer step it
    ///   starts empty.
    /// - A time before the origin counts as the origin.
    ///
    /// `now` must not use a breaker with this clock, because that would read the clock again
    /// without end. It should not panic: the panic would reach the call that reads the clock.
    ///
    /// Jitter stays random, as with a real clock. The jitter of [`Clock::mock`](Self::mock) can be
    /// repeated.
    ///
    /// Cost of a reading: that of `now`, called through a pointer.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use std::time::Duration;
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::time::Clock;
    ///
    /// let millis = Arc::new(AtomicU64::new(0)); // the simulator's time
    /// let clock = Clock::from_fn({
    ///     let millis = Arc::clone(&millis);
    ///     move || Duration::from_millis(millis.load(Ordering::Relaxed))
    /// });
    /// let breaker = CircuitBreaker::builder("payments").clock(clock).build()?;
    /// breaker.trip(Duration::from_secs(5));
    /// assert!(breaker.ask().is_err());
    /// millis.fetch_add(5_000, Ordering::Relaxed);
    /// assert!(breaker.ask().is_ok());
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    #[must_use]
    pub fn from_fn(now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        let origin = saturating_nanos(now());
        let read = Box::new(now);
        Self(Source::Supplied(Arc::new(Supplied {
            custom: Some(Custom { read, origin }),
            ..Supplied::default()
        })))
    }

    /// Tokio's clock, so that `tokio::time::pause` and `advance` move the breaker too.
    ///
    /// A test with paused time then moves the breaker, the time limits of its calls
    /// ([`TokioSleep`](super::sleep::TokioSleep)) and its own sleeps together. While time runs, the
    /// clock reads the system's monotonic clock, which costs about twice as much as
    /// [`Clock::default`].
    ///
    /// The origin is the time at this call. Never panics, also outside of a runtime. Threads
    /// outside of a runtime whose time is paused still read real time.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::time::Clock;
    ///
    /// # let mut runtime = tokio::runtime::Builder::new_current_thread();
    /// # let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    /// # runtime.block_on(async {
    /// // in a test with #[tokio::test(start_paused = true)]
    /// let breaker = CircuitBreaker::builder("payments").clock(Clock::tokio()).build()?;
    /// breaker.trip(Duration::from_secs(5));
    /// assert!(breaker.ask().is_err());
    /// tokio::time::advance(Duration::from_secs(5)).await;
    /// assert!(breaker.ask().is_ok());
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// # }).unwrap();
    /// ```
    #[cfg(feature = "tokio")]
    #[must_use]
    pub fn tokio() -> Self {
        let origin = tokio::time::Instant::now();
        Self::from_fn(move || tokio::time::Instant::now().saturating_duration_since(origin))
    }
}
