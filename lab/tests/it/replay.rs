//! Policies on logs whose result can be counted by hand.

use proptest::prelude::*;
use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

use tripcurve::error::ConfigError;
use tripcurve::window::Window;
use tripcurve::{CircuitBreaker, TripPolicy};
use tripcurve_config::Config;
use tripcurve_lab::log::{Call, Log};
use tripcurve_lab::peers::catalogue;
use tripcurve_lab::replay::{Contestant, Course, Policy, Tally, Trip};

const MILLISECOND: u64 = 1_000_000;

fn run(policy: &str, calls: &[Call]) -> Course {
    let contestant: Contestant = policy.parse().unwrap();
    contestant.run(calls).unwrap()
}

/// A call every 100 ms that takes 10 ms. `fails` tells which of them fail.
fn calls(number: u64, fails: impl Fn(u64) -> bool) -> Vec<Call> {
    (0..number)
        .map(|index| Call {
            began: index * 100 * MILLISECOND,
            took: 10 * MILLISECOND,
            succeeded: !fails(index),
        })
        .collect()
}

fn failed(call: &Call) -> bool {
    !call.succeeded
}

#[test]
fn a_trip_comes_where_it_must_and_saves_and_loses_what_can_be_counted_by_hand() {
    // Calls 5 to 19 fail. The third failure, call 7, ends at 710 ms. Calls 8 to 17 are rejected.
    // Call 18 is a probe, which fails at 1,810 ms. Calls 19 to 28 are rejected. Call 29 is a probe,
    // which succeeds at 2,910 ms.
    let calls = calls(40, |index| (5..20).contains(&index));
    let course = run("consecutive:3:open=1s:probes=1", &calls);
    let rejected: Vec<_> = (0..40).filter(|&index| !course.admitted[index]).collect();
    let expected: Vec<_> = (8..18).chain(19..29).collect();
    assert_eq!(rejected, expected);
    assert_eq!(
        course.trips,
        [Trip {
            at: 710 * MILLISECOND,
            cause: Some("3 calls in a row failed (limit 3)".to_owned()),
            closed: Some(2_910 * MILLISECOND),
            relapses: 1,
            calls: 8..30,
        }]
    );
    assert_eq!(
        Tally::of(&calls, &course.admitted, failed),
        Tally {
            bad_made: 4,
            bad_saved: 11,
            good_made: 16,
            good_lost: 9,
            wait_saved: u128::from(110 * MILLISECOND),
        }
    );
}

#[test]
fn a_trip_that_the_log_ends_in_is_not_closed() {
    let calls = calls(10, |index| index >= 4);
    let course = run("consecutive:2", &calls);
    let trip = &course.trips[0];
    assert_eq!((trip.closed, trip.calls.clone()), (None, 6..10));
}

#[test]
fn a_call_counts_when_it_ends_and_before_one_that_begins_then() {
    let call = |began, took, succeeded| Call {
        began: began * MILLISECOND,
        took: took * MILLISECOND,
        succeeded,
    };
    let calls = [
        call(0, 1_000, false),
        call(500, 10, true),
        call(999, 10, true),
        call(1_000, 10, true),
    ];
    let course = run("consecutive:1", &calls);
    assert_eq!(course.admitted, [true, true, true, false]);
    assert_eq!(course.trips[0].at, 1_000 * MILLISECOND);
}

#[test]
fn a_call_that_hangs_trips_before_it_comes_back() {
    let hanging = |index: u64| Call {
        began: index * 100 * MILLISECOND,
        took: 60_000 * MILLISECOND,
        succeeded: true,
    };
    let calls: Vec<_> = (0..50).map(hanging).collect();
    let course = run("slow-rate:0.5:slower=1s:min=5", &calls);
    let trip = &course.trips[0];
    assert!(
        (1_000..2_000).contains(&(trip.at / MILLISECOND)),
        "{trip:?}"
    );
    assert!(
        trip.cause.as_ref().unwrap().contains("calls were slow"),
        "{trip:?}"
    );
}

#[test]
fn the_adaptive_policy_says_what_evidence_it_saw() {
    let calls = calls(2_000, |index| index >= 1_500);
    let course = run("adaptive", &calls);
    let trip = &course.trips[0];
    assert!((1_500..1_520).contains(&trip.calls.start), "{trip:?}");
    assert!(trip.cause.as_ref().unwrap().contains("nats"), "{trip:?}");
}

#[test]
fn every_peer_replays_by_its_name_and_most_trip_on_an_outage() {
    let calls = calls(6_000, |index| (2_000..4_000).contains(&index));
    let trips: Vec<_> = catalogue()
        .iter()
        .map(|entry| entry.name)
        .chain(["resilience4j", "polly", "envoy", "sre"])
        .map(|name| {
            let course = run(name, &calls);
            assert_eq!(course.admitted.len(), calls.len(), "{name}");
            (name, course.trips.len())
        })
        .collect();
    for name in ["resilience4j", "hystrix", "polly", "gobreaker", "sentinel"] {
        assert!(trips.contains(&(name, 1)), "{name}: {trips:?}");
    }
}

