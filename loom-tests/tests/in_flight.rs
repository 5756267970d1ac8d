//! The watched calls in flight: each has its own place until it ends. A call that ends never
//! removes another call's note.

use loom_tests::sync::Arc;
use loom_tests::{model, preemptions, race};
use tripcurve::__model::{FixedContext, Generation, InFlight, Watch};

const FIRST: Generation = Generation::FIRST;

const LIMIT: u64 = 40;
const WINDOW: u64 = 400;

/// The begins of calls that look for a place at the same end first. When the notes are thinned out,
/// these stay, and one that began at `LIGHT` is removed.
const BEGIN: [u64; 2] = [1, 5];
const LIGHT: u64 = 3;

/// The begin of calls whose predecessors have left the window.
const LATER: u64 = 800;

/// A new `InFlight`. Under loom it has two places and watches all calls.
fn in_flight() -> InFlight {
    InFlight::new(Watch {
        limit: LIMIT,
        window: WINDOW,
        period: LIMIT / 4,
    })
}

fn watch(in_flight: &InFlight, begin: u64) -> Option<u32> {
    watch_in(FIRST, in_flight, begin)
}

fn watch_in(generation: Generation, in_flight: &InFlight, begin: u64) -> Option<u32> {
    in_flight.watch(
        generation,
        (begin, 0),
        &FixedContext::on_first_thread_slot(begin),
    )
}

/// The call with this begin ends, and gives its place back if it has one.
fn come_back(in_flight: &InFlight, place: Option<u32>, begin: u64) {
    if let Some(place) = place {
        in_flight.unwatch(place, FIRST, begin, 0);
    }
}

/// The number of overdue calls when those that began up to `begin` are overdue.
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

/// Two calls have hung until they left the window. They end when one of the places may already
/// belong to a newer call.
///
/// Fails when: `InFlight::unwatch` doesn't check whose note it is, or stores instead of exchanging.
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
        // The newer call has no place if both places changed just when it was about to take them.
        assert_eq!(overdue(in_flight, LATER) > 0, newer.is_some());
        come_back(in_flight, newer, LATER);
        assert_eq!(overdue(in_flight, LATER), 0);
    });
}

/// Both places are taken. A third call removes one of the notes and gives the other more weight.
/// Meanwhile the call of that other note ends.
///
/// Fails when: `InFlight::unwatch` leaves a note that has changed; `InFlight::thin_out` stores
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
        // The note counts for one call or for two.
        assert!((1..=2).contains(&overdue(in_flight, BEGIN[1])));
        come_back(in_flight, third, BEGIN[1]);
        assert_eq!(overdue(in_flight, BEGIN[1]), 0);
    });
}

/// Four calls want two places, and all of them end.
///
/// Fails when: `InFlight::unwatch` leaves a note that has changed; `InFlight::thin_out` stores
/// instead of exchanging.
#[test]
fn of_calls_that_come_and_go_none_stays_behind() {
    model(preemptions(2).full(3), || {
        let in_flight = in_flight();
        let places = [BEGIN[0], LIGHT].map(|begin| watch(&in_flight, begin));
        let shared = Arc::new((in_flight, places));
        race(
            &shared,
            [
                |(in_flight, _)| {
                    let place = watch(in_flight, BEGIN[1]);
                    come_back(in_flight, place, BEGIN[1]);
                },
                |(in_flight, places)| {
                    come_back(in_flight, places[0], BEGIN[0]);
                    let place = watch(in_flight, BEGIN[0]);
                    come_back(in_flight, place, BEGIN[0]);
                },
            ],
        );
        let (in_flight, places) = &*shared;
        come_back(in_flight, places[1], LIGHT);
        assert_eq!(overdue(in_flight, BEGIN[1]), 0);
    });
}

fn charge(in_flight: &InFlight) -> usize {
    in_flight.charge(FIRST, BEGIN[1] + LIMIT + 1, 0, |_| true)
}

/// Two threads look for overdue calls. Both calls in flight are overdue.
///
/// Fails when: `CallSlot::charge` returns `true` though another thread has charged the call.
#[test]
fn a_call_that_two_threads_find_overdue_is_charged_once() {
    model(preemptions(4), || {
        let in_flight = in_flight();
        for begin in BEGIN {
            assert!(watch(&in_flight, begin).is_some());
        }
        let charged = race(&Arc::new(in_flight), [charge, charge]);
        assert_eq!(charged.iter().sum::<usize>(), 2);
    });
}

/// A call ends while a thread looks for overdue calls.
///
/// Fails when: `InFlight::unwatch` or `CallSlot::charge` ignores that the other was first.
#[test]
fn an_overdue_call_is_charged_or_comes_back_uncharged() {
    model(preemptions(4), || {
        let in_flight = in_flight();
        let place = watch(&in_flight, BEGIN[0]).expect("there is room");
        let shared = Arc::new((in_flight, place));
        let weighed = race(
            &shared,
            [
                |(in_flight, _): &(InFlight, u32)| charge(in_flight),
                |(in_flight, place): &(InFlight, u32)| {
                    usize::from(in_flight.unwatch(*place, FIRST, BEGIN[0], 0))
                },
            ],
        );
        assert_eq!(weighed.iter().sum::<usize>(), 1);
    });
}

/// Calls of an ended generation have both places. A call of the next generation takes one of them,
/// while a reader looks for overdue calls.
fn read_while_a_place_changes(begins: [u64; 2], read: Generation, at: u64) {
    let in_flight = in_flight();
    for _ in 0..2 {
        assert!(watch(&in_flight, begins[0]).is_some());
    }
    let shared = Arc::new((in_flight, begins, read, at));
    race(
        &shared,
        [
            |(in_flight, _, read, at)| assert_eq!(in_flight.overdue(*read, *at), 0),
            |(in_flight, begins, ..)| {
                assert!(watch_in(FIRST.next(), in_flight, begins[1]).is_some());
            },
        ],
    );
}

/// Fails when: `Place::take` writes the note before the beginning, or doesn't release the note.
#[test]
fn a_call_is_not_overdue_by_the_beginning_of_the_one_before_it() {
    model(preemptions(4), || {
        let begins = [BEGIN[0], BEGIN[0] + 10];
        read_while_a_place_changes(begins, FIRST.next(), BEGIN[0] + LIMIT + 1);
    });
}

/// Fails when: `Place::began` doesn't read the note again, or has no fence; `Place::take` has no
/// fence.
#[test]
fn a_call_is_not_overdue_by_the_beginning_of_the_one_after_it() {
    model(preemptions(4), || {
        let begins = [BEGIN[0] + 10, BEGIN[0]];
        read_while_a_place_changes(begins, FIRST, BEGIN[0] + LIMIT + 1);
    });
}
