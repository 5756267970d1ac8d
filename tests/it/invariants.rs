//! The invariants, each with its tests. The sections follow the list in `ARCHITECTURE.md`.
//!
//! `against_model.rs` tests invariant 6: a single thread sees what a plain model predicts.
//! `configurations.rs` tests the configurations of invariant 7. These tests meet races by chance;
//! the models in `loom-tests/` explore all interleavings.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use crate::effort;
use crate::generation::shown_of_generation;
use crate::race::{THREADS, in_rounds};
use tripcurve::events::{Cause, Transition};
use tripcurve::time::{Clock, MockClock};
use tripcurve::window::Window;
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, State, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);
const NANO: Duration = Duration::from_nanos(1);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

const OUTCOMES: [Outcome; 5] = [
    Outcome::Success,
    Outcome::Failure,
    Outcome::Ignored,
    Outcome::TimedOut,
    Outcome::Trip,
];

const STATES: [State; 6] = [
    State::Closed,
    State::Open,
    State::HalfOpen,
    State::ForcedOpen,
    State::Disabled,
    State::MetricsOnly,
];

fn just_before(end: Duration) -> Duration {
    end.saturating_sub(NANO)
}

fn breaker(
    settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) -> (CircuitBreaker, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("invariant").clock(clock);
    (settings(builder).build().unwrap(), hand)
}

/// One window of each kind, large enough for this many calls.
fn windows_for(calls: u32) -> [Window; 4] {
    [
        Window::time(60 * SECOND, 10),
        Window::time(60 * SECOND, 1),
        Window::count(calls).into(),
        Window::count(calls).within(60 * SECOND).into(),
    ]
}

fn windows() -> [Window; 4] {
    windows_for(1_000)
}

fn succeed(breaker: &CircuitBreaker, calls: u32) {
    for _ in 0..calls {
        breaker.try_acquire().unwrap().success();
    }
}

fn fail(breaker: &CircuitBreaker, calls: u32) {
    for _ in 0..calls {
        breaker.try_acquire().unwrap().failure();
    }
}

/// Makes a breaker in any state half-open, with all places free.
fn begin_probing(breaker: &CircuitBreaker, hand: &MockClock) {
    breaker.trip(SECOND);
    hand.advance(2 * SECOND);
    breaker.try_acquire().unwrap().record(Outcome::Ignored);
}

// --------------------------------------------------------------------------------------------- 1
// Every generation is entered by exactly one transition, and every transition is told to listeners
// exactly once, in generation order.

type Log = Arc<Mutex<Vec<Transition>>>;

fn listening(
    settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) -> (CircuitBreaker, MockClock, Log) {
    let log = Log::default();
    let (breaker, hand) = breaker(|builder| {
        let log = Arc::clone(&log);
        settings(builder).on_transition(move |told| log.lock().unwrap().push(told.clone()))
    });
    (breaker, hand, log)
}

/// A policy that isn't satisfied and doesn't sum the window.
fn never() -> TripPolicy {
    TripPolicy::consecutive_failures(u32::MAX)
}

#[test]
fn every_transition_of_many_threads_is_told_once_and_in_generation_order() {
    let (breaker, hand, log) = listening(|builder| {
        builder
            .trip_when(TripPolicy::consecutive_failures(1))
            .open_for(Duration::from_millis(1))
            .probes(1)
    });
    // Each round makes fewer transitions than it takes to omit one, whichever thread is delayed.
    let work = |thread: u32| {
        for step in 0..6 {
            hand.advance(Duration::from_millis(1));
            match (thread + step) % 4 {
                0 => breaker.trip(Duration::from_millis(1)),
                1 => breaker.reset(),
                _ => {
                    if let Ok(permit) = breaker.try_acquire() {
                        permit.record(OUTCOMES[(step % 2) as usize]);
                    }
                }
            }
        }
    };
    let mut told = 0;
    let mut state = State::Closed;
    in_rounds(3_000, work, |round| {
        for transition in log.lock().unwrap().drain(..) {
            told += 1;
            assert_eq!(transition.generation(), told, "round {round}: {transition}");
            assert_eq!(transition.missed(), 0);
            assert_eq!(transition.from(), state, "round {round}: {transition}");
            state = transition.to();
        }
        let snapshot = breaker.snapshot();
        assert_eq!(snapshot.generation(), told, "round {round}: all were told");
        assert_eq!(snapshot.state(), state);
    });
}

