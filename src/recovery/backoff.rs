//! The settings of open times that grow.

use std::time::Duration;

use crate::error::ConfigError;

/// How a backoff spreads its open times; for [`Backoff::jitter`].
///
/// Processes that trip at the same time then don't all probe at once. The first three variants are
/// from Marc Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015). *The time* is
/// `base · factorⁿ` after `n` failed recoveries, and at most `longest`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Jitter {
    /// Anything from 1 ms to the time. It spreads best, but some breakers probe at once.
    Full,
    /// Anything from half of the time to the time.
    #[default]
    Equal,
    /// Anything from `base` to `factor` times the previous open time, and at most `longest`.
    ///
    /// The open time wanders up instead of growing by a fixed factor. The paper's factor is 3.
    Decorrelated,
    /// Always the time itself.
    None,
}

/// Open times that grow with each failed recovery.
///
/// For [`CircuitBreakerBuilder::backoff`](crate::CircuitBreakerBuilder::backoff) and
/// [`Recovery::backoff`](crate::Recovery::backoff).
///
/// The breaker is open for `base` at first. After `n` failed recoveries it is open for `base ·
/// factorⁿ`, and at most `longest`. The [`jitter`](Self::jitter) shortens these times. A recovery
/// has failed when a half-open breaker opens again. It has also failed when a closed breaker trips
/// before it was [healthy](Self::healthy_after) for long enough. At most 255 failed recoveries are
/// counted.
///
/// The commands [`reset`](crate::CircuitBreaker::reset) and [`trip`](crate::CircuitBreaker::trip)
/// start the count over. `trip` has an open time of its own.
///
/// A breaker with neither a backoff nor a fixed open time has the [default](Self::default) backoff:
/// 0.5 s at first, doubled by each failed recovery, up to 5 s.
///
/// Cost: nothing on the path of a call. Every backoff but the default takes about 90 bytes
/// (`tests/it/memory.rs`).
///
/// ```
/// use std::time::Duration;
/// use tripcurve::recovery::{Backoff, Jitter};
/// use tripcurve::time::Clock;
/// use tripcurve::{CircuitBreaker, Outcome};
///
/// let second = Duration::from_secs(1);
/// let (clock, hand) = Clock::mock();
/// let breaker = CircuitBreaker::builder("payments")
///     .backoff(Backoff::exponential(second, 2.0, 60 * second).jitter(Jitter::None))
///     .clock(clock)
///     .build()?;
/// for waits in [1, 2, 4, 8] {
///     breaker.try_acquire()?.record(Outcome::Trip);
///     hand.advance(waits * second - Duration::from_millis(1));
///     assert!(breaker.try_acquire().is_err());
///     hand.advance(Duration::from_millis(3));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "a backoff does nothing until a builder is given it"]
pub struct Backoff {
    base: Duration,
    pub(super) factor: f64,
    pub(super) longest: Duration,
    pub(super) jitter: Jitter,
    pub(super) healthy_after: Option<Duration>,
    pub(super) computed: Option<Computed>,
}

/// An open time that a function of the user computes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Computed(fn(u32) -> Duration);

impl Computed {
    /// The open time after so many failed recoveries; `None` if the function panics.
    pub(super) fn after(self, failed: u32) -> Option<Duration> {
        std::panic::catch_unwind(|| (self.0)(failed)).ok()
    }
}

/// Whether both are one function. A compiler may merge equal functions, or copy one.
impl PartialEq for Computed {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::fn_addr_eq(self.0, other.0)
    }
}

/// The backoff of a breaker whose builder sets none: 0.5 s at first, doubled by each failed
/// recovery, at most 5 s, with [`Jitter::Equal`].
impl Default for Backoff {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Backoff {
    pub(super) const DEFAULT: Self =
        Self::exponential(Duration::from_millis(500), 2.0, Duration::from_secs(5));

    const YEAR: Duration = Duration::from_secs(365 * 86_400);

    /// Open times that start at `base` and grow by `factor` with each failed recovery, up to
    /// `longest`.
    ///
    /// `base` is 1 ms to a year, `factor` is in `1.0..=100.0`, and `longest` is from `base` to a
    /// year. The jitter is [`Jitter::Equal`].
    pub const fn exponential(base: Duration, factor: f64, longest: Duration) -> Self {
        Self {
            base,
            factor,
            longest,
            jitter: Jitter::Equal,
            healthy_after: None,
            computed: None,
        }
    }

