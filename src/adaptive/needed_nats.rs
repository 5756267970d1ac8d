//! The evidence that a trip takes: the thresholds of both tests.

use super::AdaptiveConfig;
use super::nats::Nats;
use crate::util::number::whole;
use crate::window::rate;

/// The evidence that a trip takes, by the traffic and by the excursion's age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NeededNats {
    /// The evidence against what is usual, at one call per second.
    usual: Nats,
    /// The evidence against the tolerated share right after an excursion has begun, at one call
    /// per second.
    tolerated: Nats,
    /// The age of an excursion up to which `tolerated` holds, in nanoseconds.
    pub(super) at_once: u64,
}

impl NeededNats {
    /// The margin in nats that a restarted test has over theory, measured in `tests/it/budget.rs`.
    ///
    /// A test that restarts whenever there is no evidence trips falsely at most once in e^(needed +
    /// this) calls. Theory alone gives zero.
    pub(super) const SLACK: f64 = 0.5;
    pub(super) const TOLERATED_SLACK: f64 = 1.0;

    /// The part of the false-trip budget that holds for a tolerated share of failures that is new.
    /// The longer such a share lasts, the more evidence a trip takes.
    const AT_ONCE: f64 = 1.0 / 1440.0;
    /// The mean time to a false trip grows to this many times the excursion's age.
    const PATIENCE: f64 = 30.0;

    pub(super) fn of(config: AdaptiveConfig) -> Self {
        let budget = config.false_trip_budget.as_secs_f64();
        let at_once = budget * Self::AT_ONCE;
        Self {
            usual: Nats::new(budget.ln() - Self::SLACK),
            tolerated: Nats::new(at_once.ln() - Self::TOLERATED_SLACK),
            at_once: whole(at_once / Self::PATIENCE * 1e9),
        }
    }

    /// The evidence against what is usual that a trip takes at `pace` calls per second.
    #[inline]
    pub(super) fn usual(self, pace: f64) -> Nats {
        self.usual + Nats::new(pace.ln())
    }

    /// The evidence against the tolerated share that a trip takes at `pace` calls per second, in an
    /// excursion that is `age` nanoseconds old.
    #[inline]
    pub(super) fn tolerated(self, pace: f64, age: u64) -> Nats {
        let mut needed = self.tolerated + Nats::new(pace.ln());
        let age = age.max(1);
        if age > self.at_once {
            needed = needed + Nats::new(rate(age, self.at_once.max(1)).ln());
        }
        needed
    }
}
