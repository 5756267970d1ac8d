//! The saved form of a window.

use serde::{Deserialize, Serialize};

use super::{Call, CountRing, Ring, TimeRing};
use crate::clock::Now;
use crate::clock::context::CallContext;
use crate::error::ConfigError;
use crate::state::Generation;
use crate::util::checksum::{Checksum, Summed, summed};

/// The counts of a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SavedWindow {
    /// The counts of a time window.
    Time(SavedBuckets),
    /// The calls of a count window.
    Count(SavedCalls),
}

/// The counts of a time window, the current bucket first. Zeros at the end are left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedBuckets {
    /// The number of buckets.
    pub(super) buckets: u32,
    /// How long a bucket lasts, in nanoseconds.
    pub(super) width: u64,
    /// How long ago the current bucket had begun, in nanoseconds.
    pub(super) begun: u64,
    pub(super) successes: Vec<u64>,
    pub(super) failures: Vec<u64>,
    pub(super) slow: Vec<u64>,
    pub(super) slow_failures: Vec<u64>,
    pub(super) uncounted: Vec<u64>,
}

summed!(SavedBuckets {
    buckets,
    width,
    begun,
    successes,
    failures,
    slow,
    slow_failures,
    uncounted,
});

/// The calls of a count window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedCalls {
    /// The maximum number of calls.
    pub(super) length: u64,
    /// A letter for each call of the window, the oldest first; see [`letter`].
    pub(super) outcomes: String,
    pub(super) uncounted: u64,
    /// The ages of the calls, if calls leave the window by their age.
    pub(super) ages: Option<SavedAges>,
}

summed!(SavedCalls {
    length,
    outcomes,
    uncounted,
    ages,
});

/// The ages of the calls of a count window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedAges {
    /// Width of a tick, in nanoseconds.
    pub(super) width: u64,
    /// How long ago the current tick had begun, in nanoseconds.
    pub(super) begun: u64,
    /// How many ticks ago a tick was, and how many calls came since it began.
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

/// The letter of a call.
pub(super) fn letter(failed: bool, slow: bool) -> char {
    match (failed, slow) {
        (false, false) => '.',
        (true, false) => 'x',
        (false, true) => 's',
        (true, true) => 'X',
    }
}

/// Whether the call of this letter failed, and whether it was slow.
pub(super) fn outcome(letter: char) -> Option<(bool, bool)> {
    match letter {
        '.' => Some((false, false)),
        'x' => Some((true, false)),
        's' => Some((false, true)),
        'X' => Some((true, true)),
        _ => None,
    }
}

/// The number of ticks by which saved counts have aged when they are restored.
///
/// The counts are in ticks of `width` nanoseconds. `saved` is how long before the saving the
/// current tick had begun. `now` is how long before the restoring the current tick has begun.
/// `elapsed` is the time between the two.
///
/// A count that falls into two ticks goes to the older one. It leaves the window up to a tick too
/// early, but not too late.
pub(super) fn ticks_later(width: u64, (saved, now): (u64, u64), elapsed: u64) -> u64 {
    let passed = saved.saturating_add(elapsed);
    passed.saturating_sub(now).div_ceil(width.max(1))
}

impl SavedWindow {
    /// The maximum saved count. A bucket word counts slightly less.
    pub(super) const MOST: u64 = (1 << 48) - 1;

    /// Rejects counts that no window can have.
    ///
    /// `counts_slow` says whether calls can be slow.
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
                    ("window.slow_failures", &saved.slow_failures),
                    ("window.uncounted", &saved.uncounted),
                ] {
                    check(name, counts.len() as u64, 0..=saved.buckets.into())?;
                    for count in counts {
                        check(name, *count, 0..=Self::MOST)?;
                    }
                }
                let sum = |counts: &[u64]| counts.iter().sum::<u64>();
                let calls = sum(&saved.successes) + sum(&saved.failures);
                // Large counts are estimates, so the slow calls may seem more than the calls.
                let most = if counts_slow { calls + calls / 4 } else { 0 };
                check("window.slow", sum(&saved.slow), 0..=most)?;
                check("window.slow_failures", sum(&saved.slow_failures), 0..=most)
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
    /// Saves the counts of the window of the call's generation, and their ages.
    pub(crate) fn save(&self, call: Call<'_, impl CallContext>) -> SavedWindow {
        match self {
            Self::Time(ring) => SavedWindow::Time(ring.save(call)),
            Self::Count(ring) => SavedWindow::Count(ring.save(call.generation, call.nanos())),
        }
    }

    /// Restores counts that were saved `elapsed` nanoseconds ago into `generation`'s window. A
    /// window of another shape starts empty.
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
        // The current tick had begun 3 ns before. 4 ns later a tick has begun 1 ns before.
        assert_eq!(ticks_later(10, (3, 1), 4), 1);
        // On the same clock no count falls into two ticks.
        assert_eq!(ticks_later(10, (3, 3), 20), 2);
        assert_eq!(ticks_later(10, (3, 9), 6), 0);
        // On a clock that is further in its tick, all counts stay where they were.
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
