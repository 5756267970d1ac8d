//! What all cells come to, in the figures that the targets are set in.

use super::cell::{Cell, Role};
use super::summary::{FalseTrips, Summary};
use crate::bound::Question;
use crate::scenario::Scenario;
use crate::statistics::{geometric_mean, largest, mean, quantile};

/// What a contestant let through, compared to the limit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ratio {
    /// Over all cells.
    pub geometric_mean: Option<f64>,
    /// In the worst cell, and its name.
    pub worst: Option<(f64, String)>,
}

/// Against each of the limits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ratios {
    /// Against that which knows the healthy share.
    pub sensitive: Ratio,
    /// Against that which tolerates 25 %.
    pub tolerant: Ratio,
    /// As the first, where the fastest calls end first.
    pub sensitive_fastest: Ratio,
    /// As the second, where the fastest calls end first.
    pub tolerant_fastest: Ratio,
}

/// False trips in the worst cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Noise {
    /// An hour.
    pub worst: Option<FalseTrips>,
    /// Its name.
    pub cell: String,
    /// In all cells.
    pub all: FalseTrips,
}

/// How a contestant that has tripped comes back, at 100 calls a second and more.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WayBack {
    /// The mean time from the end of the outage to being closed, in seconds.
    pub mean: Option<f64>,
    /// The 95th percentile.
    pub late: Option<f64>,
    /// Of the traffic between the trip and the outage's end, what was let through: in the worst cell.
    pub let_through: Option<f64>,
}

/// A contestant's figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Headline {
    /// In the cells of the limit.
    pub limit: Ratios,
    /// In the cells that were drawn by chance.
    pub fresh: Ratios,
    /// Cells of the limit in which it did not always trip, and in which it never could.
    pub missing: usize,
    /// False trips among healthy calls.
    pub healthy: Noise,
    /// When failures come in runs.
    pub poison: Noise,
    /// When a quarter fails from the first call on.
    pub persistent: Noise,
    /// When one shard of four goes down for good, so that a little more than a quarter fails.
    pub shard: Noise,
    /// When calls are held up.
    pub stalls: Noise,
    /// The median time to the trip, half fail, 1,000 calls a second, in seconds.
    pub half_at_thousand: Option<f64>,
    /// The same where all is slow and nothing fails.
    pub slow_at_thousand: Option<f64>,
    /// After a total outage, in which the backend is dead.
    pub after_total: WayBack,
    /// After any sharp outage, in most of which some calls still succeed.
    pub after_sharp: WayBack,
    /// Capacity that comes back slowly: lost and failed.
    pub capacity_harm: Option<f64>,
    /// The same, not answered from the outage's end on.
    pub capacity_unanswered: Option<f64>,
    /// Kills.
    pub capacity_kills: Option<f64>,
    /// Trips after the outage.
    pub capacity_trips: Option<f64>,
    /// The mean over all faults but the slow one, in which nothing fails.
    pub harm: Option<f64>,
}

impl Headline {
    /// Of a contestant's summaries of these cells.
    #[must_use]
    pub fn of(cells: &[Cell], summaries: &[Summary]) -> Self {
        let pairs = || cells.iter().zip(summaries);
        // Where hardly anything comes in, even the best rule can't trip before the outage is over.
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
