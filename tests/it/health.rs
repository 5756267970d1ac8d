//! A task that checks the dependency's health, so that no user's call must be the test.
#![cfg(feature = "async")]

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::effort;
use tripcurve::events::{Cause, Transition};
use tripcurve::outcome::Report;
use tripcurve::recovery::{Backoff, Jitter};
use tripcurve::time::{Clock, MockClock};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, Recovery, State};

use tripcurve::window::Window;

const SECOND: Duration = Duration::from_secs(1);

/// A breaker that opens for five seconds and closes after one probe.
fn built(
    settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) -> (CircuitBreaker, Clock, MockClock) {
    built_by(|builder| settings(builder.recovery(Recovery::fixed(5 * SECOND, 1))))
}

/// A breaker with a recovery that the test chooses.
fn built_by(
    settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) -> (CircuitBreaker, Clock, MockClock) {
    let (clock, hand) = Clock::mock();
    let builder = CircuitBreaker::builder("checked");
    let builder = builder.probe_timeout(20 * SECOND).clock(clock.clone());
    (settings(builder).build().unwrap(), clock, hand)
}

/// A timer on the mock clock, for tasks that are polled by hand.
fn timer(
    clock: &Clock,
) -> impl Fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> + Clone + use<> {
    let clock = clock.clone();
    move |wait| {
        let (clock, end) = (clock.clone(), clock.now() + wait);
        Box::pin(poll_fn(move |_| {
            if clock.now() >= end {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }))
    }
}

/// A health check task that is polled by hand.
struct Task<'a>(Pin<Box<dyn Future<Output = ()> + 'a>>);

impl<'a> Task<'a> {
    fn new<T: 'a>(
        breaker: &CircuitBreaker,
        clock: &Clock,
        check: impl AsyncFn() -> Result<T, &'static str> + 'a,
    ) -> Self {
        let task = breaker.health_check(check).sleep_with(timer(clock)).run();
        let mut task = Self(Box::pin(task));
        task.poll();
        task
    }

    /// A task whose check reports the dependency's health as soon as it may answer.
    fn answering(
        breaker: &CircuitBreaker,
        clock: &Clock,
        may_answer: &'a Cell<bool>,
        is_well: bool,
    ) -> Self {
        Self::new(breaker, clock, async move || {
            poll_fn(|_| {
                if may_answer.get() {
                    Poll::Ready(is_well.then_some(()).ok_or("ill"))
                } else {
                    Poll::Pending
                }
            })
            .await
        })
    }

    /// Polls the task. Returns whether it has ended.
    fn poll(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        self.0.as_mut().poll(&mut context).is_ready()
    }
}

/// Counts checks, which succeed or fail as the test sets it.
#[derive(Default)]
struct Health {
    is_well: Cell<bool>,
    checks: Cell<u32>,
}

impl Health {
    fn check(&self) -> Result<(), &'static str> {
        self.checks.set(self.checks.get() + 1);
        self.is_well.get().then_some(()).ok_or("ill")
    }
}

fn trip(breaker: &CircuitBreaker) {
    breaker.try_acquire().unwrap().record(Outcome::Trip);
}

/// How many seconds the breaker stays open from now on, rounded down.
fn open_for(breaker: &CircuitBreaker) -> Option<u64> {
    let left = breaker.snapshot().remaining_open();
    left.map(|left| left.as_secs())
}

#[test]
fn a_call_after_the_open_time_waits_for_a_health_check_to_succeed() {
    let (breaker, clock, hand) = built(|builder| builder);
    let health = Health::default();
    health.is_well.set(true);
    let mut task = Task::new(&breaker, &clock, async || health.check());
    trip(&breaker);
    hand.advance(4 * SECOND);
    task.poll();
    assert_eq!(health.checks.get(), 0, "its time is not yet over");
    hand.advance(2 * SECOND);
    let rejected = breaker.try_acquire().unwrap_err();
    assert_eq!(rejected.state(), State::Open);
    assert!(rejected.earliest() <= Some(20 * SECOND), "{rejected:?}");
    assert_eq!(breaker.state(), State::Open);

    task.poll();
    assert_eq!(health.checks.get(), 1);
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(breaker.snapshot().calls(), 0, "a check is no call");
    breaker.try_acquire().unwrap().success();
    assert_eq!(breaker.state(), State::Closed);
    task.poll();
    assert_eq!(health.checks.get(), 1, "there is nothing to check");
}

