//! Finagle's failure accrual: a moving success rate or consecutive failures, then one probe.
//!
//! The source is `FailureAccrualPolicy.scala`, `FailureAccrualFactory.scala`, `Ema.scala` and
//! `Backoff.scala`. In Finagle, a dead endpoint only reports that it is busy, and a balancer avoids
//! it. Here there is one endpoint, and busy means a rejection.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::breaker::{Breaker, Nanos, Phase};

use super::SECOND;
use super::accrual::{Accrual, ConsecutiveFailures, SuccessRate, Waits};

/// Finagle's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `requiredSuccessRate`: dead when the moving average is below. Default: 0.8.
    pub success_rate: f64,
    /// `window`: the window of the moving average. It doesn't trip earlier. Default: 30 s.
    pub window: Nanos,
    /// `minRequestThreshold`: the rate gives no verdict on fewer requests in the window. Default:
    /// 5.
    pub minimum_requests: u32,
    /// `numFailures`: dead after this many failures in a row. Default: 5.
    pub consecutive_failures: u32,
    /// The first wait. Later ones grow from it by `Backoff.equalJittered`. Default: 5 s.
    pub shortest_wait: Nanos,
    /// The longest wait. Default: 300 s.
    pub longest_wait: Nanos,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            success_rate: 0.8,
            window: 30 * SECOND,
            minimum_requests: 5,
            consecutive_failures: 5,
            shortest_wait: 5 * SECOND,
            longest_wait: 300 * SECOND,
        }
    }
}

/// The waits: the first one as it is, then half of an exponential growth plus a random part of up
/// to as much.
#[derive(Clone, Debug)]
struct EqualJittered {
    shortest: Nanos,
    longest: Nanos,
    upcoming: Nanos,
    doublings: u32,
    random: Xoshiro256PlusPlus,
}

impl EqualJittered {
    fn new(settings: &Settings, random: Xoshiro256PlusPlus) -> Self {
        let shortest = settings.shortest_wait.max(1);
        let longest = settings.longest_wait.max(shortest);
        Self {
            shortest,
            longest,
            upcoming: shortest,
            doublings: 0,
            random,
        }
    }
}

impl Waits for EqualJittered {
    fn next(&mut self) -> Nanos {
        let wait = self.upcoming;
        let half = self
            .shortest
            .saturating_mul(1 << self.doublings.min(62))
            .min(self.longest);
        self.upcoming = half
            .saturating_add(self.random.random_range(0..half))
            .min(self.longest);
        self.doublings += 1;
        wait
    }

    fn restart(&mut self) {
        self.upcoming = self.shortest;
        self.doublings = 0;
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    Alive,
    /// Dead until a given time. After that, one probe is let through.
    Dead {
        until: Nanos,
    },
    /// Rejects all calls while the probe is in flight.
    Probing,
}

/// A breaker that decides as Finagle does.
#[derive(Clone, Debug)]
pub struct Finagle {
    state: State,
    policy: Accrual<EqualJittered>,
}

impl Finagle {
    /// A breaker that takes calls. `seed` is the seed of its waits.
    #[must_use]
    pub fn new(settings: &Settings, seed: u64) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let of_rate = EqualJittered::new(settings, random.clone());
        random.jump();
        let of_run = EqualJittered::new(settings, random);
        let rate = SuccessRate::new(
            settings.success_rate,
            settings.minimum_requests,
            settings.window,
            false,
        );
        let run = ConsecutiveFailures::new(settings.consecutive_failures);
        Self {
            state: State::Alive,
            policy: Accrual {
                success_rate: Some((rate, of_rate)),
                consecutive: Some((run, of_run)),
            },
        }
    }
}

impl Breaker for Finagle {
    type Permit = ();

    fn admit(&mut self, now: Nanos) -> Option<()> {
        match self.state {
            State::Alive => Some(()),
            State::Dead { until } if now >= until => {
                self.state = State::Probing;
                Some(())
            }
            State::Dead { .. } | State::Probing => None,
        }
    }

    fn record(&mut self, (): (), now: Nanos, succeeded: bool, _took: Nanos) {
        // The first call to end while probing decides, in whichever state it was let through.
        match self.state {
            State::Probing if succeeded => {
                self.policy.revive(now);
                self.state = State::Alive;
            }
            State::Alive | State::Probing if !succeeded => {
                if let Some(wait) = self.policy.fail(now) {
                    self.state = State::Dead { until: now + wait };
                } else if let State::Probing = self.state {
                    // The policy can't tell, so the next call is a probe again.
                    self.state = State::Dead { until: now };
                }
            }
            _ => {}
        }
        if succeeded {
            self.policy.succeed(now);
        }
    }

    fn phase(&self, now: Nanos) -> Phase {
        match self.state {
            State::Alive => Phase::Closed,
            State::Dead { until } if now < until => Phase::Open,
            State::Dead { .. } | State::Probing => Phase::Recovering,
        }
    }
}
