//! Hystrix: an error percentage over ten seconds, judged only twice a second.
//!
//! The source is `HystrixCircuitBreaker.java`, `HealthCountsStream.java` and
//! `HystrixCommandProperties.java`. Its timeout and its thread pool belong to the caller here.
//! Forced states are left out.

use crate::breaker::{Breaker, Nanos, Phase};

use super::counts::Counts;
use super::time_window::TimeWindow;
use super::{MILLISECOND, SECOND};

/// Hystrix's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `circuitBreaker.requestVolumeThreshold`: no verdict on fewer calls. Default: 20.
    pub request_volume: u32,
    /// `circuitBreaker.errorThresholdPercentage`: it trips from this whole percentage on. Default:
    /// 50.
    pub error_percentage: u32,
    /// `circuitBreaker.sleepWindowInMilliseconds`: once more than this has passed, a call is let
    /// through. Default: 5 s.
    pub sleep_window: Nanos,
    /// `metrics.rollingStats.timeInMilliseconds`: how long a call counts. Default: 10 s.
    pub rolling_window: Nanos,
    /// `metrics.healthSnapshot.intervalInMilliseconds`: the time between two verdicts, and the
    /// width of a bucket. Default: 500 ms.
    pub snapshot_interval: Nanos,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            request_volume: 20,
            error_percentage: 50,
            sleep_window: 5 * SECOND,
            rolling_window: 10 * SECOND,
            snapshot_interval: 500 * MILLISECOND,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed,
    Open { since: Nanos },
    HalfOpen,
}

/// A breaker that decides as Hystrix does.
#[derive(Clone, Debug)]
pub struct Hystrix {
    settings: Settings,
    state: State,
    health: TimeWindow<Counts>,
}

impl Hystrix {
    /// A closed breaker whose first tick is one interval away.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let interval = settings.snapshot_interval.max(1);
        let complete = u32::try_from(settings.rolling_window / interval).unwrap_or(u32::MAX - 1);
        // Only complete buckets are judged, so the window has one more for the current calls. At a
        // tick the current bucket is empty. So the sum of all buckets is the sum of the complete
        // ones.
        let health = TimeWindow::new(interval, complete + 1);
        Self {
            settings,
            state: State::Closed,
            health,
        }
    }

    /// The state after all ticks up to `now`.
    fn state_at(&self, now: Nanos) -> State {
        match self.state {
            State::Closed => self
                .health
                .turns_until(now)
                .find(|&(_, calls)| self.is_unhealthy(calls))
                .map_or(State::Closed, |(since, _)| State::Open { since }),
            state => state,
        }
    }

    fn is_unhealthy(&self, calls: Counts) -> bool {
        let failed = u64::from(calls.failed) * 100;
        // The percentage is truncated to a whole number, as in an integer division.
        calls.total >= self.settings.request_volume
            && failed.checked_div(calls.total.into()).unwrap_or(0)
                >= self.settings.error_percentage.into()
    }

    fn advance(&mut self, now: Nanos) {
        self.state = self.state_at(now);
        self.health.advance(now);
    }

    fn slept(&self, since: Nanos, now: Nanos) -> bool {
        now > since + self.settings.sleep_window
    }
}

impl Breaker for Hystrix {
    type Permit = ();

    fn admit(&mut self, now: Nanos) -> Option<()> {
        self.advance(now);
        match self.state {
            State::Closed => Some(()),
            State::Open { since } if self.slept(since, now) => {
                self.state = State::HalfOpen;
                Some(())
            }
            State::Open { .. } | State::HalfOpen => None,
        }
    }

    fn record(&mut self, (): (), now: Nanos, succeeded: bool, _took: Nanos) {
        self.advance(now);
        // The first call to end in half-open decides, in whichever state it was let through.
        if let State::HalfOpen = self.state {
            if succeeded {
                self.state = State::Closed;
                self.health.restart(now);
            } else {
                self.state = State::Open { since: now };
            }
        }
        self.health.add(now, Counts::one(!succeeded, false));
    }

    fn phase(&self, now: Nanos) -> Phase {
        match self.state_at(now) {
            State::Closed => Phase::Closed,
            State::Open { since } if !self.slept(since, now) => Phase::Open,
            State::Open { .. } | State::HalfOpen => Phase::Recovering,
        }
    }
}
