//! The bucket word: one count of one time bucket, with the stamp of its generation and turn.

use std::cell::Cell;

use super::total::TotalWord;
use crate::state::Generation;
use crate::sync::field::Field;
use crate::sync::stamped::{Next, Stamped};

/// ```text
///  63             33 32          22 21     17 16           0
/// +-----------------+--------------+---------+--------------+
/// |    turn, 31     | generation,11| scale, 5| mantissa, 17 |
/// +-----------------+--------------+---------+--------------+
/// ```
///
/// *Turn*: how often the ring had gone round when the bucket began. The turn and the bucket's slot
/// in the ring together are the bucket's epoch. *Generation*: the low bits of its number. Both
/// stand where they stand in a [`RingPosition`](super::place::RingPosition).
///
/// *Count* = mantissa × 2^scale. Up to 131,071 it is exact. Above that, the count is within a
/// thousandth of the calls. So a word holds 2.8 × 10¹⁴ calls and never carries into its stamp. No
/// counter of a rate is full before the other, which would skew the rate.
///
/// In a word that several threads write, each call above 131,071 gets a number from the total of
/// its shard. One number in 2^scale adds 1 to the mantissa.
///
/// In a word that one thread writes, each call adds 1 to the mantissa. After 16 calls, they enter
/// the total of the shard, and the mantissa's lowest four bits are 0 again. Of 2^scale such groups,
/// one carries into the bits above.
mod layout {
    use super::Field;

    pub(super) const MANTISSA: Field = Field::lowest(17);
    pub(super) const SCALE: Field = MANTISSA.then(5);
    pub(super) const GENERATION: Field = SCALE.then(super::Generation::FAST_BITS);
    pub(super) const TURN: Field = GENERATION.then(31);

    const _: () = assert!(TURN.end_bit() == 64);
    const _: () = assert!(TURN.max() + 1 == super::Stamp::TURNS);
    const _: () = assert!(GENERATION.max() + 1 == super::Stamp::GENERATIONS);
}

/// The owner of a bucket word: the generation and the turn of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(u64);

impl Stamp {
    /// The number of turns after which they repeat.
    pub const TURNS: u64 = 1 << 31;
    /// The number of generations that the stamp tells apart.
    pub const GENERATIONS: u64 = 1 << 11;

    const MASK: u64 = layout::GENERATION.of(u64::MAX) | layout::TURN.of(u64::MAX);

    /// The stamp of a turn, cut to its width, in a generation.
    #[must_use]
    pub fn new(generation: Generation, turn: u64) -> Self {
        let fast = generation.bits() >> (Generation::BITS - Generation::FAST_BITS);
        Self(layout::GENERATION.of(fast) | layout::TURN.of(turn))
    }

    /// The stamp in the upper bits of a word.
    #[inline]
    pub(super) fn from_upper_bits(word: u64) -> Self {
        Self(word & Self::MASK)
    }

    /// The stamp at its place in a word, with zeros below it.
    #[inline]
    pub(super) fn bits(self) -> u64 {
        self.0
    }

    /// The stamp of the next turn in the same generation.
    #[inline]
    pub(super) fn turn_after(self) -> Self {
        Self(self.0.wrapping_add(layout::TURN.of(1)))
    }

    /// The stamp of the previous turn in the same generation.
    #[inline]
    pub(super) fn turn_before(self) -> Self {
        Self(self.0.wrapping_sub(layout::TURN.of(1)))
    }
}

/// A stamp and a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketWord(u64);

impl BucketWord {
    /// A bucket that has counted one call.
    #[must_use]
    pub fn first(stamp: Stamp) -> Self {
        Self(stamp.0 | layout::MANTISSA.of(1))
    }

    /// A bucket that has counted `count` calls, exactly up to 131,071 and approximately above.
    #[must_use]
    pub fn counting(stamp: Stamp, count: u64) -> Self {
        let fits = |scale: &u64| count.div_ceil(1 << scale) <= layout::MANTISSA.max();
        let scale = (0..layout::SCALE.max()).find(fits);
        let scale = scale.unwrap_or(layout::SCALE.max());
        let mantissa = count.div_ceil(1 << scale).min(layout::MANTISSA.max());
        Self(stamp.0 | layout::SCALE.of(scale) | layout::MANTISSA.of(mantissa))
    }

