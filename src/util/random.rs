//! Pseudo-random numbers.

use std::cell::Cell;

use crate::sync::{Ordering, ThreadCounter};

/// A pseudo-random number for each of many different numbers, however regular these are.
///
/// A single multiplication would still resonate with the rhythm of a loop.
#[inline]
pub(crate) fn mixed(number: u64) -> u64 {
    let spread = number.wrapping_mul(GOLDEN_RATIO);
    (spread ^ spread >> 32).wrapping_mul(GOLDEN_RATIO)
}

/// The fractional part of the golden ratio, in units of 2⁻⁶⁴.
///
/// Its multiples spread more evenly around a circle than those of any other number (Weyl 1916,
/// "Über die Gleichverteilung von Zahlen mod. Eins").
pub(crate) const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;

/// Where a thread starts on a circle that it goes round in steps of [`GOLDEN_RATIO`].
///
/// Each thread starts at another point, in even steps, because some threads make one call and end.
/// The steps are those of the root of two. In steps of the golden ratio each thread would follow
/// the one before it round the circle. Their errors would then add up.
#[cold]
pub(crate) fn first_place() -> u64 {
    static THREADS: ThreadCounter = ThreadCounter::new(1);
    // Relaxed: only the difference between the numbers matters, and no memory is read through them.
    let thread = THREADS.fetch_add(1, Ordering::Relaxed);
    u64::from(thread).wrapping_mul(ROOT_OF_TWO)
}

/// The fractional part of the root of two.
const ROOT_OF_TWO: u64 = 0x6A09_E667_F3BC_C909;

/// A number in `least..=most`.
pub(crate) fn between(least: u64, most: u64, random: u64) -> u64 {
    let range = u128::from(most.saturating_sub(least)) + 1;
    let above = (range * u128::from(random)) >> 64;
    least
        .saturating_add(u64::try_from(above).unwrap_or(0))
        .min(most)
}

/// A pseudo-random number where the clock is no help.
#[cold]
#[inline(never)]
pub(crate) fn random_bits_of_this_thread() -> u64 {
    BITS.set(BITS.get().wrapping_add(GOLDEN_RATIO));
    BITS.get()
}

thread_local!(static BITS: Cell<u64> = const { Cell::new(0) });

/// Makes this thread's next random bits these, for a test that compares each call with a model.
#[cfg(feature = "__model")]
pub fn draw_next_bits(bits: u64) {
    BITS.set(bits.wrapping_sub(GOLDEN_RATIO));
}
