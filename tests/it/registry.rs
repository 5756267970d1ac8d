//! What a registry does for its users.
#![cfg(feature = "registry")]

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use crate::effort;
use tripcurve::registry::{ControlGroup, Registry};
use tripcurve::time::{Clock, MockClock};
use tripcurve::window::Window;
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, State, TripPolicy};

fn template() -> (CircuitBreakerBuilder, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("model")
        .window(Window::time(Duration::from_secs(10), 10))
        .trip_when(TripPolicy::consecutive_failures(3))
        .open_for(Duration::from_secs(5))
        .shards(1)
        .clock(clock);
    (builder, hand)
}

fn never_trips() -> CircuitBreakerBuilder {
    CircuitBreaker::builder("never trips")
        .trip_when(TripPolicy::failure_count(1_000_000))
        .shards(1)
}

fn registry(capacity: usize) -> (Registry<u32>, MockClock) {
    let (template, hand) = template();
    let registry = Registry::builder(template).capacity(capacity).build();
    (registry.unwrap(), hand)
}

fn keys(registry: &Registry<u32>) -> Vec<u32> {
    let mut keys: Vec<_> = registry
        .snapshots()
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    keys.sort_unstable();
    keys
}

/// Makes as many other breakers as the registry can hold.
fn flood(registry: &Registry<u32>) {
    for key in 1_000..1_100 {
        registry.get_or_create(&key);
    }
}

#[test]
fn all_who_ask_for_a_key_get_the_same_breaker() {
    let (template, _hand) = template();
    let registry = Registry::<String>::builder(template).build().unwrap();
    registry.get_or_create("a").try_acquire().unwrap().failure();
    registry
        .clone()
        .get_or_create("a")
        .try_acquire()
        .unwrap()
        .failure();
    assert_eq!(registry.get("a").unwrap().snapshot().failures(), 2);
    assert_eq!(registry.get_or_create("b").snapshot().failures(), 0);
    assert_eq!(registry.len(), 2);
}

#[test]
fn to_get_a_breaker_makes_none() {
    let (registry, _hand) = registry(10);
    assert!(registry.get(&7).is_none());
    assert!(registry.remove(&7).is_none());
    assert!(registry.is_empty());
}

#[test]
fn who_asks_after_a_removal_gets_a_new_breaker() {
    let (registry, _hand) = registry(10);
    registry.get_or_create(&7).force_open();
    let removed = registry.remove(&7).unwrap();
    assert_eq!(removed.state(), State::ForcedOpen);
    assert!(registry.is_empty());
    assert_eq!(registry.get_or_create(&7).state(), State::Closed);
    assert_eq!(removed.state(), State::ForcedOpen);
}

#[test]
fn threads_that_use_a_key_for_the_first_time_at_once_share_one_breaker() {
    const THREADS: u32 = 4;
    let registry = Registry::<u32>::builder(never_trips()).capacity(3);
    let registry = registry.build().unwrap();
    let start = Barrier::new(THREADS as usize);
    for key in 0..200 {
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    start.wait();
                    registry
                        .get_or_create(&key)
                        .try_acquire()
                        .unwrap()
                        .failure();
                });
            }
        });
        let failures = registry.get(&key).unwrap().snapshot().failures();
        assert_eq!(failures, u64::from(THREADS));
    }
    // All of them would lose something, and are closed.
    assert!(registry.len() <= 2 * 3 + 16 + 1, "{}", registry.len());
}

#[test]
fn a_setting_that_makes_no_sense_is_refused_before_any_lookup() {
    let (template, _hand) = template();
    let error = Registry::<u32>::builder(template.clone())
        .capacity(0)
        .build();
    assert_eq!(
        error.unwrap_err().to_string(),
        "registry.capacity: 0 is not at least 1; as many keys as are in use at a time; leave it out \
         if nobody else chooses the keys"
    );
    let error = Registry::<u32>::builder(template.shards(0)).build();
    assert_eq!(error.unwrap_err().setting, "shards");
}

#[test]
fn breakers_have_the_templates_name_or_one_of_their_own() {
    let (template, _hand) = template();
    let registry = Registry::<u32>::builder(template.clone()).build().unwrap();
    assert_eq!(registry.get_or_create(&7).name(), "model");
    let named = Registry::<u32>::builder(template).name_with(|key| format!("key {key}"));
    assert_eq!(named.build().unwrap().get_or_create(&7).name(), "key 7");
}

