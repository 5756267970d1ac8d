//! Fleets of the real members: what they see together, and that they harm nobody alone.

use std::process::Command;
use std::time::Duration;

use tripcurve_lab::capacity::Capacity;
use tripcurve_lab::fleet::crowd::{Call, Shape};
use tripcurve_lab::fleet::effort::Effort;
use tripcurve_lab::fleet::liars::Liars;
use tripcurve_lab::fleet::outages::Outages;
use tripcurve_lab::fleet::setting::Setting;
use tripcurve_lab::fleet::world::World;
use tripcurve_lab::fleet::{FleetError, part};
use tripcurve_lab::time::{MILLISECOND, SECOND};

fn usually(_: &Call, usual: f64) -> f64 {
    usual
}

fn down(_: &Call, _: f64) -> f64 {
    1.0
}

/// A world after a minute.
fn world(setting: Setting) -> World {
    let mut world = World::new(setting).unwrap();
    world.run(60 * SECOND, &mut usually);
    world.mark();
    world
}

/// Fails when: members judge alone, or expect calls that don't come.
#[test]
fn a_fleet_detects_an_outage_with_a_few_more_failed_calls_than_one_process() {
    let fleet = Setting::new(30, 300.0, 5);
    let one = Setting {
        members: 1,
        is_fleet: false,
        ..fleet
    };
    for (share, most) in [(1.0, 2.2), (0.5, 3.4)] {
        let cost = |setting| Outages::new(setting, share).cost(8).unwrap().failed;
        let (fleet, one) = (cost(fleet), cost(one));
        assert!(
            fleet > 5.0 && fleet <= most * one,
            "{share}: {fleet} of {one}"
        );
    }
}

/// Fails when: a rise that chance explains is announced.
#[test]
fn a_fleet_knows_its_call_rate() {
    let mut world = world(Setting::new(50, 500.0, 5));
    let mut worst: f64 = 0.0;
    for _ in 0..6 {
        world.run(10 * SECOND, &mut usually);
        let member = world.processes[0].membership.as_ref().unwrap();
        let status = member.machine.status(Duration::from_nanos(world.now()));
        let error = status.breakers[0].calls_per_second / 500.0 - 1.0;
        worst = worst.max(error.abs());
    }
    assert!(worst < 0.08, "{worst}");
}

/// Fails when: all members begin a ramp at the same place.
#[test]
fn a_fleet_recovers_at_once_though_each_member_makes_one_call_a_second() {
    let mut world = world(Setting::new(300, 300.0, 5));
    world.run(10 * SECOND, &mut down);
    assert_eq!(world.tally.fleet_trips, 1);
    assert!(world.share_closed() < 0.05, "{}", world.share_closed());
    // About one in a hundred calls probes.
    let probes = world.tally.probes;
    assert!((5..=60).contains(&probes), "{probes}");
    assert_eq!(world.tally.without_lease, 0);
    world.run(4 * SECOND, &mut usually);
    assert!(world.share_closed() >= 0.95, "{}", world.share_closed());
}

/// Fails when: overload isn't seen in a round, or is taken for members that are broken.
#[test]
fn a_dependency_that_can_bear_little_is_not_killed_within_seconds() {
    let mut world = world(Setting::new(10, 500.0, 5));
    world.run(10 * SECOND, &mut down);
    let mut capacity = Capacity::new(500.0, world.now());
    let mut admitted = world.tally.admitted;
    for _ in 0..5_000 {
        while admitted < world.tally.admitted {
            capacity.serve(world.now());
            admitted += 1;
        }
        let mut fails =
            |call: &Call, usual: f64| 1.0 - (1.0 - usual) * capacity.share_served(call.at);
        world.run(MILLISECOND, &mut fails);
    }
    assert_eq!(capacity.kills(), 0);
}

/// Fails when: a member without the others' agreement opens the fleet.
#[test]
fn broken_and_lying_members_open_nobody_else() {
    let mut world = world(Setting {
        tolerated: 0.0,
        ..Setting::new(30, 300.0, 5).shaped(Shape::OneHasHalf)
    });
    world.run(60 * SECOND, &mut |call: &Call, usual| {
        if call.member == 0 { 1.0 } else { usual }
    });
    assert_eq!((world.tally.fleet_trips, world.tally.trips > 0), (0, true));
    world.run(60 * SECOND, &mut usually);
    world.mark();
    let mut liars = Liars::new(2, &world).unwrap();
    liars.lie(&mut world, 60 * SECOND, &mut usually).unwrap();
    assert_eq!(world.tally.fleet_trips, 0);
}

/// Fails when: a store that doesn't work changes what a breaker decides.
#[test]
fn without_its_store_a_breaker_is_one_without_a_fleet() {
    let section = part("store", 5, &Effort::QUICK).unwrap();
    let missed: Vec<_> = section.measured.iter().filter(|it| !it.is_met()).collect();
    assert!(
        section.measured.len() >= 5 && missed.is_empty(),
        "{missed:?}"
    );
}

#[test]
fn equal_seeds_give_equal_worlds() {
    let tally = |seed| {
        let mut world = world(Setting::new(20, 200.0, seed));
        world.run(20 * SECOND, &mut |call: &Call, usual| {
            if call.at % (20 * SECOND) < 8 * SECOND {
                0.7
            } else {
                usual
            }
        });
        format!("{:?}", world.tally)
    };
    assert_eq!(tally(5), tally(5));
    assert_ne!(tally(5), tally(6));
}

#[test]
fn a_part_or_an_effort_that_makes_no_sense_is_refused() {
    assert!(matches!(
        part("detecting", 1, &Effort::QUICK),
        Err(FleetError::Unknown { .. })
    ));
    for (arguments, expected) in [
        (["fleet", "detecting"], "expected detection, false-trips"),
        (["fleet", "--effort=0"], "--effort is 0; expected above 0"),
    ] {
        let lab = Command::new(env!("CARGO_BIN_EXE_tripcurve-lab"))
            .args(arguments)
            .output()
            .unwrap();
        let text = String::from_utf8(lab.stderr).unwrap();
        assert!(!lab.status.success() && text.contains(expected), "{text}");
    }
}
