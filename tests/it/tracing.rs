//! A breaker makes events of `tracing`, where its builder asks for them.
#![cfg(feature = "tracing")]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::subscriber::{DefaultGuard, set_default, with_default};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tripcurve::recovery::HalfOpenVerdict;
use tripcurve::time::{Clock, MockClock};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Recovery, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);

/// What a subscriber got of an event. The message is a field.
#[derive(Clone, Debug, PartialEq)]
struct Got {
    name: &'static str,
    target: String,
    level: Level,
    fields: BTreeMap<&'static str, String>,
}

impl Visit for Got {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

impl Got {
    #[track_caller]
    fn check(&self, expected: &[(&str, &str)]) {
        let fields = self.fields.iter().map(|(name, value)| (*name, &**value));
        assert_eq!(fields.collect::<Vec<_>>(), expected);
    }

    fn left_out(&self) -> usize {
        self.fields["circuit_breaker.left_out"].parse().unwrap()
    }
}

/// A layer that keeps the events of tripcurve up to a level.
#[derive(Clone)]
struct Collects {
    level: Level,
    events: Arc<Mutex<Vec<Got>>>,
}

impl Collects {
    fn up_to(level: Level) -> Self {
        Self {
            level,
            events: Arc::default(),
        }
    }

    fn dispatch(&self) -> Dispatch {
        Dispatch::new(tracing_subscriber::registry().with(self.clone()))
    }

    fn begin(&self) -> DefaultGuard {
        set_default(tracing_subscriber::registry().with(self.clone()))
    }

    fn take(&self) -> Vec<Got> {
        std::mem::take(&mut self.events.lock().unwrap())
    }
}

impl<S: Subscriber> Layer<S> for Collects {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == "tripcurve" && *metadata.level() <= self.level
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut got = Got {
            name: metadata.name(),
            target: metadata.target().to_owned(),
            level: *metadata.level(),
            fields: BTreeMap::new(),
        };
        event.record(&mut got);
        self.events.lock().unwrap().push(got);
    }
}

/// A subscriber that panics on each event.
struct Panics;

