//! Compares the lab's failsafe-rs with the real crate: each decision must be equal. The real one's
//! clock stands still until the test moves it.

use std::time::Duration;

use failsafe::failure_policy::{consecutive_failures, success_rate_over_time_window};
use failsafe::{Config, FailurePolicy, StateMachine, backoff};
use proptest::prelude::*;
use tripcurve_lab::breaker::{Breaker, Nanos, Phase};
use tripcurve_lab::peers::FailsafeRs;
use tripcurve_lab::peers::failsafe_rs::{Backoff, Settings, SuccessRate};

const MILLISECOND: Nanos = 1_000_000;
const SECOND: Nanos = 1_000 * MILLISECOND;

/// One step of a test. A result may belong to a call that was let through in any earlier state.
#[derive(Clone, Copy, Debug)]
enum Step {
    Ask,
    Succeed,
    Fail,
    Pass(Nanos),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    (1_u32..=20, 1_u32..=20).prop_flat_map(|(successes, failures)| {
        let step = prop_oneof![
            20 => Just(Step::Ask),
            successes => Just(Step::Succeed),
            failures => Just(Step::Fail),
            // Short steps, around the waits and the window, and long ones.
            8 => (0..300 * MILLISECOND).prop_map(Step::Pass),
            8 => (0..12_u64, 0..3_u64).prop_map(|(seconds, odd)| {
                Step::Pass((seconds * SECOND + odd).saturating_sub(1))
            }),
            1 => (0..1_000 * SECOND).prop_map(Step::Pass),
        ];
        prop::collection::vec(step, 0..400)
    })
}

fn settings() -> impl Strategy<Value = Settings> {
    // At the ends, a rate can be exactly the required one.
    let required = prop_oneof![8 => 0.0..=1.0, 1 => Just(0.0), 1 => Just(1.0)];
    let rate = (required, 0_u32..=8, 1_u64..=12).prop_map(
        |(required, minimum_requests, window_seconds)| SuccessRate {
            required,
            minimum_requests,
            window_seconds,
        },
    );
    let backoff = prop_oneof![
        (0..5 * SECOND).prop_map(Backoff::Constant),
        (1_u64..=4, 0_u64..=40).prop_map(|(start, more)| Backoff::Exponential {
            start: start * SECOND,
            max: (start + more) * SECOND,
        }),
    ];
    // The crate has three types of policy, so at least one of the two parts is present.
    (rate, 1_u32..=8, 0..3_u8, backoff).prop_map(|(rate, failures, which, backoff)| Settings {
        success_rate: (which != 0).then_some(rate),
        consecutive_failures: (which != 1).then_some(failures),
        backoff,
    })
}

/// Runs the steps against both. Returns how many times ours was open afterwards.
fn compare<P: FailurePolicy>(
    settings: &Settings,
    steps: &[Step],
    policy: impl FnOnce() -> P,
) -> usize {
    failsafe::clock::freeze(|clock| {
        let theirs: StateMachine<P, ()> = Config::new().failure_policy(policy()).build();
        let mut ours = FailsafeRs::new(settings, 1);
        let mut now = 0;
        let mut open = 0;
        for (number, &step) in steps.iter().enumerate() {
            match step {
                Step::Ask => {
                    let expected = theirs.is_call_permitted();
                    let phase = ours.phase(now);
                    let admitted = ours.admit(now).is_some();
                    assert_eq!(
                        admitted, expected,
                        "step {number} at {now} ns, {settings:?}"
                    );
                    assert_eq!(
                        phase == Phase::Open,
                        !expected,
                        "the phase at step {number}"
                    );
                    open += usize::from(!admitted);
                }
                Step::Succeed => {
                    theirs.on_success();
                    ours.record((), now, true, 0);
                }
                Step::Fail => {
                    theirs.on_error();
                    ours.record((), now, false, 0);
                }
                Step::Pass(time) => {
                    clock.advance(Duration::from_nanos(time));
                    now += time;
                }
            }
        }
        open
    })
}

