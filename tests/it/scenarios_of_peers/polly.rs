//! The tests of Polly 8 at 173d6d1d of 2026-08: `test/Polly.Core.Tests/CircuitBreaker` and three
//! of issues. A name that several files have is listed once. The page `from_polly` of the guide
//! says what differs.

use super::*;
use tripcurve::recovery::{Backoff, Jitter};
use tripcurve::window::Window;
use tripcurve::{Recovery, TripPolicy};

fn by_ratio(builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
    builder
        .window(Window::time(30 * SECOND, 10))
        .trip_when(TripPolicy::failure_rate(0.5).min_calls(10))
        .open_for(5 * SECOND)
        .probes(1)
}

fn by_computed_breaks(builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
    fn seconds(attempts: u32) -> Duration {
        Duration::from_secs(u64::from(attempts) + 1)
    }
    let backoff = Backoff::computed(seconds).jitter(Jitter::None);
    builder
        .window(Window::time(30 * SECOND, 10))
        .trip_when(TripPolicy::failure_rate(0.5).min_calls(10))
        .recovery(Recovery::probes(1).backoff(backoff))
}

fn open_for_the_longest(builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
    by_ratio(builder).open_for(10 * YEAR)
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);
const OPEN: Step = Do(|breaker| breaker.trip(5 * SECOND));
const PROBE_NOW: Step = Do(|breaker| breaker.trip(Duration::ZERO));
const OF_NET: &str =
    "It is about .NET: constructors, serialisation, disposal, scheduled tasks or providers.";
const INSIDE: &str = "It checks a data structure of theirs from inside.";

fn until_it_recovers(steps_in_half_open: impl IntoIterator<Item = Step>) -> Play {
    let mut steps = vec![
        OPEN,
        Rejected(1),
        Wait(5 * SECOND),
        Begin(1),
        Is(State::HalfOpen),
        Rejected(1),
    ];
    steps.extend(steps_in_half_open);
    play(by_ratio, steps)
}

