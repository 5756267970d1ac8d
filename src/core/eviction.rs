//! How much a registry would lose with a breaker.

use super::Core;
use super::present::{Present, at_present};
use crate::caller::Caller;
use crate::core::present::Fitted;
use crate::policy::TripPolicy;
use crate::state::{Generation, Kind};
use crate::window::Counts;

/// What would be lost with a breaker that nobody has a handle to, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EvictionRank {
    /// Nothing but the count of what went well, and what was learnt.
    Idle,
    /// The breaker rests: it is closed, or where its settings hold it. Its window holds calls that
    /// speak against the dependency.
    Suspected,
    /// The breaker is open or half-open.
    Tripped,
    /// The breaker is under a command, or has settings of its own.
    Commanded,
}

impl Core {
    /// What would be lost with this breaker. `was_used` says whether somebody has looked it up
    /// lately.
    ///
    /// An open breaker that is not used is idle `idle_after` nanoseconds after its open time. A
    /// half-open one that is not used is idle that long after it became half-open.
    #[must_use]
    pub fn eviction_rank(
        &self,
        was_used: bool,
        idle_after: u64,
        caller: &impl Caller,
    ) -> EvictionRank {
        let seen = self.state.load();
        let generation = seen.generation();
        at_present!(self, |present| {
            if present.has_its_own_settings() {
                return EvictionRank::Commanded;
            }
            let tripped = |idle_since: u64| {
                if !was_used && caller.nanos() >= idle_since.saturating_add(idle_after) {
                    EvictionRank::Idle
                } else {
                    EvictionRank::Tripped
                }
            };
            if seen.kind() == present.settings().switch.mode.rest() {
                return if present.has_suspicions(generation, caller) {
                    EvictionRank::Suspected
                } else {
                    EvictionRank::Idle
                };
            }
            match seen.kind() {
                // By hand, since the settings hold it elsewhere.
                Kind::Closed | Kind::ForcedOpen | Kind::Disabled | Kind::MetricsOnly => {
                    EvictionRank::Commanded
                }
                Kind::Open { until } => tripped(until.nanos()),
                Kind::HalfOpen { .. } | Kind::Ramp(_) => {
                    let now = caller.nanos();
                    tripped(now.saturating_sub(present.age(generation, now)))
                }
            }
        })
    }
}

impl<'a, F: Fitted<'a>> Present<'a, F> {
    /// Whether the window holds anything that the policies look at and that speaks against the
    /// dependency.
    ///
    /// A run of failures and evidence count as far as the window still holds a failure of theirs.
    fn has_suspicions(self, generation: Generation, caller: &impl Caller) -> bool {
        let reading = self.ring().read(caller);
        let Counts {
            failures,
            slow,
            overdue,
            ..
        } = self.suspicions(generation, reading, caller);
        // How long a call took speaks for or against the dependency only beside the others.
        let policies = &self.settings().policies;
        failures + slow + overdue > 0
            || policies.iter().any(TripPolicy::looks_at_percentiles)
                && self.ring().calls(generation, reading, caller) > 0
    }
}
