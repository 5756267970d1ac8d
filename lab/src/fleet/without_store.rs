//! F6: a breaker whose store is gone is a breaker without a fleet.

use tripcurve_fleet::member::StoreStatus;

use super::FleetError;
use super::goals::{Measured, Section};
use super::setting::Setting;
use super::wire::StoreMode;
use super::world::{Logged, World};
use crate::breaker::Nanos;
use crate::table::{Table, short};
use crate::time::{MILLISECOND, SECOND, number, seconds};

/// The members here: few, so that each of them sees outages.
const MEMBERS: u32 = 10;

fn setting(seed: u64) -> Setting {
    Setting {
        shape: super::crowd::Shape::Zipf,
        ..Setting::new(MEMBERS, 1_000.0, seed)
    }
}

/// All transitions of ten breakers in two outages.
fn transitions(setting: Setting, mode: StoreMode) -> Result<Vec<Logged>, FleetError> {
    let mut world = World::new(setting)?;
    world.set_store(mode);
    world.log = Some(Vec::new());
    let mut usually = |_: &_, usual| usual;
    for share in [1.0, 0.6] {
        world.run(60 * SECOND, &mut usually);
        world.run(20 * SECOND, &mut move |_: &_, _| share);
    }
    world.run(60 * SECOND, &mut usually);
    Ok(world.log.take().unwrap_or_default())
}

/// The largest time until a member says that its store is gone.
fn status_within(setting: Setting, mode: StoreMode, fails: bool) -> Result<Nanos, FleetError> {
    let mut world = World::new(setting)?;
    let mut usually = |_: &_, usual| usual;
    world.run(60 * SECOND, &mut usually);
    world.set_store(mode);
    let begun = world.now();
    let mut calls = |_: &_, usual| if fails { 0.2 } else { usual };
    let is_gone = |world: &World| {
        let statuses = world.processes.iter().filter_map(|it| {
            let member = it.membership.as_ref()?;
            Some(
                member
                    .machine
                    .status(std::time::Duration::from_nanos(world.now())),
            )
        });
        statuses
            .into_iter()
            .all(|it| matches!(it.store, StoreStatus::LocalOnly { .. }))
    };
    while !is_gone(&world) && world.now() < begun + 120 * SECOND {
        world.run(10 * MILLISECOND, &mut calls);
    }
    Ok(world.now() - begun)
}

/// The share of the traffic that is admitted within half a second before and after the store is
/// back in an outage's ramp.
fn jump(setting: Setting) -> Result<f64, FleetError> {
    let mut world = World::new(setting)?;
    let mut usually = |_: &_, usual| usual;
    world.run(60 * SECOND, &mut usually);
    world.run(20 * SECOND, &mut |_: &_, _| 1.0);
    world.set_store(StoreMode::Absent);
    world.run(5 * SECOND, &mut |_: &_, _| 1.0);
    // The store is back while the dependency is still dead.
    world.set_store(StoreMode::Works);
    world.mark();
    world.run(10 * SECOND, &mut |_: &_, _| 1.0);
    Ok(number(world.tally.admitted) / number(world.tally.asked))
}

/// Simulates stores that don't work.
///
/// # Errors
/// The crates refuse a setting.
pub fn section(seed: u64) -> Result<Section, FleetError> {
    let setting = setting(seed);
    let alone = Setting {
        is_fleet: false,
        ..setting
    };
    let expected = transitions(alone, StoreMode::Works)?;
    let mut table = Table::new(["store", "transitions", "differ from those without a fleet"]);
    let mut measured = Vec::new();
    table.row([
        "no fleet".to_owned(),
        expected.len().to_string(),
        String::new(),
    ]);
    let modes = [
        ("absent", StoreMode::Absent),
        ("hangs", StoreMode::Hangs),
        ("answers rubbish", StoreMode::Garbles),
    ];
    for (what, mode) in modes {
        let found = transitions(setting, mode)?;
        let pairs = expected.iter().zip(&found);
        let same = pairs.take_while(|(one, other)| one == other).count();
        let differ = expected.len().max(found.len()) - same;
        table.row([what.to_owned(), found.len().to_string(), differ.to_string()]);
        measured.push(Measured {
            goal: "F6",
            what: format!("a store that {what}: transitions that differ, by a nanosecond or more"),
            value: number(differ as u64),
            most: 0.0,
        });
    }
    for (what, mode, fails, most) in [
        ("is killed", StoreMode::Absent, false, 1.0),
        ("hangs, while calls fail", StoreMode::Hangs, true, 1.0),
    ] {
        measured.push(Measured {
            goal: "F6",
            what: format!("a store that {what}: all members say so, s"),
            value: seconds(status_within(setting, mode, fails)?),
            most,
        });
    }
    let admitted = jump(setting)?;
    table.row([
        "comes back in an outage".to_owned(),
        String::new(),
        format!("admits {} % of the calls", short(Some(admitted * 100.0))),
    ]);
    Ok(Section {
        title: "Without the store",
        text: "Ten breakers of unequal traffic go through a total outage and one of 60 %. The time of \
               each transition is compared with that of breakers without a fleet."
            .into(),
        table,
        measured,
    })
}
