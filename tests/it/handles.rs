//! All orders in which handles can be nested.

#![cfg(all(feature = "async", feature = "bulkhead"))]

use std::convert::Infallible;
use std::future::{Future, pending, ready};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tripcurve::bulkhead::{Bulkhead, BulkheadPermit};
use tripcurve::handles::{Handle, WithBulkhead};
use tripcurve::outcome::{DefaultClassifier, Report};
use tripcurve::{
    CallError, CircuitBreaker, CircuitBreakerBuilder, Outcome, Permit, State, TripPolicy,
};

const LIMIT: Duration = Duration::from_secs(1);

fn breaker() -> CircuitBreaker {
    CircuitBreaker::builder("nested")
        .probes(1)
        .max_waiting(10)
        .build()
        .unwrap()
}

fn poll<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Checks every handle: calls go through all layers, and a rejection comes at once.
macro_rules! check {
    ($name:literal, $handle:expr) => {{
        let handle = $handle;
        let done = poll(handle.call_async(|| ready(Ok::<_, ()>(42))));
        assert_eq!(done, Poll::Ready(Ok(42)), $name);
        let failed = poll(handle.call_async(|| ready(Err::<(), _>("no"))));
        assert_eq!(failed, Poll::Ready(Err(CallError::Inner("no"))), $name);
        let snapshot = handle.breaker().snapshot();
        assert_eq!((snapshot.successes(), snapshot.failures()), (1, 1), $name);
        handle.breaker().force_open();
        let rejected = poll(handle.call_async(|| ready(Ok::<_, ()>(42))));
        assert!(
            matches!(rejected, Poll::Ready(Err(CallError::Rejected(_)))),
            $name
        );
        handle.breaker().reset();
        is_send(handle.call_async(|| ready(Ok::<_, ()>(42))));
        handle
    }};
}

/// Further checks for handles without a time limit.
macro_rules! check_unlimited {
    ($name:literal, $handle:expr) => {{
        let handle = check!($name, $handle);
        assert_eq!(handle.call(|| Ok::<_, ()>(42)), Ok(42), $name);
        handle.try_acquire().unwrap().success();
        handle.acquire().unwrap().success();
        match poll(handle.acquire_async()) {
            Poll::Ready(permit) => permit.unwrap().success(),
            Poll::Pending => panic!($name),
        }
        assert_eq!(handle.breaker().snapshot().successes(), 4, $name);
    }};
}

/// Further checks for handles with a time limit.
macro_rules! check_limited {
    ($name:literal, $handle:expr) => {{
        let handle = check!($name, $handle);
        let timed_out = poll(handle.call_async(pending::<Result<(), ()>>));
        assert!(
            matches!(timed_out, Poll::Ready(Err(CallError::TimedOut(_)))),
            $name
        );
        assert_eq!(handle.breaker().snapshot().failures(), 1, $name);
    }};
}

fn is_send<T: Send>(_: T) {}

/// A timer that fires at once.
fn at_once(_: Duration) -> std::future::Ready<()> {
    ready(())
}

