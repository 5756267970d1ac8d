//! Saving and restoring the last calls.

use super::super::saved::{SavedAges, SavedCalls, letter, outcome, ticks_later};
use super::{CountRing, Marks};
use crate::state::Generation;
use crate::window::{GenerationCounter, Total};

impl CountRing {
    /// See [`Ring::save`](crate::window::Ring::save).
    pub(crate) fn save(&self, generation: Generation, now: u64) -> SavedCalls {
        let (begin, end) = self.positions(generation, now).unwrap_or_default();
        let outcomes = self.outcomes(begin, end).into_iter();
        let outcomes: String = outcomes
            .map(|(failed, slow)| letter(failed, slow))
            .collect();
        let held = outcomes.len() as u64;
        SavedCalls {
            length: self.length,
            outcomes,
            uncounted: self.uncounted.get(generation),
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
        self.uncounted = GenerationCounter::counting(generation, saved.uncounted, false);
        // The saved breaker has rejected these calls, not this one.
        let restored = self.uncounted.of_any_generation().wrapping_neg();
        self.totals.apart.of(Total::Uncounted).add(restored);
        let end = self.begin_with(saved.outcomes.chars().filter_map(outcome), generation);
        if let (Some(marks), Some(ages)) = (&self.marks, &saved.ages) {
            marks.restore(ages, end, elapsed, now);
        }
    }
}

impl Marks {
    fn save(&self, end: u64, held: u64, now: u64) -> SavedAges {
        let since = self.since(end, held, now);
        SavedAges {
            width: self.width,
            begun: now % self.width,
            since: since.map(|(age, calls)| [age, calls]).collect(),
        }
    }

    fn restore(&self, saved: &SavedAges, end: u64, elapsed: u64, now: u64) {
        let later = ticks_later(self.width, (saved.begun, now % self.width), elapsed);
        let since = saved.since.iter();
        let since = since.map(|[age, calls]| (age.saturating_add(later), *calls));
        self.begin_with(since, end, now);
    }
}
