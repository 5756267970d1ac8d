//! How near each policy is to a trip, as a dashboard shows it.
#![allow(clippy::float_cmp, reason = "the numbers are exact")]

use std::time::Duration;

use tripcurve::events::Cause;
use tripcurve::outcome::Report;
use tripcurve::policy::TripLevel;
use tripcurve::recovery::Backoff;
use tripcurve::time::Clock;
use tripcurve::window::{Recording, Window};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Recovery, State, TripPolicy};

fn levels(breaker: &CircuitBreaker) -> Vec<(&'static str, f64, f64)> {
    let all = breaker.trip_levels();
    let of = |level: &TripLevel| (level.kind(), level.measured(), level.threshold());
    all.iter().map(of).collect()
}

fn report(breaker: &CircuitBreaker, report: Report, millis: u64) {
    let report = report.took(Duration::from_millis(millis));
    breaker.try_acquire().unwrap().record(report);
}

#[test]
fn each_policy_has_a_level_in_its_unit() {
    let breaker = CircuitBreaker::builder("payments")
        .trip_when(TripPolicy::consecutive_failures(20))
        .trip_when(TripPolicy::failure_count(40))
        .trip_when(TripPolicy::failure_rate(0.5).min_calls(10))
        .trip_when(TripPolicy::slow_rate(0.4).slower_than(Duration::from_millis(200)))
        .trip_when(TripPolicy::latency_percentile(50.0).above(Duration::from_secs(2)))
        .trip_when(TripPolicy::slower_than_usual(4.0))
        .latency(Recording::Combined)
        .build()
        .unwrap();
    for _ in 0..6 {
        report(&breaker, Report::success(), 300);
    }
    for _ in 0..2 {
        report(&breaker, Report::failure(), 100);
    }
    let found = levels(&breaker);
    assert_eq!(found[0], ("consecutive_failures", 2.0, 20.0));
    assert_eq!(found[1], ("failure_count", 2.0, 40.0));
    assert_eq!(found[2], ("failure_rate", 0.25, 0.5));
    assert_eq!(found[3], ("slow_rate", 0.75, 0.4));
    assert_eq!((found[4].0, found[4].2), ("latency_percentile", 2.0));
    assert!((0.29..0.31).contains(&found[4].1), "{}", found[4].1);
    assert_eq!((found[5].0, found[5].2), ("slower_than_usual", 0.0));
    let all = breaker.trip_levels();
    assert_eq!(
        (all[2].calls(), all[2].min_calls(), all[2].fill()),
        (8, 10, 0.5)
    );
    assert_eq!(all[3].fill(), 0.8, "two calls are missing");
    let calls: Vec<_> = all.iter().map(TripLevel::calls).collect();
    assert_eq!(calls, [2, 8, 8, 8, 8, 8], "a run has its own calls");
    assert_eq!(all[5].fill(), 0.0, "what is usual isn't known");
}

/// Fails when: the level of the evidence isn't the one that a trip is judged by.
#[test]
fn evidence_fills_up_to_the_trip_and_goes_with_successes() {
    for tolerate in [0.0, 0.25] {
        let (clock, hand) = Clock::mock();
        let breaker = CircuitBreaker::builder("payments")
            .trip_when(TripPolicy::adaptive().tolerate(tolerate))
            .clock(clock)
            .build()
            .unwrap();
        for _ in 0..200 {
            hand.advance(Duration::from_millis(100));
            report(&breaker, Report::success(), 1);
        }
        assert_eq!(breaker.trip_levels()[0].measured(), 0.0);
        let mut before = 0.0;
        let needed = loop {
            let level = breaker.trip_levels()[0];
            assert_eq!(level.kind(), "evidence");
            assert!(level.fill() < 1.0 && level.measured() >= before, "{level}");
            before = level.measured();
            hand.advance(Duration::from_millis(100));
            report(&breaker, Report::failure(), 1);
            if breaker.state() == State::Open {
                break level.threshold();
            }
        };
        let opening = breaker.snapshot().latest_opening().unwrap();
        let Cause::Evidence {
            needed: judged,
            nats,
            ..
        } = opening.cause()
        else {
            panic!("{opening}");
        };
        assert!(before > 0.4 * nats, "{before} of {nats}");
        // Time passes, and with it the pace.
        assert!((needed - judged).abs() < 0.5, "{needed} and {judged}");
    }
}

