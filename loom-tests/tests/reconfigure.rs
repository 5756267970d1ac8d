//! Reconfiguration while calls run: no trip is lost, and no call reaches another window than its
//! own. Only one thread ends a generation.

use std::time::Duration;

use loom_tests::sync::{Arc, AtomicU64, Ordering};
use loom_tests::{model, preemptions, race};
use tripcurve::__model::{
    Core, CountRing, FixedContext, KeptTimes, OptionalParts, Parts, Probes, Reconfigured,
    Recording, Ring, Settings, Switch, ThreadSlot, Ticket, TimeRing, Timed, TimedPeriod, Times,
};
use tripcurve::{Outcome, State, TripPolicy};

fn settings(policy: impl Into<TripPolicy>, probes: u32, open_for: u64) -> Settings {
    Settings {
        name: "model".into(),
        policies: [policy.into()].into(),
        open_for,
        probes: Probes::all(probes),
        probe_timeout: u64::MAX,
        on_cancel: Outcome::Ignored,
        switch: Switch::default(),
    }
}

/// Two buckets of `width` nanoseconds each.
fn buckets_of(width: u64) -> Ring {
    Ring::Time(TimeRing::new(width, 2, 1, false))
}

fn core(policy: impl Into<TripPolicy>) -> Core {
    let settings = settings(policy, 1, 1_000_000);
    let core = Core::new(
        Parts {
            settings,
            ring: buckets_of(10),
            optional: None,
        },
        None,
        State::Closed,
        0,
    );
    // This makes the place for a second configuration, whose creation loom can't see.
    core.checks_or_init();
    core
}

fn parts(policy: impl Into<TripPolicy>, width: u64) -> Parts {
    parts_with(settings(policy, 1, 1_000_000), width)
}

fn parts_with(settings: Settings, width: u64) -> Parts {
    Parts {
        settings,
        ring: buckets_of(width),
        optional: None,
    }
}

fn at(nanos: u64) -> FixedContext {
    FixedContext {
        nanos,
        thread_slot: ThreadSlot(0),
    }
}

fn call(core: &Core, outcome: Outcome, nanos: u64) {
    if let Ok(ticket) = core.admit(&at(nanos)) {
        core.record(ticket, outcome, None, &at(nanos));
    }
}

fn fail(core: &Core) {
    call(core, Outcome::Failure, 5);
}

/// A failure is recorded while a stricter policy comes, for which it is one too many.
///
/// Fails when: `Core::judge_by_the_new` doesn't meet the run; it judges nothing;
/// `View::record_failure` judges by the settings that it began with.
#[test]
fn of_a_failure_and_a_stricter_policy_no_trip_is_lost() {
    model(preemptions(3), || {
        let core = Arc::new(core(TripPolicy::failure_count(5)));
        // A first reconfiguration, so the breaker already has other settings, as in every later
        // one.
        core.reconfigure(parts(TripPolicy::failure_count(4), 10), &at(5));
        fail(&core);
        race(
            &core,
            [fail, |core| {
                let stricter = parts(TripPolicy::failure_count(2), 10);
                assert_eq!(core.reconfigure(stricter, &at(5)), Reconfigured::WindowKept);
            }],
        );
        assert_eq!(core.state(), State::Open);
    });
}

/// In a count window, no trip is lost either. The failures aren't in a row, so the window is read.
///
/// Fails when: `GenerationCounter::meet` doesn't acquire.
#[test]
fn of_a_failure_among_the_last_calls_and_a_stricter_policy_no_trip_is_lost() {
    model(preemptions(2).full(3), || {
        let of_calls = |failures: u32| Parts {
            settings: settings(TripPolicy::failure_count(failures), 1, 1_000_000),
            ring: Ring::Count(Box::new(CountRing::new(4, None, KeptTimes::NONE))),
            optional: None,
        };
        let core = Core::new(of_calls(5), None, State::Closed, 0);
        core.checks_or_init();
        core.reconfigure(of_calls(4), &at(5));
        fail(&core);
        call(&core, Outcome::Success, 5);
        let shared = Arc::new((core, of_calls));
        race(
            &shared,
            [
                |(core, _)| fail(core),
                |(core, of_calls)| {
                    core.reconfigure(of_calls(2), &at(5));
                },
            ],
        );
        assert_eq!(shared.0.state(), State::Open);
    });
}

