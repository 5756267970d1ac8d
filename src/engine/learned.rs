//! What a breaker that decides by evidence tells its fleet: what it has learned, and its failures.

use std::time::Duration;

use super::Core;
use super::parts::ForFleet;
use super::view::{Configuration, View, with_view};
use crate::adaptive::{EvidenceRule, UnreportedFailures, UnreportedWord};
use crate::latency::times::Timed;
use crate::policy::TripPolicy;
use crate::state::State;
use crate::state::history::date_of;

/// What a breaker has learned of its traffic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct UsualTraffic {
    /// The calls per second; 0.0 while the breaker is open by itself.
    pub(crate) calls_per_second: f64,
    /// The share of calls that usually fails.
    pub(crate) failure_rate: f64,
}

impl Core {
    /// The rule of the adaptive policy, if the breaker has one.
    #[must_use]
    pub(crate) fn evidence_rule(&self) -> Option<EvidenceRule> {
        with_view!(self, |view| view.evidence_rule())
    }

    /// The time above which a call is slow, if the breaker has slow calls.
    #[must_use]
    pub(crate) fn slow_limit(&self) -> Option<Duration> {
        let nanos = with_view!(self, |view| view.timed().and_then(Timed::limit));
        nanos.map(Duration::from_nanos)
    }

    /// What the adaptive policy has learned, if the breaker has one.
    #[must_use]
    pub(crate) fn usual_traffic(&self) -> Option<UsualTraffic> {
        with_view!(self, |view| view.usual_traffic())
    }

    /// The failures that the breaker's fleet wasn't told of, if the breaker is in a fleet.
    #[inline]
    pub(crate) fn unreported(&self) -> Option<&UnreportedWord> {
        Some(&self.for_fleet()?.unreported)
    }

    /// Takes the failures that the breaker's fleet wasn't told of, at `now`.
    pub(crate) fn take_unreported(&self, now: u64) -> Option<UnreportedFailures> {
        self.unreported()?.take(date_of(now))
    }

    /// What the breaker needs for its fleet, if it is in one.
    #[inline]
    pub(super) fn for_fleet(&self) -> Option<&ForFleet> {
        self.late.get()?.fleet.get()
    }

    /// Notes failures for a fleet and follows its orders from now on.
    pub fn join_fleet(&self) -> &ForFleet {
        let late = self.late.get_or_init(Box::default);
        late.fleet.get_or_init(Box::default)
    }
}

impl<'a, F: Configuration<'a>> View<'a, F> {
    fn evidence_rule(self) -> Option<EvidenceRule> {
        let mut policies = self.settings().policies.iter();
        let config = policies.find_map(TripPolicy::adaptive_config)?;
        Some(EvidenceRule::of(config))
    }

    fn usual_traffic(self) -> Option<UsualTraffic> {
        let evidence = self.evidence()?;
        let seen = self.state.load();
        let is_open = match seen.phase().state() {
            // Calls that the fleet holds off are calls that it waits for.
            State::Open => !self.follows_in(seen.generation()),
            state => state == State::ForcedOpen,
        };
        let pace = evidence.calls_per_second();
        Some(UsualTraffic {
            calls_per_second: if is_open { 0.0 } else { pace },
            failure_rate: evidence.usual_failure_rate(),
        })
    }
}
