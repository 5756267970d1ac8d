//! Google SRE's adaptive throttling: it rejects at random, more often the fewer calls succeed.
//!
//! The formula is equation 21-1 of "Handling Overload" in the SRE book: `max(0, (requests - K *
//! accepts) / (requests + 1))`. The code of aegis is in `circuitbreaker/sre/sre.go`. In both,
//! requests that were rejected here count as requests.
//!
//! In the book's form, a request counts when it begins. So at the start, before any response, many
//! requests are rejected. That is a property of the rule, not of the lab.

use std::ops::{AddAssign, SubAssign};

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::breaker::{Breaker, Nanos, Phase};

use super::SECOND;
use super::time_window::TimeWindow;

/// When an admitted request begins to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// When the request begins.
    AtStart,
    /// When the request ends.
    AtEnd,
}

/// The settings of adaptive throttling.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `K`: how many requests it lets through per request that the backend accepts. Default: 2.
    pub k: f64,
    /// How long a request counts. Default: 2 min.
    pub window: Nanos,
    /// The buckets of the window. Default: 120, because the book names no number.
    pub buckets: u32,
    /// With fewer requests in the window, all are let through. Default: 0, because the book has no
    /// such rule.
    pub minimum_requests: u32,
    /// When a request counts. Default: when it begins.
    pub counted: Counted,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            k: 2.0,
            window: 120 * SECOND,
            buckets: 120,
            minimum_requests: 0,
            counted: Counted::AtStart,
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Traffic {
    requests: u32,
    accepts: u32,
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.accepts += other.accepts;
    }
}

impl SubAssign for Traffic {
    fn sub_assign(&mut self, other: Self) {
        self.requests -= other.requests;
        self.accepts -= other.accepts;
    }
}

const REQUEST: Traffic = Traffic {
    requests: 1,
    accepts: 0,
};
const ACCEPT: Traffic = Traffic {
    requests: 0,
    accepts: 1,
};

/// A throttle that decides as the SRE book says.
#[derive(Clone, Debug)]
pub struct AdaptiveThrottling {
    settings: Settings,
    traffic: TimeWindow<Traffic>,
    random: Xoshiro256PlusPlus,
}

impl AdaptiveThrottling {
    /// A throttle that has seen nothing. `seed` is the seed of its random draws.
    #[must_use]
    pub fn new(settings: Settings, seed: u64) -> Self {
        let width = settings.window / Nanos::from(settings.buckets.max(1));
        Self {
            traffic: TimeWindow::new(width, settings.buckets),
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            settings,
        }
    }

    /// The probability that a call is rejected.
    fn rejection(&self, traffic: Traffic) -> f64 {
        if traffic.requests < self.settings.minimum_requests {
            return 0.0;
        }
        let requests = f64::from(traffic.requests);
        let accepts = f64::from(traffic.accepts);
        ((requests - self.settings.k * accepts) / (requests + 1.0)).max(0.0)
    }
}

impl Breaker for AdaptiveThrottling {
    type Permit = ();

    fn admit(&mut self, now: Nanos) -> Option<()> {
        let traffic = self.traffic.advance(now);
        let rejection = self.rejection(traffic);
        let rejected = rejection > 0.0 && self.random.random::<f64>() < rejection;
        if rejected || self.settings.counted == Counted::AtStart {
            self.traffic.add(now, REQUEST);
        }
        (!rejected).then_some(())
    }

    fn record(&mut self, (): (), now: Nanos, succeeded: bool, _took: Nanos) {
        if self.settings.counted == Counted::AtEnd {
            self.traffic.add(now, REQUEST);
        }
        if succeeded {
            self.traffic.add(now, ACCEPT);
        }
    }

    /// Open if it rejects at least every second call, closed otherwise. The throttle itself has no
    /// states.
    fn phase(&self, now: Nanos) -> Phase {
        if self.rejection(self.traffic.sum_at(now)) >= 0.5 {
            Phase::Open
        } else {
            Phase::Closed
        }
    }
}
