//! How much a registry would lose with a breaker that it evicts.

use super::Core;
use super::view::{Configuration, View, with_view};
use crate::state::{Generation, Phase};
use crate::{clock::context::CallContext, policy::TripPolicy, window::Counts};

/// How much would be lost with a breaker that nobody has a handle to, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EvictionRank {
    /// Only counts of successes, and what the breaker has learned, would be lost.
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
    /// How much would be lost with this breaker.
    ///
    /// `was_used` says whether a caller has looked it up lately.
    ///
    /// An unused open breaker is idle `idle_after` nanoseconds after its open time. An unused
    /// half-open breaker is idle that long after it became half-open.
    #[must_use]
    pub fn eviction_rank(
        &self,
        was_used: bool,
        idle_after: u64,
        context: &impl CallContext,
    ) -> EvictionRank {
        let seen = self.state.load();
        let generation = seen.generation();
        with_view!(self, |view| {
            if view.has_its_own_settings() {
                return EvictionRank::Commanded;
            }
            let tripped = |idle_since: u64| {
                if !was_used && context.nanos() >= idle_since.saturating_add(idle_after) {
                    EvictionRank::Idle
                } else {
                    EvictionRank::Tripped
                }
            };
            if seen.phase()
                == view
                    .settings()
                    .switch
                    .held_by_mode()
                    .unwrap_or(Phase::Closed)
            {
                return if view.has_suspicions(generation, context) {
                    EvictionRank::Suspected
                } else {
                    EvictionRank::Idle
                };
            }
            match seen.phase() {
                // A command set this state. The settings hold the breaker in another one.
                Phase::Closed
                | Phase::ForcedOpen
                | Phase::Isolated(_)
                | Phase::Disabled
                | Phase::MetricsOnly => EvictionRank::Commanded,
                Phase::Open { until } => tripped(until.nanos()),
                Phase::HalfOpen { .. } | Phase::Ramp(_) => {
                    let now = context.nanos();
                    tripped(now.saturating_sub(view.age(generation, now)))
                }
            }
        })
    }
}

impl<'a, F: Configuration<'a>> View<'a, F> {
    /// Whether the window holds calls that the policies look at and that count against the
    /// dependency.
    ///
    /// A run of failures, or evidence, counts while the window holds one of its failures.
    fn has_suspicions(self, generation: Generation, context: &impl CallContext) -> bool {
        let call = self.ring().call(generation, context);
        let Counts {
            failures,
            slow,
            overdue,
            ..
        } = self.suspicions(call);
        // A percentile needs all calls, so any call may count against the dependency.
        let policies = &self.settings().policies;
        failures + slow + overdue > 0
            || policies.iter().any(TripPolicy::looks_at_percentiles) && self.ring().calls(call) > 0
    }
}
