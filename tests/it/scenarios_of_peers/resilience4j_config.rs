//! The tests of resilience4j's configuration and registry: `CircuitBreakerConfigTest`,
//! `CircuitBreakerRegistryTest` and `InMemoryCircuitBreakerRegistryTest`.

use super::*;
use tripcurve::window::{Timing, Window};
use tripcurve::{Recovery, TripPolicy};

fn ten_calls(builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
    builder
        .window(Window::count(10))
        .trip_when(TripPolicy::failure_rate(0.5).min_calls(10))
}

const GETTER: &str = "It reads a setting back. Here the plays show what a setting does.";
const OF_JAVA: &str =
    "It is about Java: null, stack traces, text of an object, or classes of exceptions.";
const TAGS: &str = "Breakers have no tags. A name and the labels of a metric do.";

pub(super) fn rows() -> Vec<Row> {
    vec![
        refused(
            "zeroMaxFailuresShouldFail zeroFailureRateThresholdShouldFail",
            |builder| builder.trip_when(TripPolicy::failure_rate(0.0)),
            "trip_when.failure_rate: 0 is not above 0.0 and at most 1.0;",
        ),
        refused(
            "failureRateThresholdAboveHundredShouldFail",
            |builder| builder.trip_when(TripPolicy::failure_rate(1.01)),
            "trip_when.failure_rate: 1.01 is not above 0.0 and at most 1.0;",
        ),
        refused(
            "zeroWaitIntervalShouldFail",
            |builder| builder.open_for(Duration::ZERO),
            "open_for: 0ns is not in 1ms..=10 years;",
        ),
        refused(
            "zeroSlowCallDurationThresholdShouldFail",
            |builder| builder.trip_when(TripPolicy::slow_rate(0.5).slower_than(Duration::ZERO)),
            "trip_when.slow_rate.slower_than: 0ns is not in 1µs..=1h;",
        ),
        refused(
            "zeroSlowCallRateThresholdShouldFail",
            |builder| builder.trip_when(TripPolicy::slow_rate(0.0).slower_than(SECOND)),
            "trip_when.slow_rate: 0 is not above 0.0 and at most 1.0;",
        ),
        refused(
            "slowCallRateThresholdAboveHundredShouldFail",
            |builder| builder.trip_when(TripPolicy::slow_rate(1.01).slower_than(SECOND)),
            "trip_when.slow_rate: 1.01 is not above 0.0 and at most 1.0;",
        ),
        refused(
            "zeroPermittedNumberOfCallsInHalfOpenStateShouldFail",
            |builder| builder.probes(0),
            "probes: 0 is not in 1..=255;",
        ),
        refused(
            "zeroSlidingWindowSizeShouldFail zeroSlidingWindowSizeShouldFail2",
            |builder| builder.window(Window::count(0)),
            "window.calls: 0 is not in 1..=1048576;",
        ),
        refused(
            "zeroMinimumNumberOfCallsShouldFail zeroMinimumNumberOfCallsShouldFai2l",
            |builder| builder.trip_when(TripPolicy::failure_rate(0.5).min_calls(0)),
            "trip_when.failure_rate.min_calls: 0 is not at least 1;",
        ),
        refused(
            "shouldReduceMinimumNumberOfCallsToSlidingWindowSize",
            |builder| {
                let policy = TripPolicy::failure_rate(0.5).min_calls(6);
                builder.window(Window::count(5)).trip_when(policy)
            },
            "trip_when.failure_rate.min_calls: 6 is not at most 5,",
        ),
        tested(
            "maxWaitDurationInHalfOpenStateLessThanSecondShouldFail \
             maxWaitDurationInHalfOpenStateEqualZeroShouldPass",
            "configurations::a_breaker_may_be_half_open_for_1_ms_to_10_years",
        ),
        apart(
            "transitionToStateAfterWaitDurationNullShouldFail \
             transitionToStateAfterWaitDurationHalfOpenShouldFail",
            "A `HalfOpenVerdict` is `Reopen` or `Close`. No other can be written.",
        ),
        apart(
            "shouldSetDefaultSettings shouldSetFailureRateThreshold shouldSetWaitDurationInHalfOpenState \
             shouldSetClosedStateTransitionToStateAfterWaitDuration \
             shouldSetOpenStateTransitionToStateAfterWaitDuration shouldSetSlowCallRateThreshold \
             shouldSetSlowCallDurationThreshold shouldSetCountBasedSlidingWindowSize \
             shouldSetPermittedNumberOfCallsInHalfOpenState shouldSetSlidingWindowToCountBased \
             shouldSetSlidingWindowToTimeBased shouldSetSlidingWindowSize shouldSetMinimumNumberOfCalls \
             shouldSetWaitInterval shouldCreateWaitIntervalPredicate shouldCreateTransitionCheckFunction \
             shouldCreateCurrentTimeFunction testOverrideIntervalFunction",
            GETTER,
        ),
        same(
            "shouldSetFailureRateThresholdAsAFloatGreaterThanZero shouldSetLowFailureRateThreshold",
            play(
                |builder| builder.trip_when(TripPolicy::failure_rate(0.001).min_calls(1)),
                [ok(999), Is(State::Closed), fail(1), Is(State::Open)],
            ),
        ),
        same(
            "shouldSetSlowCallRateThresholdAsFloatGreaterThanZero",
            play(
                |builder| {
                    let policy = TripPolicy::slow_rate(0.001).slower_than(SECOND);
                    // Otherwise the one slow call may be none of the sample.
                    let builder = builder.timing(Timing::EveryCall);
                    builder.trip_when(policy.min_calls(1))
                },
                [
                    ok(999),
                    Is(State::Closed),
                    slow(Ok(0), 2 * SECOND),
                    Is(State::Open),
                ],
            ),
        ),
        same(
            "shouldAllowHighMinimumNumberOfCallsWhenSlidingWindowIsTimeBased",
            play(
                |builder| {
                    let policy = TripPolicy::failure_rate(0.5).min_calls(100);
                    builder.window(Window::time(SECOND, 10)).trip_when(policy)
                },
                [fail(99), Is(State::Closed), fail(1), Is(State::Open)],
            ),
        ),
        apart(
            "shouldSetSlidingWindowSynchronizationStrategyToLockFree shouldUseSynchronizedStrategyByDefault",
            "There is one strategy, without a lock.",
        ),
        same(
            "shouldUseCustomRecordExceptionPredicate shouldUseRecordExceptionsToBuildPredicate \
             shouldCreateCombinedRecordExceptionPredicate",
            play(
                ten_calls,
                [
                    fail(1),
                    Call(Err(400), 1, Duration::ZERO),
                    Call(Err(404), 1, Duration::ZERO),
                    Holds(3, 2),
                ],
            )
            .classified(|reply| match reply {
                Err(500 | 404) => Outcome::Failure,
                _ => Outcome::Success,
            }),
        ),
        same(
            "shouldUseCustomIgnoreExceptionPredicate shouldUseIgnoreExceptionsToBuildPredicate \
             shouldCreateCombinedIgnoreExceptionPredicate shouldRespectIgnoreExceptionsWhenPrecedenceEnabled \
             shouldEnableIgnoreExceptionsPrecedence shouldSetIgnoreExceptionsPrecedenceEnabled",
            play(
                ten_calls,
                [
                    fail(1),
                    Call(Err(400), 1, Duration::ZERO),
                    Call(Err(404), 1, Duration::ZERO),
                    Holds(1, 1),
                    Ignored(2),
                ],
            )
            .classified(|reply| match reply {
                Err(400 | 404) => Outcome::Ignored,
                Err(_) => Outcome::Failure,
                Ok(_) => Outcome::Success,
            }),
        ),
        same(
            "shouldSetIgnoreExceptionsPrecedenceEnabledToFalse shouldRespectRecordExceptionsWhenPrecedenceDisabled",
            play(
                ten_calls,
                [
                    fail(1),
                    Call(Err(400), 1, Duration::ZERO),
                    Holds(2, 2),
                    Ignored(0),
                ],
            )
            .classified(|reply| match reply {
                Err(400 | 500) => Outcome::Failure,
                Err(_) => Outcome::Ignored,
                Ok(_) => Outcome::Success,
            }),
        ),
        refused(
            "shouldNotUseWitIntervalFunctionInOpenStateAndWaitDurationInOpenStateTogether",
            |builder| {
                ten_calls(builder)
                    .recovery(Recovery::probes(1))
                    .open_for(SECOND)
            },
            "open_for: 1s is not possible together with recovery;",
        ),
        apart(
            "shouldSetWritableStackTraces testToString testCreateWithNullConfig testCreateUsingBuilderWithNullConfig",
            OF_JAVA,
        ),
        tested(
            "shouldBuilderCreateConfigEveryTime shouldUseBaseConfigAndOverwriteProperties",
            "crates/tripcurve-config/tests/it/config.rs::a_breaker_has_what_its_template_says_where_it_says_nothing_itself",
        ),
        tested(
            "shouldBeTheSameCircuitBreaker shouldBeNotTheSameCircuitBreaker testAddCircuitBreakerRegistry",
            "registry::all_who_ask_for_a_key_get_the_same_breaker",
        ),
        apart(
            "shouldInitRegistryTags noTagsByDefault tagsOfRegistryAddedToInstance tagsAddedToInstance \
             tagsOfRetriesShouldNotBeMixed tagsOfInstanceTagsShouldOverrideRegistryTags \
             testCreateUsingBuilderWithRegistryTags",
            TAGS,
        ),
        tested(
            "testCreateWithDefaultConfiguration testCreateWithCustomConfiguration \
             testCreateUsingBuilderWithDefaultConfig testCreateUsingBuilderWithCustomConfig \
             testCreateUsingBuilderWithoutDefaultConfig testCreateUsingBuilderWithDefaultAndCustomConfig \
             testCreateCircuitBreakerWithSharedConfiguration",
            "registry::breakers_have_the_templates_name_or_one_of_their_own",
        ),
        tested(
            "testUpdateDefaultCircuitBreakerRegistry",
            "registry_reconfigure::breakers_that_are_there_and_those_to_come_have_the_new_settings",
        ),
        tested(
            "testCreateWithConfigurationMap testCreateWithConfigurationMapWithoutDefaultConfig \
             testAddConfiguration testCreateCircuitBreakerWitMapConstructor \
             testCreateCircuitBreakerWithConfigName testGetNotFoundCircuitBreakerRegistry \
             testCreateCircuitBreakerWithConfigNameNotFound \
             testAddMultipleDefaultConfigUsingBuilderShouldThrowException",
            "crates/tripcurve-config/tests/it/config.rs::breakers_are_found_by_name_in_the_order_of_the_file",
        ),
        tested(
            "testCreateWithSingleRegistryEventConsumer testCreateWithMultipleRegistryEventConsumer \
             testCreateWithConfigurationMapWithSingleRegistryEventConsumer \
             testCreateWithConfigurationMapWithMultiRegistryEventConsumer \
             testCreateUsingBuilderWithMultipleRegistryEventConsumer",
            "registry::breakers_that_listen_tell_the_templates_listeners",
        ),
        apart(
            "testCreateUsingBuilderWithRegistryStore shouldCreateCircuitBreakerRegistryWithRegistryStore",
            "A registry has no store that others could give it.",
        ),
    ]
}
