//! Reconfiguration: replaces a breaker's configuration while calls run.
//!
//! The new configuration is first published as a whole. Its policies and open times apply from then
//! on. Whatever is bound to a generation needs a second step:
//!
//! - If the window has another shape, a breaker that counts enters a new generation. So no window
//!   is split between two rings.
//! - A window of another size is published with the newest calls of the former one. They count in
//!   the generation that is entered next. From then on, no call of the current generation is
//!   counted.
//! - A running recovery starts over if its rules have changed.
//! - A breaker that is switched off or on enters another state. The thread that changed the state
//!   then checks whether its settings are still the latest. So the final state follows the latest
//!   settings.

use std::{fmt, sync::Arc};

use super::parts::{LaterWindow, Overrides, Parts};
use super::view::{Configuration, View, with_view};
use super::{Core, carried::Carried};
use crate::recovery::{AdaptiveRecovery, HalfOpenLimit, OpenTimes, Streak};
use crate::state::{Generation, Interrupted, Judgement, Phase, State};
use crate::sync::{Ordering, Replaceable, Seen, fence};
use crate::{
    adaptive::Evidence, clock::context::CallContext, events::Cause, latency::times::Timed,
    outcome::Outcome, state::history::date_of, window::Ring,
};

/// The result of a reconfiguration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reconfigured {
    /// Nothing changed. The new configuration equals the former one.
    Unchanged,
    /// The window was kept with everything that it holds.
    WindowKept,
    /// The window has another shape, and holds the newest calls of the former one.
    WindowResized,
    /// The window was reset. It has another shape and could not hold what the former one counted.
    WindowReset,
    /// The breaker entered this state with an empty window, because it was [switched off or
    /// on](crate::CircuitBreakerBuilder::enabled).
    StateChanged(State),
}

impl fmt::Display for Reconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unchanged => "unchanged",
            Self::WindowKept => "reconfigured, window kept",
            Self::WindowResized => "reconfigured, newest calls kept",
            Self::WindowReset => "reconfigured, window reset",
            Self::StateChanged(state) => return write!(f, "reconfigured, now {state}"),
        })
    }
}

/// What a reconfiguration changes, and what it restarts.
#[derive(Clone, Default)]
struct Change {
    /// Whether anything changes but [`Overrides::are_its_own`].
    any: bool,
    window: bool,
    /// The calls that the new window has taken over, if any.
    carried: Option<Arc<Carried>>,
    recovery: bool,
    held: Option<HeldPhases>,
}

/// The phases that the former and the new settings hold the breaker in.
#[derive(Clone, Copy)]
struct HeldPhases {
    before: Option<Phase>,
    now: Option<Phase>,
}

impl HeldPhases {
    /// `None` if both are the same.
    fn of(before: Option<Phase>, now: Option<Phase>) -> Option<Self> {
        (before != now).then_some(Self { before, now })
    }

    /// The phase that must follow `present`, if any.
    ///
    /// A phase that a command chose stays, unless the new settings hold another one.
    fn next(self, present: Phase) -> Option<Phase> {
        match (self.before, self.now) {
            (_, Some(now)) => (now != present).then_some(now),
            (before, None) => (before == Some(present)).then_some(Phase::Closed),
        }
    }
}

impl Core {
    /// Replaces the configuration of this breaker.
    ///
    /// `parts` were made with the breaker's clock and name.
    pub fn reconfigure(&self, parts: Parts, context: &impl CallContext) -> Reconfigured {
        self.reconfigure_to(parts, true, context)
    }

    /// Like [`reconfigure`](Self::reconfigure), with the configuration of the breaker's registry.
    #[cfg(feature = "registry")]
    pub fn bring_into_line(&self, parts: Parts, context: &impl CallContext) -> Reconfigured {
        self.reconfigure_to(parts, false, context)
    }

    fn reconfigure_to(
        &self,
        parts: Parts,
        are_its_own: bool,
        context: &impl CallContext,
    ) -> Reconfigured {
        let now = context.nanos();
        let present = self.overrides().map(Replaceable::load);
        let former = present.as_ref().and_then(|it| it.get().window.as_ref());
        let former = former.map(|it| &*it.ring);
        let offer = Overrides::by(parts, are_its_own, now, former);
        let change = loop {
            let seen = self.overrides().map(Replaceable::load);
            let Some((overrides, change)) = self.accept(&offer, seen.as_ref(), context) else {
                return Reconfigured::Unchanged;
            };
            if self.publish(overrides, seen.as_ref()) {
                break change;
            }
        };
        if !change.any {
            return Reconfigured::Unchanged;
        }
        let carried = change.carried.clone();
        let is_resized = || carried.is_some_and(|it| it.is_entered());
        let window = change.window;
        let state = self.switch_over(change, now);
        // Waiting callers may have other wait times now, even if the state hasn't changed.
        #[cfg(feature = "async")]
        {
            // SeqCst: pairs with the fence in `watch`. Either this thread finds the listener, or
            // the task sees the new settings. Otherwise the task could wait by the old ones.
            fence(Ordering::SeqCst);
            self.wake_all();
        }
        if let Some(state) = state {
            Reconfigured::StateChanged(state)
        } else if window && is_resized() {
            self.judge_by_the_new(context);
            Reconfigured::WindowResized
        } else if window {
            Reconfigured::WindowReset
        } else {
            self.judge_by_the_new(context);
            Reconfigured::WindowKept
        }
    }