impl Subscriber for Panics {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "tripcurve"
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {
        panic!("a subscriber that panics");
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn builder() -> (CircuitBreakerBuilder, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("payments")
        .trip_when(TripPolicy::consecutive_failures(2))
        .open_for(5 * SECOND)
        .probes(1)
        .clock(clock);
    (builder, hand)
}

fn fail(breaker: &CircuitBreaker) {
    let _ = breaker.call(|| Err::<(), _>("timeout"));
}

fn succeed(breaker: &CircuitBreaker) {
    let _ = breaker.call(|| Ok::<_, &str>(()));
}

#[test]
fn each_transition_makes_one_event_with_its_level_and_fields() {
    let collects = Collects::up_to(Level::TRACE);
    let _guard = collects.begin();
    let (builder, hand) = builder();
    let payments = builder.trace().build().unwrap();
    (0..2).for_each(|_| fail(&payments));
    hand.advance(5 * SECOND);
    fail(&payments);
    hand.advance(5 * SECOND);
    succeed(&payments);
    payments.force_open();
    payments.trip(60 * SECOND);

    let events = collects.take();
    let is = |event: &Got| (event.name, event.target.clone());
    let name = ("circuit_breaker.transition", "tripcurve".to_owned());
    assert!(events.iter().all(|event| is(event) == name), "{events:#?}");
    let expected = [
        (
            Level::WARN,
            "closed",
            "open",
            "consecutive_failures",
            Some("5.0"),
        ),
        (Level::INFO, "open", "half-open", "open_expired", None),
        (
            Level::WARN,
            "half-open",
            "open",
            "probe_failed",
            Some("5.0"),
        ),
        (Level::INFO, "open", "half-open", "open_expired", None),
        (Level::INFO, "half-open", "closed", "probes_succeeded", None),
        (Level::INFO, "closed", "forced-open", "manual", None),
        (Level::WARN, "forced-open", "open", "manual", Some("60.0")),
    ];
    assert_eq!(events.len(), expected.len());
    for ((event, (level, from, to, reason, open_for)), generation) in
        events.iter().zip(expected).zip(1..)
    {
        assert_eq!(event.level, level);
        let mut fields = event.fields.clone();
        let message = fields.remove("message").unwrap();
        let begin = format!("payments: {from} -> {to}, generation {generation}: ");
        assert!(message.starts_with(&begin), "{message}");
        let mut left = vec![
            ("circuit_breaker.generation", generation.to_string()),
            ("circuit_breaker.name", "payments".to_owned()),
        ];
        left.extend(open_for.map(|it| ("circuit_breaker.open_for", it.to_owned())));
        left.extend([
            ("circuit_breaker.reason", reason.to_owned()),
            ("circuit_breaker.state", to.to_owned()),
            ("circuit_breaker.state.previous", from.to_owned()),
        ]);
        assert_eq!(fields.into_iter().collect::<Vec<_>>(), left);
    }
}

#[test]
fn calls_of_a_closed_breaker_make_no_event_and_allocate_nothing() {
    let collects = Collects::up_to(Level::TRACE);
    let _guard = collects.begin();
    let (builder, _hand) = builder();
    // With shards, the window doesn't grow later.
    let builder = builder.shards(8).trace().trace_rejections(10);
    let payments = builder.build().unwrap();
    succeed(&payments);
    let made = allocation_counter::measure(|| (0..1_000_000).for_each(|_| succeed(&payments)));
    assert_eq!(made.count_total, 0, "{made:?}");
    assert_eq!(collects.take(), []);
}

#[test]
fn a_breaker_that_was_not_asked_makes_no_event() {
    let collects = Collects::up_to(Level::TRACE);
    let _guard = collects.begin();
    let payments = builder().0.build().unwrap();
    payments.force_open();
    assert!(payments.try_acquire().is_err());
    assert_eq!(collects.take(), []);
}

#[test]
fn rejections_make_a_few_events_a_second_with_the_number_left_out() {
    let collects = Collects::up_to(Level::TRACE);
    let _guard = collects.begin();
    let (builder, hand) = builder();
    let payments = builder.trace_rejections(3).build().unwrap();
    payments.force_open();
    (0..100_000).for_each(|_| fail(&payments));
    let events = collects.take();
    assert_eq!(events.len(), 3);
    assert!(events.iter().all(|event| event.level == Level::DEBUG));
    assert!(
        events
            .iter()
            .all(|event| event.name == "circuit_breaker.rejection")
    );
    let message = payments.ask().unwrap_err().to_string();
    events[2].check(&[
        ("circuit_breaker.left_out", "0"),
        ("circuit_breaker.name", "payments"),
        ("circuit_breaker.state", "forced-open"),
        ("message", &message),
    ]);

    hand.advance(SECOND);
    assert!(payments.try_acquire().is_err());
    let rejected = payments.ask().unwrap_err();
    let _rejected = payments.reject(rejected);
    let left_out: Vec<_> = collects.take().iter().map(Got::left_out).collect();
    assert_eq!(left_out, [99_997, 0]);
}

#[test]
fn threads_share_the_bound_and_lose_no_rejection() {
    let collects = Collects::up_to(Level::DEBUG);
    let (builder, hand) = builder();
    let payments = builder.trace_rejections(20).build().unwrap();
    payments.force_open();
    let dispatch = collects.dispatch();
    thread::scope(|scope| {
        for _ in 0..4 {
            let (payments, dispatch) = (&payments, &dispatch);
            scope.spawn(move || {
                with_default_of(dispatch, || (0..1_000).for_each(|_| fail(payments)));
            });
        }
    });
    hand.advance(SECOND);
    with_default_of(&dispatch, || fail(&payments));
    let events = collects.take();
    assert_eq!(events.len(), 21);
    let left_out: usize = events.iter().map(Got::left_out).sum();
    assert_eq!(left_out, 4_001 - 21);
}

/// The rejections that the events of `collects` tell of.
fn told(collects: &Collects) -> usize {
    let events = collects.take();
    let left_out: usize = events.iter().map(Got::left_out).sum();
    events.len() + left_out
}

#[test]
fn each_rejection_in_any_state_is_told_once() {
    let collects = Collects::up_to(Level::DEBUG);
    let _guard = collects.begin();
    let (builder, hand) = builder();
    let payments = builder.trace_rejections(u32::MAX).build().unwrap();
    payments.trip(5 * SECOND);
    fail(&payments);
    hand.advance(5 * SECOND);
    let probe = payments.try_acquire().unwrap();
    assert!(payments.try_acquire_owned().is_err());
    drop(probe);
    payments.force_open();
    fail(&payments);
    let states = |event: &Got| event.fields["circuit_breaker.state"].clone();
    let states: Vec<_> = collects.take().iter().map(states).collect();
    assert_eq!(states, ["open", "half-open", "forced-open"]);

    let (clock, hand) = Clock::mock();
    let ramps = CircuitBreaker::builder("ramps")
        .trip_when(TripPolicy::adaptive())
        .trip_when(TripPolicy::consecutive_failures(5))
        .recovery(Recovery::adaptive().half_open_limit(20 * SECOND, HalfOpenVerdict::Reopen))
        .trace_rejections(u32::MAX)
        .clock(clock);
    let ramps = ramps.build().unwrap();
    for call in 0..20_000 {
        hand.advance(Duration::from_millis(5));
        let is_outage = call % 4_000 < 500;
        let _ = ramps.call(|| if is_outage { Err(()) } else { Ok(()) });
        if call == 10_000 {
            ramps.reconfigure(CircuitBreaker::builder("ramps")).unwrap();
        }
    }
    let rejected = ramps.snapshot().totals().rejected;
    assert!(rejected > 1_000, "{rejected}");
    assert_eq!(told(&collects) as u64, rejected);
}

#[test]
fn transitions_of_all_threads_are_told_once_and_in_order() {
    for _ in 0..200 {
        let collects = Collects::up_to(Level::INFO);
        let payments = builder().0.trace().build().unwrap();
        let dispatch = collects.dispatch();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    with_default_of(&dispatch, || {
                        (0..3).for_each(|_| fail(&payments));
                        payments.reset();
                        payments.force_open();
                    });
                });
            }
        });
        let number = |event: &Got| event.fields["circuit_breaker.generation"].parse().unwrap();
        let told: Vec<u64> = collects.take().iter().map(number).collect();
        let made = payments.snapshot().generation();
        assert_eq!(told, (1..=made).collect::<Vec<_>>());
    }
}

