//! The words of a window, spread so that threads don't write to the same cache lines.
//!
//! A window starts with one word for each bucket and kind of call. All threads share it by
//! compare-exchange. The window grows when two threads first collide there, or when a bucket of it
//! gets busy. From then on each thread has its own words for what every call writes. It writes them
//! with a load and a store. Nothing has to lock them, because no other thread writes there.
//!
//! Words that only failures and slow calls write stay shared. Those calls also write to one run,
//! which orders them. So words of their own would save nothing and would have to be summed.
//!
//! Counts from before the growth stay where they are until they leave the window.

use std::iter;
use std::ops::Range;

use crossbeam_utils::CachePadded;

use super::Tally;
use super::bucket::{Added, AtomicBucket, BucketWord, Stamp};
use super::place::RingPosition;
use super::spread::{Grown, Spread};
use super::total::{RingTotals, Total, TotalWord, TotalWords};
use crate::clock::context::CallContext;
use crate::sync::stamped::Stamped;
use crate::sync::thread_slot::ThreadSlot;
use crate::sync::{Ordering, PublishedOnce, fence};

/// How many words two cache lines have. Processors fetch adjacent lines in pairs.
pub(super) const WORDS_A_LINE: usize = 16;

/// A slice of words that starts on a cache-line boundary.
///
/// The words are contiguous, so finding one takes little arithmetic. Nothing follows the last one.
#[derive(Debug)]
pub(super) struct Aligned<T> {
    values: Vec<T>,
    /// The index of the first word that starts a line.
    first: usize,
}

impl<T: Default> Aligned<T> {
    pub(super) fn new(count: usize) -> Self {
        let mut values: Vec<T> = Vec::with_capacity(count + WORDS_A_LINE);
        let address = values.as_ptr().addr() / size_of::<T>();
        let first = address.next_multiple_of(WORDS_A_LINE) - address;
        values.resize_with(first + count, T::default);
        Self { values, first }
    }

    #[inline]
    pub(super) fn get(&self, word: usize) -> Option<&T> {
        self.values.get(self.first + word)
    }
}

fn add_total(sum: u64, total: TotalWord<'_>) -> u64 {
    sum.wrapping_add(total.get())
}

type Line = CachePadded<[AtomicBucket; WORDS_A_LINE]>;

/// The key of a bucket that counts calls of one kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct BucketKey {
    pub(super) tally: Tally,
    pub(super) place: RingPosition,
}

/// The buckets of a sum. They end with the current one. Those behind it in the ring are of the
/// previous turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    /// The first slot of the current turn.
    first: u32,
    /// The slot after the current one.
    behind: u32,
    /// The first slot of the previous turn.
    first_before: u32,
    present: Stamp,
}

impl Stretch {
    /// The whole window that ends with `place`.
    #[inline]
    pub(super) fn whole(place: RingPosition) -> Self {
        let behind = place.slot() + 1;
        Self {
            first: 0,
            behind,
            first_before: behind,
            present: place.stamp(),
        }
    }

    /// The `last` buckets of the window that ends with `place`, in a ring of `buckets`. `last` is
    /// at most `buckets`.
    pub(super) fn last(last: u32, place: RingPosition, buckets: u32) -> Self {
        let whole = Self::whole(place);
        Self {
            first: whole.behind.saturating_sub(last),
            first_before: buckets - last.saturating_sub(whole.behind),
            ..whole
        }
    }
}

/// The sum of the words of one kind and shard over `stretch`, in a ring of `buckets`.
///
/// The next turn counts too. Its writer has read the clock later than this reader. Of two threads
/// that each fail and then sum, at least one must see the other's failure.
#[allow(
    clippy::inline_always,
    reason = "measured: out of line, `.ci/run instructions` shows a longer path of failures"
)]
#[inline(always)]
pub(super) fn live_sum<'a>(
    buckets: u32,
    stretch: Stretch,
    word: impl Fn(u32) -> Option<&'a AtomicBucket>,
) -> u64 {
    let sum = |slots: Range<u32>, alive: Stamp| {
        let mut total = 0;
        for slot in slots {
            let Some(word) = word(slot).map(AtomicBucket::load) else {
                break;
            };
            if word.stamp() == alive || word.stamp() == alive.turn_after() {
                total += word.count();
            }
        }
        total
    };
    let present = stretch.present;
    sum(stretch.first..stretch.behind, present)
        + sum(stretch.first_before..buckets, present.turn_before())
}

