//! Stalls of the client: a thread that comes back late finds the stall, or notes it.

use loom_tests::sync::Arc;
use loom_tests::{model, preemptions, race};
use tripcurve::__model::Stalls;

const LIMIT: u64 = 64;

/// The client was alive at this time, and then again after `STALL`.
const ALIVE: u64 = 1_000;
const STALL: u64 = 1_000;

/// When the client stalls for the second time.
const BEGAN: u64 = ALIVE + STALL + PAUSE;

/// The time between the two stalls, too short to be one.
const PAUSE: u64 = LIMIT / 4;

/// A client that has stalled since `ALIVE`.
fn stalled() -> Arc<Stalls> {
    let stalls = Stalls::default();
    note(&stalls, ALIVE);
    stalls.answer(ALIVE, LIMIT);
    Arc::new(stalls)
}

fn note(stalls: &Stalls, now: u64) {
    stalls.note(now, LIMIT, || ALIVE, |_| 1);
}

/// How long a call that began at `ALIVE` has taken, when its thread wakes `later` after the stall.
fn come_back(stalls: &Stalls, later: u64) -> u64 {
    let now = ALIVE + STALL + later;
    note(stalls, now);
    stalls.awake(ALIVE, now)
}

/// Two calls come back after a stall.
///
/// Fails when: `Stalls::note_slow` raises `alive` before it writes the stall down, or `Stalls`
/// stores or loads `alive` or `to` relaxed.
#[test]
fn of_two_calls_that_a_stall_has_held_up_none_looks_slow() {
    model(preemptions(3), || {
        let took = race(
            &stalled(),
            [
                |stalls: &Stalls| come_back(stalls, 0),
                |stalls: &Stalls| come_back(stalls, 1),
            ],
        );
        assert!(took.iter().all(|took| *took <= 1), "{took:?}");
    });
}

/// A stall ends, and a later one begins and ends. A call that began between them doesn't look
/// faster than it was.
///
/// Fails when: `Stalls::note_slow` writes the end before the beginning, or `Stalls` stores or loads
/// `to` relaxed.
#[test]
fn two_stalls_do_not_look_like_one() {
    model(preemptions(3), || {
        let shared = stalled();
        note(&shared, ALIVE + STALL);
        shared.answer(BEGAN, LIMIT);
        note(&shared, BEGAN);
        let [_, took] = race(
            &shared,
            [
                |stalls: &Stalls| {
                    note(stalls, BEGAN + STALL);
                    0
                },
                |stalls: &Stalls| stalls.awake(ALIVE + STALL, BEGAN + STALL),
            ],
        );
        // Either all of the later stall counts, or nothing of it.
        assert!([PAUSE, PAUSE + STALL].contains(&took), "{took}");
    });
}