#[test]
fn a_health_check_that_fails_begins_the_next_open_time_and_grows_it() {
    let backoff = Backoff::exponential(4 * SECOND, 2.0, 60 * SECOND).jitter(Jitter::None);
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let (breaker, clock, hand) = built(|builder| {
        let tell = move |transition: &Transition| {
            log.lock()
                .unwrap()
                .push((transition.to(), transition.cause()));
        };
        let recovery = Recovery::probes(1).backoff(backoff);
        builder.recovery(recovery).on_transition(tell)
    });
    let health = Health::default();
    let mut task = Task::new(&breaker, &clock, async || health.check());
    trip(&breaker);
    for (open, checks) in [(4, 1), (8, 2), (16, 3)] {
        assert_eq!(open_for(&breaker), Some(open));
        task.poll();
        hand.advance(Duration::from_secs(open + 1));
        task.poll();
        assert_eq!(health.checks.get(), checks);
        assert!(breaker.try_acquire().is_err());
    }
    health.is_well.set(true);
    hand.advance(33 * SECOND);
    task.poll();
    let failed = (State::Open, Cause::HealthCheckFailed);
    let expected = [
        (State::Open, Cause::TripRequested),
        failed,
        failed,
        failed,
        (State::HalfOpen, Cause::HealthCheckSucceeded),
    ];
    assert_eq!(*told.lock().unwrap(), expected);
}

#[test]
fn a_health_check_that_hangs_is_dropped_and_has_failed() {
    struct Dropped<'a>(&'a Cell<bool>);
    impl Drop for Dropped<'_> {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let (breaker, clock, hand) = built(|builder| builder);
    let is_dropped = Cell::new(false);
    let mut task = Task::new(&breaker, &clock, async || {
        let _dropped = Dropped(&is_dropped);
        pending::<Result<(), _>>().await
    });
    trip(&breaker);
    hand.advance(6 * SECOND);
    task.poll();
    hand.advance(9 * SECOND);
    task.poll();
    assert!(!is_dropped.get(), "half of the time of a probe isn't over");
    assert!(breaker.try_acquire().is_err());
    hand.advance(SECOND);
    task.poll();
    assert!(is_dropped.get());
    assert_eq!(open_for(&breaker), Some(5));
}

#[test]
fn calls_take_over_from_a_task_that_is_not_polled_and_its_late_verdict_changes_nothing() {
    for is_well in [false, true] {
        let (breaker, clock, hand) = built(|builder| builder);
        let may_answer = Cell::new(false);
        let mut task = Task::answering(&breaker, &clock, &may_answer, is_well);
        trip(&breaker);
        hand.advance(8 * SECOND);
        task.poll();
        hand.advance(19 * SECOND);
        assert!(breaker.try_acquire().is_err(), "counted from the check");
        hand.advance(2 * SECOND);
        let probe = breaker.try_acquire().unwrap();
        assert_eq!(breaker.state(), State::HalfOpen);
        may_answer.set(true);
        task.poll();
        assert_eq!(breaker.state(), State::HalfOpen);
        assert_eq!(breaker.snapshot().generation(), 2);
        probe.success();
        assert_eq!(breaker.state(), State::Closed);
    }
}

#[test]
fn calls_take_over_from_a_task_that_has_never_checked() {
    let (breaker, clock, hand) = built(|builder| builder);
    let _asleep = Task::new(&breaker, &clock, async || Ok(()));
    trip(&breaker);
    hand.advance(24 * SECOND);
    assert!(breaker.try_acquire().is_err());
    hand.advance(2 * SECOND);
    assert!(breaker.try_acquire().is_ok());
}