fn flows() -> Vec<Row> {
    vec![
        same(
            "IsolateAsync_Ok IsolateAsync_NotInitialized_Ok Ctor_Isolated Ctor_ManualControl_EnsureAttached \
             Initialize_Ok",
            play(
                by_ratio,
                [
                    Do(CircuitBreaker::force_open),
                    Is(State::ForcedOpen),
                    Rejected(1),
                    Wait(60 * MINUTE),
                    Rejected(1),
                    Do(CircuitBreaker::reset),
                    Is(State::Closed),
                    ok(1),
                    Heard(&[
                        (State::Closed, State::ForcedOpen),
                        (State::ForcedOpen, State::Closed),
                    ]),
                ],
            ),
        ),
        same(
            "BreakAsync_Ok ResetAsync_NotInitialized_Ok",
            play(
                by_ratio,
                [
                    OPEN,
                    Is(State::Open),
                    Do(CircuitBreaker::reset),
                    Is(State::Closed),
                    Holds(0, 0),
                    ok(1),
                ],
            ),
        ),
        same(
            "Flow_Closed_HalfOpen_Closed OnActionPreExecute_HalfOpen",
            until_it_recovers([
                End(Ok(0)),
                Is(State::Closed),
                Heard(&[
                    (State::Closed, State::Open),
                    (State::Open, State::HalfOpen),
                    (State::HalfOpen, State::Closed),
                ]),
            ]),
        ),
        same(
            "Flow_Closed_HalfOpen_Open_HalfOpen_Closed HalfOpen_EnsureCorrectStateTransitionAfterExecution",
            until_it_recovers([
                End(Err(ERROR)),
                Is(State::Open),
                Wait(MILLI),
                ToldToWait(5 * SECOND - MILLI),
                Wait(5 * SECOND - MILLI),
                Begin(1),
                Is(State::HalfOpen),
                End(Ok(0)),
                Is(State::Closed),
            ]),
        ),
        differs(
            "HalfOpen_EnsureBreakDuration",
            "There another trial may come after a break. Here the place of a probe is free after 30 s.",
            until_it_recovers([
                Wait(5 * SECOND),
                Rejected(1),
                Wait(25 * SECOND),
                Begin(1),
                Is(State::HalfOpen),
            ]),
        ),
        same(
            "OnActionPreExecute_CircuitOpenedByValue OnActionPreExecute_CircuitOpenedByException \
             OnActionFailureAsync_VoidResult_EnsureBreakingExceptionNotSet",
            play(
                by_ratio,
                [
                    Call(Err(99), 10, Duration::ZERO),
                    Is(State::Open),
                    ToldToWait(5 * SECOND),
                    Do(|breaker| {
                        let rejected = breaker.try_acquire().unwrap_err();
                        assert!(rejected.cause().is_some(), "{rejected}");
                    }),
                ],
            ),
        ),
        apart(
            "OnActionPreExecute_CircuitOpened_EnsureExceptionStackTraceDoesNotGrow",
            "A rejection is a value of its own for each call. It has no stack trace.",
        ),
        same(
            "OnActionSuccess_EnsureCorrectBehavior Execute_UnhandledResult_OnActionSuccess Execute_Ok \
             Execute_UnhandledException_OnActionSuccess ExecuteOutcomeAsync_UnhandledException_OnActionSuccess",
            play(
                by_ratio,
                [
                    ok(1),
                    fail(1),
                    Holds(2, 0),
                    Is(State::Closed),
                    PROBE_NOW,
                    fail(1),
                    Is(State::Closed),
                    Begin(1),
                    Do(CircuitBreaker::force_open),
                    End(Ok(0)),
                    Is(State::ForcedOpen),
                ],
            )
            .classified(|_| Outcome::Success),
        ),
        same(
            "OnActionFailureAsync_EnsureCorrectBehavior Execute_HandledResult_OnFailureCalled \
             Execute_HandledException_OnFailureCalled",
            play(
                by_ratio,
                [
                    Begin(2),
                    fail(9),
                    Is(State::Closed),
                    fail(1),
                    Is(State::Open),
                    End(Err(ERROR)),
                    Is(State::Open),
                    Do(CircuitBreaker::force_open),
                    End(Err(ERROR)),
                    Is(State::ForcedOpen),
                    PROBE_NOW,
                    fail(1),
                    Is(State::Open),
                ],
            ),
        ),
        differs(
            "OnActionFailureAsync_EnsureBreakDurationGeneration BreakDurationGenerator_EnsureHalfOpenAttempts \
             AddCircuitBreaker_IntegrationTest_WithBreakDurationGenerator",
            "Our count starts over once the breaker stayed closed for a while. Theirs does when it closes.",
            play(
                by_computed_breaks,
                [
                    fail(10),
                    ToldToWait(SECOND),
                    Wait(SECOND),
                    fail(1),
                    ToldToWait(2 * SECOND),
                    Wait(2 * SECOND),
                    fail(1),
                    ToldToWait(3 * SECOND),
                    Wait(3 * SECOND),
                    ok(1),
                    Is(State::Closed),
                    Wait(60 * MINUTE),
                    fail(10),
                    ToldToWait(SECOND),
                ],
            ),
        ),
        differs(
            "OnActionFailureAsync_EnsureBreakDurationNotOverflow",
            "Open times end 18 years after the clock's origin. There the breaker stays open for ever.",
            play(
                open_for_the_longest,
                [
                    Wait(16 * YEAR),
                    fail(10),
                    Is(State::Open),
                    Wait(YEAR),
                    Rejected(1),
                    Wait(Duration::MAX),
                    Begin(1),
                    Is(State::HalfOpen),
                ],
            ),
        ),
        tested(
            "OnActionFailure_EnsureLock",
            "defects_of_peers::a_call_in_progress_keeps_no_other_waiting",
        ),
        same(
            "AddCircuitBreaker_IntegrationTest",
            play(
                by_ratio,
                [
                    fail(10),
                    Is(State::Open),
                    Rejected(1),
                    Wait(5 * SECOND),
                    ok(1),
                    Is(State::Closed),
                    fail(10),
                    Is(State::Open),
                    Wait(5 * SECOND),
                    fail(1),
                    Is(State::Open),
                    Do(CircuitBreaker::reset),
                    Is(State::Closed),
                    ok(1),
                ],
            ),
        ),
        tested(
            "AddCircuitBreakers_WithIsolatedManualControl_ShouldBeIsolated Initialize_Twice_Ok \
             Initialize_DisposeRegistration_ShuldBeCancelled",
            "registry::a_group_isolates_and_releases_all_that_joined",
        ),
        tested(
            "CircuitBreakerStateSharing_959",
            "api::clones_and_classified_handles_share_state_and_window",
        ),
        tested(
            "CircuitBreakerStateRegistry_1828",
            "roster::living_breakers_are_listed_in_the_order_of_their_making",
        ),
    ]
}

