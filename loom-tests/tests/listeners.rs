//! The log of transitions and its one teller: each transition is told once and in order, by any
//! thread, and no thread waits.

use std::sync::Mutex;

use loom_tests::sync::{Arc, AtomicU64, Ordering};
use loom_tests::{model, preemptions, race};
use tripcurve::__model::{Generation, Listeners, LogEntry, Slot};
use tripcurve::State;
use tripcurve::events::{Cause, Transition};
use tripcurve::time::Clock;

/// The entries of two generations that follow one another differ in the first word and in others.
/// Loom explores the first word apart from the others.
fn entry(generation: u64) -> LogEntry {
    let probes = u32::try_from(generation).unwrap();
    let cause = if generation.is_multiple_of(2) {
        Cause::ProbesOverdue { probes }
    } else {
        Cause::ProbesSucceeded { probes }
    };
    LogEntry {
        generation,
        from: State::Closed,
        to: State::Open,
        at: generation,
        reason: cause.into(),
    }
}

/// The generations that a listener has heard, each with the number missed before it.
///
/// It has a std lock, which loom doesn't see. Only the teller listens, and `Listening::turn` checks
/// that there is one at a time.
struct Listening {
    listeners: Option<Box<Listeners>>,
    heard: Arc<Heard>,
}

struct Heard {
    told: Mutex<Vec<(u64, u64)>>,
    turn: AtomicU64,
}

impl Listening {
    fn new() -> Arc<Self> {
        let heard = Arc::new(Heard {
            told: Mutex::new(Vec::new()),
            turn: AtomicU64::new(0),
        });
        let listener = {
            let heard = Arc::clone(&heard);
            std::sync::Arc::new(move |transition: &Transition| {
                // Relaxed: if two tellers could be here at once, loom would find the order in which
                // both add before either subtracts.
                assert_eq!(heard.turn.fetch_add(1, Ordering::Relaxed), 0, "two tellers");
                let told = (transition.generation(), transition.missed());
                assert_eq!(transition.cause(), entry(told.0).reason.cause);
                heard.told.lock().unwrap().push(told);
                heard.turn.fetch_sub(1, Ordering::Relaxed);
            })
        };
        Arc::new(Self {
            listeners: Listeners::new(vec![listener], &Clock::default()),
            heard,
        })
    }

    fn tell(&self, generation: u64) {
        let entry = entry(generation);
        let name = "model".into();
        if let Some(listeners) = &self.listeners {
            listeners.tell(&name, &entry);
        }
    }

    fn told(&self) -> Vec<(u64, u64)> {
        self.heard.told.lock().unwrap().clone()
    }
}

/// Two winners tell their transitions in any order.
///
/// Fails when: a fence in `Listeners::tell` is removed; when the turn is taken without an exchange.
#[test]
fn two_winners_are_told_once_and_in_order() {
    model(preemptions(3), || {
        let listening = Listening::new();
        race(
            &listening,
            [
                |listening: &Listening| listening.tell(1),
                |listening: &Listening| listening.tell(2),
            ],
        );
        assert_eq!(listening.told(), [(1, 0), (2, 0)]);
    });
}

/// Two threads may tell one transition each. At the second transition, the listener sees its own
/// work for the first, although it orders nothing itself.
///
/// Fails when: `Listeners::tell` takes the turn without Acquire, or gives it back without Release.
#[test]
fn a_listener_finds_what_it_did_for_the_transition_before() {
    model(preemptions(3), || {
        let last = Arc::new(AtomicU64::new(0));
        // A panic in the listener would not get out of it.
        let found = std::sync::Arc::new(Mutex::new(Vec::new()));
        let listener = {
            let (last, found) = (Arc::clone(&last), std::sync::Arc::clone(&found));
            std::sync::Arc::new(move |transition: &Transition| {
                // Relaxed, both: the turn must order them.
                found.lock().unwrap().push(last.load(Ordering::Relaxed));
                last.store(transition.generation(), Ordering::Relaxed);
            })
        };
        let listeners =
            Arc::new(Listeners::new(vec![listener], &Clock::default()).expect("there is one"));
        race(
            &listeners,
            [
                |listeners| listeners.tell(&"model".into(), &entry(1)),
                |listeners| listeners.tell(&"model".into(), &entry(2)),
            ],
        );
        assert_eq!(*found.lock().unwrap(), [0, 1]);
    });
}

/// Three threads tell transitions, and one of them may have two to tell.
///
/// Fails when: a teller that stops doesn't look again after it has given the turn back.
#[test]
fn three_transitions_by_three_threads_are_told_once_and_in_order() {
    model(preemptions(2), || {
        let listening = Listening::new();
        race(
            &listening,
            [
                |listening: &Listening| listening.tell(3),
                |listening: &Listening| listening.tell(2),
                |listening: &Listening| listening.tell(1),
            ],
        );
        assert_eq!(listening.told(), [(1, 0), (2, 0), (3, 0)]);
    });
}

