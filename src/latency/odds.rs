//! The odds of being timed: which calls a breaker times where it doesn't time each call.

use std::cell::Cell;
use std::num::NonZero;

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
    const _: () = assert!(COUNT.max() >= super::TimedPeriod::MANY);
}

/// ```text
///  63                              3 2        0
/// +---------------------------------+----------+
/// |            ended, 61            | weight, 3|
/// +---------------------------------+----------+
/// ```
///
/// The end is in 256ths of the clock's units, as the beginning of a period is.
mod largest {
    use super::Field;

    pub(super) const WEIGHT: Field = Field::lowest(3);
    pub(super) const ENDED: Field = WEIGHT.then(61);

    const _: () = assert!(ENDED.end_bit() == 64);
    const _: () = assert!(WEIGHT.max() >= super::Odds::MAX_WEIGHT as u64);
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
/// A [`TimedPeriod`] changes the share. Admission makes the choice. It doesn't wait for outcomes,
/// so calls that all hang are timed like any others.
#[derive(Debug)]
pub struct Odds {
    /// A call is timed if its point on the circle isn't above this. The number of leading zeros is
    /// the timed call's weight.
    threshold: Hint,
}

impl Default for Odds {
    /// Odds that time all calls.
    fn default() -> Self {
        Self {
            threshold: Hint::new(u64::MAX),
        }
    }
}

impl Odds {
    /// The largest weight: one call in 64 is timed.
    pub const MAX_WEIGHT: u32 = 6;

    /// Draws for a call that begins now. Returns whether the call is left out.
    ///
    /// If not, the call is to be timed, and [`weight_of_drawn`](Self::weight_of_drawn) follows.
    #[inline]
    pub fn leaves_out(&self) -> bool {
        let place = if cfg!(tripcurve_loom) {
            // Each run of a model must make the same choices.
            u64::MAX
        } else {
            PLACE.replace(PLACE.get().wrapping_add(GOLDEN_RATIO))
        };
        place > self.threshold.load()
    }

    /// Makes the thread's next draw come to this place, for a test that compares each call with a
    /// model.
    #[cfg(feature = "__model")]
    pub fn draw_next(place: u64) {
        PLACE.set(place);
    }

    /// The weight of the call that this thread has just drawn for, and that isn't left out.
    ///
    /// The call stands for 2^weight calls. If the odds change just now, the weight may be that of
    /// the former odds or of the new ones.
    #[must_use]
    pub fn weight_of_drawn(&self) -> u32 {
        let place = PLACE.get().wrapping_sub(GOLDEN_RATIO);
        if place == 0 {
            // The thread's first call. It is timed at any odds.
            PLACE.set(first_place());
            return 0;
        }
        let odds = self.threshold.load();
        odds.leading_zeros().min(place.leading_zeros())
    }

    /// The weight of calls that are timed now.
    #[must_use]
    #[inline]
    pub fn weight(&self) -> u32 {
        self.threshold.load().leading_zeros()
    }

    /// Times all calls from now on.
    pub fn reset(&self) {
        self.change(|_| u64::MAX);
    }

    fn halve(&self) {
        self.change(|odds| (odds / 2).max(u64::MAX >> Self::MAX_WEIGHT));
    }

