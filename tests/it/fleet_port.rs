//! A fleet's port reads a breaker's rule and what the breaker has learned.

use std::time::Duration;

use tripcurve::fleet::{Followed, Order, UnreportedFailures};
use tripcurve::time::Clock;
use tripcurve::{CircuitBreaker, Outcome, State, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);

fn builder() -> tripcurve::CircuitBreakerBuilder {
    CircuitBreaker::builder("payments")
}

#[test]
fn a_breaker_without_an_adaptive_policy_gets_no_port() {
    let classic = builder().trip_when(TripPolicy::classic()).build().unwrap();
    let error = classic.fleet_port().unwrap_err();
    assert_eq!(
        error.to_string(),
        "fleet_port: breaker \"payments\" is not a breaker with an adaptive policy, which learns the \
         usual failure rate; give it TripPolicy::adaptive, or keep it out of the fleet"
    );
}

#[test]
fn a_port_has_the_settings_in_force() {
    let breaker = builder().build().unwrap();
    let port = breaker.fleet_port().unwrap();
    assert_eq!(port.name(), "payments");
    assert_eq!(port.rule().unwrap().tolerated(), Some(0.25));
    let none_tolerated = TripPolicy::adaptive()
        .tolerate(0.0)
        .false_trip_budget(10 * Duration::from_secs(86_400));
    let before = port.rule().unwrap().needed(1.0);
    breaker
        .reconfigure(builder().trip_when(none_tolerated))
        .unwrap();
    let rule = port.rule().unwrap();
    assert_eq!(rule.tolerated(), None);
    assert!((rule.needed(1.0) - before - 10_f64.ln()).abs() < 0.001);
    let classic = builder().trip_when(TripPolicy::classic());
    breaker.reconfigure(classic).unwrap();
    assert_eq!((port.rule(), port.calls_per_second()), (None, None));
    assert_eq!(port.failure_rate(), None);
}

#[test]
fn a_port_tells_above_which_time_a_call_is_slow() {
    let none = builder().build().unwrap();
    assert_eq!(none.fleet_port().unwrap().slow_limit(), None);
    let limit = Duration::from_millis(250);
    let slow = TripPolicy::slow_rate(0.5).slower_than(limit);
    let adaptive = builder().trip_when(TripPolicy::adaptive());
    let breaker = adaptive.trip_when(slow).build().unwrap();
    assert_eq!(breaker.fleet_port().unwrap().slow_limit(), Some(limit));
}

/// Fails when: the port reads other numbers than the policy decides by.
#[test]
fn a_port_has_the_call_rate_and_the_failure_rate_that_the_breaker_has_learned() {
    let (clock, hand) = Clock::mock();
    let breaker = builder().clock(clock).build().unwrap();
    let port = breaker.fleet_port().unwrap();
    assert_eq!(port.calls_per_second(), Some(1.0));
    // Little was seen, so one in a hundred is believed.
    let new = port.failure_rate().unwrap();
    assert!((new - 0.01).abs() < 1e-9, "{new}");
    for call in 1..=20_000 {
        hand.advance(SECOND / 100);
        let outcome = if call % 20 == 0 {
            Outcome::Failure
        } else {
            Outcome::Success
        };
        breaker.try_acquire().unwrap().record(outcome);
    }
    let rate = port.calls_per_second().unwrap();
    assert!((90.0..=110.0).contains(&rate), "{rate}");
    let share = port.failure_rate().unwrap();
    assert!((0.045..=0.065).contains(&share), "{share}");
}

/// Fails when: an open breaker announces calls that it doesn't make.
#[test]
fn an_open_breaker_has_no_call_rate_but_keeps_its_failure_rate() {
    let breaker = builder().build().unwrap();
    let port = breaker.clone().fleet_port().unwrap();
    let learned = port.failure_rate();
    breaker.trip(SECOND);
    assert_eq!(port.calls_per_second(), Some(0.0));
    assert_eq!(port.failure_rate(), learned);
    breaker.reset();
    assert_eq!(port.calls_per_second(), Some(1.0));
    breaker.force_open();
    assert_eq!(port.clone().calls_per_second(), Some(0.0));
    assert_eq!(format!("{port:?}"), "FleetPort { name: \"payments\" }");
}

/// Fails when: a failure's surprise is that of another position, or a failure is told of twice.
#[test]
fn a_port_gives_each_failure_once_with_its_surprise_by_its_position() {
    let (clock, hand) = Clock::mock();
    let breaker = builder().clock(clock).build().unwrap();
    let call = |outcome| {
        hand.advance(SECOND / 10);
        breaker.try_acquire().unwrap().record(outcome);
    };
    call(Outcome::Failure);
    let port = breaker.fleet_port().unwrap();
    assert_eq!(port.take_unreported(), None, "there was no port");
    for _ in 0..30 {
        call(Outcome::Success);
    }
    assert_eq!(port.take_unreported(), None, "calls succeeded");
    let mut surprises = Vec::new();
    for outcome in [
        Outcome::Failure,
        Outcome::Failure,
        Outcome::Success,
        Outcome::Failure,
    ] {
        call(outcome);
        if let Some(report) = port.clone().take_unreported() {
            assert_eq!(report.failures(), 1);
            surprises.push(report.surprise());
        }
    }
    // The first is as rare as all failures are. The second may be a retry of a request that can't
    // succeed. The third follows a success, within an excursion.
    let [first, second, third] = surprises[..] else {
        panic!("{surprises:?}");
    };
    assert!(first >= third && third > second, "{surprises:?}");
    call(Outcome::Failure);
    hand.advance(SECOND);
    call(Outcome::Failure);
    let both = port.take_unreported().unwrap();
    assert_eq!((both.failures(), both.spread()), (2, 11 * SECOND / 10));
}

