//! A handle makes a span of `tracing` for each call, where it is asked to.
#![cfg(all(feature = "tracing", feature = "async", feature = "bulkhead"))]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::{Future, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as Task, Poll, Waker};
use std::thread;
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, set_default};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tripcurve::bulkhead::Bulkhead;
use tripcurve::handles::Handle;
use tripcurve::time::Clock;
use tripcurve::{CallError, CircuitBreaker, CircuitBreakerBuilder, Outcome, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);
const NAME: &str = "circuit_breaker.call";

/// The fields of a span, with what its operation and its breaker have done within it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    fields: BTreeMap<&'static str, String>,
    events: Vec<String>,
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let before = self.fields.insert(field.name(), format!("{value:?}"));
        assert_eq!(before, None, "a field was recorded twice");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

impl Seen {
    fn outcome(&self) -> Option<&str> {
        assert_eq!(self.fields["circuit_breaker.name"], "payments");
        self.fields
            .get("circuit_breaker.outcome")
            .map(String::as_str)
    }
}

/// A layer that keeps the spans of breakers when they close.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Seen>>>);

impl Spans {
    fn begin(&self) -> DefaultGuard {
        set_default(tracing_subscriber::registry().with(self.clone()))
    }

    fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// The outcomes of the spans that have closed since the last question.
    fn outcomes(&self) -> Vec<Option<String>> {
        let seen = self.take();
        let outcomes = seen.iter().map(|it| it.outcome().map(str::to_owned));
        outcomes.collect()
    }

    #[track_caller]
    fn expect(&self, outcome: &str) {
        let expected = Some(outcome.to_owned()).filter(|it| it != "none");
        assert_eq!(self.outcomes(), [expected]);
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        ["tripcurve", module_path!()].contains(&metadata.target())
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let metadata = attributes.metadata();
        assert_eq!((metadata.name(), *metadata.level()), (NAME, Level::INFO));
        let mut seen = Seen::default();
        attributes.record(&mut seen);
        let span = context.span(id).unwrap();
        span.extensions_mut().insert(seen);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        values.record(span.extensions_mut().get_mut::<Seen>().unwrap());
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if let Some(span) = context.event_span(event) {
            let name = event.metadata().name();
            let mut extensions = span.extensions_mut();
            extensions
                .get_mut::<Seen>()
                .unwrap()
                .events
                .push(name.into());
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).unwrap();
        let seen = span.extensions_mut().remove::<Seen>().unwrap();
        self.0.lock().unwrap().push(seen);
    }
}

fn builder() -> CircuitBreakerBuilder {
    CircuitBreaker::builder("payments")
        .clock(Clock::mock().0)
        .trip_when(TripPolicy::consecutive_failures(3))
        .max_waiting(10)
}

fn breaker() -> CircuitBreaker {
    builder().build().unwrap()
}

fn poll<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Task::from_waker(Waker::noop()))
}

/// A timer that fires at once.
fn at_once(_: Duration) -> std::future::Ready<()> {
    ready(())
}

/// The outcomes of calls of one handle.
macro_rules! check_async {
    ($spans:expr, $handle:expr) => {{
        let (spans, handle) = (&$spans, &$handle);
        let done = poll(handle.call_async(|| ready(Ok::<_, ()>(42))));
        assert_eq!(done, Poll::Ready(Ok(42)));
        spans.expect("success");
        let failed = poll(handle.call_async(|| ready(Err::<(), _>("no"))));
        assert_eq!(failed, Poll::Ready(Err(CallError::Inner("no"))));
        spans.expect("failure");
        let mut attempts = handle.attempts();
        assert!(poll(attempts.call_async(|| ready(Err::<(), _>("no")))).is_ready());
        assert!(poll(attempts.call_async(|| ready(Ok::<_, &str>(())))).is_ready());
        drop(attempts);
        assert_eq!(
            spans.outcomes(),
            ["failure", "success"].map(|it| Some(it.to_owned()))
        );
        drop(handle.call_async(pending::<Result<(), ()>>));
        assert_eq!(spans.take(), []);
        handle.breaker().force_open();
        assert!(poll(handle.call_async(|| ready(Ok::<_, ()>(42)))).is_ready());
        spans.expect("rejected");
        handle.breaker().reset();
    }};
}

macro_rules! check {
    ($spans:expr, $handle:expr) => {{
        let (spans, handle) = (&$spans, $handle);
        check_async!(spans, handle);
        assert_eq!(handle.call(|| Ok::<_, ()>(42)), Ok(42));
        spans.expect("success");
        assert!(handle.call(|| Err::<(), _>("no")).is_err());
        spans.expect("failure");
        assert!(handle.attempts().call(|| Err::<(), _>("no")).is_err());
        spans.expect("failure");
        handle.breaker().force_open();
        assert!(handle.call(|| Ok::<_, ()>(42)).is_err());
        spans.expect("rejected");
        handle.breaker().reset();
        handle.try_acquire().unwrap().success();
        assert_eq!(spans.take(), []);
        handle
    }};
}

