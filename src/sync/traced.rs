//! Notes each access to an atomic of the standard library.

use core::sync::atomic::{self, Ordering};
use std::cell::RefCell;

/// An access to an atomic word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The address of the word.
    pub address: usize,
    /// Whether the core needs exclusive ownership of the word's cache line. A compare-exchange that
    /// fails needs it too.
    pub writes: bool,
}

thread_local! {
    static NOTES: RefCell<Option<Vec<Access>>> = const { RefCell::new(None) };
}

/// The accesses that this thread makes in `work`, in order.
pub fn accesses_of(work: impl FnOnce()) -> Vec<Access> {
    NOTES.set(Some(Vec::new()));
    work();
    NOTES.take().unwrap_or_default()
}

pub(super) fn note<T>(word: &T, writes: bool) {
    let address = core::ptr::from_ref(word).addr();
    // A thread that is ending may have no list any more, and then nobody reads it.
    let _ended = NOTES.try_with(|notes| {
        if let Some(notes) = &mut *notes.borrow_mut() {
            notes.push(Access { address, writes });
        }
    });
}

/// A watcher of size zero, so all words keep the addresses that they have in the shipped build.
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

/// Every access keeps its ordering here.
pub(super) const fn ordering(_operation: &str, written: Ordering) -> Ordering {
    written
}

/// Every access keeps its ordering here.
pub(super) const fn failure_ordering(_operation: &str, written: Ordering) -> Ordering {
    written
}
