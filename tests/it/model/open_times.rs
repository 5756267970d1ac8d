//! How long the breaker stays open.

use std::ops::RangeInclusive;
use std::time::Duration;

use tripcurve::State;
use tripcurve::recovery::Jitter;

use super::{Config, Growth, end_of_open_time, nanos};

/// The latest opening.
#[derive(Clone, Copy, Debug)]
struct Opening {
    failed: i32,
    wait: u64,
}

/// Open times, fixed or growing.
#[derive(Clone, Debug)]
pub(super) struct OpenTimes {
    base: u64,
    growth: Option<Growth>,
    latest: Option<Opening>,
    /// The longest `Retry-After` that is honoured. With zero, none is.
    longest_wish: u64,
    /// The earliest time to which the dependency asked callers to wait.
    wished: u64,
}

impl OpenTimes {
    pub(super) fn new(config: &Config) -> Self {
        let mut times = Self {
            base: nanos(config.open_for),
            growth: config.growth(),
            latest: None,
            longest_wish: nanos(config.max_retry_after()),
            wished: 0,
        };
        if matches!(config.start(), State::Open | State::HalfOpen) {
            times.trip();
        }
        times
    }

    /// Applies another configuration from now on.
    pub(super) fn reconfigure(&mut self, config: &Config) {
        // A breaker without growing open times has counted nothing.
        if self.growth.is_none() || config.growth().is_none() {
            self.latest = None;
        }
        self.base = nanos(config.open_for);
        self.growth = config.growth();
        self.longest_wish = nanos(config.max_retry_after());
    }

    /// The time to which callers should wait, cut as if the `Retry-After` came now.
    pub(super) fn wished(&self, now: u64) -> u64 {
        let most = end_of_open_time(now, Duration::from_nanos(self.longest_wish));
        self.wished.min(most)
    }

    /// The process ends at `now`. The next process knows the rest of the `Retry-After`.
    pub(super) fn end(&mut self, now: u64) {
        self.wished = self.wished(now);
    }

    pub(super) fn reset(&mut self) {
        self.latest = None;
    }

    pub(super) fn trip(&mut self) {
        self.latest = Some(Opening {
            failed: 0,
            wait: self.base,
        });
    }

    /// Opens a breaker that was half-open, or was closed for `healthy` nanoseconds. Returns when
    /// the open time ends. Where the breaker decides at random, the model takes the remaining time
    /// `shown`, if it is possible. `by_traffic` has the possible times, if they go by the traffic.
    pub(super) fn open(
        &mut self,
        now: u64,
        healthy: u64,
        by_traffic: Option<RangeInclusive<u64>>,
        shown: Option<u64>,
    ) -> u64 {
        let until = match by_traffic {
            None => self.open_by_itself(now, healthy, shown),
            Some(range) => {
                let end = |wait| end_of_open_time(now, Duration::from_nanos(wait));
                let shown = now.saturating_add(shown.unwrap_or_default());
                shown.clamp(end(*range.start()), end(*range.end()))
            }
        };
        until.max(self.wished(now))
    }

    /// Notes a `Retry-After` in nanoseconds. Returns the earliest end of a current open time.
    pub(super) fn wish(&mut self, now: u64, wish: u64) -> u64 {
        let wish = Duration::from_nanos(wish.min(self.longest_wish));
        let until = end_of_open_time(now, wish);
        self.wished = self.wished.max(until);
        until
    }

    /// Forgets the openings if the breaker has been closed for long enough.
    pub(super) fn look_back(&mut self, healthy: u64) {
        let after = |growth: Growth| growth.healthy_after.map_or(self.base, nanos);
        if self.growth.is_some_and(|growth| healthy >= after(growth)) {
            self.latest = None;
        }
    }

    fn open_by_itself(&mut self, now: u64, healthy: u64, shown: Option<u64>) -> u64 {
        let end = |wait| end_of_open_time(now, Duration::from_nanos(wait));
        let Some(growth) = self.growth else {
            return end(self.base);
        };
        self.look_back(healthy);
        let latest = self.latest;
        let failed = latest.map_or(0, |latest| latest.failed.saturating_add(1).min(255));
        let (least, most) = self.range(growth, failed, latest);
        let until = now
            .saturating_add(shown.unwrap_or_default())
            .clamp(end(least), end(most));
        let wait = until.saturating_sub(now);
        self.latest = Some(Opening { failed, wait });
        until
    }

    /// The range of possible open times, allowing for rounding.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "to five digits"
    )]
    fn range(&self, growth: Growth, failed: i32, latest: Option<Opening>) -> (u64, u64) {
        // The previous open time is stored in these units, rounded up.
        const GRID: u64 = 1 << 20;
        let longest = nanos(growth.longest);
        let times = |time: u64, factor: f64| ((time as f64 * factor) as u64).min(longest);
        let time = times(self.base, growth.factor().powi(failed));
        let slack = if failed > 0 && time < longest {
            time / 100_000
        } else {
            0
        };
        let (least, most) = (time - slack, (time + slack).min(longest));
        match growth.jitter {
            Jitter::Full => (1_000_000.min(least), most),
            Jitter::Equal => (least / 2, most),
            Jitter::Decorrelated => {
                let before = latest.map_or(self.base, |latest| latest.wait + GRID);
                (self.base, times(before, growth.factor()).max(self.base))
            }
            _ => (least, most),
        }
    }
}
