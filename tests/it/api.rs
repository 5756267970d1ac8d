//! The public API: calls, permits, classifiers, fallbacks, texts, and the types that may cross
//! threads.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tripcurve::error::{ClockError, ConfigError};
use tripcurve::events::{Cause, Transition};
use tripcurve::handles::OwnedPermit;
use tripcurve::name::Name;
use tripcurve::outcome::{Classify, DefaultClassifier};
use tripcurve::policy::FailureRate;
use tripcurve::snapshot::Snapshot;
use tripcurve::time::{Clock, MockClock};
use tripcurve::window::{CountWindow, Window};
use tripcurve::{
    CallError, CircuitBreaker, CircuitBreakerBuilder, Fallback, Outcome, Permit, Rejected, State,
    TripPolicy,
};

const SECOND: Duration = Duration::from_secs(1);

fn breaker() -> (CircuitBreaker, MockClock) {
    let (clock, hand) = Clock::mock();
    let breaker = CircuitBreaker::builder("api")
        .probes(1)
        .clock(clock)
        .build()
        .unwrap();
    (breaker, hand)
}

/// Counts of successes, failures and ignored calls.
fn counts(breaker: &CircuitBreaker) -> [u64; 3] {
    let snapshot = breaker.snapshot();
    [
        snapshot.successes(),
        snapshot.failures(),
        snapshot.ignored(),
    ]
}

// -------------------------------------------------------------------------------------- the call

/// The shortest, the median and the longest wait of a hundred callers that are rejected at once.
fn waits(clock: Clock) -> [Duration; 3] {
    let breaker = CircuitBreaker::builder("spread")
        .clock(clock)
        .build()
        .unwrap();
    breaker.trip(100 * SECOND);
    let wait = |_| breaker.try_acquire().unwrap_err().retry_after().unwrap();
    let mut waits: Vec<_> = (0..1_000).map(wait).collect();
    waits.sort_unstable();
    [waits[0], waits[500], waits[999]]
}

#[test]
fn rejected_callers_are_told_times_that_are_spread_whatever_the_clock() {
    let coarse = Clock::coarse(Duration::from_millis(1)).unwrap();
    for clock in [Clock::default(), coarse, Clock::mock().0] {
        let [least, middle, most] = waits(clock).map(|wait| wait.as_secs_f64());
        assert!((99.0..101.0).contains(&least), "{least}");
        assert!((110.0..115.0).contains(&middle), "{middle}");
        assert!((124.0..125.1).contains(&most), "{most}");
    }
}

#[test]
fn a_rejection_tells_the_earliest_time_as_well() {
    let breaker = CircuitBreaker::new("same");
    breaker.trip(100 * SECOND);
    let rejected = breaker.try_acquire().unwrap_err();
    assert_eq!(rejected.earliest(), rejected.clone().earliest());
    assert!(rejected.retry_after() >= rejected.earliest());
}

#[test]
fn a_call_gives_back_what_the_operation_gave() {
    let (breaker, _hand) = breaker();
    assert_eq!(breaker.call(|| Ok::<_, String>(7)), Ok(7));
    assert_eq!(
        breaker.call(|| Err::<i32, _>("no")),
        Err(CallError::Inner("no"))
    );
    assert_eq!(counts(&breaker), [1, 1, 0]);
}

#[test]
fn a_rejected_call_does_not_run_the_operation() {
    let (breaker, _hand) = breaker();
    breaker.force_open();
    let ran = Cell::new(false);
    let result = breaker.call(|| {
        ran.set(true);
        Ok::<_, String>(7)
    });
    assert!(!ran.get());
    let Err(CallError::Rejected(rejected)) = &result else {
        panic!("{result:?}");
    };
    assert_eq!(rejected.name(), "api");
    assert_eq!(rejected.state(), State::ForcedOpen);
    assert_eq!(rejected.retry_after(), None);
    assert_eq!(result.as_ref().unwrap_err().rejected(), Some(rejected));
    assert_eq!(result.unwrap_err().into_inner(), None);
}

