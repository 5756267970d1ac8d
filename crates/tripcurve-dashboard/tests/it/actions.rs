use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use tripcurve::State;
use tripcurve::registry::{ControlGroup, Roster};
use tripcurve_dashboard::{Action, Attempt, Dashboard, Target};

use crate::{answer, breaker, get};

/// A request as the page makes it, with other headers.
async fn post(
    app: &Router,
    path: &str,
    body: &Value,
    headers: &[(&str, &str)],
) -> (StatusCode, String) {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_string())).unwrap();
    let (status, answer) = answer(app, request).await;
    let error = answer["error"].as_str().unwrap_or_default();
    (status, error.to_owned())
}

/// Headers of a request.
type Headers<'a> = &'a [(&'a str, &'a str)];

const JSON: (&str, &str) = ("content-type", "application/json");
const SAME: [(&str, &str); 2] = [JSON, ("sec-fetch-site", "same-origin")];

fn acting(roster: &Roster, group: &ControlGroup) -> Router {
    Dashboard::new(roster)
        .group("bank", group)
        .authorize(|attempt: &Attempt<'_>| {
            if attempt.action == Action::Disable {
                return Err("nobody may disable".to_owned());
            }
            let on = match attempt.target {
                Target::Breaker(key) => key,
                Target::Group(name) => name,
                _ => "another",
            };
            Ok(format!("ann at {on}"))
        })
        .router()
}

#[tokio::test]
async fn nobody_may_act_unless_a_function_allows_it() {
    let roster = Roster::new();
    let payments = breaker("payments", &roster);
    let app: Router = Dashboard::new(&roster).router();
    let body = json!({ "action": "force-open" });
    let (status, error) = post(&app, "/api/breakers/payments/actions", &body, &SAME).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(error.contains("authorization function"), "{error}");
    assert_eq!(payments.state(), State::Closed);
    let (_, about) = get(&app, "/api/about").await;
    assert_eq!(about["actions"], false);
}

#[tokio::test]
async fn each_action_acts_and_is_an_event_with_its_actor() {
    let roster = Roster::new();
    let payments = breaker("payments", &roster);
    let app = acting(&roster, &ControlGroup::new());
    let actions = [
        (json!({ "action": "trip", "seconds": 30.0 }), State::Open),
        (json!({ "action": "force-open" }), State::ForcedOpen),
        (json!({ "action": "metrics-only" }), State::MetricsOnly),
        (json!({ "action": "reset" }), State::Closed),
    ];
    for (body, state) in actions {
        let (status, error) = post(&app, "/api/breakers/payments/actions", &body, &SAME).await;
        assert_eq!((status, &*error), (StatusCode::OK, ""));
        assert_eq!(payments.state(), state);
    }
    let (_, events) = get(&app, "/api/events").await;
    let first = &events["events"][0];
    assert_eq!(
        (&first["kind"], &first["actor"]),
        (&json!("action"), &json!("ann at payments"))
    );
    assert_eq!(
        (&first["action"], &first["seconds"]),
        (&json!("trip"), &json!(30.0))
    );
    assert!(
        first["at_ms"]
            .as_u64()
            .is_some_and(|at| at > 1_600_000_000_000)
    );
}

#[tokio::test]
async fn a_group_is_isolated_and_released() {
    let (roster, group) = (Roster::new(), ControlGroup::new());
    let payments = breaker("payments", &roster);
    group.add(&payments);
    let app = acting(&roster, &group);
    for (action, state) in [("isolate", State::ForcedOpen), ("release", State::Closed)] {
        let body = json!({ "action": action });
        let (status, _) = post(&app, "/api/groups/bank/actions", &body, &SAME).await;
        assert_eq!((status, payments.state()), (StatusCode::OK, state));
    }
    let isolated = &get(&app, "/api/about").await.1["groups"][0];
    assert_eq!(isolated, &json!({ "name": "bank", "isolated": false }));
}

