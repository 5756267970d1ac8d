//! sony/gobreaker v2: consecutive failures. It drops results of calls from an earlier state.
//!
//! The source is `v2/gobreaker.go`. `Interval` and `BucketPeriod` are left out: by default they are
//! 0, which clears nothing while closed. So are functions other than the default for `ReadyToTrip`.

use crate::breaker::{Breaker, Nanos, Phase};

use super::SECOND;

/// gobreaker's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `MaxRequests`: how many calls half-open lets through, and how many successes in a row close
    /// it. Default: 1.
    pub max_requests: u32,
    /// `Timeout`: once more than this has passed, a call is let through. Default: 60 s.
    pub timeout: Nanos,
    /// `ReadyToTrip`: more failures in a row than this trip it. Default: 5.
    pub consecutive_failures: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_requests: 1,
            timeout: 60 * SECOND,
            consecutive_failures: 5,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Nanos },
    HalfOpen { requests: u32, successes: u32 },
}

/// The generation that let a call through.
#[derive(Clone, Copy, Debug)]
pub struct Generation(u64);

/// A breaker that decides as gobreaker does.
#[derive(Clone, Debug)]
pub struct Gobreaker {
    settings: Settings,
    state: State,
    generation: u64,
}

impl Gobreaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: State::Closed { failures: 0 },
            generation: 0,
        }
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }

    /// Goes on to half-open when it is time. Each call and each result does this first.
    fn advance(&mut self, now: Nanos) {
        if let State::Open { until } = self.state
            && now > until
        {
            self.enter(State::HalfOpen {
                requests: 0,
                successes: 0,
            });
        }
    }

    fn open(&mut self, now: Nanos) {
        self.enter(State::Open {
            until: now + self.settings.timeout,
        });
    }
}

impl Breaker for Gobreaker {
    type Permit = Generation;

    fn admit(&mut self, now: Nanos) -> Option<Generation> {
        self.advance(now);
        match &mut self.state {
            State::Closed { .. } => {}
            State::Open { .. } => return None,
            State::HalfOpen { requests, .. } => {
                if *requests >= self.settings.max_requests {
                    return None;
                }
                *requests += 1;
            }
        }
        Some(Generation(self.generation))
    }

    fn record(&mut self, permit: Generation, now: Nanos, succeeded: bool, _took: Nanos) {
        self.advance(now);
        if permit.0 != self.generation {
            return;
        }
        match &mut self.state {
            State::Closed { failures } if succeeded => *failures = 0,
            State::Closed { failures } => {
                *failures += 1;
                if *failures > self.settings.consecutive_failures {
                    self.open(now);
                }
            }
            // No call was let through in this state.
            State::Open { .. } => {}
            State::HalfOpen { successes, .. } if succeeded => {
                *successes += 1;
                if *successes >= self.settings.max_requests {
                    self.enter(State::Closed { failures: 0 });
                }
            }
            State::HalfOpen { .. } => self.open(now),
        }
    }

    fn phase(&self, now: Nanos) -> Phase {
        match self.state {
            State::Closed { .. } => Phase::Closed,
            State::Open { until } if now <= until => Phase::Open,
            State::Open { .. } | State::HalfOpen { .. } => Phase::Recovering,
        }
    }
}
