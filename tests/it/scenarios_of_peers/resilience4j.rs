//! The tests of resilience4j's circuit breaker at af9e7c979 of 2026-05, without those of its
//! configuration: `resilience4j-circuitbreaker/src/test` and `resilience4j-core/…/core/metrics`.
//! A name that several files have is listed once. The page `from_resilience4j` of the guide says
//! what differs.

use super::*;
use tripcurve::recovery::{Backoff, Jitter};
use tripcurve::window::Window;
use tripcurve::{Recovery, TripPolicy};

pub(super) fn recovery() -> Recovery {
    Recovery::fixed(5 * SECOND, 4)
        .failure_threshold(2)
        .slow_threshold(2)
}

pub(super) fn machine(builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
    let slow_rate = TripPolicy::slow_rate(0.5).slower_than(4 * SECOND);
    builder
        .window(Window::time(20 * SECOND, 20))
        .trip_when(TripPolicy::failure_rate(0.5).min_calls(5))
        .trip_when(slow_rate.min_calls(5))
        .recovery(recovery())
}

fn growing_open_times(builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
    let backoff = Backoff::exponential(5 * SECOND, 1.5, MINUTE).jitter(Jitter::None);
    builder
        .window(Window::count(5))
        .trip_when(TripPolicy::failure_rate(0.5).min_calls(5))
        .recovery(Recovery::probes(1).backoff(backoff))
}

/// The next call is a probe.
pub(super) const PROBE_NOW: Step = Do(|breaker| breaker.trip(Duration::ZERO));
pub(super) const OPEN: Step = Do(|breaker| breaker.trip(5 * SECOND));
pub(super) const NO_SUCCESS: &str = "A success never trips a breaker here. The next failure does.";
pub(super) const NO_COMMAND: &str =
    "No command makes a breaker half-open. After `trip(ZERO)` the next call does.";
pub(super) const NO_TIMER: &str =
    "There is no timer and no thread of ours. The next call makes the breaker half-open.";

fn opens_for(trip: fn(&Breaker), half: Duration, rejections: u64) -> Play {
    let steps = [
        Do(trip),
        Is(State::Open),
        Rejected(1),
        Wait(half),
        Is(State::Open),
        Rejected(1),
        Rejections(rejections),
        Wait(half + SECOND),
        Begin(1),
        Is(State::HalfOpen),
        Holds(0, 0),
        Rejections(0),
    ];
    play(machine, steps)
}

