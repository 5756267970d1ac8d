//! Control groups: what an isolation interrupts comes back when it ends.
#![cfg(feature = "registry")]

use std::sync::mpsc;
use std::time::Duration;

use tripcurve::events::{Cause, Transition};
use tripcurve::recovery::{Backoff, Jitter};
use tripcurve::registry::{ControlGroup, Registry};
use tripcurve::time::{Clock, MockClock};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, State, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);

fn builder() -> (CircuitBreakerBuilder, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("payments")
        .trip_when(TripPolicy::consecutive_failures(1))
        .open_for(60 * SECOND)
        .probes(2)
        .clock(clock);
    (builder, hand)
}

fn member(group: &ControlGroup) -> (CircuitBreaker, MockClock) {
    let (builder, hand) = builder();
    let breaker = builder.build().unwrap();
    group.add(&breaker);
    (breaker, hand)
}

fn fail(breaker: &CircuitBreaker) {
    let _ = breaker.call(|| Err::<(), _>("no"));
}

/// Isolates the breaker, does something, and releases it.
fn isolated_while(
    prepare: impl Fn(&CircuitBreaker),
    meanwhile: impl Fn(&CircuitBreaker, &MockClock),
) -> CircuitBreaker {
    let group = ControlGroup::new();
    let (breaker, hand) = member(&group);
    prepare(&breaker);
    group.isolate();
    assert_eq!(breaker.state(), State::ForcedOpen);
    meanwhile(&breaker, &hand);
    group.release();
    breaker
}

#[test]
fn after_a_release_each_member_is_in_the_state_it_would_have() {
    for (prepare, state) in [
        ((|_| ()) as fn(&CircuitBreaker), State::Closed),
        (fail, State::Open),
        (|it| it.trip(10 * SECOND), State::Open),
        (CircuitBreaker::disable, State::Disabled),
        (CircuitBreaker::metrics_only, State::MetricsOnly),
        (CircuitBreaker::force_open, State::ForcedOpen),
    ] {
        let breaker = isolated_while(prepare, |_, _| ());
        assert_eq!(breaker.state(), state);
    }
}

