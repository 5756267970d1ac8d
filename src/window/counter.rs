//! A counter that restarts at zero with each generation, in one word.

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
/// The uppermost bit says whether there is evidence. So a success learns with one load whether
/// there is anything to clear.
mod layout {
    use super::Field;

    pub(super) const GENERATION: Field = Field::lowest(21);
    pub(super) const COUNT: Field = GENERATION.then(42);
    pub(super) const EVIDENCE: Field = COUNT.then(1);

    const _: () = assert!(EVIDENCE.end_bit() == 64);
}

/// A count that belongs to one generation. Another generation reads zero.
///
/// The count stops at 4.4 × 10¹², which is five days at ten million calls a second.
#[derive(Debug, Default)]
pub struct GenerationCounter(Stamped);

impl GenerationCounter {
    /// A given count of `generation`, and whether there is evidence.
    #[cfg(feature = "serde")]
    pub(crate) fn counting(generation: Generation, count: u64, evidence: bool) -> Self {
        let count = count.min(Self::MOST);
        let noted = layout::EVIDENCE.of(evidence.into());
        Self(Stamped::new(Self::pack(generation, count) | noted))
    }

    /// The largest count.
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

    /// Adds one for `generation` and returns the count. Returns `None` if `is_current` says that
    /// the generation is over.
    pub fn add(&self, generation: Generation, is_current: impl Fn() -> bool) -> Option<u64> {
        self.add_with(false, generation, is_current)
    }

    /// Like [`add`](Self::add), but returns the count of another generation that it has replaced,
    /// or zero.
    pub fn add_replacing(
        &self,
        generation: Generation,
        is_current: impl Fn() -> bool,
    ) -> Option<u64> {
        let next = |seen| match Self::unpack(seen, generation) {
            Some(count) => Next::Own(Self::pack(generation, (count + 1).min(layout::COUNT.max()))),
            None => Next::Other(Self::pack(generation, 1)),
        };
        let replaced = self.0.update(next, is_current)?;
        Some(Self::of_other(replaced, generation))
    }

    /// The count in `word`, unless it is `generation`'s.
    fn of_other(word: u64, generation: Generation) -> u64 {
        match Self::unpack(word, generation) {
            Some(_) => 0,
            None => layout::COUNT.get(word),
        }
    }

    /// The count, whichever generation it belongs to.
    #[must_use]
    pub fn of_any_generation(&self) -> u64 {
        layout::COUNT.get(self.0.load())
    }

    /// Like [`add`](Self::add), and notes whether there is evidence.
    pub fn add_with(
        &self,
        evidence: bool,
        generation: Generation,
        is_current: impl Fn() -> bool,
    ) -> Option<u64> {
        let plus_one = |count: u64| (count + 1).min(layout::COUNT.max());
        self.write(plus_one, evidence, generation, is_current)
    }

    /// Sets `generation`'s count to zero and notes whether there is evidence.
    ///
    /// The word is always written, so the write is ordered among the additions. Returns `None` if
    /// `is_current` says that the generation is over.
    pub fn restart(
        &self,
        evidence: bool,
        generation: Generation,
        is_current: impl Fn() -> bool,
    ) -> Option<u64> {
        self.write(|_| 0, evidence, generation, is_current)
    }

    /// Keeps `generation`'s count, notes whether there is evidence, and returns the count.
    ///
    /// The write is ordered among the additions. Returns `None` if `is_current` says that the
    /// generation is over.
    pub fn stay(
        &self,
        evidence: bool,
        generation: Generation,
        is_current: impl Fn() -> bool,
    ) -> Option<u64> {
        self.write(|count| count, evidence, generation, is_current)
    }

    /// Replaces `generation`'s count with what `next` returns for it, and returns the new count.
    fn write(
        &self,
        next: impl Fn(u64) -> u64,
        evidence: bool,
        generation: Generation,
        is_current: impl Fn() -> bool,
    ) -> Option<u64> {
        let noted = layout::EVIDENCE.of(evidence.into());
        let count_after = |seen| next(Self::unpack(seen, generation).unwrap_or(0));
        let next = |seen| {
            let new = Self::pack(generation, count_after(seen)) | noted;
            match Self::unpack(seen, generation) {
                Some(_) => Next::Own(new),
                None => Next::Other(new),
            }
        };
        self.0.update(next, is_current).map(count_after)
    }

