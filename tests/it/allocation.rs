//! No call allocates, whatever its result. There are two exceptions: a breaker's window grows once,
//! and then each thread gets its own histograms once.
//!
//! The crate `allocation-counter` is this program's allocator. It counts per thread.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tripcurve::name::Name;
use tripcurve::outcome::Report;
use tripcurve::time::{Clock, MockClock};
use tripcurve::window::{Recording, Window};
use tripcurve::{CallError, CircuitBreaker, CircuitBreakerBuilder, Outcome, State, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);

/// The last transition that the listener of a test breaker has heard.
static TOLD: AtomicU64 = AtomicU64::new(0);

/// The settings by which a breaker measures durations.
fn timings() -> [fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder; 3] {
    [
        |builder| builder,
        |builder| builder.latency(Recording::Combined),
        |builder| {
            let policy = TripPolicy::slow_rate(0.9).slower_than(SECOND).min_calls(3);
            builder.trip_when(policy).latency(Recording::ByOutcome)
        },
    ]
}

/// Breakers of each kind, with and without a listener, on the mock clock and on the real one.
fn breakers() -> Vec<(String, CircuitBreaker, Option<MockClock>)> {
    let windows: [Window; 3] = [
        Window::default(),
        Window::count(100).into(),
        Window::count(100).within(60 * SECOND).into(),
    ];
    let mut breakers = Vec::new();
    for window in windows {
        for timing in timings() {
            for listens in [false, true] {
                for name in [Name::from("literal"), String::from("shared").into()] {
                    for mock in [false, true] {
                        let mut builder = timing(CircuitBreaker::builder(name.clone()))
                            .window(window.clone())
                            .trip_when(TripPolicy::consecutive_failures(3))
                            .trip_when(TripPolicy::failure_rate(0.9).min_calls(50))
                            .probes(2);
                        let what = format!("{builder:?}, listens: {listens}, mock: {mock}");
                        if listens {
                            builder = builder.on_transition(|transition| {
                                TOLD.fetch_max(transition.generation(), Ordering::Relaxed);
                            });
                        }
                        let mut hand = None;
                        if mock {
                            let (clock, its_hand) = Clock::mock();
                            builder = builder.clock(clock);
                            hand = Some(its_hand);
                        }
                        breakers.push((what, builder.build().unwrap(), hand));
                    }
                }
            }
        }
    }
    breakers.extend(reconfigured_breakers());
    breakers
}

/// Breakers after a reconfiguration: with the same window, and with another one.
fn reconfigured_breakers() -> Vec<(String, CircuitBreaker, Option<MockClock>)> {
    let windows = [
        Window::default(),
        Window::time(30 * SECOND, 5),
        Window::count(100).into(),
    ];
    let mut breakers = Vec::new();
    for window in windows {
        for timing in timings() {
            let (clock, hand) = Clock::mock();
            let settings = |window, limit| {
                timing(CircuitBreaker::builder("reconfigured"))
                    .window(window)
                    .trip_when(TripPolicy::consecutive_failures(limit))
                    .probes(2)
            };
            let breaker = settings(Window::default(), 9).clock(clock).build().unwrap();
            let what = breaker.reconfigure(settings(window.clone(), 3)).unwrap();
            // `arc-swap` allocates once per thread, when the thread first reads such a
            // configuration.
            drop(breaker.try_acquire().unwrap());
            breaker.reset();
            breakers.push((format!("{what}: {window:?}"), breaker, Some(hand)));
        }
    }
    breakers
}

/// Runs `call` on each breaker in the state that `prepare` gives it, and counts its allocations.
/// The first call on a thread counts, too.
fn allocates_nothing<T>(
    prepare: impl Fn(&CircuitBreaker, Option<&MockClock>),
    call: impl Fn(&CircuitBreaker) -> T,
    after: impl Fn(&CircuitBreaker, T),
) {
    for (what, breaker, hand) in breakers() {
        for round in 0..3 {
            prepare(&breaker, hand.as_ref());
            let mut result = None;
            let allocations = allocation_counter::measure(|| result = Some(call(&breaker)));
            assert_eq!(allocations.count_total, 0, "{what}, round {round}");
            assert_eq!(allocations.bytes_current, 0, "{what}, round {round}");
            after(&breaker, result.unwrap());
        }
    }
}

fn close(breaker: &CircuitBreaker, _hand: Option<&MockClock>) {
    breaker.reset();
}

/// Brings the breaker one failure before a trip.
fn almost_trip(breaker: &CircuitBreaker, _hand: Option<&MockClock>) {
    breaker.reset();
    for _ in 0..2 {
        breaker.try_acquire().unwrap().failure();
    }
}

