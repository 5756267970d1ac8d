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

use std::fmt;
use std::sync::Arc;

use super::Core;
use super::call::Call;
use super::carried::Carried;
use super::parts::{Overrides, Parts};
use super::view::with_view;
use crate::adaptive::Evidence;
use crate::clock::context::CallContext;
use crate::events::Cause;
use crate::latency::times::Timed;
use crate::outcome::Outcome;
use crate::recovery::{AdaptiveRecovery, MaxRetryAfter, OpenTimes, Streak};
use crate::state::history::date_of;
use crate::state::{Generation, Interrupted, Phase, State, StateChange};
use crate::sync::{Ordering, Replaceable, Seen, fence};
use crate::window::Ring;

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
#[derive(Clone)]
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
        self.reconfigure_to(&Overrides::by(parts, true), context)
    }

    /// Like [`reconfigure`](Self::reconfigure), with the configuration of the breaker's registry.
    #[cfg(feature = "registry")]
    pub fn bring_into_line(&self, parts: Parts, context: &impl CallContext) -> Reconfigured {
        self.reconfigure_to(&Overrides::by(parts, false), context)
    }

    fn reconfigure_to(&self, offer: &Overrides, context: &impl CallContext) -> Reconfigured {
        let now = context.nanos();
        let change = loop {
            let seen = self.overrides().map(Replaceable::load);
            let Some((overrides, change)) = self.accept(offer, seen.as_ref(), context) else {
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
        self.wake_all();
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
    fn switch_over(&self, change: Change, now: u64) -> Option<State> {
        let Some(mut held) = change.held else {
            self.align(&change, now);
            return None;
        };
        let mut change = change;
        let mut entered = None;
        loop {
            // SeqCst: pairs with the fence after `align`, in another thread that reconfigures.
            // Either this thread finds the state that the other has entered, or the other finds
            // this thread's settings. Otherwise the state could stay as the older settings say.
            fence(Ordering::SeqCst);
            entered = self.align(&change, now).or(entered);
            // SeqCst: pairs with the fence before `align`, in another thread that reconfigures.
            // Either this thread finds the other's settings, or the other finds the state that this
            // thread has entered. Otherwise the state could stay as the older settings say.
            fence(Ordering::SeqCst);
            let latest = self.switch().held();
            if latest == held.now {
                return entered;
            }
            held = HeldPhases {
                before: held.now,
                now: latest,
            };
            change = Change {
                any: true,
                window: false,
                carried: None,
                recovery: false,
                held: Some(held),
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
        let now = context.nanos();
        let before = seen.map_or_else(
            || Overrides::none(&self.parts.settings),
            |it| Overrides::clone(it.get()),
        );
        let built = self.parts.optional.as_deref();
        let policies = [&before.settings, &offer.settings].map(|it| &*it.policies);

        let built_ring = &self.parts.ring;
        let timed = before.timed.of(built.and_then(|it| it.timed.as_deref()));
        let offered_timed = offer.timed.of(None);
        let has_same_times = match (timed, offered_timed) {
            (Some(own), Some(other)) => own.same_config(policies[0], (other, policies[1])),
            (own, other) => own.is_none() && other.is_none(),
        };
        let ring = before.ring.of(Some(built_ring)).unwrap_or(built_ring);
        let offered_ring = offer.ring.of(None).unwrap_or(built_ring);
        let window = !(has_same_times && ring.same_config(offered_ring));
        let held = HeldPhases {
            before: before.settings.switch.held(),
            now: offer.settings.switch.held(),
        };
        let held = (held.before != held.now).then_some(held);
        let limits = [timed, offered_timed].map(|it| it.and_then(Timed::limit));
        // If the settings change the held state, the window begins empty.
        let can_carry = window && held.is_none() && limits[0] == limits[1];
        let carried = can_carry
            .then(|| self.carry_over((ring, before.carried.as_deref()), offered_ring, context))
            .flatten();
        let (ring, ring_since, timed) = if window {
            (offer.ring.clone(), Some(now), offer.timed.clone())
        } else {
            (before.ring.clone(), before.ring_since, before.timed.clone())
        };

        let evidence = before.evidence.succeeded_by(
            built.and_then(|it| it.evidence.as_deref()),
            &offer.evidence,
            Evidence::same_config,
            Evidence::inherit,
        );
        let recovery = before.recovery.succeeded_by(
            built.and_then(|it| it.recovery.as_deref()),
            &offer.recovery,
            AdaptiveRecovery::same_config,
            |new, old| new.outage.inherit(&old.outage),
        );
        let own = before
            .open_times
            .of(built.and_then(|it| it.open_times.as_deref()));
        let grew = before.settings.open_times(own).is_some();
        let offered = offer.settings.open_times(offer.open_times.of(None));
        if !grew && offered.is_some() {
            self.latest_opening.start(self.state.load().generation());
        }
        let open_times = before.open_times.succeeded_by(
            built.and_then(|it| it.open_times.as_deref()),
            &offer.open_times,
            OpenTimes::same_config,
            |_, _| (),
        );
        let max_retry_after = before.max_retry_after.succeeded_by(
            built.and_then(|it| it.max_retry_after.as_deref()),
            &offer.max_retry_after,
            MaxRetryAfter::eq,
            |_, _| (),
        );
        // The start state means nothing to a breaker that has started.
        let mut settings = offer.settings.clone();
        if held.is_none() && before.settings.switch.mode == offer.settings.switch.mode {
            settings.switch.start_in = before.settings.switch.start_in;
        }
        let is_same = !window
            && evidence.is_same(&before.evidence)
            && recovery.is_same(&before.recovery)
            && open_times.is_same(&before.open_times)
            && max_retry_after.is_same(&before.max_retry_after)
            && before.settings == settings;
        let change = Change {
            any: !is_same,
            window,
            carried: carried.clone(),
            recovery: before.settings.probes != offer.settings.probes
                || !recovery.is_same(&before.recovery),
            held,
        };
        // If the settings are the same, giving them to this breaker alone doesn't make them its
        // own.
        let are_its_own = offer.are_its_own && (!is_same || before.are_its_own);
        (!is_same || are_its_own != before.are_its_own).then(|| {
            let overrides = Overrides {
                settings,
                are_its_own,
                ring,
                ring_since,
                carried: if window { carried } else { before.carried },
                timed,
                evidence,
                recovery,
                open_times,
                max_retry_after,
            };
            (overrides, change)
        })
    }

    /// Puts the newest calls of `former` into the offered window, for the next generation.
    ///
    /// If another thread enters that generation first, the calls don't count.
    fn carry_over(
        &self,
        (former, earlier): (&Ring, Option<&Carried>),
        offered: &Ring,
        context: &impl CallContext,
    ) -> Option<Arc<Carried>> {
        let seen = self.state.load();
        if !seen.lets_through_and_records() {
            return None;
        }
        let from = seen.generation();
        let reading = former.read(context);
        let counts = former.failures_and_slow(from, reading, context);
        let run = former.run_held(self.run.get(from), &counts, reading, context);
        let now = date_of(context.nanos());
        let since = earlier.and_then(|it| it.counted_since(from));
        let since = since.unwrap_or_else(|| self.began_at(from, now));
        let since = since.max(now.saturating_sub(former.span(context)));
        let both = (from, from.next());
        offered
            .carry_over(former, both, context)
            .then(|| Arc::new(Carried::new(from, since, run)))
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
                    self.forget_openings(seen.generation());
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
            let moved = if change.window {
                self.state.change_window(seen, phase)
            } else {
                self.state.change(seen, phase)
            };
            match moved {
                Ok(moved) => {
                    if let Some(carried) = carried {
                        carried.enter();
                    }
                    if next == Some(Phase::Closed) {
                        self.forget_openings(moved.generation);
                    } else if phase == Phase::Closed {
                        self.look_back(moved, seen.generation(), now);
                    }
                    self.entered(moved, now, Cause::Reconfigured);
                    return next.map(Phase::state);
                }
                Err(found) => seen = found,
            }
        }
    }

    /// Forgets the openings so far, as a reset by hand does.
    fn forget_openings(&self, generation: Generation) {
        with_view!(self, |view| {
            if view.open_times().is_some() {
                self.latest_opening.note(generation, Streak::NONE);
            }
        });
    }

    /// Forgets the openings so far, if the generation that ended was healthy for long enough.
    ///
    /// The new generation doesn't know how long that was.
    pub(super) fn look_back(&self, moved: StateChange, left: Generation, now: u64) {
        let healthy = self.age(left, now);
        with_view!(self, |view| {
            if let Some(times) = view.open_times()
                && times.is_over(healthy)
            {
                self.latest_opening.note(moved.generation, Streak::NONE);
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
            let call = Call {
                generation,
                reading: view.ring().read(context),
                context,
            };
            let run = self.run.get(generation);
            view.judge(call, run, Outcome::Ignored) || view.judge_weighed(call)
        });
    }
}
