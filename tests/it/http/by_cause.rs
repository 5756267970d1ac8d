//! Every row of the table of errors, with the errors of the real libraries where they are at hand.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::pending;
use std::io;
use std::time::Duration;

use crate::runtime::paused;
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::{BoxError, Layer, Service, ServiceExt};
use tripcurve::tower::{ByCause, ByStatus, CircuitBreakerLayer, ClassifyError};
use tripcurve::{CircuitBreaker, Outcome};

use super::{Answers, Broken, Scripted, breaker, counted, now, once, request};

fn outcome(error: impl Error + 'static) -> Outcome {
    ByCause.classify_error(&error)
}

/// An error of another library: a message, and what it was caused by.
#[derive(Debug)]
struct Foreign(&'static str, Option<BoxError>);

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Foreign {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|source| source as _)
    }
}

#[test]
fn an_error_without_a_known_cause_is_a_failure() {
    assert_eq!(outcome(Broken), Outcome::Failure);
    for kind in [
        io::ErrorKind::ConnectionRefused,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::BrokenPipe,
        io::ErrorKind::UnexpectedEof,
    ] {
        assert_eq!(outcome(io::Error::from(kind)), Outcome::Failure, "{kind}");
    }
    let protocol = Foreign("http2 error", Some(Broken.into()));
    assert_eq!(outcome(protocol), Outcome::Failure);
    // A message that only contains a known one is another message.
    let other = Foreign("the builder error of a request timed out", None);
    assert_eq!(outcome(other), Outcome::Failure);
}

#[test]
fn elapsed_times_of_tower_and_tokio_are_timed_out() {
    paused(async {
        let nothing = tower::service_fn(|()| pending::<Result<(), Infallible>>());
        let client = tower::timeout::Timeout::new(nothing, Duration::from_secs(1));
        let error: BoxError = client.oneshot(()).await.unwrap_err();
        assert_eq!(ByCause.classify_error(&error), Outcome::TimedOut);
        let elapsed = tokio::time::timeout(Duration::from_secs(1), pending::<()>()).await;
        assert_eq!(outcome(elapsed.unwrap_err()), Outcome::TimedOut);
    });
}

#[test]
fn an_io_error_may_be_timed_out_or_contain_an_error_that_is() {
    let timed_out = io::Error::from(io::ErrorKind::TimedOut);
    assert_eq!(outcome(timed_out), Outcome::TimedOut);
    let elapsed = Foreign("request timed out", None);
    assert_eq!(outcome(io::Error::other(elapsed)), Outcome::TimedOut);
    let invalid = "http://a b".parse::<http::Uri>().unwrap_err();
    assert_eq!(outcome(io::Error::other(invalid)), Outcome::Ignored);
}

/// The messages of reqwest 0.13.
#[test]
fn errors_of_reqwest_count_by_their_messages() {
    let sent = |source: Foreign| {
        Foreign(
            "error sending request for url (http://localhost/)",
            Some(source.into()),
        )
    };
    let timed_out = sent(Foreign("operation timed out", None));
    assert_eq!(outcome(timed_out), Outcome::TimedOut);
    let refused = Foreign(
        "client error (Connect)",
        Some(io::Error::from(io::ErrorKind::ConnectionRefused).into()),
    );
    assert_eq!(outcome(sent(refused)), Outcome::Failure);
    let relative = Foreign("relative URL without a base", None);
    let builder = Foreign("builder error for url (/books)", Some(relative.into()));
    assert_eq!(outcome(builder), Outcome::Ignored);
    let redirects = Foreign(
        "error following redirect for url (http://localhost/)",
        Some(Foreign("too many redirects", None).into()),
    );
    assert_eq!(outcome(redirects), Outcome::Ignored);
}

