//! How a breaker follows the orders of its fleet.
//!
//! An order is held and not owned: it is an open time that grows, or a ramp whose share comes from
//! outside. A thread that follows an order first notes it and then looks at the state. A command by
//! hand first marks the order and then changes the state. So a thread that finds the state of a
//! command finds the mark too, and leaves the breaker alone.

use super::call::Call;
use super::recover::EndedProbe;
use super::view::{Configuration, View, with_view};
use super::{Core, Refusal, Ticket};
use crate::clock::context::CallContext;
use crate::events::{Cause, entry::Reason};
use crate::outcome::Outcome;
use crate::recovery::{Followed, Order, OrderKind, RoundCalls};
use crate::state::{
    Generation, Moment, PackedRound, Phase, Round, Share, State, StateChange, StateWord,
};
use crate::sync::{Ordering, fence};
use crate::window::ClockReading;

/// How long an order lasts, in nanoseconds.
const LASTS: u64 = Order::LASTS.as_secs() * 1_000_000_000;

/// How long a call waits that isn't one of a round's share, at most: the shortest round.
const ROUND: u64 = 150_000_000;

impl Core {
    /// Follows an order of the breaker's fleet.
    pub fn follow(&self, order: Order, context: &impl CallContext) -> Followed {
        let orders = &self.join_fleet().orders;
        let Some(noted) = orders.note(&order) else {
            return Followed::Outdated;
        };
        loop {
            let seen = self.state.load();
            // After the state: a command that has changed it has marked the order before.
            let latest = orders.latest();
            if latest.is_overridden() {
                return Followed::Overridden;
            }
            if latest != noted.latest {
                return Followed::Outdated;
            }
            let followed = with_view!(self, |view| {
                view.follow_in(seen, (&order, noted.is_first), context)
            });
            if let Ok(followed) = followed {
                return followed;
            }
        }
    }

    /// Stops following an order, because nobody hears of the fleet any more.
    ///
    /// The breaker then recovers by itself.
    pub fn drop_order(&self, now: u64) {
        loop {
            let seen = self.state.load();
            let dropped = with_view!(self, |view| match seen.phase() {
                Phase::Open { .. } if self.follows_in(seen.generation()) => {
                    let wait = view.own_wait(seen.generation(), now);
                    view.let_go(seen, wait, now)
                        .map(|()| view.note_followed_none())
                }
                Phase::Ramp(round) if round.unpack().is_ordered() => {
                    view.take_over((seen, round), now)
                }
                _ => Ok(()),
            });
            if dropped.is_ok() {
                return;
            }
        }
    }

    /// Takes the calls of the present round of a fleet's ramp. `None` if there are none.
    #[must_use]
    pub fn take_round(&self) -> Option<RoundCalls> {
        let orders = &self.for_fleet()?.orders;
        let seen = self.state.load();
        match seen.phase() {
            Phase::Ramp(round) if round.unpack().is_ordered() => {
                orders.take(seen.generation(), round.unpack().number)
            }
            _ => None,
        }
    }

    /// Whether the breaker follows an order in `generation`.
    pub(super) fn follows_in(&self, generation: Generation) -> bool {
        self.for_fleet()
            .is_some_and(|it| it.orders.is_followed_in(generation))
    }

    /// Enters the next generation as `phase` by a command, which overrides the fleet's orders.
    pub(super) fn force_over_orders(&self, phase: Phase) -> StateChange {
        let orders = self.for_fleet().map(|it| &it.orders);
        let moved = self.state.retry(|seen| {
            orders.inspect(|it| it.override_by_hand());
            self.state.change(seen, phase)
        });
        // Again: an order may have come since that found nothing to do.
        orders.inspect(|it| it.override_by_hand());
        moved
    }
}

