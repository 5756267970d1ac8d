//! How far evidence rises while nothing is wrong. A trip takes so many times as much.

use super::adaptive::{Found, rounded};

/// The excesses of excursions over 8 nats, and the highest evidence of the present one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dispersion {
    excesses: f64,
    excursions: u32,
    highest: f64,
    /// The excursion that the latest trip has ended, and the generation that it ended.
    tripped: Option<(Found, u64)>,
}

/// How a recovery from a trip went that may have been false.
#[derive(Clone, Copy, Debug)]
pub(super) enum Recovered {
    /// No probe and no ramp has failed.
    AtOnce,
    /// One of them may have failed.
    Soon,
}

impl Dispersion {
    const LOW: f64 = 8.0;

    /// What was learnt, without the present excursion.
    pub(super) fn learnt(self) -> Self {
        Self {
            highest: 0.0,
            tripped: None,
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
        let height = Self::height(tests).min(taken);
        if height > Self::LOW {
            self.highest = self.highest.max(height);
        }
    }

    /// The evidence of all tests in terms of the first one. The test that is further from a trip
    /// decides.
    pub(super) fn height(tests: &[(f64, f64)]) -> f64 {
        let (own, needed) = tests[0];
        let mut height = own;
        for (nats, other) in &tests[1..] {
            if *other > 0.0 {
                height = height.min(rounded(needed * (nats / other)));
            }
        }
        height
    }

    /// The excursion `found` ends with a trip of the generation with this number.
    pub(super) fn trip(&mut self, found: Found, generation: u64) {
        self.forget();
        self.tripped = Some((found, generation));
    }

    /// A ramp closes the breaker and so begins a generation. If the latest trip was false, its
    /// excess counts, and its excursion is returned. Between the trip and this generation come an
    /// open one, a half-open one and the ramp. If a probe or ramp failed, three more come.
    pub(super) fn false_trip(&mut self, closed: u64, after: Recovered) -> Option<Found> {
        let (found, tripped) = self.tripped?;
        let most = match after {
            Recovered::AtOnce => 4,
            Recovered::Soon => 7,
        };
        if !(4..=most).contains(&(closed - tripped)) {
            return None;
        }
        self.tripped = None;
        // Heights of trips are kept in 16ths.
        let height = (found.height * 16.0).floor() / 16.0;
        self.excesses = (self.excesses + (height - Self::LOW).max(0.0)).min(512.0);
        Some(found)
    }

    /// How many times as much evidence a trip takes: 1 to 4.
    pub(super) fn get(self) -> f64 {
        let believed = 32.0;
        let mean = (believed + self.excesses) / (believed + f64::from(self.excursions));
        mean.clamp(1.0, 4.0)
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
        let dispersion = self.get();
        if dispersion > 1.0 && needed > 0.0 {
            rounded(needed * dispersion).min(most).max(needed)
        } else {
            needed
        }
    }
}
