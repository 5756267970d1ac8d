//! Probes of which some may fail.

use std::time::Duration;

use tripcurve::events::Cause;
use tripcurve::recovery::HalfOpenVerdict;
use tripcurve::time::{Clock, MockClock};
use tripcurve::{CircuitBreaker, Outcome, Recovery, State, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);

/// A breaker whose open time is over.
fn probing(recovery: Recovery) -> (CircuitBreaker, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("probes").recovery(recovery);
    let breaker = builder.clock(clock).build().unwrap();
    breaker.trip(Duration::ZERO);
    (breaker, hand)
}

fn report(breaker: &CircuitBreaker, outcomes: &[Outcome]) {
    for outcome in outcomes {
        breaker.try_acquire().unwrap().record(*outcome);
    }
}

const GOOD: Outcome = Outcome::Success;
const BAD: Outcome = Outcome::Failure;

fn three_of_five() -> Recovery {
    Recovery::fixed(SECOND, 5).success_threshold(3)
}

#[test]
fn as_many_successes_as_must_close_the_breaker() {
    let (breaker, _hand) = probing(three_of_five());
    report(&breaker, &[BAD, GOOD, BAD, GOOD]);
    let snapshot = breaker.snapshot();
    assert_eq!(snapshot.state(), State::HalfOpen);
    assert_eq!(
        (snapshot.probes_succeeded(), snapshot.probes_failed()),
        (2, 2)
    );
    report(&breaker, &[GOOD]);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn it_opens_as_soon_as_they_cannot_be_reached() {
    let (breaker, _hand) = probing(three_of_five());
    report(&breaker, &[BAD, GOOD, BAD, BAD]);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_probe_that_has_failed_keeps_its_place() {
    let (breaker, _hand) = probing(three_of_five());
    report(&breaker, &[BAD, BAD]);
    let permits: Vec<_> = (0..10).filter_map(|_| breaker.try_acquire().ok()).collect();
    assert_eq!(permits.len(), 3);
}

#[test]
fn what_failed_is_kept_when_probes_are_overdue() {
    let (breaker, hand) = probing(three_of_five());
    report(&breaker, &[BAD, BAD]);
    let _hang: Vec<_> = (0..3).map(|_| breaker.try_acquire().unwrap()).collect();
    hand.advance(31 * SECOND);
    breaker.try_acquire().unwrap().failure();
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_probe_that_says_trip_opens_whatever_may_fail() {
    let (breaker, _hand) = probing(three_of_five());
    report(&breaker, &[Outcome::Trip]);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn listeners_hear_how_many_it_were() {
    let (sender, told) = std::sync::mpsc::channel();
    let breaker = CircuitBreaker::builder("probes")
        .recovery(three_of_five())
        .on_transition(move |transition| sender.send(transition.cause()).unwrap())
        .build()
        .unwrap();
    breaker.trip(Duration::ZERO);
    std::iter::repeat_with(|| breaker.try_acquire())
        .find_map(Result::ok)
        .unwrap()
        .failure();
    report(&breaker, &[GOOD, GOOD, GOOD]);
    let cause = told.try_iter().last().unwrap();
    let expected = Cause::EnoughProbesSucceeded {
        succeeded: 3,
        probes: 5,
    };
    assert_eq!(cause, expected);
    assert_eq!(cause.to_string(), "3 of up to 5 probes succeeded");
}

/// How many of the probes may fail with this largest failure rate.
fn may_fail(share: f64, probes: u32) -> u32 {
    let (breaker, _hand) = probing(Recovery::fixed(SECOND, probes).max_failure_rate(share));
    let mut failed = 0;
    loop {
        breaker.try_acquire().unwrap().failure();
        if breaker.state() == State::Open {
            return failed;
        }
        failed += 1;
    }
}

#[test]
fn a_largest_failure_rate_is_meant_to_the_probe() {
    for (share, probes, expected) in [
        (0.0, 3, 0),
        (0.5, 4, 2),
        (0.5, 5, 2),
        (0.29, 100, 29),
        (0.1, 30, 3),
        (0.7, 10, 7),
        (0.99, 3, 2),
        (0.999_999, 1, 0),
        (0.25, 255, 63),
    ] {
        assert_eq!(may_fail(share, probes), expected, "{share} of {probes}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let fixed = Recovery::fixed(SECOND, 5);
    for (recovery, expected) in [
        (
            fixed.success_threshold(0),
            "success_threshold: 0 is not in 1..=5, the number of probes; leave it out where all probes \
             must succeed",
        ),
        (
            fixed.success_threshold(6),
            "success_threshold: 6 is not in 1..=5, the number of probes; leave it out where all probes \
             must succeed",
        ),
        (
            fixed.max_failure_rate(1.0),
            "max_failure_rate: 1 is not at least 0 and less than 1; 0.5 lets half of them fail",
        ),
        (
            fixed.max_failure_rate(f64::NAN),
            "max_failure_rate: NaN is not at least 0 and less than 1; 0.5 lets half of them fail",
        ),
    ] {
        let builder = CircuitBreaker::builder("nonsense").recovery(recovery);
        assert_eq!(builder.build().unwrap_err().to_string(), expected);
    }
}

/// A breaker whose open time is over, and whose calls are slow above a second.
fn probing_with_times(recovery: Recovery) -> (CircuitBreaker, MockClock) {
    let (clock, hand) = Clock::mock();
    let breaker = CircuitBreaker::builder("probes")
        .trip_when(TripPolicy::slow_rate(0.5).slower_than(SECOND))
        .recovery(recovery)
        .clock(clock)
        .build()
        .unwrap();
    breaker.trip(Duration::ZERO);
    (breaker, hand)
}

/// A probe that takes longer than the limit for slow calls.
fn slow_probe(breaker: &CircuitBreaker, hand: &MockClock, outcome: Outcome) {
    let permit = breaker.try_acquire().unwrap();
    hand.advance(2 * SECOND);
    permit.record(outcome);
}

#[test]
fn the_first_failure_opens_and_fewer_successes_than_probes_close() {
    let recovery = Recovery::fixed(SECOND, 10)
        .success_threshold(3)
        .failure_threshold(1);
    let (breaker, _hand) = probing(recovery);
    report(&breaker, &[GOOD, GOOD, BAD]);
    assert_eq!(breaker.state(), State::Open);
    breaker.trip(Duration::ZERO);
    report(&breaker, &[GOOD, GOOD, GOOD]);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_failure_threshold_alone_lets_the_other_probes_close() {
    let (breaker, _hand) = probing(Recovery::fixed(SECOND, 4).failure_threshold(2));
    report(&breaker, &[BAD, GOOD, GOOD]);
    assert_eq!(breaker.state(), State::HalfOpen);
    report(&breaker, &[GOOD]);
    assert_eq!(breaker.state(), State::Closed);
    breaker.trip(Duration::ZERO);
    report(&breaker, &[BAD, BAD]);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn slow_probes_have_a_threshold_of_their_own_and_count_as_successes_below_it() {
    let recovery = Recovery::fixed(SECOND, 4)
        .failure_threshold(1)
        .slow_threshold(3);
    let (breaker, hand) = probing_with_times(recovery);
    slow_probe(&breaker, &hand, GOOD);
    slow_probe(&breaker, &hand, GOOD);
    let snapshot = breaker.snapshot();
    assert_eq!(snapshot.state(), State::HalfOpen);
    assert_eq!(
        (snapshot.probes_slow(), snapshot.probes_succeeded()),
        (2, 0)
    );
    report(&breaker, &[GOOD, GOOD]);
    assert_eq!(breaker.state(), State::Closed);
    breaker.trip(Duration::ZERO);
    for _ in 0..3 {
        slow_probe(&breaker, &hand, GOOD);
    }
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_slow_failure_is_a_failure_whatever_the_threshold_for_slow_probes() {
    let recovery = Recovery::fixed(SECOND, 4)
        .failure_threshold(1)
        .slow_threshold(3);
    let (breaker, hand) = probing_with_times(recovery);
    slow_probe(&breaker, &hand, BAD);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn what_was_slow_is_kept_when_probes_are_overdue() {
    let (breaker, hand) = probing_with_times(Recovery::fixed(SECOND, 3).slow_threshold(2));
    slow_probe(&breaker, &hand, GOOD);
    let _hang: Vec<_> = (0..2).map(|_| breaker.try_acquire().unwrap()).collect();
    hand.advance(31 * SECOND);
    slow_probe(&breaker, &hand, GOOD);
    assert_eq!(breaker.state(), State::Open);
}

fn for_a_minute(verdict: HalfOpenVerdict) -> Recovery {
    Recovery::fixed(SECOND, 2).half_open_limit(60 * SECOND, verdict)
}

#[test]
fn a_half_open_breaker_at_its_limit_opens_or_closes_as_the_settings_say() {
    let (breaker, hand) = probing(for_a_minute(HalfOpenVerdict::Reopen));
    report(&breaker, &[GOOD]);
    hand.advance(60 * SECOND);
    let rejected = breaker.try_acquire().unwrap_err();
    assert_eq!(
        (rejected.state(), rejected.earliest()),
        (State::Open, Some(SECOND))
    );

    let (breaker, hand) = probing(for_a_minute(HalfOpenVerdict::Close));
    report(&breaker, &[GOOD]);
    hand.advance(60 * SECOND);
    breaker.try_acquire().unwrap().success();
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(breaker.snapshot().successes(), 1);
}

#[test]
fn the_limit_counts_over_all_probes_that_lose_their_places() {
    let (breaker, hand) = probing(for_a_minute(HalfOpenVerdict::Reopen));
    for _ in 0..2 {
        for _ in 0..2 {
            std::mem::forget(breaker.try_acquire_owned().unwrap());
        }
        hand.advance(30 * SECOND);
    }
    assert_eq!(breaker.try_acquire().unwrap_err().state(), State::Open);
}

#[test]
fn each_half_open_state_has_the_whole_limit() {
    let (breaker, hand) = probing(for_a_minute(HalfOpenVerdict::Close));
    report(&breaker, &[GOOD]);
    hand.advance(59 * SECOND);
    report(&breaker, &[BAD]);
    hand.advance(2 * SECOND);
    report(&breaker, &[GOOD]);
    hand.advance(59 * SECOND);
    assert_eq!(breaker.state(), State::HalfOpen);
    report(&breaker, &[BAD]);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_caller_is_told_to_come_back_at_the_limit_at_the_latest() {
    let builder = CircuitBreaker::builder("probes").probe_timeout(Duration::MAX);
    let (clock, hand) = Clock::mock();
    let recovery = for_a_minute(HalfOpenVerdict::Reopen);
    let breaker = builder.recovery(recovery).clock(clock).build().unwrap();
    breaker.trip(Duration::ZERO);
    let _hang: Vec<_> = (0..2).map(|_| breaker.try_acquire().unwrap()).collect();
    hand.advance(20 * SECOND);
    let rejected = breaker.try_acquire().unwrap_err();
    assert_eq!(rejected.earliest(), Some(40 * SECOND));
}

#[test]
fn a_ramp_ends_at_the_limit_too() {
    let steps = Recovery::steps(&[0.5], 1_000 * SECOND);
    let recovery = steps.half_open_limit(60 * SECOND, HalfOpenVerdict::Close);
    let (breaker, hand) = probing(recovery);
    report(&breaker, &[GOOD]);
    hand.advance(59 * SECOND);
    let _ = breaker.call(|| Ok::<_, ()>(()));
    assert_eq!(breaker.state(), State::HalfOpen);
    hand.advance(SECOND);
    assert!(breaker.try_acquire().is_ok());
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn the_call_that_closes_a_breaker_at_its_limit_is_watched_in_flight() {
    let recovery = for_a_minute(HalfOpenVerdict::Close);
    let (breaker, hand) = probing_with_times(recovery);
    report(&breaker, &[GOOD]);
    hand.advance(60 * SECOND);
    let _hangs = breaker.try_acquire().unwrap();
    hand.advance(2 * SECOND);
    assert_eq!(breaker.snapshot().overdue(), 1);
}
