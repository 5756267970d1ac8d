//! Carries the buckets over from a window of another size.

use super::{BucketKey, TimeRing};
use crate::clock::Now;
use crate::state::Generation;
use crate::sync::stamped::Stamped;
use crate::window::{ClockReading, Tally};

/// A former bucket is taken to have begun later, by one part in `SLACK` of its width.
///
/// The widths are rounded to the clock's units. So the widths of two windows whose buckets begin
/// together may differ by some units. Without the slack each change between them could age the
/// calls by a bucket.
const SLACK: u64 = 1_024;

impl TimeRing {
    /// See [`Ring::span`](crate::window::Ring::span).
    pub(in crate::window) fn span(&self, clock: &impl Now) -> u64 {
        let (width, _) = self.latest.width_and_begun(clock.raw(), clock);
        width.saturating_mul(self.shards.buckets.into())
    }

    /// See [`Ring::carry_over`](crate::window::Ring::carry_over).
    ///
    /// Each former bucket is counted where it began. So no call seems younger than it is, apart
    /// from [`SLACK`].
    pub(in crate::window) fn carry_over(
        &self,
        former: &Self,
        (from, to): (Generation, Generation),
        clock: &impl Now,
    ) {
        let raw = clock.raw();
        let (former_width, former_begun) = former.latest.width_and_begun(raw, clock);
        let (width, begun) = self.latest.width_and_begun(raw, clock);
        let (former_buckets, buckets) = (former.shards.buckets, self.shards.buckets);
        let reading = ClockReading::at(raw);
        let former_place = former.latest.find(reading, from, former_buckets);
        let place = self.latest.find(reading, to, buckets);
        let kinds = [
            Tally::SlowFailure,
            Tally::Slow,
            Tally::Failure,
            Tally::Success,
        ];
        for tally in kinds {
            let uncarried = match tally {
                Tally::Success => former.uncarried(from, reading),
                _ => 0,
            };
            let mut counts = vec![0_u64; buckets as usize];
            for age in 0..former_buckets {
                let bucket_age = former_begun + u64::from(age) * former_width;
                let bucket_age = bucket_age.saturating_sub(former_width / SLACK);
                let own_age = bucket_age.saturating_sub(begun).div_ceil(width.max(1));
                let own_age = usize::try_from(own_age).unwrap_or(usize::MAX);
                if let Some(count) = counts.get_mut(own_age) {
                    let place = former_place.back(age, former_buckets);
                    *count += former.shards.count(BucketKey { tally, place });
                    *count += if age == 0 { uncarried } else { 0 };
                }
            }
            for (age, count) in (0..).zip(counts) {
                let place = place.back(age, buckets);
                self.shards.restore(BucketKey { tally, place }, count);
            }
            // The slow calls are read before the failures, and the failures before the successes.
            // Without the fence a failure could be read without the successes that its thread
            // recorded before.
            Stamped::fence();
        }
    }
}