#[test]
fn without_a_task_or_with_one_that_was_dropped_or_has_panicked_calls_are_probes() {
    let (breaker, clock, hand) = built(|builder| builder);
    let not_polled = breaker.health_check(async || Ok::<_, ()>(())).run();
    let dropped = Task::new(&breaker, &clock, async || Ok(()));
    let mut panicking = Task::new(&breaker, &clock, async || -> Result<(), _> { panic!() });
    trip(&breaker);
    hand.advance(6 * SECOND);
    drop(dropped);
    assert!(breaker.try_acquire().is_err(), "the other one is there");
    assert!(catch_unwind(AssertUnwindSafe(|| panicking.poll())).is_err());
    breaker.try_acquire().unwrap().success();
    assert_eq!(breaker.state(), State::Closed);
    drop(not_polled);
}

#[test]
fn a_command_during_a_health_check_stays_whatever_it_comes_to() {
    type Command = fn(&CircuitBreaker);
    let commands: [(Command, State); 4] = [
        (CircuitBreaker::reset, State::Closed),
        (CircuitBreaker::force_open, State::ForcedOpen),
        (|breaker| breaker.trip(9 * SECOND), State::Open),
        (CircuitBreaker::disable, State::Disabled),
    ];
    for (command, state) in commands {
        for is_well in [false, true] {
            let (breaker, clock, hand) = built(|builder| builder);
            let mut task = Task::new(&breaker, &clock, async || {
                command(&breaker);
                is_well.then_some(()).ok_or("ill")
            });
            trip(&breaker);
            hand.advance(6 * SECOND);
            task.poll();
            assert_eq!(breaker.state(), state);
            assert_eq!(breaker.snapshot().generation(), 2);
        }
    }
}

