//! A card shows the fleet that its breaker has joined.

use axum::Router;
use serde_json::{Value, json};
use tripcurve::registry::Roster;
use tripcurve_dashboard::Dashboard;
use tripcurve_dashboard::fleet::{FleetState, FleetTest, JoinedBreaker, MemberStatus};

use crate::{breaker, get};

fn status(members: u64) -> MemberStatus {
    let mut usual = FleetTest::new("usual", 9.0, 6.0);
    usual.failures = 4;
    usual.evidence = 3.123_456;
    usual.without_loudest = Some(1.5);
    let mut payments = JoinedBreaker::new("payments");
    payments.state = FleetState::Ramp;
    payments.share = 0.25;
    payments.members = members;
    payments.calls_per_second = 80.0;
    payments.tests = vec![usual, FleetTest::new("tolerated", 2.0, 1.0)];
    payments.left_out = 2;
    MemberStatus::new(vec![payments])
}

#[tokio::test]
async fn a_card_has_the_fleet_that_its_breaker_has_joined() {
    let roster = Roster::new();
    let _breakers = ["payments", "search"].map(|name| breaker(name, &roster));
    let app: Router = Dashboard::new(&roster)
        .fleet(|| panic!("a source that panics tells nothing"))
        .fleet(|| status(20))
        // Of two sources, the first counts.
        .fleet(|| status(30))
        .router();
    let (_, all) = get(&app, "/api/breakers").await;
    let expected = json!({
        "state": "ramp",
        "local_only": null,
        "members": 20,
        "calls_per_second": 80.0,
        "share": 0.25,
        "tests": [
            {
                "against": "usual", "failures": 4, "evidence": 3.123, "needed": 9.0,
                "without_loudest": 1.5, "needed_without_loudest": 6.0,
            },
            {
                "against": "tolerated", "failures": 0, "evidence": 0.0, "needed": 2.0,
                "without_loudest": null, "needed_without_loudest": 1.0,
            },
        ],
        "left_out": 2,
    });
    assert_eq!(all["breakers"][0]["fleet"], expected);
    assert_eq!(all["breakers"][1]["fleet"], Value::Null);
    let (_, one) = get(&app, "/api/breakers/payments").await;
    assert_eq!(one["card"]["fleet"], expected);
}

#[tokio::test]
async fn a_card_says_why_its_breaker_decides_alone() {
    let roster = Roster::new();
    let _payments = breaker("payments", &roster);
    let app: Router = Dashboard::new(&roster)
        .fleet(|| {
            let mut status = status(0);
            status.local_only = Some("the store is unavailable".into());
            status
        })
        .router();
    let (_, all) = get(&app, "/api/breakers").await;
    let fleet = &all["breakers"][0]["fleet"];
    assert_eq!(fleet["local_only"], "the store is unavailable");
}

#[tokio::test]
async fn without_a_source_no_card_has_a_fleet() {
    let roster = Roster::new();
    let _payments = breaker("payments", &roster);
    let app: Router = Dashboard::new(&roster).router();
    let (_, all) = get(&app, "/api/breakers").await;
    assert_eq!(all["breakers"][0]["fleet"], Value::Null);
}
