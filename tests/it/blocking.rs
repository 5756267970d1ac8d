//! Blocking work from async code: bounded threads and a bounded queue. Neither a panic nor a
//! leaving caller loses a place.
#![cfg(feature = "bulkhead")]

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tripcurve::bulkhead::{BlockingBulkhead, Bulkhead};
use tripcurve::error::{BulkheadFull, PoolError};
use tripcurve::handles::WithBlocking;
use tripcurve::time::{Clock, MockClock};
use tripcurve::{CallError, CircuitBreaker, State, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Work that has begun and hangs until it is released.
struct Hanging {
    begun: mpsc::Receiver<()>,
    let_go: mpsc::Sender<()>,
}

impl Hanging {
    /// The work, and the handle that releases it.
    fn new() -> (Self, impl FnOnce() + Send + 'static) {
        let (has_begun, begun) = mpsc::channel();
        let (let_go, is_let_go) = mpsc::channel::<()>();
        let work = move || {
            // The receiver may be gone.
            let _left = has_begun.send(());
            is_let_go.recv().unwrap();
        };
        (Self { begun, let_go }, work)
    }

    fn wait_until_it_has_begun(&self) {
        self.begun.recv().unwrap();
    }

    fn let_go(&self) {
        self.let_go.send(()).unwrap();
    }
}

type Call<'a, T> = Pin<Box<dyn Future<Output = Result<T, BulkheadFull>> + Send + 'a>>;

fn call<T: Send + 'static>(
    bulkhead: &BlockingBulkhead,
    work: impl FnOnce() -> T + Send + 'static,
) -> Call<'_, T> {
    Box::pin(bulkhead.call_async(work))
}

/// A bulkhead whose only thread hangs.
fn occupied(queue: u32) -> (BlockingBulkhead, Hanging) {
    let bulkhead = Bulkhead::blocking(1, queue).unwrap();
    let (hanging, work) = Hanging::new();
    let mut call = call(&bulkhead, work);
    assert!(poll(&mut call).is_pending());
    hanging.wait_until_it_has_begun();
    drop(call);
    (bulkhead, hanging)
}

#[track_caller]
fn wait_until(condition: impl Fn() -> bool) {
    while !condition() {
        std::thread::yield_now();
    }
}

#[test]
fn numbers_out_of_range_are_refused() {
    let refused = |threads, queue| {
        let error = Bulkhead::blocking(threads, queue).unwrap_err();
        assert!(matches!(error, PoolError::Setting(_)), "{error:?}");
        error.to_string()
    };
    assert_eq!(
        refused(0, 0),
        "bulkhead.threads: 0 is not in 1..=4096; as many as the dependency serves at a time"
    );
    assert!(refused(4_097, 0).starts_with("bulkhead.threads: 4097 is"));
    assert_eq!(
        refused(1, 1_000_001),
        "bulkhead.queue: 1000001 is not in 0..=1000000; as many as the threads work off before the \
         callers leave"
    );
    assert!(Bulkhead::blocking(1, 1_000_000).is_ok());
}

#[tokio::test]
async fn work_is_done_on_a_thread_of_the_bulkhead() {
    let bulkhead = Bulkhead::blocking(1, 0).unwrap();
    let here = std::thread::current().id();
    let work = || {
        let thread = std::thread::current();
        (thread.id(), thread.name().map(str::to_owned))
    };
    let (there, name) = bulkhead.call_async(work).await.unwrap();
    assert_ne!(there, here);
    assert_eq!(name.as_deref(), Some("bulkhead-0"));
    assert_eq!(bulkhead.in_flight(), 0);
}

#[tokio::test]
async fn a_full_queue_rejects() {
    let (bulkhead, hanging) = occupied(2);
    let bulkhead = bulkhead.named("files");
    let mut queue: Vec<_> = (0..2)
        .map(|number| call(&bulkhead, move || number))
        .collect();
    for call in &mut queue {
        assert!(poll(call).is_pending());
    }
    assert_eq!((bulkhead.in_flight(), bulkhead.queued()), (1, 2));
    let full = bulkhead.call_async(|| 0).await.unwrap_err();
    assert_eq!(
        full.to_string(),
        "bulkhead files is full, 3 of 3 calls in flight"
    );
    hanging.let_go();
    for (number, call) in queue.into_iter().enumerate() {
        assert_eq!(call.await.unwrap(), number);
    }
    wait_until(|| bulkhead.in_flight() == 0);
}

