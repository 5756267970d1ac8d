//! Random numbers that are equal for both sides.

use std::sync::atomic::{AtomicU64, Ordering};

/// A `SplitMix64` generator that many tasks can share.
///
/// The two storefronts and their backends get dice with equal seeds, so neither side gets easier
/// shoppers.
pub(crate) struct Dice(AtomicU64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    pub(crate) fn roll(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut bits = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// A uniform number in `0.0..1.0`.
    pub(crate) fn fraction(&self) -> f64 {
        // The upper 32 bits fit a float exactly.
        let upper = u32::try_from(self.roll() >> 32).unwrap_or(0);
        f64::from(upper) / (f64::from(u32::MAX) + 1.0)
    }
}
