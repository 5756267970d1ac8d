//! Attempts of one request count as one call, and the breaker stops them like calls.

use std::future::{Future, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;
use tripcurve::handles::{Attempts, Handle};
use tripcurve::outcome::Classify;
use tripcurve::time::{Clock, MockClock};
use tripcurve::{CallError, CircuitBreaker, CircuitBreakerBuilder, Outcome, Recovery};
use tripcurve::{State, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);

/// Takes the outcome out of the result.
#[derive(Clone, Copy, Debug)]
struct Told;

impl Classify<Outcome, Duration> for Told {
    fn classify(&self, result: &Result<Outcome, Duration>) -> Outcome {
        result.unwrap_or(Outcome::Failure)
    }

    fn retry_after(&self, result: &Result<Outcome, Duration>) -> Option<Duration> {
        result.err()
    }
}

type ToldAttempts<'a> = Attempts<'a, CircuitBreaker<Told>>;

fn built(
    settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) -> (CircuitBreaker<Told>, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("attempted")
        .recovery(Recovery::fixed(5 * SECOND, 1))
        .clock(clock);
    let breaker = settings(builder).build().unwrap();
    (breaker.with_classifier(Told), hand)
}

/// Makes an attempt with this outcome. Returns whether it was made.
fn attempt(attempts: &mut ToldAttempts<'_>, outcome: Outcome) -> bool {
    let result = attempts.call(|| Ok(outcome));
    result.is_ok()
}

/// Successes, failures and ignored or rejected calls.
fn counted<C>(breaker: &CircuitBreaker<C>) -> (u64, u64, u64) {
    let snapshot = breaker.snapshot();
    let uncounted = snapshot.ignored() + snapshot.rejected();
    (snapshot.successes(), snapshot.failures(), uncounted)
}

fn poll<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn eight_failed_attempts_are_one_failure() {
    let (breaker, _hand) = built(|it| it);
    let mut attempts = breaker.attempts();
    for _ in 0..8 {
        assert!(attempt(&mut attempts, Outcome::Failure));
    }
    assert_eq!(counted(&breaker), (0, 0, 0));
    drop(attempts);
    assert_eq!(counted(&breaker), (0, 1, 0));
}

#[test]
fn a_request_that_succeeds_in_the_end_is_one_success() {
    let (breaker, _hand) = built(|it| it);
    let mut attempts = breaker.attempts();
    for outcome in [Outcome::Failure, Outcome::Ignored, Outcome::TimedOut] {
        assert!(attempt(&mut attempts, outcome));
    }
    assert!(attempt(&mut attempts, Outcome::Success));
    assert_eq!(counted(&breaker), (1, 0, 0), "at once");
    drop(attempts);
    assert_eq!(counted(&breaker), (1, 0, 0));
}

#[test]
fn a_request_without_an_attempt_counts_for_nothing() {
    let (breaker, _hand) = built(|it| it.on_cancel(Outcome::Failure));
    drop(breaker.attempts());
    assert_eq!(counted(&breaker), (0, 0, 0));
}

#[test]
fn an_ignored_attempt_leaves_a_failed_request_failed() {
    for (outcomes, expected) in [
        ([Outcome::Ignored, Outcome::Ignored], (0, 0, 1)),
        ([Outcome::Ignored, Outcome::Failure], (0, 1, 0)),
        ([Outcome::Failure, Outcome::Ignored], (0, 1, 0)),
    ] {
        let (breaker, _hand) = built(|it| it);
        let mut attempts = breaker.attempts();
        for outcome in outcomes {
            assert!(attempt(&mut attempts, outcome));
        }
        drop(attempts);
        assert_eq!(counted(&breaker), expected, "{outcomes:?}");
    }
}

#[test]
fn a_breaker_that_opens_stops_the_attempts() {
    let (breaker, hand) = built(|it| it);
    let mut attempts = breaker.attempts();
    assert!(attempt(&mut attempts, Outcome::Failure));
    breaker.trip(5 * SECOND);
    let rejected = attempts.call(|| Ok(Outcome::Success)).unwrap_err();
    let rejected = rejected.rejected().unwrap();
    assert_eq!(rejected.earliest(), Some(5 * SECOND));
    assert_eq!(counted(&breaker), (0, 0, 1), "the rejection");
    drop(attempts);
    assert_eq!(
        counted(&breaker),
        (0, 0, 1),
        "a call of another generation counts nowhere"
    );
    hand.advance(5 * SECOND);
    breaker.try_acquire().unwrap().success();
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_trip_opens_the_breaker_in_the_midst_of_the_attempts() {
    let (breaker, _hand) = built(|it| it);
    let mut attempts = breaker.attempts();
    assert!(attempt(&mut attempts, Outcome::Failure));
    assert!(attempt(&mut attempts, Outcome::Trip));
    assert_eq!(breaker.state(), State::Open);
    assert!(!attempt(&mut attempts, Outcome::Success));
}

#[test]
fn a_half_open_request_is_one_probe_with_all_its_attempts() {
    for last in [Outcome::Success, Outcome::Failure] {
        let (breaker, _hand) = built(|it| it.start_in(State::HalfOpen));
        let mut attempts = breaker.attempts();
        for _ in 0..3 {
            assert!(attempt(&mut attempts, Outcome::Failure));
            assert_eq!(breaker.state(), State::HalfOpen);
            assert_eq!(breaker.snapshot().probes_in_flight(), 1);
            assert!(breaker.try_acquire().is_err(), "its place is taken");
        }
        assert!(attempt(&mut attempts, last));
        drop(attempts);
        let expected = match last {
            Outcome::Success => State::Closed,
            _ => State::Open,
        };
        assert_eq!(breaker.state(), expected);
    }
}

#[test]
fn a_request_that_outlasts_the_open_time_takes_a_place_of_a_probe() {
    let (breaker, hand) = built(|it| it);
    let (mut first, mut second) = (breaker.attempts(), breaker.attempts());
    assert!(attempt(&mut first, Outcome::Failure));
    assert!(attempt(&mut second, Outcome::Failure));
    breaker.trip(SECOND);
    hand.advance(SECOND);
    assert!(attempt(&mut first, Outcome::Failure));
    assert!(
        !attempt(&mut second, Outcome::Success),
        "there is one place"
    );
    assert_eq!(breaker.state(), State::HalfOpen);
    assert!(attempt(&mut first, Outcome::Success));
    assert_eq!(breaker.state(), State::Closed);
    assert!(attempt(&mut second, Outcome::Failure));
    drop(second);
    assert_eq!(counted(&breaker), (0, 1, 0), "in the new generation");
}

#[test]
fn a_request_goes_on_through_commands() {
    let (breaker, _hand) = built(|it| it);
    let mut attempts = breaker.attempts();
    for command in [
        CircuitBreaker::disable,
        CircuitBreaker::metrics_only,
        CircuitBreaker::reset,
    ] {
        assert!(attempt(&mut attempts, Outcome::Failure));
        command(&breaker);
    }
    drop(attempts);
    assert_eq!(counted(&breaker), (0, 0, 0));
    let mut attempts = breaker.attempts();
    breaker.disable();
    assert!(attempt(&mut attempts, Outcome::Failure));
    breaker.metrics_only();
    assert!(attempt(&mut attempts, Outcome::Failure));
    drop(attempts);
    assert_eq!(counted(&breaker), (0, 1, 0));
}

#[test]
fn a_ramp_draws_a_request_once() {
    let (breaker, hand) = built(|it| it.recovery(Recovery::steps(&[0.25, 1.0], SECOND)));
    breaker.trip(SECOND);
    hand.advance(SECOND);
    assert!(attempt(&mut breaker.attempts(), Outcome::Success));
    let mut drawn = 0;
    for _ in 0..100 {
        let mut attempts = breaker.attempts();
        if attempt(&mut attempts, Outcome::Ignored) {
            drawn += 1;
            let further = (0..10).filter(|_| attempt(&mut attempts, Outcome::Ignored));
            assert_eq!(further.count(), 10);
        }
    }
    assert!((1..60).contains(&drawn), "{drawn}");
}

#[test]
fn a_request_dropped_in_an_attempt_counts_as_dropped_calls_do() {
    for (on_cancel, failed_before, expected) in [
        (Outcome::Ignored, false, (0, 0, 1)),
        (Outcome::Failure, false, (0, 1, 0)),
        (Outcome::Ignored, true, (0, 1, 0)),
        (Outcome::Failure, true, (0, 1, 0)),
    ] {
        let (breaker, _hand) = built(|it| it.on_cancel(on_cancel));
        let mut attempts = breaker.attempts();
        if failed_before {
            assert!(attempt(&mut attempts, Outcome::Failure));
        }
        assert!(poll(attempts.call_async(pending)).is_pending());
        drop(attempts);
        assert_eq!(counted(&breaker), expected);
    }
}

#[test]
fn a_dropped_attempt_ends_no_request() {
    let (breaker, _hand) = built(|it| it.on_cancel(Outcome::Failure));
    let mut attempts = breaker.attempts();
    assert!(poll(attempts.call_async(pending)).is_pending());
    let done = poll(attempts.call_async(|| ready(Ok(Outcome::Success))));
    assert_eq!(done, Poll::Ready(Ok(Outcome::Success)));
    assert_eq!(counted(&breaker), (1, 0, 0));
}

#[test]
fn a_panic_is_a_failed_attempt() {
    for is_caught in [false, true] {
        let (breaker, _hand) = built(|it| it);
        let request = || {
            let mut attempts = breaker.attempts();
            let mut panics =
                || attempts.call(|| -> Result<Outcome, Duration> { panic!("in a test") });
            if is_caught {
                assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
            } else {
                let _ = panics();
            }
        };
        let unwound = catch_unwind(AssertUnwindSafe(request));
        assert_eq!(unwound.is_ok(), is_caught);
        assert_eq!(counted(&breaker), (0, 1, 0));
    }
}

#[test]
fn a_panic_of_a_future_is_a_failed_attempt() {
    let (breaker, _hand) = built(|it| it);
    let request = || {
        let mut attempts = breaker.attempts();
        poll(attempts.call_async(async || panic!("in a test")))
    };
    assert!(catch_unwind(AssertUnwindSafe(request)).is_err());
    assert_eq!(counted(&breaker), (0, 1, 0));
}

#[test]
fn a_classifier_that_panics_leaves_the_attempt_ignored() {
    let breaker = CircuitBreaker::builder("panics")
        .classify(|_: &Result<(), ()>| -> Outcome { panic!("in a test") })
        .build()
        .unwrap();
    let request = || breaker.attempts().call(|| Err(()));
    assert!(catch_unwind(AssertUnwindSafe(request)).is_err());
    assert_eq!(counted(&breaker), (0, 0, 1));
}

#[test]
fn the_longest_retry_after_applies() {
    let (breaker, _hand) = built(|it| it.trip_when(TripPolicy::consecutive_failures(1)));
    let mut attempts = breaker.attempts();
    for seconds in [20, 60, 10] {
        assert!(attempts.call(|| Err(seconds * SECOND)).is_err());
    }
    drop(attempts);
    assert_eq!(breaker.ask().unwrap_err().earliest(), Some(60 * SECOND));
}

/// A breaker in which a call of more than a second is slow.
fn slow_calls(
    settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) -> (CircuitBreaker<Told>, MockClock) {
    let slow_rate = TripPolicy::slow_rate(1.0).slower_than(SECOND);
    built(|it| settings(it.trip_when(slow_rate.min_calls(100))))
}

#[test]
fn a_request_takes_as_long_as_one_attempt() {
    let in_state = |state| slow_calls(|it| it.start_in(state));
    for state in [State::Closed, State::MetricsOnly] {
        for (last, takes, slow) in [
            (Outcome::Success, SECOND / 2, 0),
            (Outcome::Success, SECOND * 5 / 4, 1),
            (Outcome::Failure, SECOND / 2, 0),
            (Outcome::Failure, SECOND * 5 / 4, 1),
        ] {
            let (breaker, hand) = in_state(state);
            let mut attempts = breaker.attempts();
            for outcome in [Outcome::Failure, Outcome::Failure, last] {
                let made = attempts.call(|| {
                    hand.advance(takes);
                    Ok(outcome)
                });
                assert!(made.is_ok());
                hand.advance(2 * SECOND); // a pause
            }
            drop(attempts);
            assert_eq!(breaker.snapshot().slow(), slow, "{last:?} {takes:?}");
        }
    }
    // A slow probe fails, and its pauses don't make it slow.
    let (breaker, hand) = in_state(State::HalfOpen);
    let mut attempts = breaker.attempts();
    assert!(attempt(&mut attempts, Outcome::Failure));
    hand.advance(2 * SECOND);
    assert!(attempt(&mut attempts, Outcome::Success));
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn each_attempt_has_a_time_limit_of_its_own() {
    let (breaker, _hand) = built(|it| it);
    let limited = breaker
        .call_timeout(SECOND)
        .unwrap()
        .sleep_with(|_: Duration| ready(()));
    let mut attempts = limited.attempts();
    for _ in 0..3 {
        let timed_out = poll(attempts.call_async(pending));
        assert!(matches!(
            timed_out,
            Poll::Ready(Err(CallError::TimedOut(_)))
        ));
    }
    drop(attempts);
    assert_eq!(counted(&breaker), (0, 1, 0));
}

#[cfg(feature = "bulkhead")]
#[test]
fn a_request_holds_a_place_of_the_bulkhead_in_its_attempts_alone() {
    use tripcurve::bulkhead::Bulkhead;
    for state in [State::Closed, State::HalfOpen] {
        let (breaker, _hand) = built(|it| it.start_in(state));
        let one = Bulkhead::new(1).unwrap();
        let guarded = breaker.with_bulkhead(one.clone());
        let mut attempts = guarded.attempts();
        let within = attempts.call(|| {
            assert_eq!(one.in_flight(), 1);
            Ok(Outcome::Failure)
        });
        assert!(within.is_ok());
        assert_eq!(one.in_flight(), 0, "in the pause");
        let place = one.try_acquire().unwrap();
        let full = attempts.call(|| Ok(Outcome::Success));
        assert!(matches!(full, Err(CallError::Full(_))));
        drop(place);
        drop(attempts);
        let failed = breaker.snapshot().failures() == 1 || breaker.state() == State::Open;
        assert!(failed, "the attempt that was made has failed");
    }
}

#[cfg(feature = "async")]
#[test]
fn attempts_of_a_handle_that_waits_are_parts_of_the_probe() {
    let (breaker, _hand) = built(|it| it.max_waiting(10).start_in(State::HalfOpen));
    let patient = breaker.waiting(Duration::MAX).unwrap();
    let mut attempts = patient.attempts();
    for outcome in [Outcome::Failure, Outcome::Success] {
        let done = poll(attempts.call_async(|| ready(Ok(outcome))));
        assert_eq!(done, Poll::Ready(Ok(outcome)));
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn attempts_allocate_nothing() {
    let (breaker, _hand) = built(|it| it);
    let request = || {
        let mut attempts = breaker.attempts();
        for outcome in [Outcome::Failure, Outcome::TimedOut, Outcome::Success] {
            assert!(attempt(&mut attempts, outcome));
        }
        assert!(poll(attempts.call_async(pending)).is_pending());
    };
    request();
    assert_eq!(allocation_counter::measure(request).count_total, 0);
}

#[test]
fn attempts_can_be_made_in_a_task() {
    fn is_send<T: Send>(_: T) {}
    let (breaker, _hand) = built(|it| it);
    is_send(async {
        let mut attempts = breaker.attempts();
        attempts.call_async(|| ready(Ok(Outcome::Success))).await
    });
}

/// What a breaker with `consecutive_failures(3)`, one probe and five seconds of open time counts,
/// said in plain words.
#[derive(Debug, Default)]
struct Statement {
    state: Phase,
    generation: u64,
    now: Duration,
    counts: (u64, u64, u64),
    /// Successes, failures, and ignored or rejected calls of all generations.
    totals: (u64, u64, u64),
    in_a_row: u64,
    requests: [Requested; 3],
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Phase {
    #[default]
    Closed,
    Open {
        until: Duration,
    },
    HalfOpen {
        is_taken: bool,
    },
}

/// One request, as it stands between its attempts.
#[derive(Clone, Copy, Debug, Default)]
struct Requested {
    /// The generation that records it.
    admitted: Option<u64>,
    says: Option<Outcome>,
}

impl Statement {
    fn enter(&mut self, state: Phase) {
        self.state = state;
        self.generation += 1;
        self.counts = (0, 0, 0);
        self.in_a_row = 0;
    }

    fn open(&mut self, open_for: Duration) {
        let until = self.now + open_for;
        self.enter(Phase::Open { until });
    }

    /// Whether an attempt is let through.
    fn asks(&mut self, request: usize) -> bool {
        let belongs = self.requests[request].admitted == Some(self.generation);
        match self.state {
            Phase::Closed => true,
            Phase::Open { until } if self.now >= until => {
                self.enter(Phase::HalfOpen { is_taken: true });
                true
            }
            Phase::HalfOpen { is_taken: false } => {
                self.state = Phase::HalfOpen { is_taken: true };
                true
            }
            Phase::HalfOpen { .. } if belongs => true,
            _ => {
                self.counts.2 += 1;
                self.totals.2 += 1;
                false
            }
        }
    }

    fn attempt(&mut self, request: usize, outcome: Option<Outcome>) -> bool {
        if !self.asks(request) {
            return false;
        }
        let requested = &mut self.requests[request];
        requested.admitted = Some(self.generation);
        requested.says = match (outcome, requested.says) {
            (Some(Outcome::Ignored) | None, Some(Outcome::Failure)) => requested.says,
            _ => outcome,
        };
        if let Some(Outcome::Success | Outcome::Trip) = outcome {
            self.end(request);
        }
        true
    }

    fn end(&mut self, request: usize) {
        let Requested { admitted, says } = std::mem::take(&mut self.requests[request]);
        // A dropped call counts as ignored.
        let says = says.unwrap_or(Outcome::Ignored);
        match says {
            _ if admitted.is_none() => {}
            Outcome::Success => self.totals.0 += 1,
            Outcome::Ignored => self.totals.2 += 1,
            _ => self.totals.1 += 1,
        }
        if admitted != Some(self.generation) {
            return;
        }
        match (self.state, says) {
            (Phase::Closed, Outcome::Success) => {
                self.counts.0 += 1;
                self.in_a_row = 0;
            }
            (Phase::Closed, Outcome::Ignored) => self.counts.2 += 1,
            (Phase::Closed, outcome) => {
                self.counts.1 += 1;
                self.in_a_row += 1;
                if outcome == Outcome::Trip || self.in_a_row == 3 {
                    self.open(5 * SECOND);
                }
            }
            (_, Outcome::Success) => self.enter(Phase::Closed),
            (_, Outcome::Ignored) => self.state = Phase::HalfOpen { is_taken: false },
            _ => self.open(5 * SECOND),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// An attempt of a request; `None` is one that is dropped.
    Attempt(usize, Option<Outcome>),
    End(usize),
    Pass(u64),
    Trip,
    Reset,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![
        6 => Just(Some(Outcome::Failure)),
        4 => Just(Some(Outcome::Success)),
        2 => Just(Some(Outcome::Ignored)),
        1 => Just(Some(Outcome::Trip)),
        1 => Just(None),
    ];
    let step = prop_oneof![
        8 => (0..3_usize, outcome).prop_map(|(request, outcome)| Step::Attempt(request, outcome)),
        4 => (0..3_usize).prop_map(Step::End),
        4 => (1..4_u64).prop_map(Step::Pass),
        1 => Just(Step::Trip),
        1 => Just(Step::Reset),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_count_as_a_plain_statement_says(steps in steps()) {
        let (breaker, hand) = built(|it| {
            let hour = tripcurve::window::Window::time(3_600 * SECOND, 10);
            let policy = TripPolicy::consecutive_failures(3);
            it.trip_when(policy).window(hour).probe_timeout(Duration::MAX)
        });
        let mut statement = Statement::default();
        let mut requests = [breaker.attempts(), breaker.attempts(), breaker.attempts()];
        for step in steps {
            match step {
                Step::Attempt(request, Some(outcome)) => {
                    let made = attempt(&mut requests[request], outcome);
                    prop_assert_eq!(made, statement.attempt(request, Some(outcome)));
                }
                Step::Attempt(request, None) => {
                    let made = poll(requests[request].call_async(pending)).is_pending();
                    prop_assert_eq!(made, statement.attempt(request, None));
                }
                Step::End(request) => {
                    requests[request] = breaker.attempts();
                    statement.end(request);
                }
                Step::Pass(seconds) => {
                    let passed = Duration::from_secs(seconds);
                    hand.advance(passed);
                    statement.now += passed;
                }
                Step::Trip => {
                    breaker.trip(2 * SECOND);
                    statement.open(2 * SECOND);
                }
                Step::Reset => {
                    breaker.reset();
                    statement.enter(Phase::Closed);
                }
            }
            let state = match statement.state {
                Phase::Closed => State::Closed,
                Phase::Open { .. } => State::Open,
                Phase::HalfOpen { .. } => State::HalfOpen,
            };
            let totals = breaker.snapshot().totals();
            let uncounted = totals.ignored + totals.rejected;
            let totals = (totals.successes, totals.failures, uncounted);
            prop_assert_eq!(totals, statement.totals, "{:?}", step);
            prop_assert_eq!((breaker.state(), counted(&breaker)), (state, statement.counts), "{:?}", step);
        }
    }
}
