//! How often a member may speak.

use std::collections::VecDeque;
use std::time::Duration;

/// Tokens for the reports of one breaker: eight at first, then one every 250 ms.
#[derive(Debug)]
pub(super) struct Tokens {
    left: u32,
    /// The time from which the next token is counted.
    since: Duration,
}

impl Tokens {
    const MOST: u32 = 8;
    const EVERY: Duration = Duration::from_millis(250);

    pub(super) fn new() -> Self {
        Self {
            left: Self::MOST,
            since: Duration::ZERO,
        }
    }

    /// Takes a token. Returns whether there was one.
    pub(super) fn take(&mut self, now: Duration) -> bool {
        self.refill(now);
        if self.left == 0 {
            return false;
        }
        if self.left == Self::MOST {
            self.since = now;
        }
        self.left -= 1;
        true
    }

    /// When there is a token: now or later.
    pub(super) fn next(&self) -> Duration {
        if self.left > 0 {
            return Duration::ZERO;
        }
        self.since + Self::EVERY
    }

    fn refill(&mut self, now: Duration) {
        while self.left < Self::MOST && self.since + Self::EVERY <= now {
            self.since += Self::EVERY;
            self.left += 1;
        }
    }
}

/// A limit on the messages of a member within any second.
#[derive(Debug, Default)]
pub(super) struct Quota {
    /// When the last messages were sent.
    sent: VecDeque<Duration>,
}

impl Quota {
    const MOST: usize = 200;
    const WITHIN: Duration = Duration::from_secs(1);

    /// When a message may be sent: now or later.
    pub(super) fn next(&self) -> Duration {
        match self.sent.front() {
            Some(&first) if self.sent.len() >= Self::MOST => first + Self::WITHIN,
            _ => Duration::ZERO,
        }
    }

    /// Notes a message that is sent.
    pub(super) fn note(&mut self, now: Duration) {
        if self.sent.len() >= Self::MOST {
            self.sent.pop_front();
        }
        self.sent.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn eight_reports_go_at_once_and_then_one_every_quarter_second() {
        let mut tokens = Tokens::new();
        let taken = |tokens: &mut Tokens, at| (0..20).filter(|_| tokens.take(ms(at))).count();
        assert_eq!(taken(&mut tokens, 5_000), 8);
        assert_eq!(tokens.next(), ms(5_250));
        assert_eq!(taken(&mut tokens, 5_249), 0);
        assert_eq!(taken(&mut tokens, 5_250), 1);
        assert_eq!(taken(&mut tokens, 6_010), 3);
        assert_eq!(taken(&mut tokens, 100_000), 8);
    }

    #[test]
    fn two_hundred_messages_go_within_any_second() {
        let mut quota = Quota::default();
        for message in 0..200 {
            assert!(quota.next() <= ms(message));
            quota.note(ms(message));
        }
        assert_eq!(quota.next(), ms(1_000));
        quota.note(ms(1_000));
        assert_eq!(quota.next(), ms(1_001));
    }
}
