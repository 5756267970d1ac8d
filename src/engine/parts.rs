//! The parts of a breaker: those it is built with, their overrides, and those that come later.

use std::sync::Arc;

use super::carried::Carried;
use super::settings::Settings;
use crate::adaptive::Evidence;
#[cfg(feature = "async")]
use crate::engine::probe_queue::ProbeQueue;
use crate::events::listeners::Listeners;
use crate::latency::times::Timed;
#[cfg(feature = "async")]
use crate::recovery::HealthChecks;
use crate::recovery::{AdaptiveRecovery, MaxRetryAfter, OpenTimes};
#[cfg(feature = "async")]
use crate::sync::LateBox;
#[cfg(feature = "async")]
use crate::sync::wait_queue::EventQueue;
use crate::sync::{PublishedOnce, Replaceable};
use crate::window::Ring;

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
            || self.max_retry_after.is_some();
        #[cfg(feature = "async")]
        let has_any = has_any || self.probe_queue.is_some();
        has_any.then(|| Box::new(self))
    }
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

    /// Keeps this part if the offered one is configured alike.
    ///
    /// Otherwise takes the offered part, which inherits what this one has learned.
    #[must_use]
    pub(crate) fn succeeded_by(
        &self,
        built: Option<&T>,
        offer: &Self,
        same_config: impl FnOnce(&T, &T) -> bool,
        inherit: impl FnOnce(&T, &T),
    ) -> Self {
        match (self.of(built), offer.of(None)) {
            (None, None) => self.clone(),
            (Some(old), Some(new)) if same_config(old, new) => self.clone(),
            (old, new) => {
                if let (Some(old), Some(new)) = (old, new) {
                    inherit(new, old);
                }
                offer.clone()
            }
        }
    }

    /// Whether both mean the same part, with everything that it has learned.
    #[must_use]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Inherit, Self::Inherit) | (Self::Removed, Self::Removed) => true,
            (Self::Replaced(own), Self::Replaced(other)) => Arc::ptr_eq(own, other),
            _ => false,
        }
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
    /// The window.
    pub(crate) ring: Override<Ring>,
    /// When the window came, in nanoseconds; `None` if the breaker was built with it.
    pub(crate) ring_since: Option<u64>,
    /// The calls that the window took over from the window before it.
    pub(crate) carried: Option<Arc<Carried>>,
    /// See [`OptionalParts::timed`].
    pub(crate) timed: Override<Timed>,
    /// See [`OptionalParts::evidence`].
    pub(crate) evidence: Override<Evidence>,
    /// See [`OptionalParts::recovery`].
    pub(crate) recovery: Override<AdaptiveRecovery>,
    /// See [`OptionalParts::open_times`].
    pub(crate) open_times: Override<OpenTimes>,
    /// See [`OptionalParts::max_retry_after`].
    pub(crate) max_retry_after: Override<MaxRetryAfter>,
}

impl Overrides {
    /// Overrides that keep each part as built.
    pub(crate) fn none(settings: &Settings) -> Self {
        Self {
            settings: settings.clone(),
            are_its_own: false,
            ring: Override::Inherit,
            ring_since: None,
            carried: None,
            timed: Override::Inherit,
            evidence: Override::Inherit,
            recovery: Override::Inherit,
            open_times: Override::Inherit,
            max_retry_after: Override::Inherit,
        }
    }

    /// Overrides that replace every part with that of `parts`.
    pub(crate) fn by(parts: Parts, are_its_own: bool) -> Self {
        let optional = parts.optional.map(|it| *it).unwrap_or_default();
        Self {
            settings: parts.settings,
            are_its_own,
            ring: Override::Replaced(Arc::new(parts.ring)),
            ring_since: None,
            carried: None,
            timed: Override::by(optional.timed),
            evidence: Override::by(optional.evidence),
            recovery: Override::by(optional.recovery),
            open_times: Override::by(optional.open_times),
            max_retry_after: Override::by(optional.max_retry_after),
        }
    }
}

/// The parts that a breaker may get after it was built.
#[derive(Debug, Default)]
pub(super) struct LateParts {
    pub(super) listeners: PublishedOnce<Listeners>,
    #[cfg(feature = "async")]
    pub(super) checks: LateBox<HealthChecks>,
    pub(super) overrides: PublishedOnce<Replaceable<Overrides>>,
}