#[test]
fn settings_are_told_in_words() {
    let second = Duration::from_secs(1);
    let words = |builder: CircuitBreakerBuilder| {
        let breaker = builder.build().unwrap();
        let all = breaker.settings_in_words().into_iter();
        all.map(|(name, value)| format!("{name}: {value}"))
            .collect::<Vec<_>>()
    };
    let classic = [
        "window: 60s in 10 buckets",
        "open_for: 500ms, and twice as long after each failed recovery, up to 5s",
        "recovery: 3 of 3 probes must succeed",
        "probe_timeout: 30s",
        "on_cancel: Ignored",
        "latency: Off",
    ];
    let default = [
        "open_for: by the traffic",
        "recovery: a probe, then a growing share of the calls",
    ];
    let payments = || CircuitBreaker::builder("payments");
    assert_eq!(words(payments().trip_when(TripPolicy::classic())), classic);
    assert_eq!(words(payments())[1..3], default);
    let other = CircuitBreaker::builder("payments")
        .window(Window::count(50).within(20 * second))
        .trip_when(TripPolicy::slow_rate(0.5).slower_than(second))
        .recovery(Recovery::adaptive().backoff(Backoff::exponential(second, 2.0, 9 * second)))
        .latency(Recording::ByOutcome);
    let other = words(other);
    let by_count = CircuitBreaker::builder("payments").window(Window::count(50));
    assert_eq!(words(by_count)[0], "window: the last 50 calls");
    assert!(
        other[0].starts_with("window: the last 50 calls, within"),
        "{other:?}"
    );
    assert_eq!(other[1], "open_for: 1s at first; it grows");
    assert_eq!(
        other[2],
        "recovery: a probe, then a growing share of the calls"
    );
    assert_eq!(other[5], "latency: ByOutcome");
    assert_eq!(other[6], "slower_than: 1s");
    let by_traffic = CircuitBreaker::builder("payments").recovery(Recovery::adaptive());
    assert_eq!(words(by_traffic)[1], "open_for: by the traffic");
}

#[test]
fn an_open_breaker_has_thresholds_and_no_level() {
    let builder = CircuitBreaker::builder("payments").trip_when(TripPolicy::classic());
    let breaker = builder.build().unwrap();
    while breaker
        .call(|| Err::<(), _>("refused"))
        .unwrap_err()
        .rejected()
        .is_none()
    {}
    let found = levels(&breaker);
    assert_eq!(found[0], ("consecutive_failures", 0.0, 5.0));
    assert_eq!(found[1], ("failure_rate", 0.0, 0.5));
    assert!(breaker.trip_levels().iter().all(|it| it.fill() == 0.0));
}

/// Fails when: the threshold of the evidence is 0 while the breaker is open.
#[test]
fn an_open_breaker_tells_the_evidence_that_a_trip_takes() {
    let (clock, _hand) = Clock::mock();
    let breaker = CircuitBreaker::builder("payments")
        .trip_when(TripPolicy::adaptive())
        .clock(clock)
        .build()
        .unwrap();
    for shut in [CircuitBreaker::force_open, CircuitBreaker::disable] {
        report(&breaker, Report::failure(), 1);
        shut(&breaker);
        let level = breaker.trip_levels()[0];
        assert_eq!((level.measured(), level.fill()), (0.0, 0.0));
        assert!(level.calls() == 0 && level.threshold() > 5.0, "{level}");
        breaker.reset();
    }
}
