//! The recommendation for a log without an outage to choose a policy by.

use std::io::Write;
use std::time::Duration;

use super::choice::{Score, Split, attempt};
use super::outages::Baseline;
use super::{RecommendError, report};
use crate::log::Log;
use crate::replay::{Policy, Rule};
use crate::words;

/// Recommends a policy for the baseline and the traffic, and checks that it would not have tripped.
pub(super) fn recommend(
    to: &mut impl Write,
    log: &Log,
    baseline: &Baseline,
    score: &Score,
    name: &str,
) -> Result<(), RecommendError> {
    let slower = score.bad.slower_than;
    let limit = run_limit(baseline);
    let adaptive = |tolerate, budget| {
        Policy::of(Rule::Adaptive {
            tolerate,
            budget,
            slower,
        })
    };
    let week = Duration::from_secs(7 * 86_400);
    let candidates = [
        adaptive(None, None),
        adaptive(None, Some(week)),
        adaptive(Some(0.5), Some(week)),
        Policy::of(Rule::Consecutive(limit)),
    ];
    let split = Split::new(&log.calls, &[]);
    let mut tried = Vec::new();
    for policy in &candidates {
        tried.push(attempt(policy, &log.calls, &split, &[], score)?);
    }
    let least = |of: fn(&super::Tried) -> u64| tried.iter().map(of).min().unwrap_or(0);
    let lost = least(|tried| tried.chosen.good_lost);
    let Some(best) = tried.iter().find(|tried| tried.chosen.good_lost == lost) else {
        return Ok(());
    };
    writeln!(
        to,
        "  {}\n  It trips {} on this log and loses {} good calls.",
        best.policy,
        report::times(best.trips),
        words::count(best.chosen.good_lost)
    )?;
    writeln!(
        to,
        "  Whoever wants a number instead: {limit} failures in a row come by chance less than once a day at \
         {:.2} calls a second of which {:.2} % are bad, and the longest run in this log is {} \
         (consecutive:{limit} trips {} on it).",
        baseline.rate,
        100.0 * baseline.bad,
        baseline.longest_run,
        report::times(tried.last().map_or(0, |tried| tried.trips)),
    )?;
    report::snippet(to, &best.policy, name)?;
    Ok(())
}

/// The shortest run of failures that chance produces less than once a day, and that is longer than
/// any in the log.
/// the log shows.
///
/// A run of n comes once in (1 − pⁿ) / ((1 − p) pⁿ) calls (Feller 1968, volume 1, chapter XIII.7).
fn run_limit(baseline: &Baseline) -> u32 {
    let p = baseline.bad.clamp(1e-4, 0.99);
    let calls_a_day = baseline.rate * 86_400.0;
    let by_chance = (1..1_000)
        .find(|&n| {
            let all = p.powi(n);
            (1.0 - all) / ((1.0 - p) * all) > calls_a_day
        })
        .and_then(|n| u32::try_from(n).ok())
        .unwrap_or(1_000);
    by_chance.max(baseline.longest_run.saturating_add(1)).max(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(bad: f64, rate: f64, longest_run: u32) -> Baseline {
        Baseline {
            bad,
            p99: 0,
            rate,
            longest_run,
        }
    }

    #[test]
    fn the_run_is_as_long_as_a_day_without_a_false_trip_takes() {
        // At a failure rate of 5 %, a run of 5 comes once in 3.37 million calls (DECISION.md).
        assert_eq!(run_limit(&baseline(0.05, 3_300_000.0 / 86_400.0, 0)), 5);
        assert_eq!(run_limit(&baseline(0.05, 3_400_000.0 / 86_400.0, 0)), 6);
    }

    #[test]
    fn the_run_is_longer_than_any_that_the_log_shows() {
        assert_eq!(run_limit(&baseline(0.001, 1.0, 7)), 8);
    }
}
