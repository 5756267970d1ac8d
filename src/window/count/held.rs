//! The calls that a window holds, one by one, and a window that starts with given calls.

use std::collections::HashSet;

use super::{CountRing, Marks, cursor, mark};
use crate::state::Generation;
use crate::window::Total;

impl CountRing {
    /// For each call at the positions `begin..end`, the oldest first: whether it failed, and
    /// whether it was slow.
    pub(super) fn outcomes(&self, begin: u64, end: u64) -> Vec<(bool, bool)> {
        // The slow calls are read first. A slow call's failure was written before its slowness, so
        // it is seen below.
        let slow: HashSet<u64> = self
            .durations
            .iter()
            .flat_map(|durations| {
                let slow = durations.read(begin, end).filter(|(_, took)| took.is_slow);
                slow.map(|(position, _)| position)
            })
            .collect();
        // As in `sum`: a call that isn't written yet is left out, unless its group has begun.
        let outcome_at = |position| Some((self.has_failed(position)?, slow.contains(&position)));
        (begin..end).filter_map(outcome_at).collect()
    }

    /// Starts `generation` with these calls, each with whether it failed and whether it was slow.
    /// No other thread knows of the window yet. Returns the position of the next call.
    pub(super) fn begin_with(
        &self,
        calls: impl Iterator<Item = (bool, bool)>,
        generation: Generation,
    ) -> u64 {
        let mut end = self.position_for(generation, self.cursor.load());
        for (failed, slow) in calls {
            self.write(end, failed);
            if let (Some(durations), true) = (&self.durations, slow) {
                durations.write_slow(end);
            }
            end += 1;
        }
        let tag = cursor::GENERATION.of(generation.number());
        let before = cursor::POSITION.get(self.cursor.load());
        self.cursor.store_alone(cursor::POSITION.of(end) | tag);
        // These calls are in the totals of another window, or of another breaker.
        self.totals
            .apart
            .of(Total::Success)
            .add(before.wrapping_sub(end));
        end
    }
}

impl CountRing {
    /// See [`Ring::span`](crate::window::Ring::span).
    pub(in crate::window) fn span(&self) -> u64 {
        let span = |marks: &Marks| marks.width.saturating_mul(Marks::TICKS);
        self.marks.as_ref().map_or(u64::MAX, span)
    }

    /// See [`Ring::carry_over`](crate::window::Ring::carry_over).
    pub(in crate::window) fn carry_over(
        &self,
        former: &Self,
        (from, to): (Generation, Generation),
        now: u64,
    ) -> bool {
        if self.marks.is_some() && former.marks.is_none() {
            return false;
        }
        // No other thread knows of the ring. An earlier attempt may have started the generation in
        // it. The generation then starts again at a later position.
        let seen = self.cursor.load();
        if Self::is_of(seen, to) {
            let tag = cursor::GENERATION.of(to.next().number());
            let position = cursor::POSITION.of(cursor::POSITION.get(seen));
            self.cursor.store_alone(position | tag);
        }
        let (begin, end) = former.positions(from, now).unwrap_or_default();
        let begin = begin.max(end.saturating_sub(self.length));
        let calls = former.outcomes(begin, end);
        let held = calls.len() as u64;
        let own_end = self.begin_with(calls.into_iter(), to);
        if let (Some(marks), Some(former)) = (&self.marks, &former.marks) {
            // Each former tick is counted where it began, so no call seems younger than it is.
            let since = former.since(end, held, now).map(|(age, calls)| {
                let tick_age = now % former.width + age * former.width;
                let later = tick_age.saturating_sub(now % marks.width);
                (later.div_ceil(marks.width.max(1)), calls)
            });
            marks.begin_with(since, own_end, now);
        }
        true
    }
}

impl Marks {
    /// The age of each live tick in ticks, the current tick first. With it comes the number of the
    /// last `held` calls that came since that tick began.
    pub(super) fn since(&self, end: u64, held: u64, now: u64) -> impl Iterator<Item = (u64, u64)> {
        let present = self.tick(now);
        (0..Self::TICKS).filter_map(move |age| {
            let (word, turn) = self.at(present - age);
            let seen = word.load();
            let calls = mark::POSITION.get(end.wrapping_sub(mark::POSITION.get(seen)));
            let is_alive = mark::TURN.of(mark::TURN.get(seen)) == turn && seen != 0;
            // A position more than half the range back is really ahead. It was taken after `end`
            // was read.
            (is_alive && calls <= mark::POSITION.max() / 2).then_some((age, calls.min(held)))
        })
    }

    /// Starts with these ticks, as [`since`](Self::since) returns them. No other thread knows of
    /// the window yet. If two fall into one tick, the later one counts.
    pub(super) fn begin_with(&self, since: impl Iterator<Item = (u64, u64)>, end: u64, now: u64) {
        // Empty marks would belong to the clock's first ticks and make all calls as young as those
        // ticks.
        for age in 0..Self::TICKS {
            let (word, turn) = self.at(self.tick(now) - age);
            word.store_alone(turn.wrapping_sub(mark::TURN.of(2)));
        }
        for (age, calls) in since.filter(|(age, _)| *age < Self::TICKS) {
            let (word, turn) = self.at(self.tick(now) - age);
            let position = mark::POSITION.of(end.saturating_sub(calls));
            word.store_alone(turn | position);
        }
    }
}
