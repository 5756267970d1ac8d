//! Reconfiguration while calls run: what is carried over, what is reset, and what is refused.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tripcurve::events::Cause;
use tripcurve::outcome::Report;
use tripcurve::persist::Reconfigured;
use tripcurve::recovery::{Backoff, Jitter};
use tripcurve::time::Clock;
use tripcurve::window::{Recording, Window};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, Recovery, State, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);

fn payments() -> CircuitBreakerBuilder {
    CircuitBreaker::builder("payments").shards(1)
}

/// With the classic policies, of which the tests know when they trip.
fn classic() -> CircuitBreakerBuilder {
    payments().trip_when(TripPolicy::classic())
}

fn fail(breaker: &CircuitBreaker) {
    let _ = breaker.call(|| Err::<(), _>("no"));
}

fn succeed(breaker: &CircuitBreaker) {
    let _ = breaker.call(|| Ok::<_, &str>(()));
}

/// The numbers of failed and of successful calls in the window.
fn counts(breaker: &CircuitBreaker) -> (u64, u64) {
    let snapshot = breaker.snapshot();
    (snapshot.failures(), snapshot.successes())
}

/// The state changes that a breaker has reported.
type Told = Arc<Mutex<Vec<(State, State, u64, Cause)>>>;

fn told(builder: CircuitBreakerBuilder) -> (CircuitBreakerBuilder, Told) {
    let told = Told::default();
    let log = Arc::clone(&told);
    let builder = builder.on_transition(move |transition| {
        let (from, to) = (transition.from(), transition.to());
        let entry = (from, to, transition.generation(), transition.cause());
        log.lock().unwrap().push(entry);
    });
    (builder, told)
}

#[test]
fn the_window_is_carried_over_where_its_shape_stays() {
    let breaker = payments().build().unwrap();
    for _ in 0..3 {
        fail(&breaker);
        succeed(&breaker);
    }
    let before = breaker.snapshot();
    let new = payments()
        .trip_when(TripPolicy::failure_rate(0.9).min_calls(20))
        .open_for(30 * SECOND)
        .probes(7);
    assert_eq!(breaker.reconfigure(new), Ok(Reconfigured::WindowKept));
    let after = breaker.snapshot();
    assert_eq!(after.generation(), before.generation());
    assert_eq!((after.failures(), after.successes()), (3, 3));
}

#[test]
fn a_window_of_another_shape_keeps_the_newest_calls_in_a_new_generation() {
    let shapes: [fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder; 4] = [
        |builder| builder.window(Window::time(30 * SECOND, 10)),
        |builder| builder.window(Window::time(60 * SECOND, 20)),
        |builder| builder.shards(4),
        |builder| builder.latency(Recording::Combined),
    ];
    for shape in shapes {
        let (builder, told) = told(payments());
        let breaker = builder.build().unwrap();
        fail(&breaker);
        let came = breaker.reconfigure(shape(payments()));
        assert_eq!(came, Ok(Reconfigured::WindowResized));
        let entry = (State::Closed, State::Closed, 1, Cause::Reconfigured);
        assert_eq!(*told.lock().unwrap(), [entry]);
        assert_eq!(counts(&breaker), (1, 0));
        for _ in 0..2 {
            succeed(&breaker);
            fail(&breaker);
        }
        assert_eq!(counts(&breaker), (3, 2));
    }
}

#[test]
fn a_window_that_cannot_hold_what_the_former_counted_begins_anew_with_a_new_generation() {
    let time: fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder =
        |builder| builder.window(Window::time(30 * SECOND, 10));
    let count: fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder =
        |builder| builder.window(Window::count(100));
    let within: fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder =
        |builder| builder.window(Window::count(100).within(30 * SECOND));
    let slow: fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder =
        |builder| builder.trip_when(TripPolicy::slow_rate(0.5).slower_than(SECOND));
    let slower: fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder = |builder| {
        let policy = TripPolicy::slow_rate(0.5).slower_than(2 * SECOND);
        builder
            .window(Window::time(30 * SECOND, 10))
            .trip_when(policy)
    };
    for [from, to] in [
        [time, count],
        [time, within],
        [count, time],
        [count, within],
        [within, time],
        [time, slow],
        [slow, time],
        [slow, slower],
    ] {
        let (builder, told) = told(from(payments()));
        let breaker = builder.build().unwrap();
        fail(&breaker);
        let begun = breaker.reconfigure(to(payments()));
        assert_eq!(begun, Ok(Reconfigured::WindowReset));
        let entry = (State::Closed, State::Closed, 1, Cause::Reconfigured);
        assert_eq!(*told.lock().unwrap(), [entry]);
        assert_eq!(breaker.snapshot().calls(), 0);
        assert_eq!(breaker.snapshot().consecutive_failures(), 0);
        for _ in 0..2 {
            fail(&breaker);
            succeed(&breaker);
        }
        assert_eq!(counts(&breaker), (2, 2));
    }
}

