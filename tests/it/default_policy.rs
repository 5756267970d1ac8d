//! What a builder without a policy means, and what the classic pair means.

use std::time::Duration;

use tripcurve::persist::Reconfigured;
use tripcurve::time::{Clock, MockClock};
use tripcurve::window::Window;
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, Recovery, State, TripPolicy};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

type Settings = fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder;

/// The pair by hand, for windows of at least `min_calls` calls.
fn pair(builder: CircuitBreakerBuilder, min_calls: u32) -> CircuitBreakerBuilder {
    builder
        .trip_when(TripPolicy::consecutive_failures(5))
        .trip_when(TripPolicy::failure_rate(0.5).min_calls(min_calls))
}

fn built(settings: Settings) -> (CircuitBreaker, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("payments").clock(clock);
    (settings(builder).build().unwrap(), hand)
}

/// Makes the same calls with both breakers, through some outages. Both must be equal after each.
///
/// Returns the number of trips.
fn compare(one: Settings, other: Settings) -> usize {
    let both = [built(one), built(other)];
    let mut luck = 1_u64;
    let mut trips = 0;
    for call in 0..10_000_u64 {
        // xorshift64
        luck ^= luck << 13;
        luck ^= luck >> 7;
        luck ^= luck << 17;
        let failing = match call / 1_000 % 5 {
            1 => 100,
            3 => 60,
            _ => 2,
        };
        let fails = luck % 100 < failing;
        let before = both[0].0.state();
        let seen = both.each_ref().map(|(breaker, hand)| {
            hand.advance(5 * MILLI);
            let let_through = breaker.try_acquire().map(|permit| {
                permit.record(if fails {
                    Outcome::Failure
                } else {
                    Outcome::Success
                })
            });
            (format!("{let_through:?}"), breaker.snapshot().to_string())
        });
        assert_eq!(seen[0], seen[1], "call {call}");
        let after = both[0].0.state();
        trips += usize::from(before == State::Closed && after == State::Open);
    }
    assert!(trips > 1, "{trips}");
    trips
}

/// Fails when: a builder without a policy trips or recovers in another way than the adaptive ones.
#[test]
fn without_a_policy_a_breaker_is_adaptive_call_by_call() {
    compare(
        |builder| builder,
        |builder| {
            builder
                .trip_when(TripPolicy::adaptive())
                .recovery(Recovery::adaptive())
        },
    );
}

/// Fails when: the classic pair isn't five failures in a row, or half of at least ten calls.
#[test]
fn the_classic_pair_equals_the_two_policies_call_by_call() {
    let classic: Settings = |builder| builder.trip_when(TripPolicy::classic());
    compare(classic, |builder| pair(builder, 10));
    compare(classic, |builder| {
        pair(builder, 10).recovery(Recovery::probes(3))
    });
}

#[test]
fn a_window_by_count_has_the_classic_pair_without_a_policy() {
    compare(
        |builder| builder.window(Window::count(100)),
        |builder| pair(builder, 10).window(Window::count(100)),
    );
    compare(
        |builder| builder.window(Window::count(100).within(SECOND)),
        |builder| {
            let window = Window::count(100).within(SECOND);
            builder.trip_when(TripPolicy::classic()).window(window)
        },
    );
}

/// Fails when: the pair's smallest number of calls depends on the order of the settings.
#[test]
fn the_classic_pair_fits_a_window_of_five_calls_in_any_order() {
    let by_hand: Settings = |builder| pair(builder, 5).window(Window::count(5));
    compare(
        |builder| {
            let builder = builder.window(Window::count(5));
            builder.trip_when(TripPolicy::classic())
        },
        by_hand,
    );
    compare(
        |builder| {
            let builder = builder.trip_when(TripPolicy::classic());
            builder.window(Window::count(5))
        },
        by_hand,
    );
    compare(|builder| builder.window(Window::count(5)), by_hand);
}

#[test]
fn the_classic_pair_stands_beside_other_policies() {
    let (breaker, _hand) = built(|builder| {
        builder
            .trip_when(TripPolicy::adaptive())
            .trip_when(TripPolicy::classic())
    });
    for _ in 0..5 {
        breaker.try_acquire().unwrap().failure();
    }
    assert_eq!(breaker.state(), State::Open);
}

