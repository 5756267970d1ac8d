//! Each scenario does what its description says, and is equal for all breakers.

use tripcurve_lab::backend::{Answer, Backend};
use tripcurve_lab::breaker::Nanos;
use tripcurve_lab::scenario::Scenario;
use tripcurve_lab::time::{MILLISECOND, SECOND, number};
use tripcurve_lab::traffic::{Latency, Traffic};

const RATE: f64 = 1_000.0;
const BASELINE: f64 = 0.02;
const ONSET: Nanos = 100 * SECOND;
const LENGTH: Nanos = 100 * SECOND;

/// All calls until 100 s after the fault. All of them are let through.
fn calls(scenario: Scenario) -> Vec<(Nanos, Answer)> {
    let mut backend = Backend::new(scenario, BASELINE, RATE, ONSET, LENGTH, 5);
    let mut traffic = Traffic::new(RATE, Latency::USUAL, 6);
    let mut calls = Vec::new();
    loop {
        let draw = traffic.draw();
        if draw.at >= ONSET + 2 * LENGTH {
            return calls;
        }
        let answer = backend.ask(&draw);
        backend.serve(draw.at);
        calls.push((draw.at, answer));
    }
}

/// The share of calls for which `is` holds, among those that begin in this range of seconds.
fn share(
    calls: &[(Nanos, Answer)],
    within: std::ops::Range<u64>,
    is: impl Fn(Nanos, &Answer) -> bool,
) -> f64 {
    let within = within.start * SECOND..within.end * SECOND;
    let chosen: Vec<_> = calls.iter().filter(|(at, _)| within.contains(at)).collect();
    let matching = chosen.iter().filter(|(at, answer)| is(*at, answer)).count();
    number(matching as u64) / number(chosen.len() as u64)
}

#[track_caller]
fn assert_near(found: f64, expected: f64, tolerance: f64) {
    assert!(
        (found - expected).abs() <= tolerance,
        "{found}, not {expected}"
    );
}

fn fails(_: Nanos, answer: &Answer) -> bool {
    answer.fails
}

#[test]
fn before_and_after_a_fault_the_usual_share_fails() {
    for scenario in [
        Scenario::TOTAL,
        Scenario::sharp(0.5),
        Scenario::TIME_OUTS,
        Scenario::SLOW,
        Scenario::Flapping {
            half: 2_500 * MILLISECOND,
        },
        Scenario::BadShard { of: 4 },
        Scenario::Decline { over: 60 * SECOND },
        Scenario::Healthy,
    ] {
        let calls = calls(scenario);
        assert_near(share(&calls, 0..100, fails), BASELINE, 0.002);
        assert_near(share(&calls, 200..300, fails), BASELINE, 0.002);
    }
}

#[test]
fn in_a_fault_such_a_share_fails_as_it_says() {
    for (scenario, expected) in [
        (Scenario::TOTAL, 1.0),
        (Scenario::sharp(0.5), 0.5),
        (Scenario::sharp(0.3), 0.3),
        (Scenario::BadShard { of: 4 }, 0.25 + 0.75 * BASELINE),
        (Scenario::BadShard { of: 8 }, 0.125 + 0.875 * BASELINE),
        (
            Scenario::Flapping {
                half: 2_500 * MILLISECOND,
            },
            0.5 + 0.5 * BASELINE,
        ),
        (Scenario::Persistent { share: 0.25 }, 0.25),
        (Scenario::SLOW, BASELINE),
        (Scenario::Healthy, BASELINE),
        (Scenario::Poison { run: 3 }, BASELINE),
    ] {
        assert_near(share(&calls(scenario), 100..200, fails), expected, 0.006);
    }
}

#[test]
fn what_would_fail_anyway_fails_in_a_fault_too() {
    for scenario in [
        Scenario::TOTAL,
        Scenario::sharp(0.3),
        Scenario::TIME_OUTS,
        Scenario::Capacity,
    ] {
        assert!(
            calls(scenario)
                .iter()
                .all(|(_, answer)| answer.fails || !answer.fails_anyway)
        );
    }
}

#[test]
fn poison_fails_in_runs_of_three() {
    let calls = calls(Scenario::Poison { run: 3 });
    let mut runs = Vec::new();
    let mut run = 0;
    for (_, answer) in calls {
        if answer.fails {
            run += 1;
        } else if run > 0 {
            runs.push(run);
            run = 0;
        }
    }
    assert!(runs.iter().all(|run| run % 3 == 0), "{runs:?}");
}