/// One word for each bucket and kind, shared by all threads.
#[derive(Debug)]
struct Common(Box<[Line]>);

impl Common {
    fn new(buckets: u32, counts_slow: bool) -> Self {
        let buckets = buckets as usize;
        let words = if counts_slow {
            Self::words_with_slow(buckets)
        } else {
            3 * buckets
        };
        let lines = (0..words.div_ceil(WORDS_A_LINE)).map(|_| Line::default());
        Self(lines.collect())
    }

    /// Slow calls and slow failures have words too. The last word is the total of slow failures.
    fn words_with_slow(buckets: usize) -> usize {
        5 * buckets + 1
    }

    /// The word, if there is one. The words of slow calls stand behind the others.
    #[allow(
        clippy::inline_always,
        reason = "counted: out of line, a failing call takes 50 instructions more"
    )]
    #[inline(always)]
    fn word(&self, buckets: u32, slot: u32, tally: Tally) -> Option<&AtomicBucket> {
        let number = match tally {
            Tally::Slow => 3 * buckets + slot,
            Tally::SlowFailure => 4 * buckets + slot,
            Tally::Success | Tally::Uncounted | Tally::Failure => 3 * slot + tally as u32,
        };
        self.at(number)
    }

    /// The total of slow failures, if they have words. Only their words need it, for estimates.
    fn total_of_slow_failures(&self, buckets: u32) -> Option<TotalWord<'_>> {
        self.at(5 * buckets).map(AtomicBucket::as_total)
    }

    #[inline]
    fn at(&self, number: u32) -> Option<&AtomicBucket> {
        let line = self.0.get(number as usize / WORDS_A_LINE)?;
        Some(&line[number as usize % WORDS_A_LINE])
    }

    /// The words of one kind.
    fn words(&self, buckets: u32, tally: Tally) -> impl Iterator<Item = &AtomicBucket> {
        (0..buckets).map_while(move |slot| self.word(buckets, slot, tally))
    }

    /// Whether there is room for the last word of slow calls.
    #[inline]
    fn counts_slow(&self, buckets: u32) -> bool {
        self.0.len() * WORDS_A_LINE >= Self::words_with_slow(buckets as usize)
    }
}

/// The words of a window.
#[derive(Debug)]
pub(super) struct Shards {
    common: Common,
    /// The totals of `common`, and of calls that no word has counted.
    totals: TotalWords,
    grown: PublishedOnce<Grown>,
    /// How many thread slots get words of their own when the window grows. With one, the window
    /// doesn't grow.
    thread_slots: u16,
    /// Whether successes of dense buckets are counted without a clock reading.
    lends: bool,
    pub(super) buckets: u32,
}

impl Shards {
    pub(super) fn new(buckets: u32, thread_slots: u32, counts_slow: bool) -> Self {
        Self {
            common: Common::new(buckets, counts_slow),
            totals: TotalWords::default(),
            grown: PublishedOnce::new(),
            thread_slots: u16::try_from(thread_slots).unwrap_or(u16::MAX),
            lends: false,
            buckets,
        }
    }

    /// Lets dense buckets count successes without a clock reading.
    pub(super) fn lend(&mut self) {
        self.lends = true;
    }

    pub(super) fn same_config(&self, other: &Self) -> bool {
        // The number of lines tells whether slow calls have words.
        let shape = |it: &Self| (it.buckets, it.thread_slots, it.common.0.len());
        shape(self) == shape(other)
    }

    /// Whether the window has words for calls of this kind.
    #[inline]
    fn has_words(&self, tally: Tally) -> bool {
        !tally.needs_limit() || self.common.counts_slow(self.buckets)
    }

    /// Whether the window has grown.
    #[inline]
    pub(super) fn has_grown(&self) -> bool {
        self.grown().is_some()
    }

