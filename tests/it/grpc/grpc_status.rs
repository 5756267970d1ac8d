//! Every row of the table of gRPC, in headers and in trailers.

use std::convert::Infallible;
use std::task::Poll;
use std::time::Duration;

use http::{HeaderMap, HeaderName, Response};
use tower::{BoxError, Layer, Service, ServiceExt};
use tripcurve::outcome::Label;
use tripcurve::registry::Registry;
use tripcurve::tower::{ByGrpcStatus, CircuitBreakerLayer, GuardedBody, StatusAtEnd, respond};
use tripcurve::{CircuitBreaker, Outcome, Rejected, State};

use crate::http::{
    Answers, Broken, FAILURE, Gone, IGNORED, NONE, SUCCESS, Scripted, Step, TIMED_OUT, breaker,
    counted, now, once, poll, request, response,
};

const RULES: [(u32, &str, Outcome); 17] = [
    (0, "grpc_ok", Outcome::Success),
    (1, "grpc_cancelled", Outcome::Ignored),
    (2, "grpc_unknown", Outcome::Failure),
    (3, "grpc_invalid_argument", Outcome::Success),
    (4, "grpc_deadline_exceeded", Outcome::TimedOut),
    (5, "grpc_not_found", Outcome::Success),
    (6, "grpc_already_exists", Outcome::Success),
    (7, "grpc_permission_denied", Outcome::Success),
    (8, "grpc_resource_exhausted", Outcome::Failure),
    (9, "grpc_failed_precondition", Outcome::Success),
    (10, "grpc_aborted", Outcome::Ignored),
    (11, "grpc_out_of_range", Outcome::Success),
    (12, "grpc_unimplemented", Outcome::Success),
    (13, "grpc_internal", Outcome::Failure),
    (14, "grpc_unavailable", Outcome::Failure),
    (15, "grpc_data_loss", Outcome::Failure),
    (16, "grpc_unauthenticated", Outcome::Success),
];

type Body = GuardedBody<Scripted, StatusAtEnd>;

fn post(breaker: &CircuitBreaker, answer: Response<Scripted>) -> Response<Body> {
    let inner = Answers(Ok::<_, Infallible>(answer));
    let mut service = CircuitBreakerLayer::grpc(breaker).layer(inner);
    now(service.call(request("POST"))).unwrap()
}

/// What a call counts as whose head is this one.
fn of_head(status: u16, headers: &[(&str, &str)]) -> [u64; 4] {
    let breaker = breaker();
    let response = post(&breaker, response(status, headers, Scripted::default()));
    let counts = counted(&breaker);
    drop(response);
    if counts != NONE {
        assert_eq!(counted(&breaker), counts);
    }
    counts
}

fn header_map(headers: &[(&str, &str)]) -> HeaderMap {
    let pairs = headers.iter().map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        (name, value.parse().unwrap())
    });
    pairs.collect()
}

/// A call that ends with these trailers, and its breaker.
fn with_trailers(trailers: &[(&str, &str)]) -> CircuitBreaker {
    let breaker = CircuitBreaker::builder("exchange")
        .trip_when(tripcurve::TripPolicy::consecutive_failures(1))
        .build()
        .unwrap();
    let trailers = Step::Trailers(header_map(trailers));
    let body = Scripted::of([Step::Data("ab"), trailers]);
    let mut body = post(&breaker, response(200, &[], body)).into_body();
    assert!(poll(&mut body).is_ready());
    assert_eq!(counted(&breaker), NONE);
    assert!(poll(&mut body).is_ready());
    breaker
}

#[test]
fn every_code_in_headers_counts_as_the_table_says() {
    for (code, _, expected) in RULES {
        let code = code.to_string();
        let counts = of_head(200, &[("grpc-status", &code)]);
        assert_eq!(counts, once(expected), "{code}");
    }
}

#[test]
fn every_code_in_trailers_counts_as_the_table_says() {
    for (code, label, expected) in RULES {
        let breaker = with_trailers(&[("grpc-status", &code.to_string())]);
        assert_eq!(counted(&breaker), once(expected), "{label}");
        let opening = breaker.snapshot().latest_opening();
        let found = opening.and_then(|opening| opening.label());
        let expected = matches!(expected, Outcome::Failure | Outcome::TimedOut).then_some(label);
        assert_eq!(found.as_ref().map(Label::as_str), expected);
    }
}

#[test]
fn a_code_that_nobody_knows_is_a_failure() {
    for code in [
        "17",
        "99",
        "-1",
        "",
        "ok",
        "4294967296",
        "99999999999999999999",
    ] {
        assert_eq!(of_head(200, &[("grpc-status", code)]), FAILURE, "{code:?}");
        let breaker = with_trailers(&[("grpc-status", code)]);
        assert_eq!(counted(&breaker), FAILURE, "{code:?}");
    }
}

