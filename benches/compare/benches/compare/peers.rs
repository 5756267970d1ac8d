//! The peers, each with the settings of [`subject`](crate::subject) as far as it knows them.

use std::future::{Ready, ready};
use std::hint;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use circuitbreaker_rs::{BreakerError, DefaultPolicy};
use failsafe::failure_policy::{ConsecutiveFailures, OrElse, SuccessRateOverTimeWindow};
use failsafe::{CircuitBreaker as _, FailurePolicy as _, backoff, failure_policy};
use tower::Service;
use tower_resilience_circuitbreaker::{
    CircuitBreaker, CircuitBreakerError, CircuitBreakerLayer, DefaultClassifier, SlidingWindowType,
};

use crate::subject::{
    Answer, ERROR_RATE, FAILURES_IN_A_ROW, Failed, MIN_CALLS, OPEN_FOR, Subject, WINDOW,
    WINDOW_CALLS, Work,
};

/// A ring of the last calls behind a spin lock; the state is a pointer that is read under an epoch
/// guard. Reads no clock unless it is open.
///
/// Left out, because it doesn't have them: the window of time, the least number of calls (it judges
/// when the ring is full, which is 100 calls here), the rule of failures in a row.
#[derive(Clone)]
pub(crate) struct Recloser(Arc<recloser::Recloser>);

impl Subject for Recloser {
    const NAME: &'static str = "recloser";
    type Reply = Result<u32, recloser::Error<Failed>>;

    fn closed() -> Self {
        let recloser = recloser::Recloser::custom()
            .error_rate(ERROR_RATE)
            .closed_len(WINDOW_CALLS as usize)
            .open_wait(OPEN_FOR)
            .build();
        // `Recloser` can't be cloned: its users share it in an `Arc`, as the others do inside.
        Self(Arc::new(recloser))
    }

    #[inline]
    fn call(&mut self, work: Work) -> Self::Reply {
        self.0.call(|| work.run())
    }

    #[inline]
    fn admitted(reply: &Self::Reply) -> bool {
        !matches!(reply, Err(recloser::Error::Rejected))
    }
}

type FailsafePolicy =
    OrElse<SuccessRateOverTimeWindow<backoff::Constant>, ConsecutiveFailures<backoff::Constant>>;

/// Everything in a mutex, which a call locks twice. Its window of time is an exponentially weighted
/// average, with a counter in five slices for the least number of calls; a success reads the clock
/// twice.
#[derive(Clone)]
pub(crate) struct Failsafe(failsafe::StateMachine<FailsafePolicy, ()>);

impl Subject for Failsafe {
    const NAME: &'static str = "failsafe";
    type Reply = Result<u32, failsafe::Error<Failed>>;

    fn closed() -> Self {
        // It takes the rate of successes, of which tripcurve's error rate is what is left to one.
        let rate = failure_policy::success_rate_over_time_window(
            1.0 - f64::from(ERROR_RATE),
            MIN_CALLS,
            WINDOW,
            backoff::constant(OPEN_FOR),
        );
        let in_a_row =
            failure_policy::consecutive_failures(FAILURES_IN_A_ROW, backoff::constant(OPEN_FOR));
        let policy = rate.or_else(in_a_row);
        Self(failsafe::Config::new().failure_policy(policy).build())
    }

    #[inline]
    fn call(&mut self, work: Work) -> Self::Reply {
        self.0.call(|| work.run())
    }

    #[inline]
    fn admitted(reply: &Self::Reply) -> bool {
        !matches!(reply, Err(failsafe::Error::Rejected))
    }
}

/// A layer of tower: a call is a boxed future that locks an async mutex twice. Does more than the
/// others: it measures how long the call took, for its rule of slow calls (off here, but the clock
/// is read), and makes two events with the breaker's name in them, for listeners (none here).
///
/// Its window counts calls. Left out: its window of time, because it keeps a record of every call
/// and walks over all of them at every call, so that the time of a call depends on how many were
/// made in the last minute; at the pace of a benchmark that is millions. The rule of failures in a
/// row, because it is instead of the rate, not beside it. And its "sliding" window of 100 calls
/// doesn't slide: it is judged from the hundredth call on, over all calls since the last transition.
#[derive(Clone)]
pub(crate) struct TowerResilience(CircuitBreaker<Worker, DefaultClassifier>);

/// The guarded service: its request is the work.
#[derive(Clone)]
pub(crate) struct Worker;

impl Service<Work> for Worker {
    type Response = u32;
    type Error = Failed;
    type Future = Ready<Answer>;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, work: Work) -> Self::Future {
        ready(work.run())
    }
}

impl Subject for TowerResilience {
    const NAME: &'static str = "tower_resilience";
    type Reply = Result<u32, CircuitBreakerError<Failed>>;

    fn closed() -> Self {
        let layer = CircuitBreakerLayer::builder()
            .name("compare")
            .failure_rate_threshold(f64::from(ERROR_RATE))
            .minimum_number_of_calls(MIN_CALLS as usize)
            .sliding_window_type(SlidingWindowType::CountBased)
            .sliding_window_size(WINDOW_CALLS as usize)
            .wait_duration_in_open(OPEN_FOR)
            .build()
            .expect("the settings are valid");
        Self(layer.layer_fn(Worker))
    }

    #[inline]
    fn call(&mut self, work: Work) -> Self::Reply {
        poll_until_ready(|context| self.0.poll_ready(context))?;
        let mut reply = self.0.call(work);
        poll_until_ready(|context| reply.as_mut().poll(context))
    }

    #[inline]
    fn admitted(reply: &Self::Reply) -> bool {
        !matches!(reply, Err(CircuitBreakerError::OpenCircuit))
    }
}

/// The least of an executor: polls again and again, with a waker that does nothing. With one thread
/// the first poll is the last; with several, a thread that waits for tower-resilience's mutex spins
/// instead of being parked and woken.
#[inline]
pub(crate) fn poll_until_ready<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = poll(&mut context) {
            return value;
        }
        hint::spin_loop();
    }
}

/// Counters since the last transition, not a window: a call long ago weighs as much as one now. Does
/// more than the others: it measures how long the call took, for a sink of metrics (which throws it
/// away here), and keeps the moment of the last success behind a mutex.
///
/// Left out, because it doesn't have it: the window. Its `TimeBasedPolicy` has one, but the breaker
/// never tells it of a call, so it never opens.
#[derive(Clone)]
pub(crate) struct CircuitbreakerRs(circuitbreaker_rs::CircuitBreaker<DefaultPolicy, Failed>);

impl Subject for CircuitbreakerRs {
    const NAME: &'static str = "circuitbreaker_rs";
    type Reply = Result<u32, BreakerError<Failed>>;

    fn closed() -> Self {
        let breaker = circuitbreaker_rs::CircuitBreaker::<DefaultPolicy, Failed>::builder()
            .failure_threshold(f64::from(ERROR_RATE))
            .min_throughput(u64::from(MIN_CALLS))
            .consecutive_failures(u64::from(FAILURES_IN_A_ROW))
            .cooldown(OPEN_FOR)
            .build();
        Self(breaker)
    }

    #[inline]
    fn call(&mut self, work: Work) -> Self::Reply {
        self.0.call(|| work.run())
    }

    #[inline]
    fn admitted(reply: &Self::Reply) -> bool {
        !matches!(reply, Err(BreakerError::Open))
    }
}
