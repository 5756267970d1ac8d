//! The window of the last n calls: each call has a position of its own, groups of positions and
//! generations follow each other without loss, and no sum shows a call that was never made.

use loom_tests::sync::{Arc, AtomicU64, Ordering};
use loom_tests::{UNBOUNDED, model, preemptions, race};
use tripcurve::__model::{
    At, AtomicState, Caller, CountRing, Counts, Generation, Kind, Lane, Now, Tally,
};

const FIRST: Generation = Generation::FIRST;

/// Positions that share a word.
const GROUP: u32 = 16;

/// How old a call may be, in nanoseconds: 64 ticks, or 2 under loom.
const WITHIN: u64 = 128;

/// Records one call of the first generation.
fn record(ring: &CountRing, tally: Tally, now: u64) {
    assert!(ring.record(tally, FIRST, &At::on_one_lane(now), || true));
}

fn fail(ring: &CountRing) {
    record(ring, Tally::Failure, 0);
}

fn succeed(ring: &CountRing) {
    record(ring, Tally::Success, 0);
}

fn counts(successes: u64, failures: u64) -> Counts {
    Counts {
        successes,
        failures,
    }
}

/// Two failures begin the same group.
#[test]
fn two_writers_that_begin_a_group_are_both_counted() {
    model(UNBOUNDED, || {
        let ring = Arc::new(CountRing::new(2, None));
        race(&ring, [fail, fail]);
        assert_eq!(ring.sum(FIRST, 0), counts(0, 2));
    });
}

/// One failure is the last of its group, the other the first of the next.
#[test]
fn two_writers_on_both_sides_of_a_groups_border_are_both_counted() {
    model(UNBOUNDED, || {
        let ring = CountRing::new(3, None);
        for _ in 1..GROUP {
            succeed(&ring);
        }
        let ring = Arc::new(ring);
        race(&ring, [fail, fail]);
        assert_eq!(ring.sum(FIRST, 0), counts(1, 2));
    });
}

/// A failure has a position and sleeps until a whole turn of the ring has gone by.
#[test]
fn a_writer_that_slept_through_a_turn_of_the_ring_does_not_damage_the_newer_calls() {
    model(preemptions(2), || {
        // Two groups. The racer's position is the first of a group, and the other racer's calls are
        // as many as it takes to come to that group again.
        let ring = Arc::new(CountRing::new(2, None));
        race(
            &ring,
            [
                |ring| {
                    ring.record(Tally::Failure, FIRST, &At::on_one_lane(0), || true);
                },
                |ring| {
                    for _ in 0..=2 * GROUP {
                        succeed(ring);
                    }
                },
            ],
        );
        let Counts {
            successes,
            failures,
        } = ring.sum(FIRST, 0);
        assert_eq!(successes + failures, 2);
        assert!(failures <= 1);
        for _ in 0..2 {
            succeed(&ring);
        }
        assert_eq!(ring.sum(FIRST, 0), counts(2, 0));
    });
}

/// A failure was admitted in a generation that ends, and comes at the same time as a success of
/// the generation after it.
#[test]
fn a_writer_of_an_ended_generation_shows_nothing_in_the_new_one() {
    model(preemptions(5), || {
        let shared = Arc::new((AtomicState::new(Kind::Closed), CountRing::new(2, None)));
        race(
            &shared,
            [
                |(state, ring)| {
                    ring.record(Tally::Failure, FIRST, &At::on_one_lane(0), || {
                        state.load().generation() == FIRST
                    });
                },
                |(state, ring)| {
                    let next = state.force(Kind::Closed).generation;
                    let is_current = || state.load().generation() == next;
                    ring.begin(next, is_current);
                    let caller = At::on_one_lane(0);
                    assert!(ring.record(Tally::Success, next, &caller, is_current));
                },
            ],
        );
        assert_eq!(shared.1.sum(FIRST.next(), 0), counts(1, 0));
    });
}

