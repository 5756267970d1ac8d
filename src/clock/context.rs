//! The context of a call: its time and the caller's thread slot.

use crate::clock::Now;
use crate::state::Generation;
use crate::sync::thread_slot::ThreadSlot;

/// The context of a call. Each item is read only on the paths that need it.
pub trait CallContext: Now {
    /// The caller's thread slot.
    fn thread_slot(&self) -> ThreadSlot;

    /// Like [`thread_slot`](Self::thread_slot), but returns a slot without a thread if the caller
    /// has none yet.
    #[inline]
    fn known_thread_slot(&self) -> ThreadSlot {
        self.thread_slot()
    }

    /// Whether the caller runs a call that this breaker admitted half-open in `generation`.
    #[inline]
    fn is_within(&self, _generation: Generation) -> bool {
        false
    }

    /// Notes that the caller runs a call that this breaker admitted half-open in `generation`.
    ///
    /// Returns the place of the note, which is below 127.
    #[inline]
    fn enter_call(&self, _generation: Generation) -> Option<u32> {
        None
    }

    /// Notes that the call noted at `place` has ended.
    #[inline]
    fn leave_call(&self, _place: u32) {}
}

/// A context whose time stands still.
#[cfg(any(test, feature = "__model"))]
#[derive(Clone, Copy, Debug)]
pub struct FixedContext {
    /// See [`Now::nanos`].
    pub nanos: u64,
    /// See [`CallContext::thread_slot`].
    pub thread_slot: ThreadSlot,
}

#[cfg(any(test, feature = "__model"))]
impl FixedContext {
    /// A context on the first thread slot.
    #[must_use]
    pub fn on_first_thread_slot(nanos: u64) -> Self {
        Self {
            nanos,
            thread_slot: ThreadSlot(0),
        }
    }
}

#[cfg(any(test, feature = "__model"))]
impl Now for FixedContext {
    fn raw(&self) -> u64 {
        self.nanos
    }

    fn nanos_at(&self, raw: u64) -> u64 {
        raw
    }
}

#[cfg(any(test, feature = "__model"))]
impl CallContext for FixedContext {
    fn thread_slot(&self) -> ThreadSlot {
        self.thread_slot
    }
}
