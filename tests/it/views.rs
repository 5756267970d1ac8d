//! The format of serialized views: as the guide shows it, with a word for each cause and state.

#![cfg(feature = "serde")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tripcurve::events::{Cause, Transition};
use tripcurve::outcome::{Label, Report};
use tripcurve::time::{Clock, MockClock};
use tripcurve::window::Recording;
use tripcurve::{CircuitBreaker, Outcome, Recovery, State, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);

/// The JSON blocks of the guide's page, in their order.
fn documented() -> Vec<Value> {
    let page = include_str!("../../src/docs/guide/watching.md");
    page.split("```json\n")
        .skip(1)
        .map(|rest| serde_json::from_str(rest.split_once("```").unwrap().0).unwrap())
        .collect()
}

/// The breaker of the guide's example, and what it has told.
#[allow(clippy::type_complexity, reason = "read once")]
fn tripped() -> (CircuitBreaker, MockClock, Arc<Mutex<Vec<Transition>>>) {
    let (clock, hand) = Clock::mock();
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&told);
    let breaker = CircuitBreaker::builder("payments")
        .clock(clock)
        .trip_when(TripPolicy::failure_rate(0.5).min_calls(4))
        .recovery(Recovery::fixed(5 * SECOND, 3))
        .on_transition(move |it| listener.lock().unwrap().push(it.clone()))
        .build()
        .unwrap();
    hand.advance(12 * SECOND);
    let timeout = Report::failure().label(Label::new("timeout"));
    for report in [
        Outcome::Success.into(),
        timeout,
        Outcome::Success.into(),
        timeout,
    ] {
        breaker.try_acquire().unwrap().record(report);
    }
    (breaker, hand, told)
}

#[test]
fn snapshot_and_transition_look_as_the_guide_shows_them() {
    let (breaker, hand, told) = tripped();
    let _ = breaker.try_acquire();
    hand.advance(SECOND / 2);
    let snapshot = serde_json::to_value(breaker.snapshot()).unwrap();
    let transition = serde_json::to_value(&told.lock().unwrap()[0]).unwrap();
    let [shown_transition, shown_snapshot] = documented().try_into().unwrap();
    assert_eq!(transition, shown_transition, "{transition:#}");
    assert_eq!(snapshot, shown_snapshot, "{snapshot:#}");
}

fn causes() -> Vec<Cause> {
    let second = SECOND;
    vec![
        Cause::ConsecutiveFailures {
            failures: 5,
            limit: 5,
        },
        Cause::FailureCount {
            failures: 1,
            calls: 2,
            limit: 1,
        },
        Cause::FailureRate {
            failures: 1,
            calls: 2,
            threshold: 0.5,
        },
        Cause::BurnRate {
            failures: 1,
            calls: 2,
            short_failures: 1,
            short_calls: 1,
            objective: 0.99,
            factor: 14.4,
        },
        Cause::SlowRate {
            slow: 1,
            calls: 2,
            threshold: 0.5,
        },
        Cause::LatencyPercentile {
            percentile: 99.0,
            measured: second,
            limit: second / 2,
        },
        Cause::SlowerThanUsual {
            percentile: 99.0,
            measured: second,
            usual: second / 4,
        },
        Cause::Evidence {
            failures: 1,
            calls: 2,
            within: second,
            usual: 0.01,
            nats: 19.0,
            needed: 18.0,
        },
        Cause::Fleet {
            members: 7,
            failures: 9,
            calls: 9,
            nats: 19.0,
            needed: 18.0,
        },
        Cause::TripRequested,
        Cause::OpenExpired,
        Cause::HealthCheckSucceeded,
        Cause::HealthCheckFailed,
        Cause::ProbesSucceeded { probes: 3 },
        Cause::EnoughProbesSucceeded {
            succeeded: 2,
            probes: 3,
        },
        Cause::TooManyProbesFailed {
            failed: 2,
            probes: 3,
        },
        Cause::TooManyProbesSlow { slow: 2, probes: 3 },
        Cause::HalfOpenExpired,
        Cause::ProbeFailed,
        Cause::ProbeSlow,
        Cause::ProbesOverdue { probes: 1 },
        Cause::ProbeSucceeded { share: 0.1 },
        Cause::RampCompleted {
            failures: 0,
            calls: 9,
        },
        Cause::RampFailed {
            failures: 5,
            calls: 9,
            share: 0.1,
        },
        Cause::RampOverdue { share: 0.1 },
        Cause::Reconfigured,
        Cause::Manual,
        Cause::Isolated,
        Cause::Released,
    ]
}

