//! A recovery in given steps.

use std::sync::mpsc;
use std::time::Duration;

use tripcurve::handles::OwnedPermit;
use tripcurve::recovery::{Backoff, Jitter};
use tripcurve::time::{Clock, MockClock};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, Permit, Recovery, State};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn steps() -> Recovery {
    Recovery::steps(&[0.1, 0.5, 1.0], 10 * SECOND)
}

/// A breaker that has tripped and whose probe has succeeded.
fn ramping(recovery: Recovery) -> (CircuitBreaker, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("steps").recovery(recovery);
    let breaker = builder.clock(clock).build().unwrap();
    breaker.try_acquire().unwrap().record(Outcome::Trip);
    hand.advance(6 * SECOND);
    breaker.try_acquire().unwrap().success();
    (breaker, hand)
}

fn next<'a>(breaker: &'a CircuitBreaker, hand: &MockClock) -> Permit<'a> {
    for _ in 0..100 {
        hand.advance(10 * MILLI);
        if let Ok(permit) = breaker.try_acquire() {
            return permit;
        }
    }
    panic!("{breaker:?}");
}

#[test]
fn each_step_lasts_its_time_and_lets_its_share_through() {
    let (breaker, hand) = ramping(steps());
    let mut seen = Vec::new();
    while let Some(share) = breaker.snapshot().admitted_share() {
        let begin = breaker.snapshot().at();
        let mut through = 0_u32;
        let mut asked = 0_u32;
        while breaker.snapshot().admitted_share() == Some(share) {
            hand.advance(10 * MILLI);
            asked += 1;
            if let Ok(permit) = breaker.try_acquire() {
                permit.success();
                through += 1;
            }
        }
        let took = breaker.snapshot().at().saturating_sub(begin);
        assert!((10 * SECOND..10_200 * MILLI).contains(&took), "{took:?}");
        assert!((f64::from(through) / f64::from(asked) - share).abs() < 0.01);
        seen.push((share * 100.0).round());
    }
    assert_eq!(seen, [10.0, 50.0, 100.0]);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_step_that_fails_opens_again_after_few_calls() {
    let (breaker, hand) = ramping(steps());
    let mut failed = 0;
    while breaker.state() == State::HalfOpen {
        next(&breaker, &hand).failure();
        failed += 1;
    }
    assert_eq!(breaker.state(), State::Open);
    assert!(failed <= 6, "{failed}");
    let left = breaker.snapshot().remaining_open().unwrap();
    assert!(left >= 4_900 * MILLI, "{left:?}");
}

/// Whether the breaker closes when every `fails`-th call fails.
fn closes(recovery: Recovery, fails: u32) -> bool {
    let (breaker, hand) = ramping(recovery);
    for call in 1.. {
        let permit = match breaker.state() {
            State::HalfOpen => next(&breaker, &hand),
            state => return state == State::Closed,
        };
        if call % fails == 0 {
            permit.failure();
        } else {
            permit.success();
        }
    }
    unreachable!()
}

#[test]
fn a_quarter_or_what_is_chosen_may_fail() {
    assert!(closes(steps(), 5));
    assert!(!closes(steps(), 3));
    assert!(closes(steps().max_failure_rate(0.4), 3));
    assert!(!closes(steps().max_failure_rate(0.1), 5));
    assert!(!closes(steps().max_failure_rate(0.0), 50));
}

#[test]
fn a_step_waits_until_a_call_has_come_back() {
    let (breaker, hand) = ramping(Recovery::steps(&[1.0], SECOND));
    hand.advance(3_600 * SECOND);
    assert_eq!(breaker.state(), State::HalfOpen);
    next(&breaker, &hand).success();
    assert_eq!(breaker.state(), State::Closed);
}

/// A ramp in its first step, and a probe that was given up earlier.
fn ramping_with_a_late_probe(breaker: &CircuitBreaker, hand: &MockClock) -> OwnedPermit {
    breaker.trip(Duration::ZERO);
    let late = breaker.try_acquire_owned().unwrap();
    hand.advance(SECOND);
    breaker.try_acquire().unwrap().success();
    assert_eq!(breaker.snapshot().admitted_share(), Some(0.5));
    late
}

fn late_probes() -> (CircuitBreaker, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("steps").clock(clock);
    let recovery = Recovery::steps(&[0.5, 1.0], 10 * SECOND);
    let builder = builder.recovery(recovery).probe_timeout(SECOND);
    (builder.build().unwrap(), hand)
}

#[test]
fn the_late_success_of_a_probe_makes_no_step_longer() {
    let (breaker, hand) = late_probes();
    let late = ramping_with_a_late_probe(&breaker, &hand);
    hand.advance(5 * SECOND);
    late.success();
    hand.advance(5 * SECOND);
    next(&breaker, &hand).success();
    assert_eq!(breaker.snapshot().admitted_share(), Some(1.0));
}

#[test]
fn the_late_success_of_a_probe_is_no_answer_of_a_step() {
    let (breaker, hand) = late_probes();
    let late = ramping_with_a_late_probe(&breaker, &hand);
    let _kept = next(&breaker, &hand);
    hand.advance(SECOND / 2);
    late.success();
    // The kept call has twice the late one's time.
    hand.advance(3 * SECOND);
    assert!(breaker.try_acquire().is_err());
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn steps_after_a_backoff_begin_when_it_says() {
    let backoff = Backoff::exponential(SECOND, 2.0, 60 * SECOND).jitter(Jitter::None);
    let (breaker, hand) = ramping(steps().backoff(backoff));
    next(&breaker, &hand).record(Outcome::Trip);
    let left = breaker.snapshot().remaining_open().unwrap();
    assert_eq!(left.as_secs(), 2);
}

#[test]
fn a_rejected_caller_hears_when_the_step_ends() {
    let (breaker, _hand) = ramping(steps());
    let rejected = breaker.try_acquire().unwrap_err();
    assert!(rejected.retry_after() >= Some(10 * SECOND));
}

#[test]
fn a_snapshot_shows_the_share_of_the_step() {
    let (breaker, _hand) = ramping(Recovery::steps(&[0.25, 1.0], SECOND));
    let shown = breaker.snapshot().to_string();
    assert!(
        shown.ends_with(": 25.0 % let through, 0 calls rejected"),
        "{shown}"
    );
}

#[test]
fn listeners_hear_of_the_way() {
    let (sender, told) = mpsc::channel();
    let settings = |builder: CircuitBreakerBuilder| {
        builder.on_transition(move |transition| sender.send(transition.to_string()).unwrap())
    };
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("steps").clock(clock);
    let recovery = Recovery::steps(&[0.25, 1.0], SECOND).open_for(SECOND);
    let breaker = settings(builder.recovery(recovery)).build().unwrap();
    breaker.trip(Duration::ZERO);
    breaker.try_acquire().unwrap().success();
    while breaker.state() == State::HalfOpen {
        next(&breaker, &hand).success();
    }
    let told: Vec<_> = told.try_iter().collect();
    assert_eq!(
        told[2],
        "steps: half-open -> half-open, generation 3: a probe succeeded; 25.0 % of the calls are let \
         through"
    );
    assert!(
        told[3].starts_with("steps: half-open -> closed"),
        "{told:?}"
    );
}

#[test]
fn steps_that_make_no_sense_are_refused() {
    let refused = |recovery: Recovery| {
        let builder = CircuitBreaker::builder("nonsense").recovery(recovery);
        builder.build().unwrap_err().to_string()
    };
    assert_eq!(
        refused(Recovery::steps(&[], SECOND)),
        "steps: 0 steps is not 1 to 16 of them; [0.1, 0.25, 0.5, 1.0] suit most services"
    );
    assert_eq!(
        refused(Recovery::steps(&[0.5; 17], SECOND)),
        "steps: 17 steps is not 1 to 16 of them; [0.1, 0.25, 0.5, 1.0] suit most services"
    );
    for shares in [[0.5, 0.5], [0.0, 0.5], [0.5, 1.5], [0.5, f64::NAN]] {
        assert_eq!(
            refused(Recovery::steps(&shares, SECOND)),
            format!(
                "steps: {shares:?} is not shares above 0 and up to 1, each larger than the one before; \
                 [0.1, 0.25, 0.5, 1.0] suit most services"
            )
        );
    }
    assert_eq!(
        refused(Recovery::steps(&[1.0], Duration::ZERO)),
        "steps.each: 0ns is not in 1ms..=1 day; choose it longer than calls take, since a step is judged \
         by those that come back in it"
    );
    assert!(refused(steps().max_failure_rate(1.0)).starts_with("max_failure_rate: 1"));
}
