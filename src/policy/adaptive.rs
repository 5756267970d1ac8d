//! The adaptive policy's settings.

use std::time::Duration;

use super::settings::check_slow;
use crate::adaptive::AdaptiveConfig;
use crate::error::ConfigError;

/// A policy that trips on evidence; see
/// [`TripPolicy::adaptive`](crate::TripPolicy::adaptive).
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a policy does nothing until it is given to a builder"]
pub struct Adaptive {
    pub(super) config: AdaptiveConfig,
    pub(super) slower_than: Option<Duration>,
}

impl Adaptive {
    /// Sets the share of calls that may fail for any length of time: `0.0..=0.9` (default 0.25).
    ///
    /// One bad shard of four is not an outage for callers of the other three. With 0.0 the breaker
    /// trips on any share that is clearly above the usual one. It then trips sooner, and also where
    /// most calls still succeed. A share of up to 25 % that an [adaptive
    /// recovery](crate::Recovery::adaptive) accepts becomes usual. An outage of 60 % trips it
    /// whatever was learnt.
    ///
    /// A bad shard of somewhat more calls trips the breaker. Each [adaptive
    /// recovery](crate::Recovery::adaptive) would then find that the load isn't the cause, close,
    /// and trip again. So from the second opening on, the breaker tolerates 0.2 more, at most 0.9.
    /// It does so if fewer than 65 % of the calls failed and a ramp had too many failures within
    /// the last ten minutes. An opening on 65 % or more ends that, and so does an hour without an
    /// opening. An outage of 60 % still trips it, though later. The breaker doesn't save that it
    /// tolerates more.
    pub fn tolerate(mut self, fraction: f64) -> Self {
        self.config.tolerate = fraction;
        self
    }

    /// Sets the mean time between two trips on mere noise: a minute to ten years (default a day).
    ///
    /// A longer time takes more evidence: ten times as long takes 2.3 nats more. Where 1 % of the
    /// calls usually fail, that is half a failed call.
    pub fn false_trip_budget(mut self, duration: Duration) -> Self {
        self.config.false_trip_budget = duration;
        self
    }

    /// Sets the limit above which a call is slow: 1 µs to 1 hour (default none).
    ///
    /// A slow call counts as failed, also while it has not come back. It counts once, however long
    /// it takes. So a share of slow calls that is usual trips nothing, up to 15 % of the calls.
    /// Calls that are late only because the caller's process stalled don't count. A call that is
    /// dropped after the limit counts as failed too, unlike one that is dropped earlier.
    ///
    /// The breaker then measures how long calls take. A call that is timed reads the clock twice. Of
    /// dense traffic only a sample is timed, unless you ask for
    /// [`Timing::EveryCall`](crate::window::Timing::EveryCall). The sample has at least 512 calls in
    /// half of the limit. So up to 20,000 calls a second each call is timed with a limit of 100 ms,
    /// and up to 2,000 with one of 1 s. [`timing`](crate::CircuitBreakerBuilder::timing) says how
    /// soon a sample shows slowness.
    pub fn slower_than(mut self, duration: Duration) -> Self {
        self.slower_than = Some(duration);
        self
    }

    pub(super) fn check(&self, capacity: Option<u32>) -> Result<(), ConfigError> {
        let tolerate = self.config.tolerate;
        if !(0.0..=0.9).contains(&tolerate) {
            return Err(ConfigError::new(
                "trip_when.adaptive.tolerate",
                tolerate,
                "in 0.0..=0.9",
                "it is a fraction: one call of four is 0.25",
            ));
        }
        let budget = self.config.false_trip_budget;
        let ten_years = Duration::from_secs(10 * 365 * 86_400);
        if !(Duration::from_secs(60)..=ten_years).contains(&budget) {
            return Err(ConfigError::new(
                "trip_when.adaptive.false_trip_budget",
                format!("{budget:?}"),
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
        if self.slower_than.is_none() {
            return Ok(());
        }
        check_slow("trip_when.adaptive.slower_than", self.slower_than)
    }
}