#[test]
fn the_new_policies_judge_what_the_window_holds_at_once() {
    let breaker = payments().build().unwrap();
    for _ in 0..4 {
        fail(&breaker);
    }
    let stricter = payments().trip_when(TripPolicy::failure_count(3));
    assert_eq!(breaker.reconfigure(stricter), Ok(Reconfigured::WindowKept));
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn the_same_settings_again_change_nothing() {
    let settings = || {
        payments()
            .window(Window::time(10 * SECOND, 5))
            .trip_when(TripPolicy::adaptive().slower_than(SECOND))
            .recovery(Recovery::adaptive())
            .max_retry_after(SECOND)
    };
    let breaker = settings().build().unwrap();
    assert_eq!(breaker.reconfigure(settings()), Ok(Reconfigured::Unchanged));
    let other = settings().on_cancel(Outcome::Failure);
    assert_eq!(
        breaker.reconfigure(other.clone()),
        Ok(Reconfigured::WindowKept)
    );
    assert_eq!(breaker.reconfigure(other), Ok(Reconfigured::Unchanged));

    let plain = payments().build().unwrap();
    let begun = plain.reconfigure(settings());
    assert_eq!(begun, Ok(Reconfigured::WindowReset));
    assert_eq!(plain.reconfigure(settings()), Ok(Reconfigured::Unchanged));
}

/// Fails when: two functions that compute open times count as one.
#[test]
fn another_function_of_open_times_replaces_the_former_one() {
    fn short(_: u32) -> Duration {
        3 * SECOND
    }
    fn long(failed: u32) -> Duration {
        (7 + failed) * SECOND
    }
    // The functions become pointers here alone, so the pointers of one function are equal.
    let settings = |is_long| {
        let backoff = Backoff::computed(if is_long { long } else { short });
        classic().backoff(backoff.jitter(Jitter::None))
    };
    let (clock, _hand) = Clock::mock();
    let breaker = settings(false).clock(clock).build().unwrap();
    let unchanged = Ok(Reconfigured::Unchanged);
    assert_eq!(breaker.reconfigure(settings(false)), unchanged);
    let kept = Ok(Reconfigured::WindowKept);
    assert_eq!(breaker.reconfigure(settings(true)), kept);
    assert_eq!(breaker.reconfigure(settings(true)), unchanged);
    for _ in 0..5 {
        fail(&breaker);
    }
    assert_eq!(breaker.snapshot().remaining_open(), Some(7 * SECOND));
}

/// Fails when: another number of clients counts as the same recovery.
#[test]
fn another_number_of_clients_restarts_a_recovery_that_is_under_way() {
    let (clock, hand) = Clock::mock();
    let settings = |clients| payments().recovery(Recovery::adaptive().clients(clients));
    let breaker = settings(1).clock(clock).build().unwrap();
    breaker.trip(SECOND);
    hand.advance(SECOND);
    breaker.try_acquire().unwrap().success();
    assert!(breaker.snapshot().admitted_share().is_some());
    let alone = payments().recovery(Recovery::adaptive());
    assert_eq!(breaker.reconfigure(alone), Ok(Reconfigured::Unchanged));
    assert_eq!(
        breaker.reconfigure(settings(100)),
        Ok(Reconfigured::WindowKept)
    );
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(breaker.snapshot().admitted_share(), None);
}

#[test]
fn what_came_of_it_reads_as_a_sentence_goes_on() {
    let came = [
        Reconfigured::Unchanged,
        Reconfigured::WindowKept,
        Reconfigured::WindowResized,
        Reconfigured::WindowReset,
        Reconfigured::StateChanged(State::MetricsOnly),
    ];
    assert_eq!(
        came.map(|it| it.to_string()),
        [
            "unchanged",
            "reconfigured, window kept",
            "reconfigured, newest calls kept",
            "reconfigured, window reset",
            "reconfigured, now metrics-only",
        ]
    );
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let breaker = payments().build().unwrap();
    let error = breaker.reconfigure(payments().probes(0)).unwrap_err();
    assert_eq!(error.setting, "probes");
    let error = breaker
        .reconfigure(CircuitBreaker::builder("search"))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "name: \"search\" is not \"payments\"; a breaker keeps its name; another name is another breaker"
    );
    assert_eq!(breaker.reconfigure(payments()), Ok(Reconfigured::Unchanged));
}

