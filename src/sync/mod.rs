//! The atomics that the whole crate uses, and the only place that chooses among them.
//!
//! Four arms: the standard library's, `portable-atomic`'s where the target has no 64-bit atomics,
//! loom's when the models are checked, and one that notes each access when `tests/cache_lines.rs`
//! counts what the caches of several cores have to tell each other. No other file may name an atomic
//! type's home (`tests/it/house_rules.rs` checks it), so what is explored and counted is what ships.

pub(crate) mod field;
pub(crate) mod stamped;
pub(crate) mod thread_slot;
#[cfg(any(feature = "bulkhead", feature = "async"))]
pub(crate) mod wait_queue;

#[cfg(tripcurve_loom)]
pub(crate) use explored::PublishedOnce;
#[cfg(tripcurve_loom)]
pub(crate) use explored::{Replaceable, Seen};
#[cfg(tripcurve_loom)]
pub(crate) use loom::sync::atomic::{Ordering, fence};
#[cfg(any(tripcurve_loom, tripcurve_traced))]
pub(crate) use watched::AtomicU64;

/// An atomic beside which somebody is told of each access before it is made.
#[cfg(any(tripcurve_loom, tripcurve_traced))]
mod watched {
    use super::Ordering;
    #[cfg(tripcurve_loom)]
    use super::explored::Watcher;
    #[cfg(not(tripcurve_loom))]
    use super::traced::Tracer as Watcher;
    #[cfg(not(tripcurve_loom))]
    use core::sync::atomic;
    #[cfg(tripcurve_loom)]
    use loom::sync::atomic;

    #[derive(Debug)]
    pub(crate) struct AtomicU64 {
        word: atomic::AtomicU64,
        watcher: Watcher,
    }

    impl AtomicU64 {
        #[cfg(tripcurve_loom)]
        pub(crate) fn new(value: u64) -> Self {
            let (word, watcher) = (atomic::AtomicU64::new(value), Watcher::new());
            Self { word, watcher }
        }

        /// The same, where loom doesn't forbid it to be constant.
        #[cfg(not(tripcurve_loom))]
        pub(crate) const fn new(value: u64) -> Self {
            let (word, watcher) = (atomic::AtomicU64::new(value), Watcher::new());
            Self { word, watcher }
        }

        pub(crate) fn load(&self, ordering: Ordering) -> u64 {
            self.watcher.before_read(&self.word);
            self.word.load(ordering)
        }

        pub(crate) fn store(&self, value: u64, ordering: Ordering) {
            self.watcher.before_write(&self.word);
            self.word.store(value, ordering);
        }

        pub(crate) fn compare_exchange(
            &self,
            seen: u64,
            new: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            self.watcher.before_write(&self.word);
            self.word.compare_exchange(seen, new, success, failure)
        }

        pub(crate) fn fetch_add(&self, value: u64, ordering: Ordering) -> u64 {
            self.watcher.before_write(&self.word);
            self.word.fetch_add(value, ordering)
        }

        pub(crate) fn fetch_max(&self, value: u64, ordering: Ordering) -> u64 {
            self.watcher.before_write(&self.word);
            self.word.fetch_max(value, ordering)
        }
    }

    impl Default for AtomicU64 {
        fn default() -> Self {
            Self::new(0)
        }
    }
}

#[cfg(tripcurve_loom)]
mod explored {
    use super::AtomicU64;
    use loom::sync::Condvar;
    use loom::sync::atomic::{self, Ordering};

    /// Makes a scheduling point before each load.
    ///
    /// Loom 0.7 remembers only the last access to an atomic when it looks for orders to try. If a
    /// thread loads a word and then writes it, its own load hides the loads of the others before
    /// it, and loom never tries to run them after the write: a load against a load and a
    /// compare-exchange is one execution, with one result of the two that are possible.
    /// (tokio-rs/loom issue 166.) A notification that nobody waits for is an access that loom takes
    /// to conflict with every other, and it orders no memory; with it the loads of a word form a
    /// chain, and all orders are tried.
    #[derive(Debug)]
    pub(super) struct Watcher(Condvar);