#[test]
fn of_breakers_that_nobody_needs_no_more_are_kept_than_the_capacity() {
    let (registry, _hand) = registry(3);
    for key in 0..100 {
        registry
            .get_or_create(&key)
            .try_acquire()
            .unwrap()
            .success();
        assert!(registry.len() <= 3);
        assert!(registry.get(&key).is_some());
    }
    assert_eq!(registry.over_capacity(), 0);
}

#[test]
fn what_has_not_been_used_goes_before_what_has() {
    let (registry, _hand) = registry(4);
    for key in 0..5 {
        registry.get_or_create(&key);
    }
    // Each remaining breaker has used its second chance.
    assert_eq!(keys(&registry), [1, 2, 3, 4]);
    registry.get_or_create(&1);
    registry.get(&3);
    registry.get_or_create(&5);
    assert_eq!(keys(&registry), [1, 3, 4, 5]);
}

#[test]
fn if_all_have_been_used_one_goes_nevertheless() {
    let (registry, _hand) = registry(20);
    for key in 0..40 {
        for used in 0..key {
            registry.get(&used);
        }
        registry.get_or_create(&key);
        assert!(registry.len() <= 20);
    }
}

/// Checks that a breaker prepared in this way is never dropped.
fn is_kept(what: &str, prepare: impl Fn(&CircuitBreaker, &MockClock)) {
    let (registry, hand) = registry(3);
    prepare(&registry.get_or_create(&7), &hand);
    let before = registry.get_or_create(&7).snapshot();
    flood(&registry);
    let after = registry.get(&7).map(|breaker| breaker.snapshot());
    assert_eq!(after, Some(before), "{what}");
    assert!(registry.len() <= 3);
}

fn fail(breaker: &CircuitBreaker) {
    breaker.try_acquire().unwrap().failure();
}

#[test]
fn a_breaker_that_is_needed_is_not_dropped() {
    let second = Duration::from_secs(1);
    is_kept("open", |breaker, _| breaker.trip(second));
    is_kept("open, and its time is over", |breaker, hand| {
        breaker.trip(second);
        hand.advance(2 * second);
    });
    is_kept("half-open", |breaker, hand| {
        breaker.trip(second);
        hand.advance(2 * second);
        breaker.try_acquire().unwrap().success();
    });
    is_kept("forced open", |breaker, _| breaker.force_open());
    is_kept("disabled", |breaker, _| breaker.disable());
    is_kept("metrics only", |breaker, _| breaker.metrics_only());
    is_kept("a failure in a row", |breaker, _| fail(breaker));
    is_kept("a failure in the window", |breaker, _| {
        fail(breaker);
        breaker.try_acquire().unwrap().success();
    });
}

/// Checks that a breaker prepared in this way may be dropped, although it once had something to
/// lose.
fn goes(what: &str, prepare: impl Fn(&CircuitBreaker, &MockClock)) {
    let (registry, hand) = registry(3);
    prepare(&registry.get_or_create(&7), &hand);
    flood(&registry);
    assert!(registry.get(&7).is_none(), "{what}");
    assert_eq!(registry.get_or_create(&7).state(), State::Closed, "{what}");
}

#[test]
fn a_breaker_that_nobody_has_asked_for_long_goes() {
    let second = Duration::from_secs(1);
    let idle_after = 600 * second;
    goes("a run that has left the window", |breaker, hand| {
        fail(breaker);
        hand.advance(60 * second);
    });
    goes("open for long", |breaker, hand| {
        breaker.trip(second);
        hand.advance(second + idle_after + Duration::from_millis(2));
    });
    is_kept("open not quite as long", |breaker, hand| {
        breaker.trip(second);
        hand.advance(idle_after);
    });
    goes("half-open for long", |breaker, hand| {
        breaker.trip(second);
        hand.advance(2 * second);
        breaker.try_acquire().unwrap().success();
        hand.advance(idle_after);
    });
    is_kept("half-open not quite as long", |breaker, hand| {
        breaker.trip(second);
        hand.advance(2 * second);
        breaker.try_acquire().unwrap().success();
        hand.advance(599 * second);
    });
    is_kept("forced open for long", |breaker, hand| {
        breaker.force_open();
        hand.advance(2 * idle_after);
    });
}

#[test]
fn a_breaker_that_a_handle_has_is_never_idle() {
    let (registry, hand) = registry(3);
    let held = registry.get_or_create(&7);
    held.trip(Duration::from_secs(1));
    hand.advance(Duration::from_secs(1_000_000));
    flood(&registry);
    held.force_open();
    assert_eq!(registry.get(&7).unwrap().state(), State::ForcedOpen);
}

