//! Totals: a count that leaves its word enters the total, and no reader finds it twice.

use loom_tests::sync::Arc;
use loom_tests::{UNBOUNDED, model, preemptions, race};
use tripcurve::__model::{
    AtomicBucket, AtomicState, BucketWord, Call, ClockReading, Core, CountRing, FixedContext,
    Generation, KeptTimes, Origin, Parts, Phase, Probes, Ring, Settings, Stamp, Switch, Tally,
    ThreadSlot, TimeRing, Total,
};
use tripcurve::{Outcome, State, TripPolicy};

const FIRST: Generation = Generation::FIRST;

/// Width of a bucket, in nanoseconds.
const WIDTH: u64 = 10;

fn at(tick: u64) -> FixedContext {
    FixedContext {
        nanos: tick * WIDTH,
        thread_slot: ThreadSlot(0),
    }
}

/// A ring of one bucket, so each tick overwrites the words of the one before.
fn one_bucket(thread_slots: u32) -> Ring {
    Ring::Time(TimeRing::new(WIDTH, 1, thread_slots, false))
}

fn record(ring: &Ring, tally: Tally, tick: u64) -> bool {
    let context = at(tick);
    let call = Call::new(FIRST, ClockReading::at(context.nanos), &context);
    ring.record_at(call, tally, || true)
}

/// Records three calls before the race, so that a count that is found twice shows.
fn record_three(ring: &Ring, tally: Tally) {
    for _ in 0..3 {
        record(ring, tally, 0);
    }
}

fn total(ring: &Ring, kind: Total) -> u64 {
    ring.totals().without(kind, None)
}

/// A thread overwrites a count that all threads share, while another reads.
#[test]
fn a_count_that_leaves_a_shared_word_is_found_once_at_most() {
    model(UNBOUNDED, || {
        let ring = Arc::new(one_bucket(1));
        record_three(&ring, Tally::Failure);
        let found = race(
            &ring,
            [
                |ring| u64::from(record(ring, Tally::Failure, 1)),
                |ring| total(ring, Total::Failure),
            ],
        );
        assert!(found[1] <= 4, "{found:?}");
        assert_eq!(total(&ring, Total::Failure), 4);
    });
}

/// A thread overwrites a count in a word of its own, while another reads.
///
/// Fails when: `Shards::total` reads the words before the totals.
#[test]
fn a_count_that_leaves_a_threads_own_word_is_found_once_at_most() {
    model(UNBOUNDED, || {
        let ring = one_bucket(2);
        ring.grow();
        record_three(&ring, Tally::Success);
        let ring = Arc::new(ring);
        let found = race(
            &ring,
            [
                |ring| u64::from(record(ring, Tally::Success, 1)),
                |ring| total(ring, Total::Success),
            ],
        );
        assert!(found[1] <= 4, "{found:?}");
        assert_eq!(total(&ring, Total::Success), 4);
    });
}

fn second_turn() -> Stamp {
    Stamp::new(FIRST, 1)
}

/// The calls of a group leave a thread's own word, which no longer counts each, while another
/// thread reads.
///
/// Fails when: `AtomicBucket::add_if_own` adds the group to the total before it leaves the word.
#[test]
fn calls_that_leave_a_word_for_the_total_are_found_once_at_most() {
    model(UNBOUNDED, || {
        let (word, total) = (AtomicBucket::default(), AtomicBucket::default());
        // The next call ends the group.
        word.set(BucketWord::counting(
            second_turn(),
            2 * (65_536 + BucketWord::STEPS - 1),
        ));
        let calls = word.load().counted_alone();
        let found = race(
            &Arc::new((word, total)),
            [
                |(word, total): &(AtomicBucket, AtomicBucket)| {
                    u64::from(word.add_own(second_turn(), total.as_total(), || true))
                },
                |(word, total)| {
                    let before = total.as_total().get();
                    before + word.load().counted_alone()
                },
            ],
        );
        assert!(found[1] <= calls + 1, "{found:?}");
    });
}

/// Two threads overwrite the same count, and one of them the other's.
///
/// Fails when: `AtomicBucket::add_slow` adds what it has replaced before it replaces it.
#[test]
fn a_count_that_two_threads_overwrite_enters_the_total_once() {
    model(preemptions(2).full(3), || {
        let ring = Arc::new(one_bucket(1));
        record_three(&ring, Tally::Failure);
        let found = race(
            &ring,
            [
                |ring| u64::from(record(ring, Tally::Failure, 1)),
                |ring| u64::from(record(ring, Tally::Failure, 2)),
                |ring| total(ring, Total::Failure),
            ],
        );
        assert!(found[2] <= 5, "{found:?}");
        assert_eq!(total(&ring, Total::Failure), 5);
    });
}

fn rejected(ring: &Ring) -> u64 {
    let totals = ring.totals();
    totals.without(Total::Uncounted, Some(Total::Ignored))
}

