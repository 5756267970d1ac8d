//! A counter that starts anew with each generation, in one word.

use crate::state::Generation;
use crate::sync::Ordering;
use crate::sync::field::Field;
use crate::sync::stamped::{Next, Stamped};

/// ```text
///  63             21 20            0
/// +-+---------------+---------------+
/// |1|   count, 42   | generation,21 |
/// +-+---------------+---------------+
/// ```
///
/// The uppermost bit: whether there is evidence besides, so that a success learns with one load whether
/// there is anything for it to do.
mod layout {
    use super::Field;

    pub(super) const GENERATION: Field = Field::lowest(21);
    pub(super) const COUNT: Field = GENERATION.then(42);
    pub(super) const EVIDENCE: Field = COUNT.then(1);

    const _: () = assert!(EVIDENCE.end_bit() == 64);
}

/// A count that belongs to one generation: another generation reads zero.
///
/// It counts to 4.4 × 10¹², five days at ten million a second, and stays there.
#[derive(Debug)]
pub struct GenerationCounter(Stamped);

impl GenerationCounter {
    /// Zero, in the first generation.
    #[must_use]
    pub fn new() -> Self {
        Self(Stamped::new(Self::pack(Generation::FIRST, 0)))
    }

    /// Such a count of `generation`, and whether there is evidence.
    #[cfg(feature = "serde")]
    pub(crate) fn counting(generation: Generation, count: u64, evidence: bool) -> Self {
        let count = count.min(Self::MOST);
        let noted = layout::EVIDENCE.of(evidence.into());
        Self(Stamped::new(Self::pack(generation, count) | noted))
    }

    /// The most that it counts.
    #[cfg(feature = "serde")]
    pub(crate) const MOST: u64 = layout::COUNT.max();

    fn pack(generation: Generation, count: u64) -> u64 {
        layout::GENERATION.of(generation.bits()) | layout::COUNT.of(count)
    }

    fn unpack(word: u64, generation: Generation) -> Option<u64> {
        (layout::GENERATION.get(word) == generation.bits()).then(|| layout::COUNT.get(word))
    }

    /// The count, if it is `generation`'s.
    #[must_use]
    #[inline]
    pub fn get(&self, generation: Generation) -> u64 {
        Self::unpack(self.0.load(), generation).unwrap_or(0)
    }

    /// Adds one for `generation` and returns the count; `None` if `is_current` says that the
    /// generation is over.
    pub fn add(&self, generation: Generation, is_current: impl Fn() -> bool) -> Option<u64> {
        self.add_with(false, generation, is_current)
    }

    /// The same; if there is evidence, notes so.
    pub fn add_with(
        &self,
        evidence: bool,
        generation: Generation,
        is_current: impl Fn() -> bool,
    ) -> Option<u64> {
        let plus_one = |count: u64| (count + 1).min(layout::COUNT.max());
        let noted = layout::EVIDENCE.of(evidence.into());
        let next = |seen| match Self::unpack(seen, generation) {
            Some(count) => Next::Own(Self::pack(generation, plus_one(count)) | noted),
            None => Next::Other(Self::pack(generation, 1) | noted),
        };
        self.0
            .update(next, is_current)
            .map(|before| plus_one(Self::unpack(before, generation).unwrap_or(0)))
    }

    /// Sets `generation`'s count to zero in any case, and notes whether there is evidence, so that it is ordered among the additions; `None`
    /// if `is_current` says that the generation is over.
    pub fn restart(
        &self,
        evidence: bool,
        generation: Generation,
        is_current: impl Fn() -> bool,
    ) -> Option<u64> {
        let zero = Self::pack(generation, 0) | layout::EVIDENCE.of(evidence.into());
        let next = |seen| match Self::unpack(seen, generation) {
            Some(_) => Next::Own(zero),
            None => Next::Other(zero),
        };
        self.0.update(next, is_current)
    }

    /// Leaves `generation`'s count as it is, notes whether there is evidence, and returns the count. The
    /// write is ordered among the additions. `None` if `is_current` says that the generation is over.
    pub fn stay(
        &self,
        evidence: bool,
        generation: Generation,
        is_current: impl Fn() -> bool,
    ) -> Option<u64> {
        let noted = layout::EVIDENCE.of(evidence.into());
        let next = |seen| match Self::unpack(seen, generation) {
            Some(count) => Next::Own(Self::pack(generation, count) | noted),
            None => Next::Other(Self::pack(generation, 0) | noted),
        };
        self.0
            .update(next, is_current)
            .map(|before| Self::unpack(before, generation).unwrap_or(0))
    }