#[test]
fn a_brown_out_takes_twenty_times_as_long_or_until_the_limit() {
    let took = |at: Nanos, answer: &Answer| answer.ends - at;
    let slow = calls(Scenario::SLOW);
    assert_near(
        share(&slow, 100..200, |at, answer| {
            took(at, answer) > 400 * MILLISECOND
        }),
        0.5,
        0.01,
    );
    assert_near(
        share(&slow, 0..100, |at, answer| {
            took(at, answer) > 20 * MILLISECOND
        }),
        0.5,
        0.01,
    );
    let limited = calls(Scenario::TIME_OUTS);
    assert!(
        limited
            .iter()
            .all(|(at, answer)| took(*at, answer) <= 250 * MILLISECOND)
    );
    // The limit lies ln(250/400)/0.5 = 0.94 deviations below the median.
    assert_near(
        share(&limited, 100..200, fails),
        0.826 + 0.174 * BASELINE,
        0.006,
    );
}

#[test]
fn a_decline_is_half_done_when_it_says() {
    let over = 60 * SECOND;
    let scenario = Scenario::Decline { over };
    let half = (ONSET + scenario.reference()) / SECOND;
    let calls = calls(scenario);
    assert_near(share(&calls, half - 1..half + 1, fails), 0.5, 0.04);
    assert_near(share(&calls, 165..200, fails), 1.0, 0.0);
}

#[test]
fn a_stall_holds_up_all_calls_and_fails_none() {
    let length = 300 * MILLISECOND;
    let scenario = Scenario::Stalls {
        every: 20 * SECOND,
        length,
    };
    let without = calls(Scenario::Healthy);
    let with = calls(scenario);
    let mut held_up = 0_u32;
    for ((at, answer), (_, usual)) in with.iter().zip(&without) {
        assert_eq!(answer.fails, usual.fails, "at {at}");
        assert!(
            answer.ends >= usual.ends && answer.ends <= usual.ends + length,
            "at {at}"
        );
        held_up += u32::from(answer.ends > usual.ends);
    }
    // About 323 calls are in flight in a stall or begin in it. One stall comes every 20 s, in 200
    // s.
    assert!((323 * 6..323 * 16).contains(&held_up), "{held_up}");
}

#[test]
fn all_traffic_at_once_kills_a_backend_whose_capacity_comes_back() {
    let mut backend = Backend::new(Scenario::Capacity, 0.0, RATE, ONSET, LENGTH, 5);
    let mut traffic = Traffic::new(RATE, Latency::USUAL, 6);
    loop {
        let draw = traffic.draw();
        if draw.at >= ONSET + LENGTH + 20 * SECOND {
            break;
        }
        backend.ask(&draw);
        backend.serve(draw.at);
    }
    assert_eq!(backend.kills(), 4);
    assert!(!backend.has_recovered(ONSET + LENGTH + 20 * SECOND));
}

#[test]
fn a_steady_share_of_calls_is_slow_and_none_of_them_fails() {
    let takes = 3 * SECOND;
    let calls = calls(Scenario::SlowShare { share: 0.05, takes });
    let is_slow = |at: Nanos, answer: &Answer| answer.ends == at + takes;
    assert_near(share(&calls, 0..300, is_slow), 0.05, 0.003);
    assert_near(share(&calls, 0..300, fails), BASELINE, 0.002);
    assert!(
        calls
            .iter()
            .all(|(at, answer)| !(answer.fails && is_slow(*at, answer)))
    );
}

#[test]
fn the_traffic_changes_at_its_time() {
    let mut traffic = Traffic::new(RATE, Latency::USUAL, 6).changing_to(10.0, ONSET);
    let calls: Vec<Nanos> = (0..101_000).map(|_| traffic.draw().at).collect();
    let before = calls.iter().filter(|&&at| at < ONSET).count();
    assert_near(number(before as u64), RATE * 100.0, 1_500.0);
    let after = calls.iter().filter(|&&at| (ONSET..2 * ONSET).contains(&at));
    assert_near(number(after.count() as u64), 1_000.0, 150.0);
}
