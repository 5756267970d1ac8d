//! The table of causes: each cause's code in the listeners' log, its fields, and its sentence.

#[cfg(feature = "serde")]
use serde::ser::SerializeMap;
use std::fmt;
use std::time::Duration;

use super::Cause;
#[cfg(feature = "serde")]
use super::serialize::CauseField as _;
use crate::clock::saturating_nanos;
use crate::error::PackedCause;
use crate::window::rate;

/// Implements [`Cause`]'s log form and sentence from one row for each cause.
///
/// A row has the code, the fields in the order of their words, and the sentence's format.
macro_rules! causes {
    ($($code:literal $name:ident { $($field:ident),* } $text:literal $(, $value:expr)*;)*) => {
        impl Cause {
            /// The code and the fields, each in a word of its own.
            fn words(self) -> (u64, [u64; 6]) {
                match self {
                    $(Self::$name { $($field),* } => ($code, padded([$($field.pack()),*])),)*
                }
            }

            /// The number of its fields.
            #[cfg(feature = "serde")]
            pub(super) fn fields(self) -> usize {
                let fields: &[&str] = match self {
                    $(Self::$name { $($field: _),* } => &[$(stringify!($field)),*],)*
                };
                fields.len()
            }

            /// Writes the fields into a map. A time has its unit in its name.
            #[cfg(feature = "serde")]
            pub(super) fn serialize_fields<M: SerializeMap>(
                self,
                map: &mut M,
            ) -> Result<(), M::Error> {
                match self {
                    $(Self::$name { $($field),* } => {
                        $($field.serialize_into(
                            map,
                            stringify!($field),
                            concat!(stringify!($field), "_seconds"),
                        )?;)*
                    })*
                }
                Ok(())
            }

            /// The cause with this code and these fields; [`Cause::Manual`] for an unknown code.
            fn of_words(code: u64, words: [u64; 6]) -> Self {
                let mut words = words.into_iter();
                match code {
                    $($code => Self::$name { $($field: next(&mut words)),* },)*
                    _ => Self::Manual,
                }
            }
        }

        impl fmt::Display for Cause {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $(Self::$name { $($field),* } => write!(f, $text $(, $value)*),)*
                }
            }
        }
    };
}

causes! {
    0 ConsecutiveFailures { failures, limit } "{failures} calls in a row failed (limit {limit})";
    1 FailureCount { failures, calls, limit }
        "{failures} of {calls} calls in the window failed (limit {limit})";
    2 FailureRate { failures, calls, threshold }
        "{failures} of {calls} calls in the window failed, {:.1} % (limit {:.1} %)",
        100.0 * rate(failures, calls), 100.0 * threshold;
    3 TripRequested {} "the dependency said so";
    4 OpenExpired {} "its open time is over";
    5 ProbesSucceeded { probes } "{probes} of {probes} probes succeeded";
    6 ProbeFailed {} "a probe failed";
    7 ProbesOverdue { probes } "{probes} probes did not report in time";
    8 Manual {} "by hand";
    9 SlowRate { slow, calls, threshold }
        "{slow} of {calls} calls were slow, {:.1} % (limit {:.1} %)",
        100.0 * rate(slow, calls), 100.0 * threshold;
    10 LatencyPercentile { percentile, measured, limit }
        "p{percentile} was {measured:.1?} (limit {limit:?})";
    11 SlowerThanUsual { percentile, measured, usual }
        "p{percentile} was {measured:.1?}, usually {usual:.1?}";
    12 ProbeSlow {} "a probe took too long";
    13 Evidence { failures, calls, within, usual, nats, needed }
        "{failures} of {calls} calls failed in {within:.1?}; usual rate {:.1} %; \
         evidence {nats:.1} nats of {needed:.1} needed",
        100.0 * usual;
    14 BurnRate { failures, calls, short_failures, short_calls, objective, factor }
        "{failures} of {calls} calls in the window and {short_failures} of {short_calls} \
         in its short stretch failed, {:.1} and {:.1} times what the objective {objective} \
         allows (limit {factor})",
        rate(failures, calls) / (1.0 - objective),
        rate(short_failures, short_calls) / (1.0 - objective);
    15 Fleet { members, failures, calls, nats, needed }
        "its fleet decided so: {failures} of {calls} calls of {members} members failed{}",
        OfNeeded(nats, needed);
    20 ProbeSucceeded { share }
        "a probe succeeded; {:.1} % of the calls are let through", 100.0 * share;
    21 RampCompleted { failures, calls }
        "{failures} of {calls} calls failed with all let through";
    22 RampFailed { failures, calls, share }
        "{failures} of {calls} calls failed with {:.1} % let through", 100.0 * share;
    23 RampOverdue { share }
        "no call reported in time with {:.1} % let through", 100.0 * share;
    24 EnoughProbesSucceeded { succeeded, probes }
        "{succeeded} of up to {probes} probes succeeded";
    25 TooManyProbesFailed { failed, probes } "{failed} of up to {probes} probes failed";
    26 HealthCheckSucceeded {} "a health check succeeded";
    27 HealthCheckFailed {} "a health check failed";
    28 Reconfigured {} "reconfigured";
    29 TooManyProbesSlow { slow, probes } "{slow} of up to {probes} probes took too long";
    30 HalfOpenExpired {} "it was half-open for too long";
    40 Isolated {} "its group was isolated";
    41 Released {} "its group was released";
}

