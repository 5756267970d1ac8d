//! The policy that decides by evidence: when it trips, when it doesn't, and what it learns.
//!
//! `against_model.rs` tests that its numbers are exact. `budget.rs` tests how often it trips on
//! mere noise.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use crate::effort;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use tripcurve::events::Cause;
use tripcurve::outcome::Report;
use tripcurve::policy::Adaptive;
use tripcurve::time::{Clock, MockClock};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, State, TripPolicy};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: u32 = 3_600;

/// A breaker that is called at a steady rate.
struct Service {
    breaker: CircuitBreaker,
    hand: MockClock,
    every: Duration,
    dice: Xoshiro256PlusPlus,
    trips: Arc<Mutex<Vec<Cause>>>,
}

impl Service {
    fn new(policies: impl IntoIterator<Item = TripPolicy>, every: Duration) -> Self {
        Self::begun_at(Duration::ZERO, policies, every)
    }

    /// A service whose clock shows this time when it is built.
    fn begun_at(
        at: Duration,
        policies: impl IntoIterator<Item = TripPolicy>,
        every: Duration,
    ) -> Self {
        let (clock, hand) = Clock::mock();
        hand.advance(at);
        let trips = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&trips);
        let builder = CircuitBreaker::builder("adaptive")
            .clock(clock)
            .on_transition(move |transition| {
                if transition.to() == State::Open {
                    told.lock().unwrap().push(transition.cause());
                }
            });
        let builder = policies
            .into_iter()
            .fold(builder, CircuitBreakerBuilder::trip_when);
        Self {
            breaker: builder.build().unwrap(),
            hand,
            every,
            dice: Xoshiro256PlusPlus::seed_from_u64(1),
            trips,
        }
    }

    fn adaptive(policy: Adaptive, a_second: u32) -> Self {
        Self::new([policy.into()], SECOND / a_second)
    }

    fn is_open(&self) -> bool {
        self.breaker.state() == State::Open
    }

    fn call(&self, outcome: Outcome) {
        self.hand.advance(self.every);
        self.breaker.try_acquire().unwrap().record(outcome);
    }

    /// Makes calls of which every n-th fails, but not the last one. None of them trips.
    fn each_nth_fails(&self, n: u32, calls: u32) {
        for call in 1..=calls {
            self.call(failure_if(call % n == n / 2));
            assert!(!self.is_open(), "call {call} tripped: {:?}", self.causes());
        }
    }

    /// Makes calls that fail with the probability `share`, which depends on the part of the calls
    /// already made. Returns the number of trips.
    fn fail_at_random(&mut self, calls: u32, share: impl Fn(f64) -> f64) -> u32 {
        let mut trips = 0;
        for call in 0..calls {
            let share = share(f64::from(call) / f64::from(calls));
            let fails = self.dice.random_bool(share);
            self.call(failure_if(fails));
            trips += u32::from(self.reset_if_open());
        }
        trips
    }

    fn reset_if_open(&self) -> bool {
        let is_open = self.is_open();
        if is_open {
            self.breaker.reset();
        }
        is_open
    }

    /// Makes calls that all fail until the breaker trips. Returns their number and resets the
    /// breaker.
    fn outage(&self) -> u32 {
        let fails = |_: &u32| {
            self.call(Outcome::Failure);
            self.reset_if_open()
        };
        (1..1_000).find(fails).expect("it never trips")
    }

    fn causes(&self) -> Vec<Cause> {
        self.trips.lock().unwrap().clone()
    }

    /// The failure rate of the baseline. The breaker trips to report it.
    fn usual(&self) -> f64 {
        self.outage();
        match self.causes().last() {
            Some(Cause::Evidence { usual, .. }) => *usual,
            other => panic!("it tripped for {other:?}"),
        }
    }
}

fn failure_if(fails: bool) -> Outcome {
    if fails {
        Outcome::Failure
    } else {
        Outcome::Success
    }
}

fn sensitive() -> Adaptive {
    TripPolicy::adaptive().tolerate(0.0)
}

#[test]
fn when_half_of_the_calls_fail_it_trips_all_the_same() {
    for (a_second, most) in [(1, 45), (100, 80), (1_000, 100)] {
        let service = Service::adaptive(TripPolicy::adaptive(), a_second);
        service.each_nth_fails(100, 20_000);
        let mut calls = 0_u32;
        while !service.is_open() {
            calls += 1;
            service.call(failure_if(calls.is_multiple_of(2)));
            assert!(calls < most, "{a_second} a second");
        }
    }
}

