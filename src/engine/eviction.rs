//! How much a registry would lose with a breaker.

use super::Core;
use super::view::{Present, at_present};
use crate::clock::context::Caller;
use crate::engine::view::Fitted;
use crate::policy::TripPolicy;
use crate::state::{Generation, Kind};
use crate::window::Counts;

/// How much would be lost with a breaker that nobody has a handle to, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EvictionRank {
    /// Only counts of successes and what was learnt would be lost.
    Idle,
    /// The window holds calls that count against the dependency. The breaker is closed, or in the
    /// state that its settings hold it in.
    Suspected,
    /// The breaker is open or half-open.
    Tripped,
    /// The breaker is under a command, or has settings of its own.
    Commanded,
}

impl Core {
    /// How much would be lost with this breaker. `was_used` says whether somebody has looked it up
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
                // A command did this: the settings hold it in another state.
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
    /// Whether the window holds calls that the policies look at and that count against the
    /// dependency.
    ///
    /// A run of failures, or evidence, counts while the window holds one of its failures.
    fn has_suspicions(self, generation: Generation, caller: &impl Caller) -> bool {
        let reading = self.ring().read(caller);
        let Counts {
            failures,
            slow,
            overdue,
            ..
        } = self.suspicions(generation, reading, caller);
        // A percentile needs all calls, so any call may count against the dependency.
        let policies = &self.settings().policies;
        failures + slow + overdue > 0
            || policies.iter().any(TripPolicy::looks_at_percentiles)
                && self.ring().calls(generation, reading, caller) > 0
    }
}
