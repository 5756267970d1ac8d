//! The share of the window's calls at which a policy trips.

use super::{Rule, TripPolicy};

impl TripPolicy {
    /// The threshold of a policy that judges a share of the window's calls, with the policy's name.
    ///
    /// The name is the [kind](crate::events::Cause::kind) of the cause when the policy trips. The
    /// adaptive policy has no threshold: it weighs evidence.
    pub(crate) fn threshold(&self) -> Option<(&'static str, f64)> {
        match &self.0 {
            Rule::FailureRate { threshold, .. } => Some(("failure_rate", *threshold)),
            Rule::BurnRate(policy) => Some(("burn_rate", policy.threshold)),
            Rule::SlowRate(policy) => Some(("slow_rate", policy.threshold)),
            Rule::ConsecutiveFailures { .. }
            | Rule::FailureCount { .. }
            | Rule::LatencyPercentile(_)
            | Rule::SlowerThanUsual(_)
            | Rule::Adaptive(_)
            | Rule::Classic => None,
        }
    }
}
