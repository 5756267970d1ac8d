//! Tasks that wait until a call may be made: they miss no change, hold nothing, and don't spin.
#![cfg(all(feature = "async", feature = "tokio"))]

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::runtime::paused;
use tokio::task::JoinHandle;
use tokio::time::{Instant, advance, sleep};
use tripcurve::outcome::Report;
use tripcurve::time::Clock;
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Recovery, State};

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

fn built(settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder) -> CircuitBreaker {
    let builder = CircuitBreaker::builder("awaited").clock(Clock::tokio());
    settings(builder.recovery(Recovery::fixed(5 * SECOND, 1)))
        .build()
        .unwrap()
}

/// A task that waits, and returns for how long it has.
fn waits(breaker: &CircuitBreaker) -> JoinHandle<Duration> {
    let breaker = breaker.clone();
    tokio::spawn(async move {
        let begin = Instant::now();
        breaker.until_admitting(sleep).await;
        begin.elapsed()
    })
}

/// Lets all tasks go as far as they can without time.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

/// How far the timer's grain may be off.
#[track_caller]
fn about(found: Duration, expected: Duration) {
    assert!(
        found >= expected && found <= expected + 3 * MILLI,
        "{found:?}, not {expected:?}"
    );
}

fn never(_: Duration) -> impl Future<Output = ()> + Send {
    pending()
}

#[test]
fn who_waits_for_a_breaker_that_lets_calls_through_is_ready_at_once() {
    for state in [
        State::Closed,
        State::Disabled,
        State::MetricsOnly,
        State::HalfOpen,
    ] {
        let breaker = CircuitBreaker::builder("awaited")
            .start_in(state)
            .build()
            .unwrap();
        let timer = |_| -> std::future::Ready<()> { panic!("no sleep is needed") };
        let mut context = Context::from_waker(Waker::noop());
        let mut allocated = Poll::Pending;
        let allocations = allocation_counter::measure(|| {
            allocated = pin!(breaker.until_admitting(timer)).poll(&mut context);
        });
        assert_eq!(
            (allocated, allocations.count_total),
            (Poll::Ready(()), 0),
            "{state}"
        );
    }
}

#[test]
fn the_wait_ends_with_the_open_time() {
    paused(async {
        let breaker = built(|it| it);
        breaker.trip(5 * SECOND);
        let waiting = waits(&breaker);
        about(waiting.await.unwrap(), 5 * SECOND);
        assert_eq!(breaker.state(), State::Open, "it makes no transition");
        assert_eq!(breaker.snapshot().rejected(), 0, "and counts nothing");
        breaker.try_acquire().unwrap().success();
        assert_eq!(breaker.state(), State::Closed);
    });
}

#[test]
fn the_wait_goes_on_when_the_open_time_is_lengthened() {
    paused(async {
        let breaker = built(|it| it);
        let late = breaker.try_acquire_owned().unwrap();
        breaker.trip(5 * SECOND);
        let waiting = waits(&breaker);
        sleep(4 * SECOND).await;
        late.record(Report::failure().retry_after(20 * SECOND));
        sleep(10 * SECOND).await;
        assert!(!waiting.is_finished());
        breaker.trip(30 * SECOND);
        about(waiting.await.unwrap(), 44 * SECOND);
    });
}

#[test]
fn every_command_is_heard() {
    paused(async {
        let commands: [fn(&CircuitBreaker); 4] = [
            CircuitBreaker::reset,
            CircuitBreaker::disable,
            CircuitBreaker::metrics_only,
            |breaker| breaker.trip(SECOND),
        ];
        for (number, command) in commands.into_iter().enumerate() {
            let breaker = built(|it| it.start_in(State::ForcedOpen));
            let waiting = waits(&breaker);
            sleep(SECOND).await;
            assert!(!waiting.is_finished());
            command(&breaker);
            let expected = if number == 3 { 2 * SECOND } else { SECOND };
            about(waiting.await.unwrap(), expected);
        }
    });
}

#[test]
fn a_breaker_that_is_forced_open_is_waited_for_without_a_timer() {
    paused(async {
        let breaker = built(|it| it);
        breaker.trip(5 * SECOND);
        let waiting = waits(&breaker);
        sleep(SECOND).await;
        breaker.force_open();
        sleep(100 * SECOND).await;
        assert!(!waiting.is_finished());
        breaker.reset();
        about(waiting.await.unwrap(), 101 * SECOND);
    });
}

