//! Open times that grow with each failed recovery, step by step.

use std::time::Duration;

use tripcurve::recovery::{Backoff, Jitter};
use tripcurve::time::{Clock, MockClock};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, Recovery, State};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Open times of 1, 2, 4, 8 and then 10 seconds.
fn doubling() -> Backoff {
    Backoff::exponential(SECOND, 2.0, 10 * SECOND).jitter(Jitter::None)
}

fn built(
    settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) -> (CircuitBreaker, MockClock) {
    built_by(|builder| settings(builder.probes(1)))
}

/// A breaker with a recovery that the test chooses.
fn built_by(
    settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) -> (CircuitBreaker, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("backoff").clock(clock);
    (settings(builder).build().unwrap(), hand)
}

fn trip(breaker: &CircuitBreaker) {
    breaker.try_acquire().unwrap().record(Outcome::Trip);
}

/// How many seconds the breaker stays open from now on, rounded down.
fn open_for(breaker: &CircuitBreaker) -> u64 {
    breaker.snapshot().remaining_open().unwrap().as_secs()
}

/// Advances the clock past the open time.
fn wait(breaker: &CircuitBreaker, hand: &MockClock) {
    hand.advance(breaker.snapshot().remaining_open().unwrap());
}

/// A breaker whose third recovery has just succeeded.
fn recovered(backoff: Backoff) -> (CircuitBreaker, MockClock) {
    let (breaker, hand) = built(|builder| builder.backoff(backoff));
    for _ in 0..3 {
        trip(&breaker);
        wait(&breaker, &hand);
    }
    breaker.try_acquire().unwrap().success();
    (breaker, hand)
}

#[test]
fn each_failed_recovery_doubles_the_open_time_up_to_the_longest() {
    let (breaker, hand) = built(|builder| builder.backoff(doubling()));
    for expected in [1, 2, 4, 8, 10, 10] {
        trip(&breaker);
        assert_eq!(open_for(&breaker), expected);
        wait(&breaker, &hand);
    }
}

#[test]
fn a_trip_soon_after_the_recovery_goes_on_where_it_was() {
    let (breaker, hand) = recovered(doubling());
    hand.advance(999 * MILLI);
    trip(&breaker);
    assert_eq!(open_for(&breaker), 8);
}

#[test]
fn after_a_stretch_of_health_as_long_as_the_first_open_time_it_begins_anew() {
    let (breaker, hand) = recovered(doubling());
    hand.advance(SECOND + MILLI);
    trip(&breaker);
    assert_eq!(open_for(&breaker), 1);
}

#[test]
fn the_stretch_of_health_can_be_chosen() {
    let (breaker, hand) = recovered(doubling().healthy_after(3 * SECOND));
    hand.advance(2 * SECOND);
    trip(&breaker);
    assert_eq!(open_for(&breaker), 8);
    let (breaker, hand) = recovered(doubling().healthy_after(3 * SECOND));
    hand.advance(3 * SECOND);
    trip(&breaker);
    assert_eq!(open_for(&breaker), 1);
    let (breaker, hand) = recovered(doubling().healthy_after(Duration::MAX));
    hand.advance(3_600 * SECOND);
    trip(&breaker);
    assert_eq!(open_for(&breaker), 8);
}

#[test]
fn probes_that_are_overdue_are_no_failed_recovery() {
    let (breaker, hand) = built(|builder| builder.backoff(doubling()).probe_timeout(SECOND));
    trip(&breaker);
    wait(&breaker, &hand);
    let _hangs = breaker.try_acquire().unwrap();
    hand.advance(SECOND);
    trip(&breaker);
    assert_eq!(open_for(&breaker), 2);
}

#[test]
fn a_reset_begins_anew() {
    let (breaker, _hand) = recovered(doubling());
    breaker.reset();
    trip(&breaker);
    assert_eq!(open_for(&breaker), 1);
}

#[test]
fn a_trip_by_hand_lasts_as_it_says_and_what_follows_grows_from_the_base() {
    let (breaker, hand) = recovered(doubling());
    breaker.trip(5 * SECOND);
    assert_eq!(open_for(&breaker), 5);
    wait(&breaker, &hand);
    trip(&breaker);
    assert_eq!(open_for(&breaker), 2);
}

#[test]
fn a_breaker_that_starts_open_has_opened_once() {
    let (breaker, hand) = built(|builder| builder.backoff(doubling()).start_in(State::Open));
    assert_eq!(open_for(&breaker), 1);
    wait(&breaker, &hand);
    trip(&breaker);
    assert_eq!(open_for(&breaker), 2);
}

#[test]
fn an_adaptive_recovery_can_wait_by_it_and_lets_the_traffic_back_as_before() {
    let recovery = Recovery::adaptive().backoff(doubling());
    let (breaker, hand) = built_by(|builder| builder.recovery(recovery));
    for expected in [1, 2, 4] {
        trip(&breaker);
        assert_eq!(open_for(&breaker), expected);
        wait(&breaker, &hand);
    }
    breaker.try_acquire().unwrap().success();
    assert!(breaker.snapshot().admitted_share().is_some());
    let permit = (0..100).find_map(|_| breaker.try_acquire().ok());
    permit.unwrap().record(Outcome::Trip);
    assert_eq!(
        open_for(&breaker),
        8,
        "a ramp that fails is a failed recovery"
    );
}

