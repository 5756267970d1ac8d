//! When each breaker may have something to say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::machine::BreakerId;

/// The times of all breakers, in order.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    order: BTreeSet<(Duration, BreakerId)>,
    times: BTreeMap<BreakerId, Duration>,
}

impl Schedule {
    /// The breaker that comes next.
    pub(super) fn first(&self) -> Option<(Duration, BreakerId)> {
        self.order.first().copied()
    }

    /// Replaces the time of a breaker.
    pub(super) fn set(&mut self, id: BreakerId, at: Duration) {
        self.remove(id);
        self.order.insert((at, id));
        self.times.insert(id, at);
    }

    pub(super) fn remove(&mut self, id: BreakerId) {
        if let Some(at) = self.times.remove(&id) {
            self.order.remove(&(at, id));
        }
    }
}
