//! The state word: only one thread wins each change. Half-open never admits more probes than it has
//! places, and a place that was just taken is never taken over as overdue.

use loom_tests::sync::{Arc, AtomicU64, Ordering};
use loom_tests::{UNBOUNDED, model, preemptions, race};
use tripcurve::__model::{
    Admission, AtomicState, Generation, Moment, Phase, ProbeCounts, ProbeReport, ProbeVerdict,
    Probes, StateChange,
};
use tripcurve::State;

const FIRST: Generation = Generation::FIRST;

/// A probe is overdue after this many nanoseconds without an admission.
const TIMEOUT: u64 = 10;

fn open_until(nanos: u64) -> Phase {
    Phase::Open {
        until: Moment::at(nanos),
    }
}

fn half_open(in_flight: u32, succeeded: u32) -> Phase {
    Phase::HalfOpen(ProbeCounts {
        in_flight,
        succeeded,
        ..ProbeCounts::default()
    })
}

fn is_probe(admission: &Admission) -> bool {
    matches!(admission, Admission::Probe { .. })
}

/// The state change that came with the admission.
fn moved(admission: &Admission) -> Option<StateChange> {
    match admission {
        Admission::Probe { moved, .. } => *moved,
        _ => None,
    }
}

fn count<T>(items: &[T], is_counted: impl Fn(&T) -> bool) -> usize {
    items.iter().filter(|item| is_counted(item)).count()
}

/// Two threads have both found a reason to trip one generation, and one of them trips it.
#[test]
fn of_two_trips_exactly_one_wins_the_generation() {
    model(UNBOUNDED, || {
        let state = Arc::new(AtomicState::new(Phase::Closed));
        let seen = state.load();
        let shared = Arc::new((state, seen));
        let trip =
            |(state, seen): &(Arc<AtomicState>, _)| state.change(*seen, open_until(1)).is_ok();
        let won = race(&shared, [trip, trip]);
        assert_eq!(count(&won, |won| *won), 1);
        assert_eq!(shared.0.load().generation(), FIRST.next());
    });
}

/// A trip and a reset come at once. Each enters its own generation, one after the other.
#[test]
fn a_trip_and_a_reset_enter_successive_generations() {
    model(UNBOUNDED, || {
        let state = Arc::new(AtomicState::new(Phase::ForcedOpen));
        let mut moves = race(
            &state,
            [
                |state| state.force(open_until(1)),
                |state| state.force(Phase::Closed),
            ],
        );
        moves.sort_by_key(|moved| moved.generation.number());
        let [first, second] = moves;
        assert_eq!(first.from, State::ForcedOpen);
        assert_eq!(first.generation, FIRST.next());
        assert_eq!(second.from, first.to);
        assert_eq!(second.generation, FIRST.next().next());
        assert_eq!(state.load().generation(), second.generation);
        assert_eq!(state.load().phase().state(), second.to);
    });
}

/// Three callers ask a half-open breaker with two places.
#[test]
fn of_three_callers_at_two_places_two_become_probes() {
    model(preemptions(2).full(3), || {
        let state = Arc::new(AtomicState::new(half_open(0, 0)));
        let ask = |state: &AtomicState| state.admit(0, 2, u64::MAX);
        let admissions = race(&state, [ask, ask, ask]);
        assert_eq!(count(&admissions, is_probe), 2);
        assert_eq!(
            count(&admissions, |admission| moved(admission).is_some()),
            0
        );
        let full = Phase::HalfOpen(ProbeCounts {
            in_flight: 2,
            admitted: 2,
            ..ProbeCounts::default()
        });
        assert_eq!(state.load().phase(), full);
    });
}

