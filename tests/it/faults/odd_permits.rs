//! Permits that are leaked, sent elsewhere or held for a year.

use super::*;
use tripcurve::handles::OwnedPermit;
use tripcurve::{Outcome, Recovery, TripPolicy};

fn slow_calls(builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
    let slow_rate = TripPolicy::slow_rate(0.5).slower_than(SECOND).min_calls(10);
    builder
        .trip_when(slow_rate)
        .trip_when(TripPolicy::classic())
}

#[test]
fn leaked_permits_of_a_closed_breaker_count_for_nothing() {
    let (breaker, hand) = breaker(|builder| builder);
    for _ in 0..100_000 {
        std::mem::forget(breaker.try_acquire().unwrap());
    }
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state(), snapshot.calls()), (State::Closed, 0));
    works(&breaker, &hand);
}

#[test]
fn leaked_probes_delay_each_recovery_by_the_probe_timeout() {
    for recovery in [Recovery::fixed(SECOND, 3), Recovery::adaptive()] {
        let (breaker, hand) = breaker(|builder| builder.recovery(recovery).probe_timeout(SECOND));
        for _ in 0..100 {
            breaker.trip(SECOND);
            hand.advance(SECOND);
            while let Ok(permit) = breaker.try_acquire() {
                std::mem::forget(permit);
                if breaker.state() != State::HalfOpen {
                    break;
                }
            }
            hand.advance(2 * SECOND);
            assert!(breaker.try_acquire().is_ok(), "{}", breaker.snapshot());
        }
        works(&breaker, &hand);
    }
}

#[test]
fn permits_that_other_threads_end_count_as_those_that_this_one_ends() {
    let (breaker, hand) = breaker(slow_calls);
    for outcome in [Outcome::Success, Outcome::Failure, Outcome::Ignored] {
        breaker.reset();
        let permits: Vec<OwnedPermit> = (0..4)
            .map(|_| breaker.try_acquire_owned().unwrap())
            .collect();
        std::thread::scope(|threads| {
            for permit in permits {
                threads.spawn(|| assert!(permit.record(outcome)));
            }
        });
        let snapshot = breaker.snapshot();
        let of_each = [
            snapshot.successes(),
            snapshot.failures(),
            snapshot.ignored(),
        ];
        let expected = [Outcome::Success, Outcome::Failure, Outcome::Ignored];
        assert_eq!(
            of_each,
            expected.map(|each| if each == outcome { 4 } else { 0 })
        );
    }
    works(&breaker, &hand);
}

#[test]
fn a_permit_that_is_held_for_a_year_counts_once_in_its_generation_and_never_in_another() {
    for ends_generation in [false, true] {
        let (breaker, hand) = breaker(slow_calls);
        let permit = breaker.try_acquire_owned().unwrap();
        if ends_generation {
            works(&breaker, &hand);
        }
        hand.advance(YEAR);
        assert_eq!(breaker.snapshot().calls(), 0);
        assert_eq!(permit.record(Outcome::Failure), !ends_generation);
        let snapshot = breaker.snapshot();
        assert_eq!(snapshot.failures(), u64::from(!ends_generation));
        assert_eq!(snapshot.state(), State::Closed);
        assert_eq!(snapshot.overdue(), 0);
        works(&breaker, &hand);
    }
}

#[test]
fn a_probe_that_is_held_for_a_year_takes_no_place_and_its_end_changes_nothing() {
    let (breaker, hand) = breaker(|builder| builder.recovery(Recovery::fixed(SECOND, 1)));
    breaker.trip(SECOND);
    hand.advance(SECOND);
    let probe = breaker.try_acquire_owned().unwrap();
    hand.advance(YEAR);
    breaker.try_acquire().unwrap().success();
    assert_eq!(breaker.state(), State::Closed);
    assert!(!probe.record(Outcome::Failure));
    assert_eq!(breaker.snapshot().calls(), 0);
}
