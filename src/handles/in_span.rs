//! Calls within spans of `tracing`.

use std::{future::Future, time::Duration};

use tracing::{Instrument, Level, Span, field::Empty, span};

use super::Handle;
use super::layer::{Layer, LayerAnswer, Unlimited};
use super::span::{CallSpan, SpanOutcome};
use crate::breaker::CircuitBreaker;
use crate::events::shielded;

/// A handle that makes a span of [`tracing`](https://docs.rs/tracing) for each call; made by
/// [`CircuitBreaker::in_span`] and [`Handle::in_span`].
///
/// | part | value |
/// |---|---|
/// | target | `tripcurve` |
/// | name | `circuit_breaker.call` |
/// | level | INFO |
/// | `circuit_breaker.name` | the breaker's name, not escaped |
/// | `circuit_breaker.outcome` | `success`, `failure` or `rejected` |
///
/// The span begins when the handle is asked, and ends with the call. So it contains the wait for a
/// place or for the verdict of the probes, wherever this handle stands among the others. It is the
/// parent of the spans that the operation makes. The events of transitions that the call makes are
/// in it. Nested twice, this handle makes one span.
///
/// # Outcomes
///
/// | outcome | the call |
/// |---|---|
/// | `success` | counted as a success, by the classifier |
/// | `failure` | counted as [`Failure`](crate::Outcome::Failure), [`TimedOut`](crate::Outcome::TimedOut) or [`Trip`](crate::Outcome::Trip), or it panicked |
/// | `rejected` | was not made, because the breaker or the bulkhead didn't let it through |
/// | none | counted as [`Ignored`](crate::Outcome::Ignored), or its future was dropped |
///
/// An attempt of a [request](super::Attempts) has a span of its own, with its own outcome. A permit
/// has none, because its call runs elsewhere. With `tracing-opentelemetry` the fields become
/// attributes of an OpenTelemetry span.
///
/// # Cost
/// That of the subscriber, for each call. Without a subscriber at this level, some loads. Handles
/// without this one pay nothing.
///
/// ```
/// use tripcurve::CircuitBreaker;
/// use tripcurve::handles::Handle;
///
/// // tracing_subscriber::fmt().with_span_events(FmtSpan::CLOSE).init();
/// let payments = CircuitBreaker::new("payments").in_span();
/// assert_eq!(payments.call(|| Ok::<_, String>(42)), Ok(42));
/// // INFO circuit_breaker.call{circuit_breaker.name="payments" circuit_breaker.outcome="success"}
/// ```
#[derive(Clone, Debug)]
pub struct InSpan<H = CircuitBreaker> {
    handle: H,
}

impl<C> CircuitBreaker<C> {
    /// Makes a handle that makes a span of [`tracing`](https://docs.rs/tracing) for each call; see
    /// [`InSpan`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::handles::Handle;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// let search = CircuitBreaker::new("search")
    ///     .in_span()
    ///     .call_timeout(Duration::from_secs(1))?
    ///     .sleep_with(tokio::time::sleep);
    /// assert_eq!(search.call_async(|| async { Ok::<_, String>(42) }).await, Ok(42));
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn in_span(&self) -> InSpan<Self>
    where
        C: Clone,
    {
        InSpan::new(self.clone())
    }
}

impl<H> InSpan<H> {
    pub(super) fn new(handle: H) -> Self {
        Self { handle }
    }

    /// The wrapped handle: the breaker, or another handle around it.
    #[must_use]
    pub fn inner(&self) -> &H {
        &self.handle
    }
}

impl<H: Layer> Handle for InSpan<H> {}
impl<H: Unlimited> Unlimited for InSpan<H> {}

impl<H: Layer> Layer for InSpan<H> {
    type Classifier = H::Classifier;
    type Span = TracedCall;
    type Held<'a>
        = H::Held<'a>
    where
        Self: 'a;

    fn circuit_breaker(&self) -> &CircuitBreaker<H::Classifier> {
        self.handle.circuit_breaker()
    }

    fn call_span(&self) -> TracedCall {
        TracedCall::of(self.circuit_breaker())
    }

    fn try_admit(&self) -> LayerAnswer<'_, H::Held<'_>> {
        self.handle.try_admit()
    }

    fn admit(&self) -> LayerAnswer<'_, H::Held<'_>> {
        self.handle.admit()
    }

    fn admit_async(&self) -> impl Future<Output = LayerAnswer<'_, H::Held<'_>>> {
        self.handle.admit_async()
    }

    fn limit_call<F: Future>(&self, call: F) -> impl Future<Output = Result<F::Output, Duration>> {
        self.handle.limit_call(call)
    }
}

/// The span of a call.
#[derive(Debug)]
pub struct TracedCall(Span);

impl TracedCall {
    /// Begins the span of a call of this breaker.
    pub(crate) fn of<C>(breaker: &CircuitBreaker<C>) -> Self {
        Self(span!(
            target: "tripcurve",
            Level::INFO,
            "circuit_breaker.call",
            circuit_breaker.name = breaker.name(),
            circuit_breaker.outcome = Empty,
        ))
    }
}

impl CallSpan for TracedCall {
    fn within<R>(&self, part: impl FnOnce() -> R) -> R {
        self.0.in_scope(part)
    }

    fn around<F: Future>(&self, part: F) -> impl Future<Output = F::Output> {
        part.instrument(self.0.clone())
    }

    fn note(&self, outcome: SpanOutcome) {
        let outcome = match outcome {
            SpanOutcome::Success => "success",
            SpanOutcome::Failure => "failure",
            SpanOutcome::Rejected => "rejected",
        };
        // A subscriber that panics must not change how the call counts.
        shielded(|| {
            self.0.record("circuit_breaker.outcome", outcome);
        });
    }

    fn run<R>(&self, operation: impl FnOnce() -> R) -> R {
        let panics = NoteOfPanic(self);
        let returned = operation();
        std::mem::forget(panics);
        returned
    }
}

/// Notes a failure when it is dropped, because the operation has panicked.
struct NoteOfPanic<'a>(&'a TracedCall);

impl Drop for NoteOfPanic<'_> {
    fn drop(&mut self) {
        self.0.note(SpanOutcome::Failure);
    }
}