#[test]
fn resource_exhausted_is_a_success_if_it_is_asked_to() {
    let breaker = breaker();
    let layer =
        CircuitBreakerLayer::grpc(&breaker).classify(ByGrpcStatus::new().exhausted_is_success());
    for trailers_only in [true, false] {
        let exhausted = [("grpc-status", "8")];
        let answer = if trailers_only {
            response(200, &exhausted, Scripted::default())
        } else {
            let trailers = Step::Trailers(header_map(&exhausted));
            response(200, &[], Scripted::of([trailers]))
        };
        let mut service = layer.clone().layer(Answers(Ok::<_, Infallible>(answer)));
        let mut body = now(service.call(request("POST"))).unwrap().into_body();
        let _ = poll(&mut body);
    }
    assert_eq!(counted(&breaker), [2, 0, 0, 0]);
}

#[test]
fn cancelled_by_a_time_limit_of_tonic_is_timed_out() {
    for (message, expected) in [
        ("Timeout expired", TIMED_OUT),
        ("Timeout%20expired", TIMED_OUT),
        ("%54imeout%20expire%64", TIMED_OUT),
        ("Timeout expired!", IGNORED),
        ("Timeout", IGNORED),
        ("Timeout%2", IGNORED),
        ("Timeout%zzexpired", IGNORED),
        ("", IGNORED),
    ] {
        let headers = [("grpc-status", "1"), ("grpc-message", message)];
        assert_eq!(of_head(200, &headers), expected, "{message:?}");
        assert_eq!(counted(&with_trailers(&headers)), expected, "{message:?}");
    }
    // Other codes with the message are what they are.
    let headers = [("grpc-status", "5"), ("grpc-message", "Timeout expired")];
    assert_eq!(of_head(200, &headers), SUCCESS);
}

#[test]
fn a_status_of_http_other_than_200_comes_first() {
    for (status, expected) in [
        (400, FAILURE),
        (401, SUCCESS),
        (403, SUCCESS),
        (404, SUCCESS),
        (429, FAILURE),
        (500, FAILURE),
        (502, FAILURE),
        (503, FAILURE),
        (504, FAILURE),
        (204, FAILURE),
        (302, FAILURE),
        (418, FAILURE),
    ] {
        assert_eq!(of_head(status, &[]), expected, "{status}");
        // No server of gRPC says so.
        assert_eq!(
            of_head(status, &[("grpc-status", "0")]),
            expected,
            "{status}"
        );
    }
    // One that says more about the call is heard.
    assert_eq!(of_head(400, &[("grpc-status", "3")]), SUCCESS);
    assert_eq!(of_head(404, &[("grpc-status", "14")]), FAILURE);
    assert_eq!(of_head(502, &[("grpc-status", "10")]), IGNORED);
}

#[test]
fn a_body_that_ends_without_a_status_is_a_failure() {
    let ends: [fn() -> Scripted; 4] = [
        Scripted::default,
        || Scripted::of([Step::Data("ab")]),
        || Scripted::of([Step::Data("ab")]).telling_end(),
        || Scripted::of([Step::Trailers(header_map(&[("checksum", "42")]))]),
    ];
    for end in ends {
        let breaker = breaker();
        let mut body = post(&breaker, response(200, &[], end())).into_body();
        assert_eq!(counted(&breaker), NONE);
        while matches!(poll(&mut body), Poll::Ready(Some(Ok(_)))) {}
        assert_eq!(counted(&breaker), FAILURE);
    }
    // A body that has ended already has no trailers.
    assert_eq!(counted_at_once(Scripted::default().telling_end()), FAILURE);
}

fn counted_at_once(body: Scripted) -> [u64; 4] {
    let breaker = breaker();
    let _response = post(&breaker, response(200, &[], body));
    counted(&breaker)
}

/// The trailers come after the last byte.
#[test]
fn the_length_of_a_body_ends_no_call_of_grpc() {
    let breaker = breaker();
    let trailers = Step::Trailers(header_map(&[("grpc-status", "14")]));
    let body = Scripted::of([Step::Data("ab"), trailers]).sized(2);
    let answer = response(200, &[("content-length", "2")], body);
    let mut body = post(&breaker, answer).into_body();
    assert!(poll(&mut body).is_ready());
    assert_eq!(counted(&breaker), NONE);
    assert!(poll(&mut body).is_ready());
    assert_eq!(counted(&breaker), FAILURE);
    assert_eq!(counted_at_once(Scripted::default().sized(0)), NONE);
}

#[test]
fn an_error_frame_is_a_failure_and_a_dropped_body_is_cancelled() {
    let breaker = breaker();
    let broken = Scripted::of([Step::Data("ab"), Step::Error]);
    let mut body = post(&breaker, response(200, &[], broken)).into_body();
    assert!(poll(&mut body).is_ready());
    assert!(poll(&mut body).is_ready());
    assert_eq!(counted(&breaker), FAILURE);
    let half = Scripted::of([Step::Data("ab"), Step::Data("cd")]);
    let mut body = post(&breaker, response(200, &[], half)).into_body();
    assert!(poll(&mut body).is_ready());
    drop(body);
    assert_eq!(counted(&breaker), [0, 1, 0, 1]);
}

