//! The settings of one peer in a file, key by key.

use std::fmt;
use std::time::Duration;

use thiserror::Error;
use toml::{Table, Value};

use crate::breaker::Nanos;

/// Why the settings of a peer make no sense.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GivenError {
    /// A value that has another form than expected.
    #[error("{at}: it is {found}; expected {expected}")]
    Value {
        /// The value's place in the file.
        at: String,
        /// The value that was found.
        found: String,
        /// The form that was expected.
        expected: String,
    },
    /// A key that the peer has no use for.
    #[error("{at}: {peer} has no such setting; it takes {taken}")]
    Superfluous {
        /// The key's place in the file.
        at: String,
        /// The peer.
        peer: String,
        /// The keys that the peer takes.
        taken: String,
    },
}

/// The keys of a peer that haven't been read yet.
///
/// A key of a table has its table's name: `window.length`. A policy's keys have the policy's name:
/// `failure_rate` and `failure_rate.min_calls`. A key that only the peer has begins with `own.`.
#[derive(Debug)]
pub(super) struct Given {
    name: String,
    keys: Vec<(String, Value)>,
    asked: Vec<&'static str>,
}

impl Given {
    /// The keys of the breaker and of the peer with this name. tripcurve-config has checked those
    /// of the breaker.
    pub(super) fn new(name: &str, breaker: &Table, own: &Table) -> Self {
        let mut keys = Vec::new();
        for (key, value) in breaker {
            match value {
                Value::Table(table) => keys.extend(within(key, table)),
                Value::Array(policies) if key == "trip_when" => {
                    keys.extend(policies.iter().flat_map(policy));
                }
                _ => keys.push((key.clone(), value.clone())),
            }
        }
        keys.extend(within("own", own));
        Self {
            name: name.to_owned(),
            keys,
            asked: Vec::new(),
        }
    }

    /// The place of a key in the file.
    fn at(&self, key: &str) -> String {
        let name = &self.name;
        key.strip_prefix("own.").map_or_else(
            || format!("breakers.{name}.{key}"),
            |own| format!("peers.{name}.{own}"),
        )
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.asked.push(key);
        let place = self.keys.iter().position(|(known, _)| known == key)?;
        Some(self.keys.swap_remove(place).1)
    }

    fn read<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, GivenError> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        match read(&value) {
            Some(read) => Ok(Some(read)),
            None => Err(self.wrong(key, &value, expected)),
        }
    }

    /// The error about a value of another form than expected.
    pub(super) fn wrong(&self, key: &str, found: impl fmt::Display, expected: &str) -> GivenError {
        GivenError::Value {
            at: self.at(key),
            found: found.to_string(),
            expected: expected.to_owned(),
        }
    }

    /// Whether any key begins so.
    pub(super) fn has(&self, begin: &str) -> bool {
        self.keys.iter().any(|(key, _)| key.starts_with(begin))
    }

    /// Reads a number.
    pub(super) fn number(&mut self, key: &'static str) -> Result<Option<f64>, GivenError> {
        self.read(key, "a number", |value| match value {
            Value::Float(number) => Some(*number),
            Value::Integer(number) => i32::try_from(*number).ok().map(f64::from),
            _ => None,
        })
    }

    /// Reads a number of something.
    pub(super) fn count(&mut self, key: &'static str) -> Result<Option<u32>, GivenError> {
        self.read(key, "a whole number", |value| {
            u32::try_from(value.as_integer()?).ok()
        })
    }

    /// Reads a word.
    pub(super) fn word(&mut self, key: &'static str) -> Result<Option<String>, GivenError> {
        self.read(key, "a word", |value| value.as_str().map(str::to_owned))
    }

    /// Reads a duration.
    pub(super) fn time(&mut self, key: &'static str) -> Result<Option<Nanos>, GivenError> {
        self.read(key, "a duration such as \"250ms\" or \"1m 30s\"", |value| {
            nanos(humantime::parse_duration(value.as_str()?).ok()?)
        })
    }

    /// Reads a duration of whole seconds.
    pub(super) fn seconds(&mut self, key: &'static str) -> Result<Option<u32>, GivenError> {
        self.read(key, "whole seconds, as \"10s\"", |value| {
            let duration = humantime::parse_duration(value.as_str()?).ok()?;
            let whole = u32::try_from(duration.as_secs()).ok()?;
            (duration.subsec_nanos() == 0).then_some(whole)
        })
    }

    /// Reads a value of which the peer has only one. `is` says whether it is that one.
    pub(super) fn fixed(
        &mut self,
        key: &'static str,
        expected: &str,
        is: impl Fn(&Value) -> bool,
    ) -> Result<(), GivenError> {
        self.read(key, expected, |value| is(value).then_some(()))?;
        Ok(())
    }

    /// Returns an error if a key is left. `peer` is the peer's name.
    pub(super) fn done(self, peer: &str) -> Result<(), GivenError> {
        let Some((key, _)) = self.keys.first() else {
            return Ok(());
        };
        let asked = self.asked.iter();
        let taken: Vec<_> = asked
            .map(|key| key.strip_prefix("own.").unwrap_or(key))
            .collect();
        Err(GivenError::Superfluous {
            at: self.at(key),
            peer: peer.to_owned(),
            taken: taken.join(", "),
        })
    }
}

/// The keys of a table, each with the table's name.
fn within(name: &str, table: &Table) -> Vec<(String, Value)> {
    let keys = table.iter();
    keys.map(|(key, value)| (format!("{name}.{key}"), value.clone()))
        .collect()
}

/// The keys of a policy, under the policy's name.
fn policy(policy: &Value) -> Vec<(String, Value)> {
    const MAIN: [&str; 3] = ["consecutive_failures", "failure_rate", "slow_rate"];

    let Value::Table(table) = policy else {
        return vec![("trip_when".to_owned(), policy.clone())];
    };
    let Some(main) = MAIN.into_iter().find(|main| table.contains_key(*main)) else {
        return within("trip_when", table);
    };
    let keys = table.iter().map(|(key, value)| {
        let key = if key == main {
            key.clone()
        } else {
            format!("{main}.{key}")
        };
        (key, value.clone())
    });
    keys.collect()
}

fn nanos(duration: Duration) -> Option<Nanos> {
    Nanos::try_from(duration.as_nanos()).ok()
}
