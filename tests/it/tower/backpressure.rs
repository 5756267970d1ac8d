//! `poll_ready` is pending while the breaker is open, and hears of all that ends the wait.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt};
use tripcurve::outcome::Report;
use tripcurve::tower::CircuitBreakerLayer;
use tripcurve::{CircuitBreaker, State};

use super::{Gate, Order, SECOND, Strict, breaker, paused, poll_ready, settings, settle};

/// A task that calls when it may, and returns how long that took.
fn calls(breaker: &CircuitBreaker) -> JoinHandle<Duration> {
    let layer = CircuitBreakerLayer::new(breaker).backpressure(sleep);
    let service = layer.layer(Strict::default());
    tokio::spawn(async move {
        let begin = Instant::now();
        service.oneshot(Order::Succeed).await.unwrap();
        begin.elapsed()
    })
}

/// How far the timer's grain may be off.
#[track_caller]
fn about(found: Duration, expected: Duration) {
    let most = expected + Duration::from_millis(3);
    assert!(
        (expected..=most).contains(&found),
        "{found:?}, not {expected:?}"
    );
}

#[test]
fn a_closed_breaker_does_not_hold_callers_up() {
    paused(async {
        about(calls(&breaker()).await.unwrap(), Duration::ZERO);
    });
}

#[test]
fn a_caller_waits_for_the_end_of_the_open_time_and_is_the_probe() {
    paused(async {
        let breaker = breaker();
        breaker.trip(5 * SECOND);
        about(calls(&breaker).await.unwrap(), 5 * SECOND);
        assert_eq!(breaker.state(), State::Closed);
        assert_eq!(breaker.snapshot().totals().rejected, 0);
    });
}

#[test]
fn a_reset_ends_the_wait() {
    paused(async {
        let breaker = breaker();
        breaker.force_open();
        let calls = calls(&breaker);
        sleep(SECOND).await;
        breaker.reset();
        about(calls.await.unwrap(), SECOND);
    });
}

#[test]
fn a_longer_trip_and_a_retry_after_lengthen_the_wait() {
    paused(async {
        let breaker = breaker();
        let late = breaker.try_acquire_owned().unwrap();
        breaker.trip(5 * SECOND);
        let calls = calls(&breaker);
        sleep(SECOND).await;
        breaker.trip(10 * SECOND);
        sleep(SECOND).await;
        late.record(Report::failure().retry_after(28 * SECOND));
        about(calls.await.unwrap(), 30 * SECOND);
    });
}

#[test]
fn a_shorter_trip_ends_the_wait_sooner() {
    paused(async {
        let breaker = breaker();
        breaker.trip(60 * SECOND);
        let calls = calls(&breaker);
        sleep(SECOND).await;
        breaker.trip(2 * SECOND);
        about(calls.await.unwrap(), 3 * SECOND);
    });
}

#[test]
fn a_place_that_a_probe_gives_back_ends_the_wait() {
    paused(async {
        let breaker = settings().start_in(State::HalfOpen).build().unwrap();
        let probe = breaker.try_acquire().unwrap();
        let calls = calls(&breaker);
        sleep(SECOND).await;
        drop(probe);
        about(calls.await.unwrap(), SECOND);
    });
}

#[test]
fn the_inner_service_is_not_polled_while_the_caller_waits() {
    paused(async {
        let breaker = breaker();
        let inner = Strict::default();
        let layer = CircuitBreakerLayer::new(&breaker).backpressure(sleep);
        let mut service = layer.layer(inner.clone());
        breaker.trip(5 * SECOND);
        for _ in 0..3 {
            assert!(poll_ready(&mut service).is_pending());
        }
        assert_eq!(inner.polls(), 0);
        breaker.reset();
        assert!(poll_ready(&mut service).is_ready());
        assert_eq!(inner.polls(), 1);
    });
}

