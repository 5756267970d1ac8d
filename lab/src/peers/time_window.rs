//! The latest stretch of time, in buckets of equal width.

use std::ops::{AddAssign, SubAssign};

use crate::breaker::Nanos;

/// A ring of buckets and their sum.
///
/// Buckets begin at whole multiples of their width after the window's begin. The newest bucket is
/// still being filled.
#[derive(Clone, Debug)]
pub(super) struct TimeWindow<T> {
    width: Nanos,
    buckets: Box<[T]>,
    newest: usize,
    sum: T,
    turns_at: Nanos,
}

impl<T: Copy + Default + AddAssign + SubAssign> TimeWindow<T> {
    /// A window of `buckets` buckets, at least one, each `width` wide, at least a nanosecond.
    pub(super) fn new(width: Nanos, buckets: u32) -> Self {
        let width = width.max(1);
        let buckets = usize::try_from(buckets.max(1)).unwrap_or(usize::MAX);
        Self {
            width,
            buckets: vec![T::default(); buckets].into(),
            newest: 0,
            sum: T::default(),
            turns_at: width,
        }
    }

    /// Adds to the bucket of `now`. Returns the sum.
    pub(super) fn add(&mut self, now: Nanos, calls: T) -> T {
        self.advance(now);
        self.buckets[self.newest] += calls;
        self.sum += calls;
        self.sum
    }

    /// Drops the buckets that have left the window by `now`. Returns the sum.
    pub(super) fn advance(&mut self, now: Nanos) -> T {
        if now < self.turns_at {
            return self.sum;
        }
        let turns = self.turns(now);
        if turns >= self.length() {
            self.buckets.fill(T::default());
            self.sum = T::default();
        } else {
            for _ in 0..turns {
                self.newest = self.after(self.newest);
                self.sum -= std::mem::take(&mut self.buckets[self.newest]);
            }
        }
        self.turns_at += turns * self.width;
        self.sum
    }

    /// The sum that [`advance`](Self::advance) would return.
    pub(super) fn sum_at(&self, now: Nanos) -> T {
        self.turns_until(now)
            .last()
            .map_or(self.sum, |(_, sum)| sum)
    }

    /// The times up to `now` at which a pending bucket begins, each with the sum of the buckets
    /// that remain then. The iterator ends after one turn of the ring, because no sum changes after
    /// that.
    pub(super) fn turns_until(&self, now: Nanos) -> impl Iterator<Item = (Nanos, T)> {
        let turns = self.turns(now).min(self.length());
        let mut bucket = self.newest;
        let mut sum = self.sum;
        (0..turns).map(move |turn| {
            bucket = self.after(bucket);
            sum -= self.buckets[bucket];
            (self.turns_at + turn * self.width, sum)
        })
    }

    /// Clears the window.
    pub(super) fn clear(&mut self) {
        self.buckets.fill(T::default());
        self.sum = T::default();
    }

    /// Clears the window. The new one begins at `now`.
    pub(super) fn restart(&mut self, now: Nanos) {
        self.clear();
        self.turns_at = now + self.width;
    }

    fn turns(&self, now: Nanos) -> u64 {
        now.checked_sub(self.turns_at)
            .map_or(0, |late| late / self.width + 1)
    }

    fn length(&self) -> u64 {
        u64::try_from(self.buckets.len()).unwrap_or(u64::MAX)
    }

    fn after(&self, bucket: usize) -> usize {
        if bucket + 1 == self.buckets.len() {
            0
        } else {
            bucket + 1
        }
    }
}
