//! How far evidence rises while nothing is wrong. A trip takes so many times as much.

use super::adaptive::rounded;

/// The excesses of excursions over 8 nats, and the highest evidence of the present one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dispersion {
    excesses: f64,
    excursions: u32,
    highest: f64,
}

impl Dispersion {
    const LOW: f64 = 8.0;

    /// What was learnt, without the present excursion.
    pub(super) fn learnt(self) -> Self {
        Self {
            highest: 0.0,
            ..self
        }
    }

    /// The excursion ends otherwise than by itself.
    pub(super) fn forget(&mut self) {
        self.highest = 0.0;
    }

    /// A call failed, and the tests found so much evidence of what they need.
    ///
    /// The height is what the first test needs, times the part that the less sure test has of what
    /// it needs. It is at most `taken`, what a trip takes by the first test.
    pub(super) fn rise(&mut self, tests: &[(f64, f64)], taken: f64) {
        let (own, needed) = tests[0];
        let mut height = own;
        for (nats, other) in &tests[1..] {
            if *other > 0.0 {
                height = height.min(rounded(needed * (nats / other)));
            }
        }
        let height = height.min(taken);
        if height > Self::LOW {
            self.highest = self.highest.max(height);
        }
    }

    /// The excursion is an outage, whether the breaker may trip or not.
    pub(super) fn outage(&mut self) {
        self.highest = f64::INFINITY;
    }

    /// The excursion ends by itself. Returns whether it was an outage, which teaches nothing.
    pub(super) fn end(&mut self) -> bool {
        const UNITS: f64 = 8_192.0;
        let is_outage = self.highest.is_infinite();
        if self.highest > 0.0 && !is_outage {
            self.excesses = (self.excesses + self.highest - Self::LOW).min(512.0);
            self.excursions += 1;
            if self.excursions > 64 {
                self.excesses = (self.excesses / 2.0 * UNITS).floor() / UNITS;
                self.excursions /= 2;
            }
        }
        self.highest = 0.0;
        is_outage
    }

    /// The evidence that a trip takes where independent failures take `needed`. It is at most what
    /// outages are sure to come to, unless even independent failures take more.
    pub(super) fn times(self, needed: f64, most: f64) -> f64 {
        let believed = 32.0;
        let mean = (believed + self.excesses) / (believed + f64::from(self.excursions));
        let dispersion = mean.clamp(1.0, 4.0);
        if dispersion > 1.0 && needed > 0.0 {
            rounded(needed * dispersion).min(most).max(needed)
        } else {
            needed
        }
    }
}
