//! Polly v8's circuit breaker strategy: a failure ratio over ten buckets, judged on failures.
//!
//! The source is `CircuitStateController.cs` and `RollingHealthMetrics.cs`. These are left out:
//! sampling under 200 ms (one bucket there), generated break durations, and manual isolation. So
//! are outcomes that are neither success nor handled failure, which Polly takes for successes.

use std::collections::VecDeque;

use crate::breaker::{Breaker, Nanos, Phase};

use super::SECOND;
use super::counts::Counts;

const BUCKETS: usize = 10;

/// Polly's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `FailureRatio`: it trips from this share of failures on. Default: 0.1.
    pub failure_ratio: f64,
    /// `MinimumThroughput`: no verdict on fewer calls. Default: 100.
    pub minimum_throughput: u32,
    /// `SamplingDuration`: how long a call counts. Default: 30 s.
    pub sampling_duration: Nanos,
    /// `BreakDuration`: once this has passed, a call is let through. Default: 5 s.
    pub break_duration: Nanos,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            failure_ratio: 0.1,
            minimum_throughput: 100,
            sampling_duration: 30 * SECOND,
            break_duration: 5 * SECOND,
        }
    }
}

/// Buckets of calls. A new one begins with the first call after the previous one has aged, not on a
/// grid.
#[derive(Clone, Debug)]
struct Health {
    sampling: Nanos,
    buckets: VecDeque<(Nanos, Counts)>,
    sum: Counts,
}

impl Health {
    fn new(sampling: Nanos) -> Self {
        // One more than are kept, because a new bucket is added before the oldest is removed.
        let buckets = VecDeque::with_capacity(BUCKETS + 1);
        Self {
            sampling,
            buckets,
            sum: Counts::default(),
        }
    }

    fn record(&mut self, now: Nanos, call: Counts) -> Counts {
        let width = self.sampling / 10;
        let stale = |(began, _): &(Nanos, Counts)| now - began >= width;
        if self.buckets.back().is_none_or(stale) {
            self.buckets.push_back((now, Counts::default()));
        }
        if let Some((_, newest)) = self.buckets.back_mut() {
            *newest += call;
        }
        self.sum += call;
        while let Some(&(began, calls)) = self.buckets.front()
            && now - began >= self.sampling
        {
            self.sum -= calls;
            self.buckets.pop_front();
        }
        self.sum
    }

    fn clear(&mut self) {
        self.buckets.clear();
        self.sum = Counts::default();
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed,
    Open { until: Nanos },
    HalfOpen,
}

/// A breaker that decides as Polly's does.
#[derive(Clone, Debug)]
pub struct Polly {
    settings: Settings,
    state: State,
    health: Health,
}

impl Polly {
    /// A closed breaker.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let health = Health::new(settings.sampling_duration);
        Self {
            settings,
            state: State::Closed,
            health,
        }
    }

    fn open(&mut self, now: Nanos) {
        self.state = State::Open {
            until: now + self.settings.break_duration,
        };
    }
}

impl Breaker for Polly {
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

    fn record(&mut self, (): (), now: Nanos, succeeded: bool, _took: Nanos) {
        match self.state {
            State::Closed => {
                let calls = self.health.record(now, Counts::one(!succeeded, false));
                if !succeeded
                    && calls.total >= self.settings.minimum_throughput
                    && calls.failed_share() >= self.settings.failure_ratio
                {
                    self.open(now);
                }
            }
            // Polly counts such a call, but forgets it before any verdict.
            State::Open { .. } => {}
            // The first call to end decides, in whichever state it was let through.
            State::HalfOpen if succeeded => {
                self.health.clear();
                self.state = State::Closed;
            }
            State::HalfOpen => self.open(now),
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
