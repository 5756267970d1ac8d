//! The context of a call: its time and the caller's thread slot.

use crate::clock::Now;
use crate::name::label::Label;
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

    /// The label of the call that has failed; empty if there is none.
    #[inline]
    fn label(&self) -> Label {
        Label::NONE
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

/// A context of a call that has failed with a label.
///
/// It is a type of its own, so calls without a label pay nothing for labels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Labelled<'a, C> {
    pub(crate) context: &'a C,
    pub(crate) label: Label,
}

impl<C: Now> Now for Labelled<'_, C> {
    #[inline]
    fn raw(&self) -> u64 {
        self.context.raw()
    }

    #[inline]
    fn nanos_at(&self, raw: u64) -> u64 {
        self.context.nanos_at(raw)
    }

    #[inline]
    fn nanos_between(&self, begin: u64, end: u64) -> u64 {
        self.context.nanos_between(begin, end)
    }

    #[inline]
    fn random_bits(&self, raw: u64) -> u64 {
        self.context.random_bits(raw)
    }

    #[inline]
    fn raw_and_nanos(&self) -> (u64, u64) {
        self.context.raw_and_nanos()
    }
}

impl<C: CallContext> CallContext for Labelled<'_, C> {
    #[inline]
    fn thread_slot(&self) -> ThreadSlot {
        self.context.thread_slot()
    }

    #[inline]
    fn known_thread_slot(&self) -> ThreadSlot {
        self.context.known_thread_slot()
    }

    #[inline]
    fn label(&self) -> Label {
        self.label
    }

    #[inline]
    fn is_within(&self, generation: Generation) -> bool {
        self.context.is_within(generation)
    }

    #[inline]
    fn enter_call(&self, generation: Generation) -> Option<u32> {
        self.context.enter_call(generation)
    }

    #[inline]
    fn leave_call(&self, place: u32) {
        self.context.leave_call(place);
    }
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
