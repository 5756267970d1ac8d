//! Any saved state is refused with a reason, or gives a working breaker. A total outage must then
//! open that breaker.
//!
//! There are two kinds of input. Arbitrary bytes are refused by the checksum. A state that a
//! breaker has saved gets replaced parts and a valid checksum. So only the checks of each part
//! protect the breaker.
#![no_main]

use std::time::{Duration, SystemTime};

use arbitrary::{Error, Result, Unstructured};
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::Value;
use tripcurve::outcome::Report;
use tripcurve::persist::SavedState;
use tripcurve::recovery::Backoff;
use tripcurve::time::{Clock, MockClock};
use tripcurve::window::Window;
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Recovery, State, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);

fuzz_target!(|data: &[u8]| -> Corpus {
    if let Ok(saved) = serde_json::from_slice::<SavedState>(data) {
        check_any(&saved);
    }
    if let Ok(saved) = postcard::from_bytes::<SavedState>(data) {
        check_any(&saved);
    }
    match replace_parts(&mut Unstructured::new(data)) {
        Ok(()) => Corpus::Keep,
        Err(_) => Corpus::Reject,
    }
});

/// Checks that a state is written as it was read, and that its parts agree.
fn check_any(saved: &SavedState) {
    let written = serde_json::to_string(saved).unwrap();
    assert_eq!(
        &serde_json::from_str::<SavedState>(&written).unwrap(),
        saved
    );
    assert!(saved.saved_at() >= SystemTime::UNIX_EPOCH);
    assert_eq!(
        saved.remaining_open().is_some(),
        saved.state() == State::Open
    );
    let (clock, hand) = Clock::mock();
    hand.set_system_time(saved.saved_at());
    let builder = CircuitBreaker::builder(saved.name().to_owned()).clock(clock);
    if let Ok(breaker) = builder.restore(saved.clone()).build() {
        assert_eq!(breaker.state(), saved.state());
    }
}

/// The number of failed calls after which a total outage must have opened any of these breakers, at
/// one call every 100 ms. That many are needed if nearly all failures came right after another.
const OUTAGE: u32 = 720;

/// Makes calls that all fail. Policies on durations alone don't judge failures.
fn check_outage(breaker: &CircuitBreaker, hand: &MockClock) {
    let mut failed = 0;
    while breaker.state() == State::Closed {
        assert!(
            failed < OUTAGE,
            "{breaker:?} is closed after {failed} failed calls"
        );
        let _ = breaker.call(|| Err::<(), _>(()));
        hand.advance(Duration::from_millis(100));
        failed += 1;
    }
}

/// A builder, and whether one of its policies judges failures.
fn builder(bytes: &mut Unstructured<'_>, clock: &Clock) -> Result<(CircuitBreakerBuilder, bool)> {
    let mut builder = CircuitBreaker::builder("fuzzed").clock(clock.clone());
    builder = match bytes.int_in_range(0..=5_u8)? {
        0 => builder.window(Window::count(5)),
        1 => builder.window(Window::count(40).within(10 * SECOND)),
        2 => builder.window(Window::time(SECOND, 1)),
        3 => builder.window(Window::time(10 * SECOND, 100)),
        _ => builder,
    };
    let policies = bytes.int_in_range(0..=2_u8)?;
    let mut looks_at_failures = policies == 0;
    for _ in 0..policies {
        let policy = bytes.int_in_range(0..=5_u8)?;
        looks_at_failures |= !matches!(policy, 2 | 3);
        builder = match policy {
            0 => builder.trip_when(TripPolicy::consecutive_failures(3)),
            5 => builder.trip_when(TripPolicy::classic()),
            1 => builder.trip_when(TripPolicy::failure_rate(0.5).min_calls(5)),
            2 => builder.trip_when(TripPolicy::slow_rate(0.5).slower_than(SECOND).min_calls(5)),
            3 => builder.trip_when(TripPolicy::slower_than_usual(2.0)),
            _ => builder.trip_when(TripPolicy::adaptive().slower_than(SECOND)),
        };
    }
    builder = match bytes.int_in_range(0..=3_u8)? {
        0 => builder.recovery(Recovery::adaptive()),
        1 => builder.backoff(Backoff::exponential(SECOND, 2.0, 60 * SECOND)),
        2 => builder.max_retry_after(60 * SECOND),
        _ => builder,
    };
    let builder = builder.max_state_age(365 * 86_400 * SECOND);
    // Some settings are invalid together.
    match builder.clone().build() {
        Ok(_) => Ok((builder, looks_at_failures)),
        Err(_) => Err(Error::IncorrectFormat),
    }
}

