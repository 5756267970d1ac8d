//! `poll_ready` asks the breaker first, and takes no permit.

use std::task::Poll;

use tower::{Layer, Service};
use tripcurve::tower::CircuitBreakerLayer;
use tripcurve::{CallError, State};

use super::{Gate, Order, SECOND, Strict, breaker, call, layered, paused, poll_ready, settings};

#[test]
fn an_open_breaker_is_ready_to_reject_and_the_inner_service_is_not_polled() {
    paused(async {
        let breaker = breaker();
        let (mut service, inner) = layered(&breaker);
        inner.set(Gate::Never);
        breaker.trip(5 * SECOND);
        let error = call(&mut service, Order::Succeed).unwrap_err();
        assert_eq!(error.rejected().unwrap().state(), State::Open);
        assert_eq!((inner.polls(), inner.calls()), (0, 0));
        assert_eq!(breaker.snapshot().rejected(), 1);
    });
}

#[test]
fn a_closed_breaker_waits_for_the_inner_service() {
    paused(async {
        let (mut service, inner) = layered(&breaker());
        inner.set(Gate::Never);
        assert!(poll_ready(&mut service).is_pending());
        inner.set(Gate::Ready);
        assert_eq!(call(&mut service, Order::Succeed), Ok(0));
    });
}

#[test]
fn a_caller_that_waits_for_the_inner_service_is_rejected_when_it_asks_again() {
    paused(async {
        let breaker = breaker();
        let (mut service, inner) = layered(&breaker);
        inner.set(Gate::Never);
        assert!(poll_ready(&mut service).is_pending());
        breaker.trip(5 * SECOND);
        assert!(call(&mut service, Order::Succeed).is_err());
        assert_eq!(inner.calls(), 0);
    });
}

#[test]
fn a_service_that_is_ready_to_reject_rejects_even_after_the_open_time() {
    paused(async {
        let breaker = breaker();
        let (mut service, inner) = layered(&breaker);
        breaker.trip(5 * SECOND);
        assert_eq!(poll_ready(&mut service), Poll::Ready(Ok(())));
        tokio::time::advance(6 * SECOND).await;
        let rejected = service.call(Order::Succeed).await.unwrap_err();
        assert!(rejected.rejected().is_some());
        assert_eq!(breaker.state(), State::Open, "the call is no probe");
        assert_eq!(breaker.snapshot().rejected(), 1);
        assert_eq!(inner.polls(), 0);
        // Polled again, the service forgets the rejection.
        assert_eq!(call(&mut service, Order::Succeed), Ok(0));
        assert_eq!(breaker.state(), State::Closed);
    });
}

#[test]
fn a_service_that_is_polled_again_notes_the_latest_answer() {
    paused(async {
        let breaker = breaker();
        let (mut service, _) = layered(&breaker);
        for _ in 0..3 {
            breaker.force_open();
            assert!(poll_ready(&mut service).is_ready());
            breaker.reset();
            assert!(poll_ready(&mut service).is_ready());
        }
        assert!(service.call(Order::Succeed).await.is_ok());
    });
}

#[test]
fn callers_that_are_ready_hold_no_permit() {
    paused(async {
        let breaker = settings().start_in(State::HalfOpen).build().unwrap();
        let (service, _) = layered(&breaker);
        let mut ready = vec![service; 10];
        for service in &mut ready {
            assert!(poll_ready(service).is_ready());
        }
        assert_eq!(breaker.snapshot().probes_in_flight(), 0);
        drop(ready);
        let probe = breaker.try_acquire().unwrap();
        probe.success();
        assert_eq!(breaker.state(), State::Closed);
    });
}

#[test]
fn of_several_that_are_ready_for_a_probe_one_probes_and_the_others_are_rejected() {
    paused(async {
        let breaker = settings().start_in(State::HalfOpen).build().unwrap();
        let (service, inner) = layered(&breaker);
        let mut ready = [service.clone(), service.clone(), service];
        for service in &mut ready {
            assert!(poll_ready(service).is_ready());
        }
        let [first, second, third] = ready.each_mut().map(|it| it.call(Order::Succeed));
        assert!(matches!(second.await, Err(CallError::Rejected(_))));
        assert!(matches!(third.await, Err(CallError::Rejected(_))));
        assert_eq!(breaker.snapshot().probes_in_flight(), 1);
        assert_eq!(first.await, Ok(0));
        assert_eq!(breaker.state(), State::Closed);
        assert_eq!(inner.calls(), 1);
    });
}

#[test]
fn an_error_of_the_inner_readiness_counts_for_nothing() {
    paused(async {
        for state in [State::Closed, State::HalfOpen] {
            let breaker = settings().start_in(state).build().unwrap();
            let (mut service, inner) = layered(&breaker);
            inner.set(Gate::Gone);
            for _ in 0..10 {
                let ready = poll_ready(&mut service);
                assert!(matches!(ready, Poll::Ready(Err(CallError::Inner(_)))));
            }
            assert_eq!(breaker.state(), state);
            assert_eq!(breaker.snapshot().totals().calls(), 0);
        }
    });
}

#[test]
fn an_error_of_the_inner_readiness_counts_if_it_was_asked_for() {
    paused(async {
        for (state, errors) in [(State::Closed, 3), (State::HalfOpen, 1)] {
            let breaker = settings().start_in(state).build().unwrap();
            let inner = Strict::default();
            inner.set(Gate::Gone);
            let layer = CircuitBreakerLayer::new(&breaker).count_ready_errors();
            let mut service = layer.layer(inner.clone());
            for _ in 0..errors {
                assert_eq!(breaker.state(), state);
                assert!(matches!(poll_ready(&mut service), Poll::Ready(Err(_))));
            }
            assert_eq!(breaker.state(), State::Open);
            // Now the breaker answers, and nothing more counts.
            assert!(matches!(poll_ready(&mut service), Poll::Ready(Ok(()))));
            assert_eq!(breaker.snapshot().totals().failures, errors);
        }
    });
}