    /// Continues with `count` in generation `next`, which hasn't started yet, if the word still
    /// belongs to `present`.
    ///
    /// A thread that adds to the count of `present` at the same time may undo this.
    pub fn go_on_in(&self, next: Generation, present: Generation, count: u64) {
        let new = Self::pack(next, count.min(layout::COUNT.max()));
        let seen = self.0.load();
        if Self::unpack(seen, present).is_some() {
            // A count that another thread has added meanwhile stays.
            let _stays = self.0.exchange(seen, new);
        }
    }

    /// Orders the caller among the additions, and adds nothing.
    pub fn meet(&self) {
        // AcqRel: pairs with itself and with the exchange in `Stamped::update`. The later one of
        // this and an addition sees what the earlier one did before. Without it a failure and a new
        // configuration could miss each other. Neither thread would then judge the failure by the
        // new configuration.
        self.0.atomic().fetch_add(0, Ordering::AcqRel);
    }

    /// Starts `generation` at zero, if it hasn't started yet. Returns the count of another
    /// generation that it has replaced, or zero.
    pub fn start_generation(&self, generation: Generation, is_current: impl Fn() -> bool) -> u64 {
        let next = |seen| match Self::unpack(seen, generation) {
            Some(_) => Next::Own(seen),
            None => Next::Other(Self::pack(generation, 0)),
        };
        let replaced = self.0.update(next, is_current);
        replaced.map_or(0, |replaced| Self::of_other(replaced, generation))
    }

    /// Whether a success has anything to clear: a count or evidence.
    #[inline]
    pub fn has_any(&self) -> bool {
        // The answer is usually no, whichever generation the word belongs to. Then nothing is
        // written.
        self.0.load() >> layout::COUNT.first_bit() > 0
    }

    /// Sets `generation`'s count to zero if it isn't zero.
    #[inline]
    pub fn clear(&self, generation: Generation) {
        if self.has_any() {
            self.clear_with(generation, || false);
        }
    }

    /// Like [`clear`](Self::clear), and clears the note of evidence if `has_evidence` returns
    /// `false`.
    pub fn clear_with(&self, generation: Generation, has_evidence: impl Fn() -> bool) {
        loop {
            // `has_evidence` may miss evidence whose note was set meanwhile or will be. The
            // exchange then fails, and `has_evidence` is called again. It succeeds only if the word
            // has changed and come back.
            let seen = self.0.load();
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
                // The word may have changed and come back. Then there may be evidence whose note
                // this thread has just cleared. A note that is set from now on stays.
                if has_evidence() {
                    self.note(generation);
                }
                return;
            }
        }
    }

    fn take_note_away(&self, seen: u64, new: u64) -> bool {
        // Acquire: pairs with the Release in `Stamped::update`. A thread that clears a note finds
        // the evidence that was noted before. Without it the note could stay cleared while there is
        // evidence. Successes would then not weigh against that evidence. Relaxed: after a failed
        // exchange the word is loaded again.
        self.0
            .atomic()
            .compare_exchange(seen, new, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Notes that there is evidence, if the word still belongs to `generation`.
    fn note(&self, generation: Generation) {
        let next = |seen| match Self::unpack(seen, generation) {
            Some(_) => Next::Own(seen | layout::EVIDENCE.of(1)),
            None => Next::Other(seen),
        };
        self.0.update(next, || false);
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;

    #[test]
    fn another_generation_reads_zero_and_starts_at_one() {
        let counter = GenerationCounter::default();
        let first = Generation::FIRST;
        assert_eq!(counter.add(first, || true), Some(1));
        assert_eq!(counter.add(first, || true), Some(2));
        assert_eq!(counter.get(first.next()), 0);
        assert_eq!(counter.add(first.next(), || true), Some(1));
        assert_eq!(counter.get(first), 0);
    }

    #[test]
    fn a_generation_that_is_over_adds_and_clears_nothing() {
        let counter = GenerationCounter::default();
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
