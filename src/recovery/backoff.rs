//! Settings of open times that grow.

use std::time::Duration;

use crate::error::ConfigError;

/// How the open times of processes that have tripped at the same time are spread, so that they don't all
/// probe at once; for [`Backoff::jitter`].
///
/// The first three are those of Marc Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog,
/// 2015). *The time* is `base · factorⁿ` after `n` failed recoveries, `longest` at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Jitter {
    /// Anything up to the time, 1 ms at least. Spreads best, but some probe at once.
    Full,
    /// Half of the time at least.
    #[default]
    Equal,
    /// From `base` to `factor` times what the open time before was, so that it wanders up instead of
    /// doubling; `longest` at most. The paper's factor is 3.
    Decorrelated,
    /// The time itself.
    None,
}

/// Open times that grow with each recovery that fails; for [`CircuitBreakerBuilder::backoff`](crate::CircuitBreakerBuilder::backoff)
/// and [`Recovery::backoff`](crate::Recovery::backoff).
///
/// The breaker is open for `base` at first. A recovery has failed when a half-open breaker opens again, or
/// when one that has closed trips before it was [healthy](Self::healthy_after) for long enough; each
/// opening that follows `n` failed recoveries lasts `base · factorⁿ`, `longest` at most, of which
/// [`jitter`](Self::jitter) takes some away. The first 255 that fail count. A command begins anew:
/// [`reset`](crate::CircuitBreaker::reset), and [`trip`](crate::CircuitBreaker::trip), whose own time is
/// as it says.
///
/// Without a backoff and a fixed time a breaker has the [default](Self::default) one: 0.5 s at
/// first, twice as long with each recovery that fails, up to 5 s.
///
/// Cost: nothing on the path of a call. Any but the default takes about 90 bytes
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
    pub(super) base: Duration,
    pub(super) factor: f64,
    pub(super) longest: Duration,
    pub(super) jitter: Jitter,
    pub(super) healthy_after: Option<Duration>,
}

/// The open times of a breaker whose builder says nothing of them: 0.5 s at first, twice as long
/// with each recovery that fails, 5 s at most, with [`Jitter::Equal`].
impl Default for Backoff {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Backoff {
    pub(super) const DEFAULT: Self =
        Self::exponential(Duration::from_millis(500), 2.0, Duration::from_secs(5));

    const YEAR: Duration = Duration::from_secs(365 * 86_400);

    /// Open times of `base`, which is 1 ms to a year, then `factor` times as long with each recovery that
    /// fails, which is 1 to 100, and at most `longest`, from `base` to a year. With [`Jitter::Equal`].
    pub const fn exponential(base: Duration, factor: f64, longest: Duration) -> Self {
        Self {
            base,
            factor,
            longest,
            jitter: Jitter::Equal,
            healthy_after: None,
        }
    }

    /// How the times are spread; by default [`Jitter::Equal`], since a breaker that some open for next to
    /// nothing protects little.
    pub const fn jitter(self, jitter: Jitter) -> Self {
        Self { jitter, ..self }
    }

    /// How long the breaker must have been closed for the next trip to be the first one again: at least
    /// 1 ms; [`Duration::MAX`] for never. By default `base`.
    ///
    /// A dependency may be bad for a moment every few seconds. If it never works for this long, the
    /// open times grow and stay long. Choose a longer time for a dependency that breaks down again
    /// soon after the traffic is back.
    pub const fn healthy_after(self, duration: Duration) -> Self {
        Self {
            healthy_after: Some(duration),
            ..self
        }
    }

    /// The first open time.
    pub(crate) const fn base(self) -> Duration {
        self.base
    }

    pub(super) fn check(self) -> Result<(), ConfigError> {
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
            self.healthy_after.unwrap_or(self.base),
            Duration::MAX,
            "at least 1ms",
            "leave it out for as long as the first open time; Duration::MAX means never",
        )
    }
}