#[test]
fn of_all_that_could_trip_a_breaker_one_does() {
    let (breaker, _hand, log) =
        listening(|builder| builder.trip_when(TripPolicy::consecutive_failures(1)));
    let work = |_| {
        if let Ok(permit) = breaker.try_acquire() {
            permit.failure();
        }
    };
    in_rounds(3_000, work, |round| {
        breaker.reset();
        let told: Vec<_> = log.lock().unwrap().drain(..).collect();
        let to: Vec<_> = told.iter().map(Transition::to).collect();
        assert_eq!(to, [State::Open, State::Closed], "round {round}");
    });
}

#[test]
fn a_transition_tells_why_and_when_with_the_numbers_that_were_seen() {
    let (breaker, hand, log) = listening(|builder| {
        builder
            .trip_when(TripPolicy::failure_rate(0.5).min_calls(4))
            .open_for(SECOND)
            .probes(2)
            .probe_timeout(SECOND)
    });
    hand.advance(SECOND);
    succeed(&breaker, 2);
    fail(&breaker, 2);
    hand.advance(2 * SECOND);
    let lost = breaker.try_acquire();
    succeed(&breaker, 1);
    hand.advance(SECOND);
    succeed(&breaker, 1);
    drop(lost);
    let causes: Vec<_> = log.lock().unwrap().iter().map(Transition::cause).collect();
    let expected = [
        Cause::FailureRate {
            failures: 2,
            calls: 4,
            threshold: 0.5,
        },
        Cause::OpenExpired,
        Cause::ProbesOverdue { probes: 1 },
        Cause::ProbesSucceeded { probes: 2 },
    ];
    assert_eq!(causes, expected);
    let at: Vec<_> = log.lock().unwrap().iter().map(Transition::at).collect();
    assert_eq!(at, [SECOND, 3 * SECOND, 4 * SECOND, 4 * SECOND]);
}