    /// The words of the threads, if the window has grown.
    #[inline]
    pub(super) fn grown(&self) -> Option<&Grown> {
        self.grown.get()
    }

    /// Gives the first thread slots words of their own, unless they have them or the window doesn't
    /// grow.
    #[cold]
    #[inline(never)]
    pub(super) fn grow(&self) {
        if self.thread_slots > 1 && self.grown.get().is_none() {
            let shards = u32::from(self.thread_slots);
            self.grown.publish(Grown {
                own: Spread::new(self.buckets, shards),
                shared: Spread::new(self.buckets, shards.min(8)),
            });
        }
    }

    /// The successes of the bucket `place` that no clock reading has confirmed. Some may belong to
    /// a later bucket.
    pub(super) fn doubtful(&self, place: RingPosition) -> u64 {
        let grown = self.grown.get().filter(|_| self.lends);
        let tally = Tally::Success;
        grown.map_or(0, |grown| grown.own.doubtful(BucketKey { tally, place }))
    }

    /// Starts the bucket `place` with `count` successes of an earlier bucket, unless another thread
    /// has started it.
    pub(super) fn carry(&self, place: RingPosition, count: u64, is_current: impl Fn() -> bool) {
        if let Some(word) = self.common.word(self.buckets, place.slot(), Tally::Success) {
            let total = self.totals.of(Total::Success);
            word.carry(place.stamp(), count, total, is_current);
        }
    }

    /// Counts one call if that takes no more than a store. The caller must have words of its own,
    /// and the word must already be of the bucket. Returns whether the call was counted.
    #[inline]
    pub(super) fn add_at_once(&self, key: BucketKey, context: &impl CallContext) -> bool {
        let Some(grown) = self.grown.get().filter(|_| key.tally.is_spread()) else {
            return false;
        };
        let ThreadSlot(shard) = context.known_thread_slot();
        let word = grown.own.word(shard, key);
        word.is_some_and(|word| word.add_own_at_once(key.place.stamp()))
            || grown.own.add_own(shard, key)
    }

    /// Counts one call, and returns whether it was counted. `is_current` says whether the bucket is
    /// still alive.
    pub(super) fn add(
        &self,
        key: BucketKey,
        context: &impl CallContext,
        is_current: impl Fn() -> bool,
    ) -> bool {
        let BucketKey { tally, place } = key;
        let grown = self.grown.get().filter(|_| tally.is_spread());
        let (word, total) = if let Some(Grown { own, shared }) = grown {
            let ThreadSlot(slot) = context.thread_slot();
            let total = own.total_of(slot, tally);
            if let Some((word, total)) = own.word(slot, key).zip(total) {
                return word.add_own(place.stamp(), total, is_current);
            }
            let shard = slot % shared.shards;
            (shared.word(shard, key), shared.total_of(shard, tally))
        } else {
            let has_words = self.has_words(tally);
            let word = || self.common.word(self.buckets, place.slot(), tally);
            (has_words.then(word).flatten(), None)
        };
        let Some(total) = total.or_else(|| self.total_of(tally)) else {
            return false;
        };
        let Some(word) = word else {
            // Without a limit for slow calls there are no words for them.
            total.add(1);
            return false;
        };
        let added = word.add(place.stamp(), total, is_current);
        if added == Added::Busy && tally.is_spread() {
            self.grow();
        }
        added != Added::Late
    }

    /// Like [`add`](Self::add), for a success in a window that hadn't grown when the caller looked.
    #[inline]
    pub(super) fn add_success_to_common(
        &self,
        place: RingPosition,
        is_current: impl Fn() -> bool,
    ) -> bool {
        let word = self.common.word(self.buckets, place.slot(), Tally::Success);
        let total = self.totals.of(Total::Success);
        let added = word.map_or(Added::Late, |it| it.add(place.stamp(), total, is_current));
        if added == Added::Busy {
            self.grow();
        }
        added != Added::Late
    }

