//! F4: members that are broken or lie don't open the fleet.

use rayon::prelude::*;

use super::FleetError;
use super::crowd::Shape;
use super::effort::Effort;
use super::goals::{Measured, Section};
use super::liars::Liars;
use super::setting::{Setting, warm_up};
use super::world::World;
use crate::statistics::poisson_interval;
use crate::table::{Table, percent, short};
use crate::time::{SECOND, number};
use crate::traffic::seed;

struct Cell {
    what: &'static str,
    setting: Setting,
    /// How many members can't reach the dependency.
    broken: usize,
    /// The share of their calls that fails.
    fails: f64,
    /// Whether the broken members are the ones with most traffic.
    largest: bool,
}

/// What was seen in minutes with broken members.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    fleet_trips: u64,
    good_rejected: u64,
    asked: u64,
}

const MINUTE: u64 = 60 * SECOND;

/// The minutes of a life, each followed by a minute in which nothing is wrong.
const A_LIFE: u32 = 10;

fn cells(seed: u64) -> Vec<Cell> {
    let fleet = |members| Setting::new(members, 1_000.0, seed);
    let cell = |what, members, broken| Cell {
        what,
        setting: fleet(members),
        broken,
        fails: 1.0,
        largest: false,
    };
    let none = |it: Cell| Cell {
        setting: Setting {
            tolerated: 0.0,
            ..it.setting
        },
        ..it
    };
    let shaped = |shape, it: Cell| Cell {
        setting: Setting {
            shape,
            ..it.setting
        },
        largest: true,
        ..it
    };
    vec![
        cell("one of 10", 10, 1),
        cell("one of 100", 100, 1),
        none(cell("one of 100, none tolerated", 100, 1)),
        none(cell("two of 100, none tolerated", 100, 2)),
        none(cell("two of 10, none tolerated", 10, 2)),
        shaped(
            Shape::OneHasHalf,
            none(cell("the one with half of the traffic", 100, 1)),
        ),
        shaped(Shape::Zipf, none(cell("the two largest, Zipf", 100, 2))),
        Cell {
            fails: 0.5,
            ..none(cell("two of 100, half of their calls", 100, 2))
        },
        cell("3 of 100", 100, 3),
        none(cell("3 of 100, none tolerated", 100, 3)),
        cell("30 of 1,000", 1_000, 30),
        none(cell("30 of 1,000, none tolerated", 1_000, 30)),
    ]
}

impl Cell {
    fn minutes(&self, minutes: u32) -> Result<Seen, FleetError> {
        let lives: Result<Vec<_>, _> = (0..minutes.div_ceil(A_LIFE))
            .into_par_iter()
            .with_max_len(1)
            .map(|life| self.life(life, (minutes - A_LIFE * life).min(A_LIFE)))
            .collect();
        let mut all = Seen::default();
        for seen in lives? {
            all.fleet_trips += seen.fleet_trips;
            all.good_rejected += seen.good_rejected;
            all.asked += seen.asked;
        }
        Ok(all)
    }

    fn life(&self, life: u32, minutes: u32) -> Result<Seen, FleetError> {
        let seed = seed(self.setting.seed, self.what, life.into());
        let setting = Setting {
            seed,
            ..self.setting
        };
        let mut world = World::new(setting)?;
        let mut usually = |_: &_, usual| usual;
        world.run(warm_up(&setting), &mut usually);
        let mut life_saw = Seen::default();
        for minute in 0..minutes {
            let members = world.processes.len();
            // Other members in each minute.
            let first = if self.largest {
                0
            } else {
                (minute as usize * 37) % members
            };
            let broken = |member: usize| (member + members - first) % members < self.broken;
            world.mark();
            let mut fails = |call: &super::crowd::Call, usual: f64| {
                if broken(call.member) {
                    self.fails
                } else {
                    usual
                }
            };
            world.run(MINUTE, &mut fails);
            life_saw.fleet_trips += world.tally.fleet_trips;
            life_saw.good_rejected += world.tally.good_rejected;
            life_saw.asked += world.tally.asked;
            world.run(MINUTE, &mut usually);
        }
        Ok(life_saw)
    }
}

/// The trips of a fleet within hours in which two members lie.
fn lied(setting: Setting, what: &str, hours: f64) -> Result<(u64, f64), FleetError> {
    let each = crate::time::nanos(hours * 3_600.0 / 8.0);
    let trips: Result<Vec<_>, _> = (0..8_u32)
        .into_par_iter()
        .with_max_len(1)
        .map(|life| {
            let seed = seed(setting.seed, what, life.into());
            let mut world = World::new(Setting { seed, ..setting })?;
            let mut usually = |_: &_, usual| usual;
            world.run(warm_up(&setting), &mut usually);
            world.mark();
            let mut liars = Liars::new(2, &world)?;
            liars.lie(&mut world, each, &mut usually)?;
            Ok::<_, FleetError>(world.tally.fleet_trips)
        })
        .collect();
    Ok((trips?.iter().sum(), hours))
}

/// Simulates all cells.
///
/// # Errors
/// The crates refuse a setting.
pub fn section(seed: u64, effort: &Effort) -> Result<Section, FleetError> {
    let mut table = Table::new([
        "broken members",
        "time",
        "trips of the fleet",
        "95 % interval",
        "good calls rejected",
    ]);
    let mut measured = Vec::new();
    for cell in cells(seed) {
        if !effort.wants(cell.setting.members) {
            continue;
        }
        let part = if cell.setting.members > 100 { 4 } else { 1 };
        let minutes = effort.minutes.div_ceil(part);
        let found = cell.minutes(minutes)?;
        let (low, high) = poisson_interval(found.fleet_trips);
        table.row([
            cell.what.to_owned(),
            format!("{minutes} minutes"),
            found.fleet_trips.to_string(),
            format!("{} to {}", short(Some(low)), short(Some(high))),
            percent(Some(number(found.good_rejected) / number(found.asked))),
        ]);
        measured.push(Measured {
            goal: "F4",
            what: format!(
                "{} broken: trips of the fleet in {minutes} minutes",
                cell.what
            ),
            value: number(found.fleet_trips),
            most: 0.0,
        });
    }
    let hundred = Setting::new(100, 1_000.0, seed);
    let lies = [
        ("two liars, 25 % tolerated", hundred),
        (
            "two liars, none tolerated",
            Setting {
                tolerated: 0.0,
                ..hundred
            },
        ),
    ];
    for (what, setting) in lies {
        let (trips, hours) = lied(setting, what, effort.hours)?;
        let (low, high) = poisson_interval(trips);
        table.row([
            what.to_owned(),
            format!("{} hours", short(Some(hours))),
            trips.to_string(),
            format!("{} to {}", short(Some(low)), short(Some(high))),
            String::new(),
        ]);
        measured.push(Measured {
            goal: "F4",
            what: format!("{what}: trips of the fleet an hour"),
            value: number(trips) / hours,
            most: 1.0 / 24.0,
        });
    }
    Ok(Section {
        title: "Broken members",
        text: "All calls of the broken members fail for a minute, unless the table says otherwise. \
               Their own breakers open, so few of their calls are made. The calls that they reject \
               are not good ones, so *good calls rejected* are calls of others or within the share \
               that succeeds. Liars report 255 failures of the highest surprise four times a second."
            .into(),
        table,
        measured,
    })
}
