//! Code of the user that panics, or that answers what nobody may answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tripcurve::time::Clock;
use tripcurve::{CircuitBreaker, State};

use super::processes::{Processes, SECOND, store};
use super::wild::{Deed, Wild};
use crate::member::{Fleet, Joined, Notice, StoreStatus};
use crate::memory::MemoryStore;
use crate::message::FleetState;

/// What each deed makes the status say.
const DEEDS: [(Deed, &str); 9] = [
    (Deed::MethodPanics, "the store panicked: boom"),
    (Deed::FuturePanics, "the store panicked: boom"),
    (Deed::DropPanics, "the store panicked: boom"),
    (Deed::ErrorPanics, "the store panicked: boom"),
    (Deed::ErrorHasNoText, "the store is unavailable: "),
    (
        Deed::ErrorIsItsSource,
        "the store is unavailable: böom: böom",
    ),
    (Deed::StreamPanics, "the store panicked: boom"),
    (
        Deed::StreamDropPanics,
        "the connection for announcements was lost",
    ),
    (Deed::Nonsense, "the store's answer makes no sense"),
];

fn reason(fleet: &Fleet) -> Option<Arc<str>> {
    match fleet.status().store {
        StoreStatus::LocalOnly { reason } => Some(reason),
        StoreStatus::Connected => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_is_gone_says_why_and_is_tried_again() {
    for (deed, says) in DEEDS {
        let wild = Wild::new(store());
        let mut processes = Processes::new(20, 10, &wild).await;
        assert!(processes.all.iter().all(|it| reason(&it.fleet).is_none()));
        wild.set(deed);
        // One call in three fails, so that there is something to say.
        processes.run(SECOND, |_, time| time % 3 > 0).await;
        for process in &processes.all {
            let reason = reason(&process.fleet).unwrap_or_else(|| panic!("{deed:?}"));
            assert!(reason.starts_with(says), "{deed:?}: {reason}");
            assert!(reason.len() <= 1_100, "{deed:?}: {}", reason.len());
        }
        // Each decides for itself.
        processes.run(2 * SECOND, |number, _| number > 1).await;
        let states = processes.states();
        assert!(states[0] != State::Closed && states[1] != State::Closed);
        let closed = states.iter().filter(|&&it| it == State::Closed).count();
        assert_eq!(closed, 18, "{deed:?}");
        // The store works again, and the fleet decides as one.
        wild.set(Deed::Works);
        processes.run(12 * SECOND, |_, _| true).await;
        assert!(processes.all.iter().all(|it| reason(&it.fleet).is_none()));
        processes.until(State::Open, SECOND, |_, _| false).await;
        assert!((0..20).all(|it| processes.fleet_state(it) == FleetState::Open));
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_answers_nonsense_during_a_recovery_ends_no_membership() {
    let wild = Wild::new(store());
    let mut processes = Processes::new(20, 10, &wild).await;
    for after in [1, 300, 700, 1_000] {
        processes.until(State::Open, SECOND, |_, _| false).await;
        assert!((0..20).all(|it| processes.fleet_state(it) == FleetState::Open));
        let after = Duration::from_millis(after);
        processes.run(after, |_, _| true).await;
        wild.set(Deed::Nonsense);
        processes.run(2 * SECOND, |_, _| true).await;
        // A member without calls in a round has had one message at most.
        assert!(processes.all.iter().any(|it| reason(&it.fleet).is_some()));
        wild.set(Deed::Works);
        processes
            .until(State::Closed, 20 * SECOND, |_, _| true)
            .await;
        processes.run(12 * SECOND, |_, _| true).await;
        assert!(processes.all.iter().all(|it| reason(&it.fleet).is_none()));
    }
    processes.until(State::Open, SECOND, |_, _| false).await;
    assert!((0..20).all(|it| processes.fleet_state(it) == FleetState::Open));
}

#[tokio::test(start_paused = true)]
async fn joining_ends_within_two_seconds_if_the_store_panics() {
    for (deed, _) in DEEDS {
        let wild = Wild::new(store());
        wild.set(deed);
        let fleet = Fleet::builder("shop").store(wild).spawn().unwrap();
        let breaker = CircuitBreaker::builder("payments").build().unwrap();
        let begun = tokio::time::Instant::now();
        let joined = fleet.join(&breaker).unwrap().await;
        // A stream may end or panic after the first answer has come.
        let is_stream = matches!(deed, Deed::StreamPanics | Deed::StreamDropPanics);
        assert!(is_stream || joined == Joined::LocalOnly, "{deed:?}");
        assert!(begun.elapsed() <= 2 * SECOND, "{deed:?}");
    }
}

#[tokio::test]
async fn announcements_without_end_leave_other_tasks_their_turn() {
    let wild = Wild::new(MemoryStore::new());
    let fleet = Fleet::builder("shop").store(wild.clone()).spawn().unwrap();
    let breaker = CircuitBreaker::builder("payments").build().unwrap();
    fleet.join(&breaker).unwrap().await;
    wild.set(Deed::StreamIsNeverEmpty);
    breaker.try_acquire().unwrap().failure();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let announced = wild.announced();
    assert!((1..100_000).contains(&announced), "{announced}");
    assert_eq!(reason(&fleet), None);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_whose_clock_panics_ends_no_membership() {
    let wild = Wild::new(store());
    let panics = Arc::new(AtomicBool::new(false));
    let begun = tokio::time::Instant::now();
    let clock = Clock::from_fn({
        let panics = Arc::clone(&panics);
        move || {
            assert!(!panics.load(Ordering::Relaxed), "no time");
            begun.elapsed()
        }
    });
    let breaker = CircuitBreaker::builder("payments").clock(clock);
    let breaker = breaker.build().unwrap();
    let fleet = Fleet::builder("shop").store(wild).spawn().unwrap();
    fleet.join(&breaker).unwrap().await;
    panics.store(true, Ordering::Relaxed);
    tokio::time::sleep(3 * SECOND).await;
    let reason_then = reason(&fleet).unwrap();
    assert_eq!(
        &*reason_then,
        "the member's task has caught a panic: no time"
    );
    panics.store(false, Ordering::Relaxed);
    tokio::time::sleep(6 * SECOND).await;
    assert_eq!(reason(&fleet), None);
}

/// The payload of a panic that panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("boom");
    }
}

#[tokio::test(start_paused = true)]
async fn a_listener_whose_panic_panics_harms_nobody_else() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let notices = Arc::clone(&told);
    let fleet = Fleet::builder("shop")
        .on_notice(|_| std::panic::panic_any(Bomb))
        .on_notice(move |it: &Notice| notices.lock().unwrap().push(it.clone()))
        .store(store())
        .spawn()
        .unwrap();
    tokio::time::sleep(SECOND).await;
    let connected = Notice::Store(StoreStatus::Connected);
    assert_eq!(*told.lock().unwrap(), [connected]);
    assert_eq!(reason(&fleet), None);
}
