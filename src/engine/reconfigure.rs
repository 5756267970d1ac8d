//! Another configuration, while calls run.
//!
//! It is made known first, as a whole. What decides, and how long open times are, is so from then on. What is
//! bound to a generation needs a second step: if the window has another shape, a breaker that counts enters a
//! new generation, so that no window is half in one ring and half in the other. A window of another size is
//! made known with the newest calls of the former one, counted in the generation that is entered next. From
//! then on no call of the present generation is counted. A recovery that is under
//! way and has other rules begins anew. A breaker that is switched off or on enters another state; who has moved it
//! looks again whether the settings still are the latest, so that the state ends as the latest say.

use std::sync::Arc;

use super::Core;
use super::view::at_present;
use crate::adaptive::Evidence;
use crate::clock::context::Caller;
use crate::engine::beside::Beside;
use crate::engine::parts::{Carried, Fittings, Outfit, Part, Reconfigured, Settings};
use crate::events::Cause;
use crate::latency::times::Timed;
use crate::outcome::Outcome;
use crate::recovery::{AdaptiveRecovery, MaxRetryAfter, OpenTimes, Streak};
use crate::state::history::date_of;
use crate::state::{Generation, Kind, Moved, State};
use crate::sync::{Ordering, Replaceable, Seen, fence};
use crate::window::Ring;

/// An outfit whose parts can be shared.
struct Offer {
    settings: Settings,
    /// See [`Fittings::are_its_own`].
    is_for_it_alone: bool,
    ring: Arc<Ring>,
    timed: Option<Arc<Timed>>,
    evidence: Option<Arc<Evidence>>,
    recovery: Option<Arc<AdaptiveRecovery>>,
    open_times: Option<Arc<OpenTimes>>,
    max_retry_after: Option<Arc<MaxRetryAfter>>,
}

impl Offer {
    fn new(outfit: Outfit, is_for_it_alone: bool) -> Self {
        let Outfit {
            settings,
            ring,
            beside,
        } = outfit;
        let Beside {
            timed,
            evidence,
            recovery,
            open_times,
            max_retry_after,
            ..
        } = beside;
        Self {
            settings,
            is_for_it_alone,
            ring: Arc::new(ring),
            timed: timed.map(Arc::from),
            evidence: evidence.map(Arc::from),
            recovery: recovery.map(Arc::from),
            open_times: open_times.map(Arc::from),
            max_retry_after: max_retry_after.map(Arc::from),
        }
    }
}

/// What changes, and what of it begins anew.
#[derive(Clone)]
struct Change {
    /// If not, all that changes is for whom it is.
    any: bool,
    window: bool,
    /// What the new window has taken over, if it has.
    carried: Option<Arc<Carried>>,
    recovery: bool,
    held: Option<Held>,
}

/// In which states other settings hold the breaker.
#[derive(Clone, Copy)]
struct Held {
    before: Option<Kind>,
    now: Option<Kind>,
}

impl Held {
    /// The state that has to follow `present`. One that somebody else has chosen stays, unless the settings
    /// hold another from now on.
    fn next(self, present: Kind) -> Option<Kind> {
        match (self.before, self.now) {
            (_, Some(now)) => (now != present).then_some(now),
            (before, None) => (before == Some(present)).then_some(Kind::Closed),
        }
    }
}

impl Core {
    /// Puts another configuration in the place of the present one; the outfit was made with this breaker's
    /// clock and name.
    pub fn reconfigure(&self, outfit: Outfit, caller: &impl Caller) -> Reconfigured {
        self.reconfigure_to(&Offer::new(outfit, true), caller)
    }

    /// The same, as all breakers of its registry.
    #[cfg(feature = "registry")]
    pub fn bring_into_line(&self, outfit: Outfit, caller: &impl Caller) -> Reconfigured {
        self.reconfigure_to(&Offer::new(outfit, false), caller)
    }

