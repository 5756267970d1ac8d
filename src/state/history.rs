//! The full number of the current generation, and when it began.
//!
//! A restored breaker remembers what was before its process. So a generation may have begun before
//! the clock did, and moments are kept as [dates](date_of).

use crate::state::Generation;
use crate::sync::Hint;
use crate::sync::field::Field;
use crate::sync::stamped::{Next, Stamped};

/// ```text
///  63                        12 11            0
/// +----------------------------+---------------+
/// |  microseconds, 52          | generation, 12|
/// +----------------------------+---------------+
/// ```
///
/// 2⁵² microseconds are 142 years, of which 35 are before the clock's origin.
mod layout {
    use super::Field;

    pub(super) const GENERATION: Field = Field::lowest(12);
    pub(super) const MICROS: Field = GENERATION.then(52);

    const _: () = assert!(MICROS.end_bit() == 64);
}

/// Nanoseconds from the first date to the clock's origin: 35 years.
const BEFORE: u64 = 1_000 << 50;

/// The date of a clock reading: nanoseconds on a time line that begins long before the clock does.
#[must_use]
#[inline]
pub fn date_of(nanos: u64) -> u64 {
    nanos.saturating_add(BEFORE)
}

/// The clock reading of this date. A date before the clock's origin gives the origin.
#[cfg(feature = "retry")]
#[inline]
pub(crate) fn moment_of(date: u64) -> u64 {
    date.saturating_sub(BEFORE)
}

/// The number and the beginning of the current generation.
///
/// The winner of the compare-exchange that began the generation writes both afterwards. Until then,
/// the number is known all the same, and the beginning counts as now.
#[derive(Debug)]
pub struct History {
    /// The full number of the current generation, or of one shortly before it.
    number: Hint,
    since: Stamped,
}

impl History {
    /// The first generation, which begins at the date of `now`.
    #[must_use]
    pub fn new(now: u64) -> Self {
        Self {
            number: Hint::new(0),
            since: Stamped::new(Self::pack(Generation::FIRST, now)),
        }
    }

    /// The history of the generation with this number, which began at the date `since`.
    #[cfg(feature = "serde")]
    pub(crate) fn restore(number: u64, generation: Generation, since: u64) -> Self {
        Self {
            number: Hint::new(number),
            since: Stamped::new(Self::pack(generation, since)),
        }
    }

    fn pack(generation: Generation, now: u64) -> u64 {
        let micros = (now / 1_000).min(layout::MICROS.max());
        layout::GENERATION.of(generation.number()) | layout::MICROS.of(micros)
    }

    /// The full number of a generation near the present one.
    #[must_use]
    pub fn number(&self, generation: Generation) -> u64 {
        // Any number of the last million generations will do.
        generation.full_number(self.number.load())
    }

    /// Notes that `generation` began at the date of `now`, and returns its full number.
    pub fn start_generation(
        &self,
        generation: Generation,
        now: u64,
        is_current: impl Fn() -> bool,
    ) -> u64 {
        let number = self.number(generation);
        self.number.raise(number);
        let new = Self::pack(generation, now);
        self.since.update(|_| Next::Other(new), is_current);
        number
    }

    /// How many nanoseconds `generation` has lasted, or `None` if its beginning isn't known.
    ///
    /// Zero if it began later than `now`.
    #[must_use]
    pub fn age(&self, generation: Generation, now: u64) -> Option<u64> {
        let since = self.since(generation)?;
        // The dates end earlier than the clock's range.
        Some(match since.checked_sub(BEFORE) {
            Some(since) => now.saturating_sub(since),
            None => now.saturating_add(BEFORE - since),
        })
    }

    /// The date at which `generation` began, cut to microseconds; `None` if it isn't known.
    #[must_use]
    pub fn since(&self, generation: Generation) -> Option<u64> {
        let word = self.since.load();
        let own = layout::GENERATION.of(generation.number());
        (layout::GENERATION.get(word) == layout::GENERATION.get(own))
            .then(|| layout::MICROS.get(word) * 1_000)
    }
}
