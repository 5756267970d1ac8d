//! Calls that wait for the verdict of the probes. They are let through when the breaker closes, and
//! rejected when it opens. They never wait for a past verdict.
#![cfg(feature = "async")]

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::race::{THREADS, in_rounds};
use tripcurve::handles::{Handle, Waiting};
use tripcurve::time::{Clock, MockClock, Sleep};
use tripcurve::{
    CallError, CircuitBreaker, CircuitBreakerBuilder, Outcome, Permit, Recovery, Rejected, State,
    TripPolicy,
};

const SECOND: Duration = Duration::from_secs(1);

/// A half-open breaker with one place, whose callers wait without limit.
fn patient(
    settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) -> (Patient, MockClock) {
    patient_by(|builder| settings(builder.open_for(SECOND).probes(1)))
}

/// A breaker with a recovery that the test chooses.
fn patient_by(
    settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) -> (Patient, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("patient")
        .trip_when(TripPolicy::consecutive_failures(1))
        .max_waiting(10)
        .start_in(State::HalfOpen)
        .clock(clock);
    let breaker = settings(builder).build().unwrap();
    let waiting = breaker.waiting(Duration::MAX).unwrap();
    (Hand::default().gives_time_to(waiting), hand)
}

fn rejection(error: CallError<Infallible>) -> Rejected {
    match error {
        CallError::Rejected(rejected) => rejected,
        other => panic!("{other}"),
    }
}

fn probe<S: Sleep>(waiting: &Waiting<CircuitBreaker, S>) -> Permit<'_> {
    waiting.breaker().try_acquire().unwrap()
}

type Acquire<'a> = Pin<Box<dyn Future<Output = Result<Permit<'a>, Rejected>> + Send + 'a>>;

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// A task that has asked, and waits.
#[track_caller]
fn waits<S: Sleep + Sync + 'static>(waiting: &Waiting<CircuitBreaker, S>) -> Acquire<'_> {
    let mut future: Acquire<'_> =
        Box::pin(async { waiting.acquire_async().await.map_err(rejection) });
    assert!(poll(&mut future).is_pending());
    future
}

#[track_caller]
fn answer<'a>(future: &mut Acquire<'a>) -> Result<Permit<'a>, Rejected> {
    match poll(future) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("it still waits"),
    }
}

/// Counts how many times a task was woken.
#[derive(Default)]
struct Bell(AtomicU32);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A timer that the test fires by hand.
#[derive(Clone, Default)]
struct Hand {
    millis: Arc<AtomicU64>,
    asked: Arc<Mutex<Vec<Duration>>>,
}

impl Hand {
    fn now(&self) -> Duration {
        Duration::from_millis(self.millis.load(Ordering::SeqCst))
    }

    fn gives_time_to<S: Sleep>(&self, waiting: Waiting<CircuitBreaker, S>) -> Patient {
        waiting.sleep_with(self.clone())
    }

