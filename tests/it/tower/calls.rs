//! Each call has one outcome, and every permit comes back.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;

use tower::{Layer, Service};
use tripcurve::tower::CircuitBreakerLayer;
use tripcurve::{CallError, CircuitBreaker, Outcome, State};

use super::{Broken, Order, SECOND, Strict, breaker, call, context, layered, paused, poll_ready};
use super::{settings, settle};

/// Successes, failures and ignored calls in all.
fn totals(breaker: &CircuitBreaker) -> [u64; 3] {
    let totals = breaker.snapshot().totals();
    [totals.successes, totals.failures, totals.ignored]
}

/// A half-open breaker, whose only probe's place must come back.
fn half_open() -> CircuitBreaker {
    settings().start_in(State::HalfOpen).build().unwrap()
}

#[test]
fn results_count_by_the_breakers_classifier() {
    paused(async {
        let breaker = breaker();
        let (mut service, _) = layered(&breaker);
        assert_eq!(call(&mut service, Order::Succeed), Ok(0));
        assert_eq!(
            call(&mut service, Order::Fail),
            Err(CallError::Inner(Broken))
        );
        assert_eq!(totals(&breaker), [1, 1, 0]);

        let ignores = breaker.with_classifier(|_: &Result<u32, Broken>| Outcome::Ignored);
        let mut service = CircuitBreakerLayer::new(&ignores).layer(Strict::default());
        assert!(call(&mut service, Order::Fail).is_err());
        assert_eq!(totals(&breaker), [1, 1, 1]);
    });
}

#[test]
fn results_count_by_the_layers_classifier_if_there_is_one() {
    paused(async {
        let breaker = breaker();
        let ignores = breaker.with_classifier(|_: &Result<u32, Broken>| Outcome::Ignored);
        let layer = CircuitBreakerLayer::new(&ignores).classify(|result: &Result<u32, Broken>| {
            if result.is_ok() {
                Outcome::Trip
            } else {
                Outcome::Success
            }
        });
        let mut service = layer.layer(Strict::default());
        assert!(call(&mut service, Order::Fail).is_err());
        assert_eq!(breaker.state(), State::Closed);
        assert!(call(&mut service, Order::Succeed).is_ok());
        assert_eq!(breaker.state(), State::Open);
    });
}

#[test]
fn the_classifiers_retry_after_is_honoured() {
    paused(async {
        let breaker = settings()
            .classify(|_: &Result<u32, Broken>| Outcome::Trip)
            .retry_after(|_: &Result<u32, Broken>| Some(60 * SECOND))
            .build()
            .unwrap();
        let mut service = CircuitBreakerLayer::new(&breaker).layer(Strict::default());
        assert!(call(&mut service, Order::Fail).is_err());
        assert!(breaker.ask().unwrap_err().earliest() > Some(59 * SECOND));
    });
}

#[test]
fn a_future_that_is_dropped_before_it_is_polled_gives_its_permit_back() {
    paused(async {
        let breaker = half_open();
        let (mut service, _) = layered(&breaker);
        assert!(poll_ready(&mut service).is_ready());
        let future = service.call(Order::Succeed);
        assert_eq!(breaker.snapshot().probes_in_flight(), 1);
        drop(future);
        assert_eq!(breaker.snapshot().probes_in_flight(), 0);
        assert_eq!(totals(&breaker), [0, 0, 1]);
        assert_eq!(call(&mut service, Order::Succeed), Ok(1));
        assert_eq!(breaker.state(), State::Closed);
    });
}

#[test]
fn a_future_that_is_dropped_while_pending_gives_its_permit_back() {
    paused(async {
        let breaker = half_open();
        let (mut service, _) = layered(&breaker);
        assert!(poll_ready(&mut service).is_ready());
        {
            let mut future = pin!(service.call(Order::Hang));
            for _ in 0..3 {
                assert!(future.as_mut().poll(&mut context()).is_pending());
                assert_eq!(breaker.snapshot().probes_in_flight(), 1);
            }
        }
        assert_eq!(breaker.snapshot().probes_in_flight(), 0);
        assert_eq!(totals(&breaker), [0, 0, 1]);
    });
}

#[test]
fn a_dropped_call_counts_as_on_cancel_says() {
    paused(async {
        let breaker = settings().on_cancel(Outcome::Failure).build().unwrap();
        let (mut service, _) = layered(&breaker);
        assert!(poll_ready(&mut service).is_ready());
        drop(service.call(Order::Hang));
        assert_eq!(totals(&breaker), [0, 1, 0]);
    });
}

