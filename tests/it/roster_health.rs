//! A roster says whether the program is healthy, degraded or down, by a rule of the user.
#![cfg(feature = "registry")]

use std::time::Duration;

use tripcurve::error::ConfigError;
use tripcurve::registry::{BreakerTrouble, HealthRule, HealthStatus, Registry, Roster};
use tripcurve::time::{Clock, MockClock};
use tripcurve::{CircuitBreaker, State, TripPolicy};

use HealthStatus::{Degraded, Down, Healthy};

const SECOND: Duration = Duration::from_secs(1);

fn enlisted(roster: &Roster, name: &'static str) -> (CircuitBreaker, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder(name).trip_when(TripPolicy::classic());
    let builder = builder.clock(clock).enlist(roster);
    (builder.build().unwrap(), hand)
}

fn ten(roster: &Roster) -> Vec<CircuitBreaker> {
    (0..10).map(|_| enlisted(roster, "one of ten").0).collect()
}

fn tenants(roster: &Roster, keys: u32) -> Registry<u32> {
    let template = CircuitBreaker::builder("tenants");
    let registry = Registry::<u32>::builder(template).enlist(roster).build();
    let registry = registry.unwrap();
    for key in 0..keys {
        registry.get_or_create(&key);
    }
    registry
}

#[test]
fn an_empty_roster_is_healthy() {
    let health = Roster::new().health(&HealthRule::new().down_at_share(0.0).unwrap());
    assert_eq!((health.status(), health.breakers()), (Healthy, 0));
    assert_eq!(health.to_string(), "healthy");
}

