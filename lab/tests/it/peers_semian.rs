//! The documented behaviour of adaptive Semian.
//!
//! The expected numbers are worked out by hand from the gem's equations:
//! `P = δ − (1 − δ) · rejected`, where δ is the failure rate above the usual one.

use tripcurve_lab::breaker::{Breaker, Nanos, Phase};
use tripcurve_lab::peers::Semian;
use tripcurve_lab::peers::semian::Settings;

const MILLISECOND: Nanos = 1_000_000;
const SECOND: Nanos = 1_000 * MILLISECOND;

/// Makes a call each 10 ms from `from` to `to`. It fails if `fails` says so for its number.
fn calls(breaker: &mut Semian, from: Nanos, to: Nanos, fails: impl Fn(u64) -> bool) -> u64 {
    let mut admitted = 0;
    for number in from / (10 * MILLISECOND)..to / (10 * MILLISECOND) {
        let now = number * 10 * MILLISECOND;
        if breaker.admit(now).is_some() {
            breaker.record((), now, !fails(number), 0);
            admitted += 1;
        }
    }
    admitted
}

fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
}

/// A breaker whose usual failure rate stays 5 %, with this failure rate from the first call on.
fn after_a_second(percent: u64) -> f64 {
    let mut breaker = Semian::new(Settings::default(), 1);
    calls(&mut breaker, 0, SECOND, |number| number < percent);
    breaker.admit(SECOND);
    breaker.rejects()
}

#[test]
fn the_first_update_adds_the_deviation_and_a_fifth_of_it() {
    // More than 10 % are not learned, so the usual rate is still 5 %. Nothing was rejected before.
    assert_near(after_a_second(50), 1.2 * 0.45);
    assert_near(after_a_second(20), 1.2 * 0.15);
}

#[test]
fn a_quarter_above_the_usual_rate_is_noise() {
    assert_near(after_a_second(6), 0.0);
    // The usual rate rises to 5 % + 0.0017 · 2 %.
    assert_near(after_a_second(7), 1.2 * (0.07 - 0.050_034));
}

#[test]
fn nothing_changes_between_two_updates() {
    let mut breaker = Semian::new(Settings::default(), 1);
    calls(&mut breaker, 0, SECOND, |_| true);
    breaker.record((), SECOND - 1, false, 0);
    assert_near(breaker.rejects(), 0.0);
    assert_eq!(breaker.phase(SECOND - 1), Phase::Closed);
    breaker.admit(SECOND);
    assert_near(breaker.rejects(), 1.0);
    assert_eq!(breaker.phase(SECOND), Phase::Open);
}

#[test]
fn the_share_of_rejected_calls_lowers_itself() {
    let settings = Settings {
        integral: 0.0,
        ..Settings::default()
    };
    let mut breaker = Semian::new(settings, 1);
    calls(&mut breaker, 0, SECOND, |number| number % 2 == 0);
    breaker.admit(SECOND);
    assert_near(breaker.rejects(), 0.45);
    // The window still has 50 failures in 100 calls, whichever calls the second has added.
    let mut breaker = breaker.clone();
    breaker.admit(2 * SECOND);
    assert_near(breaker.rejects(), 0.45 + (0.45 - 0.55 * 0.45));
}

#[test]
fn an_outcome_counts_for_ten_seconds() {
    let share_at = |second| {
        let mut breaker = Semian::new(Settings::default(), 1);
        breaker.record((), SECOND / 2, false, 0);
        let mut shares = Vec::new();
        for now in 1..=second {
            breaker.admit(now * SECOND);
            shares.push(breaker.rejects());
        }
        shares
    };
    let shares = share_at(60);
    assert!(shares[..10].iter().all(|&share| share > 0.9), "{shares:?}");
    // Without calls, the failure rate counts as 0. The share falls then.
    assert!(shares[12..].iter().any(|&share| share < 0.5), "{shares:?}");
}

#[test]
fn the_usual_rate_falls_faster_than_it_rises() {
    let rejects_after = |initial_rate, calls_before: &[(u64, u64)]| {
        // Without the integral, the share shows the present deviation alone.
        let settings = Settings {
            initial_rate,
            integral: 0.0,
            ..Settings::default()
        };
        let mut breaker = Semian::new(settings, 1);
        let mut from = 0;
        for &(seconds, percent) in calls_before {
            let to = from + seconds * SECOND;
            calls(&mut breaker, from, to, |number| number % 100 < percent);
            from = to;
        }
        breaker.rejects()
    };
    assert_near(rejects_after(0.08, &[(20, 8)]), 0.0);
    // A minute of 1 % is learned. So 8 % are unusual after it.
    assert!(rejects_after(0.08, &[(60, 1), (11, 8)]) > 0.02);
    // A minute of 8 % isn't learned yet.
    assert!(rejects_after(0.05, &[(60, 8)]) > 0.02);
}

#[test]
fn a_total_outage_is_rejected_and_its_end_is_found() {
    let mut breaker = Semian::new(Settings::default(), 1);
    let healthy = calls(&mut breaker, 0, 60 * SECOND, |_| false);
    assert_eq!(healthy, 6_000);
    let dead = calls(&mut breaker, 60 * SECOND, 120 * SECOND, |_| true);
    assert!((100..1_000).contains(&dead), "{dead} of 6,000");
    calls(&mut breaker, 120 * SECOND, 180 * SECOND, |_| false);
    let healthy = calls(&mut breaker, 180 * SECOND, 240 * SECOND, |_| false);
    assert_eq!(healthy, 6_000);
}

#[test]
fn a_window_keeps_200_outcomes_a_second_and_so_overrates_failures() {
    let rejects_at = |a_second: u64| {
        let mut breaker = Semian::new(Settings::default(), 1);
        for number in 0..10 * a_second {
            let now = number * SECOND / a_second;
            breaker.record((), now, number % 100 > 2, 0);
            breaker.admit(now);
        }
        breaker.rejects()
    };
    assert_near(rejects_at(100), 0.0);
    // 300 failures stand against 2,000 successes, not 9,700.
    assert!(rejects_at(1_000) > 0.05, "{}", rejects_at(1_000));
}