/// One of two probes succeeds and the other is cancelled, while a third caller asks for the freed
/// place.
#[test]
fn a_cancelled_probe_gives_its_place_back_and_counts_as_no_success() {
    model(UNBOUNDED, || {
        let state = Arc::new(AtomicState::new(half_open(2, 0)));
        let third = [
            |state: &AtomicState| state.report_probe(FIRST, ProbeReport::Succeeded, Probes::all(2)),
            |state: &AtomicState| state.report_probe(FIRST, ProbeReport::Withdrawn, Probes::all(2)),
            |state: &AtomicState| match state.admit(0, 2, u64::MAX) {
                Admission::Probe { .. } => {
                    state.report_probe(FIRST, ProbeReport::Succeeded, Probes::all(2))
                }
                _ => ProbeVerdict::Stale,
            },
        ];
        let verdicts = race(&state, third);
        let decided = count(&verdicts, |verdict| {
            matches!(verdict, ProbeVerdict::Decided(_))
        });
        if verdicts[2] == ProbeVerdict::Stale {
            assert_eq!(decided, 0, "one success of two");
            assert_eq!(state.load().phase(), half_open(0, 1));
        } else {
            assert_eq!(decided, 1);
            assert_eq!(state.load().phase(), Phase::Closed);
            assert_eq!(state.load().generation(), FIRST.next());
        }
    });
}

/// Three of five probes must succeed. Three have reported, one of them a failure. Of the other two,
/// one fails and one succeeds.
#[test]
fn a_failure_that_may_be_and_a_success_at_once_are_both_counted() {
    model(UNBOUNDED, || {
        let probing = Phase::HalfOpen(ProbeCounts {
            in_flight: 2,
            succeeded: 2,
            failed: 1,
            admitted: 5,
            ..ProbeCounts::default()
        });
        let state = Arc::new(AtomicState::new(probing));
        let verdicts = race(
            &state,
            [
                |state: &AtomicState| {
                    state.report_probe(FIRST, ProbeReport::Succeeded, THREE_OF_FIVE)
                },
                |state: &AtomicState| {
                    let report = ProbeReport::Failed {
                        open_until: Moment::at(1),
                        is_enough: false,
                    };
                    state.report_probe(FIRST, report, THREE_OF_FIVE)
                },
            ],
        );
        assert!(matches!(verdicts[0], ProbeVerdict::Decided(_)));
        assert!(!matches!(verdicts[1], ProbeVerdict::Decided(_)));
        assert_eq!(state.load().phase(), Phase::Closed);
    });
}

const THREE_OF_FIVE: Probes = Probes::new(5, 3);

/// The last two of five probes fail, where two may fail.
#[test]
fn of_two_failures_of_which_one_may_be_the_other_opens() {
    model(UNBOUNDED, || {
        let probing = Phase::HalfOpen(ProbeCounts {
            in_flight: 2,
            succeeded: 2,
            failed: 1,
            admitted: 5,
            ..ProbeCounts::default()
        });
        let state = Arc::new(AtomicState::new(probing));
        let fail = |state: &AtomicState| {
            let report = ProbeReport::Failed {
                open_until: Moment::at(1),
                is_enough: false,
            };
            state.report_probe(FIRST, report, THREE_OF_FIVE)
        };
        let verdicts = race(&state, [fail, fail]);
        let decided = |verdict: &ProbeVerdict| matches!(verdict, ProbeVerdict::Decided(_));
        assert_eq!(count(&verdicts, decided), 1);
        assert_eq!(state.phase_of(state.load()), open_until(1));
    });
}

/// The last two probes of three are slow, of which one may be.
#[test]
fn of_two_slow_probes_of_which_one_may_be_the_other_opens() {
    model(UNBOUNDED, || {
        let probing = Phase::HalfOpen(ProbeCounts {
            in_flight: 2,
            failed: 1,
            admitted: 3,
            ..ProbeCounts::default()
        });
        let state = Arc::new(AtomicState::new(probing));
        let slow = |state: &AtomicState| {
            let report = ProbeReport::Slow {
                open_until: Moment::at(1),
            };
            state.report_probe(FIRST, report, Probes::new(3, 2).slow_threshold(2))
        };
        let verdicts = race(&state, [slow, slow]);
        let decided = |verdict: &ProbeVerdict| matches!(verdict, ProbeVerdict::Decided(_));
        assert_eq!(count(&verdicts, decided), 1);
        assert_eq!(state.phase_of(state.load()), open_until(1));
    });
}

