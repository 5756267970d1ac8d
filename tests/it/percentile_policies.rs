//! The policies on the window's percentiles. They judge once per tick, at the tick's first recorded
//! call.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::effort;
use tripcurve::events::Cause;
use tripcurve::outcome::Report;
use tripcurve::time::{Clock, MockClock};
use tripcurve::window::{Recording, Window};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, State, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);
const NANO: Duration = Duration::from_nanos(1);

/// The duration of healthy calls in these tests.
const USUAL: Duration = Duration::from_millis(10);

fn just_before(end: Duration) -> Duration {
    end.saturating_sub(NANO)
}

/// A breaker on a mock clock, and the causes of its state changes.
struct Subject {
    breaker: CircuitBreaker,
    hand: MockClock,
    causes: Arc<Mutex<Vec<Cause>>>,
}

impl Subject {
    fn new(settings: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder) -> Self {
        let (clock, hand) = Clock::mock();
        let log = Arc::new(Mutex::new(Vec::new()));
        let causes = Arc::clone(&log);
        let builder = CircuitBreaker::builder("percentiles")
            .clock(clock)
            .on_transition(move |told| log.lock().unwrap().push(told.cause()));
        Self {
            breaker: settings(builder).build().unwrap(),
            hand,
            causes,
        }
    }

    fn record(&self, outcome: Outcome, took: Duration) {
        if let Ok(permit) = self.breaker.try_acquire() {
            permit.record(Report::from(outcome).took(took));
        }
    }

    /// Makes successful calls.
    fn calls(&self, calls: u32, took: Duration) {
        for _ in 0..calls {
            self.record(Outcome::Success, took);
        }
    }

    /// Makes twenty calls in each of this many seconds.
    fn seconds(&self, seconds: u32, took: Duration) {
        for _ in 0..seconds {
            self.calls(20, took);
            self.hand.advance(SECOND);
        }
    }

    fn state(&self) -> State {
        self.breaker.state()
    }

    /// The causes of trips since the last call of this function.
    fn trips(&self) -> Vec<Cause> {
        let causes = std::mem::take(&mut *self.causes.lock().unwrap());
        let is_trip = |cause: &Cause| {
            !matches!(
                cause,
                Cause::OpenExpired | Cause::ProbesSucceeded { .. } | Cause::Manual
            )
        };
        causes.into_iter().filter(is_trip).collect()
    }
}

#[track_caller]
fn assert_about(measured: Duration, expected: Duration) {
    let off = measured.abs_diff(expected);
    assert!(32 * off <= expected, "{measured:?} for {expected:?}");
}

// ----------------------------------------------------------------------------------- above a limit

const LIMIT: Duration = Duration::from_millis(100);

fn p99_above_limit(builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
    builder.trip_when(TripPolicy::latency_percentile(99.0).above(LIMIT))
}

#[test]
fn a_percentile_above_the_limit_trips_on_the_first_call_of_the_next_tick() {
    for outcome in [Outcome::Success, Outcome::Failure] {
        let subject = Subject::new(p99_above_limit);
        // The very first call is judged alone.
        subject.calls(150, 2 * LIMIT);
        assert_eq!(subject.state(), State::Closed);
        subject.hand.advance(just_before(SECOND));
        subject.record(outcome, MILLI);
        assert_eq!(subject.state(), State::Closed, "the tick isn't over");
        subject.hand.advance(NANO);
        assert!(subject.breaker.try_acquire().is_ok(), "nobody has recorded");
        subject.record(outcome, MILLI);
        assert_eq!(subject.state(), State::Open);
        let [
            Cause::LatencyPercentile {
                percentile,
                measured,
                limit,
            },
        ] = subject.trips()[..]
        else {
            panic!("it tripped for another reason");
        };
        assert!((percentile - 99.0).abs() < 1e-9);
        assert_eq!(limit, LIMIT);
        assert_about(measured, 2 * LIMIT);
    }
}

#[test]
fn a_percentile_of_fewer_calls_than_the_smallest_number_is_not_judged() {
    let subject = Subject::new(p99_above_limit);
    subject.calls(98, 2 * LIMIT);
    for calls in [99, 100] {
        assert_eq!(subject.state(), State::Closed);
        subject.hand.advance(SECOND);
        subject.calls(1, 2 * LIMIT);
        let is_tripped = subject.state() == State::Open;
        assert_eq!(is_tripped, calls == 100, "at {calls} calls");
    }
}

