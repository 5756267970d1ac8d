//! A new template for a registry whose breakers are in use.
#![cfg(feature = "registry")]

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use tripcurve::error::ConfigError;
use tripcurve::persist::Reconfigured;
use tripcurve::registry::Registry;
use tripcurve::time::Clock;
use tripcurve::window::{Recording, Window};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, Recovery, State, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);

/// A template that trips on this many failures in a row.
fn template(failures: u32) -> CircuitBreakerBuilder {
    CircuitBreaker::builder("search")
        .trip_when(TripPolicy::consecutive_failures(failures))
        .shards(1)
}

fn registry(template: CircuitBreakerBuilder) -> Registry<u32> {
    Registry::builder(template).build().unwrap()
}

fn fail(registry: &Registry<u32>, key: u32, times: u32) {
    for _ in 0..times {
        registry
            .get_or_create(&key)
            .try_acquire()
            .unwrap()
            .failure();
    }
}

#[test]
fn breakers_that_are_there_and_those_to_come_have_the_new_settings() {
    let tenants = registry(template(5));
    let held = tenants.get_or_create(&1);
    fail(&tenants, 1, 2);
    tenants.reconfigure(template(3)).unwrap();
    assert_eq!(held.snapshot().failures(), 2, "the window is kept");
    for key in [1, 2] {
        assert_eq!(tenants.get_or_create(&key).state(), State::Closed);
        fail(&tenants, key, if key == 1 { 1 } else { 3 });
        assert_eq!(tenants.get_or_create(&key).state(), State::Open, "{key}");
    }
    assert_eq!(held.state(), State::Open, "it is the same breaker");
    assert_eq!(tenants.len(), 2);
    // A breaker with enough failures for the new template trips at once.
    fail(&tenants, 3, 2);
    tenants.reconfigure(template(2)).unwrap();
    assert_eq!(tenants.get_or_create(&3).state(), State::Open);
}

#[test]
fn each_setting_of_the_template_reaches_breakers_to_come() {
    let settings: [fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder; 8] = [
        |builder| builder.window(Window::count(50)),
        |builder| builder.trip_when(TripPolicy::failure_count(7)),
        |builder| builder.recovery(Recovery::fixed(SECOND, 2)),
        |builder| builder.probe_timeout(3 * SECOND),
        |builder| builder.max_retry_after(SECOND),
        |builder| builder.on_cancel(Outcome::Failure),
        |builder| builder.latency(Recording::ByOutcome),
        |builder| builder.shards(2),
    ];
    for (number, set) in settings.iter().enumerate() {
        let tenants = registry(template(5));
        let before = tenants.get_or_create(&1);
        tenants.reconfigure(set(template(5))).unwrap();
        for breaker in [before, tenants.get_or_create(&2)] {
            let again = breaker.reconfigure(set(template(5)));
            assert_eq!(again, Ok(Reconfigured::Unchanged), "setting {number}");
            let back = breaker.reconfigure(template(5));
            assert_ne!(back, Ok(Reconfigured::Unchanged), "setting {number}");
        }
    }
}

#[test]
fn each_breaker_of_a_registry_keeps_its_newest_calls_in_a_window_of_another_length() {
    let (clock, hand) = Clock::mock();
    let settings = |length: u32| {
        let window = Window::time(length * SECOND, 6);
        let policy = TripPolicy::failure_count(3);
        let template = CircuitBreaker::builder("search");
        template.window(window).trip_when(policy)
    };
    let tenants = registry(settings(60).clock(clock));
    fail(&tenants, 1, 1);
    hand.advance(45 * SECOND);
    fail(&tenants, 1, 1);
    fail(&tenants, 2, 2);
    tenants.reconfigure(settings(30)).unwrap();
    let failures = |tenant| tenants.get_or_create(&tenant).snapshot().failures();
    assert_eq!([1, 2, 3].map(failures), [1, 2, 0]);
    fail(&tenants, 2, 1);
    assert_eq!(tenants.get_or_create(&2).state(), State::Open);
}

