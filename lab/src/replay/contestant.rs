//! A breaker by its name: one of ours, or a re-implemented peer.

use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;
use std::str::FromStr;
use std::sync::mpsc;

use tripcurve::error::ConfigError;
use tripcurve::events::Transition;
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, State};
use tripcurve_config::Config;

use super::arguments::PolicyError;
use super::course::{self, Course};
use super::policy::{FORMS, Policy};
use crate::breaker::Breaker;
use crate::log::Call;
use crate::ours::Ours;
use crate::peers::{self, Breakers, Visit, catalogue};

/// A breaker that a log is run through.
#[derive(Clone, Debug)]
pub struct Contestant {
    /// The breaker as it was written on the command line.
    pub name: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Ours(Policy),
    /// A breaker of a file, by its name there.
    Configured(Config, &'static str),
    Peer(peers::Entry),
}

/// The breakers that one `--policy` names: one by its name, or all of a file.
#[derive(Clone, Debug)]
pub struct Contestants(pub Vec<Contestant>);

impl FromStr for Contestants {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let is_file = Path::new(text).extension().is_some_and(|end| end == "toml");
        if !is_file {
            return Ok(Self(vec![text.parse()?]));
        }
        let wrong = |error: &dyn fmt::Display| PolicyError::File {
            path: text.to_owned(),
            error: error.to_string(),
        };
        let file = fs::read_to_string(text).map_err(|error| wrong(&error))?;
        let breakers = Breakers::read(&file).map_err(|error| wrong(&error))?;
        let Breakers {
            config,
            ours,
            peers,
        } = breakers;
        let ours = ours.into_iter().map(|name| Contestant {
            name: name.to_owned(),
            kind: Kind::Configured(config.clone(), name),
        });
        let peers = peers.into_iter().map(|entry| Contestant {
            name: entry.name.to_owned(),
            kind: Kind::Peer(entry),
        });
        let all: Vec<_> = ours.chain(peers).collect();
        if all.is_empty() {
            return Err(wrong(&"it has no breakers; expected [breakers.NAME]"));
        }
        Ok(Self(all))
    }
}

/// Peers by their plain names, with their defaults.
const PLAIN: [(&str, &str); 4] = [
    ("resilience4j", "r4j-count100"),
    ("polly", "polly-def"),
    ("envoy", "envoy-5xx"),
    ("sre", "sre-k2"),
];

/// The seed of peers that decide at random. Each replay gives the same result.
const SEED: u64 = 1;

impl FromStr for Contestant {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let plain = PLAIN.iter().find(|(plain, _)| *plain == text);
        let name = plain.map_or(text, |&(_, name)| name);
        let kind = match catalogue().iter().find(|entry| entry.name == name) {
            Some(entry) => Kind::Peer(entry.clone()),
            None => Kind::Ours(text.parse()?),
        };
        Ok(Self {
            name: text.to_owned(),
            kind,
        })
    }
}

impl Contestant {
    /// Runs a log through a new breaker of this kind.
    ///
    /// # Errors
    /// Returns an error if a setting is invalid.
    pub fn run(&self, calls: &[Call]) -> Result<Course, ConfigError> {
        match &self.kind {
            Kind::Ours(policy) => run_policy(policy, calls),
            Kind::Configured(config, name) => run_builder(config.builder(name)?, calls),
            Kind::Peer(entry) => Ok(entry.rules.build(SEED).run(Through(calls))),
        }
    }

    /// The settings in words, if the name doesn't contain them.
    #[must_use]
    pub fn settings(&self) -> Option<&'static str> {
        match &self.kind {
            Kind::Ours(_) | Kind::Configured(..) => None,
            Kind::Peer(entry) => Some(entry.settings),
        }
    }
}

/// Runs the calls through a peer.
struct Through<'a>(&'a [Call]);

impl Visit for Through<'_> {
    type Output = Course;

    fn visit<B: Breaker>(self, mut breaker: B) -> Course {
        course::run(self.0, &mut breaker, || None)
    }
}

/// Runs a log through the crate's breaker with these settings.
///
/// # Errors
/// Returns an error if a setting is invalid.
pub fn run_policy(policy: &Policy, calls: &[Call]) -> Result<Course, ConfigError> {
    run_builder(policy.apply(CircuitBreaker::builder("replay")), calls)
}

fn run_builder(builder: CircuitBreakerBuilder, calls: &[Call]) -> Result<Course, ConfigError> {
    let (told, transitions) = mpsc::channel();
    let tell = move |transition: &Transition| drop(told.send(transition.clone()));
    let mut ours = Ours::of(0, builder.on_transition(tell))?;
    Ok(course::run(calls, &mut ours, || {
        transitions
            .try_iter()
            .filter(|transition| transition.from() == State::Closed)
            .last()
            .map(|transition| transition.cause().to_string())
    }))
}

/// How a file is named, and what that means.
const FILE: (&str, &str) = (
    "FILE.toml",
    "all breakers of a file, as tripcurve-config reads it",
);

/// Lists everything that `--policy` accepts, one per line.
pub(super) fn list() -> String {
    let mut list = String::new();
    for (form, meaning) in FORMS {
        let _ = writeln!(list, "  {form:44} {meaning}");
    }
    list += "  (these also take window=60s or window=100calls, open=5s, probes=3; a+b trips when one of both would)\n";
    let (form, meaning) = FILE;
    let _ = writeln!(list, "  {form:44} {meaning}");
    for entry in catalogue() {
        let plain = PLAIN.iter().find(|(_, name)| *name == entry.name);
        let name = match plain {
            Some((plain, name)) => format!("{plain} or {name}"),
            None => entry.name.to_owned(),
        };
        let _ = writeln!(list, "  {name:44} {}", entry.settings);
    }
    list.truncate(list.trim_end().len());
    list
}
