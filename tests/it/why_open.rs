//! Why a breaker is open: its latest opening, in snapshots, rejections and transitions.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tripcurve::events::{Cause, Opening, Transition, WindowCounts};
use tripcurve::outcome::{Classify, Label, Report};
use tripcurve::time::{Clock, MockClock};
use tripcurve::window::Window;
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, Recovery, State, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);

fn builder() -> (CircuitBreakerBuilder, MockClock) {
    let (clock, hand) = Clock::mock();
    let recovery = Recovery::fixed(5 * SECOND, 1);
    let builder = CircuitBreaker::builder("api").clock(clock);
    (builder.recovery(recovery), hand)
}

/// A breaker, its clock, and the transitions that it has told.
#[allow(clippy::type_complexity, reason = "read once")]
fn watched(
    settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) -> (CircuitBreaker, MockClock, Arc<Mutex<Vec<Transition>>>) {
    let (builder, hand) = builder();
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&told);
    let breaker = settings(builder)
        .on_transition(move |it| listener.lock().unwrap().push(it.clone()))
        .build()
        .unwrap();
    (breaker, hand, told)
}

fn record(breaker: &CircuitBreaker, report: impl Into<Report>) {
    breaker.try_acquire().unwrap().record(report);
}

fn opening(breaker: &CircuitBreaker) -> Opening {
    breaker.snapshot().latest_opening().unwrap()
}

fn numbers(counts: Option<WindowCounts>) -> Option<(u64, u64, u64)> {
    counts.map(|it| (it.calls(), it.failures(), it.slow()))
}

#[test]
fn a_breaker_that_has_never_opened_has_no_opening() {
    let (breaker, _hand, _) = watched(|it| it);
    record(&breaker, Outcome::Failure);
    breaker.reset();
    assert_eq!(breaker.snapshot().latest_opening(), None);
}

#[test]
fn a_trip_says_its_cause_its_time_its_counts_and_the_failures_label() {
    let (breaker, hand, told) = watched(|it| it.trip_when(TripPolicy::failure_count(2)));
    hand.advance(7 * SECOND);
    for _ in 0..3 {
        record(&breaker, Outcome::Success);
    }
    record(&breaker, Report::failure().label(Label::new("reset")));
    record(&breaker, Report::failure().label(Label::new("timeout")));
    let expected = Cause::FailureCount {
        failures: 2,
        calls: 5,
        limit: 2,
    };
    let opening = opening(&breaker);
    assert_eq!(opening.cause(), expected);
    assert_eq!(opening.label().unwrap().as_str(), "timeout");
    assert_eq!(numbers(opening.counts()), Some((5, 2, 0)));
    assert_eq!(opening.counts().unwrap().failure_rate(), Some(0.4));
    assert_eq!((opening.from(), opening.to()), (State::Closed, State::Open));
    assert_eq!(opening.generation(), 1);
    let told = told.lock().unwrap();
    assert_eq!(told[0].at(), opening.at());
    assert_eq!(told[0].cause(), expected);
    assert_eq!(told[0].counts(), opening.counts());
    assert_eq!(told[0].label(), opening.label());
    let rejected = breaker.try_acquire().unwrap_err();
    assert_eq!(rejected.cause(), Some(expected));
    assert_eq!(
        rejected.to_string(),
        "circuit breaker api is open, retry after 5.0s; opened: 2 of 5 calls in the window failed \
         (limit 2)"
    );
    assert_eq!(
        breaker.snapshot().to_string(),
        "api is open for 0.0ns: 5.0s left, 1 calls rejected; opened: 2 of 5 calls in the window \
         failed (limit 2), the last with timeout"
    );
}

/// Fails when: a failure with a label is recorded at another time than a failure without one.
#[test]
fn a_failure_with_a_label_is_in_the_window_of_its_time() {
    let (breaker, hand, _) = watched(|it| {
        it.window(Window::time(10 * SECOND, 10))
            .trip_when(TripPolicy::failure_count(9))
    });
    hand.advance(3_600 * SECOND);
    record(&breaker, Report::failure().label(Label::new("timeout")));
    assert_eq!(breaker.snapshot().failures(), 1);
    hand.advance(11 * SECOND);
    assert_eq!(breaker.snapshot().failures(), 0);
}

