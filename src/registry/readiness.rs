//! Whether a program can do its work, as its breakers say.

#[cfg(feature = "serde")]
mod serialize;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::breaker::CircuitBreaker;
use crate::error::ConfigError;
use crate::events::Cause;
use crate::name::Name;
use crate::registry::roster::{EnlistedRegistry, Roster};
use crate::state::State;
use crate::window::rate;

/// How well a program can do its work. Worse ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HealthStatus {
    /// The program works.
    Healthy,
    /// The program works in part, and needs no restart.
    Degraded,
    /// The program can't do its work.
    Down,
}

impl HealthStatus {
    /// The status in one word: `healthy`, `degraded` or `down`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for HealthStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which troubles make a program degraded or down; for [`Roster::health`].
///
/// The default rule: degraded as soon as a breaker is in [trouble](BreakerTrouble), and never down.
/// A registry counts as one breaker, however many keys it has.
///
/// ```
/// use tripcurve::CircuitBreaker;
/// use tripcurve::registry::{HealthRule, HealthStatus, Roster};
///
/// let roster = Roster::new();
/// let build = |name| CircuitBreaker::builder(name).enlist(&roster).build();
/// let (payments, books) = (build("payments")?, build("recommendations")?);
/// let rule = HealthRule::new()
///     .down_if_open("payments") // no sale without it
///     .ignore("recommendations"); // there is a fallback
///
/// books.force_open();
/// assert_eq!(roster.health(&rule).status(), HealthStatus::Healthy);
/// payments.force_open();
/// assert_eq!(roster.health(&rule).status(), HealthStatus::Down);
/// # Ok::<(), tripcurve::error::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a rule does nothing until Roster::health gets it"]
pub struct HealthRule {
    critical: BTreeSet<String>,
    ignored: BTreeSet<String>,
    down_at: Option<f64>,
    degraded_at: f64,
    registry_at: f64,
}

impl Default for HealthRule {
    fn default() -> Self {
        Self::new()
    }
}

impl HealthRule {
    /// Makes the default rule: degraded by any trouble, never down.
    pub const fn new() -> Self {
        Self {
            critical: BTreeSet::new(),
            ignored: BTreeSet::new(),
            down_at: None,
            degraded_at: 0.0,
            registry_at: 0.5,
        }
    }

    /// Makes the program down while a breaker or registry of this name [rejects
    /// calls](BreakerTrouble::rejects_calls).
    ///
    /// [`Health::missing`] has names that no breaker has.
    pub fn down_if_open(mut self, name: impl Into<String>) -> Self {
        self.critical.insert(name.into());
        self
    }

    /// Makes the program down while at least this share of the breakers [rejects
    /// calls](BreakerTrouble::rejects_calls): 0 to 1. One of them must.
    ///
    /// # Errors
    /// `share` is out of its range.
    pub fn down_at_share(mut self, share: f64) -> Result<Self, ConfigError> {
        self.down_at = Some(checked("down_at_share", share)?);
        Ok(self)
    }

    /// Makes the program degraded only while at least this share of the breakers is in trouble: 0
    /// to 1 (default 0). One of them must be.
    ///
    /// # Errors
    /// `share` is out of its range.
    pub fn degraded_at_share(mut self, share: f64) -> Result<Self, ConfigError> {
        self.degraded_at = checked("degraded_at_share", share)?;
        Ok(self)
    }

    /// Sets the share of a registry's breakers that must reject calls, so that the registry counts
    /// as one breaker that does: 0 to 1 (default 0.5). One of them must.
    ///
    /// # Errors
    /// `share` is out of its range.
    pub fn registry_at_share(mut self, share: f64) -> Result<Self, ConfigError> {
        self.registry_at = checked("registry_at_share", share)?;
        Ok(self)
    }

    /// Leaves breakers and registries of this name out, also out of shares.
    pub fn ignore(mut self, name: impl Into<String>) -> Self {
        self.ignored.insert(name.into());
        self
    }

    fn looks_at(&self, name: &str) -> bool {
        !self.ignored.contains(name)
    }

