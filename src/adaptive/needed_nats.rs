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
    /// The calls, at the usual traffic, in whose time an excursion's age doesn't count.
    ///
    /// At one call a second an outage needs some ten seconds to show itself. Without this rule its
    /// own age would delay the trip: an outage of 50 % took 1.8 times as many failed calls as the
    /// best rule needs. From 10 calls a second on these calls take less time than `at_once`.
    const YOUNG_CALLS: f64 = 20.0;

    pub(super) fn of(config: AdaptiveConfig) -> Self {
        let budget = config.false_trip_budget.as_secs_f64();
        let at_once = budget * Self::AT_ONCE;
        Self {
            usual: Nats::new(budget.ln() - Self::SLACK),
            tolerated: Nats::new(at_once.ln() - Self::TOLERATED_SLACK),
            at_once: whole(at_once / Self::PATIENCE * 1e9),
        }
    }

    /// The evidence that a trip takes if each of so many streams can trip the breaker.
    ///
    /// Each stream gets an equal part of the false-trip budget (Bonferroni). Only the test against
    /// what is usual is stricter by that. The test against the tolerated share already trips less
    /// often than its budget says, and decides how soon a partial outage is seen.
    pub(super) fn shared_by(self, streams: f64) -> Self {
        Self {
            usual: self.usual + Nats::new(streams.ln()),
            ..self
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
        let needed = self.tolerated + Nats::new(pace.ln());
        if age <= self.at_once {
            return needed;
        }
        let by_time = rate(age, self.at_once.max(1));
        // The square catches up with `by_time`. So an old excursion takes as much evidence at any
        // traffic.
        let by_calls = (rate(age, 1) * pace / (Self::YOUNG_CALLS * 1e9)).powi(2);
        needed + Nats::new(by_time.min(by_calls).max(1.0).ln())
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;

    /// Fails when: `tolerated` counts the age in seconds alone, or in calls alone.
    #[test]
    fn the_time_of_twenty_calls_is_free_and_an_old_excursion_takes_as_much_at_any_traffic() {
        let needed = NeededNats::of(AdaptiveConfig {
            tolerate: 0.25,
            false_trip_budget: std::time::Duration::from_secs(86_400),
        });
        let more = |pace: f64, age: u64| {
            let age = age * 1_000_000_000;
            (needed.tolerated(pace, age) - needed.tolerated(pace, 0)).get()
        };
        for (pace, age, times) in [
            (1.0, 20, 1.0_f64),
            (1.0, 40, 4.0),
            (1.0, 1_000, 500.0),
            (10.0, 2, 1.0),
            (10.0, 20, 10.0),
            (1_000.0, 20, 10.0),
            (1_000.0, 1_000, 500.0),
        ] {
            let more = more(pace, age);
            assert!((more - times.ln()).abs() < 0.001, "{pace} {age}: {more}");
        }
    }
}
