//! The odds of being timed: one period changes them once, and lost updates never keep them low.

use loom_tests::sync::Arc;
use loom_tests::{UNBOUNDED, model, race};
use tripcurve::__model::Odds;

/// A time that the packed period can tell from others.
const UNIT: u64 = 256;
const TICK: u64 = 16 * UNIT;

/// Times as many calls at `now` as halve the odds.
fn burst(odds: &Odds, now: u64) {
    for _ in 0..Odds::MANY {
        odds.count(now);
    }
}

/// Whether a look two ticks after `last` finds that all calls are to be timed.
fn comes_back(odds: &Odds, last: u64) -> bool {
    odds.look(last + 2 * TICK);
    odds.weight() == 0
}

/// Two calls are timed at once. One call more would halve the odds.
///
/// Fails when: `Odds::note` stores the period instead of exchanging it.
#[test]
fn a_period_halves_the_odds_once() {
    model(UNBOUNDED, || {
        let odds = Arc::new(Odds::new(TICK));
        for _ in 1..Odds::MANY {
            odds.count(0);
        }
        let count = |odds: &Odds| odds.count(UNIT);
        race(&odds, [count, count]);
        assert_eq!(odds.weight(), 1);
    });
}

/// Two calls are timed late in a period. It then has many calls, but they don't halve the odds.
///
/// Fails when: a period with many calls keeps the odds, however long ago it began.
#[test]
fn counts_that_are_lost_never_keep_the_odds_low() {
    model(UNBOUNDED, || {
        let odds = Arc::new(Odds::new(TICK));
        burst(&odds, 0);
        assert_eq!(odds.weight(), 1);
        let late = |odds: &Odds| odds.count(3 * TICK / 4);
        race(&odds, [late, late]);
        assert!(comes_back(&odds, 3 * TICK / 4));
    });
}

/// One thread halves the odds while another finds that the period is long over.
///
/// Fails when: `Odds::note` only doubles the odds after two ticks.
#[test]
fn odds_that_are_halved_and_reset_at_once_come_back() {
    model(UNBOUNDED, || {
        let odds = Arc::new(Odds::new(TICK));
        burst(&odds, 0);
        race(
            &odds,
            [
                |odds: &Odds| burst(odds, UNIT),
                |odds: &Odds| odds.look(3 * TICK),
            ],
        );
        assert!(odds.weight() <= 2);
        assert!(comes_back(&odds, 3 * TICK));
    });
}
