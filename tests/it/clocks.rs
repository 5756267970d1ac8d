//! Clocks of the user and tokio's clock, and the system's time of transitions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tripcurve::events::Transition;
use tripcurve::time::Clock;
use tripcurve::window::Window;
use tripcurve::{CircuitBreaker, Outcome, Recovery, State, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);

/// A clock that shows the milliseconds in a word.
fn by_hand(begin: u64) -> (Clock, Arc<AtomicU64>) {
    let millis = Arc::new(AtomicU64::new(begin));
    let clock = Clock::from_fn({
        let millis = Arc::clone(&millis);
        move || Duration::from_millis(millis.load(Ordering::SeqCst))
    });
    (clock, millis)
}

#[test]
fn a_breaker_goes_by_the_clock_of_its_user() {
    // As a clock that counts from 1970 begins, which is beyond the range of the state word.
    for begin in [0, 1_800_000_000_000] {
        let (clock, millis) = by_hand(begin);
        assert_eq!(clock.now(), Duration::ZERO);
        let breaker = CircuitBreaker::builder("simulated")
            .recovery(Recovery::fixed(5 * SECOND, 1))
            .clock(clock.clone())
            .build()
            .unwrap();
        breaker.try_acquire().unwrap().record(Outcome::Trip);
        millis.fetch_add(4_999, Ordering::SeqCst);
        assert_eq!(breaker.ask().unwrap_err().earliest(), Some(SECOND / 1_000));
        millis.fetch_add(1, Ordering::SeqCst);
        breaker.try_acquire().unwrap().success();
        assert_eq!(breaker.state(), State::Closed);
        assert_eq!(clock.now(), 5 * SECOND);
    }
}

#[test]
fn a_clock_of_the_user_is_shown_and_told_from_others() {
    let (clock, _millis) = by_hand(0);
    assert_eq!(format!("{clock:?}"), "Clock(custom)");
    let breaker = CircuitBreaker::builder("simulated")
        .clock(clock.clone())
        .build()
        .unwrap();
    let same = CircuitBreaker::builder("simulated").clock(clock).probes(2);
    assert!(breaker.reconfigure(same).is_ok());
    let other = CircuitBreaker::builder("simulated").clock(by_hand(0).0);
    assert!(breaker.reconfigure(other).is_err());
}

/// A function that goes back, by less and by more than the window, and before its origin.
#[test]
fn a_clock_that_goes_back_does_no_harm() {
    for back in [300, 30_000, 500_000] {
        for window in [Window::time(SECOND, 10), Window::count(20).into()] {
            let (clock, millis) = by_hand(100_000);
            millis.store(200_000, Ordering::SeqCst);
            let breaker = CircuitBreaker::builder("simulated")
                .window(window)
                .trip_when(TripPolicy::failure_count(5))
                .recovery(Recovery::fixed(5 * SECOND, 1))
                .clock(clock)
                .build()
                .unwrap();
            for _ in 0..3 {
                breaker.try_acquire().unwrap().failure();
            }
            millis.store(200_000_u64.saturating_sub(back), Ordering::SeqCst);
            let counted = breaker.snapshot().failures();
            assert!(counted == 3 || back > 1_000, "{back}: {counted}");
            for _ in counted..5 {
                assert_eq!(breaker.state(), State::Closed);
                breaker.try_acquire().unwrap().failure();
            }
            assert_eq!(breaker.state(), State::Open, "{back}");
            assert_eq!(breaker.ask().unwrap_err().earliest(), Some(5 * SECOND));
            // While it is open, the clock goes back once more.
            let now = millis.load(Ordering::SeqCst);
            millis.store(now.saturating_sub(50), Ordering::SeqCst);
            assert!(breaker.ask().unwrap_err().earliest() <= Some(5_050 * SECOND / 1_000));
            millis.fetch_add(200_000, Ordering::SeqCst);
            breaker.try_acquire().unwrap().success();
            assert_eq!(breaker.state(), State::Closed);
        }
    }
}