fn open(breaker: &CircuitBreaker, _hand: Option<&MockClock>) {
    breaker.trip(SECOND);
}

/// Makes the next call a probe.
fn let_it_try(breaker: &CircuitBreaker, hand: Option<&MockClock>) {
    if let Some(hand) = hand {
        breaker.trip(SECOND);
        hand.advance(2 * SECOND);
    } else {
        breaker.trip(Duration::ZERO);
        assert_eq!(breaker.snapshot().remaining_open(), Some(Duration::ZERO));
    }
}

/// Makes the next success close the breaker.
fn almost_close(breaker: &CircuitBreaker, hand: Option<&MockClock>) {
    let_it_try(breaker, hand);
    breaker.try_acquire().unwrap().success();
}

fn success(breaker: &CircuitBreaker) -> Result<u8, CallError<u8>> {
    breaker.call(|| Ok(1))
}

fn failure(breaker: &CircuitBreaker) -> Result<u8, CallError<u8>> {
    breaker.call(|| Err(1))
}

#[test]
fn allocations_are_seen() {
    let allocations = allocation_counter::measure(|| drop(std::hint::black_box(Box::new(1_u8))));
    assert_eq!(allocations.count_total, 1);
}

#[test]
fn a_call_that_succeeds_allocates_nothing() {
    allocates_nothing(close, success, |breaker, result| {
        assert_eq!(result, Ok(1));
        assert_eq!(breaker.snapshot().successes(), 1);
    });
}

#[test]
fn a_call_that_fails_allocates_nothing() {
    allocates_nothing(close, failure, |breaker, result| {
        assert_eq!(result, Err(CallError::Inner(1)));
        assert_eq!(breaker.snapshot().failures(), 1);
    });
}

#[test]
fn a_call_that_trips_and_is_told_to_listeners_allocates_nothing() {
    allocates_nothing(almost_trip, failure, |breaker, _| {
        assert_eq!(breaker.state(), State::Open);
    });
    assert!(TOLD.load(Ordering::Relaxed) > 0);
}

#[test]
fn a_call_that_is_rejected_allocates_nothing() {
    allocates_nothing(open, success, |breaker, result| {
        assert!(result.unwrap_err().rejected().is_some());
        assert_eq!(breaker.state(), State::Open);
    });
}

#[test]
fn a_probe_allocates_nothing() {
    allocates_nothing(let_it_try, success, |breaker, result| {
        assert_eq!(result, Ok(1));
        assert_eq!(breaker.state(), State::HalfOpen);
    });
    allocates_nothing(let_it_try, failure, |breaker, _| {
        assert_eq!(breaker.state(), State::Open);
    });
}

#[test]
fn a_probe_that_closes_allocates_nothing() {
    allocates_nothing(almost_close, success, |breaker, _| {
        assert_eq!(breaker.state(), State::Closed);
    });
}

#[test]
fn a_permit_allocates_nothing() {
    let outcomes = [
        Outcome::Success,
        Outcome::Failure,
        Outcome::Ignored,
        Outcome::TimedOut,
        Outcome::Trip,
    ];
    for outcome in outcomes {
        let borrowed = |breaker: &CircuitBreaker| breaker.try_acquire().unwrap().record(outcome);
        allocates_nothing(close, borrowed, |_, _| {});
        let owned = |breaker: &CircuitBreaker| breaker.try_acquire_owned().unwrap().record(outcome);
        allocates_nothing(close, owned, |_, _| {});
    }
    let cancelled = |breaker: &CircuitBreaker| drop(breaker.try_acquire().unwrap());
    allocates_nothing(close, cancelled, |breaker, ()| {
        assert_eq!(breaker.snapshot().ignored(), 1);
    });
    let rejected = |breaker: &CircuitBreaker| breaker.try_acquire().is_err();
    allocates_nothing(open, rejected, |_, rejected| assert!(rejected));
}

#[test]
fn an_asynchronous_call_allocates_nothing() {
    fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }
    let success = |breaker: &CircuitBreaker| poll(breaker.call_async(async || Ok::<_, ()>(1)));
    allocates_nothing(close, success, |_, result| {
        assert_eq!(result, Poll::Ready(Ok(1)));
    });
    let failure = |breaker: &CircuitBreaker| poll(breaker.call_async(async || Err::<(), _>(1)));
    allocates_nothing(almost_trip, failure, |breaker, _| {
        assert_eq!(breaker.state(), State::Open);
    });
    let cancelled =
        |breaker: &CircuitBreaker| poll(breaker.call_async(std::future::pending::<Result<(), ()>>));
    allocates_nothing(close, cancelled, |breaker, result| {
        assert!(result.is_pending());
        assert_eq!(breaker.snapshot().ignored(), 1);
    });
}

