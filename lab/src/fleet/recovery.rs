//! F5: a fleet recovers like one process with all the traffic.

use rayon::prelude::*;
use tripcurve::State;
use tripcurve_fleet::message::FleetState;

use super::FleetError;
use super::effort::Effort;
use super::goals::{Measured, Section};
use super::setting::{Setting, warm_up};
use super::world::World;
use crate::capacity::Capacity;
use crate::statistics::mean;
use crate::table::{Table, percent, short};
use crate::time::{SECOND, number, seconds};
use crate::traffic::seed;

/// How the dependency comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Return {
    /// All of its capacity is there at once: 120 % of the traffic.
    Warm,
    /// Its capacity grows from 20 to 120 % of the traffic within 30 s.
    Cold,
}

/// What happened in an outage and after it, on average.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    /// The share of the calls in the outage that were admitted after the cut-off.
    onto_dead: f64,
    /// The most calls in flight to the dead dependency after the cut-off.
    in_flight: f64,
    /// Calls beyond the leases.
    without_lease: f64,
    /// Seconds from the outage's end until 95 % of the breakers were closed.
    back: f64,
    kills: f64,
    /// The calls after the outage that found no answer, in seconds' worth of the traffic.
    unanswered: f64,
    /// How often the fleet has opened again after it had closed.
    again: f64,
}

/// How long a dependency is down.
const OUTAGE: u64 = 60 * SECOND;

/// How long it is watched afterwards.
const AFTER: u64 = 120 * SECOND;

struct Cell {
    what: &'static str,
    setting: Setting,
    back: Return,
    down: u64,
}

impl Cell {
    fn figures(&self, setting: Setting, lives: u32) -> Result<Figures, FleetError> {
        let lives: Result<Vec<_>, _> = (0..lives)
            .into_par_iter()
            .with_max_len(1)
            .map(|life| {
                let seed = seed(setting.seed, "recovery", life.into());
                self.live(Setting { seed, ..setting })
            })
            .collect();
        let lives = lives?;
        let of = |figure: fn(&Figures) -> f64| {
            let values: Vec<_> = lives.iter().map(figure).collect();
            mean(&values).unwrap_or_default()
        };
        let most = |figure: fn(&Figures) -> f64| lives.iter().map(figure).fold(0.0, f64::max);
        Ok(Figures {
            onto_dead: of(|it| it.onto_dead),
            in_flight: most(|it| it.in_flight),
            without_lease: of(|it| it.without_lease),
            back: of(|it| it.back),
            kills: of(|it| it.kills),
            unanswered: of(|it| it.unanswered),
            again: of(|it| it.again),
        })
    }

    fn live(&self, setting: Setting) -> Result<Figures, FleetError> {
        let mut world = World::new(setting)?;
        let mut usually = |_: &_, usual| usual;
        world.run(warm_up(&setting), &mut usually);
        world.mark();
        let end = world.now() + self.down;
        let mut dead = |_: &_, _| 1.0;
        world.run_while(end, &mut dead, |it| it.tally.cut_off[3].is_none());
        // Calls that were in flight at the cut-off end.
        world.run(SECOND / 5, &mut dead);
        let before = world.tally.clone();
        world.most_in_flight = 0;
        world.run_while(end, &mut dead, |_| true);
        let asked = number(world.tally.asked);
        let onto_dead = number(world.tally.admitted - before.admitted) / asked;
        let (in_flight, without_lease) = (world.most_in_flight, world.tally.without_lease);
        world.mark();
        let mut capacity = match self.back {
            Return::Warm => Capacity::warm(setting.per_second, end),
            Return::Cold => Capacity::new(setting.per_second, end),
        };
        let (mut back, mut is_open) = (None, true);
        let mut again = 0;
        // The load counts for the calls that are admitted, which the next call shows.
        let mut admitted = 0;
        let until = end + AFTER;
        while world.now() < until {
            let step = world.now() + SECOND / 1_000;
            while admitted < world.tally.admitted {
                capacity.serve(world.now());
                admitted += 1;
            }
            let mut fails = |call: &super::crowd::Call, usual: f64| {
                1.0 - (1.0 - usual) * capacity.share_served(call.at)
            };
            world.run_while(step, &mut fails, |_| true);
            if back.is_none() && world.share_closed() >= 0.95 {
                back = Some(world.now() - end);
            }
            let opens = world.fleet == FleetState::Open
                || (!setting.is_fleet && world.processes[0].state == State::Open);
            again += u32::from(opens && !is_open && back.is_some());
            is_open = opens;
        }
        Ok(Figures {
            onto_dead,
            in_flight: number(in_flight),
            without_lease: number(without_lease),
            back: seconds(back.unwrap_or(AFTER)),
            kills: capacity.kills().into(),
            unanswered: (number(world.tally.failed) + number(world.tally.good_rejected))
                / setting.per_second,
            again: again.into(),
        })
    }
}

