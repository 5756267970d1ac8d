//! A breaker by its name: one of ours, or a re-implemented peer.

use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::mpsc;

use tripcurve::State;
use tripcurve::error::ConfigError;
use tripcurve::events::Transition;

use super::arguments::PolicyError;
use super::course::{self, Course};
use super::policy::{FORMS, Policy};
use crate::breaker::Breaker;
use crate::log::Call;
use crate::ours::Ours;
use crate::peers::{self, Visit, catalogue};

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
    Peer(&'static peers::Entry),
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
            Some(entry) => Kind::Peer(entry),
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
            Kind::Peer(entry) => Ok((entry.build)(SEED).run(Through(calls))),
        }
    }

    /// The settings in words, if the name doesn't contain them.
    #[must_use]
    pub fn settings(&self) -> Option<&'static str> {
        match &self.kind {
            Kind::Ours(_) => None,
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
    let (told, transitions) = mpsc::channel();
    let mut ours = Ours::new("replay", |builder| {
        let told = told.clone();
        policy
            .apply(builder)
            .on_transition(move |transition: &Transition| drop(told.send(transition.clone())))
    })?;
    Ok(course::run(calls, &mut ours, || {
        transitions
            .try_iter()
            .filter(|transition| transition.from() == State::Closed)
            .last()
            .map(|transition| transition.cause().to_string())
    }))
}

/// Lists everything that `--policy` accepts, one per line.
pub(super) fn list() -> String {
    let mut list = String::new();
    for (form, meaning) in FORMS {
        let _ = writeln!(list, "  {form:44} {meaning}");
    }
    list += "  (these also take window=60s or window=100calls, open=5s, probes=3; a+b trips when one of both would)\n";
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
