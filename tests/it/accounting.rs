//! The breaker accounts exactly once for each call that was let through.
//!
//! `admitted = succeeded + failed + ignored + cancelled + in flight`, in every state, through every
//! handle. Each thread keeps its own ledger. The ledgers are compared with the breaker while the
//! threads rest.

#![cfg(all(feature = "bulkhead", feature = "tokio", feature = "async"))]

use std::future::{Future, Pending, pending};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::effort;
use crate::runtime::block_on;
use rand::{Rng, RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use tripcurve::bulkhead::{BlockingBulkhead, Bulkhead};
use tripcurve::handles::{CallTimeout, Handle, OwnedPermit, Waiting, WithBlocking, WithBulkhead};
use tripcurve::snapshot::Snapshot;
use tripcurve::time::{Clock, MockClock};
use tripcurve::window::{Recording, Window};
use tripcurve::{
    CallError, CircuitBreaker, CircuitBreakerBuilder, Outcome, Recovery, State, TripPolicy,
};

const THREADS: u64 = 4;
const ROUNDS: u32 = 20;
const CALLS: u64 = 200;
const HOUR: Duration = Duration::from_secs(3_600);

type Call = Result<Outcome, &'static str>;
type Classifier = fn(&Call) -> Outcome;
type Breaker = CircuitBreaker<Classifier>;
/// A timer that never ends a call.
type NoTimer = fn(Duration) -> Pending<()>;

fn by_its_word(result: &Call) -> Outcome {
    (*result).unwrap_or(Outcome::Failure)
}

/// The end of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Returns(Outcome),
    Panics,
    IsDropped,
    /// The permit is kept into the next round.
    GoesOn,
}

#[derive(Debug, Default)]
struct Ledger {
    admitted: AtomicU64,
    succeeded: AtomicU64,
    failed: AtomicU64,
    ignored: AtomicU64,
    cancelled: AtomicU64,
    rejected: AtomicU64,
    in_flight: AtomicU64,
}

fn add(entry: &AtomicU64) {
    entry.fetch_add(1, Ordering::Relaxed);
}

fn read(entry: &AtomicU64) -> u64 {
    entry.load(Ordering::Relaxed)
}

impl Ledger {
    fn note(&self, end: End) {
        add(match end {
            End::Returns(Outcome::Success) => &self.succeeded,
            End::Returns(Outcome::Ignored) => &self.ignored,
            End::Returns(_) | End::Panics => &self.failed,
            End::IsDropped => &self.cancelled,
            End::GoesOn => &self.in_flight,
        });
    }

    fn note_admitted(&self, end: End) {
        add(&self.admitted);
        self.note(end);
    }

    /// Notes the result of a call through a handle.
    fn note_result(&self, result: Result<Outcome, CallError<&'static str>>, end: End) {
        match result {
            Ok(_) => self.note_admitted(end),
            Err(CallError::Rejected(_)) => add(&self.rejected),
            Err(error) => panic!("{error} at {end:?}"),
        }
    }

    fn balances(&self) {
        let ended = [
            &self.succeeded,
            &self.failed,
            &self.ignored,
            &self.cancelled,
        ];
        let ended: u64 = ended.into_iter().map(read).sum();
        assert_eq!(
            read(&self.admitted),
            ended + read(&self.in_flight),
            "{self:?}"
        );
    }
}

/// One handle of each kind to the same breaker.
struct Handles {
    breaker: Breaker,
    guarded: WithBulkhead<CircuitBreaker<Classifier>>,
    limited: CallTimeout<WithBulkhead<CircuitBreaker<Classifier>>, NoTimer>,
    patient: Waiting<CircuitBreaker<Classifier>>,
    blocking: WithBlocking<Classifier>,
}

impl Handles {
    fn new(
        settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
    ) -> (Self, MockClock) {
        let (clock, hand) = Clock::mock();
        let builder = CircuitBreaker::builder("ledger")
            .max_waiting(100)
            .clock(clock);
        let breaker = settings(builder).build().unwrap();
        let breaker = breaker.with_classifier(by_its_word as Classifier);
        let guarded = breaker.with_bulkhead(Bulkhead::new(1_000).unwrap());
        let never: NoTimer = |_: Duration| pending();
        let threads: BlockingBulkhead = Bulkhead::blocking(2, 1_000).unwrap();
        let handles = Self {
            limited: guarded.call_timeout(HOUR).unwrap().sleep_with(never),
            patient: breaker.waiting(Duration::ZERO).unwrap(),
            blocking: breaker.with_blocking(threads),
            guarded,
            breaker,
        };
        (handles, hand)
    }