#[test]
fn generations_are_numbered_on_beyond_what_the_packed_words_hold_of_them() {
    // The words hold 21 bits. Transitions without a listener take much less time than others. So
    // the listener comes shortly before a power of two.
    for bits in [11, 12, 16, 21] {
        let (breaker, hand) = breaker(|builder| builder.trip_when(TripPolicy::classic()).probes(3));
        let silent = (1_u64 << bits) - 1_000;
        for _ in 0..silent {
            breaker.reset();
        }
        // The last transition that was told, and how many didn't follow their predecessor.
        let told = Arc::new([AtomicU64::new(silent), AtomicU64::new(0)]);
        let listening = breaker.on_transition({
            let told = Arc::clone(&told);
            move |transition: &Transition| {
                let [last, gaps] = &*told;
                let before = last.swap(transition.generation(), Ordering::Relaxed);
                if transition.generation() != before + 1 {
                    gaps.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        for _ in 0..2_000 {
            breaker.reset();
        }
        let changes = silent + 2_000;
        let told = [&told[0], &told[1]].map(|number| number.load(Ordering::Relaxed));
        assert_eq!(told, [changes, 0], "{bits} bits");
        assert_eq!(breaker.snapshot().generation(), changes, "{bits} bits");
        fail(&breaker, 5);
        assert_eq!(breaker.state(), State::Open);
        hand.advance(6 * SECOND);
        succeed(&breaker, 3);
        assert_eq!(breaker.snapshot().generation(), changes + 3, "{bits} bits");
        listening.remove();
    }
}

/// A breaker whose listener makes `resets` more transitions when it is told the first one.
fn held_up_for(resets: u32) -> (Arc<CircuitBreaker>, Log) {
    let log = Log::default();
    let own: Arc<OnceLock<Arc<CircuitBreaker>>> = Arc::default();
    let (breaker, _hand) = breaker(|builder| {
        let (log, own) = (Arc::clone(&log), Arc::clone(&own));
        builder.on_transition(move |told| {
            log.lock().unwrap().push(told.clone());
            if told.generation() == 1 {
                for _ in 0..resets {
                    own.get().unwrap().reset();
                }
            }
        })
    });
    let breaker = Arc::new(breaker);
    own.set(Arc::clone(&breaker)).unwrap();
    (breaker, log)
}

#[test]
fn a_listener_that_is_held_up_for_31_transitions_is_told_of_all() {
    let (breaker, log) = held_up_for(31);
    breaker.reset();
    let told: Vec<_> = log
        .lock()
        .unwrap()
        .iter()
        .map(Transition::generation)
        .collect();
    assert_eq!(told, (1..=32).collect::<Vec<_>>());
}

#[test]
fn transitions_left_out_are_counted_by_the_next_that_is_told() {
    for resets in [40, 64, 65, 70, 100, 1_000] {
        let (breaker, log) = held_up_for(resets);
        // The first reset makes the others. The later ones are enough for a report of the omitted
        // ones.
        for _ in 0..100 {
            breaker.reset();
        }
        let mut next = 1;
        for transition in log.lock().unwrap().iter() {
            assert_eq!(transition.generation(), next + transition.missed());
            next = transition.generation() + 1;
        }
        assert_eq!(next, u64::from(resets) + 101, "{resets} resets");
    }
}

#[test]
fn after_a_hold_up_the_next_transition_is_told_at_once() {
    for resets in [64, 65, 66, 70, 95, 96, 97, 1_000] {
        let (breaker, log) = held_up_for(resets);
        breaker.reset();
        for more in 1..=3 {
            breaker.reset();
            let last = log.lock().unwrap().last().unwrap().generation();
            let expected = u64::from(resets) + 1 + more;
            assert_eq!(last, expected, "held up for {resets} transitions");
        }
    }
}

// --------------------------------------------------------------------------------------------- 2
// Half-open admits at most the permitted number of probes in each generation, whatever the race. A
// probe that is cancelled gives its place back. A half-open breaker can't be stuck for ever.

#[test]
fn no_generation_admits_more_probes_than_permitted_whatever_the_race() {
    for probes in [1, 3] {
        let (breaker, hand) = breaker(|builder| builder.probes(probes));
        begin_probing(&breaker, &hand);
        let admitted = AtomicU32::new(0);
        let work = |_| {
            for _ in 0..3 {
                if let Ok(permit) = breaker.try_acquire() {
                    admitted.fetch_add(1, Ordering::Relaxed);
                    std::mem::forget(permit);
                }
            }
        };
        in_rounds(2_000, work, |round| {
            let admitted = admitted.swap(0, Ordering::Relaxed);
            assert_eq!(admitted, probes, "round {round}");
            assert_eq!(breaker.snapshot().probes_in_flight(), probes);
            begin_probing(&breaker, &hand);
        });
    }
}

#[test]
fn no_more_places_are_taken_back_than_there_were_whatever_the_race() {
    let (breaker, hand) = breaker(|builder| builder.probes(2).probe_timeout(SECOND));
    begin_probing(&breaker, &hand);
    let admitted = AtomicU32::new(0);
    let work = |_| {
        if let Ok(permit) = breaker.try_acquire() {
            admitted.fetch_add(1, Ordering::Relaxed);
            std::mem::forget(permit);
        }
    };
    in_rounds(2_000, work, |round| {
        // The thread that takes the places back renews the lease first. If it sleeps before it
        // takes them, the others find a fresh lease and are rejected.
        let admitted = admitted.swap(0, Ordering::Relaxed);
        assert!((1..=2).contains(&admitted), "round {round}: {admitted}");
        hand.advance(SECOND);
    });
}

#[test]
fn the_breaker_closes_when_all_probes_have_succeeded_whatever_the_race() {
    let (breaker, hand) = breaker(|builder| builder.probes(THREADS));
    begin_probing(&breaker, &hand);
    let work = |_| breaker.try_acquire().unwrap().success();
    in_rounds(2_000, work, |round| {
        assert_eq!(breaker.state(), State::Closed, "round {round}");
        begin_probing(&breaker, &hand);
    });
}

#[test]
fn a_probe_that_is_cancelled_gives_its_place_back() {
    let (breaker, hand) = breaker(|builder| builder.probes(2));
    begin_probing(&breaker, &hand);
    for _ in 0..10_000 {
        let probes = [breaker.try_acquire(), breaker.try_acquire()];
        assert!(probes.iter().all(Result::is_ok));
        assert!(breaker.try_acquire().is_err());
    }
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[test]
fn probes_that_never_report_delay_the_recovery_by_their_timeout_and_no_more() {
    let (breaker, hand) = breaker(|builder| builder.probes(3).probe_timeout(SECOND));
    begin_probing(&breaker, &hand);
    succeed(&breaker, 1);
    for _ in 0..100 {
        while let Ok(permit) = breaker.try_acquire() {
            std::mem::forget(permit);
        }
        hand.advance(SECOND);
    }
    assert_eq!(breaker.snapshot().probes_succeeded(), 1, "it is kept");
    succeed(&breaker, 2);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_place_is_kept_while_its_timeout_lasts() {
    let (breaker, hand) = breaker(|builder| builder.probes(2).probe_timeout(SECOND));
    begin_probing(&breaker, &hand);
    let first = breaker.try_acquire();
    hand.advance(SECOND);
    let second = breaker.try_acquire();
    hand.advance(just_before(SECOND));
    assert!(breaker.try_acquire().is_err(), "the last was just let in");
    first.unwrap().success();
    second.unwrap().success();
    assert_eq!(breaker.state(), State::Closed);
}

// --------------------------------------------------------------------------------------------- 3
// An outcome changes only the generation that its permit came from.

/// Brings a breaker into `state`, always by a state change.
fn enter(breaker: &CircuitBreaker, hand: &MockClock, state: State) {
    breaker.reset();
    match state {
        State::Open => breaker.trip(SECOND),
        State::HalfOpen => begin_probing(breaker, hand),
        State::ForcedOpen => breaker.force_open(),
        State::Disabled => breaker.disable(),
        State::MetricsOnly => breaker.metrics_only(),
        _ => {}
    }
    assert_eq!(breaker.state(), state);
}

#[test]
fn an_outcome_of_an_earlier_generation_changes_nothing() {
    for window in windows() {
        let (breaker, hand) = breaker(|builder| {
            builder
                .window(window.clone())
                .trip_when(TripPolicy::failure_count(1))
                .probes(1)
        });
        for admitted_in in STATES {
            for recorded_in in STATES {
                for outcome in OUTCOMES {
                    enter(&breaker, &hand, admitted_in);
                    let Ok(permit) = breaker.try_acquire() else {
                        continue;
                    };
                    enter(&breaker, &hand, recorded_in);
                    let before = shown_of_generation(&breaker.snapshot());
                    permit.record(outcome);
                    let case = format!("{outcome:?} of {admitted_in} in {recorded_in}, {window:?}");
                    assert_eq!(shown_of_generation(&breaker.snapshot()), before, "{case}");
                }
            }
        }
    }
}

#[test]
fn an_outcome_of_an_earlier_generation_changes_nothing_however_many_came_between() {
    // By hand a window by time and one by count.
    let step = 4 / effort::share_of(4).max(2) as usize;
    for window in windows().into_iter().step_by(step) {
        for changes in [1 << 11, 1 << 12, 1 << 16, 1 << 20] {
            let (breaker, _hand) = breaker(|builder| builder.window(window.clone()));
            let case = format!("{changes} changes, {window:?}");
            let record_all = || {
                for outcome in &OUTCOMES[..3] {
                    breaker.try_acquire().unwrap().record(*outcome);
                }
            };
            let counts = || {
                let snapshot = breaker.snapshot();
                (snapshot.calls(), snapshot.ignored())
            };
            let permits = [(); 4].map(|()| breaker.try_acquire().unwrap());
            record_all();
            for _ in 0..changes {
                breaker.reset();
            }
            assert_eq!(counts(), (0, 0), "{case}: the window starts empty");
            record_all();
            let before = shown_of_generation(&breaker.snapshot());
            for (permit, outcome) in permits.into_iter().zip(OUTCOMES) {
                permit.record(outcome);
            }
            assert_eq!(shown_of_generation(&breaker.snapshot()), before, "{case}");
        }
    }
}

#[test]
fn what_was_admitted_while_disabled_is_never_recorded() {
    let (breaker, hand) = breaker(|builder| builder.probes(1));
    for state in STATES {
        for outcome in OUTCOMES {
            breaker.reset();
            breaker.disable();
            let permits = [breaker.try_acquire(), breaker.try_acquire()].map(Result::unwrap);
            let [here, elsewhere] = permits;
            here.record(outcome);
            enter(&breaker, &hand, state);
            let before = shown_of_generation(&breaker.snapshot());
            elsewhere.record(outcome);
            assert_eq!(
                shown_of_generation(&breaker.snapshot()),
                before,
                "{outcome:?} in {state}"
            );
        }
    }
}

// --------------------------------------------------------------------------------------------- 4
// An outcome recorded in a live bucket is counted once.

#[test]
fn what_many_threads_record_is_counted_once() {
    const CALLS: u32 = 20_000;
    for window in windows_for(THREADS * CALLS) {
        for shards in [None, Some(1), Some(4), Some(64)] {
            let (breaker, hand) = breaker(|builder| {
                let builder = builder
                    .window(window.clone())
                    .trip_when(never())
                    .start_in(State::MetricsOnly);
                match shards {
                    // The window grows while they record.
                    None => builder,
                    Some(shards) => builder.shards(shards),
                }
            });
            std::thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| {
                        for call in 0..CALLS {
                            // The clock crosses buckets while other threads record, but it doesn't
                            // cross a window's end.
                            if call % (CALLS / 10) == 0 && window != Window::time(60 * SECOND, 1) {
                                hand.advance(SECOND);
                            }
                            let permit = breaker.try_acquire().unwrap();
                            permit.record(OUTCOMES[(call % 3) as usize]);
                        }
                    });
                }
            });
            let snapshot = breaker.snapshot();
            let counts = [
                snapshot.successes(),
                snapshot.failures(),
                snapshot.ignored(),
            ];
            let expected = [0, 1, 2].map(|kind| {
                let of_kind = (0..CALLS).filter(|call| call % 3 == kind).count() as u64;
                of_kind * u64::from(THREADS)
            });
            assert_eq!(counts, expected, "{window:?}, {shards:?} shards");
        }
    }
}

#[test]
fn a_window_that_grows_shows_each_call_before_and_after() {
    let (breaker, hand) = breaker(|builder| {
        builder
            .window(Window::time(10 * SECOND, 10))
            .trip_when(TripPolicy::failure_rate(0.5).min_calls(10_000))
    });
    for call in 1..=12_000 {
        breaker.try_acquire().unwrap().success();
        assert_eq!(breaker.snapshot().successes(), call);
    }
    hand.advance(SECOND);
    // 11,999 of 23,999 calls fail: the verdict includes the counts from before the window grew.
    for call in 1..=11_999 {
        breaker.try_acquire().unwrap().failure();
        assert_eq!(breaker.snapshot().failures(), call);
    }
    assert_eq!(breaker.state(), State::Closed);
    hand.advance(9 * SECOND);
    assert_eq!(
        breaker.snapshot().successes(),
        0,
        "the first second is over"
    );
    breaker.try_acquire().unwrap().failure();
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn what_threads_record_that_come_and_go_is_counted_once() {
    const CALLS: u64 = 50;
    let (breaker, _hand) = breaker(|builder| builder.shards(4).start_in(State::MetricsOnly));
    let live = || {
        for _ in 0..CALLS {
            breaker.try_acquire().unwrap().success();
        }
    };
    for round in 1..=50 {
        std::thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(live);
            }
        });
        let successes = breaker.snapshot().successes();
        assert_eq!(successes, round * 10 * CALLS);
    }
}

