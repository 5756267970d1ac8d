//! An async call that exceeds its limit is dropped, and its caller gets an error. The call counts
//! once, as failed and as slow.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tripcurve::events::Cause;
use tripcurve::handles::{CallTimeout, Handle};
use tripcurve::outcome::Classify;
use tripcurve::time::{Clock, MockClock};
use tripcurve::window::{Recording, Window};
use tripcurve::{
    CallError, CircuitBreaker, CircuitBreakerBuilder, Outcome, Recovery, State, TripPolicy,
};

const SECOND: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_millis(250);

fn builder() -> (CircuitBreakerBuilder, MockClock) {
    let (clock, hand) = Clock::mock();
    (CircuitBreaker::builder("payments").clock(clock), hand)
}

fn breaker() -> CircuitBreaker {
    builder().0.build().unwrap()
}

/// A timer that fires on the test's command.
#[derive(Clone, Default)]
struct Bell {
    rings: Shared<bool>,
    asked_for: Shared<Option<Duration>>,
    polls: Shared<u32>,
}

/// A cell for a timer's future, which must be `Send`.
#[derive(Clone, Default)]
struct Shared<T>(Arc<Mutex<T>>);

impl<T: Copy> Shared<T> {
    fn get(&self) -> T {
        *self.0.lock().unwrap()
    }

    fn set(&self, value: T) {
        *self.0.lock().unwrap() = value;
    }
}

impl Bell {
    fn timer(&self) -> impl Fn(Duration) -> Alarm + Clone + use<> {
        let bell = self.clone();
        move |after| {
            bell.asked_for.set(Some(after));
            Alarm(bell.clone())
        }
    }
}

struct Alarm(Bell);