    /// Counts several calls of a kind that has only words shared by all threads. `is_current` is as
    /// in [`add`](Self::add).
    #[cold]
    #[inline(never)]
    pub(super) fn add_to_common(&self, key: BucketKey, calls: u64, is_current: impl Fn() -> bool) {
        let BucketKey { tally, place } = key;
        let word = self.common.word(self.buckets, place.slot(), tally);
        let word = word.filter(|_| self.has_words(tally));
        if let Some((word, total)) = word.zip(self.total_of(tally)) {
            word.add_many(place.stamp(), calls, total, is_current);
        }
    }

    /// Counts in total alone a call that the window doesn't hold.
    pub(super) fn add_to_total(&self, kind: Total, context: &impl CallContext) {
        let grown = self.grown.get().filter(|_| kind == Total::Ignored);
        let Some(Grown { own, shared }) = grown else {
            self.totals.of(kind).add(1);
            return;
        };
        let ThreadSlot(slot) = context.thread_slot();
        if let Some(total) = own.total(slot, kind) {
            total.add_alone(1);
            // Release: pairs with the fence in `totals`. A reader that finds the call among the
            // uncounted ones then finds it among the ignored ones.
            fence(Ordering::Release);
        } else if let Some(total) = shared.total(slot % shared.shards, kind) {
            total.add(1);
        }
    }

    /// The totals.
    pub(super) fn totals(&self) -> RingTotals {
        let mut totals = RingTotals::default();
        for tally in [
            Tally::Success,
            Tally::Uncounted,
            Tally::Failure,
            Tally::Slow,
        ] {
            if let Some(kind) = Total::of(tally) {
                totals.set(kind, self.total(kind, tally));
            }
        }
        // A call is counted as ignored, and then as uncounted. After the fence this thread finds
        // the ignored calls among the uncounted ones that it has found. Without it the difference,
        // the rejected calls, could come out too high. So it is with calls that were given up.
        Stamped::fence();
        for part in [Total::Ignored, Total::TimedOut] {
            totals.set(part, self.total_words(part).fold(0, add_total));
        }
        totals
    }

    /// The total of a kind.
    fn total(&self, kind: Total, tally: Tally) -> u64 {
        // The totals are read before the words. So no count is found in both.
        let overwritten = self.total_words(kind).fold(0, add_total);
        let grown = self.grown.get().filter(|_| tally.is_spread());
        let own = grown.map(|grown| grown.own.words(self.buckets, tally));
        let own = own.into_iter().flatten();
        let alone = own.map(|word| word.load().counted_alone());
        let shared = grown.map(|grown| grown.shared.words(self.buckets, tally));
        let has_words = self.has_words(tally);
        let common = self.common.words(self.buckets, tally);
        let common = common.filter(|_| has_words);
        let words = shared.into_iter().flatten().chain(common);
        let there = words.map(|word| word.load().counted_one_by_one());
        overwritten.wrapping_add(alone.chain(there).sum())
    }

