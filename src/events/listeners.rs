//! Telling listeners of transitions: each once, in generation order, by whoever is at hand.
//!
//! The winner of a transition writes it into the log, a ring of slots by generation, and then tries
//! to become the teller. There is one teller at a time; it tells what the log holds in order and
//! stops where the next transition isn't written yet, since the thread that writes it will then try
//! to become the teller itself. So nobody waits: a winner that finds somebody telling leaves its
//! transition to them.
//!
//! The log is bounded, because the path of a call neither allocates nor waits. If a listener (or a
//! winner between its compare-exchange and its entry in the log) is held up while half a log of
//! transitions goes by, then those that find no place are passed over, and the next transition says
//! how many. The latest that found no place is kept apart, so that the state that lasts is told.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::events::{Cause, Transition};
use crate::name::Name;
use crate::state::State;
use crate::sync::{AtomicU64, Ordering, Payload, fence};

/// Who wants to know of transitions. Shared, because breakers that are made from one builder tell the same ones.
pub type Listener = Arc<dyn Fn(&Transition) + Send + Sync>;

/// A transition that is to be told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogEntry {
    /// The full number of the generation that was entered; at least 1.
    pub generation: u64,
    /// The state that was left.
    pub from: State,
    /// The state that was entered.
    pub to: State,
    /// When, in nanoseconds of the breaker's clock.
    pub at: u64,
    /// Why.
    pub cause: Cause,
}

/// The listeners and what they are still to be told.
pub struct Listeners {
    told: Box<[Listener]>,
    log: Box<[Slot]>,
    /// The latest entry that found no place in the log, so that the listeners hear at least of the
    /// last transition.
    overflow: Slot,
    /// The generation to be told next, twice; plus one while somebody is telling.
    turn: AtomicU64,
    /// Transitions passed over since the last one told. Only the teller touches it, and the turn hands
    /// it from teller to teller.
    missed: Payload,
}

/// A place in the log.
#[derive(Debug, Default)]
pub struct Slot {
    /// Twice the generation that the slot holds; one less while it is being written; 0 at first.
    stamp: AtomicU64,
    /// The entry, which the stamp publishes.
    words: [Payload; 6],
}

impl Slot {
    fn written(generation: u64) -> u64 {
        2 * generation
    }

    fn being_written(generation: u64) -> u64 {
        2 * generation - 1
    }

    fn holds(&self, generation: u64) -> bool {
        // Acquire: pairs with the Release in `write`; the words belong to this stamp.
        self.stamp.load(Ordering::Acquire) == Self::written(generation)
    }

    /// Writes an entry, unless the slot holds one that is `untold` or a later one, or is being
    /// written; says whether it has.
    pub fn write(&self, entry: &LogEntry, untold: impl Fn(u64) -> bool) -> bool {
        // Acquire: pairs with the Release below, so that what this entry overwrites is complete.
        let seen = self.stamp.load(Ordering::Acquire);
        let taken = seen % 2 == 1
            || seen >= Self::being_written(entry.generation)
            || (seen > 0 && untold(seen / 2));
        if taken {
            return false;
        }
        let claimed = Self::being_written(entry.generation);
        // Acquire, Relaxed: the words below are written after the slot is claimed.
        let claim =
            self.stamp
                .compare_exchange(seen, claimed, Ordering::Acquire, Ordering::Relaxed);
        if claim.is_err() {
            return false;
        }
        // Release: pairs with the Acquire fence in `read_late`; who has read a word of this entry
        // finds that the stamp isn't the old one's any more.
        fence(Ordering::Release);
        let [code, a, b, c] = entry.cause.encode();
        let states = (entry.from as u64) << 8 | entry.to as u64;
        for (word, value) in self.words.iter().zip([entry.at, states, code, a, b, c]) {
            word.store(value);
        }
        // Release: pairs with the Acquire in `holds`.
        self.stamp
            .store(Self::written(entry.generation), Ordering::Release);
        true
    }

    /// Reads the entry that the slot holds. Nobody may write it meanwhile.
    fn read(&self, generation: u64) -> LogEntry {
        // They stay until the turn has gone on.
        let [at, states, code, a, b, c] = std::array::from_fn(|word| self.words[word].load());
        LogEntry {
            generation,
            from: state_of(states >> 8),
            to: state_of(states & 0xFF),
            at,
            cause: Cause::decode([code, a, b, c]),
        }
    }

    /// Reads the entry of `generation`, if the slot holds it and nobody begins to write another
    /// meanwhile.
    #[must_use]
    pub fn read_late(&self, generation: u64) -> Option<LogEntry> {
        if !self.holds(generation) {
            return None;
        }
        let entry = self.read(generation);
        // Acquire: pairs with the Release fence in `write`.
        fence(Ordering::Acquire);
        self.holds(generation).then_some(entry)
    }

    /// The generation that the slot holds; 0 if it holds none or is being written, for then its
    /// writer has not tried to tell yet.
    fn generation(&self) -> u64 {
        // Acquire: pairs with the Release in `write`, as in `holds`.
        let stamp = self.stamp.load(Ordering::Acquire);
        if stamp.is_multiple_of(2) {
            stamp / 2
        } else {
            0
        }
    }
}

