//! A real server and client of tonic: what the layer around the client's channel counts.

use std::time::Duration;

use http::HeaderMap;
use tonic::Code;
use tripcurve::tower::{ByGrpcStatus, CircuitBreakerLayer};
use tripcurve::{CircuitBreaker, State};

use super::shop::{Shopper, endpoint, open_shop};
use crate::http::server::{Served, Version, listen, serve};
use crate::http::{
    FAILURE, IGNORED, NONE, SECOND, SUCCESS, Scripted, Step, TIMED_OUT, breaker, counted, response,
};
use crate::runtime::on_loopback;

fn label(breaker: &CircuitBreaker) -> String {
    let opening = breaker.snapshot().latest_opening().unwrap();
    opening.label().unwrap().as_str().to_string()
}

#[test]
fn each_call_that_is_answered_is_a_success() {
    on_loopback(async {
        let breaker = breaker();
        let mut shopper = Shopper::new(&breaker, &endpoint(open_shop(None).await));
        for call in 1..=10 {
            assert_eq!(shopper.price("0").await.unwrap(), "9.99");
            assert_eq!(counted(&breaker), [call, 0, 0, 0]);
        }
    });
}

/// A server without a message to send has the status in its headers.
#[test]
fn the_status_of_a_response_without_messages_counts_at_once() {
    on_loopback(async {
        let address = open_shop(None).await;
        for code in 1..=16 {
            let expected = match Code::from(code) {
                Code::Unavailable
                | Code::DataLoss
                | Code::Internal
                | Code::Unknown
                | Code::ResourceExhausted => FAILURE,
                Code::DeadlineExceeded => TIMED_OUT,
                Code::Cancelled | Code::Aborted => IGNORED,
                _ => SUCCESS,
            };
            let breaker = breaker();
            let mut shopper = Shopper::new(&breaker, &endpoint(address));
            let status = shopper.price(&code.to_string()).await.unwrap_err();
            assert_eq!(status.code(), Code::from(code));
            assert_eq!(counted(&breaker), expected, "{:?}", status.code());
        }
    });
}

#[test]
fn a_quota_of_a_user_is_a_success_if_it_is_asked_to() {
    on_loopback(async {
        let breaker = breaker();
        let layer = CircuitBreakerLayer::grpc(&breaker)
            .classify(ByGrpcStatus::new().exhausted_is_success());
        let mut shopper = Shopper::with(&layer, &endpoint(open_shop(None).await));
        let status = shopper.price("8").await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(counted(&breaker), SUCCESS);
    });
}

#[test]
fn a_stream_is_a_success_with_its_trailers() {
    on_loopback(async {
        let breaker = breaker();
        let mut shopper = Shopper::new(&breaker, &endpoint(open_shop(None).await));
        let mut prices = shopper.prices("0").await.unwrap();
        for _ in 0..3 {
            assert!(prices.message().await.unwrap().is_some());
            assert_eq!(counted(&breaker), NONE);
        }
        assert!(prices.message().await.unwrap().is_none());
        assert_eq!(counted(&breaker), SUCCESS);
    });
}

#[test]
fn a_stream_that_fails_after_three_messages_is_a_failure() {
    on_loopback(async {
        let breaker = breaker();
        let mut shopper = Shopper::new(&breaker, &endpoint(open_shop(None).await));
        for failures in 1..=3 {
            let mut prices = shopper.prices("14").await.unwrap();
            for _ in 0..3 {
                assert!(prices.message().await.unwrap().is_some());
            }
            assert_eq!(counted(&breaker)[1], failures - 1);
            let status = prices.message().await.unwrap_err();
            assert_eq!(status.code(), Code::Unavailable);
            assert_eq!(counted(&breaker)[1], failures);
        }
        assert_eq!(breaker.state(), State::Open);
        assert_eq!(label(&breaker), "grpc_unavailable");
    });
}

#[test]
fn a_stream_that_the_caller_drops_counts_as_cancelled() {
    on_loopback(async {
        let breaker = breaker();
        let mut shopper = Shopper::new(&breaker, &endpoint(open_shop(None).await));
        let mut prices = shopper.prices("14").await.unwrap();
        assert!(prices.message().await.unwrap().is_some());
        drop(prices);
        assert_eq!(counted(&breaker), IGNORED);
    });
}

#[test]
fn until_headers_ends_a_stream_with_its_headers() {
    on_loopback(async {
        let breaker = breaker();
        let layer = CircuitBreakerLayer::grpc(&breaker).until_headers();
        let mut shopper = Shopper::with(&layer, &endpoint(open_shop(None).await));
        let mut prices = shopper.prices("14").await.unwrap();
        assert_eq!(counted(&breaker), SUCCESS);
        while prices.message().await.is_ok_and(|price| price.is_some()) {}
        assert_eq!(counted(&breaker), SUCCESS);
        // A status in the headers counts.
        assert!(shopper.price("14").await.is_err());
        assert_eq!(counted(&breaker), [1, 1, 0, 0]);
    });
}

