//! Errors: settings that make no sense, and calls without a result.

use std::{borrow::Cow, convert::Infallible, error::Error, fmt, io, time::Duration};

use crate::name::Name;
use crate::state::{Admission, State};
use crate::util::random::{between, mixed, random_bits_of_this_thread};

/// A setting that makes no sense.
///
/// Its message names the setting, the value, what was expected and how to mend it.
///
/// ```
/// use std::time::Duration;
/// use tripcurve::CircuitBreaker;
/// use tripcurve::window::Window;
///
/// let error = CircuitBreaker::builder("payments")
///     .window(Window::time(Duration::from_secs(60), 0))
///     .build()
///     .unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "window.buckets: 0 is not in 1..=1024; 10 suit most services"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigError {
    /// The setting, such as `window.buckets`, or its path in a file, such as
    /// `breakers.payments.window.buckets`.
    pub setting: Cow<'static, str>,
    /// The value that was given.
    pub value: String,
    /// The requirement that the value misses, such as `in 1..=1024`.
    pub expected: String,
    /// How to mend it.
    pub hint: String,
    /// The index of the policy that has the setting, in the order of
    /// [`trip_when`](crate::CircuitBreakerBuilder::trip_when). Several policies may have the same
    /// setting.
    pub policy: Option<usize>,
}

impl ConfigError {
    /// Makes an error about one setting, of no policy.
    ///
    /// Packages that read settings from elsewhere report their own errors with it.
    ///
    /// ```
    /// use tripcurve::error::ConfigError;
    ///
    /// let error = ConfigError::new("window.buckets", 0, "in 1..=1024", "10 suit most services");
    /// assert_eq!(
    ///     error.to_string(),
    ///     "window.buckets: 0 is not in 1..=1024; 10 suit most services"
    /// );
    /// ```
    pub fn new(
        setting: impl Into<Cow<'static, str>>,
        value: impl fmt::Display,
        expected: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            setting: setting.into(),
            value: value.to_string(),
            expected: expected.into(),
            hint: hint.into(),
            policy: None,
        }
    }

    /// Makes the error for a part of a saved value that no breaker has saved.
    #[cfg(feature = "serde")]
    pub(crate) fn damaged(
        part: &'static str,
        value: impl fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self::new(
            format!("restored.{part}"),
            value,
            expected,
            "no breaker has saved that; start without it",
        )
    }

    /// Refuses a number of a saved value that no breaker saves.
    #[cfg(feature = "serde")]
    pub(crate) fn check_saved(
        part: &'static str,
        value: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<(), Self> {
        if range.contains(&value) {
            return Ok(());
        }
        let expected = match range.end() {
            &u64::MAX => format!("at least {}", range.start()),
            most => format!("in {}..={most}", range.start()),
        };
        Err(Self::damaged(part, value, expected))
    }

    /// Returns this error as one of the policy that was added as the `index`th.
    pub(crate) fn of_policy(mut self, index: usize) -> Self {
        self.policy = Some(index);
        self
    }

    /// Makes the error for a fixed open time together with a backoff.
    pub(crate) fn not_beside_backoff(open_for: Duration) -> Self {
        Self::new(
            "open_for",
            format!("{open_for:?}"),
            "possible together with backoff",
            "the open time is fixed or it grows; leave out one of the two",
        )
    }

    /// Refuses a duration below a millisecond or above `longest`.
    pub(crate) fn check_duration(
        setting: &'static str,
        value: Duration,
        longest: Duration,
        expected: &'static str,
        hint: &'static str,
    ) -> Result<(), Self> {
        if (Duration::from_millis(1)..=longest).contains(&value) {
            Ok(())
        } else {
            Err(Self::new(setting, format!("{value:?}"), expected, hint))
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            setting,
            value,
            expected,
            hint,
            policy: _,
        } = self;
        write!(f, "{setting}: {value} is not {expected}; {hint}")
    }
}

impl Error for ConfigError {}

