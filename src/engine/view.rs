//! The parts of a breaker that are in force.

use std::ops::Deref;

use super::parts::{LaterWindow, OptionalParts, Overrides};
use super::totals::LaterRing;
use super::{Core, call::Call, carried::Carried, settings::Settings};
use crate::recovery::{AdaptiveRecovery, HalfOpenLimit, MaxRetryAfter, OpenTimes};
use crate::window::{ClockReading, Ring};
use crate::{
    adaptive::Evidence, clock::context::CallContext, latency::times::Timed, state::Generation,
    sync::Replaceable,
};

/// The configuration that a view shows.
pub(super) trait Configuration<'a>: Copy {
    /// The overrides, if there are any.
    fn overrides(self) -> Option<&'a Overrides>;
}

/// The configuration that the breaker was built with.
///
/// It is a type of its own. Calls through a breaker that was never reconfigured are compiled as if
/// there were no reconfiguration.
#[derive(Clone, Copy)]
pub(super) struct AsBuilt;

impl<'a> Configuration<'a> for AsBuilt {
    #[inline]
    fn overrides(self) -> Option<&'a Overrides> {
        None
    }
}

impl<'a> Configuration<'a> for &'a Overrides {
    #[inline]
    fn overrides(self) -> Option<&'a Overrides> {
        Some(self)
    }
}

/// The core with the parts that were in force when the view was made.
///
/// A caller first loads the state and then makes the view, so the view is no older than the state.
/// A thread that replaces the window first publishes the new one and then changes the state.
#[derive(Clone, Copy)]
pub(super) struct View<'a, F> {
    core: &'a Core,
    configuration: F,
}

impl<F> Deref for View<'_, F> {
    type Target = Core;

    #[inline]
    fn deref(&self) -> &Core {
        self.core
    }
}

/// Runs an action with the view of a core: `with_view!(core, |view| …)`.
///
/// A breaker that was never reconfigured pays one load for it, of a word that is rarely written.
/// The view keeps another configuration alive while the action runs.
macro_rules! with_view {
    ($core:expr, |$view:ident| $act:expr) => {{
        let core: &$crate::engine::Core = $core;
        match core.overrides() {
            None => {
                let $view = core.as_built();
                $act
            }
            Some(overrides) => $crate::engine::view::cold(move || {
                let seen = overrides.load();
                let $view = core.with_overrides(seen.get());
                $act
            }),
        }
    }};
}
pub(super) use with_view;

/// Runs `act` out of line, so that the common path stays short.
#[cold]
#[inline(never)]
pub(super) fn cold<R>(act: impl FnOnce() -> R) -> R {
    act()
}

impl Core {
    /// The overrides, if another configuration has ever come.
    #[inline]
    pub(super) fn overrides(&self) -> Option<&Replaceable<Overrides>> {
        self.late.get()?.overrides.get()
    }

    #[inline]
    pub(super) fn as_built(&self) -> View<'_, AsBuilt> {
        View {
            core: self,
            configuration: AsBuilt,
        }
    }

    pub(super) fn with_overrides<'a>(
        &'a self,
        overrides: &'a Overrides,
    ) -> View<'a, &'a Overrides> {
        View {
            core: self,
            configuration: overrides,
        }
    }
}