/// A probe succeeds too late: its generation ends, and the breaker is half-open again with another
/// probe.
#[test]
fn the_late_success_of_a_probe_changes_no_later_generation() {
    model(UNBOUNDED, || {
        let state = Arc::new(AtomicState::new(half_open(1, 0)));
        race(
            &state,
            [
                |state: &AtomicState| {
                    state.report_probe(FIRST, ProbeReport::Succeeded, Probes::all(1));
                },
                |state: &AtomicState| {
                    state.force(open_until(0));
                    assert!(is_probe(&state.admit(0, 1, u64::MAX)));
                },
            ],
        );
        let there = state.load();
        assert!(
            matches!(
                there.phase(),
                Phase::HalfOpen(ProbeCounts {
                    in_flight: 1,
                    succeeded: 0,
                    ..
                })
            ),
            "{there:?}"
        );
    });
}

/// Three callers ask a breaker whose open time has just passed.
#[test]
fn when_the_open_time_is_over_one_caller_moves_the_state_and_the_places_are_filled() {
    model(preemptions(2).full(3), || {
        let state = Arc::new(AtomicState::new(open_until(1)));
        let until = 1 << 20;
        assert_eq!(state.load().phase(), open_until(until));
        let ask = |state: &AtomicState| state.admit(1 << 20, 2, TIMEOUT);
        let admissions = race(&state, [ask, ask, ask]);
        assert_eq!(count(&admissions, is_probe), 2);
        let moves: Vec<_> = admissions.iter().filter_map(moved).collect();
        let expected = StateChange {
            from: State::Open,
            to: State::HalfOpen,
            generation: FIRST.next(),
            is_open: true,
        };
        assert_eq!(moves, [expected]);
    });
}

/// Two callers ask a half-open breaker with one free place that was last taken long ago.
#[test]
fn a_place_that_was_just_taken_is_not_overdue() {
    model(UNBOUNDED, || {
        let state = Arc::new(AtomicState::new(half_open(0, 0)));
        let ask = |state: &AtomicState| state.admit(100, 1, TIMEOUT);
        let admissions = race(&state, [ask, ask]);
        assert_eq!(count(&admissions, is_probe), 1);
        let rejected = Admission::Rejected {
            state: State::HalfOpen,
            generation: FIRST,
            retry_after: Some(TIMEOUT),
        };
        assert!(admissions.contains(&rejected), "{admissions:?}");
    });
}

/// Two callers ask a half-open breaker whose place was taken by the end of the open time, long ago.
#[test]
fn the_place_of_the_first_probe_is_not_overdue() {
    model(UNBOUNDED, || {
        let state = Arc::new(AtomicState::new(open_until(0)));
        let ask = |state: &AtomicState| state.admit(100, 1, TIMEOUT);
        let admissions = race(&state, [ask, ask]);
        assert_eq!(count(&admissions, is_probe), 1);
        assert_eq!(state.load().generation(), FIRST.next());
    });
}

/// The only place is overdue. Its holder gives it back after all and asks again, while another
/// caller is about to take the place over.
#[test]
fn a_place_given_back_and_taken_again_is_not_overdue() {
    model(UNBOUNDED, || {
        let state = Arc::new(AtomicState::new(half_open(1, 0)));
        let admissions = race(
            &state,
            [
                |state: &AtomicState| {
                    state.report_probe(FIRST, ProbeReport::Withdrawn, Probes::all(1));
                    state.admit(100, 1, TIMEOUT)
                },
                |state: &AtomicState| state.admit(100, 1, TIMEOUT),
            ],
        );
        assert_eq!(count(&admissions, is_probe), 1, "{admissions:?}");
    });
}