    const MANY: u64 = 10_000;

    /// The count from which on a thread's own word has credit: most calls need no clock reading.
    pub const LENDS_FROM: u64 = if cfg!(tripcurve_loom) { 4 } else { 1_024 };
    /// Of this many steps of a word with credit, one needs a clock reading.
    pub const STEPS: u64 = if cfg!(tripcurve_loom) { 4 } else { 16 };

    const _STEPS_FIT_INTO_THE_MANTISSA: () = {
        assert!(Self::LENDS_FROM.is_multiple_of(Self::STEPS));
        // A word that no longer counts each call has at least half of the largest mantissa. No step
        // is cut off where the scale changes.
        assert!(Self::LENDS_FROM < layout::MANTISSA.max() / 2);
        assert!(Self::LEAST_SCALED.is_multiple_of(Self::STEPS));
    };

    /// The stamp of the bucket that the count belongs to.
    #[must_use]
    #[inline]
    pub fn stamp(self) -> Stamp {
        Stamp::from_upper_bits(self.0)
    }

    /// The count.
    #[must_use]
    #[inline]
    pub fn count(self) -> u64 {
        layout::MANTISSA.get(self.0) << layout::SCALE.get(self.0)
    }

    /// Whether each call up to now was counted. From then on, one in 2^scale is.
    #[inline]
    fn is_exact(self) -> bool {
        self.0 & !Stamp::MASK < layout::MANTISSA.max()
    }

    /// Whether the word belongs to the bucket that `stamp` names and counts each call.
    #[inline]
    fn is_exact_of(self, stamp: Stamp) -> bool {
        // This is the count if the stamps are equal. Otherwise it is above any count.
        self.0 ^ stamp.0 < layout::MANTISSA.max()
    }

    /// How many calls the word has counted while it counted each, where several threads write. The
    /// calls after them are in the total of the word's shard.
    #[inline]
    pub(super) fn counted_one_by_one(self) -> u64 {
        let mantissa = layout::MANTISSA.get(self.0);
        match layout::SCALE.get(self.0) {
            0 => mantissa,
            // Carried calls are in the totals already.
            _ if mantissa < Self::LEAST_SCALED => 0,
            _ => layout::MANTISSA.max(),
        }
    }

    /// How many calls the word holds that are in no total, where one thread writes.
    #[inline]
    #[must_use]
    pub fn counted_alone(self) -> u64 {
        let mantissa = layout::MANTISSA.get(self.0);
        match layout::SCALE.get(self.0) {
            0 => mantissa,
            _ => layout::MANTISSA.max() + 1 + mantissa % Self::STEPS,
        }
    }

    /// The least mantissa of a word that counted each call before. Words of carried calls have
    /// smaller ones.
    const LEAST_SCALED: u64 = layout::MANTISSA.max().div_ceil(2);

    /// A bucket that starts with `count` calls of an earlier bucket, rounded up to the scale. They
    /// are in no total.
    fn carrying(stamp: Stamp, count: u64) -> Self {
        let fits = |scale: &u64| count.div_ceil(1 << scale) < Self::LEAST_SCALED;
        let scale = (1..layout::SCALE.max()).find(fits);
        let scale = scale.unwrap_or(layout::SCALE.max());
        let mantissa = count.div_ceil(1 << scale).min(Self::LEAST_SCALED - 1);
        Self(stamp.0 | layout::SCALE.of(scale) | layout::MANTISSA.of(mantissa))
    }

    /// Whether the call that led to this word is the last of a group of [`STEPS`](Self::STEPS).
    #[inline]
    fn fills_a_group(self) -> bool {
        self.0.is_multiple_of(Self::STEPS)
    }

    /// Whether the word is a dense bucket's, the one that `stamp` names, and the next call there
    /// needs no clock reading. `next` is the word after that call.
    #[inline]
    fn has_credit(self, stamp: Stamp, next: Self) -> bool {
        if next.fills_a_group() {
            return false;
        }
        // This is the scale and the mantissa if the stamps are equal. Otherwise it is above them.
        let count = self.0 ^ stamp.0;
        count.wrapping_sub(Self::LENDS_FROM) <= !Stamp::MASK - Self::LENDS_FROM
    }

