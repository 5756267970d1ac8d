//! The odds of being timed: which calls a breaker times where it doesn't time each call.

use std::cell::Cell;

use crate::sync::Hint;
use crate::sync::field::Field;
use crate::util::random::{GOLDEN_RATIO, first_place};

/// ```text
///  63                             10 9           0
/// +---------------------------------+-------------+
/// |          beginning, 54          |  count, 10  |
/// +---------------------------------+-------------+
/// ```
///
/// The beginning is in 256ths of the clock's units. So it doesn't repeat for a century at a
/// nanosecond, nor for 48 years at a third of one.
mod period {
    use super::Field;

    pub(super) const COUNT: Field = Field::lowest(10);
    pub(super) const BEGINNING: Field = COUNT.then(54);
    /// The clock's units are shifted by this much.
    pub(super) const SHIFT: u32 = 8;

    const _: () = assert!(BEGINNING.end_bit() == 64);
    const _: () = assert!(COUNT.max() >= super::Odds::MANY);
}

thread_local! {
    /// The point on the circle that the thread's next call gets. A constant, so a read needs no
    /// check for initialization.
    ///
    /// The histograms' draws have a place of their own. A timed call's point is always low. If the
    /// call went on from there, its next point would never be low, and no histogram would count it.
    static PLACE: Cell<u64> = const { Cell::new(0) };
}

/// The share of the calls that a breaker times, a power of two: all of them, or down to 1/64.
///
/// The share depends on timed calls per *tick*, which is a bucket's width or a second. It is halved
/// when [`MANY`](Self::MANY) calls were timed within half a tick. It is doubled after a tick with
/// fewer, and is all calls again after two ticks. Below 512 calls in half a tick, all calls are
/// timed.
///
/// Admission makes the choice. It doesn't wait for outcomes, so calls that all hang are timed like
/// any others.
#[derive(Debug)]
pub struct Odds {
    /// A call is timed if its point on the circle isn't above this. The number of leading zeros is
    /// the timed call's weight.
    threshold: Hint,
    /// The current period. Whoever exchanges it to end a period is the only one to change the odds
    /// by it.
    period: Hint,
    /// The time between two ticks, in 256ths of the clock's units.
    tick: u64,
}

impl Odds {
    /// The number of timed calls within half a tick that halves the odds.
    pub const MANY: u64 = if cfg!(tripcurve_loom) { 2 } else { 512 };
    /// The largest weight: one call in 64 is timed.
    pub const MAX_WEIGHT: u32 = 6;

    /// Odds that time all calls at first. `tick` is in the clock's units.
    #[must_use]
    pub fn new(tick: u64) -> Self {
        Self {
            threshold: Hint::new(u64::MAX),
            period: Hint::new(0),
            tick: (tick >> period::SHIFT).max(2),
        }
    }

    /// The weight of the call that begins now, if it is to be timed.
    ///
    /// A timed call stands for 2^weight calls. The weight belongs to the point that was drawn, so
    /// the caller keeps it with the call.
    #[inline]
    pub fn pick(&self) -> Option<u32> {
        let place = match PLACE.get() {
            0 => first_place(),
            place => place,
        };
        PLACE.set(place.wrapping_add(GOLDEN_RATIO));
        let odds = self.threshold.load();
        (place <= odds).then(|| odds.leading_zeros())
    }

