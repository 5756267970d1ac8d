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

/// A rate is announced so many times as high as it is.
///
/// Each call that is expected speaks against an outage. At a share of failures that is tolerated, a
/// rate that is a tenth too low makes five times as many false trips. One that is a tenth too high
/// costs a twentieth more failed calls in a total outage, and a quarter more in one of 50 %.
pub(super) const MARGIN: f64 = 1.1;

/// How unlikely chance must make a rise, in nats.
///
/// It is looked for every second, over many times. With less, chance alone made the rates of a
/// fleet a fifth too high, and outages were found late.
const UNLIKELY: f64 = 6.0;

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
        let shows = |it: &Since| {
            let enough = it.calls >= RISE_CALLS && it.time >= RISE_TIME;
            enough && it.per_second() >= RISE * announced
        };
        let older = self.counts.iter().rev().map(|&then| self.since(then));
        let mut risen = older.filter(shows).peekable();
        risen.peek()?;
        let dispersion = self.dispersion();
        let usual = announced.max(self.mean_of_a_minute());
        let found = risen.find(|it| {
            let (calls, expected) = (number(it.calls), usual * it.time.as_secs_f64());
            // The Chernoff bound of a Poisson count (Boucheron, Lugosi and Massart: Concentration
            // Inequalities, section 2.2), with clumps for calls. A few clumps that come soon after
            // one another are far more likely than a normal distribution has it.
            let unlikely = calls * (calls / expected).ln() - (calls - expected);
            calls > expected && unlikely >= UNLIKELY * dispersion
        });
        found.map(|it| it.per_second())
    }

    /// The calls per second over a whole minute. Before the first count there were none, so that
    /// the traffic of a member that has just begun is a rise.
    fn mean_of_a_minute(&self) -> f64 {
        let all = self.counts.front().map(|&first| self.since(first));
        let most = number(KEPT as u64 - 1) * EVERY.as_secs_f64();
        all.map_or(0.0, |it| number(it.calls) / it.time.as_secs_f64().max(most))
    }

    /// How much the calls of a second vary, as a multiple of what they would if they were
    /// independent: 1 at least. Calls that come in clumps vary more.
    fn dispersion(&self) -> f64 {
        let calls = self.counts.iter().zip(self.counts.iter().skip(1));
        let (mut seconds, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for (before, after) in calls {
            let calls = number(after.1 - before.1);
            seconds += 1.0;
            sum += calls;
            squares += calls * calls;
        }
        if sum < 1.0 {
            return 1.0;
        }
        let mean: f64 = sum / seconds;
        ((squares / seconds - mean * mean) / mean).max(1.0)
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

    /// Fails when: a rise that chance explains is announced.
    #[test]
    fn calls_that_come_in_clumps_are_no_rise() {
        let steady = [(60, 10), (1, 25), (2, 12)];
        assert_eq!(at(&steady).rise(10.0), None);
        let clumps: Vec<_> = (0..12).flat_map(|_| [(4, 0), (1, 50)]).collect();
        assert_eq!(at(&clumps).rise(10.0), None);
        let one: Vec<_> = (0..4).flat_map(|_| [(1, 10), (9, 0)]).collect();
        let chance = [&one[..], &[(20, 0), (3, 10)]].concat();
        assert_eq!(at(&chance).rise(0.0), None);
        let more = [&clumps[..], &[(16, 50)]].concat();
        assert_eq!(at(&more).rise(10.0), Some(50.0));
    }

    /// Fails when: the traffic of a member that has just begun is taken for what is usual.
    #[test]
    fn a_member_that_has_just_begun_announces_its_traffic_after_two_seconds() {
        assert_eq!(at(&[(2, 20)]).rise(1.0), Some(20.0));
        assert_eq!(at(&[(3, 10)]).rise(1.0), Some(10.0));
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
