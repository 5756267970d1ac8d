//! The calls in flight that are watched: each has a place of its own until it comes back, and who comes
//! back takes no other's note away.

use loom_tests::sync::Arc;
use loom_tests::{model, preemptions, race};
use tripcurve::__model::{At, Generation, InFlight, Watch};

const FIRST: Generation = Generation::FIRST;

/// What a note's time is rounded up to, in nanoseconds.
const UNIT: u64 = 1 << 12;
const LIMIT: u64 = 10 * UNIT;
const WINDOW: u64 = 100 * UNIT;

/// When calls begin that look for a place at the same end first. When the notes are thinned out, these
/// stay, and one that began at `LIGHT` goes.
const BEGIN: [u64; 2] = [UNIT, 7 * UNIT];
const LIGHT: u64 = 2 * UNIT;

/// When calls begin whose predecessors have left the window.
const LATER: u64 = 200 * UNIT;

/// As it is before any call: under loom there are two places, and all calls are watched.
fn in_flight() -> InFlight {
    InFlight::new(Watch {
        limit: LIMIT,
        window: WINDOW,
        period: LIMIT / 4,
    })
}

fn watch(in_flight: &InFlight, begin: u64) -> Option<u32> {
    in_flight.watch(FIRST, begin, &At::on_one_lane(begin))
}

/// The call that began then comes back to its place, if it has one.
fn come_back(in_flight: &InFlight, place: Option<u32>, begin: u64) {
    if let Some(place) = place {
        in_flight.unwatch(place, FIRST, begin);
    }
}

/// How many are overdue when those are that began at `begin` and before.
fn overdue(in_flight: &InFlight, begin: u64) -> u64 {
    in_flight.overdue(FIRST, begin + LIMIT + 1)
}

/// Fails when: `InFlight::take_place` stores a note instead of exchanging it.
#[test]
fn two_calls_that_are_watched_at_once_have_a_place_each() {
    model(preemptions(4), || {
        let in_flight = Arc::new(in_flight());
        let places = race(
            &in_flight,
            [
                |in_flight| watch(in_flight, BEGIN[0]),
                |in_flight| watch(in_flight, BEGIN[1]),
            ],
        );
        assert!(places.iter().all(Option::is_some));
        assert_ne!(places[0], places[1]);
        assert_eq!(overdue(&in_flight, BEGIN[1]), 2);
        come_back(&in_flight, places[0], BEGIN[0]);
        assert_eq!(overdue(&in_flight, BEGIN[1]), 1);
        come_back(&in_flight, places[1], BEGIN[1]);
        assert_eq!(overdue(&in_flight, BEGIN[1]), 0);
    });
}

/// Two calls have hung until they left the window, and come back when one of the places may be that of
/// a newer call already.
///
/// Fails when: `InFlight::unwatch` doesn't look whose note it is; when it stores instead of exchanging.
#[test]
fn who_comes_back_to_a_place_that_has_become_anothers_takes_nothing_away() {
    model(preemptions(4), || {
        let in_flight = in_flight();
        let places = BEGIN.map(|begin| watch(&in_flight, begin));
        assert!(places.iter().all(Option::is_some));
        let shared = Arc::new((in_flight, places));
        let [newer, _] = race(
            &shared,
            [
                |(in_flight, _)| watch(in_flight, LATER),
                |(in_flight, places)| {
                    come_back(in_flight, places[0], BEGIN[0]);
                    come_back(in_flight, places[1], BEGIN[1]);
                    None
                },
            ],
        );
        let in_flight = &shared.0;
        // It has no place if both places changed just when it was about to take them.
        assert_eq!(overdue(in_flight, LATER) > 0, newer.is_some());
        come_back(in_flight, newer, LATER);
        assert_eq!(overdue(in_flight, LATER), 0);
    });
}

/// Both places are taken, a third call gives one of the notes up and the other more weight, and the call
/// of that one comes back.
///
/// Fails when: `InFlight::unwatch` leaves a note that has changed; when `InFlight::thin_out` stores
/// instead of exchanging.
#[test]
fn a_call_that_comes_back_while_the_notes_are_thinned_out_stays_away() {
    model(preemptions(4), || {
        let in_flight = in_flight();
        let places = [BEGIN[0], LIGHT].map(|begin| watch(&in_flight, begin));
        assert!(places.iter().all(Option::is_some));
        let shared = Arc::new((in_flight, places));
        let [third, _] = race(
            &shared,
            [
                |(in_flight, _)| watch(in_flight, BEGIN[1]),
                |(in_flight, places)| {
                    come_back(in_flight, places[0], BEGIN[0]);
                    None
                },
            ],
        );
        let (in_flight, places) = &*shared;
        assert!(third.is_some());
        come_back(in_flight, places[1], LIGHT);
        // By itself, or for two.
        assert!((1..=2).contains(&overdue(in_flight, BEGIN[1])));
        come_back(in_flight, third, BEGIN[1]);
        assert_eq!(overdue(in_flight, BEGIN[1]), 0);
    });
}

/// Three calls for two places, and all come back.
///
/// Fails when: as above.
#[test]
fn of_three_calls_that_come_and_go_none_stays_behind() {
    model(preemptions(1).full(2), || {
        let in_flight = Arc::new(in_flight());
        race(
            &in_flight,
            [
                |in_flight| {
                    let place = watch(in_flight, BEGIN[0]);
                    come_back(in_flight, place, BEGIN[0]);
                },
                |in_flight| {
                    let place = watch(in_flight, LIGHT);
                    come_back(in_flight, place, LIGHT);
                },
                |in_flight| {
                    let place = watch(in_flight, BEGIN[1]);
                    come_back(in_flight, place, BEGIN[1]);
                },
            ],
        );
        assert_eq!(overdue(&in_flight, BEGIN[1]), 0);
    });
}