#[test]
fn a_writer_that_was_overtaken_by_a_turn_of_the_window_damages_nothing() {
    let windows: [Window; 3] = [
        Window::time(SECOND, 1),
        Window::time(SECOND, 4),
        Window::count(1_000).within(SECOND).into(),
    ];
    for window in windows {
        let (breaker, hand) = breaker(|builder| {
            builder
                .window(window.clone())
                .shards(1)
                .trip_when(never())
                .start_in(State::MetricsOnly)
        });
        // The other threads read the clock before or after the ring turns once, and write to the
        // same word.
        let work = |thread| {
            let permits = [(); 3].map(|()| breaker.try_acquire().unwrap());
            if thread == 0 {
                hand.advance(SECOND);
                for permit in permits {
                    permit.failure();
                }
            } else {
                let [permit, ..] = permits;
                permit.failure();
            }
        };
        // The ring's loom model finds a writer that doesn't read the clock again. Five thousand
        // rounds of this race didn't find it.
        in_rounds(1_000, work, |round| {
            let failures = breaker.snapshot().failures();
            let expected = 3..3 + u64::from(THREADS);
            assert!(
                expected.contains(&failures),
                "{failures} in round {round}, {window:?}"
            );
        });
    }
}

#[test]
fn rejections_by_many_threads_are_counted_once() {
    const CALLS: u32 = 20_000;
    for window in windows() {
        let (breaker, _hand) =
            breaker(|builder| builder.window(window).start_in(State::ForcedOpen));
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..CALLS {
                        assert!(breaker.try_acquire().is_err());
                    }
                });
            }
        });
        assert_eq!(breaker.snapshot().rejected(), u64::from(THREADS * CALLS));
    }
}

