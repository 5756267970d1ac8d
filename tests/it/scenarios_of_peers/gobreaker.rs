//! The tests of gobreaker v2 at fed8e9e of 2026-02: `v2/*_test.go` and `v2/redis/store_test.go`.
//! The page `from_gobreaker` of the guide says what differs.

use super::*;
use tripcurve::TripPolicy;
use tripcurve::window::Window;

/// The defaults: six failures in a row, a minute open, one probe.
fn defaults(builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
    builder
        .window(Window::count(100))
        .trip_when(TripPolicy::consecutive_failures(6))
        .open_for(MINUTE)
        .probes(1)
}

/// Three requests of which 60 % failed in 30 s, 90 s open, three probes.
fn custom(builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
    builder
        .window(Window::time(30 * SECOND, 10))
        .trip_when(TripPolicy::failure_rate(0.6).min_calls(3))
        .open_for(90 * SECOND)
        .probes(3)
}

const LOOK: &str =
    "Looking at an open breaker changes nothing here. The next call makes it half-open.";
const LAST: &str = "A fixed window forgets all calls at its end there. Ours slides.";
const INSIDE: &str = "It checks a data structure of theirs from inside.";
const ONE_PROCESS: &str = "A breaker belongs to one process. There is no store that several share.";

const TRIPPED: &[(State, State)] = &[(State::Closed, State::Open)];
const PROBES: &[(State, State)] = &[(State::Open, State::HalfOpen)];
const REOPENED: &[(State, State)] = &[(State::HalfOpen, State::Open)];
const RECOVERED: &[(State, State)] = &[(State::HalfOpen, State::Closed)];

fn a_run_of_six_trips() -> Play {
    let steps = [
        fail(5),
        Is(State::Closed),
        Holds(5, 5),
        Run(5),
        ok(1),
        Holds(6, 5),
        Run(0),
        fail(1),
        Holds(7, 6),
        Run(1),
        fail(5),
        Is(State::Open),
        Holds(0, 0),
        Rejected(2),
        Holds(0, 0),
        Wait(MINUTE - MILLI),
        Rejected(1),
        Is(State::Open),
        Wait(SECOND),
        Is(State::Open),
        fail(1),
        Is(State::Open),
        Holds(0, 0),
        Heard(&[
            (State::Closed, State::Open),
            (State::Open, State::HalfOpen),
            (State::HalfOpen, State::Open),
        ]),
        Wait(MINUTE + NANO),
        ok(1),
        Is(State::Closed),
        Holds(0, 0),
    ];
    play(defaults, steps)
}

/// Half-open, with three probes, then closed.
fn recovery() -> Vec<Step> {
    let probes = [
        ok(2),
        Is(State::HalfOpen),
        Probes(2, 0),
        Begin(1),
        Rejected(1),
        End(Ok(0)),
        Is(State::Closed),
        Holds(0, 0),
    ];
    probes.into()
}

fn a_rate_over_a_window() -> Play {
    let mut steps = Vec::new();
    for _ in 0..5 {
        steps.extend([ok(1), fail(1), exclude(1)]);
    }
    steps.extend([
        Is(State::Closed),
        Holds(10, 5),
        Ignored(5),
        Run(1),
        Wait(27 * SECOND - MILLI),
        ok(1),
        Holds(11, 5),
        Run(0),
        Wait(3 * SECOND + MILLI),
        fail(1),
        Holds(2, 1),
        Is(State::Closed),
        fail(1),
        Is(State::Open),
        Heard(TRIPPED),
        Holds(0, 0),
        Wait(90 * SECOND + NANO),
        exclude(4),
        Is(State::HalfOpen),
        Heard(PROBES),
        Probes(0, 0),
        fail(1),
        Is(State::Open),
        Heard(REOPENED),
        Wait(90 * SECOND + NANO),
    ]);
    steps.extend(recovery());
    steps.push(Heard(&[
        (State::Open, State::HalfOpen),
        (State::HalfOpen, State::Closed),
    ]));
    play(custom, steps)
}

/// The window of ten buckets fills, the first bucket leaves it, and the 23rd call trips.
fn a_rate_over_rolling_buckets() -> Play {
    let mut steps = Vec::new();
    for _ in 0..5 {
        steps.extend([ok(1), fail(1), exclude(1)]);
    }
    steps.extend([
        Holds(10, 5),
        Wait(3 * SECOND),
        ok(1),
        Holds(11, 5),
        Wait(2 * SECOND),
        ok(1),
        exclude(1),
        Holds(12, 5),
        Wait(2 * SECOND),
        exclude(1),
        ok(1),
        Holds(13, 5),
        Wait(2 * SECOND),
        fail(1),
        Holds(14, 6),
        Ignored(7),
    ]);
    for n in 0..6 {
        steps.extend([
            Wait(3 * SECOND),
            ok(1),
            fail(1),
            Holds(16 + 2 * n, 7 + n),
            Run(1),
        ]);
    }
    steps.extend([Wait(3 * SECOND), fail(1), Holds(17, 8), Ignored(2), Run(2)]);
    for n in 0..5 {
        steps.extend([fail(1), Holds(18 + n, 9 + n), Run(3 + n), Is(State::Closed)]);
    }
    steps.extend([
        fail(1),
        Is(State::Open),
        Heard(TRIPPED),
        Wait(90 * SECOND + NANO),
    ]);
    steps.extend(recovery());
    play(custom, steps)
}

