//! A state has one name, wherever it is shown, written or read.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tripcurve::{CircuitBreaker, Clock, State};

const NAMES: [(State, &str); 6] = [
    (State::Closed, "closed"),
    (State::Open, "open"),
    (State::HalfOpen, "half-open"),
    (State::ForcedOpen, "forced-open"),
    (State::Disabled, "disabled"),
    (State::MetricsOnly, "metrics-only"),
];

fn in_state(state: State) -> CircuitBreaker {
    let builder = CircuitBreaker::builder("api").clock(Clock::mock().0);
    builder.start_in(state).build().unwrap()
}

#[test]
fn a_state_has_the_same_name_in_each_text() {
    for (state, name) in NAMES {
        assert_eq!(state.as_str(), name);
        assert_eq!(state.to_string(), name);
        let snapshot = in_state(state).snapshot().to_string();
        assert!(
            snapshot.starts_with(&format!("api is {name} for ")),
            "{snapshot}"
        );
        // A half-open breaker rejects when the places of its probes are taken.
        let breaker = in_state(state);
        let _probes: Vec<_> = (0..3).map(|_| breaker.try_acquire()).collect();
        if let Err(rejected) = breaker.try_acquire() {
            let text = rejected.to_string();
            assert!(
                text.starts_with(&format!("circuit breaker api is {name}")),
                "{text}"
            );
        }
    }
}

#[test]
fn a_state_has_the_same_name_in_a_transition() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let breaker = CircuitBreaker::builder("api")
        .probes(1)
        .clock(Clock::mock().0);
    let breaker = breaker
        .on_transition({
            let told = Arc::clone(&told);
            move |transition| told.lock().unwrap().push(transition.to_string())
        })
        .build()
        .unwrap();
    breaker.trip(Duration::MAX);
    breaker.force_open();
    breaker.disable();
    breaker.metrics_only();
    breaker.reset();
    let told = told.lock().unwrap();
    let ways = [
        "closed -> open",
        "open -> forced-open",
        "forced-open -> disabled",
    ];
    let ways = ways
        .into_iter()
        .chain(["disabled -> metrics-only", "metrics-only -> closed"]);
    for (told, way) in told.iter().zip(ways) {
        assert!(told.starts_with(&format!("api: {way}, ")), "{told}");
    }
    assert_eq!(told.len(), 5);
}

#[cfg(feature = "serde")]
#[test]
fn a_state_has_the_same_name_in_a_file() {
    use tripcurve::Config;

    for (state, name) in NAMES {
        let file = format!("[breakers.api]\nstart_in = \"{name}\"\n");
        let config: Config = toml::from_str(&file).unwrap();
        assert_eq!(config.build("api").unwrap().state(), state);
        assert_eq!(toml::to_string(&config).unwrap(), file);
    }
    for other in [
        "forced open",
        "forced_open",
        "metrics only",
        "metrics_only",
        "Closed",
    ] {
        let file = format!("[breakers.api]\nstart_in = \"{other}\"\n");
        assert!(toml::from_str::<Config>(&file).is_err(), "{other}");
    }
}

#[cfg(feature = "serde")]
#[test]
fn a_state_has_the_same_name_in_the_schema_of_files() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/config.schema.json");
    let text = std::fs::read_to_string(path).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    let names = NAMES.map(|(_, name)| name);
    for kind in ["Breaker", "Template"] {
        let path = format!("/definitions/{kind}/properties/start_in/enum");
        assert_eq!(
            schema.pointer(&path).unwrap(),
            &serde_json::json!(names),
            "{kind}"
        );
    }
}

#[cfg(feature = "serde")]
#[test]
fn a_state_has_the_same_name_in_a_saved_value() {
    for (state, name) in NAMES {
        let saved = in_state(state).save();
        assert_eq!(saved.state(), state);
        let value = serde_json::to_value(&saved).unwrap();
        assert_eq!(value.pointer("/core/state").unwrap(), name);
    }
}
