//! The odds of being timed: one period changes them once, and lost updates never keep them low.

use loom_tests::sync::Arc;
use loom_tests::{UNBOUNDED, model, preemptions, race};
use tripcurve::__model::{Odds, TimedPeriod};

/// A time that the packed period can tell from others.
const UNIT: u64 = 256;
const TICK: u64 = 16 * UNIT;

/// The odds of a breaker, and its period.
struct Both {
    odds: Odds,
    period: TimedPeriod,
}

impl Both {
    fn new() -> Self {
        Self {
            odds: Odds::default(),
            period: TimedPeriod::new(TICK, TICK),
        }
    }

    fn count(&self, now: u64) {
        self.period.count(now, &self.odds);
    }

    fn look(&self, now: u64) {
        self.period.look(now, &self.odds);
    }

    /// Times as many calls at `now` as halve the odds.
    fn burst(&self, now: u64) {
        for _ in 0..TimedPeriod::MANY {
            self.count(now);
        }
    }

    /// Whether a look two ticks after `last` finds that all calls are to be timed.
    fn comes_back(&self, last: u64) -> bool {
        self.look(last + 2 * TICK);
        self.odds.weight() == 0
    }
}

/// Two calls are timed at once. One call more would halve the odds.
///
/// Fails when: `TimedPeriod::note` stores the period instead of exchanging it.
#[test]
fn a_period_halves_the_odds_once() {
    model(UNBOUNDED, || {
        let both = Arc::new(Both::new());
        for _ in 1..TimedPeriod::MANY {
            both.count(0);
        }
        let count = |both: &Both| both.count(UNIT);
        race(&both, [count, count]);
        assert_eq!(both.odds.weight(), 1);
    });
}

/// Two calls are timed late in a period. It then has many calls, but they don't halve the odds.
///
/// Fails when: a period with many calls keeps the odds, however long ago it began.
#[test]
fn counts_that_are_lost_never_keep_the_odds_low() {
    model(UNBOUNDED, || {
        let both = Arc::new(Both::new());
        both.burst(0);
        assert_eq!(both.odds.weight(), 1);
        let late = |both: &Both| both.count(3 * TICK / 4);
        race(&both, [late, late]);
        assert!(both.comes_back(3 * TICK / 4));
    });
}

/// One thread halves the odds while another finds that the period is long over.
///
/// Fails when: `TimedPeriod::note` only raises the odds step by step after two ticks.
#[test]
fn odds_that_are_halved_and_reset_at_once_come_back() {
    model(UNBOUNDED, || {
        let both = Arc::new(Both::new());
        both.burst(0);
        race(
            &both,
            [
                |both: &Both| both.burst(UNIT),
                |both: &Both| both.look(3 * TICK),
            ],
        );
        assert!(both.odds.weight() <= 2);
        assert!(both.comes_back(3 * TICK));
    });
}

/// One thread halves the odds once, and another does so twice and looks at them. No halving is
/// undone.
///
/// Fails when: `Odds::change` stores the odds instead of exchanging them.
#[test]
fn a_thread_that_slept_undoes_no_halving() {
    model(preemptions(2).full(3), || {
        let both = Arc::new(Both::new());
        for _ in 1..TimedPeriod::MANY {
            both.count(0);
        }
        let [_, seen] = race(
            &both,
            [
                |both: &Both| {
                    both.count(UNIT);
                    0
                },
                |both: &Both| {
                    both.burst(UNIT);
                    both.burst(UNIT);
                    both.odds.weight()
                },
            ],
        );
        let last = both.odds.weight();
        assert!(last >= seen, "{seen}, then {last}");
    });
}
