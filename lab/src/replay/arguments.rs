//! The parts of a policy as it is written on the command line: `name:first:key=value`.

use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use thiserror::Error;

use super::policy::Length;

/// Why a text isn't a policy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PolicyError {
    /// No policy has this name.
    #[error(
        "there is no policy {name:?}; there are:\n{}",
        super::contestant::list()
    )]
    Unknown {
        /// The name that was given.
        name: String,
    },
    /// A file of breakers can't be read.
    #[error("{path}: {error}")]
    File {
        /// The file's path.
        path: String,
        /// The reason.
        error: String,
    },
    /// A part that has another form than expected.
    #[error("policy {policy:?}: {part} is {found:?}; expected {expected}")]
    Value {
        /// The policy as it was written.
        policy: String,
        /// The part's name.
        part: String,
        /// The text that was found.
        found: String,
        /// The form that was expected.
        expected: String,
    },
    /// A required part is missing.
    #[error("policy {policy:?}: {part} is missing; expected {example}")]
    Missing {
        /// The policy as it was written.
        policy: String,
        /// The missing part.
        part: String,
        /// An example of the part.
        example: String,
    },
    /// A part that the policy doesn't take.
    #[error("policy {policy:?}: it has no use for {found:?}; it takes {taken}")]
    Superfluous {
        /// The policy as it was written.
        policy: String,
        /// The part that was given.
        found: String,
        /// The parts that the policy takes.
        taken: String,
    },
}

/// The parts of a policy. Each is removed when it is read.
#[derive(Debug)]
pub(super) struct Arguments<'a> {
    text: &'a str,
    name: &'a str,
    first: Option<&'a str>,
    pairs: Vec<(&'a str, &'a str)>,
    asked: Vec<&'static str>,
}

impl<'a> Arguments<'a> {
    pub(super) fn new(text: &'a str) -> Result<Self, PolicyError> {
        let mut parts = text.trim().split(':');
        let name = parts.next().unwrap_or_default();
        let mut first = None;
        let mut pairs = Vec::new();
        for part in parts {
            match part.split_once('=') {
                Some((key, _)) if pairs.iter().any(|(known, _)| *known == key) => {
                    return Err(PolicyError::Value {
                        policy: text.to_owned(),
                        part: key.to_owned(),
                        found: part.to_owned(),
                        expected: "it once".to_owned(),
                    });
                }
                Some(pair) => pairs.push(pair),
                None if first.is_none() && pairs.is_empty() => first = Some(part),
                None => {
                    return Err(PolicyError::Value {
                        policy: text.to_owned(),
                        part: "a part".to_owned(),
                        found: part.to_owned(),
                        expected: "key=value".to_owned(),
                    });
                }
            }
        }
        Ok(Self {
            text,
            name,
            first,
            pairs,
            asked: Vec::new(),
        })
    }

    pub(super) fn name(&self) -> &'a str {
        self.name
    }

    pub(super) fn unknown(&self) -> PolicyError {
        PolicyError::Unknown {
            name: self.name.to_owned(),
        }
    }

    fn value(&self, part: &str, found: &str, expected: &str) -> PolicyError {
        PolicyError::Value {
            policy: self.text.to_owned(),
            part: part.to_owned(),
            found: found.to_owned(),
            expected: expected.to_owned(),
        }
    }

    fn missing(&self, part: &str, example: String) -> PolicyError {
        PolicyError::Missing {
            policy: self.text.to_owned(),
            part: part.to_owned(),
            example,
        }
    }

    /// Reads the number after the name.
    pub(super) fn first<T: FromStr>(&mut self, example: &str) -> Result<T, PolicyError> {
        let form = format!("a number, as in {}:{example}", self.name);
        let text = self
            .first
            .take()
            .ok_or_else(|| self.missing("the number behind the name", form.clone()))?;
        text.parse()
            .map_err(|_| self.value("the number behind the name", text, &form))
    }

    fn take(&mut self, key: &'static str) -> Option<&'a str> {
        self.asked.push(key);
        let index = self.pairs.iter().position(|(known, _)| *known == key)?;
        Some(self.pairs.swap_remove(index).1)
    }

    pub(super) fn number<T: FromStr>(
        &mut self,
        key: &'static str,
    ) -> Result<Option<T>, PolicyError> {
        self.take(key)
            .map(|text| {
                text.parse()
                    .map_err(|_| self.value(key, text, "a number, whole where it counts calls"))
            })
            .transpose()
    }

    pub(super) fn duration(&mut self, key: &'static str) -> Result<Option<Duration>, PolicyError> {
        self.take(key)
            .map(|text| {
                duration(text)
                    .ok_or_else(|| self.value(key, text, "a duration such as 250ms, 2s or 1h"))
            })
            .transpose()
    }

    pub(super) fn needed_duration(&mut self, key: &'static str) -> Result<Duration, PolicyError> {
        self.duration(key)?
            .ok_or_else(|| self.missing(key, format!("{key}=2s, for example")))
    }

    pub(super) fn window(&mut self) -> Result<Option<Length>, PolicyError> {
        let key = "window";
        self.take(key)
            .map(|text| {
                let length = match text.strip_suffix("calls") {
                    Some(calls) => calls.parse().ok().map(Length::Calls),
                    None => duration(text).map(Length::Time),
                };
                length.ok_or_else(|| self.value(key, text, "a duration such as 60s, or 100calls"))
            })
            .transpose()
    }

    /// Returns an error if a part is left.
    pub(super) fn done(self) -> Result<(), PolicyError> {
        let left = self.first.map(str::to_owned).or_else(|| {
            self.pairs
                .first()
                .map(|(key, value)| format!("{key}={value}"))
        });
        match left {
            None => Ok(()),
            Some(found) => Err(PolicyError::Superfluous {
                policy: self.text.to_owned(),
                found,
                taken: self.asked.join("=, ") + "=",
            }),
        }
    }
}

/// Reads a duration such as `250ms`, `2s` or `1h 30m`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    // Jiff has no days without a calendar.
    if let Some(days) = text.strip_suffix('d').and_then(|days| days.parse().ok()) {
        return Duration::from_secs(86_400).checked_mul(days);
    }
    text.parse::<SignedDuration>().ok()?.try_into().ok()
}