#[tokio::test]
async fn work_is_done_in_the_order_of_coming() {
    let (bulkhead, hanging) = occupied(20);
    let (done, order) = mpsc::channel();
    let mut queue: Vec<_> = (0..20)
        .map(|number| {
            let done = done.clone();
            call(&bulkhead, move || done.send(number).unwrap())
        })
        .collect();
    for call in &mut queue {
        assert!(poll(call).is_pending());
    }
    hanging.let_go();
    for call in queue {
        call.await.unwrap();
    }
    assert!(order.try_iter().eq(0..20));
}

#[tokio::test]
async fn a_panic_reaches_the_caller_and_costs_no_thread() {
    let bulkhead = Bulkhead::blocking(1, 0).unwrap();
    for _ in 0..3 {
        let (calls, work) = (bulkhead.clone(), || -> u32 { panic!("the work's own") });
        let panic = tokio::spawn(async move { calls.call_async(work).await })
            .await
            .unwrap_err()
            .into_panic();
        assert_eq!(panic.downcast_ref(), Some(&"the work's own"));
        assert_eq!(bulkhead.in_flight(), 0);
    }
    assert_eq!(bulkhead.call_async(|| 7).await, Ok(7));
}

#[tokio::test]
async fn a_panic_that_nobody_waits_for_costs_no_thread() {
    struct PanicsWhenDropped;
    impl Drop for PanicsWhenDropped {
        fn drop(&mut self) {
            panic!("the result's own");
        }
    }
    let bulkhead = Bulkhead::blocking(1, 0).unwrap();
    let (hanging, work) = Hanging::new();
    let mut left = call(&bulkhead, move || {
        work();
        PanicsWhenDropped
    });
    assert!(poll(&mut left).is_pending());
    hanging.wait_until_it_has_begun();
    drop(left);
    hanging.let_go();
    wait_until(|| bulkhead.in_flight() == 0);
    assert_eq!(bulkhead.call_async(|| 7).await, Ok(7));
}

#[test]
fn work_whose_caller_has_left_keeps_its_place_until_it_ends() {
    let (bulkhead, hanging) = occupied(0);
    assert_eq!(bulkhead.in_flight(), 1);
    assert!(poll(&mut call(&bulkhead, || 7)).is_ready(), "it is full");
    hanging.let_go();
    wait_until(|| bulkhead.in_flight() == 0);
    assert!(poll(&mut call(&bulkhead, || 7)).is_pending(), "it is free");
}

