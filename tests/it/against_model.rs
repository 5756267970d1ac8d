//! Invariant 6: driven step by step, the breaker equals a plain sequential model in state,
//! snapshots, answers and reported transitions.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashSet};
use std::mem::discriminant;
use std::time::Duration;

use crate::effort;
use crate::model::Part;
#[cfg(feature = "serde")]
use crate::model::pair::ByItself;
use crate::model::pair::Came;
use crate::model::pair::{Operation, Step, Story, drive, drive_restarting, has_own_counts};
#[cfg(feature = "__model")]
use crate::model::pair::{SetDraws, drive_drawing};
use crate::model::{Adaptive, BurnRate, Config, Growth, Policy, Shape, Steps, Way};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::subsequence;
use proptest::test_runner::{FileFailurePersistence, TestRunner};
use tripcurve::events::Cause;
use tripcurve::recovery::Jitter;
use tripcurve::window::{Recording, Timing};
#[cfg(feature = "serde")]
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, persist::SavedState};
use tripcurve::{Outcome, State};

/// The cases of a whole round.
const CASES: u32 = 256;
const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);

fn nanos(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_nanos)
}

/// Lengths that no number of buckets divides evenly, and round ones.
fn length() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::from_millis(100)),
        Just(Duration::from_secs(1)),
        nanos(100_000_000..3_000_000_000),
    ]
}

pub(crate) fn time_windows() -> impl Strategy<Value = Shape> {
    let buckets = prop_oneof![30 => 1..=12_u32, 1 => Just(1024)];
    (length(), buckets).prop_map(|(length, buckets)| Shape::Time { length, buckets })
}

fn calls() -> impl Strategy<Value = u32> {
    prop_oneof![10 => 1..=50_u32, 1 => Just(1_000)]
}

pub(crate) fn count_windows() -> impl Strategy<Value = Shape> {
    calls().prop_map(|calls| Shape::Count { calls })
}

pub(crate) fn count_windows_within() -> impl Strategy<Value = Shape> {
    (calls(), length()).prop_map(|(calls, within)| Shape::CountWithin { calls, within })
}

fn threshold() -> impl Strategy<Value = f64> {
    prop_oneof![
        (1..=100_u8).prop_map(|percent| f64::from(percent) / 100.0),
        (1..=10_u8, 1..=10_u8).prop_map(|(a, b)| f64::from(a.min(b)) / f64::from(a.max(b))),
    ]
}

fn burn_rate() -> impl Strategy<Value = Policy> {
    let budget = prop_oneof![
        3 => (1..=10_u32).prop_map(|tenths| tenths * 100_000 - 1),
        3 => (1..=9_u32).prop_map(|tenths| tenths * 100_000),
        1 => 1..1_000_000_u32,
    ];
    let factor = prop_oneof![Just(1_000), 1_000..10_000_u32, 1_000..=1_000_000_u32];
    let short = proptest::option::of(0..=1_000_u32);
    (budget, factor, short, 1..20_u32).prop_map(|(budget, factor, short, min_calls)| {
        Policy::BurnRate(BurnRate {
            budget_in_millionths: budget,
            factor_in_thousandths: factor,
            short_in_thousandths: short,
            min_calls,
        })
    })
}

pub(crate) fn adaptive() -> impl Strategy<Value = Policy> {
    let tolerate = prop_oneof![
        2 => Just(0.0),
        2 => Just(0.25),
        1 => Just(0.9),
        1 => 0.001..0.9,
    ];
    let false_trip_budget = prop_oneof![
        2 => Just(Duration::from_secs(60)),
        1 => Just(Duration::from_secs(86_400)),
        1 => Just(TEN_YEARS),
        1 => nanos(60_000_000_000..1_000_000_000_000),
    ];
    (tolerate, false_trip_budget, any::<bool>()).prop_map(
        |(tolerate, false_trip_budget, is_timed)| {
            Policy::Adaptive(Adaptive {
                tolerate,
                false_trip_budget,
                is_timed,
            })
        },
    )
}

/// One policy by evidence, alone or with others.
pub(crate) fn policies_by_evidence() -> impl Strategy<Value = Vec<Policy>> {
    (
        adaptive(),
        prop_oneof![2 => Just(Vec::new()), 1 => policies()],
    )
        .prop_map(|(adaptive, mut policies)| {
            policies.push(adaptive);
            policies
        })
}

