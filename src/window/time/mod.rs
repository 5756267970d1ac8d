//! The time window: a ring of buckets that rotates by the stamps inside its words.
//!
//! The ring needs no rotation and no clearing. The tick of a call is the number of its time bucket.
//! The epoch of a call is its tick plus the number of its generation. The epoch names a slot of the
//! ring (its remainder) and a turn of the ring (its quotient). A writer replaces a bucket word with
//! another stamp. A reader counts the words whose stamps are alive and skips the others.
//!
//! Every transition moves the epoch on, so counts of an earlier generation never pass for current
//! ones. The stamp has the low 11 bits of the generation. The next generation with the same bits is
//! 2,048 state changes away. That is at least 2,048 ticks of epoch, twice the longest ring.

#[cfg(all(test, not(tripcurve_loom)))]
mod bursts;
mod carry;
#[cfg(feature = "serde")]
mod saved;

use super::bucket::Stamp;
use super::latencies::LatencyBin;
use super::latest::{ClockReading, Latest, TimePoint};
use super::place::RingPosition;
use super::shards::{BucketKey, Shards, Stretch};
use super::{Call, Counts, Tally};
use crate::clock::Now;
use crate::clock::context::CallContext;
use crate::state::Generation;
use crate::sync::stamped::Stamped;
use crate::sync::thread_slot::ThreadSlot;

/// A recent stretch of time, in buckets.
#[derive(Debug)]
pub struct TimeRing {
    pub(super) latest: Latest,
    pub(super) shards: Shards,
}

impl TimeRing {
    /// The maximum number of buckets in a ring; the module's documentation gives the reason.
    pub const MAX_BUCKETS: u32 = RingPosition::SLOTS;
    const _GENERATIONS_ARE_TWO_RINGS_APART: () =
        assert!(Stamp::GENERATIONS >= 2 * Self::MAX_BUCKETS as u64);

    /// The shortest window, in nanoseconds.
    ///
    /// Turns repeat after 2³¹ windows: 6.8 years for the shortest, 4,000 years for one of a minute.
    pub const MIN_LENGTH: u64 = 100_000_000;
    const _TURNS_LAST_SIX_YEARS: () =
        assert!(Stamp::TURNS as u128 * Self::MIN_LENGTH as u128 > 6 * 365 * 86_400 * 1_000_000_000);

    /// A ring of `buckets` buckets, each `width` units of the clock wide. Once it has grown, the
    /// threads on the first `thread_slots` slots have words of their own.
    #[must_use]
    pub fn new(width: u64, buckets: u32, thread_slots: u32, counts_slow: bool) -> Self {
        debug_assert!(width > 0 && buckets > 0);
        Self {
            latest: Latest::new(width, buckets),
            shards: Shards::new(buckets, thread_slots, counts_slow),
        }
    }

    /// Lets dense buckets count successes without a clock reading.
    ///
    /// All successes of such a ring go through [`Ring::record`]. Otherwise a pause would carry
    /// successes over that a clock reading has confirmed.
    ///
    /// [`Ring::record`]: super::Ring::record
    #[must_use]
    pub fn lending(mut self) -> Self {
        self.shards.lend();
        self
    }

    /// See [`Ring::same_config`](super::Ring::same_config).
    #[must_use]
    pub fn same_config(&self, other: &Self) -> bool {
        self.latest.width == other.latest.width && self.shards.same_config(&other.shards)
    }

    /// Reads the clock.
    #[must_use]
    #[inline]
    pub fn read(&self, clock: &impl Now) -> ClockReading {
        self.latest.read(|| (clock.raw(), ())).0
    }

    /// The bucket of a reading in the window of `generation`.
    #[inline]
    pub(super) fn place(&self, generation: Generation, reading: ClockReading) -> RingPosition {
        let buckets = self.shards.buckets;
        self.latest.find(reading, generation, buckets)
    }

    /// Counts a success of `generation` that ends now. Reads the clock only if the success needs
    /// it.
    #[inline]
    pub(super) fn record_success(
        &self,
        generation: Generation,
        context: &impl CallContext,
        is_current: impl Fn() -> bool,
    ) -> bool {
        let Some(grown) = self.shards.grown() else {
            return self.record_by_clock(generation, context, is_current);
        };
        let place = self.latest.place_of(generation);
        place.is_some_and(|place| grown.add_on_credit(place, context))
            || self.record_success_slow(generation, context, is_current)
    }

