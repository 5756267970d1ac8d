//! F3: how often a fleet trips without an outage.

use rayon::prelude::*;

use super::FleetError;
use super::crowd::Shape;
use super::effort::Effort;
use super::goals::{Measured, Section};
use super::setting::{Setting, Usual, warm_up};
use super::world::World;
use crate::statistics::poisson_interval;
use crate::table::{Table, short};
use crate::time::{SECOND, number};
use crate::traffic::seed;

/// What happens every ten minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Now {
    Nothing,
    /// The traffic doubles within a second, and halves again after five minutes.
    Doubles,
    /// A third of the processes is restarted.
    Restarts,
}

struct Cell {
    what: &'static str,
    setting: Setting,
    now: Now,
    /// The trips in an hour that are allowed.
    most: f64,
    /// The part of the hours that this cell gets.
    part: f64,
}

/// The trips that were seen.
#[derive(Clone, Copy, Debug, Default)]
struct Trips {
    fleet: u64,
    breakers: u64,
}

/// One a day.
const A_DAY: f64 = 1.0 / 24.0;

/// How long a part of a life is, between two restarts or doublings.
const PART: u64 = 600 * SECOND;

fn cells(seed: u64) -> Vec<Cell> {
    let fleet = |members, per_second| Setting::new(members, per_second, seed);
    let (hundred, thousand) = (fleet(100, 1_000.0), fleet(1_000, 1_000.0));
    let cell = |what, setting: Setting| Cell {
        what,
        setting,
        now: Now::Nothing,
        most: A_DAY,
        part: if setting.members > 100 { 0.1 } else { 1.0 },
    };
    let none = |setting| Setting {
        tolerated: 0.0,
        ..setting
    };
    let usual = |setting, usual| Setting { usual, ..setting };
    let quarter = |setting| usual(setting, Usual::Share(0.25));
    vec![
        cell("1 % fail, 100 members", hundred),
        cell("1 % fail, 1,000 members", thousand),
        cell("the same, none tolerated", none(thousand)),
        cell("1 % fail, 10 members", fleet(10, 1_000.0)),
        cell("1 % fail, 100 members, 10/s in all", fleet(100, 10.0)),
        cell("the same, none tolerated", none(fleet(100, 10.0))),
        cell(
            "0.1 to 10 % fail, Zipf, none tolerated",
            Setting {
                shape: Shape::Zipf,
                ..none(usual(hundred, Usual::Various))
            },
        ),
        cell("1 % fail in runs of three", Setting { run: 3, ..hundred }),
        cell(
            "the same, none tolerated",
            Setting {
                run: 3,
                ..none(hundred)
            },
        ),
        cell(
            "10 % fail in runs of three",
            Setting {
                run: 3,
                ..none(usual(hundred, Usual::Share(0.1)))
            },
        ),
        Cell {
            most: 1.0,
            ..cell(
                "a quarter fails in runs of ten",
                Setting {
                    run: 10,
                    ..quarter(hundred)
                },
            )
        },
        cell(
            "1 % fail, calls in clumps of ten",
            Setting {
                clump: 10,
                ..none(hundred)
            },
        ),
        Cell {
            now: Now::Restarts,
            ..cell("1 % fail, a third restarted", none(hundred))
        },
        Cell {
            now: Now::Restarts,
            ..cell(
                "10 % fail, a third restarted",
                none(usual(hundred, Usual::Share(0.1))),
            )
        },
        Cell {
            now: Now::Doubles,
            ..cell("1 % fail, traffic doubles", none(hundred))
        },
        Cell {
            now: Now::Doubles,
            ..cell(
                "10 % fail, traffic doubles",
                none(usual(hundred, Usual::Share(0.1))),
            )
        },
        Cell {
            most: 1.0,
            ..cell("a quarter fails, 100 members", quarter(hundred))
        },
        Cell {
            most: 1.0,
            ..cell("a quarter fails, 1,000 members", quarter(thousand))
        },
        // One for each of six doublings, and one besides.
        Cell {
            most: 7.0,
            now: Now::Doubles,
            ..cell("a quarter fails, traffic doubles", quarter(hundred))
        },
    ]
}

impl Cell {
    /// Simulates hours, each of which is a life.
    fn hours(&self, hours: f64) -> Result<(Trips, f64), FleetError> {
        let parts = number_of_parts(hours);
        let lives = parts.div_ceil(6);
        let trips: Result<Vec<_>, _> = (0..lives)
            .into_par_iter()
            .with_max_len(1)
            .map(|life| {
                let seed = seed(self.setting.seed, self.what, life.into());
                self.life(seed, (parts - 6 * life).min(6))
            })
            .collect();
        let mut all = Trips::default();
        for trips in trips? {
            all.fleet += trips.fleet;
            all.breakers += trips.breakers;
        }
        Ok((all, f64::from(parts) / 6.0))
    }

    fn life(&self, seed: u64, parts: u32) -> Result<Trips, FleetError> {
        let setting = Setting {
            seed,
            ..self.setting
        };
        let mut world = World::new(setting)?;
        let mut usually = |_: &_, usual| usual;
        world.run(warm_up(&setting), &mut usually);
        world.mark();
        for _ in 0..parts {
            match self.now {
                Now::Nothing => world.run(PART, &mut usually),
                Now::Restarts => {
                    for member in (0..world.processes.len()).step_by(3) {
                        world.restart(member)?;
                    }
                    world.run(PART, &mut usually);
                }
                Now::Doubles => {
                    for tenth in 1..=10 {
                        let more = 1.0 + f64::from(tenth) / 10.0;
                        world.crowd.set_rate(setting.per_second * more);
                        world.run(SECOND / 10, &mut usually);
                    }
                    world.run(PART / 2 - SECOND, &mut usually);
                    world.crowd.set_rate(setting.per_second);
                    world.run(PART / 2, &mut usually);
                }
            }
        }
        Ok(Trips {
            fleet: world.tally.fleet_trips,
            breakers: world.tally.trips,
        })
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "hours are a small number"
)]
fn number_of_parts(hours: f64) -> u32 {
    ((hours * 6.0).round() as u32).max(1)
}

/// Simulates all cells.
///
/// # Errors
/// The crates refuse a setting.
pub fn section(seed: u64, effort: &Effort) -> Result<Section, FleetError> {
    let mut table = Table::new([
        "nothing is wrong",
        "hours",
        "trips of the fleet",
        "an hour",
        "95 % interval",
        "trips of breakers an hour",
    ]);
    let mut measured = Vec::new();
    for cell in cells(seed) {
        if !effort.wants(cell.setting.members) {
            continue;
        }
        let (trips, hours) = cell.hours(effort.hours * cell.part)?;
        let (low, high) = poisson_interval(trips.fleet);
        let rate = number(trips.fleet) / hours;
        let of_hour = |value: f64| short(Some(value / hours));
        table.row([
            cell.what.to_owned(),
            short(Some(hours)),
            trips.fleet.to_string(),
            short(Some(rate)),
            format!("{} to {}", of_hour(low), of_hour(high)),
            of_hour(number(trips.breakers)),
        ]);
        measured.push(Measured {
            goal: "F3",
            what: format!("{}: trips of the fleet an hour", cell.what),
            value: rate,
            most: cell.most,
        });
    }
    Ok(Section {
        title: "False trips",
        text:
            "A trip of a breaker is one that its own decision or the fleet's has made. A third is \
               restarted, or the traffic doubles within a second, every ten minutes."
                .into(),
        table,
        measured,
    })
}
