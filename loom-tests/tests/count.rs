//! The last n calls: the cursor, the groups of sixteen and the marks of time. What is shown: a call has
//! a place of its own among those of its generation, and a reader sees none that never was.

use loom_tests::sync::Arc;
use loom_tests::{UNBOUNDED, model, preemptions, race};
use tripcurve::__model::{At, AtomicState, CountRing, Counts, Generation, Kind, Tally};

const FIRST: Generation = Generation::FIRST;

fn record(ring: &CountRing, tally: Tally, now: u64) -> bool {
    ring.record(tally, FIRST, &At::on_one_lane(now), || true)
}

/// Two writers take the last place of a group of sixteen and the first of the next.
///
/// Fails when: `CountRing::write` stores instead of exchanging.
#[test]
fn two_writers_at_the_border_of_a_group_are_both_counted() {
    model(UNBOUNDED, || {
        let ring = Arc::new(CountRing::new(4, None));
        for _ in 0..15 {
            assert!(record(&ring, Tally::Success, 0));
        }
        race(
            &ring,
            [
                |ring: &CountRing| assert!(record(ring, Tally::Failure, 0)),
                |ring: &CountRing| assert!(record(ring, Tally::Failure, 0)),
            ],
        );
        let expected = Counts {
            successes: 2,
            failures: 2,
        };
        assert_eq!(ring.sum(FIRST, 0), expected);
    });
}

/// Two writers in one group.
///
/// Fails when: `CountRing::write` stores instead of exchanging.
#[test]
fn two_failures_in_one_group_are_both_counted() {
    model(UNBOUNDED, || {
        let ring = Arc::new(CountRing::new(4, None));
        race(
            &ring,
            [
                |ring: &CountRing| assert!(record(ring, Tally::Failure, 0)),
                |ring: &CountRing| assert!(record(ring, Tally::Failure, 0)),
            ],
        );
        let expected = Counts {
            successes: 0,
            failures: 2,
        };
        assert_eq!(ring.sum(FIRST, 0), expected);
    });
}

/// A failure of a generation that ends, against the beginning and the first success of the next.
///
/// Fails when: `stamped::update` doesn't ask `is_current`.
#[test]
fn a_late_call_never_gets_into_the_next_generations_last_calls() {
    model(preemptions(3), || {
        let shared = Arc::new((CountRing::new(2, None), AtomicState::new(Kind::Closed)));
        race(
            &shared,
            [
                |(ring, state): &(CountRing, AtomicState)| {
                    ring.record(Tally::Failure, FIRST, &At::on_one_lane(0), || {
                        state.load().generation() == FIRST
                    });
                },
                |(ring, state): &(CountRing, AtomicState)| {
                    let next = state.force(Kind::Closed).generation;
                    let is_current = || state.load().generation() == next;
                    ring.begin(next, is_current);
                    assert!(ring.record(Tally::Success, next, &At::on_one_lane(0), is_current));
                },
            ],
        );
        let expected = Counts {
            successes: 1,
            failures: 0,
        };
        assert_eq!(shared.0.sum(FIRST.next(), 0), expected);
    });
}

/// A reader against a writer: it sees the call or it doesn't, and never a failure that was a
/// success.
///
/// Fails when: `CountRing::sum` counts a group whose number isn't the expected one.
#[test]
fn a_reader_sees_no_call_that_never_was() {
    model(UNBOUNDED, || {
        let ring = Arc::new(CountRing::new(1, None));
        // The place where the next call goes still holds failures of a turn ago.
        for _ in 0..16 {
            assert!(record(&ring, Tally::Failure, 0));
        }
        for _ in 0..16 {
            assert!(record(&ring, Tally::Success, 0));
        }
        let [seen, _] = race(
            &ring,
            [
                |ring: &CountRing| ring.sum(FIRST, 0),
                |ring: &CountRing| {
                    assert!(record(ring, Tally::Success, 0));
                    Counts::default()
                },
            ],
        );
        assert_eq!(seen.failures, 0, "{seen:?}");
        assert!(seen.calls() <= 1, "{seen:?}");
    });
}

/// Two writers in the first ticks of a window of the last calls within a time.
///
/// Fails when: `Marks::note` leaves a mark of its tick that is behind its own position.
#[test]
fn two_writers_in_two_ticks_are_both_within_reach() {
    model(preemptions(3), || {
        let ring = Arc::new(CountRing::new(4, Some(20)));
        race(
            &ring,
            [
                |ring: &CountRing| assert!(record(ring, Tally::Failure, 9)),
                |ring: &CountRing| {
                    assert!(record(ring, Tally::Failure, 10));
                    assert!(record(ring, Tally::Failure, 10));
                },
            ],
        );
        assert_eq!(ring.sum(FIRST, 10).failures, 3);
        assert_eq!(ring.sum(FIRST, 9).failures, 3, "read with an older clock");
    });
}
