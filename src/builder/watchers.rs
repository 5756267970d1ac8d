//! Those who watch the breakers that are built: listeners beside those of transitions, and rosters.

use std::sync::Arc;

use super::CircuitBreakerBuilder;
#[cfg(feature = "registry")]
use crate::breaker::shared::SharedBreaker;
use crate::events::WouldTrip;
#[cfg(doc)]
use crate::state::State;

#[cfg(feature = "registry")]
/// A list that breakers are put on when they are built.
pub(crate) trait Roll: Send + Sync {
    /// Lists a breaker, without keeping it alive.
    fn enlist(&self, breaker: &Arc<SharedBreaker>);
}

impl<C> CircuitBreakerBuilder<C> {
    /// Adds a listener that is told when the breaker would trip, but may not.
    ///
    /// It is told once each time that the policies become satisfied
    ///
    /// - while the breaker [only measures](State::MetricsOnly),
    /// - while it [warms up](Self::warm_up), or
    /// - while as many breakers of its group or registry are open as may be; see
    ///   `ControlGroup::with_max_open_share`.
    ///
    /// [`Snapshot::would_have_opened`](crate::Snapshot::would_have_opened) counts the same. The
    /// breaker looks at its policies after a failed or slow call, as it does to trip. So it notices
    /// at such a call that they are no longer satisfied. After that they can become satisfied
    /// again. A transition also starts over. Policies that look at percentiles are asked once in a
    /// while.
    ///
    /// The listener runs on the thread whose call was judged, after the call was recorded. Keep it
    /// short. It may call the breaker. If it panics, it harms no call and no other listener. Two
    /// threads may tell at the same time, so events may come out of order. A closed breaker that
    /// has no cause to trip pays nothing for it. `CircuitBreaker::reconfigure` refuses this setting,
    /// because a breaker keeps its listeners.
    ///
    /// [`WouldTrip`](crate::events::WouldTrip) has an example.
    pub fn on_would_trip(mut self, listener: impl Fn(&WouldTrip) + Send + Sync + 'static) -> Self {
        self.fixed.would_trip.push(Arc::new(listener));
        self
    }
}

#[cfg(feature = "registry")]
impl<C> CircuitBreakerBuilder<C> {
    /// Puts breakers on this list when they are built.
    pub(crate) fn on_roll(mut self, roll: Arc<dyn Roll>) -> Self {
        let is_it =
            |other: &Arc<dyn Roll>| std::ptr::addr_eq(Arc::as_ptr(other), Arc::as_ptr(&roll));
        if !self.fixed.rolls.iter().any(is_it) {
            self.fixed.rolls.push(roll);
        }
        self
    }

    /// The number of lists that breakers are put on.
    pub(crate) fn rolls(&self) -> usize {
        self.fixed.rolls.len()
    }
}