    /// The weight of calls that are timed now.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.threshold.load().leading_zeros()
    }

    /// Counts a timed call that begins at `now`, in the clock's units.
    #[inline]
    pub fn count(&self, now: u64) {
        self.note(now, 1);
    }

    /// Ends the period at `now` if its time is over, and counts no call.
    ///
    /// A failure comes here, because it reads the clock anyway. After a burst, the first failure
    /// makes a breaker with little traffic time all calls again.
    #[inline]
    pub fn look(&self, now: u64) {
        self.note(now, 0);
    }

    /// Adds `calls` to the period, or ends it.
    fn note(&self, now: u64, calls: u64) {
        let now = now >> period::SHIFT;
        let seen = self.period.load();
        let count = (period::COUNT.get(seen) + calls).min(Self::MANY);
        let elapsed = Self::elapsed(seen, now);
        let halves = count == Self::MANY && elapsed < self.tick / 2;
        let is_over = elapsed >= self.tick;
        let new = if halves || is_over {
            // A thread that slept doesn't move the beginning back.
            let beginning = period::BEGINNING.get(seen).wrapping_add(elapsed);
            period::BEGINNING.of(beginning) | period::COUNT.of(if halves { 0 } else { calls })
        } else {
            (seen & period::BEGINNING.of(u64::MAX)) | period::COUNT.of(count)
        };
        // A count that is lost to another thread delays a change of the odds a little.
        if new == seen || self.period.exchange(seen, new).is_err() {
            return;
        }
        if halves {
            self.change(|odds| (odds / 2).max(u64::MAX >> Self::MAX_WEIGHT));
        } else if elapsed >= 2 * self.tick {
            self.change(|_| u64::MAX);
        } else if is_over && count < Self::MANY {
            self.change(|odds| odds << 1 | 1);
        }
    }

    /// The time since the period began; zero for a thread that slept since before.
    fn elapsed(seen: u64, now: u64) -> u64 {
        let elapsed = period::BEGINNING
            .of(now)
            .wrapping_sub(seen & !period::COUNT.max());
        let elapsed = period::BEGINNING.get(elapsed);
        if elapsed > period::BEGINNING.max() / 2 {
            0
        } else {
            elapsed
        }
    }

    /// Changes the odds, unless the thread that ended another period does so.
    ///
    /// A change that is lost comes with the end of a later period, as long as calls are timed. At
    /// any odds some are.
    fn change(&self, to: impl Fn(u64) -> u64) {
        let odds = self.threshold.load();
        let new = to(odds);
        if new != odds {
            let _other_thread_changed = self.threshold.exchange(odds, new);
        }
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    /// The time between two calls at 100,000 a second.
    const DENSE: u64 = SECOND / 100_000;

    /// Makes `calls` calls, `spacing` apart. Returns how many are timed and how many they stand
    /// for.
    fn run(odds: &Odds, begin: u64, spacing: u64, calls: u64) -> (u64, u64) {
        let mut timed = (0, 0);
        for call in 0..calls {
            if let Some(weight) = odds.pick() {
                odds.count(begin + call * spacing);
                timed = (timed.0 + 1, timed.1 + (1 << weight));
            }
        }
        timed
    }

    /// Odds after a second of dense calls.
    fn after_a_burst() -> Odds {
        let odds = Odds::new(SECOND);
        run(&odds, 0, DENSE, 100_000);
        assert_eq!(odds.weight(), Odds::MAX_WEIGHT);
        odds
    }

    #[test]
    fn below_512_calls_in_half_a_tick_every_call_is_timed() {
        for rate in [1, 10, 100, 1_000] {
            let odds = Odds::new(SECOND);
            let calls = 60 * rate;
            assert_eq!(run(&odds, 0, SECOND / rate, calls), (calls, calls));
        }
    }

    #[test]
    fn at_any_rate_at_most_1_024_calls_a_tick_are_timed_or_one_in_64() {
        for rate in [2_000, 5_000, 10_000, 30_000, 100_000, 300_000] {
            let odds = Odds::new(SECOND);
            run(&odds, 0, SECOND / rate, 2 * rate);
            let (timed, _) = run(&odds, 2 * SECOND, SECOND / rate, 10 * rate);
            let most = 1_100.max(rate / 64 + 10);
            assert!(timed <= 10 * most, "{timed} in ten seconds at {rate}");
            assert!(timed >= 10 * 500, "{timed} in ten seconds at {rate}");
        }
    }

    #[test]
    fn the_weights_of_timed_calls_sum_to_the_number_of_calls() {
        for rate in [1_500, 3_000, 10_000, 100_000] {
            let odds = Odds::new(SECOND);
            let calls = 20 * rate;
            let (_, stood_for) = run(&odds, 0, SECOND / rate, calls);
            let error = stood_for.abs_diff(calls);
            assert!(100 * error <= calls, "{stood_for} of {calls} at {rate}");
        }
    }

    #[test]
    fn calls_that_all_hang_are_timed_at_the_same_odds_as_others() {
        // Nothing here reports an outcome.
        let odds = after_a_burst();
        let (timed, _) = run(&odds, SECOND, DENSE, 6_400);
        assert!((95..=105).contains(&timed), "{timed}");
    }

    #[test]
    fn after_two_ticks_the_first_failure_times_every_call_again() {
        let odds = after_a_burst();
        odds.look(4 * SECOND);
        assert_eq!(odds.weight(), 0);
        assert_eq!(run(&odds, 4 * SECOND, SECOND, 50), (50, 50));
    }

    #[test]
    fn failures_within_a_dense_tick_leave_the_odds_as_they_are() {
        let odds = after_a_burst();
        for call in 0..1_000 {
            odds.look(SECOND + call);
        }
        assert_eq!(odds.weight(), Odds::MAX_WEIGHT);
    }

    #[test]
    fn after_a_burst_a_thread_leaves_out_at_most_90_calls_before_one_is_timed() {
        let odds = after_a_burst();
        let mut left_out = 0;
        for _ in 0..100_000 {
            left_out = match odds.pick() {
                Some(_) => 0,
                None => left_out + 1,
            };
            assert!(left_out <= 90);
        }
    }

    #[test]
    fn a_tick_with_few_timed_calls_doubles_the_odds() {
        let odds = after_a_burst();
        // The period that the burst left ends here, and the next one holds one call.
        odds.look(SECOND + SECOND / 2);
        let weight = odds.weight();
        odds.count(SECOND + SECOND / 2 + 1);
        odds.look(SECOND + 3 * SECOND / 2 + SECOND / 4);
        assert!(odds.weight() < weight, "{} of {weight}", odds.weight());
    }

    #[test]
    fn a_thread_that_slept_changes_neither_the_beginning_nor_the_odds() {
        let odds = Odds::new(SECOND);
        odds.count(100 * SECOND);
        odds.look(SECOND);
        odds.count(3 * SECOND);
        let beginning = period::BEGINNING.get(odds.period.load());
        assert_eq!(beginning, (100 * SECOND) >> period::SHIFT);
        assert_eq!(odds.weight(), 0);
    }
}