/// Uses a breaker in all ways that depend on the restored state.
fn use_it(
    bytes: &mut Unstructured<'_>,
    breaker: &CircuitBreaker,
    hand: &MockClock,
    steps: usize,
) -> Result<()> {
    for _ in 0..steps {
        if bytes.is_empty() {
            break;
        }
        match bytes.int_in_range(0..=9_u8)? {
            0..=3 => drop(breaker.call(|| Err::<(), _>(()))),
            4..=5 => drop(breaker.call(|| Ok::<_, ()>(()))),
            6 => {
                if let Ok(permit) = breaker.try_acquire() {
                    let took = Duration::from_millis(bytes.arbitrary::<u16>()?.into());
                    permit.record(Report::success().took(took));
                }
            }
            7 => hand.advance(Duration::from_millis(bytes.arbitrary::<u16>()?.into())),
            8 => hand.advance(Duration::from_secs(bytes.arbitrary::<u32>()?.into())),
            _ => match bytes.int_in_range(0..=3_u8)? {
                0 => breaker.trip(Duration::from_secs(bytes.arbitrary::<u16>()?.into())),
                1 => breaker.reset(),
                2 => breaker.metrics_only(),
                _ => breaker.force_open(),
            },
        }
        let snapshot = breaker.snapshot();
        assert_eq!(snapshot.state(), breaker.state());
        assert!(!snapshot.to_string().is_empty());
    }
    Ok(())
}

/// All numbers and words of a value.
fn leaves(value: &Value, path: String, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let parts = fields.iter();
            parts.for_each(|(key, value)| leaves(value, format!("{path}/{key}"), found));
        }
        Value::Array(values) => {
            let parts = values.iter().enumerate();
            parts.for_each(|(index, value)| leaves(value, format!("{path}/{index}"), found));
            // A longer list, too.
            found.push(path);
        }
        _ => found.push(path),
    }
}

fn number(bytes: &mut Unstructured<'_>) -> Result<u64> {
    let number = bytes.arbitrary::<u64>()?;
    Ok(match bytes.int_in_range(0..=3_u8)? {
        0 => number,
        1 => number >> 32,
        2 => number >> 54,
        _ => number >> bytes.int_in_range(0..=63_u8)?,
    })
}

/// Replaces a leaf by another value of its kind.
fn replace(bytes: &mut Unstructured<'_>, leaf: &mut Value) -> Result<()> {
    *leaf = match leaf.take() {
        Value::Number(_) => number(bytes)?.into(),
        Value::String(_) => match bytes.int_in_range(0..=2_u8)? {
            0 => bytes
                .choose(&["closed", "open", "half-open", "disabled", "metrics-only"])?
                .to_string()
                .into(),
            1 => ".x.X.s".repeat(bytes.int_in_range(0..=40_usize)?).into(),
            _ => bytes.arbitrary::<String>()?.into(),
        },
        Value::Array(mut values) => {
            let another = number(bytes)?.into();
            values.push(values.first().cloned().unwrap_or(another));
            values.into()
        }
        Value::Null => match bytes.int_in_range(0..=1_u8)? {
            0 => number(bytes)?.into(),
            _ => vec![number(bytes)?, number(bytes)?].into(),
        },
        other => other,
    };
    Ok(())
}

/// The value with a valid checksum, if it can be read at all.
fn with_sum(mut value: Value) -> Option<SavedState> {
    let saved: SavedState = serde_json::from_value(value.clone()).ok()?;
    let name = saved.name().to_owned();
    let error = CircuitBreaker::builder(name)
        .restore(saved.clone())
        .build()
        .err()?;
    if error.setting == "restored.checksum" {
        let sum = error.expected.trim_matches('"');
        value["checksum"] = sum.into();
        return serde_json::from_value(value).ok();
    }
    Some(saved)
}

fn replace_parts(bytes: &mut Unstructured<'_>) -> Result<()> {
    let (clock, hand) = Clock::mock();
    hand.advance(Duration::from_millis(bytes.arbitrary::<u32>()?.into()));
    let (before, _) = builder(bytes, &clock)?;
    let before = before.build().unwrap();
    use_it(bytes, &before, &hand, 40)?;
    let mut value = serde_json::to_value(before.save()).unwrap();
    let mut paths = Vec::new();
    leaves(&value, String::new(), &mut paths);
    for _ in 0..bytes.int_in_range(0..=6_u8)? {
        let path = bytes.choose(&paths)?;
        if let Some(leaf) = value.pointer_mut(path) {
            replace(bytes, leaf)?;
        }
    }
    let Some(saved) = with_sum(value) else {
        return Ok(());
    };
    check_any(&saved);
    let (clock, hand) = Clock::mock();
    hand.advance(Duration::from_millis(bytes.arbitrary::<u32>()?.into()));
    let away = match bytes.arbitrary()? {
        true => Duration::ZERO,
        false => Duration::from_millis(bytes.arbitrary::<u32>()?.into()),
    };
    hand.set_system_time(saved.saved_at() + away);
    let state = saved.state();
    let (builder, looks_at_failures) = builder(bytes, &clock)?;
    match builder.clone().restore(saved.clone()).build() {
        Ok(breaker) => {
            assert_eq!(breaker.state(), state);
            if looks_at_failures {
                let (clock, hand) = Clock::mock();
                hand.set_system_time(saved.saved_at() + away);
                let another = builder.clock(clock).restore(saved).build();
                check_outage(&another.unwrap(), &hand);
            }
            use_it(bytes, &breaker, &hand, 200)?;
            drop(breaker.save());
        }
        Err(error) => {
            assert!(error.setting.starts_with("restored."), "{error}");
            assert!(!error.to_string().is_empty());
        }
    }
    Ok(())
}