/// Why a [coarse clock](crate::Clock::coarse) can't be made.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClockError {
    /// The interval makes no sense.
    Interval(ConfigError),
    /// The thread that reads the clock can't be started.
    Thread(io::Error),
}

impl fmt::Display for ClockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interval(error) => error.fmt(f),
            Self::Thread(_) => f.write_str(
                "the thread that reads the clock can't be started; without it there is \
                 Clock::default()",
            ),
        }
    }
}

impl Error for ClockError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Interval(error) => error.source(),
            Self::Thread(error) => Some(error),
        }
    }
}

/// The error of a call that the breaker did not let through.
///
/// ```
/// use std::time::Duration;
/// use tripcurve::time::Clock;
/// use tripcurve::{CircuitBreaker, State};
///
/// let (clock, _hand) = Clock::mock();
/// let breaker = CircuitBreaker::builder("payments").clock(clock).build()?;
/// breaker.trip(Duration::from_millis(2_000));
/// let rejected = breaker.try_acquire().unwrap_err();
/// assert_eq!(rejected.name(), "payments");
/// assert_eq!(rejected.state(), State::Open);
/// assert!(rejected.retry_after().unwrap() >= Duration::from_secs(2));
/// # Ok::<(), tripcurve::error::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejected {
    pub(crate) name: Name,
    pub(crate) state: State,
    /// The generation of the opening because of which the call is rejected; see
    /// `Generation::in_place`.
    pub(crate) opened_in: u32,
    /// Kept in nanoseconds, because most callers of an open breaker don't ask for it. A time stands
    /// for none, so the error is smaller than with an option; see [`Admission::ISOLATED`].
    pub(crate) retry_after: u64,
    /// Kept packed for the same reason; `events/opening.rs` unpacks it.
    pub(crate) cause: PackedCause,
}

/// A cause in four words, or none. The first word of a cause isn't zero.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct PackedCause(pub(crate) [u64; 4]);

impl Rejected {
    /// The breaker's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The state that rejected the call: open, half-open or forced open.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// How long to wait before the next try: [`earliest`](Self::earliest) and up to a quarter more.
    ///
    /// The random part spreads callers that were rejected at about the same time. Two calls of this
    /// method may return two different times. A rejection costs nothing for it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::time::Clock;
    ///
    /// let breaker = CircuitBreaker::builder("payments").clock(Clock::mock().0).build()?;
    /// breaker.trip(Duration::from_secs(8));
    /// let waits: Vec<_> = (0..100)
    ///     .filter_map(|_| breaker.try_acquire().unwrap_err().retry_after())
    ///     .collect();
    /// let seconds = |seconds| Duration::from_secs_f64(seconds);
    /// assert!(waits.iter().all(|wait| (seconds(8.0)..=seconds(10.01)).contains(wait)));
    /// assert!(waits.iter().min() < Some(&seconds(8.1)) && waits.iter().max() > Some(&seconds(9.9)));
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let earliest = self.earliest_nanos()?;
        let latest = earliest.saturating_add(earliest / 4);
        // Clocks set two processes apart. Random bits set two callers apart that read the same
        // time.
        let random = mixed(earliest ^ random_bits_of_this_thread());
        Some(Duration::from_nanos(between(earliest, latest, random)))
    }

    /// How long until the breaker may let a call through.
    ///
    /// | state | until |
    /// |---|---|
    /// | open | the open time is over |
    /// | half-open | a probe that doesn't report loses its place, at the latest; a place may be free sooner |
    /// | half-open with a growing share of calls | the share may grow, at the earliest |
    /// | forced open, or half-open without a probe timeout | `None`, because time alone changes nothing |
    #[must_use]
    pub fn earliest(&self) -> Option<Duration> {
        self.earliest_nanos().map(Duration::from_nanos)
    }

    fn earliest_nanos(&self) -> Option<u64> {
        (self.retry_after < Admission::ISOLATED).then_some(self.retry_after)
    }
}

impl Error for Rejected {}

