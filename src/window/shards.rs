//! Who writes where: the words of a window, spread so that threads don't write to the same lines.
//!
//! A window begins with one word for each bucket and kind of call, which all threads share by
//! compare-exchange. The first time that two threads collide there, or a bucket of it gets busy, the
//! window grows: from then on each thread has words of its own for what every call writes, with a
//! load and a store, which nothing has to lock because nobody else writes there. What only failures
//! write stays shared. They also add to one run, which orders them, so words of their own would
//! save nothing and would have to be summed.
//!
//! What was counted before the window has grown stays where it is until it is too old.

use std::iter;
use std::ops::Range;

use crossbeam_utils::CachePadded;

use super::Tally;
use super::bucket::{Added, AtomicBucket, Stamp};
use super::place::Place;
use crate::caller::Caller;
use crate::lane::Lane;
use crate::sync::PublishedOnce;

/// A cache line's worth of bucket words; two lines, as adjacent ones are fetched in pairs.
const WORDS_A_LINE: usize = 16;

type Line = CachePadded<[AtomicBucket; WORDS_A_LINE]>;

/// What the words of one kind and shard have counted in the window that ends with `place`.
///
/// The slots up to the place are of the present turn, those behind it of the one before. One turn
/// more is counted too: its writer has read the clock later than this reader, and two threads that
/// each fail and then sum must not both miss the other's failure.
fn live_sum<'a>(buckets: u32, place: Place, word: impl Fn(u32) -> Option<&'a AtomicBucket>) -> u64 {
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
    let present = place.stamp();
    let behind = place.slot() + 1;
    sum(0..behind, present) + sum(behind..buckets, present.turn_before())
}

/// A word for each bucket and kind, for all threads.
#[derive(Debug)]
struct Common(Box<[Line]>);

impl Common {
    fn new(buckets: u32) -> Self {
        let words = 3 * buckets as usize;
        let lines = (0..words.div_ceil(WORDS_A_LINE)).map(|_| Line::default());
        Self(lines.collect())
    }

    #[inline]
    fn word(&self, slot: u32, tally: Tally) -> Option<&AtomicBucket> {
        let word = 3 * slot as usize + tally as usize;
        let line = self.0.get(word / WORDS_A_LINE)?;
        Some(&line[word % WORDS_A_LINE])
    }
}

/// A word for each bucket and kind but failures, in several shards, each on lines of its own.
#[derive(Debug)]
struct Spread {
    /// Shard after shard, in one piece, so that a word is found with little arithmetic. Nothing
    /// stands behind the last one.
    words: Vec<AtomicBucket>,
    /// The first word that begins a line.
    first: usize,
    /// Words from shard to shard.
    stride: usize,
    shards: u32,
}

impl Spread {
    fn new(buckets: u32, shards: u32) -> Self {
        let stride = (2 * buckets as usize).next_multiple_of(WORDS_A_LINE);
        let all = stride * shards as usize;
        let mut words: Vec<AtomicBucket> = Vec::with_capacity(all + WORDS_A_LINE);
        let address = words.as_ptr().addr() / size_of::<AtomicBucket>();
        let first = address.next_multiple_of(WORDS_A_LINE) - address;
        words.resize_with(first + all, AtomicBucket::new);
        Self {
            words,
            first,
            stride,
            shards,
        }
    }

    /// The word, if there is such a shard.
    #[inline]
    fn word(&self, shard: u32, twice_slot: usize, tally: Tally) -> Option<&AtomicBucket> {
        let bucket = self.first + self.stride * shard as usize + twice_slot;
        self.words.get(bucket + tally as usize)
    }

    /// What each shard has counted, beginning with `first` and going round.
    fn sums(
        &self,
        first: u32,
        tally: Tally,
        place: Place,
        buckets: u32,
    ) -> impl Iterator<Item = u64> {
        (first..first + self.shards).map(move |shard| {
            let word = |slot| self.word(shard % self.shards, 2 * slot as usize, tally);
            live_sum(buckets, place, word)
        })
    }
}

#[derive(Debug)]
struct Grown {
    /// A shard for the thread on each of the first lanes.
    own: Spread,
    /// For the others, who take turns on them.
    shared: Spread,
}

/// The words of a window.
#[derive(Debug)]
pub(super) struct Shards {
    common: Common,
    grown: PublishedOnce<Grown>,
    /// How many lanes have words of their own once it has grown; if one, it doesn't grow.
    lanes: u32,
    buckets: u32,
}

impl Shards {
    pub(super) fn new(buckets: u32, lanes: u32) -> Self {
        Self {
            common: Common::new(buckets),
            grown: PublishedOnce::new(),
            lanes,
            buckets,
        }
    }

    #[inline]
    pub(super) fn buckets(&self) -> u32 {
        self.buckets
    }

    /// Gives the first lanes words of their own, if they haven't got them and are to.
    #[cold]
    #[inline(never)]
    pub(super) fn grow(&self) {
        if self.lanes > 1 && self.grown.get().is_none() {
            self.grown.publish(Grown {
                own: Spread::new(self.buckets, self.lanes),
                shared: Spread::new(self.buckets, self.lanes.min(8)),
            });
        }
    }

    /// Counts one call at `place` if that takes no more than a store: the caller has words of its
    /// own, and the word is that of the place. Says whether it has.
    #[inline]
    pub(super) fn add_at_once(&self, tally: Tally, place: Place, caller: &impl Caller) -> bool {
        tally != Tally::Failure
            && self
                .grown
                .get()
                .and_then(|grown| {
                    let lane = caller.lane_so_far();
                    grown.own.word(lane.0, place.twice_slot(), tally)
                })
                .is_some_and(|word| word.add_own_at_once(place.stamp()))
    }

    /// Counts one call at `place`, and says whether it was counted; `is_current` says whether the
    /// place is still alive.
    pub(super) fn add(
        &self,
        tally: Tally,
        place: Place,
        caller: &impl Caller,
        is_current: impl Fn() -> bool,
    ) -> bool {
        let (slot, stamp) = (place.twice_slot(), place.stamp());
        let grown = self.grown.get().filter(|_| tally != Tally::Failure);
        let word = if let Some(Grown { own, shared }) = grown {
            let Lane(lane) = caller.lane();
            if let Some(word) = own.word(lane, slot, tally) {
                return word.add_own(stamp, is_current);
            }
            shared.word(lane % shared.shards, slot, tally)
        } else {
            self.common.word(place.slot(), tally)
        };
        let added = word.map_or(Added::Late, |word| word.add(stamp, is_current));
        if added == Added::Busy && tally != Tally::Failure {
            self.grow();
        }
        added != Added::Late
    }

    /// How many failures the window that ends with `place` holds.
    ///
    /// Each word is read once; a call that is recorded meanwhile is in the sum or not.
    pub(super) fn failures(&self, place: Place) -> u64 {
        self.common_sum(Tally::Failure, place)
    }

    fn common_sum(&self, tally: Tally, place: Place) -> u64 {
        live_sum(self.buckets, place, |slot| self.common.word(slot, tally))
    }

    /// How many calls of another kind it holds, shard by shard, each read when it is asked for. It
    /// begins with the words of `lane`, which its thread's cache has.
    pub(super) fn others(
        &self,
        tally: Tally,
        place: Place,
        lane: Lane,
    ) -> impl Iterator<Item = u64> {
        let grown = self.grown.get().into_iter().flat_map(move |grown| {
            let own = grown.own.sums(lane.0, tally, place, self.buckets);
            own.chain(grown.shared.sums(0, tally, place, self.buckets))
        });
        grown.chain(iter::once_with(move || self.common_sum(tally, place)))
    }
}