    fn status(&self, breakers: usize, troubles: &[BreakerTrouble]) -> HealthStatus {
        let rejecting = troubles.iter().filter(|it| it.rejects_calls);
        let mut critical = rejecting.clone();
        let is_down = critical.any(|it| self.critical.contains(it.name()))
            || self
                .down_at
                .is_some_and(|share| reaches(share, rejecting.count(), breakers));
        if is_down {
            HealthStatus::Down
        } else if reaches(self.degraded_at, troubles.len(), breakers) {
            HealthStatus::Degraded
        } else {
            HealthStatus::Healthy
        }
    }
}

fn checked(setting: &'static str, share: f64) -> Result<f64, ConfigError> {
    if (0.0..=1.0).contains(&share) {
        return Ok(share);
    }
    Err(ConfigError::new(
        setting,
        share,
        "in 0..=1",
        "0.5 means half of the breakers",
    ))
}

/// Whether a part is not empty, and at least this share of the whole.
fn reaches(share: f64, part: usize, whole: usize) -> bool {
    part > 0 && rate(part as u64, whole as u64) >= share
}

/// How well a program can do its work, and which breakers are in trouble; see [`Roster::health`].
///
/// `Display` makes one line for a log. With the feature `serde` it is serialized in the format of
/// [views](crate::guide::watching), version 1:
///
/// ```
/// # #[cfg(feature = "serde")] {
/// use tripcurve::CircuitBreaker;
/// use tripcurve::registry::{HealthRule, Roster};
///
/// let roster = Roster::new();
/// let payments = CircuitBreaker::builder("payments").enlist(&roster).build()?;
/// payments.force_open();
///
/// let health = roster.health(&HealthRule::new().down_if_open("payments").down_if_open("stock"));
/// let expected = serde_json::json!({
///     "version": 1,
///     "status": "down",
///     "breakers": 1,
///     "troubles": [{
///         "name": "payments",
///         "state": "forced-open",
///         "rejects_calls": true,
///         "remaining_open_seconds": null,
///         "cause": { "kind": "manual", "text": "by hand" },
///         "keys": null,
///         "keys_rejecting": null,
///     }],
///     "missing": ["stock"],
/// });
/// assert_eq!(serde_json::to_value(&health)?, expected);
/// assert_eq!(health.to_string(), "down: payments is forced-open (by hand); no breaker stock");
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Health {
    status: HealthStatus,
    breakers: usize,
    troubles: Vec<BreakerTrouble>,
    missing: Vec<String>,
}

impl Health {
    /// The status by the rule.
    #[must_use]
    pub fn status(&self) -> HealthStatus {
        self.status
    }

    /// Whether the status is [`HealthStatus::Down`], for an answer of 503.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.status == HealthStatus::Down
    }

    /// The number of breakers and registries that the rule looks at.
    #[must_use]
    pub fn breakers(&self) -> usize {
        self.breakers
    }

    /// The breakers and registries in trouble, in the order in which they were built; breakers come
    /// first.
    #[must_use]
    pub fn troubles(&self) -> &[BreakerTrouble] {
        &self.troubles
    }

    /// The names of [`HealthRule::down_if_open`] that no living breaker or registry has, sorted.
    ///
    /// They don't change the status. A breaker may not have been built yet, or the rule has a wrong
    /// name.
    #[must_use]
    pub fn missing(&self) -> &[String] {
        &self.missing
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        let mut before = ": ";
        for trouble in &self.troubles {
            write!(f, "{before}{trouble}")?;
            before = "; ";
        }
        for name in &self.missing {
            write!(f, "{before}no breaker {}", crate::name::Shown(name))?;
            before = "; ";
        }
        Ok(())
    }
}

/// A breaker that is open, half-open or forced open, or a registry of which enough breakers reject
/// calls.
///
/// `Display` says what is wrong, such as `payments is open (5 calls in a row failed (limit 5))`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BreakerTrouble {
    name: Name,
    state: State,
    rejects_calls: bool,
    remaining_open: Option<Duration>,
    cause: Option<Cause>,
    /// How many breakers a registry has, and how many of them reject calls.
    keys: Option<(usize, usize)>,
}

impl BreakerTrouble {
    /// The trouble of a breaker, if it has any. Costs one load if it has none.
    fn of(breaker: &CircuitBreaker) -> Option<Self> {
        if !may_reject(breaker.state()) {
            return None;
        }
        let snapshot = breaker.snapshot();
        may_reject(snapshot.state()).then(|| Self {
            name: breaker.shared.core.name().clone(),
            state: snapshot.state(),
            rejects_calls: rejects_calls(breaker),
            remaining_open: snapshot.remaining_open(),
            cause: snapshot.latest_opening().map(|opening| opening.cause()),
            keys: None,
        })
    }

