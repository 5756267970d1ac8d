//! How long a breaker stays open, and how many recoveries have failed.

use super::backoff::{Backoff, Computed, Jitter};
use crate::clock::saturating_nanos;
use crate::state::Generation;
use crate::sync::SelfContained;
use crate::sync::field::Field;
use crate::util::number::whole;
use crate::util::random::{between, mixed};
use crate::window::rate;

/// The fields of the word that holds the latest opening.
///
/// ```text
///  63             29 28       21 20            0
/// +-----------------+-----------+---------------+
/// |    wait, 35     | failed, 8 | generation, 21|
/// +-----------------+-----------+---------------+
/// ```
///
/// *Wait*: the open time in units of 2²⁰ ns; 35 bits last 417 days. It is zero if the breaker has
/// not opened since a command that closed it.
mod layout {
    use super::Field;

    pub(super) const GENERATION: Field = Field::lowest(super::Generation::BITS);
    pub(super) const FAILED: Field = GENERATION.then(8);
    pub(super) const WAIT: Field = FAILED.then(35);

    const _: () = assert!(WAIT.end_bit() == 64);
    const _: () =
        assert!((WAIT.max() as u128) << super::Streak::UNIT_SHIFT > 366 * 86_400 * 1_000_000_000);
}

/// The latest opening of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streak {
    /// The number of recoveries that had failed before this opening.
    pub failed: u8,
    /// The open time, in nanoseconds.
    pub wait: u64,
}

impl Streak {
    const UNIT_SHIFT: u32 = 20;

    /// The value that stands for no opening.
    pub const NONE: Self = Self { failed: 0, wait: 0 };

    /// The longest open time that the word holds.
    #[cfg(feature = "serde")]
    pub(super) const LONGEST: u64 = layout::WAIT.max() << Self::UNIT_SHIFT;

    /// Returns the fields in the order in which they are saved.
    #[cfg(feature = "serde")]
    pub(crate) fn save(self) -> [u64; 2] {
        [self.failed.into(), self.wait]
    }

    fn pack(self, generation: u64) -> u64 {
        let wait = self.wait.div_ceil(1 << Self::UNIT_SHIFT);
        layout::GENERATION.of(generation)
            | layout::FAILED.of(self.failed.into())
            | layout::WAIT.of(wait.min(layout::WAIT.max()))
    }

    #[allow(clippy::cast_possible_truncation, reason = "eight bits")]
    fn unpack(word: u64) -> Self {
        Self {
            failed: layout::FAILED.get(word) as u8,
            wait: layout::WAIT.get(word) << Self::UNIT_SHIFT,
        }
    }
}

/// Open times that grow with each failed recovery, as the settings say.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenTimes {
    /// The first open time, in nanoseconds.
    pub(crate) first: u64,
    factor: f64,
    longest: u64,
    jitter: Jitter,
    healthy_after: u64,
    computed: Option<Computed>,
}

impl OpenTimes {
    const SHORTEST: u64 = 1_000_000;

