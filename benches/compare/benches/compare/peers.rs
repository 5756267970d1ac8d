//! The peers, each with the settings of [`subject`](crate::subject) as far as it knows them.

use std::future::{Ready, ready};
use std::hint;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use circuitbreaker_rs::{BreakerError, DefaultPolicy};
use failsafe::failure_policy::{ConsecutiveFailures, OrElse, SuccessRateOverTimeWindow};
use failsafe::{FailurePolicy as _, backoff, failure_policy};
use tower::Service;
use tower_resilience_circuitbreaker::{
    CircuitBreaker, CircuitBreakerError, CircuitBreakerLayer, CircuitMetrics, DefaultClassifier,
    SlidingWindowType,
};

use crate::subject::{
    Answer, ERROR_RATE, FAILURES_IN_A_ROW, Failed, MIN_CALLS, OPEN_FOR, Observed, Rules, SLOW_RATE,
    SLOWER_THAN, Settings, Subject, Timing, WINDOW, Work,
};

/// A ring of the last calls behind a spin lock; the state is a pointer that is read under an epoch
/// guard. Reads no clock unless it is open.
///
/// Left out, because it doesn't have them: the window of time, the least number of calls (it judges
/// when the ring is full), the rule of failures in a row. Out of reach is an error rate of 2.
#[derive(Clone)]
pub(crate) struct Recloser(Arc<recloser::Recloser>);

impl Subject for Recloser {
    const NAME: &'static str = "recloser";
    type Reply = Result<u32, recloser::Error<Failed>>;

    fn closed(settings: &Settings) -> Self {
        // `Recloser` can't be cloned: its users share it in an `Arc`, as the others do inside.
        Self(Arc::new(recloser(settings)))
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

fn recloser(settings: &Settings) -> recloser::Recloser {
    let failure_rate = match settings.rules {
        Rules::Usual | Rules::Evidence => ERROR_RATE,
        Rules::OutOfReach { .. } => 2.0,
    };
    recloser::Recloser::custom()
        .error_rate(failure_rate)
        .closed_len(settings.window_calls() as usize)
        .open_wait(OPEN_FOR)
        .build()
}

/// The same through a future, which holds a clone of the breaker.
#[derive(Clone)]
pub(crate) struct RecloserAsync(recloser::AsyncRecloser);

impl Subject for RecloserAsync {
    const NAME: &'static str = Recloser::NAME;
    type Reply = <Recloser as Subject>::Reply;

    fn closed(settings: &Settings) -> Self {
        Self(recloser(settings).into())
    }

    #[inline]
    fn call(&mut self, work: Work) -> Self::Reply {
        poll_to_end(pin!(self.0.call(async move { work.run() })))
    }

    #[inline]
    fn admitted(reply: &Self::Reply) -> bool {
        Recloser::admitted(reply)
    }
}

type FailsafePolicy =
    OrElse<SuccessRateOverTimeWindow<backoff::Constant>, ConsecutiveFailures<backoff::Constant>>;

/// Everything in a mutex, which a call locks twice. Its window of time is an exponentially weighted
/// average, with a counter in five slices for the least number of calls; a success reads the clock
/// twice. Out of reach are a rate of successes below 0 and 2³² failures in a row.
#[derive(Clone)]
pub(crate) struct Failsafe(failsafe::StateMachine<FailsafePolicy, ()>);

impl Subject for Failsafe {
    const NAME: &'static str = "failsafe";
    type Reply = Result<u32, failsafe::Error<Failed>>;

    fn closed(settings: &Settings) -> Self {
        // It takes the rate of successes, of which tripcurve's error rate is what is left to one.
        let (success_rate, failures) = match settings.rules {
            Rules::Usual | Rules::Evidence => (1.0 - f64::from(ERROR_RATE), FAILURES_IN_A_ROW),
            Rules::OutOfReach { .. } => (0.0, u32::MAX),
        };
        let wait = backoff::constant(OPEN_FOR);
        let rate = failure_policy::success_rate_over_time_window(
            success_rate,
            MIN_CALLS,
            WINDOW,
            wait.clone(),
        );
        let policy = rate.or_else(failure_policy::consecutive_failures(failures, wait));
        Self(failsafe::Config::new().failure_policy(policy).build())
    }

    #[inline]
    fn call(&mut self, work: Work) -> Self::Reply {
        failsafe::CircuitBreaker::call(&self.0, || work.run())
    }

    #[inline]
    fn admitted(reply: &Self::Reply) -> bool {
        !matches!(reply, Err(failsafe::Error::Rejected))
    }
}

/// The same through a future, which holds a clone of the breaker.
#[derive(Clone)]
pub(crate) struct FailsafeAsync(Failsafe);

impl Subject for FailsafeAsync {
    const NAME: &'static str = Failsafe::NAME;
    type Reply = <Failsafe as Subject>::Reply;

    fn closed(settings: &Settings) -> Self {
        Self(Failsafe::closed(settings))
    }

    #[inline]
    fn call(&mut self, work: Work) -> Self::Reply {
        let work = async move { work.run() };
        poll_to_end(pin!(failsafe::futures::CircuitBreaker::call(
            &self.0.0, work
        )))
    }

    #[inline]
    fn admitted(reply: &Self::Reply) -> bool {
        Failsafe::admitted(reply)
    }
}

/// A layer of tower: a call is a boxed future that locks an async mutex twice. Does more than the
/// others: it measures how long the call took, for its rule of slow calls (which is off but in
/// `closed_latency`; the clock is read all the same), and makes two events with the breaker's name in them, for listeners (none here).
///
/// Its window counts calls. Left out: its window of time, because it keeps a record of every call
/// and walks over all of them at every call, so that the time of a call depends on how many were
/// made in the last minute; at the pace of a benchmark that is millions. The rule of failures in a
/// row, because it is instead of the rate, not beside it. And its "sliding" window of 100 calls
/// doesn't slide: it is judged from the hundredth call on, over all calls since the last transition.
/// Out of reach is an error rate of 1 after a success, which is never forgotten.
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

    fn closed(settings: &Settings) -> Self {
        let failure_rate = match settings.rules {
            Rules::Usual | Rules::Evidence => f64::from(ERROR_RATE),
            Rules::OutOfReach { .. } => 1.0,
        };
        let mut builder = CircuitBreakerLayer::builder();
        if !matches!(settings.timing, Timing::Nothing) {
            // It counts slow calls and has no histogram.
            builder = builder
                .slow_call_duration_threshold(SLOWER_THAN)
                .slow_call_rate_threshold(SLOW_RATE);
        }
        let layer = builder
            .name("compare")
            .failure_rate_threshold(failure_rate)
            .minimum_number_of_calls(MIN_CALLS as usize)
            .sliding_window_type(SlidingWindowType::CountBased)
            .sliding_window_size(settings.window_calls() as usize)
            .wait_duration_in_open(OPEN_FOR)
            .build()
            .expect("the settings are valid");
        let mut subject = Self(layer.layer_fn(Worker));
        if matches!(settings.rules, Rules::OutOfReach { .. }) {
            drop(subject.call(Work::SUCCEEDS));
        }
        subject
    }

    #[inline]
    fn call(&mut self, work: Work) -> Self::Reply {
        poll_until_ready(|context| self.0.poll_ready(context))?;
        poll_to_end(self.0.call(work).as_mut())
    }

    #[inline]
    fn admitted(reply: &Self::Reply) -> bool {
        !matches!(reply, Err(CircuitBreakerError::OpenCircuit))
    }
}

impl Observed for TowerResilience {
    type Picture<'a> = CircuitMetrics;

