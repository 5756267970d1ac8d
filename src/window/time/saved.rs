//! Saving and restoring the buckets.

use super::super::saved::{SavedBuckets, SavedWindow, ticks_later};
use super::{BucketKey, TimeRing};
use crate::clock::Now;
use crate::state::Generation;
use crate::sync::stamped::Stamped;
use crate::window::{Call, ClockReading, Tally};

impl TimeRing {
    /// The tolerance, in nanoseconds, between widths of equal buckets that two processors' counters
    /// measured.
    const TOLERANCE: u64 = 2_000;

    /// See [`Ring::save`](crate::window::Ring::save).
    pub(crate) fn save(&self, call: Call<'_, impl Now>) -> SavedBuckets {
        let buckets = self.shards.buckets;
        let place = self.place(call.generation, call.reading);
        let counts = |tally| {
            let count = |age| {
                let place = place.back(age, buckets);
                let count = self.shards.count(BucketKey { tally, place });
                count.min(SavedWindow::MOST)
            };
            let mut counts: Vec<_> = (0..buckets).map(count).collect();
            let last = counts.iter().rposition(|count| *count > 0);
            counts.truncate(last.map_or(0, |last| last + 1));
            counts
        };
        // A snapshot shows at most as many failed slow calls as slow ones. So no fence stands here.
        let slow_failures = counts(Tally::SlowFailure);
        let slow = counts(Tally::Slow);
        // The slow calls are read before the failures, and the failures before the successes.
        // Without the fences the saved counts could hold a failure without its thread's earlier
        // successes. They could also hold a slow call that isn't among the calls.
        Stamped::fence();
        let failures = counts(Tally::Failure);
        Stamped::fence();
        let mut successes = counts(Tally::Success);
        let uncarried = self.uncarried(call.generation, call.reading);
        match successes.first_mut() {
            Some(newest) => *newest = (*newest + uncarried).min(SavedWindow::MOST),
            None if uncarried > 0 => successes.push(uncarried.min(SavedWindow::MOST)),
            None => {}
        }
        let raw = call.reading.raw;
        let (width, begun) = self.latest.width_and_begun(raw, call.context);
        SavedBuckets {
            buckets,
            width,
            begun,
            successes,
            failures,
            slow,
            slow_failures,
            uncounted: counts(Tally::Uncounted),
        }
    }

    /// See [`Ring::restore`](crate::window::Ring::restore).
    pub(crate) fn restore(
        &mut self,
        saved: &SavedBuckets,
        generation: Generation,
        elapsed: u64,
        clock: &impl Now,
    ) {
        let buckets = self.shards.buckets;
        let raw = clock.raw();
        let (width, begun) = self.latest.width_and_begun(raw, clock);
        if saved.buckets != buckets || saved.width.abs_diff(width) > Self::TOLERANCE {
            return;
        }
        let later = ticks_later(width, (saved.begun, begun), elapsed);
        let place = self.latest.find(ClockReading::at(raw), generation, buckets);
        for (tally, counts) in [
            (Tally::Success, &saved.successes),
            (Tally::Failure, &saved.failures),
            (Tally::Slow, &saved.slow),
            (Tally::SlowFailure, &saved.slow_failures),
            (Tally::Uncounted, &saved.uncounted),
        ] {
            let ages = (0..buckets).skip(usize::try_from(later).unwrap_or(usize::MAX));
            for (age, count) in ages.zip(counts) {
                let place = place.back(age, buckets);
                self.shards.restore(BucketKey { tally, place }, *count);
            }
        }
    }
}
