//! What a retry asks, which is not let through where a first attempt might be.

use super::{Core, Refusal};
use crate::state::Phase;
use crate::state::history::moment_of;

impl Core {
    /// Since when, in nanoseconds, all calls are let through. Writes nothing.
    ///
    /// # Errors
    /// They are not; where the state has a time, with how long it lasts.
    pub fn lets_all_through_since(&self, now: u64) -> Result<u64, Refusal> {
        let seen = self.state.load();
        let retry_after = match self.state.phase_of(seen) {
            Phase::Closed | Phase::Disabled | Phase::MetricsOnly => {
                let since = self.history.since(seen.generation());
                return Ok(since.map_or(now, moment_of).min(now));
            }
            Phase::Open { until } => Some(until.nanos().saturating_sub(now)),
            Phase::HalfOpen { .. } | Phase::Ramp(_) | Phase::ForcedOpen => None,
        };
        Err(Refusal {
            state: seen.phase().state(),
            retry_after,
        })
    }
}
