//! A breaker with a bulkhead behind it. Neither counts the other's rejections, and they can't block
//! each other.
#![cfg(feature = "bulkhead")]

use std::future::Future;
use std::panic::catch_unwind;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::race::in_rounds;
use tripcurve::bulkhead::Bulkhead;
use tripcurve::handles::{Handle, WithBulkhead};
use tripcurve::time::{Clock, MockClock, Sleep};
use tripcurve::window::Recording;
use tripcurve::{
    CallError, CircuitBreaker, CircuitBreakerBuilder, Outcome, Recovery, State, TripPolicy,
};

const SECOND: Duration = Duration::from_secs(1);

type Called = Result<u32, CallError<&'static str>>;

/// A guarded dependency that serves one call at a time. Further calls wait.
fn guarded(
    settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) -> (WithBulkhead, MockClock) {
    guarded_by(|builder| settings(builder.open_for(SECOND)))
}

/// A breaker with a recovery that the test chooses.
fn guarded_by(
    settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) -> (WithBulkhead, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("guarded")
        .trip_when(TripPolicy::consecutive_failures(1))
        .clock(clock);
    let breaker = settings(builder).build().unwrap();
    let bulkhead = Bulkhead::new(1).unwrap().max_wait(Duration::MAX);
    (breaker.with_bulkhead(bulkhead), hand)
}

/// The guarded dependency, with calls that don't wait.
fn impatient(guarded: &WithBulkhead) -> WithBulkhead {
    let bulkhead = guarded.bulkhead().clone().max_wait(Duration::ZERO);
    guarded.breaker().with_bulkhead(bulkhead)
}

type Call<'a> = Pin<Box<dyn Future<Output = Called> + 'a>>;

fn call<'a, S: Sleep>(
    guarded: &'a WithBulkhead<CircuitBreaker, S>,
    operation: impl FnOnce() -> Called + 'a,
) -> Call<'a> {
    Box::pin(guarded.call_async(move || {
        let result = operation().map_err(|error| error.into_inner().unwrap());
        std::future::ready(result)
    }))
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[track_caller]
fn waits<'a>(guarded: &'a WithBulkhead, result: Result<u32, &'static str>) -> Call<'a> {
    let mut call = call(guarded, move || result.map_err(CallError::Inner));
    assert!(poll(&mut call).is_pending());
    assert!(guarded.bulkhead().waiting() > 0);
    call
}

#[track_caller]
fn done(call: &mut Call<'_>) -> Called {
    match poll(call) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("it waits still"),
    }
}

/// Makes the breaker half-open, with an open time that has just ended.
fn trip_and_wait(guarded: &WithBulkhead, hand: &MockClock) {
    guarded.breaker().trip(SECOND);
    hand.advance(SECOND + SECOND / 100);
}

#[test]
fn a_call_goes_through_both() {
    let (guarded, _) = guarded(|builder| builder);
    let called: Called = guarded.call(|| {
        assert_eq!(guarded.bulkhead().in_flight(), 1);
        Ok(7)
    });
    assert_eq!(called, Ok(7));
    assert_eq!(guarded.bulkhead().in_flight(), 0);
    assert_eq!(guarded.breaker().snapshot().successes(), 1);
    assert_eq!(
        guarded.call(|| Err::<u32, _>("no")),
        Err(CallError::Inner("no"))
    );
    assert_eq!(guarded.breaker().state(), State::Open);
}