#[test]
fn every_order_of_handles_makes_calls() {
    let bulkhead = || Bulkhead::new(1).unwrap().max_wait(LIMIT);
    check_unlimited!("breaker", breaker());
    check_unlimited!("bulkhead", breaker().with_bulkhead(bulkhead()));
    check_unlimited!("waiting", breaker().waiting(LIMIT).unwrap());
    check_unlimited!(
        "waiting, bulkhead",
        breaker().waiting(LIMIT).unwrap().with_bulkhead(bulkhead())
    );
    check_unlimited!(
        "bulkhead, waiting",
        breaker().with_bulkhead(bulkhead()).waiting(LIMIT).unwrap()
    );
    check_unlimited!(
        "two bulkheads",
        breaker()
            .with_bulkhead(bulkhead())
            .with_bulkhead(bulkhead())
    );
    check_limited!(
        "limit",
        breaker().call_timeout(LIMIT).unwrap().sleep_with(at_once)
    );
    check_limited!(
        "limit, bulkhead",
        breaker()
            .call_timeout(LIMIT)
            .unwrap()
            .sleep_with(at_once)
            .with_bulkhead(bulkhead())
    );
    check_limited!(
        "bulkhead, limit",
        breaker()
            .with_bulkhead(bulkhead())
            .call_timeout(LIMIT)
            .unwrap()
            .sleep_with(at_once)
    );
    check_limited!(
        "limit, waiting",
        breaker()
            .call_timeout(LIMIT)
            .unwrap()
            .sleep_with(at_once)
            .waiting(LIMIT)
            .unwrap()
    );
    check_limited!(
        "waiting, limit",
        breaker()
            .waiting(LIMIT)
            .unwrap()
            .call_timeout(LIMIT)
            .unwrap()
            .sleep_with(at_once)
    );
    let b = bulkhead;
    let limit = breaker().call_timeout(LIMIT).unwrap().sleep_with(at_once);
    check_limited!(
        "limit, bulkhead, waiting",
        limit.with_bulkhead(b()).waiting(LIMIT).unwrap()
    );
    let limit = breaker().call_timeout(LIMIT).unwrap().sleep_with(at_once);
    check_limited!(
        "limit, waiting, bulkhead",
        limit.waiting(LIMIT).unwrap().with_bulkhead(b())
    );
    let both = breaker().with_bulkhead(b()).waiting(LIMIT).unwrap();
    check_limited!(
        "bulkhead, waiting, limit",
        both.call_timeout(LIMIT).unwrap().sleep_with(at_once)
    );
    let both = breaker().waiting(LIMIT).unwrap().with_bulkhead(b());
    check_limited!(
        "waiting, bulkhead, limit",
        both.call_timeout(LIMIT).unwrap().sleep_with(at_once)
    );
    let limit = breaker().with_bulkhead(b()).call_timeout(LIMIT).unwrap();
    check_limited!(
        "bulkhead, limit, waiting",
        limit.sleep_with(at_once).waiting(LIMIT).unwrap()
    );
    let limit = breaker().waiting(LIMIT).unwrap();
    let limit = limit.call_timeout(LIMIT).unwrap().sleep_with(at_once);
    check_limited!("waiting, limit, bulkhead", limit.with_bulkhead(b()));
}

#[test]
fn a_health_check_goes_beside_every_handle() {
    let handle = breaker().with_bulkhead(Bulkhead::new(1).unwrap());
    let task = handle
        .breaker()
        .health_check(async || Ok::<_, ()>(()))
        .sleep_with(at_once);
    let mut task = pin!(task.run());
    let mut poll = || {
        task.as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    };
    handle.breaker().trip(Duration::ZERO);
    while handle.breaker().state() == State::Open {
        assert!(poll());
    }
    assert_eq!(handle.breaker().state(), State::HalfOpen);
    assert_eq!(handle.call(|| Ok::<_, Infallible>(42)), Ok(42));
    assert_eq!(handle.breaker().state(), State::Closed);
}

#[test]
fn a_call_that_waits_for_the_verdict_holds_no_place_of_the_bulkhead_within() {
    let handle = breaker()
        .with_bulkhead(Bulkhead::new(2).unwrap())
        .waiting(Duration::MAX)
        .unwrap()
        .sleep_with(|_: Duration| pending::<()>());
    handle.breaker().trip(Duration::ZERO);
    let probe = loop {
        if let Ok(probe) = handle.try_acquire() {
            break probe;
        }
    };
    let mut task = pin!(handle.call_async(|| ready(Ok::<_, ()>(42))));
    let mut poll = || task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(poll().is_pending());
    assert_eq!(handle.queued(), 1);
    probe.success();
    assert_eq!(poll(), Poll::Ready(Ok(42)));
}

#[test]
fn a_permit_gives_the_place_of_the_bulkhead_back() {
    let bulkhead = Bulkhead::new(1).unwrap();
    let handle = breaker().with_bulkhead(bulkhead.clone());
    let permit = handle.try_acquire().unwrap();
    assert_eq!(bulkhead.in_flight(), 1);
    let full = handle.try_acquire().unwrap_err();
    assert!(full.full().is_some());
    permit.success();
    assert_eq!(bulkhead.in_flight(), 0);
    drop(handle.acquire().unwrap());
    assert_eq!(bulkhead.in_flight(), 0);
}

