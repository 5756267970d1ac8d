//! The settings of the simpler policies.

use std::time::Duration;

use super::{Rule, TripPolicy};
use crate::error::ConfigError;

/// A policy that trips on a share of failed calls; see [`TripPolicy::failure_rate`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a policy does nothing until it is given to a builder"]
pub struct FailureRate {
    pub(super) threshold: f64,
    pub(super) min_calls: u32,
}

impl FailureRate {
    pub(super) const DEFAULT_MIN_CALLS: u32 = 10;

    /// Judges nothing before the window holds `calls` calls (default 10, at least 1).
    ///
    /// With too few calls, two failures of three trip. With too many, a dependency that is rarely
    /// called is never judged.
    pub fn min_calls(mut self, calls: u32) -> Self {
        self.min_calls = calls;
        self
    }
}

impl From<FailureRate> for TripPolicy {
    fn from(rate: FailureRate) -> Self {
        Self(Rule::FailureRate {
            threshold: rate.threshold,
            min_calls: rate.min_calls,
        })
    }
}

/// A policy that trips on a number of failed calls; see [`TripPolicy::failure_count`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a policy does nothing until it is given to a builder"]
pub struct FailureCount {
    pub(super) limit: u32,
    pub(super) min_calls: u32,
}

impl FailureCount {
    pub(super) const DEFAULT_MIN_CALLS: u32 = 1;

    /// Judges nothing before the window holds `calls` calls (default 1, at least 1).
    ///
    /// The breaker judges when a call fails. So it trips at the first failure at which both numbers
    /// are reached.
    ///
    /// ```
    /// use tripcurve::{CircuitBreaker, State, TripPolicy};
    ///
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .trip_when(TripPolicy::failure_count(2).min_calls(5))
    ///     .build()?;
    /// for is_ok in [false, false, true, true] {
    ///     let _ = breaker.call(|| if is_ok { Ok(()) } else { Err("timeout") });
    /// }
    /// assert_eq!(breaker.state(), State::Closed);
    /// let _ = breaker.call(|| Err::<(), _>("timeout"));
    /// assert_eq!(breaker.state(), State::Open);
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn min_calls(self, calls: u32) -> Self {
        Self {
            min_calls: calls,
            ..self
        }
    }
}

impl From<FailureCount> for TripPolicy {
    fn from(count: FailureCount) -> Self {
        Self(Rule::FailureCount {
            limit: count.limit,
            min_calls: count.min_calls,
        })
    }
}

/// A policy that trips on a share of slow calls; see [`TripPolicy::slow_rate`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a policy does nothing until it is given to a builder"]
pub struct SlowRate {
    pub(super) threshold: f64,
    pub(super) slower_than: Option<Duration>,
    pub(super) min_calls: u32,
}

impl SlowRate {
    /// Sets the limit above which a call is slow: 1 µs to 1 hour. It must be set.
    ///
    /// A call that takes exactly this long isn't slow. All [`slow_rate`](TripPolicy::slow_rate)
    /// policies of a breaker have the same limit.
    pub fn slower_than(mut self, duration: Duration) -> Self {
        self.slower_than = Some(duration);
        self
    }

    /// Judges nothing before there are `calls` calls, overdue ones included (default 10, at least
    /// 1).
    pub fn min_calls(mut self, calls: u32) -> Self {
        self.min_calls = calls;
        self
    }
}

/// A policy that trips on a percentile; see [`TripPolicy::latency_percentile`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a policy does nothing until it is given to a builder"]
pub struct LatencyPercentile {
    pub(super) percentile: f64,
    pub(super) above: Option<Duration>,
    pub(super) min_calls: u32,
}

impl LatencyPercentile {
    pub(super) const DEFAULT_MIN_CALLS: u32 = 100;

    /// Sets the limit above which the percentile trips: 1 µs to 1 minute. It must be set.
    pub fn above(mut self, duration: Duration) -> Self {
        self.above = Some(duration);
        self
    }

    /// Judges nothing before the window holds `calls` calls (default 100, at least 1).
    pub fn min_calls(mut self, calls: u32) -> Self {
        self.min_calls = calls;
        self
    }
}

/// A policy that compares with the dependency's own past; see [`TripPolicy::slower_than_usual`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a policy does nothing until it is given to a builder"]
pub struct SlowerThanUsual {
    pub(super) factor: f64,
    pub(super) percentile: f64,
    pub(super) min_calls: u32,
}

impl SlowerThanUsual {
    /// Sets the percentile that is compared: `1.0..=99.999` (default 90.0).
    pub fn percentile(mut self, percentile: f64) -> Self {
        self.percentile = percentile;
        self
    }

    /// Judges nothing and learns nothing before the window holds `calls` calls (default 100, at
    /// least 1).
    pub fn min_calls(mut self, calls: u32) -> Self {
        self.min_calls = calls;
        self
    }
}

/// Checks the limit above which a call is slow.
pub(super) fn check_slow(
    setting: &'static str,
    limit: Option<Duration>,
) -> Result<(), ConfigError> {
    check_limit(setting, limit, Duration::from_secs(3_600), "in 1µs..=1h")
}

pub(super) fn check_limit(
    setting: &'static str,
    limit: Option<Duration>,
    longest: Duration,
    expected: &'static str,
) -> Result<(), ConfigError> {
    let hint = "about three times what the slowest healthy calls take suits most services";
    match limit {
        Some(limit) if (Duration::from_micros(1)..=longest).contains(&limit) => Ok(()),
        Some(limit) => Err(ConfigError::new(
            setting,
            format!("{limit:?}"),
            expected,
            hint,
        )),
        None => Err(ConfigError::new(setting, "unset", expected, hint)),
    }
}

/// Checks a share of the calls at which a policy trips.
pub(super) fn check_share(setting: &'static str, share: f64) -> Result<(), ConfigError> {
    if share > 0.0 && share <= 1.0 {
        return Ok(());
    }
    Err(ConfigError::new(
        setting,
        share,
        "above 0.0 and at most 1.0",
        "it is a fraction: half of the calls is 0.5",
    ))
}

pub(super) fn check_percentile(setting: &'static str, percentile: f64) -> Result<(), ConfigError> {
    if (1.0..=99.999).contains(&percentile) {
        Ok(())
    } else {
        Err(ConfigError::new(
            setting,
            percentile,
            "in 1.0..=99.999",
            "the time that 99 of 100 calls don't exceed is percentile 99.0",
        ))
    }
}