fn with_default_of(dispatch: &Dispatch, act: impl FnOnce()) {
    tracing::dispatcher::with_default(dispatch, act);
}

#[test]
fn a_subscriber_without_that_level_costs_no_count() {
    let collects = Collects::up_to(Level::INFO);
    let payments = builder().0.trace().trace_rejections(3).build().unwrap();
    tracing::dispatcher::with_default(&collects.dispatch(), || {
        payments.force_open();
        (0..10).for_each(|_| fail(&payments));
    });
    assert_eq!(collects.take().len(), 1);
    let all = Collects::up_to(Level::DEBUG);
    tracing::dispatcher::with_default(&all.dispatch(), || fail(&payments));
    let events = all.take();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].left_out(), 0);
}

#[test]
fn a_subscriber_that_panics_harms_no_call() {
    let payments = builder().0.trace().trace_rejections(3).build().unwrap();
    with_default(Panics, || {
        payments.force_open();
        let call = payments.call(|| Ok::<_, &str>(()));
        assert!(call.is_err());
    });
    assert_eq!(payments.snapshot().rejected(), 1);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let (builder, _hand) = builder();
    let error = builder.clone().trace_rejections(0).build().unwrap_err();
    assert_eq!(error.setting, "trace_rejections");
    assert_eq!(builder.clone().trace_rejections(0).validate(), Err(error));
    let payments = builder.clone().trace().build().unwrap();
    let error = payments.reconfigure(builder.clone().trace()).unwrap_err();
    assert_eq!(error.setting, "trace");
    let error = payments.reconfigure(builder.clone().trace_rejections(1));
    assert_eq!(error.unwrap_err().setting, "trace_rejections");
    assert!(payments.reconfigure(builder).is_ok());
}

#[cfg(feature = "registry")]
#[test]
fn each_breaker_of_a_registry_makes_events() {
    use tripcurve::registry::Registry;

    let collects = Collects::up_to(Level::TRACE);
    let _guard = collects.begin();
    let template = builder().0.trace();
    let tenants = Registry::<u32>::builder(template)
        .name_with(|tenant| format!("tenant {tenant}"))
        .build()
        .unwrap();
    for key in [7, 8] {
        tenants.get_or_create(&key).force_open();
    }
    let events = collects.take();
    let names: Vec<_> = events
        .iter()
        .map(|event| &*event.fields["circuit_breaker.name"])
        .collect();
    assert_eq!(names, ["tenant 7", "tenant 8"]);
}
