//! When each breaker may have something to say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::machine::SeatId;

/// The times of all seats, in order.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    order: BTreeSet<(Duration, SeatId)>,
    times: BTreeMap<SeatId, Duration>,
}

impl Schedule {
    /// The seat that comes next.
    pub(super) fn first(&self) -> Option<(Duration, SeatId)> {
        self.order.first().copied()
    }

    /// Replaces the time of a seat.
    pub(super) fn set(&mut self, id: SeatId, at: Duration) {
        self.remove(id);
        self.order.insert((at, id));
        self.times.insert(id, at);
    }

    pub(super) fn remove(&mut self, id: SeatId) {
        if let Some(at) = self.times.remove(&id) {
            self.order.remove(&(at, id));
        }
    }
}