#[test]
fn counts_are_there_whatever_policy_trips_and_whatever_window_counts() {
    for window in [Window::count(100).into(), Window::time(60 * SECOND, 10)] {
        for policy in [
            TripPolicy::consecutive_failures(3),
            TripPolicy::failure_count(3).into(),
        ] {
            let (breaker, _hand, told) = watched(|it| it.window(window.clone()).trip_when(policy));
            record(&breaker, Outcome::Success);
            for _ in 0..3 {
                record(&breaker, Outcome::Failure);
            }
            assert_eq!(numbers(opening(&breaker).counts()), Some((4, 3, 0)));
            assert_eq!(numbers(told.lock().unwrap()[0].counts()), Some((4, 3, 0)));
        }
    }
}

#[test]
fn slow_calls_are_among_the_counts_of_a_trip() {
    let slow = TripPolicy::slow_rate(0.5).slower_than(SECOND).min_calls(4);
    let (breaker, _hand, _) = watched(|it| it.trip_when(slow));
    for seconds in [0, 0, 2, 2] {
        record(&breaker, Report::success().took(seconds * SECOND));
    }
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(numbers(opening(&breaker).counts()), Some((4, 0, 2)));
}

#[test]
fn a_breaker_opened_by_hand_never_looks_like_one_opened_by_failures() {
    let (by_failures, _hand, _) = watched(|it| it.trip_when(TripPolicy::classic()));
    for _ in 0..5 {
        record(&by_failures, Report::failure().label(Label::new("timeout")));
    }
    let (by_hand, _hand, told) = watched(|it| it);
    record(&by_hand, Outcome::Failure);
    by_hand.trip(5 * SECOND);
    let (forced, _hand, _) = watched(|it| it);
    forced.force_open();
    for breaker in [&by_hand, &forced] {
        let opening = opening(breaker);
        assert_eq!(opening.cause(), Cause::Manual);
        assert_eq!((opening.counts(), opening.label()), (None, None));
        let rejected = breaker.try_acquire().unwrap_err();
        assert_eq!(rejected.cause(), Some(Cause::Manual));
        assert!(rejected.to_string().ends_with("; opened: by hand"));
    }
    assert_eq!(opening(&forced).to(), State::ForcedOpen);
    assert_eq!(told.lock().unwrap()[0].counts(), None);
    let rejected = by_failures.try_acquire().unwrap_err();
    assert_ne!(rejected.cause(), Some(Cause::Manual));
    // A command on a breaker that failures have opened replaces the reason.
    by_failures.force_open();
    assert_eq!(opening(&by_failures).cause(), Cause::Manual);
    assert_eq!(opening(&by_failures).label(), None);
}

#[test]
fn a_failed_probe_is_the_latest_opening_and_has_its_label() {
    let (breaker, hand, told) = watched(|it| it);
    breaker.trip(SECOND);
    hand.advance(SECOND);
    let probe = breaker.try_acquire().unwrap();
    // Half-open: the opening that it recovers from.
    assert_eq!(opening(&breaker).cause(), Cause::Manual);
    let rejected = breaker.try_acquire().unwrap_err();
    assert_eq!(rejected.state(), State::HalfOpen);
    assert_eq!(rejected.cause(), Some(Cause::Manual));
    probe.record(Report::failure().label(Label::new("refused")));
    let latest = opening(&breaker);
    assert_eq!(latest.cause(), Cause::ProbeFailed);
    assert_eq!(latest.label().unwrap().as_str(), "refused");
    assert_eq!(latest.counts(), None);
    assert_eq!((latest.from(), latest.generation()), (State::HalfOpen, 3));
    let told = told.lock().unwrap();
    assert_eq!(told.last().unwrap().label(), latest.label());
    assert_eq!(told[1].label(), None);
}

#[test]
fn an_opening_stays_when_the_breaker_closes() {
    let (breaker, hand, _) = watched(|it| it.trip_when(TripPolicy::classic()));
    for _ in 0..5 {
        record(&breaker, Outcome::Failure);
    }
    hand.advance(5 * SECOND);
    record(&breaker, Outcome::Success);
    assert_eq!(breaker.state(), State::Closed);
    let opening = opening(&breaker);
    assert_eq!(opening.generation(), 1);
    assert!(!breaker.snapshot().to_string().contains("opened"));
}

