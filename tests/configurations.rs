//! Invariant 7: a configuration that makes no sense is refused when it is built, with an error that
//! says which value and why; one that was accepted works.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tripcurve::{Builder, Cause, CircuitBreaker, Clock, Outcome, State, TripPolicy, Window};

const MILLI: Duration = Duration::from_millis(1);
const NANO: Duration = Duration::from_nanos(1);
const DAY: Duration = Duration::from_secs(86_400);
const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);

fn just_before(end: Duration) -> Duration {
    end.saturating_sub(NANO)
}

fn builder() -> Builder {
    CircuitBreaker::builder("settings").clock(Clock::mock().0)
}

#[track_caller]
fn refused(builder: Builder, expected: &str) {
    let error = builder.build().unwrap_err();
    assert_eq!(error.to_string(), expected);
    let parts = format!(
        "{}: {} is not {}; {}",
        error.setting, error.value, error.expected, error.hint
    );
    assert_eq!(parts, expected);
}

#[track_caller]
fn accepted(builder: Builder) {
    let described = format!("{builder:?}");
    builder
        .build()
        .unwrap_or_else(|error| panic!("{described}: {error}"));
}

#[test]
fn a_time_window_is_100_ms_to_7_days_long() {
    let window = |length| builder().window(Window::time(length, 10));
    accepted(window(100 * MILLI));
    accepted(window(7 * DAY));
    refused(
        window(Duration::ZERO),
        "window.length: 0ns is not in 100ms..=7d; 60 s suit most services",
    );
    refused(
        window(just_before(100 * MILLI)),
        "window.length: 99.999999ms is not in 100ms..=7d; 60 s suit most services",
    );
    refused(
        window(7 * DAY + NANO),
        "window.length: 604800.000000001s is not in 100ms..=7d; 60 s suit most services",
    );
    refused(
        window(Duration::MAX),
        "window.length: 18446744073709551615.999999999s is not in 100ms..=7d; 60 s suit most \
         services",
    );
}

#[test]
fn a_time_window_has_1_to_1024_buckets() {
    let window = |buckets| builder().window(Window::time(60_000 * MILLI, buckets));
    accepted(window(1));
    accepted(window(1_024));
    refused(
        window(0),
        "window.buckets: 0 is not in 1..=1024; 10 suit most services",
    );
    refused(
        window(1_025),
        "window.buckets: 1025 is not in 1..=1024; 10 suit most services",
    );
    refused(
        window(u32::MAX),
        "window.buckets: 4294967295 is not in 1..=1024; 10 suit most services",
    );
}

#[test]
fn a_count_window_holds_1_to_1048576_calls() {
    let window = |calls| builder().window(Window::count(calls));
    accepted(window(1));
    accepted(window(1 << 20));
    refused(
        window((1 << 20) + 1),
        "window.calls: 1048577 is not in 1..=1048576; 100 suit most services",
    );
    refused(
        window(u32::MAX),
        "window.calls: 4294967295 is not in 1..=1048576; 100 suit most services",
    );
    refused(
        window(0),
        "window.calls: 0 is not in 1..=1048576; 100 suit most services",
    );
}

#[test]
fn a_count_window_reaches_back_100_ms_to_7_days() {
    let window = |within| builder().window(Window::count(100).within(within));
    accepted(window(100 * MILLI));
    accepted(window(7 * DAY));
    refused(
        window(99 * MILLI),
        "window.within: 99ms is not in 100ms..=7d; 60 s suit most services",
    );
    refused(
        window(8 * DAY),
        "window.within: 691200s is not in 100ms..=7d; 60 s suit most services",
    );
}

#[test]
fn the_breaker_is_open_for_1_ms_to_10_years() {
    accepted(builder().open_for(MILLI));
    accepted(builder().open_for(TEN_YEARS));
    refused(
        builder().open_for(Duration::ZERO),
        "open_for: 0ns is not in 1ms..=10 years; 5 s suit most services; to stay open there is \
         force_open()",
    );
    refused(
        builder().open_for(just_before(MILLI)),
        "open_for: 999.999µs is not in 1ms..=10 years; 5 s suit most services; to stay open there \
         is force_open()",
    );
    refused(
        builder().open_for(TEN_YEARS + NANO),
        "open_for: 315360000.000000001s is not in 1ms..=10 years; 5 s suit most services; to stay \
         open there is force_open()",
    );
    refused(
        builder().open_for(Duration::MAX),
        "open_for: 18446744073709551615.999999999s is not in 1ms..=10 years; 5 s suit most \
         services; to stay open there is force_open()",
    );
}

