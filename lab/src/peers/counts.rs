//! Counts of ended calls by outcome.

use std::ops::{AddAssign, SubAssign};

/// Counts of ended calls. A call that failed slowly counts as both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) total: u32,
    pub(super) failed: u32,
    pub(super) slow: u32,
}

impl Counts {
    /// One call.
    pub(super) fn one(failed: bool, slow: bool) -> Self {
        Self {
            total: 1,
            failed: failed.into(),
            slow: slow.into(),
        }
    }

    /// The share of calls that failed. Without calls it is `NaN`, which is above no threshold.
    pub(super) fn failed_share(self) -> f64 {
        f64::from(self.failed) / f64::from(self.total)
    }

    /// The share of calls that were slow. Without calls it is `NaN`, which is above no threshold.
    pub(super) fn slow_share(self) -> f64 {
        f64::from(self.slow) / f64::from(self.total)
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.total += other.total;
        self.failed += other.failed;
        self.slow += other.slow;
    }
}

impl SubAssign for Counts {
    fn sub_assign(&mut self, other: Self) {
        self.total -= other.total;
        self.failed -= other.failed;
        self.slow -= other.slow;
    }
}