#[test]
fn breakers_with_different_names_do_not_probe_in_step_and_can_be_simulated() {
    let times = |jitter| {
        let first = |name: u32| {
            let (clock, _hand) = Clock::mock();
            let breaker = CircuitBreaker::builder(name.to_string())
                .backoff(doubling().jitter(jitter))
                .clock(clock)
                .build()
                .unwrap();
            trip(&breaker);
            breaker.snapshot().remaining_open().unwrap()
        };
        let mut times: Vec<_> = (0..100).map(first).collect();
        assert_eq!(times, (0..100).map(first).collect::<Vec<_>>());
        times.sort_unstable();
        (times[0], times[99])
    };
    let (least, most) = times(Jitter::Full);
    assert!(
        least < 100 * MILLI && most > 900 * MILLI,
        "{least:?} {most:?}"
    );
    let (least, most) = times(Jitter::Equal);
    assert!(least >= 500 * MILLI && least < 600 * MILLI && most > 900 * MILLI);
    let (least, most) = times(Jitter::Decorrelated);
    assert!(least >= SECOND && least < 1_100 * MILLI && most > 1_900 * MILLI);
}

#[test]
fn a_backoff_that_makes_no_sense_is_refused() {
    let year = Duration::from_secs(365 * 86_400);
    let refused = |backoff: Backoff| {
        let builder = CircuitBreaker::builder("nonsense").backoff(backoff);
        builder.build().unwrap_err().to_string()
    };
    for (backoff, expected) in [
        (
            Backoff::exponential(Duration::ZERO, 2.0, SECOND),
            "backoff.base: 0ns is not in 1ms..=365 days; 5 s suit most services",
        ),
        (
            Backoff::exponential(SECOND, 0.5, SECOND),
            "backoff.factor: 0.5 is not in 1..=100; 2 suits most services, 3 with decorrelated jitter",
        ),
        (
            Backoff::exponential(SECOND, f64::NAN, SECOND),
            "backoff.factor: NaN is not in 1..=100; 2 suits most services, 3 with decorrelated jitter",
        ),
        (
            Backoff::exponential(2 * SECOND, 2.0, SECOND),
            "backoff.longest: 1s is not in 2s..=365 days; choose how long users may wait for a \
             dependency that works again",
        ),
        (
            Backoff::exponential(SECOND, 2.0, 2 * year),
            "backoff.longest: 63072000s is not in 1s..=365 days; choose how long users may wait for \
             a dependency that works again",
        ),
        (
            doubling().healthy_after(Duration::ZERO),
            "backoff.healthy_after: 0ns is not at least 1ms; leave it out for as long as the first \
             open time; Duration::MAX means never",
        ),
    ] {
        assert_eq!(refused(backoff), expected);
    }
    let most = Backoff::exponential(year, 100.0, year).healthy_after(Duration::MAX);
    for backoff in [most, Backoff::exponential(MILLI, 1.0, MILLI)] {
        assert!(
            CircuitBreaker::builder("sense")
                .backoff(backoff)
                .build()
                .is_ok()
        );
    }
}

#[test]
fn a_year_and_the_end_of_the_clock_do_no_harm() {
    let year = Duration::from_secs(365 * 86_400);
    for jitter in [
        Jitter::None,
        Jitter::Full,
        Jitter::Equal,
        Jitter::Decorrelated,
    ] {
        let backoff = Backoff::exponential(year, 100.0, year).jitter(jitter);
        let (breaker, hand) = built(|builder| builder.backoff(backoff));
        for _ in 0..30 {
            trip(&breaker);
            hand.advance(year + 2 * MILLI);
        }
    }
}

#[test]
fn open_times_can_be_computed_from_the_number_of_failed_recoveries() {
    let times = Backoff::computed(|failed| Duration::from_secs(10 + u64::from(failed)));
    let (breaker, hand) = built(|builder| builder.backoff(times));
    for seconds in 10..14 {
        trip(&breaker);
        assert_eq!(breaker.snapshot().remaining_open(), Some(seconds * SECOND));
        hand.advance(seconds * SECOND);
    }
}

#[test]
fn a_computed_open_time_out_of_range_is_cut_and_a_panic_gives_the_first_one() {
    let times = Backoff::computed(|failed| match failed {
        0 => Duration::from_secs(7),
        1 => Duration::ZERO,
        2 => panic!("no third time"),
        _ => Duration::MAX,
    });
    let (breaker, hand) = built(|builder| builder.backoff(times));
    let year = Duration::from_secs(365 * 86_400);
    for expected in [7 * SECOND, MILLI, 7 * SECOND, year] {
        trip(&breaker);
        assert_eq!(breaker.snapshot().remaining_open(), Some(expected));
        hand.advance(expected);
    }
}

#[test]
fn a_first_computed_open_time_out_of_range_is_refused() {
    for compute in [|_| Duration::ZERO, |_| Duration::MAX] {
        let builder = CircuitBreaker::builder("sense").backoff(Backoff::computed(compute));
        assert_eq!(builder.build().unwrap_err().setting, "backoff.computed");
    }
    let times = Backoff::computed(|_| SECOND).jitter(Jitter::Decorrelated);
    let builder = CircuitBreaker::builder("sense").backoff(times);
    assert_eq!(builder.build().unwrap_err().setting, "backoff.jitter");
}