#[test]
fn an_operation_may_borrow_and_consume() {
    let (breaker, _hand) = breaker();
    let mut log = Vec::new();
    let consumed = String::from("once");
    let result = breaker.call(|| {
        log.push(1);
        Ok::<_, ()>(consumed)
    });
    assert_eq!(result.as_deref(), Ok("once"));
    assert_eq!(log, [1]);
}

#[test]
fn clones_and_classified_handles_share_state_and_window() {
    let (breaker, _hand) = breaker();
    let clone = breaker.clone();
    let classified = breaker.with_classifier(|_: &Result<u8, ()>| Outcome::Failure);
    clone.try_acquire().unwrap().success();
    let _ = classified.call(|| Ok(1));
    assert_eq!(counts(&breaker), [1, 1, 0]);
    classified.clone().force_open();
    assert_eq!(breaker.state(), State::ForcedOpen);
    assert_eq!(clone.name(), "api");
}

// -------------------------------------------------------------------------------- the classifier

#[test]
fn a_classifier_sees_ok_and_err_and_decides_on_both() {
    let (breaker, _hand) = breaker();
    let classified = breaker.with_classifier(|result: &Result<u16, &str>| match result {
        Err("my fault") => Outcome::Ignored,
        Ok(503) => Outcome::Failure,
        Ok(_) | Err("not found") => Outcome::Success,
        Err(_) => Outcome::Failure,
    });
    assert_eq!(classified.call(|| Ok(200)), Ok(200));
    assert_eq!(counts(&breaker), [1, 0, 0]);
    assert_eq!(classified.call(|| Ok(503)), Ok(503));
    assert_eq!(counts(&breaker), [1, 1, 0]);
    let not_found = classified.call(|| Err("not found"));
    assert_eq!(not_found, Err(CallError::Inner("not found")));
    assert_eq!(counts(&breaker), [2, 1, 0]);
    let _ = classified.call(|| Err("my fault"));
    assert_eq!(counts(&breaker), [2, 1, 1]);
    let _ = classified.call(|| Err("timeout"));
    assert_eq!(counts(&breaker), [2, 2, 1]);
}

#[test]
fn a_classifier_of_a_named_type_or_a_function_pointer_can_stand_in_a_field() {
    #[derive(Clone, Copy)]
    struct ByStatus;

    impl<E> Classify<u16, E> for ByStatus {
        fn classify(&self, result: &Result<u16, E>) -> Outcome {
            match result {
                Ok(500..) | Err(_) => Outcome::Failure,
                Ok(_) => Outcome::Success,
            }
        }
    }

    type ByPointer = fn(&Result<u16, ()>) -> Outcome;

    struct Shop {
        named: CircuitBreaker<ByStatus>,
        pointer: CircuitBreaker<ByPointer>,
    }

    let (breaker, _hand) = breaker();
    let shop = Shop {
        named: breaker.with_classifier(ByStatus),
        pointer: breaker.with_classifier(|_| Outcome::Ignored),
    };
    let _ = shop.named.call(|| Ok::<_, ()>(500));
    let _ = shop.named.call(|| Ok::<_, String>(200));
    let _ = shop.pointer.clone().call(|| Ok(500));
    assert_eq!(counts(&breaker), [1, 1, 1]);
}

#[test]
fn the_builder_takes_a_classifier_and_keeps_its_other_settings() {
    let (clock, _hand) = Clock::mock();
    let told = Arc::new(AtomicBool::new(false));
    let listener = Arc::clone(&told);
    let breaker = CircuitBreaker::builder("api")
        .trip_when(TripPolicy::failure_count(1))
        .open_for(9 * SECOND)
        .on_transition(move |_| listener.store(true, Ordering::SeqCst))
        .clock(clock)
        .classify(|result: &Result<bool, ()>| match result {
            Ok(true) => Outcome::Success,
            _ => Outcome::Failure,
        })
        .build()
        .unwrap();
    assert_eq!(breaker.call(|| Ok(false)), Ok(false));
    assert_eq!(breaker.state(), State::Open);
    assert!(told.load(Ordering::SeqCst));
    let rejected = breaker.try_acquire().unwrap_err();
    assert!(rejected.retry_after() >= Some(9 * SECOND));
}