#[test]
fn a_recovery_that_is_under_way_begins_anew_with_other_rules() {
    let (clock, hand) = Clock::mock();
    let (builder, told) = told(payments().clock(clock));
    let breaker = builder.build().unwrap();
    breaker.trip(SECOND);
    hand.advance(2 * SECOND);
    let probe = breaker.try_acquire().unwrap();
    let new = payments().probes(2);
    assert_eq!(breaker.reconfigure(new), Ok(Reconfigured::WindowKept));
    assert_eq!(
        told.lock().unwrap().last(),
        Some(&(State::HalfOpen, State::HalfOpen, 3, Cause::Reconfigured))
    );
    probe.failure();
    assert_eq!(breaker.state(), State::HalfOpen, "it is another generation");
    succeed(&breaker);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_recovery_that_is_under_way_goes_on_where_its_rules_stay() {
    let (clock, hand) = Clock::mock();
    let breaker = payments().clock(clock).probes(2).build().unwrap();
    breaker.trip(SECOND);
    hand.advance(2 * SECOND);
    succeed(&breaker);
    let begun = breaker.snapshot().generation();
    let new = payments().probes(2).window(Window::count(50));
    let another = breaker.reconfigure(new);
    assert_eq!(another, Ok(Reconfigured::WindowReset));
    let snapshot = breaker.snapshot();
    assert_eq!(
        (snapshot.state(), snapshot.generation()),
        (State::HalfOpen, begun)
    );
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed, "it is the second of two");
    succeed(&breaker);
    assert_eq!(breaker.snapshot().successes(), 1);
}

#[test]
fn a_ramp_begins_anew_as_probes_when_the_new_settings_have_none() {
    let (clock, hand) = Clock::mock();
    let steps = Recovery::steps(&[0.1, 1.0], 10 * SECOND);
    let breaker = payments().clock(clock).recovery(steps).build().unwrap();
    breaker.trip(SECOND);
    hand.advance(2 * SECOND);
    succeed(&breaker);
    assert!(breaker.snapshot().admitted_share().is_some());
    breaker.reconfigure(payments().probes(1)).unwrap();
    assert_eq!(breaker.state(), State::HalfOpen);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn an_open_breaker_stays_open_as_long_and_then_goes_by_the_new_settings() {
    let (clock, hand) = Clock::mock();
    let breaker = payments().clock(clock).build().unwrap();
    breaker.trip(10 * SECOND);
    let new = payments()
        .window(Window::count(50))
        .open_for(20 * SECOND)
        .probes(1);
    let begun = breaker.reconfigure(new);
    assert_eq!(begun, Ok(Reconfigured::WindowReset));
    assert_eq!(breaker.snapshot().generation(), 1);
    hand.advance(9 * SECOND);
    assert!(breaker.try_acquire().is_err());
    assert_eq!(breaker.snapshot().rejected(), 1);
    hand.advance(2 * SECOND);
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
    assert!(breaker.snapshot().remaining_open() > Some(19 * SECOND));
    hand.advance(21 * SECOND);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker);
    succeed(&breaker);
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.failures(), snapshot.successes()), (1, 1));
}

#[test]
fn how_many_recoveries_have_failed_is_carried_over() {
    let (clock, hand) = Clock::mock();
    let backoff = |base| Backoff::exponential(base, 2.0, 100 * SECOND).jitter(Jitter::None);
    let settings = |base: Duration| classic().backoff(backoff(base)).probes(1);
    let breaker = settings(SECOND).clock(clock).build().unwrap();
    for _ in 0..5 {
        fail(&breaker);
    }
    for _ in 0..2 {
        hand.advance(10 * SECOND);
        fail(&breaker);
    }
    // It has opened for 1, 2 and 4 s. With a base of 3 s, the next open time is 24 s.
    breaker.reconfigure(settings(3 * SECOND)).unwrap();
    hand.advance(10 * SECOND);
    fail(&breaker);
    let left = breaker.snapshot().remaining_open().unwrap();
    assert!((24 * SECOND..=25 * SECOND).contains(&left), "{left:?}");
}

#[test]
fn what_is_usual_is_carried_over_to_other_settings_of_the_adaptive_policy() {
    const DAY: u64 = 86_400;
    const HOURS: u64 = 7_200;
    // The number of failures that trip, if one call in ten has failed in the past, or without a
    // past.
    let trips_after = |budgets: [u64; 2], calls: u32| {
        let (clock, hand) = Clock::mock();
        let settings = |budget: u64| {
            let policy = TripPolicy::adaptive().false_trip_budget(Duration::from_secs(budget));
            payments().trip_when(policy)
        };
        let pause = Duration::from_millis(10);
        let breaker = settings(budgets[0]).clock(clock).build().unwrap();
        for call in 0..calls {
            hand.advance(pause);
            if call % 10 == 0 {
                fail(&breaker);
            } else {
                succeed(&breaker);
            }
        }
        assert_eq!(breaker.state(), State::Closed);
        breaker.reconfigure(settings(budgets[1])).unwrap();
        let failures = (1..1_000).find(|_| {
            hand.advance(pause);
            fail(&breaker);
            breaker.state() == State::Open
        });
        failures.unwrap()
    };
    let always = trips_after([HOURS, HOURS], 20_000);
    assert_eq!(trips_after([DAY, HOURS], 20_000), always);
    assert_ne!(
        trips_after([DAY, HOURS], 0),
        always,
        "else this shows nothing"
    );
}