/// The evidence of a fleet, in a sentence about its calls. Nothing if none was needed.
struct OfNeeded(f64, f64);

impl fmt::Display for OfNeeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(nats, needed) = self;
        if *needed == 0.0 {
            return Ok(());
        }
        write!(f, "; evidence {nats:.1} nats of {needed:.1} needed")
    }
}

/// A field's type, as a word.
trait Word {
    fn pack(self) -> u64;
    fn unpack(word: u64) -> Self;
}

macro_rules! words {
    ($($type:ty: $pack:expr, $unpack:expr;)*) => {$(
        impl Word for $type {
            fn pack(self) -> u64 {
                $pack(self)
            }

            fn unpack(word: u64) -> Self {
                $unpack(word)
            }
        }
    )*};
}

words! {
    u64: u64::from, u64::from;
    u32: u64::from, lower_half;
    f64: f64::to_bits, f64::from_bits;
    Duration: saturating_nanos, Duration::from_nanos;
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "the caller wants that half"
)]
fn lower_half(word: u64) -> u32 {
    word as u32
}

fn padded<const N: usize>(values: [u64; N]) -> [u64; 6] {
    std::array::from_fn(|place| values.get(place).copied().unwrap_or(0))
}

fn next<T: Word>(words: &mut impl Iterator<Item = u64>) -> T {
    T::unpack(words.next().unwrap_or(0))
}

/// The code of evidence. Its word also holds two numbers.
const EVIDENCE: u64 = 13;

/// The code of a fleet's order. Its word also holds a number.
const FLEET: u64 = 15;

/// The code of a burn rate. Its word also holds a number.
const BURN_RATE: u64 = 14;

impl Cause {
    /// Packs the cause into words that fit into the listeners' log. The first word isn't zero.
    pub(crate) fn encode(self) -> [u64; 4] {
        let (code, words) = self.words();
        let [first, second, third, fourth] = match code {
            EVIDENCE => {
                let [failures, calls, within, usual, nats, needed] = words;
                let counts = failures.min(0xFFFF) << 16 | calls << 32;
                [code | counts, within, usual, pair(nats, needed)]
            }
            BURN_RATE => {
                let [failures, calls, short_failures, short_calls, ..] = words;
                let [.., objective, factor] = words.map(f64::from_bits);
                [
                    code | burning::count(burning::BESIDE_CODE, short_failures),
                    burning::count(burning::COUNT, failures)
                        | burning::decimal((1.0 - objective) * 1e6),
                    burning::count(burning::COUNT, calls) | burning::decimal(factor * 1e3),
                    burning::count(burning::COUNT, short_calls),
                ]
            }
            FLEET => {
                let [members, failures, calls, nats, needed, _] = words;
                [code | members << 16, failures, calls, pair(nats, needed)]
            }
            _ => [code, words[0], words[1], words[2]],
        };
        [first + 1, second, third, fourth]
    }