/// A failure is recorded while the breaker's first reconfiguration brings a stricter policy.
///
/// Fails when: `Core::judge_by_the_new` doesn't meet the run; it judges nothing;
/// `View::record_failure` judges by the settings that it began with.
#[test]
fn of_a_failure_and_the_first_stricter_policy_no_trip_is_lost() {
    model(preemptions(3), || {
        let core = Arc::new(core(TripPolicy::failure_count(5)));
        fail(&core);
        race(
            &core,
            [fail, |core| {
                core.reconfigure(parts(TripPolicy::failure_count(2), 10), &at(5));
            }],
        );
        assert_eq!(core.state(), State::Open);
    });
}

/// A failure trips while a window of another shape comes.
///
/// Fails when: `Core::align` enters a new generation in any state.
#[test]
fn a_trip_is_not_undone_by_another_window() {
    model(preemptions(2), || {
        let core = Arc::new(core(TripPolicy::failure_count(2)));
        fail(&core);
        let ticket = core.admit(&at(5)).unwrap();
        let shared = Arc::new((core, ticket));
        race(
            &shared,
            [
                |(core, ticket): &(Arc<Core>, Ticket)| {
                    core.record(*ticket, Outcome::Failure, None, &at(5));
                },
                |(core, _)| {
                    core.reconfigure(parts(TripPolicy::failure_count(2), 20), &at(5));
                },
            ],
        );
        let (core, _) = &*shared;
        let snapshot = core.snapshot(&at(5));
        match (snapshot.state(), snapshot.generation()) {
            // The breaker trips before the window comes, or the window has taken over both
            // failures.
            (State::Open, 1 | 2) => {}
            (State::Closed, 1) => assert_eq!(snapshot.failures(), 1, "one came too late"),
            other => panic!("{other:?}"),
        }
    });
}

/// A failure is recorded while a window of another size comes, for which it is one too many.
///
/// Fails when: `Core::reconfigure_to` doesn't judge the calls that a window has taken over; a call
/// of the former generation is still counted, and so destroys the calls that were taken over.
#[test]
fn a_window_of_another_size_holds_the_former_calls_and_no_trip_is_lost() {
    model(preemptions(2), || {
        let core = Arc::new(core(TripPolicy::failure_count(2)));
        // A first reconfiguration, so the breaker already has other settings, as in every later
        // one.
        core.reconfigure(parts(TripPolicy::failure_count(2), 15), &at(5));
        fail(&core);
        // One bucket later. So calls of the former generation would be counted in the buckets that
        // were taken over.
        race(
            &core,
            [
                |core: &Core| call(core, Outcome::Failure, 25),
                |core| {
                    core.reconfigure(parts(TripPolicy::failure_count(2), 20), &at(25));
                },
            ],
        );
        let snapshot = core.snapshot(&at(25));
        match snapshot.state() {
            State::Open => {}
            // The failure came while its window was taken over.
            state => assert_eq!((state, snapshot.failures()), (State::Closed, 1)),
        }
    });
}

/// A command empties the window while another size comes, and a call fails after the command.
///
/// Fails when: `Present::closed_in` judges a generation that another thread has entered.
#[test]
fn a_window_of_another_size_holds_no_call_from_before_a_command() {
    model(preemptions(1), || {
        let core = Arc::new(core(TripPolicy::failure_count(2)));
        core.reconfigure(parts(TripPolicy::failure_count(2), 15), &at(5));
        fail(&core);
        race(
            &core,
            [
                |core: &Core| {
                    core.reset(5);
                    fail(core);
                },
                |core| {
                    core.reconfigure(parts(TripPolicy::failure_count(2), 20), &at(5));
                },
            ],
        );
        let snapshot = core.snapshot(&at(5));
        assert_eq!(snapshot.state(), State::Closed, "one call has failed since");
        assert!(snapshot.failures() <= 1);
    });
}