    /// Lets `next`, which isn't begun yet, go on with this count, if the word still is `present`'s. A thread
    /// that adds to the count of `present` at the same time may undo it.
    pub fn go_on_in(&self, next: Generation, present: Generation, count: u64) {
        let new = Self::pack(next, count.min(layout::COUNT.max()));
        let seen = self.0.load();
        if Self::unpack(seen, present).is_some() {
            // AcqRel: as in `Stamped::update`, with whose accesses it pairs. Relaxed: what another thread has
            // counted meanwhile stays.
            let _stays =
                self.0
                    .atomic()
                    .compare_exchange(seen, new, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    /// Takes a place among the additions, and adds nothing.
    pub fn meet(&self) {
        // AcqRel: pairs with itself and with `Stamped::update`. Of this and an addition the second to come
        // sees what the first had done before.
        self.0.atomic().fetch_add(0, Ordering::AcqRel);
    }

    /// Starts `generation` at zero, if it has not started.
    pub fn start_generation(&self, generation: Generation, is_current: impl Fn() -> bool) {
        let next = |seen| match Self::unpack(seen, generation) {
            Some(_) => Next::Own(seen),
            None => Next::Other(Self::pack(generation, 0)),
        };
        self.0.update(next, is_current);
    }

    /// Whether there is anything for a success to clear: a count, or evidence.
    #[inline]
    pub fn has_any(&self) -> bool {
        // The common answer is no, whoever's the word is, and then nothing is written.
        self.0.load() >> layout::COUNT.first_bit() > 0
    }

    /// Sets `generation`'s count to zero if it isn't.
    #[inline]
    pub fn clear(&self, generation: Generation) {
        if self.has_any() {
            self.clear_with(generation, || false);
        }
    }

    /// The same; and notes that there is no evidence, unless there is.
    pub fn clear_with(&self, generation: Generation, has_evidence: impl Fn() -> bool) {
        loop {
            // Acquire: pairs with the Release of who noted evidence, which that one had written before;
            // so if `has_evidence` finds none, it has gone since. Should evidence come after it was
            // asked, then so does the note of it, and the exchange fails, unless the word has become
            // again what it was.
            let seen = self.0.atomic().load(Ordering::Acquire);
            if Self::unpack(seen, generation).is_none() {
                return;
            }
            let was_noted = layout::EVIDENCE.get(seen) == 1;
            let noted = was_noted && has_evidence();
            let new = Self::pack(generation, 0) | layout::EVIDENCE.of(noted.into());
            if new == seen {
                return;
            }
            let is_taken_away = was_noted && !noted;
            if !is_taken_away && self.0.update_own(seen, new) {
                return;
            }
            if is_taken_away && self.take_note_away(seen, new) {
                // If the word had become again what it was, there may be evidence that was noted
                // meanwhile. What is noted from now on stays.
                if has_evidence() {
                    self.note(generation);
                }
                return;
            }
        }
    }

    fn take_note_away(&self, seen: u64, new: u64) -> bool {
        // AcqRel: who takes a note away finds the evidence that was noted before. Relaxed: it is loaded
        // anew.
        self.0
            .atomic()
            .compare_exchange(seen, new, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Notes that there is evidence, if `generation` is still the word's.
    fn note(&self, generation: Generation) {
        let next = |seen| match Self::unpack(seen, generation) {
            Some(_) => Next::Own(seen | layout::EVIDENCE.of(1)),
            None => Next::Other(seen),
        };
        self.0.update(next, || false);
    }
}

impl Default for GenerationCounter {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;

    #[test]
    fn another_generation_reads_zero_and_starts_at_one() {
        let counter = GenerationCounter::new();
        let first = Generation::FIRST;
        assert_eq!(counter.add(first, || true), Some(1));
        assert_eq!(counter.add(first, || true), Some(2));
        assert_eq!(counter.get(first.next()), 0);
        assert_eq!(counter.add(first.next(), || true), Some(1));
        assert_eq!(counter.get(first), 0);
    }

    #[test]
    fn a_generation_that_is_over_adds_and_clears_nothing() {
        let counter = GenerationCounter::new();
        let late = Generation::FIRST;
        let current = late.next();
        assert_eq!(counter.add(current, || true), Some(1));
        assert_eq!(counter.add(late, || false), None);
        counter.clear(late);
        assert_eq!(counter.get(current), 1);
    }

    #[test]
    fn a_full_count_stays_full() {
        let full = GenerationCounter::pack(Generation::FIRST, layout::COUNT.max());
        let counter = GenerationCounter(Stamped::new(full));
        assert_eq!(
            counter.add(Generation::FIRST, || true),
            Some(layout::COUNT.max())
        );
    }
}