#[test]
fn errors_in_building_a_request_are_ignored() {
    let uri = "http://a b".parse::<http::Uri>().unwrap_err();
    assert_eq!(outcome(uri), Outcome::Ignored);
    let request = http::Request::builder().method("G E T").body(());
    assert_eq!(outcome(request.unwrap_err()), Outcome::Ignored);
    let method = http::Method::from_bytes(b"G E T").unwrap_err();
    assert_eq!(outcome(method), Outcome::Ignored);
    let name = http::HeaderName::from_bytes(b"a b").unwrap_err();
    assert_eq!(outcome(name), Outcome::Ignored);
    let value = http::HeaderValue::from_bytes(b"\n").unwrap_err();
    assert_eq!(outcome(value), Outcome::Ignored);
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(http::uri::Scheme::HTTP);
    let parts = http::Uri::from_parts(parts).unwrap_err();
    assert_eq!(outcome(parts), Outcome::Ignored);
}

/// hyper-util's client says so of a request that no server has seen.
#[test]
fn a_request_that_hyper_refuses_is_ignored() {
    paused(async {
        let client = Client::builder(TokioExecutor::new()).build_http::<Empty<&[u8]>>();
        let breaker = breaker();
        let mut client = CircuitBreakerLayer::http(&breaker).layer(client);
        let relative = http::Request::get("/books").body(Empty::new()).unwrap();
        let error = client.ready().await.unwrap().call(relative).await;
        let error = error.unwrap_err().into_inner().unwrap();
        assert_eq!(error.to_string(), "client error (UserAbsoluteUriRequired)");
        assert_eq!(counted(&breaker), once(Outcome::Ignored));
    });
}

/// The user's request body fails before the server has answered.
#[test]
fn a_request_body_that_breaks_is_ignored() {
    let user = Foreign("error from user's Body stream", Some(Broken.into()));
    let sent = Foreign("client error (SendRequest)", Some(user.into()));
    assert_eq!(outcome(sent), Outcome::Ignored);
}

#[test]
fn the_outermost_known_error_decides() {
    let inner = Foreign("builder error", None);
    let outer = Foreign("operation timed out", Some(inner.into()));
    assert_eq!(outcome(outer), Outcome::TimedOut);
    let inner = Foreign("operation timed out", None);
    let outer = Foreign("builder error", Some(inner.into()));
    assert_eq!(outcome(outer), Outcome::Ignored);
}

#[test]
fn a_chain_that_never_ends_does_no_harm() {
    #[derive(Debug)]
    struct Circle;
    impl fmt::Display for Circle {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a circle")
        }
    }
    impl Error for Circle {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&Circle)
        }
    }
    assert_eq!(outcome(Circle), Outcome::Failure);
}

/// The compiler finds out whether a service's errors are boxed.
#[test]
fn errors_of_a_service_may_be_typed_boxed_or_impossible() {
    fn call<E, C>(
        breaker: &CircuitBreaker,
        layer: impl FnOnce(&CircuitBreaker) -> CircuitBreakerLayer<tripcurve::tower::Typed, C>,
        error: E,
    ) where
        E: Clone,
        CircuitBreakerLayer<tripcurve::tower::Typed, C>: Layer<Answers<Scripted, E>>,
        <CircuitBreakerLayer<tripcurve::tower::Typed, C> as Layer<Answers<Scripted, E>>>::Service:
            Service<http::Request<()>>,
    {
        let mut service = layer(breaker).layer(Answers(Err(error)));
        assert!(now(service.call(request("GET"))).is_err());
    }

    #[derive(Clone, Debug, PartialEq, Eq)]
    struct NoError(Outcome);

    let typed = breaker();
    call(&typed, CircuitBreakerLayer::http, fmt::Error);
    assert_eq!(counted(&typed), once(Outcome::Failure));

    for expected in [Outcome::Failure, Outcome::TimedOut, Outcome::Ignored] {
        let own = breaker();
        let layer = |breaker: &_| {
            let by_status = ByStatus::new().errors_with(|error: &NoError| error.0);
            CircuitBreakerLayer::http(breaker).classify(by_status)
        };
        call(&own, layer, NoError(expected));
        assert_eq!(counted(&own), once(expected));
    }
}