/// A bucket is about to be replaced by one of the next turn when another policy comes.
///
/// Fails when: `Ring::same_config` returns `false`.
#[test]
fn a_call_in_a_bucket_that_rotates_is_counted_once_in_a_window_that_is_kept() {
    model(preemptions(3), || {
        let core = Arc::new(core(TripPolicy::failure_count(5)));
        call(&core, Outcome::Failure, 5);
        call(&core, Outcome::Success, 5);
        race(
            &core,
            [
                |core: &Core| {
                    call(core, Outcome::Failure, 25);
                    call(core, Outcome::Success, 25);
                },
                |core| {
                    core.reconfigure(parts(TripPolicy::failure_count(4), 10), &at(25));
                },
            ],
        );
        let snapshot = core.snapshot(&at(25));
        assert_eq!((snapshot.failures(), snapshot.successes()), (1, 1));
    });
}

/// A bucket is about to be replaced when a window of another shape comes. Calls after the new
/// window are counted.
///
/// Fails when: `AtomicState::change_with` doesn't tell calls to check which window counts them;
/// `Core::align` enters no new generation.
#[test]
fn a_call_in_a_bucket_that_rotates_is_counted_in_its_own_generations_window_alone() {
    model(preemptions(2), || {
        let core = core(TripPolicy::failure_count(5));
        call(&core, Outcome::Success, 5);
        let earlier = core.admit(&at(25)).unwrap();
        let shared = Arc::new((core, AtomicU64::new(0), earlier));
        let [has_come, _] = race(
            &shared,
            [
                |(core, come, earlier): &(Core, AtomicU64, Ticket)| {
                    core.record(*earlier, Outcome::Success, None, &at(25));
                    // Acquire: pairs with the Release store of `come` below. Without it, the call
                    // might not see the new window although it began after it.
                    let has_come = come.load(Ordering::Acquire);
                    call(core, Outcome::Success, 25);
                    has_come
                },
                |(core, come, _)| {
                    let begun = core.reconfigure(parts(TripPolicy::failure_count(5), 20), &at(25));
                    assert_eq!(begun, Reconfigured::WindowResized);
                    // Release: pairs with the Acquire load of `come` above. Without it, that call
                    // might not see the new window although it began after it.
                    come.store(1, Ordering::Release);
                    0
                },
            ],
        );
        let (core, ..) = &*shared;
        let snapshot = core.snapshot(&at(25));
        assert_eq!(snapshot.generation(), 1);
        let counted = snapshot.successes();
        // A call that ended before the new window may be in it. A call that began after it is.
        assert!(
            (has_come..=2).contains(&counted),
            "{counted} calls are counted"
        );
        call(core, Outcome::Success, 25);
        assert_eq!(core.snapshot(&at(25)).successes(), counted + 1);
    });
}

/// A breaker that times calls, and has timed so many that it leaves out the next one.
fn that_leaves_calls_out(policy: impl Into<TripPolicy>) -> Core {
    let settings = settings(policy, 1, 1_000_000);
    let spans = Times {
        slower_than: None,
        window: Duration::from_nanos(20),
        tick: Duration::from_secs(1),
        tick_units: 1_000_000_000,
        watch_units: 0,
        sample_units: Some(1_000_000_000),
        recording: Recording::Off,
    };
    let timed = Timed::new(&spans, None, &settings.policies);
    let parts = Parts {
        settings,
        ring: buckets_of(10),
        optional: OptionalParts {
            timed: Some(Box::new(timed)),
            ..OptionalParts::default()
        }
        .boxed(),
    };
    let core = Core::new(parts, None, State::Closed, 0);
    // This makes the place for a second configuration, whose creation loom can't see.
    core.checks_or_init();
    for _ in 0..TimedPeriod::MANY {
        call(&core, Outcome::Success, 5);
    }
    core
}

