//! The JSON API, version 1. README.md documents it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tripcurve::CircuitBreaker;
use tripcurve::snapshot::Latency;

use crate::events::Event;
use crate::history::STEP;
use crate::row::{Level, STATES, short};
use crate::sampler::find;
use crate::shared::Shared;
use crate::stream::{Subscription, messages};

/// How many pages may be open at once.
const STREAMS: usize = 256;

/// How many events an answer has, unless asked for more or less.
const EVENTS: usize = 200;

type Dashboard = State<Arc<Shared>>;

/// What the page needs to know first.
pub(crate) async fn about(State(shared): Dashboard) -> Json<Value> {
    let groups: Vec<Value> = shared
        .settings
        .groups
        .iter()
        .map(|(name, group)| json!({ "name": name, "isolated": group.is_isolated() }))
        .collect();
    Json(json!({
        "version": 1,
        "title": shared.settings.title,
        "boot": shared.boot,
        "states": STATES,
        "actions": shared.settings.authorize.is_some(),
        "groups": groups,
    }))
}

/// All breakers and registries.
pub(crate) async fn breakers(State(shared): Dashboard) -> Json<Value> {
    let frame = shared.fresh_frame().await;
    Json(json!({
        "version": 1,
        "at_ms": frame.at_ms,
        "states": by_name(frame.states),
        "breakers": frame.rows,
    }))
}

fn by_name(counts: [u32; 6]) -> BTreeMap<&'static str, u32> {
    STATES.iter().map(|it| it.as_str()).zip(counts).collect()
}

/// One breaker or registry, with its last hour.
pub(crate) async fn breaker(State(shared): Dashboard, Path(key): Path<String>) -> Response {
    let frame = shared.fresh_frame().await;
    let card = frame.row_of(&key);
    let breaker = find(&shared, &key);
    if card.is_none() && breaker.is_none() {
        let error = format!("there is no breaker {key:?}");
        let error = json!({ "version": 1, "error": error });
        return (StatusCode::NOT_FOUND, Json(error)).into_response();
    }
    let events = shared.log().latest(100, |event| *event.name == *key);
    let mut answer = json!({
        "version": 1,
        "at_ms": frame.at_ms,
        "key": key,
        "card": card,
        "events": events,
        "history": { "step_ms": STEP, "points": shared.points(&key) },
    });
    if let Some(breaker) = breaker {
        answer["breaker"] = whole(&breaker);
    }
    Json(answer).into_response()
}

/// All that a breaker tells.
fn whole(breaker: &CircuitBreaker) -> Value {
    let snapshot = breaker.snapshot();
    let levels = breaker.trip_levels();
    let levels: Vec<Level> = levels.iter().map(Level::from).collect();
    let settings = breaker.settings_in_words().into_iter();
    let settings: Vec<Value> = settings
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    json!({
        "snapshot": snapshot,
        "levels": levels,
        "settings": settings,
        "durations": snapshot.latency().map(durations),
    })
}

/// A histogram of four bins to an octave: arrays of the longest duration in seconds, and calls.
fn durations(latency: &Latency) -> Vec<(f64, u64)> {
    let mut bins = BTreeMap::<i32, u64>::new();
    for bin in latency.histogram().iter_recorded() {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "a logarithm is small"
        )]
        let place = ((bin.value_iterated_to() as f64).log2() * 4.0).ceil() as i32;
        *bins.entry(place).or_default() += bin.count_since_last_iteration();
    }
    let seconds = |place: i32| short((f64::from(place) / 4.0).exp2() / 1e9);
    let bins = bins.into_iter();
    bins.map(|(place, calls)| (seconds(place), calls)).collect()
}

/// Which events an answer has.
#[derive(Debug, Deserialize)]
pub(crate) struct Which {
    breaker: Option<String>,
    before: Option<u64>,
    limit: Option<usize>,
}

/// The latest events, the oldest first.
pub(crate) async fn events(State(shared): Dashboard, Query(which): Query<Which>) -> Json<Value> {
    let _taken = shared.fresh_frame().await;
    let before = which.before.unwrap_or(u64::MAX);
    let is_wanted = |event: &Event| {
        let mut name = which.breaker.iter();
        event.id < before && name.all(|name| *event.name == **name)
    };
    let events = shared
        .log()
        .latest(which.limit.unwrap_or(EVENTS).min(2_000), is_wanted);
    Json(json!({ "version": 1, "last": shared.log().last(), "events": events }))
}

/// How well the program can do its work, with 503 if it can't.
pub(crate) async fn health(State(shared): Dashboard) -> Response {
    let health = shared.roster().health(&shared.settings.rule);
    let status = if health.is_down() {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    (status, Json(health)).into_response()
}

/// What a stream is to show.
#[derive(Debug, Deserialize)]
pub(crate) struct Shown {
    show: Option<String>,
    last: Option<String>,
}

/// The stream of changes.
pub(crate) async fn stream(
    State(shared): Dashboard,
    Query(shown): Query<Shown>,
    headers: HeaderMap,
) -> Response {
    let Some(open) = shared.open_stream(STREAMS) else {
        let error = format!("{STREAMS} streams are open; close a page");
        let error = json!({ "version": 1, "error": error });
        return (StatusCode::SERVICE_UNAVAILABLE, Json(error)).into_response();
    };
    let _ready = shared.fresh_frame().await;
    // A browser that comes back by itself asks the old address, and tells the last message here.
    let again = headers.get("last-event-id").and_then(|it| it.to_str().ok());
    let subscription = Subscription::parse(shown.show.as_deref(), again.or(shown.last.as_deref()));
    let stream = Sse::new(messages(open, subscription)).keep_alive(KeepAlive::default());
    stream.into_response()
}