#[test]
fn a_dependency_that_says_so_opens_the_breaker_at_once() {
    let causes = Arc::new(Mutex::new(Vec::new()));
    let (clock, hand) = Clock::mock();
    let breaker = CircuitBreaker::builder("api")
        .clock(clock)
        .on_transition({
            let causes = Arc::clone(&causes);
            move |told| causes.lock().unwrap().push(told.cause())
        })
        .build()
        .unwrap();
    let classified = breaker.with_classifier(|_: &Result<u16, ()>| Outcome::Trip);
    assert_eq!(classified.call(|| Ok(503)), Ok(503));
    assert_eq!(breaker.state(), State::Open);

    hand.advance(6 * SECOND);
    let _ = classified.call(|| Ok(503));
    assert_eq!(breaker.state(), State::Open, "as a probe too");

    let said_so = Cause::TripRequested;
    let expected = [said_so, Cause::OpenExpired, said_so];
    assert_eq!(*causes.lock().unwrap(), expected);

    breaker.metrics_only();
    let _ = classified.call(|| Ok(503));
    assert_eq!(breaker.state(), State::MetricsOnly);
    assert_eq!(counts(&breaker), [0, 1, 0]);
}

// --------------------------------------------------------------------------------------- permits

#[test]
fn a_permit_records_one_outcome() {
    let (breaker, _hand) = breaker();
    breaker.try_acquire().unwrap().success();
    breaker.try_acquire().unwrap().failure();
    breaker.try_acquire().unwrap().record(Outcome::Ignored);
    drop(breaker.try_acquire().unwrap());
    assert_eq!(counts(&breaker), [1, 1, 2]);
}

#[test]
fn an_owned_permit_outlives_its_handle_and_goes_to_another_thread() {
    let (breaker, _hand) = breaker();
    let permit = breaker.clone().try_acquire_owned().unwrap();
    std::thread::spawn(move || permit.success()).join().unwrap();
    let permit: OwnedPermit = breaker.try_acquire_owned().unwrap();
    let last = breaker.clone();
    drop(breaker);
    permit.failure();
    assert_eq!(counts(&last), [1, 1, 0]);
    let permit = last.try_acquire_owned().unwrap();
    drop(last);
    permit.success();
}

#[test]
fn a_dropped_permit_counts_as_the_builder_was_told() {
    for (on_cancel, expected) in [(Outcome::Ignored, [0, 0, 2]), (Outcome::Failure, [0, 2, 0])] {
        let breaker = CircuitBreaker::builder("api").on_cancel(on_cancel);
        let breaker = breaker.build().unwrap();
        drop(breaker.try_acquire());
        drop(breaker.try_acquire_owned());
        assert_eq!(counts(&breaker), expected);
    }
}

// ---------------------------------------------------------------------------------- asynchronous

