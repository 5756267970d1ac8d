//! The results as a page, `RESULTS.md`.

use std::fmt::Write as _;

use super::cell::{Cell, Role};
use super::chart::Chart;
use super::headline::Headline;
use super::run::{Comparison, Results};
use super::summary::Summary;
use super::{report, targets};
use crate::capacity::Capacity;
use crate::table::Table;

/// Writes the page. `charts` are the files in the folder `charts` next to the page, with captions.
#[must_use]
pub fn write(
    comparison: &Comparison,
    results: &Results,
    headlines: &[Headline],
    command: &str,
    charts: &[Chart],
) -> String {
    let mut page = format!(
        "# What the lab found\n\nWritten by `{command}`; the same command gives the same page. README.md says how things are measured.\n\n"
    );
    for Chart { file, caption, .. } in charts {
        let _ = writeln!(page, "![{caption}](charts/{file})\n");
    }
    let of = |name: &str| {
        let mut contestants = comparison.contestants.iter();
        let place = contestants.position(|contestant| contestant.name == name)?;
        headlines.get(place)
    };
    if let (Some(tolerant), Some(sensitive)) = (of("adaptive"), of("adaptive-sensitive")) {
        let _ = writeln!(
            page,
            "## The targets\n\n{}",
            targets::table(tolerant, sensitive).markdown()
        );
        let _ = writeln!(page, "{}", targets::why(comparison));
    }
    let [detection, noise, recovery] = report::headline(comparison, headlines);
    let _ = writeln!(
        page,
        "## Detection\n\n{DETECTION}\n\n{}",
        detection.markdown()
    );
    let _ = writeln!(page, "## False trips\n\n{NOISE}\n\n{}", noise.markdown());
    let _ = writeln!(page, "## Recovery\n\n{RECOVERY}\n\n{}", recovery.markdown());
    let _ = writeln!(
        page,
        "Of a capacity that comes back slowly {:.1} s of traffic are missing whoever decides, and the least harm that a policy can do is {:.1} s.\n",
        Capacity::missing(),
        Capacity::least_harm()
    );
    let _ = writeln!(
        page,
        "## Worst cells\n\n{}",
        report::worst(comparison, headlines)
    );
    let mut part = |title: &str, role: Role, figure: fn(&Cell, &Summary) -> String| {
        let tables = report::by_rate(comparison, results, role, figure);
        if !tables.is_empty() {
            let _ = writeln!(page, "## {title}\n");
        }
        for (name, table) in tables {
            let _ = writeln!(page, "### {name}\n\n{}", table.markdown());
        }
    };
    part(
        "Failed calls let through, sharp outages (share of lives that tripped, if not all)",
        Role::Limit,
        report::leaked,
    );
    part(
        "The same a minute after the breaker was made",
        Role::Cold,
        report::leaked,
    );
    part(
        "Other faults: failed calls let through",
        Role::Fault,
        report::leaked,
    );
    part(
        "Other faults: median time to the trip, ms",
        Role::Fault,
        report::delay,
    );
    part(
        "Other faults: harm / time from the fault's end to closed, s",
        Role::Fault,
        report::after,
    );
    part(
        "False trips an hour (95 %)",
        Role::Quiet,
        report::false_trips,
    );
    let fresh = report::fresh(comparison, results).markdown();
    let _ = writeln!(
        page,
        "## Cells drawn by chance: failed calls let through\n\n{FRESH}\n\n{fresh}"
    );
    let mut policies = Table::new(["policy", "settings"]);
    for contestant in &comparison.contestants {
        policies.row([contestant.name, contestant.settings]);
    }
    let _ = writeln!(page, "## Who took part\n\n{}", policies.markdown());
    page
}

const DETECTION: &str = "A and B: failed calls let through as a multiple of the two limits, geometric mean and worst cell; *fastest* is the stricter reckoning, by which of the calls under way the fastest tell first. *Missing* counts cells in which it did not always trip; there all calls of the fault count. *Fresh* are the cells that were drawn by chance.";
const NOISE: &str = "The worst cell, and all cells together with a 95 % interval. *25 %* fail from the first call on; *shard*: one of four goes down for good, so that with the usual 1 % of the others 25.75 % fail. Stalls hold up all calls for 300 ms every 20 s or so.";
const RECOVERY: &str = "At 100 calls a second and more, from a *total* outage and from any *sharp* one: where a share of 30 to 80 % fails, each probe that happens to succeed begins a ramp. *Onto dead* and *let through*: calls let through between the trip and the outage's end, as a share of the traffic, worst cell. Harm is what is lost and failed because of the fault, in seconds' worth of traffic; re-trips are a life.";
const FRESH: &str = "Nobody has tuned anything on these: share, traffic, baseline, latency, length and sharpness of the outage are drawn by the run's seed. An outage that isn't sharp has no limit.";
