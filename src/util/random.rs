//! Pseudo-random numbers.

use std::cell::Cell;

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
    thread_local!(static PLACE: Cell<u64> = const { Cell::new(0) });
    PLACE.set(PLACE.get().wrapping_add(GOLDEN_RATIO));
    PLACE.get()
}
