//! A value that is replaced as a whole.

use std::sync::Arc;

/// A value that is replaced as a whole while other threads read it.
#[derive(Debug)]
pub(crate) struct Replaceable<T>(arc_swap::ArcSwap<T>);

/// The value that a [`Replaceable`] had when it was read. The value lives at least as long as this.
pub(crate) struct Seen<T>(arc_swap::Guard<Arc<T>>);

impl<T> Replaceable<T> {
    pub(crate) fn new(value: Arc<T>) -> Self {
        Self(arc_swap::ArcSwap::new(value))
    }

    /// Reads the value, and acquires what its writer did before. It takes no lock. It allocates
    /// once in a thread's life.
    pub(crate) fn load(&self) -> Seen<T> {
        Seen(self.0.load())
    }

    /// Replaces the value if it still is `seen`, and releases what this thread did before. Returns
    /// whether it did.
    pub(crate) fn replace(&self, seen: &Seen<T>, new: Arc<T>) -> bool {
        let found = self.0.compare_and_swap(&seen.0, new);
        Arc::ptr_eq(&found, &seen.0)
    }
}

impl<T> Seen<T> {
    #[inline]
    pub(crate) fn get(&self) -> &Arc<T> {
        &self.0
    }
}
