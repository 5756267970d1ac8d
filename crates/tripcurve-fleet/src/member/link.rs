//! Whether a member has a store that works.

use std::time::Duration;

use super::random::Random;

/// The longest time until the next attempt.
const RETRY: Duration = Duration::from_secs(5);

/// So many answers in a row that are missing mean that the store is gone.
const MISSING: u32 = 2;

/// A store that works is asked again after this time without a message or an answer. Together with
/// two missing answers, of 250 ms each, that is less than a second.
const SILENCE: Duration = Duration::from_millis(400);

/// What a member does about its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waits for the next attempt.
    Waiting {
        until: Duration,
    },
    /// Subscribes to announcements.
    Subscribing,
    /// Waits for the answer to a first pulse.
    Trying,
    Up,
}

#[derive(Debug)]
pub(super) struct Link {
    phase: Phase,
    /// The number of this connection. Answers from an earlier one are ignored.
    session: u64,
    /// Messages in a row without an answer.
    missing: u32,
    /// Pings in a row without an answer.
    missing_pings: u32,
    /// When the last message or ping was sent or answered.
    active: Duration,
    /// Whether an answer is missing and no ping has followed yet.
    doubts: bool,
    /// Whether a ping waits for its answer.
    pinging: bool,
}

impl Link {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Waiting {
                until: Duration::ZERO,
            },
            session: 0,
            missing: 0,
            missing_pings: 0,
            active: Duration::ZERO,
            doubts: false,
            pinging: false,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn session(&self) -> u64 {
        self.session
    }

    pub(super) fn is_up(&self) -> bool {
        self.phase == Phase::Up
    }

    /// Begins an attempt, if it is time.
    pub(super) fn begin(&mut self, now: Duration) -> bool {
        let begins = matches!(self.phase, Phase::Waiting { until } if until <= now);
        if begins {
            self.session += 1;
            (self.missing, self.missing_pings) = (0, 0);
            (self.doubts, self.pinging) = (false, false);
            self.phase = Phase::Subscribing;
        }
        begins
    }

    /// A message was sent, or its answer has come or is missing.
    pub(super) fn note(&mut self, now: Duration) {
        self.active = now;
    }

    /// When to ask whether the store still works. An answer is due before that.
    pub(super) fn ping_at(&self) -> Option<Duration> {
        let silence = if self.doubts { Duration::ZERO } else { SILENCE };
        (self.is_up() && !self.pinging).then(|| self.active + silence)
    }

    /// Begins to ask, if it is time.
    pub(super) fn ping(&mut self, now: Duration) -> bool {
        let begins = self.ping_at().is_some_and(|at| at <= now);
        if begins {
            (self.doubts, self.pinging) = (false, true);
            self.active = now;
        }
        begins
    }

    /// A ping was answered, or wasn't. Returns whether the store counts as gone.
    ///
    /// An answer says nothing about the messages that are missing: a store may answer pings alone.
    pub(super) fn pinged(&mut self, was_answered: bool, now: Duration) -> bool {
        self.pinging = false;
        self.active = now;
        if was_answered {
            self.missing_pings = 0;
        } else {
            self.missing_pings += 1;
            self.doubts = true;
        }
        self.is_gone()
    }

    /// The announcements have begun to come.
    pub(super) fn subscribed(&mut self, session: u64) {
        if session == self.session && self.phase == Phase::Subscribing {
            self.phase = Phase::Trying;
        }
    }

    /// An answer has come. Returns whether the store works from now on.
    pub(super) fn answered(&mut self) -> bool {
        (self.missing, self.missing_pings, self.doubts) = (0, 0, false);
        let begins = self.phase == Phase::Trying;
        if begins {
            self.phase = Phase::Up;
        }
        begins
    }

    /// An answer is missing. Returns whether the store counts as gone.
    pub(super) fn missed(&mut self) -> bool {
        self.missing += 1;
        self.doubts = true;
        self.is_gone()
    }

    fn is_gone(&self) -> bool {
        self.phase != Phase::Up || self.missing + self.missing_pings >= MISSING
    }

    /// Waits for a random time before the next attempt, so that members don't come back together.
    pub(super) fn lose(&mut self, now: Duration, random: &mut Random) {
        self.phase = Phase::Waiting {
            until: now + random.part_of(RETRY),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_gone_when_two_answers_in_a_row_are_missing() {
        let (mut link, mut random) = (Link::new(), Random::new(1));
        assert!(link.begin(Duration::ZERO) && !link.begin(Duration::ZERO));
        link.subscribed(0);
        assert_eq!(link.phase(), Phase::Subscribing);
        link.subscribed(1);
        assert!(link.answered() && !link.answered());
        assert!(!link.missed());
        link.answered();
        assert!(!link.missed() && link.missed());
        link.lose(Duration::ZERO, &mut random);
        assert!(!link.is_up() && link.begin(RETRY));
        assert_eq!(link.session(), 2);
    }

    fn up() -> Link {
        let mut link = Link::new();
        link.begin(Duration::ZERO);
        link.subscribed(1);
        link.answered();
        link
    }

    #[test]
    fn a_silent_store_is_gone_within_a_second_of_its_last_answer() {
        let (mut link, answer) = (up(), Duration::from_millis(250));
        let mut now = Duration::from_secs(9);
        link.note(now);
        let answered = now;
        for is_gone in [false, true] {
            let at = link.ping_at().unwrap();
            assert!(link.ping(at) && link.ping_at().is_none() && !link.ping(at));
            now = at + answer;
            assert_eq!(link.pinged(false, now), is_gone);
        }
        let silent = now.saturating_sub(answered);
        assert!(silent < Duration::from_secs(1), "{silent:?}");
    }

    #[test]
    fn a_store_that_answers_nothing_but_pings_is_gone() {
        let (mut link, now) = (up(), Duration::from_secs(9));
        link.note(now);
        assert!(!link.missed());
        assert!(link.ping(now) && !link.pinged(true, now));
        assert_eq!(link.ping_at(), Some(now + SILENCE));
        assert!(link.missed());
    }

    #[test]
    fn no_ping_is_due_while_messages_come_and_go() {
        let mut link = up();
        for quarter in 0..100 {
            let now = quarter * SILENCE * 9 / 10;
            assert!(!link.ping(now));
            link.note(now);
        }
        assert!(Link::new().ping_at().is_none());
    }

    #[test]
    fn attempts_are_spread_over_five_seconds() {
        let (mut link, mut random) = (Link::new(), Random::new(1));
        let mut untils = (0..1_000).map(|_| {
            link.lose(Duration::ZERO, &mut random);
            let Phase::Waiting { until } = link.phase() else {
                unreachable!()
            };
            until
        });
        let first = untils.next().unwrap();
        let (least, most) = untils.fold((first, first), |(a, b), it| (a.min(it), b.max(it)));
        assert!(least < RETRY / 50 && most > RETRY * 49 / 50 && most <= RETRY);
    }
}
