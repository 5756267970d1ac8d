//! The cells of a comparison, and the number of lives in each.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::cell::{Cell, DAY, Role, WarmUp};
use crate::measure::Until;
use crate::scenario::{Lengths, Scenario};
use crate::time::{MILLISECOND, SECOND, nanos};
use crate::traffic::{Latency, log_uniform, seed};

/// The amount of work in a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Depth {
    /// Rates, in calls per second.
    pub rates: Vec<f64>,
    /// Failure rates of a healthy dependency.
    pub baselines: Vec<f64>,
    /// The most lives in a cell.
    pub repetitions: u32,
    /// The approximate number of calls in a cell. A cell has at least three lives in any case.
    pub calls: f64,
    /// The approximate number of calls in a cell where nothing should trip.
    pub quiet_calls: f64,
    /// How long a lasting tolerable failure rate is watched at least, in seconds. A shorter time
    /// doesn't show how many false trips come in an hour.
    pub persistent: f64,
    /// The most calls before a fault. The time before a fault is a day at most.
    pub warm_up: f64,
    /// The number of cells drawn by chance.
    pub fresh: u32,
}

impl Depth {
    /// The full comparison.
    #[must_use]
    pub fn full() -> Self {
        Self {
            rates: vec![0.2, 1.0, 10.0, 100.0, 1_000.0, 10_000.0],
            baselines: vec![0.001, 0.01, 0.05],
            repetitions: 400,
            calls: 10e6,
            quiet_calls: 20e6,
            persistent: 3_600.0,
            warm_up: 100e3,
            fresh: 100,
        }
    }

    /// A comparison of this many contestants that takes less than a minute.
    #[must_use]
    pub fn quick(contestants: usize) -> Self {
        let contestants = u32::try_from(contestants).unwrap_or(u32::MAX);
        let share = (32.0 / f64::from(contestants.max(1))).clamp(1.0, 8.0);
        Self {
            rates: vec![1.0, 100.0, 1_000.0, 10_000.0],
            baselines: vec![0.01],
            repetitions: 100,
            calls: share * 200e3,
            quiet_calls: share * 200e3,
            persistent: 0.0,
            warm_up: 10e3,
            fresh: 6,
        }
    }

    /// The number of lives in a cell, and how many of them run to the end.
    #[must_use]
    pub fn lives(&self, cell: &Cell) -> Lives {
        let most = u64::from(self.repetitions);
        if cell.role == Role::Quiet {
            return Lives { all: 1, whole: 1 };
        }
        let fits = |until| {
            let lives = self.calls / cell.calls(until);
            whole(lives)
        };
        let whole = fits(Until::Closed).clamp(2, most.max(2));
        let all = match cell.role {
            Role::Fault => whole,
            _ => fits(Until::Trip).clamp(whole.max(3), most.max(3)),
        };
        Lives { all, whole }
    }

    /// How long a cell is watched in which nothing should trip.
    #[must_use]
    pub fn quiet_time(&self, cell: &Cell) -> Until {
        let least = match cell.scenario {
            Scenario::Persistent { .. } => self.persistent,
            _ => 0.0,
        };
        Until::Time(nanos((self.quiet_calls / cell.rate).max(least)))
    }

    /// All cells of the comparison.
    #[must_use]
    pub fn cells(&self, run_seed: u64) -> Vec<Cell> {
        let mut cells = Vec::new();
        for scenario in LIMIT {
            self.each(&mut cells, Role::Limit, scenario, &self.baselines);
        }
        for scenario in FAULTS {
            self.each(&mut cells, Role::Fault, scenario, &[0.01]);
        }
        for scenario in [Scenario::Healthy, Scenario::Poison { run: 3 }] {
            self.each(&mut cells, Role::Quiet, scenario, &self.baselines);
        }
        for scenario in QUIET {
            self.each(&mut cells, Role::Quiet, scenario, &[0.01]);
        }
        for scenario in [Scenario::TOTAL, Scenario::sharp(0.5)] {
            self.each(&mut cells, Role::Cold, scenario, &[0.01]);
        }
        cells.extend((0..self.fresh).map(|number| self.fresh_cell(run_seed, number.into())));
        cells
    }

    fn each(&self, cells: &mut Vec<Cell>, role: Role, scenario: Scenario, baselines: &[f64]) {
        for &baseline in baselines {
            for &rate in &self.rates {
                // With less traffic, the load on the backend is one call or none.
                if scenario == Scenario::Capacity && rate < 100.0 {
                    continue;
                }
                cells.push(Cell {
                    role,
                    scenario,
                    rate,
                    baseline,
                    latency: Latency::USUAL,
                    lengths: Lengths::USUAL,
                    warm_up: if role == Role::Cold {
                        WarmUp {
                            longest: 60.0,
                            calls: f64::INFINITY,
                        }
                    } else {
                        self.in_service()
                    },
                });
            }
        }
    }

    fn in_service(&self) -> WarmUp {
        WarmUp {
            longest: DAY,
            calls: self.warm_up,
        }
    }

    /// An outage drawn by chance. It depends only on the run's seed and `number`.
    fn fresh_cell(&self, run_seed: u64, number: u64) -> Cell {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed(run_seed, "fresh", number));
        let share = random.random_range(0.4..1.0_f64);
        let is_total = random.random_bool(0.25);
        let is_sharp = random.random_bool(0.7);
        let slowness = random.random_range(0.01..2.0);
        let length = log_uniform(&mut random, 10.0, 300.0);
        Cell {
            role: Role::Fresh,
            scenario: Scenario::Outage {
                share: if is_total { 1.0 } else { share },
                onset: if is_sharp { 0 } else { nanos(slowness) },
            },
            rate: digits(log_uniform(&mut random, 0.5, 20_000.0)),
            baseline: log_uniform(&mut random, 0.0005, 0.06),
            latency: Latency {
                median: log_uniform(&mut random, 0.002, 0.2),
                ..Latency::USUAL
            },
            lengths: Lengths {
                shortest: 0.9 * length,
                longest: 1.1 * length,
            },
            warm_up: self.in_service(),
        }
    }
}

/// The number of lives in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lives {
    /// The lives that run at least to the trip.
    pub all: u64,
    /// The first lives, which run to the end.
    pub whole: u64,
}

/// Scenarios that are compared with the limit.
const LIMIT: [Scenario; 3] = [Scenario::TOTAL, Scenario::sharp(0.8), Scenario::sharp(0.5)];

/// Other faults.
const FAULTS: [Scenario; 9] = [
    Scenario::sharp(0.3),
    Scenario::SLOW,
    Scenario::TIME_OUTS,
    Scenario::Decline { over: 60 * SECOND },
    Scenario::Blip {
        length: 200 * MILLISECOND,
    },
    Scenario::Flapping {
        half: 2_500 * MILLISECOND,
    },
    Scenario::BadShard { of: 4 },
    Scenario::BadShard { of: 8 },
    Scenario::Capacity,
];

/// Scenarios in which nothing should trip, in addition to `Healthy` and `Poison`.
const QUIET: [Scenario; 3] = [
    Scenario::Persistent { share: 0.25 },
    Scenario::LastingShard { of: 4 },
    Scenario::Stalls {
        every: 20 * SECOND,
        length: 300 * MILLISECOND,
    },
];

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float beyond the range is its end"
)]
fn whole(number: f64) -> u64 {
    number as u64
}

/// Rounds a rate to three digits.
fn digits(rate: f64) -> f64 {
    let unit = 10_f64.powf(rate.log10().floor() - 2.0);
    let rounded = (rate / unit).round() * unit;
    (rounded * 1e6).round() / 1e6
}
