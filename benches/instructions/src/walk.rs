//! Which files of the crate a call passes through, as `docs/walk.md` lists them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tripcurve::time::Clock;
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, TripPolicy};

use crate::paths::{Path, build, counted_calls, fail, succeed};

/// The calls of the walk, each after the calls that prepare it.
pub(crate) const WALKS: &[Path] = &[
    ("walk/closed", |_| {
        let breaker = build(classic());
        let _ = breaker.call(succeed);
        counted_calls(1, || breaker.call(succeed));
    }),
    ("walk/trip", |_| trip(classic())),
    ("walk/trip/listener", |_| trip(listened())),
    ("walk/probe", |_| probe(classic())),
    ("walk/probe/listener", |_| probe(listened())),
];

fn classic() -> CircuitBreakerBuilder {
    CircuitBreaker::builder("walk").trip_when(TripPolicy::classic())
}

fn listened() -> CircuitBreakerBuilder {
    classic().on_transition(|_| ())
}

/// The last of five failures in a row, which trips.
fn trip(builder: CircuitBreakerBuilder) {
    let breaker = build(builder);
    for _ in 0..4 {
        let _ = breaker.call(fail);
    }
    counted_calls(1, || breaker.call(fail));
}

/// The only probe of a breaker whose open time is over. It succeeds.
fn probe(builder: CircuitBreakerBuilder) {
    let (clock, hand) = Clock::mock();
    let breaker = build(builder.probes(1).clock(clock));
    breaker.trip(Duration::from_secs(1));
    hand.advance(Duration::from_secs(1));
    counted_calls(1, || breaker.call(succeed));
}

/// The files of the crate's `src` in which instructions ran, as callgrind's records show them.
///
/// Line 0 is the compiler's: instructions that it has merged belong to no line.
pub(crate) fn files_in(records: &str) -> BTreeSet<String> {
    const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/");
    let sources = SOURCES.replace("/benches/instructions/src/", "/src/");
    let mut names = BTreeMap::new();
    let mut found = BTreeSet::new();
    let (mut file, mut at) = ("", 0);
    let mut is_a_callees_cost = false;
    for line in records.lines() {
        if let Some((key, named)) = line.split_once('=') {
            if matches!(key, "fl" | "fi" | "fe" | "cfi" | "cfl") {
                // A file is named where it comes first, and later called by its number.
                let (number, name) = named.split_once(' ').unwrap_or((named, ""));
                if !name.is_empty() {
                    names.insert(number, name);
                }
                if !key.starts_with('c') {
                    file = names.get(number).copied().unwrap_or_default();
                }
            }
            is_a_callees_cost = key == "calls";
        } else if let Some(line) = line.split(' ').next().and_then(|it| number_after(it, at)) {
            at = line;
            if !std::mem::take(&mut is_a_callees_cost) && line != 0 {
                found.extend(file.strip_prefix(&sources).map(str::to_owned));
            }
        }
    }
    found
}

/// The number of a line, which may be relative to the one before it.
fn number_after(text: &str, before: i64) -> Option<i64> {
    match text.strip_prefix('+').or(text.strip_prefix('-')) {
        Some(_) => Some(before + text.parse::<i64>().ok()?),
        None if text == "*" => Some(before),
        None => text.parse().ok(),
    }
}
