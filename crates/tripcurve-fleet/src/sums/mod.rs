//! The arithmetic of a store, as a pure function of a state, a message and the store's time.
//!
//! [`FleetSums`] is the state of one breaker's fleet. Every store computes what it computes: the
//! memory store with this code, the script of Redis with its own.
//!
//! A message is either refused whole and changes nothing, or it takes these steps:
//!
//! 1. Time never goes back: an older time is taken for the last one, and no evidence outlives such a
//!    message. If the time is more than 10 s older, or after an hour without messages, the state is
//!    empty.
//! 2. The expected calls grow by the fleet's call rate. Announced rates older than two minutes go.
//! 3. If the sender knows a higher epoch, its state is taken over.
//! 4. The message is applied.

mod excursions;
mod rates;
mod recovery;

use std::collections::BTreeMap;

use crate::message::{FleetState, FleetView, Message, Pulse, Pulsed, Refused, Report, Reported};
use crate::message::{SHARE, Sender, Trip, Tripped, Weigh, Weighed};
use excursions::{Entry, Excursion};
use rates::Rates;
use recovery::{Ramp, Turn};

/// The time after which a state without messages is empty, in ms.
pub const LIFETIME_MS: u64 = 3_600_000;

/// If the clock goes back farther than this, in ms, the state is empty.
///
/// Otherwise an open fleet would wait for its next probe until the clock has caught up.
const BACK_MS: u64 = 10_000;

/// How old the sums of a trip may be, in ms.
const CLAIM_MS: u64 = 1_000;

/// How many members may have failed since the entries were last dropped.
const MAX_ENTRIES: usize = 2_048;

/// What a store keeps of one breaker's fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FleetSums {
    /// The time of the last message. 0 if there was none.
    last: u64,
    epoch: u64,
    state: FleetState,
    share: u32,
    round: u32,
    /// When the outage began, while the fleet isn't closed.
    opened: u64,
    /// When state or round last changed.
    changed: u64,
    turn: Turn,
    ramp: Ramp,
    usual: Excursion,
    tolerated: Excursion,
    entries: BTreeMap<u64, Entry>,
    rates: Rates,
}

/// An answer, and whether all members are told of the state in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied<A> {
    /// The answer.
    pub answer: A,
    /// The state, if it has changed.
    pub announced: Option<FleetView>,
}

/// The next number of a series that doesn't repeat if the state is lost.
fn next(last: u64, now: u64) -> u64 {
    (last + 1).max(now)
}

/// The age of what happened at `then`, at most an hour. 0 if nothing happened.
fn since(then: u64, now: u64) -> u64 {
    if then == 0 {
        return 0;
    }
    (now - then).min(LIFETIME_MS)
}

impl FleetSums {
    /// Counts failures.
    ///
    /// # Errors
    /// A number is out of bounds. Then nothing has changed. The other methods do the same.
    pub fn report(&mut self, it: &Report, now: u64) -> Result<Applied<Reported>, Refused> {
        self.apply(it, now, |sums, now, _| {
            let counted = sums.count(it, now);
            let tolerated = it.tolerated.map(|_| sums.tolerated.sums(now));
            Reported {
                view: sums.view(now),
                counted,
                usual: sums.usual.sums(now),
                tolerated: tolerated.unwrap_or_default(),
            }
        })
    }

    /// Finds the members that add most evidence.
    ///
    /// Ends an excursion in which the others' evidence has fallen below −2 nats.
    ///
    /// # Errors
    /// The message is refused for the reasons for which [`report`](Self::report) refuses one.
    pub fn weigh(&mut self, it: &Weigh, now: u64) -> Result<Applied<Weighed>, Refused> {
        self.apply(it, now, |sums, now, _| {
            let (usual, tolerated) = sums.loudest(it, now);
            Weighed {
                view: sums.view(now),
                usual,
                tolerated,
            }
        })
    }

