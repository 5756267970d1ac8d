//! The breakers, with all kinds of windows, policies, recoveries and handles.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tower::BoxError;
use tripcurve::bulkhead::{BlockingBulkhead, Bulkhead};
use tripcurve::events::Transition;
use tripcurve::handles::{CallTimeout, Handle, InSpan, Waiting, WithBlocking, WithBulkhead};
use tripcurve::registry::{ControlGroup, Registry, Roster};
use tripcurve::retry::RetryBudget;
use tripcurve::snapshot::Snapshot;
use tripcurve::tower::CallsInFlight;
use tripcurve::window::{Recording, Window};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, Recovery, TripPolicy};

use crate::books::Books;
use crate::client::Reply;
use crate::faults::{Judge, judge};

pub(crate) type Breaker = CircuitBreaker<Judge>;
pub(crate) type WebJudge = fn(&Result<Reply, BoxError>) -> Outcome;
type Patient = CallTimeout<WithBulkhead<Waiting<InSpan<Breaker>>>>;

/// The number of breakers that the registry keeps.
const CAPACITY: usize = 256;

/// The registry keeps open breakers up to this bound, as its documentation says.
const MOST_BREAKERS: usize = 2 * CAPACITY + CAPACITY / 16 + 16;

/// A slower answer of the backend is a failure.
const TOO_SLOW: Duration = Duration::from_millis(250);

/// A breaker and the books of its callers.
pub(crate) struct Line<B = Breaker> {
    pub(crate) breaker: B,
    pub(crate) books: Books,
}

impl<B> Line<B> {
    fn new(breaker: B) -> Self {
        let books = Books::default();
        Self { breaker, books }
    }
}

/// All that is under load. It lives as long as the run.
pub(crate) struct Parts {
    pub(crate) roster: Roster,
    pub(crate) group: ControlGroup,
    /// For threads that call without a pause.
    pub(crate) plain: Vec<Line>,
    /// Commands and reconfigurations go to these.
    pub(crate) places: Bulkhead,
    pub(crate) guarded: Line<WithBulkhead<Breaker>>,
    pub(crate) patient: Line<Patient>,
    pub(crate) budget: RetryBudget,
    pub(crate) blocking: Line<WithBlocking<Judge>>,
    pub(crate) keys: Registry<u32, Judge>,
    pub(crate) keys_books: Books,
    pub(crate) web: [Line<CircuitBreaker<WebJudge>>; 2],
    pub(crate) web_in_flight: CallsInFlight,
    pub(crate) transitions: Arc<AtomicU64>,
}

/// The settings between which one breaker changes while threads call.
pub(crate) fn changing(version: usize) -> CircuitBreakerBuilder {
    let builder = CircuitBreaker::builder("changing");
    match version % 4 {
        0 => builder.trip_when(TripPolicy::classic()),
        1 => builder
            .window(Window::count(500))
            .trip_when(TripPolicy::failure_rate(0.5).min_calls(50)),
        2 => builder
            .window(Window::time(Duration::from_secs(5), 20))
            .latency(Recording::ByOutcome),
        _ => builder.trip_when(TripPolicy::consecutive_failures(20)),
    }
}

fn web_judge(result: &Result<Reply, BoxError>) -> Outcome {
    match result {
        Ok(reply) if reply.is_server_error() || reply.took > TOO_SLOW => Outcome::Failure,
        Ok(_) => Outcome::Success,
        Err(_) => Outcome::Failure,
    }
}

impl Parts {
    pub(crate) fn new() -> Result<Self, BoxError> {
        let (roster, group) = (Roster::new(), ControlGroup::new());
        let transitions = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&transitions);
        let listener = move |_: &Transition| {
            counted.fetch_add(1, Ordering::Relaxed);
        };
        let built = |builder: CircuitBreakerBuilder| {
            let builder = builder.on_transition(listener.clone()).trace();
            builder.enlist(&roster).classify(judge as Judge).build()
        };
        let named = |name: &'static str| CircuitBreaker::builder(name);
        let seconds = Duration::from_secs;
        let slow = TripPolicy::slow_rate(0.5).slower_than(Duration::from_millis(500));
        let plain = [
            named("defaults"),
            named("counted")
                .window(Window::count(1_000))
                .trip_when(TripPolicy::failure_rate(0.5).min_calls(100))
                .recovery(Recovery::fixed(Duration::from_millis(300), 5)),
            named("timed")
                .window(Window::time(seconds(10), 100))
                .latency(Recording::ByOutcome)
                .trip_when(TripPolicy::failure_rate(0.3).min_calls(20))
                .trip_when(slow.min_calls(50)),
            named("both").window(Window::count(2_000).within(seconds(5))),
            named("stepwise")
                .trip_when(TripPolicy::consecutive_failures(30))
                .recovery(Recovery::adaptive()),
            changing(0),
        ];
        let plain = plain
            .into_iter()
            .map(built)
            .collect::<Result<Vec<_>, _>>()?;
        group.add(&plain[1]);