    /// Counts a success for which the thread's own word has no credit.
    #[inline(never)]
    fn record_success_slow(
        &self,
        generation: Generation,
        context: &impl CallContext,
        is_current: impl Fn() -> bool,
    ) -> bool {
        let call = Call::new(generation, self.read(context), context);
        self.record_at(call, Tally::Success, is_current)
    }

    /// Counts a success in words that threads share.
    #[inline(never)]
    fn record_by_clock(
        &self,
        generation: Generation,
        context: &impl CallContext,
        is_current: impl Fn() -> bool,
    ) -> bool {
        let reading = self.read(context);
        let call = Call::new(generation, reading, context);
        let tally = Tally::Success;
        match self.latest.guess(reading, generation) {
            Some(place) => {
                let is_current = || self.is_alive(call.time()) && is_current();
                self.shards.add_success_to_common(place, is_current)
            }
            None => self.record_unguessed(call.time(), tally, generation, is_current),
        }
    }

    /// See [`Ring::record_at`](super::Ring::record_at).
    #[allow(
        clippy::inline_always,
        reason = "measured: out of line, `cargo bench -- closed` shows a slower path"
    )]
    #[inline(always)]
    pub fn record_at(
        &self,
        call: Call<'_, impl CallContext>,
        tally: Tally,
        is_current: impl Fn() -> bool,
    ) -> bool {
        let Some(place) = self.latest.guess(call.reading, call.generation) else {
            return self.record_unguessed(call.time(), tally, call.generation, is_current);
        };
        let key = BucketKey { tally, place };
        self.shards.add_at_once(key, call.context) || self.record_slow(call.time(), key, is_current)
    }

    /// Like [`record_at`](Self::record_at), for a call that stands for 2^`weight` calls. They are
    /// of a kind that all threads count in shared words.
    #[inline]
    pub(super) fn record_weighted_at(
        &self,
        call: Call<'_, impl CallContext>,
        tally: Tally,
        weight: u32,
        is_current: impl Fn() -> bool,
    ) {
        self.record_at(call, tally, &is_current);
        if weight > 0 {
            let place = self.place(call.generation, call.reading);
            let is_current = || self.is_alive(call.time()) && is_current();
            let others = (1 << weight) - 1;
            let key = BucketKey { tally, place };
            self.shards.add_to_common(key, others, is_current);
        }
    }

    #[cold]
    #[inline(never)]
    fn record_unguessed(
        &self,
        time: TimePoint<&impl CallContext>,
        tally: Tally,
        generation: Generation,
        is_current: impl Fn() -> bool,
    ) -> bool {
        let buckets = self.shards.buckets;
        let carry = |before, place, is_current: &dyn Fn() -> bool| {
            let doubtful = self.doubtful(before, place, time.raw);
            if doubtful > 0 {
                self.shards.carry(place, doubtful, is_current);
            }
        };
        let place = self
            .latest
            .note(time, generation, buckets, &is_current, carry);
        self.record_slow(time, BucketKey { tally, place }, is_current)
    }

    /// The successes that were counted in bucket `before` without a clock reading, and that may be
    /// of the later bucket `place`, into which `raw` falls.
    fn doubtful(&self, before: RingPosition, place: RingPosition, raw: u64) -> u64 {
        let buckets = self.shards.buckets;
        if self.latest.leaves_doubt(before, place, raw, buckets) {
            self.shards.doubtful(before)
        } else {
            0
        }
    }

    /// The successes that the next clock reading will carry over to `generation`'s bucket of this
    /// one.
    fn uncarried(&self, generation: Generation, reading: ClockReading) -> u64 {
        let place = self.place(generation, reading);
        let before = self.latest.place_of(generation);
        before.map_or(0, |before| self.doubtful(before, place, reading.raw))
    }

    #[inline(never)]
    fn record_slow(
        &self,
        time: TimePoint<&impl CallContext>,
        key: BucketKey,
        is_current: impl Fn() -> bool,
    ) -> bool {
        let is_current = || self.is_alive(time) && is_current();
        self.shards.add(key, time.clock, is_current)
    }

    /// Whether the bucket of a clock reading is still in the window.
    fn is_alive(&self, time: TimePoint<&impl CallContext>) -> bool {
        // The clock is read again. It has reached at least the tick of any word that was read
        // before. So if this tick is still in the window, the word in its slot is an older one.
        self.latest.age(time) < u64::from(self.shards.buckets)
    }

    /// Counts the duration of a call in `bin`, and returns whether it was counted; see
    /// [`Ring::record_at`](super::Ring::record_at).
    #[allow(
        clippy::inline_always,
        reason = "counted: out of line, `cargo instructions` shows a longer path with histograms"
    )]
    #[inline(always)]
    pub(super) fn record_latency(
        &self,
        call: Call<'_, impl CallContext>,
        bin: LatencyBin<'_>,
        is_current: impl Fn() -> bool,
    ) -> bool {
        let place = self.place(call.generation, call.reading);
        bin.add_at_once(place, call.context)
            || self.record_latency_slow(call.time(), bin, place, is_current)
    }

    #[cold]
    #[inline(never)]
    fn record_latency_slow(
        &self,
        time: TimePoint<&impl CallContext>,
        bin: LatencyBin<'_>,
        place: RingPosition,
        is_current: impl Fn() -> bool,
    ) -> bool {
        let is_current = || self.is_alive(time) && is_current();
        bin.add(place, self.shards.has_grown(), time.clock, is_current)
    }

    /// The number of calls of a kind in `generation`'s window.
    #[must_use]
    pub fn sum(&self, tally: Tally, generation: Generation, reading: ClockReading) -> u64 {
        let window = Stretch::whole(self.place(generation, reading));
        self.shards.sum(tally, window)
    }

    /// The failed and the slow calls; see
    /// [`Ring::failures_and_slow`](super::Ring::failures_and_slow).
    #[allow(
        clippy::inline_always,
        reason = "counted: out of line, `.ci/run instructions` shows a longer path with all features"
    )]
    #[inline(always)]
    pub fn failures_and_slow(&self, generation: Generation, reading: ClockReading) -> Counts {
        let window = Stretch::whole(self.place(generation, reading));
        let slow = self.shards.common_sum(Tally::Slow, window);
        // After the first fence, this thread sees the failures that were counted before they were
        // found slow. After the second, it sees the successes that a thread recorded before its
        // failures. It also sees the growth of the ring that the thread had seen. Without the fences
        // a rate could come out too high.
        Stamped::fence();
        let failures = self.shards.common_sum(Tally::Failure, window);
        Stamped::fence();
        Counts {
            failures,
            slow,
            ..Counts::default()
        }
    }

    /// See [`Ring::add_successes`](super::Ring::add_successes).
    #[inline]
    pub fn add_successes(
        &self,
        counts: Counts,
        call: Call<'_, impl CallContext>,
        worth: impl Fn(Counts) -> bool,
    ) -> Option<Counts> {
        if !worth(counts) {
            return None;
        }
        let window = Stretch::whole(self.place(call.generation, call.reading));
        self.add_parts(counts, window, call.context.known_thread_slot(), worth)
    }

    /// See [`Ring::short_counts`](super::Ring::short_counts).
    pub fn short_counts(
        &self,
        buckets: u32,
        call: Call<'_, impl CallContext>,
        worth: impl Fn(Counts) -> bool,
    ) -> Option<Counts> {
        let place = self.place(call.generation, call.reading);
        let short = Stretch::last(buckets, place, self.shards.buckets);
        let counts = Counts {
            failures: self.shards.common_sum(Tally::Failure, short),
            ..Counts::default()
        };
        if !worth(counts) {
            return None;
        }
        // The failures are read first. This thread then sees the successes that a thread recorded
        // before its failures. Without the fence the failure rate could come out too high.
        Stamped::fence();
        self.add_parts(counts, short, call.context.known_thread_slot(), worth)
    }

    /// Adds the successes over `stretch` to `counts`, shard by shard, as long as `worth` returns
    /// `true`.
    #[inline]
    fn add_parts(
        &self,
        mut counts: Counts,
        stretch: Stretch,
        thread_slot: ThreadSlot,
        worth: impl Fn(Counts) -> bool,
    ) -> Option<Counts> {
        for part in self.shards.others(Tally::Success, stretch, thread_slot) {
            counts.successes += part;
            if !worth(counts) {
                return None;
            }
        }
        Some(counts)
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;
    use crate::clock::context::FixedContext;
    use proptest::prelude::*;
    use std::cell::RefCell;

    const FIRST: Generation = Generation::FIRST;

    fn ring(buckets: u32) -> TimeRing {
        TimeRing::new(10, buckets, 1, false)
    }

    fn call<'c>(
        ring: &TimeRing,
        generation: Generation,
        context: &'c FixedContext,
    ) -> Call<'c, FixedContext> {
        Call::new(generation, ring.read(context), context)
    }

    fn record(ring: &TimeRing, generation: Generation, now: u64) -> bool {
        let context = FixedContext::on_first_thread_slot(now);
        ring.record_at(call(ring, generation, &context), Tally::Failure, || true)
    }

    /// Records a call whose clock was read at `then`, at `now`.
    fn record_late(ring: &TimeRing, then: u64, now: u64) -> bool {
        let context = FixedContext::on_first_thread_slot(now);
        let call = Call::new(FIRST, ClockReading::at(then), &context);
        ring.record_at(call, Tally::Failure, || true)
    }

    fn failures(ring: &TimeRing, generation: Generation, now: u64) -> u64 {
        ring.sum(Tally::Failure, generation, ClockReading::at(now))
    }

    #[test]
    fn a_call_leaves_the_window_with_its_bucket() {
        let ring = ring(3);
        assert!(record(&ring, FIRST, 5));
        assert_eq!(failures(&ring, FIRST, 29), 1);
        assert_eq!(failures(&ring, FIRST, 30), 0);
    }

    #[test]
    fn a_writer_that_slept_through_a_turn_of_the_ring_does_not_damage_the_newer_bucket() {
        let ring = ring(3);
        assert!(record(&ring, FIRST, 35));
        assert!(!record_late(&ring, 5, 35));
        assert_eq!(failures(&ring, FIRST, 35), 1);
    }

    #[test]
    fn a_late_writer_counts_in_its_own_bucket() {
        let ring = ring(3);
        assert!(record(&ring, FIRST, 25));
        assert!(record_late(&ring, 15, 25));
        assert_eq!(failures(&ring, FIRST, 25), 2);
        assert_eq!(failures(&ring, FIRST, 40), 1, "the late one has left first");
    }

    #[test]
    fn a_reader_with_an_older_clock_sees_what_was_written_later() {
        let ring = ring(3);
        assert!(record(&ring, FIRST, 31));
        assert_eq!(failures(&ring, FIRST, 29), 1);
    }

    #[test]
    fn a_clock_that_steps_back_loses_nothing_of_the_window() {
        let ring = ring(10);
        for now in 0..100 {
            assert!(record(&ring, FIRST, now));
        }
        assert_eq!(failures(&ring, FIRST, 85), 100);
        for now in 85..100 {
            assert!(record(&ring, FIRST, now));
        }
        assert_eq!(failures(&ring, FIRST, 99), 115);
        assert_eq!(
            failures(&ring, FIRST, 110),
            95,
            "ten calls a tick, as before"
        );
    }

    #[test]
    fn a_clock_that_steps_back_by_more_than_the_window_starts_it_anew() {
        let ring = ring(3);
        assert!(record(&ring, FIRST, 1_000_005));
        assert!(record(&ring, FIRST, 5));
        assert!(record(&ring, FIRST, 15));
        assert_eq!(failures(&ring, FIRST, 15), 2);
    }

    #[test]
    fn a_clock_that_jumps_ten_years_finds_an_empty_window_that_works() {
        let ring = ring(3);
        let ten_years = 10 * 365 * 86_400 * 1_000_000_000;
        assert!(record(&ring, FIRST, 5));
        assert_eq!(failures(&ring, FIRST, ten_years), 0);
        assert!(record(&ring, FIRST, ten_years));
        assert_eq!(failures(&ring, FIRST, ten_years), 1);
    }

    #[test]
    fn ten_thousand_resets_in_one_tick_never_show_an_older_generations_calls() {
        let ring = TimeRing::new(10, TimeRing::MAX_BUCKETS, 1, false);
        let mut generation = FIRST;
        for _ in 0..10_000 {
            assert_eq!(failures(&ring, generation, 5), 0);
            assert!(record(&ring, generation, 5));
            assert_eq!(failures(&ring, generation, 5), 1);
            generation = generation.next();
        }
    }

    #[test]
    fn a_sum_that_is_not_worth_going_on_with_is_not_gone_on_with() {
        let ring = TimeRing::new(10, 3, 2, false);
        ring.shards.grow();
        for thread_slot in [0, 1, 2] {
            let context = FixedContext {
                nanos: 5,
                thread_slot: ThreadSlot(thread_slot),
            };
            let call = call(&ring, FIRST, &context);
            assert!(ring.record_at(call, Tally::Success, || true));
        }
        let call = Call {
            generation: FIRST,
            reading: ClockReading::at(5),
            context: &FixedContext {
                nanos: 5,
                thread_slot: ThreadSlot(1),
            },
        };
        let seen = RefCell::new(Vec::new());
        let failed = ring.failures_and_slow(FIRST, call.reading);
        let counts = ring.add_successes(failed, call, |counts| {
            seen.borrow_mut().push(counts.successes);
            counts.successes < 2
        });
        assert_eq!(counts, None);
        assert_eq!(seen.take(), [0, 1, 2], "lane 1, then the shared one");

        let counts = ring.short_counts(1, call, |counts| {
            seen.borrow_mut().push(counts.successes);
            counts.successes < 2
        });
        assert_eq!(counts, None);
        assert_eq!(seen.into_inner(), [0, 1, 2]);
    }

    proptest! {
        #[test]
        fn the_sum_is_that_of_a_list_of_calls(
            buckets in 1..8_u32,
            thread_slots in 0..3_u32,
            short in 1..8_u32,
            steps in proptest::collection::vec((0..40_u64, 0..3_u8, 0..20_u8, 0..80_u32, 0..20_u8), 1..200),
        ) {
            let ring = TimeRing::new(10, buckets, 1 << thread_slots, false);
            let short = short.min(buckets);
            let mut generation = FIRST;
            let mut calls = Vec::new();
            let mut now = 0;
            for (step, tally, change, thread_slot, grows) in steps {
                now += step;
                if change == 0 {
                    generation = generation.next();
                    calls.clear();
                }
                let tally = [Tally::Success, Tally::Failure, Tally::Uncounted][usize::from(tally)];
                let context = FixedContext { nanos: now, thread_slot: ThreadSlot(thread_slot) };
                if grows == 1 {
                    ring.shards.grow();
                }
                let call = call(&ring, generation, &context);
                prop_assert!(ring.record_at(call, tally, || true));
                calls.push((now / 10, tally));
                let count_in = |buckets, wanted| {
                    let alive = |tick| now / 10 - tick < u64::from(buckets);
                    calls.iter().filter(|(tick, tally)| alive(*tick) && *tally == wanted).count() as u64
                };
                let count = |wanted| count_in(buckets, wanted);
                for tally in [Tally::Success, Tally::Failure, Tally::Uncounted] {
                    prop_assert_eq!(ring.sum(tally, generation, ClockReading::at(now)), count(tally));
                }
                let failed = ring.failures_and_slow(generation, call.reading);
                let counts = ring.add_successes(failed, call, |_| true);
                let expected = Counts {
                    successes: count(Tally::Success),
                    failures: count(Tally::Failure),
                    ..Counts::default()
                };
                prop_assert_eq!(counts, Some(expected));
                let counts = ring.short_counts(short, call, |_| true);
                let expected = Counts {
                    successes: count_in(short, Tally::Success),
                    failures: count_in(short, Tally::Failure),
                    ..Counts::default()
                };
                prop_assert_eq!(counts, Some(expected));
            }
        }
    }
}
