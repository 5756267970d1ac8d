//! Every way in which a body can end, and what each counts as.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use http::HeaderMap;
use http_body::Body;
use tripcurve::tower::GuardedBody;
use tripcurve::{CircuitBreaker, Outcome, State};

use super::{
    FAILURE, IGNORED, NONE, SUCCESS, Scripted, Step, breaker, call, counted, get, poll, response,
};

fn two_pieces() -> Scripted {
    Scripted::of([Step::Data("ab"), Step::Data("cd")])
}

fn poll_data(body: &mut GuardedBody<Scripted>) {
    assert!(matches!(poll(body), Poll::Ready(Some(Ok(frame))) if frame.is_data()));
}

#[test]
fn a_body_ends_when_no_frame_is_left() {
    let breaker = breaker();
    let mut body = get(&breaker, response(200, &[], two_pieces())).into_body();
    poll_data(&mut body);
    poll_data(&mut body);
    assert_eq!(counted(&breaker), NONE);
    assert!(matches!(poll(&mut body), Poll::Ready(None)));
    assert_eq!(counted(&breaker), SUCCESS);
    assert!(matches!(poll(&mut body), Poll::Ready(None)));
    drop(body);
    assert_eq!(counted(&breaker), SUCCESS);
}

#[test]
fn a_body_ends_when_it_says_so_after_a_frame() {
    let breaker = breaker();
    let mut body = get(&breaker, response(200, &[], two_pieces().telling_end())).into_body();
    poll_data(&mut body);
    assert_eq!(counted(&breaker), NONE);
    poll_data(&mut body);
    assert_eq!(counted(&breaker), SUCCESS);
    drop(body);
    assert_eq!(counted(&breaker), SUCCESS);
}

#[test]
fn a_body_ends_with_the_last_byte_of_its_size() {
    let breaker = breaker();
    let mut body = get(&breaker, response(200, &[], two_pieces().sized(4))).into_body();
    poll_data(&mut body);
    assert_eq!(counted(&breaker), NONE);
    poll_data(&mut body);
    assert_eq!(counted(&breaker), SUCCESS);
}

#[test]
fn a_body_ends_with_the_last_byte_of_its_content_length() {
    let breaker = breaker();
    let answer = response(200, &[("content-length", "4")], two_pieces());
    let mut body = get(&breaker, answer).into_body();
    poll_data(&mut body);
    assert_eq!(counted(&breaker), NONE);
    poll_data(&mut body);
    assert_eq!(counted(&breaker), SUCCESS);
}

/// A body knows its size better than the header, for example after it was decompressed.
#[test]
fn the_size_of_the_body_goes_before_the_content_length() {
    let breaker = breaker();
    let answer = response(200, &[("content-length", "2")], two_pieces().sized(4));
    let mut body = get(&breaker, answer).into_body();
    poll_data(&mut body);
    assert_eq!(counted(&breaker), NONE);
    poll_data(&mut body);
    assert_eq!(counted(&breaker), SUCCESS);
}

#[test]
fn a_content_length_that_is_no_number_ends_nothing() {
    for length in ["", "-1", "four", "4, 4", "99999999999999999999"] {
        let breaker = breaker();
        let answer = response(200, &[("content-length", length)], two_pieces());
        let mut body = get(&breaker, answer).into_body();
        poll_data(&mut body);
        poll_data(&mut body);
        assert_eq!(counted(&breaker), NONE, "{length:?}");
        drop(body);
        assert_eq!(counted(&breaker), IGNORED, "{length:?}");
    }
}

/// More bytes than were announced do no harm.
#[test]
fn a_body_that_is_longer_than_it_said_ends_once() {
    let breaker = breaker();
    let mut body = get(&breaker, response(200, &[], two_pieces().sized(1))).into_body();
    poll_data(&mut body);
    poll_data(&mut body);
    assert!(matches!(poll(&mut body), Poll::Ready(None)));
    assert_eq!(counted(&breaker), SUCCESS);
}

