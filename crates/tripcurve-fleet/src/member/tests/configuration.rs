//! What a member refuses, and what it warns of.

use std::time::Duration;

use tripcurve::{CircuitBreaker, TripPolicy};

use super::processes::SECOND;
use crate::key::{FleetKey, Meaning};
use crate::member::{Effect, Fleet, JoinError, Machine, Names, Notice, Reply, Request, SpawnError};
use crate::memory::MemoryStore;
use crate::message::{FleetState, FleetView, Member, Pulsed};
use crate::store::Announcement;

fn breaker(name: &str) -> CircuitBreaker {
    CircuitBreaker::builder(name.to_owned()).build().unwrap()
}

#[test]
fn without_a_runtime_spawn_returns_an_error() {
    let error = Fleet::builder("shop")
        .store(MemoryStore::new())
        .spawn()
        .unwrap_err();
    assert!(matches!(error, SpawnError::NoRuntime(_)));
    assert_eq!(
        error.to_string(),
        "fleet: there is no runtime of tokio here; call spawn within one, for example in an async \
         function"
    );
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused() {
    let text = |builder: crate::FleetBuilder| {
        let error = builder.store(MemoryStore::new()).spawn().unwrap_err();
        error.to_string()
    };
    assert_eq!(
        text(Fleet::builder("")),
        "fleet: namespace is empty; expected a name that all members share, for example that of the \
         application"
    );
    assert_eq!(
        text(Fleet::builder("shop").busiest(0)),
        "fleet: busiest is 0; expected 1..=100000"
    );
}

#[tokio::test]
async fn a_breaker_joins_once_and_only_with_an_adaptive_policy() {
    let fleet = Fleet::builder("shop")
        .store(MemoryStore::new())
        .spawn()
        .unwrap();
    let payments = breaker("payments");
    fleet.join(&payments).unwrap().await;
    let error = fleet.join(&payments).unwrap_err();
    assert_eq!(
        error.to_string(),
        "fleet: breaker \"payments\" has joined already; give each breaker that joins a name of its \
         own"
    );
    let classic = CircuitBreaker::builder("search").trip_when(TripPolicy::classic());
    let error = fleet.join(&classic.build().unwrap()).unwrap_err();
    assert!(matches!(error, JoinError::NotAdaptive(_)));
    assert!(fleet.leave(&payments));
    fleet.join(&payments).unwrap().await;
}

/// A machine whose store has answered the first pulse of each breaker.
fn machine(names: &[&str]) -> Machine {
    let now = Duration::ZERO;
    let shop = Names {
        namespace: "shop".into(),
        zone: String::new(),
        classifier: String::new(),
    };
    let mut machine = Machine::new(shop, Member(1), 1);
    for name in names {
        let _joined = machine.join(&breaker(name), now).unwrap();
    }
    while let Some(effect) = machine.poll(now) {
        match effect {
            Effect::Subscribe { session } => machine.subscribed(session, now),
            Effect::Send(it) => {
                assert!(matches!(it.request, Request::Pulse(_)));
                let pulsed = Pulsed {
                    view: FleetView::default(),
                    counted: true,
                };
                machine.answered(&it, Ok(Reply::Pulse(pulsed)), now);
            }
            _ => {}
        }
    }
    machine
}

fn announcement(name: &str, classifier: &str) -> Announcement {
    let meaning = Meaning::new(Some(0.25), None, classifier);
    Announcement {
        key: FleetKey::new("shop", "", name, meaning).as_str().to_owned(),
        view: FleetView {
            epoch: 1_000,
            state: FleetState::Open,
            turn: 1,
            members: 3,
            ..FleetView::default()
        },
    }
}

fn notices(machine: &mut Machine, now: Duration) -> Vec<Notice> {
    let mut notices = Vec::new();
    while let Some(effect) = machine.poll(now) {
        if let Effect::Notify(notice) = effect {
            notices.push(notice);
        }
    }
    notices
}

#[test]
fn orders_for_more_than_half_of_the_breakers_are_told_of_once() {
    let mut machine = machine(&["a", "b", "c", "d"]);
    let now = Duration::from_secs(1);
    let is_mass = |it: &Notice| matches!(it, Notice::MassOrder { .. });
    for name in ["a", "b"] {
        machine.announced(&announcement(name, ""), now);
    }
    assert!(!notices(&mut machine, now).iter().any(is_mass));
    for name in ["c", "d"] {
        machine.announced(&announcement(name, ""), now + Duration::from_millis(900));
    }
    let told = notices(&mut machine, now);
    let told: Vec<_> = told.iter().filter(|it| is_mass(it)).collect();
    assert_eq!(
        told,
        [&Notice::MassOrder {
            opened: 3,
            joined: 4
        }]
    );
    assert_eq!(
        told[0].to_string(),
        "fleet: 3 of 4 breakers were opened within a second"
    );
}

#[test]
fn members_with_other_settings_are_warned_of() {
    let mut machine = machine(&["a"]);
    machine.announced(&announcement("a", "5xx"), Duration::ZERO);
    machine.announced(&announcement("b", ""), Duration::ZERO);
    let told = notices(&mut machine, Duration::ZERO);
    let [Notice::OtherSettings { breaker, .. }] = &*told else {
        panic!("{told:?}")
    };
    assert_eq!(&**breaker, "a");
    assert!(
        told[0]
            .to_string()
            .ends_with("limit of slow calls and classifier word")
    );
}

/// The failure rate that a breaker tolerates.
fn tolerating(share: f64) -> tripcurve::CircuitBreakerBuilder {
    let policy = TripPolicy::adaptive().tolerate(share);
    CircuitBreaker::builder("payments").trip_when(policy)
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_tolerates_another_failure_rate_moves_to_the_fleet_that_does() {
    let store = MemoryStore::new();
    let member = || {
        let builder = Fleet::builder("shop").store(store.clone());
        builder.spawn().unwrap()
    };
    let (first, second, third) = (member(), member(), member());
    let [moved, stayed] = [0.25, 0.25].map(|it| tolerating(it).build().unwrap());
    let other = tolerating(0.5).build().unwrap();
    for (fleet, breaker) in [(&first, &moved), (&second, &stayed), (&third, &other)] {
        fleet.join(breaker).unwrap().await;
    }
    let members = |fleet: &Fleet| fleet.status().breakers[0].members;
    assert_eq!(members(&second), 2);
    moved.reconfigure(tolerating(0.5)).unwrap();
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(members(&first), 2);
    // The two fleets are told of failures of their own members only.
    for (breaker, fleet, members) in [(&moved, &first, 2), (&other, &third, 2)] {
        breaker.try_acquire().unwrap().failure();
        tokio::time::sleep(SECOND / 10).await;
        let status = fleet.status();
        assert_eq!(status.breakers[0].members, members);
        assert!(status.breakers[0].standing.is_some());
    }
    stayed.try_acquire().unwrap().failure();
    tokio::time::sleep(SECOND / 10).await;
    let standing = second.status().breakers[0].standing.unwrap();
    assert_eq!(standing.usual.failures, 1);
}

#[test]
fn a_breaker_that_moves_tells_its_former_fleet_and_ignores_what_it_answers() {
    let mut machine = machine(&["payments"]);
    let breaker = tolerating(0.25).build().unwrap();
    let (mut now, mut sent) = (SECOND, Vec::new());
    assert!(machine.leave("payments", now));
    let _joined = machine.join(&breaker, now).unwrap();
    let mut poll = |machine: &mut Machine, now| {
        while let Some(effect) = machine.poll(now) {
            if let Effect::Send(it) = effect {
                sent.push(it);
            }
        }
        std::mem::take(&mut sent)
    };
    let first = poll(&mut machine, now).pop().unwrap();
    let pulsed = |state| {
        let view = FleetView {
            epoch: 7,
            state,
            turn: 1,
            ..FleetView::default()
        };
        Ok(Reply::Pulse(Pulsed {
            view,
            counted: true,
        }))
    };
    machine.answered(&first, pulsed(FleetState::Closed), now);
    // Another pulse is under way when the breaker gets other settings.
    now += 40 * SECOND;
    breaker.try_acquire().unwrap().failure();
    machine.fails(first.breaker, now);
    let old = poll(&mut machine, now).pop().unwrap();
    breaker.reconfigure(tolerating(0.5)).unwrap();
    now += 2 * SECOND;
    let new = poll(&mut machine, now);
    let [farewell, new] = &*new else {
        panic!("{new:?}")
    };
    let (farewell, new) = if farewell.key == old.key {
        (farewell, new)
    } else {
        (new, farewell)
    };
    assert!(matches!(&farewell.request, Request::Pulse(it) if it.rate == 0));
    assert_eq!(farewell.key, old.key);
    assert_ne!(new.key, old.key);
    machine.answered(&old, pulsed(FleetState::Open), now);
    assert_eq!(machine.status(now).breakers[0].state, FleetState::Closed);
    machine.answered(new, pulsed(FleetState::Open), now);
    assert_eq!(machine.status(now).breakers[0].state, FleetState::Open);
}