#[test]
fn a_call_in_flight_is_recorded_in_a_window_that_is_kept_and_in_no_other() {
    let breaker = payments().build().unwrap();
    let permit = breaker.try_acquire().unwrap();
    breaker.reconfigure(payments().probes(1)).unwrap();
    permit.failure();
    assert_eq!(breaker.snapshot().failures(), 1);
    let permit = breaker.try_acquire().unwrap();
    breaker
        .reconfigure(payments().window(Window::count(10)))
        .unwrap();
    permit.failure();
    assert_eq!(breaker.snapshot().failures(), 0);
    assert_eq!(breaker.snapshot().consecutive_failures(), 0);
}

#[test]
fn what_a_cancelled_call_counts_as_is_said_by_the_present_settings() {
    let breaker = payments().build().unwrap();
    let permit = breaker.try_acquire().unwrap();
    breaker
        .reconfigure(payments().on_cancel(Outcome::Failure))
        .unwrap();
    drop(permit);
    assert_eq!(breaker.snapshot().failures(), 1);
}

#[test]
fn under_load_each_call_is_let_through_and_those_after_the_last_change_are_all_counted() {
    const CALLS: u64 = 20_000;
    let shapes: [fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder; 4] = [
        |builder| builder,
        |builder| builder.window(Window::time(300 * SECOND, 30)),
        |builder| builder.latency(Recording::Combined),
        |builder| builder.trip_when(TripPolicy::slow_rate(1.0).slower_than(60 * SECOND)),
    ];
    // A fourth of the calls fails, in no long runs. None of these settings trips on that.
    let settings = || {
        CircuitBreaker::builder("payments").trip_when(TripPolicy::failure_rate(0.9).min_calls(100))
    };
    let breaker = settings().build().unwrap();
    let goes_on = AtomicBool::new(true);
    let made = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut calls = 0_u64;
                    while goes_on.load(Ordering::Relaxed) || calls < CALLS {
                        if calls.is_multiple_of(4) {
                            fail(&breaker);
                        } else {
                            succeed(&breaker);
                        }
                        calls += 1;
                        made.fetch_add(1, Ordering::Relaxed);
                        assert_ne!(breaker.state(), State::Open);
                    }
                })
            })
            .collect();
        for turn in 0..200 {
            let shape = shapes[turn % shapes.len()];
            breaker.reconfigure(shape(settings())).unwrap();
        }
        goes_on.store(false, Ordering::Relaxed);
        for caller in callers {
            caller.join().unwrap();
        }
    });
    let last = settings().window(Window::time(600 * SECOND, 10));
    breaker.reconfigure(last).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for call in 0..CALLS {
                    if call % 4 == 0 {
                        fail(&breaker);
                    } else {
                        succeed(&breaker);
                    }
                }
            });
        }
    });
    let snapshot = breaker.snapshot();
    assert_eq!(
        (snapshot.failures(), snapshot.calls()),
        (CALLS / 2, 2 * CALLS)
    );
}

#[test]
fn a_breaker_that_was_healthy_for_long_before_another_window_came_opens_for_the_first_time_again() {
    let (clock, hand) = Clock::mock();
    let settings = |calls: u32| {
        let backoff = Backoff::exponential(SECOND, 2.0, 100 * SECOND).jitter(Jitter::None);
        let backoff = backoff.healthy_after(100 * SECOND);
        let window = Window::count(calls);
        payments().window(window).backoff(backoff).probes(1)
    };
    let opened_for = |healthy: Duration| {
        let breaker = settings(20).clock(clock.clone()).build().unwrap();
        let trip = || {
            (0..5).for_each(|_| fail(&breaker));
            breaker.snapshot().remaining_open().unwrap()
        };
        trip();
        for _ in 0..2 {
            hand.advance(10 * SECOND);
            fail(&breaker);
        }
        hand.advance(10 * SECOND);
        succeed(&breaker);
        hand.advance(healthy);
        breaker.reconfigure(settings(30)).unwrap();
        trip().as_secs()
    };
    assert_eq!(opened_for(50 * SECOND), 8);
    assert_eq!(opened_for(100 * SECOND), 1);
}