impl<'a, F: Configuration<'a>> View<'a, F> {
    #[inline]
    fn overrides(self) -> Option<&'a Overrides> {
        self.configuration.overrides()
    }

    /// The parts that only some breakers have, of those that the breaker was built with.
    #[inline]
    pub(super) fn built(self) -> Option<&'a OptionalParts> {
        self.core.parts.optional.as_deref()
    }

    /// The window that came after the breaker was built, with what came with it, if any.
    #[inline]
    fn later_window(self) -> Option<&'a LaterWindow> {
        self.overrides()?.window.as_ref()
    }

    /// The window that came after the breaker was built, if any.
    pub(super) fn later_ring(self) -> Option<&'a LaterRing> {
        Some(&self.later_window()?.ring)
    }

    #[inline]
    fn carried(self) -> Option<&'a Carried> {
        self.later_window()?.carried.as_deref()
    }

    #[inline]
    pub(super) fn settings(self) -> &'a Settings {
        let built = &self.core.parts.settings;
        self.overrides().map_or(built, |it| &it.settings)
    }

    /// Whether this breaker alone was given other settings than it was built with.
    #[cfg(feature = "registry")]
    pub(super) fn has_its_own_settings(self) -> bool {
        self.overrides().is_some_and(|it| it.are_its_own)
    }

    #[inline]
    pub(super) fn ring(self) -> &'a Ring {
        self.later_window()
            .map_or(&self.core.parts.ring, |it| &**it.ring)
    }

    /// Whether calls of `generation` are still counted.
    ///
    /// They are while the generation is current and no other window has taken over its calls.
    #[inline]
    pub(super) fn is_current(self, generation: Generation) -> bool {
        // The order matters. If the next generation is entered between the two checks, the state
        // shows it.
        self.carried().is_none_or(|it| it.counts(generation)) && self.core.is_current(generation)
    }

    /// Whether all calls that the window holds for `generation` count in it.
    #[inline]
    pub(super) fn may_judge(self, generation: Generation) -> bool {
        self.carried().is_none_or(|it| it.may_judge(generation))
    }

    /// The date since when the calls of `generation` have come, if some are older than it.
    pub(super) fn counted_since(self, generation: Generation) -> Option<u64> {
        self.carried()?.counted_since(generation)
    }

    /// How long ago the breaker got its current window, in nanoseconds.
    ///
    /// `None` if the breaker was built with it.
    pub(super) fn ring_age(self, now: u64) -> Option<u64> {
        Some(now.saturating_sub(self.later_window()?.since))
    }

    /// Whether calls are still counted in the window that the breaker was built with.
    #[inline]
    pub(super) fn has_built_ring(self) -> bool {
        std::ptr::eq(self.ring(), &raw const self.core.parts.ring)
    }

    /// A call of `generation`, with the clock read now.
    #[inline]
    pub(super) fn call_in<C: CallContext>(
        self,
        generation: Generation,
        context: &C,
    ) -> Call<'_, C> {
        self.ring().call(generation, context)
    }

    /// Converts the call for another view, whose window may have other buckets.
    #[inline]
    pub(super) fn call_for<'b, 'c, G: Configuration<'b>, C>(
        self,
        other: View<'b, G>,
        call: Call<'c, C>,
    ) -> Call<'c, C> {
        if std::ptr::eq(self.ring(), other.ring()) {
            return call;
        }
        let reading = ClockReading::at(call.reading.raw);
        Call { reading, ..call }
    }

    #[inline]
    pub(super) fn timed(self) -> Option<&'a Timed> {
        match self.later_window() {
            None => self.built()?.timed.as_deref(),
            Some(later) => later.timed.as_deref(),
        }
    }

    #[inline]
    pub(super) fn evidence(self) -> Option<&'a Evidence> {
        let built = self.built().and_then(|it| it.evidence.as_deref());
        self.overrides().map_or(built, |it| it.evidence.of(built))
    }

    #[inline]
    pub(super) fn adaptive(self) -> Option<&'a AdaptiveRecovery> {
        let built = self.built().and_then(|it| it.recovery.as_deref());
        self.overrides().map_or(built, |it| it.recovery.of(built))
    }

    #[inline]
    pub(super) fn open_times(self) -> Option<&'a OpenTimes> {
        let own = match self.overrides() {
            None => self.built().and_then(|it| it.open_times.as_deref()),
            Some(overrides) => overrides.open_times.as_ref(),
        };
        self.settings().open_times(own)
    }

    #[inline]
    pub(super) fn max_retry_after(self) -> MaxRetryAfter {
        match self.overrides() {
            None => OptionalParts::max_retry_after(self.built()),
            Some(overrides) => overrides.max_retry_after,
        }
    }

    #[inline]
    pub(super) fn half_open_limit(self) -> Option<&'a HalfOpenLimit> {
        let built = self.built().and_then(|it| it.half_open_limit.as_deref());
        self.overrides()
            .map_or(built, |it| it.half_open_limit.of(built))
    }
}
