//! seatbelt, with the settings of [`subject`](crate::subject) that it supports.

use std::future::{Ready, ready};
use std::task::{Context, Poll, Waker};

use seatbelt::breaker::Breaker;
use seatbelt::{RecoveryInfo, ResilienceContext};
use tick::runtime::InactiveClock;
use tower::{Layer, Service};

use crate::peers::poll_service;
use crate::subject::{ERROR_RATE, MIN_CALLS, OPEN_FOR, Rules, Settings, Subject, WINDOW, Work};

/// A layer of tower: a call is a boxed future that locks a mutex twice and reads the clock twice
/// (`std`'s). The window has ten slices and a running sum. It has a failure rate, a minimum number of
/// calls and a time window, but no rule on failures in a row. It counts a future that is dropped, but
/// no panic. Metrics and logs are off. A minimum of 2³² − 1 calls is out of reach.
#[derive(Clone)]
pub(crate) struct Seatbelt(Breaker<Work, Result<u32, Error>, Worker>);

/// A rejection has the error type of the guarded service.
#[derive(Debug)]
pub(crate) enum Error {
    Failed,
    Rejected,
}

/// The guarded service.
#[derive(Clone)]
struct Worker;

impl Service<Work> for Worker {
    type Response = u32;
    type Error = Error;
    type Future = Ready<Result<u32, Error>>;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, work: Work) -> Self::Future {
        ready(work.run().map_err(|_| Error::Failed))
    }
}

impl Subject for Seatbelt {
    const NAME: &'static str = "seatbelt";
    type Reply = Result<u32, Error>;

    fn closed(settings: &Settings) -> Self {
        let min_calls = match settings.rules {
            Rules::Usual | Rules::Evidence => MIN_CALLS,
            Rules::OutOfReach { .. } => u32::MAX,
        };
        // Its timers aren't used, so nothing has to drive them.
        let (clock, _) = InactiveClock::default().activate(Waker::noop().clone());
        let layer = Breaker::layer("compare", &ResilienceContext::new(&clock))
            .recovery_with(|result: &Result<u32, Error>, _| match result {
                Ok(_) => RecoveryInfo::never(),
                Err(_) => RecoveryInfo::retry(),
            })
            .rejected_input_error(|_: Work, _| Error::Rejected)
            .failure_threshold(ERROR_RATE)
            .min_throughput(min_calls)
            .sampling_duration(WINDOW)
            .break_duration(OPEN_FOR);
        Self(layer.layer(Worker))
    }

    #[inline]
    fn call(&mut self, work: Work) -> Self::Reply {
        poll_service(&mut self.0, work)
    }

    #[inline]
    fn admitted(reply: &Self::Reply) -> bool {
        !matches!(reply, Err(Error::Rejected))
    }
}