#[test]
fn a_wish_that_comes_during_a_health_check_is_heeded_before_its_success() {
    let (breaker, clock, hand) = built(|builder| builder.max_retry_after(60 * SECOND));
    let late = RefCell::new(Some(breaker.try_acquire().unwrap()));
    let mut task = Task::new(&breaker, &clock, async || {
        if let Some(late) = late.take() {
            late.record(Report::failure().retry_after(30 * SECOND));
        }
        Ok(())
    });
    trip(&breaker);
    hand.advance(6 * SECOND);
    task.poll();
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(open_for(&breaker), Some(30));
    hand.advance(31 * SECOND);
    task.poll();
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[test]
fn what_a_health_check_wishes_itself_lengthens_the_next_open_time() {
    let (clock, hand) = Clock::mock();
    let breaker = CircuitBreaker::builder("http")
        .classify(|answer: &Result<u16, String>| match answer {
            Ok(200) => Outcome::Success,
            _ => Outcome::Failure,
        })
        .retry_after(|answer: &Result<u16, String>| (*answer == Ok(503)).then_some(60 * SECOND))
        .clock(clock.clone())
        .build()
        .unwrap();
    let check = async || Ok(503);
    let mut task = Task(Box::pin(
        breaker.health_check(check).sleep_with(timer(&clock)).run(),
    ));
    breaker.trip(5 * SECOND);
    hand.advance(6 * SECOND);
    task.poll();
    let left = breaker.snapshot().remaining_open();
    assert_eq!(left.map(|left| left.as_secs()), Some(60));
}

/// On a clock that is 18 years ahead, each open time is over when it begins.
#[test]
fn a_poll_makes_one_check_though_the_clock_is_18_years_ahead() {
    let (clock, hand) = Clock::mock();
    hand.advance(19 * 365 * 86_400 * SECOND);
    let builder = CircuitBreaker::builder("checked").clock(clock.clone());
    let breaker = builder.build().unwrap();
    let checks = Cell::new(0);
    breaker.trip(5 * SECOND);
    let mut task = Task::new(&breaker, &clock, async || {
        checks.set(checks.get() + 1);
        assert!(checks.get() < 1_000, "it never ends");
        Err::<(), _>("ill")
    });
    assert_eq!(checks.get(), 1);
    for _ in 0..10 {
        task.poll();
    }
    assert_eq!(checks.get(), 1, "it is no busy loop");
    for made in 2..5 {
        hand.advance(SECOND);
        for _ in 0..10 {
            task.poll();
        }
        assert_eq!(checks.get(), made);
    }
}

#[test]
fn a_poll_is_bounded_though_the_timer_is_always_ready() {
    let (breaker, _, hand) = built(|builder| builder);
    trip(&breaker);
    let asked = Cell::new(0);
    let checks = Cell::new(0);
    let timer = |_| {
        asked.set(asked.get() + 1);
        assert!(asked.get() < 1_000, "it never ends");
        std::future::ready(())
    };
    let mut task = Task(Box::pin(
        breaker
            .health_check(async || {
                checks.set(checks.get() + 1);
                Err::<(), _>("ill")
            })
            .sleep_with(timer)
            .run(),
    ));
    task.poll();
    assert!(asked.get() <= 2, "{}", asked.get());
    hand.advance(6 * SECOND);
    task.poll();
    assert_eq!(checks.get(), 1);
}

#[test]
fn a_health_check_that_is_ignored_lengthens_no_open_time() {
    let (clock, hand) = Clock::mock();
    let breaker = CircuitBreaker::builder("http")
        .recovery(Recovery::fixed(5 * SECOND, 3))
        .classify(|_: &Result<(), ()>| Outcome::Ignored)
        .retry_after(|_: &Result<(), ()>| Some(60 * SECOND))
        .clock(clock.clone())
        .build()
        .unwrap();
    let check = async || Ok(());
    let mut task = Task(Box::pin(
        breaker.health_check(check).sleep_with(timer(&clock)).run(),
    ));
    breaker.trip(5 * SECOND);
    hand.advance(6 * SECOND);
    task.poll();
    let left = breaker.snapshot().remaining_open();
    assert_eq!(left.map(|left| left.as_secs()), Some(5));
}

#[test]
fn with_an_adaptive_recovery_a_health_check_goes_before_the_probe_and_the_probe_before_the_ramp() {
    let (breaker, clock, hand) = built(|builder| builder.recovery(Recovery::adaptive()));
    let mut task = Task::new(&breaker, &clock, async || Ok(()));
    trip(&breaker);
    hand.advance(10 * SECOND);
    assert!(breaker.try_acquire().is_err());
    task.poll();
    let probe = breaker.try_acquire().unwrap();
    assert_eq!(breaker.snapshot().admitted_share(), None);
    probe.success();
    assert!(breaker.snapshot().admitted_share().is_some());
}

/// Fails when: the answer adds the wait for a health check to an open time that isn't over.
#[test]
fn during_the_open_time_the_answer_is_as_without_a_health_check() {
    let (breaker, clock, hand) = built(|builder| builder);
    let _task = Task::new(&breaker, &clock, async || Ok(()));
    trip(&breaker);
    hand.advance(2 * SECOND);
    let earliest = || breaker.ask().unwrap_err().earliest();
    assert_eq!(earliest(), Some(3 * SECOND));
    hand.advance(4 * SECOND);
    assert_eq!(earliest(), Some(19 * SECOND), "it waits for the check");
}

#[test]
fn a_breaker_that_starts_open_is_checked() {
    let (breaker, clock, hand) = built(|builder| builder.start_in(State::Open));
    let mut task = Task::new(&breaker, &clock, async || Ok(()));
    hand.advance(6 * SECOND);
    task.poll();
    assert_eq!(breaker.state(), State::HalfOpen);
}

/// Counts wake-ups.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn the_task_is_woken_when_the_breaker_opens_and_when_it_is_gone_and_else_never() {
    let (breaker, clock, hand) = built(|builder| builder);
    let mut task = Task::new(&breaker, &clock, async || Ok(()));
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut poll = || {
        let mut context = Context::from_waker(&waker);
        task.0.as_mut().poll(&mut context)
    };
    let times = || woken.0.load(Ordering::SeqCst);
    assert!(poll().is_pending());
    for _ in 0..1_000 {
        breaker.try_acquire().unwrap().success();
        hand.advance(SECOND);
    }
    breaker.metrics_only();
    breaker.reset();
    assert_eq!(times(), 0);
    trip(&breaker);
    assert_eq!(times(), 1);
    assert!(poll().is_pending());
    // This open time is shorter than the task's wait.
    breaker.trip(SECOND);
    assert_eq!(times(), 2);
    assert!(poll().is_pending());
    hand.advance(2 * SECOND);
    assert!(poll().is_pending());
    assert_eq!(breaker.state(), State::HalfOpen);
    breaker.reset();

    let clone = breaker.clone();
    drop(breaker);
    assert_eq!(times(), 2, "there is another handle");
    drop(clone);
    assert_eq!(times(), 3);
    assert!(poll().is_ready());
}

