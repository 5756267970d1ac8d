//! The peers. Each has the settings of [`subject`](crate::subject) that it supports.

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

/// A ring of the last calls behind a spin lock. The state is a pointer that is read under an epoch
/// guard. It reads the clock only while open.
///
/// It doesn't have a time window, a minimum number of calls (it judges when the ring is full) or a
/// rule on failures in a row. An error rate of 2 is out of reach.
#[derive(Clone)]
pub(crate) struct Recloser(Arc<recloser::Recloser>);

impl Subject for Recloser {
    const NAME: &'static str = "recloser";
    type Reply = Result<u32, recloser::Error<Failed>>;

    fn closed(settings: &Settings) -> Self {
        // `Recloser` can't be cloned. Its users share it in an `Arc`, as the other libraries do
        // internally.
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

/// Calls through a future, which holds a clone of the breaker.
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

/// Everything is in a mutex, which a call locks twice. The time window is an exponentially weighted
/// average. A counter in five slices serves the minimum number of calls. A success reads the clock
/// twice. A success rate below 0 and 2³² − 1 failures in a row are out of reach.
#[derive(Clone)]
pub(crate) struct Failsafe(failsafe::StateMachine<FailsafePolicy, ()>);

impl Subject for Failsafe {
    const NAME: &'static str = "failsafe";
    type Reply = Result<u32, failsafe::Error<Failed>>;

    fn closed(settings: &Settings) -> Self {
        // It takes the success rate, which is one minus tripcurve's failure rate.
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

/// Calls through a future, which holds a clone of the breaker.
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

/// A layer of tower: a call is a boxed future that locks an async mutex twice. It does more than
/// the others. It measures each call's duration for its rule on slow calls. The rule is on only in
/// `closed_latency`, but the clock is always read. It also makes two events with the breaker's name
/// for listeners, of which there are none.
///
/// Its window counts calls. Its time window is left out: it keeps a record of every call and walks
/// over all of them at every call. So a call's time depends on the number of calls in the last
/// minute, which is millions in a benchmark. The rule on failures in a row is left out, because it
/// replaces the rate. Its "sliding" window of 100 calls doesn't slide: from the hundredth call on,
/// it judges all calls since the last transition. An error rate of 1 is out of reach after a
/// success, because it never forgets the success.
#[derive(Clone)]
pub(crate) struct TowerResilience(CircuitBreaker<Worker, DefaultClassifier>);

/// The guarded service. Its request is the work.
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
            // It counts slow calls, but has no histogram.
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
        poll_service(&mut self.0, work)
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

/// A minimal executor: it polls repeatedly, with a waker that does nothing. With one thread, the
/// first poll is the last. With several, a thread that waits for tower-resilience's mutex spins
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

/// A call as tower asks for it: the service is ready, is called, and its future is polled to the
/// end.
#[inline]
pub(crate) fn poll_service<S: Service<Work>>(
    service: &mut S,
    work: Work,
) -> Result<S::Response, S::Error> {
    poll_until_ready(|context| service.poll_ready(context))?;
    poll_to_end(pin!(service.call(work)))
}

/// Counters since the last transition, not a window: an old call weighs as much as a new one. It
/// does more than the others. It measures each call's duration for a metrics sink, which discards
/// it here. It keeps the time of the last success behind a mutex.
///
/// It doesn't have a window. Its `TimeBasedPolicy` has one, but the breaker never tells it of a
/// call, so it never opens. An error rate of 2 and 2⁶⁴ − 1 failures in a row are out of reach.
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

/// The closest that it has to a snapshot is one number.
impl Observed for CircuitbreakerRs {
    type Picture<'a> = f64;

    #[inline]
    fn snapshot(&mut self) -> f64 {
        self.0.error_rate()
    }
}

/// Calls through a future.
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
