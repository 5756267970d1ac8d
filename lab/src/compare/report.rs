//! The results as text and tables.

use std::fmt::Write as _;

use super::cell::{Cell, Role};
use super::headline::{Headline, Noise, Ratio, Ratios};
use super::run::{Comparison, Results};
use super::summary::{FalseTrips, Summary};
use crate::bound::Question;
use crate::statistics::mean;
use crate::table::{Table, percent, short};

/// The figures of the targets, a row for each contestant.
#[must_use]
pub fn headline(comparison: &Comparison, headlines: &[Headline]) -> [Table; 3] {
    let mut detection = Table::new([
        "policy",
        "A",
        "worst",
        "B",
        "worst",
        "A fastest",
        "worst",
        "B fastest",
        "worst",
        "missing",
        "fresh A",
        "worst",
        "fresh B",
        "worst",
        "50 % at 1k, ms",
        "slow at 1k, ms",
    ]);
    let mut noise = Table::new([
        "policy",
        "healthy/h",
        "all (95 %)",
        "poison/h",
        "all (95 %)",
        "25 %/h",
        "all (95 %)",
        "shard/h",
        "stalls/h",
    ]);
    let mut recovery = Table::new([
        "policy",
        "total: recovery, s",
        "p95",
        "onto dead",
        "sharp: recovery, s",
        "p95",
        "let through",
        "capacity: harm, s",
        "unanswered, s",
        "kills",
        "re-trips",
        "mean harm, s",
    ]);
    for (contestant, headline) in comparison.contestants.iter().zip(headlines) {
        let name = contestant.name.to_owned();
        let ratio = |ratio: &Ratio| {
            [
                short(ratio.geometric_mean),
                short(ratio.worst.as_ref().map(|(worst, _)| *worst)),
            ]
        };
        let millis = |seconds: Option<f64>| short(seconds.map(|seconds| seconds * 1_000.0));
        let mut row = vec![name.clone()];
        let Ratios {
            sensitive,
            tolerant,
            sensitive_fastest,
            tolerant_fastest,
        } = &headline.limit;
        for of in [sensitive, tolerant, sensitive_fastest, tolerant_fastest] {
            row.extend(ratio(of));
        }
        row.push(headline.missing.to_string());
        row.extend(ratio(&headline.fresh.sensitive));
        row.extend(ratio(&headline.fresh.tolerant));
        row.push(millis(headline.half_at_thousand));
        row.push(millis(headline.slow_at_thousand));
        detection.row(row);
        let mut row = vec![name.clone()];
        for of in [&headline.healthy, &headline.poison, &headline.persistent] {
            row.push(short(of.worst.map(FalseTrips::per_hour)));
            row.push(all(of));
        }
        row.push(short(headline.shard.worst.map(FalseTrips::per_hour)));
        row.push(short(headline.stalls.worst.map(FalseTrips::per_hour)));
        noise.row(row);
        let mut row = vec![name];
        for way_back in [&headline.after_total, &headline.after_sharp] {
            row.extend([
                short(way_back.mean),
                short(way_back.late),
                percent(way_back.let_through),
            ]);
        }
        row.extend([
            short(headline.capacity_harm),
            short(headline.capacity_unanswered),
            short(headline.capacity_kills),
            short(headline.capacity_trips),
            short(headline.harm),
        ]);
        recovery.row(row);
    }
    [detection, noise, recovery]
}

fn all(noise: &Noise) -> String {
    if noise.all.hours <= 0.0 {
        return "–".to_owned();
    }
    let (low, high) = noise.all.interval();
    format!(
        "{} in {:.0} h: {}–{}",
        noise.all.count,
        noise.all.hours,
        short(Some(low)),
        short(Some(high))
    )
}