#[test]
fn a_task_whose_breaker_is_gone_before_it_is_polled_ends_at_once() {
    let (breaker, clock, _hand) = built(|builder| builder);
    let check = async || Ok::<(), ()>(());
    let mut task = Task(Box::pin(
        breaker.health_check(check).sleep_with(timer(&clock)).run(),
    ));
    drop(breaker);
    assert!(task.poll());
}

#[test]
fn a_breaker_that_is_dropped_during_a_health_check_is_not_kept_alive_by_it() {
    let (breaker, clock, hand) = built(|builder| builder);
    trip(&breaker);
    hand.advance(6 * SECOND);
    let breaker = Rc::new(Cell::new(Some(breaker)));
    let handle = breaker.take().unwrap();
    let inside = Rc::clone(&breaker);
    let task = handle
        .health_check(async move || {
            drop(inside.take());
            Ok::<_, ()>(())
        })
        .sleep_with(timer(&clock))
        .run();
    breaker.set(Some(handle));
    assert!(Task(Box::pin(task)).poll());
}

/// If a wake-up were lost, the task would sleep, and this test would not end.
#[test]
fn no_opening_is_missed_by_a_task_that_goes_to_sleep_meanwhile() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    let breaker = CircuitBreaker::builder("restless")
        .probe_timeout(Duration::MAX)
        .build()
        .unwrap();
    let task = runtime.spawn(breaker.health_check(async || Ok::<_, ()>(())).run());
    for _ in 0..effort::share_of(2_000) {
        breaker.trip(Duration::ZERO);
        while breaker.state() == State::Open {
            assert!(!task.is_finished(), "the task has ended");
            std::hint::spin_loop();
        }
        breaker.reset();
    }
}

mod over_http {
    use super::*;

    use crate::runtime::on_loopback;
    use axum::Router;
    use axum::body::Body;
    use axum::http::{Request, StatusCode, Uri};
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;
    use tokio::net::TcpListener;

    /// The requests that a server got, and whether it was down.
    #[derive(Clone, Default)]
    struct Server {
        is_down: Arc<Mutex<bool>>,
        asked: Arc<Mutex<Vec<(String, bool)>>>,
    }

    impl Server {
        fn answer(&self, uri: &Uri) -> StatusCode {
            let is_down = *self.is_down.lock().unwrap();
            let path = uri.path().to_owned();
            self.asked.lock().unwrap().push((path, is_down));
            if is_down {
                StatusCode::SERVICE_UNAVAILABLE
            } else {
                StatusCode::OK
            }
        }

        fn set_down(&self, is_down: bool) {
            *self.is_down.lock().unwrap() = is_down;
        }

        fn asked(&self) -> Vec<(String, bool)> {
            self.asked.lock().unwrap().clone()
        }
    }

    type Failure = hyper_util::client::legacy::Error;

