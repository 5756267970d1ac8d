//! What a caller brings along: the time, and the lane that it is on.

use crate::clock::Now;
use crate::state::Generation;
use crate::sync::thread_slot::Lane;

/// What a caller brings along, each thing asked for only on the paths that need it.
pub trait Caller: Now {
    /// The lane that the caller is on.
    fn lane(&self) -> Lane;

    /// The same, if the caller has asked before; else one that nobody is on.
    #[inline]
    fn lane_so_far(&self) -> Lane {
        self.lane()
    }

    /// Whether the caller runs a call that this breaker let through half-open in `generation`.
    #[inline]
    fn is_within(&self, _generation: Generation) -> bool {
        false
    }

    /// Notes that the caller runs a call that this breaker let through half-open in `generation`.
    /// Returns the place of the note, below 127.
    #[inline]
    fn begin(&self, _generation: Generation) -> Option<u32> {
        None
    }

    /// Notes that the call noted at `place` has ended.
    #[inline]
    fn end(&self, _place: u32) {}
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
    fn raw(&self) -> u64 {
        self.nanos
    }

    fn nanos_at(&self, raw: u64) -> u64 {
        raw
    }
}

#[cfg(any(test, feature = "__model"))]
impl Caller for At {
    fn lane(&self) -> Lane {
        self.lane
    }
}