impl Future for Alarm {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        self.0.polls.set(self.0.polls.get() + 1);
        if self.0.rings.get() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn limited<C: Clone>(
    breaker: &CircuitBreaker<C>,
    bell: &Bell,
) -> CallTimeout<CircuitBreaker<C>, impl Fn(Duration) -> Alarm + Clone + use<C>> {
    breaker
        .call_timeout(LIMIT)
        .unwrap()
        .sleep_with(bell.timer())
}

/// Counts of successes, failures and ignored calls.
fn counts<C>(breaker: &CircuitBreaker<C>) -> [u64; 3] {
    let snapshot = breaker.snapshot();
    [
        snapshot.successes(),
        snapshot.failures(),
        snapshot.ignored(),
    ]
}

/// Makes a call that hangs until its limit.
fn times_out(breaker: &CircuitBreaker<impl Classify<(), ()> + Clone>) {
    let bell = Bell::default();
    let limited = limited(breaker, &bell);
    let mut call = pin!(limited.call_async(pending::<Result<(), ()>>));
    assert!(poll(call.as_mut()).is_pending());
    bell.rings.set(true);
    let Poll::Ready(Err(CallError::TimedOut(_))) = poll(call) else {
        panic!("it goes on");
    };
}

#[test]
fn a_call_that_takes_longer_than_its_limit_is_given_up() {
    let (breaker, bell) = (breaker(), Bell::default());
    let limited = limited(&breaker, &bell);
    assert_eq!(limited.limit(), LIMIT);
    let mut call = pin!(limited.call_async(pending::<Result<(), String>>));
    for _ in 0..3 {
        assert!(poll(call.as_mut()).is_pending());
    }
    assert_eq!(bell.asked_for.get(), Some(LIMIT));
    assert_eq!(counts(&breaker), [0, 0, 0]);
    bell.rings.set(true);
    let Poll::Ready(Err(error)) = poll(call) else {
        panic!("it goes on");
    };
    assert_eq!(
        error.to_string(),
        "the call of payments took longer than 250ms"
    );
    let timed_out = error.timed_out().unwrap();
    assert_eq!((timed_out.name(), timed_out.limit()), ("payments", LIMIT));
    assert_eq!(counts(&breaker), [0, 1, 0]);
}

#[test]
fn a_call_that_comes_back_in_time_counts_as_what_it_came_to() {
    let (breaker, bell) = (breaker(), Bell::default());
    let limited = limited(&breaker, &bell);
    let answers = |result: Result<u8, u8>| {
        let is_there = Cell::new(false);
        let mut call = pin!(limited.call_async(|| poll_fn(|_| {
            if is_there.replace(true) {
                Poll::Ready(result)
            } else {
                Poll::Pending
            }
        })));
        assert!(poll(call.as_mut()).is_pending());
        poll(call)
    };
    assert_eq!(answers(Ok(7)), Poll::Ready(Ok(7)));
    assert_eq!(answers(Err(3)), Poll::Ready(Err(CallError::Inner(3))));
    assert_eq!(counts(&breaker), [1, 1, 0]);
}

#[test]
fn a_call_that_is_ready_when_its_time_is_over_counts_as_what_it_came_to() {
    let (breaker, bell) = (breaker(), Bell::default());
    let limited = limited(&breaker, &bell);
    let comes = Cell::new(false);
    let mut call = pin!(limited.call_async(|| poll_fn(|_| {
        if comes.get() {
            Poll::Ready(Ok::<_, ()>(7))
        } else {
            Poll::Pending
        }
    })));
    assert!(poll(call.as_mut()).is_pending());
    comes.set(true);
    bell.rings.set(true);
    assert_eq!(poll(call), Poll::Ready(Ok(7)));
    assert_eq!(counts(&breaker), [1, 0, 0]);
}

#[test]
fn the_alarm_of_a_call_that_is_ready_at_once_is_never_set() {
    let (breaker, bell) = (breaker(), Bell::default());
    bell.rings.set(true);
    let limited = limited(&breaker, &bell);
    let call = pin!(limited.call_async(|| ready(Ok::<_, ()>(7))));
    assert_eq!(poll(call), Poll::Ready(Ok(7)));
    assert_eq!(bell.polls.get(), 0);
}

#[test]
fn it_counts_as_slow_too_however_long_a_slow_call_is() {
    let policies: [fn() -> TripPolicy; 2] = [
        || TripPolicy::slow_rate(0.9).slower_than(60 * SECOND).into(),
        || TripPolicy::adaptive().slower_than(60 * SECOND).into(),
    ];
    let windows: [fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder; 2] =
        [|it| it, |it| it.window(Window::count(100))];
    for (policy, window) in policies
        .iter()
        .flat_map(|policy| windows.map(|window| (policy, window)))
    {
        let (builder, hand) = builder();
        let builder = window(builder.trip_when(policy()).latency(Recording::ByOutcome));
        let Ok(breaker) = builder.build() else {
            // The adaptive policy can't have a window by count.
            continue;
        };
        let bell = Bell::default();
        let limited = limited(&breaker, &bell);
        let mut call = pin!(limited.call_async(pending::<Result<(), ()>>));
        assert!(poll(call.as_mut()).is_pending());
        hand.advance(LIMIT);
        bell.rings.set(true);
        assert!(poll(call).is_ready());

        let snapshot = breaker.snapshot();
        assert_eq!(
            (snapshot.failures(), snapshot.slow(), snapshot.overdue()),
            (1, 1, 0)
        );
        let took = snapshot.latency_of_failures().unwrap();
        assert_eq!(took.count(), 1);
        let nanos = took.percentile(50.0).unwrap().as_secs_f64() / LIMIT.as_secs_f64();
        assert!((0.96..1.04).contains(&nanos), "{nanos}");
    }
}

#[test]
fn where_no_call_is_slow_it_counts_as_failed_alone() {
    for window in [
        |it: CircuitBreakerBuilder| it,
        |it: CircuitBreakerBuilder| it.window(Window::count(100)),
    ] {
        let builder = window(builder().0.latency(Recording::Combined));
        let breaker = builder.build().unwrap();
        times_out(&breaker);
        let snapshot = breaker.snapshot();
        assert_eq!((snapshot.failures(), snapshot.slow()), (1, 0));
        assert_eq!(snapshot.latency().unwrap().count(), 1);
    }
}

#[test]
fn it_trips_by_each_policy_that_counts_failed_or_slow_calls() {
    let slow = TripPolicy::slow_rate(0.5)
        .slower_than(60 * SECOND)
        .min_calls(5);
    let policies: [TripPolicy; 4] = [
        TripPolicy::consecutive_failures(5),
        TripPolicy::failure_rate(0.5).min_calls(5).into(),
        slow.into(),
        TripPolicy::adaptive().into(),
    ];
    let calls = policies.map(|policy| {
        let breaker = builder().0.trip_when(policy).build().unwrap();
        let trips = |_: &u32| {
            times_out(&breaker);
            breaker.state() == State::Open
        };
        (1..=20).find(trips)
    });
    assert_eq!(calls[..3], [Some(5); 3]);
    assert!(calls[3].is_some(), "{calls:?}");
}

#[test]
fn a_classifier_can_say_so_of_a_blocking_clients_own_limit() {
    let policy = TripPolicy::slow_rate(1.0)
        .slower_than(60 * SECOND)
        .min_calls(1);
    let breaker = builder().0.trip_when(policy).build().unwrap();
    let breaker = breaker.with_classifier(|_: &Result<(), &str>| Outcome::TimedOut);
    assert_eq!(
        breaker.call(|| Err("read timed out")),
        Err(CallError::Inner("read timed out"))
    );
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn the_classifier_is_not_asked_about_a_call_that_was_given_up() {
    let breaker = breaker().with_classifier(|_: &Result<(), ()>| -> Outcome {
        panic!("there is no result");
    });
    times_out(&breaker);
    assert_eq!(counts(&breaker), [0, 1, 0]);
}

/// Notes the number of failures when it is dropped.
struct Looks<'a>(&'a CircuitBreaker, &'a Cell<Option<u64>>);

impl Drop for Looks<'_> {
    fn drop(&mut self) {
        self.1.set(Some(self.0.snapshot().failures()));
    }
}

#[test]
fn the_call_is_dropped_at_its_limit_and_then_counts() {
    let (breaker, bell, dropped) = (breaker(), Bell::default(), Cell::new(None));
    let limited = limited(&breaker, &bell);
    let mut call = pin!(limited.call_async(async || {
        let _looks = Looks(&breaker, &dropped);
        pending::<Result<(), ()>>().await
    }));
    assert!(poll(call.as_mut()).is_pending());
    assert_eq!(dropped.get(), None);
    bell.rings.set(true);
    assert!(poll(call.as_mut()).is_ready());
    assert_eq!(dropped.get(), Some(0));
    assert_eq!(breaker.snapshot().failures(), 1);
}

#[test]
fn a_panic_while_it_is_dropped_is_one_failure() {
    struct Panics;

    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("while it is dropped");
        }
    }

    let (breaker, bell) = (breaker(), Bell::default());
    let limited = limited(&breaker, &bell);
    let mut call = pin!(limited.call_async(async || {
        let _panics = Panics;
        pending::<Result<(), ()>>().await
    }));
    assert!(poll(call.as_mut()).is_pending());
    bell.rings.set(true);
    assert!(catch_unwind(AssertUnwindSafe(|| poll(call))).is_err());
    assert_eq!(counts(&breaker), [0, 1, 0]);
}

