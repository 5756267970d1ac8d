//! The bins of a latency histogram: 16 to an octave.

/// One bin of a latency histogram.
///
/// An octave, from one power of two to the next, has 16 bins of equal width. So a bin is at most a
/// 16th as wide as its least value. Its middle is off by at most a 32nd. (Such bins are called
/// log-linear, as in Tene's `HdrHistogram`.) The octaves go from 512 ns to 68.7 s. One bin lies
/// below them and one above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bin(u32);

impl Bin {
    /// How many bins there are.
    pub const COUNT: usize = Self::ABOVE.0 as usize + 1;
    /// The bin of all values below the octaves.
    pub const BELOW: Self = Self(0);
    /// The bin of all values above the octaves.
    pub const ABOVE: Self = Self::of(Self::END);

    /// The first value of the octaves, in nanoseconds.
    pub const BEGIN: u64 = 1 << Self::FIRST_OCTAVE;
    /// The first value above the octaves, in nanoseconds.
    pub const END: u64 = 1 << 36;

    const FIRST_OCTAVE: u32 = 9;
    /// The number of bits that number the 16 bins of an octave.
    const BINS_BITS: u32 = 4;

    /// The bin of a number of nanoseconds.
    #[must_use]
    #[inline]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "five bits, since the highest of them is the value's"
    )]
    pub const fn of(nanos: u64) -> Self {
        // A value outside the octaves falls into the bin just below or above them.
        let value = if nanos < Self::BEGIN {
            Self::BEGIN - 1
        } else if nanos > Self::END {
            Self::END
        } else {
            nanos
        };
        let octave = value.ilog2();
        let leading = (value >> (octave - Self::BINS_BITS)) as u32;
        // The leading bits of the octaves' first value are 16, and one bin lies below it.
        Self(
            (octave << Self::BINS_BITS) + leading + 1
                - ((Self::FIRST_OCTAVE + 1) << Self::BINS_BITS),
        )
    }

    /// The bin with this number, below [`COUNT`](Self::COUNT).
    #[must_use]
    pub fn from_number(number: usize) -> Self {
        u32::try_from(number)
            .map_or(Self::ABOVE, Self)
            .min(Self::ABOVE)
    }

    /// The bin's number, from 0.
    #[must_use]
    #[inline]
    pub fn number(self) -> usize {
        self.0 as usize
    }

    /// The value that stands for all values in the bin, in nanoseconds.
    ///
    /// It is one less than the middle. A [`hdrhistogram::Histogram`] of two significant digits has
    /// eight bins in the range of this one. This value is the largest in one of the eight. So that
    /// histogram returns this value and no larger one.
    #[must_use]
    pub fn value(self) -> u64 {
        match self {
            Self::BELOW => Self::BEGIN - 1,
            Self::ABOVE => Self::END - 1,
            Self(number) => {
                let from_first = number - 1;
                let octave = Self::FIRST_OCTAVE + (from_first >> Self::BINS_BITS);
                let width = 1_u64 << (octave - Self::BINS_BITS);
                let within = u64::from(from_first & ((1 << Self::BINS_BITS) - 1));
                (1 << octave) + within * width + width / 2 - 1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bins_follow_each_other_without_a_gap() {
        assert_eq!(Bin::of(0), Bin::BELOW);
        assert_eq!(Bin::of(u64::MAX), Bin::ABOVE);
        assert_eq!(Bin::COUNT, 27 * 16 + 2);
        let mut last = Bin::of(Bin::BEGIN - 1);
        assert_eq!(last, Bin::BELOW);
        for octave in 9..36 {
            for sixteenth in 16..32 {
                let begin = sixteenth << (octave - 4);
                let bin = Bin::of(begin);
                assert_eq!(bin.number(), last.number() + 1, "{begin}");
                assert_eq!(Bin::of(begin - 1), last, "{begin}");
                last = bin;
            }
        }
        assert_eq!(last.number() + 1, Bin::ABOVE.number());
        assert_eq!(Bin::of(Bin::END - 1), last);
        assert_eq!(Bin::of(Bin::END), Bin::ABOVE);
    }

    proptest! {
        #[test]
        fn a_bins_value_is_in_it_and_at_most_a_32nd_off(nanos in Bin::BEGIN..Bin::END) {
            let bin = Bin::of(nanos);
            let value = bin.value();
            prop_assert_eq!(Bin::of(value), bin);
            prop_assert!(32 * value.abs_diff(nanos) <= nanos, "{} stands for {}", value, nanos);
            prop_assert_eq!(Bin::from_number(bin.number()), bin);
        }
    }
}
