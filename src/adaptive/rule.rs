//! The rule by which a breaker trips on evidence, for those who judge many breakers' calls as one.

use std::time::Duration;

use super::baseline::Baseline;
use super::excursion::Tolerance;
use super::needed_nats::NeededNats;
use super::{AdaptiveConfig, Evidence};
use crate::clock::saturating_nanos;

/// A failure rate that an outage may have, with its handicap.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct FailureShare {
    /// The share of calls that fails: above 0.0, at most 1.0.
    pub share: f64,
    /// The nats to subtract from the evidence for this share: 0.0 or more.
    ///
    /// The best of several shares is chosen, and the handicap makes up for that choice.
    pub handicap: f64,
}

/// The numbers by which an adaptive breaker decides that its dependency has an outage.
///
/// A judge of a fleet takes the calls of all members for those of one breaker. It uses this rule at
/// the fleet's call rate. So a fleet decides as one breaker with all of the calls would.
///
/// There are two tests. The first compares the failures with the usual failure rate. The second
/// compares them with the [tolerated](Self::tolerated) rate, if the policy tolerates any. A trip
/// takes both. Evidence is counted in nats: the natural logarithm of how much likelier the outcomes
/// are in an outage.
///
/// A breaker also takes more evidence where failures come in clusters (its *dispersion*), and may
/// tolerate more while a bad shard seems to be the cause. Neither is in this rule, because both are
/// learned by one breaker from its own calls.
///
/// ```
/// use std::time::Duration;
/// use tripcurve::CircuitBreaker;
///
/// let payments = CircuitBreaker::builder("payments").build()?;
/// let rule = payments.fleet_port()?.rule().expect("the default policy is adaptive");
///
/// // A thousand calls a second, and one false trip a day: ln(86,400 × 1,000) − 0.5.
/// assert!((rule.needed(1_000.0) - 17.77).abs() < 0.01);
/// assert_eq!(rule.tolerated(), Some(0.25));
/// // Against a rate that is tolerated, a new excursion takes less.
/// let young = rule.needed_beyond_tolerated(1_000.0, Duration::ZERO);
/// assert!(young.is_some_and(|nats| (nats - 10.0).abs() < 0.01));
/// # Ok::<(), tripcurve::error::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EvidenceRule {
    config: AdaptiveConfig,
    needed: NeededNats,
}

impl EvidenceRule {
    /// The lowest call rate that the rule takes, in calls per second: one call in 11 days.
    const SLOWEST: f64 = 1e-6;

    pub(crate) fn of(config: AdaptiveConfig) -> Self {
        Self {
            config,
            needed: NeededNats::of(config),
        }
    }

    pub(crate) fn config(&self) -> AdaptiveConfig {
        self.config
    }

    /// The call rate that the rule takes instead of `rate`.
    fn paced(rate: f64) -> f64 {
        if rate.is_nan() {
            return Self::SLOWEST;
        }
        rate.clamp(Self::SLOWEST, Baseline::FASTEST)
    }

    /// The failure rates that an outage may have, the smallest first and 1.0 last.
    ///
    /// The excursion ends when there is no evidence left for any. None has a handicap.
    #[must_use]
    pub fn outages(&self) -> [FailureShare; 4] {
        Self::with_total(Evidence::OUTAGES, Evidence::HANDICAP)
    }

    /// The share of calls that may fail for any length of time, in `0.0..=0.9`.
    ///
    /// `None` if it is 0.0.
    #[must_use]
    pub fn tolerated(&self) -> Option<f64> {
        self.config.more().map(|_| self.config.tolerate)
    }

    /// Like [`outages`](Self::outages), where the [tolerated](Self::tolerated) rate is no outage.
    ///
    /// All but the first have a handicap. `None` if none is tolerated.
    #[must_use]
    pub fn outages_beyond_tolerated(&self) -> Option<[FailureShare; 4]> {
        let tolerated = self.tolerated()?;
        let outages = Tolerance::outages(tolerated);
        Some(Self::with_total(outages, Tolerance::HANDICAP))
    }

    fn with_total([least, partial, most]: [f64; 3], handicap: f64) -> [FailureShare; 4] {
        let with = |share, handicap| FailureShare { share, handicap };
        [
            with(least, 0.0),
            with(partial, handicap),
            with(most, handicap),
            with(1.0, handicap),
        ]
    }

    /// The evidence against the usual failure rate that a trip takes, in nats.
    ///
    /// `calls_per_second` is the rate of all calls that are judged. It is taken for the nearest in
    /// `1e-6..=1e8`, and for 1e-6 if it is no number. At a low rate the result may be zero or less.
    /// Then one failure is enough.
    #[must_use]
    pub fn needed(&self, calls_per_second: f64) -> f64 {
        self.needed.usual(Self::paced(calls_per_second)).get()
    }

