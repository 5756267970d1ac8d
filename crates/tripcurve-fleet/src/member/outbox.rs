//! The failures that a member has yet to report.

use std::time::Duration;

use crate::verdict::Failures;

/// How old failures may be when they are reported. Older ones are no news.
const OLDEST: Duration = Duration::from_secs(1);

/// The failures of one report.
const MOST: u32 = 255;

#[derive(Clone, Copy, Debug)]
struct Counts {
    failures: u32,
    surprise: u32,
    /// When the first of them happened.
    first: Duration,
}

/// The failures of a breaker until a store has answered their report.
///
/// A report that isn't answered is sent again under its number, so it counts once.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    number: u64,
    unsent: Option<Counts>,
    sent: Option<(u64, Counts)>,
}

impl Outbox {
    /// Adds failures of which the first happened `spread` ago.
    pub(super) fn add(&mut self, failures: u32, surprise: u32, spread: Duration, now: Duration) {
        let first = now.saturating_sub(spread);
        self.unsent = Some(match self.unsent {
            None => Counts {
                failures,
                surprise,
                first,
            },
            Some(before) => Counts {
                failures: before.failures.saturating_add(failures),
                surprise: before.surprise.saturating_add(surprise),
                first: before.first.min(first),
            },
        });
    }

    /// The number of the next message that must count once.
    pub(super) fn number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unsent.is_none() && self.sent.is_none()
    }

    /// The next report with its number. It stays here until it is [answered](Self::answered).
    pub(super) fn next(&mut self, now: Duration) -> Option<(u64, Failures)> {
        let is_old = |it: Counts| now.saturating_sub(it.first) > OLDEST;
        self.sent = self.sent.filter(|&(_, it)| !is_old(it));
        self.unsent = self.unsent.filter(|&it| !is_old(it));
        if self.sent.is_none() {
            let part = self.part()?;
            self.sent = Some((self.number(), part));
        }
        let (number, it) = self.sent?;
        let failures = Failures {
            failures: it.failures,
            surprise: it.surprise,
            spread_ms: spread(it, now),
        };
        Some((number, failures))
    }

    /// Takes as many failures as one report has.
    fn part(&mut self) -> Option<Counts> {
        let all = self.unsent.take()?;
        if all.failures <= MOST {
            return Some(all);
        }
        let part = u64::from(all.surprise) * u64::from(MOST) / u64::from(all.failures);
        let part = Counts {
            failures: MOST,
            surprise: u32::try_from(part).unwrap_or(u32::MAX),
            ..all
        };
        self.unsent = Some(Counts {
            failures: all.failures - part.failures,
            surprise: all.surprise - part.surprise,
            ..all
        });
        Some(part)
    }

    /// A store has answered the last report.
    pub(super) fn answered(&mut self) {
        self.sent = None;
    }

    /// Drops all failures, but never a number.
    pub(super) fn clear(&mut self) {
        (self.unsent, self.sent) = (None, None);
    }
}

/// The time in ms over which failures are spread: 0 for one that has just happened.
fn spread(it: Counts, now: Duration) -> u32 {
    u32::try_from(now.saturating_sub(it.first).as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_report_keeps_its_number_until_it_is_answered() {
        let mut outbox = Outbox::default();
        outbox.add(1, 1_000, ms(0), ms(100));
        let (number, it) = outbox.next(ms(100)).unwrap();
        assert_eq!((number, it.failures, it.spread_ms), (1, 1, 0));
        outbox.add(2, 900, ms(10), ms(200));
        let (number, it) = outbox.next(ms(350)).unwrap();
        assert_eq!((number, it.failures, it.spread_ms), (1, 1, 250));
        outbox.answered();
        let (number, it) = outbox.next(ms(350)).unwrap();
        assert_eq!((number, it.failures, it.spread_ms), (2, 2, 160));
        outbox.answered();
        assert!(outbox.is_empty() && outbox.next(ms(360)).is_none());
    }

    #[test]
    fn failures_older_than_a_second_are_dropped() {
        let mut outbox = Outbox::default();
        outbox.add(1, 1_000, ms(0), ms(100));
        outbox.next(ms(100)).unwrap();
        outbox.add(1, 1_000, ms(0), ms(500));
        let (number, it) = outbox.next(ms(1_101)).unwrap();
        assert_eq!((number, it.spread_ms), (2, 601));
        assert!(outbox.next(ms(1_501)).is_none());
    }

    #[test]
    fn many_failures_are_divided_and_none_is_lost() {
        let mut outbox = Outbox::default();
        outbox.add(4_095, 4_095 * 2_047, ms(250), ms(250));
        let mut sum = (0, 0);
        while let Some((_, it)) = outbox.next(ms(250)) {
            assert!(it.failures <= 255 && it.surprise <= 8 * 256 * it.failures);
            sum = (sum.0 + it.failures, sum.1 + it.surprise);
            outbox.answered();
        }
        assert_eq!(sum, (4_095, 4_095 * 2_047));
    }
}
