//! The time window: a ring of buckets that rotates by the stamps inside its words.
//!
//! Nobody turns the ring and nobody clears it. The epoch of a call is the number of its time
//! bucket, the tick, plus the number of its generation; the epoch names a place in the ring (its
//! remainder) and a turn of the ring (its quotient). A writer whose bucket word has another stamp
//! replaces it in one compare-exchange; a reader counts the words whose stamps are alive and passes
//! over the others.
//!
//! Because every transition moves the epoch on, what an earlier generation wrote can't be taken for
//! the present one's: the stamp has the low 11 bits of the generation, and the generation that
//! shares them is 2,048 state changes and therefore at least 2,048 ticks of epoch away, twice the
//! longest ring.

use crossbeam_utils::CachePadded;

use super::Tally;
use super::bucket::{AtomicBucket, Stamp};
use super::divisor::Divisor;
use crate::caller::Caller;
use crate::state::Generation;
use crate::sync::{AtomicU64, Ordering};

/// A cache line's worth of bucket words; two lines, as adjacent ones are fetched in pairs.
const WORDS: u32 = 16;

type Line = CachePadded<[AtomicBucket; WORDS as usize]>;

/// What one shard keeps of one bucket.
const WORDS_A_BUCKET: u32 = 3;

/// The last stretch of time, in buckets, spread over shards.
#[derive(Debug)]
pub struct TimeRing {
    /// Shard after shard; a shard begins on a line of its own.
    lines: Box<[Line]>,
    lines_a_shard: u32,
    /// Number of shards less one; the number is a power of two.
    shard_mask: u32,
    buckets: Divisor,
    /// Width of a bucket in nanoseconds.
    width: u64,
    /// The tick of the latest call, or of one shortly before.
    latest_tick: AtomicU64,
}

impl TimeRing {
    /// The most buckets a ring can have; see the module for why.
    pub const MAX_BUCKETS: u32 = 1024;
    const _GENERATIONS_ARE_TWO_RINGS_APART: () =
        assert!(Stamp::GENERATIONS >= 2 * Self::MAX_BUCKETS as u64);

    /// The shortest window, in nanoseconds.
    ///
    /// Turns repeat after 2³¹ windows: 6.8 years for the shortest, 4,000 years for one of a minute.
    pub const MIN_LENGTH: u64 = 100_000_000;
    const _TURNS_LAST_SIX_YEARS: () =
        assert!(Stamp::TURNS as u128 * Self::MIN_LENGTH as u128 > 6 * 365 * 86_400 * 1_000_000_000);

    /// A ring of `buckets` buckets of `width` nanoseconds, over `shards` shards (a power of two).
    #[must_use]
    pub fn new(width: u64, buckets: u32, shards: u32) -> Self {
        debug_assert!(width > 0 && buckets > 0 && shards.is_power_of_two());
        let lines_a_shard = (buckets * WORDS_A_BUCKET).div_ceil(WORDS);
        Self {
            lines: (0..lines_a_shard * shards)
                .map(|_| Line::default())
                .collect(),
            lines_a_shard,
            shard_mask: shards - 1,
            buckets: Divisor::new(buckets),
            width,
            latest_tick: AtomicU64::new(0),
        }
    }

