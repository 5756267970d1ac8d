//! Conversions of times and counts to floating-point numbers and back.

use crate::breaker::Nanos;

/// A millisecond.
pub const MILLISECOND: Nanos = 1_000_000;
/// A second.
pub const SECOND: Nanos = 1_000 * MILLISECOND;

/// Converts seconds to nanoseconds.
#[must_use]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float beyond the range is its end"
)]
pub fn nanos(seconds: f64) -> Nanos {
    (seconds * 1e9) as Nanos
}

/// Converts a count to a floating-point number.
#[must_use]
#[allow(
    clippy::cast_precision_loss,
    reason = "counts and times of the lab are below 2⁵³"
)]
pub fn number(count: u64) -> f64 {
    count as f64
}

/// Converts nanoseconds to seconds.
#[must_use]
pub fn seconds(nanos: Nanos) -> f64 {
    number(nanos) / 1e9
}

/// The seconds between `from` and `to`, negative if `to` is earlier.
#[must_use]
pub fn seconds_between(from: Nanos, to: Nanos) -> f64 {
    if to >= from {
        seconds(to - from)
    } else {
        -seconds(from - to)
    }
}
