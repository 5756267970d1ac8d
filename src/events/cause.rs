//! Why a breaker changed its state.

use std::fmt;
use std::time::Duration;

use crate::window::rate;

/// Why a breaker changed its state, with the numbers that were seen.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// So many calls in a row had failed.
    ConsecutiveFailures {
        /// Length of the run.
        failures: u64,
        /// What the policy allows less than.
        limit: u32,
    },
    /// So many calls of the window had failed.
    FailureCount {
        /// Failed calls in the window.
        failures: u64,
        /// Calls in the window.
        calls: u64,
        /// What the policy allows less than.
        limit: u32,
    },
    /// Too large a share of the window's calls had failed.
    FailureRate {
        /// Failed calls in the window.
        failures: u64,
        /// Calls in the window.
        calls: u64,
        /// What the policy allows less than.
        threshold: f64,
    },
    /// Failures used up the error budget too fast, in the window and still in its short stretch.
    BurnRate {
        /// Failed calls in the window.
        failures: u64,
        /// Calls in the window.
        calls: u64,
        /// Failed calls in the short stretch.
        short_failures: u64,
        /// Calls in the short stretch.
        short_calls: u64,
        /// The share of calls that must succeed.
        objective: f64,
        /// How many times as fast as the budget lasts is what the policy allows less than.
        factor: f64,
    },
    /// Too large a share of the calls was slow.
    SlowRate {
        /// Slow calls: those of the window, and those that have not come back.
        slow: u64,
        /// Calls in the window, and those that are overdue.
        calls: u64,
        /// What the policy allows less than.
        threshold: f64,
    },
    /// A percentile of the window's calls was too high.
    LatencyPercentile {
        /// Which.
        percentile: f64,
        /// How high it was.
        measured: Duration,
        /// What the policy allows at most.
        limit: Duration,
    },
    /// A percentile of the window's calls was too much higher than it usually is.
    SlowerThanUsual {
        /// Which.
        percentile: f64,
        /// How high it was.
        measured: Duration,
        /// What it usually is.
        usual: Duration,
    },
    /// There was evidence of an outage; a call that took too long counts as failed.
    Evidence {
        /// Calls that failed since there was last no evidence.
        failures: u32,
        /// Calls since then.
        calls: u32,
        /// How long ago that was.
        within: Duration,
        /// The share of calls that usually fails.
        usual: f64,
        /// The evidence, in natural logarithms.
        nats: f64,
        /// How much it takes.
        needed: f64,
    },
    /// A call came back with [`Outcome::Trip`](crate::Outcome::Trip).
    TripRequested,
    /// The breaker had been open for its time, and a call asked.
    OpenExpired,
    /// A check of the dependency's health had succeeded, and probes are let through; see
    /// `CircuitBreaker::health_check`.
    HealthCheckSucceeded,
    /// A check of the dependency's health had failed, or had taken too long.
    HealthCheckFailed,
    /// All probes had succeeded.
    ProbesSucceeded {
        /// How many.
        probes: u32,
    },
    /// As many probes had succeeded as must; see
    /// [`Recovery::success_threshold`](crate::Recovery::success_threshold).
    EnoughProbesSucceeded {
        /// How many.
        succeeded: u32,
        /// Of up to how many.
        probes: u32,
    },
    /// More probes had failed, or had taken too long, than may.
    TooManyProbesFailed {
        /// How many.
        failed: u32,
        /// Of up to how many.
        probes: u32,
    },
    /// A probe had failed.
    ProbeFailed,
    /// A probe had taken too long.
    ProbeSlow,
    /// Probes had not reported within their time; their places were taken back.
    ProbesOverdue {
        /// How many.
        probes: u32,
    },
    /// A probe had succeeded, and a ramp begins; see [`Recovery::adaptive`](crate::Recovery::adaptive).
    ProbeSucceeded {
        /// The share of the calls that is let through at first.
        share: f64,
    },
    /// A round of the ramp with all calls was clean.
    RampCompleted {
        /// Of the latest calls of the round, those that had failed or were slow.
        failures: u32,
        /// The latest calls of the round.
        calls: u32,
    },
    /// Too many calls of the ramp had failed.
    RampFailed {
        /// Of the latest calls of the round, those that had failed or were slow.
        failures: u32,
        /// The latest calls of the round.
        calls: u32,
        /// The share of the calls that was let through.
        share: f64,
    },
    /// Of the calls that the ramp had let through, none had reported within the time of a probe.
    RampOverdue {
        /// The share of the calls that was let through.
        share: f64,
    },
    /// Another configuration has come, with which the window or the recovery begins anew; see
    /// `CircuitBreaker::reconfigure`.
    Reconfigured,
    /// By command: `reset()`, `trip()`, `force_open()`, `disable()` or `metrics_only()`.
    Manual,
}