    /// Unpacks what [`encode`](Self::encode) returned; `None` for no cause.
    pub(crate) fn decode_packed(PackedCause(words): PackedCause) -> Option<Self> {
        (words[0] != 0).then(|| Self::decode(words))
    }

    /// Unpacks what [`encode`](Self::encode) returned.
    pub(crate) fn decode([word, a, b, c]: [u64; 4]) -> Self {
        let code = (word & 0xFFFF).wrapping_sub(1);
        let words = match code {
            EVIDENCE => {
                let [nats, needed] = unpair(c);
                [word >> 16 & 0xFFFF, word >> 32, a, b, nats, needed]
            }
            BURN_RATE => [
                burning::COUNT.get(a),
                burning::COUNT.get(b),
                burning::BESIDE_CODE.get(word),
                burning::COUNT.get(c),
                ((1e6 - burning::steps(a)) / 1e6).to_bits(),
                (burning::steps(b) / 1e3).to_bits(),
            ],
            FLEET => {
                let [nats, needed] = unpair(c);
                [word >> 16, a, b, nats, needed, 0]
            }
            _ => padded([a, b, c]),
        };
        Self::of_words(code, words)
    }
}

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
    use crate::util::number::whole;
    use crate::window::rate;

    pub(super) const BESIDE_CODE: Field = Field::lowest(16).then(44);
    pub(super) const COUNT: Field = Field::lowest(44);
    const DECIMAL: Field = COUNT.then(20);

    const _: () = assert!(DECIMAL.max() >= 1_000_000 && DECIMAL.end_bit() == 64);

    /// Puts a count into its field. At ten million calls a second, the field is full after 20 days.
    pub(super) fn count(field: Field, calls: u64) -> u64 {
        field.of(calls.min(field.max()))
    }

    /// Puts a decimal into its field, as a number of steps.
    pub(super) fn decimal(steps: f64) -> u64 {
        count(DECIMAL, whole(steps.round()))
    }

    pub(super) fn steps(word: u64) -> f64 {
        rate(DECIMAL.get(word), 1)
    }
}

/// Packs two numbers, given as bits, into one word, to seven digits.
#[allow(clippy::cast_possible_truncation, reason = "seven digits will do")]
fn pair(upper: u64, lower: u64) -> u64 {
    let bits = |number: u64| u64::from((f64::from_bits(number) as f32).to_bits());
    bits(upper) << 32 | bits(lower)
}

/// The bits of the two numbers that [`pair`] packed.
fn unpair(word: u64) -> [u64; 2] {
    [word >> 32, word].map(|bits| f64::from(f32::from_bits(lower_half(bits))).to_bits())
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
            Cause::TooManyProbesSlow { slow: 2, probes: 5 },
            Cause::HalfOpenExpired,
            Cause::HealthCheckSucceeded,
            Cause::Reconfigured,
            Cause::Isolated,
            Cause::Released,
            Cause::HealthCheckFailed,
            Cause::Evidence {
                failures: 41,
                calls: 44,
                within: Duration::from_millis(310),
                usual: 0.009,
                nats: 18.25,
                needed: 18.0,
            },
            Cause::Fleet {
                members: u32::MAX,
                failures: u64::MAX,
                calls: 1,
                nats: 21.5,
                needed: 18.0,
            },
            Cause::Manual,
        ];
        for cause in causes {
            let decoded = Cause::decode(cause.encode());
            assert_eq!(decoded, cause);
            assert_eq!(decoded.kind(), cause.kind());
        }
    }
}
