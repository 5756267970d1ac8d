//! A limit on the share of a group's or registry's breakers that are open at once.
#![cfg(feature = "registry")]

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tripcurve::events::WouldTripReason;
use tripcurve::registry::{ControlGroup, Registry};
use tripcurve::time::{Clock, MockClock};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, State, TripPolicy};

const OPEN_FOR: Duration = Duration::from_secs(10);

fn template() -> (CircuitBreakerBuilder, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("shop")
        .trip_when(TripPolicy::consecutive_failures(1))
        .open_for(OPEN_FOR)
        .probes(1)
        .clock(clock);
    (builder, hand)
}

fn group(share: f64, members: usize) -> (ControlGroup, Vec<CircuitBreaker>, MockClock) {
    let group = ControlGroup::with_max_open_share(share).unwrap();
    let (builder, hand) = template();
    let breakers: Vec<_> = (0..members)
        .map(|_| builder.clone().build().unwrap())
        .collect();
    for breaker in &breakers {
        group.add(breaker);
    }
    (group, breakers, hand)
}

fn fail(breaker: &CircuitBreaker) {
    let _ = breaker.call(|| Err::<(), _>("no"));
}

fn succeed(breaker: &CircuitBreaker) {
    let _ = breaker.call(|| Ok::<_, String>(()));
}

fn open(breakers: &[CircuitBreaker]) -> usize {
    let is_open = |it: &&CircuitBreaker| matches!(it.state(), State::Open | State::HalfOpen);
    breakers.iter().filter(is_open).count()
}

#[test]
fn no_more_than_the_share_is_open_and_the_others_report() {
    let (group, breakers, _hand) = group(0.25, 20);
    breakers.iter().for_each(fail);
    assert_eq!(open(&breakers), 5);
    assert_eq!(group.open_members(), Some(5));
    for breaker in &breakers[5..] {
        assert_eq!(breaker.state(), State::Closed);
        let snapshot = breaker.snapshot();
        assert_eq!((snapshot.failures(), snapshot.would_have_opened()), (1, 1));
        fail(breaker);
        let snapshot = breaker.snapshot();
        assert_eq!((snapshot.failures(), snapshot.would_have_opened()), (2, 1));
    }
}

#[test]
fn a_member_that_would_have_opened_tells_why() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let (builder, _hand) = template();
    let builder = builder.on_would_trip(move |event| log.lock().unwrap().push(event.clone()));
    let group = ControlGroup::with_max_open_share(0.5).unwrap();
    let breakers = [builder.clone().build().unwrap(), builder.build().unwrap()];
    for breaker in &breakers {
        group.add(breaker);
    }
    breakers.iter().for_each(fail);
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].reason(), WouldTripReason::OpenShare);
    assert_eq!(told[0].state(), State::Closed);
}

#[test]
fn a_member_that_closes_makes_room() {
    let (group, breakers, hand) = group(0.5, 2);
    breakers.iter().for_each(fail);
    hand.advance(OPEN_FOR);
    let probe = breakers[0].try_acquire().unwrap();
    fail(&breakers[1]);
    assert_eq!(breakers[1].state(), State::Closed, "half-open is open");
    probe.success();
    assert_eq!(group.open_members(), Some(0));
    fail(&breakers[1]);
    assert_eq!(breakers[1].state(), State::Open);
    assert_eq!(breakers[1].snapshot().generation(), 1);
    assert_eq!(group.open_members(), Some(1));
    hand.advance(OPEN_FOR);
    fail(&breakers[1]);
    assert_eq!(
        breakers[1].state(),
        State::Open,
        "a failed probe needs no other place"
    );
    assert_eq!(group.open_members(), Some(1));
}

#[test]
fn a_member_that_could_not_open_opens_at_a_later_failure() {
    let (_group, breakers, _hand) = group(0.5, 2);
    fail(&breakers[0]);
    let limited = &breakers[1];
    fail(limited);
    succeed(limited);
    assert_eq!(limited.snapshot().would_have_opened(), 1);
    breakers[0].reset();
    fail(limited);
    assert_eq!(limited.state(), State::Open);
}

#[test]
fn commands_are_not_limited_and_a_trip_by_hand_counts() {
    let (group, breakers, _hand) = group(0.5, 4);
    for breaker in &breakers[..3] {
        breaker.trip(OPEN_FOR);
    }
    assert_eq!(group.open_members(), Some(3));
    fail(&breakers[3]);
    assert_eq!(breakers[3].state(), State::Closed);
    breakers[0].force_open();
    breakers[1].disable();
    breakers[2].metrics_only();
    assert_eq!(group.open_members(), Some(0));
    fail(&breakers[3]);
    assert_eq!(breakers[3].state(), State::Open);
    breakers[3].reset();
    assert_eq!(group.open_members(), Some(0));
}

#[test]
fn an_isolated_member_keeps_its_place() {
    let (group, breakers, _hand) = group(0.5, 2);
    fail(&breakers[0]);
    group.isolate();
    assert_eq!(group.open_members(), Some(1));
    breakers[1].reset();
    fail(&breakers[1]);
    assert_eq!(breakers[1].state(), State::Closed);
    group.release();
    assert_eq!(open(&breakers), 1);
    assert_eq!(group.open_members(), Some(1));
    group.isolate();
    breakers[0].reset();
    assert_eq!(group.open_members(), Some(0));
}

