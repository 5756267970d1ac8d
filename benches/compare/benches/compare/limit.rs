//! What no breaker can do without.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

use crate::subject::{Answer, Settings, Subject, Work};

const CLOSED: u64 = 0;
const OPEN: u64 = 1;

/// One relaxed load of a state that says whether the call may run.
pub(crate) type RelaxedLoad = Limit<false, false>;

/// And one load and one store of a counter that no other thread touches: the limit of a window that
/// counts calls. It isn't a breaker: no other thread could read the counter of a moment, and none
/// could take a call back when it leaves the window.
pub(crate) type Increment = Limit<false, true>;

/// A load and one reading of the clock that tripcurve reads: a breaker with a window of time has to know
/// in which part of it a call falls, and an open one whether its time is up.
pub(crate) type ClockRead = Limit<true, false>;

/// A load, a reading of the clock and an increment: the limit of the closed path.
pub(crate) type PrivateIncrement = Limit<true, true>;

pub(crate) struct Limit<const CLOCK: bool, const COUNT: bool> {
    shared: Arc<Shared>,
    /// Of this thread alone, on a cache line of its own.
    own: Box<CachePadded<AtomicU64>>,
}

struct Shared {
    state: AtomicU64,
    /// The time-stamp counter and the reading that counts as zero, as in tripcurve.
    clock: quanta::Clock,
    origin: u64,
}

impl<const CLOCK: bool, const COUNT: bool> Limit<CLOCK, COUNT> {
    fn new(state: u64) -> Self {
        let state = AtomicU64::new(state);
        let clock = quanta::Clock::new();
        let origin = clock.raw();
        Self {
            shared: Arc::new(Shared {
                state,
                clock,
                origin,
            }),
            own: Box::default(),
        }
    }
}

impl<const CLOCK: bool, const COUNT: bool> Clone for Limit<CLOCK, COUNT> {
    /// The same state and clock, with a counter of its own.
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
            // Not `fetch_add`: with one writer nothing has to be locked.
            let count = self.own.load(Ordering::Relaxed);
            self.own.store(count + 1, Ordering::Relaxed);
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