/// Runs a future to its end on this thread, without a runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// Is pending once, and wakes its task at once.
fn yield_once() -> impl Future<Output = ()> {
    let mut has_waited = false;
    std::future::poll_fn(move |context| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn an_asynchronous_call_gives_back_what_the_operation_gave_on_any_executor() {
    let (breaker, _hand) = breaker();
    let work = async || {
        let seven = breaker
            .call_async(|| async {
                yield_once().await;
                Ok::<_, &str>(7)
            })
            .await;
        assert_eq!(seven, Ok(7));
        let no = breaker
            .call_async(|| async {
                yield_once().await;
                Err::<i32, _>("no")
            })
            .await;
        assert_eq!(no, Err(CallError::Inner("no")));
    };
    block_on(work());
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(work());
    assert_eq!(counts(&breaker), [2, 2, 0]);
}

#[test]
fn an_asynchronous_call_can_be_spawned() {
    let (breaker, _hand) = breaker();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let clone = breaker.clone();
    let task = runtime.spawn(async move { clone.call_async(|| async { Ok::<_, ()>(7) }).await });
    assert_eq!(runtime.block_on(task).unwrap(), Ok(7));
    assert_eq!(counts(&breaker), [1, 0, 0]);
}

#[test]
fn the_future_of_a_call_is_at_most_56_bytes_larger_than_the_calls_own() {
    fn larger<F: Future<Output = Result<u8, u8>>>(operation: impl Fn() -> F + Copy) -> usize {
        let breaker = CircuitBreaker::new("payments");
        let inner = size_of_val(&operation());
        size_of_val(&breaker.call_async(operation)) - inner
    }
    let ready = larger(|| std::future::ready(Ok(1)));
    let large = larger(|| async {
        let large = [1_u8; 1_000];
        std::future::ready(()).await;
        Ok(large[999])
    });
    println!("{ready} and {large} bytes");
    assert!(ready.max(large) <= 56);
}

#[test]
fn an_asynchronous_call_asks_when_it_is_first_polled() {
    let (breaker, hand) = breaker();
    let made = Cell::new(false);
    let call = breaker.call_async(|| {
        made.set(true);
        std::future::ready(Ok::<_, ()>(7))
    });
    breaker.trip(SECOND);
    let mut call = pin!(call);
    hand.advance(2 * SECOND);
    assert!(!made.get());
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(poll_once(call.as_mut()), Poll::Ready(Ok(7)));
    assert_eq!(breaker.state(), State::Closed);

    breaker.force_open();
    let rejected = block_on(breaker.call_async(|| async { Ok::<_, ()>(7) }));
    assert!(rejected.unwrap_err().rejected().is_some());
}

#[test]
fn a_future_that_is_dropped_counts_as_cancelled_and_one_never_polled_as_nothing() {
    let (breaker, hand) = breaker();
    drop(breaker.call_async(std::future::pending::<Result<(), ()>>));
    assert_eq!(counts(&breaker), [0, 0, 0]);
    {
        let mut call = pin!(breaker.call_async(std::future::pending::<Result<(), ()>>));
        assert_eq!(poll_once(call.as_mut()), Poll::Pending);
        assert_eq!(counts(&breaker), [0, 0, 0]);
    }
    assert_eq!(counts(&breaker), [0, 0, 1]);

    breaker.trip(SECOND);
    hand.advance(2 * SECOND);
    {
        let mut call = pin!(breaker.call_async(std::future::pending::<Result<(), ()>>));
        assert_eq!(poll_once(call.as_mut()), Poll::Pending);
        assert_eq!(breaker.snapshot().probes_in_flight(), 1);
    }
    assert_eq!(breaker.snapshot().probes_in_flight(), 0);
}

#[test]
fn a_future_that_panics_is_a_failure_and_goes_on_panicking() {
    let (breaker, _hand) = breaker();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        block_on(breaker.call_async(|| async {
            yield_once().await;
            panic!("the call itself");
            #[allow(unreachable_code, reason = "for the type")]
            Ok::<(), ()>(())
        }))
    }));
    assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"the call itself"));
    // The panic comes before there is a future, too.
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let operation = || -> std::future::Ready<Result<(), ()>> { panic!("the closure") };
        block_on(breaker.call_async(operation))
    }));
    assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"the closure"));
    assert_eq!(counts(&breaker), [0, 2, 0]);
}

#[test]
fn an_asynchronous_call_is_classified_too() {
    let (breaker, _hand) = breaker();
    let classified = breaker.with_classifier(|_: &Result<u16, ()>| Outcome::Trip);
    let result = block_on(classified.call_async(|| async { Ok(503) }));
    assert_eq!(result, Ok(503));
    assert_eq!(breaker.state(), State::Open);
}

