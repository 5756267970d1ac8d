//! The atomics that the whole crate uses, and the only place that chooses among them.
//!
//! Three arms: the standard library's, `portable-atomic`'s where the target has no 64-bit atomics,
//! and loom's when the models are checked. No other file may name an atomic type's home
//! (`tests/house_rules.rs` checks it), so what loom explores is what ships.

#[cfg(tripcurve_loom)]
pub(crate) use explored::{AtomicU64, PublishedOnce};
#[cfg(tripcurve_loom)]
pub(crate) use loom::sync::atomic::{Ordering, fence};

/// Loom's atomic, with a scheduling point before each load.
///
/// Loom 0.7 remembers only the last access to an atomic when it looks for orders to try. If a
/// thread loads a word and then writes it, its own load hides the loads of the others before it,
/// and loom never tries to run them after the write: a load against a load and a compare-exchange
/// is one execution, with one result of the two that are possible. (tokio-rs/loom issue 166.) A
/// notification that nobody waits for is an access that loom takes to conflict with every other,
/// and it orders no memory; with it the loads of a word form a chain, and all orders are tried.
#[cfg(tripcurve_loom)]
mod explored {
    use loom::sync::Condvar;
    use loom::sync::atomic::{self, Ordering};

    #[derive(Debug)]
    pub(crate) struct AtomicU64 {
        word: atomic::AtomicU64,
        loads: Condvar,
    }

    impl AtomicU64 {
        pub(crate) fn new(value: u64) -> Self {
            Self {
                word: atomic::AtomicU64::new(value),
                loads: Condvar::new(),
            }
        }

        pub(crate) fn load(&self, ordering: Ordering) -> u64 {
            self.loads.notify_one();
            self.word.load(ordering)
        }

        pub(crate) fn store(&self, value: u64, ordering: Ordering) {
            self.word.store(value, ordering);
        }

        pub(crate) fn compare_exchange(
            &self,
            seen: u64,
            new: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            self.word.compare_exchange(seen, new, success, failure)
        }

        pub(crate) fn fetch_max(&self, value: u64, ordering: Ordering) -> u64 {
            self.word.fetch_max(value, ordering)
        }
    }

    impl Default for AtomicU64 {
        fn default() -> Self {
            Self::new(0)
        }
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
        self.0.get()
    }

    /// Publishes `value`, unless another one has been.
    pub(crate) fn publish(&self, value: T) {
        let _late = self.0.set(Box::new(value));
    }
}

#[cfg(all(
    not(tripcurve_loom),
    target_has_atomic = "64",
    not(tripcurve_portable_atomic)
))]
pub(crate) use core::sync::atomic::{AtomicU64, Ordering, fence};

#[cfg(all(
    not(tripcurve_loom),
    any(not(target_has_atomic = "64"), tripcurve_portable_atomic)
))]
pub(crate) use portable_atomic::{AtomicU64, Ordering, fence};

/// Numbers threads for the life of the process. Loom doesn't explore it: what a number decides is
/// only on which shard a thread writes, and a model names the shard itself.
pub(crate) use core::sync::atomic::AtomicU32 as ThreadCounter;
