//! What a caller brings along: the time, and the shard that it writes to.

use std::cell::Cell;

use crate::clock::Now;
use crate::sync::ThreadCounter;

/// Which shard a caller writes to: any number, the same for the same thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane(pub u32);

impl Lane {
    /// The calling thread's lane: threads are numbered, from 1, in the order in which they first
    /// ask.
    #[inline]
    pub(crate) fn of_this_thread() -> Self {
        match LANE.get() {
            0 => Self::of_a_new_thread(),
            lane => Self(lane),
        }
    }

    #[cold]
    fn of_a_new_thread() -> Self {
        static THREADS: ThreadCounter = ThreadCounter::new(1);
        // Relaxed: only that the numbers differ is of interest.
        let lane = THREADS.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
        LANE.set(lane);
        Self(lane)
    }
}

thread_local! {
    /// The thread's number, or 0 until it has asked for one. A constant, so that reading it needs
    /// no look whether it has been set up.
    static LANE: Cell<u32> = const { Cell::new(0) };
}

/// What a caller brings along, each thing asked for only on the paths that need it.
pub trait Caller: Now {
    /// The shard that the caller writes to.
    fn lane(&self) -> Lane;
}

/// A caller whose time stands still.
#[cfg(any(test, feature = "__model"))]
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// See [`Now::nanos`].
    pub nanos: u64,
    /// See [`Caller::lane`].
    pub lane: Lane,
}

#[cfg(any(test, feature = "__model"))]
impl At {
    /// A caller on the first lane.
    #[must_use]
    pub fn on_one_lane(nanos: u64) -> Self {
        Self {
            nanos,
            lane: Lane(0),
        }
    }
}

#[cfg(any(test, feature = "__model"))]
impl Now for At {
    fn nanos(&self) -> u64 {
        self.nanos
    }
}

#[cfg(any(test, feature = "__model"))]
impl Caller for At {
    fn lane(&self) -> Lane {
        self.lane
    }
}
