//! `compare`: breakers in scenarios, compared with each other and with the limit.

pub mod cell;
pub mod chart;
pub mod headline;
pub mod page;
pub mod plan;
pub mod report;
pub mod run;
pub mod summary;
pub mod targets;

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use thiserror::Error;
use tripcurve::error::ConfigError;

pub use self::cell::{Cell, Role, WarmUp};
use self::chart::Chart;
pub use self::headline::Headline;
pub use self::plan::Depth;
pub use self::run::{Comparison, Results};
pub use self::summary::Summary;
use crate::capacity::Capacity;
use crate::html;
use crate::policies::{self, Contestant};

/// The arguments of `compare`.
#[derive(Args, Clone, Debug)]
pub struct Compare {
    /// Do less of everything, within a minute
    #[arg(long)]
    quick: bool,
    /// The seed; equal seeds give equal results
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only these policies, such as adaptive,hystrix or adaptive*; "ours" means all of the crate
    #[arg(long, value_delimiter = ',')]
    policies: Vec<String>,
    /// A file with further breakers, ours or peers, as replay takes it
    #[arg(long)]
    breakers: Option<PathBuf>,
    /// Only these scenarios, such as total,outage-50 or shard*
    #[arg(long, value_delimiter = ',')]
    scenarios: Vec<String>,
    /// Only these rates, in calls per second, such as 1,1000
    #[arg(long, value_delimiter = ',')]
    rates: Vec<f64>,
    /// The most lives in a cell
    #[arg(long)]
    repetitions: Option<u32>,
    /// Multiply the work by this number
    #[arg(long, default_value_t = 1.0)]
    effort: f64,
    /// The folder for RESULTS.md and a folder of charts
    #[arg(long)]
    out: Option<PathBuf>,
    /// The file for one page of HTML with the same tables and charts
    #[arg(long)]
    html: Option<PathBuf>,
    /// Write tables of all cells, too
    #[arg(long)]
    cells: bool,
}

