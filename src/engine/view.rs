//! The core as it is fitted out at present.

use std::ops::Deref;

use super::Core;
use crate::adaptive::Evidence;
use crate::engine::beside::Beside;
use crate::engine::parts::{Override, Overrides, Settings};
use crate::latency::times::Timed;
use crate::recovery::{AdaptiveRecovery, MaxRetryAfter, OpenTimes};
use crate::state::Generation;
use crate::sync::Replaceable;
use crate::window::ClockReading;
use crate::window::Ring;

/// What a breaker was built with.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) ring: Ring,
    pub(super) beside: Option<Box<Beside>>,
    pub(super) settings: Settings,
}

/// With what a core is fitted out.
pub(super) trait Fitted<'a>: Copy {
    /// What another configuration has brought, if there is another.
    fn later(self) -> Option<&'a Overrides>;
}

/// With what it was built with. A type of its own, so that the way of a call through a breaker that was never
/// reconfigured is compiled as if none ever were.
#[derive(Clone, Copy)]
pub(super) struct AsBuilt;

impl<'a> Fitted<'a> for AsBuilt {
    #[inline]
    fn later(self) -> Option<&'a Overrides> {
        None
    }
}

impl<'a> Fitted<'a> for &'a Overrides {
    #[inline]
    fn later(self) -> Option<&'a Overrides> {
        Some(self)
    }
}

/// The core with what it was fitted out with when this was made.
///
/// It is made after the state was loaded by which it acts, so that it is no older than the state: who
/// replaces the window makes the new one known first, and then changes the state.
#[derive(Clone, Copy)]
pub(super) struct View<'a, F> {
    core: &'a Core,
    fitted: F,
}

impl<F> Deref for View<'_, F> {
    type Target = Core;

    #[inline]
    fn deref(&self) -> &Core {
        self.core
    }
}

/// Acts by what a core is fitted out with at present: `with_view!(core, |present| …)`.
///
/// A breaker that was never reconfigured pays a load for it, of a word that is rarely written. What another
/// configuration has brought is held for as long as the action takes.
macro_rules! with_view {
    ($core:expr, |$view:ident| $act:expr) => {{
        let core: &$crate::engine::Core = $core;
        let another = core.another();
        match another {
            None => {
                let $view = core.as_built();
                $act
            }
            Some(another) => $crate::engine::view::cold(move || {
                let seen = another.load();
                let $view = core.fitted_with(seen.get());
                $act
            }),
        }
    }};
}
pub(super) use with_view;

/// Keeps what is rare out of the way.
#[cold]
#[inline(never)]
pub(super) fn cold<R>(act: impl FnOnce() -> R) -> R {
    act()
}

impl Core {
    #[inline]
    pub(super) fn another(&self) -> Option<&Replaceable<Overrides>> {
        self.audience.later()
    }

    #[inline]
    pub(super) fn as_built(&self) -> View<'_, AsBuilt> {
        View {
            core: self,
            fitted: AsBuilt,
        }
    }

    pub(super) fn fitted_with<'a>(&'a self, overrides: &'a Overrides) -> View<'a, &'a Overrides> {
        View {
            core: self,
            fitted: overrides,
        }
    }
}

impl<'a, F: Fitted<'a>> View<'a, F> {
    #[inline]
    fn later(self) -> Option<&'a Overrides> {
        self.fitted.later()
    }

    #[inline]
    fn part<T>(
        self,
        part: impl FnOnce(&'a Overrides) -> &'a Override<T>,
        built: impl FnOnce(&'a Beside) -> Option<&'a T>,
    ) -> Option<&'a T> {
        let built = || self.core.built.beside.as_deref().and_then(built);
        match self.later() {
            None => built(),
            Some(later) => part(later).of(built()),
        }
    }

    #[inline]
    pub(super) fn settings(self) -> &'a Settings {
        let built = &self.core.built.settings;
        self.later().map_or(built, |it| &it.settings)
    }

    /// Whether it was given other settings than it was built with, and not as one of a registry's.
    #[cfg(feature = "registry")]
    pub(super) fn has_its_own_settings(self) -> bool {
        self.later().is_some_and(|it| it.are_its_own)
    }

    #[inline]
    pub(super) fn ring(self) -> &'a Ring {
        match self.later().map(|it| &it.ring) {
            Some(Override::Replaced(ring)) => ring,
            _ => &self.core.built.ring,
        }
    }

    /// Whether calls of `generation` are still counted: it goes on, and its calls were not taken over by
    /// another window.
    #[inline]
    pub(super) fn is_current(self, generation: Generation) -> bool {
        let carried = self.later().and_then(|it| it.carried.as_deref());
        // In this order: if the next generation is entered between the two, the state says so.
        carried.is_none_or(|it| it.counts(generation)) && self.core.is_current(generation)
    }

    /// Whether what the window holds of `generation` is all its own.
    #[inline]
    pub(super) fn may_judge(self, generation: Generation) -> bool {
        let carried = self.later().and_then(|it| it.carried.as_deref());
        carried.is_none_or(|it| it.may_judge(generation))
    }

    /// Since when the calls of `generation` have come, if some are older than it; as a date.
    pub(super) fn counted_since(self, generation: Generation) -> Option<u64> {
        self.later()?.carried.as_deref()?.counted_since(generation)
    }

    /// For how many nanoseconds there has been another window than that with which the breaker was built.
    pub(super) fn ring_age(self, now: u64) -> Option<u64> {
        Some(now.saturating_sub(self.later()?.ring_since?))
    }

    /// Whether calls are counted where they were from the beginning.
    #[inline]
    pub(super) fn has_built_ring(self) -> bool {
        std::ptr::eq(self.ring(), &raw const self.core.built.ring)
    }

    /// What this has read of the clock, for who is fitted out with another window, perhaps, which has
    /// other buckets.
    #[inline]
    pub(super) fn reading_for<'b, G: Fitted<'b>>(
        self,
        other: View<'b, G>,
        reading: ClockReading,
    ) -> ClockReading {
        if std::ptr::eq(self.ring(), other.ring()) {
            reading
        } else {
            ClockReading::at(reading.raw)
        }
    }

    #[inline]
    pub(super) fn timed(self) -> Option<&'a Timed> {
        self.part(|it| &it.timed, |built| built.timed.as_deref())
    }

    #[inline]
    pub(super) fn evidence(self) -> Option<&'a Evidence> {
        self.part(|it| &it.evidence, |built| built.evidence.as_deref())
    }

    #[inline]
    pub(super) fn adaptive(self) -> Option<&'a AdaptiveRecovery> {
        self.part(|it| &it.recovery, |built| built.recovery.as_deref())
    }

    #[inline]
    pub(super) fn open_times(self) -> Option<&'a OpenTimes> {
        let own = self.part(|it| &it.open_times, |built| built.open_times.as_deref());
        self.settings().open_times(own)
    }

    #[inline]
    pub(super) fn max_retry_after(self) -> MaxRetryAfter {
        let longest = self.part(
            |it| &it.max_retry_after,
            |built| built.max_retry_after.as_deref(),
        );
        longest.copied().unwrap_or(MaxRetryAfter::DEFAULT)
    }
}
