//! The targets, and the figures that were reached.

use super::Comparison;
use super::headline::{Headline, Noise, Ratio};
use crate::capacity::Capacity;
use crate::scenario::Scenario;
use crate::table::{Table, short};

/// A figure of a contestant and its target, which is an upper bound.
struct Target {
    what: &'static str,
    most: f64,
    found: Option<f64>,
}

/// The targets, with the figures of the tolerant and the sensitive adaptive policy.
#[must_use]
pub fn table(tolerant: &Headline, sensitive: &Headline) -> Table {
    let mut table = Table::new(["target", "at most", "measured", ""]);
    for Target { what, most, found } in targets(tolerant, sensitive) {
        let verdict = match found {
            Some(found) if found <= most => "met",
            Some(_) => "missed",
            None => "not measured",
        };
        table.row([what, &short(Some(most)), &short(found), verdict]);
    }
    table
}

/// Why some targets are out of reach, or nearly so.
#[must_use]
pub fn why(comparison: &Comparison) -> String {
    let half = comparison.cells.iter().find(|cell| {
        let is_thousand = (cell.rate - 1_000.0).abs() < 1.0;
        let is_usual = (cell.baseline - 0.01).abs() < 1e-6;
        cell.scenario == Scenario::sharp(0.5) && is_thousand && is_usual
    });
    let limit = half.and_then(|cell| {
        let failed = cell.sensitive()?.failed_calls(cell.rate, cell.latency);
        // Half of a thousand calls per second.
        Some(format!(
            "Limit A of that cell is {failed:.1} failed calls, calls under way included, or {:.1} ms: no rule that looks \
             at ended calls is faster on average, but for the luck of which end first.",
            failed / 0.5
        ))
    });
    format!(
        "Those that are missed, or nearly so:\n\n\
         - *50 % outage, sensitive, in ms.* {}\n\
         - *Runs of failures, sensitive.* The worst of all cells by a handful of trips; the tables below have its \
         interval, and what all cells come to together, which is less than the target.\n\
         - *Recovery from any sharp outage.* Where half of the calls still succeed, so does every other probe, and each \
         success begins a ramp that must fail first; what is left of that when the outage ends takes its time. After a \
         total outage no ramp has begun.\n\
         - *Capacity that comes back slowly.* {:.1} s of traffic are beyond the capacity, and at least {:.1} s are lost or \
         fail whatever a policy lets through, so that 7 s are out of reach. The rest is the price of rounds long enough \
         to see a backend's reaction. A round may let four \
         times as much through as the one before; where that is more than one and a half times the capacity for half \
         a second, the backend is killed.\n\n\
         [MECHANISMS.md](MECHANISMS.md) has the figures of single mechanisms. It says of each that misses what was asked \
         for, and why.\n",
        limit.unwrap_or_default(),
        Capacity::missing(),
        Capacity::least_harm()
    )
}

fn targets(tolerant: &Headline, sensitive: &Headline) -> Vec<Target> {
    let target = |what, most, found| Target { what, most, found };
    let worst = |ratio: &Ratio| ratio.worst.as_ref().map(|(worst, _)| *worst);
    let a_day = 1.0 / 24.0;
    let millis = |seconds: Option<f64>| seconds.map(|seconds| seconds * 1_000.0);
    let (b, a) = (&tolerant.limit.tolerant, &sensitive.limit.sensitive);
    vec![
        target(
            "tolerant: failed calls, times limit B",
            1.05,
            b.geometric_mean,
        ),
        target("tolerant: in the worst cell", 2.0, worst(b)),
        target(
            "sensitive: failed calls, times limit A",
            1.10,
            a.geometric_mean,
        ),
        target("sensitive: in the worst cell", 2.5, worst(a)),
        target(
            "tolerant: false trips an hour, healthy, worst cell",
            a_day,
            noise(&tolerant.healthy),
        ),
        target(
            "tolerant: runs of failures, worst cell",
            a_day,
            noise(&tolerant.poison),
        ),
        target(
            "tolerant: a lasting 25 %, worst cell",
            1.0,
            noise(&tolerant.persistent),
        ),
        target(
            "sensitive: false trips an hour, healthy, worst cell",
            a_day,
            noise(&sensitive.healthy),
        ),
        target(
            "sensitive: runs of failures, worst cell",
            a_day,
            noise(&sensitive.poison),
        ),
        target(
            "tolerant: 50 % outage at 1,000/s, ms",
            100.0,
            millis(tolerant.half_at_thousand),
        ),
        target(
            "sensitive: 50 % outage at 1,000/s, ms",
            35.0,
            millis(sensitive.half_at_thousand),
        ),
        target(
            "tolerant: slow without errors at 1,000/s, ms",
            150.0,
            millis(tolerant.slow_at_thousand),
        ),
        target(
            "tolerant: recovery from a total outage, 100/s and more, s",
            1.0,
            tolerant.after_total.mean,
        ),
        target(
            "tolerant: share of traffic onto the dead backend",
            0.01,
            tolerant.after_total.let_through,
        ),
        target(
            "tolerant: recovery from any sharp outage, 100/s and more, s",
            1.0,
            tolerant.after_sharp.mean,
        ),
        target(
            "tolerant: capacity that comes back slowly, lost and failed, s",
            7.0,
            tolerant.capacity_harm,
        ),
        target(
            "tolerant: the same, backend killed",
            0.0,
            tolerant.capacity_kills,
        ),
        target("tolerant: the same, trips", 1.0, tolerant.capacity_trips),
    ]
}

fn noise(noise: &Noise) -> Option<f64> {
    noise.worst.map(super::summary::FalseTrips::per_hour)
}
