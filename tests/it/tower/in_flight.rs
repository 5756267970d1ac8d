//! A layer that counts its calls in flight. `drive.rs` and the bodies of HTTP check the count after
//! each step of odd orders.

use std::future::Future;
use std::pin::pin;
use std::thread;

use tower::{Layer, Service};
use tripcurve::registry::Registry;
use tripcurve::tower::{CallsInFlight, CircuitBreakerLayer};

use super::{Order, Strict, breaker, call, context, paused, poll_ready, settings};

#[test]
fn layers_of_one_counter_and_their_clones_count_together() {
    paused(async {
        let in_flight = CallsInFlight::new();
        let layers = [(), ()].map(|()| {
            let layer = CircuitBreakerLayer::new(&breaker()).count_in_flight(&in_flight);
            layer.clone().layer(Strict::default())
        });
        let mut calls = Vec::new();
        for mut service in layers
            .into_iter()
            .flat_map(|service| [service.clone(), service])
        {
            assert!(poll_ready(&mut service).is_ready());
            calls.push(service.call(Order::Hang));
        }
        assert_eq!(in_flight.clone().count(), 4);
        assert_eq!(format!("{in_flight:?}"), "CallsInFlight(4)");
        drop(calls.pop());
        assert_eq!(in_flight.count(), 3);
        drop(calls);
        assert_eq!(in_flight.count(), 0);
    });
}

#[test]
fn a_layer_with_keys_counts_the_calls_of_all_keys() {
    paused(async {
        let in_flight = CallsInFlight::new();
        let orders = Registry::<String>::builder(settings()).build().unwrap();
        let mut service = CircuitBreakerLayer::new(&breaker())
            .key_by(&orders, |order: &Order| format!("{order:?}"))
            .count_in_flight(&in_flight)
            .layer(Strict::default());
        assert!(poll_ready(&mut service).is_ready());
        let hangs = service.call(Order::Hang);
        assert!(call(&mut service, Order::Fail).is_err());
        assert_eq!(in_flight.count(), 1);
        drop(hangs);
        assert_eq!(in_flight.count(), 0);
    });
}

/// A scrape that wakes with a caller must not see the caller's call any more.
#[test]
fn a_call_that_has_returned_is_no_longer_in_flight() {
    paused(async {
        let in_flight = CallsInFlight::new();
        let layer = CircuitBreakerLayer::new(&breaker()).count_in_flight(&in_flight);
        let mut service = layer.layer(Strict::default());
        assert!(poll_ready(&mut service).is_ready());
        let mut answers = pin!(service.call(Order::Succeed));
        assert_eq!(in_flight.count(), 1);
        assert!(answers.as_mut().poll(&mut context()).is_ready());
        assert_eq!(in_flight.count(), 0, "though its future is still there");
    });
}

#[test]
fn calls_of_many_threads_are_all_counted() {
    let in_flight = CallsInFlight::new();
    let layer = CircuitBreakerLayer::new(&breaker()).count_in_flight(&in_flight);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut service = layer.layer(Strict::default());
                for _ in 0..1_000 {
                    assert!(poll_ready(&mut service).is_ready());
                    let hangs = service.call(Order::Hang);
                    assert!((1..=4).contains(&in_flight.count()));
                    drop(hangs);
                }
            });
        }
    });
    assert_eq!(in_flight.count(), 0);
}

/// The gauge of the calls in flight is the layer's count.
#[cfg(feature = "metrics")]
#[test]
fn a_collector_shows_the_calls_in_flight_of_a_layer() {
    use metrics_exporter_prometheus::PrometheusBuilder;
    use tripcurve::metrics::Collector;
    use tripcurve::registry::Roster;

    paused(async {
        let in_flight = CallsInFlight::new();
        let layer = CircuitBreakerLayer::new(&breaker()).count_in_flight(&in_flight);
        let collector =
            Collector::new(&Roster::new()).in_flight("layered", move || in_flight.count());
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let scrape = || {
            metrics::with_local_recorder(&recorder, || collector.collect());
            handle.render()
        };
        let mut service = layer.layer(Strict::default());
        assert!(poll_ready(&mut service).is_ready());
        let hangs = service.call(Order::Hang);
        assert!(scrape().contains("circuit_breaker_calls_in_flight{name=\"layered\"} 1\n"));
        drop(hangs);
        assert!(scrape().contains("circuit_breaker_calls_in_flight{name=\"layered\"} 0\n"));
    });
}
