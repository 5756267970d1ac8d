//! tripcurve, with all its ways to make a call.

use std::pin::pin;
use std::time::Duration;

use tripcurve::policy::Adaptive;
use tripcurve::snapshot::Snapshot;
use tripcurve::time::Clock;
use tripcurve::window::Recording;
use tripcurve::{CallError, CircuitBreaker, CircuitBreakerBuilder, Rejected, State, TripPolicy};

use crate::peers::poll_to_end;
use crate::subject::{
    Answer, ERROR_RATE, FAILURES_IN_A_ROW, Failed, MIN_CALLS, OPEN_FOR, Observed, PERCENTILE,
    Rules, SLOW_RATE, SLOWER_THAN, Settings, Subject, Timing, WINDOW, Window, Work,
};

/// With the usual rules and window, these are the classic policies with a fixed open time.
fn breaker(settings: &Settings) -> CircuitBreaker {
    let window = match settings.window {
        Window::Time { buckets } => tripcurve::window::Window::time(WINDOW, buckets),
        Window::Calls(calls) => tripcurve::window::Window::count(calls).into(),
    };
    let mut builder = CircuitBreaker::builder("compare")
        .window(window)
        .open_for(OPEN_FOR);
    builder = match settings.rules {
        Rules::Usual => builder
            .trip_when(TripPolicy::consecutive_failures(FAILURES_IN_A_ROW))
            .trip_when(TripPolicy::failure_rate(f64::from(ERROR_RATE)).min_calls(MIN_CALLS)),
        Rules::Evidence => builder.trip_when(adaptive(settings.timing)),
        Rules::OutOfReach { policies } => [
            TripPolicy::failure_count(u32::MAX).into(),
            TripPolicy::consecutive_failures(u32::MAX),
            TripPolicy::failure_rate(1.0).min_calls(u32::MAX).into(),
        ]
        .into_iter()
        .cycle()
        .take(policies)
        .fold(builder, CircuitBreakerBuilder::trip_when),
    };
    builder = timed(builder, settings.timing);
    if let Some(shards) = settings.shards {
        builder = builder.shards(shards);
    }
    if settings.coarse_clock {
        let clock = Clock::coarse(Duration::from_millis(1)).expect("a thread can be started");
        builder = builder.clock(clock);
    }
    builder.build().expect("the settings are valid")
}

/// If the rule on slow calls is set, slow calls count as failures.
fn adaptive(timing: Timing) -> Adaptive {
    match timing {
        Timing::SlowRate | Timing::All => TripPolicy::adaptive().slower_than(SLOWER_THAN),
        _ => TripPolicy::adaptive(),
    }
}

fn timed(builder: CircuitBreakerBuilder, timing: Timing) -> CircuitBreakerBuilder {
    let slow_rate = TripPolicy::slow_rate(SLOW_RATE)
        .slower_than(SLOWER_THAN)
        .min_calls(MIN_CALLS);
    match timing {
        Timing::Nothing => builder,
        Timing::Histogram => builder.latency(Recording::Combined),
        Timing::HistogramsByOutcome => builder.latency(Recording::ByOutcome),
        Timing::SlowRate => builder.trip_when(slow_rate),
        Timing::All => builder
            .latency(Recording::Combined)
            .trip_when(slow_rate)
            .trip_when(TripPolicy::latency_percentile(PERCENTILE).above(SLOWER_THAN)),
    }
}

/// Empties the window with a new generation of the same state.
#[inline]
fn empty_window(breaker: &CircuitBreaker) {
    match breaker.state() {
        State::Open => breaker.trip(OPEN_FOR),
        _ => breaker.reset(),
    }
}

/// Calls through `call`.
#[derive(Clone)]
pub(crate) struct Call {
    breaker: CircuitBreaker,
    /// Whether the window is emptied. Otherwise it fills, or can't hold more than a fixed number.
    empties_window: bool,
}

impl Subject for Call {
    const NAME: &'static str = "tripcurve";
    type Reply = Result<u32, CallError<Failed>>;

    fn closed(settings: &Settings) -> Self {
        Self {
            breaker: breaker(settings),
            empties_window: matches!(settings.window, Window::Time { .. }) && !settings.fills,
        }
    }

    #[inline]
    fn call(&mut self, work: Work) -> Self::Reply {
        self.breaker.call(|| work.run())
    }

    #[inline]
    fn admitted(reply: &Self::Reply) -> bool {
        !matches!(reply, Err(CallError::Rejected(_)))
    }

    #[inline]
    fn empty_window(&mut self) {
        if self.empties_window {
            empty_window(&self.breaker);
        }
    }
}

impl Observed for Call {
    type Picture<'a> = Snapshot;

    #[inline]
    fn snapshot(&mut self) -> Snapshot {
        self.breaker.snapshot()
    }
}

/// Takes snapshots in place of the last one, for callers that take many. With a histogram, each new
/// snapshot must be allocated.
#[derive(Clone)]
pub(crate) struct Reusing {
    call: Call,
    picture: Snapshot,
}

impl Subject for Reusing {
    const NAME: &'static str = Call::NAME;
    type Reply = <Call as Subject>::Reply;

    fn closed(settings: &Settings) -> Self {
        let mut call = Call::closed(settings);
        let picture = call.snapshot();
        Self { call, picture }
    }

    #[inline]
    fn call(&mut self, work: Work) -> Self::Reply {
        self.call.call(work)
    }

    #[inline]
    fn admitted(reply: &Self::Reply) -> bool {
        Call::admitted(reply)
    }

    #[inline]
    fn empty_window(&mut self) {
        self.call.empty_window();
    }
}

impl Observed for Reusing {
    type Picture<'a> = &'a Snapshot;

    #[inline]
    fn snapshot(&mut self) -> &Snapshot {
        self.call.breaker.snapshot_into(&mut self.picture);
        &self.picture
    }
}

/// Calls through a permit, for work that doesn't fit into a closure.
#[derive(Clone)]
pub(crate) struct TryAcquire(CircuitBreaker);

impl Subject for TryAcquire {
    const NAME: &'static str = "tripcurve/try_acquire";
    type Reply = Result<Answer, Rejected>;

    fn closed(settings: &Settings) -> Self {
        Self(breaker(settings))
    }

    #[inline]
    fn call(&mut self, work: Work) -> Self::Reply {
        let permit = self.0.try_acquire()?;
        let answer = work.run();
        match answer {
            Ok(_) => permit.success(),
            Err(Failed) => permit.failure(),
        }
        Ok(answer)
    }

    #[inline]
    fn admitted(reply: &Self::Reply) -> bool {
        reply.is_ok()
    }

    #[inline]
    fn empty_window(&mut self) {
        empty_window(&self.0);
    }
}

/// Calls through `call_async`, with the executor of the other futures.
#[derive(Clone)]
pub(crate) struct CallAsync(CircuitBreaker);

impl Subject for CallAsync {
    const NAME: &'static str = "tripcurve/call_async";
    type Reply = Result<u32, CallError<Failed>>;

    fn closed(settings: &Settings) -> Self {
        Self(breaker(settings))
    }

    #[inline]
    fn call(&mut self, work: Work) -> Self::Reply {
        poll_to_end(pin!(self.0.call_async(|| async move { work.run() })))
    }

    #[inline]
    fn admitted(reply: &Self::Reply) -> bool {
        Call::admitted(reply)
    }

    #[inline]
    fn empty_window(&mut self) {
        empty_window(&self.0);
    }
}