    /// The place in the ring of a call of `generation` in `tick`, and the number of its turn.
    #[inline]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a place is less than the number of buckets, which is at most 1,024"
    )]
    fn place(&self, generation: Generation, tick: u64) -> (u32, u64) {
        // The ring's length is added so that the turn before the first exists.
        let epoch = tick + generation.bits() + u64::from(self.buckets.value());
        let (turn, slot) = self.buckets.divide(epoch);
        (slot as u32, turn)
    }

    /// The number of the bucket that `now` falls in.
    ///
    /// It is nearly always that of the call before, so that is guessed and then checked. The check
    /// is a branch, which the processor predicts: it finds the word and counts in it while the
    /// reading of the clock is still on its way. A quotient would have to be waited for.
    #[inline]
    fn tick(&self, now: u64) -> u64 {
        // Relaxed: a guess, right or wrong by itself.
        let guess = self.latest_tick.load(Ordering::Relaxed);
        if now.wrapping_sub(guess.wrapping_mul(self.width)) < self.width {
            guess
        } else {
            self.next_tick(now, guess)
        }
    }

    #[cold]
    fn next_tick(&self, now: u64, guess: u64) -> u64 {
        let tick = now / self.width;
        if tick > guess {
            // Relaxed: as above. Written about once a tick, so it may share a line with what is
            // only read.
            self.latest_tick.store(tick, Ordering::Relaxed);
        }
        tick
    }

    #[inline]
    fn word(&self, shard: u32, slot: u32, tally: Tally) -> &AtomicBucket {
        let word = slot * WORDS_A_BUCKET + tally as u32;
        let line = shard * self.lines_a_shard + word / WORDS;
        &self.lines[line as usize][(word % WORDS) as usize]
    }

    /// See [`Ring::record`](super::Ring::record).
    #[allow(
        clippy::inline_always,
        reason = "measured: out of line, `cargo bench -- closed` shows a slower path"
    )]
    #[inline(always)]
    pub fn record(
        &self,
        tally: Tally,
        generation: Generation,
        caller: &impl Caller,
        is_current: impl Fn() -> bool,
    ) -> bool {
        self.record_at(tally, generation, caller.nanos(), caller, is_current)
    }

    /// Records a call that ended at `now`, which the clock may have left behind meanwhile.
    #[allow(
        clippy::inline_always,
        reason = "measured: out of line, `cargo bench -- closed` shows a slower path"
    )]
    #[inline(always)]
    pub fn record_at(
        &self,
        tally: Tally,
        generation: Generation,
        now: u64,
        caller: &impl Caller,
        is_current: impl Fn() -> bool,
    ) -> bool {
        let tick = self.tick(now);
        let (slot, turn) = self.place(generation, tick);
        let stamp = Stamp::new(generation.bits(), turn);
        self.word(caller.lane().0 & self.shard_mask, slot, tally)
            .add(stamp, move || {
                // The clock is read anew: it has moved on at least to the tick of any word that was
                // read before, so if this tick is still in the window, then the word that stands in
                // its place is an older one.
                let age = self.tick(caller.nanos()).saturating_sub(tick);
                age < u64::from(self.buckets.value()) && is_current()
            })
    }

    /// How many calls of a kind `generation`'s window holds at `now`.
    ///
    /// Each word is read once; a call that is recorded meanwhile is in the sum or not.
    #[must_use]
    pub fn sum(&self, tally: Tally, generation: Generation, now: u64) -> u64 {
        let (boundary, turn) = self.place(generation, self.tick(now));
        let present = Stamp::new(generation.bits(), turn);
        let past = Stamp::new(generation.bits(), turn - 1);
        let mut total = 0;
        for shard in 0..=self.shard_mask {
            for slot in 0..self.buckets.value() {
                let word = self.word(shard, slot, tally).load();
                // The slots up to the boundary are of the present turn, those behind it of the one
                // before. One turn more is counted too: its writer has read the clock later than
                // this reader, and two threads that each fail and then sum must not both miss the
                // other's failure.
                let alive = if slot <= boundary { present } else { past };
                if word.stamp() == alive || word.stamp() == alive.next_turn() {
                    total += word.count();
                }
            }
        }
        total
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;
    use crate::caller::{At, Lane};
    use proptest::prelude::*;

    const FIRST: Generation = Generation::FIRST;

    fn ring(buckets: u32) -> TimeRing {
        TimeRing::new(10, buckets, 1)
    }

    fn record(ring: &TimeRing, generation: Generation, now: u64) -> bool {
        ring.record(Tally::Failure, generation, &At::on_one_lane(now), || true)
    }

    fn failures(ring: &TimeRing, generation: Generation, now: u64) -> u64 {
        ring.sum(Tally::Failure, generation, now)
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
        let counted = ring.record_at(Tally::Failure, FIRST, 5, &At::on_one_lane(35), || true);
        assert!(!counted);
        assert_eq!(failures(&ring, FIRST, 35), 1);
    }

    #[test]
    fn a_late_writer_counts_in_its_own_bucket() {
        let ring = ring(3);
        assert!(record(&ring, FIRST, 25));
        assert!(ring.record_at(Tally::Failure, FIRST, 15, &At::on_one_lane(25), || true));
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
        let ring = TimeRing::new(10, TimeRing::MAX_BUCKETS, 1);
        let mut generation = FIRST;
        for _ in 0..10_000 {
            assert_eq!(failures(&ring, generation, 5), 0);
            assert!(record(&ring, generation, 5));
            assert_eq!(failures(&ring, generation, 5), 1);
            generation = generation.next();
        }
    }

    proptest! {
        #[test]
        fn the_sum_is_that_of_a_list_of_calls(
            buckets in 1..8_u32,
            shards in 0..3_u32,
            steps in proptest::collection::vec((0..40_u64, 0..3_u8, 0..20_u8, 0..4_u32), 1..200),
        ) {
            let ring = TimeRing::new(10, buckets, 1 << shards);
            let mut generation = FIRST;
            let mut calls = Vec::new();
            let mut now = 0;
            for (step, tally, change, lane) in steps {
                now += step;
                if change == 0 {
                    generation = generation.next();
                    calls.clear();
                }
                let tally = [Tally::Success, Tally::Failure, Tally::Aside][usize::from(tally)];
                let caller = At { nanos: now, lane: Lane(lane) };
                prop_assert!(ring.record(tally, generation, &caller, || true));
                calls.push((now / 10, tally));
                let count = |wanted| {
                    let alive = |tick| now / 10 - tick < u64::from(buckets);
                    calls.iter().filter(|(tick, tally)| alive(*tick) && *tally == wanted).count() as u64
                };
                for tally in [Tally::Success, Tally::Failure, Tally::Aside] {
                    prop_assert_eq!(ring.sum(tally, generation, now), count(tally));
                }
            }
        }
    }
}