/// Simulates all cells.
///
/// # Errors
/// The crates refuse a setting.
pub fn section(seed: u64, effort: &Effort) -> Result<Section, FleetError> {
    let mut table = Table::new([
        "dependency comes back",
        "of the calls onto the dead one",
        "most in flight",
        "calls without a lease",
        "95 % closed, s",
        "lost and failed, s",
        "kills",
    ]);
    let mut measured = Vec::new();
    let lives = effort.lives.div_ceil(4);
    let back = |what, per_second, back, down| Cell {
        what,
        setting: Setting::new(1, per_second, seed),
        back,
        down,
    };
    let cells = [
        back("at once, 1,000/s", 1_000.0, Return::Warm, OUTAGE),
        back(
            "at once, 1,000/s, after 10 s",
            1_000.0,
            Return::Warm,
            10 * SECOND,
        ),
        back("slowly, 1,000/s", 1_000.0, Return::Cold, OUTAGE),
        back("at once, 100/s", 100.0, Return::Warm, OUTAGE),
        back("slowly, 100/s", 100.0, Return::Cold, OUTAGE),
        back("at once, 10/s", 10.0, Return::Warm, OUTAGE),
    ];
    for cell in cells {
        let mut one = None;
        for (members, is_fleet) in [
            (1, false),
            (100, false),
            (10, true),
            (100, true),
            (1_000, true),
        ] {
            if !effort.wants(members) {
                continue;
            }
            let setting = Setting {
                members,
                is_fleet,
                ..cell.setting
            };
            let it = cell.figures(setting, lives)?;
            let whom = match (members, is_fleet) {
                (1, _) => "one process".to_owned(),
                (_, false) => format!("{members} alone"),
                _ => format!("{members} members"),
            };
            table.row([
                format!("{}: {whom}", cell.what),
                percent(Some(it.onto_dead)),
                short(Some(it.in_flight)),
                short(Some(it.without_lease)),
                short(Some(it.back)),
                short(Some(it.unanswered)),
                short(Some(it.kills)),
            ]);
            let one = *one.get_or_insert(it);
            if is_fleet {
                measured.extend(goals(&cell, &whom, &it, &one));
            }
        }
    }
    Ok(Section {
        title: "Recovery",
        text: format!(
            "Lives of each row: {lives}. Each has an outage of 60 s, unless the table says otherwise. \
             *Onto the dead one*: the calls that were admitted after the cut-off. *Most \
             in flight*: the most of them at one time, in any life. *Slowly*: as `capacity` in \
             README.md."
        ),
        table,
        measured,
    })
}

fn goals(cell: &Cell, whom: &str, it: &Figures, one: &Figures) -> Vec<Measured> {
    let goal = |what: &str, value, most| Measured {
        goal: "F5",
        what: format!("{}, {whom}: {what}", cell.what),
        value,
        most,
    };
    let mut goals = vec![goal("calls without a lease", it.without_lease, 0.0)];
    match cell.back {
        Return::Warm => {
            let most = 0.005_f64.max(one.onto_dead);
            goals.push(goal(
                "onto the dead one, %",
                it.onto_dead * 100.0,
                most * 100.0,
            ));
            goals.push(goal(
                "95 % closed, times one process",
                it.back / one.back,
                1.1,
            ));
        }
        Return::Cold => goals.push(goal("kills", it.kills, one.kills.max(0.0))),
    }
    goals
}
