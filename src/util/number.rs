//! Conversions of numbers.

/// A float as a whole number. A float beyond the range is the range's end; NaN is zero.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast does just that"
)]
pub(crate) fn whole(number: f64) -> u64 {
    number as u64
}
