//! F1 and F2: outages that a fleet detects like one process with all the traffic.

use super::FleetError;
use super::crowd::Shape;
use super::effort::Effort;
use super::goals::{Measured, Section};
use super::outages::{Before, Cost, Outages};
use super::setting::{Setting, Usual};
use crate::table::{Table, short};
use crate::time::SECOND;

/// One kind of outage, and what a fleet may cost in it.
struct Cell {
    goal: &'static str,
    what: &'static str,
    setting: Setting,
    before: Before,
    share: f64,
    /// The failed calls, as a multiple of those of one process.
    times: f64,
    /// The time in ms until 95 % of the members are cut off.
    ms: Option<f64>,
    /// Whether to simulate as many breakers without a fleet too.
    alone: bool,
}

impl Cell {
    fn new(
        goal: &'static str,
        what: &'static str,
        setting: Setting,
        share: f64,
        times: f64,
    ) -> Self {
        Self {
            goal,
            what,
            setting,
            before: Before::Quiet,
            share,
            times,
            ms: None,
            alone: false,
        }
    }

    fn within(mut self, ms: f64) -> Self {
        self.ms = Some(ms);
        self
    }

    fn and_alone(mut self) -> Self {
        self.alone = true;
        self
    }

    fn after(mut self, before: Before) -> Self {
        self.before = before;
        self
    }

    fn cost(&self, setting: Setting, lives: u32) -> Result<Cost, FleetError> {
        let lasts = if setting.per_second < 100.0 { 120 } else { 20 };
        let outages = Outages {
            lasts: lasts * SECOND,
            before: if setting.is_fleet || self.before == Before::Doubling {
                self.before
            } else {
                Before::Quiet
            },
            ..Outages::new(setting, self.share)
        };
        outages.cost(lives)
    }
}

fn total_outages(seed: u64) -> Vec<Cell> {
    let fleet = |members, per_second| Setting::new(members, per_second, seed);
    let thousand = fleet(1_000, 1_000.0);
    let none = thousand.tolerating_none();
    let usual = |share| thousand.usually(Usual::Share(share));
    let cell = |what, setting| Cell::new("F1", what, setting, 1.0, 1.25);
    let uneven = |what, shape| Cell::new("F1", what, thousand.shaped(shape), 1.0, 1.6);
    vec![
        cell("total, 1,000 members", thousand)
            .within(50.0)
            .and_alone(),
        cell("total, 100 members", fleet(100, 1_000.0)).within(50.0),
        Cell::new("F1", "total, 10 members", fleet(10, 1_000.0), 1.0, 1.5),
        cell("total, none tolerated", none).within(30.0),
        cell("total, messages of 0.2 to 0.8 ms", thousand.near()).within(50.0),
        cell("the same, none tolerated", none.near()).within(30.0),
        uneven("total, Zipf", Shape::Zipf),
        uneven("total, one has half", Shape::OneHasHalf),
        cell("total, 0.1 % usual", usual(0.001)),
        cell("total, 10 % usual", usual(0.1)),
        cell("total, 0.1 to 10 % usual", thousand.usually(Usual::Various)),
        cell("total, calls in clumps of ten", thousand.in_clumps(10)),
        cell("total, a third restarted 5 s before", thousand).after(Before::Restarts),
        cell("total, twice the traffic for 4 s", thousand).after(Before::Doubling),
        Cell::new("F4", "total, two members lie", thousand, 1.0, 1.25).after(Before::Liars),
    ]
}

fn other_outages(seed: u64) -> Vec<Cell> {
    let fleet = |members, per_second| Setting::new(members, per_second, seed);
    let thousand = fleet(1_000, 1_000.0);
    let cell = |what, setting, share, times| Cell::new("F2", what, setting, share, times);
    vec![
        cell("50 %, 1,000 members", thousand, 0.5, 1.35).and_alone(),
        cell("50 %, 100 members", fleet(100, 1_000.0), 0.5, 1.35),
        cell("50 %, none tolerated", thousand.tolerating_none(), 0.5, 1.4),
        cell("50 %, Zipf", thousand.shaped(Shape::Zipf), 0.5, 1.6),
        cell("total at 10/s", fleet(1_000, 10.0), 1.0, 2.0),
        cell("50 % at 10/s", fleet(1_000, 10.0), 0.5, 1.7),
        cell("total at 10/s, 100 members", fleet(100, 10.0), 1.0, 2.0),
    ]
}

/// Simulates all cells.
///
/// # Errors
/// The crates refuse a setting.
pub fn section(seed: u64, effort: &Effort) -> Result<Section, FleetError> {
    let mut table = Table::new([
        "outage",
        "one process: failed calls",
        "ms",
        "fleet: failed calls",
        "ms",
        "times",
        "messages",
        "alone: failed calls",
        "ms",
    ]);
    let mut measured = Vec::new();
    for cell in total_outages(seed).into_iter().chain(other_outages(seed)) {
        if !effort.wants(cell.setting.members) {
            continue;
        }
        let one = Setting {
            members: 1,
            is_fleet: false,
            shape: Shape::Equal,
            ..cell.setting
        };
        let one = cell.cost(one, effort.lives)?;
        let fleet = cell.cost(cell.setting, effort.lives)?;
        let times = fleet.failed / one.failed;
        let ms = |cost: &Cost| short(Some(cost.cut_off * 1e3));
        let alone = if cell.alone {
            let alone = Setting {
                is_fleet: false,
                ..cell.setting
            };
            let alone = cell.cost(alone, effort.lives.div_ceil(8))?;
            [short(Some(alone.failed)), ms(&alone)]
        } else {
            [String::new(), String::new()]
        };
        table.row(
            [
                cell.what.to_owned(),
                short(Some(one.failed)),
                ms(&one),
                short(Some(fleet.failed)),
                ms(&fleet),
                short(Some(times)),
                short(Some(fleet.messages)),
            ]
            .into_iter()
            .chain(alone),
        );
        measured.push(Measured {
            goal: cell.goal,
            what: format!("{}: failed calls, times one process", cell.what),
            value: times,
            most: cell.times,
        });
        if let Some(most) = cell.ms {
            measured.push(Measured {
                goal: cell.goal,
                what: format!("{}: 95 % cut off, ms", cell.what),
                value: fleet.cut_off * 1e3,
                most,
            });
        }
    }
    Ok(Section {
        title: "Detection",
        text: format!(
            "Each figure is from {} lives with one outage each. A member's failed calls count until \
             it is cut off. *ms* is the median time until 95 % of the members are cut off. *Alone* \
             are as many breakers without a fleet, in an outage of 20 s.",
            effort.lives
        ),
        table,
        measured,
    })
}
