//! The working parts of an adaptive recovery.

use super::{Outage, Ramp};

/// The extra parts of a breaker with an adaptive recovery.
#[derive(Debug)]
pub struct AdaptiveRecovery {
    /// Decides when to probe.
    pub outage: Outage,
    /// Decides how to let the traffic back.
    pub ramp: Ramp,
    /// Whether the traffic decides when to probe.
    pub by_traffic: bool,
    /// The window's length in nanoseconds; `u64::MAX` if it has none.
    pub window: u64,
}

impl AdaptiveRecovery {
    /// Whether both have equal settings.
    #[must_use]
    pub fn same_config(&self, other: &Self) -> bool {
        let shape = |it: &Self| (it.by_traffic, it.window);
        shape(self) == shape(other)
            && self.outage.same_config(&other.outage)
            && self.ramp.same_config(&other.ramp)
    }
}
