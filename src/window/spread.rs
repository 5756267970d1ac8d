//! The words that threads get when a window grows, in shards.

use super::Tally;
use super::bucket::AtomicBucket;
use super::place::RingPosition;
use super::shards::{Aligned, BucketKey, Stretch, WORDS_A_LINE, live_sum};
use super::total::{Total, TotalWord};
use crate::clock::context::CallContext;
use crate::sync::thread_slot::ThreadSlot;

/// One word for each bucket and spread kind, in several shards. Each shard has cache lines of its
/// own. Its totals stand at its end.
#[derive(Debug)]
pub(super) struct Spread {
    /// The words, shard after shard.
    words: Aligned<AtomicBucket>,
    /// The number of words from one shard to the next.
    stride: usize,
    pub(super) shards: u32,
}

impl Spread {
    pub(super) fn new(buckets: u32, shards: u32) -> Self {
        let words = 2 * buckets as usize + Total::SPREAD;
        let stride = words.next_multiple_of(WORDS_A_LINE);
        Self {
            words: Aligned::new(stride * shards as usize),
            stride,
            shards,
        }
    }

    /// The word, if the shard exists.
    #[inline]
    pub(super) fn word(&self, shard: u32, key: BucketKey) -> Option<&AtomicBucket> {
        self.word_at(shard, key.place.twice_slot(), key.tally)
    }

    #[inline]
    fn word_at(&self, shard: u32, twice_slot: usize, tally: Tally) -> Option<&AtomicBucket> {
        let bucket = self.stride * shard as usize + twice_slot;
        self.words.get(bucket + tally as usize)
    }

    /// The shard's total of a kind that has one in each shard, if the shard exists.
    pub(super) fn total(&self, shard: u32, kind: Total) -> Option<TotalWord<'_>> {
        let end = self.stride * (shard as usize + 1);
        let word = self.words.get(end - Total::SPREAD + kind as usize);
        word.map(AtomicBucket::as_total)
    }

    pub(super) fn total_of(&self, shard: u32, tally: Tally) -> Option<TotalWord<'_>> {
        Total::of(tally).and_then(|kind| self.total(shard, kind))
    }

    pub(super) fn totals(&self, kind: Total) -> impl Iterator<Item = TotalWord<'_>> {
        (0..self.shards).filter_map(move |shard| self.total(shard, kind))
    }

    /// The words of one kind in all shards.
    pub(super) fn words(&self, buckets: u32, tally: Tally) -> impl Iterator<Item = &AtomicBucket> {
        (0..self.shards).flat_map(move |shard| {
            let word = move |slot| self.word_at(shard, 2 * slot as usize, tally);
            (0..buckets).filter_map(word)
        })
    }

    /// Counts one call, if the shard exists and the word belongs to the bucket. No other thread
    /// writes to the shard. Returns whether the call was counted.
    #[inline(never)]
    pub(super) fn add_own(&self, shard: u32, key: BucketKey) -> bool {
        let word = self.word(shard, key);
        let words = word.zip(self.total_of(shard, key.tally));
        words.is_some_and(|(word, total)| word.add_if_own(key.place.stamp(), total))
    }

    /// The successes of a bucket that no clock reading has confirmed, counted by the pair as a word
    /// of carried ones counts them.
    pub(super) fn doubtful(&self, key: BucketKey) -> u64 {
        let words = (0..self.shards).filter_map(|shard| self.word(shard, key));
        words
            .map(|word| word.load().doubtful(key.place.stamp()))
            .sum::<u64>()
            .next_multiple_of(2)
    }

    /// The sum of each shard, starting with `first` and wrapping around.
    pub(super) fn sums(
        &self,
        first: u32,
        tally: Tally,
        stretch: Stretch,
        buckets: u32,
    ) -> impl Iterator<Item = u64> {
        (first..first + self.shards).map(move |shard| {
            let word = |slot| self.word_at(shard % self.shards, 2 * slot as usize, tally);
            live_sum(buckets, stretch, word)
        })
    }
}

/// The words that the threads have got when the window grew.
#[derive(Debug)]
pub(super) struct Grown {
    /// One shard for the thread on each of the first thread slots.
    pub(super) own: Spread,
    /// The shards that the other threads share, by their numbers.
    pub(super) shared: Spread,
}

impl Grown {
    /// Counts a success in the bucket `place` without a clock reading, if the caller's own word has
    /// credit. Returns whether it has.
    #[inline]
    pub(super) fn add_on_credit(&self, place: RingPosition, context: &impl CallContext) -> bool {
        let ThreadSlot(shard) = context.known_thread_slot();
        let tally = Tally::Success;
        let word = self.own.word(shard, BucketKey { tally, place });
        word.is_some_and(|word| word.add_on_credit(place.stamp()))
    }
}