/// The pair counts as two of the policies that a breaker may have.
#[test]
fn sixty_four_policies_may_contain_the_classic_pair() {
    let with = |others: u32| {
        let builder = CircuitBreaker::builder("payments").trip_when(TripPolicy::classic());
        (0..others).fold(builder, |builder, _| {
            builder.trip_when(TripPolicy::consecutive_failures(9))
        })
    };
    assert_eq!(with(62).validate(), Ok(()));
    let error = with(63).validate().unwrap_err();
    assert_eq!((&*error.setting, &*error.value), ("trip_when", "65"));
}

/// An error after the pair names the policy's place among those that the user gave.
#[test]
fn an_error_counts_the_classic_pair_as_one() {
    let error = CircuitBreaker::builder("payments")
        .trip_when(TripPolicy::classic())
        .trip_when(TripPolicy::failure_rate(2.0))
        .build()
        .unwrap_err();
    assert_eq!(error.policy, Some(1));
}

fn fail(breaker: &CircuitBreaker, calls: u32) {
    for _ in 0..calls {
        if let Ok(permit) = breaker.try_acquire() {
            permit.failure();
        }
    }
}

/// Fails when: a reconfiguration without a policy keeps the classic pair, or the reverse.
#[test]
fn a_reconfiguration_moves_between_the_default_and_the_classic_pair() {
    let (breaker, hand) = built(|builder| builder.trip_when(TripPolicy::classic()));
    fail(&breaker, 4);
    let reconfigured = breaker.reconfigure(CircuitBreaker::builder("payments"));
    assert_eq!(reconfigured, Ok(Reconfigured::WindowKept));
    fail(&breaker, 1);
    // Evidence begins with the reconfiguration, so the fifth failure isn't enough.
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(breaker.snapshot().failures(), 5);
    for call in 0.. {
        assert!(call < 20, "{breaker:?}");
        hand.advance(10 * MILLI);
        fail(&breaker, 1);
        if breaker.state() == State::Open {
            break;
        }
    }

    let same = breaker.reconfigure(
        CircuitBreaker::builder("payments")
            .trip_when(TripPolicy::adaptive())
            .recovery(Recovery::adaptive()),
    );
    assert_eq!(same, Ok(Reconfigured::Unchanged));

    breaker.reset();
    fail(&breaker, 4);
    let classic = CircuitBreaker::builder("payments").trip_when(TripPolicy::classic());
    let reconfigured = breaker.reconfigure(classic);
    assert_eq!(reconfigured, Ok(Reconfigured::WindowKept));
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
}

/// Another window changes the default policy with it.
#[test]
fn a_reconfiguration_to_a_window_by_count_brings_the_classic_pair() {
    let (breaker, _hand) = built(|builder| builder);
    let by_count = CircuitBreaker::builder("payments").window(Window::count(20));
    breaker.reconfigure(by_count).unwrap();
    fail(&breaker, 4);
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
}

/// Fails when: a state that was saved under one default can't be restored under the other.
#[cfg(feature = "serde")]
#[test]
fn a_state_is_restored_under_the_other_policies() {
    use tripcurve::persist::SavedState;

    let settings: [Settings; 2] = [
        |builder| builder,
        |builder| builder.trip_when(TripPolicy::classic()),
    ];
    for (saves, restores) in [(0, 1), (1, 0)] {
        for fails in [3, 40] {
            let (before, hand) = built(settings[saves]);
            for _ in 0..fails {
                hand.advance(10 * MILLI);
                fail(&before, 1);
            }
            let saved = serde_json::to_string(&before.save()).unwrap();
            let saved: SavedState = serde_json::from_str(&saved).unwrap();

            let (clock, hand) = Clock::mock();
            hand.set_system_time(saved.saved_at());
            let builder = CircuitBreaker::builder("payments").clock(clock);
            let after = settings[restores](builder).restore(saved).build().unwrap();
            assert_eq!(after.state(), before.state());
            let [was, is] = [&before, &after].map(CircuitBreaker::snapshot);
            assert_eq!(is.failures(), was.failures());
            assert_eq!(
                is.remaining_open().is_some(),
                was.remaining_open().is_some()
            );

            // Under either policies it recovers.
            for _ in 0..4_000 {
                hand.advance(10 * MILLI);
                if let Ok(permit) = after.try_acquire() {
                    permit.success();
                }
            }
            assert_eq!(after.state(), State::Closed);
        }
    }
}