#[test]
fn by_default_each_trouble_degrades_and_none_takes_down() {
    let roster = Roster::new();
    let (breaker, hand) = enlisted(&roster, "payments");
    let status = || roster.health(&HealthRule::default()).status();
    let mut seen = vec![(breaker.state(), status())];
    let mut see = || seen.push((breaker.state(), status()));
    breaker.force_open();
    see();
    breaker.metrics_only();
    see();
    breaker.disable();
    see();
    breaker.trip(SECOND);
    see();
    hand.advance(SECOND);
    see();
    let _probe = breaker.try_acquire().unwrap();
    see();
    breaker.reset();
    see();
    let expected = [
        (State::Closed, Healthy),
        (State::ForcedOpen, Degraded),
        (State::MetricsOnly, Healthy),
        (State::Disabled, Healthy),
        (State::Open, Degraded),
        (State::Open, Degraded),
        (State::HalfOpen, Degraded),
        (State::Closed, Healthy),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_critical_breaker_takes_down_while_it_rejects_all_calls() {
    let roster = Roster::new();
    let (payments, hand) = enlisted(&roster, "payments");
    let (search, _) = enlisted(&roster, "search");
    let rule = HealthRule::new().down_if_open("payments");
    search.force_open();
    assert_eq!(roster.health(&rule).status(), Degraded);
    payments.trip(SECOND);
    let health = roster.health(&rule);
    assert!(health.is_down());
    let names: Vec<_> = health.troubles().iter().map(BreakerTrouble::name).collect();
    assert_eq!(names, ["payments", "search"]);
    let trouble = &health.troubles()[0];
    assert_eq!(trouble.state(), State::Open);
    assert!(trouble.rejects_calls());
    assert_eq!(trouble.remaining_open(), Some(SECOND));
    assert_eq!(trouble.cause().unwrap().kind(), "manual");
    assert_eq!((trouble.keys(), trouble.keys_rejecting()), (None, None));

    hand.advance(SECOND);
    let health = roster.health(&rule);
    assert_eq!(health.status(), Degraded);
    assert!(!health.troubles()[0].rejects_calls());
    assert_eq!(
        payments.state(),
        State::Open,
        "the look makes no transition"
    );

    let probes = [(); 3].map(|()| payments.try_acquire().unwrap());
    assert!(payments.ask().is_err());
    assert_eq!(roster.health(&rule).status(), Degraded);
    drop(probes);
    payments.force_open();
    assert!(roster.health(&rule).is_down());
}

#[test]
fn shares_are_of_all_breakers_that_the_rule_looks_at() {
    let roster = Roster::new();
    let breakers = ten(&roster);
    let (ignored, _) = enlisted(&roster, "books");
    ignored.force_open();
    let rule = HealthRule::new()
        .degraded_at_share(0.2)
        .unwrap()
        .down_at_share(0.5)
        .unwrap()
        .ignore("books");
    let mut found = Vec::new();
    for breaker in &breakers {
        found.push(roster.health(&rule).status());
        breaker.force_open();
    }
    assert_eq!(found[..2], [Healthy; 2]);
    assert_eq!(found[2..5], [Degraded; 3]);
    assert_eq!(found[5..], [Down; 5]);
    assert_eq!(roster.health(&rule).breakers(), 10);
    assert_eq!(roster.health(&rule).troubles().len(), 10);
}

#[test]
fn a_share_of_1_means_all_breakers_and_one_of_0_means_one() {
    let roster = Roster::new();
    let breakers = ten(&roster);
    breakers[0].force_open();
    let status = |share| {
        let rule = HealthRule::new().down_at_share(share).unwrap();
        let rule = rule.degraded_at_share(1.0).unwrap();
        roster.health(&rule).status()
    };
    assert_eq!([0.0, 1.0].map(status), [Down, Healthy]);
    breakers.iter().for_each(CircuitBreaker::force_open);
    assert_eq!(status(1.0), Down);
}

#[test]
fn a_share_out_of_its_range_is_refused() {
    type Set = fn(HealthRule, f64) -> Result<HealthRule, ConfigError>;
    let setters: [(&str, Set); 3] = [
        ("down_at_share", HealthRule::down_at_share),
        ("degraded_at_share", HealthRule::degraded_at_share),
        ("registry_at_share", HealthRule::registry_at_share),
    ];
    for (setting, set) in setters {
        for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            let error = set(HealthRule::new(), share).unwrap_err();
            assert_eq!(error.setting, setting);
            assert_eq!(error.value, share.to_string());
        }
    }
}

#[test]
fn a_registry_counts_as_one_breaker() {
    let roster = Roster::new();
    let (_payments, _) = enlisted(&roster, "payments");
    let tenants = tenants(&roster, 10);
    let rule = HealthRule::new().down_if_open("tenants");
    for key in 0..4 {
        tenants.get_or_create(&key).force_open();
    }
    let health = roster.health(&rule);
    assert_eq!((health.status(), health.breakers()), (Healthy, 2));
    assert!(
        roster
            .health(&rule.clone().registry_at_share(0.4).unwrap())
            .is_down()
    );

    tenants.get_or_create(&4).force_open();
    let health = roster.health(&rule);
    assert!(health.is_down());
    let trouble = &health.troubles()[0];
    assert_eq!(
        (trouble.keys(), trouble.keys_rejecting()),
        (Some(10), Some(5))
    );
    assert_eq!(health.to_string(), "down: tenants: 5 of 10 reject calls");
    let rule = rule.ignore("tenants");
    assert_eq!(roster.health(&rule).status(), Healthy);
}

#[test]
fn names_that_no_breaker_has_are_missing() {
    let roster = Roster::new();
    let (payments, _) = enlisted(&roster, "payments");
    let _tenants = tenants(&roster, 1);
    let rule = HealthRule::new()
        .down_if_open("tenants")
        .down_if_open("stock\n")
        .down_if_open("payments");
    let health = roster.health(&rule);
    assert_eq!(health.status(), Healthy);
    assert_eq!(health.missing(), ["stock\n"]);
    assert_eq!(health.to_string(), r"healthy: no breaker stock\n");
    drop(payments);
    assert_eq!(roster.health(&rule).missing(), ["payments", "stock\n"]);
}

#[test]
fn a_look_counts_nothing_and_keeps_nothing() {
    let roster = Roster::new();
    let (payments, _) = enlisted(&roster, "payments");
    payments.force_open();
    let health = roster.health(&HealthRule::new());
    assert_eq!(payments.snapshot().rejected(), 0);
    assert_eq!(payments.snapshot().generation(), 1);
    drop(payments);
    assert!(roster.is_empty());
    assert_eq!(health.troubles()[0].name(), "payments");
}
