//! The adaptive policy keeps its false trip budget: it bounds how often the policy trips on healthy
//! calls.

use std::time::Duration;

use crate::effort;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use tripcurve::time::Clock;
use tripcurve::{CircuitBreaker, State, TripPolicy};

/// The mean time between two false trips, in budgets, of a breaker whose calls fail at random.
fn budgets_between_trips(share: f64, a_second: u32, budget: Duration, tolerate: f64) -> f64 {
    let (clock, hand) = Clock::mock();
    let breaker = CircuitBreaker::builder("budget")
        .trip_when(
            TripPolicy::adaptive()
                .tolerate(tolerate)
                .false_trip_budget(budget),
        )
        .clock(clock.clone())
        .build()
        .unwrap();
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(7);
    let mut call = || {
        hand.advance(Duration::from_secs(1) / a_second);
        let permit = breaker.try_acquire().unwrap();
        if dice.random_bool(share) {
            permit.failure();
        } else {
            permit.success();
        }
        let trips = breaker.state() == State::Open;
        if trips {
            breaker.reset();
        }
        trips
    };
    // The baseline is learnt first.
    for _ in 0..200_000 {
        call();
    }
    let began = clock.now();
    let trips = (0..800_000).filter(|_| call()).count();
    let passed = clock.now().saturating_sub(began).as_secs_f64();
    passed / budget.as_secs_f64() / f64::from(u32::try_from(trips.max(1)).unwrap())
}

/// The trips aren't much rarer than allowed, either. Otherwise the policy would waste evidence.
///
/// Fails when: `Evidence::SLACK` is 3.0 or −1.0; the baseline isn't learnt.
#[test]
fn healthy_traffic_trips_about_as_seldom_as_the_budget_says() {
    let cases = [
        (0.01, 10, 5),
        (0.02, 100, 2),
        (0.05, 10, 5),
        (0.05, 100, 2),
        (0.1, 10, 5),
    ];
    let some = effort::share_of(5).max(2) as usize;
    for (share, a_second, minutes) in cases.into_iter().take(some) {
        let budget = Duration::from_secs(60 * minutes);
        let budgets = budgets_between_trips(share, a_second, budget, 0.0);
        println!("{share} failing, {a_second} a second, {budget:?}: {budgets:.2} budgets");
        assert!(
            (1.0..30.0).contains(&budgets),
            "{share} failing, {a_second} a second: {budgets} budgets"
        );
    }
}
