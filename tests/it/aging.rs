//! Failures leave the run of failures and the evidence when they leave the window.

use std::time::Duration;

use tripcurve::events::Cause;
use tripcurve::time::{Clock, MockClock};
use tripcurve::window::Window;
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, State, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

fn record(breaker: &CircuitBreaker, outcome: Outcome) {
    if let Ok(permit) = breaker.try_acquire() {
        permit.record(outcome);
    }
}

fn fail(breaker: &CircuitBreaker) {
    record(breaker, Outcome::Failure);
}

/// A breaker with these settings, on a clock that has run for a while.
fn built(settings: Settings) -> (CircuitBreaker, MockClock) {
    let (clock, hand) = Clock::mock();
    hand.advance(7 * DAY);
    let builder = CircuitBreaker::builder("payments").clock(clock);
    (settings(builder).build().unwrap(), hand)
}

type Settings = fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder;

/// Settings under which a call leaves the window within a minute.
const AGING: [(&str, Settings); 8] = [
    ("defaults", |builder| builder),
    ("run", |builder| {
        builder.trip_when(TripPolicy::consecutive_failures(5))
    }),
    ("short run", |builder| {
        builder.trip_when(TripPolicy::consecutive_failures(2))
    }),
    ("one bucket", |builder| {
        let policy = TripPolicy::consecutive_failures(5);
        builder.window(Window::time(MINUTE, 1)).trip_when(policy)
    }),
    ("count within", |builder| {
        builder.window(Window::count(100).within(MINUTE))
    }),
    ("timed", |builder| {
        let policy = TripPolicy::consecutive_failures(5);
        let slow = TripPolicy::slow_rate(1.0).slower_than(SECOND);
        builder.trip_when(policy).trip_when(slow)
    }),
    ("adaptive", |builder| {
        builder.trip_when(TripPolicy::adaptive())
    }),
    ("sensitive", |builder| {
        let policy = TripPolicy::adaptive().tolerate(0.0);
        builder.trip_when(policy.slower_than(SECOND))
    }),
];

#[test]
fn failures_of_which_each_has_left_the_window_before_the_next_never_trip() {
    for (what, settings) in AGING {
        for apart in [MINUTE, HOUR, DAY] {
            let (breaker, hand) = built(settings);
            for failure in 0..50 {
                fail(&breaker);
                let snapshot = breaker.snapshot();
                let seen = (snapshot.state(), snapshot.consecutive_failures());
                assert_eq!(
                    seen,
                    (State::Closed, 1),
                    "{what}: {failure}, {apart:?} apart"
                );
                hand.advance(apart);
                assert_eq!(breaker.snapshot().consecutive_failures(), 0, "{what}");
            }
        }
    }
}

#[test]
fn failures_an_hour_apart_with_few_successes_between_them_never_trip() {
    for (what, settings) in AGING {
        for every in [2, 3, 5] {
            let (breaker, hand) = built(settings);
            for call in 0..200 {
                let outcome = if call % every == 0 {
                    Outcome::Success
                } else {
                    Outcome::Failure
                };
                record(&breaker, outcome);
                assert_eq!(breaker.state(), State::Closed, "{what}: {call} of {every}");
                hand.advance(HOUR);
            }
        }
    }
}

#[test]
fn a_total_outage_trips_however_few_calls_there_are_as_long_as_the_window_holds_them() {
    for (what, settings) in AGING {
        if what == "timed" {
            continue;
        }
        let (breaker, hand) = built(settings);
        let failures = (1..=6).find(|_| {
            hand.advance(10 * SECOND);
            fail(&breaker);
            breaker.state() == State::Open
        });
        assert!(failures.is_some_and(|failures| failures <= 5), "{what}");
    }
}

#[test]
fn evidence_goes_on_as_long_as_each_failure_finds_the_one_before_in_the_window() {
    let (breaker, hand) = built(|builder| builder.trip_when(TripPolicy::adaptive()));
    let failures = (1..=10).find(|_| {
        hand.advance(50 * SECOND);
        fail(&breaker);
        breaker.state() == State::Open
    });
    assert!(failures.is_some_and(|failures| failures <= 5));
}

#[test]
fn a_cause_tells_of_the_failures_that_the_window_holds() {
    let (sender, told) = std::sync::mpsc::channel();
    let (clock, hand) = Clock::mock();
    let breaker = CircuitBreaker::builder("payments")
        .clock(clock)
        .trip_when(TripPolicy::consecutive_failures(3))
        .on_transition(move |transition| sender.send(transition.cause()).unwrap())
        .build()
        .unwrap();
    for apart in [DAY, DAY, MINUTE, SECOND, SECOND] {
        hand.advance(apart);
        fail(&breaker);
    }
    let cause = Cause::ConsecutiveFailures {
        failures: 3,
        limit: 3,
    };
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [cause]);
}

