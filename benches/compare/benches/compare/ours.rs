//! tripcurve, with both its windows and all its ways in.

use std::marker::PhantomData;
use std::pin::pin;

use tripcurve::{Builder, CallError, CircuitBreaker, Rejected, State, TripPolicy, Window};

use crate::peers::poll_until_ready;
use crate::subject::{
    Answer, ERROR_RATE, FAILURES_IN_A_ROW, Failed, MIN_CALLS, OPEN_FOR, Subject, WINDOW,
    WINDOW_CALLS, Work,
};

/// The settings that all variants share, which are the defaults but for the time it stays open.
fn builder() -> Builder {
    CircuitBreaker::builder("compare")
        .trip_when(TripPolicy::consecutive_failures(FAILURES_IN_A_ROW))
        .trip_when(TripPolicy::error_rate(f64::from(ERROR_RATE)).min_calls(MIN_CALLS))
        .open_for(OPEN_FOR)
}

/// What differs between variants that are called the same way.
pub(crate) trait Variant: Clone + Send + 'static {
    const NAME: &'static str;
    /// Otherwise the window is left to fill, or is never more than full.
    const EMPTIES_WINDOW: bool = true;

    fn set(builder: Builder) -> Builder;
}

/// A window of a minute in ten buckets, the default.
#[derive(Clone)]
pub(crate) struct TimeWindow;

impl Variant for TimeWindow {
    const NAME: &'static str = "tripcurve";

    fn set(builder: Builder) -> Builder {
        builder.window(Window::time(WINDOW, 10))
    }
}

/// A window of the last 100 calls, as recloser has it.
#[derive(Clone)]
pub(crate) struct CountWindow;

impl Variant for CountWindow {
    const NAME: &'static str = "tripcurve/count_window";
    const EMPTIES_WINDOW: bool = false;

    fn set(builder: Builder) -> Builder {
        builder.window(Window::count(WINDOW_CALLS))
    }
}

/// The default window without shards, for those who would rather have the memory: all threads write
/// to the same bucket.
#[derive(Clone)]
pub(crate) struct OneShard;

impl Variant for OneShard {
    const NAME: &'static str = "tripcurve/one_shard";

    fn set(builder: Builder) -> Builder {
        TimeWindow::set(builder).shards(1)
    }
}

/// The default window of a breaker that gets more calls than its buckets count one by one: from the
/// 131,072nd in a bucket of 6 seconds on, which is 21,845 calls a second of one thread, the bucket
/// counts one call in two, one in four and so on.
#[derive(Clone)]
pub(crate) struct FullBucket;

impl Variant for FullBucket {
    const NAME: &'static str = "tripcurve/full_bucket";
    const EMPTIES_WINDOW: bool = false;

    fn set(builder: Builder) -> Builder {
        TimeWindow::set(builder)
    }
}

/// Empties the window by a new generation of the same state.
#[inline]
fn empty_window(breaker: &CircuitBreaker) {
    match breaker.state() {
        State::Open => breaker.trip(OPEN_FOR),
        _ => breaker.reset(),
    }
}

/// Through `call`.
#[derive(Clone)]
pub(crate) struct Call<V>(CircuitBreaker, PhantomData<V>);

impl<V: Variant> Subject for Call<V> {
    const NAME: &'static str = V::NAME;
    type Reply = Result<u32, CallError<Failed>>;

    fn closed() -> Self {
        let breaker = V::set(builder()).build().expect("the settings are valid");
        Self(breaker, PhantomData)
    }

    #[inline]
    fn call(&mut self, work: Work) -> Self::Reply {
        self.0.call(|| work.run())
    }

    #[inline]
    fn admitted(reply: &Self::Reply) -> bool {
        !matches!(reply, Err(CallError::Rejected(_)))
    }

    #[inline]
    fn empty_window(&mut self) {
        if V::EMPTIES_WINDOW {
            empty_window(&self.0);
        }
    }
}

/// Through a permit, with the default window: for work that can't be put into a closure.
#[derive(Clone)]
pub(crate) struct TryAcquire(CircuitBreaker);

impl Subject for TryAcquire {
    const NAME: &'static str = "tripcurve/try_acquire";
    type Reply = Result<Answer, Rejected>;

    fn closed() -> Self {
        Self(Call::<TimeWindow>::closed().0)
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

/// Through `call_async`, with the default window and with the executor that tower-resilience is
/// given.
#[derive(Clone)]
pub(crate) struct CallAsync(CircuitBreaker);

impl Subject for CallAsync {
    const NAME: &'static str = "tripcurve/call_async";
    type Reply = Result<u32, CallError<Failed>>;

    fn closed() -> Self {
        Self(Call::<TimeWindow>::closed().0)
    }

    #[inline]
    fn call(&mut self, work: Work) -> Self::Reply {
        let mut reply = pin!(self.0.call_async(|| async move { work.run() }));
        poll_until_ready(|context| reply.as_mut().poll(context))
    }

    #[inline]
    fn admitted(reply: &Self::Reply) -> bool {
        Call::<TimeWindow>::admitted(reply)
    }

    #[inline]
    fn empty_window(&mut self) {
        empty_window(&self.0);
    }
}