#[test]
fn a_run_of_failures_is_as_long_as_there_were_failures_on_all_threads() {
    const CALLS: u32 = 20_000;
    let (breaker, _hand) = breaker(|builder| builder.start_in(State::MetricsOnly));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| fail(&breaker, CALLS));
        }
    });
    let run = breaker.snapshot().consecutive_failures();
    assert_eq!(run, u64::from(THREADS * CALLS));
    succeed(&breaker, 1);
    assert_eq!(breaker.snapshot().consecutive_failures(), 0);
}

#[test]
fn a_rate_is_never_read_too_high_while_others_record() {
    const CALLS: u32 = 20_000;
    for window in windows_for(2 * THREADS * CALLS) {
        let (breaker, hand) = breaker(|builder| {
            builder
                .window(window.clone())
                .shards(4)
                .trip_when(never())
                .start_in(State::MetricsOnly)
        });
        std::thread::scope(|scope| {
            let record = || {
                // Each failure comes after a success by its thread.
                for _ in 0..CALLS {
                    succeed(&breaker, 1);
                    fail(&breaker, 1);
                    hand.advance(NANO);
                }
            };
            let recorders: Vec<_> = (0..THREADS).map(|_| scope.spawn(record)).collect();
            while !recorders.iter().all(ScopedJoinHandle::is_finished) {
                let snapshot = breaker.snapshot();
                let (failures, successes) = (snapshot.failures(), snapshot.successes());
                assert!(failures <= successes, "{window:?}: {snapshot}");
            }
        });
    }
}