/// Whatever a clock shows, from one reading to the next.
#[test]
fn no_method_panics_at_any_time_that_a_clock_shows() {
    let times = [
        0,
        1,
        5,
        u64::MAX,
        3,
        1 << 40,
        7,
        u64::MAX / 2,
        0,
        1 << 62,
        60_000,
    ];
    let turn = Arc::new(AtomicU64::new(0));
    let clock = Clock::from_fn({
        let turn = Arc::clone(&turn);
        move || {
            let turn = usize::try_from(turn.fetch_add(1, Ordering::SeqCst)).unwrap();
            Duration::from_millis(times[turn % times.len()])
        }
    });
    for recovery in [Recovery::default(), Recovery::adaptive()] {
        let breaker = CircuitBreaker::builder("simulated")
            .trip_when(TripPolicy::consecutive_failures(2))
            .trip_when(TripPolicy::adaptive())
            .recovery(recovery)
            .clock(clock.clone())
            .on_transition(|transition| assert!(transition.system_time() >= SystemTime::UNIX_EPOCH))
            .build()
            .unwrap();
        for round in 0..1_000_u32 {
            if let Ok(permit) = breaker.try_acquire() {
                match round % 3 {
                    0 => permit.success(),
                    1 => permit.failure(),
                    _ => drop(permit),
                }
            }
            let _answers = (breaker.ask(), breaker.snapshot().to_string());
            if round % 50 == 0 {
                breaker.trip(SECOND);
            }
        }
    }
}

/// The transitions that a breaker's listener was told of.
type Told = Arc<Mutex<Vec<Transition>>>;

fn listened(clock: Clock) -> (CircuitBreaker, Told) {
    let told = Told::default();
    let breaker = CircuitBreaker::builder("told")
        .on_transition({
            let told = Arc::clone(&told);
            move |transition| told.lock().unwrap().push(transition.clone())
        })
        .clock(clock)
        .build()
        .unwrap();
    (breaker, told)
}

#[test]
fn a_transition_has_the_systems_time() {
    for clock in [
        Clock::default(),
        Clock::coarse(SECOND / 1_000).unwrap(),
        by_hand(0).0,
    ] {
        let (breaker, told) = listened(clock);
        let before = SystemTime::now() - SECOND;
        breaker.force_open();
        let after = SystemTime::now() + SECOND;
        let at = told.lock().unwrap()[0].system_time();
        assert!(before < at && at < after, "{at:?}");
    }
}

#[test]
fn with_a_mock_clock_the_systems_time_is_the_same_in_each_run() {
    let (clock, hand) = Clock::mock();
    let (breaker, told) = listened(clock);
    hand.advance(8 * SECOND);
    breaker.force_open();
    let new_year = SystemTime::UNIX_EPOCH + 1_767_225_600 * SECOND;
    hand.set_system_time(new_year);
    hand.advance(8 * SECOND);
    breaker.reset();
    let told = told.lock().unwrap();
    let times: Vec<_> = told.iter().map(Transition::system_time).collect();
    assert_eq!(
        times,
        [SystemTime::UNIX_EPOCH + 8 * SECOND, new_year + 8 * SECOND]
    );
    assert_eq!(told[1].at(), 16 * SECOND);
}

/// A transition that is told late has the time at which it was made.
#[test]
fn a_transition_that_a_listener_holds_up_has_its_own_time() {
    let (clock, hand) = Clock::mock();
    let told = Told::default();
    let breaker: Arc<std::sync::OnceLock<CircuitBreaker>> = Arc::default();
    let built = CircuitBreaker::builder("told")
        .on_transition({
            let (told, breaker, hand) = (Arc::clone(&told), Arc::clone(&breaker), hand.clone());
            move |transition: &Transition| {
                told.lock().unwrap().push(transition.clone());
                if transition.to() == State::ForcedOpen {
                    // This transition is told when the listener is back.
                    breaker.get().unwrap().reset();
                    hand.advance(60 * SECOND);
                }
            }
        })
        .clock(clock)
        .build()
        .unwrap();
    breaker.set(built).unwrap();
    hand.advance(SECOND);
    breaker.get().unwrap().force_open();
    let told = told.lock().unwrap();
    let times: Vec<_> = told.iter().map(Transition::system_time).collect();
    assert_eq!(times, [SystemTime::UNIX_EPOCH + SECOND; 2]);
}

/// Fails when: a system time that was set after a transition moves the transition's time on.
#[test]
fn a_transition_from_before_the_systems_time_was_set_is_dated_back_from_it() {
    let at = |seconds| SystemTime::UNIX_EPOCH + seconds * SECOND;
    let (clock, hand) = Clock::mock();
    let told = Told::default();
    let breaker: Arc<std::sync::OnceLock<CircuitBreaker>> = Arc::default();
    let built = CircuitBreaker::builder("told")
        .on_transition({
            let (told, breaker, hand) = (Arc::clone(&told), Arc::clone(&breaker), hand.clone());
            move |transition: &Transition| {
                told.lock().unwrap().push(transition.clone());
                if transition.to() == State::ForcedOpen {
                    // This transition is told when the listener is back.
                    breaker.get().unwrap().reset();
                    hand.advance(60 * SECOND);
                    hand.set_system_time(at(1_000));
                }
            }
        })
        .clock(clock)
        .build()
        .unwrap();
    breaker.set(built).unwrap();
    hand.advance(SECOND);
    breaker.get().unwrap().force_open();
    let told = told.lock().unwrap();
    let times: Vec<_> = told.iter().map(Transition::system_time).collect();
    assert_eq!(times, [at(1), at(940)]);
}

