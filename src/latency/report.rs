//! How long the calls of a window took.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::clock::saturating_nanos;
use crate::window::{Bin, rank_of};

/// How long the calls of a window took, as a distribution.
///
/// Underneath is a [`hdrhistogram::Histogram`] of nanoseconds, to merge, print and export.
///
/// # Precision
/// Each call is counted in a bin, and reported as the bin's middle. There are sixteen bins to an
/// octave, from 512 ns to 68.7 s. So a reported time is at most 3.2 % above or below the real one.
/// Shorter calls are reported as 511 ns, longer ones as 68.7 s. [`below`](Self::below) and
/// [`above`](Self::above) count them.
///
/// Up to 511 calls in a bin, time bucket and shard of the window are counted one by one. Beyond
/// that a sample of at least 256 in each bin is counted. This may move a percentile by some tenths
/// of a percent in rank: 50.0 may be 49.8. Six neighbouring bins share one sample. So a few calls
/// near a bin of many may be left out, even if they are the longest ones.
///
/// Of dense traffic, only a sample is [timed](crate::CircuitBreakerBuilder::timing), and each call
/// of it counts for several.
///
/// # Limits
/// The distribution has only calls that were made. While a dependency hangs, a caller that waits
/// for an answer makes no calls. The calls that it would have made are missing, and they would have
/// waited too. A hang that a thousand users would notice is one call in the histogram (*coordinated
/// omission*, Tene 2013). If your callers send at a fixed rate, [`corrected`](Self::corrected) adds
/// those calls. Rejected calls, ignored calls and probes are not counted.
///
/// ```
/// use std::time::Duration;
/// use tripcurve::CircuitBreaker;
/// use tripcurve::outcome::Report;
/// use tripcurve::window::Recording;
///
/// let breaker = CircuitBreaker::builder("payments").latency(Recording::Combined).build()?;
/// for millis in [10, 12, 11, 90] {
///     let permit = breaker.try_acquire()?;
///     permit.record(Report::success().took(Duration::from_millis(millis)));
/// }
/// let snapshot = breaker.snapshot();
/// let latency = snapshot.latency().ok_or("not recorded")?;
/// assert_eq!(latency.count(), 4);
/// let median = latency.percentile(50.0).ok_or("no calls")?;
/// assert!((10.6..11.4).contains(&(median.as_secs_f64() * 1e3)));
/// println!("{latency}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Latency {
    histogram: Histogram<u64>,
}

impl Latency {
    pub(crate) fn new() -> Self {
        // Two significant digits give eight histogram bins to each of the window's bins.
        let histogram = Histogram::new_with_bounds(1, Bin::END, 2)
            .unwrap_or_else(|error| unreachable!("these bounds make sense: {error}"));
        Self { histogram }
    }

    /// Replaces the contents by the calls in these bins.
    pub(crate) fn set(&mut self, bins: impl IntoIterator<Item = u64>) {
        self.histogram.reset();
        for (number, calls) in bins.into_iter().enumerate() {
            if calls > 0 {
                let value = Bin::from_number(number).value();
                self.histogram.saturating_record_n(value, calls);
            }
        }
    }

    /// The number of calls.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The shortest time; `None` if there are no calls.
    #[must_use]
    pub fn min(&self) -> Option<Duration> {
        self.some(|all| Duration::from_nanos(all.highest_equivalent(all.min())))
    }

