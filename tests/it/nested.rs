//! Calls within calls of the same breaker, such as helpers that call each other.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::runtime::block_on;
use tripcurve::handles::Handle;
use tripcurve::time::{Clock, MockClock};
use tripcurve::{CallError, CircuitBreaker, Recovery, State};

const SECOND: Duration = Duration::from_secs(1);

/// About a tenth of a second, a whole number of the units of the state word.
const TENTH: Duration = Duration::from_nanos(100 << 20);

fn recoveries() -> [Recovery; 5] {
    let open_for = 5 * SECOND;
    [
        Recovery::default(),
        Recovery::fixed(open_for, 1),
        Recovery::fixed(open_for, 5).success_threshold(3),
        Recovery::adaptive(),
        Recovery::steps(&[0.25, 0.5, 1.0], SECOND),
    ]
}

/// A breaker that failures have opened, and whose open time is over.
fn failed(recovery: Recovery) -> (CircuitBreaker, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("nested").recovery(recovery);
    #[cfg(feature = "async")]
    let builder = builder.max_waiting(10);
    let breaker = builder.clock(clock).build().unwrap();
    while breaker.state() == State::Closed {
        let _ = breaker.call(|| Err::<(), _>("down"));
        hand.advance(TENTH);
    }
    breaker.trip(Duration::ZERO);
    (breaker, hand)
}

/// A breaker whose next call is its only probe.
fn probing() -> CircuitBreaker {
    failed(Recovery::fixed(SECOND, 1)).0
}

/// Makes ten calls per second until the breaker is closed. Returns how many calls have asked.
/// `call` returns whether the call was made. A call that was made must have succeeded.
fn calls_until_closed(
    breaker: &CircuitBreaker,
    hand: &MockClock,
    mut call: impl FnMut() -> Result<bool, String>,
) -> Result<u32, String> {
    for asked in 1..=36_000 {
        call()?;
        hand.advance(TENTH);
        if breaker.state() == State::Closed {
            return Ok(asked);
        }
    }
    Err("never closes".to_owned())
}

/// Whether the call was made. Panics if it was made and failed.
fn made<T, E: std::fmt::Debug>(result: Result<T, CallError<E>>) -> Result<bool, String> {
    match result {
        Ok(_) => Ok(true),
        Err(CallError::Rejected(_)) => Ok(false),
        Err(error) => Err(format!("{error:?}")),
    }
}

/// How many calls ask until each recovery ends, if `call` makes them.
fn asked(call: impl Fn(&CircuitBreaker) -> Result<bool, String>) -> Vec<Result<u32, String>> {
    recoveries()
        .into_iter()
        .map(|recovery| {
            let (breaker, hand) = failed(recovery);
            calls_until_closed(&breaker, &hand, || call(&breaker))
        })
        .collect()
}

/// The expected numbers: a recovery takes as many calls as without nested calls.
fn as_single() -> Vec<Result<u32, String>> {
    let single = asked(|breaker| made(breaker.call(ok)));
    assert!(single.iter().all(Result::is_ok), "{single:?}");
    single
}

#[allow(clippy::unnecessary_wraps, reason = "it is what a breaker calls")]
fn ok() -> Result<u8, &'static str> {
    Ok(7)
}

