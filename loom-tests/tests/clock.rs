//! The mock clock: a thread that reads the new time sees the work done before the clock was moved.

use std::time::Duration;

use loom_tests::sync::{Arc, AtomicU64, Ordering};
use loom_tests::{UNBOUNDED, model, race};
use tripcurve::__model::Now;
use tripcurve::time::{Clock, MockClock};

type Scene = (Clock, MockClock, AtomicU64);

/// One thread prepares something and moves the clock. Another reads the time.
fn move_by(moves: fn(&Scene)) {
    let (clock, mock) = Clock::mock();
    let shared = Arc::new(((clock, mock, AtomicU64::new(0)), moves));
    race(
        &shared,
        [
            |(scene, moves): &(Scene, fn(&Scene))| {
                // Relaxed, here and below: the clock must order it.
                scene.2.store(1, Ordering::Relaxed);
                moves(scene);
            },
            |((clock, _, prepared), _)| {
                if clock.raw() > 0 {
                    assert_eq!(prepared.load(Ordering::Relaxed), 1);
                }
            },
        ],
    );
}

/// Fails when: `MockClock::advance` doesn't release, or the clock doesn't acquire.
#[test]
fn what_was_prepared_is_seen_when_the_clock_has_been_advanced() {
    model(UNBOUNDED, || {
        move_by(|(_, mock, _)| mock.advance(Duration::from_nanos(1)));
    });
}

/// Fails when: `MockClock::advance_to` doesn't release, or the clock doesn't acquire.
#[test]
fn what_was_prepared_is_seen_when_the_clock_has_been_moved_to_a_moment() {
    model(UNBOUNDED, || {
        move_by(|(_, mock, _)| mock.advance_to(Duration::from_nanos(1)));
    });
}