    /// The mean time; `None` if there are no calls. It may be off by 3.4 %.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        self.some(|all| Duration::try_from_secs_f64(all.mean() / 1e9).unwrap_or(Duration::MAX))
    }

    /// The longest time; `None` if there are no calls.
    ///
    /// Where [calls are sampled](Self#precision), the single longest ones may be left out.
    #[must_use]
    pub fn max(&self) -> Option<Duration> {
        self.some(|all| Duration::from_nanos(all.highest_equivalent(all.max())))
    }

    /// The time that `percentile` percent of the calls don't exceed; `None` if there are no calls.
    ///
    /// `percentile(99.0)` is the 99th percentile. A value above 100 counts as 100. Any value that
    /// isn't above 0 gives the [shortest](Self::min) time.
    #[must_use]
    pub fn percentile(&self, percentile: f64) -> Option<Duration> {
        let share = rank_of(percentile);
        self.some(|all| Duration::from_nanos(all.value_at_quantile(share)))
    }

    fn some<T>(&self, what: impl FnOnce(&Histogram<u64>) -> T) -> Option<T> {
        (!self.histogram.is_empty()).then(|| what(&self.histogram))
    }

    /// The number of calls that took less than 512 ns.
    #[must_use]
    pub fn below(&self) -> u64 {
        self.histogram.count_between(0, Bin::BELOW.value())
    }

    /// The number of calls that took 68.7 s or longer.
    #[must_use]
    pub fn above(&self) -> u64 {
        self.histogram.count_at(Bin::ABOVE.value())
    }

    /// The whole histogram, in nanoseconds.
    ///
    /// Add the histograms of several breakers to merge them. With its `serialization` feature,
    /// `hdrhistogram` writes them in the V2 formats that `HdrHistogram`'s tools read.
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::window::Recording;
    ///
    /// # fn shards() -> Vec<CircuitBreaker> { Vec::new() }
    /// let mut all = hdrhistogram::Histogram::<u64>::new_with_bounds(1, 1 << 36, 2)?;
    /// for breaker in shards() {
    ///     if let Some(latency) = breaker.snapshot().latency() {
    ///         all.add(latency.histogram())?;
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn histogram(&self) -> &Histogram<u64> {
        &self.histogram
    }

    /// Corrects for coordinated omission: adds the calls that each caller would have made while it
    /// waited.
    ///
    /// For each call longer than `interval` it adds calls that took one interval less, two less,
    /// and so on. An interval of zero changes nothing. The shortest other interval is a 100,000th
    /// of the longest call. That bound changes percentiles by less than the bins do.
    #[must_use]
    pub fn corrected(&self, interval: Duration) -> Self {
        let interval = match saturating_nanos(interval) {
            0 => 0,
            // `clone_correct` walks each call down in steps of the interval.
            nanos => nanos.max(self.histogram.max() / 100_000),
        };
        Self {
            histogram: self.histogram.clone_correct(interval),
        }
    }
}

/// Writes one line: `1234 calls, p50 1.2ms, p90 3.4ms, p99 8.1ms, max 12.3ms`.
impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} calls", self.count())?;
        for percentile in [50.0, 90.0, 99.0] {
            if let Some(time) = self.percentile(percentile) {
                write!(f, ", p{percentile} {time:.1?}")?;
            }
        }
        if let Some(time) = self.max() {
            write!(f, ", max {time:.1?}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency(nanos: impl IntoIterator<Item = u64>) -> Latency {
        let mut bins = [0; Bin::COUNT];
        for nanos in nanos {
            bins[Bin::of(nanos).number()] += 1;
        }
        let mut latency = Latency::new();
        latency.set(bins);
        latency
    }

    #[test]
    fn what_is_read_is_each_bins_value() {
        for number in 0..Bin::COUNT {
            let bin = Bin::from_number(number);
            let value = bin.value();
            let one = latency([if bin == Bin::ABOVE { u64::MAX } else { value }]);
            let expected = Some(Duration::from_nanos(value));
            assert_eq!(one.percentile(50.0), expected, "bin {number}");
            assert_eq!((one.min(), one.max()), (expected, expected), "bin {number}");
        }
    }

    #[test]
    fn what_is_outside_is_counted() {
        let latency = latency([1, 100, u64::MAX, 5_000]);
        assert_eq!((latency.below(), latency.above()), (2, 1));
        assert_eq!(latency.count(), 4);
        assert_eq!(latency.min(), Some(Duration::from_nanos(511)));
    }

    #[test]
    fn nothing_has_no_percentile_and_nothing_panics() {
        let none = latency([]);
        assert_eq!((none.min(), none.mean(), none.max()), (None, None, None));
        let one = latency([1_000_000]);
        for percentile in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 101.0] {
            assert_eq!(none.percentile(percentile), None);
            assert_eq!(one.percentile(percentile), one.max());
        }
        assert_eq!(one.corrected(Duration::ZERO), one);
        assert_eq!(one.corrected(Duration::MAX), one);
    }

    #[test]
    fn it_is_shown_in_a_line_without_what_is_unknown() {
        assert_eq!(latency([]).to_string(), "0 calls");
        let two = latency([1_000_000, 4_000_000]).to_string();
        assert_eq!(two, "2 calls, p50 999.4µs, p90 4.0ms, p99 4.0ms, max 4.0ms");
    }

    #[test]
    fn the_corrected_view_has_the_calls_that_were_not_made() {
        let hang = latency([100_000_000]).corrected(Duration::from_millis(10));
        assert!((9..=10).contains(&hang.count()));
        let median = hang.percentile(50.0).unwrap().as_secs_f64();
        assert!((0.045..0.065).contains(&median), "{median}");
    }
}
