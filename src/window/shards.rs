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
use crate::clock::context::CallContext;
use crate::sync::PublishedOnce;
use crate::sync::thread_slot::ThreadSlot;

/// How many words two cache lines have. Processors fetch adjacent lines in pairs.
const WORDS_A_LINE: usize = 16;

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
fn live_sum<'a>(
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
        let kinds = if counts_slow { 5 } else { 3 };
        let words = kinds * buckets as usize;
        let lines = (0..words.div_ceil(WORDS_A_LINE)).map(|_| Line::default());
        Self(lines.collect())
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
        let line = self.0.get(number as usize / WORDS_A_LINE)?;
        Some(&line[number as usize % WORDS_A_LINE])
    }

    /// Whether there is room for the last word of slow calls.
    #[inline]
    fn counts_slow(&self, buckets: u32) -> bool {
        self.0.len() * WORDS_A_LINE >= 5 * buckets as usize
    }
}

/// One word for each bucket and spread kind, in several shards. Each shard has cache lines of its
/// own.
#[derive(Debug)]
struct Spread {
    /// The words, shard after shard.
    words: Aligned<AtomicBucket>,
    /// The number of words from one shard to the next.
    stride: usize,
    shards: u32,
}

impl Spread {
    fn new(buckets: u32, shards: u32) -> Self {
        let stride = (2 * buckets as usize).next_multiple_of(WORDS_A_LINE);
        Self {
            words: Aligned::new(stride * shards as usize),
            stride,
            shards,
        }
    }

    /// The word, if the shard exists.
    #[inline]
    fn word(&self, shard: u32, key: BucketKey) -> Option<&AtomicBucket> {
        self.word_at(shard, key.place.twice_slot(), key.tally)
    }

    #[inline]
    fn word_at(&self, shard: u32, twice_slot: usize, tally: Tally) -> Option<&AtomicBucket> {
        let bucket = self.stride * shard as usize + twice_slot;
        self.words.get(bucket + tally as usize)
    }

    /// The sum of each shard, starting with `first` and wrapping around.
    fn sums(
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

#[derive(Debug)]
struct Grown {
    /// One shard for the thread on each of the first thread slots.
    own: Spread,
    /// The shards that the other threads share, by their numbers.
    shared: Spread,
}

/// The words of a window.
#[derive(Debug)]
pub(super) struct Shards {
    common: Common,
    grown: PublishedOnce<Grown>,
    /// How many thread slots get words of their own when the window grows. With one, the window
    /// doesn't grow.
    thread_slots: u32,
    pub(super) buckets: u32,
}

impl Shards {
    pub(super) fn new(buckets: u32, thread_slots: u32, counts_slow: bool) -> Self {
        Self {
            common: Common::new(buckets, counts_slow),
            grown: PublishedOnce::new(),
            thread_slots,
            buckets,
        }
    }

    pub(super) fn same_config(&self, other: &Self) -> bool {
        // The number of lines tells whether slow calls have words.
        let shape = |it: &Self| (it.buckets, it.thread_slots, it.common.0.len());
        shape(self) == shape(other)
    }

    /// Whether the window has grown.
    #[inline]
    pub(super) fn has_grown(&self) -> bool {
        self.grown.get().is_some()
    }

    /// Gives the first thread slots words of their own, unless they have them or the window doesn't
    /// grow.
    #[cold]
    #[inline(never)]
    pub(super) fn grow(&self) {
        if self.thread_slots > 1 && self.grown.get().is_none() {
            self.grown.publish(Grown {
                own: Spread::new(self.buckets, self.thread_slots),
                shared: Spread::new(self.buckets, self.thread_slots.min(8)),
            });
        }
    }

    /// Counts one call if that takes no more than a store. The caller must have words of its own,
    /// and the word must already be of the bucket. Returns whether the call was counted.
    #[inline]
    pub(super) fn add_at_once(&self, key: BucketKey, context: &impl CallContext) -> bool {
        let grown = self.grown.get().filter(|_| key.tally.is_spread());
        grown
            .and_then(|grown| grown.own.word(context.known_thread_slot().0, key))
            .is_some_and(|word| word.add_own_at_once(key.place.stamp()))
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
        let word = if let Some(Grown { own, shared }) = grown {
            let ThreadSlot(thread_slot) = context.thread_slot();
            if let Some(word) = own.word(thread_slot, key) {
                return word.add_own(place.stamp(), is_current);
            }
            shared.word(thread_slot % shared.shards, key)
        } else {
            self.common.word(self.buckets, place.slot(), tally)
        };
        let added = word.map_or(Added::Late, |word| word.add(place.stamp(), is_current));
        if added == Added::Busy && tally.is_spread() {
            self.grow();
        }
        added != Added::Late
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
        if tally.needs_limit() && !self.common.counts_slow(self.buckets) {
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
            word.set(BucketWord::counting(place.stamp(), count));
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