    /// The open times of a breaker whose settings name none. All breakers share them, so they take
    /// no memory of their own.
    pub(crate) const DEFAULT: &'static Self = &Self {
        first: 500_000_000,
        factor: 2.0,
        longest: 5_000_000_000,
        jitter: Jitter::Equal,
        healthy_after: 500_000_000,
        computed: None,
    };

    /// Creates the open times that `backoff` describes.
    #[must_use]
    pub fn new(backoff: Backoff) -> Self {
        let first = saturating_nanos(backoff.base());
        Self {
            first,
            factor: backoff.factor,
            longest: saturating_nanos(backoff.longest),
            jitter: backoff.jitter,
            healthy_after: backoff.healthy_after.map_or(first, saturating_nanos),
            computed: backoff.computed,
        }
    }

    /// Whether the streak is over for a breaker that has been closed for `healthy` nanoseconds.
    #[must_use]
    pub fn is_over(&self, healthy: u64) -> bool {
        healthy >= self.healthy_after
    }

    /// Returns the opening that ends a generation.
    ///
    /// The generation was closed for `healthy` nanoseconds. A half-open one was never healthy;
    /// `healthy` is then zero.
    #[must_use]
    pub fn next(&self, latest: Streak, healthy: u64, random: u64) -> Streak {
        let is_first = latest == Streak::NONE || self.is_over(healthy);
        let (failed, before) = if is_first {
            (0, self.first)
        } else {
            (latest.failed.saturating_add(1), latest.wait)
        };
        let time = self.time(failed);
        let wait = match self.jitter {
            Jitter::None => time,
            Jitter::Full => between(Self::SHORTEST, time, random),
            Jitter::Equal => between(time / 2, time, random),
            Jitter::Decorrelated => {
                let most = self.grown(before).max(self.first);
                between(self.first, most, random).min(self.longest)
            }
        };
        Streak { failed, wait }
    }

    /// The opening of a command. The next openings go on from it.
    #[must_use]
    pub fn by_hand(&self) -> Streak {
        Streak {
            failed: 0,
            wait: self.first,
        }
    }

    fn grown(&self, time: u64) -> u64 {
        whole(rate(time, 1) * self.factor)
    }

    /// The open time without jitter, in nanoseconds.
    fn time(&self, failed: u8) -> u64 {
        if let Some(compute) = self.computed {
            let computed = compute.after(failed.into()).map(saturating_nanos);
            return computed.map_or(self.first, |it| it.clamp(Self::SHORTEST, self.longest));
        }
        let mut time = self.first;
        for _ in 0..failed {
            if time >= self.longest {
                break;
            }
            time = self.grown(time);
        }
        time.min(self.longest)
    }
}

/// The latest opening of a breaker whose open times grow.
///
/// The thread that wins the compare-exchange of an opening notes it afterwards. So if several
/// threads try to open the breaker, one of them counts. If the winner sleeps until the recovery has
/// failed as well, that failure isn't counted. Noting the opening before the exchange would count
/// recoveries that never failed.
#[derive(Debug)]
pub struct LatestOpening {
    /// Sets the breaker's jitter apart from that of others.
    seed: u64,
    word: SelfContained,
}

