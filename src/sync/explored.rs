//! What loom needs beside its atomics.

use super::{AtomicU64, sites};
use loom::sync::Condvar;
use loom::sync::atomic;
pub(crate) use loom::sync::atomic::Ordering;

loom::lazy_static! {
    /// Makes a scheduling point before each `SeqCst` fence; see [`Watcher`].
    ///
    /// Loom has none there. Without it no thread runs between another one's store and the fence that
    /// follows, and loom takes all that the store's thread had done before for known to those who see
    /// the store.
    static ref BEFORE_FENCES: Condvar = Condvar::new();
}

/// A fence whose ordering a check may weaken. Weakened to `Relaxed`, it is none.
#[track_caller]
pub(crate) fn fence(written: Ordering) {
    if written == Ordering::SeqCst {
        BEFORE_FENCES.notify_one();
    }
    // Relaxed: see above. Loom has no such fence.
    match sites::ordering("fence", written) {
        Ordering::Relaxed => {}
        ordering => atomic::fence(ordering),
    }
}

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

/// Like the one that ships. Loom explores when it is seen to be there.
#[derive(Debug)]
pub(crate) struct ExploredOnce<T> {
    is_there: AtomicU64,
    /// Loom changes threads only at its own accesses, of which there is none between the
    /// exchange and the writing of this.
    value: std::sync::OnceLock<T>,
}

impl<T> ExploredOnce<T> {
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

/// Like the one that ships. Loom explores which of the values is seen.
#[derive(Debug)]
pub(crate) struct ExploredReplaceable<T> {
    /// Which of the values is the present one.
    place: AtomicU64,
    /// See `ExploredOnce::value`.
    values: [std::sync::OnceLock<std::sync::Arc<T>>; 4],
}

pub(crate) struct ExploredSeen<T> {
    place: u64,
    value: std::sync::Arc<T>,
}

impl<T> ExploredReplaceable<T> {
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

    pub(crate) fn load(&self) -> ExploredSeen<T> {
        // Acquire, and Release below: less than `ArcSwap` promises.
        let place = self.place.load(Ordering::Acquire);
        let value = self.at(place).get().cloned();
        ExploredSeen {
            place,
            value: value.unwrap_or_else(|| unreachable!("it is there when it is seen")),
        }
    }

    pub(crate) fn replace(&self, seen: &ExploredSeen<T>, new: std::sync::Arc<T>) -> bool {
        let next = seen.place + 1;
        let replaced = self
            .place
            // Release: pairs with the Acquire in `load`.
            .compare_exchange(seen.place, next, Ordering::Release, Ordering::Relaxed)
            .is_ok();
        if replaced {
            let _first = self.at(next).set(new);
        }
        replaced
    }
}

impl<T> ExploredSeen<T> {
    pub(crate) fn get(&self) -> &std::sync::Arc<T> {
        &self.value
    }
}
