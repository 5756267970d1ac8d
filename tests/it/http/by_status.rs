//! Every row of the table of statuses, and `Retry-After`.

use std::time::{Duration, SystemTime};

use http::Response;
use tripcurve::outcome::{Classify, Label};
use tripcurve::tower::ByStatus;
use tripcurve::{CircuitBreaker, Outcome, State};

use super::{Broken, SECOND, Scripted, counted, get, once, response};

type Answer = Result<Response<()>, Broken>;

#[allow(
    clippy::unnecessary_wraps,
    reason = "classifiers and services take results"
)]
fn answer(status: u16, headers: &[(&str, &str)]) -> Answer {
    Ok(response(status, headers, ()))
}

fn retry_after(headers: &[(&str, &str)]) -> Option<Duration> {
    ByStatus::new().retry_after(&answer(503, headers))
}

#[test]
fn every_status_counts_as_the_table_says() {
    for status in 100..1_000 {
        let expected = match status {
            501 | 505 => Outcome::Success,
            500..600 => Outcome::Failure,
            _ => Outcome::Success,
        };
        let outcome = ByStatus::new().classify(&answer(status, &[]));
        assert_eq!(outcome, expected, "{status}");
    }
}

/// In the layer, a status counts as in the table.
#[test]
fn the_layer_counts_by_status() {
    for (status, expected) in [
        (200, Outcome::Success),
        (404, Outcome::Success),
        (408, Outcome::Success),
        (429, Outcome::Success),
        (500, Outcome::Failure),
        (501, Outcome::Success),
        (502, Outcome::Failure),
        (503, Outcome::Failure),
        (504, Outcome::Failure),
        (505, Outcome::Success),
    ] {
        let breaker = super::breaker();
        let _ = get(
            &breaker,
            response(status, &[], Scripted::default().sized(0)),
        );
        assert_eq!(counted(&breaker), once(expected), "{status}");
    }
}

#[test]
fn a_503_with_retry_after_trips_only_if_it_is_asked_to() {
    let with = answer(503, &[("retry-after", "30")]);
    let without = answer(503, &[]);
    let invalid = answer(503, &[("retry-after", "soon")]);
    let other = answer(502, &[("retry-after", "30")]);
    let heeds = ByStatus::new().heed_503();
    assert_eq!(ByStatus::new().classify(&with), Outcome::Failure);
    assert_eq!(heeds.classify(&with), Outcome::Trip);
    for result in [without, invalid, other] {
        assert_eq!(heeds.classify(&result), Outcome::Failure, "{result:?}");
    }
}

#[test]
fn a_408_and_a_429_are_failures_only_if_they_are_counted() {
    let (slow, quota) = (answer(408, &[]), answer(429, &[("retry-after", "30")]));
    assert_eq!(ByStatus::new().classify(&slow), Outcome::Success);
    assert_eq!(ByStatus::new().classify(&quota), Outcome::Success);
    let counts = ByStatus::new().count_429();
    assert_eq!(counts.classify(&slow), Outcome::Success);
    assert_eq!(counts.classify(&quota), Outcome::Failure);
    assert_eq!(counts.retry_after(&quota), Some(30 * SECOND));
    let counts = ByStatus::new().count_408();
    assert_eq!(counts.classify(&slow), Outcome::Failure);
    assert_eq!(counts.classify(&quota), Outcome::Success);
}

/// The quota of one user says nothing about how long all should stay away.
#[test]
fn the_retry_after_of_a_429_lengthens_nothing_unless_it_counts() {
    let breaker = super::breaker();
    let quota = response(429, &[("retry-after", "60")], Scripted::default().sized(0));
    let _ = get(&breaker, quota);
    breaker.trip(SECOND);
    let rejected = breaker.ask().unwrap_err();
    assert!(rejected.earliest().unwrap() <= SECOND);
}