/// A request that can't succeed is tried three times.
#[test]
fn poison_requests_trip_a_breaker_that_counts_to_three_and_none_that_decides_by_evidence() {
    let calls = effort::share_of(1_000_000).max(250_000);
    let poisoned = |policy: TripPolicy| {
        let mut service = Service::new([policy], SECOND / 100);
        let mut trips = [0, 0];
        let mut left = 0;
        for call in 0..200_000 + calls {
            if left == 0 && service.dice.random_bool(1.0 / 300.0) {
                left = 3;
            }
            service.call(failure_if(left > 0));
            left = u32::saturating_sub(left, 1);
            // The first 200,000 calls are for learning.
            trips[usize::from(call >= 200_000)] += u32::from(service.reset_if_open());
        }
        trips[1]
    };
    assert_eq!(poisoned(TripPolicy::adaptive().into()), 0);
    assert_eq!(poisoned(sensitive().into()), 0);
    assert!(poisoned(TripPolicy::consecutive_failures(3)) > calls * 3 / 1_000);
}

#[test]
fn what_is_tolerated_goes_on_for_hours() {
    let mut service = Service::adaptive(TripPolicy::adaptive(), 100);
    service.fail_at_random(200_000, |_| 0.01);
    let hours = effort::share_of(3);
    let trips = service.fail_at_random(hours * HOUR * 100, |_| 0.25);
    assert!(trips <= 3, "{trips} trips in {hours} h");
    // If no share is tolerated, this is an outage.
    let mut service = Service::adaptive(sensitive(), 100);
    service.fail_at_random(200_000, |_| 0.01);
    assert!(service.fail_at_random(1_000, |_| 0.25) > 0);
}

#[test]
fn healthy_calls_trip_nothing_in_a_million() {
    let some = effort::share_of(3) as usize;
    for share in [0.05, 0.01, 0.001].into_iter().take(some) {
        let mut service = Service::adaptive(TripPolicy::adaptive(), 100);
        let trips = service.fail_at_random(1_000_000, |_| share);
        assert_eq!(trips, 0, "{share}: {:?}", service.causes());
    }
}

/// Fails when: the baseline learns nothing.
#[test]
fn a_share_that_rises_slowly_is_learnt_and_trips_nothing() {
    let mut service = Service::adaptive(sensitive(), 100);
    service.fail_at_random(200_000, |_| 0.001);
    let trips = service.fail_at_random(HOUR * 100, |passed| 0.001 + 0.029 * passed);
    assert_eq!(trips, 0, "{:?}", service.causes());
    let usual = service.usual();
    assert!((0.02..0.04).contains(&usual), "{usual}");
}

#[test]
fn an_outage_that_ends_by_itself_is_not_learnt_either() {
    let service = Service::adaptive(TripPolicy::adaptive(), 10);
    service.each_nth_fails(100, 20_000);
    let usual = service.usual();
    service.breaker.metrics_only();
    for _ in 0..HOUR * 10 {
        service.call(Outcome::Failure);
    }
    service.each_nth_fails(100, 10_000);
    service.breaker.reset();
    let now = service.usual();
    assert!((0.7..1.5).contains(&(now / usual)), "{usual} became {now}");
}

/// Fails when: `Evidence::learn` believes what an outage teaches.
#[test]
fn after_an_outage_that_it_only_measured_it_trips_as_soon_as_before() {
    for policy in [TripPolicy::adaptive(), sensitive()] {
        let service = Service::adaptive(policy, 100);
        service.each_nth_fails(100, 20_000);
        let before = service.outage();
        service.breaker.metrics_only();
        for _ in 0..500 {
            service.call(Outcome::Failure);
        }
        service.each_nth_fails(100, 20_000);
        service.breaker.reset();
        let after = service.outage();
        assert!(after <= before + 1, "{before} failures, now {after}");
    }
}

/// Fails when: the pace is measured over less than a second.
#[test]
fn a_first_call_that_fails_at_once_hides_no_outage() {
    let service = Service::new([TripPolicy::adaptive().into()], SECOND);
    service.breaker.try_acquire().unwrap().failure();
    assert!(service.outage() <= 9);
}

/// Fails when: `Core::weigh` measures the traffic of an ended generation.
#[test]
fn a_late_failure_of_an_ended_generation_hides_no_outage() {
    let outage = |has_late_one: bool| {
        let service = Service::adaptive(TripPolicy::adaptive(), 100);
        service.each_nth_fails(100, 20_000);
        let late = service.breaker.try_acquire().unwrap();
        service.breaker.reset();
        service.each_nth_fails(1_000, 999);
        if has_late_one {
            late.failure();
        }
        service.outage()
    };
    assert_eq!(outage(true), outage(false));
}

