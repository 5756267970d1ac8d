//! `fleet`: a thousand members of the real crate, and what their common judgement is worth.

pub mod broken;
pub mod crowd;
pub mod detection;
pub mod effort;
mod events;
pub mod false_trips;
pub mod goals;
pub mod liars;
pub mod messages;
pub mod outages;
pub mod page;
pub mod process;
pub mod recovery;
pub mod setting;
pub mod tally;
pub mod wire;
pub mod without_store;
pub mod world;

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use thiserror::Error;
use tripcurve::error::ConfigError;
use tripcurve_fleet::JoinError;
use tripcurve_fleet::store::StoreError;

use self::effort::Effort;
use self::goals::Section;

/// The arguments of `fleet`.
#[derive(Args, Clone, Debug)]
pub struct Fleet {
    /// The parts: detection, false-trips, broken, recovery, store, messages; all if none is given
    parts: Vec<String>,
    /// Fleets of 100 members at most, within a minute
    #[arg(long)]
    quick: bool,
    /// The seed; equal seeds give equal results
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Multiply the lives, the hours and the minutes by this number
    #[arg(long, default_value_t = 1.0)]
    effort: f64,
    /// The folder for FLEET.md
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Why a fleet can't be tried.
#[derive(Debug, Error)]
pub enum FleetError {
    /// No part has this name.
    #[error("there is no part {name:?}; expected {}", PARTS.join(", "))]
    Unknown {
        /// The name.
        name: String,
    },
    /// The effort is out of range.
    #[error("--effort is {found}; expected above 0, at most 1000")]
    Effort {
        /// The number that was given.
        found: f64,
    },
    /// The crate refuses a setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A breaker can't join.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The memory store doesn't answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A breaker has no adaptive policy.
    #[error("the breaker has no adaptive policy")]
    NotAdaptive,
    /// The report can't be written.
    #[error("can't write the report: {0}")]
    Write(#[from] io::Error),
}

/// The parts of the page, in its order.
pub const PARTS: [&str; 6] = [
    "detection",
    "false-trips",
    "broken",
    "recovery",
    "store",
    "messages",
];

/// Simulates one part.
///
/// # Errors
/// No part has this name, or the crates refuse a setting.
pub fn part(name: &str, seed: u64, effort: &Effort) -> Result<Section, FleetError> {
    match name {
        "detection" => detection::section(seed, effort),
        "false-trips" => false_trips::section(seed, effort),
        "broken" => broken::section(seed, effort),
        "recovery" => recovery::section(seed, effort),
        "store" => without_store::section(seed),
        "messages" => messages::section(seed, effort),
        _ => Err(FleetError::Unknown { name: name.into() }),
    }
}

impl Fleet {
    /// Simulates the parts and writes the report.
    ///
    /// # Errors
    /// Returns an error if an argument is invalid or the report can't be written.
    pub fn run(&self, to: &mut impl Write) -> Result<(), FleetError> {
        if !(self.effort > 0.0 && self.effort <= 1_000.0) {
            return Err(FleetError::Effort { found: self.effort });
        }
        let effort = if self.quick {
            Effort::QUICK
        } else {
            Effort::USUAL
        };
        let effort = effort.times(self.effort);
        let all = PARTS.map(str::to_owned);
        let parts = if self.parts.is_empty() {
            &all[..]
        } else {
            &self.parts
        };
        let mut sections = Vec::new();
        for name in parts {
            let section = part(name, self.seed, &effort)?;
            writeln!(to, "{}", page::text(&section))?;
            to.flush()?;
            sections.push(section);
        }
        if let Some(folder) = &self.out {
            std::fs::create_dir_all(folder)?;
            let page = page::markdown(&sections, &self.command());
            std::fs::write(folder.join("FLEET.md"), page)?;
        }
        Ok(())
    }

    /// The command line that repeats these results.
    fn command(&self) -> String {
        let mut line = "cargo lab fleet".to_owned();
        for part in &self.parts {
            line = line + " " + part;
        }
        if self.quick {
            line += " --quick";
        }
        if (self.effort - 1.0).abs() > f64::EPSILON {
            let _ = write!(line, " --effort {}", self.effort);
        }
        let _ = write!(line, " --seed {}", self.seed);
        line
    }
}