/// tonic's server then says `CANCELLED`, with a message of its own.
#[test]
fn a_time_limit_of_the_server_is_timed_out() {
    on_loopback(async {
        let address = open_shop(Some(Duration::from_millis(5))).await;
        let breaker = breaker();
        let mut shopper = Shopper::new(&breaker, &endpoint(address));
        let status = shopper.price("hang").await.unwrap_err();
        assert_eq!(status.code(), Code::Cancelled);
        assert_eq!(status.message(), "Timeout expired");
        assert_eq!(counted(&breaker), TIMED_OUT);
    });
}

/// tonic's channel then ends the call with an error.
#[test]
fn a_time_limit_of_the_client_is_timed_out() {
    on_loopback(async {
        let limited = endpoint(open_shop(None).await).timeout(Duration::from_millis(5));
        let breaker = breaker();
        let mut shopper = Shopper::new(&breaker, &limited);
        let status = shopper.price("hang").await.unwrap_err();
        assert!(format!("{status:?}").contains("TimeoutExpired"));
        assert_eq!(counted(&breaker), TIMED_OUT);
    });
}

#[test]
fn a_server_that_pushes_back_lengthens_the_open_time() {
    on_loopback(async {
        let breaker = breaker();
        let mut shopper = Shopper::new(&breaker, &endpoint(open_shop(None).await));
        for _ in 0..3 {
            let status = shopper.price("push back").await.unwrap_err();
            assert_eq!(status.code(), Code::Unavailable);
        }
        assert_eq!(breaker.state(), State::Open);
        let earliest = breaker.ask().unwrap_err().earliest().unwrap();
        assert!(
            earliest > 59 * SECOND && earliest <= 60 * SECOND,
            "{earliest:?}"
        );
    });
}

/// A proxy answers in place of the server.
#[test]
fn a_status_of_http_is_a_failure() {
    on_loopback(async {
        let page = |_| {
            let page = Scripted::of([Step::Data("<h1>Bad gateway</h1>")]);
            response(502, &[("content-type", "text/html")], Served(page))
        };
        let address = serve(Version::H2, page).await;
        let breaker = breaker();
        let mut shopper = Shopper::new(&breaker, &endpoint(address));
        for _ in 0..3 {
            // tonic tries to read the page as a message.
            shopper.price("0").await.unwrap_err();
        }
        assert_eq!(breaker.state(), State::Open);
        assert_eq!(label(&breaker), "grpc_unavailable");
    });
}

#[test]
fn a_stream_that_the_server_breaks_off_is_a_failure() {
    on_loopback(async {
        let breaks = |_| {
            // A message: not compressed, one byte.
            let message = Step::Data("\0\0\0\0\x01a");
            let body = Scripted::of([message, Step::Yield, Step::Error]);
            response(200, &[("content-type", "application/grpc")], Served(body))
        };
        let address = serve(Version::H2, breaks).await;
        let breaker = breaker();
        let mut shopper = Shopper::new(&breaker, &endpoint(address));
        let mut prices = shopper.prices("0").await.unwrap();
        assert_eq!(prices.message().await.unwrap().unwrap(), "a");
        assert_eq!(counted(&breaker), NONE);
        prices.message().await.unwrap_err();
        assert_eq!(counted(&breaker), FAILURE);
    });
}

#[test]
fn a_stream_that_ends_without_a_status_is_a_failure() {
    on_loopback(async {
        for trailers in [None, Some(HeaderMap::new())] {
            let ends = move |_| {
                let message = [Step::Data("\0\0\0\0\x01a"), Step::Yield];
                let trailers = trailers.clone().map(Step::Trailers);
                let body = Scripted::of(message.into_iter().chain(trailers));
                response(200, &[("content-type", "application/grpc")], Served(body))
            };
            let ends: &'static _ = Box::leak(Box::new(ends));
            let address = serve(Version::H2, ends).await;
            let breaker = breaker();
            let mut shopper = Shopper::new(&breaker, &endpoint(address));
            let mut prices = shopper.prices("0").await.unwrap();
            assert_eq!(prices.message().await.unwrap().unwrap(), "a");
            assert_eq!(counted(&breaker), NONE);
            // What tonic makes of it is its own affair.
            let _ = prices.message().await;
            assert_eq!(counted(&breaker), FAILURE);
        }
    });
}

#[test]
fn a_server_of_grpc_that_is_not_there_is_a_failure() {
    on_loopback(async {
        let (listener, address) = listen().await;
        drop(listener);
        let breaker = breaker();
        let mut shopper = Shopper::new(&breaker, &endpoint(address));
        for _ in 0..3 {
            assert!(shopper.price("0").await.is_err());
        }
        assert_eq!(breaker.state(), State::Open);
        assert_eq!(label(&breaker), "no_response");
        let status = shopper.price("0").await.unwrap_err();
        assert!(format!("{status:?}").contains("Rejected"), "{status:?}");
    });
}
