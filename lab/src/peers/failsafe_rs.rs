//! failsafe-rs (crate `failsafe` 1.3): Finagle's policies, with a half-open state that admits all
//! calls.
//!
//! The source is `state_machine.rs`, `failure_policy.rs`, `ema.rs`, `windowed_adder.rs` and
//! `backoff.rs`. `tests/it/peers_failsafe.rs` compares this module with the crate call by call.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::breaker::{Breaker, Nanos, Phase};

use super::SECOND;
use super::accrual::{self, Accrual, ConsecutiveFailures, Waits};

/// `success_rate_over_time_window`.
#[derive(Clone, Copy, Debug)]
pub struct SuccessRate {
    /// `required_success_rate`: it trips when the moving average is below. Default: 0.8.
    pub required: f64,
    /// `min_request_threshold`: no verdict on fewer requests in the window. Default: 5.
    pub minimum_requests: u32,
    /// `window`: the window of the moving average, in whole seconds. It doesn't trip earlier.
    /// Default: 30.
    pub window_seconds: u64,
}

/// How long it stays open. The growing waits are counted in whole seconds.
#[derive(Clone, Copy, Debug)]
pub enum Backoff {
    /// Every wait is equally long.
    Constant(Nanos),
    /// Each wait is twice the previous one.
    Exponential {
        /// The first wait.
        start: Nanos,
        /// The longest wait.
        max: Nanos,
    },
    /// Half of the exponential wait, plus a random part of up to the other half.
    EqualJittered {
        /// Twice the shortest wait.
        start: Nanos,
        /// The longest wait.
        max: Nanos,
    },
}

/// failsafe-rs's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The first policy. If both policies trip, the longer wait counts.
    pub success_rate: Option<SuccessRate>,
    /// `consecutive_failures`: it trips after this many in a row. Default: 5.
    pub consecutive_failures: Option<u32>,
    /// The waits of both policies. Default: equal-jittered from 10 s to 300 s.
    pub backoff: Backoff,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            success_rate: Some(SuccessRate {
                required: 0.8,
                minimum_requests: 5,
                window_seconds: 30,
            }),
            consecutive_failures: Some(5),
            backoff: Backoff::EqualJittered {
                start: 10 * SECOND,
                max: 300 * SECOND,
            },
        }
    }
}

const MOST_DOUBLINGS: u32 = 30;

#[derive(Clone, Debug)]
struct BackedOff {
    backoff: Backoff,
    doublings: u32,
    random: Xoshiro256PlusPlus,
}

impl Waits for BackedOff {
    fn next(&mut self) -> Nanos {
        let seconds =
            |start: Nanos, max: Nanos| ((start / SECOND) << self.doublings).min(max / SECOND);
        let wait = match self.backoff {
            Backoff::Constant(wait) => wait,
            Backoff::Exponential { start, max } => seconds(start, max) * SECOND,
            Backoff::EqualJittered { start, max } => {
                let half = seconds(start, max) / 2;
                (half + self.random.random_range(0..=half)) * SECOND
            }
        };
        self.doublings = (self.doublings + 1).min(MOST_DOUBLINGS);
        wait
    }

    fn restart(&mut self) {
        self.doublings = 0;
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed,
    Open { until: Nanos, wait: Nanos },
    HalfOpen { wait: Nanos },
}

/// A breaker that decides as failsafe-rs does.
#[derive(Clone, Debug)]
pub struct FailsafeRs {
    state: State,
    policy: Accrual<BackedOff>,
}

impl FailsafeRs {
    /// A closed breaker. `seed` is the seed of its waits.
    #[must_use]
    pub fn new(settings: &Settings, seed: u64) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut waits = || {
            let own = random.clone();
            random.jump();
            BackedOff {
                backoff: settings.backoff,
                doublings: 0,
                random: own,
            }
        };
        let success_rate = settings.success_rate.map(|rate| {
            let window = rate.window_seconds * SECOND;
            let policy =
                accrual::SuccessRate::new(rate.required, rate.minimum_requests, window, true);
            (policy, waits())
        });
        let consecutive = settings
            .consecutive_failures
            .map(|threshold| (ConsecutiveFailures::new(threshold), waits()));
        Self {
            state: State::Closed,
            policy: Accrual {
                success_rate,
                consecutive,
            },
        }
    }

    fn open(&mut self, now: Nanos, wait: Nanos) {
        self.state = State::Open {
            until: now + wait,
            wait,
        };
    }
}

impl Breaker for FailsafeRs {
    type Permit = ();

    fn admit(&mut self, now: Nanos) -> Option<()> {
        match self.state {
            State::Closed | State::HalfOpen { .. } => Some(()),
            State::Open { until, wait } if now > until => {
                self.state = State::HalfOpen { wait };
                Some(())
            }
            State::Open { .. } => None,
        }
    }

    fn record(&mut self, (): (), now: Nanos, succeeded: bool, _took: Nanos) {
        // Every call that ends counts, in whichever state it was let through.
        if succeeded {
            if let State::HalfOpen { .. } = self.state {
                self.policy.revive(now);
                self.state = State::Closed;
            }
            self.policy.succeed(now);
            return;
        }
        match self.state {
            State::Closed => {
                if let Some(wait) = self.policy.fail(now) {
                    self.open(now, wait);
                }
            }
            State::HalfOpen { wait } => {
                let wait = self.policy.fail(now).unwrap_or(wait);
                self.open(now, wait);
            }
            State::Open { .. } => {}
        }
    }

    fn phase(&self, now: Nanos) -> Phase {
        match self.state {
            State::Closed => Phase::Closed,
            State::Open { until, .. } if now <= until => Phase::Open,
            State::Open { .. } | State::HalfOpen { .. } => Phase::Recovering,
        }
    }
}
