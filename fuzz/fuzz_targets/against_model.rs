//! A breaker and the plain model of `tests/it/model` stay equal under the same operations.
#![no_main]

#[path = "../../tests/it/model/mod.rs"]
mod model;

use std::collections::BTreeSet;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::{Corpus, fuzz_target};
use model::pair::{Operation, Step, drive};
use model::{Adaptive, BurnRate, Config, Growth, Part, Policy, Shape, Steps};
use tripcurve::recovery::Jitter;
use tripcurve::window::{Recording, Timing};
use tripcurve::{Outcome, State};

/// Fewer calls than a histogram counts one by one.
const LONGEST_RUN: usize = 500;

fuzz_target!(|data: &[u8]| -> Corpus {
    let mut bytes = Unstructured::new(data);
    let (Ok(configs), Ok(operations)) = (configs(&mut bytes), operations(&mut bytes)) else {
        return Corpus::Reject;
    };
    if let Err(difference) = drive(&configs, &operations) {
        panic!("{difference}\nwith {configs:#?}\nand {operations:#?}");
    }
    Corpus::Keep
});

fn nanos(bytes: &mut Unstructured<'_>, from: u64, to: u64) -> Result<Duration> {
    bytes.int_in_range(from..=to).map(Duration::from_nanos)
}

/// The configuration of the breaker, and its replacements.
fn configs(bytes: &mut Unstructured<'_>) -> Result<Vec<Config>> {
    let first = config(bytes)?;
    let mut configs = vec![first.clone()];
    for _ in 0..bytes.int_in_range(0..=3)? {
        let other = config(bytes)?;
        configs.push(Config {
            enabled: other.enabled,
            metrics_only: other.metrics_only,
            ..first.changed(&other, &parts(bytes)?)
        });
    }
    Ok(configs)
}

/// The parts to change. Half of them keep the window.
fn parts(bytes: &mut Unstructured<'_>) -> Result<Vec<Part>> {
    let all: &[Part] = match bytes.arbitrary()? {
        true => &Part::ALL,
        false => &Part::BESIDE_THE_WINDOW,
    };
    let bits = bytes.arbitrary::<u8>()?;
    let is_changed = |number: usize| bits >> number & 1 == 1;
    let changed = all
        .iter()
        .enumerate()
        .filter(|(number, _)| is_changed(*number));
    Ok(changed.map(|(_, part)| *part).collect())
}

fn config(bytes: &mut Unstructured<'_>) -> Result<Config> {
    let window = window(bytes)?;
    let policies = (0..bytes.int_in_range(0..=3)?)
        .map(|_| policy(bytes))
        .collect::<Result<_>>()?;
    let open_for = nanos(bytes, 1_000_000, 5_000_000_000)?;
    let probes = match bytes.int_in_range(0..=9)? {
        0 => bytes.int_in_range(1..=255)?,
        _ => bytes.int_in_range(1..=5)?,
    };
    let needed = match bytes.arbitrary()? {
        true => Some(bytes.int_in_range(1..=probes)?),
        false => None,
    };
    Ok(Config {
        window,
        policies: Policy::all_fitted(policies, window),
        open_for,
        growth: growth(bytes, open_for)?,
        max_retry_after: match bytes.int_in_range(0..=4)? {
            0 => Some(Duration::ZERO),
            1..=2 => Some(nanos(bytes, 1_000_000, 10_000_000_000)?),
            _ => None,
        },
        probes,
        needed,
        failure_threshold: match bytes.arbitrary()? {
            true => Some(bytes.int_in_range(1..=probes - needed.unwrap_or(1) + 1)?),
            false => None,
        },
        slow_threshold: match bytes.arbitrary()? {
            true => Some(bytes.int_in_range(1..=probes)?),
            false => None,
        },
        half_open_limit: match bytes.arbitrary()? {
            true => Some((nanos(bytes, 1_000_000, 6_000_000_000)?, bytes.arbitrary()?)),
            false => None,
        },
        steps: ramp(bytes)?,
        clients: match bytes.int_in_range(0..=5)? {
            0 => Some(bytes.int_in_range(1..=1_000_000)?),
            1..=2 => Some(1),
            _ => None,
        },
        by_traffic: bytes.ratio(3, 4)?,
        probe_timeout: match bytes.int_in_range(0..=4)? {
            0 => Duration::MAX,
            _ => nanos(bytes, 1_000_000, 5_000_000_000)?,
        },
        on_cancel: *bytes.choose(&[Outcome::Ignored, Outcome::Failure])?,
        start_in: *bytes.choose(&[
            State::Closed,
            State::Closed,
            State::Closed,
            State::Open,
            State::HalfOpen,
            State::ForcedOpen,
            State::Disabled,
            State::MetricsOnly,
        ])?,
        enabled: bytes.ratio(7, 8)?,
        metrics_only: bytes.ratio(1, 8)?,
        shards: *bytes.choose(&[1, 2, 4, 64])?,
        recording: *bytes.choose(&[Recording::Off, Recording::Combined, Recording::ByOutcome])?,
        timing: Timing::EveryCall,
        slower_than: nanos(bytes, 1_000, 5_000_000_000)?,
        built_at: if bytes.arbitrary()? {
            Duration::ZERO
        } else {
            // Within the times that a breaker remembers.
            nanos(bytes, 0, 90 * 365 * 86_400 * 1_000_000_000)?
        },
    })
}

