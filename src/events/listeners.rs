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

use super::entry::LogEntry;
use super::slot::Slot;
use crate::clock::Clock;
use crate::events::Transition;
use crate::events::would_trip::shielded;
use crate::name::Name;
use crate::sync::{Ordering, Payload, Publisher, Replaceable, SelfContained, fence};

/// A function that is told of transitions. Breakers made from one builder share it.
pub type Listener = Arc<dyn Fn(&Transition) + Send + Sync>;

/// A listener among those of a breaker.
#[derive(Clone)]
struct ListedListener {
    /// The number by which it is removed.
    number: u64,
    /// It is told of transitions into later generations.
    since: u64,
    listener: Listener,
}

/// The listeners, and the transitions that they are still to be told.
pub struct Listeners {
    /// Replaced as a whole when a listener comes or goes.
    told: Replaceable<Vec<ListedListener>>,
    /// The number of the next listener.
    numbers: SelfContained,
    /// The breaker's clock, which tells the system's time of a transition.
    clock: Clock,
    log: Box<[Slot]>,
    /// The latest entry that found no place in the log. With it the listeners are told at least of
    /// the last transition.
    overflow: Slot,
    /// Twice the generation that is told next; plus one while a teller is at work. It is
    /// [`HELD`](Self::HELD) before the log begins.
    turn: Publisher,
    /// The transitions passed over since the last one told. Only the teller touches this word, and
    /// `turn` publishes it from teller to teller.
    missed: Payload,
}

impl Listeners {
    /// The slots in the log. Under loom there are few, so that the log gets full.
    pub const LOG: u64 = if cfg!(tripcurve_loom) { 6 } else { 64 };

    /// The turn of a log that hasn't begun. It looks as if a teller were at work at generation 0, so
    /// winners write their entries and leave.
    const HELD: u64 = 1;

    /// Creates listeners with an empty log, or `None` without listeners.
    #[must_use]
    pub fn new(listeners: Vec<Listener>, clock: &Clock) -> Option<Box<Self>> {
        let members = (0..)
            .zip(listeners)
            .map(|(number, listener)| ListedListener {
                number,
                since: 0,
                listener,
            });
        let members: Vec<_> = members.collect();
        (!members.is_empty()).then(|| Box::new(Self::with(members, 2, clock)))
    }

    /// Creates a log without listeners that hasn't begun. [`begin_after`](Self::begin_after) begins
    /// it.
    #[must_use]
    pub fn held(clock: &Clock) -> Self {
        Self::with(Vec::new(), Self::HELD, clock)
    }

    fn with(members: Vec<ListedListener>, turn: u64, clock: &Clock) -> Self {
        Self {
            numbers: SelfContained::new(members.len() as u64),
            told: Replaceable::new(Arc::new(members)),
            clock: clock.clone(),
            log: (0..Self::LOG).map(|_| Slot::default()).collect(),
            overflow: Slot::default(),
            turn: Publisher::new(turn),
            missed: Payload::new(0),
        }
    }

    /// Adds a listener for transitions into generations after `since`. Returns its number.
    pub fn add(&self, since: u64, listener: Listener) -> u64 {
        let number = self.numbers.add(1);
        let member = ListedListener {
            number,
            since,
            listener,
        };
        self.change(|members| members.push(member.clone()));
        number
    }

    /// Removes the listener with this number.
    pub fn remove(&self, number: u64) {
        self.change(|members| members.retain(|it| it.number != number));
    }

    fn change(&self, change: impl Fn(&mut Vec<ListedListener>)) {
        loop {
            let seen = self.told.load();
            let mut members = Vec::clone(seen.get());
            change(&mut members);
            if self.told.replace(&seen, Arc::new(members)) {
                return;
            }
        }
    }

    /// Begins the log after `generation`, unless it has begun, and tells what is there.
    ///
    /// The caller has found the log, and after a fence found this generation. So each later winner
    /// finds the log.
    pub fn begin_after(&self, name: &Name, generation: u64) {
        // A log that has begun goes on where it is. The next teller may miss the caller's listener,
        // but only for a transition that another thread makes meanwhile. The entry of a later
        // transition publishes the listener.
        if self.turn.replace(Self::HELD, 2 * (generation + 1)).is_ok() {
            self.go_on(name);
        }
    }

    /// Continues after `generation`, before any other thread knows of the breaker.
    #[cfg(feature = "serde")]
    pub(crate) fn go_on_after(&self, generation: u64) {
        // No other thread changes the turn yet, so this can't fail.
        let _is_replaced = self.turn.replace(self.turn.peek(), 2 * (generation + 1));
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
        self.go_on(name);
    }

    /// Tells what is there, unless another thread is telling.
    fn go_on(&self, name: &Name) {
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
        let mut transition = Transition {
            name: name.clone(),
            entry: *entry,
            system_time: self.clock.system_time_at(entry.at),
            missed,
        };
        // Read after the entry. A transition that a thread makes after it has added a listener finds
        // the listener here.
        let told = self.told.load();
        for member in told.get().iter() {
            if member.since < entry.generation {
                // Transitions before a listener came aren't missed.
                transition.missed = missed.min(entry.generation - 1 - member.since);
                shielded(|| (member.listener)(&transition));
            }
        }
        // A listener that was removed meanwhile may be dropped here.
        shielded(|| drop(told));
    }
}

impl std::fmt::Debug for Listeners {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} listeners", self.told.load().get().len())
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;
    use crate::events::Cause;
    use crate::state::State;
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
            reason: Cause::Manual.into(),
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
