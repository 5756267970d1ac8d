//! How near a policy is to a trip.

use std::fmt;

use super::{Rule, TripPolicy};
use crate::clock::saturating_nanos;
use crate::window::{BinCounts, Counts, rate};

/// How near a policy of a breaker is to a trip; from [`CircuitBreaker::trip_levels`].
///
/// `Display` makes a few words: `failure_rate 0.12 of 0.5, 40 calls`.
///
/// [`CircuitBreaker::trip_levels`]: crate::CircuitBreaker::trip_levels
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct TripLevel {
    pub(crate) kind: &'static str,
    pub(crate) measured: f64,
    pub(crate) threshold: f64,
    pub(crate) calls: u64,
    pub(crate) min_calls: u64,
}

impl TripLevel {
    /// The policy in one word: the [kind](crate::events::Cause::kind) of the cause when it trips.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// What the policy measures now.
    ///
    /// It is a number of calls for `consecutive_failures` and `failure_count`. It is a share of the
    /// calls for `failure_rate`, `slow_rate` and `burn_rate`. It is seconds for
    /// `latency_percentile` and `slower_than_usual`, and nats for `evidence`.
    #[must_use]
    pub fn measured(&self) -> f64 {
        self.measured
    }

    /// The value at which the policy trips, in the unit of [`measured`](Self::measured).
    ///
    /// It is 0 for `slower_than_usual` until the policy has learnt what is usual.
    #[must_use]
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// The calls that the policy judges.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// The number of calls below which the policy judges nothing.
    #[must_use]
    pub fn min_calls(&self) -> u64 {
        self.min_calls
    }

    /// How near the policy is to a trip: 0 is far, 1 is at the trip.
    ///
    /// It is the share of the threshold that is reached. Where calls are missing, it is at most the
    /// share of [`min_calls`](Self::min_calls) that have come.
    #[must_use]
    pub fn fill(&self) -> f64 {
        if self.measured <= 0.0 || self.threshold <= 0.0 {
            return 0.0;
        }
        let calls = rate(self.calls, self.min_calls.max(1));
        (self.measured / self.threshold).min(calls).min(1.0)
    }
}

impl fmt::Display for TripLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            measured,
            threshold,
            calls,
            ..
        } = self;
        write!(f, "{kind} {measured:.2} of {threshold}, {calls} calls")
    }
}

impl TripPolicy {
    /// The level of a policy that judges counts, the run or a percentile.
    ///
    /// `usual` is the usual value of the percentile, in nanoseconds. `None` for the adaptive policy,
    /// which weighs evidence.
    pub(crate) fn level(
        &self,
        run: u64,
        counts: &Counts,
        bins: &BinCounts,
        usual: Option<f64>,
    ) -> Option<TripLevel> {
        let calls = counts.calls();
        let level = |kind, measured, threshold, min_calls: u32| TripLevel {
            kind,
            measured,
            threshold,
            calls,
            min_calls: min_calls.into(),
        };
        let failure_rate = || rate(counts.failures, calls.max(1));
        let seconds = |percentile| rate(bins.percentile(percentile), 1_000_000_000);
        Some(match &self.0 {
            Rule::ConsecutiveFailures { limit } => TripLevel {
                calls: run,
                ..level("consecutive_failures", rate(run, 1), (*limit).into(), 0)
            },
            Rule::FailureCount { limit, min_calls } => {
                let failures = rate(counts.failures, 1);
                level("failure_count", failures, (*limit).into(), *min_calls)
            }
            Rule::FailureRate {
                threshold,
                min_calls,
            } => level("failure_rate", failure_rate(), *threshold, *min_calls),
            Rule::BurnRate(policy) => {
                let threshold = policy.threshold;
                level("burn_rate", failure_rate(), threshold, policy.min_calls)
            }
            Rule::SlowRate(policy) => {
                let slow = counts.slow_of_calls() + counts.overdue;
                let calls = calls + counts.overdue;
                let measured = rate(slow, calls.max(1));
                TripLevel {
                    calls,
                    ..level("slow_rate", measured, policy.threshold, policy.min_calls)
                }
            }
            Rule::LatencyPercentile(policy) => {
                let limit = policy.above.map_or(u64::MAX, saturating_nanos);
                TripLevel {
                    calls: bins.calls(),
                    ..level(
                        "latency_percentile",
                        seconds(policy.percentile),
                        rate(limit, 1_000_000_000),
                        policy.min_calls,
                    )
                }
            }
            Rule::SlowerThanUsual(policy) => TripLevel {
                calls: bins.calls(),
                ..level(
                    "slower_than_usual",
                    seconds(policy.percentile),
                    usual.unwrap_or_default() / 1e9 * policy.factor,
                    policy.min_calls,
                )
            },
            Rule::Adaptive(_) | Rule::Classic => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::window::Bin;

    fn level(measured: f64, threshold: f64, calls: u64, min_calls: u64) -> TripLevel {
        TripLevel {
            kind: "failure_rate",
            measured,
            threshold,
            calls,
            min_calls,
        }
    }

    #[test]
    #[allow(clippy::float_cmp, reason = "the quotients are exact")]
    fn a_level_is_full_only_with_enough_calls() {
        assert_eq!(level(0.25, 0.5, 10, 10).fill(), 0.5);
        assert_eq!(level(1.0, 0.5, 5, 10).fill(), 0.5);
        assert_eq!(level(1.0, 0.5, 20, 10).fill(), 1.0);
        assert_eq!(level(0.0, 0.5, 20, 10).fill(), 0.0);
        assert_eq!(level(0.3, 0.0, 20, 10).fill(), 0.0);
        assert_eq!(level(-0.3, 2.0, 20, 0).fill(), 0.0);
    }

    #[test]
    #[allow(clippy::float_cmp, reason = "the quotient is exact")]
    fn calls_that_hang_belong_to_a_slow_rate() {
        let policy = TripPolicy::slow_rate(0.5).slower_than(Duration::from_secs(1));
        let policy = TripPolicy::from(policy);
        let counts = Counts {
            successes: 5,
            failures: 1,
            slow: 1,
            overdue: 2,
        };
        let level = policy.level(0, &counts, &BinCounts::default(), None);
        let level = level.unwrap();
        assert_eq!((level.calls(), level.measured()), (8, 0.375));
    }

    #[test]
    #[allow(clippy::float_cmp, reason = "the thresholds are exact")]
    fn a_percentile_has_the_calls_of_the_histogram() {
        let fixed = TripPolicy::latency_percentile(50.0).above(Duration::from_secs(3));
        let relative = TripPolicy::slower_than_usual(4.0);
        let counts = Counts {
            successes: 9,
            ..Counts::default()
        };
        let mut bins = BinCounts::default();
        bins.calls[Bin::of(2_000_000_000).number()] = 4;
        for (policy, usual, threshold) in [
            (TripPolicy::from(fixed), None, 3.0),
            (TripPolicy::from(relative), Some(5e8), 2.0),
        ] {
            let level = policy.level(0, &counts, &bins, usual).unwrap();
            assert_eq!((level.calls(), level.threshold()), (4, threshold));
            assert!((1.9..2.1).contains(&level.measured()), "{level}");
        }
    }

    #[test]
    fn it_is_shown_in_a_few_words() {
        let shown = level(0.125, 0.5, 40, 10).to_string();
        assert_eq!(shown, "failure_rate 0.12 of 0.5, 40 calls");
    }
}