    /// Restarts in the state word what has to, and returns the state that the breaker was put in,
    /// if any.
    ///
    /// Two threads may hold the breaker in different states at once. The thread with the older
    /// settings may be the last to change the state. It then finds the newer settings and moves the
    /// breaker to their state.
    fn switch_over(&self, mut change: Change, now: u64) -> Option<State> {
        if change.held.is_none() {
            return self.align(&change, now);
        }
        let mut entered = None;
        loop {
            // SeqCst: pairs with the fence of a transition that another thread makes in `align`.
            // Either this thread finds the state that the other has entered, or the other finds
            // this thread's settings. Otherwise the state could stay as the older settings say.
            fence(Ordering::SeqCst);
            entered = self.align(&change, now).or(entered);
            let latest = self.switch().held();
            let held = change.held.and_then(|it| HeldPhases::of(it.now, latest));
            if held.is_none() {
                return entered;
            }
            change = Change {
                held,
                ..Change::default()
            };
        }
    }

    /// Publishes the overrides, and returns whether no other thread was first.
    fn publish(&self, overrides: Overrides, seen: Option<&Seen<Overrides>>) -> bool {
        let overrides = Arc::new(overrides);
        if let (Some(later), Some(seen)) = (self.overrides(), seen) {
            return later.replace(seen, overrides);
        }
        let late = self.late.get_or_init(Box::default);
        // It comes first. A caller that finds the overrides, or a state that came after them, finds
        // it too. Otherwise the call would be decided by the former configuration.
        #[cfg(feature = "tracing")]
        late.detour.publish(());
        late.overrides
            .publish(Replaceable::new(Arc::clone(&overrides)));
        let later = self.overrides().map(Replaceable::load);
        later.is_some_and(|later| Arc::ptr_eq(later.get(), &overrides))
    }

    /// Merges the offer into the current configuration; `None` if nothing changes.
    ///
    /// Returns the merged configuration and what changes with it.
    fn accept(
        &self,
        offer: &Overrides,
        seen: Option<&Seen<Overrides>>,
        context: &impl CallContext,
    ) -> Option<(Overrides, Change)> {
        let before = seen.map_or_else(
            || Overrides::none(&self.parts),
            |it| Overrides::clone(it.get()),
        );
        let (old, new) = (self.with_overrides(&before), self.with_overrides(offer));
        let has_same_times = match (old.timed(), new.timed()) {
            (Some(own), Some(other)) => {
                let [own_policies, policies] = [old, new].map(|it| &*it.settings().policies);
                own.same_config(own_policies, (other, policies))
            }
            (own, other) => own.is_none() && other.is_none(),
        };
        let window = !(has_same_times && old.ring().same_config(new.ring()));
        let [was_held, is_held] = [old, new].map(|it| it.settings().switch.held());
        let held = HeldPhases::of(was_held, is_held);
        let [own_limit, limit] = [old, new].map(|it| it.timed().and_then(Timed::limit));
        // If the settings change the held state, the window begins empty.
        let can_carry = window && held.is_none() && own_limit == limit;
        let carried = can_carry
            .then(|| old.carry_over(new.ring(), context))
            .flatten();
        let (evidence, recovery) = (&offer.evidence, &offer.recovery);
        let evidence = evidence.changing(old.evidence(), Evidence::same_config, Evidence::inherit);
        let inherit = |new: &AdaptiveRecovery, old: &AdaptiveRecovery| {
            new.outage.inherit(&old.outage);
            new.ramp.inherit(&old.ramp);
        };
        let recovery = recovery.changing(old.adaptive(), AdaptiveRecovery::same_config, inherit);
        let half_open_limit = offer.half_open_limit.changing(
            old.half_open_limit(),
            HalfOpenLimit::same_config,
            |_, _| (),
        );
        if let Some(limit) = new.half_open_limit() {
            // A new limit counts from now on.
            limit.begin(context.nanos());
        }
        if old.open_times().is_none() && new.open_times().is_some() {
            self.latest_opening.start(self.state.load().generation());
        }
        // The start state means nothing to a breaker that has started.
        let mut settings = offer.settings.clone();
        if held.is_none() && before.settings.switch.mode == offer.settings.switch.mode {
            settings.switch.start_in = before.settings.switch.start_in;
        }
        let is_same = !window
            && evidence.is_none()
            && recovery.is_none()
            && half_open_limit.is_none()
            && offer.open_times == before.open_times
            && offer.max_retry_after == before.max_retry_after
            && before.settings == settings;
        let change = Change {
            any: !is_same,
            window,
            carried: carried.clone(),
            recovery: recovery.is_some() || before.settings.probes != offer.settings.probes,
            held,
        };
        // If the settings are the same, giving them to this breaker alone doesn't make them its
        // own.
        let are_its_own = offer.are_its_own && (!is_same || before.are_its_own);
        (!is_same || are_its_own != before.are_its_own).then(|| {
            let later = offer.window.clone();
            let later = later.map(|later| LaterWindow { carried, ..later });
            let overrides = Overrides {
                settings,
                are_its_own,
                window: if window { later } else { before.window },
                evidence: evidence.unwrap_or(before.evidence),
                recovery: recovery.unwrap_or(before.recovery),
                open_times: offer.open_times.clone(),
                max_retry_after: offer.max_retry_after,
                half_open_limit: half_open_limit.unwrap_or(before.half_open_limit),
            };
            (overrides, change)
        })
    }