/// A call is left out of those that are timed while a window of another kind comes, which takes no
/// calls over.
///
/// Fails when: `Core::takes_short_way` doesn't look for another configuration.
#[test]
fn a_call_that_is_left_out_is_counted_in_its_own_generations_window() {
    model(preemptions(3), || {
        let core = Arc::new(that_leaves_calls_out(TripPolicy::failure_count(5)));
        let [ticket, _] = race(
            &core,
            [
                |core: &Core| {
                    let ticket = core.admit(&at(5)).unwrap();
                    core.record(ticket, Outcome::Success, None, &at(5));
                    Some(ticket)
                },
                |core| {
                    let of_calls = Parts {
                        settings: settings(TripPolicy::failure_count(4), 1, 1_000_000),
                        ring: Ring::Count(Box::new(CountRing::new(4, None, KeptTimes::NONE))),
                        optional: None,
                    };
                    core.reconfigure(of_calls, &at(5));
                    None
                },
            ],
        );
        let is_of_the_new = ticket.is_some_and(|ticket| core.counts(ticket));
        let counted = core.snapshot(&at(5)).successes();
        assert_eq!(counted, u64::from(is_of_the_new));
    });
}

/// Every other call fails while a window of another kind comes, which takes no calls over. Between
/// the two steps of the change, successes are counted in the former window.
///
/// Fails when: `Present::closed_in` doesn't check in which window calls are counted.
#[test]
fn failures_are_not_judged_without_the_successes_beside_them() {
    model(preemptions(2), || {
        let policy = || TripPolicy::failure_rate(0.9).min_calls(2);
        let core = Arc::new(core(policy()));
        race(
            &core,
            [
                |core: &Core| {
                    for _ in 0..2 {
                        call(core, Outcome::Success, 5);
                        call(core, Outcome::Failure, 5);
                    }
                },
                |core| {
                    let policy = TripPolicy::failure_rate(0.9).min_calls(2);
                    let of_calls = Parts {
                        settings: settings(policy, 1, 1_000_000),
                        ring: Ring::Count(Box::new(CountRing::new(4, None, KeptTimes::NONE))),
                        optional: None,
                    };
                    core.reconfigure(of_calls, &at(5));
                },
            ],
        );
        assert_eq!(core.state(), State::Closed);
    });
}

/// The only probe ends while a recovery with two probes comes.
///
/// Fails when: `Core::align` changes a state that it hasn't seen.
#[test]
fn of_a_probes_result_and_another_recovery_one_ends_the_generation() {
    model(preemptions(3), || {
        let core = core(TripPolicy::failure_count(5));
        core.trip(0, 0);
        let probe = core.admit(&at(2_000_000)).unwrap();
        let shared = Arc::new((core, probe));
        race(
            &shared,
            [
                |(core, probe): &(Core, Ticket)| {
                    core.record(*probe, Outcome::Success, None, &at(2_000_000));
                },
                |(core, _)| {
                    let settings = settings(TripPolicy::failure_count(5), 2, 1_000_000);
                    core.reconfigure(parts_with(settings, 10), &at(2_000_000));
                },
            ],
        );
        let (core, _) = &*shared;
        let snapshot = core.snapshot(&at(2_000_000));
        assert_eq!(snapshot.generation(), 3);
        match snapshot.state() {
            State::Closed => {}
            state => {
                assert_eq!(state, State::HalfOpen);
                assert_eq!(snapshot.probes_in_flight(), 0);
                for _ in 0..2 {
                    call(core, Outcome::Success, 2_000_000);
                }
                assert_eq!(core.state(), State::Closed);
            }
        }
    });
}