// ------------------------------------------------------------------------------------- fallbacks

#[test]
fn fallbacks_are_asked_in_turn_until_one_answers() {
    let (breaker, _hand) = breaker();
    let asked = Cell::new(0);
    let ask = |answer: Option<&'static str>| {
        asked.set(asked.get() + 1);
        answer
    };
    let result = breaker
        .call(|| Err("refused"))
        .or_fallback(|_| ask(None))
        .or_fallback(|error| {
            assert_eq!(*error, CallError::Inner("refused"));
            ask(Some("second"))
        })
        .or_fallback(|_| ask(Some("third")));
    assert_eq!(result, Ok("second"));
    assert_eq!(asked.get(), 2);

    let result = breaker
        .call(|| Ok::<_, &str>("first"))
        .or_fallback(|_| ask(Some("never")))
        .or_if_rejected(|_| ask(Some("never")));
    assert_eq!(result, Ok("first"));
    assert_eq!(asked.get(), 2);
}

#[test]
fn without_an_answer_the_error_stays() {
    let (breaker, _hand) = breaker();
    let result: Result<u8, _> = breaker.call(|| Err("refused")).or_fallback(|_| None);
    assert_eq!(result, Err(CallError::Inner("refused")));
    assert_eq!(result.unwrap_err().into_inner(), Some("refused"));
}

#[test]
fn a_fallback_for_rejections_leaves_the_calls_own_errors_alone() {
    let (breaker, _hand) = breaker();
    let result = breaker.call(|| Err("own")).or_if_rejected(|_| Some(1));
    assert_eq!(result, Err(CallError::Inner("own")));
    breaker.force_open();
    let result = breaker
        .call(|| Err("own"))
        .or_if_rejected(|rejected| (rejected.state() == State::ForcedOpen).then_some(1));
    assert_eq!(result, Ok(1));
    let result: Result<u8, _> = breaker.call(|| Err("own")).or_if_rejected(|_| None);
    assert!(result.unwrap_err().rejected().is_some());
}

#[test]
fn an_error_tells_whether_the_call_was_made() {
    let breaker = CircuitBreaker::new("api");
    let error = || breaker.call(|| Err::<(), _>("no")).unwrap_err();
    assert!(error().was_made());
    breaker.force_open();
    assert!(!error().was_made());
}

#[test]
fn an_error_of_threads_names_theirs_as_its_source() {
    let own = || std::io::Error::other("no thread is left");
    let clock = ClockError::Thread(own());
    let source = clock.source().map(ToString::to_string);
    assert_eq!(source.as_deref(), Some("no thread is left"));
    #[cfg(feature = "bulkhead")]
    {
        let pool = tripcurve::error::PoolError::Threads(own());
        let source = pool.source().map(ToString::to_string);
        assert_eq!(source.as_deref(), Some("no thread is left"));
    }
}

// ----------------------------------------------------------------------------------------- texts