// --------------------------------------------------------------------------------------------- 5
// No lost trip: once all recorders have returned, a window that satisfies the policy has tripped.

#[test]
fn when_as_many_threads_fail_as_the_limit_says_the_breaker_has_tripped() {
    let policies = || -> [TripPolicy; 3] {
        [
            TripPolicy::consecutive_failures(THREADS),
            TripPolicy::failure_count(THREADS).into(),
            TripPolicy::failure_rate(1.0).min_calls(THREADS).into(),
        ]
    };
    for window in windows() {
        for policy in policies() {
            let (breaker, hand) = breaker(|builder| {
                builder
                    .window(window.clone())
                    .trip_when(policy.clone())
                    .shards(4)
            });
            let case = format!("{policy:?} with {window:?}");
            // The clock moves from bucket to bucket during the race.
            let moves = window != Window::time(60 * SECOND, 1);
            let work = |thread| {
                let permit = breaker.try_acquire().unwrap();
                if moves && thread == 0 {
                    hand.advance(6 * SECOND);
                }
                permit.failure();
            };
            in_rounds(1_000, work, |round| {
                assert_eq!(breaker.state(), State::Open, "{case}, round {round}");
                breaker.reset();
            });
        }
    }
}

/// A breaker that decides by evidence, for which the failures of all threads are just enough. They
/// are ln 110 + 3 ln 4 = 8.9 nats, and 8.0 are needed at one call per second.
fn weighing() -> CircuitBreaker {
    let (breaker, hand) = breaker(|builder| {
        let policy = TripPolicy::adaptive().tolerate(0.0);
        builder.trip_when(policy.false_trip_budget(4_900 * SECOND))
    });
    for _ in 0..9 {
        hand.advance(SECOND);
        succeed(&breaker, 1);
    }
    hand.advance(SECOND);
    fail(&breaker, 1);
    breaker.reset();
    breaker
}

#[test]
fn with_one_failure_less_than_there_must_be_evidence_no_race_trips() {
    let breaker = weighing();
    let work = |thread| {
        let outcome = match thread {
            0 => Outcome::Ignored,
            _ => Outcome::Failure,
        };
        breaker.try_acquire().unwrap().record(outcome);
    };
    in_rounds(6_000, work, |round| {
        assert_eq!(breaker.state(), State::Closed, "round {round}");
        breaker.reset();
    });
}

#[test]
fn with_one_failure_less_than_the_limit_no_race_trips() {
    for window in windows() {
        let (breaker, _hand) = breaker(|builder| {
            builder
                .window(window.clone())
                .trip_when(TripPolicy::consecutive_failures(THREADS + 1))
                .trip_when(TripPolicy::failure_count(THREADS + 1))
                .trip_when(TripPolicy::failure_rate(0.1).min_calls(THREADS + 1))
                .shards(4)
        });
        let work = |_| fail(&breaker, 1);
        in_rounds(500, work, |round| {
            assert_eq!(breaker.state(), State::Closed, "{window:?}, round {round}");
            assert_eq!(breaker.snapshot().failures(), u64::from(THREADS));
            breaker.reset();
        });
    }
}

