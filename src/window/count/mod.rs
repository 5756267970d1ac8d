//! The count window: exactly the last n calls, in the order in which they were recorded.
//!
//! A call takes the next position from the cursor, and the positions are the order. A group of 16
//! positions shares a word. A bit of the word says whether the call failed, so a success usually
//! writes only the cursor. The word also carries the group's number, which tells older groups from
//! younger ones. A writer that slept through a turn of the ring finds its place taken and gives up.

mod held;
#[cfg(feature = "serde")]
mod saved;

use std::cell::Cell;

use crossbeam_utils::CachePadded;

use super::bucket::AtomicBucket;
use super::counter::GenerationCounter;
use super::durations::Durations;
use super::latencies::BinCounts;
use super::total::{RingTotals, Total, TotalWords};
use super::{Counts, KeptTimes, Origin, Tally, Took};
use crate::clock::context::CallContext;
use crate::state::Generation;
use crate::sync::field::Field;
use crate::sync::stamped::{Next, Stamped};

/// ```text
///  63                         12 11             0
/// +-----------------------------+----------------+
/// |        position, 52         | generation, 12 |
/// +-----------------------------+----------------+
/// ```
///
/// The position of the generation's next call. 2⁵² positions last 14 years at ten million calls a
/// second.
mod cursor {
    use super::Field;

    pub(super) const GENERATION: Field = Field::lowest(12);
    pub(super) const POSITION: Field = GENERATION.then(52);

    const _: () = assert!(POSITION.end_bit() == 64);
}

/// ```text
///  63                 16 15             0
/// +---------------------+----------------+
/// |  group's number, 48 | failed bits, 16|
/// +---------------------+----------------+
/// ```
mod group {
    use super::Field;

    pub(super) const FAILED: Field = Field::lowest(16);
    pub(super) const NUMBER: Field = FAILED.then(48);
    /// The number of positions in a group.
    pub(super) const SIZE: u64 = 16;

    const _: () = assert!(NUMBER.end_bit() == 64);
    const _: () = assert!(SIZE * (NUMBER.max() + 1) == super::cursor::POSITION.max() + 1);
}

/// ```text
///  63          32 31                    0
/// +--------------+-----------------------+
/// |   turn, 32   | position's low bits,32|
/// +--------------+-----------------------+
/// ```
mod mark {
    use super::Field;

    pub(super) const POSITION: Field = Field::lowest(32);
    pub(super) const TURN: Field = POSITION.then(32);

    const _: () = assert!(TURN.end_bit() == 64);
}

/// The last n calls.
#[derive(Debug)]
pub struct CountRing {
    /// Every call writes the cursor, so it has a cache line of its own.
    cursor: CachePadded<Stamped>,
    groups: Box<[Stamped]>,
    pub(super) length: u64,
    marks: Option<Marks>,
    durations: Option<Durations>,
    /// The number of calls that were ignored or rejected. They have no position among the last n.
    uncounted: GenerationCounter,
    totals: CountTotals,
}

/// What the totals need besides the cursor.
///
/// The position of the next call is the number of all calls, but for positions that no call has
/// taken. The window keeps a failure for a while only, so failures are also counted here.
#[derive(Debug, Default)]
struct CountTotals {
    /// Calls that have taken no position. `Total::Success` stands for calls of any outcome here,
    /// and positions that no call has taken are subtracted from it.
    apart: TotalWords,
    /// Failed calls. Each is counted before it takes a position.
    failures: AtomicBucket,
}

impl CountRing {
    /// The most calls a window can hold.
    pub const MAX_LENGTH: u32 = 1 << 20;

    /// A window of the last `length` calls, none of which is older than `within` nanoseconds.
    #[must_use]
    pub fn new(length: u32, within: Option<u64>, timing: KeptTimes) -> Self {
        debug_assert!(length > 0);
        let length = u64::from(length);
        // One group more than the window can touch. So a group is replaced only after the last of
        // its calls has left the window.
        let groups = length.div_ceil(group::SIZE) + 1;
        let start = cursor::POSITION.of(groups * group::SIZE);
        Self {
            cursor: CachePadded::new(Stamped::new(start)),
            groups: (0..groups).map(|_| Stamped::new(0)).collect(),
            length,
            marks: within.map(Marks::new),
            durations: timing.is_timed().then(|| Durations::new(length, timing)),
            uncounted: GenerationCounter::default(),
            totals: CountTotals::default(),
        }
    }

