//! Means, percentiles and intervals.

use crate::time::number;

/// The mean, or `None` without values.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().sum();
    (!values.is_empty()).then(|| sum / number(values.len() as u64))
}

/// The geometric mean, or `None` without values.
#[must_use]
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    let logarithms: Vec<f64> = values.iter().map(|value| value.ln()).collect();
    mean(&logarithms).map(f64::exp)
}

/// The largest value, or `None` without values.
#[must_use]
pub fn largest(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    values.into_iter().reduce(f64::max)
}

/// The quantile at `share`, interpolated between its two neighbours, or `None` without values.
#[must_use]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of the number of values"
)]
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let at = share * number(last as u64);
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    Some(low + (high - low) * at.fract())
}

/// The exact 95 % confidence interval for the mean of a Poisson number that came out as `count`
/// (Garwood 1936).
#[must_use]
pub fn poisson_interval(count: u64) -> (f64, f64) {
    let beyond = 0.025;
    let low = match count {
        0 => 0.0,
        _ => solve(count, |mean| {
            1.0 - poisson_at_most(count - 1, mean) < beyond
        }),
    };
    let high = solve(count, |mean| poisson_at_most(count, mean) > beyond);
    (low, high)
}

/// The largest mean for which `is_below` holds.
fn solve(count: u64, is_below: impl Fn(f64) -> bool) -> f64 {
    let count = number(count);
    let (mut low, mut high) = (0.0, count + 10.0 * count.sqrt() + 10.0);
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if is_below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// The probability that a Poisson number with this mean is at most `count`.
fn poisson_at_most(count: u64, mean: f64) -> f64 {
    let mut logarithm = -mean;
    let mut sum = logarithm.exp();
    for number_of in 1..=count {
        logarithm += (mean / number(number_of)).ln();
        sum += logarithm.exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_the_tables() {
        for (count, low, high) in [
            (0, 0.0, 3.689),
            (1, 0.025, 5.572),
            (10, 4.795, 18.39),
            (100, 81.36, 121.6),
        ] {
            let (found_low, found_high) = poisson_interval(count);
            assert!(
                (found_low - low).abs() < 0.01 * low.max(1.0),
                "{count}: {found_low}"
            );
            assert!(
                (found_high - high).abs() < 0.01 * high,
                "{count}: {found_high}"
            );
        }
    }

    #[test]
    fn a_quantile_lies_between_its_neighbours() {
        assert_eq!(quantile(&[3.0, 1.0, 2.0], 0.5), Some(2.0));
        assert_eq!(quantile(&[1.0, 2.0], 0.95), Some(1.95));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