/// Two configurations come at once, one of them with another window, in which a call is then
/// counted.
///
/// Fails when: `Core::publish` replaces a configuration that it hasn't seen.
#[test]
fn of_two_configurations_at_once_one_is_there_as_a_whole() {
    model(preemptions(2), || {
        let core = Arc::new(core(TripPolicy::failure_count(9)));
        core.reconfigure(parts(TripPolicy::failure_count(8), 10), &at(5));
        race(
            &core,
            [
                |core: &Core| {
                    let wider = settings(TripPolicy::failure_count(1), 1, 10_000_000);
                    core.reconfigure(parts_with(wider, 20), &at(5));
                    call(core, Outcome::Success, 5);
                },
                |core| {
                    let narrow = settings(TripPolicy::failure_count(2), 1, 90_000_000);
                    core.reconfigure(parts_with(narrow, 10), &at(5));
                },
            ],
        );
        let snapshot = core.snapshot(&at(5));
        if snapshot.generation() == 1 {
            assert_eq!(snapshot.successes(), 1, "no window began after it");
        }
        fail(&core);
        let is_the_first = core.state() == State::Open;
        if !is_the_first {
            fail(&core);
        }
        let snapshot = core.snapshot(&at(5));
        assert_eq!(snapshot.state(), State::Open);
        let is_short = snapshot.remaining_open().unwrap().as_millis() < 50;
        assert_eq!(is_short, is_the_first);
    });
}

/// Parts with this switch mode.
fn switched(mode: Option<State>) -> Parts {
    let settings = Settings {
        switch: Switch {
            mode,
            ..Switch::default()
        },
        ..settings(TripPolicy::failure_count(2), 1, 1_000_000)
    };
    parts_with(settings, 10)
}

/// A failure trips the breaker while it is switched off.
///
/// Fails when: `Held::next` switches off only a closed breaker.
#[test]
fn a_breaker_that_trips_while_it_is_switched_off_is_off() {
    model(preemptions(3), || {
        let core = Arc::new(core(TripPolicy::failure_count(2)));
        core.reconfigure(parts(TripPolicy::failure_count(2), 10), &at(5));
        fail(&core);
        race(
            &core,
            [fail, |core| {
                let came = core.reconfigure(switched(Some(State::Disabled)), &at(5));
                assert_eq!(came, Reconfigured::StateChanged(State::Disabled));
            }],
        );
        assert_eq!(core.state(), State::Disabled);
        core.reconfigure(switched(None), &at(5));
        assert_eq!(core.state(), State::Closed);
    });
}

/// One thread switches the breaker off while another switches it on, or to measure only.
///
/// Fails when: `Core::switch_over` doesn't check for later settings.
fn the_state_is_that_of_the_latest_of(others: Option<State>, preempted: usize) {
    model(preemptions(preempted), move || {
        let core = Arc::new(core(TripPolicy::failure_count(2)));
        core.reconfigure(parts(TripPolicy::failure_count(2), 10), &at(5));
        let shared = Arc::new((core, others));
        race(
            &shared,
            [
                |(core, _): &(Arc<Core>, Option<State>)| {
                    core.reconfigure(switched(Some(State::Disabled)), &at(5));
                },
                |(core, mode)| {
                    core.reconfigure(switched(*mode), &at(5));
                },
            ],
        );
        let (core, _) = &*shared;
        let state = core.state();
        let is_off = core.reconfigure(switched(Some(State::Disabled)), &at(5));
        if is_off == Reconfigured::Unchanged {
            assert_eq!(state, State::Disabled);
        } else {
            assert_eq!(state, others.unwrap_or(State::Closed));
        }
    });
}

#[test]
fn of_two_that_switch_a_breaker_off_and_on_the_latest_holds() {
    the_state_is_that_of_the_latest_of(None, 3);
}

#[test]
fn of_two_that_switch_a_breaker_off_in_two_ways_the_latest_holds() {
    the_state_is_that_of_the_latest_of(Some(State::MetricsOnly), 3);
}