#[test]
fn idle_after_says_how_long_an_open_breaker_is_kept() {
    for (idle_after, is_kept) in [(10, false), (40, true)] {
        let (template, hand) = template();
        let registry = Registry::<u32>::builder(template)
            .capacity(3)
            .idle_after(Duration::from_secs(idle_after))
            .build()
            .unwrap();
        registry.get_or_create(&7).trip(Duration::from_secs(5));
        hand.advance(Duration::from_secs(20));
        flood(&registry);
        assert_eq!(registry.get(&7).is_some(), is_kept);
    }
}

#[test]
fn an_idle_time_that_makes_no_sense_is_refused() {
    let build = |capacity: Option<usize>, idle_after| {
        let registry = Registry::<u32>::builder(template().0).idle_after(idle_after);
        let registry = match capacity {
            Some(capacity) => registry.capacity(capacity),
            None => registry,
        };
        registry
            .build()
            .map(drop)
            .map_err(|error| error.to_string())
    };
    assert_eq!(
        build(Some(3), Duration::ZERO).unwrap_err(),
        "registry.idle_after: 0ns is not at least 1ms; minutes suit hosts that may come back; \
         Duration::MAX forgets none for its age"
    );
    assert_eq!(
        build(None, Duration::from_secs(10)).unwrap_err(),
        "registry.idle_after: 10s is not of any use without a capacity; set capacity too, or leave \
         it out: nothing is dropped without a capacity"
    );
    assert_eq!(build(Some(3), Duration::from_millis(1)), Ok(()));
    assert_eq!(build(Some(3), Duration::MAX), Ok(()));
}

#[test]
fn hosts_that_died_and_are_never_called_again_are_forgotten() {
    let (clock, hand) = Clock::mock();
    let template = CircuitBreaker::builder("host").shards(1).clock(clock);
    let template = template.trip_when(TripPolicy::classic());
    let hosts = Registry::<u32>::builder(template).capacity(100);
    let hosts = hosts.build().unwrap();
    for host in 0..1_000 {
        for _ in 0..5 {
            fail(&hosts.get_or_create(&host));
        }
        assert_eq!(hosts.get_or_create(&host).state(), State::Open);
        assert!(
            hosts.len() <= 2 * 100 + 100 / 16 + 16 + 1,
            "{}",
            hosts.len()
        );
    }
    for host in 1_000..3_000 {
        hand.advance(Duration::from_secs(365 * 86_400) / 2_000);
        hosts.get_or_create(&host).try_acquire().unwrap().success();
    }
    assert_eq!((hosts.len(), hosts.over_capacity()), (100, 0));
}

/// Each key fails until its breaker opens, and is never used again.
#[test]
fn a_flood_of_keys_whose_breakers_open_stays_within_a_bound_and_spares_one_in_use() {
    let (registry, _hand) = registry(100);
    registry.get_or_create(&7).trip(Duration::from_secs(1_000));
    for key in 1_000..1_000 + effort::share_of(19_000) {
        for _ in 0..3 {
            fail(&registry.get_or_create(&key));
        }
        assert!(registry.len() <= 2 * 100 + 100 / 16 + 16 + 1);
        if key % 4 == 0 {
            assert_eq!(registry.get(&7).unwrap().state(), State::Open, "{key}");
        }
    }
}

/// Isolation forces each new breaker open.
#[test]
fn a_flood_of_keys_in_an_isolated_group_stays_within_a_bound() {
    let group = ControlGroup::new();
    let (template, _hand) = template();
    let registry = Registry::<u32>::builder(template).capacity(100);
    let registry = registry.control_group(&group).build().unwrap();
    group.isolate();
    for key in 0..effort::share_of(20_000) {
        assert!(registry.get_or_create(&key).try_acquire().is_err());
        assert!(registry.len() <= 2 * 100 + 100 / 16 + 16 + 1);
    }
}

