//! The tests of resilience4j's windows, calls, events and exceptions.

use super::resilience4j::{NO_COMMAND, NO_SUCCESS, machine};
use super::*;
use tripcurve::TripPolicy;
use tripcurve::window::Window;

fn ten_calls(builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
    builder
        .window(Window::count(10))
        .trip_when(TripPolicy::failure_rate(0.5).min_calls(10))
}

fn five_slow_calls(builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
    let slow_rate = TripPolicy::slow_rate(1.0).slower_than(SECOND);
    builder
        .window(Window::count(5))
        .trip_when(slow_rate.min_calls(5))
}

const NO_EVENT: &str = "There is no event for each call. `Snapshot::totals` counts them.";
const OF_JAVA: &str =
    "It is about Java: null, interrupts, stack traces, threads, or a future read twice.";
const OF_VAVR: &str = "It composes functions of Vavr. A call returns a `Result` here.";
const INSIDE: &str = "It checks a data structure of theirs from inside.";

pub(super) fn rows() -> Vec<Row> {
    let mut rows = windows();
    rows.extend(calls());
    rows.extend(outcomes());
    rows
}

fn windows() -> Vec<Row> {
    vec![
        differs(
            "testCircuitBreakerMetrics",
            NO_SUCCESS,
            play(
                ten_calls,
                [
                    ok(2),
                    fail(2),
                    Holds(4, 2),
                    fail(4),
                    Holds(8, 6),
                    ok(4),
                    Holds(10, 6),
                    Is(State::Closed),
                    ok(3),
                    Holds(10, 3),
                ],
            ),
        ),
        same(
            "testRecordSuccess",
            play(five_slow_calls, [ok(1), Holds(1, 0), Slow(0)]),
        ),
        same(
            "testRecordError",
            play(five_slow_calls, [fail(1), Holds(1, 1), Slow(0)]),
        ),
        same(
            "testRecordSlowSuccess",
            play(
                five_slow_calls,
                [slow(Ok(0), 2 * SECOND), Holds(1, 0), Slow(1)],
            ),
        ),
        same(
            "testSlowCallsPercentage",
            play(
                five_slow_calls,
                [
                    slow(Ok(0), 10 * SECOND),
                    slow(Err(ERROR), 10 * SECOND),
                    ok(3),
                    Holds(5, 1),
                    Slow(2),
                    Do(|breaker| assert_eq!(breaker.snapshot().slow_failures(), 1)),
                ],
            ),
        ),
        same(
            "testSlidingWindowMetrics testSlidingWindowMetricsWithSlowCalls",
            play(
                five_slow_calls,
                [
                    slow(Err(ERROR), 2 * SECOND),
                    ok(4),
                    Holds(5, 1),
                    Slow(1),
                    ok(1),
                    Holds(5, 0),
                    Slow(0),
                    fail(2),
                    Holds(5, 2),
                    slow(Ok(0), 2 * SECOND),
                    Slow(1),
                    ok(3),
                    Holds(5, 1),
                    ok(1),
                    Holds(5, 0),
                    Slow(1),
                    ok(1),
                    Slow(0),
                ],
            ),
        ),
        same(
            "testSlidingTimeWindowMetrics shouldClearSlidingTimeWindowMetrics",
            play(
                machine,
                [
                    fail(1),
                    Wait(SECOND),
                    slow(Err(ERROR), 5 * SECOND),
                    ok(1),
                    Holds(3, 2),
                    Slow(1),
                    Wait(13 * SECOND),
                    Holds(3, 2),
                    Wait(SECOND),
                    Holds(2, 1),
                    Wait(5 * SECOND),
                    Holds(2, 1),
                    Wait(SECOND),
                    Holds(0, 0),
                    Slow(0),
                    ok(1),
                    Holds(1, 0),
                    Wait(60 * MINUTE),
                    Holds(0, 0),
                ],
            ),
        ),
        apart("checkInitialBucketCreation testMoveHeadIndexByOne", INSIDE),
        tested(
            "shouldHandleHighContentionWithoutStarvation shouldMaintainCorrectMetricsUnderContention \
             shouldNotExperienceStarvationWithCASBackoff shouldHandleMixedReadWriteContention",
            "accounting::the_books_balance_while_closed_and_while_only_measuring",
        ),
    ]
}