/// A winner is delayed while half a log of later transitions passes. (The log has six places here.)
/// If it still comes in time, no transition is missed.
///
/// Fails when: a late winner tells a transition that was passed over.
#[test]
fn a_winner_that_is_held_up_is_told_in_time_or_counted_as_missed() {
    model(preemptions(2), || {
        let listening = Listening::new();
        race(
            &listening,
            [
                |listening: &Listening| listening.tell(1),
                |listening: &Listening| {
                    for generation in 2..=5 {
                        listening.tell(generation);
                    }
                },
            ],
        );
        // Each transition is told or counted once, in order.
        let mut next = 1;
        for (generation, missed) in listening.told() {
            assert_eq!(generation, next + missed, "{:?}", listening.told());
            next = generation + 1;
        }
        if cfg!(tripcurve_loom) {
            assert!(next >= 6, "the last is told: {:?}", listening.told());
        }
    });
}

/// More transitions come than the log has places, while one may be in the middle of being told. The
/// latest without a place is kept, and is read whole or not at all.
///
/// Fails when: a transition without a place in the log is dropped.
#[test]
fn of_those_that_find_no_place_the_latest_is_told() {
    model(preemptions(1).full(2), || {
        let listening = Listening::new();
        race(
            &listening,
            [
                |listening: &Listening| listening.tell(1),
                |listening: &Listening| {
                    for generation in 2..=9 {
                        listening.tell(generation);
                    }
                },
            ],
        );
        let told = listening.told();
        let mut next = 1;
        for (generation, missed) in &told {
            assert_eq!(*generation, next + missed, "{told:?}");
            next = generation + 1;
        }
        assert_eq!(next, 10, "the last is told: {told:?}");
    });
}

/// One more transition comes than the log has places, while the first is being told. The
/// transitions with a place are told, even if the teller first finds the one without.
///
/// Fails when: `Slot::generation` doesn't acquire.
#[test]
fn those_that_have_found_a_place_are_not_passed_over() {
    model(preemptions(1), || {
        let listening = Listening::new();
        race(
            &listening,
            [
                |listening: &Listening| {
                    for generation in 2..=7 {
                        listening.tell(generation);
                    }
                },
                |listening: &Listening| listening.tell(1),
            ],
        );
        let told = listening.told();
        for generation in 2..=6 {
            let is_told = told.iter().any(|(it, _)| *it == generation);
            assert!(is_told, "{generation} had a place: {told:?}");
        }
    });
}

/// A reader of the place for the latest transition, while a later one overwrites it.
///
/// Fails when: `Slot::read_late` doesn't read the stamp again; one of the slot's two fences is
/// removed.
#[test]
fn an_entry_that_is_being_overwritten_is_read_whole_or_not_at_all() {
    model(preemptions(3), || {
        let slot = Arc::new(Slot::default());
        assert!(slot.write(&entry(1), |_| false));
        let [seen, _] = race(
            &slot,
            [
                |slot: &Slot| slot.read_late(1),
                |slot: &Slot| {
                    assert!(slot.write(&entry(2), |_| false));
                    None
                },
            ],
        );
        assert!(seen.is_none_or(|seen| seen == entry(1)), "{seen:?}");
    });
}

/// A rejection reads the cause of an opening, while the next opening is noted over it.
///
/// Fails when: `Slot::cause_of` doesn't look at the stamp again; when its fence is removed.
#[test]
fn a_cause_that_is_being_overwritten_is_read_whole_or_not_at_all() {
    model(preemptions(3), || {
        let slot = Arc::new(Slot::default());
        assert!(slot.write(&entry(1), |_| false));
        let [seen, _] = race(
            &slot,
            [
                |slot: &Slot| slot.cause_of(Generation::FIRST.next()).unpack(),
                |slot: &Slot| {
                    assert!(slot.write(&entry(2), |_| false));
                    None
                },
            ],
        );
        let expected = entry(1).reason.cause;
        assert!(seen.is_none_or(|seen| seen == expected), "{seen:?}");
    });
}

/// A rejection reads the cause of an opening, while it is noted.
///
/// Fails when: `Slot::cause_of` reads words of another generation, or doesn't acquire.
#[test]
fn a_cause_that_is_being_written_is_read_whole_or_not_at_all() {
    model(preemptions(3), || {
        let slot = Arc::new(Slot::default());
        assert!(slot.write(&entry(1), |_| false));
        let [seen, _] = race(
            &slot,
            [
                |slot: &Slot| slot.cause_of(Generation::FIRST.next().next()).unpack(),
                |slot: &Slot| {
                    assert!(slot.write(&entry(2), |_| false));
                    None
                },
            ],
        );
        let expected = entry(2).reason.cause;
        assert!(seen.is_none_or(|seen| seen == expected), "{seen:?}");
    });
}