#[test]
fn retain_removes_whatever_it_is_told_to_and_is_no_use() {
    let (registry, _hand) = registry(3);
    for key in 0..3 {
        registry.get_or_create(&key);
    }
    let held = registry.get_or_create(&1);
    held.force_open();
    registry.retain(|_, breaker| breaker.state() != State::ForcedOpen);
    assert_eq!(keys(&registry), [0, 2]);
    assert_eq!(held.state(), State::ForcedOpen);
    assert_eq!(registry.get_or_create(&1).state(), State::Closed);
    registry.get_or_create(&3);
    // Each remaining breaker has used its second chance.
    let before = keys(&registry);
    registry.retain(|_, _| true);
    registry.get_or_create(&before[1]);
    registry.get_or_create(&9);
    assert!(
        !keys(&registry).contains(&before[0]),
        "it was not used since"
    );
    registry.retain(|_, _| false);
    assert!(registry.is_empty());
}

/// A handle that is cloned in `retain` keeps the breaker.
#[test]
fn what_is_cloned_in_retain_is_the_breaker_of_its_key() {
    let (registry, _hand) = registry(3);
    registry.get_or_create(&7);
    let mut found = None;
    registry.retain(|_, breaker| {
        found = Some(breaker.clone());
        true
    });
    flood(&registry);
    found.unwrap().force_open();
    assert_eq!(registry.get(&7).unwrap().state(), State::ForcedOpen);
}

#[test]
fn a_breaker_with_evidence_is_dropped_when_its_window_has_forgotten_it() {
    let (template, hand) = template();
    let template = template.trip_when(TripPolicy::adaptive());
    let registry = Registry::<u32>::builder(template)
        .capacity(3)
        .build()
        .unwrap();
    let breaker = registry.get_or_create(&7);
    for call in 0..200 {
        hand.advance(Duration::from_millis(10));
        match call % 50 {
            49 => fail(&breaker),
            _ => breaker.try_acquire().unwrap().success(),
        }
    }
    fail(&breaker);
    breaker.try_acquire().unwrap().success();
    let before = breaker.snapshot();
    drop(breaker);
    flood(&registry);
    assert_eq!(registry.get(&7).map(|it| it.snapshot()), Some(before));
    hand.advance(Duration::from_secs(20));
    flood(&registry);
    assert!(registry.get(&7).is_none());
}

#[test]
fn a_slow_call_is_not_dropped() {
    let (template, hand) = template();
    let slow = TripPolicy::slow_rate(0.5).slower_than(Duration::from_millis(100));
    let registry = Registry::<u32>::builder(template.trip_when(slow));
    let registry = registry.capacity(3).build().unwrap();
    let breaker = registry.get_or_create(&7);
    let permit = breaker.try_acquire().unwrap();
    hand.advance(Duration::from_secs(1));
    permit.success();
    drop(breaker);
    flood(&registry);
    assert_eq!(registry.get(&7).unwrap().snapshot().slow(), 1);
}

#[test]
fn a_call_whose_time_a_percentile_counts_is_not_dropped() {
    let (template, hand) = template();
    let p99 = TripPolicy::latency_percentile(99.0).above(Duration::from_millis(100));
    let registry = Registry::<u32>::builder(template.trip_when(p99));
    let registry = registry.capacity(3).build().unwrap();
    let breaker = registry.get_or_create(&7);
    let permit = breaker.try_acquire().unwrap();
    hand.advance(Duration::from_secs(1));
    permit.success();
    drop(breaker);
    flood(&registry);
    assert_eq!(registry.get(&7).unwrap().snapshot().calls(), 1);
    hand.advance(Duration::from_secs(20));
    flood(&registry);
    assert!(registry.get(&7).is_none());
}

#[test]
fn a_run_of_failures_that_no_policy_counts_is_needed_as_long_as_the_window_has_them() {
    let (clock, hand) = Clock::mock();
    let registry = Registry::<u32>::builder(never_trips().clock(clock)).capacity(3);
    let registry = registry.build().unwrap();
    fail(&registry.get_or_create(&7));
    flood(&registry);
    assert!(registry.get(&7).is_some());
    hand.advance(Duration::from_secs(70));
    flood(&registry);
    assert!(registry.get(&7).is_none());
}

#[test]
fn a_breaker_is_not_dropped_while_somebody_has_a_handle_or_a_permit() {
    let (registry, _hand) = registry(3);
    let handle = registry.get_or_create(&7);
    let permit = registry.get_or_create(&8).try_acquire_owned().unwrap();
    flood(&registry);
    fail(&handle);
    permit.failure();
    assert_eq!(registry.get(&7).unwrap().snapshot().failures(), 1);
    assert_eq!(registry.get(&8).unwrap().snapshot().failures(), 1);
}

