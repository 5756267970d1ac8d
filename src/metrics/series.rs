//! The time series of each name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::export::{self, GaugeValues};
use super::transition_counts::TransitionLabels;
use crate::registry::EnlistedRegistry;
use crate::snapshot::{Snapshot, Totals};
use crate::state::State;

/// The series of one name. Breakers that share a name share the series.
#[derive(Default)]
pub(super) struct NamedSeries {
    /// Whether a breaker has had the name. A registry alone has no more than states.
    had_breaker: bool,
    /// The number of breakers and registries that have the name now.
    living: usize,
    was_alive: bool,
    totals: Totals,
    transitions: HashMap<TransitionLabels, u64>,
    gauges: GaugeValues,
}

impl NamedSeries {
    pub(super) fn add_transitions(&mut self, labels: TransitionLabels, count: u64) {
        *self.transitions.entry(labels).or_default() += count;
    }

    /// Adds the threshold of a policy of a living breaker.
    pub(super) fn add_threshold(&mut self, policy: &'static str, threshold: f64) {
        self.gauges.add_threshold(policy, threshold);
    }

    /// Adds a living breaker, and what has come to its totals since they were `added`.
    pub(super) fn add_breaker(&mut self, snapshot: &Snapshot, added: Totals) {
        self.living += 1;
        let (all, new) = (&mut self.totals, snapshot.totals());
        all.successes += new.successes.saturating_sub(added.successes);
        all.failures += new.failures.saturating_sub(added.failures);
        all.timed_out += new.timed_out.saturating_sub(added.timed_out);
        all.ignored += new.ignored.saturating_sub(added.ignored);
        all.rejected += new.rejected.saturating_sub(added.rejected);
        all.slow += new.slow.saturating_sub(added.slow);
        self.gauges.add(snapshot);
    }

    /// Writes the series. Those of a name that nobody has any more are written once more.
    fn write(&mut self, name: &Arc<str>) {
        let is_alive = self.living > 0;
        if is_alive || self.was_alive {
            export::states(name, &self.gauges.states);
        }
        if self.had_breaker {
            export::totals(name, &self.totals);
            for (labels, count) in &self.transitions {
                export::transitions(name, *labels, *count);
            }
            if is_alive || self.was_alive {
                self.gauges.write(name);
            }
        }
        self.was_alive = is_alive;
    }
}

/// The series of all names.
#[derive(Default)]
pub(super) struct AllSeries {
    by_name: BTreeMap<Arc<str>, NamedSeries>,
    /// The keys of registries that were written last time.
    keys: BTreeSet<Arc<str>>,
}

/// The keys that are not closed, the worst first, at most so many.
struct WorstKeys {
    most: usize,
    /// By rank, name and state.
    found: BTreeSet<(u8, Arc<str>, &'static str)>,
}

impl WorstKeys {
    fn offer(&mut self, name: &str, state: State) {
        let rank = match state {
            State::Closed => return,
            State::Open | State::ForcedOpen => 0,
            State::HalfOpen => 1,
            State::Disabled | State::MetricsOnly => 2,
        };
        let is_full = self.found.len() >= self.most;
        let worse_than_last = |(last_rank, last_name, _): &(u8, Arc<str>, _)| {
            (rank, name) < (*last_rank, &**last_name)
        };
        if is_full && !self.found.last().is_some_and(worse_than_last) {
            return;
        }
        self.found.insert((rank, name.into(), state.as_str()));
        if self.found.len() > self.most {
            self.found.pop_last();
        }
    }
}

impl AllSeries {
    /// Begins a collection: nothing is alive, and all gauges are 0.
    pub(super) fn begin(&mut self) {
        for series in self.by_name.values_mut() {
            series.living = 0;
            series.gauges.clear();
        }
    }

    fn of(&mut self, name: &Arc<str>) -> &mut NamedSeries {
        self.by_name.entry(Arc::clone(name)).or_default()
    }

    /// The series of breakers with this name.
    pub(super) fn of_breakers(&mut self, name: &Arc<str>) -> &mut NamedSeries {
        let series = self.of(name);
        series.had_breaker = true;
        series
    }

    /// Adds the states of registries. Returns the worst keys, at most `most`.
    fn add_registries(&mut self, registries: &[EnlistedRegistry], most: usize) -> WorstKeys {
        let mut worst = WorstKeys {
            most,
            found: BTreeSet::new(),
        };
        for registry in registries {
            let name: Arc<str> = registry.name().into();
            let series = self.of(&name);
            series.living += 1;
            let _all = registry.visit(&mut |breaker| {
                let state = breaker.state();
                series.gauges.states.add(state);
                // A key with the registry's name is in the sum alone.
                if breaker.name() != &*name {
                    worst.offer(breaker.name(), state);
                }
                ControlFlow::Continue(())
            });
        }
        worst
    }

    /// Ends a collection: writes all series, and the worst keys of the registries.
    pub(super) fn write(&mut self, registries: &[EnlistedRegistry], most: usize) {
        let worst = self.add_registries(registries, most);
        for (name, series) in &mut self.by_name {
            series.write(name);
        }
        let mut keys = BTreeSet::new();
        for (_, name, state) in worst.found {
            // A name that has series of its own keeps them, and of two keys the worse is written.
            if !self.by_name.contains_key(&name) && keys.insert(Arc::clone(&name)) {
                export::state(&name, state);
            }
        }
        for name in self.keys.difference(&keys) {
            if !self.by_name.contains_key(name) {
                export::state(name, "");
            }
        }
        self.keys = keys;
    }
}
