//! Saving and restoring the last calls.

use std::collections::HashSet;

use super::super::saved::{SavedAges, SavedCalls, letter, outcome, ticks_later};
use super::{CountRing, Marks, cursor, group, mark};
use crate::state::Generation;
use crate::sync::{AtomicU64, Ordering};
use crate::window::GenerationCounter;

impl CountRing {
    /// See [`Ring::save`](crate::window::Ring::save).
    pub(crate) fn save(&self, generation: Generation, now: u64) -> SavedCalls {
        let (begin, end) = self.positions(generation, now).unwrap_or_default();
        // First the slow ones: whether they have failed was written before.
        let slow: HashSet<u64> = self
            .durations
            .iter()
            .flat_map(|durations| {
                let slow = durations.read(begin, end).filter(|(_, took)| took.is_slow);
                slow.map(|(position, _)| position)
            })
            .collect();
        let letter_at = |position: u64| {
            let number = position / group::SIZE;
            // Relaxed: the word carries its own number.
            let word = self.group(number).load(Ordering::Relaxed);
            let failed = group::FAILED.get(word) >> (position % group::SIZE) & 1 == 1;
            // As in `sum`: what has not been written yet is no call, unless its group has begun.
            (group::NUMBER.get(word) == number).then(|| letter(failed, slow.contains(&position)))
        };
        let outcomes: String = (begin..end).filter_map(letter_at).collect();
        let held = outcomes.len() as u64;
        SavedCalls {
            length: self.length,
            outcomes,
            asides: self.asides.get(generation),
            ages: self.marks.as_ref().map(|marks| marks.save(end, held, now)),
        }
    }

    /// See [`Ring::restore`](crate::window::Ring::restore).
    pub(crate) fn restore(
        &mut self,
        saved: &SavedCalls,
        generation: Generation,
        elapsed: u64,
        now: u64,
    ) {
        let width = |ages: &SavedAges| ages.width;
        if saved.length != self.length
            || saved.ages.as_ref().map(width) != self.marks.as_ref().map(|marks| marks.width)
        {
            return;
        }
        self.asides = GenerationCounter::counting(generation, saved.asides, false);
        // Relaxed: nobody else knows of the ring.
        let begin = self.position_for(generation, self.cursor.load(Ordering::Relaxed));
        let mut end = begin;
        for (failed, slow) in saved.outcomes.chars().filter_map(outcome) {
            self.write(end, failed);
            if let (Some(durations), true) = (&self.durations, slow) {
                durations.write_slow(end);
            }
            end += 1;
        }
        let tag = cursor::GENERATION.of(generation.number());
        *self.cursor = AtomicU64::new(cursor::POSITION.of(end) | tag);
        if let (Some(marks), Some(ages)) = (&mut self.marks, &saved.ages) {
            marks.restore(ages, end, elapsed, now);
        }
    }
}

impl Marks {
    fn save(&self, end: u64, held: u64, now: u64) -> SavedAges {
        let present = self.tick(now);
        let since = |age: u64| {
            let (word, turn) = self.at(present - age);
            // Relaxed: the mark carries its own turn.
            let seen = word.load(Ordering::Relaxed);
            let calls = mark::POSITION.get(end.wrapping_sub(mark::POSITION.get(seen)));
            let is_alive = mark::TURN.of(mark::TURN.get(seen)) == turn && seen != 0;
            // More than half the range back is really ahead: taken since `end` was read.
            (is_alive && calls <= mark::POSITION.max() / 2).then_some([age, calls.min(held)])
        };
        SavedAges {
            width: self.width,
            begun: now % self.width,
            since: (0..Self::TICKS).filter_map(since).collect(),
        }
    }

    fn restore(&mut self, saved: &SavedAges, end: u64, elapsed: u64, now: u64) {
        // Empty marks would be those of the clock's first ticks, and make all calls as young as these.
        for age in 0..Self::TICKS {
            let (word, turn) = self.at(self.tick(now) - age);
            // Relaxed: nobody else knows of the ring.
            word.store(turn.wrapping_sub(mark::TURN.of(2)), Ordering::Relaxed);
        }
        let later = ticks_later(self.width, (saved.begun, now % self.width), elapsed);
        for [age, calls] in &saved.since {
            let age = age.saturating_add(later);
            if age < Self::TICKS {
                let (word, turn) = self.at(self.tick(now) - age);
                let position = mark::POSITION.of(end.saturating_sub(*calls));
                // Relaxed: as above.
                word.store(turn | position, Ordering::Relaxed);
            }
        }
    }
}