    impl Watcher {
        pub(super) fn new() -> Self {
            Self(Condvar::new())
        }

        pub(super) fn before_read(&self, _word: &atomic::AtomicU64) {
            self.0.notify_one();
        }

        #[allow(clippy::unused_self, reason = "as the other watcher")]
        pub(super) fn before_write(&self, _word: &atomic::AtomicU64) {}
    }

    /// As the one that ships, of which loom explores when it is seen to be there.
    #[derive(Debug)]
    pub(crate) struct PublishedOnce<T> {
        is_there: AtomicU64,
        /// Loom changes threads only at its own accesses, of which there is none between the
        /// exchange and the writing of this.
        value: std::sync::OnceLock<T>,
    }

    impl<T> PublishedOnce<T> {
        pub(crate) fn new() -> Self {
            Self {
                is_there: AtomicU64::new(0),
                value: std::sync::OnceLock::new(),
            }
        }

        pub(crate) fn get(&self) -> Option<&T> {
            // Acquire, and Release below: what `OnceBox` promises.
            match self.is_there.load(Ordering::Acquire) {
                0 => None,
                _ => self.value.get(),
            }
        }

        pub(crate) fn publish(&self, value: T) {
            let first = self
                .is_there
                // Release: pairs with the Acquire in `get`.
                .compare_exchange(0, 1, Ordering::Release, Ordering::Relaxed);
            if first.is_ok() {
                let _first = self.value.set(value);
            }
        }
    }

    /// As the one that ships, of which loom explores which of the values is seen.
    #[derive(Debug)]
    pub(crate) struct Replaceable<T> {
        /// Which of the values is the present one.
        place: AtomicU64,
        /// See `PublishedOnce::value`.
        values: [std::sync::OnceLock<std::sync::Arc<T>>; 4],
    }

    pub(crate) struct Seen<T> {
        place: u64,
        value: std::sync::Arc<T>,
    }

    impl<T> Replaceable<T> {
        pub(crate) fn new(value: std::sync::Arc<T>) -> Self {
            let values = [const { std::sync::OnceLock::new() }; 4];
            let _first = values[0].set(value);
            Self {
                place: AtomicU64::new(0),
                values,
            }
        }

        fn at(&self, place: u64) -> &std::sync::OnceLock<std::sync::Arc<T>> {
            &self.values[usize::try_from(place).unwrap_or(usize::MAX)]
        }

        pub(crate) fn load(&self) -> Seen<T> {
            // Acquire, and AcqRel below: what `ArcSwap` promises.
            let place = self.place.load(Ordering::Acquire);
            let value = self.at(place).get().cloned();
            Seen {
                place,
                value: value.unwrap_or_else(|| unreachable!("it is there when it is seen")),
            }
        }

        pub(crate) fn replace(&self, seen: &Seen<T>, new: std::sync::Arc<T>) -> bool {
            let next = seen.place + 1;
            let replaced = self
                .place
                // AcqRel: pairs with the Acquire in `load`.
                .compare_exchange(seen.place, next, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok();
            if replaced {
                let _first = self.at(next).set(new);
            }
            replaced
        }
    }

    impl<T> Seen<T> {
        pub(crate) fn get(&self) -> &std::sync::Arc<T> {
            &self.value
        }
    }
}

/// A value that is published at most once, by whoever is first; nobody waits for anybody.
#[cfg(not(tripcurve_loom))]
#[derive(Debug)]
pub(crate) struct PublishedOnce<T>(once_cell::race::OnceBox<T>);

#[cfg(not(tripcurve_loom))]
impl<T> PublishedOnce<T> {
    pub(crate) fn new() -> Self {
        Self(once_cell::race::OnceBox::new())
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        #[cfg(tripcurve_traced)]
        traced::note(&self.0, false);
        self.0.get()
    }

    /// Publishes `value`, unless another one has been.
    pub(crate) fn publish(&self, value: T) {
        #[cfg(tripcurve_traced)]
        traced::note(&self.0, true);
        let _late = self.0.set(Box::new(value));
    }
}

#[cfg(all(
    not(any(tripcurve_loom, tripcurve_traced)),
    target_has_atomic = "64",
    not(tripcurve_portable_atomic)
))]
pub(crate) use core::sync::atomic::{AtomicU64, Ordering, fence};