    #[inline]
    fn snapshot(&mut self) -> CircuitMetrics {
        poll_to_end(pin!(self.0.metrics()))
    }
}

/// The least of an executor: polls again and again, with a waker that does nothing. With one thread
/// the first poll is the last; with several, a thread that waits for tower-resilience's mutex spins
/// instead of being parked and woken.
#[inline]
fn poll_until_ready<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = poll(&mut context) {
            return value;
        }
        hint::spin_loop();
    }
}

#[inline]
pub(crate) fn poll_to_end<F: Future + ?Sized>(mut future: Pin<&mut F>) -> F::Output {
    poll_until_ready(|context| future.as_mut().poll(context))
}

/// Counters since the last transition, not a window: a call long ago weighs as much as one now. Does
/// more than the others: it measures how long the call took, for a sink of metrics (which throws it
/// away here), and keeps the moment of the last success behind a mutex.
///
/// Left out, because it doesn't have it: the window. Its `TimeBasedPolicy` has one, but the breaker
/// never tells it of a call, so it never opens. Out of reach are an error rate of 2 and 2⁶⁴ failures
/// in a row.
#[derive(Clone)]
pub(crate) struct CircuitbreakerRs(circuitbreaker_rs::CircuitBreaker<DefaultPolicy, Failed>);

impl Subject for CircuitbreakerRs {
    const NAME: &'static str = "circuitbreaker_rs";
    type Reply = Result<u32, BreakerError<Failed>>;

    fn closed(settings: &Settings) -> Self {
        let (failure_rate, failures) = match settings.rules {
            Rules::Usual | Rules::Evidence => (f64::from(ERROR_RATE), u64::from(FAILURES_IN_A_ROW)),
            Rules::OutOfReach { .. } => (2.0, u64::MAX),
        };
        let breaker = circuitbreaker_rs::CircuitBreaker::<DefaultPolicy, Failed>::builder()
            .failure_threshold(failure_rate)
            .min_throughput(u64::from(MIN_CALLS))
            .consecutive_failures(failures)
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

/// Its nearest to a picture is one number.
impl Observed for CircuitbreakerRs {
    type Picture<'a> = f64;

    #[inline]
    fn snapshot(&mut self) -> f64 {
        self.0.error_rate()
    }
}

/// The same through a future.
#[derive(Clone)]
pub(crate) struct CircuitbreakerRsAsync(CircuitbreakerRs);

impl Subject for CircuitbreakerRsAsync {
    const NAME: &'static str = CircuitbreakerRs::NAME;
    type Reply = <CircuitbreakerRs as Subject>::Reply;

    fn closed(settings: &Settings) -> Self {
        Self(CircuitbreakerRs::closed(settings))
    }

    #[inline]
    fn call(&mut self, work: Work) -> Self::Reply {
        poll_to_end(pin!(self.0.0.call_async(|| async move { work.run() })))
    }

    #[inline]
    fn admitted(reply: &Self::Reply) -> bool {
        CircuitbreakerRs::admitted(reply)
    }
}