#[test]
fn a_member_that_joins_while_it_is_open_counts() {
    let (group, breakers, _hand) = group(0.5, 1);
    let late = template().0.build().unwrap();
    fail(&late);
    group.add(&late);
    group.add(&late);
    assert_eq!(group.open_members(), Some(1));
    fail(&breakers[0]);
    assert_eq!(breakers[0].state(), State::Closed);
    drop(late);
    assert_eq!(group.open_members(), Some(0));
    fail(&breakers[0]);
    assert_eq!(breakers[0].state(), State::Open);
}

#[test]
fn one_may_open_whatever_the_share() {
    let (_group, breakers, _hand) = group(0.01, 3);
    breakers.iter().for_each(fail);
    assert_eq!(open(&breakers), 1);
    let (_group, breakers, _hand) = self::group(1.0, 3);
    breakers.iter().for_each(fail);
    assert_eq!(open(&breakers), 3);
}

#[test]
fn a_group_without_a_limit_counts_nothing() {
    let group = ControlGroup::new();
    assert_eq!((group.max_open_share(), group.open_members()), (None, None));
    let (limited, ..) = self::group(0.5, 1);
    assert_eq!(limited.max_open_share(), Some(0.5));
}

#[test]
fn a_share_that_makes_no_sense_is_refused() {
    for share in [0.0, -0.5, 1.01, f64::NAN, f64::INFINITY] {
        let error = ControlGroup::with_max_open_share(share).unwrap_err();
        assert_eq!(error.setting, "max_open_share");
        let builder = Registry::<u32>::builder(template().0).max_open_share(share);
        assert_eq!(builder.build().unwrap_err().setting, "max_open_share");
    }
    assert_eq!(
        ControlGroup::with_max_open_share(0.0)
            .unwrap_err()
            .to_string(),
        "max_open_share: 0 is not more than 0 and at most 1; 0.5 lets half of the members open; to \
         open none, let them only measure"
    );
    let group = ControlGroup::with_max_open_share(0.5).unwrap();
    let builder = Registry::<u32>::builder(template().0).control_group(&group);
    let error = builder.max_open_share(0.25).build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "registry.max_open_share: 0.25 is not left out, because the group has one of 0.5; a breaker \
         counts in one share; keep the registry's or the group's"
    );
}

#[test]
fn a_registrys_breakers_share_the_places_and_return_them_when_they_go() {
    let (template, _hand) = template();
    let registry = Registry::<u32>::builder(template)
        .max_open_share(0.5)
        .build()
        .unwrap();
    let breakers: Vec<_> = (0..4).map(|key| registry.get_or_create(&key)).collect();
    breakers.iter().for_each(fail);
    assert_eq!(open(&breakers), 2);
    // Three are left, of which one may be open.
    let removed = registry.remove(&0).unwrap();
    assert_eq!(removed.state(), State::Open);
    fail(&breakers[2]);
    assert_eq!(breakers[2].state(), State::Closed);
    registry.retain(|key, _| *key != 1);
    fail(&breakers[2]);
    assert_eq!(breakers[2].state(), State::Open);
    // A breaker that was removed is not limited.
    removed.reset();
    fail(&removed);
    assert_eq!(removed.state(), State::Open);
}

#[test]
fn evicted_breakers_return_their_places() {
    let (template, hand) = template();
    let group = ControlGroup::with_max_open_share(1.0).unwrap();
    let registry = Registry::<u32>::builder(template)
        .capacity(1)
        .idle_after(Duration::from_secs(1))
        .control_group(&group)
        .build()
        .unwrap();
    for key in 0..10 {
        fail(&registry.get_or_create(&key));
    }
    assert_eq!(group.open_members(), Some(10));
    hand.advance(Duration::from_secs(100));
    for key in 100..200 {
        registry.get_or_create(&key);
    }
    for key in 0..10 {
        assert!(registry.get(&key).is_none());
    }
    assert_eq!(group.open_members(), Some(0));
}

#[test]
fn the_count_is_exact_after_any_race() {
    for round in 0..100 {
        let (group, breakers, hand) = group(0.5, 4);
        thread::scope(|scope| {
            for (number, breaker) in breakers.iter().enumerate() {
                scope.spawn(move || {
                    for _ in 0..50 {
                        fail(breaker);
                    }
                });
                let hand = hand.clone();
                scope.spawn(move || {
                    for step in 0..20 {
                        match (step + number + round) % 5 {
                            1 => hand.advance(OPEN_FOR),
                            2 => succeed(breaker),
                            3 => breaker.metrics_only(),
                            _ => breaker.reset(),
                        }
                    }
                });
            }
            for _ in 0..200 {
                assert!(group.open_members() <= Some(2));
            }
        });
        let expected = u64::try_from(open(&breakers)).unwrap();
        assert_eq!(group.open_members(), Some(expected));
        assert!(expected <= 2);
    }
}
