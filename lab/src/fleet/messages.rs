//! F7: how many messages a fleet sends.

use super::FleetError;
use super::effort::Effort;
use super::goals::{Measured, Section};
use super::setting::{Setting, warm_up};
use super::world::World;
use crate::table::{Table, short};
use crate::time::{SECOND, number};

/// Counts messages in health and in an outage.
///
/// # Errors
/// The crates refuse a setting.
pub fn section(seed: u64, effort: &Effort) -> Result<Section, FleetError> {
    let mut table = Table::new([
        "fleet",
        "healthy: messages a second",
        "reports a failure",
        "seconds between a member's pulses",
        "outage of 10 s: messages",
        "deliveries",
    ]);
    let mut measured = Vec::new();
    for (members, per_second) in [(100, 100.0), (1_000, 1_000.0), (100, 10_000.0)] {
        if !effort.wants(members) {
            continue;
        }
        let setting = Setting::new(members, per_second, seed);
        let mut world = World::new(setting)?;
        let mut usually = |_: &_, usual| usual;
        world.run(warm_up(&setting), &mut usually);
        world.mark();
        let minutes = 3.0;
        world.run(180 * SECOND, &mut usually);
        let healthy = world.tally.clone();
        world.mark();
        world.run(10 * SECOND, &mut |_: &_, _| 1.0);
        let outage = world.tally.clone();
        let of_member = f64::from(members) * minutes * 60.0;
        let each_failure = number(healthy.reports) / number(healthy.reported.max(1));
        let between = of_member / number(healthy.pulses.max(1));
        table.row([
            format!("{members} members, {per_second}/s in all"),
            short(Some(number(healthy.messages) / (minutes * 60.0))),
            short(Some(each_failure)),
            short(Some(between)),
            outage.messages.to_string(),
            outage.deliveries.to_string(),
        ]);
        let what = |what: &str| format!("{members} members, {per_second}/s in all: {what}");
        measured.push(Measured {
            goal: "F7",
            what: what("reports a failure"),
            value: each_failure,
            most: 1.0,
        });
        measured.push(Measured {
            goal: "F7",
            what: what("pulses of a member in 30 s"),
            value: 30.0 / between,
            most: 1.1,
        });
        measured.push(Measured {
            goal: "F7",
            what: what("messages in 10 s of outage, per member"),
            value: number(outage.messages) / f64::from(members),
            most: 8.0 + 4.0 * 10.0 + 2.0,
        });
    }
    Ok(Section {
        title: "Messages",
        text: "A message is a request to the store. Each announcement is delivered to all members."
            .into(),
        table,
        measured,
    })
}
