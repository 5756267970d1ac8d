//! Peers in files of tripcurve's own configuration.

use std::fmt;
use std::sync::OnceLock;

use thiserror::Error;
use toml::{Table, Value};
use tripcurve_config::Config;

use super::given::{Given, GivenError};
use super::rules::{KINDS, Rules};

/// A peer with chosen settings.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The peer's name in tables and on the command line.
    pub name: &'static str,
    /// The peer's settings in words.
    pub settings: &'static str,
    /// The source of the peer's rules.
    pub source: &'static str,
    /// The peer's settings.
    pub rules: Rules,
}

/// The breakers of a file: ours, and peers.
#[derive(Clone, Debug)]
pub struct Breakers {
    /// All breakers. `builder` has the settings of those that are ours.
    pub config: Config,
    /// The names of those that are ours, in the order of the file.
    pub ours: Vec<&'static str>,
    /// The peers, in the order of the file.
    pub peers: Vec<Entry>,
}

/// Why a file can't be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BreakersError {
    /// The file isn't TOML, or tripcurve-config refuses it.
    #[error("{0}")]
    Config(String),
    /// A setting of a peer.
    #[error(transparent)]
    Given(#[from] GivenError),
}

impl Breakers {
    /// Reads a file. It is a configuration as tripcurve-config reads it, with a table `peers`.
    ///
    /// A breaker that has an entry in `peers` is the peer that the entry names. The entry has the
    /// settings that only this peer has.
    ///
    /// # Errors
    /// Returns an error if the file isn't a configuration, or a peer has no use for a setting.
    pub fn read(text: &str) -> Result<Self, BreakersError> {
        let mut file: Table =
            toml::from_str(text).map_err(|error| BreakersError::Config(error.to_string()))?;
        let peers = match file.remove("peers") {
            None => Table::new(),
            Some(Value::Table(peers)) => peers,
            Some(other) => return Err(wrong("peers", &other, "a table of names")),
        };
        let config: Config = file
            .clone()
            .try_into()
            .map_err(|error: toml::de::Error| BreakersError::Config(error.message().to_owned()))?;
        config
            .check()
            .map_err(|error| BreakersError::Config(error.to_string()))?;
        let empty = Table::new();
        let breakers = file.get("breakers").and_then(Value::as_table);
        let breakers = breakers.unwrap_or(&empty);
        if let Some((name, _)) = peers.iter().find(|(name, _)| !breakers.contains_key(*name)) {
            let at = format!("peers.{name}");
            return Err(wrong(
                &at,
                &"without a breaker",
                &format!("[breakers.{name}]"),
            ));
        }
        let mut read = Self {
            config,
            ours: Vec::new(),
            peers: Vec::new(),
        };
        for (name, breaker) in breakers {
            match (peers.get(name), breaker.as_table()) {
                (Some(Value::Table(own)), Some(breaker)) => {
                    read.peers.push(entry(name, breaker, own.clone())?);
                }
                (Some(other), _) => {
                    return Err(wrong(&format!("peers.{name}"), other, "a table"));
                }
                (None, _) => read.ours.push(kept(name.clone())),
            }
        }
        Ok(read)
    }
}

fn entry(name: &str, breaker: &Table, mut own: Table) -> Result<Entry, BreakersError> {
    let names = || KINDS.map(|kind| kind.name).join(", ");
    let is = own.remove("is");
    let kind = KINDS.into_iter().find(|kind| {
        let is = is.as_ref().and_then(Value::as_str);
        is == Some(kind.name)
    });
    let Some(kind) = kind else {
        let found = is.map_or_else(|| "missing".to_owned(), |is| is.to_string());
        return Err(wrong(
            &format!("peers.{name}.is"),
            &found,
            &format!("one of {}", names()),
        ));
    };
    let settings = match own.remove("about") {
        None => "as in the file".to_owned(),
        Some(Value::String(about)) => about,
        Some(other) => return Err(wrong(&format!("peers.{name}.about"), &other, "a text")),
    };
    let mut given = Given::new(name, breaker, &own);
    let rules = (kind.read)(&mut given)?;
    given.done(kind.name)?;
    Ok(Entry {
        name: kept(name.to_owned()),
        settings: kept(settings),
        source: kind.source,
        rules,
    })
}

fn wrong(at: &str, found: &dyn fmt::Display, expected: &str) -> BreakersError {
    BreakersError::Given(GivenError::Value {
        at: at.to_owned(),
        found: found.to_string(),
        expected: expected.to_owned(),
    })
}

/// Keeps a text of a file until the program ends, since contestants are copied a lot.
fn kept(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

/// All peers of a comparison: those of `peers.toml`.
///
/// # Panics
/// Panics if the file is invalid. A test reads it.
#[must_use]
#[allow(clippy::panic, reason = "the file is a part of the program")]
pub fn catalogue() -> &'static [Entry] {
    static CATALOGUE: OnceLock<Vec<Entry>> = OnceLock::new();
    CATALOGUE.get_or_init(|| match Breakers::read(include_str!("../../peers.toml")) {
        Ok(read) => read.peers,
        Err(error) => panic!("peers.toml: {error}"),
    })
}
