//! The burn rate: failures that use up an error budget too fast, in the whole window and still in
//! its last part.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tripcurve::events::Cause;
use tripcurve::policy::BurnRate;
use tripcurve::time::{Clock, MockClock};
use tripcurve::window::Window;
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, State, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);

/// A breaker on a mock clock with a window of twelve one-second buckets, and its transitions.
struct Subject {
    breaker: CircuitBreaker,
    hand: MockClock,
    told: Arc<Mutex<Vec<(Cause, String)>>>,
}

impl Subject {
    fn new(policy: BurnRate) -> Self {
        Self::with(|builder| builder.trip_when(policy))
    }

    fn with(policies: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder) -> Self {
        let (clock, hand) = Clock::mock();
        let told = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&told);
        let builder = CircuitBreaker::builder("payments")
            .clock(clock)
            .window(Window::time(12 * SECOND, 12))
            .on_transition(move |transition| {
                let cause = transition.cause();
                log.lock().unwrap().push((cause, cause.to_string()));
            });
        Self {
            breaker: policies(builder).build().unwrap(),
            hand,
            told,
        }
    }

    fn succeed(&self, calls: u32) {
        for _ in 0..calls {
            self.breaker.call(|| Ok::<_, ()>(())).unwrap();
        }
    }

    fn fail(&self, calls: u32) {
        for _ in 0..calls {
            let _ = self.breaker.call(|| Err::<(), _>(()));
        }
    }

    fn state(&self) -> State {
        self.breaker.state()
    }
}

#[test]
fn it_trips_with_the_call_that_reaches_factor_times_budget() {
    for (objective, factor, failures, calls) in [
        (0.999, 14.4, 144, 10_000),
        (0.99, 6.0, 60, 1_000),
        (0.9, 3.0, 3, 10),
        (0.9, 7.0, 7, 10),
        (0.95, 14.4, 72, 100),
        (0.5, 2.0, 10, 10),
    ] {
        let policy = || TripPolicy::burn_rate(objective).factor(factor);
        let subject = Subject::new(policy().min_calls(calls));
        subject.succeed(calls - failures);
        subject.fail(failures - 1);
        assert_eq!(subject.state(), State::Closed, "{objective} {factor}");
        subject.fail(1);
        assert_eq!(subject.state(), State::Open, "{objective} {factor}");

        let subject = Subject::new(policy().min_calls(calls + 1));
        subject.succeed(calls - failures + 1);
        subject.fail(failures);
        assert_eq!(subject.state(), State::Closed, "{objective} {factor}");
    }
}

#[test]
fn fewer_calls_than_the_smallest_number_are_not_judged() {
    let subject = Subject::new(TripPolicy::burn_rate(0.999));
    subject.fail(99);
    assert_eq!(subject.state(), State::Closed);
    subject.fail(1);
    assert_eq!(subject.state(), State::Open);
}

#[test]
fn a_burn_that_has_stopped_does_not_trip_though_the_window_is_still_full_of_it() {
    let subject = Subject::new(TripPolicy::burn_rate(0.99).factor(10.0));
    // These are 99 calls. One more, and the breaker would have tripped.
    subject.fail(99);
    for _ in 0..2 {
        subject.hand.advance(SECOND);
        subject.succeed(50);
    }
    // 100 of 200 in the window, but 1 of 101 in the last second and the bucket that has just begun.
    subject.fail(1);
    assert_eq!(subject.state(), State::Closed);
    // 101 of 201, and 11 of 111.
    subject.fail(10);
    assert_eq!(subject.state(), State::Closed);
    subject.fail(1);
    assert_eq!(subject.state(), State::Open, "12 of 112");
}

#[test]
fn a_failure_at_the_beginning_of_a_bucket_does_not_look_as_if_all_failed() {
    let subject = Subject::new(TripPolicy::burn_rate(0.99).factor(10.0));
    subject.fail(99);
    subject.hand.advance(SECOND);
    subject.succeed(100);
    for _ in 0..5 {
        subject.hand.advance(SECOND);
        subject.fail(1);
        assert_eq!(subject.state(), State::Closed);
        subject.succeed(30);
    }
}

#[test]
fn a_burst_that_is_nothing_to_the_window_does_not_trip() {
    let subject = Subject::new(TripPolicy::burn_rate(0.99).factor(10.0));
    subject.succeed(1_000);
    subject.hand.advance(6 * SECOND);
    subject.fail(111);
    assert_eq!(
        subject.state(),
        State::Closed,
        "all of the last second, 111 of 1,111"
    );
    subject.fail(1);
    assert_eq!(subject.state(), State::Open);
}

#[test]
fn the_short_stretch_is_as_long_as_it_is_asked_to_be_and_up_to_a_bucket_longer() {
    // Whether 199 failures still count in the short stretch after this many seconds have begun.
    let counts = |short, seconds| {
        let policy = TripPolicy::burn_rate(0.5).factor(1.0).min_calls(200);
        let subject = Subject::new(policy.short(short));
        subject.fail(199);
        subject.hand.advance(seconds * SECOND);
        subject.succeed(2);
        subject.fail(1);
        subject.state() == State::Open
    };
    let nano = Duration::from_nanos(1);
    for (short, seconds) in [
        (nano, 1),
        (SECOND, 1),
        (SECOND + nano, 2),
        (3 * SECOND, 3),
        (10 * SECOND, 10),
    ] {
        assert!(counts(short, seconds), "{short:?}");
        assert!(!counts(short, seconds + 1), "{short:?}");
    }
}

#[test]
fn the_cause_says_what_was_seen_in_both_and_how_fast_the_budget_burned() {
    let subject = Subject::new(TripPolicy::burn_rate(0.999).min_calls(1_000));
    subject.succeed(985);
    subject.hand.advance(3 * SECOND);
    subject.fail(15);
    let told = subject.told.lock().unwrap();
    let (cause, words) = &told[0];
    assert_eq!(
        *cause,
        Cause::BurnRate {
            failures: 15,
            calls: 1_000,
            short_failures: 15,
            short_calls: 15,
            objective: 0.999,
            factor: 14.4,
        }
    );
    assert_eq!(
        words,
        "15 of 1000 calls in the window and 15 of 15 in its short stretch failed, 15.0 and 1000.0 \
         times what the objective 0.999 allows (limit 14.4)"
    );
}

#[test]
fn another_policy_that_trips_is_heard_though_the_burn_has_stopped() {
    let subject = Subject::with(|builder| {
        builder
            .trip_when(TripPolicy::burn_rate(0.9).factor(2.0))
            .trip_when(TripPolicy::failure_rate(0.5).min_calls(180))
    });
    subject.fail(99);
    subject.hand.advance(4 * SECOND);
    subject.succeed(80);
    subject.fail(1);
    let told = subject.told.lock().unwrap();
    assert!(
        matches!(
            told[0].0,
            Cause::FailureRate {
                failures: 100,
                calls: 180,
                ..
            }
        ),
        "{told:?}"
    );
}