    fn let_pass(&self, millis: u64) {
        self.millis.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Sleep for Hand {
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        self.asked.lock().unwrap().push(duration);
        let (hand, end) = (self.clone(), self.now() + duration);
        std::future::poll_fn(move |_| {
            if hand.now() < end {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
    }
}

/// A handle whose tasks wait on a timer that fires by hand.
type Patient = Waiting<CircuitBreaker, Hand>;

#[test]
fn a_breaker_whose_builder_says_nothing_of_waiting_has_no_waiting_calls() {
    let breaker = CircuitBreaker::new("impatient");
    let error = breaker.waiting(SECOND).unwrap_err();
    assert_eq!(error.setting, "max_waiting");
}

#[test]
fn room_for_nobody_or_for_more_than_a_million_is_refused() {
    for calls in [0, 1_000_001] {
        let builder = CircuitBreaker::builder("patient").max_waiting(calls);
        let error = builder.build().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "max_waiting: {calls} is not in 1..=1000000; as many as the dependency bears at once \
                 when it has just recovered"
            )
        );
    }
}

#[test]
fn a_call_of_a_closed_breaker_is_made_and_one_of_an_open_breaker_rejected_at_once() {
    let (waiting, _) = patient(|builder| builder.start_in(State::Closed));
    assert_eq!(waiting.call(|| Ok::<_, &str>(7)), Ok(7));
    assert_eq!(
        waiting.call(|| Err::<u32, _>("no")),
        Err(CallError::Inner("no"))
    );
    let error = waiting.call(|| Ok::<_, &str>(7)).unwrap_err();
    assert_eq!(error.rejected().unwrap().state(), State::Open);
    waiting.breaker().force_open();
    assert!(waiting.acquire().is_err());
}

#[test]
fn who_waits_is_let_through_when_the_breaker_closes() {
    let (waiting, _) = patient(|builder| builder);
    let probe = probe(&waiting);
    let mut tasks: Vec<_> = (0..3).map(|_| waits(&waiting)).collect();
    assert_eq!(waiting.queued(), 3);
    probe.success();
    for task in &mut tasks {
        answer(task).unwrap().success();
    }
    assert_eq!(waiting.queued(), 0);
    let snapshot = waiting.breaker().snapshot();
    assert_eq!((snapshot.successes(), snapshot.rejected()), (3, 0));
}

#[test]
fn who_waits_is_rejected_when_the_breaker_opens_again() {
    let (waiting, _) = patient(|builder| builder);
    let probe = probe(&waiting);
    let mut task = waits(&waiting);
    probe.failure();
    let rejected = answer(&mut task).unwrap_err();
    assert_eq!(rejected.state(), State::Open);
    assert_eq!(waiting.queued(), 0);
}

#[test]
fn a_wait_is_not_counted_as_a_rejection() {
    let (waiting, _) = patient(|builder| builder);
    let _probe = probe(&waiting);
    let task = waits(&waiting);
    assert_eq!(waiting.breaker().snapshot().rejected(), 0);
    drop(task);
    assert_eq!(waiting.breaker().snapshot().rejected(), 0);
}

#[test]
fn who_waits_hears_of_a_command() {
    let commands: [fn(&CircuitBreaker); 6] = [
        CircuitBreaker::reset,
        CircuitBreaker::disable,
        CircuitBreaker::metrics_only,
        CircuitBreaker::force_open,
        |breaker| breaker.trip(SECOND),
        |breaker| {
            breaker.force_open();
            breaker.reset();
        },
    ];
    for (number, command) in commands.into_iter().enumerate() {
        let (waiting, _) = patient(|builder| builder);
        let _probe = probe(&waiting);
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        let mut task: Acquire<'_> =
            Box::pin(async { waiting.acquire_async().await.map_err(rejection) });
        let first = task.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(first.is_pending());
        command(waiting.breaker());
        assert_eq!(bell.0.load(Ordering::SeqCst), 1);
        let is_let_through = ![3, 4].contains(&number);
        assert_eq!(answer(&mut task).is_ok(), is_let_through, "{number}");
    }
}

#[test]
fn the_first_who_waits_becomes_the_probe_when_one_is_cancelled() {
    let (waiting, _) = patient(|builder| builder);
    let probe = probe(&waiting);
    let mut first = waits(&waiting);
    let mut second = waits(&waiting);
    drop(probe);
    assert!(poll(&mut second).is_pending());
    let place = answer(&mut first).unwrap();
    assert!(poll(&mut second).is_pending());
    place.record(Outcome::Ignored);
    answer(&mut second).unwrap().success();
    assert_eq!(waiting.breaker().state(), State::Closed);
}

#[test]
fn a_call_that_comes_first_takes_the_place_and_who_was_woken_waits_on() {
    let (waiting, _) = patient(|builder| builder);
    let first_probe = probe(&waiting);
    let mut task = waits(&waiting);
    drop(first_probe);
    let faster = probe(&waiting);
    assert!(poll(&mut task).is_pending());
    assert_eq!(waiting.queued(), 1);
    faster.success();
    assert!(answer(&mut task).is_ok());
}

#[test]
fn a_place_meant_for_a_task_that_is_dropped_goes_to_the_next() {
    let (waiting, _) = patient(|builder| builder);
    let probe = probe(&waiting);
    let first = waits(&waiting);
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut second: Acquire<'_> =
        Box::pin(async { waiting.acquire_async().await.map_err(rejection) });
    let asked = second.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(asked.is_pending());
    drop(probe);
    assert_eq!(bell.0.load(Ordering::SeqCst), 0);
    drop(first);
    assert_eq!(bell.0.load(Ordering::SeqCst), 1);
    assert!(answer(&mut second).is_ok());
    assert_eq!(waiting.queued(), 0);
}

#[test]
fn a_task_that_is_dropped_leaves_no_trace() {
    let (waiting, _) = patient(|builder| builder);
    let probe = probe(&waiting);
    drop(waits(&waiting));
    assert_eq!(waiting.queued(), 0);
    probe.success();
    assert_eq!(waiting.breaker().state(), State::Closed);
}

#[test]
fn all_needed_probes_are_waited_for() {
    let (waiting, _) = patient(|builder| builder.probes(2));
    let (one, other) = (probe(&waiting), probe(&waiting));
    let mut task = waits(&waiting);
    one.success();
    assert!(poll(&mut task).is_pending());
    other.success();
    assert!(answer(&mut task).is_ok());
}

#[test]
fn who_finds_no_room_is_rejected_at_once() {
    let (waiting, _) = patient(|builder| builder.max_waiting(1));
    let probe = probe(&waiting);
    let mut task = waits(&waiting);
    let rejected = waiting.acquire().map_err(rejection).unwrap_err();
    assert_eq!(rejected.state(), State::HalfOpen);
    assert_eq!(waiting.breaker().snapshot().rejected(), 1);
    probe.success();
    assert!(answer(&mut task).is_ok());
}

#[test]
fn a_wait_of_zero_is_a_rejection_at_once() {
    let (waiting, _) = patient(|builder| builder);
    let impatient = waiting.breaker().waiting(Duration::ZERO).unwrap();
    let _probe = probe(&waiting);
    assert_eq!(
        impatient.acquire().map_err(rejection).unwrap_err().state(),
        State::HalfOpen
    );
    assert_eq!(waiting.breaker().snapshot().rejected(), 1);
}

#[test]
fn a_thread_waits_no_longer_than_its_bound() {
    let (waiting, _) = patient(|builder| builder);
    let brief = waiting.breaker().waiting(Duration::from_millis(1)).unwrap();
    let probe = probe(&waiting);
    let rejected = brief.acquire().map_err(rejection).unwrap_err();
    assert_eq!(rejected.state(), State::HalfOpen);
    assert_eq!(waiting.breaker().snapshot().rejected(), 1);
    probe.success();
    assert!(brief.acquire().is_ok());
}

#[test]
fn a_task_waits_no_longer_than_its_bound_however_often_it_is_woken() {
    let (unbounded, _) = patient(|builder| builder.probe_timeout(Duration::MAX));
    let hand = Hand::default();
    let bounded = unbounded.breaker().waiting(SECOND).unwrap();
    let waiting = hand.gives_time_to(bounded);
    let first_probe = probe(&waiting);
    let mut task = waits(&waiting);
    hand.let_pass(600);
    drop(first_probe);
    let _faster = probe(&waiting);
    assert!(poll(&mut task).is_pending());
    hand.let_pass(399);
    assert!(poll(&mut task).is_pending());
    hand.let_pass(1);
    assert_eq!(answer(&mut task).unwrap_err().state(), State::HalfOpen);
    assert_eq!(*hand.asked.lock().unwrap(), [SECOND]);
    assert_eq!(waiting.queued(), 0);
}

#[test]
fn who_waits_becomes_the_probe_when_the_probes_are_overdue() {
    let (unbounded, clock) = patient(|builder| builder.probe_timeout(SECOND));
    let hand = Hand::default();
    let waiting = hand.gives_time_to(unbounded);
    let _lost = probe(&waiting);
    clock.advance(SECOND / 4);
    let mut task = waits(&waiting);
    let mut other = waits(&waiting);
    assert_eq!(*hand.asked.lock().unwrap(), [SECOND * 3 / 4; 2]);
    hand.let_pass(750);
    clock.advance(SECOND * 3 / 4);
    let probe = answer(&mut task).unwrap();
    assert!(poll(&mut other).is_pending());
    probe.success();
    assert!(answer(&mut other).is_ok());
}

#[test]
fn a_thread_that_waits_becomes_the_probe_when_the_probes_are_overdue() {
    let timeout = Duration::from_millis(1);
    let (waiting, _) = patient(|builder| builder.probe_timeout(timeout).clock(Clock::default()));
    let lost = probe(&waiting);
    let probe = waiting.acquire().unwrap();
    lost.failure();
    probe.success();
    assert_eq!(waiting.breaker().state(), State::Closed);
}

#[test]
fn a_ramp_lets_through_or_rejects_at_once_who_has_waited_for_its_probe() {
    let (waiting, _) = patient_by(|builder| builder.recovery(Recovery::adaptive()));
    let probe = probe(&waiting);
    let mut tasks: Vec<_> = (0..10).map(|_| waits(&waiting)).collect();
    probe.success();
    assert_eq!(waiting.breaker().state(), State::HalfOpen);
    let answers: Vec<_> = tasks.iter_mut().map(answer).collect();
    let through = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(through < 10, "{through}");
    assert_eq!(waiting.queued(), 0);
}

#[test]
fn the_time_of_a_call_begins_when_it_is_let_through() {
    let slow = TripPolicy::slow_rate(0.5).slower_than(SECOND).min_calls(1);
    let (waiting, clock) = patient(|builder| builder.trip_when(slow));
    let probe = probe(&waiting);
    let mut task = waits(&waiting);
    probe.success();
    clock.advance(SECOND * 2);
    answer(&mut task).unwrap().success();
    assert_eq!(waiting.breaker().state(), State::Closed);
}

#[test]
fn an_asynchronous_call_waits_and_is_made() {
    let (waiting, _) = patient(|builder| builder);
    let probe = probe(&waiting);
    let mut call = Box::pin(waiting.call_async(|| async { Ok::<_, &str>(7) }));
    assert!(poll(&mut call).is_pending());
    probe.success();
    assert_eq!(poll(&mut call), Poll::Ready(Ok(7)));
}

#[test]
fn threads_that_wait_while_the_breaker_closes_or_opens_are_all_answered() {
    let (waiting, _) = patient(|builder| builder);
    let let_through = AtomicU32::new(0);
    for is_good in [true, false] {
        in_rounds(
            1_000,
            |_| {
                // The first caller is the probe. The others wait, or come late.
                match waiting.acquire() {
                    Ok(permit) if is_good => {
                        permit.success();
                        let_through.fetch_add(1, Ordering::SeqCst);
                    }
                    Ok(permit) => permit.failure(),
                    Err(error) => assert_eq!(rejection(error).state(), State::Open),
                }
            },
            |_| {
                assert_eq!(waiting.queued(), 0);
                let through = let_through.swap(0, Ordering::SeqCst);
                assert_eq!(through, if is_good { THREADS } else { 0 });
                half_open_again(&waiting);
            },
        );
    }
}

/// Makes the breaker half-open, with its place free.
fn half_open_again(waiting: &Patient) {
    waiting.breaker().trip(Duration::ZERO);
    drop(probe(waiting));
    assert_eq!(waiting.breaker().state(), State::HalfOpen);
}

#[test]
fn threads_that_wait_while_probes_are_cancelled_all_become_probes() {
    let (waiting, _) = patient(|builder| builder);
    let became = AtomicU32::new(0);
    in_rounds(
        1_000,
        |_| {
            let permit = waiting.acquire().unwrap();
            became.fetch_add(1, Ordering::SeqCst);
            permit.record(Outcome::Ignored);
        },
        |_| assert_eq!(became.swap(0, Ordering::SeqCst), THREADS),
    );
    assert_eq!(waiting.breaker().state(), State::HalfOpen);
    assert_eq!(waiting.queued(), 0);
}

/// Other settings for the breaker of [`patient`].
fn other(
    settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) -> CircuitBreakerBuilder {
    other_by(|builder| settings(builder.open_for(SECOND).probes(1)))
}

/// Settings with a recovery that the test chooses.
fn other_by(
    settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) -> CircuitBreakerBuilder {
    let builder = CircuitBreaker::builder("patient");
    settings(builder.trip_when(TripPolicy::consecutive_failures(1)))
}

#[test]
fn who_waits_hears_of_a_probe_timeout_that_was_changed_meanwhile() {
    let (unbounded, clock) = patient(|builder| builder.probe_timeout(Duration::MAX));
    let hand = Hand::default();
    let waiting = hand.gives_time_to(unbounded);
    let _lost = probe(&waiting);
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut task: Acquire<'_> =
        Box::pin(async { waiting.acquire_async().await.map_err(rejection) });
    let mut look = || task.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(look().is_pending());
    assert!(hand.asked.lock().unwrap().is_empty(), "for ever");
    let sooner = other(|builder| builder.probe_timeout(SECOND));
    waiting.breaker().reconfigure(sooner).unwrap();
    assert_eq!(bell.0.load(Ordering::SeqCst), 1);
    assert!(look().is_pending());
    assert_eq!(*hand.asked.lock().unwrap(), [SECOND]);
    hand.let_pass(1_000);
    clock.advance(SECOND);
    let Poll::Ready(Ok(probe)) = look() else {
        panic!("it still waits");
    };
    probe.success();
    assert_eq!(waiting.breaker().state(), State::Closed);
}

#[test]
fn who_waits_becomes_a_probe_of_the_recovery_that_begins_anew() {
    let others: [fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder; 3] = [
        |builder| builder.probes(2),
        |builder| builder.recovery(Recovery::adaptive()),
        |builder| builder.recovery(Recovery::steps(&[0.5], SECOND)),
    ];
    for settings in others {
        let (waiting, _) = patient(|builder| builder);
        let earlier = probe(&waiting);
        let mut task = waits(&waiting);
        waiting.breaker().reconfigure(other_by(settings)).unwrap();
        let probe = answer(&mut task).unwrap();
        earlier.failure();
        assert_eq!(
            waiting.breaker().state(),
            State::HalfOpen,
            "it is of no account"
        );
        assert_eq!(waiting.breaker().snapshot().probes_in_flight(), 1);
        probe.failure();
        assert_eq!(waiting.breaker().state(), State::Open);
    }
}
