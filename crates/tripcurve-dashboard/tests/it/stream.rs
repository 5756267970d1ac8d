use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tower::ServiceExt as _;
use tripcurve::CircuitBreaker;
use tripcurve::registry::{Registry, Roster};
use tripcurve_dashboard::Dashboard;

use crate::{breaker, trip};

/// A stream, as a browser reads it.
struct Stream {
    body: Body,
    id: String,
    /// The length of the last message.
    bytes: usize,
}

impl Stream {
    async fn open(app: &Router, show: &str, last: Option<&str>) -> Self {
        let path = format!("/api/stream?show={show}");
        let request = Request::get(path).header("last-event-id", last.unwrap_or_default());
        let request = request.body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            body: response.into_body(),
            id: String::new(),
            bytes: 0,
        }
    }

    async fn next(&mut self) -> Value {
        let frame = timeout(Duration::from_secs(8), self.body.frame()).await;
        let frame = frame.unwrap().unwrap().unwrap();
        let text = String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap();
        self.bytes = text.len();
        let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        line("id: ").unwrap_or_default().clone_into(&mut self.id);
        assert_eq!(line("event: "), Some("delta"));
        serde_json::from_str(line("data: ").unwrap()).unwrap()
    }
}

#[tokio::test]
async fn a_trip_is_in_the_stream_within_two_seconds() {
    let roster = Roster::new();
    let payments = breaker("payments", &roster);
    let app: Router = Dashboard::new(&roster).router();
    let mut stream = Stream::open(&app, "1", None).await;
    let first = stream.next().await;
    assert_eq!(
        (&first["reset"], &first["cards"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(first["briefs"], json!([[1, "payments", 0, 0, 0, 0]]));
    assert_eq!(first["details"][0]["key"], "payments");
    trip(&payments);
    let tripped = Instant::now();
    let delta = loop {
        let delta = stream.next().await;
        if !delta["briefs"].is_null() {
            break delta;
        }
    };
    assert!(tripped.elapsed() < Duration::from_secs(2));
    assert_eq!(delta["briefs"][0][2], 1);
    assert!(delta["briefs"][0][1].is_null(), "the name was sent before");
    assert_eq!(delta["events"][0]["to"], "open");
    assert!(delta["reset"].is_null());
}

/// Fails when: the sampler rests though a page is open.
#[tokio::test(start_paused = true)]
async fn an_open_page_is_told_of_each_change_within_two_seconds() {
    let roster = Roster::new();
    let payments = breaker("payments", &roster);
    let app: Router = Dashboard::new(&roster).router();
    let mut stream = Stream::open(&app, "1", None).await;
    stream.next().await;
    for place in [3, 4, 3, 4] {
        tokio::time::sleep(Duration::from_millis(3_300)).await;
        if place == 3 {
            payments.force_open();
        } else {
            payments.disable();
        }
        let changed = Instant::now();
        let mut delta = stream.next().await;
        while delta["briefs"].is_null() {
            delta = stream.next().await;
        }
        assert_eq!(delta["briefs"][0][2], place);
        assert!(changed.elapsed() < Duration::from_secs(2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_comes_back_gets_only_what_is_news() {
    let roster = Roster::new();
    let all = [breaker("payments", &roster), breaker("search", &roster)];
    let app: Router = Dashboard::new(&roster).router();
    let mut stream = Stream::open(&app, "1,2", None).await;
    let first = stream.next().await;
    assert_eq!(first["details"].as_array().unwrap().len(), 2);
    let last = stream.id.clone();
    drop(stream);

    all[1].force_open();
    let mut stream = Stream::open(&app, "1,2", Some(&last)).await;
    let mut again = stream.next().await;
    assert!(again["reset"].is_null());
    while again["briefs"].is_null() {
        again = stream.next().await;
    }
    assert_eq!(again["briefs"], json!([[2, null, 3, 0, 0, 0]]));
    assert_eq!(again["details"].as_array().unwrap().len(), 1);

    // A page of another run of the program begins again.
    let mut stream = Stream::open(&app, "", Some("0-1-1-1-1")).await;
    assert_eq!(stream.next().await["reset"], true);
    drop(all);
}

/// Fails when: a message is sent as soon as something changes.
#[tokio::test(start_paused = true)]
async fn a_page_gets_at_most_one_message_a_second() {
    let roster = Roster::new();
    let payments = breaker("payments", &roster);
    let app: Router = Dashboard::new(&roster).router();
    let mut stream = Stream::open(&app, "1", None).await;
    stream.next().await;
    for _ in 0..5 {
        let before = Instant::now();
        payments.force_open();
        payments.reset();
        stream.next().await;
        assert!(before.elapsed() >= Duration::from_secs(1));
    }
}

/// Fails when: a stream without changes is silent, as that of a program that hangs.
#[tokio::test(start_paused = true)]
async fn a_page_is_told_that_the_program_is_there_though_nothing_changes() {
    let roster = Roster::new();
    let _payments = breaker("payments", &roster);
    let app: Router = Dashboard::new(&roster).router();
    let mut stream = Stream::open(&app, "", None).await;
    stream.next().await;
    for _ in 0..3 {
        let before = Instant::now();
        let beat = stream.next().await;
        for news in ["briefs", "gone", "details", "events"] {
            assert!(beat[news].is_null(), "{beat}");
        }
        assert_eq!(beat["cards"], 1);
        let waited = before.elapsed();
        assert!((Duration::from_secs(5)..Duration::from_secs(8)).contains(&waited));
    }
}

/// Fails when: two streams of one page share what the page knows.
#[tokio::test(start_paused = true)]
async fn a_new_stream_of_a_page_ends_the_former_one() {
    let roster = Roster::new();
    let _payments = breaker("payments", &roster);
    let app: Router = Dashboard::new(&roster).router();
    let mut first = Stream::open(&app, "1", None).await;
    first.next().await;
    let mut second = Stream::open(&app, "", Some(&first.id)).await;
    second.next().await;
    let end = timeout(Duration::from_secs(8), first.body.frame()).await;
    assert!(end.unwrap().is_none());
}

/// Fails when: a HEAD request takes the session of the page.
#[tokio::test(start_paused = true)]
async fn a_head_request_leaves_the_stream_of_a_page_alone() {
    let roster = Roster::new();
    let payments = breaker("payments", &roster);
    let app: Router = Dashboard::new(&roster).router();
    let mut stream = Stream::open(&app, "1", None).await;
    stream.next().await;
    let head = Request::head(format!("/api/stream?last={}", stream.id));
    let head = head.body(Body::empty()).unwrap();
    let response = app.clone().oneshot(head).await.unwrap();
    assert!(response.status().is_success());
    payments.force_open();
    while stream.next().await["events"].is_null() {}
}

/// Fails when: events of a burst are lost because they don't fit into one message.
#[tokio::test(start_paused = true)]
async fn a_burst_of_events_comes_in_several_messages() {
    let roster = Roster::new();
    let payments = breaker("payments", &roster);
    let app: Router = Dashboard::new(&roster).router();
    let mut stream = Stream::open(&app, "1", None).await;
    stream.next().await;
    for _ in 0..20 {
        payments.force_open();
        payments.reset();
    }
    let mut ids = Vec::new();
    while ids.len() < 40 {
        let delta = stream.next().await;
        let events = delta["events"].as_array().cloned().unwrap_or_default();
        assert!(events.len() <= 15);
        ids.extend(events.iter().map(|event| event["id"].as_u64().unwrap()));
    }
    assert_eq!(ids, (1..=40).collect::<Vec<_>>());
}

/// Fails when: a card that is too long for a message keeps all cards behind it from the page.
#[tokio::test(start_paused = true)]
async fn a_card_that_is_too_long_is_sent_alone() {
    let roster = Roster::new();
    // JSON writes each character of these names as six.
    let _tenants = with_names(&roster, |tenant| format!("{}{tenant}", "\u{1}".repeat(190)));
    let _payments = breaker("payments", &roster);
    let app: Router = Dashboard::new(&roster).router();
    let mut stream = Stream::open(&app, "1,2", None).await;
    let mut cards = Vec::new();
    for _ in 0..2 {
        let delta = stream.next().await;
        let details = delta["details"].as_array().into_iter().flatten();
        cards.extend(details.map(|detail| detail["id"].as_u64()));
    }
    assert_eq!(cards, [Some(1), Some(2)]);
}

/// A registry of twenty breakers that are open.
fn with_names(roster: &Roster, name: fn(&u32) -> String) -> Registry<u32> {
    let template = CircuitBreaker::builder("tenants");
    let tenants = Registry::<u32>::builder(template).name_with(name);
    let tenants = tenants.enlist(roster).build().unwrap();
    for tenant in 0..20 {
        tenants.get_or_create(&tenant).force_open();
    }
    tenants
}

#[tokio::test]
async fn the_worst_keys_of_a_registry_fit_into_a_message() {
    let roster = Roster::new();
    let _tenants = with_names(&roster, |tenant| format!("{}{tenant}", "x".repeat(1_000)));
    let app: Router = Dashboard::new(&roster).router();
    let mut stream = Stream::open(&app, "1", None).await;
    let delta = stream.next().await;
    assert_eq!(delta["details"][0]["worst"].as_array().unwrap().len(), 20);
    assert!(stream.bytes < 10_000, "{} bytes", stream.bytes);
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_is_told() {
    let roster = Roster::new();
    let all = [breaker("payments", &roster), breaker("search", &roster)];
    let app: Router = Dashboard::new(&roster).router();
    let mut stream = Stream::open(&app, "", None).await;
    stream.next().await;
    drop(all);
    let mut delta = stream.next().await;
    while delta["gone"].is_null() {
        delta = stream.next().await;
    }
    let mut gone: Vec<_> = delta["gone"]
        .as_array()
        .unwrap()
        .iter()
        .map(Value::as_u64)
        .collect();
    gone.sort_unstable();
    assert_eq!(gone, [Some(1), Some(2)]);
    assert_eq!(delta["cards"], 0);
}

/// Fails when: a message has no limit, or a card waits for ever behind others.
#[tokio::test(start_paused = true)]
async fn thousands_of_breakers_come_in_small_messages() {
    let roster = Roster::new();
    let build = |number| {
        let name = format!("a-shard-with-a-longish-name-{number:05}");
        CircuitBreaker::builder(name)
            .shards(1)
            .enlist(&roster)
            .build()
            .unwrap()
    };
    let all: Vec<_> = (0..2_000).map(build).collect();
    all[1_999].force_open();
    let app: Router = Dashboard::new(&roster).router();
    let shown: Vec<String> = (1..=100).map(|id| id.to_string()).collect();
    let mut stream = Stream::open(&app, &shown.join(","), None).await;
    let (mut cards, mut details) = (0, 0);
    let mut is_first = true;
    while cards < 2_000 || details < 100 {
        let delta = stream.next().await;
        assert!(stream.bytes < 50_000, "{} bytes", stream.bytes);
        let count = |what: &str| delta[what].as_array().map_or(0, Vec::len);
        if is_first {
            assert_eq!(delta["briefs"][0][2], 3, "those in trouble come first");
            is_first = false;
        }
        cards += count("briefs");
        details += count("details");
    }
    assert_eq!(cards, 2_000);
}