#[cfg(all(feature = "async", feature = "tokio"))]
mod with_tokio {
    use std::future::{Future, pending};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::pin::pin;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Waker};

    use super::*;
    use crate::runtime::paused;
    use tripcurve::CallError;
    use tripcurve::handles::Handle;
    use tripcurve::time::TokioSleep;

    #[test]
    fn paused_time_moves_breaker_call_timeout_and_test_together() {
        paused(async {
            let begin = tokio::time::Instant::now();
            let breaker = CircuitBreaker::builder("backend")
                .trip_when(TripPolicy::consecutive_failures(3))
                .recovery(Recovery::fixed(60 * SECOND, 1))
                .clock(Clock::tokio())
                .build()
                .unwrap();
            let limited = breaker.call_timeout(2 * SECOND).unwrap();
            let is_well = AtomicBool::new(false);
            let call = async || {
                if !is_well.load(Ordering::SeqCst) {
                    pending::<()>().await;
                }
                Ok::<_, ()>("answer")
            };
            for _ in 0..3 {
                let hangs = limited.call_async(call).await;
                assert!(matches!(hangs, Err(CallError::TimedOut(_))));
            }
            assert_eq!(breaker.state(), State::Open);
            assert_eq!(begin.elapsed(), 6 * SECOND);
            let open = breaker.snapshot().remaining_open();
            assert_eq!(open, Some(60 * SECOND), "no time has passed but the test's");
            tokio::time::advance(10 * SECOND).await;
            assert_eq!(breaker.snapshot().remaining_open(), Some(50 * SECOND));
            is_well.store(true, Ordering::SeqCst);
            breaker.until_admitting(TokioSleep).await;
            assert!(begin.elapsed() <= 66 * SECOND + SECOND / 100);
            assert_eq!(limited.call_async(call).await, Ok("answer"));
            assert_eq!(breaker.state(), State::Closed);
        });
    }

    /// Polls the future once. Returns the message of its panic, if it panics.
    fn panics<T>(future: impl Future<Output = T>) -> Option<String> {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        let poll = || drop(future.as_mut().poll(&mut context));
        let panic = catch_unwind(AssertUnwindSafe(poll)).err()?;
        let text = panic.downcast::<String>().map(|text| *text);
        Some(text.unwrap_or_else(|panic| (*panic.downcast::<&str>().unwrap()).to_owned()))
    }

    #[test]
    fn a_task_without_tokios_timer_panics_where_it_begins_to_wait_and_nowhere_else() {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let without_time = runtime.unwrap();
        for (is_entered, lacks) in [(false, "no reactor running"), (true, "enable_time")] {
            let _entered = is_entered.then(|| without_time.enter());
            let breaker = CircuitBreaker::new("no timer");
            let limited = breaker.call_timeout(SECOND).unwrap();
            let message = panics(limited.call_async(async || Ok::<_, ()>(42))).unwrap();
            assert!(message.contains(lacks), "{message}");
            assert_eq!(breaker.snapshot().failures(), 1);
            assert_eq!(panics(breaker.call_async(async || Ok::<_, ()>(42))), None);
            assert_eq!(breaker.snapshot().successes(), 1);
            assert!(panics(breaker.until_admitting(TokioSleep)).is_none());
            breaker.trip(SECOND);
            assert!(panics(breaker.until_admitting(TokioSleep)).is_some());
            assert_eq!(breaker.state(), State::Open);
        }
    }

    #[cfg(feature = "bulkhead")]
    #[test]
    fn a_bulkhead_survives_the_panic_of_a_task_without_tokios_timer() {
        use tripcurve::bulkhead::Bulkhead;

        let one = Bulkhead::new(1).unwrap().max_wait(SECOND);
        let place = one.try_acquire().unwrap();
        assert!(panics(one.acquire_async()).is_some());
        assert_eq!((one.in_flight(), one.waiting()), (1, 0));
        drop(place);
        assert!(panics(one.acquire_async()).is_none());
        assert_eq!(one.in_flight(), 0);
    }

    #[test]
    fn tokios_clock_runs_outside_of_a_runtime() {
        let clock = Clock::tokio();
        let first = clock.now();
        std::thread::sleep(SECOND / 500);
        assert!(clock.now() > first);
        let (breaker, told) = listened(clock);
        breaker.force_open();
        let at = told.lock().unwrap()[0].system_time();
        assert!(at.elapsed().unwrap_or_default() < 60 * SECOND);
    }
}