/// A breaker of one failure behind one place.
fn one_place(
    settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) -> (WithBulkhead, Bulkhead) {
    let one = Bulkhead::new(1).unwrap();
    let failures = TripPolicy::consecutive_failures(1);
    let builder = CircuitBreaker::builder("two steps").trip_when(failures);
    let breaker = settings(builder).build().unwrap();
    (breaker.with_bulkhead(one.clone()), one)
}

/// A permit with the place that it holds.
type Both<'a> = Permit<'a, (BulkheadPermit<'a>, ())>;

#[test]
fn a_permit_of_both_is_taken_first_and_settled_later() {
    let settle: [(fn(Both<'_>), _); 5] = [
        (|permit| permit.success(), (1, 0, 0)),
        (|permit| assert!(permit.record(Outcome::Ignored)), (0, 0, 1)),
        (
            |permit| assert!(permit.record_result(&DefaultClassifier, &Ok::<_, ()>(42))),
            (1, 0, 0),
        ),
        (|permit| drop(permit), (0, 0, 1)),
        (
            |permit| assert!(permit.record(Report::success().took(LIMIT))),
            (1, 0, 0),
        ),
    ];
    for (settle, expected) in settle {
        let (guarded, one) = one_place(|it| it);
        let permit = guarded.try_acquire().unwrap();
        assert_eq!(one.in_flight(), 1);
        let full = guarded.try_acquire().unwrap_err();
        assert!(full.full().is_some());
        let snapshot = guarded.breaker().snapshot();
        assert_eq!(
            snapshot.calls() + snapshot.ignored(),
            0,
            "nothing is settled"
        );
        settle(permit);
        assert_eq!(one.in_flight(), 0);
        let snapshot = guarded.breaker().snapshot();
        let counted = (
            snapshot.successes(),
            snapshot.failures(),
            snapshot.ignored(),
        );
        assert_eq!(counted, expected);
    }
}

#[test]
fn a_place_goes_back_after_the_outcome_is_recorded() {
    let seen = Arc::new(AtomicU32::new(u32::MAX));
    let place: Arc<OnceLock<Bulkhead>> = Arc::default();
    let (told, held) = (Arc::clone(&seen), Arc::clone(&place));
    let (guarded, one) = one_place(|it| {
        it.on_transition(move |_| {
            let in_flight = held.get().map_or(u32::MAX, Bulkhead::in_flight);
            told.store(in_flight, Ordering::SeqCst);
        })
    });
    place.set(one.clone()).unwrap();
    guarded.try_acquire().unwrap().failure();
    assert_eq!(guarded.breaker().state(), State::Open);
    assert_eq!(seen.load(Ordering::SeqCst), 1, "the trip comes first");
    assert_eq!(one.in_flight(), 0);
    let rejected = guarded.try_acquire().unwrap_err();
    assert!(rejected.rejected().is_some() && one.in_flight() == 0);
}

#[test]
fn a_shorter_limit_within_or_around_comes_first() {
    let never = |_: Duration| pending::<()>();
    let limited = |limit: Duration| breaker().call_timeout(limit).unwrap();
    let around = limited(2 * LIMIT).sleep_with(never);
    let around = around.call_timeout(LIMIT).unwrap().sleep_with(at_once);
    let within = limited(LIMIT).sleep_with(at_once);
    let within = within.call_timeout(2 * LIMIT).unwrap().sleep_with(never);
    for timed_out in [
        poll(around.call_async(pending::<Result<(), ()>>)),
        poll(within.call_async(pending::<Result<(), ()>>)),
    ] {
        let Poll::Ready(Err(CallError::TimedOut(timed_out))) = timed_out else {
            panic!("{timed_out:?}");
        };
        assert_eq!(timed_out.limit(), LIMIT);
    }
}
