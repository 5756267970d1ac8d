//! Invariant 6: driven step by step, state, snapshot, answers and told transitions equal those of a
//! plain sequential model.

mod model;

use std::collections::HashSet;
use std::time::Duration;

use model::pair::{Operation, Step, drive};
use model::{Config, Policy, Shape};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, TestRunner};
use tripcurve::{Cause, Outcome, State};

const CASES: u32 = 600;

fn nanos(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_nanos)
}

/// Lengths that no number of buckets divides are as good as round ones.
fn length() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::from_millis(100)),
        Just(Duration::from_secs(1)),
        nanos(100_000_000..3_000_000_000),
    ]
}

fn time_windows() -> impl Strategy<Value = Shape> {
    let buckets = prop_oneof![30 => 1..=12_u32, 1 => Just(1024)];
    (length(), buckets).prop_map(|(length, buckets)| Shape::Time { length, buckets })
}

fn calls() -> impl Strategy<Value = u32> {
    prop_oneof![10 => 1..=50_u32, 1 => Just(1_000)]
}

fn count_windows() -> impl Strategy<Value = Shape> {
    calls().prop_map(|calls| Shape::Count { calls })
}

fn count_windows_within() -> impl Strategy<Value = Shape> {
    (calls(), length()).prop_map(|(calls, within)| Shape::CountWithin { calls, within })
}

fn policies() -> impl Strategy<Value = Vec<Policy>> {
    let threshold = prop_oneof![
        (1..=100_u8).prop_map(|percent| f64::from(percent) / 100.0),
        (1..=10_u8, 1..=10_u8).prop_map(|(a, b)| f64::from(a.min(b)) / f64::from(a.max(b))),
    ];
    let policy = prop_oneof![
        (1..8_u32).prop_map(Policy::ConsecutiveFailures),
        (1..20_u32).prop_map(Policy::FailureCount),
        (threshold, 1..30_u32).prop_map(|(threshold, min_calls)| Policy::ErrorRate {
            threshold,
            min_calls
        }),
    ];
    vec(policy, 0..4)
}

fn states() -> impl Strategy<Value = State> {
    prop_oneof![
        6 => Just(State::Closed),
        1 => Just(State::Open),
        1 => Just(State::HalfOpen),
        1 => Just(State::ForcedOpen),
        1 => Just(State::Disabled),
        1 => Just(State::MetricsOnly),
    ]
}

fn configs(windows: impl Strategy<Value = Shape>) -> impl Strategy<Value = Config> {
    let ten_years = Duration::from_secs(10 * 365 * 86_400);
    let open_for = prop_oneof![
        10 => nanos(1_000_000..3_000_000_000),
        1 => Just(ten_years),
    ];
    let probe_timeout = prop_oneof![
        4 => nanos(1_000_000..3_000_000_000),
        1 => Just(Duration::MAX),
    ];
    let built_at = prop_oneof![Just(Duration::ZERO), nanos(0..10_000_000_000)];
    (
        windows,
        policies(),
        open_for,
        prop_oneof![10 => 1..=4_u32, 1 => Just(4_095)],
        probe_timeout,
        prop_oneof![Just(Outcome::Ignored), Just(Outcome::Failure)],
        states(),
        prop_oneof![Just(1_u32), Just(4)],
        built_at,
    )
        .prop_map(
            |(
                window,
                policies,
                open_for,
                probes,
                probe_timeout,
                on_cancel,
                start_in,
                shards,
                built_at,
            )| {
                let fit = |policy: Policy| policy.fitted(window.capacity());
                Config {
                    window,
                    policies: policies.into_iter().map(fit).collect(),
                    open_for,
                    probes,
                    probe_timeout,
                    on_cancel,
                    start_in,
                    shards,
                    built_at,
                }
            },
        )
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        6 => Just(Outcome::Success),
        6 => Just(Outcome::Failure),
        2 => Just(Outcome::Ignored),
        1 => Just(Outcome::Trip),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..3_000_000_u32).prop_map(Step::Nanos),
        8 => (0..300_000_000_u32).prop_map(Step::Nanos),
        8 => Just(Step::Tick),
        2 => Just(Step::Window),
        2 => Just(Step::AlmostWindow),
        6 => Just(Step::OpenFor),
        3 => Just(Step::AlmostOpenFor),
        6 => Just(Step::ProbeTimeout),
        3 => Just(Step::AlmostProbeTimeout),
        1 => prop_oneof![30 => (1..12_u8).prop_map(Step::Years), 1 => Just(Step::End)],
    ]
}

fn operations() -> impl Strategy<Value = Operation> {
    let permit = || 0..64_usize;
    let trip = prop_oneof![
        10 => nanos(0..2_000_000_000),
        1 => Just(Duration::MAX),
    ];
    prop_oneof![
        30 => any::<bool>().prop_map(|owned| Operation::Acquire { owned }),
        25 => (permit(), outcomes(), 0..6_usize).prop_map(|(permit, outcome, thread)| {
            // Another thread costs more than all the rest: three times in six.
            let thread = thread.saturating_sub(2);
            Operation::Settle { permit, outcome, thread }
        }),
        3 => permit().prop_map(|permit| Operation::Drop { permit }),
        1 => permit().prop_map(|permit| Operation::DropByPanic { permit }),
        30 => (outcomes(), any::<bool>(), any::<bool>()).prop_map(|(outcome, ok, asynchronous)| {
            Operation::Call { outcome, ok, asynchronous }
        }),
        1 => any::<bool>().prop_map(|asynchronous| Operation::CallThatPanics { asynchronous }),
        30 => steps().prop_map(Operation::Advance),
        1 => Just(Operation::Reset),
        2 => trip.prop_map(Operation::Trip),
        1 => Just(Operation::ForceOpen),
        1 => Just(Operation::Disable),
        1 => Just(Operation::MetricsOnly),
    ]
}

/// Compares breaker and model on many made-up cases, and then makes sure that these had reached
/// all there is to compare.
fn compare(windows: impl Strategy<Value = Shape>) {
    let mut runner = TestRunner::new(ProptestConfig {
        cases: CASES,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        source_file: Some(file!()),
        ..ProptestConfig::default()
    });
    let reached = std::cell::RefCell::new(HashSet::new());
    let cases = (configs(windows), vec(operations(), 1..250));
    runner
        .run(&cases, |(config, operations)| {
            let told = drive(&config, &operations)
                .map_err(|difference| TestCaseError::fail(difference.to_string()))?;
            reached
                .borrow_mut()
                .extend(told.iter().map(|told| std::mem::discriminant(&told.cause)));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));

    let (failures, calls) = (0, 0);
    for cause in [
        Cause::ConsecutiveFailures { failures, limit: 0 },
        Cause::FailureCount {
            failures,
            calls,
            limit: 0,
        },
        Cause::ErrorRate {
            failures,
            calls,
            threshold: 0.0,
        },
        Cause::DependencySaidSo,
        Cause::OpenTimeOver,
        Cause::ProbesSucceeded { probes: 0 },
        Cause::ProbeFailed,
        Cause::ProbesOverdue { probes: 0 },
        Cause::ByHand,
    ] {
        let cause_reached = reached.borrow().contains(&std::mem::discriminant(&cause));
        assert!(cause_reached, "no case came to {cause:?}");
    }
}

#[test]
fn a_breaker_with_a_time_window_equals_the_model() {
    compare(time_windows());
}

#[test]
fn a_breaker_with_a_count_window_equals_the_model() {
    compare(count_windows());
}

#[test]
fn a_breaker_with_a_count_window_within_a_time_equals_the_model() {
    compare(count_windows_within());
}