#[test]
fn a_call_that_is_slow_allocates_nothing() {
    let slow = |breaker: &CircuitBreaker| {
        let permit = breaker.try_acquire().unwrap();
        permit.record(Report::success().took(2 * SECOND));
    };
    allocates_nothing(close, slow, |breaker, ()| {
        assert_eq!(breaker.snapshot().successes(), 1);
    });
    let almost_slow = |breaker: &CircuitBreaker, _: Option<&MockClock>| {
        breaker.reset();
        slow(breaker);
        slow(breaker);
    };
    allocates_nothing(almost_slow, slow, |breaker, ()| {
        let has_limit = breaker.snapshot().latency_of_failures().is_some();
        assert_eq!(breaker.state() == State::Open, has_limit);
    });
    allocates_nothing(let_it_try, slow, |_, ()| {});
}

#[test]
fn a_call_that_finds_others_overdue_allocates_nothing() {
    let timing = timings()[2];
    for window in [Window::default(), Window::count(100).into()] {
        let (clock, hand) = Clock::mock();
        let builder = timing(CircuitBreaker::builder("overdue")).clock(clock);
        let breaker = builder.window(window).build().unwrap();
        for hanging in [2, 3] {
            breaker.reset();
            for _ in 0..hanging {
                std::mem::forget(breaker.try_acquire());
            }
            hand.advance(2 * SECOND);
            let allocations = allocation_counter::measure(|| drop(breaker.try_acquire()));
            assert_eq!(allocations.count_total, 0, "{hanging} overdue");
            assert_eq!(breaker.state() == State::Open, hanging == 3);
        }
    }
}

#[test]
fn a_call_with_which_percentiles_are_judged_allocates_nothing() {
    let (clock, hand) = Clock::mock();
    let breaker = CircuitBreaker::builder("percentiles")
        .trip_when(TripPolicy::slower_than_usual(4.0).min_calls(1))
        .trip_when(TripPolicy::latency_percentile(99.0).above(SECOND))
        .clock(clock)
        .build()
        .unwrap();
    for call in 0..200 {
        hand.advance(SECOND);
        let permit = breaker.try_acquire().unwrap();
        let took = if call < 198 { SECOND } else { 2 * SECOND };
        let record = || {
            permit.record(Report::success().took(took));
        };
        assert_eq!(allocation_counter::measure(record).count_total, 0);
        assert_eq!(breaker.state(), State::Closed);
    }
}

/// Fails when: a verdict is boxed.
#[test]
fn a_call_that_is_weighed_allocates_nothing() {
    let policy = || TripPolicy::adaptive().tolerate(0.25);
    for policy in [policy(), policy().slower_than(SECOND)] {
        let (clock, hand) = Clock::mock();
        let breaker = CircuitBreaker::builder("evidence")
            .trip_when(policy)
            .on_transition(|transition| {
                TOLD.fetch_max(transition.generation(), Ordering::Relaxed);
            })
            .shards(1)
            .clock(clock)
            .build()
            .unwrap();
        let calls = |outcome, calls| {
            for _ in 0..calls {
                hand.advance(SECOND / 100);
                breaker.try_acquire().unwrap().record(outcome);
            }
        };
        // Who first tells listeners on a thread allocates once in the thread's life.
        breaker.trip(SECOND);
        breaker.reset();
        // Excursions begin, go on, end and are learnt. Then one trips, twice.
        let allocations = allocation_counter::measure(|| {
            for _ in 0..200 {
                calls(Outcome::Failure, 2);
                calls(Outcome::Success, 5);
                calls(Outcome::Failure, 1);
                calls(Outcome::Ignored, 1);
                calls(Outcome::Success, 100);
            }
            assert_eq!(breaker.state(), State::Closed);
            for _ in 0..2 {
                while breaker.state() == State::Closed {
                    calls(Outcome::Failure, 1);
                }
                breaker.reset();
            }
        });
        assert_eq!(allocations.count_total, 0);
        assert_eq!(breaker.snapshot().generation(), 6);
    }
}