    /// The trouble of a registry, if enough of its breakers reject calls.
    fn of_registry(registry: &EnlistedRegistry, name: String, share: f64) -> Option<Self> {
        let (mut keys, mut rejecting) = (0, 0);
        registry.for_each(|breaker| {
            keys += 1;
            rejecting += usize::from(rejects_calls(breaker));
        });
        reaches(share, rejecting, keys).then(|| Self {
            name: name.into(),
            state: State::Open,
            rejects_calls: true,
            remaining_open: None,
            cause: None,
            keys: Some((keys, rejecting)),
        })
    }

    /// The name of the breaker, or of the registry's template.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The state: open, half-open or forced open. A registry in trouble is open.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether the breaker rejects all calls.
    ///
    /// A half-open breaker doesn't. Neither does an open one whose open time is over, because the
    /// next call is its probe. Without calls, such a breaker would stay open for ever.
    #[must_use]
    pub fn rejects_calls(&self) -> bool {
        self.rejects_calls
    }

    /// How long an open breaker will still reject all calls; see
    /// [`Snapshot::remaining_open`](crate::snapshot::Snapshot::remaining_open).
    #[must_use]
    pub fn remaining_open(&self) -> Option<Duration> {
        self.remaining_open
    }

    /// Why the breaker opened; see
    /// [`Snapshot::latest_opening`](crate::snapshot::Snapshot::latest_opening). `None` for a
    /// registry.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        self.cause
    }

    /// The number of breakers that a registry has; `None` for a breaker.
    #[must_use]
    pub fn keys(&self) -> Option<usize> {
        self.keys.map(|(keys, _)| keys)
    }

    /// How many breakers of a registry reject calls; `None` for a breaker.
    #[must_use]
    pub fn keys_rejecting(&self) -> Option<usize> {
        self.keys.map(|(_, rejecting)| rejecting)
    }
}

impl fmt::Display for BreakerTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, state, .. } = self;
        match (self.keys, self.cause) {
            (Some((keys, rejecting)), _) => write!(f, "{name}: {rejecting} of {keys} reject calls"),
            (None, Some(cause)) => write!(f, "{name} is {state} ({cause})"),
            (None, None) => write!(f, "{name} is {state}"),
        }
    }
}

fn may_reject(state: State) -> bool {
    matches!(state, State::Open | State::HalfOpen | State::ForcedOpen)
}

/// Whether a breaker would reject a call, and would reject all that come now.
fn rejects_calls(breaker: &CircuitBreaker) -> bool {
    let rejected = breaker.ask().err();
    rejected.is_some_and(|it| matches!(it.state(), State::Open | State::ForcedOpen))
}

impl Roster {
    /// Judges the breakers by a rule, for a readiness endpoint.
    ///
    /// It counts nothing, changes no state, and is no use of a registry's breakers. It costs a
    /// visit to each breaker, and a snapshot of each one in trouble that was enlisted itself. It
    /// never panics.
    ///
    /// A process that isn't ready gets no calls, so nothing probes the dependency. That is why a
    /// breaker whose open time is over makes a program degraded, but not down. The process gets
    /// calls again, and the first one is the probe.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::registry::{HealthRule, HealthStatus, Roster};
    /// use tripcurve::time::Clock;
    ///
    /// let (clock, hand) = Clock::mock();
    /// let roster = Roster::new();
    /// let payments = CircuitBreaker::builder("payments").clock(clock).enlist(&roster).build()?;
    /// let rule = HealthRule::new().down_if_open("payments");
    /// payments.trip(Duration::from_secs(5));
    ///
    /// let health = roster.health(&rule);
    /// assert_eq!(health.status(), HealthStatus::Down);
    /// assert_eq!(health.troubles()[0].remaining_open(), Some(Duration::from_secs(5)));
    /// hand.advance(Duration::from_secs(5));
    /// assert_eq!(roster.health(&rule).status(), HealthStatus::Degraded);
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    #[must_use]
    pub fn health(&self, rule: &HealthRule) -> Health {
        let mut missing = rule.critical.clone();
        let mut troubles = Vec::new();
        let mut count = 0;
        for breaker in self.breakers() {
            missing.remove(breaker.name());
            if rule.looks_at(breaker.name()) {
                count += 1;
                troubles.extend(BreakerTrouble::of(&breaker));
            }
        }
        for registry in self.registries() {
            let name = registry.name();
            missing.remove(&name);
            if rule.looks_at(&name) {
                count += 1;
                let share = rule.registry_at;
                troubles.extend(BreakerTrouble::of_registry(&registry, name, share));
            }
        }
        Health {
            status: rule.status(count, &troubles),
            breakers: count,
            troubles,
            missing: missing.into_iter().collect(),
        }
    }
}
