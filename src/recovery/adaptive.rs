//! The working parts of an adaptive recovery.

use super::{Outage, Ramp};

/// What a breaker with an adaptive recovery has besides.
#[derive(Debug)]
pub struct AdaptiveRecovery {
    /// When to probe.
    pub outage: Outage,
    /// How to let the traffic back.
    pub ramp: Ramp,
    /// Whether the traffic says when to probe.
    pub by_traffic: bool,
    /// How old a call of the window may be, in nanoseconds; any age, if nothing says so.
    pub window: u64,
}

impl AdaptiveRecovery {
    /// A recovery with such a ramp. `seed` tells its jitter from that of others.
    #[must_use]
    pub fn new(ramp: Ramp, by_traffic: bool, seed: u64, window: u64, now: u64) -> Self {
        Self {
            outage: Outage::new(seed, now),
            ramp,
            by_traffic,
            window,
        }
    }

    /// Whether both were made by the same settings.
    #[must_use]
    pub fn same_config(&self, other: &Self) -> bool {
        let shape = |it: &Self| (it.by_traffic, it.window);
        shape(self) == shape(other) && self.ramp.same_config(&other.ramp)
    }
}