/// A stream of HTTP/2 that a server has cancelled ends so in hyper.
#[test]
fn a_body_that_ends_before_its_size_is_a_failure() {
    let trailers = || Step::Trailers(HeaderMap::new());
    let ends: [(Scripted, bool); 4] = [
        (two_pieces(), false),
        (two_pieces().telling_end(), false),
        (Scripted::of([Step::Data("ab"), trailers()]), false),
        (
            Scripted::of([Step::Data("ab"), Step::Pending]).telling_end(),
            true,
        ),
    ];
    for (body, is_dropped) in ends {
        let breaker = breaker();
        let mut body = get(&breaker, response(200, &[], body.sized(5))).into_body();
        poll_data(&mut body);
        assert_eq!(counted(&breaker), NONE);
        while matches!(poll(&mut body), Poll::Ready(Some(_))) {}
        if is_dropped {
            assert_eq!(counted(&breaker), NONE);
            drop(body);
        }
        assert_eq!(counted(&breaker), FAILURE);
    }
}

/// The header may speak of other bytes, such as compressed ones.
#[test]
fn a_body_that_ends_before_its_content_length_is_a_success() {
    let breaker = breaker();
    let answer = response(200, &[("content-length", "5")], two_pieces());
    let mut body = get(&breaker, answer).into_body();
    while matches!(poll(&mut body), Poll::Ready(Some(_))) {}
    assert_eq!(counted(&breaker), SUCCESS);
}

#[test]
fn a_body_that_is_empty_ends_when_it_is_wrapped() {
    let says_so = Scripted::default().telling_end();
    let has_no_byte = Scripted::default().sized(0);
    for body in [says_so, has_no_byte] {
        let breaker = breaker();
        let response = get(&breaker, response(200, &[], body));
        assert_eq!(counted(&breaker), SUCCESS);
        drop(response);
        assert_eq!(counted(&breaker), SUCCESS);
    }
    let breaker = breaker();
    let answer = response(200, &[("content-length", "0")], Scripted::default());
    let _response = get(&breaker, answer);
    assert_eq!(counted(&breaker), SUCCESS);
}

#[test]
fn a_response_without_a_body_ends_with_its_headers() {
    for (method, status) in [
        ("HEAD", 200),
        ("HEAD", 404),
        ("GET", 101),
        ("GET", 103),
        ("GET", 204),
        ("GET", 304),
        ("CONNECT", 200),
    ] {
        let breaker = breaker();
        // The body that the headers announce doesn't come.
        let announced = response(status, &[("content-length", "4")], two_pieces());
        let response = call(&breaker, method, announced);
        assert_eq!(counted(&breaker), SUCCESS, "{method} {status}");
        drop(response);
        assert_eq!(counted(&breaker), SUCCESS, "{method} {status}");
    }
}

#[test]
fn a_connect_that_is_refused_has_a_body() {
    let breaker = breaker();
    let response = call(&breaker, "CONNECT", response(407, &[], two_pieces()));
    assert_eq!(counted(&breaker), NONE);
    drop(response);
    assert_eq!(counted(&breaker), IGNORED);
}

#[test]
fn trailers_end_a_body() {
    let breaker = breaker();
    let body = Scripted::of([Step::Data("ab"), Step::Trailers(HeaderMap::new())]);
    let mut body = get(&breaker, response(200, &[], body)).into_body();
    poll_data(&mut body);
    assert_eq!(counted(&breaker), NONE);
    assert!(matches!(poll(&mut body), Poll::Ready(Some(Ok(frame))) if frame.is_trailers()));
    assert_eq!(counted(&breaker), SUCCESS);
}

/// hyper asks a body whether it has ended, and then drops it without a last poll.
#[test]
fn a_body_that_has_ended_when_it_is_dropped_is_a_success() {
    let breaker = breaker();
    let waits = Scripted::of([Step::Pending]).telling_end();
    let mut body = get(&breaker, response(200, &[], waits)).into_body();
    assert!(poll(&mut body).is_pending());
    assert_eq!(counted(&breaker), NONE);
    assert!(body.is_end_stream());
    drop(body);
    assert_eq!(counted(&breaker), SUCCESS);
}

#[test]
fn an_error_frame_is_a_failure() {
    let breaker = breaker();
    let broken = Scripted::of([Step::Data("ab"), Step::Error]);
    let mut body = get(&breaker, response(200, &[], broken)).into_body();
    poll_data(&mut body);
    assert!(matches!(poll(&mut body), Poll::Ready(Some(Err(_)))));
    assert_eq!(counted(&breaker), FAILURE);
    assert!(matches!(poll(&mut body), Poll::Ready(None)));
    drop(body);
    assert_eq!(counted(&breaker), FAILURE);
}

