//! The tests of Polly's former API, continued: rates within a time.

use super::polly_specs::advanced;
use super::*;
use tripcurve::window::Window;

/// Half of four calls within 199 ms.
fn brief(builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
    advanced(builder).window(Window::time(199 * MILLI, 1))
}

const SAME_SLICE: Step = Wait(Duration::ZERO);
const LATER_SLICE: Step = Wait(Duration::from_secs(6));

/// The calls before the fourth, a time, and the fourth, which trips.
fn opens(settings: Settings, before: [Step; 2], time: Step) -> Play {
    let [first, second] = before;
    play(
        settings,
        [
            first,
            second,
            Is(State::Closed),
            time,
            fail(1),
            Is(State::Open),
            Rejected(1),
        ],
    )
}

pub(super) fn rows() -> Vec<Row> {
    vec![
        same(
            "Should_open_circuit_blocking_executions_and_noting_the_last_raised_exception_if_failure_threshold_exceeded_and_throughput_threshold_equalled_within_timeslice_in_same_window \
             Should_open_circuit_with_the_last_raised_exception_if_failure_threshold_exceeded_and_throughput_threshold_equalled_within_timeslice_in_different_windows \
             Should_open_circuit_with_the_last_raised_exception_if_failure_threshold_exceeded_and_throughput_threshold_equalled_within_timeslice_low_sampling_duration",
            opens(advanced, [fail(2), fail(1)], LATER_SLICE),
        ),
        same(
            "Should_open_circuit_with_the_last_raised_exception_if_failure_threshold_exceeded_though_not_all_are_failures_and_throughput_threshold_equalled_within_timeslice_in_different_windows \
             Should_open_circuit_with_the_last_raised_exception_if_failure_threshold_exceeded_though_not_all_are_failures_and_throughput_threshold_equalled_within_timeslice_in_same_window \
             Should_open_circuit_with_the_last_raised_exception_if_failure_threshold_exceeded_though_not_all_are_failures_and_throughput_threshold_equalled_within_timeslice_low_sampling_duration",
            opens(brief, [ok(1), fail(2)], SAME_SLICE),
        ),
        same(
            "Should_open_circuit_with_the_last_raised_exception_if_failure_threshold_equalled_and_throughput_threshold_equalled_within_timeslice_in_different_windows \
             Should_open_circuit_with_the_last_raised_exception_if_failure_threshold_equalled_and_throughput_threshold_equalled_within_timeslice_in_same_window \
             Should_open_circuit_with_the_last_raised_exception_if_failure_threshold_equalled_and_throughput_threshold_equalled_within_timeslice_low_sampling_duration",
            opens(advanced, [ok(2), fail(1)], LATER_SLICE),
        ),
        same(
            "Should_open_circuit_with_the_last_raised_exception_if_failure_threshold_equalled_and_throughput_threshold_equalled_even_if_only_just_within_timeslice \
             Should_open_circuit_with_the_last_raised_exception_if_failure_threshold_equalled_and_throughput_threshold_equalled_even_if_only_just_within_timeslice_low_sampling_duration",
            opens(advanced, [ok(2), fail(1)], Wait(10 * SECOND - NANO)),
        ),
        same(
            "Should_not_open_circuit_if_failure_threshold_exceeded_but_throughput_threshold_not_met_before_timeslice_expires \
             Should_not_open_circuit_if_failure_threshold_exceeded_but_throughput_threshold_not_met_before_timeslice_expires_low_sampling_duration",
            play(
                brief,
                [
                    ok(2),
                    fail(1),
                    Wait(2 * 199 * MILLI),
                    fail(1),
                    Is(State::Closed),
                    Holds(1, 1),
                ],
            ),
        ),
        same(
            "Should_not_open_circuit_if_failure_threshold_exceeded_but_throughput_threshold_not_met_before_timeslice_expires_even_if_error_occurring_just_at_the_end_of_the_duration \
             Should_not_open_circuit_if_failure_threshold_exceeded_but_throughput_threshold_not_met_before_timeslice_expires_even_if_timeslice_expires_only_exactly \
             Should_not_open_circuit_if_failure_threshold_exceeded_but_throughput_threshold_not_met_before_timeslice_expires_even_if_timeslice_expires_only_exactly_low_sampling_duration",
            play(
                advanced,
                [
                    ok(2),
                    fail(1),
                    Wait(10 * SECOND),
                    fail(1),
                    Is(State::Closed),
                    Holds(1, 1),
                ],
            ),
        ),
        same(
            "Should_not_open_circuit_if_failure_threshold_not_met_and_throughput_threshold_not_met \
             Should_not_open_circuit_if_failure_threshold_not_met_and_throughput_threshold_not_met_low_sampling_duration \
             Should_not_open_circuit_if_failure_threshold_not_met_but_throughput_threshold_met_before_timeslice_expires \
             Should_not_open_circuit_if_failure_threshold_not_met_but_throughput_threshold_met_before_timeslice_expires_low_sampling_duration",
            play(
                advanced,
                [
                    ok(1),
                    fail(1),
                    Is(State::Closed),
                    ok(1),
                    fail(1),
                    Is(State::Open),
                ],
            ),
        ),
        same(
            "Should_not_open_circuit_if_failure_threshold_and_minimum_threshold_is_equalled_but_last_call_is_success",
            play(
                advanced,
                [fail(2), ok(1), Is(State::Closed), ok(1), Is(State::Closed)],
            ),
        ),
        same(
            "Should_open_circuit_if_failures_at_end_of_last_timeslice_below_failure_threshold_and_failures_in_beginning_of_new_timeslice_where_total_equals_failure_threshold \
             Should_open_circuit_if_failures_in_second_window_of_last_timeslice_and_failures_in_first_window_in_next_timeslice_exceeds_failure_threshold_and_minimum_threshold",
            play(
                advanced,
                [
                    ok(1),
                    Wait(10 * SECOND - NANO),
                    ok(2),
                    fail(1),
                    Wait(NANO),
                    fail(1),
                    Is(State::Open),
                ],
            ),
        ),
        differs(
            "Should_not_open_circuit_if_failures_at_end_of_last_timeslice_below_failure_threshold_and_failures_in_beginning_of_new_timeslice_where_total_equals_failure_threshold_low_sampling_duration",
            "A short sampling duration has one window there. Two buckets slide here.",
            play(
                |builder| advanced(builder).window(Window::time(200 * MILLI, 2)),
                [
                    ok(1),
                    Wait(200 * MILLI - NANO),
                    ok(2),
                    fail(1),
                    Wait(NANO),
                    fail(1),
                    Is(State::Open),
                ],
            ),
        ),
        same(
            "Should_not_open_circuit_if_failures_at_end_of_last_timeslice_and_failures_in_beginning_of_new_timeslice_when_below_minimum_throughput_threshold",
            play(
                advanced,
                [
                    ok(1),
                    Wait(10 * SECOND - NANO),
                    fail(2),
                    Wait(NANO),
                    fail(1),
                    Is(State::Closed),
                    Holds(3, 3),
                ],
            ),
        ),
    ]
}
