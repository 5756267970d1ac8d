//! Slow calls and overdue calls, as a breaker sees them: no trip is lost, and no call counts twice
//! against the dependency.

use std::sync::Mutex;
use std::time::Duration;

use loom_tests::sync::Arc;
use loom_tests::{UNBOUNDED, Unwatched, at, model, preemptions, race};
use tripcurve::__model::{
    CallContext, Core, CountRing, Counts, FixedContext, Generation, KeptTimes, OptionalParts,
    Parts, Probes, Recording, Ring, Sample, SavedCore, Settings, Switch, Tally, Ticket, TimeRing,
    Timed, Times, Took,
};
use tripcurve::{Outcome, State, TripPolicy};

/// Width of a bucket, in nanoseconds.
const WIDTH: u64 = 20_000;

/// The duration from which on a call is slow, in nanoseconds.
const LIMIT: u64 = 1_000;

/// The time when calls that began at zero are overdue, shortly before a bucket ends.
const LATE: u64 = WIDTH - 1;

/// A breaker, and its calls in flight.
struct Slow {
    core: Core,
    tickets: Vec<Ticket>,
}

impl Slow {
    /// A breaker that trips on `calls` calls if all of them are slow.
    fn new(ring: Ring, calls: u32) -> Self {
        let slower_than = Duration::from_nanos(LIMIT);
        let policy = TripPolicy::slow_rate(1.0)
            .slower_than(slower_than)
            .min_calls(calls);
        let settings = Settings {
            name: "model".into(),
            policies: [policy].into(),
            open_for: 1_000_000,
            probes: Probes::all(1),
            probe_timeout: u64::MAX,
            on_cancel: Outcome::Ignored,
            switch: Switch::default(),
        };
        let spans = Times {
            slower_than: Some(slower_than),
            window: Duration::from_nanos(2 * WIDTH),
            tick: Duration::from_nanos(WIDTH),
            tick_units: WIDTH,
            watch_units: LIMIT / 4,
            sample_units: None,
            recording: Recording::Off,
        };
        let timed = Timed::new(&spans, None, &settings.policies);
        let beside = OptionalParts {
            timed: Some(Box::new(timed)),
            ..OptionalParts::default()
        }
        .boxed();
        let core = Core::new(
            Parts {
                settings,
                ring,
                optional: beside,
            },
            None,
            State::Closed,
            0,
        );
        let tickets = Vec::new();
        Self { core, tickets }
    }

    /// Adds a call in flight that began at zero.
    fn and_a_call_of(mut self, context: &impl CallContext) -> Self {
        let ticket = self.core.admit(context);
        self.tickets.push(ticket.expect("it is closed"));
        self
    }

    /// Adds two calls in flight that aren't watched.
    fn and_two_calls(self) -> Self {
        // The very first call is always watched.
        let first = self.core.admit(&at(0, 0)).expect("it is closed");
        self.core.record(first, Outcome::Ignored, None, &at(0, 0));
        let context = Unwatched(at(0, 0));
        self.and_a_call_of(&context).and_a_call_of(&context)
    }

    /// A call is dropped.
    fn give_up(&self, call: usize, context: FixedContext) {
        self.core.cancel(self.tickets[call], &context);
    }

    /// A call ends.
    fn come_back(&self, call: usize, outcome: Outcome, context: FixedContext) {
        self.core
            .record(self.tickets[call], outcome, None, &context);
    }
}

fn buckets(buckets: u32) -> Ring {
    Ring::Time(TimeRing::new(WIDTH, buckets, 2, true))
}

fn last_calls() -> Ring {
    let timing = KeptTimes {
        counts_slow: true,
        recording: Recording::Off,
    };
    Ring::Count(Box::new(CountRing::new(20, None, timing)))
}

/// Two calls end on both sides of a tick, so only the run of failures is a common word.
fn come_back_on_both_sides_of_a_tick(second: Outcome) {
    let slow = Slow::new(buckets(2), 2).and_two_calls();
    let shared = Arc::new((slow, second));
    race(
        &shared,
        [
            |(slow, _)| slow.come_back(0, Outcome::Success, at(LATE, 0)),
            |(slow, second)| slow.come_back(1, *second, at(LATE + 1, 1)),
        ],
    );
    assert_eq!(shared.0.core.state(), State::Open);
}

/// Fails when: `GenerationCounter::restart` doesn't write although the count is zero already;
/// `Core::record_success_slow` restarts the run before it writes to the window.
#[test]
fn of_two_slow_calls_on_both_sides_of_a_tick_no_trip_is_lost() {
    model(preemptions(2).full(3), || {
        come_back_on_both_sides_of_a_tick(Outcome::Success);
    });
}