    /// Makes a call with this end, through the handle with this number.
    fn call(&self, handle: u64, end: End, ledger: &Ledger, kept: &mut Vec<OwnedPermit>) {
        let returns = move || match end {
            End::Returns(outcome) => Ok(outcome),
            _ => unwind(),
        };
        let is_sync = matches!(end, End::Returns(_) | End::Panics);
        match handle {
            _ if end == End::GoesOn => match self.breaker.try_acquire_owned() {
                Ok(permit) => {
                    ledger.note_admitted(end);
                    kept.push(permit);
                }
                Err(_) => add(&ledger.rejected),
            },
            0 => self.by_permit(end, ledger),
            1 if is_sync => by_call(end, ledger, || self.breaker.call(returns)),
            2 if is_sync => by_call(end, ledger, || self.guarded.call(returns)),
            3 if is_sync => by_call(end, ledger, || self.patient.call(returns)),
            4 if is_sync => by_call(end, ledger, || block_on(self.blocking.call_async(returns))),
            1 | 5 => by_future(end, ledger, || {
                self.breaker.call_async(|| asynchronous(end))
            }),
            2 | 6 => by_future(end, ledger, || {
                self.guarded.call_async(|| asynchronous(end))
            }),
            3 | 7 => by_future(end, ledger, || {
                self.patient.call_async(|| asynchronous(end))
            }),
            _ => by_future(end, ledger, || {
                self.limited.call_async(|| asynchronous(end))
            }),
        }
    }

    fn by_permit(&self, end: End, ledger: &Ledger) {
        let Ok(permit) = self.breaker.try_acquire() else {
            return add(&ledger.rejected);
        };
        ledger.note_admitted(end);
        match end {
            End::Returns(outcome) => {
                permit.record(outcome);
            }
            End::Panics => {
                let unwinds = catch_unwind(AssertUnwindSafe(move || {
                    let _permit = permit;
                    unwind();
                }));
                assert!(unwinds.is_err());
            }
            End::IsDropped | End::GoesOn => drop(permit),
        }
    }

    fn snapshot(&self) -> Snapshot {
        self.breaker.snapshot()
    }

    /// Checks that finished calls have left no traces.
    fn are_at_rest(&self) {
        assert_eq!(self.guarded.bulkhead().in_flight(), 0);
        assert_eq!(self.blocking.bulkhead().in_flight(), 0);
        assert_eq!(self.blocking.bulkhead().queued(), 0);
        assert_eq!(self.patient.queued(), 0);
        let snapshot = self.snapshot();
        assert_eq!(snapshot.probes_in_flight(), 0, "{snapshot:?}");
        assert_eq!(snapshot.overdue(), 0, "{snapshot:?}");
    }
}

/// Notes the outcome of a call that returns or panics.
fn by_call(
    end: End,
    ledger: &Ledger,
    call: impl FnOnce() -> Result<Outcome, CallError<&'static str>>,
) {
    if let Ok(result) = catch_unwind(AssertUnwindSafe(call)) {
        ledger.note_result(result, end);
    } else {
        ledger.note_admitted(end);
    }
}

/// Panics without printing a message.
fn unwind() -> ! {
    resume_unwind(Box::new("as it should"))
}

async fn asynchronous(end: End) -> Call {
    match end {
        End::Returns(outcome) => Ok(outcome),
        End::Panics => unwind(),
        End::IsDropped | End::GoesOn => pending().await,
    }
}

/// Polls a call once, which is enough for one that ends. Drops one that doesn't.
fn by_future<F>(end: End, ledger: &Ledger, call: impl FnOnce() -> F)
where
    F: Future<Output = Result<Outcome, CallError<&'static str>>>,
{
    let poll = || {
        let mut context = Context::from_waker(Waker::noop());
        pin!(call()).as_mut().poll(&mut context)
    };
    match catch_unwind(AssertUnwindSafe(poll)) {
        Ok(Poll::Ready(result)) => ledger.note_result(result, end),
        Ok(Poll::Pending) => {
            assert_eq!(end, End::IsDropped);
            ledger.note_admitted(end);
        }
        Err(_) => ledger.note_admitted(end),
    }
}

