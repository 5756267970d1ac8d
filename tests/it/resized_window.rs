//! A window of another shape comes while calls run, and holds the newest calls of the former one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tripcurve::events::Cause;
use tripcurve::outcome::Report;
use tripcurve::persist::Reconfigured;
use tripcurve::snapshot::{Latency, Snapshot};
use tripcurve::time::Clock;
use tripcurve::window::{Recording, Window};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, State, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);

fn payments() -> CircuitBreakerBuilder {
    CircuitBreaker::builder("payments").shards(1)
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

/// One nanosecond less than this many seconds.
fn almost(seconds: u64) -> Duration {
    Duration::from_nanos(seconds * 1_000_000_000 - 1)
}

/// Settings that none of the resized-window tests' calls trips.
fn patient(window: impl Into<Window>) -> CircuitBreakerBuilder {
    let policy = TripPolicy::consecutive_failures(1_000);
    payments().window(window).trip_when(policy)
}

#[test]
fn a_shorter_time_window_keeps_what_is_young_enough_and_a_longer_one_all() {
    let built = || {
        let (clock, hand) = Clock::mock();
        let window = Window::time(60 * SECOND, 6);
        let breaker = patient(window).clock(clock).build().unwrap();
        hand.advance(5 * SECOND);
        fail(&breaker);
        hand.advance(20 * SECOND);
        fail(&breaker);
        (0..2).for_each(|_| succeed(&breaker));
        hand.advance(20 * SECOND);
        succeed(&breaker);
        (breaker, hand)
    };

    let (breaker, hand) = built();
    let shorter = patient(Window::time(30 * SECOND, 3));
    assert_eq!(
        breaker.reconfigure(shorter),
        Ok(Reconfigured::WindowResized)
    );
    assert_eq!(counts(&breaker), (1, 3));
    hand.advance(almost(5));
    assert_eq!(counts(&breaker), (1, 3));
    hand.advance(Duration::from_nanos(1));
    assert_eq!(counts(&breaker), (0, 1), "as in a window of 30 s");

    let (breaker, hand) = built();
    let longer = patient(Window::time(120 * SECOND, 6));
    assert_eq!(breaker.reconfigure(longer), Ok(Reconfigured::WindowResized));
    assert_eq!(counts(&breaker), (2, 3));
    hand.advance(almost(75));
    assert_eq!(counts(&breaker), (2, 3));
    hand.advance(Duration::from_nanos(1));
    assert_eq!(counts(&breaker), (1, 3), "as in a window of 120 s");
    hand.advance(20 * SECOND);
    assert_eq!(counts(&breaker), (0, 1));
}

/// Of a call, only its bucket in the former window is known.
#[test]
fn a_call_leaves_a_resized_window_no_later_than_by_its_age_and_hardly_earlier() {
    const CALLS: u64 = 20;
    const LATEST: u64 = 300;
    let shapes = [(30, 3), (60, 6), (60, 60), (120, 4), (45, 9), (21, 3)];
    let window = |(length, buckets): (u32, u32)| Window::time(length * SECOND, buckets);
    let pairs = shapes.map(|from| shapes.map(|to| (from, to)));
    for (from, to) in pairs.into_iter().flatten().filter(|(from, to)| from != to) {
        let (clock, hand) = Clock::mock();
        let build = |shape| patient(window(shape)).clock(clock.clone()).build().unwrap();
        let (resized, from_the_start) = (build(from), build(to));
        for _ in 0..CALLS {
            hand.advance(SECOND);
            fail(&resized);
            fail(&from_the_start);
        }
        assert_eq!(counts(&resized), (CALLS, 0), "the former window holds all");
        let came = resized.reconfigure(patient(window(to)));
        assert_eq!(came, Ok(Reconfigured::WindowResized));
        let held: Vec<_> = (CALLS..=LATEST)
            .map(|_| {
                let held = (counts(&resized).0, counts(&from_the_start).0);
                hand.advance(SECOND);
                held
            })
            .collect();
        let early = from.0 / from.1 + to.0 / to.1;
        for (second, (resized, whole)) in held.iter().enumerate() {
            assert!(resized <= whole, "{from:?} {to:?} {second}");
            let (_, later) = held.get(second + early as usize).unwrap_or(&(0, 0));
            assert!(resized >= later, "{from:?} {to:?} {second}");
        }
        assert_eq!(held.last(), Some(&(0, 0)));
    }
}

#[test]
fn a_count_window_of_another_length_keeps_the_newest_calls_in_their_order() {
    let breaker = patient(Window::count(10)).build().unwrap();
    (0..2).for_each(|_| fail(&breaker));
    (0..3).for_each(|_| succeed(&breaker));
    fail(&breaker);
    let resize = |calls| {
        let came = breaker.reconfigure(patient(Window::count(calls)));
        assert_eq!(came, Ok(Reconfigured::WindowResized));
        counts(&breaker)
    };
    assert_eq!(resize(100), (3, 3));
    assert_eq!(resize(4), (1, 3));
    assert_eq!(resize(8), (1, 3));
    (0..4).for_each(|_| fail(&breaker));
    assert_eq!(counts(&breaker), (5, 3));
    for successes in [2, 1, 0] {
        fail(&breaker);
        assert_eq!(counts(&breaker), (8 - successes, successes));
    }
    assert_eq!(resize(1), (1, 0));
}

/// Words of the ring hold sixteen calls each.
#[test]
fn count_windows_of_all_lengths_keep_the_newest_calls() {
    let has_failed = |call: u32| call.is_multiple_of(3) || call.is_multiple_of(7);
    for [from, to] in [
        [1, 2],
        [15, 16],
        [16, 17],
        [17, 64],
        [64, 17],
        [100, 33],
        [33, 32],
    ] {
        for made in [0, 1, 15, 16, 17, 33, 50, 200] {
            let breaker = patient(Window::count(from)).build().unwrap();
            let call = |number| {
                if has_failed(number) {
                    fail(&breaker);
                } else {
                    succeed(&breaker);
                }
            };
            let newest = |held: u32, made: u32| {
                let newest = made.saturating_sub(held)..made;
                let failed = newest.clone().filter(|call| has_failed(*call)).count() as u64;
                (failed, newest.len() as u64 - failed)
            };
            (0..made).for_each(call);
            breaker.reconfigure(patient(Window::count(to))).unwrap();
            let kept = made.min(from).min(to);
            assert_eq!(counts(&breaker), newest(kept, made), "{from} {to} {made}");
            for more in 1..=40 {
                call(made + more - 1);
                let held = (kept + more).min(to);
                assert_eq!(counts(&breaker), newest(held, made + more));
            }
        }
    }
}

#[test]
fn a_count_window_within_a_time_keeps_the_newest_calls_and_their_ages() {
    let built = || {
        let (clock, hand) = Clock::mock();
        let window = Window::count(10).within(64 * SECOND);
        let breaker = patient(window).clock(clock).build().unwrap();
        (0..2).for_each(|_| fail(&breaker));
        hand.advance(40 * SECOND);
        (0..3).for_each(|_| succeed(&breaker));
        hand.advance(10 * SECOND);
        fail(&breaker);
        (breaker, hand)
    };
    let resize = |breaker: &CircuitBreaker, window: Window| {
        let came = breaker.reconfigure(patient(window));
        assert_eq!(came, Ok(Reconfigured::WindowResized));
        counts(breaker)
    };

    let (breaker, hand) = built();
    let shorter = Window::count(10).within(32 * SECOND);
    assert_eq!(resize(&breaker, shorter.into()), (1, 3));
    hand.advance(22 * SECOND);
    assert_eq!(counts(&breaker), (1, 0));

    let (breaker, hand) = built();
    let longer = Window::count(20).within(128 * SECOND);
    assert_eq!(resize(&breaker, longer.into()), (3, 3));
    hand.advance(almost(78));
    assert_eq!(counts(&breaker), (3, 3));
    hand.advance(Duration::from_nanos(1));
    assert_eq!(counts(&breaker), (1, 3));

    let (breaker, _hand) = built();
    let fewer = Window::count(3).within(64 * SECOND);
    assert_eq!(resize(&breaker, fewer.into()), (1, 2));

    let (breaker, hand) = built();
    hand.advance(20 * SECOND);
    assert_eq!(resize(&breaker, Window::count(20).into()), (1, 3));
    hand.advance(3_600 * SECOND);
    assert_eq!(counts(&breaker), (1, 3), "they have no age any more");
}

#[test]
fn a_resized_window_keeps_how_many_calls_were_slow_but_not_how_long_they_took() {
    let settings = |window: Window, recording| {
        let policy = TripPolicy::slow_rate(1.0).slower_than(SECOND);
        let builder = payments().window(window).latency(recording);
        builder.trip_when(policy.min_calls(20))
    };
    let pairs: [[Window; 2]; 3] = [
        [Window::time(60 * SECOND, 6), Window::time(30 * SECOND, 10)],
        [Window::count(20).into(), Window::count(30).into()],
        [
            Window::count(20).within(60 * SECOND).into(),
            Window::count(30).within(30 * SECOND).into(),
        ],
    ];
    let recordings = [Recording::Off, Recording::Combined, Recording::ByOutcome];
    for [from, to] in pairs {
        for (before, after) in recordings
            .map(|it| recordings.map(|other| (it, other)))
            .concat()
        {
            let (clock, _hand) = Clock::mock();
            let breaker = settings(from.clone(), before).clock(clock).build().unwrap();
            let call = |outcome, took| {
                let permit = breaker.try_acquire().unwrap();
                permit.record(Report::from(outcome).took(took));
            };
            call(Outcome::Success, 5 * SECOND);
            call(Outcome::Success, SECOND);
            call(Outcome::Failure, 5 * SECOND);
            let came = breaker.reconfigure(settings(to.clone(), after));
            assert_eq!(came, Ok(Reconfigured::WindowResized));
            let snapshot = breaker.snapshot();
            assert_eq!((snapshot.calls(), snapshot.slow()), (3, 2));
            let timed = |snapshot: &Snapshot| snapshot.latency().map(Latency::count);
            let kept = |calls| (after != Recording::Off).then_some(calls);
            assert_eq!(timed(&snapshot), kept(0));
            call(Outcome::Success, 2 * SECOND);
            let snapshot = breaker.snapshot();
            assert_eq!((snapshot.calls(), snapshot.slow()), (4, 3));
            assert_eq!(timed(&snapshot), kept(1));
        }
    }
}

#[test]
fn a_window_is_resized_while_the_breaker_only_measures_and_trips_nothing() {
    let settings = |length| {
        let window = Window::time(length * SECOND, 10);
        let policy = TripPolicy::failure_count(2);
        payments().window(window).trip_when(policy)
    };
    let by_settings = settings(60).metrics_only(true).build().unwrap();
    let by_hand = settings(60).build().unwrap();
    by_hand.metrics_only();
    for (breaker, is_off) in [(by_settings, true), (by_hand, false)] {
        (0..3).for_each(|_| fail(&breaker));
        succeed(&breaker);
        let generation = breaker.snapshot().generation();
        let came = breaker.reconfigure(settings(30).metrics_only(is_off));
        assert_eq!(came, Ok(Reconfigured::WindowResized));
        let snapshot = breaker.snapshot();
        assert_eq!(snapshot.state(), State::MetricsOnly);
        assert_eq!(snapshot.generation(), generation + 1);
        assert_eq!(counts(&breaker), (3, 1));
    }
}

#[test]
fn a_breaker_that_is_not_closed_has_no_window_to_keep() {
    type Enter<'a> = &'a dyn Fn(&CircuitBreaker);
    let (clock, hand) = Clock::mock();
    let states: [(Enter<'_>, State); 4] = [
        (&|breaker| breaker.trip(SECOND), State::Open),
        (&CircuitBreaker::force_open, State::ForcedOpen),
        (&CircuitBreaker::disable, State::Disabled),
        (
            &|breaker| {
                breaker.trip(SECOND);
                hand.advance(2 * SECOND);
                succeed(breaker);
            },
            State::HalfOpen,
        ),
    ];
    for (enter, state) in states {
        let window = Window::time(60 * SECOND, 6);
        let breaker = patient(window).clock(clock.clone()).build().unwrap();
        fail(&breaker);
        enter(&breaker);
        let came = breaker.reconfigure(patient(Window::time(30 * SECOND, 6)));
        assert_eq!(came, Ok(Reconfigured::WindowReset));
        assert_eq!(breaker.state(), state);
        breaker.reset();
        assert_eq!(counts(&breaker), (0, 0));
        fail(&breaker);
        assert_eq!(counts(&breaker), (1, 0));
    }
}

#[test]
fn a_breaker_that_is_switched_off_or_on_keeps_no_calls() {
    let window = |length| patient(Window::time(length * SECOND, 6));
    let breaker = window(60).build().unwrap();
    fail(&breaker);
    let came = breaker.reconfigure(window(30).metrics_only(true));
    assert_eq!(came, Ok(Reconfigured::StateChanged(State::MetricsOnly)));
    assert_eq!(counts(&breaker), (0, 0));
    fail(&breaker);
    let came = breaker.reconfigure(window(60));
    assert_eq!(came, Ok(Reconfigured::StateChanged(State::Closed)));
    assert_eq!(counts(&breaker), (0, 0));
}

#[test]
fn the_run_of_failures_goes_on_in_a_resized_window() {
    let pairs: [[Window; 2]; 6] = [
        [Window::time(60 * SECOND, 6), Window::time(30 * SECOND, 10)],
        [Window::time(30 * SECOND, 10), Window::time(60 * SECOND, 6)],
        [Window::count(20).into(), Window::count(10).into()],
        // A run may be longer than a window by count.
        [Window::count(20).into(), Window::count(2).into()],
        [
            Window::count(20).within(60 * SECOND).into(),
            Window::count(10).within(30 * SECOND).into(),
        ],
        [
            Window::count(20).within(60 * SECOND).into(),
            Window::count(10).into(),
        ],
    ];
    for [from, to] in pairs {
        let settings = |window: &Window| {
            let policy = TripPolicy::consecutive_failures(5);
            payments().window(window.clone()).trip_when(policy)
        };
        let (clock, _hand) = Clock::mock();
        let breaker = settings(&from).clock(clock).build().unwrap();
        fail(&breaker);
        succeed(&breaker);
        (0..3).for_each(|_| fail(&breaker));
        let came = breaker.reconfigure(settings(&to));
        assert_eq!(came, Ok(Reconfigured::WindowResized));
        assert_eq!(breaker.snapshot().consecutive_failures(), 3);
        fail(&breaker);
        assert_eq!(breaker.snapshot().consecutive_failures(), 4);
        assert_eq!(breaker.state(), State::Closed);
        fail(&breaker);
        assert_eq!(breaker.state(), State::Open, "{from:?} {to:?}");
    }
}

#[test]
fn failures_that_a_resized_window_has_no_room_for_are_of_no_run() {
    let pairs: [[Window; 2]; 3] = [
        [Window::time(60 * SECOND, 6), Window::time(30 * SECOND, 3)],
        [
            Window::count(20).within(64 * SECOND).into(),
            Window::count(20).within(32 * SECOND).into(),
        ],
        // The former window had lost them.
        [
            Window::count(20).within(32 * SECOND).into(),
            Window::count(20).into(),
        ],
    ];
    for [from, to] in pairs {
        let (clock, hand) = Clock::mock();
        let breaker = patient(from).clock(clock).build().unwrap();
        (0..2).for_each(|_| fail(&breaker));
        hand.advance(50 * SECOND);
        (0..3).for_each(|_| fail(&breaker));
        breaker.reconfigure(patient(to)).unwrap();
        assert_eq!(counts(&breaker), (3, 0));
        assert_eq!(breaker.snapshot().consecutive_failures(), 3);
        succeed(&breaker);
        assert_eq!(breaker.snapshot().consecutive_failures(), 0);
    }
}

#[test]
fn what_a_resized_window_holds_is_judged_at_once() {
    let settings = |length: u32, min_calls| {
        let window = Window::time(length * SECOND, 6);
        let policy = TripPolicy::failure_rate(0.5).min_calls(min_calls);
        payments().window(window).trip_when(policy)
    };
    let (clock, hand) = Clock::mock();
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let builder = settings(60, 5).clock(clock).on_transition(move |it| {
        let entry = (it.from(), it.to(), it.generation(), it.cause());
        log.lock().unwrap().push(entry);
    });
    let breaker = builder.build().unwrap();
    (0..10).for_each(|_| succeed(&breaker));
    hand.advance(45 * SECOND);
    (0..4).for_each(|_| fail(&breaker));
    // There are too few calls for a verdict.
    let came = breaker.reconfigure(settings(30, 5));
    assert_eq!(came, Ok(Reconfigured::WindowResized));
    assert_eq!(breaker.state(), State::Closed);
    let came = breaker.reconfigure(settings(60, 4));
    assert_eq!(came, Ok(Reconfigured::WindowResized));
    let cause = Cause::FailureRate {
        failures: 4,
        calls: 4,
        threshold: 0.5,
    };
    let told = told.lock().unwrap();
    let entry = |to, generation, cause| (State::Closed, to, generation, cause);
    assert_eq!(
        *told,
        [
            entry(State::Closed, 1, Cause::Reconfigured),
            entry(State::Closed, 2, Cause::Reconfigured),
            entry(State::Open, 3, cause),
        ]
    );
}

/// Fails when: the traffic isn't measured while the window holds calls older than its generation;
/// these calls seem to have come since then.
#[test]
fn a_failure_after_a_resize_is_as_little_evidence_as_one_before() {
    let settings = |length: u32| {
        let budget = Duration::from_secs(60);
        let policy = TripPolicy::adaptive().false_trip_budget(budget);
        let window = Window::time(length * SECOND, 6);
        payments().window(window).trip_when(policy)
    };
    let failures_to_trip = |lengths: &[u32]| {
        let (clock, hand) = Clock::mock();
        let breaker = settings(60).clock(clock).build().unwrap();
        for length in lengths {
            for _ in 0..6_000 {
                hand.advance(Duration::from_millis(10));
                succeed(&breaker);
            }
            breaker.reconfigure(settings(*length)).unwrap();
        }
        let trips = |_: &u32| {
            fail(&breaker);
            breaker.state() == State::Open
        };
        (1..100).find(trips).unwrap()
    };
    let lengths: [&[u32]; 3] = [&[30], &[120], &[30, 120]];
    for resized in lengths {
        let failures = failures_to_trip(resized);
        assert!(failures > 1, "{resized:?}: one failure is no outage");
    }
}

#[test]
fn ignored_calls_and_calls_in_flight_are_left_behind_with_the_former_window() {
    for [from, to] in [
        [Window::time(60 * SECOND, 6), Window::time(30 * SECOND, 6)],
        [Window::count(20).into(), Window::count(30).into()],
    ] {
        let breaker = patient(from).build().unwrap();
        let [late, ignored] = [(); 2].map(|()| breaker.try_acquire().unwrap());
        fail(&breaker);
        ignored.record(Outcome::Ignored);
        assert_eq!(breaker.snapshot().ignored(), 1);
        breaker.reconfigure(patient(to)).unwrap();
        late.failure();
        assert_eq!(breaker.snapshot().ignored(), 0);
        assert_eq!(counts(&breaker), (1, 0));
        assert_eq!(breaker.snapshot().consecutive_failures(), 1);
    }
}

#[cfg(feature = "serde")]
#[test]
fn what_a_resized_window_holds_is_saved_and_restored() {
    for [from, to] in [
        [Window::time(60 * SECOND, 6), Window::time(30 * SECOND, 6)],
        [Window::count(20).into(), Window::count(30).into()],
        [
            Window::count(20).within(60 * SECOND).into(),
            Window::count(30).within(30 * SECOND).into(),
        ],
    ] {
        let (clock, _hand) = Clock::mock();
        let settings = |window: &Window| patient(window.clone()).clock(clock.clone());
        let first = settings(&from).build().unwrap();
        succeed(&first);
        (0..2).for_each(|_| fail(&first));
        let restored = settings(&from).restore(first.save()).build().unwrap();
        restored.reconfigure(settings(&to)).unwrap();
        let again = settings(&to).restore(restored.save()).build().unwrap();
        for breaker in [restored, again] {
            assert_eq!(counts(&breaker), (2, 1));
            assert_eq!(breaker.snapshot().consecutive_failures(), 2);
        }
    }
}

#[test]
fn under_load_no_call_is_counted_twice_in_a_window_that_is_resized() {
    let long = [(300, 30), (600, 10)];
    let long = long.map(|(length, buckets)| Window::time(length * SECOND, buckets));
    let large = [1_000, 2_000].map(|calls| Window::count(calls).into());
    // Each thread makes so few calls that the windows hold all of them.
    for (windows, most) in [(long, 100_000), (large, 500)] {
        let settings = |turn: usize| {
            let policy = TripPolicy::failure_rate(0.9).min_calls(100);
            let builder = CircuitBreaker::builder("payments").trip_when(policy);
            builder.window(windows[turn % 2].clone())
        };
        let breaker = settings(0).build().unwrap();
        let goes_on = AtomicBool::new(true);
        let made = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let goes_on = |_: &u64| goes_on.load(Ordering::Relaxed);
                    for call in (0..most).take_while(goes_on) {
                        if call.is_multiple_of(4) {
                            fail(&breaker);
                        } else {
                            succeed(&breaker);
                        }
                        made.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            for turn in 1..=40 {
                let came = breaker.reconfigure(settings(turn));
                assert_eq!(came, Ok(Reconfigured::WindowResized));
            }
            goes_on.store(false, Ordering::Relaxed);
        });
        let held = counts(&breaker);
        assert!(held.0 + held.1 <= made.load(Ordering::Relaxed), "{held:?}");
        // No thread makes calls now.
        for turn in 1..=4 {
            breaker.reconfigure(settings(turn)).unwrap();
            assert_eq!(counts(&breaker), held);
        }
    }
}
