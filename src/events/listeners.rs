//! Tells listeners of transitions: each once, in generation order, on the threads that make them.
//!
//! The winner of a transition writes it into the log, a ring of slots by generation. It then tries
//! to become the teller. There is one teller at a time, which tells the log's entries in order. It
//! stops where the next transition isn't written yet. The thread that writes it will then try to
//! become the teller itself. So nobody waits: a winner that finds a teller at work leaves its
//! transition to the teller.
//!
//! The log is bounded, because the path of a call neither allocates nor waits. A listener may be
//! held up while half a log of transitions goes by. So may a winner between its compare-exchange
//! and its log entry. Transitions that find no place are then passed over, and the next one tells
//! how many. The latest of them is kept apart, so that the listeners are told of the state that
//! lasts.

use std::sync::Arc;

use crate::clock::Clock;
use crate::events::would_trip::shielded;
use crate::events::{Cause, Transition};
use crate::name::Name;
use crate::state::State;
use crate::sync::{Ordering, Payload, Publisher, fence};

/// A function that is told of transitions. Breakers made from one builder share it.
pub type Listener = Arc<dyn Fn(&Transition) + Send + Sync>;

/// A transition for the listeners.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogEntry {
    /// The full number of the generation that was entered; at least 1.
    pub generation: u64,
    /// The state that was left.
    pub from: State,
    /// The state that was entered.
    pub to: State,
    /// When the transition was made, in nanoseconds of the breaker's clock.
    pub at: u64,
    /// Why the transition was made.
    pub cause: Cause,
}

/// The listeners, and the transitions that they are still to be told.
pub struct Listeners {
    told: Box<[Listener]>,
    /// The breaker's clock, which tells the system's time of a transition.
    clock: Clock,
    log: Box<[Slot]>,
    /// The latest entry that found no place in the log. With it the listeners are told at least of
    /// the last transition.
    overflow: Slot,
    /// Twice the generation that is told next; plus one while a teller is at work.
    turn: Publisher,
    /// The transitions passed over since the last one told. Only the teller touches this word, and
    /// `turn` publishes it from teller to teller.
    missed: Payload,
}

/// A place in the log.
#[derive(Debug, Default)]
pub struct Slot {
    /// Twice the generation that the slot holds; one less while it is being written; 0 at first.
    stamp: Publisher,
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
        // The words that are read next belong to this stamp. Otherwise they could be those of an
        // older entry.
        self.stamp.load() == Self::written(generation)
    }

    /// Writes an entry, and returns whether it has.
    ///
    /// The slot stays as it is while it is being written. It also keeps a later entry, and one that
    /// is `untold`.
    pub fn write(&self, entry: &LogEntry, untold: impl Fn(u64) -> bool) -> bool {
        let seen = self.stamp.peek();
        let taken = seen % 2 == 1
            || seen >= Self::being_written(entry.generation)
            || (seen > 0 && untold(seen / 2));
        if taken {
            return false;
        }
        let claimed = Self::being_written(entry.generation);
        // The entry that is overwritten is complete, and the words below are written after the slot
        // is claimed. Otherwise two entries could mix.
        if self.stamp.claim(seen, claimed).is_err() {
            return false;
        }
        // Release: pairs with the Acquire fence in `read_late`. A reader that has read a word of
        // this entry finds that the old stamp is gone. Otherwise it would take that word for the
        // old entry's.
        fence(Ordering::Release);
        let [code, a, b, c] = entry.cause.encode();
        let states = (entry.from as u64) << 8 | entry.to as u64;
        for (word, value) in self.words.iter().zip([entry.at, states, code, a, b, c]) {
            word.store(value);
        }
        // A reader that finds this stamp in `holds` or in `generation` finds the words. Otherwise it
        // could read those of an older entry.
        self.stamp.publish(Self::written(entry.generation));
        true
    }

    /// Reads the entry that the slot holds. No thread may write it meanwhile.
    fn read(&self, generation: u64) -> LogEntry {
        // The words stay until the turn has gone on.
        let [at, states, code, a, b, c] = std::array::from_fn(|word| self.words[word].load());
        LogEntry {
            generation,
            from: state_of(states >> 8),
            to: state_of(states & 0xFF),
            at,
            cause: Cause::decode([code, a, b, c]),
        }
    }

    /// Reads the entry of `generation`, if the slot holds it and no thread begins to write another
    /// meanwhile.
    #[must_use]
    pub fn read_late(&self, generation: u64) -> Option<LogEntry> {
        if !self.holds(generation) {
            return None;
        }
        let entry = self.read(generation);
        // Acquire: pairs with the Release fence in `write`. If a word of a newer entry was read,
        // the stamp that is loaded next is a newer one too. Otherwise two entries could mix.
        fence(Ordering::Acquire);
        self.holds(generation).then_some(entry)
    }

    /// The generation that the slot holds; 0 if it holds none or is being written.
    ///
    /// A writer that is not done yet will try to tell afterwards.
    fn generation(&self) -> u64 {
        // The reader finds what the entry's writer wrote before, such as an earlier entry.
        // Otherwise that entry could be passed over.
        let stamp = self.stamp.load();
        if stamp.is_multiple_of(2) {
            stamp / 2
        } else {
            0
        }
    }
}

/// The state with this discriminant.
fn state_of(code: u64) -> State {
    match code {
        1 => State::Open,
        2 => State::HalfOpen,
        3 => State::ForcedOpen,
        4 => State::Disabled,
        5 => State::MetricsOnly,
        _ => State::Closed,
    }
}

