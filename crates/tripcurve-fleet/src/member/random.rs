//! Random times, so that members don't act together.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

#[derive(Debug)]
pub(super) struct Random(SmallRng);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(SmallRng::seed_from_u64(seed))
    }

    /// A random part of `time`.
    pub(super) fn part_of(&mut self, time: Duration) -> Duration {
        time.mul_f64(self.0.random())
    }

    /// A time that differs from `time` by up to a fifth.
    pub(super) fn about(&mut self, time: Duration) -> Duration {
        time * 4 / 5 + self.part_of(time * 2 / 5)
    }

    /// Whether something happens that has this chance.
    pub(super) fn happens(&mut self, chance: f64) -> bool {
        self.0.random::<f64>() < chance
    }
}
