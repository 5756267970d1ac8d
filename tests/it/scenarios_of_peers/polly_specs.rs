//! The tests of Polly's former API at 173d6d1d of 2026-08: `test/Polly.Specs/CircuitBreaker`. Most
//! of its 441 tests stand in four files, for exceptions and results, with and without `async`. A
//! name is listed once. The page `from_polly` of the guide says what differs.

use super::*;
use tripcurve::TripPolicy;
use tripcurve::window::Window;

/// Half of four calls within ten seconds.
pub(super) fn advanced(builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
    builder
        .window(Window::time(10 * SECOND, 10))
        .trip_when(TripPolicy::failure_rate(0.5).min_calls(4))
        .open_for(30 * SECOND)
        .probes(1)
}

/// Two failures in a row.
fn simple(builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
    builder
        .window(Window::count(100))
        .trip_when(TripPolicy::consecutive_failures(2))
        .open_for(MINUTE)
        .probes(1)
}

fn without_break(builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
    simple(builder).open_for(MILLI)
}

fn at_one(builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
    builder.trip_when(TripPolicy::failure_rate(1.0).min_calls(2))
}

const TRIPPED: [Step; 2] = [fail(2), Is(State::Open)];
fn after_a_trip(steps: impl IntoIterator<Item = Step>) -> Play {
    let mut all = Vec::from(TRIPPED);
    all.extend(steps);
    play(simple, all)
}