#[test]
fn a_call_that_the_bulkhead_refuses_is_not_counted() {
    let (guarded, _) = guarded(|builder| builder.latency(Recording::Combined));
    let place = guarded.bulkhead().try_acquire().unwrap();
    let impatient = impatient(&guarded);
    let refused: Called = impatient.call(|| Ok(7));
    let Err(CallError::Full(full)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(full.in_flight(), 1);
    let refused = done(&mut call(&impatient, || Ok(7)));
    assert!(refused.unwrap_err().full().is_some());
    drop(place);
    let snapshot = guarded.breaker().snapshot();
    assert_eq!(
        (
            snapshot.successes(),
            snapshot.failures(),
            snapshot.ignored(),
            snapshot.rejected()
        ),
        (0, 0, 0, 0)
    );
}

#[test]
fn a_call_whose_wait_is_over_is_not_counted() {
    let (guarded, _) = guarded(|builder| builder);
    let bulkhead = guarded.bulkhead().clone().max_wait(SECOND);
    let bulkhead = bulkhead.sleep_with(|_: Duration| std::future::ready(()));
    let waits = guarded.breaker().with_bulkhead(bulkhead);
    let _place = guarded.bulkhead().try_acquire().unwrap();
    let refused = done(&mut call(&waits, || Ok(7)));
    assert_eq!(refused.unwrap_err().full().unwrap().waited(), SECOND);
    let snapshot = guarded.breaker().snapshot();
    assert_eq!((snapshot.successes(), snapshot.ignored()), (0, 0));
}

#[test]
fn a_call_that_the_breaker_rejects_takes_no_place_and_waits_for_none() {
    let (guarded, _) = guarded(|builder| builder);
    guarded.breaker().force_open();
    let rejected: Called = guarded.call(|| Ok(7));
    assert!(rejected.unwrap_err().rejected().is_some());
    let _place = guarded.bulkhead().try_acquire().unwrap();
    let rejected = done(&mut call(&guarded, || Ok(7)));
    assert!(rejected.unwrap_err().rejected().is_some());
    assert_eq!(guarded.bulkhead().in_flight(), 1);
    assert_eq!(guarded.bulkhead().waiting(), 0);
}

#[test]
fn a_call_that_waited_is_timed_from_when_it_had_its_place() {
    let (guarded, hand) = guarded(|builder| {
        let slow = TripPolicy::slow_rate(0.5).slower_than(SECOND).min_calls(1);
        builder.latency(Recording::Combined).trip_when(slow)
    });
    let place = guarded.bulkhead().try_acquire().unwrap();
    let mut call = waits(&guarded, Ok(7));
    hand.advance(10 * SECOND);
    assert_eq!(guarded.breaker().snapshot().overdue(), 0);
    drop(place);
    assert_eq!(done(&mut call), Ok(7));
    let snapshot = guarded.breaker().snapshot();
    assert_eq!(snapshot.state(), State::Closed);
    assert_eq!((snapshot.successes(), snapshot.slow()), (1, 0));
    assert!(snapshot.latency().unwrap().max().unwrap() < SECOND);
}

#[test]
fn a_caller_that_gives_up_in_the_line_counts_for_nothing_however_long_it_stood_there() {
    let (guarded, hand) = guarded(|builder| {
        let slow = TripPolicy::slow_rate(0.5).slower_than(SECOND).min_calls(1);
        builder.trip_when(slow)
    });
    let place = guarded.bulkhead().try_acquire().unwrap();
    let given_up = waits(&guarded, Ok(7));
    hand.advance(10 * SECOND);
    drop(given_up);
    // A call that waited and is dropped in time hasn't hung, either.
    let hangs = std::future::pending::<Result<u32, &str>>;
    let mut dropped = Box::pin(guarded.call_async(hangs));
    assert!(poll(&mut dropped).is_pending());
    hand.advance(10 * SECOND);
    drop(place);
    assert!(poll(&mut dropped).is_pending());
    hand.advance(SECOND);
    drop(dropped);
    let snapshot = guarded.breaker().snapshot();
    assert_eq!(
        (snapshot.calls(), snapshot.slow(), snapshot.ignored()),
        (0, 0, 1)
    );
}

#[test]
fn a_call_that_hangs_in_its_place_is_overdue() {
    let (guarded, hand) = guarded(|builder| {
        let slow = TripPolicy::slow_rate(0.5).slower_than(SECOND).min_calls(9);
        builder.trip_when(slow)
    });
    let place = guarded.bulkhead().try_acquire().unwrap();
    let hangs = std::future::pending::<Result<u32, &str>>;
    let mut call = Box::pin(guarded.call_async(hangs));
    assert!(poll(&mut call).is_pending());
    hand.advance(3 * SECOND);
    drop(place);
    assert!(poll(&mut call).is_pending());
    hand.advance(3 * SECOND);
    assert_eq!(guarded.breaker().snapshot().overdue(), 1);
    drop(call);
    assert_eq!(guarded.breaker().snapshot().overdue(), 0);
}

#[test]
fn who_waited_while_the_breaker_tripped_is_rejected_and_hands_its_place_on() {
    let (guarded, hand) = guarded(|builder| builder);
    let place = guarded.bulkhead().try_acquire().unwrap();
    let mut first = waits(&guarded, Ok(1));
    let mut second = waits(&guarded, Ok(2));
    guarded.breaker().trip(SECOND);
    drop(place);
    assert!(done(&mut first).unwrap_err().rejected().is_some());
    hand.advance(2 * SECOND);
    assert_eq!(done(&mut second), Ok(2));
    assert_eq!(guarded.bulkhead().in_flight(), 0);
    assert_eq!(guarded.bulkhead().waiting(), 0);
}

#[test]
fn who_is_handed_the_place_of_a_call_that_trips_meets_an_open_breaker() {
    let (guarded, _) = guarded(|builder| builder);
    let mut line = Vec::new();
    let called: Called = guarded.call(|| {
        line.push(waits(&guarded, Ok(7)));
        Err("no")
    });
    assert!(called.is_err());
    assert!(done(&mut line[0]).unwrap_err().rejected().is_some());
}

#[test]
fn a_call_that_panics_counts_as_failed_before_its_place_goes_back() {
    let (guarded, _) = guarded(|builder| builder);
    let mut line = Vec::new();
    let panic = catch_unwind(std::panic::AssertUnwindSafe(|| {
        guarded.call(|| -> Result<u32, &str> {
            line.push(waits(&guarded, Ok(7)));
            panic!("a call's own")
        })
    }));
    assert!(panic.is_err());
    assert_eq!(guarded.breaker().state(), State::Open);
    assert!(done(&mut line[0]).unwrap_err().rejected().is_some());
    assert_eq!(guarded.bulkhead().in_flight(), 0);
}

#[test]
fn a_call_that_is_dropped_in_its_place_counts_as_the_breaker_says() {
    let (guarded, _) = guarded(|builder| builder.on_cancel(Outcome::Failure));
    let mut call = Box::pin(guarded.call_async(std::future::pending::<Result<u32, &str>>));
    assert!(poll(&mut call).is_pending());
    drop(call);
    assert_eq!(guarded.breaker().snapshot().generation(), 1);
    assert_eq!(guarded.bulkhead().in_flight(), 0);
}

#[test]
fn a_call_that_is_dropped_while_it_waits_counts_for_nothing() {
    let (guarded, hand) = guarded(|builder| builder.on_cancel(Outcome::Failure).probes(1));
    let place = guarded.bulkhead().try_acquire().unwrap();
    drop(waits(&guarded, Ok(7)));
    assert_eq!(guarded.breaker().state(), State::Closed);
    trip_and_wait(&guarded, &hand);
    drop(waits(&guarded, Ok(7)));
    assert_eq!(guarded.breaker().state(), State::HalfOpen);
    drop(place);
    assert_eq!(guarded.call(|| Ok::<_, &str>(7)), Ok(7));
    assert_eq!(guarded.breaker().state(), State::Closed);
}

#[test]
fn a_probe_that_the_bulkhead_refuses_gives_its_probes_place_back() {
    let (guarded, hand) = guarded(|builder| builder.probes(1));
    let place = guarded.bulkhead().try_acquire().unwrap();
    trip_and_wait(&guarded, &hand);
    let impatient = impatient(&guarded);
    for _ in 0..3 {
        let refused: Called = impatient.call(|| Ok(7));
        assert!(refused.unwrap_err().full().is_some());
        assert_eq!(guarded.breaker().state(), State::HalfOpen);
    }
    drop(place);
    assert_eq!(impatient.call(|| Ok::<_, &str>(7)), Ok(7));
    assert_eq!(guarded.breaker().state(), State::Closed);
}

/// Calls that have hung since before the trip hold all places, and probes wait for places, longer
/// than a probe may take. If a waiting probe held its place, that place would become overdue. The
/// probe that runs at last would then count for nothing.
#[test]
fn a_probe_that_waits_longer_than_the_probe_timeout_counts_when_it_runs() {
    let (guarded, hand) = guarded(|builder| builder.probes(1).probe_timeout(SECOND));
    let place = guarded.bulkhead().try_acquire().unwrap();
    trip_and_wait(&guarded, &hand);
    let mut probe = waits(&guarded, Ok(7));
    hand.advance(10 * SECOND);
    // Other callers ask meanwhile, and would find the place overdue.
    let refused: Called = impatient(&guarded).call(|| Ok(8));
    assert!(refused.unwrap_err().full().is_some());
    let generation = guarded.breaker().snapshot().generation();
    drop(place);
    assert_eq!(done(&mut probe), Ok(7));
    let snapshot = guarded.breaker().snapshot();
    assert_eq!(snapshot.state(), State::Closed);
    assert_eq!(snapshot.generation(), generation + 1);
}

/// A call that has hung since before the trip holds the only place. More callers wait for it than
/// there are places for probes. If a waiting caller held anything, each would hold what the others
/// need.
#[test]
fn probes_and_places_do_not_wait_for_each_other() {
    let (guarded, hand) = guarded(|builder| builder.probes(2));
    let place = guarded.bulkhead().try_acquire().unwrap();
    trip_and_wait(&guarded, &hand);
    let mut line: Vec<_> = (0..4).map(|number| waits(&guarded, Ok(number))).collect();
    drop(place);
    let mut answers = Vec::new();
    for call in &mut line {
        answers.push(done(call).unwrap());
    }
    assert_eq!(answers, [0, 1, 2, 3]);
    assert_eq!(guarded.breaker().state(), State::Closed);
    assert_eq!(guarded.bulkhead().in_flight(), 0);
}

/// The only probe hangs in the only place. When its place is overdue, the breaker lets the next
/// call through, and that call still finds no place. When the hung call ends, calls go through
/// again.
#[test]
fn a_probe_that_hangs_in_the_only_place_holds_up_nobody_for_good() {
    let (guarded, hand) = guarded(|builder| builder.probes(1).probe_timeout(SECOND));
    trip_and_wait(&guarded, &hand);
    let mut hangs = Box::pin(guarded.call_async(std::future::pending::<Result<u32, &str>>));
    assert!(poll(&mut hangs).is_pending());
    let rejected = done(&mut call(&guarded, || Ok(7)));
    assert!(rejected.unwrap_err().rejected().is_some());
    hand.advance(2 * SECOND);
    let mut next = waits(&guarded, Ok(7));
    drop(hangs);
    assert_eq!(done(&mut next), Ok(7));
    assert_eq!(guarded.breaker().state(), State::Closed);
}

#[test]
fn a_ramp_takes_its_share_of_the_calls_once_though_they_wait() {
    let (guarded, hand) = guarded_by(|builder| builder.recovery(Recovery::adaptive()));
    // The breaker sees traffic first. At some time in the outage, a probe goes through.
    let spacing = SECOND / 1_000;
    for _ in 0..1_000 {
        hand.advance(spacing);
        assert!(guarded.call(|| Ok::<_, &str>(0)).is_ok());
    }
    assert!(guarded.call(|| Err::<u32, _>("no")).is_err());
    while guarded.call(|| Ok::<_, &str>(0)).is_err() {
        hand.advance(spacing);
    }
    let share = guarded.breaker().snapshot().admitted_share().unwrap();
    assert!(share < 0.5, "{share}");
    let place = guarded.bulkhead().try_acquire().unwrap();
    let mut line = Vec::new();
    for _ in 0..200 {
        let mut call = call(&guarded, || Ok(7));
        if poll(&mut call).is_pending() {
            line.push(call);
        }
    }
    let expected = 200.0 * share;
    #[allow(clippy::cast_precision_loss, reason = "they are 200 at most")]
    let waiting = line.len() as f64;
    assert!((waiting - expected).abs() <= 1.0, "{waiting} of {expected}");
    drop(place);
    for call in &mut line {
        assert_eq!(done(call), Ok(7));
    }
}

/// Fails when: a call from before the outage goes through the ramp without being drawn.
#[test]
fn a_ramp_draws_the_calls_that_have_waited_since_before_the_trip() {
    let (guarded, hand) = guarded_by(|builder| builder.recovery(Recovery::adaptive()));
    let spacing = SECOND / 1_000;
    for _ in 0..1_000 {
        hand.advance(spacing);
        assert!(guarded.call(|| Ok::<_, &str>(0)).is_ok());
    }
    let place = guarded.bulkhead().try_acquire().unwrap();
    let mut line: Vec<_> = (0..200).map(|_| waits(&guarded, Ok(7))).collect();
    let breaker = guarded.breaker();
    breaker.try_acquire().unwrap().failure();
    assert_eq!(breaker.state(), State::Open);
    let mut share = None;
    while share.is_none() {
        hand.advance(spacing);
        if let Ok(probe) = breaker.try_acquire() {
            probe.success();
        }
        share = breaker.snapshot().admitted_share();
    }
    let expected = 200.0 * share.unwrap();
    drop(place);
    let admitted = line.iter_mut().filter_map(|call| done(call).ok()).count();
    #[allow(clippy::cast_precision_loss, reason = "they are 200 at most")]
    let admitted = admitted as f64;
    assert!(
        (admitted - expected).abs() <= 1.0,
        "{admitted} of {expected}"
    );
}

#[test]
fn clones_and_several_breakers_share_a_bulkhead() {
    let bulkhead = Bulkhead::new(1).unwrap();
    let first = CircuitBreaker::new("first").with_bulkhead(bulkhead.clone());
    let second = CircuitBreaker::new("second").with_bulkhead(bulkhead);
    let nested: Result<Called, CallError<&str>> =
        first.clone().call(|| Ok(second.call(|| Ok::<_, &str>(7))));
    assert!(nested.unwrap().unwrap_err().full().is_some());
}

#[test]
fn threads_that_trip_and_probe_and_wait_leave_everything_free() {
    let (guarded, hand) = guarded(|builder| builder.probes(2));
    let calls = AtomicU32::new(0);
    let work = |thread: u32| {
        for turn in 0..20 {
            let call = || match (thread + turn) % 5 {
                0 => Err("no"),
                _ => Ok(calls.fetch_add(1, Ordering::Relaxed)),
            };
            let _answer = guarded.call(call);
            hand.advance(SECOND / 2);
        }
    };
    in_rounds(300, work, |_| {
        assert_eq!(guarded.bulkhead().in_flight(), 0);
        assert_eq!(guarded.bulkhead().waiting(), 0);
        hand.advance(2 * SECOND);
        // After any interleaving of the threads, two good calls close it.
        for _ in 0..2 {
            assert!(guarded.call(|| Ok::<_, &str>(7)).is_ok());
        }
        assert_eq!(guarded.breaker().state(), State::Closed);
    });
}

#[test]
fn handles_permits_and_futures_go_anywhere() {
    fn shared<T: Send + Sync + std::panic::UnwindSafe + 'static>(_: &T) {}
    fn sent<F: Future + Send>(_: F) {}

    let (guarded, _) = guarded(|builder| builder);
    shared(&guarded);
    shared(guarded.bulkhead());
    shared(&guarded.bulkhead().try_acquire().unwrap().into_owned());
    sent(guarded.bulkhead().acquire_async());
    sent(guarded.call_async(|| std::future::ready(Ok::<_, ()>(7))));
}

/// Other settings for the breaker of [`guarded`].
fn reconfigure(
    guarded: &WithBulkhead,
    settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) {
    let builder = CircuitBreaker::builder("guarded")
        .trip_when(TripPolicy::consecutive_failures(1))
        .open_for(SECOND);
    guarded.breaker().reconfigure(settings(builder)).unwrap();
}

#[test]
fn who_waits_for_a_place_while_another_window_comes_is_counted_in_it() {
    let (guarded, _) = guarded(|builder| builder);
    let place = guarded.bulkhead().try_acquire().unwrap();
    let mut waiting = waits(&guarded, Ok(7));
    reconfigure(&guarded, |builder| builder.latency(Recording::Combined));
    drop(place);
    assert_eq!(done(&mut waiting), Ok(7));
    let snapshot = guarded.breaker().snapshot();
    assert_eq!((snapshot.generation(), snapshot.successes()), (1, 1));
    assert_eq!(snapshot.latency().unwrap().count(), 1);
}

#[test]
fn a_call_of_a_ramp_that_waits_for_a_place_is_a_probe_of_the_recovery_that_begins_anew() {
    let (guarded, hand) =
        guarded_by(|builder| builder.recovery(Recovery::steps(&[1.0], SECOND).open_for(SECOND)));
    trip_and_wait(&guarded, &hand);
    assert_eq!(guarded.call(|| Ok::<_, &str>(7)), Ok(7));
    assert_eq!(guarded.breaker().snapshot().admitted_share(), Some(1.0));
    let place = guarded.bulkhead().try_acquire().unwrap();
    let mut waiting = [waits(&guarded, Ok(7)), waits(&guarded, Ok(8))];
    reconfigure(&guarded, |builder| builder.probes(2));
    drop(place);
    for call in &mut waiting {
        assert_eq!(guarded.breaker().state(), State::HalfOpen);
        assert!(done(call).is_ok());
    }
    assert_eq!(guarded.breaker().state(), State::Closed);
}

#[test]
fn a_probe_that_waits_for_a_place_holds_none_of_the_recovery_that_begins_anew() {
    let (guarded, hand) = guarded(|builder| builder.probes(1));
    trip_and_wait(&guarded, &hand);
    let place = guarded.bulkhead().try_acquire().unwrap();
    let mut waiting = waits(&guarded, Ok(7));
    reconfigure(&guarded, |builder| builder.probes(2));
    assert_eq!(guarded.breaker().snapshot().probes_in_flight(), 0);
    drop(place);
    assert_eq!(done(&mut waiting), Ok(7));
    assert_eq!(guarded.breaker().snapshot().probes_succeeded(), 1);
}
