//! The bucket word: one count of one time bucket, with the stamp that says whose it is.

use std::cell::RefCell;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::pack::Field;
use crate::stamped::{self, Next};
use crate::sync::{AtomicU64, Ordering};

/// ```text
///  63          53 52             22 21     17 16           0
/// +--------------+-----------------+---------+--------------+
/// | generation,11|    turn, 31     | scale, 5| mantissa, 17 |
/// +--------------+-----------------+---------+--------------+
/// ```
///
/// *Turn*: how often the ring had gone round when the bucket began; together with the bucket's
/// place in the ring it is the bucket's epoch. *Generation*: the low bits of its number.
///
/// *Count* = mantissa × 2^scale. Up to 131,071 it is exact. From there on the word counts as
/// Morris's register does (Morris 1978, "Counting large numbers of events in small registers"): at
/// scale s a call adds 2^s with probability 2^-s, so that the expectation is exact and the standard
/// error stays below 0.4 %. So a word holds 2.8 × 10¹⁴ calls, never carries into its stamp, and a
/// rate isn't skewed by the one counter being full before the other.
mod layout {
    use super::Field;

    pub(super) const MANTISSA: Field = Field::lowest(17);
    pub(super) const SCALE: Field = MANTISSA.then(5);
    pub(super) const TURN: Field = SCALE.then(31);
    pub(super) const GENERATION: Field = TURN.then(11);

    const _: () = assert!(GENERATION.end() == 64);
    const _: () = assert!(TURN.max() + 1 == super::Stamp::TURNS);
    const _: () = assert!(GENERATION.max() + 1 == super::Stamp::GENERATIONS);
}

/// Says whose a bucket word is: the generation and the turn of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(u64);

impl Stamp {
    /// How many turns there are before they repeat.
    pub const TURNS: u64 = 1 << 31;
    /// How many generations the stamp tells apart.
    pub const GENERATIONS: u64 = 1 << 11;

    /// The stamp of a turn in a generation; both are cut to their widths.
    #[must_use]
    #[inline]
    pub fn new(generation: u64, turn: u64) -> Self {
        Self(layout::GENERATION.of(generation) | layout::TURN.of(turn))
    }

    /// The stamp of the next turn in the same generation.
    #[must_use]
    #[inline]
    pub fn next_turn(self) -> Self {
        Self::new(
            layout::GENERATION.get(self.0),
            layout::TURN.get(self.0).wrapping_add(1),
        )
    }
}

/// A stamp and a count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BucketWord(u64);

impl BucketWord {
    /// A bucket that has counted one call.
    #[must_use]
    pub fn first(stamp: Stamp) -> Self {
        Self(stamp.0 | layout::MANTISSA.of(1))
    }

    /// Whose the count is.
    #[must_use]
    #[inline]
    pub fn stamp(self) -> Stamp {
        Stamp(self.0 & !(layout::SCALE.of(u64::MAX) | layout::MANTISSA.of(u64::MAX)))
    }

    /// The count.
    #[must_use]
    #[inline]
    pub fn count(self) -> u64 {
        layout::MANTISSA.get(self.0) << layout::SCALE.get(self.0)
    }

    /// The word after one more call; `coin(s)` comes up true once in 2^s times.
    ///
    /// At the end of the range the word stays as it is.
    #[must_use]
    #[inline]
    pub fn plus_one(self, coin: impl FnOnce(u64) -> bool) -> Self {
        let scale = layout::SCALE.get(self.0);
        let mantissa = layout::MANTISSA.get(self.0);
        if scale > 0 && !coin(scale) {
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
}

impl std::fmt::Debug for BucketWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BucketWord")
            .field("generation", &layout::GENERATION.get(self.0))
            .field("turn", &layout::TURN.get(self.0))
            .field("count", &self.count())
            .finish()
    }
}

/// True once in 2^scale times. Only asked in buckets of more than 131,071 calls.
#[cold]
fn coin(scale: u64) -> bool {
    thread_local! {
        // All threads begin with the same seed: their coins need not differ, only be fair.
        static RANDOM: RefCell<SmallRng> = RefCell::new(SmallRng::seed_from_u64(1978));
    }
    RANDOM.with_borrow_mut(|random| random.next_u64() & ((1 << scale) - 1) == 0)
}

/// A bucket word that several threads add to.
#[derive(Debug)]
#[repr(transparent)]
pub struct AtomicBucket(AtomicU64);

impl AtomicBucket {
    /// An empty bucket. Its stamp may be anybody's, since its count is zero.
    #[must_use]
    pub fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// The word now.
    #[must_use]
    #[inline]
    pub fn load(&self) -> BucketWord {
        // Relaxed: the word carries its own stamp; who must see the writes of others has a SeqCst
        // fence before (see `Core::judge`).
        BucketWord(self.0.load(Ordering::Relaxed))
    }

