//! The usual value of a percentile: the slow-moving mean that the window's percentile is compared
//! with.

#[cfg(feature = "serde")]
mod persist;

#[cfg(feature = "serde")]
pub(crate) use persist::SavedPercentileBaseline;

use crate::sync::SelfContained;
use crate::sync::field::Field;
use crate::window::rate;

/// The fields of the word that holds the mean.
///
/// ```text
///  63             32 31                          0
/// +-----------------+-----------------------------+
/// | times taught, 32| logarithm, an f32 as bits   |
/// +-----------------+-----------------------------+
/// ```
mod layout {
    use super::Field;

    pub(super) const LOGARITHM: Field = Field::lowest(32);
    pub(super) const TIMES: Field = LOGARITHM.then(32);

    const _: () = assert!(TIMES.end_bit() == 64);
}

/// The mean of a percentile's logarithm over a long past. It is exponentially weighted; at first it
/// is the plain mean of all observations.
#[derive(Debug)]
pub struct PercentileBaseline {
    word: SelfContained,
    /// The number of observations before the mean is known well enough to be used.
    warm_up: u32,
    /// The number of observations over which the mean is kept.
    memory: u32,
}

impl PercentileBaseline {
    /// Creates a baseline without observations.
    #[must_use]
    pub fn new(warm_up: u32, memory: u32) -> Self {
        Self {
            word: SelfContained::new(0),
            warm_up,
            memory,
        }
    }

    /// The mean, in nanoseconds, once there are enough observations.
    #[must_use]
    pub fn get(&self) -> Option<f64> {
        let (times, logarithm) = Self::unpack(self.word.load());
        (times >= self.warm_up).then(|| f64::from(logarithm).exp())
    }

    /// Adds an observation of `nanos` nanoseconds.
    ///
    /// An observation above `factor` times the mean counts as that much. So an outage changes the
    /// mean little.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a logarithm needs no more than 24 bits"
    )]
    pub fn observe(&self, nanos: u64, factor: f64) {
        self.change(|times, mean| {
            let logarithm = rate(nanos.max(1), 1).ln() as f32;
            if times == 0 {
                return logarithm;
            }
            let step = (logarithm - mean).min(factor.ln() as f32);
            mean + step / rate(u64::from(times.saturating_add(1).min(self.memory)), 1) as f32
        });
    }

    /// Moves the mean halfway to `nanos` after that value has tripped the breaker.
    ///
    /// So a dependency that stays slower than it was trips a few times, but not for ever.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a logarithm needs no more than 24 bits"
    )]
    pub fn move_halfway(&self, nanos: u64) {
        self.change(|_, mean| {
            let logarithm = rate(nanos.max(1), 1).ln() as f32;
            mean + (logarithm - mean) / 2.0
        });
    }

    fn unpack(word: u64) -> (u32, f32) {
        // Both fields have 32 bits.
        let part = |field: Field| u32::try_from(field.get(word)).unwrap_or(u32::MAX);
        (part(layout::TIMES), f32::from_bits(part(layout::LOGARITHM)))
    }

    fn change(&self, next: impl Fn(u32, f32) -> f32) {
        // Threads take turns to observe. If two threads meet, one observation is lost.
        let seen = self.word.load();
        let (times, mean) = Self::unpack(seen);
        let new = layout::TIMES.of(u64::from(times.saturating_add(1)))
            | layout::LOGARITHM.of(u64::from(next(times, mean).to_bits()));
        let _met_another = self.word.exchange(seen, new);
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;

    #[test]
    fn it_says_nothing_before_it_was_taught_enough_and_then_the_geometric_mean() {
        let usual = PercentileBaseline::new(4, 100);
        for nanos in [1_000, 4_000, 1_000] {
            usual.observe(nanos, 10.0);
            assert_eq!(usual.get(), None);
        }
        usual.observe(4_000, 10.0);
        assert!((usual.get().unwrap() - 2_000.0).abs() < 1.0);
    }

    #[test]
    fn an_outage_teaches_little_and_a_concession_half() {
        let usual = PercentileBaseline::new(1, 100);
        for _ in 0..1_000 {
            usual.observe(1_000_000, 3.0);
        }
        for _ in 0..10 {
            usual.observe(1_000_000_000, 3.0);
        }
        let after_outage = usual.get().unwrap();
        assert!(
            (1_000_000.0..1_200_000.0).contains(&after_outage),
            "{after_outage}"
        );
        usual.move_halfway(4_000_000);
        let conceded = usual.get().unwrap();
        assert!((1_900_000.0..2_300_000.0).contains(&conceded), "{conceded}");
    }

    #[test]
    fn a_concession_goes_to_the_geometric_mean_of_the_two() {
        let usual = PercentileBaseline::new(1, 100);
        usual.observe(1_000, 3.0);
        usual.move_halfway(1_000_000_000);
        let conceded = usual.get().unwrap();
        assert!((conceded / 1e6 - 1.0).abs() < 1e-3, "{conceded}");
        usual.move_halfway(10_000);
        let conceded = usual.get().unwrap();
        assert!((conceded / 1e5 - 1.0).abs() < 1e-3, "{conceded}");
    }
}
