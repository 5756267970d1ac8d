//! The figures of all cells together, in the units of the targets.

use super::cell::{Cell, Role};
use super::summary::{FalseTrips, Summary};
use crate::bound::Question;
use crate::scenario::Scenario;
use crate::statistics::{geometric_mean, largest, mean, quantile};

/// The failed calls that a contestant let through, relative to a limit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ratio {
    /// Over all cells.
    pub geometric_mean: Option<f64>,
    /// The ratio in the worst cell, and the cell's name.
    pub worst: Option<(f64, String)>,
}

/// The ratios to each of the limits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ratios {
    /// Against the limit that knows the healthy failure rate.
    pub sensitive: Ratio,
    /// Against the limit that tolerates 25 % failures.
    pub tolerant: Ratio,
    /// Like `sensitive`, where the fastest calls end first.
    pub sensitive_fastest: Ratio,
    /// Like `tolerant`, where the fastest calls end first.
    pub tolerant_fastest: Ratio,
}

/// False trips in the worst cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Noise {
    /// The false trips per hour.
    pub worst: Option<FalseTrips>,
    /// The cell's name.
    pub cell: String,
    /// The false trips of all cells.
    pub all: FalseTrips,
}

/// The recovery of a contestant that has tripped, at 100 calls per second and more.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WayBack {
    /// The mean time from the end of the outage until the breaker closes, in seconds.
    pub mean: Option<f64>,
    /// The 95th percentile of that time.
    pub late: Option<f64>,
    /// The share of traffic let through between the trip and the outage's end, in the worst cell.
    pub let_through: Option<f64>,
}

/// A contestant's figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Headline {
    /// Ratios in the cells of the limit.
    pub limit: Ratios,
    /// Ratios in the cells that were drawn by chance.
    pub fresh: Ratios,
    /// Cells of the limit with lives without a trip, or in which it was never closed at the onset.
    pub missing: usize,
    /// False trips while calls are healthy.
    pub healthy: Noise,
    /// False trips when failures come in runs.
    pub poison: Noise,
    /// False trips when a quarter fails from the first call on.
    pub persistent: Noise,
    /// False trips when one of four shards goes down for good. A little more than a quarter fails
    /// then.
    pub shard: Noise,
    /// False trips when calls are held up.
    pub stalls: Noise,
    /// The median time to the trip if half fail at 1,000 calls per second, in seconds.
    pub half_at_thousand: Option<f64>,
    /// The median time to the trip if all calls are slow and none fails, at 1,000 calls per second.
    pub slow_at_thousand: Option<f64>,
    /// Recovery after a total outage, in which the backend is dead.
    pub after_total: WayBack,
    /// Recovery after any sharp outage. In most of them some calls still succeed.
    pub after_sharp: WayBack,
    /// Harm while capacity returns slowly: lost and failed calls.
    pub capacity_harm: Option<f64>,
    /// Unanswered calls from the outage's end on, while capacity returns slowly.
    pub capacity_unanswered: Option<f64>,
    /// Kills while capacity returns slowly.
    pub capacity_kills: Option<f64>,
    /// Trips after the outage, while capacity returns slowly.
    pub capacity_trips: Option<f64>,
    /// The mean harm of all faults except the slow one, in which nothing fails.
    pub harm: Option<f64>,
}