#[test]
fn a_panic_in_the_call_is_one_failure() {
    let (breaker, bell) = (breaker(), Bell::default());
    let limited = limited(&breaker, &bell);
    let call = pin!(limited.call_async(async || -> Result<(), ()> { panic!("in the call") }));
    assert!(catch_unwind(AssertUnwindSafe(|| poll(call))).is_err());
    assert_eq!(counts(&breaker), [0, 1, 0]);
}

#[test]
fn a_call_that_is_dropped_from_outside_is_cancelled_and_not_timed_out() {
    let (breaker, bell) = (breaker(), Bell::default());
    let limited = limited(&breaker, &bell);
    drop(limited.call_async(pending::<Result<(), ()>>));
    assert_eq!(counts(&breaker), [0, 0, 0]);
    {
        let mut call = pin!(limited.call_async(pending::<Result<(), ()>>));
        assert!(poll(call.as_mut()).is_pending());
        bell.rings.set(true);
    }
    assert_eq!(counts(&breaker), [0, 0, 1]);
}

#[test]
fn a_call_that_is_rejected_sets_no_alarm() {
    let (breaker, bell) = (breaker(), Bell::default());
    breaker.force_open();
    let limited = limited(&breaker, &bell);
    let call = pin!(limited.call_async(pending::<Result<(), ()>>));
    let Poll::Ready(Err(CallError::Rejected(rejected))) = poll(call) else {
        panic!("it was made");
    };
    assert_eq!(rejected.state(), State::ForcedOpen);
    assert_eq!(bell.asked_for.get(), None);
}