/// Fails when: `View::weigh_overdue` weighs nothing, or weighs a call at each look.
#[test]
fn calls_that_hang_trip_it_before_they_come_back() {
    let service = Service::adaptive(TripPolicy::adaptive().slower_than(SECOND), 10);
    service.each_nth_fails(100, 20_000);
    let begin = |_| service.breaker.try_acquire_owned().unwrap();
    let mut hanging: Vec<_> = (0..4).map(begin).collect();
    service.hand.advance(SECOND + 10 * MILLI);
    service
        .breaker
        .try_acquire()
        .unwrap()
        .record(Outcome::Ignored);
    for _ in 0..100 {
        let permit = service.breaker.try_acquire().unwrap();
        permit.record(Outcome::Ignored);
    }
    assert!(
        !service.is_open(),
        "four are too few, however often they are seen"
    );
    hanging.push(service.breaker.try_acquire_owned().unwrap());
    service.hand.advance(SECOND + 10 * MILLI);
    assert!(service.breaker.try_acquire().is_err(), "five are enough");
    let causes = service.causes();
    let Some(Cause::Evidence {
        failures: 5,
        calls: 5,
        within,
        ..
    }) = causes.last()
    else {
        panic!("{causes:?}");
    };
    assert_eq!(*within, SECOND + 10 * MILLI, "four were seen before");
    drop(hanging);
}

#[test]
fn a_breaker_that_only_measures_never_trips() {
    let service = Service::adaptive(sensitive().slower_than(SECOND), 100);
    service.breaker.metrics_only();
    for _ in 0..10_000 {
        service.call(Outcome::Failure);
    }
    let hanging: Vec<_> = (0..100)
        .map(|_| service.breaker.try_acquire_owned())
        .collect();
    service.hand.advance(2 * SECOND);
    service.call(Outcome::Failure);
    assert_eq!(service.breaker.state(), State::MetricsOnly);
    drop(hanging);
}

#[test]
fn together_with_another_policy_whichever_is_first_trips() {
    let both = || {
        [
            sensitive().into(),
            TripPolicy::failure_rate(0.5).min_calls(10).into(),
        ]
    };
    let service = Service::new(both(), SECOND / 100);
    service.each_nth_fails(100, 20_000);
    service.outage();
    assert!(matches!(service.causes()[..], [Cause::Evidence { .. }]));
    // The share that one policy tolerates may still be too much for the other.
    let strict = [
        TripPolicy::adaptive().tolerate(0.9).into(),
        TripPolicy::failure_rate(0.5).min_calls(10).into(),
    ];
    let service = Service::new(strict, SECOND / 100);
    for call in 0..10 {
        service.call(failure_if(call % 2 == 1));
    }
    let causes = service.causes();
    assert!(
        matches!(
            causes[..],
            [Cause::FailureRate {
                failures: 5,
                calls: 10,
                ..
            }]
        ),
        "{causes:?}"
    );
}

/// Makes a mixture of outcomes that brings breakers to their limits, by `call`. Returns which calls
/// tripped, and why.
fn trips(service: &Service, call: impl Fn(u32, Outcome)) -> Vec<(u32, Cause)> {
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(2);
    let mut trips = Vec::new();
    for number in 0..5_000 {
        let share = if number % 1_000 < 900 { 0.02 } else { 0.4 };
        service.hand.advance(service.every);
        call(number, failure_if(dice.random_bool(share)));
        if service.reset_if_open() {
            trips.push((number, *service.causes().last().unwrap()));
        }
    }
    assert!(trips.len() > 3, "{trips:?}");
    trips
}

fn settle(service: &Service) -> impl Fn(u32, Outcome) {
    |_, outcome| {
        service.breaker.try_acquire().unwrap().record(outcome);
    }
}

/// Fails when: evidence is kept per thread.
#[test]
fn threads_that_take_turns_decide_as_one_does() {
    const THREADS: usize = 4;
    let service = || Service::adaptive(sensitive(), 100);
    let one = service();
    let expected = trips(&one, settle(&one));

    let shared = service();
    let found = std::thread::scope(|scope| {
        let (told, done) = mpsc::channel();
        let turns = [(); THREADS].map(|()| {
            let (turn, turns) = mpsc::channel();
            let (told, breaker) = (told.clone(), &shared.breaker);
            scope.spawn(move || {
                for outcome in turns {
                    breaker.try_acquire().unwrap().record(outcome);
                    told.send(()).unwrap();
                }
            });
            turn
        });
        trips(&shared, |number, outcome| {
            turns[number as usize % THREADS].send(outcome).unwrap();
            done.recv().unwrap();
        })
    });
    assert_eq!(found, expected);
}

#[test]
fn a_clock_that_began_long_ago_changes_nothing() {
    let policies = || [sensitive().into()];
    let early = Service::new(policies(), SECOND / 100);
    let late = Service::begun_at(123_456 * SECOND, policies(), SECOND / 100);
    assert_eq!(trips(&early, settle(&early)), trips(&late, settle(&late)));
}

