//! Lives all cells with all contestants, on all cores.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use tripcurve::error::ConfigError;

use super::cell::{Cell, Role};
use super::plan::Depth;
use super::summary::Summary;
use crate::measure::Until;
use crate::policies::Contestant;

/// All that is to be compared.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What everything is drawn from.
    pub seed: u64,
    /// How much is simulated.
    pub depth: Depth,
    /// Who takes part.
    pub contestants: Vec<Contestant>,
    /// In which settings.
    pub cells: Vec<Cell>,
}

/// What came of it: for each contestant, for each cell.
pub type Results = Vec<Vec<Summary>>;

impl Comparison {
    /// About how long it takes, found by a slice of it.
    ///
    /// # Errors
    /// The crate refuses the settings of a contestant.
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

    /// Lives them all. The result doesn't depend on the number of threads.
    ///
    /// # Errors
    /// The crate refuses the settings of a contestant.
    pub fn run(&self, progress: &ProgressBar) -> Result<Results, ConfigError> {
        let cells = 0..self.cells.len();
        let mut units: Vec<(usize, usize)> = cells
            .flat_map(|cell| (0..self.contestants.len()).map(move |contestant| (contestant, cell)))
            .collect();
        // The longest first, so that at the end no core waits for one.
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
        // One unit at a time, or a thread would be dealt a whole stretch of long ones.
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

    /// About how many calls a cell takes.
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

/// A progress bar for so much.
#[must_use]
pub fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    // A template that can't be read leaves the default one.
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len}, {eta} left") {
        bar.set_style(style);
    }
    bar
}
