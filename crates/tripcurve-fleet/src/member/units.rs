//! A breaker's numbers in the units of messages.

use crate::message::MAX_RATE;

/// A call rate in a message.
pub(super) fn in_thousandths(calls_per_second: f64) -> u64 {
    whole(calls_per_second * 1_000.0).min(MAX_RATE)
}

/// The nearest whole number; 0 for one below 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn whole(value: f64) -> u64 {
    value.round() as u64
}
