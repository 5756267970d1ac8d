//! Decides the race of a lookup and an eviction for a breaker, by one word.
//!
//! A breaker may be evicted when no caller has a handle to it and it has nothing to lose. Both can
//! change during the eviction, so it announces itself first:
//!
//! 1. The eviction marks the word as *evicting*.
//! 2. It counts the handles and looks at the breaker.
//! 3. It *retires* the breaker, if the word is still marked.
//!
//! A lookup first counts its handle and then reads the word. So at least one of the two sees the
//! other. Either the eviction finds a handle and leaves the breaker. Or the lookup finds the word
//! marked, and saves the breaker by changing the word. Or it finds the word retired, and makes
//! another breaker. The handles are counted by the `Arc` that they are.
//!
//! Only one thread at a time evicts a breaker: the one that has taken it out of the queue
//! (`capacity.rs`). So a word that is still marked when the breaker is to be retired was marked all
//! the time.

use crate::sync::field::Field;
use crate::sync::{AtomicU64, Ordering, fence};

/// ```text
///  63                                     3 2      0
/// +----------------------------------------+--------+
/// |               number, 61               |standing|
/// +----------------------------------------+--------+
/// ```
///
/// *Number*: which breaker of this registry it is, in the order of creation. It never changes.
mod layout {
    use super::Field;

    pub(super) const STANDING: Field = Field::lowest(3);
    pub(super) const NUMBER: Field = STANDING.then(61);

    const _: () = assert!(NUMBER.end_bit() == 64);
}

/// The state of a breaker's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryState {
    /// No caller has had a handle so far.
    New,
    /// A lookup has found it since the last eviction looked at it.
    Used,
    /// No lookup has found it since the last eviction looked at it.
    Unused,
    /// An eviction is looking at it.
    Evicting,
    /// It is gone, or about to be.
    Retired,
}

impl EntryState {
    fn of(word: u64) -> Self {
        match layout::STANDING.get(word) {
            0 => Self::New,
            1 => Self::Used,
            2 => Self::Unused,
            3 => Self::Evicting,
            // Only `with` makes words, and it writes no code above 4.
            _ => Self::Retired,
        }
    }

    fn with(self, number: u64) -> u64 {
        layout::NUMBER.of(number) | layout::STANDING.of(self as u64)
    }
}

/// A handle whose number of holders is counted.
///
/// A clone must add to the count in one step. A drop must release what was done with the handle.
/// Both hold for every `Arc`.
pub trait Counted: Clone {
    /// The number of handles, read without any ordering.
    fn count(&self) -> usize;

    /// Notes that the registry no longer returns this breaker.
    fn on_retired(&self) {}
}

/// The result of an eviction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvictOutcome {
    /// A lookup found the breaker at the same time.
    Used,
    /// A caller holds the breaker, or it has something to lose.
    Needed,
    /// The breaker is gone. No lookup returns it any more.
    Retired,
}

/// A breaker's entry in the registry.
#[derive(Debug)]
pub struct RegistryEntry<H> {
    handle: H,
    word: AtomicU64,
}

impl<H> RegistryEntry<H> {
    /// Makes an entry for a breaker to which only this handle leads.
    pub fn new(handle: H, number: u64) -> Self {
        Self {
            handle,
            word: AtomicU64::new(EntryState::New.with(number)),
        }
    }

    /// Which breaker of this registry it is, in the order of creation.
    pub fn number(&self) -> u64 {
        layout::NUMBER.get(self.seen())
    }

    /// The word, for callers that read no other memory because of it.
    fn seen(&self) -> u64 {
        // Relaxed: the number never changes, and a retired entry stays retired. Every other caller
        // passes the word on to an exchange, which checks it.
        self.word.load(Ordering::Relaxed)
    }

    /// The breaker, for callers that only read it.
    pub fn peek(&self) -> &H {
        &self.handle
    }
}

impl<H: Counted> RegistryEntry<H> {
    /// Returns a handle; `None` if the breaker has been retired.
    ///
    /// Calls `on_first_use` with the number before a caller has a handle. Two callers that come at
    /// the same time both call it.
    #[inline]
    pub fn take(&self, on_first_use: impl FnOnce(&H, u64)) -> Option<H> {
        let (handle, seen) = self.count_and_read();
        if EntryState::of(seen) == EntryState::Used {
            return Some(handle);
        }
        self.take_slow(seen, on_first_use, handle)
    }

    /// Counts a handle, then reads the word.
    #[inline]
    fn count_and_read(&self) -> (H, u64) {
        let handle = self.handle.clone();
        // Acquire: pairs with the Release fence in `retire`, through the count of handles. If
        // `retire` counted its handle before this one, the load below finds the word marked, or a
        // later value. Without it the load could find `Used`, and return a breaker that is being
        // evicted.
        fence(Ordering::Acquire);
        // Acquire: pairs with the Release in `take_slow`. A caller that finds `Used` sees what
        // `on_first_use` did. Without it the caller could miss the latest template or the group's
        // command.
        (handle, self.word.load(Ordering::Acquire))
    }

