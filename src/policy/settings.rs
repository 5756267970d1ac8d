//! The policies that have settings of their own.

use std::time::Duration;

use super::{Rule, TripPolicy};
use crate::error::ConfigError;

/// A share of failed calls that trips; see [`TripPolicy::failure_rate`].
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
    /// Too few, and two failures out of three trip; too many, and a dependency that is called
    /// seldom is never judged at all.
    pub fn min_calls(self, calls: u32) -> Self {
        Self {
            min_calls: calls,
            ..self
        }
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

/// A share of slow calls that trips; see [`TripPolicy::slow_rate`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a policy does nothing until it is given to a builder"]
pub struct SlowRate {
    pub(super) threshold: f64,
    pub(super) slower_than: Option<Duration>,
    pub(super) min_calls: u32,
}

impl SlowRate {
    /// From when on a call is slow: if it takes longer than this, 1 µs to 1 hour. Must be set.
    ///
    /// A call that takes exactly so long isn't slow. All [`slow_rate`](TripPolicy::slow_rate) policies
    /// of a breaker have the same limit.
    pub fn slower_than(self, duration: Duration) -> Self {
        Self {
            slower_than: Some(duration),
            ..self
        }
    }

    /// Judges nothing before there are `calls` calls (default 10, at least 1), those that are overdue
    /// among them.
    pub fn min_calls(self, calls: u32) -> Self {
        Self {
            min_calls: calls,
            ..self
        }
    }
}

impl From<SlowRate> for TripPolicy {
    fn from(rate: SlowRate) -> Self {
        Self(Rule::SlowRate(Box::new(rate)))
    }
}

/// A percentile that trips; see [`TripPolicy::latency_percentile`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a policy does nothing until it is given to a builder"]
pub struct LatencyPercentile {
    pub(super) percentile: f64,
    pub(super) above: Option<Duration>,
    pub(super) min_calls: u32,
}

impl LatencyPercentile {
    pub(super) const DEFAULT_MIN_CALLS: u32 = 100;

    /// Trips if the percentile is above this, 1 µs to 1 minute. Must be set.
    pub fn above(self, duration: Duration) -> Self {
        Self {
            above: Some(duration),
            ..self
        }
    }

    /// Judges nothing before the window holds `calls` calls (default 100, at least 1).
    pub fn min_calls(self, calls: u32) -> Self {
        Self {
            min_calls: calls,
            ..self
        }
    }
}

impl From<LatencyPercentile> for TripPolicy {
    fn from(percentile: LatencyPercentile) -> Self {
        Self(Rule::LatencyPercentile(Box::new(percentile)))
    }
}

/// A comparison with the dependency's own past that trips; see [`TripPolicy::slower_than_usual`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a policy does nothing until it is given to a builder"]
pub struct SlowerThanUsual {
    pub(super) factor: f64,
    pub(super) percentile: f64,
    pub(super) min_calls: u32,
}

impl SlowerThanUsual {
    /// Which percentile is compared, 1.0 to 99.999 (default 90.0).
    pub fn percentile(self, percentile: f64) -> Self {
        Self { percentile, ..self }
    }

    /// Judges nothing, and learns nothing, before the window holds `calls` calls (default 100, at
    /// least 1).
    pub fn min_calls(self, calls: u32) -> Self {
        Self {
            min_calls: calls,
            ..self
        }
    }
}

impl From<SlowerThanUsual> for TripPolicy {
    fn from(comparison: SlowerThanUsual) -> Self {
        Self(Rule::SlowerThanUsual(Box::new(comparison)))
    }
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
