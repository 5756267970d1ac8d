//! `replay`: runs a user's log through policies that the user chooses.

mod arguments;
mod axis;
mod binned;
mod contestant;
mod course;
mod lane;
mod page;
mod picture;
mod policy;
mod report;
mod snippet;

use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use thiserror::Error;
use tripcurve::error::ConfigError;

pub use self::arguments::PolicyError;
pub use self::contestant::{Contestant, Contestants, run_policy};
pub use self::course::{Course, Tally, Trip, run};
pub use self::policy::{Length, Policy, Rule};
pub use self::report::{Bad, Played};

use crate::log::{Log, LogError};

/// The arguments of `replay`.
#[derive(Args, Debug)]
pub struct Replay {
    /// The log, as CSV or JSON lines with time, duration and outcome; - is the standard input
    file: PathBuf,
    /// A policy such as default, consecutive:5, error-rate:0.5:min=10:window=60s or adaptive, or a
    /// file of breakers such as service.toml; give one or more. An unknown policy prints the list
    #[arg(long, required = true, num_args = 1..)]
    policy: Vec<Contestants>,
    /// Calls that took longer count as bad even if they succeeded, such as 2s
    #[arg(long, value_parser = duration)]
    slower_than: Option<Duration>,
    /// How many trips of each policy are listed
    #[arg(long, default_value_t = 20)]
    trips: usize,
    /// The file for a picture, as SVG; or, with the ending html, for a page with all of this
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Reads a duration on the command line.
///
/// # Errors
/// Returns an error if the text isn't a duration.
pub fn duration(text: &str) -> Result<Duration, String> {
    arguments::duration(text)
        .ok_or_else(|| "it is no duration; expected one such as 250ms, 2s or 1h".to_owned())
}

/// Why a log can't be replayed.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The log can't be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The crate refuses a setting.
    #[error("policy {policy:?}: {error}")]
    Config {
        /// The policy as it was written.
        policy: String,
        /// The crate's error.
        error: Box<ConfigError>,
    },
    /// The report can't be written.
    #[error("can't write the report: {0}")]
    Report(#[from] io::Error),
    /// The picture or the page can't be written.
    #[error("can't write the {what} to {path}: {error}; expected a file that can be made there")]
    Picture {
        /// What was to be written.
        what: &'static str,
        /// The file's path.
        path: String,
        /// The reason.
        error: String,
    },
}

impl Replay {
    /// Runs the log through the policies and reports.
    ///
    /// # Errors
    /// Returns an error if the log can't be read, a policy is invalid, or a result can't be
    /// written.
    pub fn run(&self, to: &mut impl Write) -> Result<(), ReplayError> {
        let log = Log::open(&self.file)?;
        log.describe(to)?;
        let bad = Bad {
            slower_than: self.slower_than,
        };
        let mut results = Vec::new();
        for contestant in self.policy.iter().flat_map(|chosen| &chosen.0) {
            let course = contestant
                .run(&log.calls)
                .map_err(|error| ReplayError::Config {
                    policy: contestant.name.clone(),
                    error: Box::new(error),
                })?;
            results.push(Played {
                name: contestant.name.clone(),
                settings: contestant.settings(),
                course,
            });
        }
        report::write(to, &log, &results, bad, self.trips)?;
        if let Some(path) = &self.out {
            let is_page = path.extension().is_some_and(|ending| ending == "html");
            let (what, written) = if is_page {
                ("page", self.write_page(path, &log, &results, bad))
            } else {
                ("picture", picture::draw(path, &log, &results, bad))
            };
            written.map_err(|error| ReplayError::Picture {
                what,
                path: path.display().to_string(),
                error: error.to_string(),
            })?;
            writeln!(to, "\nThe {what} is in {}.", path.display())?;
        }
        Ok(())
    }

    fn write_page(
        &self,
        path: &Path,
        log: &Log,
        results: &[Played],
        bad: Bad,
    ) -> Result<(), Box<dyn Error>> {
        let name = self.file.file_name().unwrap_or(self.file.as_os_str());
        let file = match name.to_string_lossy() {
            input if input == "-" => "the standard input".into(),
            file => file,
        };
        let page = page::write(&file, log, results, bad, self.trips);
        std::fs::write(path, page)?;
        Ok(())
    }
}
