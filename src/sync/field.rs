//! Bit fields of a packed word. Fields are chained, so nobody counts shifts by hand.

/// A run of bits in a 64-bit word.
///
/// `Field::lowest(17).then(5)` is a field of 5 bits. It begins where the field of the lowest 17
/// bits ends. All methods are `const`, so each word's layout can be asserted at compile time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    shift: u32,
    bits: u32,
    /// The largest value that fits. Without optimization, reading it takes less time than its bits.
    max: u64,
}

impl Field {
    /// The field that holds the lowest `bits` bits.
    pub(crate) const fn lowest(bits: u32) -> Self {
        assert!(bits > 0 && bits < 64, "a field has 1 to 63 bits");
        Self::at(0, bits)
    }

    /// The field of `bits` bits just above this one.
    pub(crate) const fn then(self, bits: u32) -> Self {
        let shift = self.shift + self.bits;
        assert!(bits > 0 && shift + bits <= 64, "the word has 64 bits");
        Self::at(shift, bits)
    }

    const fn at(shift: u32, bits: u32) -> Self {
        let max = (1 << bits) - 1;
        Self { shift, bits, max }
    }

    /// The field's lowest bit.
    pub(crate) const fn first_bit(self) -> u32 {
        self.shift
    }

    /// The first bit above this field; 64 when the word is full.
    pub(crate) const fn end_bit(self) -> u32 {
        self.shift + self.bits
    }

    /// The largest value that fits.
    pub(crate) const fn max(self) -> u64 {
        self.max
    }

    /// The field's value in `word`.
    pub(crate) const fn get(self, word: u64) -> u64 {
        (word >> self.shift) & self.max
    }

    /// A word with `value`, cut to the field's width, in this field and zero elsewhere.
    ///
    /// The cut makes tags and turns wrap. A caller whose value must not wrap checks it against
    /// [`max`](Self::max) first.
    pub(crate) const fn of(self, value: u64) -> u64 {
        (value & self.max) << self.shift
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOW: Field = Field::lowest(17);
    const MIDDLE: Field = LOW.then(5);
    const HIGH: Field = MIDDLE.then(42);

    #[test]
    fn chained_fields_fill_the_word() {
        assert_eq!(HIGH.end_bit(), 64);
        assert_eq!(
            LOW.of(u64::MAX) | MIDDLE.of(u64::MAX) | HIGH.of(u64::MAX),
            u64::MAX
        );
    }

    proptest! {
        #[test]
        fn a_value_comes_back_cut_to_its_width_and_touches_no_neighbour(
            low: u64, middle: u64, high: u64,
        ) {
            let word = LOW.of(low) | MIDDLE.of(middle) | HIGH.of(high);
            prop_assert_eq!(LOW.get(word), low & LOW.max());
            prop_assert_eq!(MIDDLE.get(word), middle & MIDDLE.max());
            prop_assert_eq!(HIGH.get(word), high & HIGH.max());
        }
    }
}
