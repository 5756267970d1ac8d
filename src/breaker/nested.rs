//! Calls that are made within a half-open call of their breaker.
//!
//! A half-open breaker lets few calls through. A call that it has let through may call the breaker
//! again, for example when one helper calls another. The inner call is a part of the outer one: it
//! is let through, takes no place, and isn't recorded. Otherwise the breaker could reject it
//! because no place is free, and the outer call would fail.
//!
//! Each thread lists the half-open calls that it runs at the moment. A future's call is listed only
//! while the future is polled, so no task sees the calls of another. Calls in other states aren't
//! listed, because the breaker doesn't look for them.

use std::{cell::Cell, marker::PhantomData};

use crate::state::Generation;

/// A half-open call. Calls of its breaker within it are parts of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OuterCall {
    /// The breaker's address, which doesn't change while one of its calls runs.
    breaker: usize,
    generation: Generation,
}

impl OuterCall {
    /// A call of no breaker. Calls that are listed after it are no parts of those before it.
    const NONE: Self = Self {
        breaker: 0,
        generation: Generation::FIRST,
    };

    /// A call that `breaker` has let through in `generation`.
    #[inline]
    pub(crate) fn of<B>(breaker: *const B, generation: Generation) -> Self {
        Self {
            breaker: breaker.addr(),
            generation,
        }
    }

    /// Runs the call's operation, or polls its future once.
    pub(crate) fn run<R>(self, operation: impl FnOnce() -> R) -> R {
        // A part of a listed call needs no entry of its own, so recursion doesn't fill the list.
        if self != Self::NONE && self.is_running() {
            return operation();
        }
        let _listed = Listed::new(self);
        operation()
    }

    /// Lists the call until [`pop`] and returns its place, or `None` if the list is full.
    pub(crate) fn push(self) -> Option<u32> {
        RUNNING.with(|running| {
            let before = running.count.get();
            running.calls.get(before)?.set(self);
            running.count.set(before + 1);
            u32::try_from(before).ok()
        })
    }

    /// Whether this thread runs the call at the moment.
    pub(crate) fn is_running(self) -> bool {
        RUNNING.with(|running| {
            let calls = running.calls.get(..running.count.get());
            let mut latest_first = calls.into_iter().flatten().rev().map(Cell::get);
            latest_first.find(|call| [Self::NONE, self].contains(call)) == Some(self)
        })
    }
}

/// Removes the call at this place from the list, and all calls within it.
pub(crate) fn pop(place: u32) {
    let place = usize::try_from(place).unwrap_or_default();
    RUNNING.with(|running| running.count.set(place));
}

/// Runs work that is no part of this thread's calls, even if one of them waits for it.
#[cfg(feature = "bulkhead")]
pub(crate) fn run_apart<R>(work: impl FnOnce() -> R) -> R {
    OuterCall::NONE.run(work)
}

/// The half-open calls that a thread runs, each within the one before it.
struct Running {
    /// The number of running calls. If the list can't hold them all, no call is found.
    count: Cell<usize>,
    calls: [Cell<OuterCall>; Self::MOST],
}

impl Running {
    const MOST: usize = 32;
}

thread_local! {
    static RUNNING: Running = const {
        Running {
            count: Cell::new(0),
            calls: [const { Cell::new(OuterCall::NONE) }; Running::MOST],
        }
    };
}

/// A call's place in the list. It stays on its thread, and leaves the list when it is dropped.
struct Listed {
    before: usize,
    stays_on_its_thread: PhantomData<*const ()>,
}

impl Listed {
    fn new(call: OuterCall) -> Self {
        RUNNING.with(|running| {
            let before = running.count.get();
            if let Some(place) = running.calls.get(before) {
                place.set(call);
            }
            running.count.set(before + 1);
            Self {
                before,
                stays_on_its_thread: PhantomData,
            }
        })
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        RUNNING.with(|running| running.count.set(self.before));
    }
}