pub(crate) fn policies() -> impl Strategy<Value = Vec<Policy>> {
    let policy = prop_oneof![
        (1..8_u32).prop_map(Policy::ConsecutiveFailures),
        (1..20_u32, 1..30_u32)
            .prop_map(|(limit, min_calls)| Policy::FailureCount { limit, min_calls }),
        (threshold(), 1..30_u32).prop_map(|(threshold, min_calls)| Policy::FailureRate {
            threshold,
            min_calls
        }),
        (threshold(), 1..20_u32).prop_map(|(threshold, min_calls)| Policy::SlowRate {
            threshold,
            min_calls
        }),
        burn_rate(),
        Just(Policy::Classic),
    ];
    vec(policy, 0..4)
}

/// The recording of durations, and the duration above which a call is slow.
fn timing() -> impl Strategy<Value = (Recording, Duration)> {
    let recording = prop_oneof![
        2 => Just(Recording::Off),
        1 => Just(Recording::Combined),
        1 => Just(Recording::ByOutcome),
    ];
    let slower_than = prop_oneof![
        1 => nanos(1_000..100_000),
        6 => nanos(100_000..300_000_000),
        1 => Just(Duration::from_secs(3_600)),
    ];
    (recording, slower_than)
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

/// How open times grow, if they do. The longest is a multiple of the first.
fn growth() -> impl Strategy<Value = Option<(Growth, u32)>> {
    let jitter = prop_oneof![
        Just(Jitter::None),
        Just(Jitter::Full),
        Just(Jitter::Equal),
        Just(Jitter::Decorrelated),
    ];
    let healthy_after = prop_oneof![
        2 => Just(None),
        2 => nanos(1_000_000..3_000_000_000).prop_map(Some),
        1 => Just(Some(Duration::MAX)),
    ];
    let growth = (10..=40_u32, 1..=100_u32, jitter, healthy_after).prop_map(
        |(factor_in_tenths, longest, jitter, healthy_after)| {
            let growth = Growth {
                factor_in_tenths,
                longest: Duration::ZERO,
                jitter,
                healthy_after,
            };
            (growth, longest)
        },
    );
    proptest::option::of(growth)
}

/// Steps of a ramp: short ones, in which calls come late, and long ones, in which many calls end.
fn ramps() -> impl Strategy<Value = Steps> {
    let share = prop_oneof![1 => Just(1_000), 2 => 1..=1_000_u32, 2 => 500..=1_000_u32];
    let max_failure_rate = prop_oneof![1 => Just(0), 3 => 0..100_u32];
    let each = prop_oneof![
        1 => Just(Duration::from_millis(1)),
        3 => nanos(1_000_000..30_000_000),
        2 => nanos(30_000_000..3_000_000_000),
        1 => Just(Duration::from_secs(86_400)),
    ];
    let max_failure_rate = proptest::option::of(max_failure_rate);
    (btree_set(share, 1..=4), each, max_failure_rate).prop_map(
        |(shares, each, max_failure_rate_in_percent): (BTreeSet<_>, _, _)| Steps {
            shares_in_thousandths: shares.into_iter().collect(),
            each,
            max_failure_rate_in_percent,
        },
    )
}

pub(crate) fn configs(
    windows: impl Strategy<Value = Shape> + 'static,
    policies: impl Strategy<Value = Vec<Policy>> + 'static,
) -> impl Strategy<Value = Config> {
    let open_for = prop_oneof![
        10 => nanos(1_000_000..3_000_000_000),
        1 => Just(TEN_YEARS),
    ];
    let probe_timeout = prop_oneof![
        4 => nanos(1_000_000..3_000_000_000),
        1 => Just(Duration::MAX),
    ];
    let probes = prop_oneof![10 => 1..=5_u32, 1 => Just(255)].prop_flat_map(|probes| {
        let needed = proptest::option::of(1..=probes);
        let slow = proptest::option::of(1..=probes);
        (Just(probes), needed, slow)
    });
    let probes = probes.prop_flat_map(|(probes, needed, slow)| {
        let failures = proptest::option::of(1..=probes - needed.unwrap_or(1) + 1);
        let limit = prop_oneof![
            2 => Just(None),
            1 => (nanos(1_000_000..6_000_000_000), any::<bool>()).prop_map(Some),
        ];
        (Just(probes), Just(needed), failures, Just(slow), limit)
    });
    let max_retry_after = prop_oneof![
        2 => Just(None),
        1 => Just(Some(Duration::ZERO)),
        3 => nanos(1_000_000..3_000_000_000).prop_map(Some),
    ];
    let built_at = prop_oneof![Just(Duration::ZERO), nanos(0..10_000_000_000)];
    (
        windows.boxed(),
        policies.boxed(),
        open_for,
        probes,
        probe_timeout,
        prop_oneof![Just(Outcome::Ignored), Just(Outcome::Failure)],
        states(),
        prop_oneof![Just(1_u32), Just(4)],
        (timing(), built_at, growth(), max_retry_after),
    )
        .prop_map(
            |(
                window,
                policies,
                open_for,
                (probes, needed, failure_threshold, slow_threshold, half_open_limit),
                probe_timeout,
                on_cancel,
                start_in,
                shards,
                ((recording, slower_than), built_at, growth, max_retry_after),
            )| {
                let growth = growth.filter(|_| open_for < TEN_YEARS);
                Config {
                    growth: growth.map(|(growth, times)| Growth {
                        longest: open_for * times,
                        ..growth
                    }),
                    window,
                    policies: Policy::all_fitted(policies, window),
                    max_retry_after,
                    open_for,
                    probes,
                    needed,
                    failure_threshold,
                    slow_threshold,
                    half_open_limit,
                    steps: None,
                    clients: None,
                    by_traffic: false,
                    probe_timeout,
                    on_cancel,
                    start_in,
                    enabled: true,
                    metrics_only: false,
                    shards,
                    recording,
                    timing: Timing::Sampled,
                    slower_than,
                    built_at,
                }
            },
        )
}

/// A configuration and replacements for it. The replacements often have most of its parts, and some
/// tolerate few failures.
fn with_others(configs: impl Strategy<Value = Config>) -> impl Strategy<Value = Vec<Config>> {
    let change = || (parts(), proptest::option::of(1..5_u32), switches());
    (vec(configs, 2..=4), [change(), change(), change()]).prop_map(|(mut configs, changes)| {
        let (config, others) = configs.split_first_mut().expect("there are two at least");
        for (other, (parts, limit, switch)) in others.iter_mut().zip(changes) {
            *other = config.changed(other, &parts);
            (other.enabled, other.metrics_only) = switch;
            let strict = limit.map(|limit| {
                Policy::FailureCount {
                    limit,
                    min_calls: 1,
                }
                .fitted(other.window)
            });
            other.policies.extend(strict);
        }
        configs
    })
}

/// The values of `enabled` and `metrics_only`.
fn switches() -> impl Strategy<Value = (bool, bool)> {
    prop_oneof![8 => Just((true, false)), 1 => Just((true, true)), 1 => (Just(false), any::<bool>())]
}

/// The parts to change: often parts on which the window doesn't depend, and sometimes any parts.
fn parts() -> impl Strategy<Value = Vec<Part>> {
    let beside_the_window = || Part::BESIDE_THE_WINDOW.to_vec();
    prop_oneof![
        1 => Just(beside_the_window()),
        3 => subsequence(beside_the_window(), 1..=4),
        1 => subsequence(Part::ALL.to_vec(), 1..=7),
        1 => Just(Part::ALL.to_vec()),
    ]
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        6 => Just(Outcome::Success),
        6 => Just(Outcome::Failure),
        2 => Just(Outcome::Ignored),
        2 => Just(Outcome::TimedOut),
        1 => Just(Outcome::Trip),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..3_000_000_u32).prop_map(Step::Nanos),
        8 => (0..300_000_000_u32).prop_map(Step::Nanos),
        8 => Just(Step::Tick),
        3 => Just(Step::LongestOpenTime),
        2 => Just(Step::Window),
        2 => Just(Step::AlmostWindow),
        6 => Just(Step::OpenFor),
        3 => Just(Step::AlmostOpenFor),
        2 => Just(Step::Each),
        1 => Just(Step::AlmostEach),
        6 => Just(Step::ProbeTimeout),
        3 => Just(Step::AlmostProbeTimeout),
        6 => Just(Step::Limit),
        6 => Just(Step::JustAboveLimit),
        1 => prop_oneof![30 => (1..12_u8).prop_map(Step::Years), 1 => Just(Step::End)],
    ]
}

