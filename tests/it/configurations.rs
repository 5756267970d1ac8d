//! Invariant 7: a builder refuses an invalid configuration. The error names the value and the
//! reason. An accepted configuration works.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tripcurve::events::Cause;
use tripcurve::outcome::Report;
use tripcurve::policy::SlowRate;
use tripcurve::recovery::HalfOpenVerdict;
use tripcurve::time::Clock;
use tripcurve::window::{Recording, Window};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, Recovery, State, TripPolicy};

const MILLI: Duration = Duration::from_millis(1);
const NANO: Duration = Duration::from_nanos(1);
const MICRO: Duration = Duration::from_micros(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);

fn just_before(end: Duration) -> Duration {
    end.saturating_sub(NANO)
}

fn builder() -> CircuitBreakerBuilder {
    CircuitBreaker::builder("settings").clock(Clock::mock().0)
}

fn slow_rate(fraction: f64, limit: Duration) -> SlowRate {
    TripPolicy::slow_rate(fraction).slower_than(limit)
}

#[track_caller]
fn refused(builder: CircuitBreakerBuilder, expected: &str) {
    let error = builder.build().unwrap_err();
    assert_eq!(error.to_string(), expected);
    let parts = format!(
        "{}: {} is not {}; {}",
        error.setting, error.value, error.expected, error.hint
    );
    assert_eq!(parts, expected);
}

