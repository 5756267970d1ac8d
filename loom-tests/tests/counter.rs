//! The counter of one generation: each addition is counted, and a clearing has one place among
//! them. An old generation neither adds to a new one nor clears it.

use loom_tests::sync::{Arc, AtomicU64, Ordering};
use loom_tests::{UNBOUNDED, model, preemptions, race};
use tripcurve::__model::{AtomicState, Generation, GenerationCounter, Phase};

const FIRST: Generation = Generation::FIRST;

/// Three threads add. Each gets a different count.
#[test]
fn of_three_additions_each_returns_a_count_of_its_own() {
    model(preemptions(4), || {
        let counter = Arc::new(GenerationCounter::default());
        let add = |counter: &GenerationCounter| counter.add(FIRST, || true).unwrap();
        let mut counts = race(&counter, [add, add, add]);
        counts.sort_unstable();
        assert_eq!(counts, [1, 2, 3]);
        assert_eq!(counter.get(FIRST), 3);
    });
}

/// A counter, and a word for each of two threads, which the thread writes before it changes the
/// counter.
type Before = (GenerationCounter, [AtomicU64; 2]);

fn before() -> Arc<Before> {
    let words = [AtomicU64::new(0), AtomicU64::new(0)];
    Arc::new((GenerationCounter::default(), words))
}

fn add(counter: &GenerationCounter) {
    counter.add(FIRST, || true);
}

fn restart(counter: &GenerationCounter) {
    counter.restart(false, FIRST, || true);
}

/// Writes the own word and changes the counter. Returns whether the other thread's word is visible
/// then.
fn sees_the_other(shared: &Before, own: usize, change: impl FnOnce(&GenerationCounter)) -> bool {
    let (counter, words) = shared;
    // Relaxed, both: the counter must order them.
    words[own].store(1, Ordering::Relaxed);
    change(counter);
    words[1 - own].load(Ordering::Relaxed) == 1
}

/// Two threads add, and one of them then clears the count. So the other's exchange may find the
/// loaded value although there was an addition between.
///
/// Fails when: the exchange of `Stamped::update` only releases.
#[test]
fn of_two_additions_one_sees_what_was_done_before_the_other() {
    model(UNBOUNDED, || {
        let seen = race(
            &before(),
            [
                |shared| sees_the_other(shared, 0, add),
                |shared| {
                    let seen = sees_the_other(shared, 1, add);
                    shared.0.clear(FIRST);
                    seen
                },
            ],
        );
        assert!(seen.contains(&true));
    });
}

/// Fails when: `GenerationCounter::restart` doesn't write although the count is zero already.
#[test]
fn of_two_restarts_one_sees_what_was_done_before_the_other() {
    model(UNBOUNDED, || {
        let seen = race(
            &before(),
            [
                |shared| sees_the_other(shared, 0, restart),
                |shared| sees_the_other(shared, 1, restart),
            ],
        );
        assert!(seen.contains(&true));
    });
}

/// With one failure counted, a success clears the count while another failure is added.
#[test]
fn an_addition_comes_either_before_a_clearing_or_after_it() {
    model(UNBOUNDED, || {
        let counter = GenerationCounter::default();
        counter.add(FIRST, || true);
        let counter = Arc::new(counter);
        let [_, added] = race(
            &counter,
            [
                |counter| {
                    counter.clear(FIRST);
                    0
                },
                |counter| counter.add(FIRST, || true).unwrap(),
            ],
        );
        match added {
            2 => assert_eq!(counter.get(FIRST), 0, "cleared afterwards"),
            1 => assert_eq!(counter.get(FIRST), 1, "cleared before"),
            _ => panic!("{added}"),
        }
    });
}

/// A generation ends. A failure of it comes late, while the next generation's first failure comes.
#[test]
fn an_addition_of_an_ended_generation_takes_nothing_from_the_new_one() {
    model(UNBOUNDED, || {
        let shared = Arc::new((
            AtomicState::new(Phase::Closed),
            GenerationCounter::default(),
        ));
        race(
            &shared,
            [
                |(state, counter)| {
                    counter.add(FIRST, || state.load().generation() == FIRST);
                },
                |(state, counter)| {
                    let next = state.force(Phase::Closed).generation;
                    let added = counter.add(next, || state.load().generation() == next);
                    assert_eq!(added, Some(1));
                },
            ],
        );
        assert_eq!(shared.1.get(FIRST.next()), 1);
        assert_eq!(shared.1.get(FIRST), 0);
    });
}

/// A success of an ended generation comes late.
#[test]
fn a_clearing_of_an_ended_generation_leaves_the_new_ones_count() {
    model(UNBOUNDED, || {
        let counter = GenerationCounter::default();
        counter.add(FIRST, || true);
        let counter = Arc::new(counter);
        race(
            &counter,
            [
                |counter| counter.clear(FIRST),
                |counter| {
                    assert_eq!(counter.add(FIRST.next(), || true), Some(1));
                },
            ],
        );
        assert_eq!(counter.get(FIRST.next()), 1);
    });
}

/// Two transitions come one after the other. A failure of the first one's generation follows it.
/// The second one's winner may begin its generation later than that.
#[test]
fn a_generation_that_begins_late_does_not_start_the_next_one_anew() {
    model(preemptions(4), || {
        let shared = Arc::new((
            AtomicState::new(Phase::Closed),
            GenerationCounter::default(),
        ));
        let [_, counted] = race(
            &shared,
            [
                |(state, counter)| {
                    let own = state.force(Phase::Closed).generation;
                    counter.start_generation(own, || state.load().generation() == own);
                    own
                },
                |(state, counter)| {
                    let own = state.force(Phase::Closed).generation;
                    counter.start_generation(own, || state.load().generation() == own);
                    counter.add(own, || state.load().generation() == own);
                    own
                },
            ],
        );
        let last = FIRST.next().next();
        assert_eq!(shared.1.get(last), u64::from(counted == last));
    });
}