/// The duration that a call takes, or reports.
fn takes() -> impl Strategy<Value = Option<Step>> {
    prop_oneof![
        4 => Just(None),
        1 => (0..3_000_000_u32).prop_map(|nanos| Some(Step::Nanos(nanos))),
        1 => Just(Some(Step::Limit)),
        1 => Just(Some(Step::JustAboveLimit)),
        1 => Just(Some(Step::Tick)),
    ]
}

pub(crate) fn operations() -> impl Strategy<Value = Operation> {
    let permit = || 0..64_usize;
    let trip = prop_oneof![
        10 => nanos(0..2_000_000_000),
        1 => Just(Duration::MAX),
    ];
    let operations = prop_oneof![
        30 => any::<bool>().prop_map(|owned| Operation::Acquire { owned }),
        25 => (permit(), outcomes(), 0..6_usize, takes()).prop_map(|(permit, outcome, thread, took)| {
            // A call on another thread costs more than everything else, so it happens in three of
            // six cases.
            let thread = thread.saturating_sub(2);
            Operation::Settle { permit, outcome, thread, took }
        }),
        5 => (permit(), outcomes(), steps()).prop_map(|(permit, outcome, wish)| {
            Operation::SettleWishing { permit, outcome, wish }
        }),
        3 => permit().prop_map(|permit| Operation::Drop { permit }),
        1 => permit().prop_map(|permit| Operation::DropByPanic { permit }),
        30 => (outcomes(), any::<bool>(), any::<bool>(), takes())
            .prop_map(|(outcome, ok, asynchronous, takes)| {
                Operation::Call { outcome, ok, asynchronous, takes }
            }),
        1 => any::<bool>().prop_map(|asynchronous| Operation::CallThatPanics { asynchronous }),
        5 => (outcomes(), 0..20_u16).prop_map(|(outcome, calls)| Operation::Calls { outcome, calls }),
        30 => steps().prop_map(Operation::Advance),
        1 => Just(Operation::Reset),
        2 => trip.prop_map(Operation::Trip),
        2 => Just(Operation::Reject),
        1 => Just(Operation::ForceOpen),
        1 => Just(Operation::Disable),
        1 => Just(Operation::MetricsOnly),
    ];
    let operations = prop_oneof![
        25 => operations,
        1 => (0..4_usize).prop_map(Operation::Reconfigure),
    ];
    with_isolations(operations)
}

