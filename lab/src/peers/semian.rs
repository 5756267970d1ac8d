//! Shopify's adaptive Semian: a PID controller sets the share of calls that it rejects.
//!
//! This follows version 0.28.2 of the gem, at commit 8835b3da. The sources are
//! `pid_controller.rb`, `pid_controller_thread.rb`, `simple_exponential_smoother.rb` and
//! `simple_sliding_window.rb`. The controller updates the share once a second. The gem's thread
//! also updates between calls, so this peer makes up for missed updates at the next call.
//!
//! The gem keeps at most 200 timestamps of each outcome per second of its window. So above 200
//! calls per second, it overestimates the failure rate. That is a property of the gem, not of the
//! lab. The gem also keeps the times of rejected calls, but its decision doesn't use them.

use std::collections::VecDeque;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::breaker::{Breaker, Nanos, Phase};
use crate::time::{number, seconds};

use super::SECOND;

/// The settings of adaptive Semian.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// `kp`: the weight of the present deviation. Default: 1.
    pub proportional: f64,
    /// `ki`: the weight of the sum of deviations. Default: 0.2.
    pub integral: f64,
    /// `kd`: the weight of the deviation's change. Default: 0.
    pub derivative: f64,
    /// `integral_lower_cap`: the least sum of deviations. Default: −10.
    pub least_sum: f64,
    /// `integral_upper_cap`: the greatest sum of deviations. Default: 10.
    pub greatest_sum: f64,
    /// `window_size`: how long an outcome counts. Default: 10 s.
    pub window: Nanos,
    /// `SEMIAN_ADAPTIVE_CIRCUIT_BREAKER_SLIDING_INTERVAL`: the time between two updates. Default:
    /// 1 s.
    pub interval: Nanos,
    /// `dead_zone_ratio`: a failure rate above the usual one by at most this part of it counts as
    /// usual. Default: 0.25.
    pub dead_zone: f64,
    /// `initial_error_rate`: the usual failure rate of a new breaker. Default: 0.05.
    pub initial_rate: f64,
    /// `ideal_error_rate_estimator_cap_value`: the breaker doesn't learn from a higher failure rate
    /// than this. Default: 0.1.
    pub learned_at_most: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            proportional: 1.0,
            integral: 0.2,
            derivative: 0.0,
            least_sum: -10.0,
            greatest_sum: 10.0,
            window: 10 * SECOND,
            interval: SECOND,
            dead_zone: 0.25,
            initial_rate: 0.05,
            learned_at_most: 0.1,
        }
    }
}

/// The most recent times of one outcome.
#[derive(Clone, Debug)]
struct Times {
    times: VecDeque<Nanos>,
    most: usize,
}

impl Times {
    fn new(most: usize) -> Self {
        Self {
            times: VecDeque::with_capacity(most),
            most,
        }
    }

    fn push(&mut self, now: Nanos) {
        if self.times.len() == self.most {
            self.times.pop_front();
        }
        self.times.push_back(now);
    }

    fn forget_before(&mut self, oldest: Nanos) {
        while self.times.front().is_some_and(|&time| time < oldest) {
            self.times.pop_front();
        }
    }

    fn count(&self) -> f64 {
        number(self.times.len() as u64)
    }
}

/// The usual failure rate, smoothed exponentially. It falls faster than it rises.
#[derive(Clone, Debug)]
struct Usual {
    rate: f64,
    learned_at_most: f64,
    observations: u64,
    /// With fewer observations it learns faster: those of 30 minutes.
    few: u64,
}

impl Usual {
    fn learn(&mut self, rate: f64) {
        if rate > self.learned_at_most {
            return;
        }
        self.observations += 1;
        let weight = match (self.observations < self.few, rate > self.rate) {
            (true, true) => 0.0017,
            (true, false) => 0.078,
            (false, true) => 0.0009,
            (false, false) => 0.039,
        };
        self.rate = weight * rate + (1.0 - weight) * self.rate;
    }
}

/// A breaker that rejects as adaptive Semian does.
#[derive(Clone, Debug)]
pub struct Semian {
    settings: Settings,
    failures: Times,
    successes: Times,
    usual: Usual,
    /// The share of calls that it rejects.
    rejects: f64,
    sum: f64,
    deviation: f64,
    next_update: Nanos,
    random: Xoshiro256PlusPlus,
}

impl Semian {
    /// A breaker that rejects nothing yet. `seed` is the seed of its random draws.
    #[must_use]
    pub fn new(settings: Settings, seed: u64) -> Self {
        let most = usize::try_from(200 * settings.window / SECOND).unwrap_or(usize::MAX);
        let interval = settings.interval.max(1);
        Self {
            failures: Times::new(most.max(1)),
            successes: Times::new(most.max(1)),
            usual: Usual {
                rate: settings.initial_rate,
                learned_at_most: settings.learned_at_most,
                observations: 0,
                few: 30 * (60 * SECOND / interval),
            },
            rejects: 0.0,
            sum: 0.0,
            deviation: 0.0,
            next_update: interval,
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            settings: Settings {
                interval,
                ..settings
            },
        }
    }

    /// The share of calls that it rejects, as of the last call.
    #[must_use]
    pub fn rejects(&self) -> f64 {
        self.rejects
    }

    fn advance(&mut self, now: Nanos) {
        while self.next_update <= now {
            self.update(self.next_update);
            self.next_update += self.settings.interval;
        }
    }

    /// Sets the share again, from the outcomes up to `now`.
    fn update(&mut self, now: Nanos) {
        let failure_rate = self.failure_rate(now);
        self.usual.learn(failure_rate);
        let above = failure_rate - self.usual.rate;
        let is_noise = above > 0.0 && above <= self.usual.rate * self.settings.dead_zone;
        let above = if is_noise { 0.0 } else { above };
        let deviation = above - (1.0 - above) * self.rejects;

        let settings = &self.settings;
        let interval = seconds(settings.interval);
        self.sum += deviation * interval;
        let change = settings.proportional * deviation
            + settings.integral * self.sum
            + settings.derivative * (deviation - self.deviation) / interval;
        self.rejects = (self.rejects + change).clamp(0.0, 1.0);
        // The sum is limited only after its use, as in the gem.
        self.sum = self.sum.clamp(settings.least_sum, settings.greatest_sum);
        self.deviation = deviation;
    }

    /// The failure rate of the calls that were let through. It is 0 without any.
    fn failure_rate(&mut self, now: Nanos) -> f64 {
        let oldest = now.saturating_sub(self.settings.window);
        self.failures.forget_before(oldest);
        self.successes.forget_before(oldest);
        let failures = self.failures.count();
        failures / (failures + self.successes.count()).max(1.0)
    }
}

impl Breaker for Semian {
    type Permit = ();

    fn admit(&mut self, now: Nanos) -> Option<()> {
        self.advance(now);
        let rejected = self.rejects > 0.0 && self.random.random::<f64>() < self.rejects;
        (!rejected).then_some(())
    }

    fn record(&mut self, (): (), now: Nanos, succeeded: bool, _took: Nanos) {
        self.advance(now);
        if succeeded {
            self.successes.push(now);
        } else {
            self.failures.push(now);
        }
    }

    /// Open if it rejects at least every second call, closed otherwise, as of the last call. The
    /// controller itself has no states.
    fn phase(&self, _now: Nanos) -> Phase {
        if self.rejects >= 0.5 {
            Phase::Open
        } else {
            Phase::Closed
        }
    }
}
