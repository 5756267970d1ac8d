//! The store's clock jumps.

use super::{START, judge, pulse, report, sender};
use crate::message::{AskLease, Member, Pulse, Sender, Trip};
use crate::sums::{FleetSums, LIFETIME_MS};

/// A thousand members of which each makes a call a second, and one call in a hundred fails. `clock`
/// gives the store's time. Returns the first trip.
fn fails_a_little(sums: &mut FleetSums, ms: u64, clock: impl Fn(u64) -> u64) -> Option<Trip> {
    let judge = judge();
    (1..).zip((0..ms).step_by(100)).find_map(|(number, at)| {
        let now = clock(at);
        // A member that is told that its report doesn't count announces its traffic.
        let member = number * 7_919 % 1_000;
        let it = report(member, number, 1, 1_179, 0);
        if !sums.report(&it, now).unwrap().answer.counted {
            sums.pulse(&pulse(member, 1_000), now).unwrap();
        }
        let weighed = sums.weigh(&judge.weigh(sender(member)), now).unwrap();
        judge.trip(&weighed.answer, sender(member), 100)
    })
}

fn thousand_members() -> FleetSums {
    let mut sums = FleetSums::default();
    for member in 0..1_000 {
        sums.pulse(&pulse(member, 1_000), START).unwrap();
    }
    sums
}

#[test]
fn a_clock_that_goes_back_trips_nobody() {
    for back in [1, 100, 1_000, 9_000, 60_000, 3_600_000] {
        let mut sums = thousand_members();
        assert_eq!(fails_a_little(&mut sums, 5_000, |at| START + at), None);
        let after = |at| START + 5_000 - back + at;
        let trip = fails_a_little(&mut sums, 30_000, after);
        assert_eq!(trip, None, "{back} ms");
    }
}

#[test]
fn a_clock_that_jumps_ahead_trips_nobody() {
    for ahead in [100, 1_000, 30_000, 100_000, 7_200_000] {
        let mut sums = thousand_members();
        assert_eq!(fails_a_little(&mut sums, 5_000, |at| START + at), None);
        let after = |at| START + 5_000 + ahead + at;
        let trip = fails_a_little(&mut sums, 30_000, after);
        assert_eq!(trip, None, "{ahead} ms");
    }
}

#[test]
fn a_clock_that_jumps_ahead_makes_an_excursion_look_older() {
    let mut sums = thousand_members();
    for member in 1..=3 {
        let it = report(member, 1, 1, 2_048, 0);
        sums.report(&it, START).unwrap();
    }
    let later = START + 5;
    let jumped = START + 15;
    let [there, beyond] = [later, jumped].map(|now| {
        let mut sums = sums.clone();
        let weighed = sums.weigh(&judge().weigh(sender(1)), now).unwrap();
        weighed.answer.usual.sums
    });
    assert_eq!(there.failures, beyond.failures);
    assert!(beyond.expected > there.expected && beyond.age_ms > there.age_ms);
}

/// The first probe of an open fleet doesn't wait until the clock has caught up.
#[test]
fn an_open_fleet_whose_clock_goes_back_by_an_hour_is_probed_within_a_second() {
    let mut sums = thousand_members();
    let mut opened = None;
    for member in 1..100 {
        let it = report(member, 1, 1, 2_048, 0);
        sums.report(&it, START).unwrap();
        let weighed = sums.weigh(&judge().weigh(sender(1)), START).unwrap();
        if let Some(trip) = judge().trip(&weighed.answer, sender(1), 100) {
            opened = Some(sums.trip(&trip, START).unwrap().answer.view);
            break;
        }
    }
    let open = opened.unwrap();
    let back = START - LIFETIME_MS;
    let knowing = Sender::knowing(Member(1), &open);
    let pulse = Pulse {
        sender: knowing,
        ..pulse(1, 1_000)
    };
    let view = sums.pulse(&pulse, back).unwrap().answer.view;
    assert_eq!((view.epoch, view.state), (open.epoch, open.state));
    assert!(view.due_ms <= 1_000, "{view:?}");
    let ask = AskLease {
        sender: Sender::knowing(Member(1), &view),
        epoch: view.epoch,
        rate: 1_000,
        check: false,
        wait_ms: 100,
    };
    let leased = sums.lease(&ask, back + 1_000).unwrap().answer;
    assert!(leased.lease.is_some());
}
