//! The decision: whether what was counted is reason enough to trip.

use crate::error::ConfigError;
use crate::transition::Cause;
use crate::window::{Counts, rate};

/// When a breaker trips.
///
/// A breaker can have several policies; any of them trips it. They are judged when a failure is
/// recorded, after it was counted, and only while the breaker is closed. A success never trips:
/// what it could complete, such as the smallest number of calls, the next failure will find
/// complete, and if there is none, nothing was wrong. (It also lets the successful path go without
/// a write that all threads share.)
///
/// | policy | trips on | speed on a total outage | noise |
/// |---|---|---|---|
/// | [`consecutive_failures`](Self::consecutive_failures) | n failures in a row | n calls, whatever the traffic | trips on a run of bad luck, once in (1 − pⁿ) / ((1 − p) pⁿ) calls of which a share p fails at random: n = 5 at 5 % and 1,000 calls a second about once an hour |
/// | [`failure_count`](Self::failure_count) | n failures within the window | n calls | counts without regard to the traffic: n must fit it |
/// | [`error_rate`](Self::error_rate) | a share of the window's calls | until the window is full enough of failures: half of it at 50 % | the calmest |
///
/// (The mean time between runs: Feller 1968, "An Introduction to Probability Theory and Its
/// Applications", volume 1, chapter XIII.7.)
///
/// ```
/// use tripcurve::{CircuitBreaker, TripPolicy};
///
/// let breaker = CircuitBreaker::builder("payments")
///     .trip_when(TripPolicy::consecutive_failures(8))
///     .trip_when(TripPolicy::error_rate(0.25).min_calls(50))
///     .build()?;
/// # Ok::<(), tripcurve::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TripPolicy(Rule);

#[derive(Clone, Debug, PartialEq)]
enum Rule {
    ConsecutiveFailures { limit: u32 },
    FailureCount { limit: u32 },
    ErrorRate { threshold: f64, min_calls: u32 },
}

/// A share of failed calls that trips; see [`TripPolicy::error_rate`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a policy does nothing until it is given to a builder"]
pub struct ErrorRate {
    threshold: f64,
    min_calls: u32,
}

impl ErrorRate {
    const DEFAULT_MIN_CALLS: u32 = 10;

    /// Judges nothing before the window holds `calls` calls (default 10, at least 1).
    ///
    /// Too few, and two failures out of three trip; too many, and a dependency that is called
    /// seldom is never judged at all.
    pub fn min_calls(self, calls: u32) -> Self {
        Self {
            min_calls: calls,
            ..self
        }
    }
}

impl From<ErrorRate> for TripPolicy {
    fn from(rate: ErrorRate) -> Self {
        Self(Rule::ErrorRate {
            threshold: rate.threshold,
            min_calls: rate.min_calls,
        })
    }
}

impl TripPolicy {
    /// Trips on `n` failures with no success between them, however long they took; `n` is at
    /// least 1.
    ///
    /// Ignored calls neither add to the run nor end it.
    #[must_use]
    pub fn consecutive_failures(n: u32) -> Self {
        Self(Rule::ConsecutiveFailures { limit: n })
    }

    /// Trips on `n` failures within the window; `n` is at least 1.
    #[must_use]
    pub fn failure_count(n: u32) -> Self {
        Self(Rule::FailureCount { limit: n })
    }

    /// Trips when at least `fraction` of the window's calls have failed; above 0, at most 1.
    ///
    /// Inclusive: 5 failures of 10 calls trip at 0.5. Ignored calls are not counted. Judged from
    /// 10 calls on, unless [`min_calls`](ErrorRate::min_calls) says otherwise.
    pub fn error_rate(fraction: f64) -> ErrorRate {
        ErrorRate {
            threshold: fraction,
            min_calls: ErrorRate::DEFAULT_MIN_CALLS,
        }
    }

    /// The pair that the pattern is known for: 5 failures in a row, or half of at least 10 calls;
    /// of fewer where the window holds fewer.
    pub(crate) fn defaults(capacity: Option<u32>) -> Vec<Self> {
        let min_calls = capacity.map_or(ErrorRate::DEFAULT_MIN_CALLS, |calls| {
            ErrorRate::DEFAULT_MIN_CALLS.min(calls)
        });
        vec![
            Self::consecutive_failures(5),
            Self::error_rate(0.5).min_calls(min_calls).into(),
        ]
    }