#[test]
fn there_are_1_to_4095_probes() {
    accepted(builder().probes(1));
    accepted(builder().probes(4_095));
    refused(
        builder().probes(0),
        "probes: 0 is not in 1..=4095; 3 suit most services",
    );
    refused(
        builder().probes(4_096),
        "probes: 4096 is not in 1..=4095; 3 suit most services",
    );
    refused(
        builder().probes(u32::MAX),
        "probes: 4294967295 is not in 1..=4095; 3 suit most services",
    );
}

#[test]
fn a_probe_may_take_1_ms_or_longer() {
    accepted(builder().probe_timeout(MILLI));
    accepted(builder().probe_timeout(just_before(Duration::MAX)));
    accepted(builder().probe_timeout(Duration::MAX));
    refused(
        builder().probe_timeout(Duration::ZERO),
        "probe_timeout: 0ns is not at least 1ms; choose it longer than the call's own time limit; \
         Duration::MAX means never",
    );
    refused(
        builder().probe_timeout(just_before(MILLI)),
        "probe_timeout: 999.999µs is not at least 1ms; choose it longer than the call's own time \
         limit; Duration::MAX means never",
    );
}

#[test]
fn a_cancelled_call_is_ignored_or_a_failure() {
    accepted(builder().on_cancel(Outcome::Ignored));
    accepted(builder().on_cancel(Outcome::Failure));
    refused(
        builder().on_cancel(Outcome::Success),
        "on_cancel: Outcome::Success is not Outcome::Ignored or Outcome::Failure; a cancelled call \
         says at most that it took too long",
    );
    refused(
        builder().on_cancel(Outcome::Trip),
        "on_cancel: Outcome::Trip is not Outcome::Ignored or Outcome::Failure; a cancelled call \
         says at most that it took too long",
    );
}

#[test]
fn there_are_1_to_64_shards() {
    for shards in [1, 2, 3, 8, 63, 64] {
        accepted(builder().shards(shards));
    }
    for shards in [0, 65, u32::MAX] {
        refused(
            builder().shards(shards),
            &format!(
                "shards: {shards} is not in 1..=64; 1 makes a compact breaker, the \
                 number of busy threads a fast one"
            ),
        );
    }
}

#[test]
fn a_policy_trips_on_one_failure_or_more() {
    let zero = "0 is not at least 1; 0 would trip before any call; for that there is force_open()";
    accepted(builder().trip_when(TripPolicy::consecutive_failures(1)));
    accepted(builder().trip_when(TripPolicy::consecutive_failures(u32::MAX)));
    refused(
        builder().trip_when(TripPolicy::consecutive_failures(0)),
        &format!("trip_when.consecutive_failures: {zero}"),
    );
    accepted(builder().trip_when(TripPolicy::failure_count(1)));
    accepted(builder().trip_when(TripPolicy::failure_count(u32::MAX)));
    refused(
        builder().trip_when(TripPolicy::failure_count(0)),
        &format!("trip_when.failure_count: {zero}"),
    );
    accepted(builder().trip_when(TripPolicy::error_rate(0.5).min_calls(1)));
    accepted(builder().trip_when(TripPolicy::error_rate(0.5).min_calls(u32::MAX)));
    refused(
        builder().trip_when(TripPolicy::error_rate(0.5).min_calls(0)),
        &format!("trip_when.error_rate.min_calls: {zero}"),
    );
}