#[test]
fn if_all_are_needed_the_registry_grows_up_to_a_bound_and_shrinks_when_they_are_not() {
    let (registry, hand) = registry(3);
    for key in 0..500 {
        let breaker = registry.get_or_create(&key);
        fail(&breaker);
        breaker.try_acquire().unwrap().success();
        assert!(registry.len() <= 2 * 3 + 16 + 1, "{}", registry.len());
    }
    assert!(registry.over_capacity() > 0);
    hand.advance(Duration::from_secs(20));
    flood(&registry);
    assert_eq!(registry.len(), 3);
    assert_eq!(registry.over_capacity(), 0);
}

#[test]
fn without_a_capacity_none_is_dropped() {
    let (template, _hand) = template();
    let registry = Registry::<u32>::builder(template).build().unwrap();
    flood(&registry);
    assert_eq!((registry.len(), registry.over_capacity()), (100, 0));
}

#[test]
fn a_key_that_is_removed_and_used_again_and_again_leaves_nothing_behind() {
    let (registry, _hand) = registry(3);
    let heap = |rounds: u32| {
        allocation_counter::measure(|| {
            for _ in 0..rounds {
                registry.get_or_create(&7);
                registry.remove(&7);
            }
        })
        .bytes_current
    };
    heap(1_000);
    assert!(heap(10_000) < 100_000);
}

#[test]
fn a_lookup_allocates_nothing_nor_does_it_move_what_it_finds() {
    let (registry, _hand) = registry(3);
    registry.get_or_create(&7);
    // A breaker's first snapshot allocates the totals that readers have seen.
    registry.for_each(|_, snapshot| assert_eq!(snapshot.successes(), 0));
    let heap = allocation_counter::measure(|| {
        for _ in 0..100 {
            registry.get_or_create(&7).try_acquire().unwrap().success();
            registry.get(&7);
        }
        registry.for_each(|_, snapshot| assert_eq!(snapshot.successes(), 100));
    });
    assert_eq!(heap.count_total, 0);
}

#[test]
fn snapshots_are_of_all_and_count_as_no_use() {
    let (registry, _hand) = registry(3);
    for key in 0..3 {
        fail(&registry.get_or_create(&key));
    }
    let mut snapshots = registry.snapshots();
    snapshots.sort_unstable_by_key(|(key, _)| *key);
    let failures: Vec<_> = snapshots
        .iter()
        .map(|(key, snapshot)| (*key, snapshot.failures()))
        .collect();
    assert_eq!(failures, [(0, 1), (1, 1), (2, 1)]);
}

#[test]
fn breakers_that_listen_tell_the_templates_listeners() {
    use std::sync::{Arc, Mutex};

    let told = Arc::new(Mutex::new(Vec::new()));
    let (template, _hand) = template();
    let listener = Arc::clone(&told);
    let template = template.on_transition(move |transition| {
        listener.lock().unwrap().push(transition.name().to_owned());
    });
    let registry = Registry::<u32>::builder(template)
        .name_with(ToString::to_string)
        .build()
        .unwrap();
    registry.get_or_create(&7).force_open();
    registry.get_or_create(&8).force_open();
    assert_eq!(*told.lock().unwrap(), ["7", "8"]);
}

#[test]
fn threads_that_flood_a_registry_lose_no_failure_of_a_key() {
    const ROUNDS: u64 = 2_000;
    let registry = Registry::<u32>::builder(never_trips()).capacity(2);
    let registry = registry.build().unwrap();
    thread::scope(|scope| {
        for thread in 0..2 {
            let registry = &registry;
            scope.spawn(move || {
                for round in 0..1_000 {
                    registry.get_or_create(&(10 + thread * 1_000 + round));
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    registry.get_or_create(&7).try_acquire().unwrap().failure();
                }
            });
        }
    });
    assert_eq!(registry.get_or_create(&7).snapshot().failures(), 2 * ROUNDS);
}

#[test]
fn a_failure_that_is_recorded_while_the_breaker_is_evicted_is_not_lost() {
    const ROUNDS: u32 = 2_000;
    let registry = Registry::<u32>::builder(never_trips()).capacity(1);
    let registry = registry.build().unwrap();
    let start = Barrier::new(2);
    // The assertion comes at the end, because a panic here would leave the other thread waiting.
    let mut lost = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..ROUNDS {
                start.wait();
                // Each lookup makes room, and this round's key is the least recently used one.
                for other in 0..3 {
                    registry.get_or_create(&(1_000_000 + 3 * round + other));
                }
                start.wait();
            }
        });
        for round in 0..ROUNDS {
            registry.get_or_create(&round);
            start.wait();
            registry
                .get_or_create(&round)
                .try_acquire()
                .unwrap()
                .failure();
            start.wait();
            let found = registry.remove(&round).map(|it| it.snapshot().failures());
            if found != Some(1) {
                lost.push((round, found));
            }
        }
    });
    assert_eq!(lost, []);
}