/// The worst cells of each contestant.
#[must_use]
pub fn worst(comparison: &Comparison, headlines: &[Headline]) -> String {
    let mut text = String::new();
    for (contestant, headline) in comparison.contestants.iter().zip(headlines) {
        if !contestant.is_ours() {
            continue;
        }
        let mut parts = Vec::new();
        for (what, ratio) in [
            ("A", &headline.limit.sensitive),
            ("B", &headline.limit.tolerant),
            ("fresh A", &headline.fresh.sensitive),
            ("fresh B", &headline.fresh.tolerant),
        ] {
            if let Some((worst, cell)) = &ratio.worst {
                parts.push(format!("{what} {} in {cell}", short(Some(*worst))));
            }
        }
        for noise in [
            &headline.healthy,
            &headline.poison,
            &headline.persistent,
            &headline.shard,
        ] {
            if let Some(worst) = noise.worst.filter(|worst| worst.count > 0) {
                let (low, high) = worst.interval();
                let (low, high) = (short(Some(low)), short(Some(high)));
                parts.push(format!(
                    "{} false trips ({low}–{high} an hour) in {}",
                    worst.count, noise.cell
                ));
            }
        }
        let _ = writeln!(text, "{}: {}", contestant.name, parts.join("; "));
    }
    text
}

/// Tables of one figure for the cells of a role.
///
/// Each scenario and baseline has a title and a table, with a row per contestant and a column per
/// rate.
#[must_use]
pub fn by_rate(
    comparison: &Comparison,
    results: &Results,
    role: Role,
    figure: fn(&Cell, &Summary) -> String,
) -> Vec<(String, Table)> {
    let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
    for (index, cell) in comparison.cells.iter().enumerate() {
        if cell.role != role {
            continue;
        }
        let scenario = cell.scenario.name();
        let title = format!("{scenario}, usually {} fail", percent(Some(cell.baseline)));
        match groups.last_mut() {
            Some((last, indices)) if *last == title => indices.push(index),
            _ => groups.push((title, vec![index])),
        }
    }
    let table = |indices: &[usize]| {
        let rates = indices
            .iter()
            .map(|&index| format!("{}/s", comparison.cells[index].rate));
        let mut table = Table::new(std::iter::once("policy".to_owned()).chain(rates));
        for (contestant, summaries) in comparison.contestants.iter().zip(results) {
            let figures = indices
                .iter()
                .map(|&index| figure(&comparison.cells[index], &summaries[index]));
            table.row(std::iter::once(contestant.name.to_owned()).chain(figures));
        }
        table
    };
    let tables = groups
        .iter()
        .map(|(title, indices)| (title.clone(), table(indices)));
    tables.collect()
}

/// Failed calls that our policies and the limits let through in the cells drawn by chance.
#[must_use]
pub fn fresh(comparison: &Comparison, results: &Results) -> Table {
    let ours = || {
        let all = comparison.contestants.iter().zip(results);
        all.filter(|(contestant, _)| contestant.is_ours())
    };
    let header = ["cell", "median, ms", "limit A", "limit B"].into_iter();
    let mut table = Table::new(header.chain(ours().map(|(contestant, _)| contestant.name)));
    for (index, cell) in comparison.cells.iter().enumerate() {
        if cell.role != Role::Fresh {
            continue;
        }
        let limit = |question: Option<Question>| {
            short(question.map(|question| question.failed_calls(cell.rate, cell.latency)))
        };
        let mut row = vec![
            cell.name(),
            short(Some(cell.latency.median * 1_000.0)),
            limit(cell.sensitive()),
            limit(cell.tolerant()),
        ];
        row.extend(ours().map(|(_, summaries)| leaked(cell, &summaries[index])));
        table.row(row);
    }
    table
}

/// Failed calls let through, and the share of lives that tripped if it is less than all.
#[must_use]
pub fn leaked(_: &Cell, summary: &Summary) -> String {
    let missed = summary.share_tripped().filter(|share| *share < 1.0);
    let missed = missed.map(|share| format!(" ({})", percent(Some(share))));
    short(summary.leaked) + &missed.unwrap_or_default()
}

/// False trips per hour.
#[must_use]
pub fn false_trips(_: &Cell, summary: &Summary) -> String {
    let (low, high) = summary.trips.interval();
    let rate = short(Some(summary.trips.per_hour()));
    format!("{rate} ({}–{})", short(Some(low)), short(Some(high)))
}

/// The harm, and the time until the breaker closes.
#[must_use]
pub fn after(_: &Cell, summary: &Summary) -> String {
    format!(
        "{} / {}",
        short(summary.harm),
        short(mean(&summary.recoveries))
    )
}

/// The median time to the trip in milliseconds.
#[must_use]
pub fn delay(_: &Cell, summary: &Summary) -> String {
    short(summary.median_delay().map(|seconds| seconds * 1_000.0))
}
