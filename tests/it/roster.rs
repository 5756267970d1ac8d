//! A roster lists the living breakers of a program, and those of registries as a whole.
#![cfg(feature = "registry")]

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::thread;

use tripcurve::registry::{EnlistedRegistry, Registry, Roster};
use tripcurve::{CircuitBreaker, Outcome, State};

fn enlisted(roster: &Roster, name: &'static str) -> CircuitBreaker {
    CircuitBreaker::builder(name)
        .enlist(roster)
        .build()
        .unwrap()
}

fn names(roster: &Roster) -> Vec<String> {
    let breakers = roster.breakers();
    breakers.iter().map(|it| it.name().to_owned()).collect()
}

fn tenants(roster: &Roster, keys: u32) -> Registry<u32> {
    let registry = Registry::<u32>::builder(CircuitBreaker::builder("tenants"))
        .name_with(|tenant| format!("tenant {tenant}"))
        .enlist(roster)
        .build()
        .unwrap();
    for key in 0..keys {
        registry.get_or_create(&key);
    }
    registry
}

#[test]
fn living_breakers_are_listed_in_the_order_of_their_making() {
    let roster = Roster::new();
    assert!(roster.is_empty());
    let breakers = ["payments", "search", "books"].map(|name| enlisted(&roster, name));
    assert_eq!(names(&roster), ["payments", "search", "books"]);
    let [payments, search, books] = breakers;
    drop(search);
    assert_eq!(names(&roster), ["payments", "books"]);
    let clone = books.clone();
    drop(books);
    assert_eq!(names(&roster), ["payments", "books"]);
    drop((payments, clone));
    assert!(roster.is_empty());
}

#[test]
fn a_handle_is_one_to_the_same_breaker() {
    let roster = Roster::new();
    let breaker = CircuitBreaker::builder("payments")
        .classify(|_: &Result<(), ()>| Outcome::Ignored)
        .enlist(&roster)
        .build()
        .unwrap();
    let handle = roster.get("payments").unwrap();
    handle.force_open();
    assert_eq!(breaker.state(), State::ForcedOpen);
    assert!(roster.get("search").is_none());
    drop(breaker);
    assert!(roster.get("payments").is_some(), "the handle keeps it");
    drop(handle);
    assert!(roster.get("payments").is_none());
}

#[test]
fn a_roster_and_a_registry_are_empty_until_they_have_a_breaker() {
    let roster = Roster::new();
    let tenants = Registry::<u32>::builder(CircuitBreaker::builder("tenants"));
    let tenants = tenants.enlist(&roster).build().unwrap();
    let listed = &roster.registries()[0];
    assert!(roster.is_empty() && listed.is_empty());
    tenants.get_or_create(&1);
    assert!(!roster.is_empty() && !listed.is_empty());
}

#[test]
fn two_breakers_of_one_name_are_both_listed() {
    let roster = Roster::new();
    let first = enlisted(&roster, "payments");
    let second = enlisted(&roster, "payments");
    first.force_open();
    assert_eq!(roster.breakers().len(), 2);
    assert_eq!(roster.get("payments").unwrap().state(), State::ForcedOpen);
    drop(first);
    assert_eq!(roster.get("payments").unwrap().state(), State::Closed);
    drop(second);
}

#[test]
fn clones_of_a_builder_are_listed_each_and_once() {
    let (roster, other) = (Roster::new(), Roster::new());
    let builder = CircuitBreaker::builder("payments")
        .enlist(&roster)
        .enlist(&roster.clone())
        .enlist(&other);
    assert!(roster.is_empty());
    let breakers = [builder.clone().build().unwrap(), builder.build().unwrap()];
    assert_eq!((roster.len(), other.len()), (2, 2));
    drop(breakers);
    assert_eq!((roster.len(), other.len()), (0, 0));
}