fn random(thread: u64, round: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(thread << 32 | round)
}

fn any_end(random: &mut impl Rng, outcomes: &[Outcome]) -> End {
    match random.random_range(0..20) {
        0 => End::Panics,
        1..=3 => End::IsDropped,
        4 => End::GoesOn,
        _ => End::Returns(outcomes[random.random_range(0..outcomes.len())]),
    }
}

/// Runs threads that call at random, in rounds. Calls `check` while the threads rest: between the
/// rounds with calls in flight, and at the end without any.
fn run(handles: &Handles, outcomes: &[Outcome], check: impl Fn(&Ledger, &Snapshot)) -> Ledger {
    let ledger = Ledger::default();
    let mut kept: Vec<Vec<OwnedPermit>> = (0..THREADS).map(|_| Vec::new()).collect();
    let rounds = u64::from(effort::share_of(ROUNDS).max(3));
    for round in 0..=rounds {
        // The last round only ends the calls in flight.
        let calls = if round < rounds { CALLS } else { 0 };
        std::thread::scope(|scope| {
            for (thread, kept) in kept.iter_mut().enumerate() {
                let ledger = &ledger;
                scope.spawn(move || {
                    let mut random = random(thread as u64, round);
                    for permit in kept.drain(..) {
                        ledger.in_flight.fetch_sub(1, Ordering::Relaxed);
                        ledger.note(End::Returns(Outcome::Success));
                        permit.success();
                    }
                    for _ in 0..calls {
                        let end = any_end(&mut random, outcomes);
                        handles.call(random.random_range(0..9), end, ledger, kept);
                    }
                });
            }
        });
        ledger.balances();
        check(&ledger, &handles.snapshot());
    }
    assert_eq!(read(&ledger.in_flight), 0);
    handles.are_at_rest();
    ledger
}

fn never_trips(builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
    builder.trip_when(TripPolicy::failure_count(100_000))
}

const HARMLESS: [Outcome; 4] = [
    Outcome::Success,
    Outcome::Failure,
    Outcome::TimedOut,
    Outcome::Ignored,
];

const ALL: [Outcome; 5] = [
    Outcome::Success,
    Outcome::Failure,
    Outcome::TimedOut,
    Outcome::Ignored,
    Outcome::Trip,
];

/// One window of each kind, so long that no call of a test leaves it.
fn windows() -> [Window; 3] {
    [
        Window::time(HOUR, 10),
        Window::count(100_000).into(),
        Window::count(100_000).within(HOUR).into(),
    ]
}

fn is_counted(ledger: &Ledger, snapshot: &Snapshot) {
    assert_eq!(snapshot.successes(), read(&ledger.succeeded), "{ledger:?}");
    assert_eq!(snapshot.failures(), read(&ledger.failed), "{ledger:?}");
    let uncounted = read(&ledger.ignored) + read(&ledger.cancelled);
    assert_eq!(snapshot.ignored(), uncounted, "{ledger:?}");
    if let Some(latency) = snapshot.latency() {
        // The mock clock stands still, so these are too many calls at once to time each one. Each
        // thread draws a sample of its own. The bound is about six standard deviations.
        let error = latency.count().abs_diff(snapshot.calls());
        assert!(
            error <= snapshot.calls() / 5,
            "{error} of {}",
            snapshot.calls()
        );
    }
    assert_eq!(read(&ledger.rejected), 0);
}

#[test]
fn the_books_balance_while_closed_and_while_only_measuring() {
    for window in windows() {
        for (state, outcomes) in [
            (State::Closed, &HARMLESS[..]),
            (State::MetricsOnly, &ALL[..]),
        ] {
            let (handles, _hand) =
                Handles::new(|builder| never_trips(builder).window(window.clone()).start_in(state));
            run(&handles, outcomes, is_counted);
        }
    }
}

#[test]
fn the_books_balance_where_calls_are_timed() {
    for recording in [Recording::Combined, Recording::ByOutcome] {
        let slow = TripPolicy::slow_rate(1.0)
            .slower_than(HOUR)
            .min_calls(100_000);
        let (handles, _hand) = Handles::new(|builder| {
            let builder = never_trips(builder).trip_when(slow);
            builder.latency(recording).window(Window::time(HOUR, 10))
        });
        run(&handles, &HARMLESS, is_counted);
    }
}