#[test]
fn a_breaker_that_was_built_open_says_no_cause() {
    for state in [State::Open, State::ForcedOpen, State::HalfOpen] {
        let breaker = builder().0.start_in(state).build().unwrap();
        let _probe = breaker.try_acquire();
        let rejected = breaker.try_acquire().unwrap_err();
        assert_eq!(rejected.cause(), None);
        assert!(!rejected.to_string().contains("opened"));
        assert_eq!(breaker.snapshot().latest_opening(), None);
    }
}

struct ByText;

impl Classify<(), &'static str> for ByText {
    fn classify(&self, result: &Result<(), &'static str>) -> Outcome {
        match result {
            Ok(()) => Outcome::Success,
            Err("not me") => Outcome::Ignored,
            Err(_) => Outcome::Failure,
        }
    }

    fn label(&self, result: &Result<(), &'static str>) -> Option<Label> {
        let text = result.expect_err("only failures have labels");
        assert_ne!(text, "not me", "an ignored call has no label");
        (text != "no label").then(|| Label::new(text))
    }
}

#[test]
fn a_classifier_labels_failures_and_nothing_else() {
    let builder = builder().0.trip_when(TripPolicy::classic());
    let breaker = builder.build().unwrap().with_classifier(ByText);
    let _ = breaker.call(|| Ok(()));
    let _ = breaker.call(|| Err("not me"));
    for text in ["one", "two", "three", "four", "five"] {
        let _ = breaker.call(|| Err(text));
    }
    let label = breaker.snapshot().latest_opening().unwrap().label();
    assert_eq!(label, Some(Label::new("five")));
    // The label of an earlier failure isn't that of the trip.
    breaker.reset();
    for text in ["one", "two", "three", "four", "no label"] {
        let _ = breaker.call(|| Err(text));
    }
    assert_eq!(breaker.snapshot().latest_opening().unwrap().label(), None);
}

#[test]
fn attempts_of_a_request_keep_the_label_of_the_last_failure() {
    let breaker = builder()
        .0
        .trip_when(TripPolicy::consecutive_failures(1))
        .build()
        .unwrap()
        .with_classifier(ByText);
    let mut attempts = breaker.attempts();
    let _ = attempts.call(|| Err("reset"));
    let _ = attempts.call(|| Err("timeout"));
    drop(attempts);
    let opening = breaker.snapshot().latest_opening().unwrap();
    assert_eq!(opening.label().unwrap().as_str(), "timeout");
}

#[test]
fn a_success_with_a_label_is_a_success() {
    let (breaker, _hand, _) = watched(|it| it);
    record(&breaker, Report::success().label(Label::new("fine")));
    record(&breaker, Report::ignored().label(Label::new("fine")));
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.successes(), snapshot.ignored()), (1, 1));
}

#[test]
fn a_label_from_outside_forges_no_line_of_a_log() {
    let (breaker, _hand, _) = watched(|it| it);
    record(&breaker, Report::trip().label(Label::new("a\nb\u{1b}[31m")));
    let shown = breaker.snapshot().to_string();
    assert!(
        shown.ends_with(r"the dependency said so, the last with a\nb\u{1b}[31m"),
        "{shown}"
    );
}

#[test]
fn what_a_rejection_says_fits_into_a_small_error() {
    use tripcurve::{CallError, Rejected};

    // Larger errors than 128 bytes trip `clippy::result_large_err` in the caller's code.
    assert!(size_of::<Rejected>() <= 72);
    assert!(size_of::<CallError<std::io::Error>>() <= 72);
}

