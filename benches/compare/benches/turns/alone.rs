//! The parts of a call, each without the rest. None is a breaker.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

use crate::subject::{Answer, Settings, Subject, Work};

/// The guarded work, without a breaker.
#[derive(Clone)]
pub(crate) struct WorkAlone;

impl Subject for WorkAlone {
    const NAME: &'static str = "work alone";
    type Reply = Answer;

    fn closed(_: &Settings) -> Self {
        Self
    }

    #[inline]
    fn call(&mut self, work: Work) -> Answer {
        work.run()
    }

    #[inline]
    fn admitted(_: &Answer) -> bool {
        true
    }
}

/// One reading of tripcurve's clock, without the work.
#[derive(Clone)]
pub(crate) struct ClockAlone {
    clock: quanta::Clock,
    origin: u64,
}

impl Subject for ClockAlone {
    const NAME: &'static str = "clock alone";
    type Reply = u64;

    fn closed(_: &Settings) -> Self {
        let clock = quanta::Clock::new();
        let origin = clock.raw();
        Self { clock, origin }
    }

    #[inline]
    fn call(&mut self, _: Work) -> u64 {
        black_box(self.clock.delta_as_nanos(self.origin, self.clock.raw()))
    }

    #[inline]
    fn admitted(_: &u64) -> bool {
        true
    }
}

/// One addition to a counter of all threads, without the work. With several threads, it shows how
/// long a cache line takes from core to core.
#[derive(Clone)]
pub(crate) struct SharedCounter(Arc<CachePadded<AtomicU64>>);

impl Subject for SharedCounter {
    const NAME: &'static str = "shared counter alone";
    type Reply = u64;

    fn closed(_: &Settings) -> Self {
        Self(Arc::default())
    }

    #[inline]
    fn call(&mut self, _: Work) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    #[inline]
    fn admitted(_: &u64) -> bool {
        true
    }
}