#[tokio::test]
async fn a_request_that_another_page_made_is_refused_with_a_reason() {
    let roster = Roster::new();
    let payments = breaker("payments", &roster);
    let app = acting(&roster, &ControlGroup::new());
    let body = json!({ "action": "force-open" });
    let host = ("host", "shop.example");
    let refused: [(Headers<'_>, StatusCode, &str); 8] = [
        (&[JSON], StatusCode::FORBIDDEN, "no Origin"),
        (
            &[JSON, ("sec-fetch-site", "cross-site")],
            StatusCode::FORBIDDEN,
            "cross-site",
        ),
        (
            &[JSON, ("sec-fetch-site", "same-site")],
            StatusCode::FORBIDDEN,
            "same-site",
        ),
        (
            &[JSON, ("sec-fetch-site", "none")],
            StatusCode::FORBIDDEN,
            "none",
        ),
        (
            &[JSON, host, ("origin", "https://evil.example")],
            StatusCode::FORBIDDEN,
            "evil",
        ),
        (
            &[JSON, host, ("origin", "null")],
            StatusCode::FORBIDDEN,
            "null",
        ),
        (
            &[JSON, ("origin", "https://")],
            StatusCode::FORBIDDEN,
            "https",
        ),
        (
            &[("content-type", "text/plain"), SAME[1]],
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "application/json",
        ),
    ];
    for (headers, expected, reason) in refused {
        let path = "/api/breakers/payments/actions";
        let (status, error) = post(&app, path, &body, headers).await;
        assert_eq!(status, expected, "{headers:?}");
        assert!(error.contains(reason), "{error}");
        assert_eq!(payments.state(), State::Closed);
    }
    let own = [JSON, host, ("origin", "https://shop.example")];
    let (status, _) = post(&app, "/api/breakers/payments/actions", &body, &own).await;
    assert_eq!(
        (status, payments.state()),
        (StatusCode::OK, State::ForcedOpen)
    );
}

#[tokio::test]
async fn nonsense_is_refused_with_a_reason() {
    let roster = Roster::new();
    let payments = breaker("payments", &roster);
    let app = acting(&roster, &ControlGroup::new());
    let breaker = "/api/breakers/payments/actions";
    let long = "x".repeat(5_000);
    let cases = [
        (
            breaker,
            json!({ "action": "disable" }),
            StatusCode::FORBIDDEN,
            "nobody may disable",
        ),
        (
            breaker,
            json!({ "action": "trip" }),
            StatusCode::BAD_REQUEST,
            "seconds",
        ),
        (
            breaker,
            json!({ "action": "trip", "seconds": -1.0 }),
            StatusCode::BAD_REQUEST,
            "-1",
        ),
        (
            breaker,
            json!({ "action": "trip", "seconds": 1e9 }),
            StatusCode::BAD_REQUEST,
            "86400",
        ),
        (
            breaker,
            json!({ "action": "explode" }),
            StatusCode::BAD_REQUEST,
            "explode",
        ),
        (
            breaker,
            json!({ "action": "isolate" }),
            StatusCode::BAD_REQUEST,
            "for groups",
        ),
        (
            breaker,
            json!([long]),
            StatusCode::BAD_REQUEST,
            "1024 bytes",
        ),
        (
            "/api/groups/bank/actions",
            json!({ "action": "reset" }),
            StatusCode::BAD_REQUEST,
            "for breakers",
        ),
        (
            "/api/groups/none/actions",
            json!({ "action": "isolate" }),
            StatusCode::NOT_FOUND,
            "none",
        ),
        (
            "/api/breakers/none/actions",
            json!({ "action": "reset" }),
            StatusCode::NOT_FOUND,
            "none",
        ),
    ];
    for (path, body, expected, reason) in cases {
        let (status, error) = post(&app, path, &body, &SAME).await;
        assert_eq!(status, expected, "{body}");
        assert!(error.contains(reason), "{error}");
    }
    assert_eq!(payments.state(), State::Closed);
    let (_, events) = get(&app, "/api/events").await;
    assert_eq!(events["events"], json!([]), "a refused action is no event");
}

/// Fails when: an action reaches the breaker that has got the key of another.
#[tokio::test(start_paused = true)]
async fn an_action_is_only_for_the_card_that_the_user_saw() {
    let roster = Roster::new();
    let [first, second, third] = [0; 3].map(|_| breaker("payments", &roster));
    let app = acting(&roster, &ControlGroup::new());
    get(&app, "/api/breakers").await;
    let own = "/api/breakers/payments/actions";
    let next = "/api/breakers/payments~2/actions";
    let act = |id: Value| json!({ "action": "force-open", "id": id });

    for id in [json!(2), json!(99)] {
        let (status, error) = post(&app, own, &act(id), &SAME).await;
        assert_eq!(status, StatusCode::CONFLICT);
        assert!(error.contains("another breaker"), "{error}");
    }
    assert_eq!(first.state(), State::Closed);
    for id in [json!(1), Value::Null] {
        let (status, error) = post(&app, own, &act(id), &SAME).await;
        assert_eq!((status, &*error), (StatusCode::OK, ""));
    }
    assert_eq!(first.state(), State::ForcedOpen);

    // The keys move at once, before the next frame.
    drop(first);
    for (path, id) in [(own, 1), (next, 2)] {
        let (status, _) = post(&app, path, &act(json!(id)), &SAME).await;
        assert_eq!(status, StatusCode::CONFLICT, "{path}");
    }
    tokio::time::sleep(Duration::from_millis(1_700)).await;
    let (_, list) = get(&app, "/api/breakers").await;
    let ids: Vec<&Value> = (0..2).map(|at| &list["breakers"][at]["id"]).collect();
    assert_eq!(
        ids,
        [&json!(4), &json!(5)],
        "moved breakers have other cards"
    );
    for (path, id) in [(own, 1), (next, 2)] {
        let (status, _) = post(&app, path, &act(json!(id)), &SAME).await;
        assert_eq!(status, StatusCode::CONFLICT, "{path}");
    }
    assert_eq!([second.state(), third.state()], [State::Closed; 2]);
    let (status, _) = post(&app, next, &act(json!(5)), &SAME).await;
    assert_eq!((status, third.state()), (StatusCode::OK, State::ForcedOpen));
}