/// Now and then a group isolates the breaker, and soon releases it.
#[cfg(feature = "registry")]
fn with_isolations(
    operations: impl Strategy<Value = Operation>,
) -> impl Strategy<Value = Operation> {
    prop_oneof![40 => operations, 1 => Just(Operation::Isolate), 3 => Just(Operation::Release)]
}

#[cfg(not(feature = "registry"))]
use std::convert::identity as with_isolations;

/// So many calls that a breaker without a trip must halve its evidence, until it learns from it.
fn many_calls() -> impl Strategy<Value = Operation> {
    let outcome = prop_oneof![Just(Outcome::Success), Just(Outcome::Failure)];
    (outcome, 0..1_100_u16).prop_map(|(outcome, calls)| Operation::Calls { outcome, calls })
}

/// So many calls that a round of a ramp that hasn't failed can't count them all.
fn full_round() -> impl Strategy<Value = Operation> {
    let outcome = prop_oneof![3 => Just(Outcome::Success), 1 => Just(Outcome::Failure)];
    (outcome, 100..300_u16).prop_map(|(outcome, calls)| Operation::Calls { outcome, calls })
}

/// The causes of trips by the counts of any window. The numbers don't matter.
pub(crate) fn counts() -> Vec<Cause> {
    let (failures, calls, threshold) = (0, 0, 0.0);
    vec![
        Cause::ConsecutiveFailures { failures, limit: 0 },
        Cause::FailureCount {
            failures,
            calls,
            limit: 0,
        },
        Cause::FailureRate {
            failures,
            calls,
            threshold,
        },
        Cause::SlowRate {
            slow: 0,
            calls,
            threshold,
        },
    ]
}

fn burn() -> Cause {
    Cause::BurnRate {
        failures: 0,
        calls: 0,
        short_failures: 0,
        short_calls: 0,
        objective: 0.0,
        factor: 0.0,
    }
}