    fn reconfigure_to(&self, offer: &Offer, caller: &impl Caller) -> Reconfigured {
        let now = caller.nanos();
        let change = loop {
            let seen = self.audience.later().map(Replaceable::load);
            let Some((fittings, change)) = self.accept(offer, seen.as_ref(), caller) else {
                return Reconfigured::Unchanged;
            };
            if self.make_known(fittings, seen.as_ref()) {
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
        // Who waits may have other times to wait, though the state is what it was.
        #[cfg(feature = "wait")]
        self.announce_verdict();
        if let Some(state) = state {
            Reconfigured::StateChanged(state)
        } else if window && is_resized() {
            self.judge_by_the_new(caller);
            Reconfigured::WindowResized
        } else if window {
            Reconfigured::WindowBegunAnew
        } else {
            self.judge_by_the_new(caller);
            Reconfigured::WindowKept
        }
    }

    /// Begins anew, in the state, what has to, and returns the state in which the breaker was put, if it was.
    ///
    /// Of two that hold it in different states at once the one whose settings are the former may be the last to
    /// change the state. It then finds the latter's and goes on to what they say.
    fn switch_over(&self, change: Change, now: u64) -> Option<State> {
        let Some(mut held) = change.held else {
            self.align(&change, now);
            return None;
        };
        let mut change = change;
        let mut entered = None;
        loop {
            // SeqCst: pairs with the one below. Either this thread finds the state that who came before has entered,
            // or that one finds these settings.
            fence(Ordering::SeqCst);
            entered = self.align(&change, now).or(entered);
            // SeqCst: pairs with the one above.
            fence(Ordering::SeqCst);
            let latest = self.switch().held();
            if latest == held.now {
                return entered;
            }
            held = Held {
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

    /// Whether nobody else was first.
    fn make_known(&self, fittings: Fittings, seen: Option<&Seen<Fittings>>) -> bool {
        let fittings = Arc::new(fittings);
        if let (Some(later), Some(seen)) = (self.audience.later(), seen) {
            return later.replace(seen, fittings);
        }
        self.audience.publish(Arc::clone(&fittings));
        let later = self.audience.later().map(Replaceable::load);
        later.is_some_and(|later| Arc::ptr_eq(later.get(), &fittings))
    }

    /// What the offer makes of what there is, and what changes with it; `None` if nothing does.
    fn accept(
        &self,
        offer: &Offer,
        seen: Option<&Seen<Fittings>>,
        caller: &impl Caller,
    ) -> Option<(Fittings, Change)> {
        let now = caller.nanos();
        let before = seen.map_or_else(|| self.fittings_as_built(), |it| Fittings::clone(it.get()));
        let built = self.built.beside.as_deref();
        let policies = [&before.settings, &offer.settings].map(|it| &*it.policies);

        let built_ring = &self.built.ring;
        let timed = before.timed.of(built.and_then(|it| it.timed.as_deref()));
        let has_same_times = match (timed, &offer.timed) {
            (Some(own), Some(other)) => own.is_alike(policies[0], (other, policies[1])),
            (own, other) => own.is_none() && other.is_none(),
        };
        let ring = before.ring.of(Some(built_ring)).unwrap_or(built_ring);
        let window = !(has_same_times && ring.is_alike(&offer.ring));
        let held = Held {
            before: before.settings.switch.held(),
            now: offer.settings.switch.held(),
        };
        let held = (held.before != held.now).then_some(held);
        let limits = [timed, offer.timed.as_deref()].map(|it| it.and_then(Timed::limit));
        // In a state that the settings change the window begins empty.
        let can_carry = window && held.is_none() && limits[0] == limits[1];
        let carried = can_carry
            .then(|| self.carry_over((ring, before.carried.as_deref()), offer, caller))
            .flatten();
        let (ring, ring_since, timed) = if window {
            let timed = offer.timed.clone().map_or(Part::Absent, Part::Another);
            (Part::Another(Arc::clone(&offer.ring)), Some(now), timed)
        } else {
            (before.ring.clone(), before.ring_since, before.timed.clone())
        };

        let evidence = before.evidence.succeeded_by(
            built.and_then(|it| it.evidence.as_deref()),
            offer.evidence.as_ref(),
            Evidence::is_alike,
            Evidence::inherit,
        );
        let recovery = before.recovery.succeeded_by(
            built.and_then(|it| it.recovery.as_deref()),
            offer.recovery.as_ref(),
            AdaptiveRecovery::is_alike,
            |new, old| new.outage.inherit(&old.outage),
        );
        let own = before
            .open_times
            .of(built.and_then(|it| it.open_times.as_deref()));
        let grew = before.settings.open_times(own).is_some();
        let offered = offer.settings.open_times(offer.open_times.as_deref());
        if !grew && offered.is_some() {
            self.latest_opening.start(self.state.load().generation());
        }
        let open_times = before.open_times.succeeded_by(
            built.and_then(|it| it.open_times.as_deref()),
            offer.open_times.as_ref(),
            OpenTimes::is_alike,
            |_, _| (),
        );
        let max_retry_after = before.max_retry_after.succeeded_by(
            built.and_then(|it| it.max_retry_after.as_deref()),
            offer.max_retry_after.as_ref(),
            MaxRetryAfter::eq,
            |_, _| (),
        );
        // Where it starts means nothing to a breaker that has started.
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
        // The same settings, given to it alone, are its own no more than they were.
        let are_its_own = offer.is_for_it_alone && (!is_same || before.are_its_own);
        (!is_same || are_its_own != before.are_its_own).then(|| {
            let fittings = Fittings {
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
            (fittings, change)
        })
    }

    /// Puts the newest calls that `former` holds into the window that is offered, for the generation that
    /// comes next. Another thread may enter that generation, and then they count for nothing.
    fn carry_over(
        &self,
        (former, earlier): (&Ring, Option<&Carried>),
        offer: &Offer,
        caller: &impl Caller,
    ) -> Option<Arc<Carried>> {
        let seen = self.state.load();
        if !seen.lets_through_and_records() {
            return None;
        }
        let from = seen.generation();
        let reading = former.read(caller);
        let counts = former.failures_and_slow(from, reading, caller);
        let run = former.run_held(self.run.get(from), &counts, reading, caller);
        let now = date_of(caller.nanos());
        let since = earlier.and_then(|it| it.counted_since(from));
        let since = since.unwrap_or_else(|| self.began_at(from, now));
        let since = since.max(now.saturating_sub(former.span(caller)));
        let both = (from, from.next());
        offer
            .ring
            .carry_over(former, both, caller)
            .then(|| Arc::new(Carried::new(from, since, run)))
    }

    /// What the breaker was built with.
    fn fittings_as_built(&self) -> Fittings {
        Fittings {
            settings: self.built.settings.clone(),
            are_its_own: false,
            ring: Part::AsBuilt,
            ring_since: None,
            carried: None,
            timed: Part::AsBuilt,
            evidence: Part::AsBuilt,
            recovery: Part::AsBuilt,
            open_times: Part::AsBuilt,
            max_retry_after: Part::AsBuilt,
        }
    }

    /// Begins anew, in the state, what has to, and returns the state in which the settings have put the breaker.
    fn align(&self, change: &Change, now: u64) -> Option<State> {
        let mut seen = self.state.load();
        loop {
            let next = change.held.and_then(|held| held.next(seen.kind()));
            let kind = match (next, seen.kind()) {
                (Some(next), _) => next,
                (None, kind @ (Kind::Closed | Kind::MetricsOnly)) if change.window => kind,
                (None, Kind::HalfOpen { .. } | Kind::Ramp(_)) if change.recovery => Kind::PROBING,
                // What is counted now are the rejections.
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
                self.state.change_window(seen, kind)
            } else {
                self.state.change(seen, kind)
            };
            match moved {
                Ok(moved) => {
                    if let Some(carried) = carried {
                        carried.enter();
                    }
                    if next == Some(Kind::Closed) {
                        self.forget_openings(moved);
                    } else if kind == Kind::Closed {
                        self.look_back(moved, seen.generation(), now);
                    }
                    self.entered(moved, now, Cause::Reconfigured);
                    return next.map(Kind::state);
                }
                Err(found) => seen = found,
            }
        }
    }

    /// Forgets the openings so far, as a reset by hand does.
    fn forget_openings(&self, moved: Moved) {
        at_present!(self, |present| {
            if present.open_times().is_some() {
                self.latest_opening.note(moved.generation, Streak::NONE);
            }
        });
    }

    /// Forgets the openings so far if the generation that was closed has been healthy for long enough. The one that begins
    /// doesn't know how long that was.
    fn look_back(&self, moved: Moved, left: Generation, now: u64) {
        let healthy = self.age(left, now);
        at_present!(self, |present| {
            if let Some(times) = present.open_times()
                && times.is_over(healthy)
            {
                self.latest_opening.note(moved.generation, Streak::NONE);
            }
        });
    }

    /// Trips if what was recorded so far is reason enough by what is known now.
    ///
    /// Of two that meet at the run the second sees what the first had done before: a failure that is recorded at the
    /// same time finds the new policies, or is found by this.
    fn judge_by_the_new(&self, caller: &impl Caller) {
        self.run.meet();
        let generation = self.state.load().generation();
        at_present!(self, |present| {
            let reading = present.ring().read(caller);
            let run = self.run.get(generation);
            present.judge(generation, run, Outcome::Ignored, reading, caller)
                || present.judge_weighed(generation, reading, caller)
        });
    }
}
