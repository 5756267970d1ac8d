//! The parts of a breaker: those it is built with, their overrides, and those that come later.

use std::sync::Arc;

#[cfg(feature = "registry")]
use super::open_share::Membership;
use super::totals::{LaterRing, SeenTotals};
use super::{carried::Carried, settings::Settings};
#[cfg(feature = "fleet")]
use crate::adaptive::UnreportedWord;
#[cfg(feature = "async")]
use crate::engine::probe_queue::ProbeQueue;
use crate::events::{WouldTrips, listeners::Listeners};
use crate::latency::{odds::Odds, times::Timed};
#[cfg(feature = "async")]
use crate::recovery::HealthChecks;
#[cfg(feature = "fleet")]
use crate::recovery::Orders;
use crate::recovery::{AdaptiveRecovery, HalfOpenLimit, MaxRetryAfter, OpenTimes};
#[cfg(feature = "async")]
use crate::sync::LateBox;
#[cfg(feature = "async")]
use crate::sync::wait_queue::EventQueue;
use crate::sync::{PublishedOnce, Replaceable};
#[cfg(feature = "tracing")]
use crate::util::event_limit::EventLimit;
use crate::{adaptive::Evidence, window::Ring};

/// The parts that a builder makes for a breaker.
#[derive(Debug)]
pub struct Parts {
    /// The checked settings.
    pub settings: Settings,
    /// The window.
    pub ring: Ring,
    /// The parts that only some breakers have. They are boxed, so other breakers stay small.
    pub optional: Option<Box<OptionalParts>>,
}

/// The parts that only some breakers have.
#[derive(Debug, Default)]
pub struct OptionalParts {
    /// The odds by which calls are timed, if a sample of them is.
    pub odds: Odds,
    /// The timing of calls, if the breaker times them.
    pub timed: Option<Box<Timed>>,
    /// The evidence, if a policy of the breaker judges by it.
    pub evidence: Option<Box<Evidence>>,
    /// The adaptive recovery, if there is one.
    pub recovery: Option<Box<AdaptiveRecovery>>,
    /// The open times, if they grow differently from the default ones.
    pub open_times: Option<Box<OpenTimes>>,
    /// The longest `Retry-After` that the breaker honours, if it isn't the default.
    pub max_retry_after: Option<Box<MaxRetryAfter>>,
    /// The limit of the stay in half-open, if there is one.
    pub half_open_limit: Option<Box<HalfOpenLimit>>,
    /// The time in which the breaker doesn't trip, if it warms up.
    pub warm_up: Option<Box<WarmUp>>,
    /// The queue of callers that wait for the verdict of the probes, if callers may wait.
    #[cfg(feature = "async")]
    pub probe_queue: Option<Box<ProbeQueue<EventQueue>>>,
}

impl OptionalParts {
    /// The parts in a box, or `None` if there are none.
    #[must_use]
    pub fn boxed(self) -> Option<Box<Self>> {
        let has_any = self.timed.is_some()
            || self.evidence.is_some()
            || self.recovery.is_some()
            || self.open_times.is_some()
            || self.max_retry_after.is_some()
            || self.half_open_limit.is_some()
            || self.warm_up.is_some();
        #[cfg(feature = "async")]
        let has_any = has_any || self.probe_queue.is_some();
        has_any.then(|| Box::new(self))
    }

    /// The longest `Retry-After` that a breaker with these parts honours.
    pub(crate) fn max_retry_after(parts: Option<&Self>) -> MaxRetryAfter {
        let own = parts.and_then(|it| it.max_retry_after.as_deref());
        own.copied().unwrap_or(MaxRetryAfter::DEFAULT)
    }
}

/// The time in which a new breaker doesn't trip, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct WarmUp {
    /// How long it lasts.
    pub length: u64,
    /// When it ends.
    pub until: u64,
}

/// How the current configuration treats a part that the breaker was built with.
#[derive(Debug)]
pub(crate) enum Override<T> {
    /// The breaker keeps the part that it was built with, if any.
    Inherit,
    /// The breaker no longer has such a part.
    Removed,
    /// The breaker has this part instead.
    Replaced(Arc<T>),
}

impl<T> Override<T> {
    /// The override that puts `part` in place of any other. `None` removes the part.
    fn by(part: Option<Box<T>>) -> Self {
        part.map_or(Self::Removed, |part| Self::Replaced(Arc::from(part)))
    }

    /// The part in force. `built` is the part that the breaker was built with.
    #[must_use]
    pub(crate) fn of<'a>(&'a self, built: Option<&'a T>) -> Option<&'a T> {
        match self {
            Self::Inherit => built,
            Self::Removed => None,
            Self::Replaced(part) => Some(part),
        }
    }

    /// This override, if it changes the part that is `present`. The part then inherits what the
    /// present one has learned.
    ///
    /// `None` if both parts are configured alike, or if there is neither.
    #[must_use]
    pub(crate) fn changing(
        &self,
        present: Option<&T>,
        same_config: impl FnOnce(&T, &T) -> bool,
        inherit: impl FnOnce(&T, &T),
    ) -> Option<Self> {
        match (present, self.of(None)) {
            (None, None) => return None,
            (Some(old), Some(new)) if same_config(old, new) => return None,
            (Some(old), Some(new)) => inherit(new, old),
            _ => {}
        }
        Some(self.clone())
    }
}

