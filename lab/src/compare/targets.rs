//! What was to be reached, and what was.

use super::headline::{Headline, Noise, Ratio};
use crate::table::{Table, short};

/// A figure of a contestant and what it should be at most.
struct Target {
    what: &'static str,
    most: f64,
    found: Option<f64>,
}

/// The targets with what the tolerant and the sensitive form of the adaptive policy reach.
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

fn targets(tolerant: &Headline, sensitive: &Headline) -> Vec<Target> {
    let target = |what, most, found| Target { what, most, found };
    let worst = |ratio: &Ratio| ratio.worst.as_ref().map(|(worst, _)| *worst);
    let a_day = 1.0 / 24.0;
    let millis = |seconds: Option<f64>| seconds.map(|seconds| seconds * 1_000.0);
    let (b, a) = (&tolerant.limit.tolerant, &sensitive.limit.sensitive);
    vec![
        target(
            "tolerant: failed calls, times limit B",
            1.25,
            b.geometric_mean,
        ),
        target("tolerant: in the worst cell", 2.0, worst(b)),
        target(
            "sensitive: failed calls, times limit A",
            1.25,
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