#[test]
fn a_place_that_is_given_back_is_heard_of() {
    paused(async {
        let breaker = built(|it| it.start_in(State::HalfOpen));
        let probe = breaker.try_acquire().unwrap();
        let waiting = [waits(&breaker), waits(&breaker)];
        sleep(SECOND).await;
        assert!(waiting.iter().all(|it| !it.is_finished()));
        drop(probe);
        for waiting in waiting {
            about(waiting.await.unwrap(), SECOND);
        }
    });
}

#[test]
fn the_verdict_of_the_probes_is_heard_of() {
    paused(async {
        for is_well in [true, false] {
            let breaker = built(|it| it.start_in(State::HalfOpen));
            let probe = breaker.try_acquire().unwrap();
            let waiting = waits(&breaker);
            sleep(SECOND).await;
            if is_well {
                probe.success();
                about(waiting.await.unwrap(), SECOND);
            } else {
                probe.failure();
                about(waiting.await.unwrap(), 6 * SECOND);
            }
        }
    });
}

#[test]
fn the_wait_ends_when_the_probes_are_overdue() {
    paused(async {
        let breaker = built(|it| it.start_in(State::HalfOpen));
        let _hangs = breaker.try_acquire().unwrap();
        about(waits(&breaker).await.unwrap(), 30 * SECOND);
    });
}

#[test]
fn other_settings_are_heard_of() {
    paused(async {
        let breaker = built(|it| it.start_in(State::HalfOpen));
        let _probe = breaker.try_acquire().unwrap();
        let waiting = waits(&breaker);
        settle().await;
        let settings = CircuitBreaker::builder("awaited").recovery(Recovery::fixed(5 * SECOND, 2));
        breaker.reconfigure(settings).unwrap();
        about(waiting.await.unwrap(), Duration::ZERO);
    });
}

#[test]
fn a_health_check_that_ends_leaves_nobody_waiting_for_it() {
    paused(async {
        let breaker = built(|it| it);
        let check = breaker.health_check(async || pending::<Result<(), ()>>().await);
        let check = tokio::spawn(check.run());
        settle().await;
        breaker.trip(5 * SECOND);
        let waiting = waits(&breaker);
        sleep(8 * SECOND).await;
        assert!(!waiting.is_finished(), "the check comes first");
        check.abort();
        about(waiting.await.unwrap(), 8 * SECOND);
    });
}

#[test]
fn a_health_check_that_succeeds_is_heard_of() {
    paused(async {
        let breaker = built(|it| it);
        let check = breaker.health_check(async || {
            sleep(SECOND).await;
            Ok::<_, ()>(())
        });
        let check = tokio::spawn(check.run());
        settle().await;
        breaker.trip(5 * SECOND);
        about(waits(&breaker).await.unwrap(), 6 * SECOND);
        check.abort();
    });
}

/// Counts how often a task was woken.
#[derive(Default)]
struct Wakes(AtomicU32);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_task_is_woken_for_changes_alone() {
    let breaker = CircuitBreaker::new("awaited");
    breaker.force_open();
    let count = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut context = Context::from_waker(&waker);
    let mut waiting = pin!(breaker.until_admitting(never));
    for round in 0..10 {
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        assert_eq!(count.0.load(Ordering::SeqCst), round);
        // Rejections and questions wake nobody.
        let _rejected = (breaker.try_acquire(), breaker.ask());
        breaker.trip(SECOND);
    }
    breaker.reset();
    assert!(waiting.poll(&mut context).is_ready());
}

/// A mock clock stands still while the timer's time passes.
#[test]
fn a_breaker_whose_time_stands_still_is_asked_once_for_each_sleep() {
    paused(async {
        let asked = Arc::new(AtomicU32::new(0));
        let breaker = CircuitBreaker::builder("awaited")
            .clock(Clock::mock().0)
            .build()
            .unwrap();
        breaker.trip(SECOND);
        let waiting = tokio::spawn({
            let (breaker, asked) = (breaker.clone(), Arc::clone(&asked));
            async move {
                let timer = |duration| {
                    asked.fetch_add(1, Ordering::SeqCst);
                    sleep(duration)
                };
                breaker.until_admitting(timer).await;
            }
        });
        sleep(10 * SECOND + SECOND / 2).await;
        assert_eq!(asked.load(Ordering::SeqCst), 11);
        breaker.reset();
        waiting.await.unwrap();
    });
}

