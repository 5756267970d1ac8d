//! The layer under and over `buffer`, `timeout`, `load_shed` and `ConcurrencyLimit`.

use tokio::time::sleep;
use tower::load_shed::error::Overloaded;
use tower::timeout::error::Elapsed;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};
use tripcurve::tower::{Boxed, CircuitBreakerLayer};
use tripcurve::{CallError, Outcome, Rejected, State};

use super::{Broken, Order, SECOND, Strict, breaker, paused, settle};

#[test]
fn buffer_over_the_layer_over_timeout() {
    paused(async {
        let breaker = breaker();
        let mut client = ServiceBuilder::new()
            .buffer(8)
            .layer(CircuitBreakerLayer::new(&breaker).reject_with(Boxed))
            .timeout(SECOND)
            .service(Strict::default());
        assert!(
            client
                .ready()
                .await
                .unwrap()
                .call(Order::Succeed)
                .await
                .is_ok()
        );
        for order in [Order::Fail, Order::Hang, Order::Hang] {
            assert_eq!(breaker.state(), State::Closed);
            let error: BoxError = client.ready().await.unwrap().call(order).await.unwrap_err();
            let expected = if order == Order::Fail {
                error.is::<Broken>()
            } else {
                error.is::<Elapsed>()
            };
            assert!(expected, "{error}");
        }
        let error = client
            .ready()
            .await
            .unwrap()
            .call(Order::Succeed)
            .await
            .unwrap_err();
        assert!(error.is::<Rejected>());
        sleep(5 * SECOND).await;
        assert!(
            client
                .ready()
                .await
                .unwrap()
                .call(Order::Succeed)
                .await
                .is_ok()
        );
        assert_eq!(breaker.state(), State::Closed);
    });
}

#[test]
fn timeout_over_the_layer_over_buffer() {
    paused(async {
        let breaker = breaker();
        let mut client = ServiceBuilder::new()
            .timeout(SECOND)
            .layer(CircuitBreakerLayer::new(&breaker).reject_with(Boxed))
            .buffer(8)
            .service(Strict::default());
        assert!(
            client
                .ready()
                .await
                .unwrap()
                .call(Order::Succeed)
                .await
                .is_ok()
        );
        // The outer timeout drops the call. The breaker counts that as `on_cancel` says.
        let error = client
            .ready()
            .await
            .unwrap()
            .call(Order::Hang)
            .await
            .unwrap_err();
        assert!(error.is::<Elapsed>());
        assert_eq!(breaker.snapshot().ignored(), 1);
        breaker.force_open();
        let error = client
            .ready()
            .await
            .unwrap()
            .call(Order::Succeed)
            .await
            .unwrap_err();
        assert!(error.is::<Rejected>());
    });
}

/// An elapsed time can count as one.
#[test]
fn a_classifier_tells_the_error_of_a_timeout() {
    paused(async {
        let breaker = breaker();
        let layer =
            CircuitBreakerLayer::new(&breaker).classify(|result: &Result<u32, BoxError>| {
                match result {
                    Ok(_) => Outcome::Success,
                    Err(error) if error.is::<Elapsed>() => Outcome::TimedOut,
                    Err(_) => Outcome::Failure,
                }
            });
        let client = ServiceBuilder::new()
            .layer(layer)
            .timeout(SECOND)
            .service(Strict::default());
        let error = client.oneshot(Order::Hang).await.unwrap_err();
        assert!(matches!(error, CallError::Inner(error) if error.is::<Elapsed>()));
        assert_eq!(breaker.snapshot().totals().timed_out, 1);
    });
}

/// Its clones aren't ready, and call a place that another has.
#[test]
fn the_layer_over_a_concurrency_limit() {
    paused(async {
        let breaker = breaker();
        let client = ServiceBuilder::new()
            .layer(CircuitBreakerLayer::new(&breaker))
            .concurrency_limit(2)
            .service(Strict::default());
        let calls: Vec<_> = (0..10)
            .map(|_| tokio::spawn(client.clone().oneshot(Order::SucceedAfter(SECOND))))
            .collect();
        settle().await;
        assert_eq!(calls.iter().filter(|it| it.is_finished()).count(), 0);
        for call in calls {
            assert!(call.await.unwrap().is_ok());
        }
        assert_eq!(breaker.snapshot().successes(), 10);
        // An open breaker rejects at once, though all places are taken.
        let _hang = [(); 2].map(|()| tokio::spawn(client.clone().oneshot(Order::Hang)));
        settle().await;
        breaker.force_open();
        let error = client.oneshot(Order::Succeed).await.unwrap_err();
        assert!(matches!(error, CallError::Rejected(_)));
    });
}

#[test]
fn the_layer_over_load_shed() {
    paused(async {
        let breaker = breaker();
        let client = ServiceBuilder::new()
            .layer(CircuitBreakerLayer::new(&breaker))
            .load_shed()
            .concurrency_limit(1)
            .service(Strict::default());
        let hang = tokio::spawn(client.clone().oneshot(Order::Hang));
        settle().await;
        let error = client.oneshot(Order::Succeed).await.unwrap_err();
        assert!(error.into_inner().unwrap().is::<Overloaded>());
        hang.abort();
    });
}

/// While the breaker is open, the buffer fills. `load_shed` answers the callers that find no place.
/// Each caller gets an answer, and the calls in the buffer are made when the breaker lets them.
#[test]
fn load_shed_over_a_buffer_over_backpressure_loses_nothing() {
    paused(async {
        let breaker = breaker();
        let inner = Strict::default();
        let client = ServiceBuilder::new()
            .load_shed()
            .buffer(3)
            .layer(CircuitBreakerLayer::new(&breaker).backpressure(sleep))
            .service(inner.clone());
        breaker.trip(5 * SECOND);
        let mut calls = Vec::new();
        for _ in 0..20 {
            calls.push(tokio::spawn(client.clone().oneshot(Order::Succeed)));
            settle().await;
        }
        let mut answers = [0; 2];
        for call in calls {
            match call.await.unwrap() {
                Ok(_) => answers[0] += 1,
                Err(error) if error.is::<Overloaded>() => answers[1] += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(answers.iter().sum::<u32>(), 20);
        assert_eq!(answers[0], inner.calls());
        // One call waits in the buffer's worker, and three in its queue.
        assert!((3..=4).contains(&answers[0]), "{answers:?}");
        assert_eq!(breaker.snapshot().totals().successes, u64::from(answers[0]));
        assert_eq!(breaker.snapshot().totals().rejected, 0);
        // Afterwards the buffer is as it was.
        for _ in 0..20 {
            assert!(client.clone().oneshot(Order::Succeed).await.is_ok());
        }
    });
}

/// Without `load_shed`, callers wait for a place in the buffer. None is lost either.
#[test]
fn a_buffer_over_backpressure_holds_up_its_callers_and_loses_nothing() {
    paused(async {
        let breaker = breaker();
        let client = ServiceBuilder::new()
            .buffer(3)
            .layer(CircuitBreakerLayer::new(&breaker).backpressure(sleep))
            .service(Strict::default());
        breaker.trip(5 * SECOND);
        let calls: Vec<_> = (0..20)
            .map(|_| tokio::spawn(client.clone().oneshot(Order::Succeed)))
            .collect();
        sleep(4 * SECOND).await;
        assert!(calls.iter().all(|call| !call.is_finished()));
        for call in calls {
            assert!(call.await.unwrap().is_ok());
        }
        assert_eq!(breaker.snapshot().totals().successes, 20);
    });
}