    /// See [`Ring::same_config`](super::Ring::same_config).
    #[must_use]
    pub fn same_config(&self, other: &Self) -> bool {
        let shape = |it: &Self| {
            let within = it.marks.as_ref().map(|marks| marks.width);
            let by_outcome = it.durations.as_ref().map(|durations| durations.by_outcome);
            (it.length, within, by_outcome)
        };
        shape(self) == shape(other)
    }

    /// See [`Ring::run_held`](super::Ring::run_held). A run may be longer than a window that holds
    /// nothing else.
    ///
    /// Out of line to keep the callers of a breaker with a time window small.
    #[must_use]
    #[cold]
    #[inline(never)]
    pub fn run_held(&self, run: u64, counts: &Counts, now: u64) -> u64 {
        let Some(marks) = &self.marks else {
            return run;
        };
        if counts.successes > 0 {
            // As in a time window, the window holds the smaller of the two numbers.
            return run.min(counts.failures);
        }
        // Positions only grow. A position of a later generation makes the run look younger. The
        // caller then finds that its own generation is over.
        let end = cursor::POSITION.get(self.cursor.load());
        marks.reach(end, now).min(run)
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "a remainder of the number of groups, which is a usize"
    )]
    fn group(&self, number: u64) -> &Stamped {
        &self.groups[(number % self.groups.len() as u64) as usize]
    }

    /// See [`Ring::record`](super::Ring::record). The call may have been timed.
    ///
    /// Out of line to keep the callers of a breaker with a time window small.
    #[inline(never)]
    pub fn record(
        &self,
        tally: Tally,
        took: Option<Took>,
        origin: Origin<&impl CallContext>,
        is_current: impl Fn() -> bool,
    ) -> bool {
        // The cursor's 12 generation bits repeat after 4,096 state changes. A permit can be held
        // that long. This first check leaves only the time between two instructions.
        if !is_current() {
            if let Some(kind) = Total::of(tally) {
                self.add_to_total(kind);
            }
            return false;
        }
        let failed = tally == Tally::Failure;
        if tally != Tally::Success {
            if !failed {
                return self.add_uncounted(origin.generation, is_current);
            }
            self.totals.failures.as_total().add(1);
        }
        let Some(position) = self.take_position(origin.generation, is_current) else {
            self.totals.apart.of(Total::Success).add(1);
            return false;
        };
        if let Some(marks) = &self.marks {
            marks.note(position, origin.context);
        }
        let written = self.write(position, failed);
        if let (Some(durations), Some(took)) = (&self.durations, took) {
            durations.write(position, took);
        }
        written
    }

    fn add_uncounted(&self, generation: Generation, is_current: impl Fn() -> bool) -> bool {
        let replaced = self.uncounted.add_replacing(generation, is_current);
        // A call that isn't counted enters the total by itself.
        let count = replaced.unwrap_or(1);
        if count > 0 {
            self.totals.apart.of(Total::Uncounted).add(count);
        }
        replaced.is_some()
    }

    /// Counts in total alone a call that the window doesn't hold.
    pub fn add_to_total(&self, kind: Total) {
        match kind {
            Total::Failure => {
                self.totals.failures.as_total().add(1);
                self.totals.apart.of(Total::Success).add(1);
            }
            _ => {
                self.totals.apart.of(kind).add(1);
            }
        }
    }

    /// The totals.
    #[must_use]
    pub fn totals(&self) -> RingTotals {
        let mut totals = RingTotals::default();
        // A call that takes a position makes known what was added before. So the cursor is read
        // before the words from which it follows how many positions are failures or no calls.
        let position = cursor::POSITION.get(self.cursor.acquire());
        let apart = self.totals.apart.of(Total::Success).get();
        let failures = self.totals.failures.as_total().get();
        let calls = (position - self.start()).wrapping_add(apart);
        totals.set(Total::Failure, failures);
        totals.set(Total::Success, calls.wrapping_sub(failures));
        let uncounted = self.totals.apart.of(Total::Uncounted).get();
        totals.set(
            Total::Uncounted,
            uncounted.wrapping_add(self.uncounted.of_any_generation()),
        );
        // As in a time window: a call is counted as ignored, or as given up, before it is counted
        // otherwise.
        Stamped::fence();
        for kind in [Total::Slow, Total::Ignored, Total::TimedOut] {
            totals.set(kind, self.totals.apart.of(kind).get());
        }
        totals
    }

    /// The position of the first call.
    fn start(&self) -> u64 {
        self.groups.len() as u64 * group::SIZE
    }

    /// Prepares the window for `generation`: no word of an earlier generation stays in reach.
    pub fn start_generation(&self, generation: Generation, is_current: impl Fn() -> bool) {
        let replaced = self.uncounted.start_generation(generation, &is_current);
        if replaced > 0 {
            self.totals.apart.of(Total::Uncounted).add(replaced);
        }
        self.advance(generation, 0, is_current);
    }

    fn take_position(&self, generation: Generation, is_current: impl Fn() -> bool) -> Option<u64> {
        let seen = self.cursor.load();
        let own = Self::is_of(seen, generation);
        if own && self.cursor.update_own(seen, seen + cursor::POSITION.of(1)) {
            return Some(cursor::POSITION.get(seen));
        }
        self.advance(generation, 1, is_current)
    }

    fn is_of(cursor: u64, generation: Generation) -> bool {
        let own = generation.number() & cursor::GENERATION.max();
        cursor::GENERATION.get(cursor) == own
    }

    /// The next position of `generation` after this cursor. After another generation's cursor, it
    /// lies so far ahead that all earlier positions are out of the window.
    fn position_for(&self, generation: Generation, cursor: u64) -> u64 {
        let position = cursor::POSITION.get(cursor);
        if Self::is_of(cursor, generation) {
            position
        } else {
            position.next_multiple_of(group::SIZE) + self.groups.len() as u64 * group::SIZE
        }
    }

    /// Advances the cursor of `generation` by `step`. Returns where it was.
    #[cold]
    fn advance(
        &self,
        generation: Generation,
        step: u64,
        is_current: impl Fn() -> bool,
    ) -> Option<u64> {
        // Positions that no call takes are subtracted before the cursor goes past them. So a reader
        // never counts them. What was subtracted for an exchange that failed is added again.
        let skipped = Cell::new(0);
        let skip = |positions: u64| {
            let before = skipped.replace(positions);
            if before != positions {
                let change = before.wrapping_sub(positions);
                self.totals.apart.of(Total::Success).add(change);
            }
        };
        let next = |seen| {
            let position = self.position_for(generation, seen);
            skip(position - cursor::POSITION.get(seen));
            let new = cursor::POSITION.of(position + step);
            let new = new | cursor::GENERATION.of(generation.number());
            if Self::is_of(seen, generation) {
                Next::Own(new)
            } else {
                Next::Other(new)
            }
        };
        let before = self.cursor.update(next, is_current);
        if before.is_none() {
            skip(0);
        }
        before.map(|before| self.position_for(generation, before))
    }

    /// Writes the outcome at `position`, unless the ring has moved on past it.
    #[inline]
    fn write(&self, position: u64, failed: bool) -> bool {
        let number = position / group::SIZE;
        let bit = group::FAILED.of(u64::from(failed) << (position % group::SIZE));
        let word = self.group(number);
        let mut seen = word.load();
        loop {
            let new = match group::NUMBER.get(seen) {
                there if there == number && seen | bit == seen => return true,
                there if there == number => seen | bit,
                there if there < number => group::NUMBER.of(number) | bit,
                _ => return false,
            };
            // A reader that must see the bits of other threads acquires them through another word
            // (see `View::record_failure`).
            match word.exchange(seen, new) {
                Ok(()) => return true,
                Err(found) => seen = found,
            }
        }
    }

    /// The range of positions of `generation`'s window at `now`. The end is exclusive.
    #[inline]
    fn positions(&self, generation: Generation, now: u64) -> Option<(u64, u64)> {
        let seen = self.cursor.load();
        if !Self::is_of(seen, generation) {
            return None;
        }
        let end = cursor::POSITION.get(seen);
        let reach = match &self.marks {
            Some(marks) => marks.reach(end, now).min(self.length),
            None => self.length,
        };
        // The cursor started one ring's length up, so this can't be negative.
        Some((end - reach, end))
    }

    /// The sums of `generation`'s window at `now`.
    ///
    /// A position whose outcome isn't written yet counts as a success if its group has begun.
    /// Otherwise it doesn't count. Its writer judges after it has written.
    #[must_use]
    #[inline(never)]
    pub fn sum(&self, generation: Generation, now: u64) -> Counts {
        let Some((begin, end)) = self.positions(generation, now) else {
            return Counts::default();
        };
        // The slow calls are read first. Each was counted as a call before it was counted as slow.
        let slow = self.durations.as_ref().map_or(0, |durations| {
            let slow = durations.read(begin, end).filter(|(_, took)| took.is_slow);
            slow.count() as u64
        });
        let (mut calls, mut failures) = (0, 0);
        for number in begin / group::SIZE..end.div_ceil(group::SIZE) {
            let word = self.group(number).load();
            if group::NUMBER.get(word) != number {
                continue;
            }
            let first = number * group::SIZE;
            let low = begin.saturating_sub(first);
            let high = (end - first).min(group::SIZE);
            let inside = ((1_u64 << high) - 1) & !((1 << low) - 1);
            calls += high - low;
            failures += u64::from((group::FAILED.get(word) & inside).count_ones());
        }
        Counts {
            successes: calls - failures,
            failures,
            slow,
            ..Counts::default()
        }
    }

    /// See [`Ring::slow_failures`](super::Ring::slow_failures).
    #[must_use]
    pub fn slow_failures(&self, generation: Generation, now: u64) -> u64 {
        let (Some(durations), Some((begin, end))) =
            (&self.durations, self.positions(generation, now))
        else {
            return 0;
        };
        // A slow call's failure was written before its slowness, so it is seen here.
        let slow = durations.read(begin, end).filter(|(_, took)| took.is_slow);
        let failed = |position| self.has_failed(position) == Some(true);
        slow.filter(|(position, _)| failed(*position)).count() as u64
    }

    /// Adds the latencies of `generation`'s window to `counts`.
    pub fn read_latencies(&self, generation: Generation, now: u64, counts: &mut BinCounts) {
        let (Some(durations), Some((begin, end))) =
            (&self.durations, self.positions(generation, now))
        else {
            return;
        };
        for (position, took) in durations.read(begin, end) {
            let failed = durations.by_outcome && self.has_failed(position) == Some(true);
            let of = if failed {
                &mut counts.failures
            } else {
                &mut counts.calls
            };
            if let Some(bin) = took.bin {
                of[bin.number()] += 1;
            }
        }
    }

    /// Whether the call at `position` failed, unless its group hasn't begun.
    fn has_failed(&self, position: u64) -> Option<bool> {
        let number = position / group::SIZE;
        let word = self.group(number).load();
        let failed = group::FAILED.get(word) >> (position % group::SIZE) & 1 == 1;
        (group::NUMBER.get(word) == number).then_some(failed)
    }

    /// How many calls of `generation` were not counted.
    #[must_use]
    pub fn uncounted(&self, generation: Generation) -> u64 {
        self.uncounted.get(generation)
    }
}

