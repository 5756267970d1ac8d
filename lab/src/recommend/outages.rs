//! Finds the outages in a log, with hindsight.

use std::ops::Range;

use crate::breaker::Nanos;
use crate::log::Call;
use crate::replay::Bad;

/// A stretch of calls with clearly more bad calls than usual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The calls.
    pub calls: Range<usize>,
    /// The number of bad calls.
    pub bad: u64,
}

/// The calls outside the outages.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// The share of bad calls.
    pub bad: f64,
    /// The 99th percentile of the durations.
    pub p99: Nanos,
    /// Calls per second.
    pub rate: f64,
    /// The longest run of bad calls.
    pub longest_run: u32,
}

/// The lowest baseline. A log is too short to tell smaller ones apart.
const LEAST: f64 = 0.002;

/// The alternative that an outage is tested against: half of the calls are bad.
const OUTAGE: f64 = 0.5;

/// Fewer bad calls are an accident, such as two requests that always fail and are tried five times.
const FEWEST: u64 = 20;

/// Finds all outages.
///
/// The test compares half of the calls being bad with the usual share. It takes the stretches with
/// the most evidence for the half. Chance produces such a stretch less than once in a thousand such
/// logs. The method is Page's cumulative sum, read backwards from its peak.
#[must_use]
pub fn outages(calls: &[Call], bad: Bad) -> Vec<Outage> {
    let usual =
        usual(calls, |chunk| share(count(chunk, bad), chunk.len())).clamp(LEAST, OUTAGE / 2.0);
    let (up, down) = ((OUTAGE / usual).ln(), ((1.0 - OUTAGE) / (1.0 - usual)).ln());
    let needed = 1_000_f64.ln() + precise(calls.len()).max(1.0).ln();
    let mut found = Vec::new();
    let mut climb = Climb::default();
    for (index, call) in calls.iter().enumerate() {
        let is_bad = bad.is(call);
        if climb.height <= 0.0 {
            climb = Climb::from(index);
        }
        climb.step(index, if is_bad { up } else { down });
        if climb.height < climb.peak - needed || climb.height <= 0.0 {
            found.extend(climb.outage(needed));
            climb = Climb::from(index + 1);
        }
    }
    found.extend(climb.outage(needed));
    found
        .into_iter()
        .map(|stretch: Range<usize>| Outage {
            bad: count(&calls[stretch.clone()], bad),
            calls: stretch,
        })
        .filter(|outage| outage.bad >= FEWEST)
        .collect()
}

/// The sum since it last was at zero.
#[derive(Clone, Copy, Debug, Default)]
struct Climb {
    begin: usize,
    height: f64,
    peak: f64,
    end: usize,
}

impl Climb {
    fn from(begin: usize) -> Self {
        Self {
            begin,
            end: begin,
            ..Self::default()
        }
    }

    fn step(&mut self, index: usize, step: f64) {
        self.height += step;
        if self.height > self.peak {
            self.peak = self.height;
            self.end = index + 1;
        }
    }

    fn outage(&self, needed: f64) -> Option<Range<usize>> {
        (self.peak >= needed).then_some(self.begin..self.end)
    }
}

/// The baseline: the calls outside the outages.
#[must_use]
pub fn baseline(calls: &[Call], outages: &[Outage], bad: Bad) -> Baseline {
    let mut healthy = Vec::new();
    let mut from = 0;
    for outage in outages {
        healthy.push(&calls[from..outage.calls.start]);
        from = outage.calls.end;
    }
    healthy.push(&calls[from..]);
    let number: usize = healthy.iter().map(|stretch| stretch.len()).sum();
    let all_bad: u64 = healthy.iter().map(|stretch| count(stretch, bad)).sum();
    let length: Nanos = healthy
        .iter()
        .filter_map(|stretch| Some(stretch.last()?.began - stretch.first()?.began))
        .sum();
    let longest_run = healthy
        .iter()
        .map(|stretch| longest_run(stretch, bad))
        .max();
    Baseline {
        bad: share(all_bad, number),
        p99: p99(calls),
        rate: precise(number) / crate::words::seconds(length).max(1e-9),
        longest_run: longest_run.unwrap_or(0),
    }
}

