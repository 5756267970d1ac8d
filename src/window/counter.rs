//! A counter that starts anew with each generation, in one word.

use crate::pack::Field;
use crate::stamped::{self, Next};
use crate::state::Generation;
use crate::sync::{AtomicU64, Ordering};

/// ```text
///  63             21 20            0
/// +-----------------+---------------+
/// |   count, 43     | generation,21 |
/// +-----------------+---------------+
/// ```
mod layout {
    use super::Field;

    pub(super) const GENERATION: Field = Field::lowest(21);
    pub(super) const COUNT: Field = GENERATION.then(43);

    const _: () = assert!(COUNT.end() == 64);
}

/// A count that belongs to one generation: another generation reads zero.
///
/// It counts to 8.8 × 10¹², ten days at ten million a second, and stays there.
#[derive(Debug)]
pub struct GenerationCounter(AtomicU64);

impl GenerationCounter {
    /// Zero, in the first generation.
    #[must_use]
    pub fn new() -> Self {
        Self(AtomicU64::new(Self::pack(Generation::FIRST, 0)))
    }

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
        // Relaxed: the word carries all that is read; who must see the counts of others has
        // acquired them elsewhere (see `Core::record_failure`).
        Self::unpack(self.0.load(Ordering::Relaxed), generation).unwrap_or(0)
    }

    /// Adds one for `generation` and returns the count; `None` if `is_current` says that the
    /// generation is over.
    pub fn add(&self, generation: Generation, is_current: impl Fn() -> bool) -> Option<u64> {
        let plus_one = |count: u64| (count + 1).min(layout::COUNT.max());
        let next = |seen| match Self::unpack(seen, generation) {
            Some(count) => Next::Own(Self::pack(generation, plus_one(count))),
            None => Next::Other(Self::pack(generation, 1)),
        };
        stamped::update(&self.0, next, is_current)
            .map(|before| plus_one(Self::unpack(before, generation).unwrap_or(0)))
    }

    /// Starts `generation` at zero, if it has not started.
    pub fn begin(&self, generation: Generation, is_current: impl Fn() -> bool) {
        let next = |seen| match Self::unpack(seen, generation) {
            Some(_) => Next::Own(seen),
            None => Next::Other(Self::pack(generation, 0)),
        };
        stamped::update(&self.0, next, is_current);
    }

    /// Sets `generation`'s count to zero if it isn't.
    #[inline]
    pub fn clear(&self, generation: Generation) {
        // Relaxed: the common answer is zero, whoever's it is, and then nothing is written.
        if layout::COUNT.get(self.0.load(Ordering::Relaxed)) > 0 {
            self.clear_rarely(generation);
        }
    }

    #[cold]
    #[inline(never)]
    fn clear_rarely(&self, generation: Generation) {
        loop {
            // Relaxed: as above.
            let seen = self.0.load(Ordering::Relaxed);
            let is_zero = Self::unpack(seen, generation).is_none_or(|count| count == 0);
            if is_zero || stamped::update_own(&self.0, seen, Self::pack(generation, 0)) {
                return;
            }
        }
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
        let counter = GenerationCounter(AtomicU64::new(full));
        assert_eq!(
            counter.add(Generation::FIRST, || true),
            Some(layout::COUNT.max())
        );
    }
}