/// How long a breaker stays open whose only call failed with these trailers.
fn open_time(trailers: &[(&str, &str)]) -> Duration {
    let breaker = with_trailers(trailers);
    assert_eq!(breaker.state(), State::Open);
    breaker.ask().unwrap_err().earliest().unwrap()
}

#[test]
fn pushback_is_the_retry_after() {
    let unavailable = ("grpc-status", "14");
    let pushed = |value| open_time(&[unavailable, ("grpc-retry-pushback-ms", value)]);
    let minute = Duration::from_secs(59)..=Duration::from_secs(60);
    let plain = open_time(&[unavailable]);
    assert!(plain < Duration::from_secs(59));
    assert!(minute.contains(&pushed("60000")));
    assert!(minute.contains(&pushed(" 60000 ")));
    // It is clamped to five minutes, and doesn't overflow.
    assert!(pushed("99999999999999999999") > Duration::from_secs(299));
    // A negative one is none, and so is one that is no number.
    for value in ["-1", "-60000", "", "soon", "1e9", "60000.5"] {
        assert!(pushed(value) < Duration::from_secs(59), "{value:?}");
    }
    // A status that isn't a failure lengthens nothing.
    let well = with_trailers(&[("grpc-status", "5"), ("grpc-retry-pushback-ms", "60000")]);
    well.trip(Duration::from_secs(1));
    let earliest = well.ask().unwrap_err().earliest().unwrap();
    assert!(earliest <= Duration::from_secs(1));
}

/// A proxy knows no pushback.
#[test]
fn retry_after_is_heard_where_there_is_no_pushback() {
    let breaker = CircuitBreaker::builder("exchange")
        .trip_when(tripcurve::TripPolicy::consecutive_failures(1))
        .build()
        .unwrap();
    let answer = response(503, &[("retry-after", "60")], Scripted::default());
    let _ = post(&breaker, answer);
    let earliest = breaker.ask().unwrap_err().earliest().unwrap();
    assert!(earliest > Duration::from_secs(59));
}

#[test]
fn errors_of_the_client_count_by_their_causes() {
    let breaker = breaker();
    let typed = Answers::<Scripted, _>(Err(Broken));
    let mut service = CircuitBreakerLayer::grpc(&breaker).layer(typed);
    assert!(now(service.call(request("POST"))).is_err());
    assert_eq!(counted(&breaker), FAILURE);

    // The errors of `tower::timeout` are boxed.
    let boxed = tower::service_fn(|_: http::Request<()>| async {
        let elapsed = tower::timeout::error::Elapsed::new();
        Err::<Response<Scripted>, BoxError>(elapsed.into())
    });
    let mut service = CircuitBreakerLayer::grpc(&breaker).layer(boxed);
    assert!(now(service.call(request("POST"))).is_err());
    assert_eq!(counted(&breaker), [0, 1, 1, 0]);

    let by_status = ByGrpcStatus::new().errors_with(|outcome: &Outcome| *outcome);
    let own = Answers::<Scripted, _>(Err(Outcome::Ignored));
    let layer = CircuitBreakerLayer::grpc(&breaker).classify(by_status);
    let mut service = layer.layer(own);
    assert!(now(service.call(request("POST"))).is_err());
    assert_eq!(counted(&breaker), [0, 1, 1, 1]);
}

#[test]
fn keys_rejections_and_grpc_combine() {
    let template = CircuitBreaker::builder("tenant");
    let tenants = Registry::<u32>::builder(template).build().unwrap();
    tenants.get_or_create(&7).force_open();
    // A response without messages says why.
    let answer =
        respond(|_: Rejected| response(200, &[("grpc-status", "14")], Scripted::default()));
    let layer = CircuitBreakerLayer::grpc(&CircuitBreaker::new("others"))
        .reject_with(answer)
        .until_headers()
        .key_by(&tenants, |request: &http::Request<()>| {
            request.headers()["tenant"]
                .to_str()
                .unwrap()
                .parse::<u32>()
                .unwrap()
        });
    let inner = Answers(Ok::<_, Infallible>(response(200, &[], Scripted::default())));
    let mut service = layer.layer(inner);
    let mut call = |tenant: &str| {
        let mut request = request("POST");
        request
            .headers_mut()
            .insert("tenant", tenant.parse().unwrap());
        now(service.call(request)).unwrap()
    };
    assert_eq!(call("7").headers()["grpc-status"], "14");
    assert!(call("8").headers().is_empty());
    assert_eq!(tenants.get_or_create(&7).snapshot().totals().rejected, 1);
    assert_eq!(counted(&tenants.get_or_create(&8)), SUCCESS);
}

#[test]
fn an_error_of_poll_ready_counts_if_it_is_asked_to() {
    let breaker = breaker();
    let layer = CircuitBreakerLayer::grpc(&breaker);
    assert!(now(layer.clone().layer(Gone).ready()).is_err());
    assert_eq!(counted(&breaker), NONE);
    assert!(now(layer.count_ready_errors().layer(Gone).ready()).is_err());
    assert_eq!(counted(&breaker), FAILURE);
}