async fn ok_async() -> Result<u8, &'static str> {
    ok()
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// A future that is pending at its first poll.
async fn turn() {
    let mut is_second = false;
    poll_fn(|context| {
        if std::mem::replace(&mut is_second, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn is_rejected<T, E>(result: &Result<T, CallError<E>>) -> bool {
    matches!(result, Err(CallError::Rejected(_)))
}

#[test]
fn calls_within_calls_close_a_breaker_as_soon_as_single_calls() {
    let single = as_single();
    let twice = asked(|b| made(b.call(|| b.call(ok))));
    assert_eq!(twice, single);
    let thrice = asked(|b| made(b.call(|| b.call(|| b.call(ok)))));
    assert_eq!(thrice, single);
    let side_by_side = asked(|b| {
        made(b.call(|| match (b.call(ok), b.call(ok)) {
            (Ok(first), Ok(second)) => Ok(first + second),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }))
    });
    assert_eq!(side_by_side, single);
}

#[test]
fn asynchronous_calls_within_calls_close_a_breaker_as_soon_as_single_calls() {
    let single = as_single();
    let twice = asked(|b| made(block_on(b.call_async(|| b.call_async(ok_async)))));
    assert_eq!(twice, single);
    let thrice = asked(|b| {
        made(block_on(b.call_async(|| async {
            turn().await;
            b.call_async(|| async {
                turn().await;
                b.call_async(ok_async).await
            })
            .await
        })))
    });
    assert_eq!(thrice, single);
    let mixed = asked(|b| made(block_on(b.call_async(|| async { b.call(ok) }))));
    assert_eq!(mixed, single);
    let in_turn = asked(|b| made(block_on(b.call_async(|| std::future::ready(b.call(ok))))));
    assert_eq!(in_turn, single);
}

#[test]
fn calls_within_calls_with_a_time_limit_close_a_breaker_as_soon_as_single_calls() {
    let limited = |b: &CircuitBreaker| {
        let timer = |_: Duration| pending::<()>();
        b.call_timeout(SECOND).unwrap().sleep_with(timer)
    };
    let single = as_single();
    let twice = asked(|b| {
        let b = limited(b);
        made(block_on(b.call_async(|| async {
            turn().await;
            b.call_async(ok_async).await
        })))
    });
    assert_eq!(twice, single);
}

#[cfg(feature = "bulkhead")]
#[test]
fn calls_within_calls_behind_a_bulkhead_close_a_breaker_as_soon_as_single_calls() {
    use tripcurve::bulkhead::Bulkhead;

    let guarded = |b: &CircuitBreaker| b.with_bulkhead(Bulkhead::new(4).unwrap());
    let single = as_single();
    let twice = asked(|b| {
        let b = guarded(b);
        made(b.call(|| b.call(ok)))
    });
    assert_eq!(twice, single);
    let asynchronous = asked(|b| {
        let b = guarded(b);
        made(block_on(b.call_async(|| async {
            turn().await;
            b.call_async(ok_async).await
        })))
    });
    assert_eq!(asynchronous, single);
    let limited = asked(|b| {
        let timer = |_: Duration| pending::<()>();
        let b = guarded(b).call_timeout(SECOND).unwrap().sleep_with(timer);
        made(block_on(b.call_async(|| b.call_async(ok_async))))
    });
    assert_eq!(limited, single);
}

#[cfg(feature = "bulkhead")]
#[test]
fn calls_within_calls_on_the_threads_of_a_bulkhead_close_a_breaker_as_soon_as_single_calls() {
    use tripcurve::bulkhead::Bulkhead;

    let pool = Bulkhead::blocking(2, 2).unwrap();
    let single = as_single();
    let within = asked(|b| {
        let (outer, inner) = (b.with_blocking(pool.clone()), b.clone());
        made(block_on(outer.call_async(move || inner.call(ok))))
    });
    assert_eq!(within, single);
    let around = asked(|b| {
        let (inner, innermost) = (b.with_blocking(pool.clone()), b.clone());
        let outer = b.call_async(|| async {
            turn().await;
            inner.call_async(move || innermost.call(ok)).await
        });
        made(block_on(outer))
    });
    assert_eq!(around, single);
}

#[cfg(feature = "async")]
#[test]
fn calls_within_calls_that_may_wait_close_a_breaker_as_soon_as_single_calls() {
    let single = as_single();
    // If a call waited for its own outer call, it would wait for ever.
    let twice = asked(|b| {
        let b = b.waiting(Duration::MAX).unwrap();
        made(b.call(|| b.call(ok)))
    });
    assert_eq!(twice, single);
    let asynchronous = asked(|b| {
        let b = b.waiting(Duration::MAX).unwrap();
        made(block_on(b.call_async(|| async {
            turn().await;
            b.call_async(ok_async).await
        })))
    });
    assert_eq!(asynchronous, single);
    let limited = asked(|b| {
        let (timer, waiting) = (
            |_: Duration| pending::<()>(),
            b.waiting(Duration::MAX).unwrap(),
        );
        let b = waiting.call_timeout(SECOND).unwrap().sleep_with(timer);
        made(block_on(b.call_async(|| b.call_async(ok_async))))
    });
    assert_eq!(limited, single);
}

#[cfg(feature = "registry")]
#[test]
fn a_call_within_a_call_of_the_same_key_is_a_part_of_it() {
    let (clock, _hand) = Clock::mock();
    let template = CircuitBreaker::builder("hosts").probes(1).clock(clock);
    let hosts = tripcurve::registry::Registry::<u32>::builder(template)
        .build()
        .unwrap();
    hosts.get_or_create(&1).trip(Duration::ZERO);
    let nested = hosts
        .get_or_create(&1)
        .call(|| hosts.get_or_create(&1).call(ok));
    assert_eq!(nested, Ok(7));
    assert_eq!(hosts.get_or_create(&1).state(), State::Closed);
}

#[cfg(feature = "async")]
#[test]
fn a_health_check_may_call_through_its_own_breaker() {
    let (breaker, _hand) = failed(Recovery::fixed(SECOND, 1));
    let inner = breaker.clone();
    let check = async move || {
        turn().await;
        inner.call_async(ok_async).await
    };
    let mut task = pin!(
        breaker
            .health_check(check)
            .sleep_with(|_: Duration| pending::<()>())
            .run()
    );
    for _ in 0..2 {
        assert!(poll(task.as_mut()).is_pending());
    }
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(breaker.snapshot().probes_in_flight(), 0);
}

#[test]
fn a_call_within_a_probe_takes_no_place_and_is_not_counted() {
    let (breaker, _hand) = failed(Recovery::fixed(SECOND, 3));
    let outer = breaker.call(|| {
        for _ in 0..10 {
            assert_eq!(breaker.call(ok), Ok(7));
            assert!(breaker.call(|| Err::<(), _>("a part fails")).is_err());
        }
        let snapshot = breaker.snapshot();
        assert_eq!(snapshot.probes_in_flight(), 1);
        assert_eq!(snapshot.probes_succeeded(), 0);
        assert_eq!(snapshot.state(), State::HalfOpen);
        ok()
    });
    assert_eq!(outer, Ok(7));
    assert_eq!(breaker.snapshot().probes_succeeded(), 1);
    assert_eq!(breaker.snapshot().calls(), 0);
}

#[test]
fn a_call_within_a_probe_of_which_another_handle_is_used_is_a_part_of_it_too() {
    let breaker = probing();
    let other = breaker.with_classifier(|_: &Result<u8, &str>| tripcurve::Outcome::Failure);
    assert_eq!(breaker.call(|| other.call(ok)), Ok(7));
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_call_within_a_closed_breakers_call_counts_for_itself() {
    let breaker = CircuitBreaker::new("closed");
    assert_eq!(breaker.call(|| breaker.call(ok)), Ok(7));
    assert_eq!(breaker.snapshot().successes(), 2);
}

#[test]
fn other_breakers_may_stand_between() {
    let (a, b, c) = (probing(), probing(), probing());
    let result = a.call(|| b.call(|| c.call(|| a.call(|| b.call(|| c.call(ok))))));
    assert_eq!(result, Ok(7));
    for breaker in [a, b, c] {
        assert_eq!(breaker.state(), State::Closed);
    }
}

#[test]
fn another_breaker_is_not_taken_for_the_one_outside() {
    let (outer, other) = (probing(), probing());
    let _place = other.try_acquire().unwrap();
    let result = outer.call(|| Ok::<_, ()>(is_rejected(&other.call(ok))));
    assert_eq!(result, Ok(true));
}

#[test]
fn many_breakers_within_each_other_do_no_harm() {
    fn within(breakers: &[CircuitBreaker], innermost: &dyn Fn()) {
        match breakers.split_first() {
            None => innermost(),
            Some((first, rest)) => {
                let made = first.call(|| {
                    within(rest, innermost);
                    ok()
                });
                assert_eq!(made, Ok(7));
            }
        }
    }
    let breakers: Vec<_> = std::iter::repeat_with(probing).take(100).collect();
    within(&breakers, &|| {
        // The thread no longer knows which call this one belongs to.
        let _ = breakers[0].call(ok);
    });
    assert!(breakers.iter().all(|it| it.state() == State::Closed));
    let eight: Vec<_> = std::iter::repeat_with(probing).take(8).collect();
    within(&eight, &|| {
        for breaker in &eight {
            assert_eq!(breaker.call(ok), Ok(7));
        }
    });
}

/// Checks that the thread's list of calls is empty: a breaker whose only place is taken rejects a
/// call.
#[track_caller]
fn assert_nothing_is_left_behind() {
    let breaker = probing();
    let _place = breaker.try_acquire().unwrap();
    assert!(is_rejected(&breaker.call(ok)));
}

#[test]
fn a_panic_within_leaves_nothing_behind() {
    let breaker = probing();
    let panics = || breaker.call(|| resume_unwind(Box::new(())));
    let nested = catch_unwind(AssertUnwindSafe(|| {
        breaker.call(|| -> Result<u8, CallError<()>> { panics() })
    }));
    assert!(nested.is_err());
    assert_eq!(breaker.state(), State::Open, "the outer call has failed");
    breaker.trip(Duration::ZERO);
    let _place = breaker.try_acquire().unwrap();
    assert!(is_rejected(&breaker.call(ok)));
    assert_nothing_is_left_behind();
}

#[test]
fn a_panic_within_that_is_caught_within_is_the_outer_calls_own_business() {
    let breaker = probing();
    let outer = breaker.call(|| {
        let inner = catch_unwind(AssertUnwindSafe(|| {
            breaker.call(|| -> Result<u8, ()> { resume_unwind(Box::new(())) })
        }));
        assert!(inner.is_err());
        breaker.call(ok)
    });
    assert_eq!(outer, Ok(7));
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn an_asynchronous_panic_leaves_nothing_behind() {
    let breaker = probing();
    let call = || {
        let outer = breaker.call_async(|| async {
            turn().await;
            let inner = breaker.call_async(|| async {
                turn().await;
                resume_unwind(Box::new(()))
            });
            inner
                .await
                .map(|(): ()| 7_u8)
                .map_err(|_: CallError<()>| ())
        });
        block_on_by_hand(outer)
    };
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    assert_eq!(breaker.state(), State::Open);
    assert_nothing_is_left_behind();
}

/// Polls a future until it is ready.
fn block_on_by_hand<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = poll(future.as_mut()) {
            return output;
        }
    }
}

#[test]
fn a_future_that_is_pending_or_dropped_leaves_nothing_behind() {
    let breaker = probing();
    {
        let nested = breaker.call_async(|| breaker.call_async(pending::<Result<u8, ()>>));
        let mut nested = Box::pin(nested);
        assert!(poll(nested.as_mut()).is_pending());
        assert_eq!(breaker.snapshot().probes_in_flight(), 1);
        // The call isn't part of the pending call.
        assert!(is_rejected(&breaker.call(ok)));
        assert!(is_rejected(&block_on(breaker.call_async(ok_async))));
    }
    assert_eq!(breaker.snapshot().probes_in_flight(), 0);
    assert_nothing_is_left_behind();
    assert_eq!(breaker.call(ok), Ok(7));
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn of_two_tasks_on_one_thread_one_is_no_part_of_the_other() {
    let breaker = probing();
    let goes_on = Cell::new(false);
    let outer = breaker.call_async(|| async {
        poll_fn(|_| {
            if goes_on.get() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        breaker.call_async(ok_async).await
    });
    let mut first = pin!(outer);
    for _ in 0..3 {
        assert!(poll(first.as_mut()).is_pending());
        let mut second = pin!(breaker.call_async(ok_async));
        assert!(matches!(
            poll(second.as_mut()),
            Poll::Ready(Err(CallError::Rejected(_)))
        ));
    }
    goes_on.set(true);
    assert_eq!(poll(first.as_mut()), Poll::Ready(Ok(7)));
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_call_on_another_thread_is_no_part_of_the_one_that_started_it() {
    let breaker = probing();
    let outer = breaker.call(|| {
        let other = std::thread::scope(|scope| scope.spawn(|| breaker.call(ok)).join());
        Ok::<_, ()>(is_rejected(&other.unwrap()))
    });
    assert_eq!(outer, Ok(true));
}

#[test]
fn a_call_beside_a_permit_is_no_part_of_it() {
    let breaker = probing();
    let permit = breaker.try_acquire().unwrap();
    assert!(is_rejected(&breaker.call(ok)));
    permit.success();
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_permit_within_a_call_is_a_part_of_it() {
    let breaker = probing();
    let outer = breaker.call(|| {
        breaker.try_acquire().unwrap().failure();
        drop(breaker.try_acquire_owned().unwrap());
        ok()
    });
    assert_eq!(outer, Ok(7));
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_rejection_after_the_breaker_has_opened_is_no_evidence() {
    let breaker = probing();
    let outer = breaker.call(|| {
        breaker.trip(Duration::ZERO);
        let _place = breaker.try_acquire().unwrap();
        breaker.call(ok)
    });
    assert!(matches!(
        outer,
        Err(CallError::Inner(CallError::Rejected(_)))
    ));
    let snapshot = breaker.snapshot();
    assert_eq!(snapshot.state(), State::HalfOpen);
    assert_eq!((snapshot.probes_failed(), snapshot.failures()), (0, 0));
}

#[cfg(feature = "bulkhead")]
#[test]
fn work_that_waits_on_the_threads_of_a_bulkhead_is_no_part_of_the_work_before_it() {
    use tripcurve::bulkhead::Bulkhead;

    // One thread runs both calls. The second begins while the first, a probe, waits for its own
    // parts.
    let breaker = probing();
    let blocking = breaker.with_blocking(Bulkhead::blocking(1, 4).unwrap());
    let first = blocking.call_async({
        let breaker = breaker.clone();
        move || breaker.call(ok)
    });
    assert_eq!(block_on(first), Ok(7));
    assert_eq!(breaker.state(), State::Closed);
}

/// The function that a handle calls.
#[cfg(all(feature = "bulkhead", feature = "async"))]
type Operation<'a> = &'a mut dyn FnMut() -> Result<(), String>;

#[cfg(all(feature = "bulkhead", feature = "async"))]
#[test]
fn a_recursion_through_a_handle_is_one_call_however_deep() {
    fn deeper(call: &dyn Fn(Operation<'_>) -> Result<(), String>, more: u32) -> Result<(), String> {
        call(&mut || match more {
            0 => Ok(()),
            _ => deeper(call, more - 1),
        })
    }

    let guarded = probing().with_bulkhead(tripcurve::bulkhead::Bulkhead::new(1_000).unwrap());
    let through =
        |operation: Operation<'_>| guarded.call(operation).map_err(|error| error.to_string());
    assert_eq!(deeper(&through, 100), Ok(()));
    assert_eq!(guarded.breaker().state(), State::Closed);

    let patient = probing().waiting(SECOND).unwrap();
    let through =
        |operation: Operation<'_>| patient.call(operation).map_err(|error| error.to_string());
    assert_eq!(deeper(&through, 100), Ok(()));
    assert_eq!(patient.breaker().state(), State::Closed);
}

#[cfg(feature = "async")]
#[test]
fn calls_through_disabled_breakers_do_not_hide_a_half_open_one() {
    fn through(
        others: &[tripcurve::handles::Waiting],
        call: &dyn Fn() -> Result<(), String>,
    ) -> Result<(), String> {
        match others.split_first() {
            None => call(),
            Some((first, rest)) => first
                .call(|| through(rest, call))
                .map_err(|error| error.to_string()),
        }
    }

    let disabled = |_| {
        let builder = CircuitBreaker::builder("off").enabled(false).max_waiting(1);
        builder.build().unwrap().waiting(SECOND).unwrap()
    };
    let others: Vec<_> = (0..100).map(disabled).collect();
    let breaker = probing();
    let nested = || {
        let inner = || breaker.call(|| Ok::<_, String>(()));
        let inner = || inner().map_err(|error| error.to_string());
        breaker.call(inner).map_err(|error| error.to_string())
    };
    assert_eq!(through(&others, &nested), Ok(()));
    assert_eq!(breaker.state(), State::Closed);
}
