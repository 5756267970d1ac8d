//! What only some breakers have, apart from the rest so that the others stay small.

use crate::adaptive::Evidence;
#[cfg(feature = "async")]
use crate::engine::probe_queue::ProbeQueue;
use crate::latency::times::Timed;
use crate::recovery::{AdaptiveRecovery, MaxRetryAfter, OpenTimes};
#[cfg(feature = "async")]
use crate::sync::wait_queue::EventQueue;

/// What a breaker has beside what all have.
#[derive(Debug, Default)]
pub struct Beside {
    /// If it takes the time of calls.
    pub timed: Option<Box<Timed>>,
    /// If it decides by evidence.
    pub evidence: Option<Box<Evidence>>,
    /// If its recovery is adaptive.
    pub recovery: Option<Box<AdaptiveRecovery>>,
    /// If its open times grow in another way than the default ones.
    pub open_times: Option<Box<OpenTimes>>,
    /// If the longest `Retry-After` that it honours isn't the default one.
    pub max_retry_after: Option<Box<MaxRetryAfter>>,
    /// If callers may wait for the verdict of the probes.
    #[cfg(feature = "async")]
    pub probe_queue: Option<Box<ProbeQueue<EventQueue>>>,
}

impl Beside {
    /// Nothing, if there is nothing.
    #[must_use]
    pub fn boxed(self) -> Option<Box<Self>> {
        let has_any = self.timed.is_some()
            || self.evidence.is_some()
            || self.recovery.is_some()
            || self.open_times.is_some()
            || self.max_retry_after.is_some();
        #[cfg(feature = "async")]
        let has_any = has_any || self.probe_queue.is_some();
        has_any.then(|| Box::new(self))
    }
}
