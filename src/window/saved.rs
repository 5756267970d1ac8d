//! What is saved of a window.

use serde::{Deserialize, Serialize};

use super::{ClockReading, CountRing, Ring, TimeRing};
use crate::clock::Now;
use crate::clock::context::CallContext;
use crate::error::ConfigError;
use crate::state::Generation;
use crate::util::checksum::{Checksum, Summed, summed};

/// What a window had counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SavedWindow {
    /// Of a window by time.
    Time(SavedBuckets),
    /// Of a window by count.
    Count(SavedCalls),
}

/// The counts of a window by time, those of the present bucket first; where all others are zero, they are
/// left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedBuckets {
    /// How many buckets the window has.
    pub(super) buckets: u32,
    /// How long a bucket lasts, in nanoseconds.
    pub(super) width: u64,
    /// For how long there had been the present one, in nanoseconds.
    pub(super) begun: u64,
    pub(super) successes: Vec<u64>,
    pub(super) failures: Vec<u64>,
    pub(super) slow: Vec<u64>,
    pub(super) uncounted: Vec<u64>,
}

summed!(SavedBuckets {
    buckets,
    width,
    begun,
    successes,
    failures,
    slow,
    uncounted,
});

/// The calls of a window by count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedCalls {
    /// How many calls the window holds at most.
    pub(super) length: u64,
    /// A letter for each call that it held, the oldest first; see [`letter`].
    pub(super) outcomes: String,
    pub(super) uncounted: u64,
    /// If calls leave it by their age.
    pub(super) ages: Option<SavedAges>,
}

summed!(SavedCalls {
    length,
    outcomes,
    uncounted,
    ages,
});

/// How old the calls of a window by count were.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedAges {
    /// Width of a tick, in nanoseconds.
    pub(super) width: u64,
    /// For how long there had been the present one, in nanoseconds.
    pub(super) begun: u64,
    /// How many ticks ago a tick was, and how many calls there were since it began.
    pub(super) since: Vec<[u64; 2]>,
}

summed!(SavedAges {
    width,
    begun,
    since,
});

impl Summed for SavedWindow {
    fn add_to(&self, sum: &mut Checksum) {
        match self {
            Self::Time(buckets) => buckets.add_to(sum),
            Self::Count(calls) => calls.add_to(sum),
        }
    }
}

/// How a call is written.
pub(super) fn letter(failed: bool, slow: bool) -> char {
    match (failed, slow) {
        (false, false) => '.',
        (true, false) => 'x',
        (false, true) => 's',
        (true, true) => 'X',
    }
}

/// Whether the call that is written so had failed, and whether it was slow.
pub(super) fn outcome(letter: char) -> Option<(bool, bool)> {
    match letter {
        '.' => Some((false, false)),
        'x' => Some((true, false)),
        's' => Some((false, true)),
        'X' => Some((true, true)),
        _ => None,
    }
}

/// By how many ticks older all is that was counted in ticks of `width`, of which the present one had `begun`
/// so long before it was saved, and that is restored so much later into one that has `begun` so long before.
///
/// What falls into two ticks goes to the older one: it leaves the window up to a tick too early, but not too
/// late.
pub(super) fn ticks_later(width: u64, (saved, now): (u64, u64), elapsed: u64) -> u64 {
    let passed = saved.saturating_add(elapsed);
    passed.saturating_sub(now).div_ceil(width.max(1))
}

impl SavedWindow {
    /// The most that a bucket word can count.
    pub(super) const MOST: u64 = (1 << 48) - 1;

