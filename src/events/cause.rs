//! Why a breaker changed its state.

use std::time::Duration;

/// Why a breaker changed its state, with the numbers behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// Too many calls in a row had failed.
    ConsecutiveFailures {
        /// The length of the run.
        failures: u64,
        /// The run at which the policy trips.
        limit: u32,
    },
    /// Too many calls of the window had failed.
    FailureCount {
        /// Failed calls in the window.
        failures: u64,
        /// Calls in the window.
        calls: u64,
        /// The number of failed calls at which the policy trips.
        limit: u32,
    },
    /// Too large a share of the window's calls had failed.
    FailureRate {
        /// Failed calls in the window.
        failures: u64,
        /// Calls in the window.
        calls: u64,
        /// The failure rate at which the policy trips.
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
        /// The burn rate at which the policy trips.
        factor: f64,
    },
    /// Too large a share of the calls was slow.
    SlowRate {
        /// Slow calls: those of the window, and those that are overdue.
        slow: u64,
        /// All calls: those of the window, and those that are overdue.
        calls: u64,
        /// The share of slow calls at which the policy trips.
        threshold: f64,
    },
    /// A percentile of the window's calls was too high.
    LatencyPercentile {
        /// The percentile that is judged.
        percentile: f64,
        /// The measured value.
        measured: Duration,
        /// The value above which the policy trips.
        limit: Duration,
    },
    /// A percentile of the window's calls was too much higher than it usually is.
    SlowerThanUsual {
        /// The percentile that is judged.
        percentile: f64,
        /// The measured value.
        measured: Duration,
        /// The usual value.
        usual: Duration,
    },
    /// There was enough evidence of an outage. A call that took too long counts as failed.
    Evidence {
        /// Calls that failed since there was last no evidence.
        failures: u32,
        /// All calls since there was last no evidence.
        calls: u32,
        /// How long ago there was last no evidence.
        within: Duration,
        /// The share of calls that usually fails.
        usual: f64,
        /// The evidence, in nats (natural logarithm).
        nats: f64,
        /// The evidence that a trip takes, in nats.
        needed: f64,
    },
    /// A fleet had decided for its members; see `FleetPort::follow`. The numbers are the fleet's, as
    /// its order gave them.
    Fleet {
        /// The members of the fleet.
        members: u32,
        /// Calls of the fleet that had failed.
        failures: u64,
        /// Calls of the fleet.
        calls: u64,
        /// The evidence, in nats; 0.0 if the order gave none.
        nats: f64,
        /// The evidence that the fleet's trip takes, in nats; 0.0 if the order gave none.
        needed: f64,
    },
    /// A call came back with [`Outcome::Trip`](crate::Outcome::Trip).
    TripRequested,
    /// The open time had passed, and a call asked for admission.
    OpenExpired,
    /// A check of the dependency's health had succeeded, and probes are admitted; see
    /// `CircuitBreaker::health_check`.
    HealthCheckSucceeded,
    /// A check of the dependency's health had failed, or had taken too long.
    HealthCheckFailed,
    /// All probes had succeeded.
    ProbesSucceeded {
        /// The number of probes.
        probes: u32,
    },
    /// Enough probes had succeeded; see
    /// [`Recovery::success_threshold`](crate::Recovery::success_threshold).
    EnoughProbesSucceeded {
        /// The number of probes that had succeeded.
        succeeded: u32,
        /// The number of probes that the breaker would have admitted.
        probes: u32,
    },
    /// Too many probes had failed or had taken too long.
    TooManyProbesFailed {
        /// The number of probes that had failed.
        failed: u32,
        /// The number of probes that the breaker would have admitted.
        probes: u32,
    },
    /// Too many probes had succeeded late; see
    /// [`Recovery::slow_threshold`](crate::Recovery::slow_threshold).
    TooManyProbesSlow {
        /// The number of slow probes.
        slow: u32,
        /// The number of probes that the breaker would have admitted.
        probes: u32,
    },
    /// A probe had failed.
    ProbeFailed,
    /// A probe had taken too long.
    ProbeSlow,
    /// Probes had not reported in time, and lost their places.
    ProbesOverdue {
        /// The number of overdue probes.
        probes: u32,
    },
    /// A probe had succeeded, and a ramp begins; see
    /// [`Recovery::adaptive`](crate::Recovery::adaptive).
    ProbeSucceeded {
        /// The share of the calls that is admitted at first.
        share: f64,
    },
    /// A round of the ramp with all calls was clean.
    RampCompleted {
        /// Failed or slow calls among the latest calls of the round.
        failures: u32,
        /// The latest calls of the round.
        calls: u32,
    },
    /// Too many calls of the ramp had failed.
    RampFailed {
        /// Failed or slow calls among the latest calls of the round.
        failures: u32,
        /// The latest calls of the round.
        calls: u32,
        /// The share of the calls that was admitted.
        share: f64,
    },
    /// No call that the ramp had admitted had reported within the probe timeout.
    RampOverdue {
        /// The share of the calls that was admitted.
        share: f64,
    },
    /// The breaker had been half-open for too long; see
    /// [`Recovery::half_open_limit`](crate::Recovery::half_open_limit).
    HalfOpenExpired,
    /// A new configuration starts the window or the recovery over; see
    /// `CircuitBreaker::reconfigure`.
    Reconfigured,
    /// A command changed the state: `reset()`, `trip()`, `force_open()`, `disable()` or
    /// `metrics_only()`.
    Manual,
    /// The breaker's control group was isolated; see `ControlGroup::isolate`.
    Isolated,
    /// The breaker's control group was released; see `ControlGroup::release`.
    Released,
}