/// The longest run of bad calls in the order of their ends, in which a breaker sees them.
fn longest_run(calls: &[Call], bad: Bad) -> u32 {
    let mut ends: Vec<_> = calls
        .iter()
        .map(|call| (call.ended(), bad.is(call)))
        .collect();
    ends.sort_by_key(|&(ended, _)| ended);
    let mut longest = 0;
    let mut run = 0_u32;
    for (_, is_bad) in ends {
        run = if is_bad { run.saturating_add(1) } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// The usual 99th percentile of the durations. An outage of less than half the log doesn't change
/// it.
#[must_use]
pub(super) fn p99(calls: &[Call]) -> Nanos {
    let mut of_chunks: Vec<_> = chunks(calls)
        .filter_map(|chunk| {
            let mut took: Vec<_> = chunk.iter().map(|call| call.took).collect();
            took.sort_unstable();
            took.get((took.len() * 99).div_ceil(100).max(1) - 1)
                .copied()
        })
        .collect();
    of_chunks.sort_unstable();
    of_chunks.get(of_chunks.len() / 2).copied().unwrap_or(0)
}

/// The median of `of` over all chunks.
fn usual(calls: &[Call], of: impl Fn(&[Call]) -> f64) -> f64 {
    let mut of_chunks: Vec<_> = chunks(calls).map(of).collect();
    of_chunks.sort_unstable_by(f64::total_cmp);
    of_chunks.get(of_chunks.len() / 2).copied().unwrap_or(0.0)
}

/// Splits the calls into a hundred chunks, or into fewer if a chunk would have less than a hundred
/// calls.
fn chunks(calls: &[Call]) -> impl Iterator<Item = &[Call]> {
    calls.chunks((calls.len() / 100).max(100))
}

fn count(calls: &[Call], bad: Bad) -> u64 {
    calls.iter().filter(|call| bad.is(call)).count() as u64
}

fn share(part: u64, of: usize) -> f64 {
    crate::words::percent(part, of as u64) / 100.0
}

#[allow(
    clippy::cast_precision_loss,
    reason = "numbers of calls are far below 2⁵³"
)]
fn precise(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call every 100 ms. `fails` tells which of them fail.
    fn log(calls: u64, fails: impl Fn(u64) -> bool) -> Vec<Call> {
        (0..calls)
            .map(|index| Call {
                began: index * 100_000_000,
                took: 20_000_000,
                succeeded: !fails(index),
            })
            .collect()
    }

    #[test]
    fn an_outage_is_found_from_its_first_to_its_last_failure() {
        let calls = log(5_000, |index| (2_000..2_300).contains(&index));
        let outages = outages(&calls, Bad::default());
        assert_eq!(
            outages,
            [Outage {
                calls: 2_000..2_300,
                bad: 300
            }]
        );
    }

    #[test]
    fn two_outages_with_health_between_are_two() {
        let calls = log(5_000, |index| {
            (1_000..1_100).contains(&index) || (3_000..3_100).contains(&index)
        });
        let stretches: Vec<_> = outages(&calls, Bad::default())
            .into_iter()
            .map(|outage| outage.calls)
            .collect();
        assert_eq!(stretches, [1_000..1_100, 3_000..3_100]);
    }

    #[test]
    fn single_failures_and_short_runs_are_no_outage() {
        let calls = log(5_000, |index| {
            index % 50 == 0 || (700..703).contains(&index)
        });
        assert_eq!(outages(&calls, Bad::default()), []);
    }

    #[test]
    fn a_run_is_counted_in_the_order_in_which_calls_end() {
        let mut calls = log(4, |index| index != 1);
        assert_eq!(longest_run(&calls, Bad::default()), 2);
        // The success ends last.
        calls[1].took = 1_000_000_000;
        assert_eq!(longest_run(&calls, Bad::default()), 3);
    }

    #[test]
    fn the_baseline_is_that_of_the_calls_outside_the_outages() {
        let calls = log(10_000, |index| {
            (4_000..5_000).contains(&index) || index % 100 < 2
        });
        let outages = outages(&calls, Bad::default());
        let baseline = baseline(&calls, &outages, Bad::default());
        assert!((baseline.bad - 0.02).abs() < 0.001, "{baseline:?}");
        assert!((baseline.rate - 10.0).abs() < 0.1, "{baseline:?}");
        assert_eq!((baseline.longest_run, baseline.p99), (2, 20_000_000));
    }
}
