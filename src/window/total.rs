//! Totals: how many calls a window has counted since it was made.
//!
//! A call is counted in a word of the window. The word is overwritten when its bucket is used
//! again. The thread that overwrites it adds its count to a total of the same shard. So a total
//! and the words of its shard together hold every call once, at no cost to the call.
//!
//! A count first leaves its word and then enters the total. A reader reads the totals first. So it
//! may miss calls that are on their way, but it finds none twice.

use super::bucket::AtomicBucket;
use super::ring::Tally;
use crate::sync::{AtomicU64, Ordering};

/// A kind of call that is counted in total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Total {
    /// Calls that succeeded.
    Success,
    /// Calls that were ignored or rejected.
    Uncounted,
    /// Calls that were ignored.
    Ignored,
    /// Calls that failed.
    Failure,
    /// Calls that took too long.
    Slow,
    /// Failed calls that were given up.
    TimedOut,
}

impl Total {
    /// All kinds.
    pub const ALL: [Self; Self::KINDS] = [
        Self::Success,
        Self::Uncounted,
        Self::Ignored,
        Self::Failure,
        Self::Slow,
        Self::TimedOut,
    ];
    /// The number of kinds.
    pub(crate) const KINDS: usize = 6;
    /// The number of kinds that have totals of their own in each shard. They come first.
    pub(super) const SPREAD: usize = 3;
}

impl Total {
    /// The total of calls of a kind, if readers get one.
    #[inline]
    pub(super) fn of(tally: Tally) -> Option<Self> {
        match tally {
            Tally::Success => Some(Self::Success),
            Tally::Uncounted => Some(Self::Uncounted),
            Tally::Failure => Some(Self::Failure),
            Tally::Slow => Some(Self::Slow),
            Tally::SlowFailure => None,
        }
    }
}

/// A word that holds a total.
#[derive(Clone, Copy, Debug)]
pub struct TotalWord<'w>(&'w AtomicU64);

impl<'w> TotalWord<'w> {
    pub(super) fn new(word: &'w AtomicU64) -> Self {
        Self(word)
    }

    /// Adds `count` and returns the total before. It wraps around.
    pub fn add(self, count: u64) -> u64 {
        // Release: pairs with the Acquire in `get`. A reader that finds the count in the total
        // finds the word overwritten that held it. Without it the reader could count the calls
        // twice.
        self.0.fetch_add(count, Ordering::Release)
    }

    /// Like [`add`](Self::add), in a word that no other thread writes.
    pub(super) fn add_alone(self, count: u64) -> u64 {
        let before = self.get_alone();
        // Release: pairs with the Acquire in `get`, as in `add`.
        self.0.store(before.wrapping_add(count), Ordering::Release);
        before
    }

    /// Like [`get`](Self::get), in a word that no other thread writes.
    pub(super) fn get_alone(self) -> u64 {
        // Relaxed: this thread wrote the word last. Or it got the word through the thread slot.
        self.0.load(Ordering::Relaxed)
    }

    /// The total.
    #[must_use]
    pub fn get(self) -> u64 {
        // Acquire: pairs with the Release in `add` and `add_alone`.
        self.0.load(Ordering::Acquire)
    }
}

/// One total of each kind.
#[derive(Debug, Default)]
pub(super) struct TotalWords([AtomicBucket; Total::KINDS]);

impl TotalWords {
    #[inline]
    pub(super) fn of(&self, kind: Total) -> TotalWord<'_> {
        self.0[kind as usize].as_total()
    }
}

/// The totals of one window. A window that took over calls subtracts them, so a total may be
/// below zero until the window before it is added. Sums wrap around.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingTotals([u64; Total::KINDS]);

impl RingTotals {
    pub(crate) fn set(&mut self, kind: Total, total: u64) {
        self.0[kind as usize] = total;
    }

    /// The total of one kind.
    #[must_use]
    pub fn get(&self, kind: Total) -> u64 {
        self.0[kind as usize]
    }

    /// The totals of two windows together.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        for (own, other) in self.0.iter_mut().zip(other.0) {
            *own = own.wrapping_add(other);
        }
        self
    }

    /// The number of calls of `kind` that aren't of its kind `part`.
    ///
    /// A reader may have missed calls that are on their way. So the difference is zero if it would
    /// be negative.
    #[must_use]
    pub fn without(&self, kind: Total, part: Option<Total>) -> u64 {
        let part = part.map_or(0, |part| self.get(part));
        let count = self.get(kind).wrapping_sub(part).cast_signed();
        count.max(0).unsigned_abs()
    }
}