#[test]
fn one_call_in_a_hundred_may_be_above_the_limit_and_no_more() {
    // With so few calls, each of them counts.
    for slow in [2, 3, 4] {
        let subject = Subject::new(p99_above_limit);
        subject.calls(299 - slow, MILLI);
        subject.calls(slow, 2 * LIMIT);
        subject.hand.advance(SECOND);
        subject.calls(1, MILLI);
        let is_tripped = subject.state() == State::Open;
        assert_eq!(is_tripped, slow == 4, "{slow} of 300");
    }
}

#[test]
fn a_percentile_at_the_limit_does_not_trip() {
    let measured = {
        let subject = Subject::new(|builder| builder.latency(Recording::Combined));
        subject.calls(1, LIMIT);
        let snapshot = subject.breaker.snapshot();
        snapshot.latency().unwrap().percentile(50.0).unwrap()
    };
    for (limit, trips) in [(measured, false), (just_before(measured), true)] {
        let policy = TripPolicy::latency_percentile(50.0).above(limit);
        let subject = Subject::new(|builder| builder.trip_when(policy.min_calls(1)));
        subject.calls(1, LIMIT);
        assert_eq!(subject.state() == State::Open, trips, "{limit:?}");
    }
}

#[test]
fn a_tick_is_a_bucket_if_that_is_shorter_than_a_second() {
    for (window, tick) in [
        (Window::time(SECOND, 10), 100 * MILLI),
        (Window::time(100 * SECOND, 10), SECOND),
        (Window::count(1_000).into(), SECOND),
    ] {
        let subject = Subject::new(|builder| p99_above_limit(builder).window(window.clone()));
        subject.calls(200, 2 * LIMIT);
        subject.hand.advance(just_before(tick));
        subject.calls(1, 2 * LIMIT);
        assert_eq!(subject.state(), State::Closed, "{window:?}");
        subject.hand.advance(NANO);
        subject.calls(1, 2 * LIMIT);
        assert_eq!(subject.state(), State::Open, "{window:?}");
    }
}

#[test]
fn what_has_left_the_window_is_not_judged() {
    let window = Window::time(10 * SECOND, 10);
    let subject = Subject::new(|builder| p99_above_limit(builder).window(window));
    subject.calls(500, 2 * LIMIT);
    subject.hand.advance(10 * SECOND);
    subject.seconds(10, MILLI);
    assert_eq!(subject.state(), State::Closed);
}

#[test]
fn a_policy_on_percentiles_turns_the_histogram_on_and_leaves_it_as_it_was_chosen() {
    let latency = |recording| {
        let settings = |builder| p99_above_limit(builder).latency(recording);
        let snapshot = Subject::new(settings).breaker.snapshot();
        [snapshot.latency(), snapshot.latency_of_failures()].map(|latency| latency.is_some())
    };
    assert_eq!(latency(Recording::Off), [true, false]);
    assert_eq!(latency(Recording::Combined), [true, false]);
    assert_eq!(latency(Recording::ByOutcome), [true, true]);
}

#[test]
fn calls_of_both_outcomes_are_judged_together_however_they_are_recorded() {
    for recording in [Recording::Combined, Recording::ByOutcome] {
        let subject = Subject::new(|builder| {
            let policy = TripPolicy::latency_percentile(50.0).above(LIMIT);
            builder.trip_when(policy).latency(recording)
        });
        for _ in 0..60 {
            subject.record(Outcome::Success, MILLI);
            subject.record(Outcome::Failure, 2 * LIMIT);
        }
        subject.hand.advance(SECOND);
        subject.record(Outcome::Failure, 2 * LIMIT);
        assert_eq!(subject.state(), State::Open, "{recording:?}");
    }
}

// --------------------------------------------------------------------------- above what was usual

/// Ten buckets of one second, which are also ten ticks.
fn four_times_as_usual(builder: CircuitBreakerBuilder) -> CircuitBreakerBuilder {
    let policy = TripPolicy::slower_than_usual(4.0).min_calls(10);
    builder
        .window(Window::time(10 * SECOND, 10))
        .trip_when(policy)
        .open_for(SECOND)
}

/// A breaker whose previous windows were healthy.
fn experienced(windows: u32) -> Subject {
    let subject = Subject::new(four_times_as_usual);
    subject.seconds(10 * windows, USUAL);
    assert_eq!(subject.trips(), []);
    subject
}