fn calls() -> Vec<Row> {
    vec![
        same(
            "shouldDecorateSupplierAndReturnWithSuccess shouldExecuteSupplierAndReturnWithSuccess \
             shouldDecorateCheckedSupplierAndReturnWithSuccess shouldDecorateCallableAndReturnWithSuccess \
             shouldExecuteCallableAndReturnWithSuccess shouldDecorateCheckedRunnableAndReturnWithSuccess \
             shouldDecorateRunnableAndReturnWithSuccess shouldExecuteRunnableAndReturnWithSuccess \
             shouldDecorateConsumerAndReturnWithSuccess shouldDecorateCheckedConsumerAndReturnWithSuccess \
             shouldDecorateFunctionAndReturnWithSuccess shouldDecorateCheckedFunctionAndReturnWithSuccess",
            play(machine, [ok(1), Holds(1, 0)]),
        ),
        same(
            "shouldDecorateSupplierAndReturnWithException shouldDecorateCheckedSupplierAndReturnWithException \
             shouldDecorateCallableAndReturnWithException shouldDecorateCheckedRunnableAndReturnWithException \
             shouldDecorateRunnableAndReturnWithException shouldDecorateConsumerAndReturnWithException \
             shouldDecorateCheckedConsumerAndReturnWithException shouldDecorateFunctionAndReturnWithException \
             shouldDecorateCheckedFunctionAndReturnWithException shouldReturnFailureWithRuntimeException",
            play(machine, [fail(1), Holds(1, 1)]),
        ),
        same(
            "shouldReturnFailureWithCircuitBreakerOpenIfCheckRequestedTransition",
            play(machine, [ok(1), Is(State::Open), Rejected(1)]).classified(|_| Outcome::Trip),
        ),
        same(
            "shouldReturnFailureWithCircuitBreakerClosedIfCheckDidNotRequestTransition",
            play(machine, [ok(1), Is(State::Closed), Holds(1, 0)]).classified(
                |reply| match reply {
                    Ok(0) => Outcome::Success,
                    _ => Outcome::Trip,
                },
            ),
        ),
        same(
            "shouldNotRecordIOExceptionAsAFailure shouldNotRecordIOExceptionAsAFailureWithFuture",
            play(machine, [fail(1), Holds(1, 0)]).classified(|_| Outcome::Success),
        ),
        differs(
            "shouldNotMeasureErrorsAsFailures",
            "There a Java `Error` counts for nothing. A panic is the like of it, and is a failure here.",
            play(machine, [Panic, Holds(1, 1)]),
        ),
        tested(
            "shouldInvokeAsyncApply shouldDecorateCompletionStageAndReturnWithSuccess \
             shouldExecuteCompletionStageAndReturnWithSuccess \
             shouldExecuteVoidCompletionStageAndReturnWithSuccess shouldDecorateFutureSupplierAndReturnSuccess \
             shouldDecorateFutureAndReturnSuccess",
            "api::an_asynchronous_call_gives_back_what_the_operation_gave_on_any_executor",
        ),
        tested(
            "shouldDecorateCompletionStageAndReturnWithExceptionAtSyncStage \
             shouldDecorateCompletionStageAndReturnWithExceptionAtAsyncStage \
             shouldDecorateCompletionStageAndIgnoreHelloWorldException \
             shouldDecorateFutureSupplierAndReturnWithExceptionEvenBeforeFutureIsCreated \
             shouldDecorateFutureSupplierAndFutureReturnException shouldDecorateFutureAndThrowExecutionException",
            "api::an_asynchronous_call_is_classified_too",
        ),
        tested(
            "shouldDecorateFutureWithSupplierAndCallCancel shouldDecorateFutureAndCallerRequestCancelled",
            "api::a_future_that_is_dropped_counts_as_cancelled_and_one_never_polled_as_nothing",
        ),
        tested(
            "shouldDecorateFutureSupplierTimeout shouldDecorateFutureAndThrowTimeoutException",
            "call_timeout::a_call_that_takes_longer_than_its_limit_is_given_up",
        ),
        apart(
            "shouldDecorateFutureSupplierAndCBLogicEvalOnlyOnceSuccess \
             shouldDecorateFutureSupplierAndCBLogicEvalOnlyOnceWithException \
             shouldDecorateFutureAndCircuitBreakingLogicApplyOnceOnMultipleFutureEval \
             shouldDecorateFutureSupplierAndInterruptByTaskThread \
             shouldDecorateFutureSupplierAndInterruptedByCallingThread \
             shouldDecorateFutureAndInterruptedExceptionThrownByTaskThread \
             shouldDecorateFutureAndInterruptedExceptionThrownByCallingThread \
             shouldWorkWithBothThreadModes shouldHandleFailuresConsistentlyInBothModes \
             shouldHandleCompletableFutureOperationsInBothModes \
             shouldHandleStateTransitionsConsistentlyInBothModes \
             shouldUseCorrectThreadTypeForAutomaticTransitionFromOpenToHalfOpen \
             shouldMaintainConsistentThreadTypeAcrossMultipleCircuitBreakers \
             shouldHandleConcurrentAccess shouldHandleConsistentThreadTypeUsage shouldHandleConcurrentResets \
             shouldBeSameSchedulerFactoryInstance shouldBeSameScheduledExecutorServiceInstance \
             schedulerShouldRunTasksOnCorrectThreadTypeInBothModes",
            OF_JAVA,
        ),
        apart(
            "shouldInvokeRecoverFunction shouldInvokeMap shouldChainDecoratedFunctions",
            OF_VAVR,
        ),
    ]
}