#[test]
fn the_registry_keeps_its_clock_its_listeners_and_its_classifier() {
    let (clock, hand) = Clock::mock();
    let told = Arc::new(AtomicU32::new(0));
    let tells = Arc::clone(&told);
    let template_of = template(5)
        .clock(clock)
        .on_transition(move |_| {
            tells.fetch_add(1, Ordering::Relaxed);
        })
        .classify(|result: &Result<u32, u32>| match result {
            Ok(500..) => Outcome::Failure,
            _ => Outcome::Success,
        });
    let tenants = Registry::<u32, _>::builder(template_of).build().unwrap();
    let other = template(2).open_for(7 * SECOND).start_in(State::Closed);
    tenants.get_or_create(&1);
    tenants.reconfigure(other).unwrap();
    for key in [1, 2] {
        for _ in 0..2 {
            assert_eq!(
                tenants.get_or_create(&key).call(|| Ok::<_, u32>(503)),
                Ok(503)
            );
        }
        assert_eq!(tenants.get_or_create(&key).state(), State::Open);
    }
    assert_eq!(told.load(Ordering::Relaxed), 2);
    hand.advance(7 * SECOND + Duration::from_millis(2));
    for key in [1, 2] {
        assert!(
            tenants.get_or_create(&key).try_acquire().is_ok(),
            "by the same clock"
        );
    }
}

#[test]
fn a_template_that_makes_no_sense_changes_nothing() {
    let tenants = registry(template(2));
    fail(&tenants, 1, 1);
    let refused = |template: CircuitBreakerBuilder| {
        let error: ConfigError = tenants.reconfigure(template).unwrap_err();
        error.to_string()
    };
    let zero = template(0).window(Window::time(SECOND, 0));
    assert_eq!(
        refused(zero),
        "window.buckets: 0 is not in 1..=1024; 10 suit most services"
    );
    let other = CircuitBreaker::builder("payments");
    assert_eq!(
        refused(other),
        "name: \"payments\" is not \"search\"; a breaker keeps its name; another name is another breaker"
    );
    for key in [1, 2] {
        fail(&tenants, key, if key == 1 { 1 } else { 2 });
        assert_eq!(tenants.get_or_create(&key).state(), State::Open);
    }
}

#[test]
fn breakers_with_names_of_their_own_keep_them() {
    let tenants = Registry::<u32>::builder(template(5))
        .name_with(|tenant| format!("tenant {tenant}"))
        .build()
        .unwrap();
    tenants.get_or_create(&1);
    let other = CircuitBreaker::builder("of the file")
        .trip_when(TripPolicy::consecutive_failures(1))
        .shards(1);
    tenants.reconfigure(other).unwrap();
    for key in [1, 2] {
        assert_eq!(tenants.get_or_create(&key).name(), format!("tenant {key}"));
        fail(&tenants, key, 1);
        assert_eq!(tenants.get_or_create(&key).state(), State::Open);
    }
}

#[test]
fn only_breakers_that_are_made_later_start_as_the_template_says() {
    let tenants = registry(template(5));
    tenants.get_or_create(&1);
    let other = template(5).start_in(State::HalfOpen);
    tenants.reconfigure(other).unwrap();
    assert_eq!(tenants.get_or_create(&1).state(), State::Closed);
    assert_eq!(tenants.get_or_create(&2).state(), State::HalfOpen);
}

#[test]
fn a_breaker_that_was_removed_stays_as_it_was() {
    let tenants = registry(template(2));
    let removed = {
        tenants.get_or_create(&1);
        tenants.remove(&1).unwrap()
    };
    tenants.reconfigure(template(1)).unwrap();
    removed.try_acquire().unwrap().failure();
    assert_eq!(removed.state(), State::Closed);
}