#[test]
fn an_ignored_call_does_not_keep_failures_young() {
    let (breaker, hand) = built(|builder| builder.trip_when(TripPolicy::consecutive_failures(2)));
    fail(&breaker);
    for _ in 0..12 {
        hand.advance(10 * SECOND);
        record(&breaker, Outcome::Ignored);
    }
    fail(&breaker);
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_window_by_count_alone_keeps_a_run_of_any_age() {
    let (breaker, hand) = built(|builder| {
        let policy = TripPolicy::consecutive_failures(5);
        builder.window(Window::count(3)).trip_when(policy)
    });
    for _ in 0..4 {
        fail(&breaker);
        hand.advance(DAY);
    }
    assert_eq!(breaker.snapshot().consecutive_failures(), 4);
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_run_may_be_longer_than_a_window_by_count_as_long_as_its_failures_are_young_enough() {
    let settings: Settings = |builder| {
        let policy = TripPolicy::consecutive_failures(7);
        let window = Window::count(3).within(64 * SECOND);
        builder.window(window).trip_when(policy)
    };
    let (breaker, _) = built(settings);
    (0..6).for_each(|_| fail(&breaker));
    assert_eq!(breaker.snapshot().consecutive_failures(), 6);
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
    let (breaker, hand) = built(settings);
    for _ in 0..50 {
        fail(&breaker);
        hand.advance(16 * SECOND);
    }
    assert_eq!(breaker.snapshot().consecutive_failures(), 3);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn calls_in_flight_revive_no_evidence_that_is_too_old() {
    let (breaker, hand) = built(|builder| {
        let policy = TripPolicy::adaptive().slower_than(SECOND);
        builder.trip_when(policy)
    });
    let failures = (1..20).find(|failures| {
        let (breaker, _) = built(|builder| builder.trip_when(TripPolicy::adaptive()));
        (0..*failures).for_each(|_| fail(&breaker));
        breaker.state() == State::Open
    });
    (1..failures.unwrap()).for_each(|_| fail(&breaker));
    assert_eq!(breaker.state(), State::Closed, "one fewer than enough");
    hand.advance(HOUR);
    let _in_flight = breaker.try_acquire().unwrap();
    hand.advance(2 * SECOND);
    for _ in 0..10 {
        let _another = breaker.try_acquire().unwrap();
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_success_long_after_a_failure_makes_the_breaker_no_more_patient() {
    let trips_after = |silence: Duration| {
        let (breaker, hand) = built(|builder| builder.trip_when(TripPolicy::adaptive()));
        fail(&breaker);
        hand.advance(silence);
        for _ in 0..20 {
            record(&breaker, Outcome::Success);
        }
        hand.advance(HOUR);
        let failures = (1..100).find(|_| {
            hand.advance(10 * SECOND);
            fail(&breaker);
            breaker.state() == State::Open
        });
        failures.unwrap()
    };
    assert_eq!(trips_after(DAY), trips_after(MINUTE));
}

#[test]
fn a_lower_limit_finds_only_the_failures_that_the_window_holds() {
    for window in [
        Window::time(MINUTE, 10),
        Window::count(100).within(MINUTE).into(),
    ] {
        let (clock, hand) = Clock::mock();
        let settings = |limit| {
            CircuitBreaker::builder("payments")
                .window(window.clone())
                .trip_when(TripPolicy::consecutive_failures(limit))
        };
        let breaker = settings(5).clock(clock).build().unwrap();
        (0..3).for_each(|_| fail(&breaker));
        hand.advance(HOUR);
        fail(&breaker);
        breaker.reconfigure(settings(2)).unwrap();
        assert_eq!(breaker.state(), State::Closed);
        fail(&breaker);
        assert_eq!(breaker.state(), State::Open);
    }
}

#[cfg(feature = "serde")]
#[test]
fn what_left_the_window_while_the_process_was_away_is_restored_neither_as_a_run_nor_as_evidence() {
    for (what, settings) in AGING {
        for away in [MINUTE, HOUR] {
            let (clock, hand) = Clock::mock();
            hand.advance(DAY);
            let builder = || settings(CircuitBreaker::builder("payments").clock(clock.clone()));
            let mut breaker = builder().build().unwrap();
            for failure in 0..20 {
                fail(&breaker);
                assert_eq!(breaker.state(), State::Closed, "{what}: {failure}");
                let saved = breaker.save();
                hand.advance(away);
                breaker = builder().restore(saved).build().unwrap();
                let snapshot = breaker.snapshot();
                assert_eq!(snapshot.consecutive_failures(), 0, "{what}: {failure}");
            }
        }
    }
}

#[cfg(feature = "serde")]
#[test]
fn evidence_is_restored_as_old_as_it_was_and_what_has_passed_since() {
    let trips_after = |before: Duration, away: Duration| {
        let (clock, hand) = Clock::mock();
        hand.advance(DAY);
        let builder = || {
            let policy = TripPolicy::adaptive().tolerate(0.0);
            CircuitBreaker::builder("payments")
                .clock(clock.clone())
                .trip_when(policy)
        };
        let breaker = builder().build().unwrap();
        (0..2).for_each(|_| fail(&breaker));
        hand.advance(before);
        let saved = breaker.save();
        hand.advance(away);
        let breaker = builder().restore(saved).build().unwrap();
        let fails = |_: &u32| {
            fail(&breaker);
            breaker.state() == State::Open
        };
        (1..100).find(fails).unwrap()
    };
    let young = trips_after(20 * SECOND, 39 * SECOND);
    let old = trips_after(20 * SECOND, 40 * SECOND);
    // With fewer calls, less evidence is enough, but old calls still count for nothing.
    assert!(young < old, "{young}, {old}");
}

#[cfg(feature = "registry")]
#[test]
fn a_breaker_whose_failures_are_all_too_old_gives_its_place_to_another() {
    for (what, settings) in AGING {
        let (clock, hand) = Clock::mock();
        let template = settings(CircuitBreaker::builder("payments").clock(clock));
        let registry = tripcurve::registry::Registry::builder(template)
            .capacity(1)
            .build();
        let registry = registry.unwrap();
        for key in 0..10 {
            fail(&registry.get_or_create(&key));
            hand.advance(DAY);
        }
        assert!(registry.len() <= 3, "{what}: {}", registry.len());
    }
}