fn ramp(bytes: &mut Unstructured<'_>) -> Result<Option<Steps>> {
    if bytes.arbitrary()? {
        return Ok(None);
    }
    let mut shares = BTreeSet::new();
    for _ in 0..bytes.int_in_range(1..=4)? {
        shares.insert(bytes.int_in_range(1..=1_000)?);
    }
    Ok(Some(Steps {
        shares_in_thousandths: shares.into_iter().collect(),
        each: nanos(bytes, 1_000_000, 5_000_000_000)?,
        max_failure_rate_in_percent: match bytes.arbitrary()? {
            true => Some(bytes.int_in_range(0..=99)?),
            false => None,
        },
    }))
}

fn growth(bytes: &mut Unstructured<'_>, base: Duration) -> Result<Option<Growth>> {
    if bytes.arbitrary()? {
        return Ok(None);
    }
    Ok(Some(Growth {
        factor_in_tenths: bytes.int_in_range(10..=1_000)?,
        longest: base * bytes.int_in_range(1..=1_000)?,
        jitter: *bytes.choose(&[
            Jitter::None,
            Jitter::Full,
            Jitter::Equal,
            Jitter::Decorrelated,
        ])?,
        healthy_after: match bytes.int_in_range(0..=2)? {
            0 => Some(nanos(bytes, 1_000_000, 50_000_000_000)?),
            1 => Some(Duration::MAX),
            _ => None,
        },
    }))
}

fn window(bytes: &mut Unstructured<'_>) -> Result<Shape> {
    let length = nanos(bytes, 100_000_000, 10_000_000_000)?;
    let calls = bytes.int_in_range(1..=70)?;
    Ok(match bytes.int_in_range(0..=2)? {
        0 => Shape::Time {
            length,
            buckets: bytes.int_in_range(1..=16)?,
        },
        1 => Shape::Count { calls },
        _ => Shape::CountWithin {
            calls,
            within: length,
        },
    })
}

fn policy(bytes: &mut Unstructured<'_>) -> Result<Policy> {
    Ok(match bytes.int_in_range(0..=7)? {
        7 => Policy::Classic,
        0 => Policy::ConsecutiveFailures(bytes.int_in_range(1..=10)?),
        1 => Policy::FailureCount {
            limit: bytes.int_in_range(1..=30)?,
            min_calls: bytes.int_in_range(1..=40)?,
        },
        2 => Policy::FailureRate {
            threshold: threshold(bytes)?,
            min_calls: bytes.int_in_range(1..=40)?,
        },
        3 => Policy::SlowRate {
            threshold: threshold(bytes)?,
            min_calls: bytes.int_in_range(1..=20)?,
        },
        5 => Policy::BurnRate(BurnRate {
            budget_in_millionths: bytes.int_in_range(1..=999_999)?,
            factor_in_thousandths: bytes.int_in_range(1_000..=1_000_000)?,
            short_in_thousandths: match bytes.arbitrary()? {
                true => Some(bytes.int_in_range(0..=1_000)?),
                false => None,
            },
            min_calls: bytes.int_in_range(1..=20)?,
        }),
        _ => Policy::Adaptive(Adaptive {
            tolerate: f64::from(bytes.int_in_range(0..=900_u32)?) / 1_000.0,
            false_trip_budget: nanos(bytes, 60_000_000_000, 1_000_000_000_000)?,
            is_timed: bytes.arbitrary()?,
        }),
    })
}

fn threshold(bytes: &mut Unstructured<'_>) -> Result<f64> {
    Ok(f64::from(bytes.int_in_range(1..=1_000_u32)?) / 1_000.0)
}

