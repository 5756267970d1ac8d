//! Division by a number that is known when the breaker is built: a multiplication and a shift.

/// A divisor, with its reciprocal.
///
/// For 2^s ≤ d < 2^(s+1) let m = ⌈2^(64+s) / d⌉. Then m·d exceeds 2^(64+s) by less than d ≤ 2^(s+1),
/// so that n·m / 2^(64+s) exceeds n/d by less than n·2^(s+1) / (2^(64+s)·d) ≤ 1/d for n ≤ 2^63, too
/// little to reach the next integer (Granlund and Montgomery 1994, "Division by invariant integers
/// using multiplication"). A power of two has the exact m = 2^64, one too large for its word; it is
/// halved together with 2^(64+s).
#[derive(Clone, Copy, Debug)]
pub(super) struct Divisor {
    reciprocal: u64,
    value: u32,
    shift: u32,
}

impl Divisor {
    /// The largest dividend.
    pub(super) const MAX_DIVIDEND: u64 = u64::MAX >> 1;

    /// `divisor` is above zero.
    pub(super) fn new(divisor: u32) -> Self {
        let log = divisor.ilog2();
        let shift = if divisor.is_power_of_two() {
            log.saturating_sub(1)
        } else {
            log
        };
        let reciprocal = (1_u128 << (64 + shift)).div_ceil(u128::from(divisor));
        Self {
            value: divisor,
            // Only one needs more than 64 bits, and `divide` returns its dividend unchanged.
            reciprocal: u64::try_from(reciprocal).unwrap_or(0),
            shift,
        }
    }

    /// The divisor.
    #[inline]
    pub(super) fn value(self) -> u32 {
        self.value
    }

    /// Quotient and remainder.
    #[inline]
    pub(super) fn divide(self, dividend: u64) -> (u64, u64) {
        debug_assert!(dividend <= Self::MAX_DIVIDEND);
        if self.reciprocal == 0 {
            return (dividend, 0);
        }
        let product = u128::from(dividend) * u128::from(self.reciprocal);
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the upper half of 128 bits"
        )]
        let quotient = (product >> 64) as u64 >> self.shift;
        (quotient, dividend - quotient * u64::from(self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn agrees(dividend: u64, divisor: u32) -> bool {
        let (quotient, remainder) = Divisor::new(divisor).divide(dividend);
        let divisor = u64::from(divisor);
        quotient == dividend / divisor && remainder == dividend % divisor
    }

    #[test]
    fn around_every_power_of_two_it_is_the_quotient_to_the_last_dividend() {
        let divisors = (0..32)
            .map(|log| 1_u32 << log)
            .flat_map(|power| [power.max(2) - 1, power, power + 1]);
        for divisor in divisors {
            let dividends = (0..63)
                .map(|log| 1_u64 << log)
                .flat_map(|power| [power - 1, power, power + 1]);
            let last = Divisor::MAX_DIVIDEND;
            let last_multiple = last - last % u64::from(divisor);
            for dividend in dividends.chain([last, last_multiple, last_multiple - 1]) {
                assert!(agrees(dividend, divisor), "{dividend} / {divisor}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn it_is_the_quotient(dividend in 0..=Divisor::MAX_DIVIDEND, log in 0..32_u32, low: u32) {
            let divisor = (1_u32 << log) | (low & ((1_u32 << log) - 1));
            prop_assert!(agrees(dividend, divisor));
        }
    }
}
