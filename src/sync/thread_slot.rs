//! Thread slots: numbers for threads. Each number below 64 belongs to one thread while it lives.
//!
//! Only that thread writes to the window's shard of this number, so it needs no locked instruction.
//! When the thread ends, it gives its number back. The next new thread gets the number, and with it
//! the shards.

use std::cell::Cell;

use crate::sync::{AtomicU64, Ordering, ThreadCounter};

/// The number of a thread. Threads may share a number from [`ThreadSlot::OWNED`] on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadSlot(pub u32);

/// The numbers below [`ThreadSlot::OWNED`] that are taken, one bit each.
#[derive(Debug, Default)]
pub struct ThreadSlots(AtomicU64);

impl ThreadSlot {
    /// How many numbers belong to one thread only.
    pub const OWNED: u32 = u64::BITS;

    /// The calling thread's slot.
    ///
    /// Cost: one load of a thread-local word. The first call also makes a compare-exchange, and so
    /// does the end of the thread.
    #[inline]
    pub(crate) fn of_this_thread() -> Self {
        match Self::of_this_thread_so_far() {
            Self(NONE) => Self::of_a_new_thread(),
            thread_slot => thread_slot,
        }
    }

    /// The calling thread's slot if the thread has asked for it. Otherwise a number that no thread
    /// has.
    #[inline]
    pub(crate) fn of_this_thread_so_far() -> Self {
        #[cfg(tripcurve_shuttle)]
        if let Some(number) = super::scheduled::thread() {
            return Self(number);
        }
        Self(LANE.get())
    }

    #[cold]
    fn of_a_new_thread() -> Self {
        // `LEASE` is gone while the thread is ending. The thread then gets a shared number.
        let thread_slot = LEASE
            .try_with(Lease::claim)
            .ok()
            .flatten()
            .unwrap_or_else(Self::shared);
        LANE.set(thread_slot.0);
        thread_slot
    }

    /// A number for a thread that owns none. Such threads get the numbers in turn, so few threads
    /// share one.
    fn shared() -> Self {
        static THREADS: ThreadCounter = ThreadCounter::new(0);
        // Relaxed: only the difference between the numbers matters, and no memory is read through
        // them.
        let number = THREADS.fetch_add(1, Ordering::Relaxed) % Self::OWNED;
        Self(Self::OWNED + number)
    }
}

/// The first number above all others. It is small because code computes positions in a window from
/// it before it finds that they don't exist.
const NONE: u32 = 2 * ThreadSlot::OWNED;

thread_local! {
    /// The thread's number, once it has asked. A constant that is never dropped, so a read needs no
    /// check for initialization.
    static LANE: Cell<u32> = const { Cell::new(NONE) };

    /// Gives the number back when the thread ends.
    static LEASE: Lease = const { Lease(Cell::new(None)) };
}

struct Lease(Cell<Option<ThreadSlot>>);

// Loom makes new atomics for each execution, and a model names the thread slots itself.
#[cfg(not(tripcurve_loom))]
static LANES: ThreadSlots = ThreadSlots::new();

impl Lease {
    #[cfg(not(tripcurve_loom))]
    fn claim(&self) -> Option<ThreadSlot> {
        self.0.set(LANES.take());
        self.0.get()
    }

    #[cfg(tripcurve_loom)]
    fn claim(&self) -> Option<ThreadSlot> {
        self.0.get()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(thread_slot) = self.0.take() {
            // Whatever else the thread does at its end uses a shared slot.
            LANE.set(ThreadSlot::shared().0);
            #[cfg(not(tripcurve_loom))]
            LANES.give_back(thread_slot);
            #[cfg(tripcurve_loom)]
            let _ = thread_slot;
        }
    }
}