        let places = Bulkhead::new(2)?
            .named("places")
            .max_wait(Duration::from_millis(50));
        let guarded = built(named("guarded"))?.with_bulkhead(places.clone());
        let patient = built(named("patient").max_waiting(64))?;
        let budget = RetryBudget::new(&patient);
        let wait = Duration::from_millis(200);
        let patient_places = Bulkhead::new(100)?.named("patient").max_wait(wait);
        let patient = patient.in_span().waiting(wait)?;
        let patient = patient
            .with_bulkhead(patient_places)
            .call_timeout(2 * wait)?;
        let pool: BlockingBulkhead = Bulkhead::blocking(2, 32)?;
        let blocking = built(named("blocking"))?.with_blocking(pool);

        let template = CircuitBreaker::builder("keys")
            .trip_when(TripPolicy::consecutive_failures(5))
            .on_transition(listener.clone());
        let keys = Registry::builder(template.classify(judge as Judge))
            .capacity(CAPACITY)
            .max_open_share(0.5)
            .enlist(&roster)
            .build()?;

        let web = |name| {
            let builder = named(name).on_transition(listener.clone()).enlist(&roster);
            builder
                .classify(web_judge as WebJudge)
                .build()
                .map(Line::new)
        };
        Ok(Self {
            plain: plain.into_iter().map(Line::new).collect(),
            guarded: Line::new(guarded),
            patient: Line::new(patient),
            blocking: Line::new(blocking),
            keys_books: Books::default(),
            web: [web("payments")?, web("recommendations")?],
            web_in_flight: CallsInFlight::new(),
            roster,
            group,
            places,
            budget,
            keys,
            transitions,
        })
    }

    /// A snapshot of each breaker but those by key, and the books of its callers.
    pub(crate) fn pairs(&self) -> Vec<(Snapshot, &Books)> {
        let plain = self.plain.iter();
        let mut all: Vec<_> = plain.map(|it| (it.breaker.snapshot(), &it.books)).collect();
        let web = self.web.iter();
        all.extend(web.map(|it| (it.breaker.snapshot(), &it.books)));
        let guarded = self.guarded.breaker.breaker().snapshot();
        all.push((guarded, &self.guarded.books));
        all.push((
            self.patient.breaker.breaker().snapshot(),
            &self.patient.books,
        ));
        all.push((
            self.blocking.breaker.breaker().snapshot(),
            &self.blocking.books,
        ));
        all
    }

    /// All calls by all callers.
    pub(crate) fn asked(&self) -> u64 {
        let others: u64 = self.pairs().iter().map(|(_, books)| books.asked()).sum();
        others + self.keys_books.asked()
    }

    /// Checks the books, and that nothing is in flight. Only at rest.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (snapshot, books) in self.pairs() {
            books.equal(&snapshot)?;
        }
        self.keys_books.are_closed("keys")?;
        let patient = self.patient.breaker.inner();
        let held = [
            ("places in use", self.places.in_flight()),
            ("callers waiting for a place", self.places.waiting()),
            ("patient places in use", patient.bulkhead().in_flight()),
            ("patient callers waiting", patient.bulkhead().waiting()),
            (
                "blocking calls in flight",
                self.blocking.breaker.bulkhead().in_flight(),
            ),
            (
                "blocking calls queued",
                self.blocking.breaker.bulkhead().queued(),
            ),
            ("requests in flight", self.web_in_flight.count()),
        ];
        for (what, number) in held {
            if number > 0 {
                return Err(format!("{number} {what} at rest"));
            }
        }
        let breakers = self.keys.len();
        if breakers > MOST_BREAKERS {
            return Err(format!(
                "{breakers} breakers by key, at most {MOST_BREAKERS} are kept"
            ));
        }
        Ok(())
    }
}