fn trips() -> Vec<Row> {
    vec![
        same(
            "Should_be_able_to_use_CircuitState_via_interface Should_initialise_to_closed_state",
            play(simple, [Is(State::Closed), Holds(0, 0)]),
        ),
        same(
            "Should_open_circuit_blocking_executions_and_noting_the_last_raised_exception_after_specified_number_of_one_of_the_specified_exceptions_have_been_raised \
             Should_open_circuit_blocking_executions_and_noting_the_last_raised_exception_after_specified_number_of_specified_exception_have_been_raised \
             Should_open_circuit_if_results_and_exceptions_returned_match_combination_of_the_result_and_exception_predicates \
             Should_open_circuit_with_exception_after_specified_number_of_specified_exception_have_been_returned_when_result_policy_handling_exceptions_only \
             Should_open_circuit_with_the_last_exception_after_specified_number_of_exceptions_and_results_have_been_raised__breaking_on_result__when_configuring_exception_first \
             Should_open_circuit_with_the_last_exception_after_specified_number_of_exceptions_and_results_have_been_raised__breaking_on_result__when_configuring_result_first \
             Should_open_circuit_with_the_last_exception_after_specified_number_of_exceptions_and_results_have_been_raised__configuring_multiple_results_and_exceptions \
             Should_open_circuit_with_the_last_handled_result_after_specified_number_of_exceptions_and_results_have_been_raised__breaking_on_result__when_configuring_exception_first \
             Should_open_circuit_with_the_last_handled_result_after_specified_number_of_exceptions_and_results_have_been_raised__breaking_on_result__when_configuring_result_first \
             Should_open_circuit_with_the_last_handled_result_after_specified_number_of_exceptions_and_results_have_been_raised__when_configuring_multiple_results_and_exceptions \
             Should_open_circuit_with_the_last_handled_result_after_specified_number_of_one_of_the_specified_handled_results_have_been_raised \
             Should_open_circuit_with_the_last_handled_result_after_specified_number_of_specified_handled_result_have_been_returned \
             Should_open_circuit_with_the_last_handled_result_after_specified_number_of_specified_handled_result_with_predicate_have_been_returned \
             Should_rethrow_and_call_onbreak_with_the_last_raised_exception_unwrapped_if_matched_as_inner",
            play(
                simple,
                [
                    fail(1),
                    Is(State::Closed),
                    Call(Ok(503), 1, Duration::ZERO),
                    Is(State::Open),
                    Rejected(2),
                    Is(State::Open),
                ],
            )
            .classified(|reply| match reply {
                Ok(503) | Err(500) => Outcome::Failure,
                _ => Outcome::Success,
            }),
        ),
        same(
            "Should_not_open_circuit_if_specified_number_of_specified_exception_are_not_raised_consecutively \
             Should_not_open_circuit_if_specified_number_of_specified_handled_result_are_not_raised_consecutively",
            play(simple, [fail(1), ok(1), fail(1), Is(State::Closed), Run(1)]),
        ),
        same(
            "Should_not_open_circuit_if_exception_raised_is_not_one_of_the_specified_exceptions \
             Should_not_open_circuit_if_exception_raised_is_not_the_specified_exception \
             Should_not_open_circuit_if_exception_thrown_is_not_one_of_the_configured_results_or_exceptions \
             Should_not_open_circuit_if_exceptions_raised_are_not_one_of_the_specified_exceptions \
             Should_not_open_circuit_if_result_raised_or_exception_thrown_is_not_one_of_the_handled_results_or_exceptions \
             Should_not_open_circuit_if_result_returned_does_not_match_any_of_the_result_predicates \
             Should_not_open_circuit_if_result_returned_does_not_match_result_predicate \
             Should_not_open_circuit_if_result_returned_is_not_one_of_the_configured_results_or_exceptions \
             Should_not_open_circuit_if_result_returned_is_not_one_of_the_handled_results \
             Should_not_open_circuit_if_result_returned_is_not_the_handled_result",
            play(
                simple,
                [
                    Call(Err(400), 4, Duration::ZERO),
                    ok(4),
                    Is(State::Closed),
                    Holds(8, 0),
                ],
            )
            .classified(|reply| match reply {
                Ok(503) | Err(500) => Outcome::Failure,
                _ => Outcome::Success,
            }),
        ),
        same(
            "Should_be_able_to_handle_a_failure_threshold_of_one",
            play(
                at_one,
                [fail(1), Is(State::Closed), fail(1), Is(State::Open)],
            ),
        ),
        same(
            "Should_halfopen_circuit_after_the_specified_duration_has_passed \
             Should_halfopen_circuit_after_the_specified_duration_has_passed_with_failures_in_different_windows \
             Should_halfopen_circuit_after_the_specified_duration_has_passed_with_failures_in_same_window",
            play(
                advanced,
                [
                    fail(3),
                    Wait(6 * SECOND),
                    fail(1),
                    Wait(30 * SECOND),
                    Begin(1),
                    Is(State::HalfOpen),
                ],
            ),
        ),
        same(
            "Should_open_circuit_again_after_the_specified_duration_has_passed_if_the_next_call_raises_a_fault \
             Should_open_circuit_again_after_the_specified_duration_has_passed_if_the_next_call_raises_an_exception",
            after_a_trip([
                Wait(MINUTE),
                fail(1),
                Is(State::Open),
                Rejected(1),
                Wait(MINUTE),
                Begin(1),
            ]),
        ),
        same(
            "Should_reset_circuit_after_the_specified_duration_has_passed_if_the_next_call_does_not_raise_an_exception \
             Should_reset_circuit_after_the_specified_duration_has_passed_if_the_next_call_does_not_return_a_fault",
            after_a_trip([
                Wait(MINUTE),
                ok(1),
                Is(State::Closed),
                fail(1),
                Is(State::Closed),
                fail(1),
                Is(State::Open),
            ]),
        ),
        same(
            "Should_only_allow_single_execution_on_first_entering_halfopen_state__integration_test \
             Should_only_allow_single_execution_on_first_entering_halfopen_state__test_execution_permit_directly",
            after_a_trip([
                Wait(MINUTE),
                Begin(1),
                Rejected(1),
                Is(State::HalfOpen),
                End(Ok(0)),
                Is(State::Closed),
            ]),
        ),
        differs(
            "Should_allow_single_execution_per_break_duration_in_halfopen_state__integration_test \
             Should_allow_single_execution_per_break_duration_in_halfopen_state__test_execution_permit_directly",
            "There another trial may come after a break. Here the place of a probe is free after 30 s.",
            after_a_trip([
                Wait(MINUTE),
                Begin(1),
                Rejected(1),
                Wait(30 * SECOND),
                Begin(1),
                Rejected(1),
                Is(State::HalfOpen),
                // The late report of the first one changes nothing.
                End(Err(ERROR)),
                Is(State::HalfOpen),
                End(Ok(0)),
                Is(State::Closed),
            ]),
        ),
        same(
            "Should_be_able_to_use_Isolate_via_interface \
             Should_call_onbreak_when_breaking_circuit_manually \
             Should_call_onreset_when_manually_resetting_circuit \
             Should_close_circuit_again_on_reset_after_manual_override \
             Should_hold_circuit_open_despite_elapsed_time_if_manual_override_open \
             Should_open_circuit_and_block_calls_if_manual_override_open \
             Should_open_circuit_with_timespan_maxvalue_if_manual_override_open",
            play(
                simple,
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
            "Should_be_able_to_reset_automatically_opened_circuit_without_specified_duration_passing \
             Should_be_able_to_use_Reset_via_interface",
            after_a_trip([
                Rejected(1),
                Do(CircuitBreaker::reset),
                Is(State::Closed),
                ok(1),
            ]),
        ),
        same(
            "Should_call_onbreak_when_breaking_circuit_first_time_but_not_for_subsequent_call_failure_which_arrives_on_open_state_though_started_on_closed_state",
            play(
                simple,
                [
                    Begin(1),
                    fail(2),
                    Heard(&[(State::Closed, State::Open)]),
                    End(Err(ERROR)),
                    Is(State::Open),
                    Heard(&[]),
                ],
            ),
        ),
        differs(
            "Should_call_onbreak_when_breaking_circuit_automatically \
             Should_call_onbreak_when_breaking_circuit_first_time_but_not_for_subsequent_calls_placed_through_open_circuit \
             Should_call_onbreak_with_a_state_of_closed Should_call_onbreak_with_a_state_of_half_open \
             Should_call_onhalfopen_when_automatically_transitioning_to_halfopen_due_to_state_read \
             Should_call_onhalfopen_when_automatically_transitioning_to_halfopen_due_to_subsequent_execution \
             Should_call_onreset_when_automatically_closing_circuit_but_not_when_halfopen \
             Should_not_call_onreset_on_initialise \
             Should_not_call_onreset_on_successive_successful_calls",
            "Looking at an open breaker changes nothing here. There it makes it half-open.",
            play(
                simple,
                [
                    Heard(&[]),
                    ok(3),
                    Heard(&[]),
                    fail(2),
                    Heard(&[(State::Closed, State::Open)]),
                    Rejected(2),
                    Wait(MINUTE),
                    Is(State::Open),
                    Heard(&[]),
                    fail(1),
                    Heard(&[
                        (State::Open, State::HalfOpen),
                        (State::HalfOpen, State::Open),
                    ]),
                    Wait(MINUTE),
                    ok(1),
                    Heard(&[
                        (State::Open, State::HalfOpen),
                        (State::HalfOpen, State::Closed),
                    ]),
                ],
            ),
        ),
        same(
            "Should_call_onbreak_with_the_correct_timespan",
            after_a_trip([ToldToWait(MINUTE)]),
        ),
        apart(
            "Should_be_able_to_use_LastException_via_interface \
             Should_be_able_to_use_LastHandledResult_via_interface \
             Should_call_onbreak_with_the_last_handled_result \
             Should_call_onbreak_with_the_last_raised_exception \
             Should_initialise_LastException_to_null_on_creation \
             Should_initialise_LastHandledResult_and_LastResult_to_default_on_creation \
             Should_set_LastException_on_exception_even_when_not_breaking \
             Should_set_LastException_on_handling_exception_even_when_not_breaking \
             Should_set_LastException_on_handling_inner_exception_even_when_not_breaking \
             Should_set_LastException_to_last_exception_when_breaking \
             Should_set_LastException_to_last_raised_exception_when_breaking \
             Should_set_LastException_to_null_on_circuit_reset \
             Should_set_LastHandledResult_and_LastException_to_default_on_circuit_reset \
             Should_set_LastHandledResult_on_handling_result_even_when_not_breaking \
             Should_set_LastHandledResult_to_default_on_circuit_reset \
             Should_set_LastHandledResult_to_last_handled_result_when_breaking \
             Should_set_PolicyResult_on_handling_inner_exception",
            "A breaker keeps no result of a call. `Transition::cause` and a label say why it opened.",
        ),
        apart(
            "Context_should_be_empty_if_execute_not_called_with_any_context_data \
             Should_call_onbreak_with_the_passed_context Should_call_onreset_with_the_passed_context \
             Should_create_new_context_for_each_call_to_execute",
            "There is no context beside a call. A closure takes along what it needs.",
        ),
        tested(
            "Should_execute_action_when_non_faulting_and_cancellationToken_not_cancelled \
             Should_execute_func_returning_value_when_cancellationToken_not_cancelled \
             Should_honour_and_report_cancellation_during_func_execution \
             Should_honour_different_cancellationToken_captured_implicitly_by_action \
             Should_not_execute_action_when_cancellationToken_cancelled_before_execute \
             Should_report_cancellation_during_faulting_action_execution_when_user_delegate_observes_cancellationToken \
             Should_report_cancellation_during_otherwise_non_faulting_action_execution_when_user_delegate_observes_cancellationToken \
             Should_report_cancellation_when_both_open_circuit_and_cancellation \
             Should_report_faulting_from_faulting_action_execution_when_user_delegate_does_not_observe_cancellation",
            "api::a_future_that_is_dropped_counts_as_cancelled_and_one_never_polled_as_nothing",
        ),
    ]
}

fn settings() -> Vec<Row> {
    vec![
        differs(
            "Should_be_able_to_handle_a_duration_of_break_of_zero \
             Should_not_throw_if_duration_of_break_is_zero",
            "An open time is 1 ms at least. There it may be 0.",
            play(
                without_break,
                [
                    fail(2),
                    Is(State::Open),
                    Wait(MILLI),
                    ok(1),
                    Is(State::Closed),
                ],
            ),
        ),
        same(
            "Should_be_able_to_handle_a_duration_of_timespan_maxvalue",
            play(
                |builder| simple(builder).open_for(3_650 * 24 * 60 * MINUTE),
                [
                    fail(2),
                    Is(State::Open),
                    Wait(3_649 * 24 * 60 * MINUTE),
                    Rejected(1),
                ],
            ),
        ),
        same(
            "Should_not_throw_if_arguments_are_valid Should_not_throw_if_sampling_duration_is_minimum \
             Should_not_throw_if_timeslice_duration_is_resolution_of_circuit",
            play(
                |builder| advanced(builder).window(Window::time(100 * MILLI, 1)),
                [fail(4), Is(State::Open)],
            ),
        ),
        refused(
            "Should_throw_if_failure_threshold_is_less_than_one \
             Should_throw_if_failure_threshold_is_less_than_zero \
             Should_throw_if_failure_threshold_is_outside_allowed_range \
             Should_throw_if_failure_threshold_is_zero \
             Should_throw_when_failureThreshold_is_less_or_equals_than_zero",
            |builder| builder.trip_when(TripPolicy::failure_rate(0.0)),
            "trip_when.failure_rate: 0 is not above 0.0 and at most 1.0;",
        ),
        refused(
            "Should_throw_if_failure_threshold_is_greater_than_one \
             Should_throw_when_failureThreshold_is_more_than_one",
            |builder| builder.trip_when(TripPolicy::failure_rate(1.01)),
            "trip_when.failure_rate: 1.01 is not above 0.0 and at most 1.0;",
        ),
        differs(
            "Should_throw_if_minimum_throughput_is_less_than_one \
             Should_throw_if_minimum_throughput_is_one \
             Should_throw_when_minimumThroughput_is_less_or_equals_than_one \
             Should_throw_if_minimum_throughput_is_outside_allowed_range",
            "One call may be enough here. There it takes two.",
            play(
                |builder| builder.trip_when(TripPolicy::failure_rate(0.5).min_calls(1)),
                [fail(1), Is(State::Open)],
            ),
        ),
        refused(
            "Should_throw_if_exceptions_allowed_before_breaking_is_less_than_one \
             Should_throw_if_faults_allowed_before_breaking_is_less_than_one",
            |builder| builder.trip_when(TripPolicy::consecutive_failures(0)),
            "trip_when.consecutive_failures: 0 is not at least 1;",
        ),
        refused(
            "Should_throw_if_timeslice_duration_is_less_than_resolution_of_circuit \
             Should_throw_when_samplingDuration_is_less_than_resolutionOfCircuit",
            |builder| builder.window(Window::time(19 * MILLI, 1)),
            "window.length: 19ms is not in 100ms..=7d;",
        ),
        apart(
            "Should_set_throw_if_callbacks_are_null Should_throw_if_delegates_are_null \
             Should_throw_if_duration_of_break_is_less_than_zero \
             Should_throw_if_duration_of_break_is_negative \
             Should_throw_if_sampling_duration_is_negative Should_throw_when_action_is_null \
             Should_throw_when_durationOfBreak_is_negative_timespan \
             Should_throw_when_onHalfOpen_is_null Should_throw_when_onReset_is_null",
            "A duration can't be negative in Rust, and a function can't be null.",
        ),
        apart(
            "AdvancedCircuitController_uses_correct_metrics Ctor_EnsureDefaults \
             GetHealthCount_NeedsLock_EnsureWindowCapacityRespected \
             GetHealthCount_NeedsLock_EnsureWindowRespected \
             GetHealthCount_NeedsLock_SamplingDurationRespected Increment_Ok Reset_Ok",
            "It checks a data structure of theirs from inside.",
        ),
    ]
}

#[test]
fn each_test_of_pollys_former_api_has_its_like_or_a_reason() {
    let mut rows = super::polly_specs_times::rows();
    rows.extend(trips());
    rows.extend(settings());
    check(&rows, 152);
}