#[test]
fn a_timer_that_is_always_ready_does_not_keep_the_thread() {
    paused(async {
        let breaker = CircuitBreaker::builder("awaited")
            .clock(Clock::mock().0)
            .build()
            .unwrap();
        breaker.trip(SECOND);
        let waiting = tokio::spawn({
            let breaker = breaker.clone();
            async move { breaker.until_admitting(|_| std::future::ready(())).await }
        });
        settle().await;
        breaker.reset();
        waiting.await.unwrap();
    });
}

#[test]
fn a_wait_that_is_dropped_leaves_nothing_behind() {
    paused(async {
        let breaker = built(|it| it.start_in(State::HalfOpen));
        let probe = breaker.try_acquire().unwrap();
        for _ in 0..3 {
            let limited = tokio::time::timeout(SECOND, breaker.until_admitting(sleep));
            assert!(limited.await.is_err());
        }
        drop(probe);
        let again = breaker.try_acquire().unwrap();
        again.success();
        assert_eq!(breaker.state(), State::Closed);
    });
}

#[test]
fn within_a_half_open_call_nobody_waits() {
    paused(async {
        let breaker = built(|it| it.start_in(State::HalfOpen));
        let answer = breaker
            .call_async(async || {
                breaker.until_admitting(sleep).await;
                Ok::<_, ()>(7)
            })
            .await;
        assert_eq!(answer, Ok(7));
    });
}

/// Three services share a breaker and call whenever they may. Nobody restarts anything.
#[test]
fn tasks_that_wait_for_their_turn_close_the_breaker() {
    paused(async {
        let breaker = built(|it| it);
        breaker.trip(5 * SECOND);
        let begin = Instant::now();
        let tasks = [(); 3].map(|()| {
            let breaker = breaker.clone();
            tokio::spawn(async move {
                let mut rejected = 0;
                loop {
                    breaker.until_admitting(sleep).await;
                    let call = breaker.call_async(async || {
                        sleep(SECOND).await;
                        Ok::<_, ()>(())
                    });
                    match call.await {
                        Ok(()) => return rejected,
                        Err(_) => rejected += 1,
                    }
                }
            })
        });
        let mut rejected = 0;
        for task in tasks {
            rejected += task.await.unwrap();
        }
        assert_eq!(breaker.state(), State::Closed);
        // One of them is the probe. The others come too late for its place, once.
        assert!(rejected <= 2, "{rejected}");
        about(begin.elapsed(), 7 * SECOND);
    });
}

#[test]
fn the_future_may_go_to_another_thread() {
    fn may_go<T: Send>(_: T) {}
    let breaker = CircuitBreaker::new("awaited").with_classifier(std::cell::Cell::new(7));
    may_go(breaker.until_admitting(sleep));
}

/// A thread resets the breaker, or gives a place back, while others begin to wait.
#[test]
fn no_change_is_missed_on_real_threads() {
    let breaker = CircuitBreaker::builder("awaited")
        .probes(1)
        .build()
        .unwrap();
    crate::race::in_rounds(
        2_000,
        |thread| {
            if thread == 0 {
                breaker.reset();
            } else {
                block_on(breaker.until_admitting(never));
            }
        },
        |_| breaker.force_open(),
    );
}

/// Runs a future on this thread, which sleeps between two polls.
fn block_on(future: impl Future<Output = ()>) {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    while future
        .as_mut()
        .poll(&mut Context::from_waker(&waker))
        .is_pending()
    {
        std::thread::park_timeout(Duration::from_secs(20));
    }
}

#[test]
fn the_callers_clock_and_timer_may_drift_apart() {
    paused(async {
        // The breaker's clock is a thousandth slower than the timer.
        let origin = Instant::now();
        let clock = Clock::from_fn(move || origin.elapsed().mul_f64(0.999));
        let breaker = CircuitBreaker::builder("awaited")
            .clock(clock)
            .build()
            .unwrap();
        breaker.trip(10 * SECOND);
        let waited = waits(&breaker).await.unwrap();
        assert!(
            waited >= 10 * SECOND + 9 * MILLI && waited <= 10 * SECOND + 15 * MILLI,
            "{waited:?}"
        );
        advance(SECOND).await;
    });
}
