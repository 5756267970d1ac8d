//! A state has one name wherever it is shown, written or read.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tripcurve::time::Clock;
use tripcurve::{CircuitBreaker, State};

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
        // A half-open breaker rejects calls when its probes' places are taken.
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
fn a_state_has_the_same_name_in_a_saved_value() {
    for (state, name) in NAMES {
        let saved = in_state(state).save();
        assert_eq!(saved.state(), state);
        let value = serde_json::to_value(&saved).unwrap();
        assert_eq!(value.pointer("/core/state").unwrap(), name);
    }
}
