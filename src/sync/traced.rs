//! Notes where the standard library's atomics are accessed.

use core::sync::atomic::{self, Ordering};
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

/// Every access keeps its ordering here.
pub(super) const fn ordering(_operation: &str, written: Ordering) -> Ordering {
    written
}

/// Every access keeps its ordering here.
pub(super) const fn failure_ordering(_operation: &str, written: Ordering) -> Ordering {
    written
}