/// Counts how often a task was woken.
#[derive(Default)]
struct Wakes(AtomicU32);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_caller_is_woken_by_changes_while_it_waits_and_not_afterwards() {
    paused(async {
        let breaker = breaker();
        let layer = CircuitBreakerLayer::new(&breaker).backpressure(sleep);
        let mut service = layer.layer(Strict::default());
        let count = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);
        breaker.trip(5 * SECOND);
        assert!(service.poll_ready(&mut context).is_pending());
        assert_eq!(count.0.load(Ordering::SeqCst), 0);
        breaker.reset();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert!(service.poll_ready(&mut context).is_ready());
        breaker.trip(SECOND);
        breaker.reset();
        sleep(10 * SECOND).await;
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_caller_waits_again_for_each_open_time() {
    paused(async {
        let breaker = breaker();
        let layer = CircuitBreakerLayer::new(&breaker).backpressure(sleep);
        let mut service = layer.layer(Strict::default());
        let begin = Instant::now();
        for _ in 0..3 {
            breaker.trip(5 * SECOND);
            let answer = service.ready().await.unwrap().call(Order::Fail).await;
            assert!(answer.is_err());
        }
        about(begin.elapsed(), 15 * SECOND);
        assert_eq!(breaker.snapshot().totals().failures, 3);
    });
}

#[test]
fn a_wait_that_is_given_up_holds_nothing() {
    paused(async {
        let breaker = settings().start_in(State::HalfOpen).build().unwrap();
        let probe = breaker.try_acquire().unwrap();
        let layer = CircuitBreakerLayer::new(&breaker).backpressure(sleep);
        for _ in 0..3 {
            let mut service = layer.layer(Strict::default());
            let ready = tokio::time::timeout(SECOND, service.ready());
            assert!(ready.await.is_err());
        }
        drop(probe);
        let mut service = layer.layer(Strict::default());
        assert!(poll_ready(&mut service).is_ready());
        assert_eq!(breaker.snapshot().probes_in_flight(), 0);
    });
}

#[test]
fn callers_that_come_late_for_the_probe_are_rejected_and_may_wait_again() {
    paused(async {
        let breaker = breaker();
        let layer = CircuitBreakerLayer::new(&breaker).backpressure(sleep);
        breaker.trip(5 * SECOND);
        let tasks = [(); 3].map(|()| {
            let mut service = layer.layer(Strict::default());
            tokio::spawn(async move {
                let mut rejected = 0;
                loop {
                    let call = service.ready().await.unwrap();
                    match call.call(Order::SucceedAfter(SECOND)).await {
                        Ok(_) => return rejected,
                        Err(_) => rejected += 1,
                    }
                    assert!(rejected < 10);
                }
            })
        });
        let mut rejected = 0;
        for task in tasks {
            rejected += task.await.unwrap();
        }
        assert!(rejected <= 2, "{rejected}");
        assert_eq!(breaker.state(), State::Closed);
    });
}

#[test]
fn a_caller_moves_between_tasks_while_it_waits() {
    paused(async {
        let breaker = breaker();
        let layer = CircuitBreakerLayer::new(&breaker).backpressure(sleep);
        let mut service = layer.layer(Strict::default());
        breaker.trip(5 * SECOND);
        let mut service = tokio::spawn(async move {
            assert!(poll_fn(|cx| Poll::Ready(service.poll_ready(cx).is_pending())).await);
            service
        })
        .await
        .unwrap();
        let other =
            tokio::spawn(async move { service.ready().await.unwrap().call(Order::Succeed).await });
        settle().await;
        assert!(!other.is_finished());
        breaker.reset();
        assert_eq!(other.await.unwrap(), Ok(0));
    });
}

#[test]
fn after_the_wait_the_inner_service_is_waited_for() {
    paused(async {
        let breaker = breaker();
        let inner = Strict::default();
        inner.set(Gate::Never);
        let layer = CircuitBreakerLayer::new(&breaker).backpressure(sleep);
        let mut service = layer.layer(inner.clone());
        breaker.force_open();
        assert!(poll_ready(&mut service).is_pending());
        breaker.reset();
        assert!(poll_ready(&mut service).is_pending());
        assert_eq!(inner.polls(), 1);
    });
}
