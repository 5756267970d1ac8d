//! How much evidence there is, and how much a trip takes.

use super::Evidence;
use super::excursion::Excursion;
use super::nats::Nats;
use super::weighed::Weighed;
use crate::state::Generation;

/// The evidence of the excursion that lasts, if any.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EvidenceLevel {
    /// The evidence, in nats.
    pub nats: f64,
    /// The evidence that a trip takes, in nats.
    pub needed: f64,
    /// The calls of the excursion.
    pub calls: u32,
}

impl EvidenceLevel {
    /// How near a trip is. A test that needs no evidence trips on the first failure, so it counts
    /// as full as soon as there is a call.
    fn share(self) -> f64 {
        if self.calls == 0 {
            0.0
        } else if self.needed <= 0.0 {
            f64::INFINITY
        } else {
            self.nats / self.needed
        }
    }
}

impl Evidence {
    /// The evidence at `now` of the stream that is nearest to a trip.
    ///
    /// `generation` began at `since`. Unlike [`verdict`](Self::verdict), it tells evidence that is
    /// not enough for a trip too. It is for display.
    #[must_use]
    pub fn level(&self, generation: Generation, now: u64, since: u64) -> EvidenceLevel {
        let own = self.own_level(generation, now, since);
        let others = self.other_streams();
        let others = others.map(|it| it.own_level(generation, now, since));
        others.fold(own, |nearest, it| {
            if it.share() > nearest.share() {
                it
            } else {
                nearest
            }
        })
    }

    /// The level without evidence, for a breaker that doesn't judge.
    #[must_use]
    pub fn empty_level(&self) -> EvidenceLevel {
        self.level_of(Excursion::default(), 0, 0)
    }

    fn own_level(&self, generation: Generation, now: u64, since: u64) -> EvidenceLevel {
        // The date is read first; see `own_verdict`.
        let is_old = self.is_old(now);
        let counted = if is_old {
            Excursion::default()
        } else {
            self.counted(generation)
        };
        self.level_of(counted, now, since)
    }

    fn level_of(&self, counted: Excursion, now: u64, since: u64) -> EvidenceLevel {
        let (usual, dispersion) = (self.usual(), self.dispersion.get());
        let own = Weighed {
            nats: usual.evidence(counted),
            needed: self.needed.usual(self.baseline.pace()),
        };
        let mut own = own.times(dispersion, || usual.most());
        if own.needed <= Nats::ZERO {
            // With little traffic, the first failure is enough. A threshold is above zero.
            own.needed = usual.evidence(Excursion::default().failure());
        }
        let level = |it: Weighed| EvidenceLevel {
            nats: it.nats.get().max(0.0),
            needed: it.needed.get(),
            calls: counted.failed + counted.succeeded,
        };
        if counted.failed == 0 {
            return level(Weighed {
                nats: Nats::ZERO,
                ..own
            });
        }
        let tolerated = self.tolerance().map(|tolerance| {
            let times = (self.age.began(), since, now);
            let weighed = self.against(tolerance, counted, times);
            level(weighed.times(dispersion, || tolerance.most()))
        });
        // A trip takes both.
        let own = level(own);
        tolerated
            .filter(|it| it.share() < own.share())
            .unwrap_or(own)
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::adaptive::AdaptiveConfig;

    fn evidence(tolerate: f64) -> Evidence {
        let config = AdaptiveConfig {
            tolerate,
            false_trip_budget: Duration::from_secs(1),
        };
        Evidence::new(config, 60_000_000_000)
    }

    /// Fails when: a threshold is zero or below it, so that the level is never full.
    #[test]
    fn where_one_failure_is_enough_it_fills_the_level() {
        let evidence = evidence(0.0);
        let empty = evidence.empty_level();
        assert!(empty.needed > 0.0 && empty.nats <= 0.0, "{empty:?}");
        let generation = Generation::FIRST;
        evidence.failure(generation, 1, || true).unwrap();
        let level = evidence.level(generation, 1, 0);
        assert!(evidence.verdict(generation, 1, 0).is_some());
        assert!(
            level.nats >= level.needed && level.needed > 0.0,
            "{level:?}"
        );
    }

    #[test]
    #[allow(clippy::float_cmp, reason = "the quotient is exact")]
    fn the_share_is_what_there_is_of_what_a_trip_takes() {
        let level = EvidenceLevel {
            nats: 2.0,
            needed: 8.0,
            calls: 3,
        };
        assert_eq!(level.share(), 0.25);
    }

    #[test]
    fn the_calls_are_those_of_the_excursion() {
        let evidence = evidence(0.0);
        let generation = Generation::FIRST;
        for _ in 0..100 {
            evidence.success(generation);
        }
        for now in 1..=3 {
            let _ = evidence.failure(generation, now, || true);
        }
        evidence.success(generation);
        assert_eq!(evidence.level(generation, 4, 0).calls, 4);
    }

    #[test]
    fn a_test_that_needs_no_evidence_is_full_with_the_first_call() {
        let level = |calls| EvidenceLevel {
            nats: 0.0,
            needed: -1.0,
            calls,
        };
        assert!(level(0).share() < 1.0 && level(1).share() > 1.0);
    }

    /// Fails when: another stream than the nearest is shown, or the successes aren't counted.
    #[test]
    fn the_level_is_that_of_the_stream_with_the_most_evidence() {
        let config = AdaptiveConfig {
            tolerate: 0.0,
            false_trip_budget: Duration::from_secs(86_400),
        };
        let generation = Generation::FIRST;
        for (of_all, of_watched) in [(3, 2), (2, 3)] {
            let evidence = evidence(0.0).and_of_watched(config);
            let watched = evidence.of_watched().unwrap();
            for _ in 0..of_all {
                evidence.failure(generation, 1, || true).unwrap();
            }
            for _ in 0..of_watched {
                watched.failure(generation, 1, || true).unwrap();
            }
            evidence.success(generation);
            watched.success(generation);
            let (own, others) = (
                evidence.own_level(generation, 1, 0),
                watched.own_level(generation, 1, 0),
            );
            assert_eq!((own.calls, others.calls), (of_all + 1, of_watched + 1));
            let nearest = evidence.level(generation, 1, 0);
            assert_eq!(nearest.calls, 4, "{nearest:?}");
            assert_eq!(nearest, if of_all > of_watched { own } else { others });
        }
    }
}
