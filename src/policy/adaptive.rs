//! The adaptive policy's settings.

use std::time::Duration;

use super::settings::check_limit;
use super::{Rule, TripPolicy};
use crate::adaptive::AdaptiveConfig;
use crate::error::ConfigError;

/// Trips on evidence; see [`TripPolicy::adaptive`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a policy does nothing until it is given to a builder"]
pub struct Adaptive {
    pub(super) config: AdaptiveConfig,
    pub(super) slower_than: Option<Duration>,
}

impl Adaptive {
    pub(super) const DEFAULT: Self = Self {
        config: AdaptiveConfig {
            tolerate: 0.25,
            false_trip_budget: Duration::from_secs(86_400),
        },
        slower_than: None,
    };

    /// The share of calls that may fail for as long as it likes: 0.0 to 0.9 (default 0.25).
    ///
    /// One bad shard of four is not an outage for who is served by the other three. With 0.0 the
    /// breaker trips on whatever is clearly more than usual: sooner, and also where most calls still
    /// succeed.
    pub fn tolerate(self, fraction: f64) -> Self {
        let config = AdaptiveConfig {
            tolerate: fraction,
            ..self.config
        };
        Self { config, ..self }
    }

    /// How much time should pass between two trips on mere noise, on average: a minute to ten years
    /// (default a day).
    ///
    /// The rarer, the more evidence it takes: ten times as rare costs 2.3 nats, which is half a failed
    /// call more where 1 % fail usually.
    pub fn false_trip_budget(self, duration: Duration) -> Self {
        let config = AdaptiveConfig {
            false_trip_budget: duration,
            ..self.config
        };
        Self { config, ..self }
    }

    /// From when on a call is slow, which then counts as failed, 1 µs to 1 hour; also while it has not
    /// come back (default: however long it takes).
    ///
    /// A call that is dropped after the limit counts so too, unlike one that is dropped earlier.
    ///
    /// The breaker then takes the time of calls, which costs a second reading of the clock.
    pub fn slower_than(self, duration: Duration) -> Self {
        Self {
            slower_than: Some(duration),
            ..self
        }
    }

    pub(super) fn check(&self, capacity: Option<u32>) -> Result<(), ConfigError> {
        let AdaptiveConfig {
            tolerate,
            false_trip_budget,
        } = self.config;
        if !(0.0..=0.9).contains(&tolerate) {
            return Err(ConfigError::new(
                "trip_when.adaptive.tolerate",
                tolerate,
                "in 0.0..=0.9",
                "it is a fraction: one call of four is 0.25",
            ));
        }
        let ten_years = Duration::from_secs(10 * 365 * 86_400);
        if !(Duration::from_secs(60)..=ten_years).contains(&false_trip_budget) {
            return Err(ConfigError::new(
                "trip_when.adaptive.false_trip_budget",
                format!("{false_trip_budget:?}"),
                "in 60s..=10 years",
                "a day suits most services",
            ));
        }
        if let Some(calls) = capacity {
            return Err(ConfigError::new(
                "trip_when.adaptive",
                format!("Window::count({calls})"),
                "a window by time, which shows how much traffic there is",
                "use Window::time; the decision looks at single calls and not at the window's length",
            ));
        }
        match self.slower_than {
            None => Ok(()),
            limit => check_limit(
                "trip_when.adaptive.slower_than",
                limit,
                Duration::from_secs(3_600),
                "in 1µs..=1h",
            ),
        }
    }
}

impl From<Adaptive> for TripPolicy {
    fn from(policy: Adaptive) -> Self {
        Self(Rule::Adaptive(Box::new(policy)))
    }
}
