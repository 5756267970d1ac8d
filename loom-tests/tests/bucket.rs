//! The bucket word and the ring of them: what is recorded in a live bucket is counted once, and
//! nobody who comes late, from an older turn or an older generation, damages a newer bucket.

use loom_tests::sync::Arc;
use loom_tests::{UNBOUNDED, model, preemptions, race};
use std::time::Duration;
use tripcurve::__model::{
    AtomicBucket, AtomicState, Caller, Generation, Kind, Lane, Now, Stamp, Tally, TimeRing,
};
use tripcurve::{Clock, MockClock};

const FIRST: Generation = Generation::FIRST;

/// Two threads count in one bucket, one of them twice.
#[test]
fn writers_of_one_bucket_are_all_counted() {
    model(UNBOUNDED, || {
        let stamp = Stamp::new(0, 1);
        let bucket = AtomicBucket::new();
        assert!(bucket.add(stamp, || true));
        let bucket = Arc::new(bucket);
        race(
            &bucket,
            [
                |bucket| {
                    assert!(bucket.add(Stamp::new(0, 1), || true));
                    assert!(bucket.add(Stamp::new(0, 1), || true));
                },
                |bucket| assert!(bucket.add(Stamp::new(0, 1), || true)),
            ],
        );
        assert_eq!(bucket.load().stamp(), stamp);
        assert_eq!(bucket.load().count(), 4);
    });
}

/// Three threads find the bucket of the turn before in the place of theirs.
#[test]
fn writers_that_replace_an_older_bucket_are_all_counted() {
    model(preemptions(4), || {
        let bucket = AtomicBucket::new();
        assert!(bucket.add(Stamp::new(0, 1), || true));
        let bucket = Arc::new(bucket);
        let write = |bucket: &AtomicBucket| assert!(bucket.add(Stamp::new(0, 2), || true));
        race(&bucket, [write, write, write]);
        assert_eq!(bucket.load().stamp(), Stamp::new(0, 2));
        assert_eq!(bucket.load().count(), 3);
    });
}

/// A writer was admitted in a generation that ends, and writes at the same time as one of the
/// generation after it.
#[test]
fn a_writer_of_an_ended_generation_does_not_damage_the_new_ones_bucket() {
    model(UNBOUNDED, || {
        let shared = Arc::new((AtomicState::new(Kind::Closed), AtomicBucket::new()));
        let current = |state: &AtomicState| state.load().generation();
        race(
            &shared,
            [
                |(state, bucket)| {
                    bucket.add(Stamp::new(FIRST.bits(), 7), || {
                        state.load().generation() == FIRST
                    });
                },
                |(state, bucket)| {
                    let next = state.force(Kind::Closed).generation;
                    assert!(bucket.add(Stamp::new(next.bits(), 7), || {
                        state.load().generation() == next
                    }));
                },
            ],
        );
        let (state, bucket) = &*shared;
        assert_eq!(bucket.load().stamp(), Stamp::new(current(state).bits(), 7));
        assert_eq!(bucket.load().count(), 1);
    });
}

/// As above, but the new generation has two writers, and the second has added to what the first
/// had written.
#[test]
fn a_late_writer_is_told_of_the_new_generation_by_whoever_wrote_last() {
    model(preemptions(4), || {
        let shared = Arc::new((AtomicState::new(Kind::Closed), AtomicBucket::new()));
        let written = race(
            &shared,
            [
                |(state, bucket)| {
                    bucket.add(Stamp::new(FIRST.bits(), 7), || {
                        state.load().generation() == FIRST
                    });
                    0
                },
                |(state, bucket)| {
                    let next = state.force(Kind::Closed).generation;
                    assert!(bucket.add(Stamp::new(next.bits(), 7), || {
                        state.load().generation() == next
                    }));
                    1
                },
                |(state, bucket)| {
                    let next = state.load().generation();
                    if next == FIRST {
                        return 0;
                    }
                    assert!(bucket.add(Stamp::new(next.bits(), 7), || {
                        state.load().generation() == next
                    }));
                    1
                },
            ],
        );
        let bucket = &shared.1;
        assert_eq!(bucket.load().stamp(), Stamp::new(FIRST.next().bits(), 7));
        assert_eq!(bucket.load().count(), written.into_iter().sum::<u64>());
    });
}

/// Width of a bucket, in nanoseconds.
const WIDTH: u64 = 10;

/// A ring under a clock that moves on.
struct Turning {
    ring: TimeRing,
    clock: Clock,
    hand: MockClock,
}

impl Turning {
    fn new(buckets: u32) -> Arc<Self> {
        let (clock, hand) = Clock::mock();
        Arc::new(Self {
            ring: TimeRing::new(WIDTH, buckets, 1),
            clock,
            hand,
        })
    }

    /// Records a failure of a call that ended at `now`.
    fn fail(&self, now: u64) -> bool {
        self.ring
            .record_at(Tally::Failure, FIRST, now, self, || true)
    }

    fn failures(&self, now: u64) -> u64 {
        self.ring.sum(Tally::Failure, FIRST, now)
    }

    fn turn(&self, ticks: u64) {
        self.hand.advance_to(Duration::from_nanos(ticks * WIDTH));
    }
}

impl Now for Turning {
    fn nanos(&self) -> u64 {
        self.clock.nanos()
    }
}

impl Caller for Turning {
    fn lane(&self) -> Lane {
        Lane(0)
    }
}

/// Two threads read the clock and record, while it moves on to the next bucket.
#[test]
fn each_call_is_counted_in_the_bucket_of_its_time() {
    model(preemptions(4), || {
        let ring = Turning::new(2);
        let record = |ring: &Turning| {
            let now = ring.nanos();
            assert!(ring.fail(now), "both ticks are in the window");
            now / WIDTH
        };
        let ticks = race(
            &ring,
            [record, record, |ring| {
                ring.turn(1);
                0
            }],
        );
        let late = ticks.into_iter().sum();
        assert_eq!(ring.failures(WIDTH), 2);
        assert_eq!(ring.failures(2 * WIDTH), late, "the first tick is over");
    });
}

/// As above in a ring of one bucket, so that the later bucket takes the earlier one's place.
#[test]
fn a_ring_that_turns_loses_nothing_of_the_newer_bucket() {
    model(preemptions(3), || {
        let ring = Turning::new(1);
        let record = |ring: &Turning| {
            let now = ring.nanos();
            let counted = ring.fail(now);
            assert!(counted || now == 0);
            now / WIDTH
        };
        let ticks = race(
            &ring,
            [record, record, |ring| {
                ring.turn(1);
                0
            }],
        );
        assert_eq!(ring.failures(WIDTH), ticks.into_iter().sum());
    });
}

/// A writer has read the clock and sleeps while the ring turns and somebody else records.
#[test]
fn a_writer_that_slept_through_a_turn_of_the_ring_does_not_damage_the_newer_bucket() {
    model(UNBOUNDED, || {
        let ring = Turning::new(1);
        race(
            &ring,
            [
                |ring| {
                    ring.fail(0);
                },
                |ring| {
                    ring.turn(1);
                    assert!(ring.fail(ring.nanos()));
                },
            ],
        );
        assert_eq!(ring.failures(WIDTH), 1);
    });
}