fn health() -> Vec<Row> {
    vec![
        same(
            "OnActionFailure_WhenClosed_EnsureCorrectBehavior",
            play(
                by_ratio,
                [
                    fail(9),
                    Is(State::Closed),
                    ok(5),
                    Is(State::Closed),
                    fail(1),
                    Is(State::Open),
                ],
            ),
        ),
        same(
            "OnActionFailure_State_EnsureCorrectCalls OnCircuitClosed_Ok Reset_Ok",
            play(
                by_ratio,
                [
                    Begin(1),
                    fail(10),
                    End(Err(ERROR)),
                    Holds(0, 0),
                    Wait(5 * SECOND),
                    ok(1),
                    Is(State::Closed),
                    Holds(0, 0),
                ],
            ),
        ),
        same(
            "Increment_Ok",
            play(
                by_ratio,
                [fail(1), ok(2), Holds(3, 1), fail(1), Holds(4, 2), Run(1)],
            ),
        ),
        differs(
            "GetHealthInfo_EnsureWindowRespected GetHealthInfo_EnsureWindowCapacityRespected \
             GetHealthInfo_SamplingDurationRespected SamplingDurationRespected_Ok",
            "Their windows are of any length. Ours last a tenth of the sampling duration by default too.",
            play(
                by_ratio,
                [
                    fail(1),
                    ok(1),
                    Wait(3 * SECOND),
                    fail(1),
                    ok(1),
                    Holds(4, 2),
                    Wait(27 * SECOND - NANO),
                    Holds(4, 2),
                    Wait(NANO),
                    Holds(2, 1),
                    Wait(3 * SECOND),
                    Holds(0, 0),
                    fail(1),
                    Wait(30 * SECOND),
                    Holds(0, 0),
                ],
            ),
        ),
        apart(
            "HealthInfo_WithZeroTotal_ShouldSetValuesCorrectly HealthInfo_ParameterizedConstructor_ShouldSetProperties \
             HealthInfo_Constructor_ShouldSetValuesCorrectly BehaviorProperties_ShouldReflectHealthInfoValues \
             Create_Ok",
            INSIDE,
        ),
        refused(
            "InvalidOptions_Validate AddCircuitBreaker_Validation",
            |builder| by_ratio(builder).trip_when(TripPolicy::failure_rate(-0.1)),
            "trip_when.failure_rate: -0.1 is not above 0.0 and at most 1.0;",
        ),
        differs(
            "AddCircuitBreaker_Configure AddCircuitBreaker_Generic_Configure Ctor_Defaults \
             ShouldHandle_EnsureDefaults",
            "A cancelled call counts as a success there, and for nothing here. Other errors are failures.",
            play(by_ratio, [fail(1), Begin(1), Cancel, Holds(1, 1)]),
        ),
        apart(
            "Ctor_Ok Ctor_EnsureDefaults Ctor_Default_Ok Ctor_Message_Ok Ctor_RetryAfter_Ok \
             Ctor_Message_RetryAfter_Ok Ctor_Message_InnerException_Ok \
             Ctor_Message_RetryAfter_InnerException_Ok BinarySerialization_Ok \
             BinarySerialization_NonNullRetryAfter_Ok BinarySerialization_NullRetryAfter_Ok \
             Constructor_Old_Ok Constructor_Ok Ctor_StateProvider_EnsureAttached NotInitialized_EnsureDefaults \
             ResetAsync_NotInitialized_Throws Initialize_Twice_Throws DisposePipeline_EnsureCircuitBreakerDisposed \
             Disposed_EnsureThrows Dispose_EnsureNoBackgroundProcessing Dispose_ScheduledTaskCancelled \
             Dispose_WhenScheduledTaskExecuting ExecuteScheduledTask_Async_Ok \
             ScheduleTask_Exception_EnsureExecuted ScheduleTask_InlineContinuationDoesNotDeadlock \
             ScheduleTask_Multiple_EnsureExecutionSerialized \
             ScheduleTask_OperationCanceledException_EnsureExecuted ScheduleTask_Success_EnsureExecuted \
             OnCircuitBreakWithServiceProvider_796",
            OF_NET,
        ),
    ]
}

#[test]
fn each_test_of_polly_has_its_like_or_a_reason() {
    let mut rows = flows();
    rows.extend(health());
    check(&rows, 84);
}
