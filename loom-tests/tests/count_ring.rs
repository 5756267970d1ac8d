//! The window of the last n calls: each call has its own position. Groups of positions and
//! generations follow each other without loss, and no sum shows a call that was never made.

use loom_tests::sync::{Arc, AtomicU64, Ordering};
use loom_tests::{UNBOUNDED, model, preemptions, race};
use tripcurve::__model::{
    AtomicState, Bin, BinCounts, CallContext, CountRing, Counts, FixedContext, Generation,
    KeptTimes, Now, Origin, Phase, Recording, Tally, ThreadSlot, Took,
};

const FIRST: Generation = Generation::FIRST;

/// Positions that share a word.
const GROUP: u32 = 16;

/// The oldest age of a call in the window, in nanoseconds: 64 ticks, or 2 under loom.
const WITHIN: u64 = 128;

/// Records one call of the first generation.
fn record(ring: &CountRing, tally: Tally, now: u64) {
    let context = FixedContext::on_first_thread_slot(now);
    assert!(ring.record(tally, None, Origin::new(FIRST, &context), || true));
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
        ..Counts::default()
    }
}

/// Two failures begin the same group.
#[test]
fn two_writers_that_begin_a_group_are_both_counted() {
    model(UNBOUNDED, || {
        let ring = Arc::new(CountRing::new(2, None, KeptTimes::NONE));
        race(&ring, [fail, fail]);
        assert_eq!(ring.sum(FIRST, 0), counts(0, 2));
    });
}

/// One failure is the last of its group, the other the first of the next.
#[test]
fn two_writers_on_both_sides_of_a_groups_border_are_both_counted() {
    model(UNBOUNDED, || {
        let ring = CountRing::new(3, None, KeptTimes::NONE);
        for _ in 1..GROUP {
            succeed(&ring);
        }
        let ring = Arc::new(ring);
        race(&ring, [fail, fail]);
        assert_eq!(ring.sum(FIRST, 0), counts(1, 2));
    });
}

/// A failure gets a position and sleeps for a whole turn of the ring.
#[test]
fn a_writer_that_slept_through_a_turn_of_the_ring_does_not_damage_the_newer_calls() {
    model(preemptions(2), || {
        // The ring has two groups. The racer's position is the first of a group. The other racer
        // makes just enough calls to reach that group again.
        let ring = Arc::new(CountRing::new(2, None, KeptTimes::NONE));
        race(
            &ring,
            [
                |ring| {
                    let context = FixedContext::on_first_thread_slot(0);
                    ring.record(Tally::Failure, None, Origin::new(FIRST, &context), || true);
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
            ..
        } = ring.sum(FIRST, 0);
        assert_eq!(successes + failures, 2);
        assert!(failures <= 1);
        for _ in 0..2 {
            succeed(&ring);
        }
        assert_eq!(ring.sum(FIRST, 0), counts(2, 0));
    });
}

/// A failure was admitted in a generation that ends. It comes at the same time as a success of the
/// next generation.
#[test]
fn a_writer_of_an_ended_generation_shows_nothing_in_the_new_one() {
    model(preemptions(5), || {
        let shared = Arc::new((
            AtomicState::new(Phase::Closed),
            CountRing::new(2, None, KeptTimes::NONE),
        ));
        race(
            &shared,
            [
                |(state, ring)| {
                    let context = FixedContext::on_first_thread_slot(0);
                    let is_current = || state.load().generation() == FIRST;
                    ring.record(
                        Tally::Failure,
                        None,
                        Origin::new(FIRST, &context),
                        is_current,
                    );
                },
                |(state, ring)| {
                    let next = state.force(Phase::Closed).generation;
                    let is_current = || state.load().generation() == next;
                    ring.start_generation(next, is_current);
                    let context = FixedContext::on_first_thread_slot(0);
                    assert!(ring.record(
                        Tally::Success,
                        None,
                        Origin::new(next, &context),
                        is_current
                    ));
                },
            ],
        );
        assert_eq!(shared.1.sum(FIRST.next(), 0), counts(1, 0));
    });
}

/// The winner of a transition begins the new generation, and so does that generation's first call.
#[test]
fn a_generation_begins_once() {
    model(preemptions(4), || {
        let state = AtomicState::new(Phase::Closed);
        let ring = CountRing::new(2, None, KeptTimes::NONE);
        fail(&ring);
        state.force(Phase::Closed);
        let shared = Arc::new((state, ring));
        race(
            &shared,
            [
                |(state, ring)| {
                    let next = FIRST.next();
                    ring.start_generation(next, || state.load().generation() == next);
                },
                |(state, ring)| {
                    let next = FIRST.next();
                    let is_current = || state.load().generation() == next;
                    let context = FixedContext::on_first_thread_slot(0);
                    let call = Origin::new(next, &context);
                    assert!(ring.record(Tally::Failure, None, call, is_current));
                    assert!(ring.record(Tally::Failure, None, call, is_current));
                },
            ],
        );
        assert_eq!(shared.1.sum(FIRST.next(), 0), counts(0, 2));
    });
}

/// A reader sums while calls are recorded. Their group reuses the word of a group that was full of
/// failures one turn ago.
#[test]
fn a_sum_shows_no_failure_and_no_call_that_never_was() {
    model(preemptions(3), || {
        let ring = CountRing::new(2, None, KeptTimes::NONE);
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
                        ..
                    } = ring.sum(FIRST, 0);
                    assert!(failures <= 1 && successes + failures <= 2);
                },
                succeed,
            ],
        );
    });
}

