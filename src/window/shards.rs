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

use crossbeam_utils::CachePadded;

use super::Tally;
use super::bucket::{Added, AtomicBucket};
use super::place::Place;
use crate::caller::Caller;
use crate::lane::Lane;
use crate::sync::PublishedOnce;

/// A cache line's worth of bucket words; two lines, as adjacent ones are fetched in pairs.
const WORDS_A_LINE: u32 = 16;

type Line = CachePadded<[AtomicBucket; WORDS_A_LINE as usize]>;

/// Shards of `WORDS` words for each bucket, each shard on lines of its own.
#[derive(Debug)]
struct Block<const WORDS: u32> {
    lines: Box<[Line]>,
    lines_a_shard: u32,
}

impl<const WORDS: u32> Block<WORDS> {
    fn new(buckets: u32, shards: u32) -> Self {
        let lines_a_shard = (buckets * WORDS).div_ceil(WORDS_A_LINE);
        Self {
            lines: (0..lines_a_shard * shards)
                .map(|_| Line::default())
                .collect(),
            lines_a_shard,
        }
    }

    #[inline]
    fn word(&self, shard: u32, slot: u32, tally: Tally) -> &AtomicBucket {
        let word = slot * WORDS + tally as u32;
        let line = shard * self.lines_a_shard + word / WORDS_A_LINE;
        &self.lines[line as usize][(word % WORDS_A_LINE) as usize]
    }

    /// What one shard has counted in the window that ends with `place`.
    fn sum(&self, shard: u32, tally: Tally, place: Place, buckets: u32) -> u64 {
        let present = place.stamp();
        let past = present.turn_before();
        let mut total = 0;
        for slot in 0..buckets {
            let word = self.word(shard, slot, tally).load();
            // The slots up to the place are of the present turn, those behind it of the one
            // before. One turn more is counted too: its writer has read the clock later than this
            // reader, and two threads that each fail and then sum must not both miss the other's
            // failure.
            let alive = if slot <= place.slot() { present } else { past };
            if word.stamp() == alive || word.stamp() == alive.turn_after() {
                total += word.count();
            }
        }
        total
    }
}

/// Words of their own for the threads on the first lanes, and words that the others share.
#[derive(Debug)]
struct Grown {
    block: Block<2>,
    /// How many lanes have words of their own.
    lanes: u32,
    /// How many shards come after those, for the others to take turns on.
    shared: u32,
}

impl Grown {
    fn new(buckets: u32, lanes: u32) -> Self {
        let shared = lanes.min(8);
        Self {
            block: Block::new(buckets, lanes + shared),
            lanes,
            shared,
        }
    }

    /// The shard of a lane, and whether it belongs to the lane's thread alone.
    #[inline]
    fn shard(&self, lane: Lane) -> (u32, bool) {
        if lane.0 < self.lanes {
            (lane.0, true)
        } else {
            (self.lanes + lane.0 % self.shared, false)
        }
    }
}

/// The words of a window.
#[derive(Debug)]
pub(super) struct Shards {
    common: Block<3>,
    grown: PublishedOnce<Grown>,
    /// How many lanes have words of their own once it has grown; if one, it doesn't grow.
    lanes: u32,
    buckets: u32,
}

impl Shards {
    pub(super) fn new(buckets: u32, lanes: u32) -> Self {
        debug_assert!(lanes.is_power_of_two());
        Self {
            common: Block::new(buckets, 1),
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
            self.grown.publish(Grown::new(self.buckets, self.lanes));
        }
    }

    /// Counts one call at `place`, and says whether it was counted; `is_current` says whether the
    /// place is still alive.
    #[allow(
        clippy::inline_always,
        reason = "measured: out of line, `cargo bench -- closed` shows a slower path"
    )]
    #[inline(always)]
    pub(super) fn add(
        &self,
        tally: Tally,
        place: Place,
        caller: &impl Caller,
        is_current: impl Fn() -> bool,
    ) -> bool {
        let (slot, stamp) = (place.slot(), place.stamp());
        if tally != Tally::Failure
            && let Some(grown) = self.grown.get()
        {
            let (shard, is_own) = grown.shard(caller.lane());
            let word = grown.block.word(shard, slot, tally);
            return if is_own {
                word.add_own(stamp, is_current)
            } else {
                word.add(stamp, is_current) != Added::Late
            };
        }
        let added = self.common.word(0, slot, tally).add(stamp, is_current);
        if added == Added::Busy && tally != Tally::Failure {
            self.grow();
        }
        added != Added::Late
    }

    /// How many calls of a kind the window that ends with `place` holds, shard by shard, each read
    /// when it is asked for. It begins with the words of `lane`, which its thread's cache has.
    ///
    /// Each word is read once; a call that is recorded meanwhile is in the sum or not.
    pub(super) fn counts(
        &self,
        tally: Tally,
        place: Place,
        lane: Lane,
    ) -> impl Iterator<Item = u64> {
        let grown = self.grown.get().filter(|_| tally != Tally::Failure);
        let own = grown.into_iter().flat_map(move |grown| {
            let shards = grown.lanes + grown.shared;
            let (first, _) = grown.shard(lane);
            (first..first + shards).map(move |shard| {
                let shard = shard % shards;
                grown.block.sum(shard, tally, place, self.buckets)
            })
        });
        let common = iter::once_with(move || self.common.sum(0, tally, place, self.buckets));
        own.chain(common)
    }
}