impl fmt::Display for Cause {
    #[allow(clippy::too_many_lines, reason = "a line or a few for each cause")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConsecutiveFailures { failures, limit } => {
                write!(f, "{failures} calls in a row failed (limit {limit})")
            }
            Self::FailureCount {
                failures,
                calls,
                limit,
            } => write!(
                f,
                "{failures} of {calls} calls in the window failed (limit {limit})"
            ),
            Self::FailureRate {
                failures,
                calls,
                threshold,
            } => write!(
                f,
                "{failures} of {calls} calls in the window failed, {:.1} % (limit {:.1} %)",
                100.0 * rate(*failures, *calls),
                100.0 * threshold
            ),
            Self::BurnRate {
                failures,
                calls,
                short_failures,
                short_calls,
                objective,
                factor,
            } => {
                let burned = |failures, calls| rate(failures, calls) / (1.0 - objective);
                write!(
                    f,
                    "{failures} of {calls} calls in the window and {short_failures} of {short_calls} \
                     in its short stretch failed, {:.1} and {:.1} times what the objective {objective} \
                     allows (limit {factor})",
                    burned(*failures, *calls),
                    burned(*short_failures, *short_calls)
                )
            }
            Self::SlowRate {
                slow,
                calls,
                threshold,
            } => write!(
                f,
                "{slow} of {calls} calls were slow, {:.1} % (limit {:.1} %)",
                100.0 * rate(*slow, *calls),
                100.0 * threshold
            ),
            Self::LatencyPercentile {
                percentile,
                measured,
                limit,
            } => write!(f, "p{percentile} was {measured:.1?} (limit {limit:?})"),
            Self::SlowerThanUsual {
                percentile,
                measured,
                usual,
            } => write!(f, "p{percentile} was {measured:.1?}, usually {usual:.1?}"),
            Self::Evidence {
                failures,
                calls,
                within,
                usual,
                nats,
                needed,
            } => write!(
                f,
                "{failures} of {calls} calls failed in {within:.1?}; usual rate {:.1} %; \
                 evidence {nats:.1} nats of {needed:.1} needed",
                100.0 * usual
            ),
            Self::TripRequested => f.write_str("the dependency said so"),
            Self::OpenExpired => f.write_str("its open time is over"),
            Self::HealthCheckSucceeded => f.write_str("a health check succeeded"),
            Self::HealthCheckFailed => f.write_str("a health check failed"),
            Self::ProbesSucceeded { probes } => write!(f, "{probes} of {probes} probes succeeded"),
            Self::EnoughProbesSucceeded { succeeded, probes } => {
                write!(f, "{succeeded} of up to {probes} probes succeeded")
            }
            Self::TooManyProbesFailed { failed, probes } => {
                write!(f, "{failed} of up to {probes} probes failed")
            }
            Self::ProbeFailed => f.write_str("a probe failed"),
            Self::ProbeSlow => f.write_str("a probe took too long"),
            Self::ProbesOverdue { probes } => {
                write!(f, "{probes} probes did not report in time")
            }
            Self::ProbeSucceeded { share } => write!(
                f,
                "a probe succeeded; {:.1} % of the calls are let through",
                100.0 * share
            ),
            Self::RampCompleted { failures, calls } => {
                write!(f, "{failures} of {calls} calls failed with all let through")
            }
            Self::RampFailed {
                failures,
                calls,
                share,
            } => write!(
                f,
                "{failures} of {calls} calls failed with {:.1} % let through",
                100.0 * share
            ),
            Self::RampOverdue { share } => write!(
                f,
                "no call reported in time with {:.1} % let through",
                100.0 * share
            ),
            Self::Reconfigured => f.write_str("reconfigured"),
            Self::Manual => f.write_str("by hand"),
        }
    }
}