#[test]
fn a_snapshot_is_one_line_for_a_log() {
    let (breaker, hand) = breaker();
    let shown = || breaker.snapshot().to_string();
    hand.advance(Duration::from_millis(1_500));
    assert_eq!(
        shown(),
        "api is closed for 1.5s: 0 calls, 0 failed (0.0 %), 0 in a row, 0 ignored"
    );
    breaker.try_acquire().unwrap().success();
    breaker.try_acquire().unwrap().failure();
    breaker.try_acquire().unwrap().failure();
    drop(breaker.try_acquire());
    let line = "3 calls, 2 failed (66.7 %), 2 in a row, 1 ignored";
    assert_eq!(shown(), format!("api is closed for 1.5s: {line}"));
    assert_eq!(
        format!("{breaker:?}"),
        format!("CircuitBreaker({})", shown())
    );

    breaker.trip(SECOND);
    let _ = breaker.try_acquire();
    hand.advance(SECOND / 2);
    assert_eq!(
        shown(),
        "api is open for 500.0ms: 500.0ms left, 1 calls rejected; opened: by hand"
    );

    hand.advance(SECOND);
    let probe = breaker.try_acquire();
    let _ = breaker.try_acquire();
    hand.advance(SECOND);
    assert_eq!(
        shown(),
        "api is half-open for 1.0s: 1 probes in flight, 0 succeeded, 1 calls rejected"
    );
    drop(probe);

    breaker.force_open();
    let _ = breaker.try_acquire();
    assert_eq!(
        shown(),
        "api is forced-open for 0.0ns: 1 calls rejected; opened: by hand"
    );
    breaker.disable();
    assert_eq!(
        shown(),
        "api is disabled for 0.0ns: all calls pass unrecorded"
    );
    breaker.metrics_only();
    assert_eq!(
        shown(),
        "api is metrics-only for 0.0ns: 0 calls, 0 failed (0.0 %), 0 in a row, 0 ignored"
    );
}

#[test]
fn a_rejection_says_who_and_how_long() {
    let (breaker, hand) = breaker();
    let shown = || breaker.try_acquire().unwrap_err().to_string();
    breaker.trip(2 * SECOND);
    assert_eq!(
        shown(),
        "circuit breaker api is open, retry after 2.0s; opened: by hand"
    );
    hand.advance(3 * SECOND);
    let probe = breaker.try_acquire();
    assert_eq!(
        shown(),
        "circuit breaker api is half-open, retry after 30.0s; opened: by hand"
    );
    drop(probe);
    breaker.force_open();
    assert_eq!(
        shown(),
        "circuit breaker api is forced-open; opened: by hand"
    );
}

#[test]
fn a_transition_says_what_changed_and_why() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let (clock, hand) = Clock::mock();
    let breaker = CircuitBreaker::builder(String::from("api"))
        .trip_when(TripPolicy::consecutive_failures(3))
        .trip_when(TripPolicy::failure_rate(0.5).min_calls(4))
        .trip_when(TripPolicy::failure_count(2))
        .probes(2)
        .clock(clock)
        .on_transition({
            let told = Arc::clone(&told);
            move |transition| told.lock().unwrap().push(transition.to_string())
        })
        .build()
        .unwrap();
    let record = |outcome| breaker.try_acquire().unwrap().record(outcome);
    record(Outcome::Failure);
    record(Outcome::Success);
    record(Outcome::Failure);
    hand.advance(6 * SECOND);
    std::mem::forget(breaker.try_acquire());
    std::mem::forget(breaker.try_acquire());
    hand.advance(30 * SECOND);
    record(Outcome::Success);
    record(Outcome::Success);
    record(Outcome::Trip);
    hand.advance(6 * SECOND);
    record(Outcome::Failure);
    breaker.metrics_only();
    let expected = [
        "api: closed -> open, generation 1: 2 of 3 calls in the window failed (limit 2)",
        "api: open -> half-open, generation 2: its open time is over",
        "api: half-open -> half-open, generation 3: 2 probes did not report in time",
        "api: half-open -> closed, generation 4: 2 of 2 probes succeeded",
        "api: closed -> open, generation 5: the dependency said so",
        "api: open -> half-open, generation 6: its open time is over",
        "api: half-open -> open, generation 7: a probe failed",
        "api: open -> metrics-only, generation 8: by hand",
    ];
    assert_eq!(*told.lock().unwrap(), expected);
    let rate = Cause::FailureRate {
        failures: 2,
        calls: 3,
        threshold: 0.5,
    };
    assert_eq!(
        rate.to_string(),
        "2 of 3 calls in the window failed, 66.7 % (limit 50.0 %)"
    );
    let run = Cause::ConsecutiveFailures {
        failures: 5,
        limit: 5,
    };
    assert_eq!(run.to_string(), "5 calls in a row failed (limit 5)");
}