impl Headline {
    /// The headline of a contestant, from its summaries of these cells.
    #[must_use]
    pub fn of(cells: &[Cell], summaries: &[Summary]) -> Self {
        let pairs = || cells.iter().zip(summaries);
        // With very little traffic, even the best rule can't trip before the outage is over.
        let with_role =
            |role| pairs().filter(move |(cell, _)| cell.role == role && cell.rate >= 1.0);
        let quiet = |is: fn(&Scenario) -> bool| {
            noise(pairs().filter(move |(cell, _)| cell.role == Role::Quiet && is(&cell.scenario)))
        };
        let busy = || with_role(Role::Limit).filter(|(cell, _)| cell.rate >= 100.0);
        let at_thousand = |scenario: Scenario| {
            let delays: Vec<f64> = pairs()
                .filter(|(cell, _)| matches!(cell.role, Role::Limit | Role::Fault))
                .filter(|(cell, _)| cell.scenario == scenario && is_thousand(cell.rate))
                .filter(|(_, summary)| summary.share_tripped() >= Some(0.5))
                .flat_map(|(_, summary)| summary.delays.iter().copied())
                .collect();
            quantile(&delays, 0.5)
        };
        let capacity = |what: fn(&Summary) -> Option<f64>| {
            let found = pairs().filter(|(cell, _)| cell.scenario == Scenario::Capacity);
            mean(
                &found
                    .filter_map(|(_, summary)| what(summary))
                    .collect::<Vec<_>>(),
            )
        };
        let faults = pairs()
            .filter(|(cell, _)| matches!(cell.role, Role::Limit | Role::Fault))
            .filter(|(cell, _)| cell.scenario != Scenario::SLOW && cell.rate >= 1.0);
        Self {
            limit: ratios(|| with_role(Role::Limit)),
            fresh: ratios(|| with_role(Role::Fresh)),
            missing: with_role(Role::Limit)
                .filter(|(_, summary)| summary.share_tripped() < Some(1.0))
                .count(),
            healthy: quiet(|scenario| matches!(scenario, Scenario::Healthy)),
            poison: quiet(|scenario| matches!(scenario, Scenario::Poison { .. })),
            persistent: quiet(|scenario| matches!(scenario, Scenario::Persistent { .. })),
            shard: quiet(|scenario| matches!(scenario, Scenario::LastingShard { .. })),
            stalls: quiet(|scenario| matches!(scenario, Scenario::Stalls { .. })),
            half_at_thousand: at_thousand(Scenario::sharp(0.5)),
            slow_at_thousand: at_thousand(Scenario::SLOW),
            after_total: way_back(busy().filter(|(cell, _)| cell.scenario == Scenario::TOTAL)),
            after_sharp: way_back(busy()),
            capacity_harm: capacity(|summary| summary.harm),
            capacity_unanswered: capacity(|summary| summary.unanswered),
            capacity_kills: capacity(|summary| summary.kills),
            capacity_trips: capacity(|summary| summary.trips_after),
            harm: mean(
                &faults
                    .filter_map(|(_, summary)| summary.harm)
                    .collect::<Vec<_>>(),
            ),
        }
    }
}

fn is_thousand(rate: f64) -> bool {
    (rate - 1_000.0).abs() < 1.0
}

fn ratios<'a, I: Iterator<Item = (&'a Cell, &'a Summary)>>(cells: impl Fn() -> I) -> Ratios {
    let simple = |question: Question, cell: &Cell| question.failed_calls(cell.rate, cell.latency);
    let fastest = |question: Question, cell: &Cell| {
        question.failed_calls_fastest_first(cell.rate, cell.latency)
    };
    Ratios {
        sensitive: ratio(cells(), |cell| Some(simple(cell.sensitive()?, cell))),
        tolerant: ratio(cells(), |cell| Some(simple(cell.tolerant()?, cell))),
        sensitive_fastest: ratio(cells(), |cell| Some(fastest(cell.sensitive()?, cell))),
        tolerant_fastest: ratio(cells(), |cell| Some(fastest(cell.tolerant()?, cell))),
    }
}

fn ratio<'a>(
    cells: impl Iterator<Item = (&'a Cell, &'a Summary)>,
    bound: impl Fn(&Cell) -> Option<f64>,
) -> Ratio {
    let ratios: Vec<(f64, &Cell)> = cells
        .filter_map(|(cell, summary)| Some((summary.leaked? / bound(cell)?, cell)))
        .collect();
    let values: Vec<f64> = ratios.iter().map(|(ratio, _)| *ratio).collect();
    let worst = ratios
        .iter()
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(ratio, cell)| (*ratio, cell.name()));
    Ratio {
        geometric_mean: geometric_mean(&values),
        worst,
    }
}

fn way_back<'a>(cells: impl Iterator<Item = (&'a Cell, &'a Summary)>) -> WayBack {
    let summaries: Vec<&Summary> = cells.map(|(_, summary)| summary).collect();
    let recoveries: Vec<f64> = summaries
        .iter()
        .flat_map(|summary| summary.recoveries.iter().copied())
        .collect();
    WayBack {
        mean: mean(&recoveries),
        late: quantile(&recoveries, 0.95),
        let_through: largest(summaries.iter().filter_map(|summary| summary.onto_dead)),
    }
}

fn noise<'a>(cells: impl Iterator<Item = (&'a Cell, &'a Summary)>) -> Noise {
    let mut noise = Noise::default();
    for (cell, summary) in cells {
        let trips = summary.trips;
        noise.all = noise.all.plus(trips);
        if noise
            .worst
            .is_none_or(|worst| trips.per_hour() > worst.per_hour())
        {
            noise.worst = Some(trips);
            noise.cell = cell.name();
        }
    }
    noise
}