#[test]
fn a_registry_and_a_group_can_be_shared_and_sent() {
    fn is_shared<T: Send + Sync + Clone + std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}

    is_shared::<Registry<String>>();
    is_shared::<ControlGroup>();
}

fn breaker() -> CircuitBreaker {
    template().0.build().unwrap()
}

#[test]
fn a_group_isolates_and_releases_all_that_joined() {
    let group = ControlGroup::new();
    let breakers = [breaker(), breaker()];
    for breaker in &breakers {
        group.add(breaker);
    }
    let stranger = breaker();
    group.clone().isolate();
    assert!(group.is_isolated());
    assert!(breakers.iter().all(|it| it.state() == State::ForcedOpen));
    assert_eq!(stranger.state(), State::Closed);
    group.release();
    assert!(!group.is_isolated());
    assert!(breakers.iter().all(|it| it.state() == State::Closed));
}

#[test]
fn who_joins_while_the_group_is_isolated_is_isolated() {
    let group = ControlGroup::new();
    group.isolate();
    let late = breaker();
    group.add(&late);
    assert_eq!(late.state(), State::ForcedOpen);
    group.release();
    assert_eq!(late.state(), State::Closed);
}

#[test]
fn who_joins_a_group_that_is_not_isolated_stays_as_it_is() {
    let group = ControlGroup::new();
    let held = breaker();
    held.force_open();
    group.add(&held);
    assert_eq!(held.state(), State::ForcedOpen);
}

#[test]
fn a_release_closes_what_is_forced_open_and_nothing_else() {
    let group = ControlGroup::new();
    let [closed, open, disabled] = [breaker(), breaker(), breaker()];
    for member in [&closed, &open, &disabled] {
        group.add(member);
    }
    group.isolate();
    closed.reset();
    fail(&closed);
    open.trip(Duration::from_secs(1));
    disabled.disable();
    group.release();
    assert_eq!(closed.snapshot().failures(), 1);
    assert_eq!(open.state(), State::Open);
    assert_eq!(disabled.state(), State::Disabled);
}

#[test]
fn a_registrys_breakers_follow_their_group_from_the_first_use() {
    let group = ControlGroup::new();
    let (template, _hand) = template();
    let registry = Registry::<u32>::builder(template)
        .capacity(3)
        .control_group(&group)
        .build()
        .unwrap();
    registry.get_or_create(&1);
    group.isolate();
    assert_eq!(registry.get(&1).unwrap().state(), State::ForcedOpen);
    for key in 0..10 {
        assert!(registry.get_or_create(&key).try_acquire().is_err());
    }
    assert_eq!(registry.len(), 10, "none is dropped");
    group.release();
    for key in 0..10 {
        assert_eq!(registry.get(&key).unwrap().state(), State::Closed);
    }
    flood(&registry);
    assert_eq!(registry.len(), 3);
}

#[test]
fn a_group_keeps_nobody_alive_and_forgets_those_that_are_gone() {
    let group = ControlGroup::new();
    let join = |breakers: u32| {
        allocation_counter::measure(|| {
            for _ in 0..breakers {
                group.add(&CircuitBreaker::new("short-lived"));
            }
        })
        .bytes_current
    };
    join(1_000);
    assert!(join(10_000) < 50_000);
    group.isolate();
}

#[test]
fn whoever_joins_while_commands_are_given_ends_as_the_last_one_says() {
    for last in [true, false] {
        let group = ControlGroup::new();
        let breakers: Vec<_> = (0..300).map(|_| breaker()).collect();
        thread::scope(|scope| {
            for half in breakers.chunks(150) {
                let group = &group;
                scope.spawn(move || half.iter().for_each(|breaker| group.add(breaker)));
            }
            scope.spawn(|| {
                for _ in 0..100 {
                    group.isolate();
                    group.release();
                }
                if last {
                    group.isolate();
                }
            });
        });
        let isolated = breakers.iter().filter(|it| it.state() == State::ForcedOpen);
        assert_eq!(isolated.count(), if last { 300 } else { 0 });
    }
}