/// A call is ignored, while a reader looks for rejected calls.
///
/// Fails when: `Shards::totals` reads the ignored calls before the uncounted ones.
fn an_ignored_call_is_no_rejected_call(ring: fn() -> Ring) {
    model(UNBOUNDED, move || {
        let ring = Arc::new(ring());
        let found = race(
            &ring,
            [
                |ring| {
                    ring.add_to_total(Total::Ignored, &at(0));
                    record(ring, Tally::Uncounted, 0);
                    0
                },
                rejected,
            ],
        );
        assert_eq!(found[1], 0);
        assert_eq!(rejected(&ring), 0);
    });
}

#[test]
fn an_ignored_call_is_no_rejected_call_in_words_of_a_thread() {
    an_ignored_call_is_no_rejected_call(|| {
        let ring = one_bucket(2);
        ring.grow();
        // The word is of the bucket already, so the call takes the shortest way.
        ring.add_to_total(Total::Ignored, &at(0));
        record(&ring, Tally::Uncounted, 0);
        ring
    });
}

#[test]
fn an_ignored_call_is_no_rejected_call_in_shared_words() {
    an_ignored_call_is_no_rejected_call(|| one_bucket(1));
}

#[test]
fn an_ignored_call_is_no_rejected_call_in_a_count_window() {
    an_ignored_call_is_no_rejected_call(|| {
        Ring::Count(Box::new(CountRing::new(1, None, KeptTimes::NONE)))
    });
}

fn successes(ring: &CountRing) -> u64 {
    ring.totals().without(Total::Success, None)
}

/// A generation ends, so the cursor of a count window skips positions, while two threads record
/// and one of them reads.
///
/// Fails when: `CountRing::advance` subtracts the skipped positions after the exchange, or not
/// again after one that failed.
#[test]
fn positions_that_a_count_window_skips_are_no_calls() {
    fn record((state, ring): &(AtomicState, CountRing), generation: Generation) {
        let context = at(0);
        let origin = Origin::new(generation, &context);
        let is_current = || state.load().generation() == generation;
        ring.record(Tally::Success, None, origin, is_current);
    }

    model(preemptions(3), || {
        let ring = CountRing::new(1, None, KeptTimes::NONE);
        let shared = Arc::new((AtomicState::new(Phase::Closed), ring));
        record(&shared, FIRST);
        let found = race(
            &shared,
            [
                |shared| {
                    let next = shared.0.force(Phase::Closed).generation;
                    record(shared, next);
                    0
                },
                |shared| {
                    record(shared, shared.0.load().generation());
                    0
                },
                |shared| successes(&shared.1),
            ],
        );
        assert!(found[2] <= 3, "{found:?}");
        assert_eq!(successes(&shared.1), 3);
    });
}

/// A failure takes a position of a count window, while another thread reads.
///
/// Fails when: `CountRing::record` counts a failure after it has taken its position.
#[test]
fn a_failure_of_a_count_window_is_no_success() {
    model(UNBOUNDED, || {
        let ring = Arc::new(CountRing::new(1, None, KeptTimes::NONE));
        let found = race(
            &ring,
            [
                |ring| {
                    let context = at(0);
                    ring.record(Tally::Failure, None, Origin::new(FIRST, &context), || true);
                    0
                },
                successes,
            ],
        );
        assert_eq!(found[1], 0);
        assert_eq!(successes(&ring), 0);
    });
}

fn core(ring: Ring) -> Core {
    let core = Core::new(parts(ring), None, State::Closed, 0);
    // This makes the place for what the breaker gets later, whose creation loom can't see.
    core.checks_or_init();
    core
}

fn parts(ring: Ring) -> Parts {
    Parts {
        settings: Settings {
            name: "model".into(),
            policies: [TripPolicy::consecutive_failures(9)].into(),
            open_for: 1_000,
            probes: Probes::all(1),
            probe_timeout: u64::MAX,
            on_cancel: Outcome::Ignored,
            switch: Switch::default(),
        },
        ring,
        optional: None,
    }
}

fn succeed(core: &Core, tick: u64) {
    let ticket = core.admit(&at(tick)).expect("the breaker is closed");
    core.record(ticket, Outcome::Success, None, &at(tick));
}

/// A reader reads twice while a thread overwrites a count.
///
/// Fails when: `SeenTotals::raise` returns what it was given.
#[test]
fn a_total_does_not_fall_while_a_count_is_on_its_way() {
    model(preemptions(3), || {
        let core = core(one_bucket(1));
        for _ in 0..3 {
            succeed(&core, 0);
        }
        let core = Arc::new(core);
        race(
            &core,
            [
                |core| succeed(core, 1),
                |core| {
                    let before = core.totals().successes;
                    let now = core.totals().successes;
                    assert!(before <= now && now <= 4, "{before}, {now}");
                },
            ],
        );
        assert_eq!(core.totals().successes, 4);
    });
}
