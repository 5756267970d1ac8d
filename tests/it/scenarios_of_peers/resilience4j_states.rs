//! The tests of resilience4j's state machine, continued: half-open, commands and other states.

use super::resilience4j::{NO_COMMAND, NO_TIMER, OPEN, PROBE_NOW, machine, recovery};
use super::*;
use tripcurve::recovery::HalfOpenVerdict;

const CERTAIN: &str =
    "The verdict is certain before the fourth probe. Theirs waits for the fourth.";

fn half_open_for_a_second(
    builder: CircuitBreakerBuilder,
    then: HalfOpenVerdict,
) -> CircuitBreakerBuilder {
    machine(builder).recovery(recovery().half_open_limit(SECOND, then))
}

pub(super) fn rows() -> Vec<Row> {
    vec![
        differs(
            "shouldTransitionBackToOpenStateWhenFailureRateIsAboveThreshold",
            CERTAIN,
            play(
                machine,
                [
                    PROBE_NOW,
                    fail(1),
                    Is(State::HalfOpen),
                    Probes(0, 1),
                    fail(1),
                    Is(State::Open),
                ],
            ),
        ),
        differs(
            "shouldTransitionBackToOpenStateWhenSlowCallRateIsAboveThreshold",
            CERTAIN,
            play(
                machine,
                [
                    PROBE_NOW,
                    slow(Ok(0), 5 * SECOND),
                    Is(State::HalfOpen),
                    slow(Ok(0), 5 * SECOND),
                    Is(State::Open),
                ],
            ),
        ),
        same(
            "shouldTransitionBackToClosedStateWhenFailureIsBelowThreshold",
            play(
                machine,
                [
                    PROBE_NOW,
                    fail(1),
                    ok(2),
                    Is(State::HalfOpen),
                    ok(1),
                    Is(State::Closed),
                    Holds(0, 0),
                    ok(1),
                    Holds(1, 0),
                ],
            ),
        ),
        same(
            "shouldResetMetrics shouldResetClosedState shouldConsumeOnResetEvent",
            play(
                machine,
                [
                    ok(1),
                    fail(1),
                    Holds(2, 1),
                    Do(CircuitBreaker::reset),
                    Is(State::Closed),
                    Holds(0, 0),
                ],
            ),
        ),
        same(
            "shouldDisableCircuitBreaker shouldNotProduceEventsInDisabledState",
            play(
                machine,
                [
                    Do(CircuitBreaker::disable),
                    Is(State::Disabled),
                    ok(1),
                    fail(5),
                    Holds(0, 0),
                    Is(State::Disabled),
                    Heard(&[(State::Closed, State::Disabled)]),
                ],
            ),
        ),
        same(
            "shouldForceOpenCircuitBreaker",
            play(
                machine,
                [
                    Do(CircuitBreaker::force_open),
                    Rejected(1),
                    Wait(6 * SECOND),
                    Rejected(1),
                    Is(State::ForcedOpen),
                    Rejections(2),
                    Holds(0, 0),
                ],
            ),
        ),
        differs(
            "shouldReleasePermissionWhenExceptionIgnored",
            CERTAIN,
            play(
                machine,
                [
                    PROBE_NOW,
                    ok(2),
                    exclude(1),
                    Is(State::HalfOpen),
                    Probes(2, 0),
                    fail(1),
                    ok(1),
                    Is(State::Closed),
                ],
            ),
        ),
        differs(
            "shouldIgnoreExceptionsAndThenTransitionToClosed",
            CERTAIN,
            play(
                machine,
                [
                    PROBE_NOW,
                    exclude(5),
                    Is(State::HalfOpen),
                    Probes(0, 0),
                    ok(2),
                    Is(State::HalfOpen),
                    ok(1),
                    Is(State::Closed),
                ],
            ),
        ),
        differs(
            "shouldNotAllowTransitionFromClosedToHalfOpen",
            NO_COMMAND,
            play(
                machine,
                [PROBE_NOW, Is(State::Open), Begin(1), Is(State::HalfOpen)],
            ),
        ),
        same(
            "shouldResetToClosedState",
            play(
                machine,
                [OPEN, Do(CircuitBreaker::reset), Is(State::Closed)],
            ),
        ),
        same(
            "shouldResetMetricsAfterMetricsOnlyStateTransition",
            play(
                machine,
                [
                    ok(2),
                    Holds(2, 0),
                    Do(CircuitBreaker::metrics_only),
                    Is(State::MetricsOnly),
                    Holds(0, 0),
                ],
            ),
        ),
        same(
            "shouldRecordMetricsInMetricsOnlyState",
            play(
                machine,
                [
                    Do(CircuitBreaker::metrics_only),
                    Heard(&[(State::Closed, State::MetricsOnly)]),
                    fail(3),
                    Holds(3, 3),
                    ok(2),
                    fail(1),
                    Holds(6, 4),
                    Is(State::MetricsOnly),
                    Heard(&[]),
                ],
            ),
        ),
        tested(
            "shouldPublishEachEventOnceInMetricOnlyState",
            "would_trip::two_policies_that_are_satisfied_together_are_told_once",
        ),
        same(
            "allCircuitBreakerStatesAllowTransitionToMetricsOnlyMode allCircuitBreakerStatesAllowTransitionToItsOwnState",
            play(
                machine,
                [
                    Do(CircuitBreaker::metrics_only),
                    Do(CircuitBreaker::metrics_only),
                    Is(State::MetricsOnly),
                    OPEN,
                    OPEN,
                    Is(State::Open),
                    Do(CircuitBreaker::metrics_only),
                    PROBE_NOW,
                    Begin(1),
                    Is(State::HalfOpen),
                    Do(CircuitBreaker::metrics_only),
                    Do(CircuitBreaker::force_open),
                    Do(CircuitBreaker::force_open),
                    Is(State::ForcedOpen),
                    Do(CircuitBreaker::metrics_only),
                    Do(CircuitBreaker::disable),
                    Do(CircuitBreaker::disable),
                    Is(State::Disabled),
                    Do(CircuitBreaker::metrics_only),
                    Do(CircuitBreaker::reset),
                    Do(CircuitBreaker::reset),
                    Is(State::Closed),
                ],
            ),
        ),
        differs(
            "circuitBreakerDoesNotPublishStateTransitionEventsForInternalTransitions shouldConsumeOnStateTransitionEvent",
            "A command that opens an open breaker begins a generation here, so listeners hear of it.",
            play(
                machine,
                [
                    OPEN,
                    Heard(&[(State::Closed, State::Open)]),
                    OPEN,
                    Heard(&[(State::Open, State::Open)]),
                    Do(CircuitBreaker::disable),
                    Heard(&[(State::Open, State::Disabled)]),
                    Do(CircuitBreaker::disable),
                    Heard(&[]),
                    Do(CircuitBreaker::reset),
                    Heard(&[(State::Disabled, State::Closed)]),
                ],
            ),
        ),
        differs(
            "circuitBreakerTransitionsToOpenAfterWaitDurationInHalfOpenState",
            "The first call after the limit decides. There a timer does.",
            play(
                |builder| half_open_for_a_second(builder, HalfOpenVerdict::Reopen),
                [
                    PROBE_NOW,
                    Begin(1),
                    Wait(2 * SECOND),
                    Is(State::HalfOpen),
                    Rejected(1),
                    Is(State::Open),
                ],
            ),
        ),
        differs(
            "circuitBreakerTransitionsToClosedAfterWaitDurationInHalfOpenState",
            "The first call after the limit decides. There a timer does.",
            play(
                |builder| half_open_for_a_second(builder, HalfOpenVerdict::Close),
                [
                    PROBE_NOW,
                    Begin(1),
                    Wait(2 * SECOND),
                    Is(State::HalfOpen),
                    ok(1),
                    Is(State::Closed),
                ],
            ),
        ),
        same(
            "circuitBreakerInitializeInClosedState",
            play(
                |builder| machine(builder).start_in(State::Closed),
                [Is(State::Closed), OPEN, Is(State::Open)],
            ),
        ),
        differs(
            "circuitBreakerInitializeInOpenState testCreateUsingBuilderWithCircuitBreakerInitialStateOpen",
            NO_COMMAND,
            play(
                |builder| machine(builder).start_in(State::Open),
                [
                    Is(State::Open),
                    Rejected(1),
                    PROBE_NOW,
                    Begin(1),
                    Is(State::HalfOpen),
                ],
            ),
        ),
        same(
            "circuitBreakerInitializeInMetricOnlyState testCreateUsingBuilderWithCircuitBreakerInitialStateMetricOnly",
            play(
                |builder| machine(builder).start_in(State::MetricsOnly),
                [Is(State::MetricsOnly)],
            ),
        ),
        same(
            "testCreateUsingBuilderWithCircuitBreakerInitialStateDisabled",
            play(
                |builder| machine(builder).start_in(State::Disabled),
                [Is(State::Disabled)],
            ),
        ),
        apart(
            "testAutoTransition shouldCancelAutoTransition notCancelAutoTransitionFutureIfAlreadyDone",
            NO_TIMER,
        ),
    ]
}