/// The duration that a call takes, or reports.
fn takes(bytes: &mut Unstructured<'_>) -> Result<Option<Step>> {
    Ok(match bytes.int_in_range(0..=3_u8)? {
        0 => Some(step(bytes)?),
        _ => None,
    })
}

fn operations(bytes: &mut Unstructured<'_>) -> Result<Vec<Operation>> {
    let mut operations = Vec::new();
    while !bytes.is_empty() && operations.len() < LONGEST_RUN {
        operations.push(operation(bytes)?);
    }
    Ok(operations)
}

fn outcome(bytes: &mut Unstructured<'_>) -> Result<Outcome> {
    bytes
        .choose(&[
            Outcome::Success,
            Outcome::Failure,
            Outcome::Ignored,
            Outcome::TimedOut,
            Outcome::Trip,
        ])
        .copied()
}

fn operation(bytes: &mut Unstructured<'_>) -> Result<Operation> {
    // An operation needs only a few bytes, so small inputs are long stories.
    let permit = |bytes: &mut Unstructured<'_>| bytes.arbitrary::<u8>().map(usize::from);
    Ok(match bytes.int_in_range(0..=18_u8)? {
        17 => Operation::Reconfigure(bytes.arbitrary::<u8>()?.into()),
        0..=2 => Operation::Acquire {
            owned: bytes.arbitrary()?,
        },
        3 if bytes.ratio(1, 4)? => Operation::SettleWishing {
            permit: permit(bytes)?,
            outcome: outcome(bytes)?,
            wish: step(bytes)?,
        },
        3..=4 => Operation::Settle {
            permit: permit(bytes)?,
            outcome: outcome(bytes)?,
            // A call on another thread costs more than everything else.
            thread: match bytes.arbitrary::<u8>()? {
                thread @ 1..=3 => thread.into(),
                _ => 0,
            },
            took: takes(bytes)?,
        },
        5 => Operation::Drop {
            permit: permit(bytes)?,
        },
        6 => Operation::DropByPanic {
            permit: permit(bytes)?,
        },
        7..=8 => Operation::Call {
            outcome: outcome(bytes)?,
            ok: bytes.arbitrary()?,
            asynchronous: bytes.arbitrary()?,
            takes: takes(bytes)?,
        },
        9 => Operation::CallThatPanics {
            asynchronous: bytes.arbitrary()?,
        },
        10..=13 => Operation::Advance(step(bytes)?),
        // Sometimes this is enough for a full field.
        15 => Operation::Calls {
            outcome: outcome(bytes)?,
            calls: match bytes.arbitrary::<u8>()? {
                calls @ 0..=250 => (calls % 32).into(),
                calls => u16::from(calls - 250) * 150,
            },
        },
        18 => Operation::Traffic {
            calls: bytes.int_in_range(1..=64)?,
            apart: bytes.int_in_range(0..=100_000_000)?,
            failing: bytes.arbitrary()?,
            are_slow: bytes.arbitrary()?,
        },
        14 => Operation::Trip(Duration::from_micros(bytes.arbitrary::<u16>()?.into())),
        _ => match bytes.int_in_range(0..=8_u8)? {
            8 => Operation::Reject,
            0 => Operation::Reset,
            1 => Operation::ForceOpen,
            2 => Operation::Disable,
            3 => Operation::MetricsOnly,
            4 => Operation::Isolate,
            5..=6 => Operation::Release,
            _ => Operation::Trip(nanos(bytes, 0, u64::MAX)?),
        },
    })
}

fn step(bytes: &mut Unstructured<'_>) -> Result<Step> {
    Ok(match bytes.int_in_range(0..=26_u8)? {
        0..=3 => Step::Nanos(bytes.arbitrary::<u16>()?.into()),
        4..=5 => Step::Nanos(bytes.arbitrary()?),
        6..=7 => Step::Tick,
        8 => Step::Window,
        9 => Step::AlmostWindow,
        10 => Step::OpenFor,
        11 => Step::AlmostOpenFor,
        12 => Step::ProbeTimeout,
        13 => Step::AlmostProbeTimeout,
        14 => Step::Years(bytes.arbitrary()?),
        15..=16 => Step::Limit,
        17..=18 => Step::JustAboveLimit,
        19 => Step::Each,
        20 => Step::AlmostEach,
        21 => Step::LongestOpenTime,
        22..=23 => Step::Rest,
        24 => Step::AlmostRest,
        25 => Step::Seconds(bytes.int_in_range(0..=4_000)?),
        _ => match bytes.arbitrary::<u8>()? {
            0 => Step::End,
            _ => Step::Tick,
        },
    })
}