pub(crate) fn evidence() -> Cause {
    Cause::Evidence {
        failures: 0,
        calls: 0,
        within: Duration::ZERO,
        usual: 0.0,
        nats: 0.0,
        needed: 0.0,
    }
}

/// The causes that depend neither on policies nor on the recovery.
fn others() -> [Cause; 6] {
    [
        Cause::TripRequested,
        Cause::OpenExpired,
        Cause::ProbeFailed,
        Cause::ProbeSlow,
        Cause::ProbesOverdue { probes: 0 },
        Cause::Manual,
    ]
}

/// The causes if only probes decide.
fn by_probes() -> [Cause; 3] {
    let (succeeded, failed, probes) = (0, 0, 0);
    [
        Cause::ProbesSucceeded { probes },
        Cause::EnoughProbesSucceeded { succeeded, probes },
        Cause::TooManyProbesFailed { failed, probes },
    ]
}

/// The causes if a ramp follows the probe.
pub(crate) fn by_ramp() -> [Cause; 4] {
    let (failures, calls, share) = (0, 0, 0.0);
    [
        Cause::ProbeSucceeded { share },
        Cause::RampCompleted { failures, calls },
        Cause::RampFailed {
            failures,
            calls,
            share,
        },
        Cause::RampOverdue { share },
    ]
}

/// How many rounds of cases are generated at most, where those of the first didn't cover
/// everything. A round is a whole one here, whatever the effort.
///
/// Without `PROPTEST_RNG_SEED`, each run has other cases. The cases of one round may miss a rare
/// cause by chance.
const ROUNDS: u32 = 8;

/// What some case must come to, or what the cases have come to.
#[derive(Default)]
pub(crate) struct Coverage {
    pub(crate) causes: Vec<Cause>,
    pub(crate) ways: Vec<Way>,
    pub(crate) came: Vec<Came>,
    pub(crate) would_trip: bool,
}

impl Coverage {
    /// Everything: `trips`, the ways `back`, the other causes and all reconfigurations.
    pub(crate) fn all(trips: &[Cause], back: &[Cause]) -> Self {
        let causes = [trips, back, &others()].concat();
        #[cfg(feature = "registry")]
        let causes = [&causes[..], &[Cause::Isolated, Cause::Released]].concat();
        Self {
            causes,
            ways: Vec::new(),
            came: vec![
                Came::Unchanged,
                Came::WindowKept,
                Came::WindowResized,
                Came::WindowReset,
                Came::TrippedAtOnce,
                Came::RecoveryBegunAnew,
                Came::SwitchedOff,
                Came::SwitchedOn,
            ],
            would_trip: true,
        }
    }

    /// Takes away what `story` has come to.
    fn reach(&mut self, story: &Story) {
        let told: HashSet<_> = story
            .told
            .iter()
            .map(|told| discriminant(&told.cause))
            .collect();
        self.causes
            .retain(|cause| !told.contains(&discriminant(cause)));
        self.ways.retain(|way| !story.ways.contains(way));
        self.came.retain(|came| !story.came.contains(came));
        self.would_trip &= story.would_trips == 0;
    }

    /// The first thing that no case came to.
    fn missing(&self) -> Option<String> {
        let cause = self.causes.first().map(|it| format!("{it:?}"));
        let way = || self.ways.first().map(|it| format!("{it:?}"));
        let came = || self.came.first().map(|it| format!("{it:?}"));
        let would_trip = || {
            self.would_trip
                .then(|| "a trip that was only told".to_owned())
        };
        cause.or_else(way).or_else(came).or_else(would_trip)
    }
}

/// Compares breaker and model on many generated cases. Then asserts that the cases covered
/// everything: `trips`, the ways `back` and the other causes.
fn compare_with(
    configs: impl Strategy<Value = Config> + 'static,
    operations: impl Strategy<Value = Operation> + 'static,
    trips: &[Cause],
    back: &[Cause],
) {
    let stories = vec(with_restarts(operations.boxed()), 1..250);
    compare_stories(configs, stories, Coverage::all(trips, back));
}

