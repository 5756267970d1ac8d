//! `sweep`: one figure of several breakers, against one property of the fault or the traffic.

pub mod family;
pub mod page;
mod picture;

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use rayon::prelude::*;
use thiserror::Error;
use tripcurve::error::ConfigError;

pub use self::family::{Depth, Family, Figures};
use crate::compare::{self, CompareError};
use crate::policies::Contestant;

/// The arguments of `sweep`.
#[derive(Args, Clone, Debug)]
pub struct Sweep {
    /// The families, such as runs or slow-calls; all if none is given
    families: Vec<String>,
    /// Do less of everything, within a minute
    #[arg(long)]
    quick: bool,
    /// The seed; equal seeds give equal results
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// These policies instead of the family's own, such as adaptive,hystrix or adaptive*
    #[arg(long, value_delimiter = ',')]
    policies: Vec<String>,
    /// A file with further breakers for --policies, as replay takes it
    #[arg(long, requires = "policies")]
    breakers: Option<PathBuf>,
    /// Multiply the number of lives by this number
    #[arg(long, default_value_t = 1)]
    effort: u32,
    /// The folder for SWEEPS.md and a folder of charts
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Why a sweep can't run.
#[derive(Debug, Error)]
pub enum SweepError {
    /// No policy or family has this name.
    #[error(transparent)]
    Choice(#[from] CompareError),
    /// The crate refuses a contestant's settings.
    #[error("the crate refuses a contestant: {0}")]
    Config(#[from] ConfigError),
    /// The report can't be written.
    #[error("can't write the report: {0}")]
    Write(#[from] io::Error),
    /// The page or a picture can't be written.
    #[error("can't write to {folder}: {error}; expected a folder in which files can be made")]
    Out {
        /// The folder.
        folder: String,
        /// The reason.
        error: String,
    },
}

/// The results of one family: the figures of each contestant, in the order of the family's values.
#[derive(Clone, Debug, PartialEq)]
pub struct Swept {
    /// The family.
    pub family: Family,
    /// The name of each contestant and its figures.
    pub lines: Vec<(&'static str, Vec<Figures>)>,
}

impl Sweep {
    /// Runs the sweeps and writes the report.
    ///
    /// # Errors
    /// Returns an error if an argument is invalid or the report can't be written.
    pub fn run(&self, to: &mut impl Write) -> Result<(), SweepError> {
        let depth = Depth::new(self.quick, self.effort);
        let mut all = Vec::new();
        for family in self.chosen()? {
            let contestants = self.contestants(family)?;
            let swept = sweep(family, &contestants, &depth, self.seed)?;
            writeln!(to, "{}", page::text(&swept))?;
            to.flush()?;
            all.push(swept);
        }
        if let Some(folder) = &self.out {
            write(folder, &all, &self.command()).map_err(|error| SweepError::Out {
                folder: folder.display().to_string(),
                error: error.to_string(),
            })?;
        }
        Ok(())
    }

    fn chosen(&self) -> Result<Vec<Family>, CompareError> {
        let find = |name: &String| {
            let found = Family::ALL.into_iter().find(|one| one.name() == name);
            found.ok_or_else(|| CompareError::Unknown {
                kind: "family",
                name: name.clone(),
                known: Family::ALL.map(Family::name).join(", "),
            })
        };
        if self.families.is_empty() {
            return Ok(Family::ALL.to_vec());
        }
        self.families.iter().map(find).collect()
    }

    fn contestants(&self, family: Family) -> Result<Vec<Contestant>, CompareError> {
        let file = self.breakers.as_deref();
        if !self.policies.is_empty() {
            return compare::contestants(&self.policies, file);
        }
        let own: Vec<_> = family.policies().iter().map(ToString::to_string).collect();
        compare::contestants(&own, None)
    }

    /// The command line that repeats these results.
    fn command(&self) -> String {
        let mut line = "cargo lab sweep".to_owned();
        for family in &self.families {
            let _ = write!(line, " {family}");
        }
        let _ = write!(line, " --seed {}", self.seed);
        if self.quick {
            line += " --quick";
        }
        if !self.policies.is_empty() {
            let _ = write!(line, " --policies {}", self.policies.join(","));
        }
        if let Some(file) = &self.breakers {
            let _ = write!(line, " --breakers {}", file.display());
        }
        if self.effort != 1 {
            let _ = write!(line, " --effort {}", self.effort);
        }
        line
    }
}

/// Runs one family with these contestants. The result doesn't depend on the number of threads.
///
/// # Errors
/// Returns an error if the crate refuses a contestant's settings.
pub fn sweep(
    family: Family,
    contestants: &[Contestant],
    depth: &Depth,
    seed: u64,
) -> Result<Swept, ConfigError> {
    let values = family.values();
    let units: Vec<(&Contestant, f64)> = contestants
        .iter()
        .flat_map(|contestant| values.iter().map(move |&value| (contestant, value)))
        .collect();
    let figures: Result<Vec<_>, _> = units
        .par_iter()
        .with_max_len(1)
        .map(|(contestant, value)| family.figures(contestant, *value, depth, seed))
        .collect();
    let figures = figures?;
    let lines = contestants.iter().map(|contestant| contestant.name);
    Ok(Swept {
        family,
        lines: lines
            .zip(figures.chunks(values.len()).map(<[Figures]>::to_vec))
            .collect(),
    })
}

/// Writes the page and the pictures of these results.
///
/// # Errors
/// Returns an error if a file can't be written.
pub fn write(folder: &Path, all: &[Swept], command: &str) -> Result<(), Box<dyn Error>> {
    let charts = folder.join("charts");
    std::fs::create_dir_all(&charts)?;
    for swept in all {
        picture::draw(&charts.join(page::file(swept.family)), swept)?;
    }
    std::fs::write(folder.join("SWEEPS.md"), page::markdown(all, command))?;
    Ok(())
}