#[test]
fn each_cause_has_a_kind_of_its_own_its_numbers_and_a_text() {
    let mut kinds = BTreeSet::new();
    // A test beside the source says that each variant is listed there.
    let source = include_str!("../../src/events/kind.rs");
    let rows = source.lines().filter(|line| line.contains("/// | "));
    let listed: String = rows.collect();
    for cause in causes() {
        let value = serde_json::to_value(cause).unwrap();
        assert_eq!(value["kind"], cause.kind());
        assert_eq!(value["text"], cause.to_string());
        assert!(kinds.insert(cause.kind()), "{cause:?} twice");
        assert!(listed.contains(&format!("`{}`", cause.kind())), "{cause:?}");
        for (name, number) in value.as_object().unwrap() {
            assert!(
                name == "kind" || name == "text" || number.is_number(),
                "{cause:?}: {name} is {number}"
            );
        }
        // A format that needs the number of fields beforehand gets the right one.
        let bytes = postcard::to_stdvec(&cause).unwrap();
        assert_eq!(usize::from(bytes[0]), value.as_object().unwrap().len());
    }
    assert_eq!(listed.matches('`').count(), 2 * kinds.len(), "{kinds:?}");
}

#[test]
fn times_are_seconds_and_say_so() {
    let measured = Cause::LatencyPercentile {
        percentile: 99.0,
        measured: Duration::from_millis(1_500),
        limit: SECOND,
    };
    let expected = json!({
        "kind": "latency_percentile",
        "percentile": 99.0,
        "measured_seconds": 1.5,
        "limit_seconds": 1.0,
        "text": "p99 was 1.5s (limit 1s)",
    });
    assert_eq!(serde_json::to_value(measured).unwrap(), expected);
}

#[test]
fn a_number_that_json_cannot_write_is_null() {
    let odd = Cause::FailureRate {
        failures: 0,
        calls: 0,
        threshold: f64::NAN,
    };
    assert_eq!(serde_json::to_value(odd).unwrap()["threshold"], Value::Null);
}

#[test]
fn each_state_is_spelled_as_everywhere() {
    for state in [
        State::Closed,
        State::Open,
        State::HalfOpen,
        State::ForcedOpen,
        State::Disabled,
        State::MetricsOnly,
    ] {
        assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
    }
}

#[test]
fn what_a_breaker_does_not_have_is_null() {
    let breaker = CircuitBreaker::builder("api").clock(Clock::mock().0);
    let breaker = breaker.latency(Recording::Combined).build().unwrap();
    let value = serde_json::to_value(breaker.snapshot()).unwrap();
    for name in [
        "remaining_open_seconds",
        "failure_rate",
        "admitted_share",
        "latest_opening",
    ] {
        assert_eq!(value[name], Value::Null, "{name}");
    }
    assert_eq!(value["version"], 1);
    assert_eq!(value["latency"]["calls"], 0);
    assert_eq!(value["latency"]["p99_seconds"], Value::Null);
    breaker
        .try_acquire()
        .unwrap()
        .record(Report::success().took(SECOND));
    let value = serde_json::to_value(breaker.snapshot()).unwrap();
    let p99 = value["latency"]["p99_seconds"].as_f64().unwrap();
    assert!((0.96..1.04).contains(&p99), "{p99}");
    assert_eq!(value["latency_of_failures"], Value::Null);
}