fn compare_with<W>(settings: &Settings, steps: &[Step], waits: &W) -> usize
where
    W: Iterator<Item = Duration> + Clone,
{
    let rate = |rate: SuccessRate| {
        let window = Duration::from_secs(rate.window_seconds);
        success_rate_over_time_window(rate.required, rate.minimum_requests, window, waits.clone())
    };
    let run = |failures| consecutive_failures(failures, waits.clone());
    match (settings.success_rate, settings.consecutive_failures) {
        (Some(of), Some(failures)) => compare(settings, steps, || rate(of).or_else(run(failures))),
        (Some(of), None) => compare(settings, steps, || rate(of)),
        (None, Some(failures)) => compare(settings, steps, || run(failures)),
        (None, None) => unreachable!("no policy was chosen"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn both_decide_alike(settings in settings(), steps in steps()) {
        match settings.backoff {
            Backoff::Constant(wait) => {
                compare_with(&settings, &steps, &backoff::constant(Duration::from_nanos(wait)))
            }
            Backoff::Exponential { start, max } => {
                let (start, max) = (Duration::from_nanos(start), Duration::from_nanos(max));
                compare_with(&settings, &steps, &backoff::exponential(start, max))
            }
            Backoff::EqualJittered { .. } => unreachable!("the crate draws its own jitter"),
        };
    }
}

/// Ten calls per second that end at once: health, an outage, health.
fn outage() -> Vec<Step> {
    (0..3_000)
        .flat_map(|number| {
            let end = if (600..1_500).contains(&number) {
                Step::Fail
            } else {
                Step::Succeed
            };
            [Step::Ask, end, Step::Pass(100 * MILLISECOND)]
        })
        .collect()
}

#[test]
fn both_decide_alike_on_a_recorded_trace() {
    let backoff = Backoff::Exponential {
        start: 10 * SECOND,
        max: 300 * SECOND,
    };
    let waits = backoff::exponential(Duration::from_secs(10), Duration::from_secs(300));
    let both = Settings {
        backoff,
        ..Settings::default()
    };
    for settings in [
        Settings {
            success_rate: None,
            ..both.clone()
        },
        Settings {
            consecutive_failures: None,
            ..both.clone()
        },
        both,
    ] {
        let open = compare_with(&settings, &outage(), &waits);
        assert!(open > 0, "the trace trips neither with {settings:?}");
    }
}

#[test]
fn both_draw_the_jitter_of_the_defaults_from_the_same_seconds() {
    // The waits are random, so only their range is compared: from half of 10, 20, 40, … 300 seconds
    // up to the whole, in whole seconds.
    let ours = |seed| {
        let mut breaker = FailsafeRs::new(&Settings::default(), seed);
        let mut waits = Vec::new();
        let mut now = 0;
        // Five failures trip it. While half-open, each further failure reopens it.
        for _ in 0..4 {
            breaker.record((), now, false, 0);
        }
        for _ in 0..7 {
            breaker.record((), now, false, 0);
            let failed = now;
            while breaker.admit(now + 1).is_none() {
                now += SECOND;
            }
            waits.push((now - failed) / SECOND);
            now += 1;
        }
        waits
    };
    let theirs = || -> Vec<u64> {
        backoff::equal_jittered(Duration::from_secs(10), Duration::from_secs(300))
            .take(7)
            .map(|wait| wait.as_secs())
            .collect()
    };
    let range = |draws: Vec<Vec<u64>>| -> Vec<(u64, u64)> {
        (0..3)
            .map(|trip| {
                let waits = || draws.iter().map(|waits| waits[trip]);
                (waits().min().unwrap(), waits().max().unwrap())
            })
            .collect()
    };
    // A few hundred draws contain each of the 6, 11 and 21 values almost certainly.
    let ours = range((0..1_000).map(ours).collect());
    let theirs = range((0..1_000).map(|_| theirs()).collect());
    assert_eq!(ours, theirs);
    assert_eq!(ours, [(5, 10), (10, 20), (20, 40)]);
}