fn state_of(code: u64) -> State {
    const STATES: [State; 6] = [
        State::Closed,
        State::Open,
        State::HalfOpen,
        State::ForcedOpen,
        State::Disabled,
        State::MetricsOnly,
    ];
    STATES
        .into_iter()
        .find(|state| *state as u64 == code)
        .unwrap_or(State::Closed)
}

impl Listeners {
    /// Slots in the log: few under loom, so that it gets full.
    pub const LOG: u64 = if cfg!(tripcurve_loom) { 6 } else { 64 };

    /// Listeners with an empty log, or `None` without listeners.
    #[must_use]
    pub fn new(listeners: Vec<Listener>) -> Option<Box<Self>> {
        (!listeners.is_empty()).then(|| {
            Box::new(Self {
                told: listeners.into(),
                log: (0..Self::LOG).map(|_| Slot::default()).collect(),
                overflow: Slot::default(),
                turn: AtomicU64::new(2),
                missed: Payload::new(0),
            })
        })
    }

    /// Goes on after `generation`, before anybody else knows of the breaker.
    #[cfg(feature = "serde")]
    pub(crate) fn go_on_after(&self, generation: u64) {
        // Relaxed: who gets to know of the breaker sees it.
        self.turn.store(2 * (generation + 1), Ordering::Relaxed);
    }

    fn slot(&self, generation: u64) -> &Slot {
        &self.log[(generation % Self::LOG) as usize]
    }

    /// Tells all listeners of `entry`, now or by another thread that is telling already.
    pub fn tell(&self, name: &Name, entry: &LogEntry) {
        let is_in_log = self.slot(entry.generation).write(entry, |generation| {
            // Acquire: pairs with the Release in `tell_what_is_there`; an entry before the turn has
            // been read, and its slot may be written.
            generation >= self.turn.load(Ordering::Acquire) / 2
        });
        if !is_in_log {
            self.overflow.write(entry, |_| false);
        }
        loop {
            // SeqCst: pairs with itself on another thread. Of a winner that has written its entry and
            // a teller that has stopped, at least one sees the other's word: the entry or the turn.
            fence(Ordering::SeqCst);
            // Relaxed: the compare-exchange checks what was read.
            let turn = self.turn.load(Ordering::Relaxed);
            let next = turn / 2;
            if turn % 2 == 1 || !self.can_go_on(next) {
                return;
            }
            // Acquire: pairs with the Release below; this teller goes on where the last one
            // stopped. Relaxed: on failure somebody else is telling, or has told.
            if self
                .turn
                .compare_exchange(turn, turn + 1, Ordering::Acquire, Ordering::Relaxed)
                .is_err()
            {
                continue;
            }
            let next = self.tell_what_is_there(name, next);
            // Release: as above.
            self.turn.store(2 * next, Ordering::Release);
        }
    }

    /// Whether the transition into `next` can be told, or passed over.
    fn can_go_on(&self, next: u64) -> bool {
        self.slot(next).holds(next) || self.is_to_be_passed_over(next)
    }

    /// A later transition has found no place, or half a log of later ones has gone by.
    fn is_to_be_passed_over(&self, next: u64) -> bool {
        self.overflow.generation() >= next
            || (next + Self::LOG / 2..next + Self::LOG).any(|later| self.slot(later).holds(later))
    }

    /// Tells, as the only teller, from the transition into `next` on; returns where it stopped.
    fn tell_what_is_there(&self, name: &Name, mut next: u64) -> u64 {
        loop {
            // Asked first: what makes this transition too late has been read then, and with it
            // what its writer had written before.
            let is_to_be_passed_over = self.is_to_be_passed_over(next);
            let entry = if self.slot(next).holds(next) {
                Some(self.slot(next).read(next))
            } else {
                self.overflow.read_late(next)
            };
            if let Some(entry) = entry {
                next += 1;
                // Release: pairs with the Acquire in `tell`; the slot has been read and is free.
                self.turn.store(2 * next + 1, Ordering::Release);
                let missed = self.missed.load();
                self.missed.store(0);
                self.tell_one(name, &entry, missed);
            } else if is_to_be_passed_over {
                next += 1;
                // Release: as above.
                self.turn.store(2 * next + 1, Ordering::Release);
                let missed = self.missed.load();
                self.missed.store(missed + 1);
            } else {
                return next;
            }
        }
    }

    fn tell_one(&self, name: &Name, entry: &LogEntry, missed: u64) {
        let transition = Transition {
            name: name.clone(),
            from: entry.from,
            to: entry.to,
            generation: entry.generation,
            at: Duration::from_nanos(entry.at),
            cause: entry.cause,
            missed,
        };
        for listener in &self.told {
            // A listener that panics harms neither the call that happens to tell it, nor the other
            // listeners, nor the turn. Dropping the payload may panic too.
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| listener(&transition)))
                && let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload)))
            {
                std::mem::forget(payload);
            }
        }
    }
}

impl std::fmt::Debug for Listeners {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} listeners", self.told.len())
    }
}