    #[test]
    fn a_server_that_comes_back_sees_no_users_request_before_a_health_check_has_succeeded() {
        on_loopback(down_and_up());
    }

    async fn down_and_up() {
        let server = Server::default();
        let answers = server.clone();
        let app = Router::new().fallback(async move |uri: Uri| answers.answer(&uri));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        let http = Client::builder(TokioExecutor::new()).build_http();
        let get = async move |path: &str| {
            let request = Request::get(format!("http://{address}{path}"));
            let answer = http.request(request.body(Body::empty()).unwrap()).await?;
            Ok::<_, Failure>(answer.status())
        };

        let breaker = CircuitBreaker::builder("server")
            .open_for(Duration::from_millis(10))
            .classify(|answer: &Result<StatusCode, Failure>| match answer {
                Ok(status) if status.is_success() => Outcome::Success,
                _ => Outcome::Failure,
            })
            .build()
            .unwrap();
        let ask = get.clone();
        let task = breaker
            .health_check(async move || ask("/health").await)
            .sleep_with(tokio::time::sleep)
            .run();
        tokio::spawn(task);
        let work = async || {
            let _answer = breaker.call_async(|| get("/work")).await;
            tokio::task::yield_now().await;
        };

        work().await;
        assert_eq!(server.asked(), [("/work".to_owned(), false)]);
        server.set_down(true);
        while breaker.state() == State::Closed {
            work().await;
        }
        let at_trip = server.asked().len();
        while server.asked().len() < at_trip + 3 {
            work().await;
        }
        server.set_down(false);
        while breaker.state() != State::Closed {
            work().await;
        }

        let asked = server.asked().split_off(at_trip);
        let well = asked.iter().position(|(path, is_down)| {
            assert_eq!(path, "/health", "before one has succeeded");
            !is_down
        });
        assert!(well >= Some(3), "{asked:?}");
        assert_eq!(
            asked[well.unwrap() + 1..],
            vec![("/work".to_owned(), false); 3]
        );
    }
}

/// Other settings for the breaker of [`built`].
fn reconfigure(
    breaker: &CircuitBreaker,
    settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
) {
    let builder = CircuitBreaker::builder("checked").probes(1);
    let builder = builder.probe_timeout(20 * SECOND);
    breaker.reconfigure(settings(builder)).unwrap();
}

#[test]
fn a_health_check_goes_by_the_settings_that_came_while_the_breaker_was_open() {
    let (breaker, clock, hand) = built(|builder| builder);
    let health = Health::default();
    let mut task = Task::new(&breaker, &clock, async || health.check());
    trip(&breaker);
    task.poll();
    // An open breaker stays open with any window, and keeps the open time from its trip.
    reconfigure(&breaker, |builder| {
        builder.window(Window::count(10)).open_for(9 * SECOND)
    });
    hand.advance(4 * SECOND);
    task.poll();
    assert_eq!(health.checks.get(), 0);
    hand.advance(2 * SECOND);
    task.poll();
    assert_eq!(health.checks.get(), 1);
    assert_eq!(open_for(&breaker), Some(9));
    hand.advance(10 * SECOND);
    health.is_well.set(true);
    task.poll();
    assert_eq!(breaker.state(), State::HalfOpen);
    breaker.try_acquire().unwrap().success();
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn the_verdict_of_a_health_check_counts_though_other_settings_came_meanwhile() {
    for is_well in [false, true] {
        let (breaker, clock, hand) = built(|builder| builder);
        let may_answer = Cell::new(false);
        let mut task = Task::answering(&breaker, &clock, &may_answer, is_well);
        trip(&breaker);
        hand.advance(6 * SECOND);
        task.poll();
        reconfigure(&breaker, |builder| {
            builder.probes(3).shards(2).open_for(9 * SECOND)
        });
        may_answer.set(true);
        task.poll();
        let state = if is_well {
            State::HalfOpen
        } else {
            State::Open
        };
        assert_eq!(breaker.state(), state);
        assert_eq!(breaker.snapshot().generation(), 2);
    }
}
