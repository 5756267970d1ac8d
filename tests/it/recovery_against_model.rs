//! Driven call by call, a breaker with the adaptive recovery equals a plain sequential model, with
//! its probes, its ramps and all that a recovery teaches the evidence.

use std::time::Duration;

use crate::against_model::{
    adaptive, by_ramp, compare_stories, configs, count_windows, count_windows_within, evidence,
    operations, policies, policies_by_evidence, time_windows, with_restarts,
};
use crate::model::pair::{Operation, Step};
use crate::model::{Adaptive, Config, Policy, Shape, Way};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::subsequence;
use tripcurve::State;
use tripcurve::events::Cause;

/// Recoveries that are adaptive. Most of their open times go by the traffic.
fn recovering_adaptively(configs: impl Strategy<Value = Config>) -> impl Strategy<Value = Config> {
    let clients = prop_oneof![4 => Just(1), 1 => Just(10), 1 => Just(100), 1 => 1..=1_000_000_u32];
    let by_traffic = prop_oneof![7 => Just(true), 1 => Just(false)];
    let has_limit = prop_oneof![4 => Just(false), 1 => Just(true)];
    let changes = (clients, by_traffic, has_limit);
    (configs, changes).prop_map(|(config, (clients, by_traffic, has_limit))| Config {
        clients: Some(clients),
        by_traffic,
        half_open_limit: config.half_open_limit.filter(|_| has_limit),
        ..config
    })
}

/// Calls of which the same ones of each sixteen fail, at a steady pace.
fn traffic() -> impl Strategy<Value = Operation> {
    let failing = prop_oneof![
        4 => Just(0),
        3 => Just(u16::MAX),
        1 => (0..16).prop_map(|bit| 1_u16 << bit),
        1 => Just(0b0001_0001_0001_0001),
        1 => Just(0b0100_1001_0010_0100),
        1 => Just(0b1010_1001_0010_0101),
        1 => any::<u16>(),
        1 => (any::<u16>(), any::<u16>()).prop_map(|(one, other)| one & other),
    ];
    let apart = prop_oneof![
        1 => Just(0),
        2 => Just(1_000_000),
        4 => Just(10_000_000),
        2 => 1_000_000..100_000_000_u32,
        1 => 100_000_000..4_000_000_000_u32,
    ];
    let are_slow = prop_oneof![6 => Just(false), 1 => Just(true)];
    (1..100_u16, apart, failing, are_slow).prop_map(|(calls, apart, failing, are_slow)| {
        Operation::Traffic {
            calls,
            apart,
            failing,
            are_slow,
        }
    })
}

/// Times after which an adaptive recovery does something else.
fn times_of_recoveries() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => Just(Step::Rest),
        2 => Just(Step::AlmostRest),
        2 => Just(Step::ProbeTimeout),
        4 => (0..300_000_000_u32).prop_map(Step::Nanos),
        1 => (0..700_u16).prop_map(Step::Seconds),
        1 => (3_500..3_700_u16).prop_map(Step::Seconds),
    ]
}

/// Stories of breakers to which little happens but traffic.
fn stories_of_traffic() -> impl Strategy<Value = Vec<Operation>> {
    let time = proptest::option::of(times_of_recoveries());
    let stretch = (traffic(), vec(time, 1..10)).prop_map(|(traffic, times)| {
        let with_time = |time: Option<Step>| [time.map(Operation::Advance), Some(traffic)];
        let operations = times.into_iter().flat_map(with_time);
        operations.flatten().collect::<Vec<_>>()
    });
    let stretches = prop_oneof![5 => stretch, 1 => bad_shard(), 1 => quiet_hour()];
    vec(stretches, 1..12).prop_map(|stretches| stretches.concat())
}

/// A lasting share of failures between a quarter and two thirds.
fn bad_shard() -> impl Strategy<Value = Vec<Operation>> {
    let failing = subsequence((0..16).collect::<Vec<_>>(), 5..=10);
    let failing =
        failing.prop_map(|bits| bits.into_iter().fold(0, |mask, bit| mask | 1_u16 << bit));
    (failing, 1_000_000..20_000_000_u32, 1..12_usize).prop_map(|(failing, apart, times)| {
        let traffic = Operation::Traffic {
            calls: 64,
            apart,
            failing,
            are_slow: false,
        };
        [Operation::Advance(Step::Rest), traffic].repeat(times)
    })
}

/// The breaker closes, and an hour later some calls fail.
fn quiet_hour() -> impl Strategy<Value = Vec<Operation>> {
    (traffic(), 1..8_usize, 3_550..3_650_u16).prop_map(|(then, times, seconds)| {
        let traffic = Operation::Traffic {
            calls: 50,
            apart: 20_000_000,
            failing: 0,
            are_slow: false,
        };
        let hour = Operation::Advance(Step::Seconds(seconds));
        let recovery = [Operation::Advance(Step::Rest), traffic].repeat(times);
        [recovery, vec![hour, then]].concat()
    })
}

/// Breakers that decide by evidence and are closed at first, with time to find some.
fn deciding_by_evidence() -> impl Strategy<Value = Config> {
    let length = prop_oneof![
        2 => (2..60_u64).prop_map(Duration::from_secs),
        1 => (1_000_000_000..20_000_000_000_u64).prop_map(Duration::from_nanos),
    ];
    let windows =
        (length, 1..=12_u32).prop_map(|(length, buckets)| Shape::Time { length, buckets });
    // A minute lets a breaker trip on little.
    let budget =
        prop_oneof![3 => Just(Duration::from_secs(60)), 1 => Just(Duration::from_secs(3_600))];
    let policies = (adaptive(), budget).prop_map(|(policy, false_trip_budget)| match policy {
        Policy::Adaptive(policy) => vec![Policy::Adaptive(Adaptive {
            false_trip_budget,
            ..policy
        })],
        other => vec![other],
    });
    recovering_adaptively(configs(windows, policies)).prop_map(|config| Config {
        start_in: State::Closed,
        by_traffic: true,
        half_open_limit: None,
        probe_timeout: config.probe_timeout.max(Duration::from_millis(500)),
        slower_than: config.slower_than.min(Duration::from_millis(20)),
        ..config
    })
}

#[test]
fn a_breaker_that_recovers_adaptively_equals_the_model() {
    let windows =
        prop_oneof![5 => time_windows(), 1 => count_windows(), 1 => count_windows_within()];
    let policies = prop_oneof![1 => policies(), 4 => policies_by_evidence()];
    let configs = recovering_adaptively(configs(windows, policies));
    let operations = prop_oneof![
        20 => operations(),
        4 => traffic(),
        6 => times_of_recoveries().prop_map(Operation::Advance),
    ];
    let reached = compare_stories(configs, vec(with_restarts(operations), 1..250));
    let half_open_expired = [Cause::HalfOpenExpired];
    reached.assert_all(
        &[evidence()],
        &[&by_ramp()[..], &half_open_expired].concat(),
    );
}

/// The numbers of a later trip show what a recovery has taught.
#[test]
fn what_an_adaptive_recovery_teaches_equals_the_model() {
    let reached = compare_stories(deciding_by_evidence(), stories_of_traffic());
    reached.assert_causes(&[evidence()]);
    reached.assert_causes(&by_ramp());
    for way in [
        Way::RoundCut,
        Way::FalseTripLearnt,
        Way::ShareConceded,
        Way::MoreTolerated,
        Way::MoreEndedByOpening,
        Way::MoreEndedByTime,
    ] {
        assert!(reached.ways.contains(&way), "no case came to {way:?}");
    }
}