#[tokio::test]
async fn work_whose_caller_has_left_before_it_began_is_not_begun() {
    let (bulkhead, hanging) = occupied(2);
    let begun = Arc::new(AtomicU32::new(0));
    let counts = Arc::clone(&begun);
    let mut leaves = call(&bulkhead, move || counts.fetch_add(1, Ordering::SeqCst));
    assert!(poll(&mut leaves).is_pending());
    drop(leaves);
    let mut stays = call(&bulkhead, || 7);
    assert!(poll(&mut stays).is_pending());
    hanging.let_go();
    assert_eq!(stays.await, Ok(7));
    assert_eq!(begun.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_was_begun_is_finished_though_the_bulkhead_is_gone() {
    let bulkhead = Bulkhead::blocking(1, 0).unwrap();
    let (hanging, work) = Hanging::new();
    let task = tokio::spawn(async move { bulkhead.call_async(work).await });
    tokio::task::yield_now().await;
    hanging.wait_until_it_has_begun();
    hanging.let_go();
    task.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_more_work_is_done_at_once_than_there_are_threads() {
    let bulkhead = Bulkhead::blocking(3, 1_000).unwrap();
    let inside = Arc::new(AtomicU32::new(0));
    let tasks: Vec<_> = (0..500)
        .map(|_| {
            let (bulkhead, inside) = (bulkhead.clone(), Arc::clone(&inside));
            tokio::spawn(async move {
                let work = move || {
                    let before = inside.fetch_add(1, Ordering::SeqCst);
                    std::thread::yield_now();
                    inside.fetch_sub(1, Ordering::SeqCst);
                    before
                };
                bulkhead.call_async(work).await.unwrap()
            })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap() < 3);
    }
    assert_eq!((bulkhead.in_flight(), bulkhead.queued()), (0, 0));
}

type Called = Result<u32, CallError<&'static str>>;

/// A guarded dependency whose only thread hangs.
fn guarded(queue: u32) -> (WithBlocking, MockClock, Hanging) {
    let (clock, hand) = Clock::mock();
    let breaker = CircuitBreaker::builder("guarded")
        .trip_when(TripPolicy::consecutive_failures(1))
        .trip_when(TripPolicy::slow_rate(0.5).slower_than(SECOND).min_calls(1))
        .probes(1)
        .probe_timeout(SECOND)
        .clock(clock)
        .build()
        .unwrap();
    let (bulkhead, hanging) = occupied(queue);
    (breaker.with_blocking(bulkhead), hand, hanging)
}

fn guarded_call(
    guarded: &WithBlocking,
    work: impl FnOnce() -> Result<u32, &'static str> + Send + 'static,
) -> Pin<Box<dyn Future<Output = Called> + '_>> {
    Box::pin(guarded.call_async(work))
}

#[tokio::test]
async fn work_that_the_bulkhead_has_no_place_for_is_not_counted() {
    let (guarded, _, hanging) = guarded(0);
    let refused = guarded_call(&guarded, || Err("no")).await.unwrap_err();
    assert!(refused.full().is_some());
    let snapshot = guarded.breaker().snapshot();
    assert_eq!(snapshot.state(), State::Closed);
    assert_eq!(
        snapshot.successes() + snapshot.failures() + snapshot.ignored(),
        0
    );
    hanging.let_go();
}

#[tokio::test]
async fn work_that_the_breaker_rejects_takes_no_place() {
    let (guarded, _, hanging) = guarded(1);
    guarded.breaker().force_open();
    let rejected = guarded_call(&guarded, || Ok(7)).await.unwrap_err();
    assert!(rejected.rejected().is_some());
    assert_eq!(guarded.bulkhead().queued(), 0);
    hanging.let_go();
}

#[tokio::test]
async fn the_time_of_work_begins_when_a_thread_begins_with_it() {
    let (guarded, hand, hanging) = guarded(1);
    let mut waits = guarded_call(&guarded, || Ok(7));
    assert!(poll(&mut waits).is_pending());
    hand.advance(10 * SECOND);
    assert_eq!(guarded.breaker().snapshot().overdue(), 0);
    hanging.let_go();
    assert_eq!(waits.await, Ok(7));
    assert_eq!(guarded.breaker().snapshot().slow(), 0);
    let works = hand.clone();
    let slow = move || {
        works.advance(2 * SECOND);
        Ok(8)
    };
    assert_eq!(guarded_call(&guarded, slow).await, Ok(8));
    assert_eq!(guarded.breaker().state(), State::Open);
}

#[tokio::test]
async fn work_in_the_queue_is_rejected_if_the_breaker_has_tripped_when_its_turn_comes() {
    let (guarded, _, hanging) = guarded(1);
    let mut waits = guarded_call(&guarded, || Ok(7));
    assert!(poll(&mut waits).is_pending());
    guarded.breaker().trip(SECOND);
    hanging.let_go();
    assert!(waits.await.unwrap_err().rejected().is_some());
}

/// The breaker is half-open with one place for a probe, and the only thread hangs. Queued calls
/// hold no probe's place, so no probe becomes overdue in the queue.
#[tokio::test]
async fn a_probe_in_the_queue_and_the_thread_it_waits_for_do_not_hold_each_other_up() {
    let (guarded, hand, hanging) = guarded(2);
    guarded.breaker().trip(SECOND);
    hand.advance(2 * SECOND);
    let mut first = guarded_call(&guarded, || Ok(1));
    let mut second = guarded_call(&guarded, || Ok(2));
    assert!(poll(&mut first).is_pending());
    assert!(poll(&mut second).is_pending());
    hand.advance(10 * SECOND);
    hanging.let_go();
    assert_eq!(first.await, Ok(1));
    assert_eq!(second.await, Ok(2));
    assert_eq!(guarded.breaker().state(), State::Closed);
}

#[tokio::test]
async fn a_panic_counts_as_a_failure_and_reaches_the_caller() {
    let (guarded, _, hanging) = guarded(1);
    hanging.let_go();
    let (calls, work) = (guarded.clone(), || -> Result<u32, &str> {
        panic!("the work's own")
    });
    let panic = tokio::spawn(async move { calls.call_async(work).await })
        .await
        .unwrap_err()
        .into_panic();
    assert_eq!(panic.downcast_ref(), Some(&"the work's own"));
    assert_eq!(guarded.breaker().state(), State::Open);
}

#[tokio::test]
async fn the_outcome_of_work_whose_caller_has_left_counts() {
    let (guarded, _, first) = guarded(1);
    first.let_go();
    let (hanging, work) = Hanging::new();
    let mut leaves = guarded_call(&guarded, move || {
        work();
        Err("no")
    });
    assert!(poll(&mut leaves).is_pending());
    hanging.wait_until_it_has_begun();
    drop(leaves);
    assert_eq!(guarded.breaker().state(), State::Closed);
    hanging.let_go();
    wait_until(|| guarded.bulkhead().in_flight() == 0);
    assert_eq!(guarded.breaker().state(), State::Open);
}