/// How far back the calls of the last `within` nanoseconds reach. A tick is a 64th of `within`.
/// Each mark is the position of a tick's first call.
#[derive(Debug)]
struct Marks {
    marks: Box<[Stamped]>,
    /// Width of a tick in nanoseconds.
    width: u64,
}

impl Marks {
    /// Loom gets fewer ticks, because it would have to explore each.
    const TICKS: u64 = if cfg!(tripcurve_loom) { 2 } else { 64 };

    fn new(within: u64) -> Self {
        Self {
            marks: (0..Self::TICKS).map(|_| Stamped::new(0)).collect(),
            width: within / Self::TICKS,
        }
    }

    /// The tick of `now`. A ring's length is added so that the turn before the first exists.
    fn tick(&self, now: u64) -> u64 {
        now / self.width + Self::TICKS
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "a remainder of the number of marks, which is a usize"
    )]
    fn at(&self, tick: u64) -> (&Stamped, u64) {
        let slot = (tick % Self::TICKS) as usize;
        (&self.marks[slot], mark::TURN.of(tick / Self::TICKS))
    }

    /// Notes the position that the caller has taken.
    fn note(&self, position: u64, context: &impl CallContext) {
        let tick = self.tick(context.nanos());
        let (word, turn) = self.at(tick);
        let new = turn | mark::POSITION.of(position);
        loop {
            // If this thread reads the mark of a later turn, its next clock reading is no earlier
            // than that writer's.
            let seen = word.acquire();
            let settled = if mark::TURN.get(seen) == mark::TURN.get(new) {
                // The first position of the tick stays. Positions wrap. Two positions of one tick
                // are less than half the range apart.
                mark::POSITION.get(seen.wrapping_sub(new)) > mark::POSITION.max() / 2 || seen == new
            } else {
                // As in a time window, the clock is read again. The found mark is older only if
                // this tick is still in reach.
                self.tick(context.nanos()).saturating_sub(tick) >= Self::TICKS
            };
            if settled || word.publish(seen, new).is_ok() {
                return;
            }
        }
    }

    /// The distance from `end` back to the first call of the live ticks, in positions.
    fn reach(&self, end: u64, now: u64) -> u64 {
        let now = self.tick(now);
        (now + 1 - Self::TICKS..=now)
            .filter_map(|tick| {
                let (word, turn) = self.at(tick);
                let seen = word.load();
                // The next turn counts too, as in a time window. Its writer has read the clock
                // later than this reader.
                let turns_ahead = mark::TURN.get(seen.wrapping_sub(turn));
                let back = mark::POSITION.get(end.wrapping_sub(mark::POSITION.get(seen)));
                // A position more than half the range back is really ahead. It was taken after
                // `end` was read.
                (turns_ahead <= 1 && back <= mark::POSITION.max() / 2).then_some(back)
            })
            .max()
            .unwrap_or(0)
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;
    use crate::clock::context::FixedContext;
    use proptest::prelude::*;

    const FIRST: Generation = Generation::FIRST;

    fn record(
        ring: &CountRing,
        tally: Tally,
        (generation, now): (Generation, u64),
        is_current: bool,
    ) -> bool {
        let context = FixedContext::on_first_thread_slot(now);
        let origin = Origin::new(generation, &context);
        ring.record(tally, None, origin, || is_current)
    }

    #[test]
    fn a_writer_that_slept_through_a_turn_of_the_ring_does_not_damage_the_newer_calls() {
        let ring = CountRing::new(16, None, KeptTimes::NONE);
        let asleep = ring.take_position(FIRST, || true).unwrap();
        for _ in 0..64 {
            assert!(record(&ring, Tally::Success, (FIRST, 0), true));
        }
        assert!(!ring.write(asleep, true));
        assert_eq!(ring.sum(FIRST, 0).failures, 0);
    }

    #[test]
    fn a_generation_that_is_over_takes_no_position() {
        let ring = CountRing::new(4, None, KeptTimes::NONE);
        let current = FIRST.next();
        assert!(record(&ring, Tally::Success, (current, 0), true));
        assert!(!record(&ring, Tally::Failure, (FIRST, 0), false));
        let expected = Counts {
            successes: 1,
            failures: 0,
            ..Counts::default()
        };
        assert_eq!(ring.sum(current, 0), expected);
        assert_eq!(ring.sum(FIRST, 0), Counts::default());
    }

    #[test]
    fn ten_thousand_resets_never_show_an_older_generations_calls() {
        let ring = CountRing::new(8, None, KeptTimes::NONE);
        let mut generation = FIRST;
        assert!(record(&ring, Tally::Failure, (generation, 0), true));
        for _ in 0..10_000 {
            generation = generation.next();
            ring.start_generation(generation, || true);
            assert_eq!(ring.sum(generation, 0), Counts::default());
        }
    }

    proptest! {
        #[test]
        fn the_sum_is_that_of_the_last_calls_in_a_list(
            length in 1..70_u32,
            within in proptest::option::of(64..6_400_u64),
            steps in proptest::collection::vec((0..300_u64, 0..3_u8, 0..40_u8), 1..300),
        ) {
            let ring = CountRing::new(length, within, KeptTimes::NONE);
            let mut generation = FIRST;
            let mut calls = Vec::new();
            let mut uncounted = 0;
            let mut now = 0;
            for (step, tally, change) in steps {
                now += step;
                if change == 0 {
                    generation = generation.next();
                    ring.start_generation(generation, || true);
                    calls.clear();
                    uncounted = 0;
                }
                let tally = [Tally::Success, Tally::Failure, Tally::Uncounted][usize::from(tally)];
                prop_assert!(record(&ring, tally, (generation, now), true));
                if tally == Tally::Uncounted {
                    uncounted += 1;
                } else {
                    calls.push((now, tally == Tally::Failure));
                }
                let alive = |at: u64| {
                    within.is_none_or(|within| now / (within / 64) - at / (within / 64) < 64)
                };
                let last: Vec<_> = calls
                    .iter()
                    .rev()
                    .take(length as usize)
                    .filter(|(at, _)| alive(*at))
                    .collect();
                let failures = last.iter().filter(|(_, failed)| *failed).count() as u64;
                let successes = last.len() as u64 - failures;
                let expected = Counts { successes, failures, ..Counts::default() };
                prop_assert_eq!(ring.sum(generation, now), expected);
                prop_assert_eq!(ring.uncounted(generation), uncounted);
            }
        }
    }
}