#[test]
fn states_and_names_have_their_texts_and_keep_to_a_column() {
    let texts = [
        (State::Closed, "closed"),
        (State::Open, "open"),
        (State::HalfOpen, "half-open"),
        (State::ForcedOpen, "forced-open"),
        (State::Disabled, "disabled"),
        (State::MetricsOnly, "metrics-only"),
    ];
    for (state, text) in texts {
        assert_eq!(state.as_str(), text);
        assert_eq!(state.to_string(), text);
    }
    assert_eq!(format!("[{:>8}]", State::Open), "[    open]");
    let names: [Name; 3] = [
        Name::from("api"),
        String::from("api").into(),
        Arc::<str>::from("api").into(),
    ];
    for name in names {
        assert_eq!(name, Name::from("api"));
        assert_eq!(name.as_str(), "api");
        assert_eq!(format!("[{name:<5}] {name:?}"), "[api  ] \"api\"");
    }
}

#[test]
fn an_error_shows_its_cause_and_the_source_of_it() {
    #[derive(Debug)]
    struct Outer;

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("outer")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&fmt::Error)
        }
    }

    let error = CallError::Inner(Outer);
    assert_eq!(error.to_string(), "outer");
    assert!(error.source().unwrap().is::<fmt::Error>());
    let (breaker, _hand) = breaker();
    breaker.force_open();
    let rejected = breaker.try_acquire().unwrap_err();
    let error = CallError::<Outer>::from(rejected.clone());
    assert_eq!(error.to_string(), rejected.to_string());
    assert!(error.source().is_none());
}

#[test]
fn what_can_be_held_can_be_printed() {
    let (breaker, _hand) = breaker();
    let printed = [
        format!("{:?}", breaker.try_acquire().unwrap()),
        format!("{:?}", breaker.try_acquire_owned().unwrap()),
        format!("{:?}", CircuitBreaker::builder("api")),
        format!("{:?}", Clock::default()),
        format!("{:?}", Clock::mock()),
        format!("{:?}", Window::default()),
    ];
    for printed in printed {
        assert!(!printed.is_empty());
    }
}

// ----------------------------------------------------------------------------------------- types

/// A type that is neither `Send` nor `Sync`, so a type that contains it isn't, either.
type Bound = *const ();

fn send<T: Send>() {}
fn sync<T: Sync>() {}
fn unpin<T: Unpin>() {}

macro_rules! may_go_anywhere {
    ($($type:ty),+ $(,)?) => {
        $( send::<$type>(); sync::<$type>(); unpin::<$type>(); )+
    };
}

#[test]
fn every_public_type_is_send_sync_and_unpin() {
    may_go_anywhere!(
        CircuitBreaker,
        CircuitBreaker<fn(&Result<Bound, Bound>) -> Outcome>,
        CircuitBreakerBuilder,
        Clock,
        MockClock,
        CallError<String>,
        ConfigError,
        Rejected,
        Name,
        Outcome,
        DefaultClassifier,
        Permit<'static>,
        OwnedPermit,
        FailureRate,
        TripPolicy,
        Snapshot,
        State,
        Cause,
        Transition,
        Window,
        CountWindow,
    );
}

#[test]
fn the_future_of_a_call_may_go_where_the_operations_future_may() {
    fn check<F: Future + Send>(future: F) {
        drop(future);
    }
    let (breaker, _hand) = breaker();
    check(breaker.call_async(|| async { Ok::<_, ()>(7) }));
    // The result of the call needs no bounds.
    let bound: Bound = std::ptr::null();
    let result = block_on(breaker.call_async(|| async { Ok::<_, Bound>(bound) }));
    assert!(result.is_ok());
}

#[test]
fn an_error_goes_where_errors_go() {
    fn fails() -> Result<(), Box<dyn Error + Send + Sync>> {
        let (breaker, _hand) = breaker();
        breaker.force_open();
        breaker.call(|| "x".parse::<u8>())?;
        Ok(())
    }
    let error = fails().unwrap_err();
    assert_eq!(
        error.to_string(),
        "circuit breaker api is forced-open; opened: by hand"
    );
}