    /// Restarts in the state word what has to, and returns the state that the settings put the
    /// breaker in.
    fn align(&self, change: &Change, now: u64) -> Option<State> {
        let mut seen = self.state.load();
        loop {
            let present = match seen.phase() {
                Phase::Isolated(interrupted) => self.state.after(interrupted),
                phase => phase,
            };
            let next = change.held.and_then(|held| held.next(present));
            if let (Phase::Isolated(_), Some(next)) = (seen.phase(), next.and_then(Interrupted::of))
            {
                // The breaker stays isolated. Its release brings it into the state that the
                // settings hold.
                let stays = self.state.stay(seen, Phase::Isolated(next)).is_ok();
                if stays && next == Interrupted::CLOSED {
                    self.forget_openings(seen.generation(), |_| true);
                }
                seen = self.state.load();
                continue;
            }
            let phase = match (next, seen.phase()) {
                (Some(next), _) => next,
                (None, phase @ (Phase::Closed | Phase::MetricsOnly)) if change.window => phase,
                (None, Phase::HalfOpen { .. } | Phase::Ramp(_)) if change.recovery => {
                    Phase::PROBING
                }
                // In this state, only rejections are counted.
                _ if change.window && !seen.is_timed() => {
                    match self.state.keep_with_another_window(seen) {
                        Ok(()) => return None,
                        Err(found) => seen = found,
                    }
                    continue;
                }
                _ => return None,
            };
            let carried = change.carried.as_ref();
            let carried = carried.filter(|it| it.from == seen.generation());
            if let Some(carried) = carried {
                self.run
                    .go_on_in(carried.from.next(), carried.from, carried.run);
            }
            match self.state.change_with(seen, phase, change.window) {
                Ok(moved) => {
                    if let Some(carried) = carried {
                        carried.enter();
                    }
                    if next == Some(Phase::Closed) {
                        // As a reset by hand does.
                        self.forget_openings(moved.generation, |_| true);
                    } else if phase == Phase::Closed {
                        let healthy = self.age(seen.generation(), now);
                        self.forget_openings(moved.generation, |times| times.is_over(healthy));
                    }
                    self.entered(moved, now, Cause::Reconfigured);
                    return next.map(Phase::state);
                }
                Err(found) => seen = found,
            }
        }
    }

    /// Forgets the openings so far, if open times grow and `is_over` finds their streak over.
    ///
    /// The new generation doesn't know how long the one before it was healthy.
    pub(super) fn forget_openings(
        &self,
        generation: Generation,
        is_over: impl Fn(&OpenTimes) -> bool,
    ) {
        with_view!(self, |view| {
            if view.open_times().is_some_and(is_over) {
                self.latest_opening.note(generation, Streak::NONE);
            }
        });
    }

    /// Trips if the new policies find cause in what was recorded so far.
    ///
    /// This thread and a thread that records a failure meet at the run. The second sees what the
    /// first did before. So either that thread judges by the new policies, or this thread finds its
    /// failure.
    fn judge_by_the_new(&self, context: &impl CallContext) {
        self.run.meet();
        let generation = self.state.load().generation();
        with_view!(self, |view| {
            let call = view.call_in(generation, context);
            let run = self.run.get(generation);
            let _trips = view.judge(call, run, Outcome::Ignored) || view.judge_weighed(call);
            if view.evidence().is_none()
                && let Some(seen) = view.judged_in(generation)
            {
                // Without evidence no later judgement removes this note.
                self.found_none(seen, Judgement::Evidence);
            }
        });
    }
}

impl<'a, F: Configuration<'a>> View<'a, F> {
    /// Puts the newest calls of this window into the offered one, for the next generation.
    ///
    /// If another thread enters that generation first, the calls don't count.
    fn carry_over(self, offered: &Ring, context: &impl CallContext) -> Option<Arc<Carried>> {
        let seen = self.state.load();
        if !seen.lets_through_and_records() {
            return None;
        }
        let from = seen.generation();
        let ring = self.ring();
        let call = ring.call(from, context);
        let counts = ring.failures_and_slow(call);
        let run = ring.run_held(self.run.get(from), &counts, call);
        let now = date_of(context.nanos());
        let since = self.counted_since(from);
        let since = since.unwrap_or_else(|| self.began_at(from, now));
        let since = since.max(now.saturating_sub(ring.span(context)));
        let both = (from, from.next());
        offered
            .carry_over(ring, both, context)
            .then(|| Arc::new(Carried::new(from, since, run)))
    }
}