/// Two failures in one tick. Either may note its position first.
#[test]
fn the_mark_of_a_tick_is_at_its_first_call() {
    model(preemptions(4), || {
        let ring = Arc::new(CountRing::new(8, Some(WITHIN), KeptTimes::NONE));
        race(&ring, [fail, fail]);
        assert_eq!(ring.sum(FIRST, WITHIN - 1), counts(0, 2));
        assert_eq!(ring.sum(FIRST, WITHIN), counts(0, 0));
    });
}

/// Two failures in different ticks of the same window.
#[test]
fn calls_of_two_ticks_are_both_counted() {
    model(preemptions(4), || {
        let ring = Arc::new(CountRing::new(8, Some(WITHIN), KeptTimes::NONE));
        race(
            &ring,
            [fail, |ring| {
                record(ring, Tally::Failure, WITHIN / 2);
            }],
        );
        assert_eq!(ring.sum(FIRST, WITHIN / 2), counts(0, 2));
        // The older failure leaves with its tick, unless it has taken the later position.
        let left = ring.sum(FIRST, WITHIN).failures;
        assert!((1..=2).contains(&left));
    });
}

/// A call context whose clock is common to all threads and moves while they work.
struct Moving(AtomicU64);

impl Now for Moving {
    fn raw(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn nanos_at(&self, raw: u64) -> u64 {
        raw
    }
}

impl CallContext for Moving {
    fn thread_slot(&self) -> ThreadSlot {
        ThreadSlot(0)
    }
}

/// One failure comes very late. Its tick's mark may already belong to another turn, whose writer
/// has seen the clock move.
///
/// Fails when: `Marks::note` doesn't read the clock again before it replaces a mark.
#[test]
fn a_late_call_does_not_take_the_mark_of_a_newer_turn() {
    model(preemptions(4), || {
        let ring = CountRing::new(8, Some(WITHIN), KeptTimes::NONE);
        let shared = Arc::new((ring, Moving(AtomicU64::new(0))));
        race(
            &shared,
            [
                |(ring, clock): &(CountRing, Moving)| {
                    ring.record(Tally::Failure, None, Origin::new(FIRST, clock), || true);
                },
                |(ring, clock): &(CountRing, Moving)| {
                    clock.0.store(WITHIN, Ordering::Release);
                    ring.record(Tally::Failure, None, Origin::new(FIRST, clock), || true);
                },
            ],
        );
        assert!(shared.0.sum(FIRST, WITHIN).failures >= 1);
    });
}

/// The durations of calls. Only the long ones are slow.
const SHORT: u64 = 1_000;
const LONG: u64 = 1_000_000;

/// Calls whose durations share a word.
const QUAD: u32 = 4;

/// A window of the last two calls that keeps their durations.
fn timed() -> CountRing {
    let timing = KeptTimes {
        counts_slow: true,
        recording: Recording::ByOutcome,
    };
    CountRing::new(2, None, timing)
}

fn take(ring: &CountRing, tally: Tally, nanos: u64) {
    let is_slow = nanos == LONG;
    let took = Some(Took { nanos, is_slow });
    let context = FixedContext::on_first_thread_slot(0);
    ring.record(tally, took, Origin::new(FIRST, &context), || true);
}

fn take_short(ring: &CountRing) {
    take(ring, Tally::Success, SHORT);
}

/// Counts the calls of the window by duration, for all successes and for all failures. No other
/// durations occur.
fn durations(ring: &CountRing) -> [[u64; 2]; 2] {
    let mut bins = BinCounts::default();
    ring.read_latencies(FIRST, 0, &mut bins);
    let both = [bins.calls, bins.failures].map(|bins| {
        let of = |nanos| bins[Bin::of(nanos).number()];
        [of(SHORT), of(LONG)]
    });
    assert_eq!(bins.calls(), both.concat().iter().sum::<u64>());
    both
}

/// Two calls whose durations share a word.
///
/// Fails when: `Durations::write` stores instead of exchanging.
#[test]
fn of_two_durations_side_by_side_none_is_lost() {
    model(UNBOUNDED, || {
        let ring = Arc::new(timed());
        race(&ring, [take_short, |ring| take(ring, Tally::Failure, LONG)]);
        assert_eq!(durations(&ring), [[1, 0], [0, 1]]);
        assert_eq!(ring.sum(FIRST, 0).slow, 1);
    });
}

/// A slow failure gets a position and sleeps until a later call uses its duration's word.
///
/// Fails when: `Durations::write` replaces a word of any other number.
#[test]
fn a_duration_that_comes_late_does_not_damage_those_of_newer_calls() {
    model(preemptions(2), || {
        let ring = Arc::new(timed());
        race(
            &ring,
            [
                |ring| take(ring, Tally::Failure, LONG),
                |ring| {
                    // Two words hold the durations. These calls come round to the first one again.
                    for _ in 0..=2 * QUAD {
                        take_short(ring);
                    }
                },
            ],
        );
        let [[short, long], [failed_short, failed_long]] = durations(&ring);
        assert_eq!(short + failed_long, 2);
        assert_eq!((long, failed_short), (0, 0));
        for _ in 0..2 {
            take_short(&ring);
        }
        assert_eq!(durations(&ring), [[2, 0], [0, 0]]);
        assert_eq!(ring.sum(FIRST, 0).slow, 0);
    });
}

/// A reader while calls are recorded whose durations replace slow ones.
///
/// The reader may miss durations of calls that have a position but aren't written yet.
///
/// Fails when: `Durations::read` doesn't check a word's number.
#[test]
fn a_reader_is_told_of_no_duration_that_never_was() {
    model(preemptions(3), || {
        let ring = timed();
        for _ in 0..QUAD {
            take(&ring, Tally::Success, LONG);
        }
        for _ in 0..QUAD {
            take_short(&ring);
        }
        let ring = Arc::new(ring);
        race(
            &ring,
            [
                |ring| {
                    take_short(ring);
                    take_short(ring);
                },
                |ring| {
                    let [[short, long], failures] = durations(ring);
                    assert!(short <= 2 && long == 0);
                    assert_eq!(failures, [0, 0]);
                    assert_eq!(ring.sum(FIRST, 0).slow, 0);
                },
            ],
        );
        assert_eq!(durations(&ring), [[2, 0], [0, 0]]);
    });
}

/// A reader while a failure is recorded.
///
/// Fails when: `CountRing::record` writes the duration before the outcome; when `Durations::read`
/// doesn't acquire.
#[test]
fn the_duration_of_a_failure_is_not_told_of_a_success() {
    model(preemptions(3), || {
        let ring = timed();
        take_short(&ring);
        let ring = Arc::new(ring);
        race(
            &ring,
            [
                |ring| take(ring, Tally::Failure, LONG),
                |ring| {
                    let [[short, long], [failed_short, failed_long]] = durations(ring);
                    assert!(short <= 1 && failed_long <= 1);
                    assert_eq!((long, failed_short), (0, 0));
                },
            ],
        );
        assert_eq!(durations(&ring), [[1, 0], [0, 1]]);
    });
}