fn any_calls() -> impl Strategy<Value = Vec<Call>> {
    let call = (0..2_000_u64, 0..3_000_u64, any::<bool>());
    prop::collection::vec(call, 1..300).prop_map(|calls| {
        let mut now = 0;
        calls
            .into_iter()
            .map(|(gap, took, succeeded)| {
                now += gap * MILLISECOND / 4;
                Call {
                    began: now,
                    took: took * MILLISECOND / 3,
                    succeeded,
                }
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn calls_are_rejected_between_a_trip_and_its_end_alone(
        calls in any_calls(),
        policy in prop::sample::select(vec![
            "default", "classic", "consecutive:2", "error-rate:0.5:min=5", "adaptive", "failure-count:3:open=2s",
            "slow-rate:0.5:slower=300ms:min=4", "hystrix-tuned", "polly-tuned", "gobreaker",
            "r4j-count20-tuned",
        ]),
    ) {
        let course = run(policy, &calls);
        prop_assert_eq!(course.admitted.len(), calls.len());
        let mut before = 0;
        for trip in &course.trips {
            prop_assert!(before <= trip.calls.start && trip.calls.start <= trip.calls.end);
            prop_assert!(course.admitted[before..trip.calls.start].iter().all(|&made| made));
            prop_assert!(trip.closed.is_none_or(|closed| closed >= trip.at));
            before = trip.calls.end;
        }
        prop_assert!(course.admitted[before..].iter().all(|&made| made));
        let tally = Tally::of(&calls, &course.admitted, failed);
        prop_assert_eq!(tally.bad() + tally.good(), calls.len() as u64);
    }
}

#[test]
fn a_policy_is_written_as_it_is_read() {
    for text in [
        "default",
        "default:open=2s:probes=1",
        "classic",
        "classic:window=5calls",
        "consecutive:5",
        "failure-count:20:window=30s",
        "error-rate:0.5:min=10:window=60s",
        "error-rate:0.25:window=100calls",
        "slow-rate:0.5:slower=2s:min=5",
        "percentile:99.9:above=250ms",
        "slower-than-usual:4:percentile=95:min=50",
        "adaptive",
        "adaptive:tolerate=0:budget=7d:slower=1500ms",
        "consecutive:5+error-rate:0.5:open=1500us",
    ] {
        let policy: Policy = text.parse().unwrap_or_else(|error| panic!("{error}"));
        let written = policy.to_string();
        assert_eq!(written.parse(), Ok(policy), "{text}: {written}");
        if !text.ends_with("us") {
            assert_eq!(written, text);
        }
    }
}

#[test]
fn a_wrong_policy_gets_an_error_that_says_what_is_expected() {
    for (text, message) in [
        (
            "consecutive",
            "policy \"consecutive\": the number behind the name is missing; expected a number, as in \
             consecutive:5",
        ),
        (
            "consecutive:x",
            "policy \"consecutive:x\": the number behind the name is \"x\"; expected a number, as in \
             consecutive:5",
        ),
        (
            "error-rate:0.5:mni=10",
            "policy \"error-rate:0.5:mni=10\": it has no use for \"mni=10\"; it takes min=, window=, open=, \
             probes=",
        ),
        (
            "slow-rate:0.5",
            "policy \"slow-rate:0.5\": slower is missing; expected slower=2s, for example",
        ),
        (
            "default:open=soon",
            "policy \"default:open=soon\": open is \"soon\"; expected a duration such as 250ms, 2s or 1h",
        ),
        (
            "consecutive:5:window=x",
            "policy \"consecutive:5:window=x\": window is \"x\"; expected a duration such as 60s, or 100calls",
        ),
        (
            "adaptive:budget=1d:budget=2d",
            "policy \"adaptive:budget=1d:budget=2d\": budget is \"budget=2d\"; expected it once",
        ),
        (
            "consecutive:5:6",
            "policy \"consecutive:5:6\": a part is \"6\"; expected key=value",
        ),
    ] {
        let error = text.parse::<Contestant>().unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    let error = "hysterix".parse::<Contestant>().unwrap_err().to_string();
    assert!(error.starts_with("there is no policy \"hysterix\"; there are:\n"));
    for name in [
        "  adaptive",
        "  hystrix ",
        "  resilience4j or r4j-count100 ",
    ] {
        assert!(error.contains(name), "{name} is not listed: {error}");
    }
}

/// Checks the text of each snippet, and compiles that text as code.
macro_rules! snippets {
    ($($file:literal: $policy:literal),+ $(,)?) => {
        $(
            let policy: Policy = $policy.parse().unwrap();
            assert_eq!(policy.snippet("payments"), include_str!($file).trim_end(), $policy);
            let breaker: CircuitBreaker = include!($file);
            assert_eq!(breaker.name(), "payments");
        )+
    };
}

#[test]
fn a_snippet_compiles_and_makes_a_breaker() -> Result<(), ConfigError> {
    snippets!(
        "snippets/default.rs": "default",
        "snippets/adaptive.rs": "adaptive:tolerate=0:budget=7d:slower=1500ms",
        "snippets/classic.rs": "classic:window=5calls",
        "snippets/several.rs":
            "consecutive:5+failure-count:20+error-rate:0.5:min=10:window=30s:open=2s:probes=1",
        "snippets/slow.rs":
            "slow-rate:0.5:slower=2s:min=5+percentile:99:above=250ms:min=50+slower-than-usual:4:percentile=95",
        "snippets/count.rs": "error-rate:0.25:window=100calls",
    );
    Ok(())
}

#[test]
fn a_policy_as_a_file_makes_the_breaker_that_it_makes_itself() {
    for (policy, name) in [
        ("default", "payments"),
        ("classic", "payments"),
        ("classic:window=5calls:open=2s", "payments"),
        ("adaptive", "my-log_2"),
        ("adaptive:tolerate=0:budget=7d:slower=1500ms", "payments"),
        (
            "consecutive:5+failure-count:20+error-rate:0.5:min=10:window=30s:open=2s:probes=1",
            "two.parts",
        ),
        (
            "slow-rate:0.5:slower=2s:min=5+percentile:99:above=250ms:min=50+slower-than-usual:4:percentile=95",
            "a \"log\" \\ of\u{1} Zoë",
        ),
        ("error-rate:0.25:window=100calls:open=1500us", ""),
    ] {
        let policy: Policy = policy.parse().unwrap();
        let text = policy.toml(name);
        let config: Config = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}"));
        let read = config.builder(name).unwrap();
        let expected = policy.apply(CircuitBreaker::builder(name.to_owned()));
        assert_eq!(format!("{read:?}"), format!("{expected:?}"), "{text}");
    }
}

fn lab(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tripcurve-lab"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap()
}

#[test]
fn the_program_replays_a_sample_and_draws_it() {
    let picture = std::env::temp_dir().join(format!("tripcurve-replay-{}.svg", std::process::id()));
    let output = lab(&[
        "replay",
        "samples/outage.csv",
        "--policy",
        "adaptive",
        "--policy",
        "resilience4j",
        "--out",
        picture.to_str().unwrap(),
    ]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    for part in [
        "This log says of itself: generated by tripcurve-lab sample outage",
        "calls began before one of an earlier line; they were sorted.",
        "\nadaptive\n  trip 1 at ",
        "evidence",
        "closed",
    ] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
    let svg = fs::read_to_string(&picture).unwrap();
    fs::remove_file(&picture).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    assert!(svg.contains("resilience4j: "), "the lane's name is missing");
}

#[test]
fn the_program_says_what_is_wrong_and_fails() {
    for (arguments, message) in [
        (
            &["replay", "samples/none.csv", "--policy", "default"][..],
            "error: can't read samples/none.csv: ",
        ),
        (
            &["replay", "samples/outage.csv", "--policy", "nonsense"],
            "there is no policy \"nonsense\"; there are:",
        ),
        (
            &["replay", "samples/outage.csv", "--policy", "consecutive:0"],
            "error: policy \"consecutive:0\": ",
        ),
        (
            &[
                "replay",
                "samples/outage.csv",
                "--policy",
                "default",
                "--slower-than",
                "long",
            ],
            "it is no duration; expected one such as 250ms, 2s or 1h",
        ),
        (
            &["replay", "src/main.rs", "--policy", "default"],
            "error: the header has no column for the time",
        ),
    ] {
        let output = lab(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        assert!(text.contains(message), "{arguments:?}: {text}");
    }
}

#[test]
fn the_samples_are_what_the_program_makes() {
    for file in ["samples/outage.csv", "samples/brown-out.jsonl"] {
        let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.len() < 300_000, "{file} is too large");
        let log = Log::read(text.as_bytes()).unwrap();
        let command = log.notes[0]
            .strip_prefix("generated by tripcurve-lab ")
            .and_then(|note| note.strip_suffix("; no real service"))
            .unwrap();
        let format = if file.ends_with("csv") {
            "csv"
        } else {
            "jsonl"
        };
        let mut arguments: Vec<_> = command.split(' ').collect();
        arguments.extend(["--format", format]);
        let made = String::from_utf8(lab(&arguments).stdout).unwrap();
        assert!(made == text, "{file} differs: make it anew with {command}");
    }
}