/// The only probe is overdue. Two callers ask, and the probe reports after all.
#[test]
fn an_overdue_place_is_taken_back_once() {
    model(preemptions(2).full(3), || {
        let state = Arc::new(AtomicState::new(open_until(0)));
        assert!(is_probe(&state.admit(1, 2, TIMEOUT)));
        let taken = race(
            &state,
            [
                |state: &AtomicState| {
                    let verdict =
                        state.report_probe(FIRST.next(), ProbeReport::Succeeded, Probes::all(2));
                    u32::from(verdict == ProbeVerdict::Counted)
                },
                |state: &AtomicState| u32::from(is_probe(&state.admit(100, 2, TIMEOUT))),
                |state: &AtomicState| u32::from(is_probe(&state.admit(100, 2, TIMEOUT))),
            ],
        );
        let Phase::HalfOpen(ProbeCounts {
            in_flight,
            succeeded,
            ..
        }) = state.load().phase()
        else {
            panic!("{:?}", state.load());
        };
        assert_eq!(succeeded, taken[0]);
        // There are two places, and a success that counted keeps one.
        assert!(in_flight + succeeded <= 2, "{in_flight} and {succeeded}");
    });
}

/// One of two callers has read the clock long ago and slept since. Both take a place. A third asks
/// just before the later of the two is overdue.
///
/// Fails when: an admission stores its time.
#[test]
fn a_caller_that_slept_shortens_no_lease() {
    model(UNBOUNDED, || {
        let state = Arc::new(AtomicState::new(half_open(0, 0)));
        let admissions = race(
            &state,
            [
                |state: &AtomicState| state.admit(1, 2, TIMEOUT),
                |state: &AtomicState| state.admit(100, 2, TIMEOUT),
            ],
        );
        assert_eq!(count(&admissions, is_probe), 2);
        let third = state.admit(99 + TIMEOUT, 2, TIMEOUT);
        assert!(!is_probe(&third), "{third:?}");
    });
}

/// The only place is overdue, and a caller takes it over. The former holder, which read the clock
/// long before, reports.
///
/// Fails when: a late report stores the length of the lease.
#[test]
fn a_late_report_shortens_no_lease() {
    model(UNBOUNDED, || {
        let state = Arc::new(AtomicState::new(open_until(0)));
        assert!(is_probe(&state.admit(1, 1, TIMEOUT)));
        let admissions = race(
            &state,
            [
                |state: &AtomicState| {
                    state.lengthen_lease(20, 2 * TIMEOUT, TIMEOUT);
                    None
                },
                |state: &AtomicState| Some(state.admit(100, 1, TIMEOUT)),
            ],
        );
        assert!(admissions[1].is_some_and(|admission| is_probe(&admission)));
        let late = state.admit(99 + TIMEOUT, 1, TIMEOUT);
        assert!(!is_probe(&late), "{late:?}");
    });
}

/// The only place is overdue. A caller takes it over while a call reports that took five times a
/// probe's limit. The probe that is in flight then has twice that call's time.
///
/// Fails when: a late report changes nothing, or counts as the current probe's report.
#[test]
fn a_late_report_lengthens_the_lease_whoever_takes_the_place() {
    const TOOK: u64 = 5 * TIMEOUT;
    model(UNBOUNDED, || {
        let state = Arc::new(AtomicState::new(open_until(0)));
        assert!(is_probe(&state.admit(1, 1, TIMEOUT)));
        let admissions = race(
            &state,
            [
                |state: &AtomicState| {
                    let verdict = state.report_probe(FIRST, ProbeReport::Succeeded, Probes::all(1));
                    assert_eq!(verdict, ProbeVerdict::Stale);
                    state.lengthen_lease(100, TOOK, TIMEOUT);
                    None
                },
                |state: &AtomicState| Some(state.admit(100, 1, TIMEOUT)),
            ],
        );
        let there = state.load();
        // If the report came first, the place is still free.
        let is_taken = admissions[1].is_some_and(|admission| is_probe(&admission));
        let generations = 1 + u64::from(is_taken);
        assert_eq!(there.generation().number(), generations);
        let almost = state.admit(99 + 2 * TOOK, 1, TIMEOUT);
        assert!(!is_probe(&almost), "{almost:?}");
        let overdue = state.admit(100 + 2 * TOOK, 1, TIMEOUT);
        assert!(is_probe(&overdue), "{overdue:?}");
    });
}

