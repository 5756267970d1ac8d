//! How near each policy is to a trip.

use super::view::{Configuration, View, with_view};
use super::{Core, call::Call};
use crate::clock::context::CallContext;
use crate::latency::times::Timed;
use crate::policy::{TripLevel, TripPolicy};
use crate::state::{State, StateWord};
use crate::window::{BinCounts, Counts};

impl Core {
    /// How near each policy is to a trip, in the order of the policies.
    #[must_use]
    pub fn trip_levels(&self, context: &impl CallContext) -> Vec<TripLevel> {
        let seen = self.state.load();
        with_view!(self, |view| view.trip_levels(seen, context))
    }
}

impl<'a, F: Configuration<'a>> View<'a, F> {
    fn trip_levels(self, seen: StateWord, context: &impl CallContext) -> Vec<TripLevel> {
        let generation = seen.generation();
        let (ring, timed) = (self.ring(), self.timed());
        let (reading, now) = ring.read_with_nanos(context);
        let call = Call::new(generation, reading, context);
        let state = seen.phase().state();
        let judges = matches!(state, State::Closed | State::MetricsOnly);
        let (mut counts, mut run) = (Counts::default(), 0);
        let mut bins = BinCounts::default();
        let policies = &self.settings().policies;
        if judges && self.may_judge(generation) {
            counts = ring.all_counts(self.suspicions(call), call);
            run = ring.run_held(self.run.get(generation), &counts, call);
            if policies.iter().any(TripPolicy::looks_at_percentiles) {
                ring.read_latencies(timed.and_then(Timed::latencies), call, &mut bins);
            }
        }
        let mut usual = timed.into_iter().flat_map(Timed::usual);
        let levels = policies.iter().map(|policy| {
            let usual = if policy.looks_at_percentiles() {
                usual.next().flatten()
            } else {
                None
            };
            policy.level(run, &counts, &bins, usual).unwrap_or_else(|| {
                let level = self.evidence().map(|it| {
                    if !judges {
                        return it.empty_level();
                    }
                    let since = self.began_at(generation, now);
                    it.level(generation, now, since)
                });
                let level = level.unwrap_or_default();
                TripLevel {
                    kind: "evidence",
                    measured: level.nats,
                    threshold: level.needed,
                    calls: level.calls.into(),
                    min_calls: 0,
                }
            })
        });
        levels.collect()
    }
}