    /// The total beside the words that all threads share. Without a limit for slow calls, slow
    /// failures have none.
    fn total_of(&self, tally: Tally) -> Option<TotalWord<'_>> {
        match Total::of(tally) {
            Some(kind) => Some(self.totals.of(kind)),
            None => self.common.total_of_slow_failures(self.buckets),
        }
    }

    fn total_words(&self, kind: Total) -> impl Iterator<Item = TotalWord<'_>> {
        let is_spread = (kind as usize) < Total::SPREAD;
        let grown = self.grown.get().filter(|_| is_spread);
        let spread = grown
            .into_iter()
            .flat_map(move |grown| grown.own.totals(kind).chain(grown.shared.totals(kind)));
        iter::once(self.totals.of(kind)).chain(spread)
    }

    /// The number of calls of a kind over `stretch`, in the words that all threads share.
    ///
    /// Each word is read once. A call that is recorded meanwhile may be in the sum.
    #[allow(
        clippy::inline_always,
        reason = "measured: for one kind alone it takes fewer instructions, `.ci/run instructions`"
    )]
    #[inline(always)]
    pub(super) fn common_sum(&self, tally: Tally, stretch: Stretch) -> u64 {
        if !self.has_words(tally) {
            return 0;
        }
        let word = |slot| self.common.word(self.buckets, slot, tally);
        live_sum(self.buckets, stretch, word)
    }

    /// The number of calls of a kind over `stretch`.
    pub(super) fn sum(&self, tally: Tally, stretch: Stretch) -> u64 {
        if tally.is_spread() {
            self.others(tally, stretch, ThreadSlot(0)).sum()
        } else {
            self.common_sum(tally, stretch)
        }
    }

    /// The number of calls in one bucket.
    pub(super) fn count(&self, key: BucketKey) -> u64 {
        self.sum(key.tally, Stretch::last(1, key.place, self.buckets))
    }

    /// Stores the count of a bucket. No other thread knows of the window yet.
    pub(super) fn restore(&self, BucketKey { tally, place }: BucketKey, count: u64) {
        if let Some(word) = self.common.word(self.buckets, place.slot(), tally) {
            let (former, new) = (word.load(), BucketWord::counting(place.stamp(), count));
            word.set(new);
            // These calls are in the totals of another window, or of another breaker.
            let added = new
                .counted_one_by_one()
                .wrapping_sub(former.counted_one_by_one());
            if let Some(total) = self.total_of(tally).filter(|_| added != 0) {
                total.add(added.wrapping_neg());
            }
        }
    }

    /// The number of calls of a spread kind over `stretch`, shard by shard. Each shard is read when
    /// its number is asked for. The shard of `thread_slot` comes first, because its thread's cache
    /// has it.
    pub(super) fn others(
        &self,
        tally: Tally,
        stretch: Stretch,
        thread_slot: ThreadSlot,
    ) -> impl Iterator<Item = u64> {
        let grown = self.grown.get().into_iter().flat_map(move |grown| {
            let own = grown.own.sums(thread_slot.0, tally, stretch, self.buckets);
            own.chain(grown.shared.sums(0, tally, stretch, self.buckets))
        });
        grown.chain(iter::once_with(move || self.common_sum(tally, stretch)))
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;

    const KINDS: [Tally; 5] = [
        Tally::Success,
        Tally::Uncounted,
        Tally::Failure,
        Tally::Slow,
        Tally::SlowFailure,
    ];

    #[test]
    fn each_bucket_and_kind_has_a_word_of_its_own() {
        for buckets in 1..=64 {
            let common = Common::new(buckets, true);
            assert!(common.counts_slow(buckets));
            let words = KINDS.iter().flat_map(|tally| common.words(buckets, *tally));
            let total = common.at(5 * buckets);
            let mut found: Vec<_> = words.chain(total).map(std::ptr::from_ref).collect();
            assert!(
                common.total_of_slow_failures(buckets).is_some(),
                "{buckets}"
            );
            found.sort_unstable();
            found.dedup();
            assert_eq!(found.len(), 5 * buckets as usize + 1);
        }
    }

    #[test]
    fn each_shard_has_words_and_totals_of_its_own() {
        for buckets in 1..=20 {
            let spread = Spread::new(buckets, 3);
            let kinds = KINDS.into_iter().filter(|tally| tally.is_spread());
            let words = kinds.flat_map(|tally| spread.words(buckets, tally));
            let mut found: Vec<_> = words.map(std::ptr::from_ref).collect();
            found.sort_unstable();
            found.dedup();
            assert_eq!(found.len(), 3 * 2 * buckets as usize);
            let (calls, ignored) = (Total::Success, Total::Ignored);
            for shard in 0..3 {
                spread.total(shard, calls).unwrap().add(1);
                spread.total(shard, ignored).unwrap().add(5);
            }
            let of = |kind| spread.totals(kind).map(TotalWord::get).collect::<Vec<_>>();
            assert_eq!((of(calls), of(ignored)), (vec![1; 3], vec![5; 3]));
            // The totals are no words of buckets.
            let sums = KINDS[..2].iter().map(|tally| {
                let words = spread.words(buckets, *tally);
                words.map(|word| word.load().count()).sum::<u64>()
            });
            assert_eq!(sums.collect::<Vec<_>>(), [0, 0]);
            assert!(spread.total(3, calls).is_none());
        }
    }
}