    fn double(&self, times: u32) {
        self.change(|odds| {
            let times = times.min(odds.leading_zeros());
            odds << times | ((1 << times) - 1)
        });
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

/// The number of timed calls in a recent period, by which the [`Odds`] change.
///
/// The odds depend on timed calls per *tick*, which is a bucket's width or a second. They are
/// halved when [`MANY`](Self::MANY) calls were timed within half a tick. After a tick with fewer,
/// they are raised so that no more than this number is timed in a tick. After two ticks they time
/// all calls again. Below 512 calls in half a tick, all calls are timed.
///
/// Timed calls write it and all calls read the odds, so the two lie on different cache lines.
#[derive(Debug)]
pub struct TimedPeriod {
    /// Whoever exchanges this to end a period is the only one to change the odds by it.
    word: Hint,
    /// The largest weight of late, and when a period with it ended. Only the thread that ends a
    /// period writes it.
    largest: Hint,
    /// How long the largest weight is remembered, in 256ths of the clock's units.
    memory: u64,
    /// The time between two ticks, in 256ths of the clock's units.
    tick: NonZero<u64>,
}

impl TimedPeriod {
    /// The number of timed calls within half a tick that halves the odds.
    pub const MANY: u64 = if cfg!(tripcurve_loom) { 2 } else { 512 };

    /// A period that is long over. `tick` is in the clock's units, and so is the time for which
    /// the [largest weight](Self::largest_weight) is remembered.
    #[must_use]
    pub fn new(tick: u64, memory: u64) -> Self {
        Self {
            word: Hint::new(0),
            largest: Hint::new(0),
            memory: memory >> period::SHIFT,
            tick: NonZero::new(tick >> period::SHIFT).unwrap_or(NonZero::<u64>::MIN),
        }
    }

    /// Counts a timed call that begins at `now`, in the clock's units. Returns its weight, for
    /// which this thread has just drawn.
    ///
    /// A call that finds the period two ticks old stands for itself alone. The odds by which it was
    /// drawn are those of a burst, and there may be few calls now.
    pub fn count(&self, now: u64, odds: &Odds) -> u32 {
        let weight = odds.weight_of_drawn();
        if self.note(now, 1, odds) { 0 } else { weight }
    }

    /// Ends the period at `now` if its time is over, and counts no call.
    ///
    /// A failure comes here, because it reads the clock anyway. After a burst, the first failure
    /// makes a breaker with little traffic time all calls again.
    pub fn look(&self, now: u64, odds: &Odds) {
        self.note(now, 0, odds);
    }

    /// Adds `calls` to the period, or ends it. Returns whether it was two ticks old.
    fn note(&self, now: u64, calls: u64, odds: &Odds) -> bool {
        let (now, tick) = (now >> period::SHIFT, self.tick.get());
        let seen = self.word.load();
        let count = (period::COUNT.get(seen) + calls).min(Self::MANY);
        let elapsed = Self::elapsed(seen, now);
        let halves = count == Self::MANY && 2 * elapsed < tick;
        let is_over = elapsed >= tick;
        let is_old = elapsed >= 2 * tick;
        let new = if halves || is_over {
            // A thread that slept doesn't move the beginning back.
            let beginning = period::BEGINNING.get(seen).wrapping_add(elapsed);
            period::BEGINNING.of(beginning) | period::COUNT.of(if halves { 0 } else { calls })
        } else {
            (seen & period::BEGINNING.of(u64::MAX)) | period::COUNT.of(count)
        };
        // A count that is lost to another thread delays a change of the odds a little.
        if new == seen || self.word.exchange(seen, new).is_err() {
            return is_old;
        }
        if halves || is_over {
            // A period that lasted on without calls isn't remembered for longer.
            let ended = period::BEGINNING.get(seen).wrapping_add(elapsed.min(tick));
            self.remember(odds.weight(), ended);
        }
        if halves {
            odds.halve();
        } else if is_old {
            odds.reset();
        } else if is_over && count < Self::MANY {
            odds.double((Self::MANY / count.max(1)).ilog2().max(1));
        }
        is_old
    }

    /// Remembers that a period with odds of this weight ended.
    fn remember(&self, weight: u32, ended: u64) {
        let seen = self.largest.load();
        let age = ended.saturating_sub(largest::ENDED.get(seen));
        if u64::from(weight) >= largest::WEIGHT.get(seen) || age > self.memory {
            // A weight that is lost to another thread comes again with the next period.
            self.largest
                .store(largest::ENDED.of(ended) | largest::WEIGHT.of(weight.into()));
        }
    }

    /// The largest weight of the calls that are remembered at `now`, in the clock's units.
    ///
    /// Of these calls, at least one in 2^this was timed.
    #[must_use]
    pub fn largest_weight(&self, now: u64, odds: &Odds) -> u32 {
        let seen = self.largest.load();
        let age = (now >> period::SHIFT).saturating_sub(largest::ENDED.get(seen));
        let remembered = if age > self.memory {
            0
        } else {
            largest::WEIGHT.get(seen)
        };
        // It has three bits.
        let remembered = u32::try_from(remembered).unwrap_or(0);
        odds.weight().max(remembered)
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
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    /// The time between two calls at 100,000 a second.
    const DENSE: u64 = SECOND / 100_000;

    /// The odds of a breaker, and its period.
    struct Both {
        odds: Odds,
        period: TimedPeriod,
    }

    impl Both {
        fn new() -> Self {
            Self {
                odds: Odds::default(),
                period: TimedPeriod::new(SECOND, 10 * SECOND),
            }
        }

        /// The odds and the period after a second of dense calls.
        fn after_a_burst() -> Self {
            let both = Self::new();
            both.run(0, DENSE, 100_000);
            assert_eq!(both.odds.weight(), Odds::MAX_WEIGHT);
            both
        }

        /// Makes `calls` calls, `spacing` apart. Returns how many are timed and how many they
        /// stand for.
        fn run(&self, begin: u64, spacing: u64, calls: u64) -> (u64, u64) {
            let mut timed = (0, 0);
            for call in 0..calls {
                if !self.odds.leaves_out() {
                    let weight = self.period.count(begin + call * spacing, &self.odds);
                    timed = (timed.0 + 1, timed.1 + (1 << weight));
                }
            }
            timed
        }

        fn look(&self, now: u64) {
            self.period.look(now, &self.odds);
        }
    }

    #[test]
    fn below_512_calls_in_half_a_tick_every_call_is_timed() {
        for rate in [1, 10, 100, 1_000] {
            let both = Both::new();
            let calls = 60 * rate;
            assert_eq!(both.run(0, SECOND / rate, calls), (calls, calls));
        }
    }

    #[test]
    fn at_any_rate_at_most_1_024_calls_a_tick_are_timed_or_one_in_64() {
        for rate in [2_000, 5_000, 10_000, 30_000, 100_000, 300_000] {
            let both = Both::new();
            both.run(0, SECOND / rate, 2 * rate);
            let (timed, _) = both.run(2 * SECOND, SECOND / rate, 10 * rate);
            let most = 1_100.max(rate / 64 + 10);
            assert!(timed <= 10 * most, "{timed} in ten seconds at {rate}");
            assert!(timed >= 10 * 500, "{timed} in ten seconds at {rate}");
        }
    }

    #[test]
    fn the_weights_of_timed_calls_sum_to_the_number_of_calls() {
        for rate in [1_500, 3_000, 10_000, 100_000] {
            let both = Both::new();
            let calls = 20 * rate;
            let (_, stood_for) = both.run(0, SECOND / rate, calls);
            let error = stood_for.abs_diff(calls);
            assert!(100 * error <= calls, "{stood_for} of {calls} at {rate}");
        }
    }

    #[test]
    fn calls_that_all_hang_are_timed_at_the_same_odds_as_others() {
        // Nothing here reports an outcome.
        let both = Both::after_a_burst();
        let (timed, _) = both.run(SECOND, DENSE, 6_400);
        assert!((95..=105).contains(&timed), "{timed}");
    }

    #[test]
    fn after_two_ticks_the_first_failure_times_every_call_again() {
        let both = Both::after_a_burst();
        both.look(4 * SECOND);
        assert_eq!(both.odds.weight(), 0);
        assert_eq!(both.run(4 * SECOND, SECOND, 50), (50, 50));
    }

    #[test]
    fn failures_within_a_dense_tick_leave_the_odds_as_they_are() {
        let both = Both::after_a_burst();
        for call in 0..1_000 {
            both.look(SECOND + call);
        }
        assert_eq!(both.odds.weight(), Odds::MAX_WEIGHT);
    }

    #[test]
    fn after_a_burst_a_thread_leaves_out_at_most_90_calls_before_one_is_timed() {
        let both = Both::after_a_burst();
        let mut left_out = 0;
        for _ in 0..100_000 {
            left_out = if both.odds.leaves_out() {
                left_out + 1
            } else {
                0
            };
            assert!(left_out <= 90);
        }
    }

    #[test]
    fn a_tick_with_few_timed_calls_doubles_the_odds() {
        let both = Both::after_a_burst();
        // The period that the burst left ends here, and the next one holds one call.
        both.look(SECOND + SECOND / 2);
        let weight = both.odds.weight();
        both.period.count(SECOND + SECOND / 2 + 1, &both.odds);
        both.look(SECOND + 3 * SECOND / 2 + SECOND / 4);
        assert!(
            both.odds.weight() < weight,
            "{} of {weight}",
            both.odds.weight()
        );
    }

    #[test]
    fn a_thread_that_slept_changes_neither_the_beginning_nor_the_odds() {
        let both = Both::new();
        both.period.count(100 * SECOND, &both.odds);
        both.look(SECOND);
        both.period.count(3 * SECOND, &both.odds);
        let beginning = period::BEGINNING.get(both.period.word.load());
        assert_eq!(beginning, (100 * SECOND) >> period::SHIFT);
        assert_eq!(both.odds.weight(), 0);
    }

    #[test]
    fn the_first_timed_call_after_a_burst_stands_for_itself_alone() {
        let both = Both::after_a_burst();
        let weight = both.period.count(4 * SECOND, &both.odds);
        assert_eq!((weight, both.odds.weight()), (0, 0));
    }

    /// Fails when: the largest weight is that of now, or is remembered while no call comes.
    #[test]
    fn the_largest_weight_is_remembered_for_a_window() {
        let both = Both::after_a_burst();
        let largest = |now| both.period.largest_weight(now, &both.odds);
        both.look(4 * SECOND);
        assert_eq!(both.odds.weight(), 0);
        assert_eq!(largest(4 * SECOND), Odds::MAX_WEIGHT);
        both.run(4 * SECOND, SECOND / 100, 5 * 100);
        assert_eq!(largest(9 * SECOND), Odds::MAX_WEIGHT);
        assert_eq!(largest(13 * SECOND), 0);
        both.run(13 * SECOND, SECOND / 3_000, 6_000);
        assert_eq!(largest(15 * SECOND), 2);
    }

    #[test]
    fn traffic_that_falls_to_a_64th_gets_its_own_odds_four_ticks_later() {
        let both = Both::after_a_burst();
        both.run(SECOND, 64 * DENSE, 4 * 1_562);
        assert!(both.odds.weight() <= 1, "{}", both.odds.weight());
    }
}
