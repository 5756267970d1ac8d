//! The breakers that a collector knows, and what it has seen of them.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use crossbeam_queue::SegQueue;

use super::series::AllSeries;
use super::transition_counts::TransitionCounts;
use crate::breaker::CircuitBreaker;
use crate::breaker::listening::ListeningGuard;
use crate::breaker::shared::SharedBreaker;
use crate::outcome::DefaultClassifier;
use crate::registry::roster::Newcomers;
use crate::snapshot::{Snapshot, Totals};

/// A breaker that a collector knows.
struct KnownBreaker {
    breaker: Weak<SharedBreaker>,
    name: Arc<str>,
    transitions: Arc<TransitionCounts>,
    /// What was added to the series of the name.
    added: Totals,
    /// How much of each kind of transition was added, in the order of `transitions`.
    added_transitions: Vec<u64>,
    /// Counts until the collector goes.
    _listening: ListeningGuard,
}

impl KnownBreaker {
    /// Begins to count the transitions of a breaker.
    fn new(shared: &Arc<SharedBreaker>) -> Self {
        let breaker = CircuitBreaker {
            shared: Arc::clone(shared),
            classifier: DefaultClassifier,
        };
        let transitions = Arc::new(TransitionCounts::default());
        let counts = Arc::clone(&transitions);
        let listening = breaker.on_transition(move |transition| counts.add(transition.into()));
        Self {
            breaker: Arc::downgrade(shared),
            name: breaker.name().into(),
            transitions,
            added: Totals::default(),
            added_transitions: Vec::new(),
            _listening: listening.until_dropped(),
        }
    }

    fn address(&self) -> usize {
        self.breaker.as_ptr().addr()
    }

    /// Adds what is new to the series of the breaker's name. Returns whether the breaker is alive.
    fn add_to(&mut self, all: &mut AllSeries, snapshot: &mut Option<Snapshot>) -> bool {
        let shared = self.breaker.upgrade();
        let series = all.of_breakers(&self.name);
        // After the upgrade: a breaker that is gone makes no transition any more.
        for (index, (labels, count)) in self.transitions.iter().enumerate() {
            if index == self.added_transitions.len() {
                self.added_transitions.push(0);
            }
            let added = &mut self.added_transitions[index];
            series.add_transitions(labels, count - *added);
            *added = count;
        }
        let Some(shared) = shared else {
            return false;
        };
        let breaker = CircuitBreaker {
            shared,
            classifier: DefaultClassifier,
        };
        let snapshot = snapshot.get_or_insert_with(|| breaker.snapshot());
        breaker.snapshot_into(snapshot);
        series.add_breaker(snapshot, self.added);
        let core = &breaker.shared.core;
        core.for_each_threshold(|policy, threshold| series.add_threshold(policy, threshold));
        self.added = snapshot.totals();
        true
    }
}

/// What breakers that are built put themselves into, so that no early transition is missed.
#[derive(Default)]
pub(super) struct Arrivals(SegQueue<KnownBreaker>);

impl Newcomers for Arrivals {
    fn add(&self, breaker: &Arc<SharedBreaker>) {
        self.0.push(KnownBreaker::new(breaker));
    }
}

/// The breakers that a collector knows, by their addresses. A weak handle keeps an address.
#[derive(Default)]
pub(super) struct KnownBreakers {
    by_address: HashMap<usize, KnownBreaker>,
    /// A snapshot that is filled again and again.
    snapshot: Option<Snapshot>,
}

impl KnownBreakers {
    /// Learns which breakers have come.
    ///
    /// `listed` was read before. A breaker arrives before it is listed, so each listed one that was
    /// built with the collector there has arrived.
    pub(super) fn learn(&mut self, listed: &[CircuitBreaker], arrivals: &Arrivals) {
        while let Some(breaker) = arrivals.0.pop() {
            self.by_address.entry(breaker.address()).or_insert(breaker);
        }
        for CircuitBreaker { shared, .. } in listed {
            let address = Arc::as_ptr(shared).addr();
            let known = self.by_address.entry(address);
            known.or_insert_with(|| KnownBreaker::new(shared));
        }
    }

    /// Adds what is new to the series, and forgets the breakers that are gone.
    pub(super) fn add_to(&mut self, all: &mut AllSeries) {
        let snapshot = &mut self.snapshot;
        self.by_address
            .retain(|_, breaker| breaker.add_to(all, snapshot));
    }
}
