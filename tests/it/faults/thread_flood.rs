//! Threads that make one call and end.

use super::*;
use tripcurve::TripPolicy;
use tripcurve::window::Window;

fn flood(threads: u32) {
    const AT_ONCE: u32 = 50;
    let (breaker, hand) = breaker(|builder| {
        builder
            .window(Window::time(60 * SECOND, 1))
            .trip_when(TripPolicy::failure_rate(0.5).min_calls(threads + 1))
    });
    for _ in 0..threads / AT_ONCE {
        std::thread::scope(|scope| {
            for thread in 0..AT_ONCE {
                let breaker = &breaker;
                scope.spawn(move || {
                    let permit = breaker.try_acquire().unwrap();
                    match thread % 2 {
                        0 => permit.success(),
                        _ => permit.failure(),
                    }
                });
            }
        });
    }
    let snapshot = breaker.snapshot();
    let counts = (snapshot.successes(), snapshot.failures());
    assert_eq!(counts, (u64::from(threads / 2), u64::from(threads / 2)));
    // The counts of threads that ended are judged with those of this one.
    breaker.try_acquire().unwrap().failure();
    assert_eq!(breaker.state(), State::Open);
    hand.advance(HOUR);
    breaker.try_acquire().unwrap().success();
}

#[test]
fn the_calls_of_threads_that_ended_are_counted_and_judged() {
    flood(1_000);
}

#[test]
#[ignore = "some seconds: cargo test --release --all-features --test it -- faults --ignored"]
fn the_calls_of_ten_thousand_threads_that_ended_are_counted_and_judged() {
    flood(10_000);
}