impl<T> Clone for Override<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Inherit => Self::Inherit,
            Self::Removed => Self::Removed,
            Self::Replaced(part) => Self::Replaced(Arc::clone(part)),
        }
    }
}

/// A configuration that came after the breaker was built. It is replaced as a whole.
#[derive(Clone, Debug)]
pub(crate) struct Overrides {
    /// The checked settings.
    pub(crate) settings: Settings,
    /// Whether the settings were given to this breaker alone. Otherwise its registry gave them.
    pub(crate) are_its_own: bool,
    /// The window; `None` if the breaker still has the one that it was built with.
    pub(crate) window: Option<LaterWindow>,
    /// See [`OptionalParts::evidence`].
    pub(crate) evidence: Override<Evidence>,
    /// See [`OptionalParts::recovery`].
    pub(crate) recovery: Override<AdaptiveRecovery>,
    /// See [`OptionalParts::open_times`].
    pub(crate) open_times: Option<OpenTimes>,
    /// The longest `Retry-After` that the breaker honours.
    pub(crate) max_retry_after: MaxRetryAfter,
    /// See [`OptionalParts::half_open_limit`].
    pub(crate) half_open_limit: Override<HalfOpenLimit>,
}

/// A window that came after the breaker was built, and what came with it.
#[derive(Clone, Debug)]
pub(crate) struct LaterWindow {
    pub(crate) ring: Arc<LaterRing>,
    /// See [`OptionalParts::timed`].
    pub(crate) timed: Option<Arc<Timed>>,
    /// When the window came, in nanoseconds.
    pub(crate) since: u64,
    /// The calls that the window took over from the window before it.
    pub(crate) carried: Option<Arc<Carried>>,
}

impl Overrides {
    /// Overrides that keep each part of `built`.
    pub(crate) fn none(built: &Parts) -> Self {
        let optional = built.optional.as_deref();
        Self {
            settings: built.settings.clone(),
            are_its_own: false,
            window: None,
            evidence: Override::Inherit,
            recovery: Override::Inherit,
            open_times: optional.and_then(|it| it.open_times.as_deref().cloned()),
            max_retry_after: OptionalParts::max_retry_after(optional),
            half_open_limit: Override::Inherit,
        }
    }

    /// Overrides that replace every part with that of `parts`, from `now` on. `former` is the
    /// window that came after the breaker was built, if any.
    pub(crate) fn by(
        parts: Parts,
        are_its_own: bool,
        now: u64,
        former: Option<&LaterRing>,
    ) -> Self {
        let max_retry_after = OptionalParts::max_retry_after(parts.optional.as_deref());
        let optional = parts.optional.map(|it| *it).unwrap_or_default();
        Self {
            settings: parts.settings,
            are_its_own,
            window: Some(LaterWindow {
                ring: Arc::new(LaterRing::new(parts.ring, former)),
                timed: optional.timed.map(Arc::from),
                since: now,
                carried: None,
            }),
            evidence: Override::by(optional.evidence),
            recovery: Override::by(optional.recovery),
            open_times: optional.open_times.map(|it| *it),
            max_retry_after,
            half_open_limit: Override::by(optional.half_open_limit),
        }
    }
}

/// What a breaker in a fleet needs.
#[cfg(feature = "fleet")]
#[derive(Debug, Default)]
pub struct ForFleet {
    /// The failures that the fleet wasn't told of.
    pub unreported: UnreportedWord,
    /// The fleet's orders.
    pub orders: Orders,
}

/// The parts that a breaker may get after it was built.
#[derive(Debug, Default)]
pub(super) struct LateParts {
    pub(super) listeners: PublishedOnce<Listeners>,
    pub(super) would_trips: WouldTrips,
    pub(super) totals: SeenTotals,
    #[cfg(feature = "registry")]
    pub(super) membership: PublishedOnce<Membership>,
    #[cfg(feature = "async")]
    pub(super) checks: LateBox<HealthChecks>,
    /// The tasks that wait until a call may be admitted. An empty queue would allocate when it is
    /// notified, so it is made for the first task.
    #[cfg(feature = "async")]
    pub(super) watchers: LateBox<EventQueue>,
    /// What the breaker needs for its fleet, if it is in one.
    #[cfg(feature = "fleet")]
    pub(super) fleet: LateBox<ForFleet>,
    pub(super) overrides: PublishedOnce<Replaceable<Overrides>>,
    /// The bound on the events of rejections, if rejections make events.
    #[cfg(feature = "tracing")]
    pub(super) rejection_events: PublishedOnce<EventLimit>,
    /// There if there are overrides or events of rejections. Calls that aren't simply closed then
    /// take a longer way.
    #[cfg(feature = "tracing")]
    pub(super) detour: PublishedOnce<()>,
}