/// Fails when: `GenerationCounter::restart` doesn't write although the count is zero already;
/// `Core::record_success_slow` restarts the run before it writes to the window.
#[test]
fn of_a_slow_success_and_a_slow_failure_no_trip_is_lost() {
    model(preemptions(2).full(3), || {
        come_back_on_both_sides_of_a_tick(Outcome::Failure);
    });
}

/// Fails when: `GenerationCounter::stay` doesn't write if nothing changes.
#[test]
fn of_two_calls_that_are_dropped_late_no_trip_is_lost() {
    model(preemptions(2).full(3), || {
        let slow = Arc::new(Slow::new(buckets(2), 2).and_two_calls());
        race(
            &slow,
            [
                |slow| slow.give_up(0, at(LATE, 0)),
                |slow| slow.give_up(1, at(LATE + 1, 1)),
            ],
        );
        assert_eq!(slow.core.state(), State::Open);
    });
}

/// Two slow calls end, in a window of the last n calls.
///
/// Fails when: `GenerationCounter::stay` doesn't write if nothing changes.
#[test]
fn of_two_slow_calls_among_the_last_no_trip_is_lost() {
    model(preemptions(2).full(3), || {
        let slow = Arc::new(Slow::new(last_calls(), 2).and_two_calls());
        race(
            &slow,
            [
                |slow| slow.come_back(0, Outcome::Success, at(LATE, 0)),
                |slow| slow.come_back(1, Outcome::Success, at(LATE, 1)),
            ],
        );
        assert_eq!(slow.core.state(), State::Open);
    });
}

/// The ring's counts at the time of the race.
fn count(ring: &Ring) -> Counts {
    let context = at(LATE, 1);
    let call = ring.call(Generation::FIRST, &context);
    ring.all_counts(ring.failures_and_slow(call), call)
}

/// A slow call is recorded while another thread counts.
fn record_and_count(ring: Ring, tally: Tally) {
    let shared = Arc::new((ring, tally));
    race(
        &shared,
        [
            |(ring, _)| {
                let seen = count(ring);
                assert!(seen.slow <= seen.calls(), "{seen:?}");
            },
            |(ring, tally)| {
                let context = at(LATE, 0);
                let took = Took {
                    nanos: LATE,
                    is_slow: true,
                };
                let call = ring.call(Generation::FIRST, &context);
                ring.record_timed_at(call, *tally, Sample::new(took, 0, None), || true);
            },
        ],
    );
    let counts = count(&shared.0);
    assert_eq!((counts.slow, counts.calls()), (1, 1));
}

/// Fails when: `Ring::record_timed_at` counts a call as slow before it counts the call;
/// `TimeRing::failures_and_slow` has no fences.
#[test]
fn a_reader_sees_no_slow_success_that_is_not_among_the_calls() {
    model(UNBOUNDED, || {
        record_and_count(buckets(1), Tally::Success);
    });
}

/// Fails when: `Ring::record_timed_at` counts a call as slow before it counts the call;
/// `TimeRing::failures_and_slow` has no fences, or reads the failures before the slow calls.
#[test]
fn a_reader_sees_no_slow_failure_that_is_not_among_the_calls() {
    model(UNBOUNDED, || {
        record_and_count(buckets(1), Tally::Failure);
    });
}

/// Fails when: `CountRing::sum` counts the calls before the slow ones; `Durations::read` doesn't
/// acquire; `Durations::write` doesn't release.
#[test]
fn a_reader_sees_no_slow_call_that_is_not_among_the_last() {
    model(UNBOUNDED, || {
        record_and_count(last_calls(), Tally::Success);
    });
}

/// A call ends while another thread takes a snapshot.
fn come_back_and_look(ring: Ring, outcome: Outcome) {
    let slow = Slow::new(ring, 10).and_a_call_of(&at(0, 0));
    let shared = Arc::new((slow, outcome));
    let [seen, _] = race(
        &shared,
        [
            |(slow, _)| Some(slow.core.snapshot(&at(LATE, 1))),
            |(slow, outcome)| {
                slow.come_back(0, *outcome, at(LATE, 0));
                None
            },
        ],
    );
    let Some(seen) = seen else { return };
    // The call may be missed between the time it leaves its place and the time it is recorded.
    assert!(seen.slow() + seen.overdue() <= 1, "{seen:?}");
    let seen = shared.0.core.snapshot(&at(LATE, 0));
    assert_eq!((seen.slow(), seen.overdue(), seen.calls()), (1, 0, 1));
}

