//! Sentinel's degrade rule: a ratio or a count over one bucket, which is cleared at each interval.
//!
//! The source is `ExceptionCircuitBreaker.java`, `ResponseTimeCircuitBreaker.java` and
//! `AbstractCircuitBreaker.java`. One rule is one breaker. A later rule that blocks the probe is
//! left out.

use crate::breaker::{Breaker, Nanos, Phase};

use super::SECOND;
use super::counts::Counts;
use super::time_window::TimeWindow;

/// The quantity that a rule watches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Grade {
    /// `EXCEPTION_RATIO`: trips above this share of failures. It never trips if the share is 1.
    ErrorRatio(f64),
    /// `EXCEPTION_COUNT`: trips above this many failures.
    ErrorCount(u32),
    /// `RT`: trips above a share of slow calls. If the share is 1, it trips at it.
    SlowRatio {
        /// `count`: a call that takes longer than this is slow.
        longer_than: Nanos,
        /// `slowRatioThreshold`. Default: 1.
        ratio: f64,
    },
}

/// Sentinel's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `grade` and its threshold. Default here: more than half of the calls failed. Sentinel has no
    /// default.
    pub grade: Grade,
    /// `minRequestAmount`: no verdict on fewer calls. Default: 5.
    pub minimum_requests: u32,
    /// `statIntervalMs`: the width of the bucket. Default: 1 s.
    pub interval: Nanos,
    /// `timeWindow`: once this has passed, a call is let through. Default here: 10 s. Sentinel has
    /// no default.
    pub time_window: Nanos,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            grade: Grade::ErrorRatio(0.5),
            minimum_requests: 5,
            interval: SECOND,
            time_window: 10 * SECOND,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed,
    Open { until: Nanos },
    HalfOpen,
}

/// A breaker that decides as a rule of Sentinel does.
#[derive(Clone, Debug)]
pub struct Sentinel {
    settings: Settings,
    state: State,
    bucket: TimeWindow<Counts>,
}

impl Sentinel {
    /// A closed breaker.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let bucket = TimeWindow::new(settings.interval, 1);
        Self {
            settings,
            state: State::Closed,
            bucket,
        }
    }

    fn open(&mut self, now: Nanos) {
        self.state = State::Open {
            until: now + self.settings.time_window,
        };
    }

    fn exceeds(&self, calls: Counts) -> bool {
        calls.total >= self.settings.minimum_requests
            && match self.settings.grade {
                Grade::ErrorRatio(ratio) => calls.failed_share() > ratio,
                Grade::ErrorCount(count) => calls.failed > count,
                Grade::SlowRatio { ratio, .. } => {
                    calls.slow_share() > ratio || (ratio >= 1.0 && calls.slow == calls.total)
                }
            }
    }
}

impl Breaker for Sentinel {
    type Permit = ();

    fn admit(&mut self, now: Nanos) -> Option<()> {
        match self.state {
            State::Closed => Some(()),
            State::Open { until } if now >= until => {
                self.state = State::HalfOpen;
                Some(())
            }
            State::Open { .. } | State::HalfOpen => None,
        }
    }

    fn record(&mut self, (): (), now: Nanos, succeeded: bool, took: Nanos) {
        let (slow, bad) = match self.settings.grade {
            Grade::SlowRatio { longer_than, .. } => (took > longer_than, took > longer_than),
            Grade::ErrorRatio(_) | Grade::ErrorCount(_) => (false, !succeeded),
        };
        let calls = self.bucket.add(now, Counts::one(!succeeded, slow));
        match self.state {
            State::Closed if self.exceeds(calls) => self.open(now),
            State::Closed | State::Open { .. } => {}
            // The first call to end decides, in whichever state it was let through.
            State::HalfOpen if bad => self.open(now),
            State::HalfOpen => {
                self.bucket.clear();
                self.state = State::Closed;
            }
        }
    }

    fn phase(&self, now: Nanos) -> Phase {
        match self.state {
            State::Closed => Phase::Closed,
            State::Open { until } if now < until => Phase::Open,
            State::Open { .. } | State::HalfOpen => Phase::Recovering,
        }
    }
}