/// Fails when: watched calls are told of by both kinds of evidence, or overdue ones by neither.
#[test]
fn a_call_that_is_overdue_is_told_of_once() {
    let (clock, hand) = Clock::mock();
    let policy = TripPolicy::adaptive().slower_than(SECOND);
    let breaker = builder().clock(clock).trip_when(policy).build().unwrap();
    let port = breaker.fleet_port().unwrap();
    let failures = || {
        port.take_unreported()
            .map_or(0, UnreportedFailures::failures)
    };
    for _ in 0..20 {
        hand.advance(SECOND / 10);
        breaker.try_acquire().unwrap().success();
    }
    let hangs = breaker.try_acquire().unwrap();
    let mut told = 0;
    for _ in 0..30 {
        hand.advance(SECOND / 10);
        breaker.try_acquire().unwrap().success();
        told += failures();
    }
    assert_eq!(told, 1, "while it hangs");
    hangs.failure();
    assert_eq!(failures(), 0, "when it has come back");
    breaker.try_acquire().unwrap().failure();
    assert_eq!(failures(), 1, "another call");
}

/// Fails when: calls in flight when the breaker trips are lost to the fleet, or count after a
/// change that isn't the breaker's own trip.
#[test]
fn calls_in_flight_when_the_breaker_trips_by_itself_are_told_of() {
    let (clock, hand) = Clock::mock();
    let breaker = builder().clock(clock).build().unwrap();
    let port = breaker.fleet_port().unwrap();
    let told = || {
        port.take_unreported()
            .map(|it| (it.failures(), it.surprise()))
    };
    let mut in_flight: Vec<_> = (0..40).map(|_| breaker.try_acquire().unwrap()).collect();
    while breaker.state() == State::Closed {
        hand.advance(SECOND / 1_000);
        in_flight.pop().unwrap().failure();
    }
    let (failures, _) = told().unwrap();
    assert_eq!(failures as usize + in_flight.len(), 40);

    in_flight.pop().unwrap().failure();
    let (_, surprise) = told().unwrap();
    assert!(surprise > 0 && surprise < 256 * 8, "{surprise}");
    in_flight.pop().unwrap().success();
    assert_eq!(told(), None, "a success");

    breaker.reset();
    in_flight.pop().unwrap().failure();
    assert_eq!(told(), None, "the breaker is closed again");
    let later = breaker.try_acquire().unwrap();
    breaker.force_open();
    later.failure();
    assert_eq!(told(), None, "the breaker was forced open");
    breaker.reset();
    let later = breaker.try_acquire().unwrap();
    assert_eq!(port.follow(Order::open(1)), Followed::Changed);
    later.failure();
    assert_eq!(told(), None, "the fleet opened it");
}

/// Fails when: a failure after the trip surprises more or less than one right after another.
#[test]
fn a_failure_after_the_trip_surprises_like_those_before_it() {
    let (clock, hand) = Clock::mock();
    let breaker = builder().clock(clock).build().unwrap();
    let port = breaker.fleet_port().unwrap();
    let mut in_flight: Vec<_> = (0..40).map(|_| breaker.try_acquire().unwrap()).collect();
    let mut fail = || {
        hand.advance(SECOND / 1_000);
        in_flight.pop().unwrap().failure();
        port.take_unreported().map(UnreportedFailures::surprise)
    };
    let mut latest = None;
    while breaker.state() == State::Closed {
        latest = fail();
    }
    assert!(latest > Some(100), "{latest:?}");
    assert_eq!(fail(), latest);
}

/// Fails when: the fleet is told of the failures of a sample alone.
#[test]
fn where_a_sample_is_watched_each_failure_is_told_of() {
    let (clock, hand) = Clock::mock();
    let policy = TripPolicy::adaptive().slower_than(SECOND);
    let breaker = builder().clock(clock).trip_when(policy).build().unwrap();
    let port = breaker.fleet_port().unwrap();
    let mut told = 0;
    for call in 0..2_000 {
        hand.advance(SECOND / 200);
        let permit = breaker.try_acquire().unwrap();
        if call >= 1_600 && call % 20 == 0 {
            permit.failure();
        } else {
            permit.success();
        }
        let failures = port.take_unreported().map(UnreportedFailures::failures);
        told += failures.unwrap_or(0);
    }
    assert_eq!((breaker.state(), told), (State::Closed, 20));
}

#[test]
fn a_task_is_woken_by_the_first_failure_and_waits_again_once_it_is_taken() {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::{Context, Wake};

    #[derive(Default)]
    struct Count(AtomicU32);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    let breaker = builder().build().unwrap();
    let port = breaker.fleet_port().unwrap();
    let count = Arc::new(Count::default());
    let waker = Arc::clone(&count).into();
    let mut context = Context::from_waker(&waker);
    let woken_so_far = || count.0.load(Ordering::SeqCst);
    {
        let mut waits = pin!(port.until_unreported());
        assert!(waits.as_mut().poll(&mut context).is_pending());
        breaker.try_acquire().unwrap().success();
        assert_eq!(woken_so_far(), 0);
        breaker.try_acquire().unwrap().failure();
        breaker.try_acquire().unwrap().failure();
        assert_eq!(woken_so_far(), 1);
        assert!(waits.as_mut().poll(&mut context).is_ready());
    }
    assert_eq!(port.take_unreported().unwrap().failures(), 2);
    assert!(
        pin!(port.until_unreported())
            .poll(&mut context)
            .is_pending()
    );
}
