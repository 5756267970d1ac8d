//! The parts of a call, each without the rest. None is a breaker.

use std::hint::black_box;

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