// --------------------------------------------------------------------------------------------- 7
// No method of the public API panics on any input after a configuration was accepted.

#[test]
fn no_method_panics_in_any_state_at_any_time_of_the_clock() {
    let times = [
        Duration::ZERO,
        NANO,
        SECOND,
        10 * YEAR,
        40 * YEAR,
        Duration::from_nanos(u64::MAX - 1),
        Duration::MAX,
    ];
    for window in windows() {
        for built_at in times {
            let (clock, hand) = Clock::mock();
            hand.advance(built_at);
            let breaker = CircuitBreaker::builder("invariant")
                .window(window.clone())
                .open_for(10 * YEAR)
                .probe_timeout(just_before(Duration::MAX))
                .clock(clock)
                .build()
                .unwrap();
            for at in times {
                hand.advance_to(at);
                for state in STATES {
                    for outcome in OUTCOMES {
                        for duration in times {
                            breaker.trip(duration);
                            hold(&breaker, state);
                            let _ = breaker.try_acquire().map(|permit| permit.record(outcome));
                            let _ = breaker.try_acquire_owned().map(drop);
                            let _ = breaker.call(|| Err::<(), _>(()));
                            let snapshot = breaker.snapshot();
                            let _ = (snapshot.to_string(), snapshot.failure_rate());
                            let _ = format!("{breaker:?}");
                        }
                    }
                }
            }
        }
    }
}

fn hold(breaker: &CircuitBreaker, state: State) {
    match state {
        State::Closed => breaker.reset(),
        State::ForcedOpen => breaker.force_open(),
        State::Disabled => breaker.disable(),
        State::MetricsOnly => breaker.metrics_only(),
        _ => {}
    }
}

#[test]
fn a_call_that_panics_is_a_failure_and_goes_on_panicking() {
    let (breaker, hand) = breaker(|builder| builder.probes(1));
    let panic = || {
        let call = || breaker.call(|| -> Result<(), ()> { panic!("the call itself") });
        let panic = catch_unwind(AssertUnwindSafe(call)).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"the call itself"));
    };
    panic();
    assert_eq!(breaker.snapshot().failures(), 1);
    begin_probing(&breaker, &hand);
    panic();
    assert_eq!(
        breaker.state(),
        State::Open,
        "a probe that panics has failed"
    );
}

#[test]
fn a_permit_that_a_panic_drops_is_a_failure_however_a_cancelled_one_counts() {
    for on_cancel in [Outcome::Ignored, Outcome::Failure] {
        let (breaker, _hand) = breaker(|builder| builder.on_cancel(on_cancel));
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let _borrowed = breaker.try_acquire().unwrap();
            let _owned = breaker.try_acquire_owned().unwrap();
            panic!("past the permits");
        }));
        assert!(unwound.is_err());
        assert_eq!(breaker.snapshot().failures(), 2);
        assert_eq!(breaker.snapshot().ignored(), 0);
    }
}

// --------------------------------------------------------------------------------------------- 8
// A listener or a classifier that panics harms nobody else and doesn't corrupt the breaker.

/// A panic payload that panics again when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "the payload of a panic");
    }
}

#[test]
fn a_listener_that_panics_harms_neither_the_call_nor_the_other_listeners() {
    let (breaker, _hand, log) = listening(|builder| {
        builder
            .trip_when(TripPolicy::classic())
            .on_transition(|_| panic!("a listener"))
            .on_transition(|_| std::panic::panic_any(Bomb))
            .on_transition(|_| std::panic::resume_unwind(Box::new(Bomb)))
    });
    for _ in 0..4 {
        assert!(breaker.call(|| Err::<(), _>(())).is_err());
    }
    let last = breaker.call(|| Err::<(), _>("its own error"));
    assert_eq!(last, Err(tripcurve::CallError::Inner("its own error")));
    assert_eq!(breaker.state(), State::Open);
    breaker.reset();
    let told: Vec<_> = log.lock().unwrap().iter().map(Transition::to).collect();
    assert_eq!(told, [State::Open, State::Closed]);
}