/// Fails when: `Present::settle_late` records a call before it removes its note.
#[test]
fn a_call_that_is_dropped_late_is_not_seen_in_flight_as_well() {
    model(preemptions(3), || {
        let slow = Arc::new(Slow::new(buckets(1), 10).and_a_call_of(&at(0, 0)));
        let [seen, _] = race(
            &slow,
            [
                |slow| Some(slow.core.snapshot(&at(LATE, 1))),
                |slow| {
                    slow.give_up(0, at(LATE, 0));
                    None
                },
            ],
        );
        let Some(seen) = seen else { return };
        assert!(seen.slow() + seen.overdue() <= 1, "{seen:?}");
        let seen = slow.core.snapshot(&at(LATE, 0));
        assert_eq!((seen.slow(), seen.overdue(), seen.calls()), (1, 0, 1));
    });
}

/// Fails when: a call is recorded before `InFlight::unwatch`; `Core::suspicions` reads the overdue
/// calls before the slow ones.
#[test]
fn a_success_that_comes_back_is_not_seen_in_flight_as_well() {
    model(preemptions(3), || {
        come_back_and_look(buckets(1), Outcome::Success);
    });
}

/// Fails when: a call is recorded before `InFlight::unwatch`; `Core::suspicions` reads the overdue
/// calls before the slow ones.
#[test]
fn a_failure_that_comes_back_is_not_seen_in_flight_as_well() {
    model(preemptions(3), || {
        come_back_and_look(buckets(1), Outcome::Failure);
    });
}

/// Fails when: a call is recorded before `InFlight::unwatch`; `Core::suspicions` reads the overdue
/// calls before the slow ones.
#[test]
fn of_the_last_calls_none_that_comes_back_is_seen_in_flight_as_well() {
    model(preemptions(3), || {
        come_back_and_look(last_calls(), Outcome::Success);
    });
}

/// One slow call ends while another call begins, whose admission judges whether to trip.
///
/// Fails when: a call is recorded before `InFlight::unwatch`; `Core::suspicions` reads the overdue
/// calls before the slow ones.
#[test]
fn a_slow_call_that_comes_back_is_not_taken_for_two() {
    model(preemptions(3), || {
        let slow = Arc::new(Slow::new(buckets(1), 2).and_a_call_of(&at(0, 0)));
        race(
            &slow,
            [
                |slow| {
                    let ticket = slow.core.admit(&at(LATE, 1));
                    assert!(ticket.is_ok());
                },
                |slow| slow.come_back(0, Outcome::Success, at(LATE, 0)),
            ],
        );
        assert_eq!(slow.core.state(), State::Closed);
    });
}

/// A call fails late while another thread saves the window.
fn fail_late_while_it_is_saved(ring: fn() -> Ring) {
    let slow = Slow::new(ring(), 9).and_two_calls();
    // This call makes the words in which the other call is counted.
    slow.come_back(0, Outcome::Success, at(LIMIT, 0));
    let shared = Arc::new((slow, Mutex::new(None)));
    race(
        &shared,
        [
            |(slow, _): &(Slow, Mutex<Option<SavedCore>>)| {
                slow.come_back(1, Outcome::Failure, at(LATE, 0));
            },
            |(slow, seen): &(Slow, Mutex<Option<SavedCore>>)| {
                let saved = slow.core.save(&at(LATE, 1));
                // Loom needn't see the mutex: only one thread uses it during the race.
                *seen.lock().unwrap() = Some(saved);
            },
        ],
    );
    let saved = shared.1.lock().unwrap().take().unwrap();
    let mut restored = Slow::new(ring(), 9).core;
    restored.restore(&saved, 0, &at(LATE, 0));
    let snapshot = restored.snapshot(&at(LATE, 0));
    assert!(snapshot.slow() <= snapshot.failures());
}

/// A window of the last calls.
///
/// Fails when: `Durations::read` doesn't acquire.
#[test]
fn of_the_last_calls_a_slow_one_is_saved_with_its_outcome() {
    model(preemptions(3), || fail_late_while_it_is_saved(last_calls));
}

/// A window by time.
///
/// Fails when: `TimeRing::save` has no fence between slow calls and failures.
#[test]
fn of_the_calls_of_a_time_a_slow_one_is_saved_with_its_outcome() {
    model(preemptions(3), || {
        fail_late_while_it_is_saved(|| buckets(1));
    });
}