/// A thread prepares something and then lets calls through.
#[test]
fn what_was_done_before_a_state_change_is_seen_by_those_it_lets_through() {
    model(UNBOUNDED, || {
        let cache = AtomicU64::new(0);
        let shared = Arc::new((AtomicState::new(Phase::ForcedOpen), cache));
        race(
            &shared,
            [
                |(state, cache)| {
                    cache.store(1, Ordering::Relaxed);
                    state.force(Phase::Disabled);
                },
                |(state, cache)| {
                    if state.admit(0, 1, u64::MAX) == Admission::Unrecorded {
                        assert_eq!(cache.load(Ordering::Relaxed), 1);
                    }
                },
            ],
        );
    });
}

/// A caller whose own change comes too late still sees the work before the new state.
///
/// Fails when: the exchange of the state word doesn't acquire when it fails.
#[test]
fn what_was_done_before_a_state_change_is_seen_by_those_whose_own_change_fails() {
    model(UNBOUNDED, || {
        let cache = AtomicU64::new(0);
        let shared = Arc::new((AtomicState::new(open_until(1)), cache));
        race(
            &shared,
            [
                |(state, cache)| {
                    // Relaxed, here and below: the state must order it.
                    cache.store(1, Ordering::Relaxed);
                    state.force(Phase::Disabled);
                },
                |(state, cache)| {
                    if state.admit(UNIT, 1, u64::MAX) == Admission::Unrecorded {
                        assert_eq!(cache.load(Ordering::Relaxed), 1);
                    }
                },
            ],
        );
    });
}

/// The unit of moments in the state word, in nanoseconds.
const UNIT: u64 = 1 << 20;

/// Checks that the exact end of an open time is within the unit that the word shows.
fn check_end(state: &AtomicState) {
    let seen = state.load();
    if let (Phase::Open { until: shown }, Phase::Open { until }) =
        (seen.phase(), state.phase_of(seen))
    {
        assert!(until <= shown && shown.nanos() - until.nanos() < UNIT);
    }
}

/// A breaker is tripped for a time, while another thread closes it and trips it for longer.
///
/// Fails when: `AtomicState::exactly` doesn't compare with the word's moment.
#[test]
fn whatever_the_race_an_open_time_ends_within_a_unit_of_what_the_word_shows() {
    model(preemptions(4), || {
        let state = Arc::new(AtomicState::new(Phase::Closed));
        race(
            &state,
            [
                |state| {
                    state.force(open_until(5 * UNIT + 3));
                },
                |state| {
                    state.force(Phase::Closed);
                    state.force(open_until(9 * UNIT + 7));
                },
                check_end,
            ],
        );
        check_end(&state);
    });
}

fn lengthen(state: &AtomicState, until: u64) {
    let seen = state.load();
    assert!(state.stay(seen, open_until(until)).is_ok());
}

/// Fails when: `AtomicState::stay` stores the end instead of raising it.
#[test]
fn of_two_that_lengthen_an_open_time_within_a_unit_the_longer_one_counts() {
    model(UNBOUNDED, || {
        let state = Arc::new(AtomicState::new(open_until(UNIT + 1)));
        race(
            &state,
            [
                |state| lengthen(state, UNIT + 2),
                |state| lengthen(state, UNIT + 3),
            ],
        );
        assert_eq!(state.phase_of(state.load()), open_until(UNIT + 3));
    });
}