#[test]
fn calls_that_hang_and_are_found_to_be_evidence_allocate_nothing() {
    let (clock, hand) = Clock::mock();
    let breaker = CircuitBreaker::builder("evidence")
        .trip_when(TripPolicy::adaptive().slower_than(SECOND))
        .clock(clock)
        .build()
        .unwrap();
    for _ in 0..50 {
        std::mem::forget(breaker.try_acquire());
    }
    hand.advance(2 * SECOND);
    let allocations = allocation_counter::measure(|| drop(breaker.try_acquire()));
    assert_eq!(allocations.count_total, 0);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_snapshot_and_a_command_allocate_nothing() {
    for (what, breaker, _hand) in breakers() {
        success(&breaker).unwrap();
        let mut snapshot = breaker.snapshot();
        let again = || breaker.snapshot_into(&mut snapshot);
        let allocations = allocation_counter::measure(again);
        assert_eq!(allocations.count_total, 0, "{what}");
        if snapshot.latency().is_none() {
            let allocations = allocation_counter::measure(|| drop(breaker.snapshot()));
            assert_eq!(allocations.count_total, 0, "{what}");
        }
    }
    let commands = |breaker: &CircuitBreaker| {
        breaker.trip(SECOND);
        breaker.force_open();
        breaker.disable();
        breaker.metrics_only();
        breaker.reset();
    };
    // The first `metrics_only` allocates what counts the trips that would have been.
    let has_measured = |breaker: &CircuitBreaker, hand: Option<&MockClock>| {
        breaker.metrics_only();
        close(breaker, hand);
    };
    allocates_nothing(has_measured, commands, |breaker, ()| {
        assert_eq!(breaker.state(), State::Closed);
    });
}

/// The allocations of ten thousand calls on a breaker that this thread makes: the first time, again
/// on this thread, and on another thread.
fn allocations_when_busy(builder: CircuitBreakerBuilder) -> [u64; 3] {
    let breaker = builder.build().unwrap();
    let calls = || {
        let allocations = allocation_counter::measure(|| {
            for _ in 0..10_000 {
                success(&breaker).unwrap();
                breaker.try_acquire().unwrap().success();
            }
        });
        allocations.count_total
    };
    let here = [calls(), calls()];
    // The system allocates to note work for a thread's end. These allocations don't belong to this
    // breaker.
    let elsewhere = || {
        CircuitBreaker::new("other")
            .try_acquire()
            .unwrap()
            .success();
        calls()
    };
    let there = std::thread::scope(|threads| threads.spawn(elsewhere).join().unwrap());
    assert_eq!(breaker.snapshot().successes(), 60_000);
    [here[0], here[1], there]
}

#[test]
fn a_busy_breaker_allocates_once_and_only_if_its_shards_were_not_chosen() {
    // The threads' own counts, the shared ones, and the table of their places.
    let grows = allocations_when_busy(CircuitBreaker::builder("grows"));
    assert_eq!(grows, [3, 0, 0]);
    for shards in [1, 4, 64] {
        let builder = CircuitBreaker::builder("chosen").shards(shards);
        assert_eq!(allocations_when_busy(builder), [0; 3]);
    }
}

#[test]
fn a_busy_breaker_that_records_latency_allocates_once_more_for_each_thread() {
    for timing in &timings()[1..] {
        // A histogram of the thread's own and its place, each time.
        let grows = allocations_when_busy(timing(CircuitBreaker::builder("grows")));
        assert_eq!(grows, [3 + 2, 0, 2]);
        for shards in [1, 4, 64] {
            let builder = timing(CircuitBreaker::builder("chosen")).shards(shards);
            assert_eq!(allocations_when_busy(builder), [0; 3]);
        }
    }
}

/// The bulkhead has no waiters here. Its name is a literal. Another name is shared, so it doesn't
/// allocate either.
#[cfg(feature = "bulkhead")]
#[test]
fn a_place_of_a_bulkhead_allocates_nothing_whether_there_is_one_or_not() {
    use tripcurve::bulkhead::Bulkhead;
    use tripcurve::handles::Handle;

    let bulkhead = Bulkhead::new(1).unwrap().named(String::from("shared"));
    let guarded = CircuitBreaker::new("guarded").with_bulkhead(bulkhead.clone());
    success(guarded.breaker()).unwrap();
    let allocations = allocation_counter::measure(|| {
        let permit = bulkhead.try_acquire().unwrap();
        assert!(bulkhead.try_acquire().is_err());
        assert!(bulkhead.acquire().is_err());
        assert!(
            guarded
                .call(|| Ok::<_, u8>(1))
                .unwrap_err()
                .full()
                .is_some()
        );
        drop(permit);
        assert_eq!(bulkhead.call(|| 1), Ok(1));
        assert_eq!(guarded.call(|| Ok::<_, u8>(1)), Ok(1));
        let mut call = pin!(guarded.call_async(|| std::future::ready(Ok::<_, u8>(1))));
        let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Ready(Ok(1)));
    });
    assert_eq!(allocations.count_total, 0);
}
