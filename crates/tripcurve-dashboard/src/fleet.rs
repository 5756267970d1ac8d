//! What the dashboard is told of the fleets that breakers have joined.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde::Serialize;

use crate::row::short;

/// A function that tells what a member of fleets knows.
pub(crate) type Source = Box<dyn Fn() -> MemberStatus + Send + Sync>;

/// What a program knows of its breakers' fleets, for [`Dashboard::fleet`](crate::Dashboard::fleet).
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct MemberStatus {
    /// Why each breaker decides for itself. `None` while the fleet's store works.
    pub local_only: Option<Arc<str>>,
    /// The breakers that have joined.
    pub breakers: Vec<JoinedBreaker>,
}

impl MemberStatus {
    /// Makes the status of a member whose store works.
    #[must_use]
    pub fn new(breakers: Vec<JoinedBreaker>) -> Self {
        Self {
            local_only: None,
            breakers,
        }
    }
}

/// What a fleet does with its breakers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FleetState {
    /// Each breaker decides for itself.
    #[default]
    Closed,
    /// All breakers are open.
    Open,
    /// All breakers admit one share of their calls.
    Ramp,
}

/// A breaker that has joined a fleet.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct JoinedBreaker {
    /// The breaker's name.
    pub name: Arc<str>,
    /// The fleet's state (default [`FleetState::Closed`]).
    pub state: FleetState,
    /// How many members have announced their traffic (default 0).
    pub members: u64,
    /// The call rate of all members, in calls per second (default 0.0).
    pub calls_per_second: f64,
    /// The share of calls that all members admit, in `0.0..=1.0` (default 1.0).
    pub share: f64,
    /// How near the fleet is to a trip. A trip takes enough evidence in all tests (default none).
    pub tests: Vec<FleetTest>,
    /// How many members are left out as too loud: with them there is enough evidence for a trip,
    /// and without them there isn't (default 0).
    pub left_out: usize,
}

impl JoinedBreaker {
    /// Makes a breaker of a closed fleet of which nothing else is known.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            state: FleetState::Closed,
            members: 0,
            calls_per_second: 0.0,
            share: 1.0,
            tests: Vec::new(),
            left_out: 0,
        }
    }
}

/// A fleet's evidence, and what a trip takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FleetTest {
    /// The failure rate that is tested against: `usual` or `tolerated`.
    pub against: &'static str,
    /// The failures since there was last no evidence.
    pub failures: u64,
    /// The evidence of all members, in nats.
    pub evidence: f64,
    /// The evidence that a trip takes, in nats.
    pub needed: f64,
    /// The evidence without the loudest members, in nats. `None` if nobody has asked for it.
    pub without_loudest: Option<f64>,
    /// The evidence without the loudest members that a trip takes, in nats.
    pub needed_without_loudest: f64,
}

impl FleetTest {
    /// Makes a test without failures.
    #[must_use]
    pub fn new(against: &'static str, needed: f64, needed_without_loudest: f64) -> Self {
        Self {
            against,
            failures: 0,
            evidence: 0.0,
            needed,
            without_loudest: None,
            needed_without_loudest,
        }
    }
}

/// A breaker's fleet as its card shows it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FleetDetail {
    state: FleetState,
    local_only: Option<Arc<str>>,
    members: u64,
    calls_per_second: f64,
    share: f64,
    tests: Vec<FleetTest>,
    left_out: usize,
}

impl FleetDetail {
    fn new(it: JoinedBreaker, local_only: Option<Arc<str>>) -> Self {
        let rounded = |test: FleetTest| FleetTest {
            evidence: short(test.evidence),
            needed: short(test.needed),
            without_loudest: test.without_loudest.map(short),
            needed_without_loudest: short(test.needed_without_loudest),
            ..test
        };
        Self {
            state: it.state,
            local_only,
            members: it.members,
            calls_per_second: short(it.calls_per_second),
            share: short(it.share),
            tests: it.tests.into_iter().map(rounded).collect(),
            left_out: it.left_out,
        }
    }
}

/// Asks all sources. Of breakers with one name, the first counts.
///
/// A source that panics tells nothing, so that it doesn't end the sampler.
pub(crate) fn ask(sources: &[Source]) -> HashMap<Arc<str>, FleetDetail> {
    let mut all = HashMap::new();
    for source in sources {
        let status = catch_unwind(AssertUnwindSafe(source)).unwrap_or_default();
        for it in status.breakers {
            let name = Arc::clone(&it.name);
            let detail = || FleetDetail::new(it, status.local_only.clone());
            all.entry(name).or_insert_with(detail);
        }
    }
    all
}
