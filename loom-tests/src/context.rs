//! What a call of a model has: a time and a thread.

use tripcurve::__model::{CallContext, FixedContext, Now, ThreadSlot};

/// The context of a call at this time, in nanoseconds, by a thread with this slot.
#[must_use]
pub fn at(nanos: u64, thread_slot: u32) -> FixedContext {
    let thread_slot = ThreadSlot(thread_slot);
    FixedContext { nanos, thread_slot }
}

/// A call context whose dice leave its calls unwatched. With fewer words to read, the model can
/// afford more preemptions.
#[derive(Debug)]
pub struct Unwatched(pub FixedContext);

impl Now for Unwatched {
    fn raw(&self) -> u64 {
        self.0.raw()
    }

    fn nanos_at(&self, raw: u64) -> u64 {
        self.0.nanos_at(raw)
    }

    fn random_bits(&self, _: u64) -> u64 {
        u64::MAX
    }
}

impl CallContext for Unwatched {
    fn thread_slot(&self) -> ThreadSlot {
        self.0.thread_slot()
    }
}
