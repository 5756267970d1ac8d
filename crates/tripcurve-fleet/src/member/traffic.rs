//! How fast calls ask a breaker for admission, as a member announces it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::judge::number;

/// How often the calls are counted.
pub(super) const EVERY: Duration = Duration::from_secs(1);

/// How many counts are kept.
const KEPT: usize = 64;

/// The time over which a regular pulse measures the rate.
const REGULAR: Duration = Duration::from_secs(30);

/// A rise is announced at once if so many calls show it, over so long.
const RISE_CALLS: u64 = 25;
const RISE_TIME: Duration = Duration::from_secs(2);
const RISE: f64 = 1.5;

/// Counts of calls over the last minute, one a second.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    counts: VecDeque<(Duration, u64)>,
}

impl Traffic {
    /// When to count again.
    pub(super) fn due(&self) -> Duration {
        self.counts.back().map_or(Duration::ZERO, |it| it.0 + EVERY)
    }

    /// Notes how many calls have asked since the breaker was made.
    pub(super) fn count(&mut self, calls: u64, now: Duration) {
        if self.counts.len() == KEPT {
            self.counts.pop_front();
        }
        self.counts.push_back((now, calls));
    }

    /// Whether calls have asked within the last minute.
    pub(super) fn has_calls(&self) -> bool {
        match (self.counts.front(), self.counts.back()) {
            (Some(first), Some(last)) => last.1 > first.1,
            _ => false,
        }
    }

    /// The calls per second over the last half minute. `None` after less than 2 s.
    pub(super) fn regular(&self) -> Option<f64> {
        let mut older = self.counts.iter().map(|&then| self.since(then));
        let since = older.find(|it| it.time <= REGULAR)?;
        (since.time >= RISE_TIME).then(|| since.per_second())
    }

    /// The calls per second if they came half again as fast as `announced` of late.
    pub(super) fn rise(&self, announced: f64) -> Option<f64> {
        let mut older = self.counts.iter().rev().map(|&then| self.since(then));
        let shows = |it: &Since| it.calls >= RISE_CALLS && it.time >= RISE_TIME;
        let rate = older.find(shows)?.per_second();
        (rate >= RISE * announced).then_some(rate)
    }

    /// What has come from an earlier count to the last one.
    fn since(&self, (then, before): (Duration, u64)) -> Since {
        let &(now, calls) = self.counts.back().unwrap_or(&(then, before));
        Since {
            time: now.saturating_sub(then),
            calls: calls.saturating_sub(before),
        }
    }
}

/// Calls within a time.
struct Since {
    time: Duration,
    calls: u64,
}

impl Since {
    fn per_second(&self) -> f64 {
        number(self.calls) / self.time.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(rates: &[(u64, u64)]) -> Traffic {
        let (mut traffic, mut calls, mut second) = (Traffic::default(), 0, 0);
        for &(seconds, rate) in rates {
            for _ in 0..seconds {
                traffic.count(calls, Duration::from_secs(second));
                calls += rate;
                second += 1;
            }
        }
        traffic.count(calls, Duration::from_secs(second));
        traffic
    }

    #[test]
    fn a_rise_is_seen_after_two_seconds_and_a_fall_is_not() {
        assert_eq!(at(&[(60, 100)]).rise(100.0), None);
        assert_eq!(at(&[(60, 100), (1, 200)]).rise(100.0), Some(150.0));
        assert_eq!(at(&[(60, 100), (2, 200)]).rise(100.0), Some(200.0));
        assert_eq!(at(&[(60, 100), (2, 20)]).rise(100.0), None);
        assert_eq!(at(&[(1, 100)]).rise(1.0), None);
    }

    #[test]
    fn a_rise_takes_25_calls() {
        assert_eq!(at(&[(60, 1), (1, 6)]).rise(1.0), None);
        assert_eq!(at(&[(60, 1), (3, 8)]).rise(1.0).map(f64::round), Some(6.0));
    }

    #[test]
    fn the_regular_rate_is_that_of_half_a_minute() {
        assert_eq!(at(&[(1, 10)]).regular(), None);
        assert_eq!(at(&[(2, 10)]).regular(), Some(10.0));
        assert_eq!(at(&[(60, 90), (30, 10)]).regular(), Some(10.0));
        assert!(at(&[(5, 1)]).has_calls() && !at(&[(5, 1), (70, 0)]).has_calls());
    }
}