/// A breaker that has been open, and whose next call is a probe.
fn about_to_probe(recovery: Recovery) -> (CircuitBreaker, MockClock, Arc<Mutex<Vec<Cause>>>) {
    let (builder, hand) = builder();
    let told: Arc<Mutex<Vec<Cause>>> = Arc::default();
    let listener = Arc::clone(&told);
    let builder = builder.recovery(recovery).on_transition(move |transition| {
        listener.lock().unwrap().push(transition.cause());
    });
    let breaker = builder.build().unwrap();
    breaker.trip(SECOND);
    hand.advance(2 * SECOND);
    (breaker, hand, told)
}

#[test]
fn a_probe_that_is_given_up_has_failed() {
    let recovery = Recovery::fixed(SECOND, 2);
    let (breaker, _hand, told) = about_to_probe(recovery);
    times_out(&breaker);
    assert_eq!(breaker.state(), State::Open);
    assert!(matches!(
        told.lock().unwrap().last(),
        Some(Cause::ProbeFailed)
    ));

    let (breaker, _hand, told) = about_to_probe(recovery.success_threshold(1));
    times_out(&breaker);
    assert_eq!(breaker.state(), State::HalfOpen, "one may fail");
    times_out(&breaker);
    let told = told.lock().unwrap();
    let Some(Cause::TooManyProbesFailed { failed: 2, .. }) = told.last() else {
        panic!("{told:?}");
    };
}

#[test]
fn in_a_ramp_it_is_a_failure() {
    let (breaker, hand, _told) = about_to_probe(Recovery::adaptive());
    breaker.try_acquire().unwrap().success();
    assert_eq!(breaker.state(), State::HalfOpen);
    for _ in 0..10_000 {
        if breaker.state() == State::Open {
            return;
        }
        hand.advance(Duration::from_millis(10));
        let bell = Bell::default();
        let limited = limited(&breaker, &bell);
        let mut call = pin!(limited.call_async(pending::<Result<(), ()>>));
        let is_rejected = poll(call.as_mut()).is_ready();
        bell.rings.set(true);
        if !is_rejected {
            assert!(poll(call).is_ready());
        }
    }
    panic!("the ramp goes on");
}

#[test]
fn a_limit_below_a_millisecond_is_refused() {
    for (limit, said) in [
        (Duration::ZERO, "0ns"),
        (Duration::from_micros(999), "999µs"),
    ] {
        let error = breaker().call_timeout(limit).unwrap_err();
        let expected = "is not at least 1ms; take a little more than the slowest call that is worth waiting for";
        assert_eq!(
            error.to_string(),
            format!("call_timeout: {said} {expected}")
        );
    }
    assert!(breaker().call_timeout(Duration::MAX).is_ok());
}

