//! What loom needs in addition to its atomics.

use super::{AtomicU64, Payload, sites};
use loom::sync::Condvar;
use loom::sync::atomic;
pub(crate) use loom::sync::atomic::Ordering;

loom::lazy_static! {
    /// Makes a scheduling point before each `SeqCst` fence; see [`Watcher`].
    ///
    /// Loom has no scheduling point there. Without one, no thread runs between another thread's
    /// store and the fence that follows. Loom would then assume that a thread that sees the store
    /// also sees everything that the storing thread did before.
    static ref BEFORE_FENCES: Condvar = Condvar::new();
}

/// A fence whose ordering a check may weaken. If it becomes `Relaxed`, there is no fence.
#[track_caller]
pub(crate) fn fence(written: Ordering) {
    if written == Ordering::SeqCst {
        BEFORE_FENCES.notify_one();
    }
    // Relaxed: the weakened fence is left out, because loom has no relaxed fence.
    match sites::ordering("fence", written) {
        Ordering::Relaxed => {}
        ordering => atomic::fence(ordering),
    }
}

/// Makes a scheduling point before each load.
///
/// Loom 0.7 remembers only the last access to an atomic when it looks for orders to try. If a
/// thread loads a word and then writes it, its own load hides the earlier loads of other threads.
/// Loom then never runs those loads after the write. A load against a load and a compare-exchange
/// is one execution, with one of the two possible results. (tokio-rs/loom issue 166.)
///
/// A notification without a waiter is an access that loom treats as conflicting with every other.
/// It orders no memory. With it the loads of a word form a chain, and loom tries all orders.
#[derive(Debug)]
pub(super) struct Watcher(Condvar);

impl Watcher {
    pub(super) fn new() -> Self {
        // Loom's statics acquire what the thread did that made them. Made by the first fence of a
        // race, this one would hide every race with what came before that fence. The thread that
        // makes the first word starts the others.
        let _made = &*BEFORE_FENCES;
        Self(Condvar::new())
    }

    pub(super) fn before_read(&self, _word: &atomic::AtomicU64) {
        self.0.notify_one();
    }

    #[allow(clippy::unused_self, reason = "as the other watcher")]
    pub(super) fn before_write(&self, _word: &atomic::AtomicU64) {}
}

/// Like the `PublishedOnce` that ships. Loom explores when a thread sees the value.
#[derive(Debug)]
pub(crate) struct ExploredOnce<T> {
    is_there: AtomicU64,
    /// Loom switches threads only at its own accesses. There is none between the exchange and the
    /// write of this value.
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
        // Acquire: pairs with the Release in `publish`. A thread that sees the flag sees what the
        // publisher did before. Without it the models would show results that `OnceBox` rules out.
        match self.is_there.load(Ordering::Acquire) {
            0 => None,
            _ => self.value.get(),
        }
    }

    pub(crate) fn publish(&self, value: T) {
        let first = self
            .is_there
            // Release: pairs with the Acquire in `get`, which sees what this thread did before.
            // Relaxed: a thread that finds the flag set reads nothing here.
            .compare_exchange(0, 1, Ordering::Release, Ordering::Relaxed);
        if first.is_ok() {
            let _first = self.value.set(value);
        }
    }
}

/// Like the `Replaceable` that ships. Loom explores which value a thread sees.
#[derive(Debug)]
pub(crate) struct ExploredReplaceable<T> {
    /// The index of the current value.
    place: AtomicU64,
    /// Loom switches threads only at its own accesses, so each value is there when its index is
    /// seen.
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
        // Acquire: pairs with the Release in `replace`. A thread that sees an index sees what its
        // writer did before. Without it the models would show results that `ArcSwap` rules out.
        // `ArcSwap` promises more than this pair.
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
            // Release: pairs with the Acquire in `load`, which sees what this thread did before.
            // Relaxed: after a failed exchange nothing is read here.
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

/// Like the `Payloads` that ship. Loom explores two accesses instead of one for each word.
///
/// The first access stands for the first word, and the second one for all other words. So a model
/// whose values differ in both finds each value that mixes two. More accesses would show nothing
/// new, and each would multiply the orders.
#[derive(Debug)]
pub(crate) struct ExploredPayloads<const N: usize> {
    /// The indices of the first word and of the other words.
    places: [Payload; 2],
    /// Loom switches threads only at its own accesses, so each value is there when its index is
    /// seen.
    values: std::sync::Mutex<Vec<[u64; N]>>,
}

impl<const N: usize> ExploredPayloads<N> {
    fn values(&self) -> std::sync::MutexGuard<'_, Vec<[u64; N]>> {
        self.values.lock().unwrap_or_else(|it| it.into_inner())
    }

    #[track_caller]
    pub(crate) fn store(&self, value: [u64; N]) {
        let place = {
            let mut values = self.values();
            values.push(value);
            values.len() as u64 - 1
        };
        for word in &self.places {
            word.store(place);
        }
    }

    #[track_caller]
    pub(crate) fn first<const M: usize>(&self) -> [u64; M] {
        let [first, others] = &self.places;
        let places = [first.load(), others.load()];
        let values = self.values();
        std::array::from_fn(|word| {
            let place = places[word.min(1)];
            values[usize::try_from(place).unwrap_or(usize::MAX)][word]
        })
    }
}

impl<const N: usize> Default for ExploredPayloads<N> {
    fn default() -> Self {
        Self {
            places: Default::default(),
            values: vec![[0; N]].into(),
        }
    }
}
