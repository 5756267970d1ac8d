//! Invariant 6 where traffic is dense: a breaker that times a sample of its calls equals the model,
//! call by call.
//!
//! The test decides the draws, and tells the model. So the model knows which calls are left out.
#![cfg(feature = "__model")]

use std::cell::Cell;
use std::time::Duration;

use crate::against_model::{
    adaptive, configs, drive_cases, operations, policies, time_windows, with_restarts,
};
use crate::model::pair::{Operation, Step};
use crate::model::sample::Draws;
use crate::model::{Config, Policy};
use proptest::collection::vec;
use proptest::prelude::*;
use tripcurve::__model::{Odds, draw_next_bits};
use tripcurve::window::{Recording, Timing};
use tripcurve::{Outcome, State};

/// Policies by evidence with a limit for slow calls, alone or with others.
fn policies_with_a_limit() -> impl Strategy<Value = Vec<Policy>> {
    let others = prop_oneof![2 => Just(Vec::new()), 1 => policies()];
    (adaptive(), others).prop_map(|(policy, mut policies)| {
        if let Policy::Adaptive(mut adaptive) = policy {
            adaptive.is_timed = true;
            policies.push(Policy::Adaptive(adaptive));
        }
        policies
    })
}

/// Policies by counts, with a slow-call rate.
fn policies_with_a_slow_rate() -> impl Strategy<Value = Vec<Policy>> {
    (policies(), 5..=100_u8, 1..2_000_u32).prop_map(|(mut policies, percent, min_calls)| {
        policies.push(Policy::SlowRate {
            threshold: f64::from(percent) / 100.0,
            min_calls,
        });
        policies
    })
}

/// A breaker that times a sample, in one shard: there each success has its clock reading.
fn sampling(config: Config, limit: Duration) -> Config {
    Config {
        shards: 1,
        start_in: State::Closed,
        recording: Recording::Off,
        timing: Timing::Sampled,
        slower_than: limit,
        ..config
    }
}

/// Traffic that is dense at times, with some failures or slow calls, and whatever else happens to a
/// breaker but other settings.
fn dense() -> impl Strategy<Value = Operation> {
    let failing = prop_oneof![
        4 => Just(0_u16),
        3 => (0..16_u32).prop_map(|bit| 1 << bit),
        2 => any::<u16>(),
    ];
    let apart =
        prop_oneof![4 => 0..3_000_u32, 3 => 3_000..100_000_u32, 1 => 100_000..3_000_000_u32];
    let traffic =
        (100..1_500_u16, apart, failing).prop_map(|(calls, apart, failing)| Operation::Traffic {
            calls,
            apart,
            failing,
            are_slow: false,
        });
    // A slow call takes longer than the limit by itself, one after another.
    let slow = (1..60_u16, any::<u16>()).prop_map(|(calls, failing)| Operation::Traffic {
        calls,
        apart: 1_000,
        failing,
        are_slow: true,
    });
    let others = operations().prop_map(|operation| match operation {
        Operation::Reconfigure(_) => Operation::Advance(Step::Tick),
        operation => operation,
    });
    prop_oneof![
        6 => traffic,
        2 => slow,
        2 => (100..1_500_u16).prop_map(|calls| Operation::Calls { outcome: Outcome::Success, calls }),
        // These stay in flight while the odds change.
        6 => any::<bool>().prop_map(|owned| Operation::Acquire { owned }),
        10 => others,
    ]
}

/// Several operations that together change the odds and then show them.
fn episode() -> impl Strategy<Value = Vec<Operation>> {
    let burst = || {
        (600..1_500_u16, 100..5_000_u32).prop_map(|(calls, apart)| Operation::Traffic {
            calls,
            apart,
            failing: 0,
            are_slow: false,
        })
    };
    let slow = || {
        (10..40_u16).prop_map(|calls| Operation::Traffic {
            calls,
            apart: 1_000,
            failing: u16::MAX,
            are_slow: true,
        })
    };
    let fail = Operation::Call {
        outcome: Outcome::Failure,
        ok: true,
        asynchronous: false,
        takes: None,
    };
    // Calls that begin before a burst and end slowly after it.
    let in_flight = (20..60_usize, burst()).prop_map(|(calls, burst)| {
        let begin = std::iter::repeat_n(Operation::Acquire { owned: false }, calls);
        let end = (0..calls).map(|permit| Operation::Settle {
            permit,
            outcome: Outcome::Success,
            thread: 0,
            took: None,
        });
        let between = [burst, Operation::Advance(Step::JustAboveLimit)];
        begin.chain(between).chain(end).collect()
    });
    let next_generation =
        (burst(), slow()).prop_map(|(burst, slow)| vec![burst, Operation::Reset, slow]);
    let pause = (burst(), slow()).prop_map(move |(burst, slow)| {
        vec![burst, Operation::Advance(Step::Seconds(3)), fail, slow]
    });
    prop_oneof![in_flight, next_generation, pause]
}

/// Single operations and episodes.
fn stories() -> impl Strategy<Value = Vec<Operation>> {
    let single = with_restarts(dense()).prop_map(|operation| vec![operation]);
    let parts = vec(prop_oneof![7 => single, 1 => episode()], 1..40);
    parts.prop_map(|parts| parts.concat())
}

fn set_draws(Draws { place, bits }: Draws) {
    Odds::draw_next(place);
    draw_next_bits(bits);
}

fn compare_dense(policies: impl Strategy<Value = Vec<Policy>> + 'static) {
    let limit = prop_oneof![
        (2_000_000..300_000_000_u64).prop_map(Duration::from_nanos),
        Just(Duration::from_millis(100)),
    ];
    let configs = (configs(time_windows(), policies), limit);
    let configs = configs.prop_map(|(config, limit)| vec![sampling(config, limit)]);
    let left_out = Cell::new(0);
    drive_cases(set_draws, &(configs, stories()), |story| {
        left_out.set(left_out.get() + story.left_out);
    });
    assert!(
        left_out.get() > 1_000,
        "{} calls were left out",
        left_out.get()
    );
}

/// Fails when: the sample's weights are applied to one of two streams only, or to one of the bad
/// and the good calls only.
#[test]
fn a_breaker_with_slow_calls_of_a_sample_as_evidence_equals_the_model() {
    compare_dense(policies_with_a_limit());
}

/// Fails when: a slow call counts for itself alone.
#[test]
fn a_breaker_with_a_slow_rate_of_a_sample_equals_the_model() {
    compare_dense(policies_with_a_slow_rate());
}