#[track_caller]
fn accepted(builder: CircuitBreakerBuilder) {
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
fn there_are_1_to_255_probes() {
    accepted(builder().probes(1));
    accepted(builder().probes(255));
    refused(
        builder().probes(0),
        "probes: 0 is not in 1..=255; 3 suit most services",
    );
    refused(
        builder().probes(256),
        "probes: 256 is not in 1..=255; 3 suit most services",
    );
    refused(
        builder().probes(u32::MAX),
        "probes: 4294967295 is not in 1..=255; 3 suit most services",
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
         says at most that it failed",
    );
    refused(
        builder().on_cancel(Outcome::TimedOut),
        "on_cancel: Outcome::TimedOut is not Outcome::Ignored or Outcome::Failure; a cancelled call \
         says at most that it failed",
    );
    refused(
        builder().on_cancel(Outcome::Trip),
        "on_cancel: Outcome::Trip is not Outcome::Ignored or Outcome::Failure; a cancelled call \
         says at most that it failed",
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
    accepted(builder().trip_when(TripPolicy::failure_rate(0.5).min_calls(1)));
    accepted(builder().trip_when(TripPolicy::failure_rate(0.5).min_calls(u32::MAX)));
    refused(
        builder().trip_when(TripPolicy::failure_rate(0.5).min_calls(0)),
        &format!("trip_when.failure_rate.min_calls: {zero}"),
    );
}

#[test]
fn an_failure_rate_is_above_0_and_at_most_1() {
    let smallest = f64::from_bits(1);
    for fraction in [smallest, f64::MIN_POSITIVE, 0.5, 1.0] {
        accepted(builder().trip_when(TripPolicy::failure_rate(fraction)));
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
            builder().trip_when(TripPolicy::failure_rate(fraction)),
            &format!(
                "trip_when.failure_rate: {shown} is not above 0.0 and at most 1.0; it is a fraction: \
                 half of the calls is 0.5"
            ),
        );
    }
}

#[test]
fn a_slow_rate_is_above_0_and_at_most_1() {
    let rate = |fraction| builder().trip_when(slow_rate(fraction, SECOND));
    for fraction in [f64::from_bits(1), 0.5, 1.0] {
        accepted(rate(fraction));
    }
    for (fraction, shown) in [
        (0.0, "0"),
        (-0.5, "-0.5"),
        (1.0 + f64::EPSILON, "1.0000000000000002"),
        (50.0, "50"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
    ] {
        refused(
            rate(fraction),
            &format!(
                "trip_when.slow_rate: {shown} is not above 0.0 and at most 1.0; it is a fraction: \
                 half of the calls is 0.5"
            ),
        );
    }
}

#[test]
fn a_slow_call_takes_longer_than_a_limit_of_1_us_to_1_hour() {
    let limit = |limit| builder().trip_when(slow_rate(0.5, limit));
    accepted(limit(MICRO));
    accepted(limit(HOUR));
    let refused_with = |builder, shown| {
        refused(
            builder,
            &format!(
                "trip_when.slow_rate.slower_than: {shown} is not in 1µs..=1h; about three times \
                 what the slowest healthy calls take suits most services"
            ),
        );
    };
    refused_with(builder().trip_when(TripPolicy::slow_rate(0.5)), "unset");
    refused_with(limit(Duration::ZERO), "0ns");
    refused_with(limit(just_before(MICRO)), "999ns");
    refused_with(limit(HOUR + NANO), "3600.000000001s");
    refused_with(limit(Duration::MAX), "18446744073709551615.999999999s");
}

#[test]
fn all_slow_rates_of_a_breaker_have_one_limit() {
    let both = |first, second| {
        builder()
            .trip_when(slow_rate(0.5, first))
            .trip_when(TripPolicy::consecutive_failures(5))
            .trip_when(slow_rate(0.9, second).min_calls(3))
    };
    accepted(both(SECOND, SECOND));
    refused(
        both(2 * SECOND, 3 * SECOND),
        "trip_when.slower_than: 3s is not 2s, as in the other policy that counts slow calls; a breaker \
         has one limit; for a second one use latency_percentile",
    );
}

#[test]
fn a_percentile_is_1_to_99_999() {
    let latency =
        |percentile| builder().trip_when(TripPolicy::latency_percentile(percentile).above(SECOND));
    let usual = |percentile| {
        let policy = TripPolicy::slower_than_usual(4.0).percentile(percentile);
        builder().trip_when(policy)
    };
    for percentile in [1.0, 50.0, 99.9, 99.999] {
        accepted(latency(percentile));
        accepted(usual(percentile));
    }
    for (percentile, shown) in [
        (0.99, "0.99"),
        (0.0, "0"),
        (-50.0, "-50"),
        (99.9999, "99.9999"),
        (100.0, "100"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
    ] {
        let text = |setting| {
            format!(
                "{setting}: {shown} is not in 1.0..=99.999; the time that 99 of 100 calls don't \
                 exceed is percentile 99.0"
            )
        };
        refused(latency(percentile), &text("trip_when.latency_percentile"));
        let setting = "trip_when.slower_than_usual.percentile";
        refused(usual(percentile), &text(setting));
    }
}

#[test]
fn a_percentile_is_above_a_limit_of_1_us_to_1_minute() {
    let percentile = || TripPolicy::latency_percentile(99.0);
    let above = |limit| builder().trip_when(percentile().above(limit));
    accepted(above(MICRO));
    accepted(above(60 * SECOND));
    let refused_with = |builder, shown| {
        refused(
            builder,
            &format!(
                "trip_when.latency_percentile.above: {shown} is not in 1µs..=60s; about three \
                 times what the slowest healthy calls take suits most services"
            ),
        );
    };
    refused_with(builder().trip_when(percentile()), "unset");
    refused_with(above(Duration::ZERO), "0ns");
    refused_with(above(just_before(MICRO)), "999ns");
    refused_with(above(60 * SECOND + NANO), "60.000000001s");
    refused_with(above(Duration::MAX), "18446744073709551615.999999999s");
}

#[test]
fn slower_than_usual_is_more_than_once_and_at_most_1000_times_as_slow() {
    let factor = |factor| builder().trip_when(TripPolicy::slower_than_usual(factor));
    for times in [1.0 + f64::EPSILON, 4.0, 1_000.0] {
        accepted(factor(times));
    }
    for (times, shown) in [
        (1.0, "1"),
        (0.25, "0.25"),
        (0.0, "0"),
        (-4.0, "-4"),
        (1_001.0, "1001"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
    ] {
        refused(
            factor(times),
            &format!(
                "trip_when.slower_than_usual: {shown} is not above 1.0 and at most 1000.0; it is how \
                 many times slower than usual is too slow: 4.0, for example"
            ),
        );
    }
}

#[test]
fn an_objective_is_above_0_and_at_most_0_999999() {
    let objective = |objective| builder().trip_when(TripPolicy::burn_rate(objective).factor(1.0));
    for fraction in [f64::MIN_POSITIVE, 0.5, 0.999, 0.999_999] {
        accepted(objective(fraction));
    }
    for (fraction, shown) in [
        (0.0, "0"),
        (-0.5, "-0.5"),
        (0.999_999_1, "0.9999991"),
        (1.0, "1"),
        (99.9, "99.9"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
    ] {
        refused(
            objective(fraction),
            &format!(
                "trip_when.burn_rate: {shown} is not above 0.0 and at most 0.999999; it is the share \
                 of calls that must succeed: 99.9 % is 0.999"
            ),
        );
    }
}

#[test]
fn a_budget_burns_at_1_to_1000_times_its_speed_and_no_faster_than_if_all_calls_failed() {
    let burns =
        |objective, factor| builder().trip_when(TripPolicy::burn_rate(objective).factor(factor));
    accepted(burns(0.999, 1.0));
    accepted(burns(0.999, 1_000.0));
    accepted(burns(0.9, 10.0));
    accepted(burns(0.7, 3.333));
    accepted(burns(0.999_999, 1_000.0));
    let refused_with = |objective, factor, shown: &str, most: &str, budget: &str| {
        refused(
            burns(objective, factor),
            &format!(
                "trip_when.burn_rate.factor: {shown} is not in 1..={most}; the objective \
                 {objective} leaves a budget of {budget}, and factor times budget is the error rate \
                 that trips, at most 1; choose a smaller factor or a higher objective"
            ),
        );
    };
    refused_with(0.999, 0.999, "0.999", "1000", "0.001");
    refused_with(0.999, 1_000.001, "1000.001", "1000", "0.001");
    refused_with(0.999_999, 1_000.1, "1000.1", "1000", "0.000001");
    refused_with(0.9, 10.001, "10.001", "10", "0.1");
    refused_with(0.7, 3.334, "3.334", "3.333", "0.3");
    refused_with(0.9, f64::NAN, "NaN", "10", "0.1");
    refused_with(0.9, f64::INFINITY, "inf", "10", "0.1");
    refused_with(0.9, -14.4, "-14.4", "10", "0.1");
    // The default factor is too high for this objective.
    refused(
        builder().trip_when(TripPolicy::burn_rate(0.9)),
        "trip_when.burn_rate.factor: 14.4 is not in 1..=10; the objective 0.9 leaves a budget of 0.1, \
         and factor times budget is the error rate that trips, at most 1; choose a smaller factor or \
         a higher objective",
    );
}

#[test]
fn the_short_stretch_is_a_part_of_the_window() {
    // The default window has ten buckets of 6 s.
    let short = |short| builder().trip_when(TripPolicy::burn_rate(0.999).short(short));
    accepted(short(NANO));
    accepted(short(48 * SECOND));
    let refused_with = |builder, shown| {
        refused(
            builder,
            &format!(
                "trip_when.burn_rate.short: {shown} is not above 0ns and at most 48s; it is a part \
                 of the window; a twelfth suits most services"
            ),
        );
    };
    refused_with(short(Duration::ZERO), "0ns");
    refused_with(short(48 * SECOND + NANO), "48.000000001s");
    refused_with(short(Duration::MAX), "18446744073709551615.999999999s");
}

#[test]
fn a_burn_rate_needs_a_time_window_of_3_buckets_and_one_call() {
    let with = |window: Window| {
        let policy = TripPolicy::burn_rate(0.999);
        builder().window(window).trip_when(policy)
    };
    accepted(with(Window::time(SECOND, 3)));
    for buckets in [1, 2] {
        refused(
            with(Window::time(SECOND, buckets)),
            &format!(
                "window.buckets: {buckets} is not at least 3, as trip_when.burn_rate needs; its short \
                 stretch is a bucket or more; 60 suit it"
            ),
        );
    }
    for window in [Window::count(50), Window::count(50).within(SECOND)] {
        refused(
            with(window.into()),
            "trip_when.burn_rate: Window::count(50) is not a window by time, of which the short \
             stretch is a part; use Window::time; for the last calls there is failure_rate",
        );
    }
    accepted(builder().trip_when(TripPolicy::burn_rate(0.999).min_calls(1)));
    refused(
        builder().trip_when(TripPolicy::burn_rate(0.999).min_calls(0)),
        "trip_when.burn_rate.min_calls: 0 is not at least 1; 0 would trip before any call; for that \
         there is force_open()",
    );
}

#[test]
fn an_adaptive_policy_tolerates_nothing_to_90_percent() {
    let tolerate = |share| builder().trip_when(TripPolicy::adaptive().tolerate(share));
    for share in [0.0, -0.0, f64::from_bits(1), 0.25, 0.9] {
        accepted(tolerate(share));
    }
    for (share, shown) in [
        (-0.1, "-0.1"),
        (0.91, "0.91"),
        (1.0, "1"),
        (25.0, "25"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
    ] {
        refused(
            tolerate(share),
            &format!(
                "trip_when.adaptive.tolerate: {shown} is not in 0.0..=0.9; it is a fraction: one \
                 call of four is 0.25"
            ),
        );
    }
}

#[test]
fn an_adaptive_policy_may_trip_on_noise_once_a_minute_to_once_in_10_years() {
    let budget = |time| builder().trip_when(TripPolicy::adaptive().false_trip_budget(time));
    for time in [60 * SECOND, DAY, TEN_YEARS] {
        accepted(budget(time));
    }
    for (time, shown) in [
        (Duration::ZERO, "0ns"),
        (just_before(60 * SECOND), "59.999999999s"),
        (TEN_YEARS + NANO, "315360000.000000001s"),
        (Duration::MAX, "18446744073709551615.999999999s"),
    ] {
        refused(
            budget(time),
            &format!(
                "trip_when.adaptive.false_trip_budget: {shown} is not in 60s..=10 years; a day \
                 suits most services"
            ),
        );
    }
}

#[test]
fn a_call_is_slow_for_an_adaptive_policy_from_1_us_to_1_hour_on() {
    let limit = |time| builder().trip_when(TripPolicy::adaptive().slower_than(time));
    accepted(limit(MICRO));
    accepted(limit(HOUR));
    for (time, shown) in [
        (Duration::ZERO, "0ns"),
        (just_before(MICRO), "999ns"),
        (HOUR + NANO, "3600.000000001s"),
    ] {
        refused(
            limit(time),
            &format!(
                "trip_when.adaptive.slower_than: {shown} is not in 1µs..=1h; about three times \
                 what the slowest healthy calls take suits most services"
            ),
        );
    }
    let and_slow_rate = |time| limit(SECOND).trip_when(slow_rate(0.5, time));
    accepted(and_slow_rate(SECOND));
    assert!(and_slow_rate(2 * SECOND).build().is_err());
}

#[test]
fn a_breaker_has_one_adaptive_policy_and_a_window_by_time() {
    let adaptive = || builder().trip_when(TripPolicy::adaptive());
    accepted(adaptive());
    accepted(adaptive().trip_when(TripPolicy::failure_rate(0.5)));
    refused(
        adaptive()
            .trip_when(TripPolicy::consecutive_failures(5))
            .trip_when(TripPolicy::adaptive().tolerate(0.5)),
        "trip_when.adaptive: two adaptive policies is not one; the one that tolerates less would \
         always trip first",
    );
    for window in [
        Window::from(Window::count(100)),
        Window::count(100).within(DAY).into(),
    ] {
        refused(
            adaptive().window(window),
            "trip_when.adaptive: Window::count(100) is not a window by time, which shows how much \
             traffic there is; use Window::time; the decision looks at single calls and not at the \
             window's length",
        );
    }
    for window in [Window::time(100 * MILLI, 1), Window::time(7 * DAY, 1_024)] {
        for (share, budget) in [
            (0.0, 60 * SECOND),
            (0.9, TEN_YEARS),
            (f64::from_bits(1), DAY),
        ] {
            let policy = TripPolicy::adaptive().tolerate(share);
            let breaker = builder()
                .window(window.clone())
                .trip_when(policy.false_trip_budget(budget))
                .build()
                .unwrap();
            for _ in 0..1_000 {
                let _ = breaker.call(|| Err::<(), _>(()));
            }
            assert_eq!(
                breaker.state(),
                State::Open,
                "{window:?}, {share}, {budget:?}"
            );
        }
    }
}

/// The policies on durations that judge the window, with this minimum number of calls.
fn policies_on_time(min_calls: u32) -> [(&'static str, TripPolicy); 3] {
    [
        (
            "trip_when.slow_rate.min_calls",
            slow_rate(0.5, SECOND).min_calls(min_calls).into(),
        ),
        (
            "trip_when.latency_percentile.min_calls",
            TripPolicy::latency_percentile(99.0)
                .above(SECOND)
                .min_calls(min_calls)
                .into(),
        ),
        (
            "trip_when.slower_than_usual.min_calls",
            TripPolicy::slower_than_usual(4.0)
                .min_calls(min_calls)
                .into(),
        ),
    ]
}

#[test]
fn a_policy_on_time_needs_one_call_or_more_and_no_more_than_the_window_holds() {
    for calls in [1, 100, u32::MAX] {
        for (_, policy) in policies_on_time(calls) {
            accepted(builder().trip_when(policy));
        }
    }
    for (setting, policy) in policies_on_time(0) {
        refused(
            builder().trip_when(policy),
            &format!(
                "{setting}: 0 is not at least 1; 0 would trip before any call; for that there is \
                 force_open()"
            ),
        );
    }
    let small = || builder().window(Window::count(50));
    for (_, policy) in policies_on_time(50) {
        accepted(small().trip_when(policy));
    }
    for (setting, policy) in policies_on_time(51) {
        refused(
            small().trip_when(policy),
            &format!(
                "{setting}: 51 is not at most 50, the calls that the window holds; it could never \
                 trip; make it smaller or the window larger"
            ),
        );
    }
    // The default minimum of these policies is a hundred.
    refused(
        small().trip_when(TripPolicy::slower_than_usual(4.0)),
        "trip_when.slower_than_usual.min_calls: 100 is not at most 50, the calls that the window \
         holds; it could never trip; make it smaller or the window larger",
    );
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
        accepted(builder().trip_when(TripPolicy::failure_rate(0.5).min_calls(10)));
        refused(
            builder().trip_when(TripPolicy::failure_rate(0.5).min_calls(11)),
            &too_many("trip_when.failure_rate.min_calls"),
        );
        // A run doesn't depend on the window.
        accepted(builder().trip_when(TripPolicy::consecutive_failures(11)));
    }
}

#[test]
fn each_of_several_policies_is_checked() {
    refused(
        builder()
            .trip_when(TripPolicy::consecutive_failures(5))
            .trip_when(TripPolicy::failure_rate(2.0)),
        "trip_when.failure_rate: 2 is not above 0.0 and at most 1.0; it is a fraction: half of the \
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
fn the_classic_pair_is_what_the_documentation_tells() {
    let (clock, hand) = Clock::mock();
    let breaker = CircuitBreaker::builder("classic")
        .trip_when(TripPolicy::classic())
        .clock(clock)
        .build()
        .unwrap();
    let fail = || breaker.try_acquire().unwrap().failure();
    let succeed = || breaker.try_acquire().unwrap().success();

    // Five failures in a row.
    assert_eq!(breaker.state(), State::Closed);
    for _ in 0..4 {
        fail();
    }
    assert_eq!(breaker.state(), State::Closed);
    fail();
    assert_eq!(breaker.state(), State::Open);

    // The open time is a quarter to half of a second. There are three probes, each with thirty
    // seconds.
    hand.advance(just_before(250 * MILLI));
    assert!(breaker.try_acquire().is_err());
    hand.advance(252 * MILLI);
    let probes = [(); 3].map(|()| breaker.try_acquire().unwrap());
    hand.advance(just_before(30 * SECOND));
    assert!(breaker.try_acquire().is_err());
    for probe in probes {
        probe.success();
    }
    assert_eq!(breaker.state(), State::Closed);

    // Half of ten calls within sixty seconds. Cancelled calls are ignored.
    for _ in 0..4 {
        fail();
        succeed();
    }
    hand.advance(54 * SECOND);
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
        for (open_for, probes) in [(MILLI, 1), (TEN_YEARS, 255)] {
            let (clock, hand) = Clock::mock();
            let log = Arc::new(Mutex::new(Vec::new()));
            let causes = Arc::clone(&log);
            let breaker = builder()
                .clock(clock)
                .window(window.clone())
                .trip_when(TripPolicy::failure_rate(f64::from_bits(1)).min_calls(1))
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
                Cause::FailureRate {
                    failures: 1,
                    calls: 1,
                    threshold: f64::from_bits(1),
                },
                Cause::OpenExpired,
                Cause::ProbesSucceeded { probes },
            ];
            assert_eq!(*log.lock().unwrap(), expected);
        }
    }
}

#[test]
fn the_extremes_of_time_that_are_accepted_work() {
    for window in [
        Window::time(100 * MILLI, 1),
        Window::time(7 * DAY, 1_024),
        Window::count(1).into(),
        Window::count(1 << 20).within(7 * DAY).into(),
    ] {
        for limit in [MICRO, HOUR] {
            let (clock, hand) = Clock::mock();
            let policies = policies_on_time(1).map(|(_, policy)| policy);
            let breaker = policies
                .into_iter()
                .skip(1)
                .fold(builder(), CircuitBreakerBuilder::trip_when)
                .trip_when(slow_rate(1.0, limit).min_calls(1))
                .clock(clock)
                .window(window.clone())
                .latency(Recording::ByOutcome)
                .shards(1)
                .build()
                .unwrap();
            let hangs = breaker.try_acquire();
            let permit = breaker.try_acquire().unwrap();
            hand.advance(limit + NANO);
            permit.record(Report::failure().took(Duration::MAX));
            assert_eq!(breaker.state(), State::Open, "{window:?}, {limit:?}");
            hand.advance(TEN_YEARS);
            breaker.try_acquire().unwrap().record(Outcome::Ignored);
            drop(hangs);
        }
    }
}

#[test]
fn thresholds_of_probes_that_decide_nothing_are_refused() {
    let recovery = |recovery| builder().recovery(recovery);
    let five = || Recovery::probes(5);
    accepted(recovery(five().success_threshold(3).failure_threshold(3)));
    accepted(recovery(five().failure_threshold(5)));
    refused(
        recovery(five().success_threshold(3).failure_threshold(4)),
        "failure_threshold: 4 is not in 1..=3, so that 5 probes reach it or 3 of them succeed; make \
         it smaller, or let more probes through",
    );
    refused(
        recovery(five().failure_threshold(0)),
        "failure_threshold: 0 is not in 1..=5, so that 5 probes reach it or 1 of them succeed; make \
         it smaller, or let more probes through",
    );
    refused(
        recovery(five().failure_threshold(2).max_failure_rate(0.5)),
        "failure_threshold: 2 is not possible together with max_failure_rate; both say how many \
         probes may fail; leave out one of the two",
    );
    refused(
        recovery(five().slow_threshold(2)),
        "slow_threshold: 2 is not possible without a limit for slow calls; add a policy with \
         slower_than, or leave the threshold out",
    );
    let slow = TripPolicy::slow_rate(0.5).slower_than(MILLI);
    accepted(recovery(five().slow_threshold(2)).trip_when(slow.clone()));
    refused(
        recovery(five().slow_threshold(6)).trip_when(slow),
        "slow_threshold: 6 is not in 1..=5, the number of probes; leave it out where slow probes \
         count as failed",
    );
    refused(
        recovery(Recovery::adaptive().failure_threshold(2)),
        "failure_threshold: 2 is not possible with Recovery::adaptive(); a ramp judges each share of \
         the calls by itself; leave it out, or use Recovery::probes(n)",
    );
}

#[test]
fn one_to_a_million_clients_may_share_the_dependency_of_an_adaptive_recovery() {
    let clients = |clients| builder().recovery(Recovery::adaptive().clients(clients));
    accepted(clients(1));
    accepted(clients(1_000_000));
    for (number, shown) in [(0, "0"), (1_000_001, "1000001")] {
        refused(
            clients(number),
            &format!(
                "clients: {shown} is not in 1..=1000000; about how many processes call this \
                 dependency; the order of magnitude is enough"
            ),
        );
    }
    let steps = Recovery::steps(&[0.5], MILLI);
    for other in [Recovery::default(), Recovery::probes(2), steps] {
        refused(
            builder().recovery(other.clients(1)),
            "clients: 1 is not possible without Recovery::adaptive(); probes and steps are as the \
             user chose them; leave it out, or use an adaptive recovery",
        );
    }
    // The ramps are spaced, though the open times are the user's.
    accepted(builder().recovery(Recovery::adaptive().clients(9).open_for(MILLI)));
}

#[test]
fn a_breaker_may_be_half_open_for_1_ms_to_10_years() {
    let limit = |limit| {
        builder().recovery(Recovery::probes(3).half_open_limit(limit, HalfOpenVerdict::Close))
    };
    accepted(limit(MILLI));
    refused(
        limit(Duration::ZERO),
        "half_open_limit: 0ns is not in 1ms..=10 years; choose it longer than the probes take; leave \
         it out for no limit",
    );
}
