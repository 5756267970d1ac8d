use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use serde_json::json;
use tripcurve::outcome::Report;
use tripcurve::registry::{HealthRule, Registry, Roster};
use tripcurve::window::Recording;
use tripcurve::{CircuitBreaker, TripPolicy};
use tripcurve_dashboard::Dashboard;

use crate::{breaker, get, trip};

#[tokio::test]
async fn all_breakers_are_listed_with_their_levels() {
    let roster = Roster::new();
    let payments = CircuitBreaker::builder("payments")
        .trip_when(TripPolicy::consecutive_failures(4))
        .latency(Recording::Combined)
        .enlist(&roster)
        .build()
        .unwrap();
    let app: Router = Dashboard::new(&roster)
        .in_flight("payments", || 3)
        .in_flight("payments", || panic!("a function that panics counts as 0"))
        .router();
    let took = Duration::from_millis(10);
    payments
        .try_acquire()
        .unwrap()
        .record(Report::failure().took(took));
    let (status, all) = get(&app, "/api/breakers").await;
    assert_eq!((status, &all["version"]), (StatusCode::OK, &json!(1)));
    let row = &all["breakers"][0];
    assert_eq!(
        (&row["key"], &row["state"]),
        (&json!("payments"), &json!("closed"))
    );
    assert_eq!(row["levels"][0]["policy"], "consecutive_failures");
    assert_eq!(row["levels"][0]["fill"], 0.25);
    assert_eq!(row["in_flight"], 3);
    assert!(
        row["p99"]
            .as_f64()
            .is_some_and(|it| (0.009..0.011).contains(&it))
    );
    assert_eq!(all["states"]["closed"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_tells_why_it_is_open_and_what_has_happened() {
    let roster = Roster::new();
    let payments = breaker("payments", &roster);
    let app: Router = Dashboard::new(&roster).router();
    get(&app, "/api/breakers").await;
    trip(&payments);
    tokio::time::sleep(Duration::from_millis(1_700)).await;
    let (_, one) = get(&app, "/api/breakers/payments").await;
    assert_eq!(one["card"]["state"], "open");
    assert_eq!(one["card"]["why"], "5 calls in a row failed (limit 5)");
    assert!(one["card"]["open_until_ms"].is_u64());
    assert_eq!(one["breaker"]["snapshot"]["version"], 1);
    assert_eq!(one["events"][0]["kind"], "transition");
    assert_eq!(one["events"][0]["cause"]["kind"], "consecutive_failures");
    assert!(one["history"]["points"][0][0].is_u64());

    let (_, none) = get(&app, "/api/events?breaker=search").await;
    assert_eq!(none["events"], json!([]));
    let (_, all) = get(&app, "/api/events?limit=1").await;
    assert_eq!(all["events"][0]["to"], "open");
    let (_, before) = get(&app, "/api/events?before=1").await;
    assert_eq!(before["events"], json!([]));
}

#[tokio::test]
async fn what_had_opened_before_is_an_event_too() {
    let roster = Roster::new();
    let payments = breaker("payments", &roster);
    trip(&payments);
    let app: Router = Dashboard::new(&roster).router();
    let (_, all) = get(&app, "/api/events").await;
    assert_eq!(all["events"][0]["kind"], "opened-before");
    assert_eq!(all["events"][0]["to"], "open");
}

/// Fails when: the durations of a page's chart aren't those of the calls.
#[tokio::test]
async fn a_breaker_tells_how_long_its_calls_took() {
    let roster = Roster::new();
    let payments = CircuitBreaker::builder("payments")
        .latency(Recording::Combined)
        .enlist(&roster)
        .build()
        .unwrap();
    for (millis, calls) in [(10, 3), (1_000, 2)] {
        for _ in 0..calls {
            let report = Report::success().took(Duration::from_millis(millis));
            payments.try_acquire().unwrap().record(report);
        }
    }
    let app: Router = Dashboard::new(&roster).router();
    let (_, one) = get(&app, "/api/breakers/payments").await;
    let bins = one["breaker"]["durations"].as_array().unwrap();
    let calls: Vec<_> = bins.iter().map(|bin| bin[1].as_u64().unwrap()).collect();
    assert_eq!(calls, [3, 2]);
    // A bin is a quarter of an octave wide.
    for (bin, took) in bins.iter().zip([0.01, 1.0]) {
        let longest = bin[0].as_f64().unwrap();
        assert!((took..took * 1.2).contains(&longest), "{bin}");
    }
}

/// Fails when: the sampler takes a new breaker for the one whose name it has.
#[tokio::test(start_paused = true)]
async fn a_breaker_that_comes_in_place_of_another_is_listened_to() {
    let roster = Roster::new();
    let first = breaker("payments", &roster);
    let app: Router = Dashboard::new(&roster).router();
    get(&app, "/api/breakers").await;
    drop(first);
    let second = breaker("payments", &roster);
    tokio::time::sleep(Duration::from_millis(1_700)).await;
    get(&app, "/api/breakers").await;
    second.force_open();
    tokio::time::sleep(Duration::from_millis(1_700)).await;
    let (_, all) = get(&app, "/api/events").await;
    assert_eq!(all["events"][0]["to"], "forced-open");
}

#[tokio::test]
async fn names_may_be_equal_or_odd() {
    let roster = Roster::new();
    let odd = "a/b?c=%20&<d>";
    let all = [
        breaker("payments", &roster),
        breaker("payments", &roster),
        breaker(odd, &roster),
    ];
    let app: Router = Dashboard::new(&roster).router();
    let (_, list) = get(&app, "/api/breakers").await;
    assert_eq!(list["breakers"][1]["key"], "payments~2");
    assert_eq!(list["breakers"][1]["name"], "payments");
    let (status, one) = get(&app, "/api/breakers/a%2Fb%3Fc=%2520&%3Cd%3E").await;
    assert_eq!((status, &one["key"]), (StatusCode::OK, &json!(odd)));
    let (status, missing) = get(&app, "/api/breakers/none").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(missing["error"], "there is no breaker \"none\"");
    drop(all);
}

#[tokio::test]
async fn a_registry_is_one_card_with_its_worst_keys() {
    let roster = Roster::new();
    let dashboard = Dashboard::new(&roster);
    let template = CircuitBreaker::builder("tenants").on_transition(dashboard.listener());
    let tenants = Registry::<u32>::builder(template)
        .name_with(|tenant| format!("tenant-{tenant}"))
        .enlist(&roster)
        .build()
        .unwrap();
    for tenant in 0..50 {
        tenants.get_or_create(&tenant);
    }
    tenants.get_or_create(&7).force_open();
    let app: Router = dashboard.router();
    let (_, all) = get(&app, "/api/breakers").await;
    let card = &all["breakers"][0];
    assert_eq!(
        (&card["kind"], &card["states"]),
        (&json!("registry"), &json!([49, 0, 0, 1, 0, 0]))
    );
    assert_eq!(
        card["worst"],
        json!([{ "name": "tenant-7", "state": "forced-open" }])
    );
    assert_eq!(all["states"]["forced-open"], 1);
    let (_, one) = get(&app, "/api/breakers/tenant-7").await;
    assert_eq!(one["breaker"]["snapshot"]["state"], "forced-open");
    let (_, events) = get(&app, "/api/events").await;
    assert_eq!(events["events"][0]["name"], "tenant-7");
}

#[tokio::test]
async fn health_follows_the_rule() {
    let roster = Roster::new();
    let payments = breaker("payments", &roster);
    let rule = HealthRule::new().down_if_open("payments");
    let app: Router = Dashboard::new(&roster).health_rule(rule).router();
    let (status, health) = get(&app, "/health").await;
    assert_eq!(
        (status, &health["status"]),
        (StatusCode::OK, &json!("healthy"))
    );
    payments.force_open();
    let (status, health) = get(&app, "/health").await;
    assert_eq!(
        (status, &health["status"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("down"))
    );
}

/// Fails when: the task keeps the dashboard alive, or the dashboard the breakers.
#[tokio::test(start_paused = true)]
async fn nothing_is_kept_alive() {
    let roster = Roster::new();
    let payments = breaker("payments", &roster);
    let app: Router = Dashboard::new(&roster).router();
    get(&app, "/api/breakers").await;
    drop(payments);
    tokio::time::sleep(Duration::from_millis(1_700)).await;
    let (_, all) = get(&app, "/api/breakers").await;
    assert_eq!(all["breakers"], json!([]));
    let metrics = tokio::runtime::Handle::current().metrics();
    assert_eq!(metrics.num_alive_tasks(), 1);
    drop(app);
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(metrics.num_alive_tasks(), 0);
}

/// Fails when: a page shows a registry as healthy whose breakers reject.
#[tokio::test(start_paused = true)]
async fn a_registry_is_as_open_as_its_breakers() {
    let roster = Roster::new();
    let tenants = Registry::<u32>::builder(CircuitBreaker::builder("tenants"))
        .enlist(&roster)
        .build()
        .unwrap();
    let app: Router = Dashboard::new(&roster).router();
    for tenant in 0..10 {
        tenants.get_or_create(&tenant);
    }
    for (forced_open, state) in [
        (0, "closed"),
        (1, "half-open"),
        (4, "half-open"),
        (5, "open"),
    ] {
        for tenant in 0..forced_open {
            tenants.get_or_create(&tenant).force_open();
        }
        tokio::time::sleep(Duration::from_millis(1_700)).await;
        let (_, all) = get(&app, "/api/breakers").await;
        assert_eq!(all["breakers"][0]["state"], state, "{forced_open}");
    }
}