fn outcomes() -> Vec<Row> {
    vec![
        same(
            "shouldRecordRuntimeExceptionAsFailureAndBusinessExceptionAsSuccess \
             shouldRecordIOExceptionAsFailureAndBusinessExceptionAsSuccess",
            play(
                machine,
                [fail(1), Call(Err(400), 1, Duration::ZERO), Holds(2, 1)],
            )
            .classified(|reply| match reply {
                Err(500) => Outcome::Failure,
                _ => Outcome::Success,
            }),
        ),
        same(
            "shouldRecordBusinessExceptionAsFailure",
            play(machine, [fail(1), Holds(1, 1)]),
        ),
        same(
            "shouldIgnoreNumberFormatException",
            play(machine, [exclude(1), Holds(0, 0), Ignored(1)]),
        ),
        same(
            "shouldRecordSpecificStringResultAsAFailureAndAnyOtherAsSuccess \
             shouldRecordSpecificComplexResultAsAFailureAndAnyOtherAsSuccess",
            play(
                machine,
                [ok(1), Call(Ok(503), 1, Duration::ZERO), Holds(2, 1)],
            )
            .classified(|reply| match reply {
                Ok(503) => Outcome::Failure,
                _ => Outcome::Success,
            }),
        ),
        apart(
            "shouldReturnTheSameConsumer shouldConsumeOnEvent shouldConsumeOnSuccessEvent \
             shouldConsumeOnErrorEvent shouldConsumeCallNotPermittedEvent shouldConsumeIgnoredErrorEvent \
             testCircuitBreakerOnErrorEvent testCircuitBreakerOnIgnoredErrorEvent \
             testCircuitBreakerOnSuccessEvent testCircuitBreakerOnCallNotPermittedEvent",
            NO_EVENT,
        ),
        tested(
            "testCircuitBreakerOnStateTransitionEvent testCircuitBreakerOnResetEvent",
            "api::a_transition_says_what_changed_and_why",
        ),
        tested(
            "shouldReturnCorrectMessageWhenStateIsOpen shouldReturnCorrectMessageWhenStateIsForcedOpen",
            "api::a_rejection_says_who_and_how_long",
        ),
        apart("shouldReturnCorrectMessage", NO_COMMAND),
        tested(
            "shouldIndicateCallPermittedForGivenStatus shouldConsiderAllKnownStatusesUsingIsCallPermitted",
            "ask::the_answer_is_that_of_the_next_call_in_every_state",
        ),
    ]
}
