//! The busiest breakers of a registry join.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tripcurve::CircuitBreaker;
use tripcurve::registry::Registry;

use super::processes::SECOND;
use crate::member::{Fleet, Notice};
use crate::memory::MemoryStore;

fn call(registry: &Registry<u32>, key: u32, times: u32) {
    for _ in 0..times {
        let breaker = registry.get_or_create(&key);
        breaker.try_acquire().unwrap().success();
    }
}

fn joined(fleet: &Fleet) -> Vec<String> {
    let status = fleet.status();
    status
        .breakers
        .iter()
        .map(|it| it.name.to_string())
        .collect()
}

#[tokio::test]
async fn the_busiest_breakers_that_have_calls_join_and_others_leave() {
    let search = CircuitBreaker::builder("search");
    let registry = Registry::<u32>::builder(search)
        .name_with(|key| format!("search {key}"))
        .build()
        .unwrap();
    call(&registry, 1, 5);
    call(&registry, 2, 9);
    call(&registry, 3, 7);
    registry.get_or_create(&4);
    let builder = Fleet::builder("shop").busiest(2);
    let fleet = builder.store(MemoryStore::new()).spawn().unwrap();
    tokio::time::pause();
    fleet.join_all(&registry);
    tokio::time::sleep(SECOND).await;
    assert_eq!(joined(&fleet), ["search 2", "search 3"]);
    call(&registry, 1, 20);
    tokio::time::sleep(30 * SECOND).await;
    assert_eq!(joined(&fleet), ["search 1", "search 2"]);
}

/// A fleet, and what it has told of.
fn fleet_with_notices() -> (Fleet, Arc<Mutex<Vec<Notice>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let notices = Arc::clone(&told);
    let fleet = Fleet::builder("shop")
        .on_notice(move |it| notices.lock().unwrap().push(it.clone()))
        .store(MemoryStore::new())
        .spawn()
        .unwrap();
    (fleet, told)
}

#[tokio::test(start_paused = true)]
async fn breakers_of_one_name_are_told_of() {
    let registry = Registry::<u32>::builder(CircuitBreaker::builder("search"))
        .build()
        .unwrap();
    call(&registry, 1, 5);
    let (fleet, told) = fleet_with_notices();
    let _joining = fleet.join(&CircuitBreaker::new("search")).unwrap();
    fleet.join_all(&registry);
    tokio::time::sleep(100 * SECOND).await;
    let told = told.lock().unwrap();
    let told: Vec<_> = told
        .iter()
        .filter(|it| matches!(it, Notice::NotJoined { .. }))
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(joined(&fleet), ["search"]);
}

/// A key that can't be cloned while `PANICS`.
#[derive(PartialEq, Eq, Hash)]
struct Shy(u32);

static PANICS: AtomicBool = AtomicBool::new(false);

impl Clone for Shy {
    fn clone(&self) -> Self {
        assert!(!PANICS.load(Ordering::Relaxed), "too shy");
        Self(self.0)
    }
}

#[tokio::test]
async fn a_registry_that_panics_is_told_of_and_looked_at_again() {
    let registry = Registry::<Shy>::builder(CircuitBreaker::builder("search"))
        .name_with(|key| format!("search {}", key.0))
        .build()
        .unwrap();
    for key in 1..=2 {
        let breaker = registry.get_or_create(&Shy(key));
        breaker.try_acquire().unwrap().success();
    }
    let (fleet, told) = fleet_with_notices();
    tokio::time::pause();
    PANICS.store(true, Ordering::Relaxed);
    fleet.join_all(&registry);
    tokio::time::sleep(SECOND).await;
    let reason = "too shy".into();
    let told = told.lock().unwrap().clone();
    assert!(
        told.contains(&Notice::RegistryPanicked { reason }),
        "{told:?}"
    );
    assert!(joined(&fleet).is_empty());
    PANICS.store(false, Ordering::Relaxed);
    tokio::time::sleep(30 * SECOND).await;
    assert_eq!(joined(&fleet), ["search 1", "search 2"]);
}

#[tokio::test]
async fn of_a_hundred_thousand_breakers_the_busiest_thousand_join() {
    let registry = Registry::<u32>::builder(CircuitBreaker::builder("search"))
        .capacity(200_000)
        .name_with(|key| format!("search {key}"))
        .build()
        .unwrap();
    for key in 0..100_000 {
        registry.get_or_create(&key);
    }
    // One in ten has calls, and a thousand of them have two.
    for key in (0..100_000).step_by(10) {
        call(&registry, key, 1 + u32::from(key < 10_000));
    }
    let builder = Fleet::builder("shop");
    let fleet = builder.store(MemoryStore::new()).spawn().unwrap();
    fleet.join_all(&registry);
    while joined(&fleet).is_empty() {
        tokio::time::sleep(SECOND / 10).await;
    }
    let busiest = (0..10_000).step_by(10).map(|key| format!("search {key}"));
    let busiest: std::collections::BTreeSet<_> = busiest.collect();
    let all: std::collections::BTreeSet<_> = joined(&fleet).into_iter().collect();
    assert_eq!(all, busiest);
    // The others decide alone.
    registry.get_or_create(&1).try_acquire().unwrap().success();
}
