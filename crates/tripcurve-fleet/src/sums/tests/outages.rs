//! How soon a fleet sees an outage.

use super::{START, judge, pulse, report, sender};
use crate::message::{FleetState, Report};
use crate::sums::FleetSums;

#[test]
fn a_fleet_detects_an_outage_by_the_members_own_rule() {
    let judge = judge();
    let mut sums = FleetSums::default();
    for member in 0..1_000 {
        sums.pulse(&pulse(member, 1_000), START).unwrap();
    }
    // Each millisecond another member fails.
    let mut tripped = None;
    for ms in 1..100 {
        let now = START + ms;
        let reported = sums
            .report(&report(ms, 1, 1, 1_179, 0), now)
            .unwrap()
            .answer;
        if !judge.may_trip(&reported) {
            continue;
        }
        let weighed = sums.weigh(&judge.weigh(sender(ms)), now).unwrap().answer;
        if let Some(trip) = judge.trip(&weighed, sender(ms), 100) {
            assert!(sums.trip(&trip, now).unwrap().answer.won);
            tripped = Some(ms);
            break;
        }
    }
    // The simulation of the design took 46 ms.
    assert!(tripped.is_some_and(|ms| ms <= 46), "{tripped:?}");
    assert_eq!(sums.state, FleetState::Open);
}

#[test]
fn a_member_that_always_fails_does_not_hide_an_outage() {
    let judge = judge();
    let mut sums = FleetSums::default();
    for member in 0..100 {
        sums.pulse(&pulse(member, 10_000), START).unwrap();
    }
    let mut now = START;
    let mut weighings = 0;
    let mut round = |sums: &mut FleetSums, it: &Report, now: u64| {
        let reported = sums.report(it, now).unwrap().answer;
        if !judge.may_trip(&reported) {
            return None;
        }
        weighings += 1;
        let weighed = sums.weigh(&judge.weigh(it.sender), now).unwrap().answer;
        judge.trip(&weighed, it.sender, 100)
    };
    // A minute of four reports a second, each of many failures.
    for number in 1..=240 {
        now += 250;
        let it = report(0, number, 200, 2_048, 0);
        assert_eq!(round(&mut sums, &it, now), None);
    }
    // Then all fail.
    let outage = now;
    let tripped = (1..100).find(|member| {
        now += 1;
        round(&mut sums, &report(*member, 1, 1, 1_179, 0), now).is_some()
    });
    assert!(tripped.is_some(), "{} ms", now - outage);
    assert!(now - outage < 60, "{} ms", now - outage);
    assert!(weighings > 0);
}