#[test]
fn an_error_rate_is_above_0_and_at_most_1() {
    let smallest = f64::from_bits(1);
    for fraction in [smallest, f64::MIN_POSITIVE, 0.5, 1.0] {
        accepted(builder().trip_when(TripPolicy::error_rate(fraction)));
    }
    let refused_values = [
        (0.0, "0"),
        (-0.0, "-0"),
        (-0.5, "-0.5"),
        (1.0 + f64::EPSILON, "1.0000000000000002"),
        (50.0, "50"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
    ];
    for (fraction, shown) in refused_values {
        refused(
            builder().trip_when(TripPolicy::error_rate(fraction)),
            &format!(
                "trip_when.error_rate: {shown} is not above 0.0 and at most 1.0; it is a fraction: \
                 half of the calls is 0.5"
            ),
        );
    }
}

#[test]
fn a_policy_that_the_window_can_never_satisfy_is_refused() {
    let too_many = |setting| {
        format!(
            "{setting}: 11 is not at most 10, the calls that the window holds; it could never \
             trip; make it smaller or the window larger"
        )
    };
    for window in [
        Window::from(Window::count(10)),
        Window::count(10).within(DAY).into(),
    ] {
        let builder = || builder().window(window.clone());
        accepted(builder().trip_when(TripPolicy::failure_count(10)));
        refused(
            builder().trip_when(TripPolicy::failure_count(11)),
            &too_many("trip_when.failure_count"),
        );
        accepted(builder().trip_when(TripPolicy::error_rate(0.5).min_calls(10)));
        refused(
            builder().trip_when(TripPolicy::error_rate(0.5).min_calls(11)),
            &too_many("trip_when.error_rate.min_calls"),
        );
        // A run isn't of the window.
        accepted(builder().trip_when(TripPolicy::consecutive_failures(11)));
    }
}

#[test]
fn each_of_several_policies_is_checked() {
    refused(
        builder()
            .trip_when(TripPolicy::consecutive_failures(5))
            .trip_when(TripPolicy::error_rate(2.0)),
        "trip_when.error_rate: 2 is not above 0.0 and at most 1.0; it is a fraction: half of the \
         calls is 0.5",
    );
}

#[test]
fn the_default_policies_fit_the_smallest_window() {
    for calls in [1, 2, 9, 10, 11] {
        accepted(builder().window(Window::count(calls)));
    }
}

#[test]
fn the_defaults_are_those_that_the_documentation_tells() {
    let (clock, hand) = Clock::mock();
    let breaker = CircuitBreaker::builder("defaults")
        .clock(clock)
        .build()
        .unwrap();
    let fail = || breaker.try_acquire().unwrap().failure();
    let succeed = || breaker.try_acquire().unwrap().success();
    let second = Duration::from_secs(1);

    // Five in a row.
    assert_eq!(breaker.state(), State::Closed);
    for _ in 0..4 {
        fail();
    }
    assert_eq!(breaker.state(), State::Closed);
    fail();
    assert_eq!(breaker.state(), State::Open);

    // Open for five seconds; three probes, each with thirty seconds.
    hand.advance(just_before(5 * second));
    assert!(breaker.try_acquire().is_err());
    hand.advance(2 * MILLI);
    let probes = [(); 3].map(|()| breaker.try_acquire().unwrap());
    hand.advance(just_before(30 * second));
    assert!(breaker.try_acquire().is_err());
    for probe in probes {
        probe.success();
    }
    assert_eq!(breaker.state(), State::Closed);

    // Half of ten calls within sixty seconds; cancelled ones are ignored.
    for _ in 0..4 {
        fail();
        succeed();
    }
    hand.advance(54 * second);
    drop(breaker.try_acquire());
    succeed();
    assert_eq!(breaker.snapshot().ignored(), 1);
    assert_eq!(breaker.state(), State::Closed);
    fail();
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_breaker_starts_in_the_state_that_was_asked_for_and_tells_nobody() {
    for state in [
        State::Closed,
        State::Open,
        State::HalfOpen,
        State::ForcedOpen,
        State::Disabled,
        State::MetricsOnly,
    ] {
        let is_told = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_told);
        let breaker = builder()
            .start_in(state)
            .on_transition(move |_| told.store(true, Ordering::Relaxed))
            .build()
            .unwrap();
        assert_eq!(breaker.state(), state);
        assert_eq!(breaker.snapshot().generation(), 0);
        let admits = matches!(
            state,
            State::Closed | State::HalfOpen | State::Disabled | State::MetricsOnly
        );
        assert_eq!(breaker.try_acquire().is_ok(), admits, "{state}");
        assert!(!is_told.load(Ordering::Relaxed), "{state}");
    }
}

#[test]
fn the_extremes_that_are_accepted_work() {
    for window in [
        Window::time(100 * MILLI, 1),
        Window::time(100 * MILLI, 1_024),
        Window::time(7 * DAY, 1_024),
        Window::count(1).into(),
        Window::count(1 << 20).into(),
        Window::count(1).within(100 * MILLI).into(),
        Window::count(1 << 20).within(7 * DAY).into(),
    ] {
        for (open_for, probes) in [(MILLI, 1), (TEN_YEARS, 4_095)] {
            let (clock, hand) = Clock::mock();
            let log = Arc::new(Mutex::new(Vec::new()));
            let causes = Arc::clone(&log);
            let breaker = builder()
                .clock(clock)
                .window(window.clone())
                .trip_when(TripPolicy::error_rate(f64::from_bits(1)).min_calls(1))
                .open_for(open_for)
                .probes(probes)
                .shards(64)
                .on_transition(move |told| causes.lock().unwrap().push(told.cause()))
                .build()
                .unwrap();
            breaker.try_acquire().unwrap().failure();
            assert_eq!(breaker.state(), State::Open, "{window:?}");
            hand.advance(open_for + 2 * MILLI);
            for _ in 0..probes {
                breaker.try_acquire().unwrap().success();
            }
            let expected = [
                Cause::ErrorRate {
                    failures: 1,
                    calls: 1,
                    threshold: f64::from_bits(1),
                },
                Cause::OpenTimeOver,
                Cause::ProbesSucceeded { probes },
            ];
            assert_eq!(*log.lock().unwrap(), expected);
        }
    }
}
