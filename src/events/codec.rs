//! Packs a cause into words that fit into the listeners' log, and unpacks it.

use std::time::Duration;

use super::Cause;
use crate::clock::saturating_nanos;

impl Cause {
    /// Packs the cause into words that fit into the listeners' log.
    pub(crate) fn encode(self) -> [u64; 4] {
        match self {
            Self::ConsecutiveFailures { failures, limit } => [0, failures, limit.into(), 0],
            Self::FailureCount {
                failures,
                calls,
                limit,
            } => [1, failures, calls, limit.into()],
            Self::FailureRate {
                failures,
                calls,
                threshold,
            } => [2, failures, calls, threshold.to_bits()],
            Self::TripRequested => [3, 0, 0, 0],
            Self::OpenExpired => [4, 0, 0, 0],
            Self::ProbesSucceeded { probes } => [5, probes.into(), 0, 0],
            Self::ProbeFailed => [6, 0, 0, 0],
            Self::ProbesOverdue { probes } => [7, probes.into(), 0, 0],
            Self::Manual => [8, 0, 0, 0],
            Self::SlowRate {
                slow,
                calls,
                threshold,
            } => [9, slow, calls, threshold.to_bits()],
            Self::LatencyPercentile {
                percentile,
                measured,
                limit,
            } => [
                10,
                percentile.to_bits(),
                saturating_nanos(measured),
                saturating_nanos(limit),
            ],
            Self::SlowerThanUsual {
                percentile,
                measured,
                usual,
            } => [
                11,
                percentile.to_bits(),
                saturating_nanos(measured),
                saturating_nanos(usual),
            ],
            Self::ProbeSlow => [12, 0, 0, 0],
            Self::BurnRate {
                failures,
                calls,
                short_failures,
                short_calls,
                objective,
                factor,
            } => [
                BURN_RATE | burning::count(burning::BESIDE_CODE, short_failures),
                burning::count(burning::COUNT, failures) | burning::objective(objective),
                burning::count(burning::COUNT, calls) | burning::factor(factor),
                burning::count(burning::COUNT, short_calls),
            ],
            Self::ProbeSucceeded { share } => [20, share.to_bits(), 0, 0],
            Self::RampCompleted { failures, calls } => [21, failures.into(), calls.into(), 0],
            Self::RampFailed {
                failures,
                calls,
                share,
            } => [22, failures.into(), calls.into(), share.to_bits()],
            Self::RampOverdue { share } => [23, share.to_bits(), 0, 0],
            Self::EnoughProbesSucceeded { succeeded, probes } => {
                [24, succeeded.into(), probes.into(), 0]
            }
            Self::TooManyProbesFailed { failed, probes } => [25, failed.into(), probes.into(), 0],
            Self::HealthCheckSucceeded => [26, 0, 0, 0],
            Self::HealthCheckFailed => [27, 0, 0, 0],
            Self::Reconfigured => [28, 0, 0, 0],
            Self::Isolated => [40, 0, 0, 0],
            Self::Released => [41, 0, 0, 0],
            Self::Evidence {
                failures,
                calls,
                within,
                usual,
                nats,
                needed,
            } => [
                EVIDENCE | u64::from(failures.min(0xFFFF)) << 16 | u64::from(calls) << 32,
                saturating_nanos(within),
                usual.to_bits(),
                pair(nats, needed),
            ],
        }
    }

    /// Unpacks what [`encode`](Self::encode) returned.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "each was a u32 when it was encoded"
    )]
    pub(crate) fn decode([code, a, b, c]: [u64; 4]) -> Self {
        match code & 0xFFFF {
            0 => Self::ConsecutiveFailures {
                failures: a,
                limit: b as u32,
            },
            1 => Self::FailureCount {
                failures: a,
                calls: b,
                limit: c as u32,
            },
            2 => Self::FailureRate {
                failures: a,
                calls: b,
                threshold: f64::from_bits(c),
            },
            3 => Self::TripRequested,
            4 => Self::OpenExpired,
            5 => Self::ProbesSucceeded { probes: a as u32 },
            6 => Self::ProbeFailed,
            7 => Self::ProbesOverdue { probes: a as u32 },
            9 => Self::SlowRate {
                slow: a,
                calls: b,
                threshold: f64::from_bits(c),
            },
            10 => Self::LatencyPercentile {
                percentile: f64::from_bits(a),
                measured: Duration::from_nanos(b),
                limit: Duration::from_nanos(c),
            },
            11 => Self::SlowerThanUsual {
                percentile: f64::from_bits(a),
                measured: Duration::from_nanos(b),
                usual: Duration::from_nanos(c),
            },
            12 => Self::ProbeSlow,
            BURN_RATE => Self::BurnRate {
                failures: burning::COUNT.get(a),
                calls: burning::COUNT.get(b),
                short_failures: burning::BESIDE_CODE.get(code),
                short_calls: burning::COUNT.get(c),
                objective: burning::objective_of(a),
                factor: burning::factor_of(b),
            },
            20 => Self::ProbeSucceeded {
                share: f64::from_bits(a),
            },
            21 => Self::RampCompleted {
                failures: a as u32,
                calls: b as u32,
            },
            22 => Self::RampFailed {
                failures: a as u32,
                calls: b as u32,
                share: f64::from_bits(c),
            },
            23 => Self::RampOverdue {
                share: f64::from_bits(a),
            },
            24 => Self::EnoughProbesSucceeded {
                succeeded: a as u32,
                probes: b as u32,
            },
            25 => Self::TooManyProbesFailed {
                failed: a as u32,
                probes: b as u32,
            },
            26 => Self::HealthCheckSucceeded,
            27 => Self::HealthCheckFailed,
            28 => Self::Reconfigured,
            40 => Self::Isolated,
            41 => Self::Released,
            EVIDENCE => Self::Evidence {
                failures: (code >> 16) as u32 & 0xFFFF,
                calls: (code >> 32) as u32,
                within: Duration::from_nanos(a),
                usual: f64::from_bits(b),
                nats: f64::from(f32::from_bits((c >> 32) as u32)),
                needed: f64::from(f32::from_bits(c as u32)),
            },
            _ => Self::Manual,
        }
    }
}

