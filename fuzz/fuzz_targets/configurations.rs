//! No settings make `build` panic. A breaker with accepted settings survives every operation of a
//! caller.
#![no_main]

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::{Corpus, fuzz_target};
use tripcurve::outcome::Report;
use tripcurve::time::Clock;
use tripcurve::window::{Recording, Window};
use tripcurve::{CircuitBreaker, Outcome, Recovery, State, TripPolicy};

const OPERATIONS: usize = 300;

fuzz_target!(|data: &[u8]| -> Corpus {
    match run(&mut Unstructured::new(data)) {
        Ok(()) => Corpus::Keep,
        Err(_) => Corpus::Reject,
    }
});

/// Any duration: round ones, which lie on the limits, and others.
fn duration(bytes: &mut Unstructured<'_>) -> Result<Duration> {
    let number = bytes.arbitrary::<u64>()?;
    Ok(match bytes.int_in_range(0..=7_u8)? {
        0 => Duration::from_nanos(number),
        1 => Duration::from_millis(number % 1_000),
        2 => Duration::from_secs(number % 1_000),
        3 => Duration::from_secs(number % 1_000 * 86_400),
        4 => Duration::from_millis(100),
        5 => Duration::from_secs(number),
        6 => Duration::MAX,
        _ => Duration::new(number, bytes.int_in_range(0..=999_999_999)?),
    })
}