/// The error of a call for which a [`Bulkhead`](crate::Bulkhead) had no place.
///
/// ```
/// use tripcurve::bulkhead::Bulkhead;
///
/// let reports = Bulkhead::new(2)?.named("reports");
/// let _permits = (reports.try_acquire(), reports.try_acquire());
/// let full = reports.try_acquire().unwrap_err();
/// assert_eq!(full.to_string(), "bulkhead reports is full, 2 of 2 calls in flight");
/// # Ok::<(), tripcurve::error::ConfigError>(())
/// ```
#[cfg(feature = "bulkhead")]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkheadFull {
    pub(crate) name: Name,
    pub(crate) max_concurrent: u32,
    pub(crate) in_flight: u32,
    pub(crate) waited: Duration,
}

#[cfg(feature = "bulkhead")]
impl BulkheadFull {
    /// The bulkhead's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The maximum number of calls in flight.
    #[must_use]
    pub fn max_concurrent(&self) -> u32 {
        self.max_concurrent
    }

    /// How many calls were in flight at the rejection. After a wait it may be less than the
    /// maximum, because a place became free a moment too late.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// How long the call waited before it was rejected: zero, or what
    /// [`max_wait`](crate::Bulkhead::max_wait) allowed.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

#[cfg(feature = "bulkhead")]
impl fmt::Display for BulkheadFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            max_concurrent,
            in_flight,
            waited,
        } = self;
        write!(
            f,
            "bulkhead {name} is full, {in_flight} of {max_concurrent} calls in flight"
        )?;
        if waited.is_zero() {
            Ok(())
        } else {
            write!(f, ", waited {waited:?}")
        }
    }
}

#[cfg(feature = "bulkhead")]
impl Error for BulkheadFull {}

/// Why a [bulkhead with threads](crate::Bulkhead::blocking) can't be made.
#[cfg(feature = "bulkhead")]
#[derive(Debug)]
#[non_exhaustive]
pub enum PoolError {
    /// A setting makes no sense.
    Setting(ConfigError),
    /// The threads can't be started.
    Threads(io::Error),
}

#[cfg(feature = "bulkhead")]
impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(error) => error.fmt(f),
            Self::Threads(_) => {
                f.write_str("the bulkhead's threads can't be started; fewer may do")
            }
        }
    }
}

#[cfg(feature = "bulkhead")]
impl Error for PoolError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Setting(error) => error.source(),
            Self::Threads(error) => Some(error),
        }
    }
}

/// The error of a call that took longer than its [limit](crate::handles::CallTimeout) and was given
/// up.
///
/// The caller can't know whether the dependency has done the work.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimedOut {
    pub(crate) name: Name,
    pub(crate) limit: Duration,
}

impl TimedOut {
    /// The breaker's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// How long the call was allowed to take.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.limit
    }
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, limit } = self;
        write!(f, "the call of {name} took longer than {limit:?}")
    }
}

impl Error for TimedOut {}

/// Why a call has no result: it was not let through, or it was made and failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallError<E> {
    /// The breaker did not let the call through. The dependency was not called.
    Rejected(Rejected),
    /// The breaker let the call through, but the [bulkhead](crate::handles::WithBulkhead) had no
    /// place. The dependency was not called.
    #[cfg(feature = "bulkhead")]
    Full(BulkheadFull),
    /// The call was made and given up after its [time](crate::handles::CallTimeout).
    TimedOut(TimedOut),
    /// The call was made and returned this error.
    Inner(E),
}

