//! Runs the lives of all cells with all contestants, on all cores.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use tripcurve::error::ConfigError;

use super::cell::{Cell, Role};
use super::plan::Depth;
use super::summary::Summary;
use crate::measure::Until;
use crate::policies::Contestant;

/// A comparison: the contestants, the cells and the amount of work.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The seed of all random draws.
    pub seed: u64,
    /// The amount of work.
    pub depth: Depth,
    /// The breakers that take part.
    pub contestants: Vec<Contestant>,
    /// The settings in which they are compared.
    pub cells: Vec<Cell>,
}

/// A summary for each contestant and each cell.
pub type Results = Vec<Vec<Summary>>;

impl Comparison {
    /// Estimates how long the comparison takes, from a slice of it.
    ///
    /// # Errors
    /// Returns an error if the crate refuses a contestant's settings.
    pub fn estimate(&self) -> Result<Duration, ConfigError> {
        let calls: f64 = self.cells.iter().map(|cell| self.calls(cell)).sum();
        let mut slice = self.cells.iter().filter(|cell| cell.role == Role::Quiet);
        let Some(cell) = slice.find(|cell| cell.rate >= 100.0).or(self.cells.first()) else {
            return Ok(Duration::ZERO);
        };
        let cell = Cell {
            warm_up: super::cell::WarmUp {
                longest: f64::INFINITY,
                calls: 50e3,
            },
            ..cell.clone()
        };
        let mut seconds = 0.0;
        for contestant in &self.contestants {
            let begin = Instant::now();
            let life = cell.live(contestant, self.seed, 0, Until::Time(0))?;
            let a_call = begin.elapsed().as_secs_f64() / crate::time::number(life.calls);
            seconds += a_call * calls;
        }
        let threads = crate::time::number(rayon::current_num_threads() as u64);
        Ok(Duration::from_secs_f64(seconds / threads))
    }

    /// Runs all lives. The result doesn't depend on the number of threads.
    ///
    /// # Errors
    /// Returns an error if the crate refuses a contestant's settings.
    pub fn run(&self, progress: &ProgressBar) -> Result<Results, ConfigError> {
        let cells = 0..self.cells.len();
        let mut units: Vec<(usize, usize)> = cells
            .flat_map(|cell| (0..self.contestants.len()).map(move |contestant| (contestant, cell)))
            .collect();
        // The longest units come first, so that no core waits for a long one at the end.
        units.sort_by(|(_, left), (_, right)| {
            let work = |cell: &usize| self.calls(&self.cells[*cell]);
            work(right).total_cmp(&work(left))
        });
        progress.set_length(units.len() as u64);
        let live = |&(contestant, cell): &(usize, usize)| {
            let summary = self.live(&self.contestants[contestant], &self.cells[cell])?;
            progress.inc(1);
            Ok(((contestant, cell), summary))
        };
        // Threads take single units. Otherwise one thread would get a whole stretch of long ones.
        let done: Result<Vec<_>, ConfigError> =
            units.par_iter().with_max_len(1).map(live).collect();
        let mut results = vec![vec![Summary::default(); self.cells.len()]; self.contestants.len()];
        for ((contestant, cell), summary) in done? {
            results[contestant][cell] = summary;
        }
        Ok(results)
    }

    fn live(&self, contestant: &Contestant, cell: &Cell) -> Result<Summary, ConfigError> {
        let lives = self.depth.lives(cell);
        let until = |number| match cell.role {
            Role::Quiet => self.depth.quiet_time(cell),
            _ if number < lives.whole => Until::Closed,
            _ => Until::Trip,
        };
        let all: Result<Vec<_>, _> = (0..lives.all)
            .map(|number| cell.live(contestant, self.seed, number, until(number)))
            .collect();
        Ok(Summary::of(cell, &all?, lives.whole))
    }

    /// The approximate number of calls in a cell.
    fn calls(&self, cell: &Cell) -> f64 {
        if cell.role == Role::Quiet {
            return cell.calls(self.depth.quiet_time(cell));
        }
        let lives = self.depth.lives(cell);
        let whole = crate::time::number(lives.whole);
        let rest = crate::time::number(lives.all - lives.whole);
        whole * cell.calls(Until::Closed) + rest * cell.calls(Until::Trip)
    }
}

/// A progress bar of this length.
#[must_use]
pub fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    // If the template is invalid, the default one stays.
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len}, {eta} left") {
        bar.set_style(style);
    }
    bar
}
