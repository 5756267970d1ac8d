//! The bucket word: one count of one time bucket, with the stamp of its generation and turn.

use std::cell::Cell;

use crate::state::Generation;
use crate::sync::field::Field;
use crate::sync::stamped::{Next, Stamped};
use crate::sync::{Ordering, ThreadCounter};
use crate::util::random::{GOLDEN_RATIO, mixed};

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
/// *Count* = mantissa × 2^scale. Up to 131,071 it is exact. Above that, one call in 2^scale adds
/// 2^scale (see [`Draw`]). This keeps the count within a thousandth of the calls. So a word holds
/// 2.8 × 10¹⁴ calls and never carries into its stamp. No counter of a rate is full before the
/// other, which would skew the rate.
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
    pub(super) fn counting(stamp: Stamp, count: u64) -> Self {
        let fits = |scale: &u64| count.div_ceil(1 << scale) <= layout::MANTISSA.max();
        let scale = (0..layout::SCALE.max()).find(fits);
        let scale = scale.unwrap_or(layout::SCALE.max());
        let mantissa = count.div_ceil(1 << scale).min(layout::MANTISSA.max());
        Self(stamp.0 | layout::SCALE.of(scale) | layout::MANTISSA.of(mantissa))
    }

    const MANY: u64 = 10_000;

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
    #[inline]
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

    /// The word after one more call, if it belongs to the bucket that `stamp` names. Out of line to
    /// keep the callers small.
    #[inline(never)]
    fn plus_one_if_of(self, stamp: Stamp) -> Option<Self> {
        (self.stamp() == stamp).then(|| self.plus_one(is_counted))
    }
}

thread_local! {
    /// The point on the circle that the thread draws next. A constant, so a read needs no check for
    /// initialization.
    static PLACE: Cell<u64> = const { Cell::new(0) };
}

/// The point on a circle that one call has drawn. It decides whether the call is one of the counted
/// ones, one in 2^scale. Calls draw only where the count is no longer exact.
///
/// Each thread goes round the circle in steps of the golden ratio. Calls on a part of 1/2^scale of
/// the circle are counted (see [`GOLDEN_RATIO`]). No other step spreads more evenly. A periodic
/// part of a thread's calls also goes round evenly. An example is every other call of a thread that
/// alternates between two breakers. Random numbers would err by a quarter of a percent and cost
/// more.
///
/// A call draws once, however often it tries to write. Suppose that a call is to be counted and
/// loses an exchange. The call is still to be counted at the same scale. At the next scale it is
/// half as likely to be counted, and a counted call counts twice as much. A second draw would
/// nearly always drop the call, because only calls that are to be counted try to write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draw(u64);

impl Draw {
    /// Draws for the next call of this thread.
    #[inline]
    pub(super) fn new() -> Self {
        let place = match PLACE.get() {
            0 => first_place(),
            place => place,
        };
        PLACE.set(place.wrapping_add(GOLDEN_RATIO));
        Self(place)
    }

    /// The latest draw of this thread, for a call that tries to write again.
    pub(super) fn latest() -> Self {
        Self(PLACE.get().wrapping_sub(GOLDEN_RATIO))
    }

    /// Makes this thread's next draw repeat its latest draw.
    pub(super) fn take_back() {
        PLACE.set(PLACE.get().wrapping_sub(GOLDEN_RATIO));
    }

    /// Whether the call is counted at `scale`, which is above zero.
    #[inline]
    pub(super) fn is_counted(self, scale: u64) -> bool {
        self.0 >> (64 - scale) == 0
    }

    /// Bits that are independent of each other and of whether the call is counted.
    #[inline]
    pub(super) fn bits(self) -> u64 {
        mixed(self.0)
    }
}

/// Draws for the next call of this thread. Returns whether it is counted at `scale`, which is above
/// zero.
#[inline]
pub(super) fn is_counted(scale: u64) -> bool {
    Draw::new().is_counted(scale)
}