#[test]
fn who_may_be_dropped_is_as_before() {
    let (clock, _hand) = Clock::mock();
    let tenants = Registry::<u32>::builder(template(5).clock(clock))
        .capacity(2)
        .build()
        .unwrap();
    fail(&tenants, 1, 1);
    drop(tenants.get_or_create(&2));
    let held = tenants.get_or_create(&3);
    tenants.reconfigure(template(4)).unwrap();
    for key in 100..200 {
        tenants.get_or_create(&key);
    }
    assert!(tenants.get(&1).is_some(), "it counts a failure");
    assert!(tenants.get(&3).is_some(), "somebody has it");
    assert!(tenants.get(&2).is_none(), "nobody needs it");
    drop(held);
    // A failure that has left the window keeps no breaker.
    let empty = template(5).window(Window::count(50));
    tenants.reconfigure(empty).unwrap();
    for key in 200..300 {
        tenants.get_or_create(&key);
    }
    assert!(tenants.get(&1).is_none() && tenants.len() <= 3);
}

/// Threads use keys for the first time while templates come. In the end, all breakers follow the
/// last one.
#[test]
fn however_they_race_no_breaker_is_left_behind() {
    const KEYS: u32 = 300;
    for round in 0..10 {
        let tenants = registry(template(50));
        let start = Barrier::new(4);
        thread::scope(|scope| {
            for first in [0, 1] {
                let (tenants, start) = (&tenants, &start);
                scope.spawn(move || {
                    start.wait();
                    for key in (first..KEYS).step_by(2) {
                        tenants.get_or_create(&key);
                    }
                });
            }
            for limit in [40, 30] {
                let (tenants, start) = (&tenants, &start);
                scope.spawn(move || {
                    start.wait();
                    for limit in (0..5).map(|step| limit - step) {
                        tenants.reconfigure(template(limit)).unwrap();
                    }
                });
            }
        });
        let limits: Vec<_> = (0..KEYS)
            .map(|key| {
                let breaker = tenants.get_or_create(&key);
                let mut failures = 0;
                while breaker.state() == State::Closed {
                    breaker.try_acquire().unwrap().failure();
                    failures += 1;
                }
                failures
            })
            .collect();
        let last = limits[0];
        assert!([26, 36].contains(&last), "round {round}: {last}");
        assert!(
            limits.iter().all(|limit| *limit == last),
            "round {round}: {limits:?}"
        );
    }
}