#[test]
fn open_times_that_come_to_a_breaker_of_a_million_generations_grow() {
    let (clock, hand) = Clock::mock();
    let breaker = classic().probes(1).clock(clock).build().unwrap();
    for _ in 0..=1 << 20 {
        breaker.reset();
    }
    let backoff = Backoff::exponential(SECOND, 2.0, 100 * SECOND).jitter(Jitter::None);
    breaker
        .reconfigure(classic().backoff(backoff).probes(1))
        .unwrap();
    (0..5).for_each(|_| fail(&breaker));
    hand.advance(2 * SECOND);
    fail(&breaker);
    assert_eq!(breaker.snapshot().remaining_open().unwrap().as_secs(), 2);
}

#[test]
fn a_listener_may_reconfigure_the_breaker_that_it_hears_of() {
    let breaker: Arc<OnceLock<CircuitBreaker>> = Arc::default();
    let of_listener = Arc::clone(&breaker);
    let (clock, hand) = Clock::mock();
    let built = payments()
        .clock(clock)
        .on_transition(move |transition| {
            let breaker = of_listener.get().unwrap();
            if transition.to() == State::Open {
                let cautious = payments().window(Window::count(10)).probes(1);
                let begun = breaker.reconfigure(cautious.open_for(9 * SECOND));
                assert_eq!(begun, Ok(Reconfigured::WindowReset));
            }
        })
        .build()
        .unwrap();
    let breaker = breaker.get_or_init(|| built);
    (0..5).for_each(|_| fail(breaker));
    assert!(breaker.snapshot().remaining_open() < Some(6 * SECOND));
    hand.advance(6 * SECOND);
    succeed(breaker);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_permit_that_is_held_across_counts_in_no_generation_but_its_own() {
    let settings: [fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder; 4] = [
        |builder| builder.window(Window::count(10)),
        |builder| builder.latency(Recording::ByOutcome),
        |builder| builder.trip_when(TripPolicy::slow_rate(0.5).slower_than(SECOND)),
        |builder| builder.trip_when(TripPolicy::adaptive()).shards(2),
    ];
    for from in settings {
        for to in settings.iter().filter(|to| **to as usize != from as usize) {
            let (clock, hand) = Clock::mock();
            let breaker = from(payments()).clock(clock).build().unwrap();
            let permits = [(); 4].map(|()| breaker.try_acquire().unwrap());
            hand.advance(2 * SECOND);
            breaker.reconfigure(to(payments())).unwrap();
            let [failed, slow, cancelled, ignored] = permits;
            failed.failure();
            slow.record(Report::success().took(5 * SECOND));
            drop(cancelled);
            ignored.record(Outcome::Ignored);
            let snapshot = breaker.snapshot();
            let counted = (snapshot.calls(), snapshot.slow(), snapshot.overdue());
            assert_eq!((counted, snapshot.ignored()), ((0, 0, 0), 0));
            assert_eq!(snapshot.consecutive_failures(), 0);
            succeed(&breaker);
            assert_eq!(breaker.snapshot().calls(), 1);
        }
    }
}

#[test]
fn what_is_known_of_the_traffic_is_carried_over_to_another_adaptive_recovery() {
    let (clock, hand) = Clock::mock();
    // The tolerated rate also changes the rate that the ramp tolerates.
    let settings = |tolerated| payments().trip_when(TripPolicy::adaptive().tolerate(tolerated));
    let breaker = settings(0.2).clock(clock).build().unwrap();
    let pause = || hand.advance(SECOND / 1_000);
    for _ in 0..2_000 {
        pause();
        succeed(&breaker);
    }
    breaker.try_acquire().unwrap().record(Outcome::Trip);
    let _probe = (0..1_000)
        .find_map(|_| {
            pause();
            breaker.try_acquire().ok()
        })
        .unwrap();
    // The recovery restarts, and its first caller meets no open breaker, from which it could learn
    // the traffic again.
    breaker.reconfigure(settings(0.4)).unwrap();
    fail(&breaker);
    let left = breaker.snapshot().remaining_open().unwrap();
    assert!(left < SECOND / 4, "{left:?}");
}

#[test]
fn how_much_traffic_there_is_is_not_mistaken_when_another_window_comes_during_an_outage() {
    let (clock, hand) = Clock::mock();
    let settings = || payments().recovery(Recovery::adaptive());
    let breaker = settings().clock(clock).build().unwrap();
    let ask_for = |seconds: u32| {
        for _ in 0..100 * seconds {
            hand.advance(Duration::from_millis(10));
            fail(&breaker);
        }
    };
    breaker.trip(20 * SECOND);
    ask_for(19);
    // The new window has the same length, so the recovery is the same.
    let window = Window::time(60 * SECOND, 20);
    breaker.reconfigure(settings().window(window)).unwrap();
    ask_for(1);
    hand.advance(Duration::from_millis(10));
    fail(&breaker);
    let left = breaker.snapshot().remaining_open().unwrap();
    // The time of about a hundred calls.
    assert!(left < Duration::from_millis(1_300), "{left:?}");
}

/// A way to switch a breaker off, and its state then.
type Off = (fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder, State);
const OFF: [Off; 5] = [
    (|builder| builder.enabled(false), State::Disabled),
    (|builder| builder.metrics_only(true), State::MetricsOnly),
    (
        |builder| builder.enabled(false).metrics_only(true),
        State::Disabled,
    ),
    (|builder| builder.start_in(State::Disabled), State::Disabled),
    (
        |builder| builder.start_in(State::ForcedOpen),
        State::ForcedOpen,
    ),
];

#[test]
fn a_breaker_is_switched_off_and_on_again() {
    for (off, state) in OFF {
        let (builder, told) = told(classic());
        let breaker = builder.build().unwrap();
        fail(&breaker);
        let came = breaker.reconfigure(off(classic()));
        assert_eq!(came, Ok(Reconfigured::StateChanged(state)));
        assert_eq!(breaker.state(), state);
        let came = breaker.reconfigure(off(classic()));
        assert_eq!(came, Ok(Reconfigured::Unchanged));
        (0..100).for_each(|_| fail(&breaker));
        assert_eq!(breaker.state(), state, "it doesn't trip");
        let counts = if state == State::MetricsOnly { 100 } else { 0 };
        assert_eq!(breaker.snapshot().failures(), counts);
        let came = breaker.reconfigure(classic());
        assert_eq!(came, Ok(Reconfigured::StateChanged(State::Closed)));
        let snapshot = breaker.snapshot();
        assert_eq!((snapshot.state(), snapshot.calls()), (State::Closed, 0));
        (0..5).for_each(|_| fail(&breaker));
        assert_eq!(breaker.state(), State::Open, "it trips again");
        let [to_off, to_on] = [(State::Closed, state, 1), (state, State::Closed, 2)];
        let expected = [to_off, to_on]
            .map(|(from, to, generation)| (from, to, generation, Cause::Reconfigured));
        assert_eq!(told.lock().unwrap()[..2], expected);
    }
}

#[test]
fn a_breaker_starts_as_it_is_switched() {
    for (off, state) in OFF {
        let breaker = off(payments()).build().unwrap();
        assert_eq!(breaker.state(), state);
        let came = breaker.reconfigure(payments());
        assert_eq!(came, Ok(Reconfigured::StateChanged(State::Closed)));
    }
    let builder = payments().enabled(false).start_in(State::Open);
    assert_eq!(builder.build().unwrap().state(), State::Disabled);
}

#[test]
fn what_was_chosen_by_hand_stays_until_the_settings_change() {
    type Command = (fn(&CircuitBreaker), State);
    let commands: [Command; 4] = [
        (CircuitBreaker::disable, State::Disabled),
        (CircuitBreaker::metrics_only, State::MetricsOnly),
        (CircuitBreaker::force_open, State::ForcedOpen),
        (|breaker| breaker.trip(SECOND), State::Open),
    ];
    for (command, state) in commands {
        let breaker = payments().build().unwrap();
        command(&breaker);
        assert_eq!(breaker.reconfigure(payments()), Ok(Reconfigured::Unchanged));
        let other = payments().on_cancel(Outcome::Failure);
        assert_eq!(breaker.reconfigure(other), Ok(Reconfigured::WindowKept));
        assert_eq!(breaker.state(), state);
        // The settings are the latest command.
        let off = payments().enabled(false);
        breaker.reconfigure(off.clone()).unwrap();
        assert_eq!(breaker.state(), State::Disabled);
        // Now the manual command is the latest.
        command(&breaker);
        assert_eq!(breaker.reconfigure(off), Ok(Reconfigured::Unchanged));
        assert_eq!(breaker.state(), state);
        breaker.reconfigure(payments()).unwrap();
        let expected = match state {
            State::Disabled => State::Closed,
            state => state,
        };
        assert_eq!(breaker.state(), expected);
    }
}

#[test]
fn a_breaker_that_was_reset_by_hand_is_on_until_the_settings_change() {
    let off = payments().enabled(false);
    let breaker = off.clone().build().unwrap();
    breaker.reset();
    assert_eq!(breaker.reconfigure(off), Ok(Reconfigured::Unchanged));
    assert_eq!(breaker.state(), State::Closed);
    let came = breaker.reconfigure(payments().metrics_only(true));
    assert_eq!(came, Ok(Reconfigured::StateChanged(State::MetricsOnly)));
}

#[test]
fn from_one_way_of_being_off_a_breaker_goes_to_the_other() {
    let breaker = payments().enabled(false).build().unwrap();
    let came = breaker.reconfigure(payments().metrics_only(true));
    assert_eq!(came, Ok(Reconfigured::StateChanged(State::MetricsOnly)));
    let came = breaker.reconfigure(payments().enabled(false));
    assert_eq!(came, Ok(Reconfigured::StateChanged(State::Disabled)));
}

#[test]
fn a_breaker_is_switched_off_with_another_window_in_one_transition() {
    let (builder, told) = told(payments());
    let breaker = builder.build().unwrap();
    fail(&breaker);
    let other = || payments().window(Window::count(100));
    breaker.reconfigure(other().metrics_only(true)).unwrap();
    fail(&breaker);
    assert_eq!(breaker.snapshot().failures(), 1);
    breaker.reconfigure(payments()).unwrap();
    fail(&breaker);
    assert_eq!(breaker.snapshot().failures(), 1);
    assert_eq!(told.lock().unwrap().len(), 2);
}

/// A policy that the window satisfies must not trip a breaker that is being switched off.
#[test]
fn a_breaker_that_is_switched_off_does_not_trip_on_the_way() {
    let breaker = payments().build().unwrap();
    (0..4).for_each(|_| fail(&breaker));
    let strict = payments().trip_when(TripPolicy::failure_count(2));
    breaker.reconfigure(strict.metrics_only(true)).unwrap();
    assert_eq!(breaker.state(), State::MetricsOnly);
    assert_eq!(breaker.snapshot().generation(), 1);
}

#[test]
fn a_setting_that_a_breaker_in_use_cannot_take_is_refused() {
    let (clock, _hand) = Clock::mock();
    let own = || payments().clock(clock.clone());
    let breaker = own().build().unwrap();
    let refused = |builder: CircuitBreakerBuilder| {
        let error = breaker.reconfigure(builder.enabled(false)).unwrap_err();
        assert_eq!(breaker.state(), State::Closed, "nothing has changed");
        error.to_string()
    };
    assert_eq!(
        refused(payments().clock(Clock::mock().0)),
        "clock: another clock is not the breaker's own; a breaker keeps its clock; leave clock() out"
    );
    assert_eq!(
        refused(payments().on_transition(|_| ())),
        "on_transition: set 1 times is not left out; a breaker keeps its listeners; add them where it is built"
    );
    assert_eq!(
        refused(payments().start_in(State::HalfOpen)),
        "start_in: half-open is not closed, in which the breaker has started; a breaker in use does not \
         start again; trip() opens it"
    );
    // The breaker accepts the settings that it has, and keeps those that are left out.
    assert_eq!(breaker.reconfigure(own()), Ok(Reconfigured::Unchanged));
    assert_eq!(breaker.reconfigure(payments()), Ok(Reconfigured::Unchanged));
    let started = own().start_in(State::HalfOpen);
    let breaker = started.clone().build().unwrap();
    assert_eq!(breaker.reconfigure(started), Ok(Reconfigured::Unchanged));
    assert_eq!(breaker.reconfigure(own()), Ok(Reconfigured::Unchanged));
}

#[cfg(feature = "async")]
#[test]
fn another_number_of_callers_that_may_wait_is_refused() {
    let breaker = payments().max_waiting(3).build().unwrap();
    let came = breaker.reconfigure(payments().max_waiting(3));
    assert_eq!(came, Ok(Reconfigured::Unchanged));
    let error = breaker.reconfigure(payments().max_waiting(4));
    assert_eq!(
        error.unwrap_err().to_string(),
        "max_waiting: 4 is not 3; a breaker keeps how many may wait; another number takes another breaker"
    );
    let breaker = payments().build().unwrap();
    let error = breaker.reconfigure(payments().max_waiting(4)).unwrap_err();
    assert_eq!(error.expected, "left out");
}

#[cfg(feature = "serde")]
#[test]
fn a_value_to_restore_is_refused_by_a_breaker_in_use() {
    let breaker = payments().build().unwrap();
    let error = breaker.reconfigure(payments().restore(breaker.save()));
    assert_eq!(
        error.unwrap_err().to_string(),
        "restored: set is not left out; a breaker in use restores nothing; leave restore() and \
         max_state_age() out"
    );
    assert!(
        breaker
            .reconfigure(payments().max_state_age(SECOND))
            .is_err()
    );
}

/// Fails when: the state from the settings is saved as if it were a manual command.
#[cfg(feature = "serde")]
#[test]
fn a_breaker_is_switched_on_again_by_a_restart() {
    for (off, state) in [OFF[0], OFF[1]] {
        let off_at_once = off(payments()).build().unwrap();
        let later = payments().build().unwrap();
        later.reconfigure(off(payments())).unwrap();
        for breaker in [off_at_once, later] {
            let saved = breaker.save();
            assert_eq!(saved.state(), State::Closed);
            let same = off(payments()).restore(saved.clone()).build().unwrap();
            assert_eq!(same.state(), state);
            let on = payments().restore(saved).build().unwrap();
            assert_eq!(on.state(), State::Closed);
        }
        let tripped = payments().build().unwrap();
        tripped.trip(SECOND);
        let restored = off(payments()).restore(tripped.save()).build().unwrap();
        assert_eq!(restored.state(), state);
    }
    // A state set by hand stays.
    let breaker = payments().build().unwrap();
    breaker.disable();
    let restored = payments().restore(breaker.save()).build().unwrap();
    assert_eq!(restored.state(), State::Disabled);
}

#[test]
fn open_times_begin_anew_when_a_breaker_is_switched_on() {
    let (clock, hand) = Clock::mock();
    let backoff = Backoff::exponential(SECOND, 2.0, 60 * SECOND).jitter(Jitter::None);
    let settings = || classic().clock(clock.clone()).backoff(backoff).probes(1);
    let breaker = settings().build().unwrap();
    let open_time = || {
        let left = breaker.snapshot().remaining_open().unwrap();
        left.as_millis().div_ceil(100)
    };
    (0..5).for_each(|_| fail(&breaker));
    for tenths in [10, 20] {
        assert_eq!(open_time(), tenths);
        hand.advance(60 * SECOND);
        fail(&breaker);
    }
    breaker.reconfigure(settings().enabled(false)).unwrap();
    breaker.reconfigure(settings()).unwrap();
    (0..5).for_each(|_| fail(&breaker));
    assert_eq!(open_time(), 10);
}

#[test]
fn under_load_the_last_of_many_switches_holds() {
    for round in 0..200 {
        let breaker = payments().build().unwrap();
        std::thread::scope(|scope| {
            let (breaker, stop) = (&breaker, Arc::new(AtomicBool::new(false)));
            let calls = Arc::clone(&stop);
            scope.spawn(move || {
                while !calls.load(Ordering::Relaxed) {
                    fail(breaker);
                }
            });
            let switches: Vec<_> = (0..2)
                .map(|thread| {
                    scope.spawn(move || {
                        for number in 0..20 {
                            let is_on = (thread + number + round) % 2 == 0;
                            breaker.reconfigure(payments().enabled(is_on)).unwrap();
                        }
                    })
                })
                .collect();
            for switch in switches {
                switch.join().unwrap();
            }
            stop.store(true, Ordering::Relaxed);
        });
        // The settings show which of them was the last.
        let is_off = breaker.reconfigure(payments().enabled(false)) == Ok(Reconfigured::Unchanged);
        if is_off {
            assert_eq!(breaker.state(), State::Disabled);
        }
        breaker.reconfigure(payments()).unwrap();
        assert_eq!(breaker.state(), State::Closed);
    }
}

/// Both settings lead to the same states.
#[test]
fn a_breaker_that_one_setting_after_another_has_switched_off_is_switched_on_again() {
    let settings = || CircuitBreaker::builder("switched");
    for (switched, state) in [
        (settings().enabled(false), State::Disabled),
        (settings().metrics_only(true), State::MetricsOnly),
    ] {
        let breaker = switched.build().unwrap();
        breaker.reconfigure(settings().start_in(state)).unwrap();
        assert_eq!(breaker.state(), state);
        let again = breaker.reconfigure(settings().start_in(state));
        assert_eq!(again, Ok(Reconfigured::Unchanged));
        let on = breaker.reconfigure(settings());
        assert_eq!(on, Ok(Reconfigured::StateChanged(State::Closed)));
        assert_eq!(breaker.state(), State::Closed);
    }
}

#[test]
fn where_a_breaker_has_started_may_be_said_again_after_it_was_switched_off_and_on() {
    let settings = || CircuitBreaker::builder("started");
    let breaker = settings().start_in(State::Open).build().unwrap();
    breaker.reconfigure(settings().enabled(false)).unwrap();
    breaker.reconfigure(settings()).unwrap();
    assert!(
        breaker
            .reconfigure(settings().start_in(State::Open))
            .is_ok()
    );
    let other = breaker.reconfigure(settings().start_in(State::HalfOpen));
    assert_eq!(other.unwrap_err().setting, "start_in");
}