/// Where the thread starts on the circle. Each thread starts at another point, in even steps,
/// because some threads make one call and end. The steps are those of the root of two. In steps of
/// the golden ratio each thread would follow the one before it round the circle. Their errors would
/// then add up.
#[cold]
fn first_place() -> u64 {
    static THREADS: ThreadCounter = ThreadCounter::new(1);
    // Relaxed: only the difference between the numbers matters, and no memory is read through them.
    let thread = THREADS.fetch_add(1, Ordering::Relaxed);
    u64::from(thread).wrapping_mul(ROOT_OF_TWO)
}

/// The fractional part of the root of two.
const ROOT_OF_TWO: u64 = 0x6A09_E667_F3BC_C909;

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
    pub(super) fn set(&self, word: BucketWord) {
        self.0.store_alone(word.0);
    }

    /// The current word.
    #[must_use]
    #[inline]
    pub fn load(&self) -> BucketWord {
        BucketWord(self.0.load())
    }

    /// Counts one call of the bucket that `stamp` names, in a word that several threads add to.
    ///
    /// A word of another bucket is replaced if `is_current` returns `true`. It says whether this
    /// stamp's generation and turn are still alive, and is called after the word was read. No word
    /// can be younger than what is alive, so the other bucket is then the older one.
    #[inline]
    pub fn add(&self, stamp: Stamp, is_current: impl Fn() -> bool) -> Added {
        self.add_to(self.load(), stamp, is_current)
    }

    /// Like [`add`](Self::add), for a caller that has read the word.
    #[inline]
    fn add_to(&self, seen: BucketWord, stamp: Stamp, is_current: impl Fn() -> bool) -> Added {
        let is_own = seen.stamp() == stamp;
        if is_own {
            let new = seen.plus_one(is_counted);
            if new == seen || self.0.update_own(seen.0, new.0) {
                return if new.gets_busy() {
                    Added::Busy
                } else {
                    Added::Counted
                };
            }
        }
        match self.add_slow(stamp, is_current) {
            true if is_own => Added::Busy,
            true => Added::Counted,
            false => Added::Late,
        }
    }

    #[cold]
    #[inline(never)]
    fn add_slow(&self, stamp: Stamp, is_current: impl Fn() -> bool) -> bool {
        // The call drew in its first attempt, unless the count was exact then. If the count has
        // just ceased to be exact, the draw of the thread's previous call is as good.
        let is_counted = |scale| Draw::latest().is_counted(scale);
        let next = |seen| {
            let seen = BucketWord(seen);
            if seen.stamp() == stamp {
                Next::Own(seen.plus_one(is_counted).0)
            } else {
                Next::Other(BucketWord::first(stamp).0)
            }
        };
        self.0.update(next, is_current).is_some()
    }

    /// Counts one call if the word belongs to the bucket that `stamp` names, and returns whether it
    /// does. No other thread writes the word.
    #[inline]
    pub fn add_own_at_once(&self, stamp: Stamp) -> bool {
        let seen = self.load();
        // This is the count if the stamps are equal. Otherwise it is above any count.
        let new = if seen.0 ^ stamp.0 < layout::MANTISSA.max() {
            BucketWord(seen.0 + layout::MANTISSA.of(1))
        } else {
            match seen.plus_one_if_of(stamp) {
                Some(new) => new,
                None => return false,
            }
        };
        self.store(new);
        true
    }

    /// Like [`add_own_at_once`](Self::add_own_at_once), but replaces another bucket's word if
    /// `is_current` returns `true`. Returns whether the call was counted.
    pub fn add_own(&self, stamp: Stamp, is_current: impl Fn() -> bool) -> bool {
        let counted = self.add_own_at_once(stamp);
        if !counted && is_current() {
            self.store(BucketWord::first(stamp));
            return true;
        }
        counted
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

    /// The word after `calls` calls of this thread.
    fn count_to(calls: u64) -> BucketWord {
        let mut word = BucketWord::first(stamp(5, 7));
        for _ in 1..calls {
            word = word.plus_one(|scale| Draw::new().is_counted(scale));
        }
        word
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

    #[test]
    fn one_call_in_two_to_the_scale_is_counted_whatever_the_rhythm() {
        for scale in [1, 2, 3, 5, 8_u64] {
            for period in [1, 2, 3, 5, 8, 21, 64] {
                let calls = 200 << scale;
                let counted = (0..calls * period)
                    .map(|_| Draw::new().is_counted(scale))
                    .step_by(period)
                    .filter(|counted| *counted)
                    .count();
                assert!(
                    (180..=220).contains(&counted),
                    "{counted} at {scale}, every {period}"
                );
            }
        }
    }

    /// Each call that is to be counted loses its first exchange.
    #[test]
    fn calls_that_lose_each_exchange_are_counted_as_often_as_others() {
        const CALLS: u64 = 1_000_000;
        let bucket = AtomicBucket::default();
        let own = stamp(1, 1);
        let mut calls = 0;
        while calls < CALLS {
            let seen = bucket.load();
            while bucket.load() == seen {
                assert_ne!(bucket.add(own, || true), Added::Late);
                calls += 1;
            }
            assert_ne!(bucket.add_to(seen, own, || true), Added::Late);
            calls += 1;
        }
        let counted = bucket.load().count() as f64 / calls as f64;
        assert!((counted - 1.0).abs() < 0.001, "{counted}");
    }

    #[test]
    fn a_call_that_is_to_be_counted_stays_so_and_is_half_as_likely_to_be_at_the_next_scale() {
        let draws: Vec<_> = (0..1 << 16).map(|_| Draw::new()).collect();
        for scale in 1..8 {
            let counted = |scale| draws.iter().filter(move |draw| draw.is_counted(scale));
            let next = counted(scale).filter(|draw| draw.is_counted(scale + 1));
            let (now, next) = (counted(scale).count(), next.count());
            assert_eq!(
                next,
                counted(scale + 1).count(),
                "none is counted only there"
            );
            assert!(now.abs_diff(2 * next) <= 16, "{next} of {now} at {scale}");
        }
    }

    /// Fails when: a call draws again after a lost exchange.
    #[test]
    fn the_mean_of_what_many_threads_count_in_one_word_is_what_they_recorded() {
        const RUNS: u32 = 10;
        const CALLS: u64 = 400_000;
        for threads in [2, 4, 8] {
            let mut mean = 0.0;
            for _ in 0..RUNS {
                let bucket = AtomicBucket::default();
                std::thread::scope(|scope| {
                    for _ in 0..threads {
                        scope.spawn(|| {
                            for _ in 0..CALLS / threads {
                                assert_ne!(bucket.add(stamp(1, 1), || true), Added::Late);
                            }
                        });
                    }
                });
                mean += bucket.load().count() as f64 / CALLS as f64 / f64::from(RUNS);
            }
            assert!((mean - 1.0).abs() < 0.0005, "{threads} threads: {mean}");
        }
    }

    #[test]
    fn threads_that_make_one_call_each_are_counted_too() {
        let bucket = AtomicBucket::default();
        let own = stamp(1, 1);
        for _ in 0..200_000 {
            assert_ne!(bucket.add(own, || true), Added::Late);
        }
        let before = bucket.load().count();
        std::thread::scope(|threads| {
            for _ in 0..2_000 {
                threads.spawn(|| assert_ne!(bucket.add(own, || true), Added::Late));
            }
        });
        let counted = bucket.load().count() - before;
        assert!((1_900..=2_100).contains(&counted), "{counted}");
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
        assert_eq!(full.stamp(), own);
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
        for add in [
            |bucket: &AtomicBucket, stamp, alive: bool| bucket.add(stamp, || alive) != Added::Late,
            |bucket: &AtomicBucket, stamp, alive: bool| bucket.add_own(stamp, || alive),
        ] {
            let bucket = AtomicBucket::default();
            assert!(add(&bucket, stamp(0, 2), true));
            assert!(!add(&bucket, stamp(0, 1), false));
            assert_eq!(bucket.load(), BucketWord::first(stamp(0, 2)));
            assert!(add(&bucket, stamp(0, 2), false), "its own needs no asking");
            assert_eq!(bucket.load().count(), 2);
        }
    }

    #[test]
    fn the_ten_thousandth_call_makes_a_bucket_busy_and_no_other() {
        let bucket = AtomicBucket::default();
        for call in 1..=50_000 {
            let busy = bucket.add(stamp(1, 1), || true) == Added::Busy;
            assert_eq!(busy, call == 10_000, "{call}");
        }
    }
}