type BoxError = Box<dyn Error + Send + Sync>;

/// The error of a dependency with a database behind it: an error with a cause.
#[derive(Debug)]
struct Unanswered(fmt::Error);

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unanswered")
    }
}

impl Error for Unanswered {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

fn unanswered() -> Result<u8, BoxError> {
    Err(Unanswered(fmt::Error).into())
}

#[test]
fn a_call_whose_error_is_boxed_goes_where_boxed_errors_go() {
    fn ask(breaker: &CircuitBreaker) -> Result<u8, BoxError> {
        let answer = breaker.call(unanswered).map_err(CallError::into_box)?;
        Ok(answer)
    }
    let (breaker, _hand) = breaker();
    let error = ask(&breaker).unwrap_err();
    assert!(error.is::<Unanswered>(), "it is not boxed twice");
    assert_eq!(error.to_string(), "unanswered");
    assert!(error.source().unwrap().is::<fmt::Error>());

    breaker.force_open();
    let error = ask(&breaker).unwrap_err();
    let rejected = error.downcast_ref::<Rejected>().unwrap();
    assert_eq!(rejected.state(), State::ForcedOpen);
    assert!(error.source().is_none());
}

#[test]
fn errors_that_are_not_boxed_are_boxed_as_what_they_are() {
    let boxed = CallError::Inner(Unanswered(fmt::Error)).into_box();
    assert!(boxed.is::<Unanswered>());
    assert!(boxed.source().unwrap().is::<fmt::Error>());
    // A message isn't an error, but can be converted to one.
    let boxed = CallError::Inner("no answer").into_box();
    assert_eq!(boxed.to_string(), "no answer");
    let boxed = CallError::Inner(String::from("no answer")).into_box();
    assert_eq!(boxed.to_string(), "no answer");
}

#[cfg(feature = "tokio")]
#[test]
fn a_call_that_is_given_up_goes_where_boxed_errors_go() {
    use tripcurve::handles::Handle;

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let limited = CircuitBreaker::new("api").call_timeout(Duration::from_millis(1));
    let limited = limited.unwrap();
    let error = runtime.block_on(async {
        let hangs = || std::future::pending::<Result<u8, BoxError>>();
        limited.call_async(hangs).await.map_err(CallError::into_box)
    });
    let error = error.unwrap_err();
    assert!(error.is::<tripcurve::error::TimedOut>());
    assert!(error.source().is_none());
}

#[cfg(feature = "bulkhead")]
#[test]
fn a_call_without_a_place_goes_where_boxed_errors_go() {
    use tripcurve::bulkhead::Bulkhead;
    use tripcurve::error::BulkheadFull;
    use tripcurve::handles::Handle;

    let (breaker, _hand) = breaker();
    let bulkhead = Bulkhead::new(1).unwrap();
    let guarded = breaker.with_bulkhead(bulkhead.clone());
    let _place = bulkhead.try_acquire().unwrap();
    let error = guarded.call(unanswered).map_err(CallError::into_box);
    assert!(error.unwrap_err().is::<BulkheadFull>());
    breaker.force_open();
    let error = guarded.call(unanswered).map_err(CallError::into_box);
    assert!(error.unwrap_err().is::<Rejected>());
}

#[cfg(feature = "async")]
#[test]
fn a_call_that_may_wait_goes_where_boxed_errors_go() {
    use tripcurve::handles::Handle;

    let breaker = CircuitBreaker::builder("api").max_waiting(1).build();
    let breaker = breaker.unwrap();
    let waiting = breaker.waiting(Duration::ZERO).unwrap();
    breaker.force_open();
    let error = waiting.call(unanswered).map_err(CallError::into_box);
    assert!(error.unwrap_err().is::<Rejected>());
}