#[test]
fn the_retry_after_of_a_failure_lengthens_the_open_time() {
    let breaker = super::breaker();
    for _ in 0..3 {
        let busy = response(503, &[("retry-after", "60")], Scripted::default());
        let _ = get(&breaker, busy);
    }
    assert_eq!(breaker.state(), State::Open);
    let earliest = breaker.ask().unwrap_err().earliest().unwrap();
    assert!(
        earliest > 59 * SECOND && earliest <= 60 * SECOND,
        "{earliest:?}"
    );
}

#[test]
fn retry_after_is_a_number_of_seconds() {
    for (text, seconds) in [
        ("0", 0),
        ("1", 1),
        ("120", 120),
        (" 7 ", 7),
        ("007", 7),
        // It is clamped, and doesn't overflow.
        ("18446744073709551615", u64::MAX),
        ("18446744073709551616", u64::MAX),
        ("99999999999999999999999999999999999999999999", u64::MAX),
    ] {
        let expected = Some(Duration::from_secs(seconds));
        assert_eq!(retry_after(&[("retry-after", text)]), expected, "{text:?}");
    }
    for text in [
        "",
        "-1",
        "+1",
        "1.5",
        "1 2",
        "soon",
        "Fri, 32 Jan 2027 00:00:00 GMT",
    ] {
        assert_eq!(retry_after(&[("retry-after", text)]), None, "{text:?}");
    }
    assert_eq!(retry_after(&[]), None);
}

#[test]
fn retry_after_is_a_date_that_counts_from_the_date_of_the_response() {
    let sent = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    for text in [
        "Sun, 06 Nov 1994 08:50:07 GMT",
        "Sunday, 06-Nov-94 08:50:07 GMT",
        "Sun Nov  6 08:50:07 1994",
    ] {
        let expected = Some(30 * SECOND);
        assert_eq!(
            retry_after(&[("retry-after", text), sent]),
            expected,
            "{text}"
        );
    }
    let before = ("retry-after", "Sun, 06 Nov 1994 08:49:36 GMT");
    assert_eq!(retry_after(&[before, sent]), Some(Duration::ZERO));
}

#[test]
fn a_date_without_the_date_of_the_response_counts_from_now() {
    for sent in [None, Some(("date", "yesterday"))] {
        let headers = |text| [Some(("retry-after", text)), sent].into_iter().flatten();
        let past: Vec<_> = headers("Sun, 06 Nov 1994 08:49:37 GMT").collect();
        assert_eq!(retry_after(&past), Some(Duration::ZERO));
        let last: Vec<_> = headers("Fri, 31 Dec 9999 23:59:59 GMT").collect();
        let end = httpdate::parse_http_date("Fri, 31 Dec 9999 23:59:59 GMT").unwrap();
        let before = end.duration_since(SystemTime::now()).unwrap();
        let found = retry_after(&last).unwrap();
        let after = end.duration_since(SystemTime::now()).unwrap();
        assert!(after <= found && found <= before, "{found:?}");
    }
}

/// The breaker's own bound holds for the longest time too.
#[test]
fn the_longest_retry_after_is_cut() {
    let breaker = CircuitBreaker::builder("exchange")
        .max_retry_after(90 * SECOND)
        .build()
        .unwrap();
    let heeds = breaker.with_classifier(ByStatus::new().heed_503());
    let _ = heeds.call(|| answer(503, &[("retry-after", "99999999999999999999999")]));
    let earliest = heeds.ask().unwrap_err().earliest().unwrap();
    assert!(
        earliest > 89 * SECOND && earliest <= 90 * SECOND,
        "{earliest:?}"
    );
}

#[test]
fn a_failure_has_its_status_as_label() {
    let label = |result: &Answer| ByStatus::new().label(result);
    assert_eq!(label(&answer(503, &[])), Some(Label::new("http_503")));
    assert_eq!(label(&answer(500, &[])), Some(Label::new("http_500")));
    assert_eq!(label(&Err(Broken)), Some(Label::new("no_response")));
}