fn states() -> Vec<Row> {
    vec![
        same(
            "shouldReturnTheCorrectName",
            play(machine, [Do(|breaker| assert_eq!(breaker.name(), "peer"))]),
        ),
        same(
            "shouldThrowCallNotPermittedExceptionWhenStateIsOpen \
             shouldReturnFailureWithCircuitBreakerOpenException shouldThrowCircuitBreakerOpenException \
             shouldReturnFailureWithCircuitBreakerOpenExceptionWithFutures \
             shouldDecorateFutureAndReturnWithCallNotPermittedException",
            play(machine, [OPEN, Rejected(1), Rejections(1)]),
        ),
        same(
            "shouldThrowCallNotPermittedExceptionWhenStateIsForcedOpen",
            play(
                machine,
                [Do(CircuitBreaker::force_open), Rejected(1), Rejections(1)],
            ),
        ),
        same(
            "shouldIncreaseCounterOnReleasePermission",
            play(
                machine,
                [
                    PROBE_NOW,
                    Begin(4),
                    Rejected(2),
                    Cancel,
                    Begin(1),
                    Rejected(1),
                ],
            ),
        ),
        same(
            "shouldThrowCallNotPermittedExceptionWhenNotFurtherTestCallsArePermitted",
            play(machine, [PROBE_NOW, Begin(4), Rejected(1), Rejections(1)]),
        ),
        same(
            "shouldOnlyPermitFourCallsInHalfOpenState",
            play(
                machine,
                [
                    Holds(0, 0),
                    PROBE_NOW,
                    Begin(4),
                    Is(State::HalfOpen),
                    Rejected(2),
                    PROBE_NOW,
                    Begin(4),
                    Rejected(2),
                ],
            ),
        ),
        same(
            "shouldOpenAfterFailureRateThresholdExceeded2",
            play(
                machine,
                [
                    ok(1),
                    Wait(SECOND),
                    ok(1),
                    Wait(SECOND),
                    ok(1),
                    Wait(SECOND),
                    fail(1),
                    Wait(SECOND),
                    fail(1),
                    Is(State::Closed),
                    Wait(SECOND),
                    fail(1),
                    Is(State::Open),
                ],
            ),
        ),
        differs(
            "shouldOpenAfterFailureRateThresholdExceeded",
            NO_SUCCESS,
            play(
                machine,
                [
                    fail(3),
                    Holds(3, 3),
                    ok(2),
                    Is(State::Closed),
                    Holds(5, 3),
                    fail(1),
                    Is(State::Open),
                    Heard(&[(State::Closed, State::Open)]),
                    Rejected(1),
                    Rejections(1),
                ],
            ),
        ),
        same(
            "shouldOpenAfterSlowCallRateThresholdExceeded",
            play(
                machine,
                [
                    slow(Err(ERROR), 5 * SECOND),
                    slow(Ok(0), 5 * SECOND),
                    slow(Err(ERROR), 100 * MILLI),
                    slow(Ok(0), 100 * MILLI),
                    Is(State::Closed),
                    Holds(4, 2),
                    Slow(2),
                    slow(Ok(0), 5 * SECOND),
                    Is(State::Open),
                ],
            ),
        ),
        same(
            "shouldOpenAfterSlowCallRateThresholdExceededUsingMockClock",
            play(
                machine,
                [
                    slow(Ok(0), 5 * SECOND),
                    Slow(1),
                    slow(Ok(0), 5 * SECOND),
                    Slow(2),
                    slow(Ok(0), SECOND),
                    slow(Ok(0), SECOND),
                    Holds(4, 0),
                    Slow(2),
                    Is(State::Closed),
                    slow(Ok(0), 5 * SECOND),
                    Is(State::Open),
                ],
            ),
        ),
        same(
            "shouldTransitionToHalfOpenAfterWaitDuration",
            opens_for(|breaker| breaker.trip(5 * SECOND), 5 * SECOND / 2, 2),
        ),
        differs(
            "shouldTransitionToHalfOpenAfterPassedWaitDuration",
            "Rejections leave the window here, as calls do. There all of the open time count.",
            opens_for(|breaker| breaker.trip(120 * MINUTE), 60 * MINUTE, 1),
        ),
        differs(
            "shouldTransitionToHalfOpenAfterPassedWaitUntil",
            "Rejections leave the window here, as calls do. There all of the open time count.",
            opens_for(|breaker| breaker.trip(30 * MINUTE), 15 * MINUTE, 1),
        ),
        differs(
            "shouldTransitionToHalfOpenAfterWaitInterval",
            "Open times grow with failed recoveries here. There they grow with each opening by hand too.",
            play(
                growing_open_times,
                [
                    fail(5),
                    Rejected(1),
                    Wait(3 * SECOND),
                    Rejected(1),
                    Rejections(2),
                    Wait(3 * SECOND),
                    fail(1),
                    Is(State::Open),
                    Wait(6 * SECOND),
                    Rejected(1),
                    Wait(5 * SECOND),
                    Begin(1),
                    Is(State::HalfOpen),
                ],
            ),
        ),
    ]
}

#[test]
fn each_test_of_resilience4j_has_its_like_or_a_reason() {
    let mut rows = states();
    rows.extend(super::resilience4j_states::rows());
    rows.extend(super::resilience4j_calls::rows());
    rows.extend(super::resilience4j_config::rows());
    check(&rows, 244);
}
