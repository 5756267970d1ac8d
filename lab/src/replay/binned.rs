//! A log in bins of time, for the curves of the picture.

use super::report::Bad;
use crate::breaker::Nanos;
use crate::log::Call;
use crate::words;

/// The calls of a log in bins of time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Binned {
    /// The width of a bin.
    pub(super) width: Nanos,
    /// The bins, in order.
    pub(super) bins: Vec<Bin>,
}

/// One stretch of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Bin {
    /// The calls per second that began in the bin.
    pub(super) calls: f64,
    /// The bad calls per second among them.
    pub(super) bad: f64,
    /// The median of the durations, in seconds.
    pub(super) p50: Option<f64>,
    /// The 99th percentile of the durations, in seconds.
    pub(super) p99: Option<f64>,
}

impl Binned {
    /// Makes at most `most` bins, with some ten calls in each.
    pub(super) fn new(calls: &[Call], length: Nanos, bad: Bad, most: usize) -> Self {
        let bins = (calls.len() / 10).clamp(1, most);
        let width = (length / bins as u64).max(1);
        let mut durations = vec![Vec::new(); bins];
        let mut bad_calls = vec![0_u64; bins];
        for call in calls {
            let bin = usize::try_from(call.began / width).map_or(bins - 1, |bin| bin.min(bins - 1));
            durations[bin].push(call.took);
            bad_calls[bin] += u64::from(bad.is(call));
        }
        let bins = durations
            .iter_mut()
            .zip(bad_calls)
            .map(|(durations, bad)| {
                durations.sort_unstable();
                Bin {
                    calls: rate(durations.len() as u64, width),
                    bad: rate(bad, width),
                    p50: percentile(durations, 50),
                    p99: percentile(durations, 99),
                }
            })
            .collect();
        Self { width, bins }
    }

    /// The begin of each bin in seconds, with the value that `of` takes from the bin.
    pub(super) fn points(
        &self,
        of: impl Fn(&Bin) -> Option<f64>,
    ) -> impl Iterator<Item = (f64, f64)> {
        self.bins
            .iter()
            .enumerate()
            .filter_map(move |(index, bin)| {
                Some((words::seconds(self.width * index as u64), of(bin)?))
            })
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "counts of calls are far below 2⁵³"
)]
fn rate(calls: u64, width: Nanos) -> f64 {
    calls as f64 / words::seconds(width)
}

/// The percentile of sorted durations, in seconds.
fn percentile(sorted: &[Nanos], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    Some(words::seconds(*sorted.get(rank - 1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_holds_the_calls_that_began_in_it() {
        let calls: Vec<_> = (0..40)
            .map(|index| Call {
                began: index * 250_000_000,
                took: (index + 1) * 1_000_000,
                succeeded: index >= 20,
            })
            .collect();
        let binned = Binned::new(&calls, 10_000_000_000, Bad::default(), 4);
        let rates: Vec<_> = binned.bins.iter().map(|bin| (bin.calls, bin.bad)).collect();
        assert_eq!(rates, [(4.0, 4.0), (4.0, 4.0), (4.0, 0.0), (4.0, 0.0)]);
        assert_eq!(binned.bins[0].p50, Some(0.005));
        assert_eq!(binned.bins[3].p99, Some(0.04));
    }
}