#[test]
fn the_books_balance_where_nothing_is_recorded() {
    let (handles, _hand) = Handles::new(|builder| builder.start_in(State::Disabled));
    run(&handles, &ALL, |ledger, snapshot| {
        assert_eq!(read(&ledger.rejected), 0);
        assert_eq!(snapshot.calls() + snapshot.ignored(), 0);
    });
}

#[test]
fn the_books_balance_while_all_calls_are_rejected() {
    for state in [State::Open, State::ForcedOpen] {
        let (handles, _hand) = Handles::new(|builder| builder.start_in(state));
        run(&handles, &ALL, |ledger, snapshot| {
            assert_eq!(read(&ledger.admitted), 0);
            assert_eq!(snapshot.rejected(), read(&ledger.rejected));
        });
    }
}

#[test]
fn the_books_balance_while_probes_are_out() {
    // These are too few calls to close the breaker, and too few failures to reopen it.
    let recovery = Recovery::fixed(HOUR, 255).success_threshold(254);
    let (handles, _hand) =
        Handles::new(|builder| builder.recovery(recovery).start_in(State::HalfOpen));
    let outcomes = [Outcome::Success, Outcome::Ignored];
    let ledger = Ledger::default();
    let mut kept = Vec::new();
    let mut random = random(0, 0);
    for call in 0..250 {
        let end = match any_end(&mut random, &outcomes) {
            // One probe may fail.
            End::Panics if call % 2 == 0 => End::IsDropped,
            End::Panics => End::Returns(Outcome::Ignored),
            end => end,
        };
        handles.call(random.random_range(0..9), end, &ledger, &mut kept);
        let snapshot = handles.snapshot();
        assert_eq!(snapshot.state(), State::HalfOpen);
        assert_eq!(
            u64::from(snapshot.probes_in_flight()),
            read(&ledger.in_flight)
        );
        assert_eq!(
            u64::from(snapshot.probes_succeeded()),
            read(&ledger.succeeded)
        );
        ledger.balances();
    }
    drop(kept);
    handles.are_at_rest();
}

#[test]
fn nothing_is_left_in_flight_however_the_state_changes_under_the_calls() {
    let recoveries = [
        Recovery::fixed(Duration::from_millis(5), 3),
        Recovery::adaptive(),
        Recovery::steps(&[0.25, 0.5], Duration::from_millis(5)),
    ];
    for recovery in recoveries {
        let slow = TripPolicy::slow_rate(0.9).slower_than(Duration::from_secs(60));
        let (handles, hand) = Handles::new(|builder| {
            builder
                .trip_when(TripPolicy::consecutive_failures(5))
                .trip_when(slow)
                .recovery(recovery)
        });
        let ledger = Ledger::default();
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (handles, ledger, hand) = (&handles, &ledger, &hand);
                scope.spawn(move || {
                    let mut random = random(thread, 0);
                    let mut kept = Vec::new();
                    for _ in 0..10 * CALLS {
                        let end = any_end(&mut random, &ALL);
                        handles.call(random.random_range(0..9), end, ledger, &mut kept);
                        let breaker = &handles.breaker;
                        match random.random_range(0..200) {
                            0 => breaker.trip(Duration::from_millis(1)),
                            1 => breaker.reset(),
                            2 => breaker.force_open(),
                            3 => breaker.disable(),
                            4 => breaker.metrics_only(),
                            5..=20 => hand.advance(Duration::from_millis(1)),
                            21..=40 => {
                                let some = kept.len() / 2;
                                for permit in kept.drain(some..) {
                                    ledger.in_flight.fetch_sub(1, Ordering::Relaxed);
                                    ledger.note(End::IsDropped);
                                    drop(permit);
                                }
                            }
                            _ => {}
                        }
                    }
                    for permit in kept {
                        ledger.in_flight.fetch_sub(1, Ordering::Relaxed);
                        ledger.note(End::Returns(Outcome::Success));
                        permit.success();
                    }
                });
            }
        });
        ledger.balances();
        hand.advance(Duration::from_secs(120));
        handles.are_at_rest();
        handles.breaker.reset();
        assert_eq!(
            handles.breaker.call(|| Ok(Outcome::Success)),
            Ok(Outcome::Success)
        );
        assert_eq!(handles.snapshot().successes(), 1);
    }
}