    /// How many calls of the bucket that `stamp` names were counted since the clock was last read
    /// for one, at most.
    pub(super) fn doubtful(self, stamp: Stamp) -> u64 {
        let mantissa = layout::MANTISSA.get(self.0);
        if self.stamp() != stamp || mantissa < Self::LENDS_FROM {
            return 0;
        }
        mantissa % Self::STEPS
    }

    /// Whether the bucket has just reached a count at which spreading pays. Spreading takes
    /// kilobytes and saves a few nanoseconds a call. (If threads collide, it pays sooner.)
    #[inline]
    fn gets_busy(self) -> bool {
        self.0 & !Stamp::MASK == layout::MANTISSA.of(Self::MANY)
    }

    /// The word after one more call. `is_counted(s)` returns `true` once in 2^s times.
    ///
    /// At the end of the range the word stays as it is.
    #[must_use]
    pub fn plus_one(self, is_counted: impl FnOnce(u64) -> bool) -> Self {
        let scale = layout::SCALE.get(self.0);
        let mantissa = layout::MANTISSA.get(self.0);
        if scale > 0 && !is_counted(scale) {
            return self;
        }
        if mantissa < layout::MANTISSA.max() {
            return Self(self.0 + layout::MANTISSA.of(1));
        }
        if scale == layout::SCALE.max() {
            return self;
        }
        let halved = layout::SCALE.of(scale + 1) | layout::MANTISSA.of(mantissa.div_ceil(2));
        Self(self.stamp().0 | halved)
    }

    /// The word after one more call, where one thread writes, and how many calls leave it for the
    /// total. `total` is asked only then.
    fn plus_one_alone(self, total: impl FnOnce() -> u64) -> (Self, u64) {
        let next = Self(self.0 + layout::MANTISSA.of(1));
        if self.is_exact() || !next.fills_a_group() {
            return (next, 0);
        }
        let next = match self.plus_one(|scale| total() & ((Self::STEPS << scale) - 1) < Self::STEPS)
        {
            same if same == self => Self(next.0 - Self::STEPS),
            next => next,
        };
        (next, self.counted_alone() + 1 - next.counted_alone())
    }

    /// The word after one more call, where several threads write. `number` counts the calls that
    /// may have come to no exact word. It is asked only if this word isn't exact.
    #[inline]
    fn after(self, number: impl FnOnce() -> u64) -> Self {
        if self.is_exact() {
            return Self(self.0 + layout::MANTISSA.of(1));
        }
        let number = number();
        self.plus_one(|scale| number & ((1 << scale) - 1) == 0)
    }
}

/// What happened to a call that was to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// The call was counted.
    Counted,
    /// The call was counted, and the word is worth spreading: threads collide there, or soon will.
    Busy,
    /// The call was not counted because its bucket is no longer alive.
    Late,
}

/// A bucket word that threads update. It starts with any stamp, because its count is zero.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct AtomicBucket(Stamped);

impl AtomicBucket {
    /// Stores a word before another thread knows of the bucket.
    pub fn set(&self, word: BucketWord) {
        self.0.store_alone(word.0);
    }

    /// The current word.
    #[must_use]
    #[inline]
    pub fn load(&self) -> BucketWord {
        BucketWord(self.0.load())
    }

