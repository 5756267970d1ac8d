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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn something_happens_as_often_as_its_chance_says() {
        let mut random = Random::new(1);
        let mut of = |chance| (0..1_000).filter(|_| random.happens(chance)).count();
        assert_eq!((of(0.0), of(1.0)), (0, 1_000));
        let quarter = of(0.25);
        assert!((200..=300).contains(&quarter), "{quarter}");
    }

    #[test]
    fn a_time_differs_by_up_to_a_fifth_both_ways() {
        let (mut random, time) = (Random::new(1), Duration::from_secs(10));
        let times: Vec<_> = (0..1_000).map(|_| random.about(time)).collect();
        let (least, most) = (times.iter().min().unwrap(), times.iter().max().unwrap());
        assert!(
            *least >= time * 8 / 10 && *least < time * 81 / 100,
            "{least:?}"
        );
        assert!(
            *most <= time * 12 / 10 && *most > time * 119 / 100,
            "{most:?}"
        );
    }
}