/// Fails when: the traffic doesn't count, so a busy service trips on noise more often the more
/// calls it makes.
#[test]
fn a_total_outage_takes_more_failures_where_more_calls_come() {
    let failures = [1, 10, 100, 1_000, 10_000].map(|a_second| {
        let service = Service::adaptive(TripPolicy::adaptive(), a_second);
        service.each_nth_fails(100, 20_000);
        service.outage()
    });
    assert!(failures.is_sorted(), "{failures:?}");
    assert!(failures[0] >= 3 && failures[4] <= 12, "{failures:?}");
}

#[test]
fn the_rarer_a_false_trip_may_be_the_more_failures_it_takes() {
    let failures = [60, 86_400, 365 * 86_400].map(|budget| {
        let policy = sensitive().false_trip_budget(Duration::from_secs(budget));
        let service = Service::adaptive(policy, 100);
        service.each_nth_fails(100, 20_000);
        service.outage()
    });
    assert!(
        failures[0] < failures[1] && failures[1] < failures[2],
        "{failures:?}"
    );
}

/// There is no baseline yet, and the traffic is only estimated.
#[test]
fn a_dependency_that_is_down_from_the_first_call_on_trips_it_by_the_tenth_and_not_by_the_third() {
    for a_second in [1, 10, 100] {
        let failures = Service::adaptive(TripPolicy::adaptive(), a_second).outage();
        assert!(
            (4..=10).contains(&failures),
            "{failures} at {a_second} a second"
        );
    }
}

/// Fails when: an excursion outlasts its generation. Generations that are 2,048 apart share a
/// word's stamp.
#[test]
fn evidence_is_forgotten_whatever_the_number_of_state_changes() {
    for resets in [1, 2, 2_047, 2_048, 2_049, 4_096] {
        let service = Service::adaptive(sensitive(), 100);
        service.each_nth_fails(100, 20_000);
        let enough = service.outage();
        for _ in 1..enough {
            service.call(Outcome::Failure);
        }
        for _ in 0..resets {
            service.breaker.reset();
        }
        assert_eq!(service.outage(), enough, "after {resets} resets");
    }
}

#[test]
fn a_success_that_takes_too_long_weighs_as_much_as_a_failure() {
    let outage = |outcome: Outcome, took: Duration| {
        let service = Service::adaptive(sensitive().slower_than(SECOND), 100);
        service.each_nth_fails(100, 20_000);
        let mut calls = 0;
        while !service.is_open() {
            calls += 1;
            service.hand.advance(service.every);
            let permit = service.breaker.try_acquire().unwrap();
            permit.record(Report::from(outcome).took(took));
        }
        calls
    };
    let failures = outage(Outcome::Failure, MILLI);
    assert_eq!(outage(Outcome::Success, SECOND + MILLI), failures);
    assert_eq!(outage(Outcome::Failure, SECOND + MILLI), failures);
}

#[test]
fn calls_that_are_ignored_weigh_nothing() {
    let service = Service::adaptive(sensitive(), 100);
    service.each_nth_fails(100, 20_000);
    let enough = service.outage();
    for _ in 1..enough {
        service.call(Outcome::Failure);
        for _ in 0..100 {
            service
                .breaker
                .try_acquire()
                .unwrap()
                .record(Outcome::Ignored);
        }
    }
    assert!(!service.is_open());
    service.call(Outcome::Failure);
    assert!(service.is_open());
}

#[test]
fn the_reason_says_in_words_and_numbers_what_was_seen() {
    let service = Service::adaptive(TripPolicy::adaptive(), 100);
    service.each_nth_fails(100, 20_000);
    for _ in 0..2 {
        service.call(Outcome::Failure);
    }
    service.call(Outcome::Success);
    service.outage();
    let causes = service.causes();
    assert_eq!(
        causes.last().unwrap().to_string(),
        "8 of 9 calls failed in 80.0ms; usual rate 1.1 %; evidence 7.8 nats of 7.6 needed"
    );
}

/// The pace is measured over the window, and the baseline is learnt independently of it.
#[test]
fn how_long_the_window_is_matters_little() {
    let failures = [10, 60, 600].map(|seconds| {
        let window = tripcurve::window::Window::time(Duration::from_secs(seconds), 10);
        let (clock, hand) = Clock::mock();
        let breaker = CircuitBreaker::builder("adaptive")
            .clock(clock)
            .window(window)
            .trip_when(TripPolicy::adaptive())
            .build()
            .unwrap();
        let call = |outcome| {
            hand.advance(SECOND / 100);
            breaker.try_acquire().unwrap().record(outcome);
        };
        for nth in 0..100_000 {
            call(failure_if(nth % 100 == 50));
        }
        let fails = |_: &u32| {
            call(Outcome::Failure);
            breaker.state() == State::Open
        };
        (1..100).find(fails)
    });
    assert_eq!(failures[0], failures[1]);
    assert_eq!(failures[1], failures[2]);
}