impl<'a, F: Configuration<'a>> View<'a, F> {
    /// Follows an order from the state that `seen` shows.
    ///
    /// # Errors
    /// Another thread has changed the word. The error is the word that was found.
    fn follow_in(
        self,
        seen: StateWord,
        (order, is_first): (&Order, bool),
        context: &impl CallContext,
    ) -> Result<Followed, StateWord> {
        match self.state.phase_of(seen) {
            Phase::MetricsOnly | Phase::Disabled | Phase::ForcedOpen | Phase::Isolated(_) => {
                return Ok(Followed::Overridden);
            }
            Phase::Open { .. } if self.is_opened_by_hand(seen) => return Ok(Followed::Overridden),
            _ => {}
        }
        match order.kind() {
            OrderKind::Open => self.open_by(order, (seen, is_first), context),
            OrderKind::Probe => self.probe_by_order(seen, context.nanos()),
            OrderKind::Ramp { round, share } => {
                let round = (round, Share::nearest(share));
                self.ramp_by(order, round, (seen, is_first), context)
            }
            OrderKind::Closed => self.close_by(order, seen, context.nanos()),
        }
    }

    fn open_by(
        self,
        order: &Order,
        (seen, is_first): (StateWord, bool),
        context: &impl CallContext,
    ) -> Result<Followed, StateWord> {
        let generation = seen.generation();
        let call = self.call_in(generation, context);
        let now = call.nanos();
        let until = Moment::at(now.saturating_add(LASTS));
        let mut opening = match self.state.phase_of(seen) {
            // A longer open time is the breaker's own.
            Phase::Open { until: present } if present > until => return Ok(Followed::Kept),
            Phase::Open { until: present } => {
                if present < until {
                    self.state.stay(seen, Phase::Open { until })?;
                }
                self.note_followed(generation);
                return Ok(Followed::Kept);
            }
            Phase::Closed => self.first_opening(call, now),
            _ if is_first => self.next_opening(now),
            _ => return Ok(Followed::Kept),
        };
        opening.until = opening.until.max(until);
        let moved = self.state.change(seen, opening.phase())?;
        self.note_followed(moved.generation);
        self.opened(moved, opening, now, order.cause());
        Ok(Followed::Changed)
    }

    fn probe_by_order(self, seen: StateWord, now: u64) -> Result<Followed, StateWord> {
        match seen.phase() {
            Phase::Open { .. } if self.follows_in(seen.generation()) => {
                self.let_go(seen, 0, now).map(|()| Followed::Changed)
            }
            _ => Ok(Followed::Kept),
        }
    }

    fn ramp_by(
        self,
        order: &Order,
        (number, share): (u32, Share),
        (seen, is_first): (StateWord, bool),
        context: &impl CallContext,
    ) -> Result<Followed, StateWord> {
        let Some(orders) = self.for_fleet().map(|it| &it.orders) else {
            return Ok(Followed::Kept);
        };
        let call = self.call_in(seen.generation(), context);
        let now = call.nanos();
        let until = now.saturating_add(LASTS);
        let round = Round::ordered(number, share);
        let phase = Phase::Ramp(round.pack());
        match seen.phase() {
            Phase::Ramp(present) if !is_first && present.unpack().is_ordered() => {
                return match round.number.wrapping_sub(present.unpack().number) {
                    0 => {
                        orders.extend(until);
                        Ok(Followed::Kept)
                    }
                    1..128 => {
                        orders.begin_round(number, until);
                        self.state.stay(seen, phase).map(|()| Followed::Changed)
                    }
                    _ => Ok(Followed::Outdated),
                };
            }
            Phase::Open { .. } if self.retry_at(now) > now => return Ok(Followed::Kept),
            Phase::HalfOpen(_) | Phase::Ramp(_) => {}
            from => {
                // Noted before the ramp begins. A thread that finds the ramp finds the limit too.
                self.half_open_limit().inspect(|limit| limit.begin(now));
                if from == Phase::Closed {
                    // The recovery learns when the outage began, and of how much traffic.
                    let _opening = self.first_opening(call, now);
                }
            }
        }
        // Before the state shows the round.
        orders.begin_ramp(self.latest_opening.random(now, seen.generation()));
        orders.begin_round(number, until);
        let moved = self.state.change(seen, phase)?;
        self.note_followed(moved.generation);
        self.entered(moved, now, order.cause());
        Ok(Followed::Changed)
    }

    fn close_by(self, order: &Order, seen: StateWord, now: u64) -> Result<Followed, StateWord> {
        match seen.phase() {
            Phase::Open { .. } if !self.follows_in(seen.generation()) => return Ok(Followed::Kept),
            Phase::Open { .. } if self.retry_at(now) > now => {
                self.let_go(seen, 0, now)?;
                self.note_followed_none();
                return Ok(Followed::Kept);
            }
            Phase::Open { .. } => {}
            Phase::Ramp(round) if round.unpack().is_ordered() => {}
            _ => return Ok(Followed::Kept),
        }
        let moved = self.state.change(seen, Phase::Closed)?;
        self.note_followed_none();
        self.entered(moved, now, order.cause());
        Ok(Followed::Changed)
    }

    fn note_followed(self, generation: Generation) {
        if let Some(it) = self.for_fleet() {
            it.orders.follow_in(generation);
        }
    }

    fn note_followed_none(self) {
        if let Some(it) = self.for_fleet() {
            it.orders.follow_none();
        }
    }

    /// Whether a command by hand has opened the breaker that `seen` shows.
    fn is_opened_by_hand(self, seen: StateWord) -> bool {
        let cause = self.opening.cause_of(seen.generation());
        Cause::decode_packed(cause) == Some(Cause::Manual)
    }

    /// When the dependency's `Retry-After` ends, as far as the breaker honours it.
    fn retry_at(self, now: u64) -> u64 {
        self.max_retry_after().cut(self.retry_after.so_far(), now)
    }

    /// For how many nanoseconds the breaker would stay open by itself, if it opened `now`.
    fn own_wait(self, generation: Generation, now: u64) -> u64 {
        match (self.open_times(), self.adaptive()) {
            (Some(times), _) => match self.latest_opening.get().wait {
                0 => times.first,
                wait => wait,
            },
            (None, Some(adaptive)) if adaptive.by_traffic => {
                adaptive.outage.wait(now, generation.number())
            }
            (None, _) => self.settings().open_for,
        }
    }

    /// Ends an open time that a fleet has lengthened `wait` nanoseconds after `now`, if that is
    /// sooner, but not before the dependency's `Retry-After` ends.
    fn let_go(self, seen: StateWord, wait: u64, now: u64) -> Result<(), StateWord> {
        let Phase::Open { until: present } = self.state.phase_of(seen) else {
            return Ok(());
        };
        let until = Moment::at(now.saturating_add(wait).max(self.retry_at(now)));
        if until < present {
            self.state.shorten(seen, until)?;
            // Read again: a `Retry-After` that came since finds the shorter time, or is found here.
            let retry_at = self.retry_after.until();
            self.stay_open(self.max_retry_after().cut(retry_at, now));
            self.wake_for_sooner();
        }
        Ok(())
    }

    /// Goes on by itself from the round that a fleet has set.
    fn take_over(self, (seen, round): (StateWord, PackedRound), now: u64) -> Result<(), StateWord> {
        match self.adaptive() {
            Some(adaptive) => {
                let led = round.unpack();
                adaptive.ramp.take_over(&self.state, (seen, led), now)?;
            }
            // Only an adaptive recovery makes ramps.
            None => self.state.stay(seen, Phase::PROBING)?,
        }
        self.note_followed_none();
        self.wake_for_sooner();
        Ok(())
    }

    /// Wakes all that wait for a time that may have moved.
    fn wake_for_sooner(self) {
        // SeqCst: pairs with the fence in `watch`. Either this thread finds the listener, or the
        // task sees the earlier end. Otherwise the task could wait until the later one.
        fence(Ordering::SeqCst);
        self.wake_all();
        if let Some(checks) = self.checks() {
            checks.ring();
        }
    }

    /// Admits a call if it belongs to the share that a fleet has set.
    #[cold]
    #[inline(never)]
    pub(super) fn admit_by_order<const IS_CALL: bool>(
        self,
        (seen, round): (StateWord, PackedRound),
        reading: ClockReading,
        now: u64,
        context: &impl CallContext,
    ) -> Result<Ticket, Refusal> {
        let generation = seen.generation();
        let refused = |wait| {
            let wait = self.wait_half_open(wait, now);
            let call = Call::new(generation, reading, context);
            Err(self.refuse(State::HalfOpen, wait, call))
        };
        let Some(it) = self.for_fleet() else {
            return refused(None);
        };
        let left = it.orders.until().saturating_sub(now);
        if left == 0 {
            // If another thread has changed the state, this call asks by what it finds.
            let _ends = self.take_over((seen, round), now);
            return self.admit_by_phase::<IS_CALL>(self.state.load(), context);
        }
        if !it.orders.admits(round.unpack().share) {
            return refused(Some(left.min(ROUND)));
        }
        let ticket = Ticket {
            admitted: Core::in_round(generation, round),
            begin: reading.raw,
        };
        Ok(ticket.begun::<IS_CALL>(context))
    }

    /// Records a call that was admitted by an order. Returns whether it was.
    pub(super) fn record_by_order(self, ended: EndedProbe) -> bool {
        let ticket = ended.ticket.admitted;
        let generation = ticket.generation();
        let round = match ticket.phase() {
            Phase::Ramp(round) if round.unpack().is_ordered() => round.unpack(),
            _ => return false,
        };
        match ended.outcome {
            Outcome::Ignored => {}
            Outcome::Trip => {
                let opening = self.next_opening(ended.now);
                if let Some(moved) = self.state.leave(generation, opening.phase()) {
                    let reason = Reason::of_call(Cause::TripRequested, ended.label);
                    self.opened(moved, opening, ended.now, reason);
                }
            }
            Outcome::Success | Outcome::Failure | Outcome::TimedOut => {
                let is_current = || {
                    let seen = self.state.load();
                    let present = match seen.phase() {
                        Phase::Ramp(present) => present.unpack(),
                        _ => return false,
                    };
                    let is_same = present.is_ordered() && present.number == round.number;
                    is_same && seen.generation() == generation
                };
                if let Some(it) = self.for_fleet() {
                    let admitted = (generation, round);
                    it.orders.count(admitted, ended.succeeded(), is_current);
                }
            }
        }
        true
    }
}
