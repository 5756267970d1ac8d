//! A place for one transition that threads write and read without waiting for each other.

use super::entry::LogEntry;
use crate::error::PackedCause;
use crate::state::Generation;
use crate::sync::{Ordering, Payloads, Publisher, fence};

/// A place for one transition. A later one replaces an earlier one.
#[derive(Debug, Default)]
pub struct Slot {
    /// Twice the generation that the slot holds; one less while it is being written; 0 at first.
    stamp: Publisher,
    /// The packed entry, which the stamp publishes.
    words: Payloads<{ LogEntry::WORDS }>,
}

impl Slot {
    fn written(generation: u64) -> u64 {
        2 * generation
    }

    fn being_written(generation: u64) -> u64 {
        2 * generation - 1
    }

    pub(super) fn holds(&self, generation: u64) -> bool {
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
        self.words.store(entry.pack());
        // A reader that finds this stamp in `holds`, `generation` or `cause_of` finds the words.
        // Otherwise it could read those of an older entry.
        self.stamp.publish(Self::written(entry.generation));
        true
    }

    /// Reads the entry that the slot holds. No thread may write it meanwhile.
    pub(super) fn read(&self, generation: u64) -> LogEntry {
        // The words stay until the turn has gone on.
        LogEntry::unpack(self.words.first(), generation)
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

    /// The entry that the slot holds; `None` if it holds none or is being written.
    #[must_use]
    pub fn latest(&self) -> Option<LogEntry> {
        match self.generation() {
            0 => None,
            generation => self.read_late(generation),
        }
    }

    /// The cause of the entry of `generation`, in words.
    ///
    /// There is none if the slot holds another entry or is being written.
    #[must_use]
    #[inline]
    pub fn cause_of(&self, generation: Generation) -> PackedCause {
        // The words that are read next belong to this stamp. Otherwise they could be those of an
        // older entry.
        let stamp = self.stamp.load();
        let differs = stamp ^ Self::written(generation.number());
        if differs & (Self::written(1 << Generation::BITS) - 1) != 0 {
            return PackedCause::default();
        }
        let cause = self.words.first();
        // Acquire: pairs with the Release fence in `write`. If a word of a newer entry was read,
        // the stamp that is loaded next is a newer one too. Otherwise two entries could mix.
        fence(Ordering::Acquire);
        // The fence above orders this load.
        if self.stamp.peek() != stamp {
            return PackedCause::default();
        }
        PackedCause(cause)
    }

    /// The generation that the slot holds; 0 if it holds none or is being written.
    ///
    /// A writer that is not done yet will try to tell afterwards.
    pub(crate) fn generation(&self) -> u64 {
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