impl Listeners {
    /// The slots in the log. Under loom there are few, so that the log gets full.
    pub const LOG: u64 = if cfg!(tripcurve_loom) { 6 } else { 64 };

    /// Creates listeners with an empty log, or `None` without listeners.
    #[must_use]
    pub fn new(listeners: Vec<Listener>, clock: &Clock) -> Option<Box<Self>> {
        (!listeners.is_empty()).then(|| {
            Box::new(Self {
                told: listeners.into(),
                clock: clock.clone(),
                log: (0..Self::LOG).map(|_| Slot::default()).collect(),
                overflow: Slot::default(),
                turn: Publisher::new(2),
                missed: Payload::new(0),
            })
        })
    }

    /// Continues after `generation`, before any other thread knows of the breaker.
    #[cfg(feature = "serde")]
    pub(crate) fn go_on_after(&self, generation: u64) {
        self.turn.publish(2 * (generation + 1));
    }

    fn slot(&self, generation: u64) -> &Slot {
        &self.log[(generation % Self::LOG) as usize]
    }

    /// Tells all listeners of `entry`, on this thread or on one that is telling already.
    pub fn tell(&self, name: &Name, entry: &LogEntry) {
        let is_in_log = self.slot(entry.generation).write(entry, |generation| {
            // An entry before the turn that `tell_what_is_there` published has been read, so its
            // slot may be overwritten. Otherwise a slot could be overwritten while the teller reads
            // it.
            generation >= self.turn.load() / 2
        });
        if !is_in_log {
            self.overflow.write(entry, |_| false);
        }
        loop {
            // SeqCst: pairs with itself on another thread. Consider a winner that has written its
            // entry, and a teller that has stopped. At least one sees the other's word: the entry
            // or the turn. Otherwise both could return, and the entry would stay untold.
            fence(Ordering::SeqCst);
            // The fence above orders this load, and the exchange below checks the value.
            let turn = self.turn.peek();
            let next = turn / 2;
            if turn % 2 == 1 || !self.can_go_on(next) {
                return;
            }
            // This teller finds what the last one has left in `missed`. Otherwise a transition could
            // be reported as missed twice, or never.
            if self.turn.claim(turn, turn + 1).is_ok() {
                let next = self.tell_what_is_there(name, next);
                self.turn.publish(2 * next);
            }
        }
    }

    /// Whether the transition into `next` can be told or passed over.
    fn can_go_on(&self, next: u64) -> bool {
        self.slot(next).holds(next) || self.is_to_be_passed_over(next)
    }

    /// Whether the overflow slot holds this or a later transition, or half a log of later ones has
    /// gone by.
    ///
    /// Entries are lost while the log is full and another thread writes to the overflow slot. So a
    /// slot may hold an entry that is several logs ahead.
    fn is_to_be_passed_over(&self, next: u64) -> bool {
        self.overflow.generation() >= next
            || (next + Self::LOG / 2..next + Self::LOG)
                .any(|later| self.slot(later).generation() >= later)
    }

    /// Tells transitions from the one into `next` on, as the only teller. Returns where it stopped.
    fn tell_what_is_there(&self, name: &Name, mut next: u64) -> u64 {
        loop {
            // This is asked first. The entry that makes this transition too late is then read, with
            // all that its writer wrote before.
            let is_to_be_passed_over = self.is_to_be_passed_over(next);
            let entry = if self.slot(next).holds(next) {
                Some(self.slot(next).read(next))
            } else {
                self.overflow.read_late(next)
            };
            if entry.is_none() && !is_to_be_passed_over {
                return next;
            }
            next += 1;
            // This teller is done with the slot, and `tell` may overwrite it. Otherwise it could be
            // overwritten while it is read here.
            self.turn.publish(2 * next + 1);
            let missed = self.missed.load();
            if let Some(entry) = entry {
                self.missed.store(0);
                self.tell_one(name, &entry, missed);
            } else {
                self.missed.store(missed + 1);
            }
        }
    }

    fn tell_one(&self, name: &Name, entry: &LogEntry, missed: u64) {
        let transition = Transition {
            name: name.clone(),
            entry: *entry,
            system_time: self.clock.system_time_at(entry.at),
            missed,
        };
        for listener in &self.told {
            // A panic doesn't harm the turn either.
            shielded(|| listener(&transition));
        }
    }
}

impl std::fmt::Debug for Listeners {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} listeners", self.told.len())
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn transitions_more_than_a_log_ahead_are_told_once_half_a_log_has_gone_by() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&told);
        let listener: Listener = Arc::new(move |it: &Transition| {
            log.lock().unwrap().push((it.generation(), it.missed()));
        });
        let listeners = Listeners::new(vec![listener], &Clock::mock().0).unwrap();
        let entry = |generation| LogEntry {
            generation,
            from: State::Closed,
            to: State::Closed,
            at: 0,
            cause: Cause::Manual,
        };
        let name = Name::from("log");
        listeners.tell(&name, &entry(1));
        let next = 2 + 5 * Listeners::LOG;
        for generation in next..=next + Listeners::LOG / 2 {
            listeners.tell(&name, &entry(generation));
        }
        let told = told.lock().unwrap();
        assert_eq!(told[..3], [(1, 0), (next, next - 2), (next + 1, 0)]);
        assert_eq!(told.last(), Some(&(next + Listeners::LOG / 2, 0)));
    }
}