impl<E> CallError<E> {
    /// Returns the call's own error, if the call was made and came to an end.
    pub fn into_inner(self) -> Option<E> {
        match self {
            Self::Inner(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the dependency was called. Don't retry a call that was not made: it would be
    /// rejected again.
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    ///
    /// let breaker = CircuitBreaker::new("payments");
    /// assert!(breaker.call(|| Err::<(), _>("no")).unwrap_err().was_made());
    /// breaker.force_open();
    /// assert!(!breaker.call(|| Err::<(), _>("no")).unwrap_err().was_made());
    /// ```
    pub fn was_made(&self) -> bool {
        matches!(self, Self::TimedOut(_) | Self::Inner(_))
    }

    /// The breaker's rejection, if it rejected the call.
    pub fn rejected(&self) -> Option<&Rejected> {
        match self {
            Self::Rejected(rejected) => Some(rejected),
            _ => None,
        }
    }

    /// The time limit's error, if the call was made and given up after its time.
    pub fn timed_out(&self) -> Option<&TimedOut> {
        match self {
            Self::TimedOut(timed_out) => Some(timed_out),
            _ => None,
        }
    }

    /// The bulkhead's rejection, if it had no place for the call.
    #[cfg(feature = "bulkhead")]
    pub fn full(&self) -> Option<&BulkheadFull> {
        match self {
            Self::Full(full) => Some(full),
            _ => None,
        }
    }
}

impl CallError<Infallible> {
    /// Turns the error of a call that was not made into that of any call.
    pub(crate) fn widen<E>(self) -> CallError<E> {
        match self {
            Self::Rejected(rejected) => CallError::Rejected(rejected),
            #[cfg(feature = "bulkhead")]
            Self::Full(full) => CallError::Full(full),
            Self::TimedOut(timed_out) => CallError::TimedOut(timed_out),
            Self::Inner(never) => match never {},
        }
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> CallError<E> {
    /// Unwraps the cause into a boxed error, for functions that return one.
    ///
    /// [`CallError`] implements [`Error`] only if the call's own error does, and
    /// `Box<dyn Error + Send + Sync>` doesn't. With this method `?` works for both.
    ///
    /// The box holds the cause itself. So it downcasts to [`Rejected`], [`TimedOut`],
    /// `BulkheadFull` or the call's own error. Message and [source](Error::source) are those of the
    /// cause. An error that is boxed already stays in its box.
    ///
    /// ```
    /// use std::error::Error;
    /// use tripcurve::{CallError, CircuitBreaker, Rejected};
    ///
    /// type BoxError = Box<dyn Error + Send + Sync>;
    ///
    /// fn fetch() -> Result<u32, BoxError> {
    ///     Ok("42".parse()?)
    /// }
    ///
    /// fn price(breaker: &CircuitBreaker) -> Result<u32, BoxError> {
    ///     let price = breaker.call(fetch).map_err(CallError::into_box)?;
    ///     Ok(price)
    /// }
    ///
    /// let breaker = CircuitBreaker::new("prices");
    /// assert_eq!(price(&breaker)?, 42);
    /// breaker.force_open();
    /// assert!(price(&breaker).unwrap_err().is::<Rejected>());
    /// # Ok::<(), BoxError>(())
    /// ```
    pub fn into_box(self) -> Box<dyn Error + Send + Sync> {
        match self {
            Self::Rejected(rejected) => Box::new(rejected),
            #[cfg(feature = "bulkhead")]
            Self::Full(full) => Box::new(full),
            Self::TimedOut(timed_out) => Box::new(timed_out),
            Self::Inner(error) => error.into(),
        }
    }
}

impl<E> From<Rejected> for CallError<E> {
    fn from(rejected: Rejected) -> Self {
        Self::Rejected(rejected)
    }
}

#[cfg(feature = "bulkhead")]
impl<E> From<BulkheadFull> for CallError<E> {
    fn from(full: BulkheadFull) -> Self {
        Self::Full(full)
    }
}

impl<E> From<TimedOut> for CallError<E> {
    fn from(timed_out: TimedOut) -> Self {
        Self::TimedOut(timed_out)
    }
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejected) => rejected.fmt(f),
            #[cfg(feature = "bulkhead")]
            Self::Full(full) => full.fmt(f),
            Self::TimedOut(timed_out) => timed_out.fmt(f),
            Self::Inner(error) => error.fmt(f),
        }
    }
}

/// All variants are transparent: message and source are those of the cause.
impl<E: Error + 'static> Error for CallError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Inner(error) => error.source(),
            _ => None,
        }
    }
}