#[cfg(all(
    not(any(tripcurve_loom, tripcurve_traced)),
    any(not(target_has_atomic = "64"), tripcurve_portable_atomic)
))]
pub(crate) use portable_atomic::{AtomicU64, Ordering, fence};

#[cfg(tripcurve_traced)]
pub(crate) use core::sync::atomic::{Ordering, fence};
#[cfg(tripcurve_traced)]
pub use traced::{Access, accesses_of};

/// Notes where the standard library's atomics are accessed.
#[cfg(tripcurve_traced)]
mod traced {
    use core::sync::atomic;
    use std::cell::RefCell;

    /// An access to an atomic word.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Access {
        /// Where the word is.
        pub address: usize,
        /// Whether the core that does this must have the word's cache line to itself. It must for a
        /// compare-exchange that fails, too.
        pub writes: bool,
    }

    thread_local! {
        static NOTES: RefCell<Option<Vec<Access>>> = const { RefCell::new(None) };
    }

    /// The accesses that this thread makes in `work`, in their order.
    pub fn accesses_of(work: impl FnOnce()) -> Vec<Access> {
        NOTES.set(Some(Vec::new()));
        work();
        NOTES.take().unwrap_or_default()
    }

    pub(super) fn note<T>(word: &T, writes: bool) {
        let address = core::ptr::from_ref(word).addr();
        // A thread that is ending may have nowhere to note it any more, and nobody asks.
        let _ended = NOTES.try_with(|notes| {
            if let Some(notes) = &mut *notes.borrow_mut() {
                notes.push(Access { address, writes });
            }
        });
    }

    /// Takes no room, so that all words lie where they lie in what ships.
    #[derive(Debug)]
    pub(super) struct Tracer;

    #[allow(clippy::unused_self, reason = "as the other watcher")]
    impl Tracer {
        pub(super) const fn new() -> Self {
            Self
        }

        pub(super) fn before_read(&self, word: &atomic::AtomicU64) {
            note(word, false);
        }

        pub(super) fn before_write(&self, word: &atomic::AtomicU64) {
            note(word, true);
        }
    }
}

impl<T> Default for PublishedOnce<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// A value that is replaced as a whole, while others read it.
#[cfg(not(tripcurve_loom))]
#[derive(Debug)]
pub(crate) struct Replaceable<T>(arc_swap::ArcSwap<T>);

/// The value that a [`Replaceable`] had when it was read. It lives at least as long as this.
#[cfg(not(tripcurve_loom))]
pub(crate) struct Seen<T>(arc_swap::Guard<std::sync::Arc<T>>);

#[cfg(not(tripcurve_loom))]
impl<T> Replaceable<T> {
    pub(crate) fn new(value: std::sync::Arc<T>) -> Self {
        Self(arc_swap::ArcSwap::new(value))
    }

    /// Reads it. Acquires what its writer had done before. No lock; an allocation once in a thread's life.
    pub(crate) fn load(&self) -> Seen<T> {
        Seen(self.0.load())
    }

    /// Replaces it, and releases what was done before; unless it isn't `seen` any more.
    pub(crate) fn replace(&self, seen: &Seen<T>, new: std::sync::Arc<T>) -> bool {
        let found = self.0.compare_and_swap(&seen.0, new);
        std::sync::Arc::ptr_eq(&found, &seen.0)
    }
}

#[cfg(not(tripcurve_loom))]
impl<T> Seen<T> {
    #[inline]
    pub(crate) fn get(&self) -> &std::sync::Arc<T> {
        &self.0
    }
}

/// A box that is filled at most once, for what is there before the races begin. Loom doesn't explore it.
pub(crate) use once_cell::race::OnceBox as LateBox;

/// Numbers threads for the life of the process. Loom doesn't explore it: what a number decides is
/// only on which shard a thread writes, and a model names the shard itself.
pub(crate) use core::sync::atomic::AtomicU32 as ThreadCounter;