#[test]
fn while_threads_open_and_close_no_rejection_says_another_openings_cause() {
    use std::sync::atomic::{AtomicBool, Ordering};

    let (builder, _hand) = builder();
    let breaker = builder.build().unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    // Forced open by hand alone, and open by failures alone.
                    if let Err(rejected) = breaker.try_acquire() {
                        match (rejected.state(), rejected.cause()) {
                            (_, None) | (State::ForcedOpen, Some(Cause::Manual)) => {}
                            (State::Open, Some(Cause::ConsecutiveFailures { failures, .. })) => {
                                assert_eq!(failures, 5);
                            }
                            other => panic!("{other:?}"),
                        }
                    }
                }
            });
        }
        for _ in 0..2_000 {
            for _ in 0..5 {
                if let Ok(permit) = breaker.try_acquire() {
                    permit.failure();
                }
            }
            breaker.force_open();
            breaker.reset();
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn slow_failures_are_the_calls_that_were_slow_and_failed() {
    let windows = [
        Window::count(100).into(),
        Window::time(60 * SECOND, 10),
        Window::count(100).within(60 * SECOND).into(),
    ];
    for window in windows {
        let slow = TripPolicy::slow_rate(0.9).slower_than(SECOND);
        let (builder, hand) = builder();
        let breaker = builder.window(window).trip_when(slow).build().unwrap();
        for (report, seconds, times) in [
            (Report::success(), 0, 5),
            (Report::success(), 2, 4),
            (Report::failure(), 0, 3),
            (Report::failure(), 2, 2),
            (Report::timed_out(), 0, 1),
        ] {
            for _ in 0..times {
                record(&breaker, report.took(seconds * SECOND));
            }
        }
        let snapshot = breaker.snapshot();
        assert_eq!(snapshot.calls(), 15);
        assert_eq!((snapshot.failures(), snapshot.slow()), (6, 7));
        assert_eq!(snapshot.slow_failures(), 3);
        breaker.reset();
        assert_eq!(breaker.snapshot().slow_failures(), 0);
        record(&breaker, Report::failure().took(2 * SECOND));
        assert_eq!(breaker.snapshot().slow_failures(), 1);
        hand.advance(120 * SECOND);
        let is_by_time = breaker.snapshot().calls() == 0;
        assert_eq!(breaker.snapshot().slow_failures(), u64::from(!is_by_time));
    }
}

#[cfg(feature = "serde")]
#[test]
fn slow_failures_are_saved_and_go_on_in_another_window() {
    let slow = || TripPolicy::slow_rate(0.9).slower_than(SECOND);
    for window in [Window::count(100).into(), Window::time(60 * SECOND, 6)] {
        let make = || builder().0.trip_when(slow()).window(Window::clone(&window));
        let breaker = make().build().unwrap();
        record(&breaker, Report::success().took(2 * SECOND));
        record(&breaker, Report::failure().took(2 * SECOND));
        let restored = make().restore(breaker.save()).build().unwrap();
        assert_eq!(restored.snapshot().slow(), 2);
        assert_eq!(restored.snapshot().slow_failures(), 1);
    }
    let (builder, _hand) = builder();
    let builder = builder.trip_when(slow());
    let breaker = builder.clone().window(Window::time(60 * SECOND, 6));
    let breaker = breaker.build().unwrap();
    record(&breaker, Report::success().took(2 * SECOND));
    record(&breaker, Report::failure().took(2 * SECOND));
    let other = builder.window(Window::time(120 * SECOND, 12));
    breaker.reconfigure(other).unwrap();
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.slow(), snapshot.slow_failures()), (2, 1));
}

#[test]
fn a_rejection_leads_to_its_opening_until_the_breaker_opens_again() {
    let (breaker, hand, _) = watched(|it| it.trip_when(TripPolicy::failure_count(2)));
    hand.advance(7 * SECOND);
    for _ in 0..2 {
        record(&breaker, Report::failure().label(Label::new("timeout")));
    }
    let rejected = breaker.try_acquire().unwrap_err();
    let found = breaker.opening_of(&rejected).unwrap();
    assert_eq!(found, opening(&breaker));
    assert_eq!(
        (found.at(), found.label()),
        (7 * SECOND, Some(Label::new("timeout")))
    );
    assert_eq!(numbers(found.counts()), Some((2, 2, 0)));

    hand.advance(5 * SECOND);
    let _probe = breaker.try_acquire().unwrap();
    let while_probing = breaker.try_acquire().unwrap_err();
    assert_eq!(while_probing.state(), State::HalfOpen);
    assert_eq!(breaker.opening_of(&while_probing), Some(found));

    breaker.reset();
    assert_eq!(
        breaker.opening_of(&rejected),
        Some(found),
        "it has not opened since"
    );
    breaker.force_open();
    assert_eq!(breaker.opening_of(&rejected), None);
    let by_hand = breaker.try_acquire().unwrap_err();
    assert_eq!(breaker.opening_of(&by_hand).unwrap().cause(), Cause::Manual);

    let other = CircuitBreaker::new("another");
    other.force_open();
    assert_eq!(other.opening_of(&by_hand), None, "of another name");
}
