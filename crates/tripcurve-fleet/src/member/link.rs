//! Whether a member has a store that works.

use std::time::Duration;

use super::random::Random;

/// The longest time until the next attempt.
const RETRY: Duration = Duration::from_secs(5);

/// So many answers in a row that are missing mean that the store is gone.
const MISSING: u32 = 2;

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
    missing: u32,
}

impl Link {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Waiting {
                until: Duration::ZERO,
            },
            session: 0,
            missing: 0,
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
            self.missing = 0;
            self.phase = Phase::Subscribing;
        }
        begins
    }

    /// The announcements have begun to come.
    pub(super) fn subscribed(&mut self, session: u64) {
        if session == self.session && self.phase == Phase::Subscribing {
            self.phase = Phase::Trying;
        }
    }

    /// An answer has come. Returns whether the store works from now on.
    pub(super) fn answered(&mut self) -> bool {
        self.missing = 0;
        let begins = self.phase == Phase::Trying;
        if begins {
            self.phase = Phase::Up;
        }
        begins
    }

    /// An answer is missing. Returns whether the store counts as gone.
    pub(super) fn missed(&mut self) -> bool {
        self.missing += 1;
        self.phase != Phase::Up || self.missing >= MISSING
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