impl ThreadSlots {
    /// All numbers are free.
    #[cfg(not(tripcurve_loom))]
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// All numbers are free.
    #[cfg(tripcurve_loom)]
    #[must_use]
    pub fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Takes the lowest free number, if there is one.
    #[must_use]
    pub fn take(&self) -> Option<ThreadSlot> {
        // Relaxed: the exchange checks the word that was read here.
        let mut taken = self.0.load(Ordering::Relaxed);
        loop {
            let thread_slot = taken.trailing_ones();
            let bit = 1_u64.checked_shl(thread_slot)?;
            // Acquire: pairs with the Release in `give_back`. This thread continues with the words
            // that the slot's previous thread has left. Without it this thread could read older
            // values of them and lose counts. Other threads may have taken or given back numbers
            // meanwhile. They did so by exchanges, which continue the release sequence. Relaxed: a
            // failed exchange only reads the word again.
            match self
                .0
                .compare_exchange(taken, taken | bit, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) => return Some(ThreadSlot(thread_slot)),
                Err(found) => taken = found,
            }
        }
    }

    /// Gives back a number that the caller no longer uses.
    pub fn give_back(&self, thread_slot: ThreadSlot) {
        let Some(bit) = 1_u64.checked_shl(thread_slot.0) else {
            return;
        };
        // Relaxed: the exchange checks the word that was read here.
        let mut taken = self.0.load(Ordering::Relaxed);
        // Release: pairs with the Acquire in `take`. Without it the next thread of this slot could
        // miss words that this thread has written. Relaxed: a failed exchange only reads the word
        // again.
        while let Err(found) =
            self.0
                .compare_exchange(taken, taken & !bit, Ordering::Release, Ordering::Relaxed)
        {
            taken = found;
        }
    }
}

#[cfg(all(test, not(tripcurve_loom)))]
mod tests {
    use super::*;
    use std::sync::{Barrier, mpsc};
    use std::thread;

    #[test]
    fn a_number_belongs_to_one_until_it_is_given_back_and_there_are_64() {
        let thread_slots = ThreadSlots::new();
        for number in 0..ThreadSlot::OWNED {
            assert_eq!(thread_slots.take(), Some(ThreadSlot(number)));
        }
        assert_eq!(thread_slots.take(), None);
        thread_slots.give_back(ThreadSlot(17));
        thread_slots.give_back(ThreadSlot(5));
        assert_eq!(thread_slots.take(), Some(ThreadSlot(5)));
        assert_eq!(thread_slots.take(), Some(ThreadSlot(17)));
        assert_eq!(thread_slots.take(), None);
    }

    #[test]
    fn threads_that_live_at_the_same_time_share_no_number_of_their_own() {
        let (sender, thread_slots) = mpsc::channel();
        let barrier = Barrier::new(100);
        thread::scope(|threads| {
            for _ in 0..100 {
                let (sender, barrier) = (sender.clone(), &barrier);
                threads.spawn(move || {
                    sender.send(ThreadSlot::of_this_thread().0).unwrap();
                    barrier.wait();
                });
            }
        });
        drop(sender);
        let mut owned: Vec<_> = thread_slots
            .iter()
            .filter(|thread_slot| *thread_slot < ThreadSlot::OWNED)
            .collect();
        let all = owned.len();
        owned.sort_unstable();
        owned.dedup();
        assert_eq!(owned.len(), all);
        assert!(all > 32, "other tests' threads have the rest");
    }

    #[test]
    fn a_thread_that_is_ending_is_on_a_shared_lane() {
        struct ReleaseAtThreadEnd(mpsc::Sender<(ThreadSlot, ThreadSlot)>, ThreadSlot);
        impl Drop for ReleaseAtThreadEnd {
            fn drop(&mut self) {
                self.0.send((self.1, ThreadSlot::of_this_thread())).unwrap();
            }
        }
        thread_local!(static LAST: Cell<Option<ReleaseAtThreadEnd>> = const { Cell::new(None) });
        let (sender, thread_slots) = mpsc::channel();
        thread::spawn(move || {
            // Dropped after the lease, because it was set up before the lease.
            LAST.set(None);
            LAST.set(Some(ReleaseAtThreadEnd(
                sender,
                ThreadSlot::of_this_thread(),
            )));
        })
        .join()
        .unwrap();
        let (before, at_the_end) = thread_slots.recv().unwrap();
        if before.0 < ThreadSlot::OWNED {
            assert!(at_the_end.0 >= ThreadSlot::OWNED, "{at_the_end:?}");
        }
    }
}