#[test]
fn what_is_usual_is_not_asked_before_a_full_window_was_seen() {
    // The very first tick has one call and teaches nothing.
    for (seconds, trips) in [(9, false), (12, true)] {
        let subject = Subject::new(four_times_as_usual);
        subject.seconds(seconds, USUAL);
        // After a reset, the window holds only slow calls.
        subject.breaker.reset();
        subject.calls(20, 100 * USUAL);
        subject.hand.advance(SECOND);
        subject.calls(1, 100 * USUAL);
        assert_eq!(!subject.trips().is_empty(), trips, "after {seconds} s");
    }
}

#[test]
fn a_percentile_trips_above_the_factor_and_not_below() {
    for (tenths, trips) in [(37, false), (43, true)] {
        let subject = experienced(3);
        subject.breaker.reset();
        subject.seconds(2, USUAL * tenths / 10);
        let causes = subject.trips();
        assert_eq!(!causes.is_empty(), trips, "{tenths} tenths");
        for cause in causes {
            let Cause::SlowerThanUsual {
                percentile,
                measured,
                usual,
            } = cause
            else {
                panic!("{cause:?}");
            };
            assert!((percentile - 90.0).abs() < 1e-9);
            assert_about(measured, USUAL * tenths / 10);
            assert_about(usual, USUAL);
        }
    }
}

#[test]
fn the_percentile_that_is_compared_can_be_chosen() {
    for (percentile, trips) in [(90.0, false), (50.0, false), (97.0, true)] {
        let subject = Subject::new(|builder| {
            let policy = TripPolicy::slower_than_usual(4.0).min_calls(10);
            builder
                .window(Window::time(10 * SECOND, 10))
                .trip_when(policy.percentile(percentile))
        });
        subject.seconds(20, USUAL);
        for _ in 0..10 {
            subject.calls(19, USUAL);
            subject.calls(1, 10 * USUAL);
            subject.hand.advance(SECOND);
        }
        assert_eq!(!subject.trips().is_empty(), trips, "p{percentile}");
    }
}

#[test]
fn an_outage_teaches_little() {
    let subject = Subject::new(four_times_as_usual);
    // One tick comes before the judgement, and then one in which all calls take a thousand times as
    // long.
    subject.seconds(10, USUAL);
    subject.breaker.reset();
    subject.seconds(1, 1_000 * USUAL);
    subject.calls(1, 1_000 * USUAL);
    assert_eq!(subject.trips(), [], "it had not seen enough");
    subject.breaker.reset();
    subject.seconds(10, USUAL);
    subject.breaker.reset();
    subject.seconds(2, 8 * USUAL);
    let [Cause::SlowerThanUsual { usual, .. }] = subject.trips()[..] else {
        panic!("it didn't trip on eight times as much");
    };
    assert!(
        (USUAL..USUAL * 13 / 10).contains(&usual),
        "{usual:?} is usual"
    );
}

#[test]
fn a_dependency_that_stays_slower_trips_a_few_times_and_then_no_more() {
    let some = effort::share_of(4).max(2) as usize;
    for slower in [5, 1_000, 10, 100].into_iter().take(some) {
        let subject = experienced(20);
        subject.seconds(300, slower * USUAL);
        let trips = subject.trips();
        assert!(
            (1..=4).contains(&trips.len()),
            "{slower} times slower: {trips:?}"
        );
        subject.seconds(3_000, slower * USUAL);
        assert_eq!(subject.trips(), [], "{slower} times slower, for an hour");
        assert_eq!(subject.state(), State::Closed);
    }
}

#[test]
fn after_a_slowdown_that_has_passed_a_new_one_trips_again() {
    let subject = experienced(20);
    subject.seconds(20, 20 * USUAL);
    assert!(!subject.trips().is_empty());
    subject.seconds(600, USUAL);
    assert_eq!(subject.trips(), []);
    subject.seconds(20, 20 * USUAL);
    assert!(!subject.trips().is_empty());
}

#[test]
fn fewer_calls_than_the_smallest_number_teach_nothing() {
    let subject = Subject::new(four_times_as_usual);
    for _ in 0..100 {
        subject.hand.advance(11 * SECOND);
        subject.calls(9, USUAL);
    }
    subject.breaker.reset();
    subject.seconds(5, 100 * USUAL);
    assert_eq!(subject.trips(), [], "it knows of nothing usual");
}