/// Compares breaker and model on many generated cases. Then asserts that they covered `wanted`.
pub(crate) fn compare_stories(
    configs: impl Strategy<Value = Config> + 'static,
    stories: impl Strategy<Value = Vec<Operation>> + 'static,
    wanted: Coverage,
) {
    let wanted = RefCell::new(wanted);
    // Boxed, so that all that handles cases is compiled once.
    run_until(
        CASES,
        &(with_others(configs.boxed()), stories.boxed()),
        |story| wanted.borrow_mut().reach(story),
        || wanted.borrow().missing(),
    );
}

/// Compares breaker and model on rounds of `cases` generated cases, until none is `missing`.
fn run_until(
    cases: u32,
    generated: &impl Strategy<Value = (Vec<Config>, Vec<Operation>)>,
    reach: impl Fn(&Story),
    missing: impl Fn() -> Option<String>,
) {
    let most = ROUNDS * cases;
    let mut runner = TestRunner::new(ProptestConfig {
        cases: effort::share_of(cases),
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        source_file: Some(file!()),
        ..ProptestConfig::default()
    });
    for _ in 0..most / runner.config().cases {
        runner
            .run(generated, |(configs, operations)| {
                let story = drive_restarting(&configs, &operations, restart)
                    .map_err(|difference| TestCaseError::fail(difference.to_string()))?;
                reach(&story);
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{error}"));
        if missing().is_none() {
            return;
        }
        // A runner that has run its cases runs no more.
        let rng = runner.new_rng();
        runner = TestRunner::new_with_rng(runner.config().clone(), rng);
    }
    if let Some(missing) = missing() {
        panic!("none of {most} cases came to {missing}");
    }
}

/// Compares breaker and model on some generated cases of dense traffic.
#[cfg(feature = "__model")]
pub(crate) fn drive_cases(
    set_draws: SetDraws,
    generated: &impl Strategy<Value = (Vec<Config>, Vec<Operation>)>,
    reach: impl Fn(&Story),
) {
    let mut runner = TestRunner::new(ProptestConfig {
        cases: effort::share_of(CASES / 4),
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        source_file: Some(file!()),
        ..ProptestConfig::default()
    });
    runner
        .run(generated, |(configs, operations)| {
            let story = drive_drawing(&configs, &operations, restart, Some(set_draws))
                .map_err(|difference| TestCaseError::fail(difference.to_string()))?;
            reach(&story);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

/// Saves the breaker in one of several formats, and restores it.
#[cfg(feature = "serde")]
fn restart(
    breaker: &CircuitBreaker<ByItself>,
    builder: CircuitBreakerBuilder,
) -> CircuitBreakerBuilder {
    let saved = breaker.save();
    let read: SavedState = match breaker.snapshot().generation() % 3 {
        0 => serde_json::from_str(&serde_json::to_string(&saved).unwrap()).unwrap(),
        1 => toml::from_str(&toml::to_string(&saved).unwrap()).unwrap(),
        _ => postcard::from_bytes(&postcard::to_stdvec(&saved).unwrap()).unwrap(),
    };
    assert_eq!(read, saved);
    let a_year = Duration::from_secs(365 * 86_400);
    builder.restore(read).max_state_age(a_year)
}

/// Adds restarts to the operations, if there are any operations.
#[cfg(feature = "serde")]
pub(crate) fn with_restarts(
    operations: impl Strategy<Value = Operation>,
) -> impl Strategy<Value = Operation> {
    let away = prop_oneof![
        2 => Just(Step::Nanos(0)),
        1 => (0..3_000_000_000_u32).prop_map(Step::Nanos),
        1 => steps(),
    ];
    let restarts = away.prop_map(|away| Operation::Restart { away });
    prop_oneof![20 => operations, 1 => restarts]
}

#[cfg(not(feature = "serde"))]
use crate::model::pair::never as restart;
#[cfg(not(feature = "serde"))]
pub(crate) use std::convert::identity as with_restarts;

/// Compares breaker and model for a recovery by probes.
fn compare(
    configs: impl Strategy<Value = Config> + 'static,
    operations: impl Strategy<Value = Operation> + 'static,
    trips: &[Cause],
) {
    compare_with(configs, operations, trips, &by_probes());
}

#[test]
fn a_breaker_with_a_time_window_equals_the_model() {
    let trips = [counts(), vec![burn()]].concat();
    compare(configs(time_windows(), policies()), operations(), &trips);
}

#[test]
fn a_breaker_with_a_count_window_equals_the_model() {
    let configs = configs(count_windows(), policies());
    compare(configs, operations(), &counts());
}

#[test]
fn a_breaker_with_a_count_window_within_a_time_equals_the_model() {
    let configs = configs(count_windows_within(), policies());
    compare(configs, operations(), &counts());
}

/// Fails when: a window with other ages, or none, takes over calls whose ages it doesn't know.
#[test]
fn a_breaker_whose_window_becomes_one_of_another_kind_equals_the_model() {
    let windows = prop_oneof![time_windows(), count_windows(), count_windows_within()];
    compare(configs(windows, policies()), operations(), &counts());
}

/// With evidence, counts seldom trip first.
#[test]
fn a_breaker_that_decides_by_evidence_equals_the_model() {
    let operations = prop_oneof![300 => operations(), 1 => many_calls()];
    let configs = configs(time_windows(), policies_by_evidence());
    compare(configs, operations, &[evidence()]);
}

#[test]
fn a_breaker_that_recovers_in_steps_equals_the_model() {
    let windows = prop_oneof![time_windows(), count_windows(), count_windows_within()];
    let configs = (configs(windows, policies()), ramps()).prop_map(|(config, steps)| Config {
        steps: Some(steps),
        half_open_limit: None,
        ..config
    });
    let operations = prop_oneof![150 => operations(), 1 => full_round()];
    compare_with(configs, operations, &counts(), &by_ramp());
}

/// Bursts and pauses, in which most successes are counted without a clock reading.
fn bursts() -> impl Strategy<Value = Operation> {
    let pauses = || prop_oneof![3 => steps(), 1 => Just(Step::Tick), 1 => Just(Step::Window)];
    let successes = |calls: std::ops::Range<u16>| {
        calls.prop_map(|calls| Operation::Calls {
            outcome: Outcome::Success,
            calls,
        })
    };
    let slow_call = pauses().prop_map(|takes| Operation::Call {
        outcome: Outcome::Success,
        ok: true,
        asynchronous: false,
        takes: Some(takes),
    });
    prop_oneof![
        4 => successes(1_000..1_400),
        6 => successes(0..40),
        3 => slow_call,
        3 => (0..30_000_000_u32).prop_map(Step::Nanos).prop_map(Operation::Advance),
        3 => pauses().prop_map(Operation::Advance),
        3 => operations(),
    ]
}

#[test]
fn a_breaker_with_bursts_and_pauses_equals_the_model() {
    const SHARDS: u32 = 16;
    let is_dense = |config: Config| Config {
        shards: SHARDS,
        start_in: State::Closed,
        recording: Recording::Off,
        timing: Timing::EveryCall,
        ..config
    };
    let policies = prop_oneof![7 => policies(), 1 => policies_by_evidence()];
    let configs = with_others(configs(time_windows(), policies).prop_map(is_dense));
    let is_carried = std::cell::Cell::new(!has_own_counts(SHARDS));
    run_until(
        CASES / 16,
        &(configs, vec(with_restarts(bursts()), 1..40)),
        |story| is_carried.set(is_carried.get() || story.carried > 0),
        || (!is_carried.get()).then(|| "a success that was carried over a pause".to_owned()),
    );
}

#[test]
fn a_count_window_that_was_idle_for_ten_years_equals_the_model() {
    let config = Config {
        window: Shape::CountWithin {
            calls: 1,
            within: Duration::from_millis(100),
        },
        policies: Vec::new(),
        open_for: Duration::from_secs(10 * 365 * 86_400),
        growth: None,
        max_retry_after: None,
        probes: 1,
        needed: None,
        failure_threshold: None,
        slow_threshold: None,
        half_open_limit: None,
        steps: None,
        clients: None,
        by_traffic: false,
        probe_timeout: Duration::from_millis(1),
        on_cancel: Outcome::Ignored,
        start_in: State::Closed,
        enabled: true,
        metrics_only: false,
        shards: 1,
        recording: Recording::Off,
        timing: Timing::EveryCall,
        slower_than: Duration::ZERO,
        built_at: Duration::ZERO,
    };
    let operations = [
        Operation::MetricsOnly,
        Operation::Advance(Step::OpenFor),
        Operation::Acquire { owned: false },
        Operation::Settle {
            permit: 0,
            outcome: Outcome::Success,
            thread: 0,
            took: None,
        },
    ];
    if let Err(difference) = drive(&[config], &operations) {
        panic!("{difference}");
    }
}