/// Why a comparison can't run.
#[derive(Debug, Error)]
pub enum CompareError {
    /// No policy or scenario has this name.
    #[error("no {kind} is called {name:?}; expected some of: {known}")]
    Unknown {
        /// The kind of thing that was looked for.
        kind: &'static str,
        /// The name that was given.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// A file of breakers can't be read.
    #[error("{path}: {error}")]
    Breakers {
        /// The file's path.
        path: String,
        /// The reason.
        error: String,
    },
    /// A number that is out of its range.
    #[error("--{option} is {value}; expected {expected}")]
    Number {
        /// The option's name.
        option: &'static str,
        /// The number that was given.
        value: f64,
        /// The numbers that are allowed.
        expected: &'static str,
    },
    /// The crate refuses a contestant's settings.
    #[error("the crate refuses a contestant: {0}")]
    Config(#[from] ConfigError),
    /// The report can't be written.
    #[error("can't write the report: {0}")]
    Write(#[from] io::Error),
    /// A chart can't be drawn.
    #[error("can't draw a chart: {0}")]
    Chart(String),
    /// The page of HTML can't be written.
    #[error("can't write the page to {file}: {error}; expected a file that can be made there")]
    Html {
        /// The file.
        file: String,
        /// The reason.
        error: String,
    },
    /// The page or a chart can't be written.
    #[error("can't write to {folder}: {error}; expected a folder in which files can be made")]
    Out {
        /// The folder.
        folder: String,
        /// The reason.
        error: String,
    },
}

impl Compare {
    /// Runs the comparison and writes the report.
    ///
    /// # Errors
    /// Returns an error if an option is invalid or the report can't be written.
    pub fn run(&self, to: &mut impl Write) -> Result<(), CompareError> {
        let comparison = self.comparison()?;
        let estimate = comparison.estimate()?;
        writeln!(
            to,
            "{} policies in {} cells, seed {}: about {} on {} threads.",
            comparison.contestants.len(),
            comparison.cells.len(),
            self.seed,
            crate::words::span(u64::try_from(estimate.as_nanos()).unwrap_or(u64::MAX)),
            rayon::current_num_threads(),
        )?;
        to.flush()?;
        let begin = Instant::now();
        let progress = run::progress_bar();
        let results = comparison.run(&progress)?;
        progress.finish_and_clear();
        let calls: u64 = results.iter().flatten().map(|summary| summary.calls).sum();
        let took = begin.elapsed();
        writeln!(
            to,
            "{} calls in {}: {:.1} million a second.\n",
            crate::words::count(calls),
            crate::words::span(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)),
            crate::time::number(calls) / took.as_secs_f64() / 1e6,
        )?;
        self.report(to, &comparison, &results)
    }

    fn report(
        &self,
        to: &mut impl Write,
        comparison: &Comparison,
        results: &Results,
    ) -> Result<(), CompareError> {
        let headlines: Vec<Headline> = results
            .iter()
            .map(|summaries| Headline::of(&comparison.cells, summaries))
            .collect();
        for table in report::headline(comparison, &headlines) {
            writeln!(to, "{}", table.text())?;
        }
        writeln!(
            to,
            "Capacity that comes back slowly: {:.1} s of traffic are missing whoever decides; the least harm is {:.1} s.\n",
            Capacity::missing(),
            Capacity::least_harm()
        )?;
        writeln!(to, "{}", report::worst(comparison, &headlines))?;
        if self.cells {
            for (role, figure) in FIGURES {
                for (title, table) in report::by_rate(comparison, results, role, figure) {
                    writeln!(to, "{title}\n{}", table.text())?;
                }
            }
            writeln!(to, "{}", report::fresh(comparison, results).text())?;
        }
        if self.out.is_some() || self.html.is_some() {
            self.write_pages(comparison, results, &headlines)?;
        }
        Ok(())
    }

    fn write_pages(
        &self,
        comparison: &Comparison,
        results: &Results,
        headlines: &[Headline],
    ) -> Result<(), CompareError> {
        let charts = chart::draw(comparison, results, headlines);
        let charts = charts.map_err(|error| CompareError::Chart(error.to_string()))?;
        let page = page::write(comparison, results, headlines, &self.command(), &charts);
        let place = |file: &Path| file.display().to_string();
        if let Some(folder) = &self.out {
            write_folder(folder, &page, &charts).map_err(|error| CompareError::Out {
                folder: place(folder),
                error: error.to_string(),
            })?;
        }
        if let Some(file) = &self.html {
            let picture = |address: &str| {
                let mut charts = charts.iter();
                let chart = charts.find(|chart| address.ends_with(chart.file))?;
                Some(chart.svg.clone())
            };
            let page = html::of_markdown(&page, picture);
            std::fs::write(file, page).map_err(|error| CompareError::Html {
                file: place(file),
                error: error.to_string(),
            })?;
        }
        Ok(())
    }

    /// The command line that repeats these results.
    fn command(&self) -> String {
        let mut line = format!(
            "cargo run --release -p tripcurve-lab -- compare --seed {}",
            self.seed
        );
        if self.quick {
            line += " --quick";
        }
        if let Some(file) = &self.breakers {
            let _ = write!(line, " --breakers {}", file.display());
        }
        let rates: Vec<String> = self.rates.iter().map(f64::to_string).collect();
        for (option, values) in [
            ("policies", &self.policies),
            ("scenarios", &self.scenarios),
            ("rates", &rates),
        ] {
            if !values.is_empty() {
                let _ = write!(line, " --{option} {}", values.join(","));
            }
        }
        if let Some(repetitions) = self.repetitions {
            let _ = write!(line, " --repetitions {repetitions}");
        }
        if (self.effort - 1.0).abs() > f64::EPSILON {
            let _ = write!(line, " --effort {}", self.effort);
        }
        line
    }

    /// The comparison that the arguments describe.
    fn comparison(&self) -> Result<Comparison, CompareError> {
        let contestants = contestants(&self.policies, self.breakers.as_deref())?;
        let mut depth = if self.quick {
            Depth::quick(contestants.len())
        } else {
            Depth::full()
        };
        if self.effort <= 0.0 || !self.effort.is_finite() {
            return Err(CompareError::Number {
                option: "effort",
                value: self.effort,
                expected: "a number above 0; 1 is the usual",
            });
        }
        depth.calls *= self.effort;
        depth.quiet_calls *= self.effort;
        depth.repetitions = self.repetitions.unwrap_or(depth.repetitions);
        if let Some(rate) = self.rates.iter().find(|rate| !(0.01..=1e6).contains(*rate)) {
            return Err(CompareError::Number {
                option: "rates",
                value: *rate,
                expected: "calls a second, 0.01 to 1,000,000",
            });
        }
        if !self.rates.is_empty() {
            depth.rates.clone_from(&self.rates);
        }
        let cells = self.cells(&depth)?;
        Ok(Comparison {
            seed: self.seed,
            depth,
            contestants,
            cells,
        })
    }

    fn cells(&self, depth: &Depth) -> Result<Vec<Cell>, CompareError> {
        let all = depth.cells(self.seed);
        let name = |cell: &Cell| match cell.role {
            Role::Cold => format!("cold-{}", cell.scenario.name()),
            Role::Fresh => "fresh".to_owned(),
            _ => cell.scenario.name().into_owned(),
        };
        for pattern in &self.scenarios {
            if !all.iter().any(|cell| matches(pattern, &name(cell))) {
                let mut known: Vec<String> = all.iter().map(name).collect();
                known.dedup();
                return Err(CompareError::Unknown {
                    kind: "scenario",
                    name: pattern.clone(),
                    known: known.join(", "),
                });
            }
        }
        let is_chosen = |cell: &Cell| {
            let matches = |pattern: &String| matches(pattern, &name(cell));
            self.scenarios.is_empty() || self.scenarios.iter().any(matches)
        };
        Ok(all.into_iter().filter(is_chosen).collect())
    }
}

fn write_folder(folder: &Path, page: &str, charts: &[Chart]) -> io::Result<()> {
    let place = folder.join("charts");
    std::fs::create_dir_all(&place)?;
    for chart in charts {
        std::fs::write(place.join(chart.file), &chart.svg)?;
    }
    std::fs::write(folder.join("RESULTS.md"), page)
}

/// The contestants whose names match one of the patterns. Without patterns, these are all. `file`
/// is a file with further breakers.
///
/// # Errors
/// Returns an error if a pattern matches none.
pub fn contestants(
    patterns: &[String],
    file: Option<&Path>,
) -> Result<Vec<Contestant>, CompareError> {
    let all = match file {
        None => policies::all(),
        Some(path) => {
            let wrong = |error: &dyn fmt::Display| CompareError::Breakers {
                path: path.display().to_string(),
                error: error.to_string(),
            };
            let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
            policies::all_and(&text).map_err(|error| wrong(&error))?
        }
    };
    for pattern in patterns {
        if pattern != "ours" && !all.iter().any(|one| matches(pattern, one.name)) {
            let known: Vec<&str> = all.iter().map(|one| one.name).collect();
            return Err(CompareError::Unknown {
                kind: "policy",
                name: pattern.clone(),
                known: known.join(", "),
            });
        }
    }
    let is_chosen = |one: &Contestant| {
        let matches =
            |pattern: &String| matches(pattern, one.name) || pattern == "ours" && one.is_ours();
        patterns.is_empty() || patterns.iter().any(matches)
    };
    Ok(all.into_iter().filter(is_chosen).collect())
}

/// Formats one figure of a cell.
type Figure = fn(&Cell, &Summary) -> String;

/// The figures shown for the cells of each role.
const FIGURES: [(Role, Figure); 7] = [
    (Role::Limit, report::leaked),
    (Role::Limit, report::after),
    (Role::Cold, report::leaked),
    (Role::Fault, report::leaked),
    (Role::Fault, report::delay),
    (Role::Fault, report::after),
    (Role::Quiet, report::false_trips),
];

/// Whether `pattern` matches `name`: exactly, or as a prefix if it ends in a star.
fn matches(pattern: &str, name: &str) -> bool {
    pattern
        .strip_suffix('*')
        .map_or(pattern == name, |begin| name.starts_with(begin))
}