impl LatestOpening {
    /// Creates a note of no opening.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            word: SelfContained::new(0),
        }
    }

    /// Gives the jitter another seed.
    pub(crate) fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The latest opening.
    #[must_use]
    pub fn get(&self) -> Streak {
        Streak::unpack(self.word.load())
    }

    /// A pseudorandom number for the opening at `now` that ends `generation`.
    #[must_use]
    pub fn random(&self, now: u64, generation: Generation) -> u64 {
        mixed(self.seed ^ mixed(now ^ mixed(generation.number())))
    }

    /// Starts without an opening in a breaker that is already at `generation`.
    ///
    /// Without this call, the breaker's next openings might look older than the empty note.
    pub fn start(&self, generation: Generation) {
        let none = Streak::NONE.pack(generation.bits());
        // The configuration by which openings are noted publishes it.
        self.word.store(none);
    }

    /// Notes the opening of `generation`, or that a command closed it. A later note stays.
    pub fn note(&self, generation: Generation, streak: Streak) {
        let new = streak.pack(generation.bits());
        let mut seen = self.word.load();
        while !Generation::standing_in(seen, layout::GENERATION).is_after(generation) {
            match self.word.exchange(seen, new) {
                Ok(()) => return,
                Err(found) => seen = found,
            }
        }
    }

    /// Starts in `generation` with this opening, before any other thread knows of the breaker.
    #[cfg(feature = "serde")]
    pub(crate) fn restore(&mut self, generation: Generation, streak: Streak) {
        self.word = SelfContained::new(streak.pack(generation.bits()));
    }

    /// Forgets the openings so far, before a command. A thread that sees the command's state opens
    /// for the first time.
    pub fn forget(&self) {
        // The exchange of the state word that follows publishes it.
        let mut seen = self.word.load();
        loop {
            let none = Streak::NONE.pack(layout::GENERATION.get(seen));
            match self.word.exchange(seen, none) {
                Ok(()) => return,
                Err(found) => seen = found,
            }
        }
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const SECOND: u64 = 1_000_000_000;

    fn times(jitter: Jitter) -> OpenTimes {
        let second = Duration::from_secs(1);
        let backoff = Backoff::exponential(second, 3.0, 60 * second).jitter(jitter);
        OpenTimes::new(backoff)
    }

    /// The open times of a dependency that never recovers, `runs` times over.
    fn waits(jitter: Jitter, runs: u64, openings: usize) -> Vec<Vec<u64>> {
        let run = |run| {
            let (times, latest) = (times(jitter), LatestOpening::new(0));
            let mut generation = Generation::FIRST;
            let opening = |opening: usize| {
                let random = latest.random(run * SECOND + opening as u64, generation);
                let next = times.next(latest.get(), 0, random);
                assert_eq!(usize::from(next.failed), opening);
                generation = generation.next();
                latest.note(generation, next);
                next.wait
            };
            (0..openings).map(opening).collect()
        };
        (0..runs).map(run).collect()
    }

    /// Checks that the times spread over the whole range, with their mean in the middle.
    fn check(waits: &[u64], least: u64, most: u64) {
        let (first, longest) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
        let edge = (most - least) / 20;
        assert!((least..=least + edge).contains(first), "{first} of {least}");
        assert!(
            (most - edge..=most).contains(longest),
            "{longest} of {most}"
        );
        let mean = waits.iter().sum::<u64>() / waits.len() as u64;
        assert!(mean.abs_diff(least.midpoint(most)) < edge, "{mean}");
    }

    fn nth(waits: &[Vec<u64>], opening: usize) -> Vec<u64> {
        waits.iter().map(|run| run[opening]).collect()
    }

    #[test]
    fn without_jitter_each_time_is_the_factor_times_the_one_before_up_to_the_longest() {
        let expected = [1, 3, 9, 27, 60, 60].map(|seconds| seconds * SECOND);
        assert_eq!(waits(Jitter::None, 1, 6), [expected]);
    }

    #[test]
    fn full_and_equal_jitter_spread_evenly_over_all_and_over_the_upper_half() {
        let (full, equal) = (
            waits(Jitter::Full, 2_000, 6),
            waits(Jitter::Equal, 2_000, 6),
        );
        for (opening, seconds) in [1, 3, 9, 27, 60, 60].into_iter().enumerate() {
            let time = seconds * SECOND;
            check(&nth(&full, opening), OpenTimes::SHORTEST, time);
            check(&nth(&equal, opening), time / 2, time);
        }
    }

    #[test]
    fn decorrelated_jitter_goes_from_the_base_to_the_factor_times_the_one_before() {
        let waits = waits(Jitter::Decorrelated, 2_000, 6);
        check(&nth(&waits, 0), SECOND, 3 * SECOND);
        for run in &waits {
            for pair in run.windows(2) {
                let most = (3 * (pair[0] + (1 << 20))).min(60 * SECOND);
                assert!((SECOND..=most).contains(&pair[1]), "{run:?}");
            }
        }
        let last = nth(&waits, 5);
        let mean = last.iter().sum::<u64>() / 2_000;
        assert!(mean > 5 * SECOND, "it grows: {mean}");
        assert!(last.contains(&(60 * SECOND)), "and is cut");
    }

    #[test]
    fn an_opening_that_was_noted_late_does_not_replace_a_later_one() {
        let latest = LatestOpening::new(0);
        let (first, second) = (Generation::FIRST.next(), Generation::FIRST.next().next());
        let streak = |failed| Streak {
            failed,
            wait: 1 << 20,
        };
        latest.note(second, streak(2));
        latest.note(first, streak(1));
        assert_eq!(latest.get(), streak(2));
    }

    #[test]
    fn after_255_failed_recoveries_the_count_stays() {
        let times = times(Jitter::None);
        let streak = Streak {
            failed: u8::MAX,
            wait: 60 * SECOND,
        };
        assert_eq!(times.next(streak, 0, 0).failed, u8::MAX);
    }

    #[test]
    fn the_default_is_what_the_settings_say_it_is() {
        assert_eq!(&OpenTimes::new(Backoff::default()), OpenTimes::DEFAULT);
    }

    proptest! {
        #[test]
        fn a_streak_comes_back_from_its_word(failed: u8, wait in 0..366 * 86_400 * SECOND) {
            let back = Streak::unpack(Streak { failed, wait }.pack(u64::MAX));
            prop_assert_eq!(back.failed, failed);
            prop_assert!((wait..wait + (1 << 20)).contains(&back.wait));
        }
    }
}
