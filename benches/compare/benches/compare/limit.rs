//! The limits: the least work of any breaker.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

use crate::subject::{Answer, Settings, Subject, Work};

const CLOSED: u64 = 0;
const OPEN: u64 = 1;

/// One relaxed load of a state that decides whether the call may run.
pub(crate) type RelaxedLoad = Limit<false, false>;

/// A load, and one load and store of a counter that no other thread touches: the limit of a window
/// that counts calls. It isn't a breaker. No other thread could read the counter of a given time,
/// and no call could leave the window.
pub(crate) type Increment = Limit<false, true>;

/// A load and one reading of tripcurve's clock. A breaker with a time window must know the part of
/// the window in which a call falls. An open one must know whether its open time is over.
pub(crate) type ClockRead = Limit<true, false>;

/// A load, a reading of the clock and an increment: the limit of the closed path.
pub(crate) type PrivateIncrement = Limit<true, true>;

/// A load and two readings of the clock, with the work between them: the limit of measuring a
/// call's duration.
pub(crate) type TwoClockReads = TimedLimit<false>;

/// Two clock readings and two increments. The place of the second increment depends on the
/// duration. This is the limit of the closed path of a breaker that counts calls and has a
/// histogram of durations.
pub(crate) type TwoPrivateIncrements = TimedLimit<true>;

pub(crate) struct Limit<const CLOCK: bool, const COUNT: bool> {
    shared: Arc<Shared>,
    /// The counter of this thread, on a cache line of its own.
    own: Box<CachePadded<AtomicU64>>,
}

struct Shared {
    state: AtomicU64,
    /// The time-stamp counter and the reading that counts as zero, like tripcurve's.
    clock: quanta::Clock,
    origin: u64,
}

impl Shared {
    fn new(state: u64) -> Arc<Self> {
        let state = AtomicU64::new(state);
        let clock = quanta::Clock::new();
        let origin = clock.raw();
        Arc::new(Self {
            state,
            clock,
            origin,
        })
    }
}

/// This isn't `fetch_add`, because a single writer needs no locked instruction.
#[inline]
fn add_one(counter: &AtomicU64) {
    let count = counter.load(Ordering::Relaxed);
    counter.store(count + 1, Ordering::Relaxed);
}

impl<const CLOCK: bool, const COUNT: bool> Limit<CLOCK, COUNT> {
    fn new(state: u64) -> Self {
        Self {
            shared: Shared::new(state),
            own: Box::default(),
        }
    }
}

impl<const CLOCK: bool, const COUNT: bool> Clone for Limit<CLOCK, COUNT> {
    /// Shares the state and the clock, and makes its own counter.
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            own: Box::default(),
        }
    }
}

impl<const CLOCK: bool, const COUNT: bool> Subject for Limit<CLOCK, COUNT> {
    const NAME: &'static str = match (CLOCK, COUNT) {
        (false, false) => "limit/relaxed_load",
        (false, true) => "limit/increment",
        (true, false) => "limit/clock_read",
        (true, true) => "limit/private_increment",
    };
    type Reply = Option<Answer>;

    fn closed(_: &Settings) -> Self {
        Self::new(CLOSED)
    }

    #[inline]
    fn call(&mut self, work: Work) -> Self::Reply {
        let Shared {
            state,
            clock,
            origin,
        } = &*self.shared;
        let open = state.load(Ordering::Relaxed) == OPEN;
        if CLOCK {
            black_box(clock.delta_as_nanos(*origin, clock.raw()));
        }
        if open {
            return None;
        }
        let answer = work.run();
        if COUNT {
            add_one(&self.own);
        }
        Some(answer)
    }

    #[inline]
    fn admitted(reply: &Self::Reply) -> bool {
        reply.is_some()
    }

    fn open(_: &Settings) -> Self {
        Self::new(OPEN)
    }
}

pub(crate) struct TimedLimit<const COUNT: bool> {
    shared: Arc<Shared>,
    /// The counters of this thread, on cache lines of their own.
    own: Box<CachePadded<Own>>,
}

struct Own {
    calls: AtomicU64,
    bins: [AtomicU64; BINS],
}

/// A power of two that is at least the number of bins for 64 bits, so no index is out of bounds.
const BINS: usize = 1024;
/// Sixteen bins per octave, like tripcurve.
const BINS_BITS: u32 = 4;

/// The log-linear index of a histogram: the octave, and the leading bits within it. Durations with
/// fewer bits share the octave of the shortest durations that have enough.
#[inline]
fn bin(nanos: u64) -> usize {
    let value = nanos | 1 << BINS_BITS;
    let shift = value.ilog2() - BINS_BITS;
    let index = (u64::from(shift) << BINS_BITS) + (value >> shift);
    usize::try_from(index).unwrap_or(usize::MAX) % BINS
}

impl<const COUNT: bool> TimedLimit<COUNT> {
    fn own() -> Box<CachePadded<Own>> {
        Box::new(CachePadded::new(Own {
            calls: AtomicU64::new(0),
            bins: [const { AtomicU64::new(0) }; BINS],
        }))
    }
}

impl<const COUNT: bool> Clone for TimedLimit<COUNT> {
    /// Shares the state and the clock, and makes its own counters.
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            own: Self::own(),
        }
    }
}

impl<const COUNT: bool> Subject for TimedLimit<COUNT> {
    const NAME: &'static str = if COUNT {
        "limit/two_private_increments"
    } else {
        "limit/two_clock_reads"
    };
    type Reply = Option<Answer>;

    fn closed(_: &Settings) -> Self {
        Self {
            shared: Shared::new(CLOSED),
            own: Self::own(),
        }
    }

    #[inline]
    fn call(&mut self, work: Work) -> Self::Reply {
        let Shared { state, clock, .. } = &*self.shared;
        let open = state.load(Ordering::Relaxed) == OPEN;
        let begin = clock.raw();
        if open {
            return None;
        }
        let answer = work.run();
        let nanos = clock.delta_as_nanos(begin, clock.raw());
        if COUNT {
            add_one(&self.own.calls);
            add_one(&self.own.bins[bin(nanos)]);
        } else {
            black_box(nanos);
        }
        Some(answer)
    }

    #[inline]
    fn admitted(reply: &Self::Reply) -> bool {
        reply.is_some()
    }
}