    /// Takes a member's traffic in place of what it announced before.
    ///
    /// # Errors
    /// The message is refused for the reasons for which [`report`](Self::report) refuses one.
    pub fn pulse(&mut self, it: &Pulse, now: u64) -> Result<Applied<Pulsed>, Refused> {
        self.apply(it, now, |sums, now, _| {
            let counted = sums.rates.announce(it, now);
            Pulsed {
                view: sums.view(now),
                counted,
            }
        })
    }

    /// Opens the fleet, if the sums are still at least those that the sender judged.
    ///
    /// # Errors
    /// The message is refused for the reasons for which [`report`](Self::report) refuses one.
    pub fn trip(&mut self, it: &Trip, now: u64) -> Result<Applied<Tripped>, Refused> {
        self.apply(it, now, |sums, now, changed| {
            let won = sums.state == FleetState::Closed
                && sums.epoch == it.epoch
                && it.at_ms <= now
                && now - it.at_ms <= CLAIM_MS
                && sums.usual.holds(&it.usual)
                && it
                    .tolerated
                    .is_none_or(|claim| sums.tolerated.holds(&claim));
            if won {
                sums.enter(FleetState::Open, now);
                sums.turn = Turn::first(now, it.wait_ms);
                *changed = true;
            }
            Tripped {
                view: sums.view(now),
                won,
            }
        })
    }

    /// Does what each message needs, then calls `act` with the time.
    fn apply<M: Message, A>(
        &mut self,
        message: &M,
        time: u64,
        act: impl FnOnce(&mut Self, u64, &mut bool) -> A,
    ) -> Result<Applied<A>, Refused> {
        let is_back = self.last.saturating_sub(time) > BACK_MS;
        let now = time.max(if is_back { 1 } else { self.last.max(1) });
        message.check(now)?;
        if is_back || now - self.last >= LIFETIME_MS {
            *self = Self::default();
        }
        if self.last == 0 {
            self.share = SHARE;
            self.rates.begin(now);
        }
        if time < self.last {
            // Failures go on, but the calls that belong to them aren't expected.
            self.usual.end(now);
            self.tolerated.end(now);
        }
        self.advance(now);
        let mut changed = self.learn(message.sender(), now);
        let answer = act(self, now, &mut changed);
        self.last = now;
        Ok(Applied {
            announced: changed.then(|| self.view(now)),
            answer,
        })
    }

    fn advance(&mut self, now: u64) {
        let expected = self.rates.expected(now - self.last);
        self.usual.expect(expected);
        self.tolerated.expect(expected);
        self.rates.rotate(now);
    }

    /// Takes over a state that is newer than this one. Returns whether it was.
    fn learn(&mut self, sender: &Sender, now: u64) -> bool {
        if sender.epoch <= self.epoch {
            return false;
        }
        self.enter(sender.state, now);
        self.epoch = sender.epoch;
        match sender.state {
            FleetState::Closed => {}
            FleetState::Open => self.turn = Turn::first(now, 1_000),
            FleetState::Ramp => self.begin_round(sender.share, sender.round, now),
        }
        true
    }

    /// Begins an epoch. Sums don't outlive it.
    fn enter(&mut self, state: FleetState, now: u64) {
        self.epoch = next(self.epoch, now);
        if self.state == FleetState::Closed {
            self.opened = now;
        }
        if state == FleetState::Closed {
            self.opened = 0;
        }
        self.state = state;
        self.share = if state == FleetState::Closed {
            SHARE
        } else {
            0
        };
        self.round = 0;
        self.changed = now;
        self.turn = Turn::default();
        self.ramp.restart(now);
        self.usual.end(now);
        self.tolerated.end(now);
    }

    fn view(&self, now: u64) -> FleetView {
        FleetView {
            epoch: self.epoch,
            state: self.state,
            share: self.share,
            round: self.round,
            turn: self.turn.number,
            outage_ms: since(self.opened, now),
            age_ms: since(self.changed, now),
            due_ms: self.turn.due_in(now),
            members: self.rates.members(),
            rate: self.rates.sum(),
            normal: self.rates.normal(),
            at_ms: now,
        }
    }
}

#[cfg(any(all(test, feature = "redis"), feature = "__fuzz"))]
pub(crate) mod stored;
#[cfg(test)]
mod tests;
