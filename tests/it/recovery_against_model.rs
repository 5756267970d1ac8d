//! Driven call by call, a breaker with the adaptive recovery equals a plain sequential model, with
//! its probes, its ramps and all that a recovery teaches the evidence.

use std::time::Duration;

use crate::against_model::{
    Coverage, adaptive, by_ramp, compare_stories, configs, count_windows, count_windows_within,
    evidence, operations, policies, policies_by_evidence, time_windows, with_restarts,
};
use crate::model::pair::{Operation, Step};
use crate::model::{Adaptive, Config, Policy, Shape, Way};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::subsequence;
use tripcurve::State;
use tripcurve::events::Cause;
use tripcurve::window::{Recording, Timing};

/// Recoveries that are adaptive. Most of their open times go by the traffic.
fn recovering_adaptively(
    configs: impl Strategy<Value = Config> + 'static,
) -> impl Strategy<Value = Config> {
    let clients = prop_oneof![4 => Just(1), 1 => Just(10), 1 => Just(100), 1 => 1..=1_000_000_u32];
    let by_traffic = prop_oneof![7 => Just(true), 1 => Just(false)];
    let has_limit = prop_oneof![4 => Just(false), 1 => Just(true)];
    let changes = (clients, by_traffic, has_limit);
    (configs.boxed(), changes).prop_map(|(config, (clients, by_traffic, has_limit))| Config {
        clients: Some(clients),
        by_traffic,
        half_open_limit: config.half_open_limit.filter(|_| has_limit),
        ..config
    })
}

/// The bits of the failing calls of sixteen.
fn failing() -> impl Strategy<Value = u16> {
    let some = |least: usize, most| {
        let bits = subsequence((0..16).collect::<Vec<_>>(), least..=most);
        bits.prop_map(|bits| bits.into_iter().fold(0, |mask, bit| mask | 1_u16 << bit))
    };
    prop_oneof![
        4 => Just(0),
        3 => Just(u16::MAX),
        3 => some(1, 4),
        5 => some(5, 10),
        1 => some(11, 15),
    ]
}

/// How far calls are apart, in nanoseconds.
fn apart() -> impl Strategy<Value = u32> {
    prop_oneof![
        2 => Just(1_000_000),
        6 => 1_000_000..40_000_000_u32,
        1 => 40_000_000..400_000_000_u32,
        1 => 400_000_000..4_000_000_000_u32,
    ]
}

fn traffic() -> impl Strategy<Value = Operation> {
    let are_slow = prop_oneof![6 => Just(false), 1 => Just(true)];
    (1..60_u16, apart(), failing(), are_slow).prop_map(|(calls, apart, failing, are_slow)| {
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
    ]
}

/// A fault of a breaker: calls before it and in it, and those of the recovery.
#[derive(Clone, Debug)]
struct Fault {
    before: u16,
    failing: u16,
    are_slow: bool,
    during: u16,
    /// Which calls fail in each round of the recovery, if others than before.
    rounds: Vec<Option<u16>>,
    /// How much further apart calls are in the recovery.
    falls: u32,
    /// Whether an hour passes afterwards.
    is_long_ago: bool,
}

fn faults() -> impl Strategy<Value = Fault> {
    let are_slow = prop_oneof![6 => Just(false), 1 => Just(true)];
    // Some shares last as they are in the fault.
    let rounds = prop_oneof![
        3 => vec(Just(Some(0)), 1..10),
        4 => (1..12_usize).prop_map(|times| vec![None; times]),
        2 => vec(failing().prop_map(Some), 1..10),
        4 => (0..8_usize, 1..8_usize).prop_map(|(some, none)| {
            [vec![None; some], vec![Some(0); none]].concat()
        }),
    ];
    let falls = prop_oneof![5 => Just(1), 1 => 1..10_u32, 1 => 10..100_u32];
    let is_long_ago = prop_oneof![2 => Just(false), 1 => Just(true)];
    (
        0..40_u16,
        failing(),
        are_slow,
        5..60_u16,
        rounds,
        falls,
        is_long_ago,
    )
        .prop_map(
            |(before, failing, are_slow, during, rounds, falls, is_long_ago)| Fault {
                before,
                failing,
                are_slow,
                during,
                rounds,
                falls,
                is_long_ago,
            },
        )
}

/// Stories of breakers to which little happens but traffic and its faults.
fn stories_of_faults() -> impl Strategy<Value = Vec<Operation>> {
    let fault = |apart: u32, fault: &Fault| {
        let calls = |calls, failing, apart| Operation::Traffic {
            calls,
            apart,
            failing,
            are_slow: fault.are_slow,
        };
        let mut operations = vec![
            calls(fault.before, 0, apart),
            calls(fault.during, fault.failing, apart),
        ];
        let apart_then = apart.saturating_mul(fault.falls).min(4_000_000_000);
        for failing in &fault.rounds {
            operations.push(Operation::Advance(Step::Rest));
            let failing = failing.unwrap_or(fault.failing);
            operations.push(calls(32, failing, apart_then));
        }
        if fault.is_long_ago {
            operations.push(Operation::Advance(Step::Seconds(3_600)));
        }
        operations
    };
    (apart(), vec(faults(), 1..7)).prop_map(move |(apart, faults)| {
        let operations = faults.iter().map(|it| fault(apart, it));
        operations.collect::<Vec<_>>().concat()
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
    let tolerate = prop_oneof![3 => Just(Some(0.0)), 3 => Just(Some(0.25)), 2 => Just(None)];
    let budget =
        prop_oneof![3 => Just(Duration::from_secs(60)), 1 => Just(Duration::from_secs(3_600))];
    let policies = (adaptive(), tolerate, budget).prop_map(
        |(policy, tolerate, false_trip_budget)| match policy {
            Policy::Adaptive(policy) => vec![Policy::Adaptive(Adaptive {
                tolerate: tolerate.unwrap_or(policy.tolerate),
                false_trip_budget,
                ..policy
            })],
            other => vec![other],
        },
    );
    recovering_adaptively(configs(windows, policies)).prop_map(|config| Config {
        start_in: State::Closed,
        by_traffic: true,
        half_open_limit: None,
        // A histogram bounds the calls that a window may hold here.
        recording: Recording::Off,
        timing: Timing::EveryCall,
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
    let stories = vec(with_restarts(operations), 1..250);
    let back = [&by_ramp()[..], &[Cause::HalfOpenExpired]].concat();
    compare_stories(configs, stories, Coverage::all(&[evidence()], &back));
}

/// The numbers of a later trip show what a recovery has taught.
#[test]
fn what_an_adaptive_recovery_teaches_equals_the_model() {
    let wanted = Coverage {
        causes: [&[evidence()], &by_ramp()[..3]].concat(),
        ways: vec![
            Way::RoundCut,
            Way::FalseTripLearnt,
            Way::ShareConceded,
            Way::MoreTolerated,
            Way::MoreEndedByOpening,
            Way::MoreEndedByTime,
        ],
        ..Coverage::default()
    };
    compare_stories(deciding_by_evidence(), stories_of_faults(), wanted);
}