#[test]
fn a_call_with_a_limit_allocates_nothing() {
    let breaker = builder().0.latency(Recording::Off).build().unwrap();
    // The first call allocates thread names and the like.
    times_out(&breaker);
    let bell = Bell::default();
    let limited = limited(&breaker, &bell);
    let measured = allocation_counter::measure(|| {
        let mut call = pin!(limited.call_async(pending::<Result<(), ()>>));
        assert!(poll(call.as_mut()).is_pending());
        bell.rings.set(true);
        assert!(poll(call).is_ready());
    });
    assert_eq!(measured.count_total, 0);
    assert_eq!(counts(&breaker), [0, 2, 0]);
}

#[test]
fn a_handle_and_its_call_can_go_to_another_thread() {
    fn is_send<T: Send>(_: &T) {}
    let limited = breaker()
        .call_timeout(LIMIT)
        .unwrap()
        .sleep_with(tokio::time::sleep);
    is_send(&limited);
    is_send(&limited.call_async(|| async { Ok::<_, ()>(7) }));
}

mod with_tokio {
    use super::*;
    use crate::runtime::paused;
    use tokio::time::{Instant, advance};

    #[test]
    fn it_is_given_up_at_its_limit() {
        paused(async {
            let limited = breaker()
                .call_timeout(LIMIT)
                .unwrap()
                .sleep_with(tokio::time::sleep);
            let before = Instant::now();
            let result = limited.call_async(pending::<Result<(), ()>>).await;
            assert!(result.unwrap_err().timed_out().is_some());
            assert_eq!(before.elapsed(), LIMIT);
            let just_in_time = limited.call_async(async || {
                tokio::time::sleep(LIMIT * 99 / 100).await;
                Ok::<_, ()>(7)
            });
            assert_eq!(just_in_time.await, Ok(7));
        });
    }

    #[test]
    fn a_call_that_never_lacks_work_is_given_up_too() {
        paused(async {
            let limited = breaker()
                .call_timeout(LIMIT)
                .unwrap()
                .sleep_with(tokio::time::sleep);
            let call = limited.call_async(async || {
                for _ in 0..1_000_000 {
                    tokio::task::consume_budget().await;
                }
                Ok::<_, ()>(7)
            });
            let (result, ()) = tokio::join!(call, advance(2 * LIMIT));
            assert!(result.unwrap_err().timed_out().is_some());
        });
    }

    #[cfg(feature = "tokio")]
    #[test]
    fn with_the_feature_the_timer_is_tokios() {
        use tripcurve::time::TokioSleep;

        paused(async {
            let breaker = breaker();
            let limited: CallTimeout<CircuitBreaker, TokioSleep> =
                breaker.call_timeout(LIMIT).unwrap();
            let before = Instant::now();
            let result = limited.call_async(pending::<Result<(), ()>>).await;
            assert!(result.unwrap_err().timed_out().is_some());
            assert_eq!(before.elapsed(), LIMIT);
            assert_eq!(counts(&breaker), [0, 1, 0]);
        });
    }
}

#[cfg(feature = "bulkhead")]
mod with_a_bulkhead {
    use super::*;
    use tripcurve::bulkhead::Bulkhead;
    use tripcurve::handles::WithBulkhead;

    fn guarded(breaker: &CircuitBreaker) -> WithBulkhead {
        let one = Bulkhead::new(1).unwrap().max_wait(Duration::MAX);
        breaker.with_bulkhead(one)
    }

    #[test]
    fn the_wait_for_a_place_is_not_in_the_limit() {
        let (breaker, bell) = (breaker(), Bell::default());
        let guarded = guarded(&breaker);
        let limited = guarded
            .call_timeout(LIMIT)
            .unwrap()
            .sleep_with(bell.timer());
        let place = guarded.bulkhead().try_acquire().unwrap();
        bell.rings.set(true);
        let mut call = pin!(limited.call_async(pending::<Result<(), ()>>));
        assert!(poll(call.as_mut()).is_pending());
        assert_eq!(bell.asked_for.get(), None);
        drop(place);
        assert!(poll(call.as_mut()).is_ready());
        assert_eq!(bell.asked_for.get(), Some(LIMIT));
        assert_eq!(counts(&breaker), [0, 1, 0]);
        assert_eq!(guarded.bulkhead().in_flight(), 0);
    }

