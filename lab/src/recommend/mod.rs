//! `recommend`: the policy that does best on a user's log.

mod choice;
mod grid;
mod healthy;
mod outages;
mod report;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use thiserror::Error;
use tripcurve::error::ConfigError;

pub use self::choice::{Score, Split, Tried, best};
pub use self::outages::{Baseline, Outage, baseline, outages};

use crate::log::{Log, LogError};
use crate::replay::{Bad, Policy, Tally, duration};

/// The arguments of `recommend`.
#[derive(Args, Debug)]
pub struct Recommend {
    /// The log, as CSV or JSON lines with time, duration and outcome; - is the standard input
    file: PathBuf,
    /// Calls that took longer count as bad even if they succeeded, such as 2s
    #[arg(long, value_parser = duration)]
    slower_than: Option<Duration>,
    /// The weight of a rejected call that would have succeeded, relative to a failed call that was
    /// made
    #[arg(long, default_value_t = 1.0)]
    lost_weighs: f64,
}

/// Why nothing can be recommended.
#[derive(Debug, Error)]
pub enum RecommendError {
    /// The log can't be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The weight is out of its range.
    #[error("--lost-weighs is {0}; expected a number above 0, such as 1 or 2.5")]
    Weight(f64),
    /// The crate refuses a setting.
    #[error("a policy of the grid was refused: {0}")]
    Config(#[from] ConfigError),
    /// The report can't be written.
    #[error("can't write the report: {0}")]
    Report(#[from] io::Error),
}

/// A recommendation, and the results that it is based on.
#[derive(Debug)]
pub(crate) struct Advice {
    pub(crate) outages: Vec<Outage>,
    pub(crate) split: Split,
    /// All policies that were tried, in the order of the grid.
    pub(crate) tried: Vec<Tried>,
    /// The best of these policies.
    pub(crate) best: Tried,
    /// The crate's defaults.
    pub(crate) defaults: Tried,
    /// The tallies without a breaker, where all calls are made.
    pub(crate) none: (Tally, Tally),
}

impl Recommend {
    /// Tries the grid on the log and writes which policy did best.
    ///
    /// # Errors
    /// Returns an error if the log can't be read or the report can't be written.
    pub fn run(&self, to: &mut impl Write) -> Result<(), RecommendError> {
        if !(self.lost_weighs > 0.0 && self.lost_weighs.is_finite()) {
            return Err(RecommendError::Weight(self.lost_weighs));
        }
        let log = Log::open(&self.file)?;
        log.describe(to)?;
        let score = Score {
            bad: Bad {
                slower_than: self.slower_than,
            },
            lost_weighs: self.lost_weighs,
        };
        let name = breaker_name(&self.file);
        let outages = outages(&log.calls, score.bad);
        let baseline = baseline(&log.calls, &outages, score.bad);
        report::what_happened(to, &log, &outages, &baseline, &score)?;
        if outages.is_empty() {
            writeln!(
                to,
                "\nRecommended from the baseline and the traffic, as there is no outage to choose on:"
            )?;
            healthy::recommend(to, &log, &baseline, &score, &name)?;
        } else {
            let advice = advise(&log, outages, &score)?;
            report::advice(to, &advice, &score)?;
            if report::helps(&advice, &score) {
                report::snippet(to, &advice.best.policy, &name)?;
            } else {
                // Nothing in the log should trip, so all of it is the baseline.
                let all = outages::baseline(&log.calls, &[], score.bad);
                writeln!(to, "\nRecommended is one that leaves such a log alone:")?;
                healthy::recommend(to, &log, &all, &score, &name)?;
            }
        }
        Ok(())
    }
}

/// Makes the breaker's name from the log's file name.
fn breaker_name(path: &Path) -> String {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy());
    match stem.as_deref() {
        None | Some("-" | "") => "dependency".to_owned(),
        Some(stem) => stem.to_owned(),
    }
}

/// Tries the rules with the default recovery, then the best rule with other recoveries.
fn advise(log: &Log, outages: Vec<Outage>, score: &Score) -> Result<Advice, ConfigError> {
    let calls = &log.calls;
    let split = Split::new(calls, &outages);
    let bar = ProgressBar::new(choice::number(score.bad.slower_than)).with_style(style());
    let attempt_all = |policies: &[Policy]| {
        choice::attempt_all(policies, calls, &split, &outages, score, || bar.inc(1))
    };
    let defaults = choice::attempt(&Policy::default(), calls, &split, &outages, score)?;
    let mut tried = attempt_all(&grid::rules(score.bad.slower_than))?;
    let rule = best(&tried, score).unwrap_or(&defaults).policy.clone();
    let recoveries = attempt_all(&grid::recoveries(&rule))?;
    bar.finish_and_clear();
    let chosen = best(&recoveries, score).unwrap_or(&defaults).clone();
    // The first recovery is the default, which has been tried already.
    tried.extend(recoveries.into_iter().skip(1));
    let made = |range: std::ops::Range<usize>| {
        let admitted = vec![true; range.len()];
        Tally::of(&calls[range], &admitted, |call| score.bad.is(call))
    };
    let none = (
        made(split.choose.clone()),
        split.check.clone().map(made).unwrap_or_default(),
    );
    Ok(Advice {
        outages,
        split,
        tried,
        best: chosen,
        defaults,
        none,
    })
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{pos} of {len} policies tried {wide_bar} {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
