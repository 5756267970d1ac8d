//! Durations and choices in their written form.

use std::fmt;
use std::time::Duration;

use serde::{Deserializer, Serialize, Serializer};
use tripcurve::recovery::{HalfOpenVerdict, Jitter};
use tripcurve::window::{Recording, Timing};
use tripcurve::{Outcome, State};

use crate::read::{At, Read, Words};
use crate::scalars::{Text, read_text};

/// A duration and its spelling. One file has `60s` for a minute, another `1m`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Time {
    text: Box<str>,
    pub(crate) duration: Duration,
}

impl Time {
    /// The units that are accepted. `schema-tests/tests/schema.rs` checks that the list is
    /// complete.
    #[cfg(feature = "schema")]
    pub(crate) const UNITS: &'static str = "nanos|nsec|ns|usec|us|µs|millis|msec|ms|seconds|second|\
        secs|sec|s|minutes|minute|mins|min|m|hours|hour|hrs|hr|h|days|day|d|weeks|week|wks|wk|w|\
        months|month|M|years|year|yrs|yr|y";
}

impl Text for Time {
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration with its unit, as \"250ms\" or \"1m 30s\", or \"forever\",")
    }

    fn of(text: &str) -> Option<Self> {
        let duration = match text {
            "forever" => Duration::MAX,
            // Each part is parsed alone, because humantime panics if the sum of several parts
            // overflows.
            _ => parts(text).try_fold(Duration::ZERO, |sum, part| {
                // humantime accepts zero without a unit. This file format doesn't.
                let has_unit = part != "0";
                let part = humantime::parse_duration(part).ok()?;
                sum.checked_add(part).filter(|_| has_unit)
            })?,
        };
        Some(Self {
            text: text.into(),
            duration,
        })
    }
}

/// Splits after each unit: `1m 30s` becomes `1m ` and `30s`.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let all = rest?;
        let unit = all.find(char::is_alphabetic).unwrap_or(all.len());
        let next = all[unit..].find(|letter: char| letter.is_ascii_digit());
        let (part, behind) = all.split_at(next.map_or(all.len(), |next| unit + next));
        rest = (!behind.is_empty()).then_some(behind);
        Some(part)
    })
}

impl Read for Time {
    fn read<'de, D: Deserializer<'de>>(from: D, at: &At<'_>) -> Result<Self, D::Error> {
        read_text(from, at)
    }
}

impl Serialize for Time {
    fn serialize<W: Serializer>(&self, to: W) -> Result<W::Ok, W::Error> {
        to.serialize_str(&self.text)
    }
}

/// A value that a word chooses.
pub(crate) trait Choice: Copy + PartialEq + 'static {
    const WORDS: &'static [(&'static str, Self)];
}

/// A value that a word has chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Word<T>(pub(crate) T);

impl<T: Choice> Text for Word<T> {
    fn expected(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = T::WORDS.iter().map(|(word, _)| format!("{word:?}"));
        write!(f, "one of {}", Words(words))
    }

    fn of(text: &str) -> Option<Self> {
        let (_, value) = T::WORDS.iter().find(|(word, _)| *word == text)?;
        Some(Self(*value))
    }
}

impl<T: Choice> Read for Word<T> {
    fn read<'de, D: Deserializer<'de>>(from: D, at: &At<'_>) -> Result<Self, D::Error> {
        read_text(from, at)
    }
}

impl<T: Choice> Serialize for Word<T> {
    fn serialize<W: Serializer>(&self, to: W) -> Result<W::Ok, W::Error> {
        let word = T::WORDS.iter().find(|(_, value)| *value == self.0);
        word.map(|(word, _)| *word).serialize(to)
    }
}

impl Choice for Outcome {
    const WORDS: &'static [(&'static str, Self)] =
        &[("ignored", Self::Ignored), ("failure", Self::Failure)];
}

impl Choice for State {
    const WORDS: &'static [(&'static str, Self)] = &[
        (Self::Closed.as_str(), Self::Closed),
        (Self::Open.as_str(), Self::Open),
        (Self::HalfOpen.as_str(), Self::HalfOpen),
        (Self::ForcedOpen.as_str(), Self::ForcedOpen),
        (Self::Disabled.as_str(), Self::Disabled),
        (Self::MetricsOnly.as_str(), Self::MetricsOnly),
    ];
}

impl Choice for Recording {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("off", Self::Off),
        ("combined", Self::Combined),
        ("by-outcome", Self::ByOutcome),
    ];
}

impl Choice for Timing {
    const WORDS: &'static [(&'static str, Self)] =
        &[("sampled", Self::Sampled), ("every-call", Self::EveryCall)];
}

impl Choice for HalfOpenVerdict {
    const WORDS: &'static [(&'static str, Self)] =
        &[("reopen", Self::Reopen), ("close", Self::Close)];
}

impl Choice for Jitter {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("full", Self::Full),
        ("equal", Self::Equal),
        ("decorrelated", Self::Decorrelated),
        ("none", Self::None),
    ];
}