    #[test]
    fn who_is_handed_the_place_meets_the_breaker_that_the_limit_has_left_behind() {
        let policy = TripPolicy::consecutive_failures(1);
        let breaker = builder().0.trip_when(policy).build().unwrap();
        let bell = Bell::default();
        let guarded = guarded(&breaker);
        let limited = guarded
            .call_timeout(LIMIT)
            .unwrap()
            .sleep_with(bell.timer());
        let mut hangs = pin!(limited.call_async(pending::<Result<(), ()>>));
        assert!(poll(hangs.as_mut()).is_pending());
        let mut waits = pin!(limited.call_async(pending::<Result<(), ()>>));
        assert!(poll(waits.as_mut()).is_pending());
        bell.rings.set(true);
        assert!(matches!(
            poll(hangs),
            Poll::Ready(Err(CallError::TimedOut(_)))
        ));
        assert!(matches!(
            poll(waits),
            Poll::Ready(Err(CallError::Rejected(_)))
        ));
    }
}

#[cfg(feature = "async")]
mod that_waits {
    use super::*;

    #[test]
    fn the_wait_for_the_verdict_is_not_in_the_limit() {
        let (builder, _hand) = builder();
        let builder = builder.probes(1).max_waiting(1).start_in(State::HalfOpen);
        let (breaker, bell) = (builder.build().unwrap(), Bell::default());
        let patient = breaker
            .waiting(Duration::MAX)
            .unwrap()
            .sleep_with(|_: Duration| pending::<()>());
        let limited = patient
            .call_timeout(LIMIT)
            .unwrap()
            .sleep_with(bell.timer());
        let probe = breaker.try_acquire().unwrap();
        bell.rings.set(true);
        let mut call = pin!(limited.call_async(pending::<Result<(), ()>>));
        assert!(poll(call.as_mut()).is_pending());
        assert_eq!(bell.asked_for.get(), None);
        probe.success();
        assert!(matches!(
            poll(call),
            Poll::Ready(Err(CallError::TimedOut(_)))
        ));
        assert_eq!(counts(&breaker), [0, 1, 0]);
    }
}

mod over_http {
    use super::*;
    use crate::runtime::on_loopback;
    use axum::Router;
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;
    use tokio::net::TcpListener;
    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

    /// Reports when a request's handler is dropped.
    struct Gone(UnboundedSender<()>);

    impl Drop for Gone {
        fn drop(&mut self) {
            let _nobody_asks = self.0.send(());
        }
    }

    #[test]
    fn a_server_that_hangs_opens_the_breaker_and_is_let_go() {
        on_loopback(hangs());
    }

    async fn hangs() {
        let (gone, mut are_gone) = unbounded_channel();
        let handler = move || {
            let gone = Gone(gone.clone());
            async move {
                let _gone = gone;
                pending::<StatusCode>().await
            }
        };
        let app = Router::new().route("/", axum::routing::get(handler));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        let http = Client::builder(TokioExecutor::new()).build_http();

        // Both sides use the real clock.
        let policy = TripPolicy::slow_rate(1.0)
            .slower_than(60 * SECOND)
            .min_calls(3);
        let breaker = CircuitBreaker::builder("server")
            .trip_when(policy)
            .build()
            .unwrap();
        let limit = Duration::from_millis(100);
        let limited = breaker
            .call_timeout(limit)
            .unwrap()
            .sleep_with(tokio::time::sleep);
        let get = async || {
            let request = Request::get(format!("http://{address}/")).body(Body::empty());
            limited.call_async(|| http.request(request.unwrap())).await
        };

        for _ in 0..3 {
            assert!(get().await.unwrap_err().timed_out().is_some());
            // The connection closed together with the call, so the server has stopped its work.
            are_gone.recv().await.unwrap();
        }
        assert!(get().await.unwrap_err().rejected().is_some());
        assert_eq!(breaker.state(), State::Open);
    }
}
