//! How long a breaker stays in the registry: the word that a lookup and an eviction race for.
//!
//! A breaker may go when nobody has a handle to it and it has nothing to lose. Both can change while
//! somebody looks, so an eviction announces itself first. It *condemns* the breaker, then looks, and
//! then *retires* it, if it still is condemned. A lookup counts its handle first and reads the word
//! then. So of a lookup and an eviction at least one sees the other: the eviction finds a handle and
//! pardons, or the lookup finds the word condemned, and saves the breaker by changing it, or retired,
//! and makes another. Handles are counted by the `Arc` that they are in any case.
//!
//! Only one thread at a time evicts a breaker: who has taken it out of the queue (`capacity.rs`). So a
//! word that is condemned when it is to be retired has been condemned since.

use crate::sync::field::Field;
use crate::sync::{AtomicU64, Ordering, fence};

/// ```text
///  63                                     3 2      0
/// +----------------------------------------+--------+
/// |               number, 61               |standing|
/// +----------------------------------------+--------+
/// ```
///
/// *Number*: which of the breakers that were made in this registry it is. It stays.
mod layout {
    use super::Field;

    pub(super) const STANDING: Field = Field::lowest(3);
    pub(super) const NUMBER: Field = STANDING.then(61);

    const _: () = assert!(NUMBER.end_bit() == 64);
}

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryState {
    /// Nobody has had a handle so far.
    New,
    /// Looked up since the last eviction looked at it.
    Used,
    /// Not looked up since.
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

/// A handle whose holders are counted.
///
/// What is relied on of the count: a clone adds to it in one step, and a drop releases what was done
/// with the handle, as no `Arc` can do without.
pub trait Counted: Clone {
    /// How many handles there are, read without ordering anything.
    fn count(&self) -> usize;
}

/// What an eviction has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvictOutcome {
    /// A lookup found it at the same time.
    Used,
    /// Somebody needs it.
    Needed,
    /// It is gone: no lookup returns it any more.
    Retired,
}

/// A breaker's place in the registry.
#[derive(Debug)]
pub struct RegistryEntry<H> {
    handle: H,
    word: AtomicU64,
}

impl<H> RegistryEntry<H> {
    /// A place for the breaker that only this handle leads to.
    pub fn new(handle: H, number: u64) -> Self {
        Self {
            handle,
            word: AtomicU64::new(EntryState::New.with(number)),
        }
    }

    /// Which of the breakers made in this registry it is.
    pub fn number(&self) -> u64 {
        // Relaxed: the number stays.
        layout::NUMBER.get(self.word.load(Ordering::Relaxed))
    }

    /// The breaker, for who only looks at it and leaves it as it is.
    pub fn peek(&self) -> &H {
        &self.handle
    }
}

impl<H: Counted> RegistryEntry<H> {
    /// A handle; `None` if the breaker has been retired.
    ///
    /// `on_first_use` is called with the number before anybody has a handle; should two come at the same time, by both.
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
        // Acquire: pairs with the Release fence in `retire`. If that one counted before this handle
        // was counted, then this thread finds the word condemned, or what it became later.
        fence(Ordering::Acquire);
        // Acquire: pairs with the Release in `take_slow`; who finds it used finds it welcomed.
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

    /// Retires the breaker, whatever it counts and however many handles there are. Returns a
    /// handle, or `None` if it was retired before.
    pub fn retire_by_hand(&self, on_first_use: impl FnOnce(&H, u64)) -> Option<H> {
        let handle = self.take_unnoted(on_first_use)?;
        // Relaxed: the exchange checks what was read.
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let retired = EntryState::Retired.with(layout::NUMBER.get(seen));
            match EntryState::of(seen) {
                EntryState::Retired => break None,
                _ if self.exchange(seen, retired) => break Some(handle),
                // Relaxed: the exchange checks what was read.
                _ => seen = self.word.load(Ordering::Relaxed),
            }
        }
    }

    /// Whether no lookup returns the breaker any more.
    pub fn is_retired(&self) -> bool {
        // Relaxed: the word alone says it, and a retired one stays so.
        EntryState::of(self.word.load(Ordering::Relaxed)) == EntryState::Retired
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
            // Release: pairs with the Acquire in `count_and_read`; a caller that finds it used finds what was
            // done on its first use. Relaxed: this caller has done that itself, or acquired it.
            match self
                .word
                .compare_exchange(seen, used, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return Some(handle),
                Err(found) => seen = found,
            }
        }
    }

    /// Retires the breaker if nobody has a handle and `may_go` says so. It is told whether the
    /// breaker was looked up since the last time. If the breaker stays, it counts as not looked up
    /// from now on.
    ///
    /// Only one thread may be here at a time.
    pub fn retire(&self, may_go: impl FnOnce(&H, bool) -> bool) -> EvictOutcome {
        // Relaxed: the exchanges check what was read.
        let seen = self.word.load(Ordering::Relaxed);
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
        // Release: pairs with the Acquire fence in `take`. To count itself among the handles is what
        // orders this thread and those that look up.
        fence(Ordering::Release);
        let own = self.handle.clone();
        let has_holders = own.count() > 2;
        // Acquire: pairs with the Release of who has dropped a handle before the count was read. What
        // was recorded with it is seen by `may_go`.
        fence(Ordering::Acquire);
        if has_holders || !may_go(&self.handle, was_used) {
            self.exchange(condemned, unused);
            return EvictOutcome::Needed;
        }
        if self.exchange(condemned, retired) {
            EvictOutcome::Retired
        } else {
            EvictOutcome::Used
        }
    }

    fn exchange(&self, seen: u64, new: u64) -> bool {
        // Relaxed: the word says all; what a lookup must see beside it goes through the handles' count.
        self.word
            .compare_exchange(seen, new, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}

/// A map at one key, as far as the registry needs it.
pub trait AtKey<H> {
    /// The place that is there.
    fn get(&self) -> Option<&RegistryEntry<H>>;
    /// Puts a place where there is none, and returns the one that is there.
    fn put(&self, place: RegistryEntry<H>) -> &RegistryEntry<H>;
    /// Takes the place with this number away, if it still is there.
    fn take_away(&self, number: u64);
}

/// A handle to the breaker at a key, and its number if this call has made it.
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
        // It was retired and its evictor hasn't come to take it away.
        at.take_away(place.number());
    }
}