    /// Whether the policy could ever trip with a window of this capacity.
    pub(crate) fn check(&self, capacity: Option<u32>) -> Result<(), ConfigError> {
        let fits = |setting, calls: u32| match capacity {
            _ if calls == 0 => Err(ConfigError::new(
                setting,
                calls,
                "at least 1",
                "0 would trip before any call; for that there is force_open()",
            )),
            Some(capacity) if calls > capacity => Err(ConfigError::new(
                setting,
                calls,
                format!("at most {capacity}, the calls that the window holds"),
                "it could never trip; make it smaller or the window larger",
            )),
            _ => Ok(()),
        };
        match &self.0 {
            Rule::ConsecutiveFailures { limit: 0 } => fits("trip_when.consecutive_failures", 0),
            Rule::ConsecutiveFailures { .. } => Ok(()),
            Rule::FailureCount { limit } => fits("trip_when.failure_count", *limit),
            Rule::ErrorRate {
                threshold,
                min_calls,
            } => {
                if !(*threshold > 0.0 && *threshold <= 1.0) {
                    return Err(ConfigError::new(
                        "trip_when.error_rate",
                        threshold,
                        "above 0.0 and at most 1.0",
                        "it is a fraction: half of the calls is 0.5",
                    ));
                }
                fits("trip_when.error_rate.min_calls", *min_calls)
            }
        }
    }

    /// Whether the policy looks at the window.
    pub(crate) fn looks_at_window(&self) -> bool {
        !matches!(self.0, Rule::ConsecutiveFailures { .. })
    }

    /// Whether the policy may trip when the window holds these failures and at least these
    /// successes; if not, then more successes don't make it.
    pub(crate) fn may_trip(&self, run: u64, counts: &Counts) -> bool {
        let failures = counts.failures;
        match self.0 {
            Rule::ConsecutiveFailures { limit } => run >= u64::from(limit),
            Rule::FailureCount { limit } => failures >= u64::from(limit),
            Rule::ErrorRate {
                threshold,
                min_calls,
            } => rate(failures, counts.calls().max(min_calls.into())) >= threshold,
        }
    }

    /// Whether a failure that made the run `run` long and the window `counts` trips, and why.
    pub(crate) fn judge(&self, run: u64, counts: &Counts) -> Option<Cause> {
        let failures = counts.failures;
        let calls = counts.calls();
        match self.0 {
            Rule::ConsecutiveFailures { limit } => {
                (run >= u64::from(limit)).then_some(Cause::ConsecutiveFailures {
                    failures: run,
                    limit,
                })
            }
            Rule::FailureCount { limit } => {
                (failures >= u64::from(limit)).then_some(Cause::FailureCount {
                    failures,
                    calls,
                    limit,
                })
            }
            Rule::ErrorRate {
                threshold,
                min_calls,
            } => (calls >= u64::from(min_calls) && rate(failures, calls) >= threshold).then_some(
                Cause::ErrorRate {
                    failures,
                    calls,
                    threshold,
                },
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(failures: u64, successes: u64) -> Counts {
        Counts {
            successes,
            failures,
        }
    }

    #[test]
    fn a_rate_is_inclusive_to_the_call_at_every_decimal_threshold() {
        for percent in 1..=100_u32 {
            let policy: TripPolicy = TripPolicy::error_rate(f64::from(percent) / 100.0)
                .min_calls(100)
                .into();
            for scale in [1, 3, 7, 1_000] {
                let failures = u64::from(percent) * scale;
                let calls = 100 * scale;
                let at = counts(failures, calls - failures);
                let below = counts(failures - 1, calls - failures + 1);
                assert!(policy.judge(0, &at).is_some(), "{failures} of {calls}");
                assert!(policy.judge(0, &below).is_none(), "{failures} of {calls}");
            }
        }
    }

    #[test]
    fn fewer_calls_than_the_smallest_number_are_not_judged() {
        let policy: TripPolicy = TripPolicy::error_rate(0.5).into();
        assert!(policy.judge(0, &counts(9, 0)).is_none());
        assert!(policy.judge(0, &counts(10, 0)).is_some());
    }

    #[test]
    fn an_empty_window_is_not_judged_even_without_a_smallest_number() {
        let policy: TripPolicy = TripPolicy::error_rate(0.5).min_calls(0).into();
        assert!(policy.judge(0, &counts(0, 0)).is_none());
    }
}
