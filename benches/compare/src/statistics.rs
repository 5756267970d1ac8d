//! The median of a sample, and how far it can be trusted.

use std::f64::consts::LN_2;
use std::fmt;

/// The chance that the true median lies outside of the interval, on either side.
const EACH_TAIL: f64 = 0.025;

/// What is said of a sample. It assumes nothing about its distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    pub median: f64,
    /// Half of the values lie between them.
    pub quartiles: (f64, f64),
    /// The interval of at least 95 % for the true median.
    pub interval: (f64, f64),
}

impl Summary {
    /// Values of one round are alike: the subjects lie at the same addresses, and a neighbour's
    /// noise lasts for many turns. Values of two rounds are independent. So if there are several
    /// rounds, the interval is that of their medians.
    ///
    /// # Panics
    ///
    /// If there is no value.
    #[must_use]
    pub fn of_rounds(mut rounds: Vec<Vec<f64>>) -> Self {
        rounds.retain(|values| !values.is_empty());
        let all = Self::of(rounds.concat());
        if rounds.len() < 2 {
            return all;
        }
        let medians = rounds.into_iter().map(|values| Self::of(values).median);
        Self {
            interval: Self::of(medians.collect()).interval,
            ..all
        }
    }
}

impl Summary {
    /// # Panics
    ///
    /// If there is no value.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Self {
        assert!(!values.is_empty(), "an empty sample has no median");
        values.sort_by(f64::total_cmp);
        let last = values.len() - 1;
        let quarter = values.len() / 4;
        let outside = values_outside(values.len());
        Self {
            median: f64::midpoint(values[last / 2], values[values.len() / 2]),
            quartiles: (values[quarter], values[last - quarter]),
            interval: (values[outside], values[last - outside]),
        }
    }
}

/// How many of the smallest values lie below the interval of the median. As many of the largest lie
/// above it.
///
/// Each value is below the true median with a chance of one half. So the number of values below it
/// is binomial, and the chance that fewer than k are is the chance of missing the median on one
/// side. The formula is in David and Nagaraja, *Order Statistics*, third edition (Wiley, 2003),
/// section 7.1. A sample of fewer than 6 values is too small for 95 %. Its interval has all values.
fn values_outside(count: usize) -> usize {
    // The logarithm of the chance that exactly `below` values are below the median. The chance
    // itself can be too small for a number.
    let mut chance = -as_f64(count) * LN_2;
    let mut fewer = 0.0;
    for below in 0..count {
        fewer += chance.exp();
        if fewer > EACH_TAIL {
            return below.saturating_sub(1);
        }
        chance += (as_f64(count - below) / as_f64(below + 1)).ln();
    }
    0
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn as_f64(count: usize) -> f64 {
    count as f64
}

/// A number with three digits, or three decimals.
#[derive(Clone, Copy, Debug)]
pub struct Digits(pub f64);

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = match self.0 {
            ..1.0 => 3,
            ..10.0 => 2,
            ..100.0 => 1,
            _ => 0,
        };
        write!(f, "{:.decimals$}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ranks of the interval, from 1.
    fn ranks(count: u32) -> (f64, f64) {
        Summary::of((1..=count).rev().map(f64::from).collect()).interval
    }

    /// The ranks of published tables of confidence intervals for the median.
    #[test]
    fn an_interval_has_the_ranks_of_the_tables() {
        for (count, lower, upper) in [
            (6, 1, 6),
            (9, 2, 8),
            (11, 2, 10),
            (17, 5, 13),
            (20, 6, 15),
            (100, 40, 61),
        ] {
            let expected = (f64::from(lower), f64::from(upper));
            assert_eq!(ranks(count), expected, "of {count} values");
        }
    }

    /// For many values, the ranks are those of a normal distribution: 0.98 roots away.
    #[test]
    fn many_values_have_a_narrow_interval() {
        let (lower, upper) = ranks(10_000);
        assert!((4_901.0..=4_903.0).contains(&lower), "from {lower}");
        assert!((5_098.0..=5_100.0).contains(&upper), "to {upper}");
    }

    #[test]
    fn a_small_sample_is_its_own_interval() {
        assert_eq!(ranks(1), (1.0, 1.0));
        assert_eq!(ranks(5), (1.0, 5.0));
    }

    #[test]
    fn a_median_lies_between_the_quartiles() {
        let odd = Summary::of(vec![3.0, 1.0, 2.0, 5.0, 4.0]);
        assert_eq!((odd.median, odd.quartiles), (3.0, (2.0, 4.0)));
        let even = Summary::of(vec![4.0, 1.0, 2.0, 3.0]);
        assert_eq!((even.median, even.quartiles), (2.5, (2.0, 3.0)));
    }

    #[test]
    fn the_interval_of_rounds_is_that_of_their_medians() {
        let round = |number: u32| vec![0.0, f64::from(number), 1e9];
        let summary = Summary::of_rounds((1..=9).rev().map(round).collect());
        assert_eq!(summary.interval, (2.0, 8.0));
        assert_eq!((summary.median, summary.quartiles), (5.0, (0.0, 1e9)));
        let one = Summary::of_rounds(vec![vec![3.0, 1.0, 2.0]]);
        assert_eq!(one, Summary::of(vec![1.0, 2.0, 3.0]));
    }

    #[test]
    fn a_number_has_three_digits() {
        for (number, text) in [
            (0.0567, "0.057"),
            (0.5, "0.500"),
            (4.321, "4.32"),
            (43.21, "43.2"),
            (432.1, "432"),
        ] {
            assert_eq!(Digits(number).to_string(), text);
        }
    }
}