/// Any number, mostly one of those in use.
fn number(bytes: &mut Unstructured<'_>) -> Result<u32> {
    match bytes.int_in_range(0..=3_u8)? {
        0 => bytes.arbitrary(),
        1 => bytes.arbitrary::<u16>().map(u32::from),
        _ => bytes.arbitrary::<u8>().map(u32::from),
    }
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

fn policy(bytes: &mut Unstructured<'_>) -> Result<TripPolicy> {
    Ok(match bytes.int_in_range(0..=9_u8)? {
        9 => TripPolicy::classic(),
        0 => TripPolicy::consecutive_failures(number(bytes)?),
        1 => TripPolicy::failure_count(number(bytes)?)
            .min_calls(number(bytes)?)
            .into(),
        2 => TripPolicy::failure_rate(bytes.arbitrary()?)
            .min_calls(number(bytes)?)
            .into(),
        3 => TripPolicy::failure_rate(f64::from(bytes.arbitrary::<u8>()?) / 100.0).into(),
        4 => {
            let rate = TripPolicy::slow_rate(f64::from(bytes.arbitrary::<u8>()?) / 100.0);
            match bytes.arbitrary()? {
                true => rate.slower_than(duration(bytes)?).into(),
                false => rate.min_calls(number(bytes)?).into(),
            }
        }
        5 => burn_rate(bytes)?,
        6 => TripPolicy::latency_percentile(percentile(bytes)?)
            .above(duration(bytes)?)
            .min_calls(number(bytes)?)
            .into(),
        7 => {
            let tolerate = match bytes.arbitrary()? {
                true => bytes.arbitrary()?,
                false => f64::from(bytes.arbitrary::<u8>()?) / 250.0,
            };
            let policy = TripPolicy::adaptive().tolerate(tolerate);
            match bytes.int_in_range(0..=2_u8)? {
                0 => policy.into(),
                1 => policy.false_trip_budget(duration(bytes)?).into(),
                _ => policy.slower_than(duration(bytes)?).into(),
            }
        }
        _ => TripPolicy::slower_than_usual(f64::from(bytes.arbitrary::<u8>()?) / 10.0)
            .percentile(percentile(bytes)?)
            .min_calls(number(bytes)?)
            .into(),
    })
}

fn burn_rate(bytes: &mut Unstructured<'_>) -> Result<TripPolicy> {
    let objective = match bytes.int_in_range(0..=3_u8)? {
        0 => bytes.arbitrary()?,
        1 => 0.999,
        _ => f64::from(bytes.arbitrary::<u8>()?) / 250.0,
    };
    let policy = TripPolicy::burn_rate(objective).min_calls(number(bytes)?);
    Ok(match bytes.int_in_range(0..=3_u8)? {
        0 => policy.factor(bytes.arbitrary()?).into(),
        1 => policy.factor(1.0).into(),
        2 => policy.factor(1.0).short(duration(bytes)?).into(),
        _ => policy.into(),
    })
}

fn percentile(bytes: &mut Unstructured<'_>) -> Result<f64> {
    match bytes.arbitrary()? {
        true => bytes.arbitrary(),
        false => Ok(f64::from(bytes.arbitrary::<u8>()?)),
    }
}

fn run(bytes: &mut Unstructured<'_>) -> Result<()> {
    let (clock, hand) = Clock::mock();
    hand.advance(duration(bytes)?);
    let mut builder = CircuitBreaker::builder(bytes.arbitrary::<String>()?)
        .clock(clock)
        .on_transition(|told| drop(told.to_string()))
        .start_in(*bytes.choose(&[
            State::Closed,
            State::Open,
            State::HalfOpen,
            State::ForcedOpen,
            State::Disabled,
            State::MetricsOnly,
        ])?);
    builder = match bytes.int_in_range(0..=3_u8)? {
        0 => builder,
        1 => builder.window(Window::time(duration(bytes)?, number(bytes)?)),
        2 => builder.window(Window::count(number(bytes)?)),
        _ => builder.window(Window::count(number(bytes)?).within(duration(bytes)?)),
    };
    for _ in 0..bytes.int_in_range(0..=3)? {
        builder = builder.trip_when(policy(bytes)?);
    }
    if bytes.arbitrary()? {
        let recordings = [Recording::Off, Recording::Combined, Recording::ByOutcome];
        builder = builder.latency(*bytes.choose(&recordings)?);
    }
    if bytes.arbitrary()? {
        builder = builder.open_for(duration(bytes)?);
    }
    if bytes.arbitrary()? {
        builder = builder.probes(number(bytes)?);
    }
    if bytes.arbitrary()? {
        let recovery = match bytes.arbitrary()? {
            true => Recovery::adaptive(),
            false => Recovery::probes(number(bytes)?),
        };
        builder = builder.recovery(match bytes.arbitrary()? {
            true => recovery.clients(number(bytes)?),
            false => recovery,
        });
    }
    if bytes.arbitrary()? {
        builder = builder.probe_timeout(duration(bytes)?);
    }
    if bytes.arbitrary()? {
        builder = builder.on_cancel(outcome(bytes)?);
    }
    if bytes.arbitrary()? {
        builder = builder.shards(if bytes.arbitrary()? {
            number(bytes)?
        } else {
            bytes.int_in_range(1..=64)?
        });
    }

    let described = format!("{builder:?}");
    assert!(!described.is_empty());
    let breaker = match builder.build() {
        Ok(breaker) => breaker,
        Err(error) => {
            assert!(error.to_string().contains(&*error.setting));
            return Ok(());
        }
    };
    let mut permits = Vec::new();
    for step in 0..OPERATIONS {
        if bytes.is_empty() {
            break;
        }
        match bytes.int_in_range(0..=15_u8)? {
            0..=3 => permits.extend(breaker.try_acquire_owned()),
            4..=6 => {
                if let Some(permit) = permits.pop() {
                    let outcome = outcome(bytes)?;
                    let report = Report::from(outcome);
                    permit.record(match bytes.arbitrary()? {
                        true => report,
                        false => report.took(duration(bytes)?),
                    });
                }
            }
            7 => drop(permits.pop()),
            8 => drop(breaker.call(|| Ok::<_, ()>(()))),
            9..=10 => drop(breaker.call(|| Err::<(), _>(()))),
            11 => hand.advance(Duration::from_nanos(bytes.arbitrary::<u32>()?.into())),
            12 => hand.advance(duration(bytes)?),
            13 => breaker.trip(duration(bytes)?),
            14 => match bytes.int_in_range(0..=3_u8)? {
                0 => breaker.reset(),
                1 => breaker.force_open(),
                2 => breaker.disable(),
                _ => breaker.metrics_only(),
            },
            _ => {
                let snapshot = breaker.snapshot();
                assert_eq!(snapshot.state(), breaker.state(), "step {step}");
                assert!(!snapshot.to_string().is_empty());
                if let Some(latency) = snapshot.latency() {
                    let percentile = percentile(bytes)?;
                    let found = latency.percentile(percentile);
                    assert_eq!(found.is_some(), latency.count() > 0, "step {step}");
                    assert!(
                        found <= latency.max() && found >= latency.min(),
                        "step {step}"
                    );
                    assert!(!latency.to_string().is_empty());
                }
            }
        }
    }
    drop(permits);
    Ok(())
}