    /// Like [`take`](Self::take), but doesn't count as a use.
    pub fn take_unnoted(&self, on_first_use: impl FnOnce(&H, u64)) -> Option<H> {
        let (handle, seen) = self.count_and_read();
        match EntryState::of(seen) {
            EntryState::Used | EntryState::Unused => Some(handle),
            _ => self.take_slow(seen, on_first_use, handle),
        }
    }

    /// Retires the breaker, whatever its window holds and however many handles there are.
    ///
    /// Returns a handle, or `None` if it was retired before.
    pub fn retire_by_hand(&self, on_first_use: impl FnOnce(&H, u64)) -> Option<H> {
        let handle = self.take_unnoted(on_first_use)?;
        let mut seen = self.seen();
        loop {
            let retired = EntryState::Retired.with(layout::NUMBER.get(seen));
            match EntryState::of(seen) {
                EntryState::Retired => break None,
                _ if self.exchange(seen, retired) => {
                    self.handle.on_retired();
                    break Some(handle);
                }
                _ => seen = self.seen(),
            }
        }
    }

    /// Whether no lookup returns the breaker any more.
    pub fn is_retired(&self) -> bool {
        EntryState::of(self.seen()) == EntryState::Retired
    }

    #[cold]
    #[inline(never)]
    fn take_slow(&self, mut seen: u64, on_first_use: impl FnOnce(&H, u64), handle: H) -> Option<H> {
        let number = layout::NUMBER.get(seen);
        if EntryState::of(seen) == EntryState::New {
            on_first_use(&handle, number);
        }
        let used = EntryState::Used.with(number);
        loop {
            match EntryState::of(seen) {
                EntryState::Retired => return None,
                EntryState::Used => return Some(handle),
                EntryState::New | EntryState::Unused | EntryState::Evicting => {}
            }
            // Release: pairs with the Acquire in `count_and_read`. A caller that finds `Used` sees
            // what `on_first_use` did. Relaxed on failure: this caller has done that itself, or has
            // acquired it in `count_and_read`.
            match self
                .word
                .compare_exchange(seen, used, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return Some(handle),
                Err(found) => seen = found,
            }
        }
    }

    /// Retires the breaker if no caller has a handle and `may_go` agrees.
    ///
    /// `may_go` learns whether a lookup has found the breaker since the last time. If the breaker
    /// stays, it counts as unused from now on. Only one thread at a time may call this for a
    /// breaker.
    pub fn retire(&self, may_go: impl FnOnce(&H, bool) -> bool) -> EvictOutcome {
        let seen = self.seen();
        let number = layout::NUMBER.get(seen);
        let [unused, condemned, retired] = [
            EntryState::Unused,
            EntryState::Evicting,
            EntryState::Retired,
        ]
        .map(|it| it.with(number));
        let was_used = match EntryState::of(seen) {
            EntryState::Retired => return EvictOutcome::Retired,
            EntryState::New | EntryState::Evicting => return EvictOutcome::Needed,
            standing @ (EntryState::Used | EntryState::Unused) => standing == EntryState::Used,
        };
        if !self.exchange(seen, condemned) {
            return EvictOutcome::Used;
        }
        // Release: pairs with the Acquire fence in `count_and_read`, through the count of handles.
        // Each side adds its own handle. The one that comes second sees the other. Without it both
        // could miss, and a caller would hold an evicted breaker.
        fence(Ordering::Release);
        let own = self.handle.clone();
        let has_holders = own.count() > 2;
        // Acquire: pairs with the Release by which a holder dropped its handle before the count was
        // read. `may_go` sees what was recorded with that handle. Without it a breaker that has
        // just opened could be evicted as idle.
        fence(Ordering::Acquire);
        if has_holders || !may_go(&self.handle, was_used) {
            self.exchange(condemned, unused);
            return EvictOutcome::Needed;
        }
        if self.exchange(condemned, retired) {
            self.handle.on_retired();
            EvictOutcome::Retired
        } else {
            EvictOutcome::Used
        }
    }

    fn exchange(&self, seen: u64, new: u64) -> bool {
        // Relaxed: the word alone decides. The fences and the count of handles order everything
        // else that a lookup must see.
        self.word
            .compare_exchange(seen, new, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}

/// A map at one key, as the registry uses it.
pub trait AtKey<H> {
    /// The entry at the key.
    fn get(&self) -> Option<&RegistryEntry<H>>;
    /// Inserts an entry if there is none, and returns the one that is there.
    fn put(&self, place: RegistryEntry<H>) -> &RegistryEntry<H>;
    /// Removes the entry with this number, if it is still there.
    fn take_away(&self, number: u64);
}

/// Returns a handle to the breaker at a key, and its number if this call made it.
pub fn find_or_make<H: Counted>(
    at: &impl AtKey<H>,
    make: impl Fn() -> RegistryEntry<H>,
    on_first_use: impl Fn(&H, u64),
) -> (H, Option<u64>) {
    loop {
        let (place, new) = if let Some(place) = at.get() {
            (place, None)
        } else {
            let new = make();
            let number = new.number();
            (at.put(new), Some(number))
        };
        if let Some(handle) = place.take(&on_first_use) {
            return (handle, new.filter(|new| *new == place.number()));
        }
        // The entry is retired, and the eviction hasn't removed it yet.
        at.take_away(place.number());
    }
}