#[test]
fn no_call_is_lost_while_templates_come() {
    const CALLS: u32 = 2_000;
    let tenants = registry(template(1_000_000));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let callers: Vec<_> = (0..3)
            .map(|_| {
                let tenants = &tenants;
                scope.spawn(move || {
                    for call in 0..CALLS {
                        let breaker = tenants.get_or_create(&(call % 20));
                        let permit = breaker.try_acquire().unwrap();
                        if call % 3 == 0 {
                            permit.failure();
                        } else {
                            permit.success();
                        }
                    }
                })
            })
            .collect();
        let (tenants, done) = (&tenants, &done);
        scope.spawn(move || {
            for limit in (1_000_001..).take_while(|_| !done.load(Ordering::Relaxed)) {
                tenants.reconfigure(template(limit)).unwrap();
            }
        });
        for caller in callers {
            caller.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let counted: u64 = tenants.snapshots().iter().map(|(_, it)| it.calls()).sum();
    assert_eq!(counted, u64::from(3 * CALLS));
}

/// Makes as many other breakers as the registry can hold. Returns whether the first is still there.
fn is_kept_through_a_flood(tenants: &Registry<u32>) -> bool {
    for key in 1_000..1_100 {
        tenants.get_or_create(&key);
    }
    tenants.get(&1).is_some()
}

#[test]
fn a_breaker_with_settings_of_its_own_is_kept_until_all_have_the_same() {
    let limited = || Registry::<u32>::builder(template(5)).capacity(3);
    let tenants = limited().build().unwrap();
    tenants.get_or_create(&1).reconfigure(template(2)).unwrap();
    assert!(is_kept_through_a_flood(&tenants));
    fail(&tenants, 1, 2);
    assert_eq!(tenants.get_or_create(&1).state(), State::Open);
    tenants.get_or_create(&1).reset();
    assert!(is_kept_through_a_flood(&tenants));
    // With another template, and with one whose settings this breaker has already.
    for failures in [4, 2] {
        let tenants = limited().build().unwrap();
        tenants.get_or_create(&1).reconfigure(template(2)).unwrap();
        tenants.reconfigure(template(failures)).unwrap();
        assert!(!is_kept_through_a_flood(&tenants), "{failures}");
        assert!(tenants.len() <= 3);
    }
    // Settings equal to the template's don't count as the breaker's own.
    let tenants = limited().build().unwrap();
    tenants.get_or_create(&1).reconfigure(template(5)).unwrap();
    assert!(!is_kept_through_a_flood(&tenants));
    tenants.get_or_create(&1).reconfigure(template(2)).unwrap();
    tenants.get_or_create(&1).reconfigure(template(2)).unwrap();
    assert!(is_kept_through_a_flood(&tenants), "the same once more");
}

#[test]
fn a_template_that_says_what_a_breaker_has_already_changes_nothing_of_it() {
    let rate =
        || CircuitBreaker::builder("search").trip_when(TripPolicy::failure_rate(0.5).min_calls(4));
    let tenants = registry(template(5));
    let breaker = tenants.get_or_create(&1);
    breaker.reconfigure(rate()).unwrap();
    fail(&tenants, 1, 3);
    // The window is full enough now. But no success trips, and neither does a template that changes
    // nothing.
    breaker.try_acquire().unwrap().success();
    tenants.reconfigure(rate()).unwrap();
    assert_eq!(breaker.state(), State::Closed);
    fail(&tenants, 1, 1);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_template_that_is_switched_off_switches_all_breakers_off_and_on_again() {
    let tenants = registry(template(2));
    fail(&tenants, 1, 2);
    assert_eq!(tenants.get_or_create(&1).state(), State::Open);
    for (off, state) in [
        (template(2).enabled(false), State::Disabled),
        (template(2).metrics_only(true), State::MetricsOnly),
    ] {
        tenants.get_or_create(&2);
        tenants.reconfigure(off.clone()).unwrap();
        for key in [1, 2, 3] {
            assert_eq!(tenants.get_or_create(&key).state(), state);
        }
        tenants.get_or_create(&1).reset();
        tenants.reconfigure(off).unwrap();
        assert_eq!(tenants.get_or_create(&1).state(), State::Closed, "by hand");
        tenants.reconfigure(template(2)).unwrap();
        for key in [1, 2, 3, 4] {
            assert_eq!(tenants.get_or_create(&key).state(), State::Closed);
        }
    }
}

/// Fails when: a breaker that is off keeps its place, although it counts nothing.
#[test]
fn breakers_that_the_template_switches_off_are_dropped_as_closed_ones_are() {
    let off = template(2).enabled(false);
    for metrics_only in [false, true] {
        let template = off.clone().enabled(metrics_only).metrics_only(true);
        let tenants: Registry<u32> = Registry::builder(template).capacity(10).build().unwrap();
        for key in 0..1_000 {
            let _ = tenants.get_or_create(&key).call(|| Ok::<_, ()>(()));
        }
        assert!(tenants.len() <= 20, "{}", tenants.len());
    }
}

#[test]
fn a_template_that_breakers_in_use_cannot_take_is_refused() {
    let tenants = registry(template(2));
    tenants.get_or_create(&1);
    for (builder, setting) in [
        (template(2).clock(Clock::mock().0), "clock"),
        (template(2).on_transition(|_| ()), "on_transition"),
    ] {
        let error = tenants.reconfigure(builder.enabled(false)).unwrap_err();
        assert_eq!(error.setting, setting);
    }
    assert_eq!(tenants.get_or_create(&1).state(), State::Closed);
    assert_eq!(tenants.get_or_create(&2).state(), State::Closed);
}

/// Breakers that are released from a group are off if the template switches them off.
#[test]
fn a_breaker_that_is_released_is_as_the_template_says() {
    use tripcurve::registry::ControlGroup;

    let group = ControlGroup::new();
    let off = template(2).enabled(false);
    let tenants: Registry<u32> = Registry::builder(off)
        .control_group(&group)
        .build()
        .unwrap();
    group.isolate();
    assert_eq!(tenants.get_or_create(&1).state(), State::ForcedOpen);
    group.release();
    assert_eq!(tenants.get_or_create(&1).state(), State::Disabled);
}