    /// Refuses what no window can have counted.
    ///
    /// `counts_slow` says whether a call could be slow.
    pub(crate) fn check(&self, counts_slow: bool) -> Result<(), ConfigError> {
        match self {
            Self::Time(saved) => {
                let most = TimeRing::MAX_BUCKETS.into();
                check("window.buckets", saved.buckets.into(), 1..=most)?;
                check("window.width", saved.width, 1..=u64::MAX)?;
                check("window.begun", saved.begun, 0..=saved.width)?;
                for (name, counts) in [
                    ("window.successes", &saved.successes),
                    ("window.failures", &saved.failures),
                    ("window.slow", &saved.slow),
                    ("window.uncounted", &saved.uncounted),
                ] {
                    check(name, counts.len() as u64, 0..=saved.buckets.into())?;
                    for count in counts {
                        check(name, *count, 0..=Self::MOST)?;
                    }
                }
                let sum = |counts: &[u64]| counts.iter().sum::<u64>();
                let calls = sum(&saved.successes) + sum(&saved.failures);
                // Large counts are estimates, so there may seem to be more slow calls than calls.
                let most = if counts_slow { calls + calls / 4 } else { 0 };
                check("window.slow", sum(&saved.slow), 0..=most)
            }
            Self::Count(saved) => {
                let most = CountRing::MAX_LENGTH.into();
                check("window.length", saved.length, 1..=most)?;
                let held = saved.outcomes.len() as u64;
                check("window.outcomes", held, 0..=saved.length)?;
                let mut letters = saved.outcomes.chars();
                if let Some(other) = letters.find(|letter| outcome(*letter).is_none()) {
                    return Err(ConfigError::damaged(
                        "window.outcomes",
                        format!("{other:?}"),
                        "one of '.', 'x', 's', 'X'",
                    ));
                }
                let is_slow = |letter| outcome(letter).is_some_and(|(_, is_slow)| is_slow);
                if !counts_slow && saved.outcomes.chars().any(is_slow) {
                    return Err(ConfigError::damaged(
                        "window.outcomes",
                        "a slow call",
                        "possible without a limit of slow calls",
                    ));
                }
                check("window.uncounted", saved.uncounted, 0..=Self::MOST)?;
                let Some(ages) = &saved.ages else {
                    return Ok(());
                };
                check("window.ages.width", ages.width, 1..=u64::MAX)?;
                check("window.ages.begun", ages.begun, 0..=ages.width)?;
                for [_, calls] in &ages.since {
                    check("window.ages.since", *calls, 0..=held)?;
                }
                let ages = ages.since.iter().map(|[age, _]| *age);
                if !ages.is_sorted_by(|one, next| one < next) {
                    return Err(ConfigError::damaged(
                        "window.ages.since",
                        "one age twice, or out of order",
                        "in order",
                    ));
                }
                Ok(())
            }
        }
    }
}

fn check(
    name: &'static str,
    value: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Result<(), ConfigError> {
    ConfigError::check_saved(name, value, range)
}

impl Ring {
    /// What `generation`'s window holds, and how old it is.
    pub(crate) fn save(
        &self,
        generation: Generation,
        reading: ClockReading,
        context: &impl CallContext,
    ) -> SavedWindow {
        match self {
            Self::Time(ring) => SavedWindow::Time(ring.save(generation, reading, context)),
            Self::Count(ring) => {
                SavedWindow::Count(ring.save(generation, context.nanos_at(reading.raw)))
            }
        }
    }

    /// Puts what was saved so many nanoseconds ago into the window of `generation`, if the window has the
    /// same shape; a window of another one starts empty.
    pub(crate) fn restore(
        &mut self,
        saved: &SavedWindow,
        generation: Generation,
        elapsed: u64,
        clock: &impl Now,
    ) {
        match (self, saved) {
            (Self::Time(ring), SavedWindow::Time(saved)) => {
                ring.restore(saved, generation, elapsed, clock);
            }
            (Self::Count(ring), SavedWindow::Count(saved)) => {
                ring.restore(saved, generation, elapsed, clock.nanos());
            }
            _ => {}
        }
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_falls_into_two_ticks_goes_to_the_older_one() {
        // The present tick had begun 3 before; 4 later a tick has begun 1 before.
        assert_eq!(ticks_later(10, (3, 1), 4), 1);
        // On the same clock nothing falls into two.
        assert_eq!(ticks_later(10, (3, 3), 20), 2);
        assert_eq!(ticks_later(10, (3, 9), 6), 0);
        // On a clock that is further in its tick all stays where it was.
        assert_eq!(ticks_later(10, (3, 9), 0), 0);
        assert_eq!(ticks_later(10, (3, 0), u64::MAX), u64::MAX / 10 + 1);
    }

    #[test]
    fn each_letter_is_read_as_it_was_written() {
        for failed in [false, true] {
            for slow in [false, true] {
                assert_eq!(outcome(letter(failed, slow)), Some((failed, slow)));
            }
        }
        assert_eq!(outcome(' '), None);
    }
}