#[test]
fn every_order_of_handles_makes_one_span_for_each_call() {
    let spans = Spans::default();
    let _guard = spans.begin();
    let bulkhead = || Bulkhead::new(1).unwrap();
    check!(spans, breaker().in_span());
    check!(spans, breaker().in_span().in_span());
    check!(spans, breaker().in_span().with_bulkhead(bulkhead()));
    check!(spans, breaker().with_bulkhead(bulkhead()).in_span());
    check!(spans, breaker().in_span().waiting(SECOND).unwrap());
    check!(spans, breaker().waiting(SECOND).unwrap().in_span());

    let within = breaker().in_span().call_timeout(SECOND).unwrap();
    let around = breaker().call_timeout(SECOND).unwrap().sleep_with(at_once);
    let (within, around) = (within.sleep_with(at_once), around.in_span());
    check_async!(spans, within);
    check_async!(spans, around);
    assert!(poll(within.call_async(pending::<Result<(), ()>>)).is_ready());
    assert!(poll(around.call_async(pending::<Result<(), ()>>)).is_ready());
    assert_eq!(
        spans.outcomes(),
        [const { "failure" }; 2].map(|it| Some(it.to_owned()))
    );
    assert!(poll(around.attempts().call_async(pending::<Result<(), ()>>)).is_ready());
    spans.expect("failure");
}

#[test]
fn a_handle_that_was_not_asked_makes_no_span() {
    let spans = Spans::default();
    let _guard = spans.begin();
    let payments = builder().trace().build().unwrap();
    assert!(payments.call(|| Ok::<_, ()>(42)).is_ok());
    let limited = payments.call_timeout(SECOND).unwrap().sleep_with(at_once);
    assert!(poll(limited.call_async(|| ready(Ok::<_, ()>(42)))).is_ready());
    assert_eq!(spans.take(), []);
}

#[test]
fn a_full_bulkhead_rejects_and_ignored_calls_have_no_outcome() {
    let spans = Spans::default();
    let _guard = spans.begin();
    let reports = breaker().in_span().with_bulkhead(Bulkhead::new(1).unwrap());
    let place = reports.try_acquire().unwrap();
    let full = reports.call(|| Ok::<_, ()>(42)).unwrap_err();
    assert!(full.full().is_some());
    spans.expect("rejected");
    drop(place);

    let all_as = |outcome| {
        let classified = breaker().with_classifier(move |_: &Result<(), ()>| outcome);
        assert!(classified.in_span().call(|| Ok(())).is_ok());
    };
    for (outcome, shown) in [
        (Outcome::Ignored, "none"),
        (Outcome::Trip, "failure"),
        (Outcome::TimedOut, "failure"),
    ] {
        all_as(outcome);
        spans.expect(shown);
    }
}

#[test]
fn a_panic_is_a_failure_and_a_dropped_call_has_no_outcome() {
    let spans = Spans::default();
    let _guard = spans.begin();
    let payments = breaker().in_span();
    let caught = |act: &dyn Fn()| assert!(catch_unwind(AssertUnwindSafe(act)).is_err());
    caught(&|| drop(payments.call(|| -> Result<(), ()> { panic!("in a call") })));
    spans.expect("failure");
    caught(&|| {
        let _ = poll(payments.call_async(|| async { panic!("in a future") as Result<(), ()> }));
    });
    spans.expect("failure");
    assert_eq!(payments.breaker().snapshot().failures(), 2);

    assert!(poll(payments.call_async(pending::<Result<(), ()>>)).is_pending());
    spans.expect("none");
}

#[test]
fn the_operation_and_the_transition_are_within_the_span() {
    let spans = Spans::default();
    let _guard = spans.begin();
    let payments = builder().trace().build().unwrap().in_span();
    let fail = |last: &'static str| {
        let call = payments.call(|| {
            tracing::info!("in the operation");
            Err::<(), _>(last)
        });
        assert!(call.is_err());
    };
    for call in ["first", "second", "third"] {
        fail(call);
    }
    let seen = spans.take();
    let lengths: Vec<_> = seen.iter().map(|it| it.events.len()).collect();
    assert_eq!(lengths, [1, 1, 2]);
    assert_eq!(seen[2].events[1], "circuit_breaker.transition");

    payments.breaker().reset();
    for _ in 0..3 {
        let call = payments.call_async(async || {
            tracing::info!("in the operation");
            Err::<(), _>("no")
        });
        assert!(poll(call).is_ready());
    }
    let seen = spans.take();
    let lengths: Vec<_> = seen.iter().map(|it| it.events.len()).collect();
    assert_eq!(lengths, [1, 1, 2]);
}

#[test]
fn threads_have_spans_of_their_own() {
    let spans = Spans::default();
    let payments = breaker().in_span();
    thread::scope(|scope| {
        for thread in 0..4 {
            let (spans, payments) = (&spans, &payments);
            scope.spawn(move || {
                let _guard = spans.begin();
                for call in 0..250 {
                    let _ = payments.call(|| match (thread + call) % 2 {
                        0 => Ok(()),
                        _ => Err(()),
                    });
                    let done = poll(payments.call_async(|| ready(Ok::<_, ()>(()))));
                    assert!(done.is_ready());
                }
            });
        }
    });
    let outcomes = spans.outcomes();
    assert_eq!(outcomes.len(), 2_000);
    let snapshot = payments.breaker().snapshot();
    let count = |outcome: &str| {
        let are_it = outcomes.iter().flatten().filter(|it| *it == outcome);
        are_it.count() as u64
    };
    assert_eq!(count("success"), snapshot.totals().successes);
    assert_eq!(count("failure"), snapshot.totals().failures);
    assert_eq!(count("rejected"), snapshot.totals().rejected);
}

#[test]
fn without_a_subscriber_a_call_is_made_as_usual() {
    let payments = breaker().in_span();
    assert_eq!(payments.call(|| Ok::<_, ()>(42)), Ok(42));
    let made = allocation_counter::measure(|| drop(payments.call(|| Ok::<_, ()>(42))));
    assert_eq!(made.count_total, 0, "{made:?}");
    assert_eq!(payments.breaker().snapshot().successes(), 2);
}
