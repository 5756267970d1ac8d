//! The failures of which a breaker's fleet wasn't told: each is taken once, and no task waits while
//! there are any.

use loom_tests::sync::Arc;
use loom_tests::{model, preemptions, race};
use tripcurve::__model::{EventQueue, InLine, Queue, UnreportedWord};

const SURPRISE: u64 = 256;

/// What a thread comes to: the failures that it has taken, or its place in the queue.
type Came = (u32, Option<<EventQueue as Queue>::InLine>);

fn word() -> Arc<UnreportedWord> {
    let word = UnreportedWord::default();
    // So that the queue is there: loom can't see it being made.
    word.listen().map(InLine::discard);
    Arc::new(word)
}

fn fails(word: &UnreportedWord) -> Came {
    word.add(SURPRISE, 0);
    (0, None)
}

fn fails_twice(word: &UnreportedWord) -> Came {
    fails(word);
    fails(word)
}

fn takes(word: &UnreportedWord) -> Came {
    let taken = word.take(0);
    let failures = taken.map_or(0, |taken| {
        assert_eq!(
            u64::from(taken.surprise()),
            u64::from(taken.failures()) * SURPRISE
        );
        taken.failures()
    });
    (failures, None)
}

fn waits(word: &UnreportedWord) -> Came {
    (0, word.listen())
}

/// Threads fail while another takes.
///
/// Fails when: failures are added or taken by a store.
#[test]
fn each_failure_is_taken_once() {
    model(preemptions(3), || {
        let word = word();
        let came = race(&word, [fails_twice, fails, takes]);
        let taken: u32 = came.iter().map(|(failures, _)| failures).sum();
        let (left, _) = takes(&word);
        assert_eq!(taken + left, 3);
    });
}

/// A task begins to wait while a call fails.
///
/// Fails when: the task looks before it registers; one of the two has no fence; a failure wakes
/// nobody.
#[test]
fn a_task_that_begins_to_wait_as_a_call_fails_goes_on() {
    model(preemptions(3), || {
        let word = word();
        let [(_, waiting), _] = race(&word, [waits, fails]);
        assert!(waiting.is_none_or(InLine::discard), "it waits for ever");
    });
}

/// A task takes what there is and begins to wait, while calls fail.
///
/// Fails when: a failure that finds others unreported is the only one to wake a task.
#[test]
fn a_task_that_takes_and_waits_misses_no_failure() {
    model(preemptions(3), || {
        let word = word();
        fails(&word);
        let takes_and_waits = |word: &UnreportedWord| (takes(word).0, waits(word).1);
        let came = race(&word, [takes_and_waits, fails]);
        let [(taken, waiting), _] = came;
        let (left, _) = takes(&word);
        assert_eq!(taken + left, 2);
        if left > 0 {
            assert!(waiting.is_none_or(InLine::discard), "it waits for ever");
        }
    });
}