#[test]
fn a_classifier_that_panics_reaches_the_caller_and_the_call_is_ignored() {
    let (breaker, hand) = breaker(|builder| builder.probes(1));
    let classified =
        breaker.with_classifier(|_: &Result<(), ()>| -> Outcome { panic!("the classifier") });
    let panic = || {
        let call = || classified.call(|| Ok(()));
        let panic = catch_unwind(AssertUnwindSafe(call)).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"the classifier"));
    };
    panic();
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.calls(), snapshot.ignored()), (0, 1));
    begin_probing(&breaker, &hand);
    panic();
    assert_eq!(breaker.snapshot().probes_in_flight(), 0);
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_listener_may_call_the_breaker() {
    let own: Arc<OnceLock<CircuitBreaker>> = Arc::default();
    let log = Log::default();
    let (breaker, _hand) = breaker(|builder| {
        let (own, log) = (Arc::clone(&own), Arc::clone(&log));
        let builder = builder.trip_when(TripPolicy::classic());
        builder.on_transition(move |told| {
            log.lock().unwrap().push(told.clone());
            let breaker = own.get().unwrap();
            match told.to() {
                State::Open if breaker.try_acquire().is_err() => breaker.disable(),
                State::Disabled => breaker.metrics_only(),
                State::MetricsOnly if told.generation() == 3 => fail(breaker, 100),
                _ => {}
            }
        })
    });
    own.set(breaker.clone()).unwrap();
    fail(&breaker, 5);
    let told: Vec<_> = log.lock().unwrap().iter().map(Transition::to).collect();
    let expected = [State::Open, State::Disabled, State::MetricsOnly];
    assert_eq!(told, expected);
    assert_eq!(breaker.snapshot().failures(), 100);
}

// --------------------------------------------------------------------------------------------- 9
// Time only moves forward: a clock that stands still, jumps years ahead, or wakes from suspension
// does no harm.

#[test]
fn a_breaker_trips_though_its_clock_stands_still() {
    for window in windows() {
        let (breaker, _hand) = breaker(|builder| {
            let builder = builder.trip_when(TripPolicy::classic());
            builder.window(window.clone())
        });
        succeed(&breaker, 1_000);
        assert_eq!(breaker.snapshot().successes(), 1_000);
        fail(&breaker, 5);
        assert_eq!(breaker.state(), State::Open, "{window:?}");
    }
}

#[test]
fn a_clock_that_jumps_years_ahead_leaves_a_window_that_is_empty_and_works() {
    let shortest = Duration::from_millis(100);
    let windows: [Window; 4] = [
        Window::time(shortest, 10),
        Window::time(60 * SECOND, 1024),
        Window::count(100).within(shortest).into(),
        Window::count(100).within(60 * SECOND).into(),
    ];
    for window in windows {
        for years in [1, 6, 7, 13, 14, 20, 30, 300, 500] {
            let (breaker, hand) = breaker(|builder| {
                builder
                    .window(window.clone())
                    .trip_when(TripPolicy::failure_count(5))
            });
            let case = format!("{years} years, {window:?}");
            fail(&breaker, 4);
            hand.advance(years * YEAR);
            assert_eq!(breaker.snapshot().failures(), 0, "{case}");
            fail(&breaker, 4);
            assert_eq!(breaker.snapshot().failures(), 4, "{case}");
            fail(&breaker, 1);
            assert_eq!(breaker.state(), State::Open, "{case}");
        }
    }
}

#[test]
fn a_clock_that_jumps_years_ahead_ends_the_open_time_and_the_next_one_is_as_long_as_ever() {
    for years in [1, 7, 13, 18] {
        let (breaker, hand) = breaker(|builder| {
            let builder = builder.trip_when(TripPolicy::classic());
            builder.open_for(5 * SECOND).probes(1)
        });
        fail(&breaker, 5);
        hand.advance(years * YEAR);
        fail(&breaker, 1);
        assert_eq!(breaker.state(), State::Open, "the probe has failed");
        hand.advance(just_before(5 * SECOND));
        assert!(breaker.try_acquire().is_err(), "after {years} years");
        hand.advance(Duration::from_millis(2));
        succeed(&breaker, 1);
        assert_eq!(breaker.state(), State::Closed);
    }
}

#[test]
fn a_clock_that_jumps_years_ahead_frees_the_places_of_probes() {
    for years in [1, 7, 20, 500] {
        let (breaker, hand) = breaker(|builder| builder.probes(1).probe_timeout(SECOND));
        begin_probing(&breaker, &hand);
        let asleep = breaker.try_acquire().unwrap();
        hand.advance(years * YEAR);
        let awake = breaker.try_acquire().unwrap();
        asleep.failure();
        awake.success();
        assert_eq!(breaker.state(), State::Closed);
    }
}