#[test]
fn registries_are_listed_as_a_whole() {
    let roster = Roster::new();
    let payments = enlisted(&roster, "payments");
    let tenants = tenants(&roster, 3);
    assert_eq!(roster.len(), 4);
    let mut found = Vec::new();
    roster.for_each(|breaker| found.push(breaker.name().to_owned()));
    assert_eq!(found[0], "payments");
    found.sort();
    assert_eq!(found, ["payments", "tenant 0", "tenant 1", "tenant 2"]);
    let registries = roster.registries();
    assert_eq!(registries.len(), 1);
    assert_eq!(
        (registries[0].name(), registries[0].len()),
        ("tenants".to_owned(), 3)
    );
    tenants.get_or_create(&7);
    assert_eq!(registries[0].len(), 4);
    registries[0].get("tenant 7").unwrap().force_open();
    assert_eq!(tenants.get(&7).unwrap().state(), State::ForcedOpen);
    assert!(roster.get("tenant 7").is_some());
    tenants.remove(&7);
    assert!(roster.get("tenant 7").is_none());
    drop((registries, tenants));
    assert!(roster.registries().is_empty());
    assert_eq!(names(&roster), ["payments"]);
    drop(payments);
}

#[test]
fn a_registry_that_is_shown_has_none_of_its_breakers_copied() {
    let roster = Roster::new();
    let _tenants = tenants(&roster, 10_000);
    let mut count = 0;
    let made = allocation_counter::measure(|| roster.for_each(|_| count += 1));
    assert_eq!(count, 10_000);
    assert!(made.bytes_max < 10_000, "{made:?}");
}

#[test]
fn a_look_is_no_use_and_keeps_no_breaker() {
    let roster = Roster::new();
    let registry = Registry::<u32>::builder(CircuitBreaker::builder("tenants"))
        .capacity(10)
        .enlist(&roster)
        .build()
        .unwrap();
    for key in 0..1_000 {
        registry.get_or_create(&key);
        if key % 10 == 0 {
            roster.for_each(|_| ());
        }
    }
    assert_eq!(registry.len(), 10);
}

#[test]
fn a_roster_forgets_those_that_are_gone() {
    let roster = Roster::new();
    let build = |breakers: u32| {
        allocation_counter::measure(|| {
            for _ in 0..breakers {
                drop(enlisted(&roster, "short-lived"));
            }
        })
        .bytes_current
    };
    build(1_000);
    assert!(build(10_000) < 50_000);
    assert!(roster.is_empty());
}

#[test]
fn threads_that_build_and_drop_lose_none() {
    let roster = Roster::new();
    let kept: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut kept = Vec::new();
                    for number in 0..300 {
                        let breaker = enlisted(&roster, "busy");
                        if number % 3 == 0 {
                            kept.push(breaker);
                        }
                    }
                    kept
                })
            })
            .collect();
        for _ in 0..20 {
            assert!(roster.len() <= 1_200);
        }
        let threads = threads.into_iter();
        threads.flat_map(|it| it.join().unwrap()).collect()
    });
    assert_eq!(kept.len(), 400);
    assert_eq!(roster.len(), 400);
}

#[test]
fn where_a_roster_means_nothing_it_is_refused() {
    let roster = Roster::new();
    let template = CircuitBreaker::builder("tenants").enlist(&roster);
    let error = Registry::<u32>::builder(template.clone())
        .build()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "registry.template: enlisted is not a template of many; enlist the registry as a whole: \
         RegistryBuilder::enlist"
    );
    let breaker = CircuitBreaker::new("tenants");
    let error = breaker.reconfigure(template).unwrap_err();
    assert_eq!(error.setting, "enlist");
}

#[test]
fn a_roster_can_be_shared_and_sent() {
    fn is_shared<T: Send + Sync + Clone + UnwindSafe + RefUnwindSafe>() {}
    fn is_sent<T: Send + Sync + Clone>() {}

    is_shared::<Roster>();
    is_sent::<EnlistedRegistry>();
}