#[test]
fn an_open_time_runs_on_during_an_isolation() {
    let breaker = isolated_while(fail, |_, hand| hand.advance(20 * SECOND));
    assert_eq!(breaker.snapshot().remaining_open(), Some(40 * SECOND));
    let breaker = isolated_while(fail, |_, hand| hand.advance(60 * SECOND));
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(breaker.snapshot().remaining_open(), Some(Duration::ZERO));
    drop(breaker.try_acquire().unwrap());
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[test]
fn a_half_open_member_comes_back_with_all_places_free() {
    let group = ControlGroup::new();
    let (breaker, hand) = member(&group);
    fail(&breaker);
    hand.advance(60 * SECOND);
    breaker.try_acquire().unwrap().success();
    let late = breaker.try_acquire().unwrap();
    group.isolate();
    group.release();
    assert_eq!(breaker.state(), State::HalfOpen);
    let snapshot = breaker.snapshot();
    assert_eq!(
        (snapshot.probes_succeeded(), snapshot.probes_in_flight()),
        (0, 0)
    );
    late.failure();
    assert_eq!(
        breaker.state(),
        State::HalfOpen,
        "it belongs to an earlier generation"
    );
    for _ in 0..2 {
        breaker.try_acquire().unwrap().success();
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_command_to_a_member_ends_its_isolation_and_survives_the_release() {
    for (command, state) in [
        (CircuitBreaker::reset as fn(&CircuitBreaker), State::Closed),
        (CircuitBreaker::force_open, State::ForcedOpen),
        (CircuitBreaker::disable, State::Disabled),
        (CircuitBreaker::metrics_only, State::MetricsOnly),
        (|it| it.trip(10 * SECOND), State::Open),
    ] {
        for prepare in [CircuitBreaker::disable as fn(&CircuitBreaker), fail, |_| ()] {
            let breaker = isolated_while(prepare, |breaker, _| {
                command(breaker);
                assert_eq!(breaker.state(), state);
            });
            assert_eq!(breaker.state(), state);
        }
    }
}

#[test]
fn to_isolate_an_isolated_member_changes_nothing() {
    let group = ControlGroup::new();
    let (breaker, _hand) = member(&group);
    fail(&breaker);
    group.isolate();
    let generation = breaker.snapshot().generation();
    group.isolate();
    assert_eq!(breaker.snapshot().generation(), generation);
    group.release();
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn listeners_tell_an_isolation_from_a_command() {
    let group = ControlGroup::new();
    let (sender, told) = mpsc::channel::<Transition>();
    let (builder, _hand) = builder();
    let listener = move |transition: &Transition| drop(sender.send(transition.clone()));
    let breaker = builder.on_transition(listener).build().unwrap();
    group.add(&breaker);
    group.isolate();
    breaker.force_open();
    group.release();
    breaker.reset();
    group.isolate();
    group.release();
    let told: Vec<_> = told.try_iter().map(|it| (it.to(), it.cause())).collect();
    let expected = [
        (State::ForcedOpen, Cause::Isolated),
        (State::ForcedOpen, Cause::Manual),
        (State::Closed, Cause::Manual),
        (State::ForcedOpen, Cause::Isolated),
        (State::Closed, Cause::Released),
    ];
    assert_eq!(told, expected);
    assert_eq!(Cause::Isolated.to_string(), "its group was isolated");
    assert_eq!(Cause::Released.to_string(), "its group was released");
}

#[test]
fn open_times_go_on_growing_after_an_isolation() {
    let (clock, hand) = Clock::mock();
    let breaker = CircuitBreaker::builder("payments")
        .trip_when(TripPolicy::consecutive_failures(1))
        .backoff(Backoff::exponential(SECOND, 2.0, 60 * SECOND).jitter(Jitter::None))
        .probes(1)
        .clock(clock)
        .build()
        .unwrap();
    let group = ControlGroup::new();
    group.add(&breaker);
    for open_for in [1, 2, 4, 8] {
        fail(&breaker);
        let remaining = breaker.snapshot().remaining_open();
        assert_eq!(remaining, Some(open_for * SECOND));
        group.isolate();
        hand.advance(open_for * SECOND);
        group.release();
    }
}

#[test]
fn settings_that_come_during_an_isolation_hold_after_it() {
    let group = ControlGroup::new();
    let (breaker, _hand) = member(&group);
    let settings = |enabled| {
        CircuitBreaker::builder("payments")
            .trip_when(TripPolicy::consecutive_failures(1))
            .open_for(60 * SECOND)
            .probes(2)
            .enabled(enabled)
    };
    group.isolate();
    breaker.reconfigure(settings(false)).unwrap();
    assert_eq!(breaker.state(), State::ForcedOpen);
    group.release();
    assert_eq!(breaker.state(), State::Disabled);
    group.isolate();
    breaker.reconfigure(settings(true)).unwrap();
    assert_eq!(breaker.state(), State::ForcedOpen);
    group.release();
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_registrys_open_breaker_is_open_again_after_a_release() {
    let group = ControlGroup::new();
    let (template, _hand) = builder();
    let registry = Registry::<u32>::builder(template)
        .control_group(&group)
        .build()
        .unwrap();
    fail(&registry.get_or_create(&1));
    registry.get_or_create(&2);
    group.isolate();
    registry.get_or_create(&3);
    group.release();
    let states = [1, 2, 3].map(|key| registry.get(&key).unwrap().state());
    assert_eq!(states, [State::Open, State::Closed, State::Closed]);
}

/// The isolation belongs to the group of this process.
#[cfg(feature = "serde")]
#[test]
fn an_isolated_breaker_is_saved_as_what_it_would_be_without_the_isolation() {
    let group = ControlGroup::new();
    let (builder, hand) = builder();
    let breaker = builder.clone().build().unwrap();
    group.add(&breaker);
    fail(&breaker);
    group.isolate();
    assert!(breaker.try_acquire().is_err());
    hand.advance(20 * SECOND);
    let restored = builder.restore(breaker.save()).build().unwrap();
    assert_eq!(restored.state(), State::Open);
    assert_eq!(restored.snapshot().remaining_open(), Some(40 * SECOND));
    assert_eq!(restored.snapshot().rejected(), 0);
}

#[test]
fn a_member_says_why_it_is_isolated_and_after_the_release_why_it_is_open() {
    let opening = |breaker: &CircuitBreaker| breaker.snapshot().latest_opening();
    let by_failures = Cause::ConsecutiveFailures {
        failures: 1,
        limit: 1,
    };
    let by_hand = |it: &CircuitBreaker| it.trip(60 * SECOND);
    for (prepare, cause) in [
        (fail as fn(&CircuitBreaker), by_failures),
        (by_hand, Cause::Manual),
    ] {
        let breaker = isolated_while(prepare, |breaker, hand| {
            hand.advance(SECOND);
            let isolated = opening(breaker).unwrap();
            assert_eq!(
                (isolated.cause(), isolated.generation()),
                (Cause::Isolated, 2)
            );
            assert_eq!(isolated.to(), State::ForcedOpen);
            assert_eq!(isolated.at(), breaker.snapshot().since());
            let rejected = breaker.try_acquire().unwrap_err();
            assert_eq!(rejected.cause(), Some(Cause::Isolated));
        });
        let latest = opening(&breaker).unwrap();
        assert_eq!((latest.cause(), latest.generation()), (cause, 3));
        assert_eq!((latest.from(), latest.to()), (State::Closed, State::Open));
        assert_eq!(latest.counts().is_some(), cause == by_failures);
        assert_eq!(breaker.try_acquire().unwrap_err().cause(), Some(cause));
    }
    // A probe has been asked for, so the isolation interrupts the recovery.
    let breaker = isolated_while(
        |it| {
            it.trip(SECOND / 1_000);
        },
        |_, hand| hand.advance(2 * SECOND),
    );
    let probes = [breaker.try_acquire(), breaker.try_acquire()];
    assert!(probes.iter().all(Result::is_ok));
    assert_eq!(
        breaker.try_acquire().unwrap_err().cause(),
        Some(Cause::Manual)
    );
    // A breaker that was closed has never opened.
    let breaker = isolated_while(|_| (), |_, _| ());
    assert_eq!(opening(&breaker), None);
}