#[test]
fn three_broken_bodies_trip_the_breaker_and_say_why() {
    let breaker = breaker();
    for _ in 0..3 {
        let broken = Scripted::of([Step::Error]);
        let mut body = get(&breaker, response(200, &[], broken)).into_body();
        assert!(poll(&mut body).is_ready());
    }
    assert_eq!(breaker.state(), State::Open);
    let opening = breaker.snapshot().latest_opening().unwrap();
    assert_eq!(opening.label().unwrap().as_str(), "broken_body");
}

#[test]
fn a_body_that_is_dropped_halfway_counts_as_on_cancel_says() {
    for (on_cancel, expected) in [(Outcome::Ignored, IGNORED), (Outcome::Failure, FAILURE)] {
        let breaker = CircuitBreaker::builder("exchange")
            .on_cancel(on_cancel)
            .build()
            .unwrap();
        let mut body = get(&breaker, response(200, &[], two_pieces())).into_body();
        poll_data(&mut body);
        drop(body);
        assert_eq!(counted(&breaker), expected);
    }
}

#[test]
fn a_body_that_is_never_polled_counts_as_on_cancel_says() {
    let breaker = breaker();
    drop(get(&breaker, response(200, &[], two_pieces())));
    assert_eq!(counted(&breaker), IGNORED);
}

#[test]
fn a_body_that_panics_is_a_failure() {
    let breaker = breaker();
    let panics = Scripted::of([Step::Panic]);
    let mut body = get(&breaker, response(200, &[], panics)).into_body();
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut body))).is_err());
    assert_eq!(counted(&breaker), FAILURE);
    drop(body);
    assert_eq!(counted(&breaker), FAILURE);
}

#[test]
fn a_body_that_waits_holds_its_permit() {
    let breaker = breaker();
    let waits = Scripted::of([Step::Pending, Step::Data("ab"), Step::Pending]);
    let mut body = get(&breaker, response(200, &[], waits)).into_body();
    assert!(poll(&mut body).is_pending());
    poll_data(&mut body);
    assert!(poll(&mut body).is_pending());
    assert_eq!(counted(&breaker), NONE);
    assert!(matches!(poll(&mut body), Poll::Ready(None)));
    assert_eq!(counted(&breaker), SUCCESS);
}

/// A probe's place is taken until the body has ended.
#[test]
fn the_body_of_a_probe_is_a_part_of_it() {
    let breaker = CircuitBreaker::builder("exchange")
        .start_in(State::HalfOpen)
        .probes(1)
        .build()
        .unwrap();
    let mut body = get(&breaker, response(200, &[], two_pieces().sized(4))).into_body();
    assert_eq!(breaker.snapshot().probes_in_flight(), 1);
    assert!(breaker.ask().is_err());
    poll_data(&mut body);
    assert_eq!(breaker.state(), State::HalfOpen);
    poll_data(&mut body);
    assert_eq!(breaker.state(), State::Closed);
}

/// The failure of a head counts at once, and its body is read in peace.
#[test]
fn a_failure_ends_with_its_headers() {
    let breaker = breaker();
    let mut body = get(&breaker, response(500, &[], two_pieces())).into_body();
    assert_eq!(counted(&breaker), FAILURE);
    poll_data(&mut body);
    drop(body);
    assert_eq!(counted(&breaker), FAILURE);
}

/// Otherwise hyper would go from `Content-Length` to chunks.
#[test]
fn size_and_end_of_the_inner_body_are_forwarded() {
    let breaker = breaker();
    let sized = two_pieces().sized(4).telling_end();
    let mut body = get(&breaker, response(200, &[], sized)).into_body();
    assert_eq!(body.size_hint().exact(), Some(4));
    assert!(!body.is_end_stream());
    assert_eq!(body.get_ref().size, Some(4));
    poll_data(&mut body);
    poll_data(&mut body);
    assert!(body.is_end_stream());
    let unsized_body = get(&breaker, response(200, &[], two_pieces())).into_body();
    assert_eq!(unsized_body.size_hint().exact(), None);
}

#[test]
fn a_body_shows_whether_it_holds_a_permit() {
    let breaker = breaker();
    let body = get(&breaker, response(200, &[], two_pieces())).into_body();
    assert!(format!("{body:?}").contains("holds_permit: true"));
    let body = GuardedBody::<Scripted>::default();
    assert!(format!("{body:?}").contains("holds_permit: false"));
}