    /// Counts one call of the bucket that `stamp` names, and says whether it was counted.
    ///
    /// If the word is another bucket's, it is replaced, provided that `is_current`, asked after
    /// the word was read, says that this stamp's generation and turn are still alive: since no
    /// word can be younger than what is alive, the other one is then older.
    #[inline]
    pub fn add(&self, stamp: Stamp, is_current: impl Fn() -> bool) -> bool {
        let seen = self.load();
        (seen.stamp() == stamp && stamped::update_own(&self.0, seen.0, seen.plus_one(coin).0))
            || self.add_rarely(stamp, is_current)
    }

    #[cold]
    #[inline(never)]
    fn add_rarely(&self, stamp: Stamp, is_current: impl Fn() -> bool) -> bool {
        let next = |seen| {
            let seen = BucketWord(seen);
            if seen.stamp() == stamp {
                Next::Own(seen.plus_one(coin).0)
            } else {
                Next::Other(BucketWord::first(stamp).0)
            }
        };
        stamped::update(&self.0, next, is_current).is_some()
    }
}

impl Default for AtomicBucket {
    fn default() -> Self {
        Self::new()
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

    /// Adds calls until the word has counted `calls` of them, drawing how many calls a coin lets
    /// pass instead of tossing it for each.
    fn count_to(calls: u64, seed: u64) -> BucketWord {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut word = BucketWord::first(Stamp::new(5, 7));
        let mut counted = 1;
        loop {
            let scale = layout::SCALE.get(word.0);
            let heads = 0.5_f64.powi(i32::try_from(scale).unwrap());
            let uniform = (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
            let tails = if scale == 0 {
                0.0
            } else {
                ((1.0 - uniform).ln() / (1.0 - heads).ln()).floor()
            };
            counted += tails as u64 + 1;
            if counted > calls {
                return word;
            }
            word = word.plus_one(|_| true);
        }
    }

    #[test]
    fn counts_are_exact_up_to_131_071() {
        let mut word = BucketWord::first(Stamp::new(1, 1));
        for calls in 1..131_071 {
            assert_eq!(word.count(), calls);
            word = word.plus_one(|_| unreachable!("no coin is tossed while the count is exact"));
        }
        assert_eq!(word.count(), 131_071);
    }

    #[test]
    fn a_billion_calls_in_a_bucket_are_counted_to_half_a_percent_and_keep_the_stamp() {
        // A register's standard error is 0.23 %, the mean of sixteen's a quarter of that.
        let registers = 16;
        let mut mean = 0.0;
        for seed in 0..registers {
            let word = count_to(1_000_000_000, seed);
            let ratio = word.count() as f64 / 1e9;
            assert!((ratio - 1.0).abs() < 0.01, "{ratio}");
            assert_eq!(word.stamp(), Stamp::new(5, 7));
            mean += ratio / registers as f64;
        }
        assert!((mean - 1.0).abs() < 0.0025, "without bias: {mean}");
    }

    #[test]
    fn a_billion_calls_of_which_one_percent_fail_show_one_percent() {
        let failures = count_to(10_000_000, 1).count() as f64;
        let successes = count_to(990_000_000, 2).count() as f64;
        let rate = failures / (failures + successes);
        assert!((rate - 0.01).abs() < 0.0003, "{rate}");
    }

    #[test]
    fn the_coin_is_fair() {
        let heads = (0..200_000).filter(|_| coin(3)).count();
        assert!((24_000..26_000).contains(&heads), "{heads}");
    }

    #[test]
    fn the_last_count_stays_and_never_carries_into_the_stamp() {
        let stamp = Stamp::new(3, 9);
        let full = BucketWord(stamp.0 | layout::SCALE.of(u64::MAX) | layout::MANTISSA.of(u64::MAX));
        assert_eq!(full.plus_one(|_| true), full);
        assert_eq!(full.stamp(), stamp);
    }

    proptest! {
        #[test]
        fn a_word_gives_back_its_stamp_and_count(
            generation in 0..Stamp::GENERATIONS, turn in 0..Stamp::TURNS, calls in 1..1000_u64,
        ) {
            let stamp = Stamp::new(generation, turn);
            let mut word = BucketWord::first(stamp);
            for _ in 1..calls {
                word = word.plus_one(|_| true);
            }
            prop_assert_eq!(word.stamp(), stamp);
            prop_assert_eq!(word.count(), calls);
        }
    }

    #[test]
    fn a_stale_stamp_neither_counts_nor_disturbs() {
        let bucket = AtomicBucket::new();
        assert!(bucket.add(Stamp::new(0, 2), || true));
        assert!(!bucket.add(Stamp::new(0, 1), || false));
        assert_eq!(bucket.load(), BucketWord::first(Stamp::new(0, 2)));
    }
}