/// The winner of a transition begins the new generation, and so does the first call of it.
#[test]
fn a_generation_begins_once() {
    model(preemptions(4), || {
        let state = AtomicState::new(Kind::Closed);
        let ring = CountRing::new(2, None);
        fail(&ring);
        state.force(Kind::Closed);
        let shared = Arc::new((state, ring));
        race(
            &shared,
            [
                |(state, ring)| {
                    let next = FIRST.next();
                    ring.begin(next, || state.load().generation() == next);
                },
                |(state, ring)| {
                    let next = FIRST.next();
                    let is_current = || state.load().generation() == next;
                    let caller = At::on_one_lane(0);
                    assert!(ring.record(Tally::Failure, next, &caller, is_current));
                    assert!(ring.record(Tally::Failure, next, &caller, is_current));
                },
            ],
        );
        assert_eq!(shared.1.sum(FIRST.next(), 0), counts(0, 2));
    });
}

/// A reader sums while calls are recorded whose group has the word of one that was full of failures
/// a turn ago.
#[test]
fn a_sum_shows_no_failure_and_no_call_that_never_was() {
    model(preemptions(3), || {
        let ring = CountRing::new(2, None);
        for _ in 0..GROUP {
            fail(&ring);
        }
        for _ in 0..GROUP {
            succeed(&ring);
        }
        let ring = Arc::new(ring);
        race(
            &ring,
            [
                |ring| {
                    succeed(ring);
                    fail(ring);
                },
                |ring| {
                    let Counts {
                        successes,
                        failures,
                    } = ring.sum(FIRST, 0);
                    assert!(failures <= 1 && successes + failures <= 2);
                },
                succeed,
            ],
        );
    });
}

/// Two failures in the same tick, of which either may note its position first.
#[test]
fn the_mark_of_a_tick_is_at_its_first_call() {
    model(preemptions(4), || {
        let ring = Arc::new(CountRing::new(8, Some(WITHIN)));
        race(&ring, [fail, fail]);
        assert_eq!(ring.sum(FIRST, WITHIN - 1), counts(0, 2));
        assert_eq!(ring.sum(FIRST, WITHIN), counts(0, 0));
    });
}

/// Two failures in different ticks of the same window.
#[test]
fn calls_of_two_ticks_are_both_counted() {
    model(preemptions(4), || {
        let ring = Arc::new(CountRing::new(8, Some(WITHIN)));
        race(
            &ring,
            [fail, |ring| {
                record(ring, Tally::Failure, WITHIN / 2);
            }],
        );
        assert_eq!(ring.sum(FIRST, WITHIN / 2), counts(0, 2));
        // The older one goes with its tick, unless it has taken the later position.
        let left = ring.sum(FIRST, WITHIN).failures;
        assert!((1..=2).contains(&left));
    });
}

/// A caller whose clock all threads share, and which moves on while they work.
struct Moving(AtomicU64);

impl Now for Moving {
    fn raw(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn nanos_at(&self, raw: u64) -> u64 {
        raw
    }
}

impl Caller for Moving {
    fn lane(&self) -> Lane {
        Lane(0)
    }
}

/// One failure comes so late that its tick's mark may be another turn's already, whose writer has
/// seen the clock move on.
///
/// Fails when: `Marks::note` doesn't ask the clock again before it replaces a mark.
#[test]
fn a_late_call_does_not_take_the_mark_of_a_newer_turn() {
    model(preemptions(4), || {
        let ring = CountRing::new(8, Some(WITHIN));
        let shared = Arc::new((ring, Moving(AtomicU64::new(0))));
        race(
            &shared,
            [
                |(ring, clock): &(CountRing, Moving)| {
                    ring.record(Tally::Failure, FIRST, clock, || true);
                },
                |(ring, clock): &(CountRing, Moving)| {
                    clock.0.store(WITHIN, Ordering::Release);
                    ring.record(Tally::Failure, FIRST, clock, || true);
                },
            ],
        );
        assert!(shared.0.sum(FIRST, WITHIN).failures >= 1);
    });
}