/// The code of evidence. Its word also holds two numbers.
const EVIDENCE: u64 = 13;

/// The code of a burn rate. Its word also holds a number.
const BURN_RATE: u64 = 14;

/// The packing of a burn rate's six numbers into four words.
///
/// The settings are decimals that the policy has cut. The budget is in millionths, the factor in
/// thousandths. Each has at most a million steps.
///
/// ```text
///  63   60 59                        16 15            0
/// +-------+----------------------------+---------------+
/// |   0   |    short failures, 44      |   code, 16    |
/// +-------+----------------------------+---------------+
///  63              44 43                              0
/// +------------------+---------------------------------+
/// |    budget, 20    |          failures, 44           |
/// |    factor, 20    |           calls, 44             |
/// |        0         |        short calls, 44          |
/// +------------------+---------------------------------+
/// ```
mod burning {
    use crate::sync::field::Field;

    pub(super) const BESIDE_CODE: Field = Field::lowest(16).then(44);
    pub(super) const COUNT: Field = Field::lowest(44);
    const DECIMAL: Field = COUNT.then(20);

    const _: () = assert!(DECIMAL.max() >= 1_000_000 && DECIMAL.end_bit() == 64);

    /// Puts a count into its field. At ten million calls a second, the field is full after 20 days.
    pub(super) fn count(field: Field, calls: u64) -> u64 {
        field.of(calls.min(field.max()))
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rounded, and what is less than zero becomes zero"
    )]
    fn decimal(steps: f64) -> u64 {
        DECIMAL.of((steps.round() as u64).min(DECIMAL.max()))
    }

    #[allow(clippy::cast_precision_loss, reason = "20 bits")]
    fn steps(word: u64) -> f64 {
        DECIMAL.get(word) as f64
    }

    pub(super) fn objective(objective: f64) -> u64 {
        decimal((1.0 - objective) * 1e6)
    }

    pub(super) fn objective_of(word: u64) -> f64 {
        (1e6 - steps(word)) / 1e6
    }

    pub(super) fn factor(factor: f64) -> u64 {
        decimal(factor * 1e3)
    }

    pub(super) fn factor_of(word: u64) -> f64 {
        steps(word) / 1e3
    }
}

/// Packs two numbers into one word, to seven digits.
#[allow(clippy::cast_possible_truncation, reason = "seven digits will do")]
fn pair(upper: f64, lower: f64) -> u64 {
    let bits = |number: f64| u64::from((number as f32).to_bits());
    bits(upper) << 32 | bits(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_comes_back_from_the_log() {
        let causes = [
            Cause::ConsecutiveFailures {
                failures: 5,
                limit: 4,
            },
            Cause::FailureCount {
                failures: u64::MAX,
                calls: 7,
                limit: u32::MAX,
            },
            Cause::FailureRate {
                failures: 1,
                calls: 3,
                threshold: 0.1,
            },
            Cause::TripRequested,
            Cause::OpenExpired,
            Cause::ProbesSucceeded { probes: 3 },
            Cause::ProbeFailed,
            Cause::ProbeSlow,
            Cause::SlowRate {
                slow: 5,
                calls: 9,
                threshold: 0.5,
            },
            Cause::LatencyPercentile {
                percentile: 99.0,
                measured: Duration::from_millis(7),
                limit: Duration::from_millis(5),
            },
            Cause::SlowerThanUsual {
                percentile: 90.0,
                measured: Duration::from_millis(7),
                usual: Duration::from_millis(1),
            },
            Cause::ProbesOverdue { probes: 2 },
            Cause::EnoughProbesSucceeded {
                succeeded: 3,
                probes: 5,
            },
            Cause::TooManyProbesFailed {
                failed: 3,
                probes: 5,
            },
            Cause::BurnRate {
                failures: 144,
                calls: (1 << 44) - 1,
                short_failures: (1 << 44) - 2,
                short_calls: 600,
                objective: 0.999,
                factor: 14.4,
            },
            Cause::BurnRate {
                failures: 0,
                calls: 1,
                short_failures: 2,
                short_calls: (1 << 44) - 1,
                objective: 0.999_999,
                factor: 1_000.0,
            },
            Cause::ProbeSucceeded { share: 0.05 },
            Cause::RampCompleted {
                failures: 1,
                calls: 90,
            },
            Cause::RampFailed {
                failures: 7,
                calls: 9,
                share: 0.2,
            },
            Cause::RampOverdue { share: 1.0 },
            Cause::HealthCheckSucceeded,
            Cause::Reconfigured,
            Cause::HealthCheckFailed,
            Cause::Evidence {
                failures: 41,
                calls: 44,
                within: Duration::from_millis(310),
                usual: 0.009,
                nats: 18.25,
                needed: 18.0,
            },
            Cause::Manual,
        ];
        for cause in causes {
            assert_eq!(Cause::decode(cause.encode()), cause);
        }
    }
}