    /// The word as a total. A word is either this or a bucket word for good.
    #[must_use]
    #[inline]
    pub fn as_total(&self) -> TotalWord<'_> {
        TotalWord::new(self.0.atomic())
    }

    /// Counts one call of the bucket that `stamp` names, in a word that several threads add to.
    ///
    /// A word of another bucket is replaced if `is_current` returns `true`. It says whether this
    /// stamp's generation and turn are still alive, and is called after the word was read. No word
    /// can be younger than what is alive, so the other bucket is then the older one.
    ///
    /// `total` gets what the word can't hold: the count that is replaced, and the call if it is
    /// late or if the word no longer counts each call.
    #[inline]
    pub fn add(&self, stamp: Stamp, total: TotalWord<'_>, is_current: impl Fn() -> bool) -> Added {
        let seen = self.load();
        if seen.is_exact_of(stamp) {
            let new = BucketWord(seen.0 + layout::MANTISSA.of(1));
            if self.0.update_own(seen.0, new.0) {
                return if new.gets_busy() {
                    Added::Busy
                } else {
                    Added::Counted
                };
            }
        }
        self.add_slow(seen, stamp, total, is_current)
    }

    /// Counts `calls` calls like [`add`](Self::add), in one exchange if the word counts each.
    pub fn add_many(
        &self,
        stamp: Stamp,
        calls: u64,
        total: TotalWord<'_>,
        is_current: impl Fn() -> bool,
    ) {
        for calls_left in (1..=calls).rev() {
            let seen = self.load();
            let has_room = (seen.0 ^ stamp.0).saturating_add(calls_left) <= layout::MANTISSA.max();
            if has_room && self.0.update_own(seen.0, seen.0 + calls_left) {
                return;
            }
            self.add(stamp, total, &is_current);
        }
    }

    #[inline(never)]
    fn add_slow(
        &self,
        seen: BucketWord,
        stamp: Stamp,
        total: TotalWord<'_>,
        is_current: impl Fn() -> bool,
    ) -> Added {
        // A call gets its number once, however often it tries to write. So it enters the total
        // once, and a call that is to be counted and loses an exchange is still to be counted.
        let number = Cell::new(None);
        let after = |seen: BucketWord| {
            seen.after(|| {
                let number_of_call = number.get().unwrap_or_else(|| total.add(1));
                number.set(Some(number_of_call));
                number_of_call
            })
        };
        let is_own = seen.stamp() == stamp;
        let has_collided = seen.is_exact_of(stamp);
        if is_own && !has_collided {
            let new = after(seen);
            if new == seen || self.0.update_own(seen.0, new.0) {
                return Added::Counted;
            }
        }
        let next = |seen| {
            let seen = BucketWord(seen);
            if seen.stamp() == stamp {
                Next::Own(after(seen).0)
            } else {
                Next::Other(BucketWord::first(stamp).0)
            }
        };
        let Some(replaced) = self.0.update(next, is_current).map(BucketWord) else {
            if number.get().is_none() {
                total.add(1);
            }
            return Added::Late;
        };
        if replaced.stamp() != stamp && replaced.counted_one_by_one() > 0 {
            total.add(replaced.counted_one_by_one());
        }
        if has_collided {
            Added::Busy
        } else {
            Added::Counted
        }
    }

    /// Counts one call if the word belongs to the bucket that `stamp` names, and the call leaves
    /// nothing to the total. Returns whether the call was counted. No other thread writes the word.
    #[inline]
    pub fn add_own_at_once(&self, stamp: Stamp) -> bool {
        let seen = self.load();
        let next = BucketWord(seen.0 + layout::MANTISSA.of(1));
        let fits = seen.is_exact_of(stamp) || seen.stamp() == stamp && !next.fills_a_group();
        if fits {
            self.store(next);
        }
        fits
    }

    /// Counts one call without a clock reading, if the word has credit. Returns whether it has. No
    /// other thread writes the word.
    #[inline]
    pub(super) fn add_on_credit(&self, stamp: Stamp) -> bool {
        let seen = self.load();
        let next = BucketWord(seen.0 + layout::MANTISSA.of(1));
        let has_credit = seen.has_credit(stamp, next);
        if has_credit {
            self.store(next);
        }
        has_credit
    }

    /// Replaces another bucket's word by `count` calls of an earlier bucket. Keeps a word of this
    /// bucket. `is_current` and `total` are as in [`add`](Self::add).
    pub(super) fn carry(
        &self,
        stamp: Stamp,
        count: u64,
        total: TotalWord<'_>,
        is_current: impl Fn() -> bool,
    ) {
        let next = |seen| {
            if BucketWord(seen).stamp() == stamp {
                Next::Own(seen)
            } else {
                Next::Other(BucketWord::carrying(stamp, count).0)
            }
        };
        let replaced = self.0.update(next, is_current).map(BucketWord);
        if let Some(replaced) = replaced
            && replaced.stamp() != stamp
            && replaced.counted_one_by_one() > 0
        {
            total.add(replaced.counted_one_by_one());
        }
    }

    /// Counts one call if the word belongs to the bucket that `stamp` names, and returns whether it
    /// does. No other thread writes the word or `total`; see [`add`](Self::add).
    pub(super) fn add_if_own(&self, stamp: Stamp, total: TotalWord<'_>) -> bool {
        let seen = self.load();
        let is_own = seen.stamp() == stamp;
        if is_own {
            let (next, leaving) = seen.plus_one_alone(|| total.get_alone());
            self.store(next);
            if leaving > 0 {
                total.add_alone(leaving);
            }
        }
        is_own
    }

    /// Like [`add_if_own`](Self::add_if_own), but replaces another bucket's word if `is_current`
    /// returns `true`.
    pub fn add_own(
        &self,
        stamp: Stamp,
        total: TotalWord<'_>,
        is_current: impl Fn() -> bool,
    ) -> bool {
        if self.add_if_own(stamp, total) {
            return true;
        }
        let seen = self.load();
        if is_current() {
            self.store(BucketWord::first(stamp));
            if seen.counted_alone() > 0 {
                total.add_alone(seen.counted_alone());
            }
        } else {
            total.add_alone(1);
            return false;
        }
        true
    }

    /// Stores the new word. No other thread has written the word since it was read.
    #[inline]
    fn store(&self, word: BucketWord) {
        // No exchange is needed. A reader that must see a success sees it through a later failure.
        // This thread records that failure with Release (see `TimeRing::failures_and_slow`). The
        // next thread that writes the word gets it through the thread slot (see `ThreadSlots`).
        self.0.store_alone(word.0);
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "statistics over counts far below 2^53"
)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stamp(changes: u64, turn: u64) -> Stamp {
        let next = |generation: Generation, _| generation.next();
        Stamp::new((0..changes).fold(Generation::FIRST, next), turn)
    }

    /// The word after `calls` calls.
    fn count_to(calls: u64) -> BucketWord {
        let mut word = BucketWord::first(stamp(5, 7));
        for number in 1..calls {
            word = word.after(|| number);
        }
        word
    }

    /// A word and its total.
    #[derive(Default)]
    struct Shard {
        word: AtomicBucket,
        total: AtomicBucket,
    }

    impl Shard {
        fn add(&self, stamp: Stamp) -> Added {
            self.word.add(stamp, self.total.as_total(), || true)
        }

        /// How many calls the word and the total hold.
        fn calls(&self) -> u64 {
            self.word.load().counted_one_by_one() + self.total.as_total().get()
        }

        fn add_alone(&self, stamp: Stamp) {
            assert!(self.word.add_own(stamp, self.total.as_total(), || true));
        }

        /// Like [`calls`](Self::calls), where one thread writes.
        fn calls_alone(&self) -> u64 {
            self.word.load().counted_alone() + self.total.as_total().get()
        }
    }

    #[test]
    fn counts_are_exact_up_to_131_071() {
        let mut word = BucketWord::first(stamp(1, 1));
        for calls in 1..131_071 {
            assert_eq!(word.count(), calls);
            word = word.plus_one(|_| unreachable!("no coin is tossed while the count is exact"));
        }
        assert_eq!(word.count(), 131_071);
    }

    /// The word after `calls` calls. At scale s each 2^s-th call is looked at and counted. This
    /// leaves out how the counted calls are chosen, which the test on rhythms checks.
    fn count_in_strides(calls: u64) -> BucketWord {
        let mut word = BucketWord::first(stamp(5, 7));
        let mut counted = 1;
        while counted < calls {
            counted += 1 << layout::SCALE.get(word.0);
            word = word.plus_one(|_| true);
        }
        word
    }

    #[test]
    fn a_billion_calls_in_a_bucket_are_counted_to_a_thousandth_and_keep_the_stamp() {
        let word = count_in_strides(1_000_000_000);
        assert!((word.count() as f64 / 1e9 - 1.0).abs() < 0.001, "{word:?}");
        assert_eq!(word.stamp(), stamp(5, 7));
        let word = count_to(3_000_000);
        assert!((word.count() as f64 / 3e6 - 1.0).abs() < 0.001, "{word:?}");
    }

    #[test]
    fn a_billion_calls_of_which_one_percent_fail_show_one_percent() {
        let failures = count_in_strides(10_000_000).count() as f64;
        let successes = count_in_strides(990_000_000).count() as f64;
        let rate = failures / (failures + successes);
        assert!((rate - 0.01).abs() < 0.00002, "{rate}");
    }

    /// Each call that is to be counted loses its first exchange.
    #[test]
    fn calls_that_lose_each_exchange_are_counted_as_often_as_others() {
        const CALLS: u64 = 1_000_000;
        let shard = Shard::default();
        let own = stamp(1, 1);
        let mut calls = 0;
        while calls < CALLS {
            let seen = shard.word.load();
            while shard.word.load() == seen {
                assert_ne!(shard.add(own), Added::Late);
                calls += 1;
            }
            let added = shard
                .word
                .add_slow(seen, own, shard.total.as_total(), || true);
            assert_ne!(added, Added::Late);
            calls += 1;
        }
        let counted = shard.word.load().count() as f64 / calls as f64;
        assert!((counted - 1.0).abs() < 0.001, "{counted}");
        assert_eq!(shard.calls(), calls);
    }

    /// Fails when: a call gets another number after a lost exchange.
    #[test]
    fn the_mean_of_what_many_threads_count_in_one_word_is_what_they_recorded() {
        const RUNS: u32 = 10;
        const CALLS: u64 = 400_000;
        for threads in [2, 4, 8] {
            let mut mean = 0.0;
            for _ in 0..RUNS {
                let shard = Shard::default();
                std::thread::scope(|scope| {
                    for _ in 0..threads {
                        scope.spawn(|| {
                            for _ in 0..CALLS / threads {
                                assert_ne!(shard.add(stamp(1, 1)), Added::Late);
                            }
                        });
                    }
                });
                assert_eq!(shard.calls(), CALLS);
                mean += shard.word.load().count() as f64 / CALLS as f64 / f64::from(RUNS);
            }
            assert!((mean - 1.0).abs() < 0.0005, "{threads} threads: {mean}");
        }
    }

    #[test]
    fn threads_that_make_one_call_each_are_counted_too() {
        let shard = Shard::default();
        let own = stamp(1, 1);
        for _ in 0..200_000 {
            assert_ne!(shard.add(own), Added::Late);
        }
        let before = shard.word.load().count();
        std::thread::scope(|threads| {
            for _ in 0..2_000 {
                threads.spawn(|| assert_ne!(shard.add(own), Added::Late));
            }
        });
        let counted = shard.word.load().count() - before;
        assert!((1_900..=2_100).contains(&counted), "{counted}");
        assert_eq!(shard.calls(), 202_000);
    }

    #[cfg(feature = "serde")]
    proptest! {
        #[test]
        fn a_count_is_restored_exactly_if_it_was_counted_exactly(bits in 0..48_u32, rest: u64) {
            let count = (1 << bits) + rest % (1 << bits);
            let word = BucketWord::counting(stamp(3, 9), count);
            prop_assert_eq!(word.stamp(), stamp(3, 9));
            let error = word.count().abs_diff(count);
            prop_assert!(error == 0 || count > 131_071 && error <= count / 60_000, "{word:?}");
            prop_assert_eq!(BucketWord::counting(stamp(3, 9), word.count()), word);
        }
    }

    #[test]
    fn the_last_count_stays_and_never_carries_into_the_stamp() {
        let own = stamp(3, 9);
        let full = BucketWord(own.0 | layout::SCALE.of(u64::MAX) | layout::MANTISSA.of(u64::MAX));
        assert_eq!(full.plus_one(|_| true), full);
        let (next, leaving) = full.plus_one_alone(|| 0);
        assert_eq!((next.0, leaving), (full.0 - 15, 16));
        assert_eq!((full.stamp(), next.stamp()), (own, own));
    }

    proptest! {
        #[test]
        fn a_word_gives_back_its_stamp_and_count(
            generation in 0..Stamp::GENERATIONS, turn in 0..Stamp::TURNS, calls in 1..1000_u64,
        ) {
            let own = stamp(generation, turn);
            let mut word = BucketWord::first(own);
            for _ in 1..calls {
                word = word.plus_one(|_| true);
            }
            prop_assert_eq!(word.stamp(), own);
            prop_assert_eq!(word.count(), calls);
        }
    }

    #[test]
    fn a_stale_stamp_neither_counts_nor_disturbs() {
        type Add = fn(&Shard, Stamp, bool) -> bool;
        let several: Add = |shard, stamp, alive| {
            let total = shard.total.as_total();
            shard.word.add(stamp, total, || alive) != Added::Late
        };
        let alone: Add = |shard, stamp, alive| {
            let total = shard.total.as_total();
            shard.word.add_own(stamp, total, || alive)
        };
        for add in [several, alone] {
            let shard = Shard::default();
            assert!(add(&shard, stamp(0, 2), true));
            assert!(!add(&shard, stamp(0, 1), false));
            assert_eq!(shard.word.load(), BucketWord::first(stamp(0, 2)));
            assert!(add(&shard, stamp(0, 2), false), "its own needs no asking");
            assert_eq!(shard.word.load().count(), 2);
            assert_eq!(shard.calls(), 3, "the late call is in the total");
        }
    }

    #[test]
    fn a_word_and_its_total_hold_every_call_over_many_turns() {
        let (several, alone) = (Shard::default(), Shard::default());
        let mut calls = 0;
        for (turn, in_turn) in (0..).zip([1, 3, 131_070, 131_071, 131_072, 500_000, 2]) {
            for _ in 0..in_turn {
                assert_ne!(several.add(stamp(1, turn)), Added::Late);
                alone.add_alone(stamp(1, turn));
            }
            calls += in_turn;
            assert_eq!(several.calls(), calls, "turn {turn}");
            assert_eq!(alone.calls_alone(), calls, "turn {turn}");
            for shard in [&several, &alone] {
                let counted = shard.word.load().count() as f64 / in_turn as f64;
                assert!((counted - 1.0).abs() < 0.001, "{counted} in turn {turn}");
            }
        }
    }

    /// Fails when: a group enters the total before its end, or carries at the wrong scale.
    #[test]
    fn each_call_of_one_thread_is_in_the_total_or_the_word_and_the_count_within_a_thousandth() {
        for before in [0, 1, 15, 16, 1_000_003] {
            let shard = Shard::default();
            shard.total.as_total().add(before);
            for calls in 1..=1_200_000_u64 {
                shard.add_alone(stamp(1, 1));
                assert_eq!(shard.calls_alone(), before + calls);
                let count = shard.word.load().count();
                let most = if calls < 131_072 { 0 } else { calls / 1_000 };
                assert!(count.abs_diff(calls) <= most, "{count} of {calls}");
            }
        }
    }

    #[test]
    fn a_call_counted_at_once_leaves_the_same_word_and_total_as_any_other() {
        let (at_once, usual) = (Shard::default(), Shard::default());
        let own = stamp(1, 1);
        let mut others = 0;
        for _ in 0..600_000 {
            usual.add_alone(own);
            if !at_once.word.add_own_at_once(own) {
                others += 1;
                at_once.add_alone(own);
            }
            assert_eq!(at_once.word.load(), usual.word.load());
            assert_eq!(at_once.calls_alone(), usual.calls_alone());
        }
        // The first call finds no word of its bucket. Above 131,071, one in 16 goes to the total.
        assert_eq!(others, 1 + (600_000 - 131_071_u64).div_ceil(16));
        for foreign in [stamp(1, 2), stamp(2, 1)] {
            assert!(!at_once.word.add_own_at_once(foreign));
        }
        assert_eq!(at_once.calls_alone(), 600_000);
    }

    #[test]
    fn one_call_in_16_of_a_dense_word_has_no_credit_at_any_scale() {
        let shard = Shard::default();
        let own = stamp(1, 1);
        let mut on_credit = 0;
        for _ in 0..600_000 {
            if shard.word.add_on_credit(own) {
                on_credit += 1;
            } else {
                shard.add_alone(own);
            }
        }
        assert_eq!(on_credit, (600_000 - BucketWord::LENDS_FROM) / 16 * 15);
        assert_eq!(shard.calls_alone(), 600_000);
        assert!(!shard.word.add_on_credit(stamp(1, 2)));
        assert!(!shard.word.add_on_credit(stamp(2, 1)));
    }

    #[test]
    fn the_ten_thousandth_call_makes_a_bucket_busy_and_no_other() {
        let shard = Shard::default();
        for call in 1..=50_000 {
            let busy = shard.add(stamp(1, 1)) == Added::Busy;
            assert_eq!(busy, call == 10_000, "{call}");
        }
    }
}