    /// Open times that `compute` returns for the number of failed recoveries: 0 at first, at most
    /// 255.
    ///
    /// A result below 1 ms counts as 1 ms, and one above a year as a year. The first result must be in
    /// that range. The jitter is [`Jitter::None`]; [`Jitter::Decorrelated`] is refused, because it
    /// needs a factor.
    ///
    /// The breaker calls `compute` when it opens, on the thread of the call that opens it, so it should
    /// be short. If it panics, the first open time counts instead. It is a function or a closure that
    /// captures nothing, so that settings stay `Copy` and can be compared.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::recovery::Backoff;
    /// use tripcurve::{CircuitBreaker, Recovery};
    ///
    /// // One second three times, then a minute.
    /// let times = Backoff::computed(|failed| Duration::from_secs(if failed < 3 { 1 } else { 60 }));
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .recovery(Recovery::probes(3).backoff(times))
    ///     .build()?;
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub const fn computed(compute: fn(u32) -> Duration) -> Self {
        Self {
            base: Duration::from_secs(1),
            factor: 1.0,
            longest: Self::YEAR,
            jitter: Jitter::None,
            healthy_after: None,
            computed: Some(Computed(compute)),
        }
    }

    /// Sets how the times are spread.
    ///
    /// The default is [`Jitter::Equal`]: a breaker that may open for next to nothing protects
    /// little.
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// Sets how long a breaker must stay closed before the count of failed recoveries starts over.
    ///
    /// `duration` is at least 1 ms; [`Duration::MAX`] means never. The default is `base`.
    ///
    /// A dependency may be bad for a moment every few seconds. If it never works for this long, the
    /// open times grow and stay long. Choose a longer time for a dependency that breaks down again
    /// soon after the traffic is back.
    pub const fn healthy_after(mut self, duration: Duration) -> Self {
        self.healthy_after = Some(duration);
        self
    }

    /// The first open time.
    pub(crate) fn base(self) -> Duration {
        let computed = self.computed.and_then(|compute| compute.after(0));
        computed.unwrap_or(self.base)
    }

    fn check_computed(self) -> Result<(), ConfigError> {
        if self.jitter == Jitter::Decorrelated {
            return Err(ConfigError::new(
                "backoff.jitter",
                "Jitter::Decorrelated",
                "possible together with computed open times",
                "it grows by a factor; use Jitter::Full or Jitter::Equal",
            ));
        }
        ConfigError::check_duration(
            "backoff.computed",
            self.base(),
            Self::YEAR,
            "in 1ms..=365 days for the first opening",
            "let the function return 5 s, for example",
        )
    }

    pub(super) fn check(self) -> Result<(), ConfigError> {
        if self.computed.is_some() {
            self.check_computed()?;
        }
        ConfigError::check_duration(
            "backoff.base",
            self.base,
            Self::YEAR,
            "in 1ms..=365 days",
            "5 s suit most services",
        )?;
        if !(1.0..=100.0).contains(&self.factor) {
            return Err(ConfigError::new(
                "backoff.factor",
                self.factor,
                "in 1..=100",
                "2 suits most services, 3 with decorrelated jitter",
            ));
        }
        if !(self.base..=Self::YEAR).contains(&self.longest) {
            return Err(ConfigError::new(
                "backoff.longest",
                format!("{:?}", self.longest),
                format!("in {:?}..=365 days", self.base),
                "choose how long users may wait for a dependency that works again",
            ));
        }
        ConfigError::check_duration(
            "backoff.healthy_after",
            self.healthy_after.unwrap_or_else(|| self.base()),
            Duration::MAX,
            "at least 1ms",
            "leave it out for as long as the first open time; Duration::MAX means never",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computed_open_times_are_equal_if_they_come_from_one_function() {
        let short: fn(u32) -> Duration = |failed| Duration::from_secs(u64::from(failed) + 1);
        let long: fn(u32) -> Duration = |failed| Duration::from_secs(u64::from(failed) * 60 + 7);
        assert_eq!(Backoff::computed(short), Backoff::computed(short));
        assert_ne!(Backoff::computed(short), Backoff::computed(long));
    }
}