#[test]
fn a_call_that_panics_counts_as_a_failure_and_gives_its_permit_back() {
    paused(async {
        for order in [Order::Panic, Order::PanicInCall] {
            let breaker = half_open();
            let (mut service, _) = layered(&breaker);
            assert!(poll_ready(&mut service).is_ready());
            let task = tokio::spawn(async move { service.call(order).await });
            assert!(task.await.unwrap_err().is_panic(), "{order:?}");
            assert_eq!(breaker.snapshot().probes_in_flight(), 0);
            assert_eq!(breaker.state(), State::Open);
            assert_eq!(totals(&breaker), [0, 1, 0]);
        }
    });
}

/// Whoever catches the panic of a poll may keep the future.
#[test]
fn a_call_that_panics_counts_before_its_future_is_dropped() {
    paused(async {
        let breaker = half_open();
        let (mut service, _) = layered(&breaker);
        assert!(poll_ready(&mut service).is_ready());
        let mut future = pin!(service.call(Order::Panic));
        for _ in 0..2 {
            let poll = || future.as_mut().poll(&mut context());
            assert!(catch_unwind(AssertUnwindSafe(poll)).is_err());
            assert_eq!(breaker.snapshot().probes_in_flight(), 0);
            assert_eq!(totals(&breaker), [0, 1, 0]);
        }
    });
}

#[test]
fn a_future_that_a_panic_drops_gives_its_permit_back() {
    paused(async {
        let breaker = half_open();
        let (mut service, _) = layered(&breaker);
        assert!(poll_ready(&mut service).is_ready());
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let _future = service.call(Order::Hang);
            panic!("of the caller");
        }));
        assert!(unwound.is_err());
        assert_eq!(breaker.snapshot().probes_in_flight(), 0);
    });
}

#[test]
fn a_classifier_that_panics_gives_the_permit_back() {
    paused(async {
        let breaker = half_open();
        let layer = CircuitBreakerLayer::new(&breaker)
            .classify(|_: &Result<u32, Broken>| -> Outcome { panic!("of the classifier") });
        let mut service = layer.layer(Strict::default());
        assert!(poll_ready(&mut service).is_ready());
        let task = tokio::spawn(async move { service.call(Order::Succeed).await });
        assert!(task.await.unwrap_err().is_panic());
        assert_eq!(breaker.snapshot().probes_in_flight(), 0);
        assert_eq!(totals(&breaker), [0, 0, 1]);
    });
}

#[test]
fn a_future_that_was_ready_counts_once_and_panics_when_polled_again() {
    paused(async {
        let breaker = breaker();
        let (mut service, _) = layered(&breaker);
        for is_open in [false, true] {
            if is_open {
                breaker.force_open();
            }
            assert!(poll_ready(&mut service).is_ready());
            let mut future = pin!(service.call(Order::Succeed));
            assert!(future.as_mut().poll(&mut context()).is_ready());
            let again = || future.as_mut().poll(&mut context());
            let panic = catch_unwind(AssertUnwindSafe(again)).unwrap_err();
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref().copied()).unwrap();
            assert!(text.contains("polled after it was ready"), "{text}");
        }
        assert_eq!(totals(&breaker), [1, 0, 0]);
        assert_eq!(breaker.snapshot().totals().rejected, 1);
    });
}

/// A place of the inner service goes to the next call, which must meet a breaker that knows.
#[test]
fn the_outcome_is_recorded_before_the_inner_future_is_dropped() {
    struct Place(CircuitBreaker, tokio::sync::mpsc::UnboundedSender<u64>);
    impl Drop for Place {
        fn drop(&mut self) {
            self.1.send(self.0.snapshot().successes()).unwrap();
        }
    }
    paused(async {
        let breaker = breaker();
        let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let inner = tower::service_fn(|_: Order| {
            let place = Place(breaker.clone(), sender.clone());
            std::future::poll_fn(move |_| {
                let _place = &place;
                std::task::Poll::Ready(Ok::<_, Broken>(7))
            })
        });
        let mut service = CircuitBreakerLayer::new(&breaker).layer(inner);
        assert_eq!(call(&mut service, Order::Succeed), Ok(7));
        assert_eq!(seen.recv().await, Some(1));
    });
}

#[test]
fn slow_calls_count_as_slow() {
    paused(async {
        let policy = tripcurve::TripPolicy::slow_rate(0.5)
            .slower_than(SECOND)
            .min_calls(1);
        let breaker = settings().trip_when(policy).build().unwrap();
        let (mut service, _) = layered(&breaker);
        assert!(poll_ready(&mut service).is_ready());
        assert!(service.call(Order::SucceedAfter(2 * SECOND)).await.is_ok());
        assert_eq!(breaker.state(), State::Open);
        settle().await;
    });
}