    /// The evidence against the [tolerated](Self::tolerated) failure rate that a trip takes, in
    /// nats. `None` if none is tolerated.
    ///
    /// `age` is the time since the excursion began. In an excursion older than 1/43,200 of the
    /// [budget](crate::policy::Adaptive::false_trip_budget), 2 s by default, a trip takes the more
    /// evidence the older it is. See [`needed`](Self::needed) for `calls_per_second`.
    #[must_use]
    pub fn needed_beyond_tolerated(&self, calls_per_second: f64, age: Duration) -> Option<f64> {
        self.tolerated()?;
        let (pace, age) = (Self::paced(calls_per_second), saturating_nanos(age));
        Some(self.needed.tolerated(pace, age).get())
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;
    use crate::adaptive::nats::{Nats, Outcomes, Surprise};
    use crate::state::Generation;

    const DAY: Duration = Duration::from_secs(86_400);

    fn config(tolerate: f64) -> AdaptiveConfig {
        AdaptiveConfig {
            tolerate,
            false_trip_budget: DAY,
        }
    }

    /// Fails when: the rule has a threshold of its own.
    #[test]
    fn the_rule_needs_what_the_breaker_needs() {
        for tolerate in [0.0, 0.25] {
            let rule = EvidenceRule::of(config(tolerate));
            let evidence = Evidence::new(config(tolerate), u64::MAX);
            for _ in 0..50 {
                evidence.failure(Generation::FIRST, 1, || true).unwrap();
            }
            for seconds in [0, 1, 2, 3, 100, 10_000] {
                let age = Duration::from_secs(seconds);
                let now = 1 + saturating_nanos(age);
                let verdict = evidence.verdict(Generation::FIRST, now, 0).unwrap();
                // A new breaker takes its traffic for one call a second.
                let usual = rule.needed(1.0);
                let beyond = rule.needed_beyond_tolerated(1.0, age);
                let found = [Some(usual), beyond].into_iter().flatten();
                assert!(
                    found
                        .into_iter()
                        .any(|it| (it - verdict.needed).abs() < 1e-9),
                    "{tolerate} after {age:?}: {verdict:?}, {usual}, {beyond:?}"
                );
            }
        }
    }

    /// Fails when: the rule's failure rates aren't those that the breaker weighs.
    #[test]
    fn the_rule_has_the_failure_rates_that_the_breaker_weighs() {
        let outcomes = Outcomes {
            failed: 40,
            succeeded: 25,
        };
        let null = Nats::whole(200);
        let best_of = |shares: [FailureShare; 4]| {
            // A total outage is weighed by the run, which is empty here.
            let evidence = shares[..3]
                .iter()
                .map(|it| null - Surprise::at(it.share).of(outcomes) - Nats::new(it.handicap));
            evidence.max()
        };
        let rule = EvidenceRule::of(config(0.25));
        let evidence = Evidence::new(config(0.25), 1);
        let best = evidence.outages.best(null, outcomes, Nats::ZERO);
        assert_eq!(best_of(rule.outages()), Some(best));
        let tolerance = evidence.tolerance().unwrap();
        let best = tolerance.outages.best(null, outcomes, Nats::ZERO);
        assert_eq!(
            best_of(rule.outages_beyond_tolerated().unwrap()),
            Some(best)
        );
        assert!(rule.outages().iter().all(|it| it.handicap.abs() < 1e-9));
    }

    #[test]
    fn a_rule_that_tolerates_nothing_has_one_test() {
        let rule = EvidenceRule::of(config(0.0));
        assert_eq!(rule.tolerated(), None);
        assert_eq!(rule.outages_beyond_tolerated(), None);
        assert_eq!(rule.needed_beyond_tolerated(1.0, DAY), None);
    }

    #[test]
    fn every_call_rate_and_age_gives_a_number_of_nats() {
        let rule = EvidenceRule::of(config(0.25));
        let rates = [f64::NAN, f64::NEG_INFINITY, -1.0, 0.0, 1.0, f64::INFINITY];
        let needed = rates.map(|rate| rule.needed(rate));
        assert!(needed.is_sorted() && needed.iter().all(|it| it.is_finite()));
        for rate in rates {
            for age in [Duration::ZERO, Duration::MAX] {
                let needed = rule.needed_beyond_tolerated(rate, age);
                assert!(needed.is_some_and(f64::is_finite), "{rate}, {age:?}");
            }
        }
    }
}