fn a_call_across_two_ends() -> Play {
    let steps = [
        Wait(29 * SECOND),
        ok(1),
        Begin(1),
        Holds(1, 0),
        Wait(MILLI * 1_500),
        Holds(1, 0),
        End(Ok(0)),
        Holds(2, 0),
        // A change of state does begin a generation here.
        Begin(1),
        Do(|breaker| breaker.trip(SECOND)),
        Do(CircuitBreaker::reset),
        End(Ok(0)),
        Holds(0, 0),
    ];
    play(custom, steps)
}

fn two_steps() -> Play {
    let mut steps = Vec::new();
    for _ in 0..5 {
        steps.extend([Begin(1), End(Err(ERROR))]);
    }
    steps.extend([
        Is(State::Closed),
        Holds(5, 5),
        Begin(1),
        End(Ok(0)),
        Holds(6, 5),
        Begin(6),
        Holds(6, 5),
        End(Err(ERROR)),
        Run(1),
    ]);
    steps.extend((0..5).map(|_| End(Err(ERROR))));
    steps.extend([
        Is(State::Open),
        Rejected(1),
        Wait(MINUTE),
        Begin(1),
        Rejected(1),
        End(Err(ERROR)),
        Heard(&[
            (State::Closed, State::Open),
            (State::Open, State::HalfOpen),
            (State::HalfOpen, State::Open),
        ]),
        Wait(MINUTE),
        Begin(1),
        Heard(PROBES),
        End(Ok(0)),
        Heard(RECOVERED),
    ]);
    play(defaults, steps)
}

#[test]
fn each_test_of_gobreaker_has_its_like_or_a_reason() {
    let rows = [
        apart(
            "TestStateConstants",
            "States are an enum here. They have no numbers that callers see.",
        ),
        differs(
            "TestNewCircuitBreaker",
            "Our defaults are others. A negative duration can't be written in Rust, so none is replaced.",
            play(custom, [Is(State::Closed), Holds(0, 0), Heard(&[])]),
        ),
        differs("TestDefaultCircuitBreaker", LOOK, a_run_of_six_trips()),
        differs("TestCustomCircuitBreaker", LAST, a_rate_over_a_window()),
        differs(
            "TestRollingWindowCircuitBreaker",
            "The counts in the window are those of theirs, without the ignored calls.",
            a_rate_over_rolling_buckets(),
        ),
        same(
            "TestPanicInRequest",
            play(defaults, [Panic, Holds(1, 1), Run(1)]),
        ),
        differs(
            "TestGeneration",
            "The end of a fixed window begins a generation there. Here only a change of state does.",
            a_call_across_two_ends(),
        ),
        same(
            "TestCustomIsSuccessful",
            play(defaults, [fail(5), Is(State::Closed), Holds(5, 0), Run(0)])
                .classified(|_| Outcome::Success),
        ),
        same(
            "TestIsExcludedAndIsSuccessfulCombination",
            play(
                defaults,
                [
                    exclude(3),
                    Holds(0, 0),
                    Ignored(3),
                    ok(3),
                    Holds(3, 0),
                    fail(2),
                    Holds(5, 2),
                    Run(2),
                    Ignored(3),
                ],
            ),
        ),
        tested(
            "TestCircuitBreakerInParallel TestRollingWindowCircuitBreakerInParallel",
            "accounting::the_books_balance_while_closed_and_while_only_measuring",
        ),
        differs(
            "TestTwoStepCircuitBreaker",
            "A call counts when it ends. There it counts among the requests when it begins.",
            two_steps(),
        ),
        apart(
            "TestCountsMethods TestNewRollingCounts TestRollingCountsIndex TestRollingCountsCurrent \
             TestRollingCountsMethods TestRollingCountsGrow TestRollingCountsBucketAt \
             TestEmptyRollingCounts",
            INSIDE,
        ),
        apart(
            "TestDistributedCircuitBreakerInitialization TestDistributedCircuitBreakerExecution \
             TestDistributedCircuitBreakerStateTransitions TestDistributedCircuitBreakerCounts \
             TestCustomDistributedCircuitBreaker TestCustomDistributedCircuitBreakerStateTransitions \
             TestDistributedCircuitBreakerTimeSynchronization \
             TestDistributedCircuitBreakerBucketIndexingConsistency \
             TestNewRedisStore TestNewRedisStoreFromClient TestRedisStore_SetData_GetData \
             TestRedisStore_SetData_GetData_Empty TestRedisStore_SetData_GetData_LargeData \
             TestRedisStore_SetData_GetData_SpecialCharacters TestRedisStore_Lock_Unlock \
             TestRedisStore_Lock_Unlock_MultipleKeys TestRedisStore_Lock_Unlock_SameKeyMultipleTimes \
             TestRedisStore_Unlock_WithoutLock TestRedisStore_MutexCleanup \
             TestRedisStore_Concurrent_Operations TestRedisStore_Concurrent_Locks \
             TestRedisStore_Close TestRedisStore_Integration_WithDistributedCircuitBreaker \
             TestRedisStore_Error_Handling",
            ONE_PROCESS,
        ),
    ];
    check(&rows, 44);
}
