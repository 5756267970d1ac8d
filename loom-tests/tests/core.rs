//! The words together, as a breaker: no trip is lost, and no outcome reaches another generation.

use std::time::Duration;

use loom_tests::sync::{Arc, AtomicU64, Ordering};
use loom_tests::{model, preemptions, race};
use tripcurve::__model::{
    CallContext, Core, CountRing, FixedContext, HalfOpenLimit, KeptTimes, Listeners, Now,
    OptionalParts, Parts, Probes, Ring, Settings, Switch, ThreadSlot, TimeRing,
};
use tripcurve::events::Cause;
use tripcurve::recovery::HalfOpenVerdict;
use tripcurve::time::{Clock, MockClock};
use tripcurve::{Outcome, State, TripPolicy};

fn core(policy: impl Into<TripPolicy>, ring: Ring) -> Core {
    core_with(policy, ring, None)
}

fn core_with(policy: impl Into<TripPolicy>, ring: Ring, listeners: Option<Box<Listeners>>) -> Core {
    core_of(policy, ring, None, listeners)
}

fn core_of(
    policy: impl Into<TripPolicy>,
    ring: Ring,
    optional: Option<Box<OptionalParts>>,
    listeners: Option<Box<Listeners>>,
) -> Core {
    let settings = Settings {
        name: "model".into(),
        policies: [policy].into(),
        open_for: 1_000_000,
        probes: Probes::all(1),
        probe_timeout: u64::MAX,
        on_cancel: Outcome::Ignored,
        switch: Switch::default(),
    };
    Core::new(
        Parts {
            settings,
            ring,
            optional,
        },
        listeners,
        State::Closed,
        0,
    )
}

fn two_shards() -> Ring {
    let ring = Ring::Time(TimeRing::new(10, 1, 2, false));
    ring.grow();
    ring
}

fn on_lane(thread_slot: u32) -> FixedContext {
    FixedContext {
        nanos: 5,
        thread_slot: ThreadSlot(thread_slot),
    }
}

fn call(core: &Core, outcome: Outcome, thread_slot: u32) {
    call_by(core, outcome, on_lane(thread_slot));
}

fn call_by(core: &Core, outcome: Outcome, context: FixedContext) {
    if let Ok(ticket) = core.admit(&context) {
        core.record(ticket, outcome, None, &context);
    }
}

fn fail_on_two_lanes(core: &Arc<Core>) {
    race(
        core,
        [
            |core: &Core| call(core, Outcome::Failure, 0),
            |core: &Core| call(core, Outcome::Failure, 1),
        ],
    );
}

/// Two threads write the two failures that trip to one bucket, and then sum it.
///
/// Fails when: `Stamped::update` stores instead of exchanging.
#[test]
fn of_two_failures_in_one_bucket_no_trip_is_lost() {
    model(preemptions(2), || {
        let core = Arc::new(core(TripPolicy::failure_count(2), two_shards()));
        fail_on_two_lanes(&core);
        assert_eq!(core.state(), State::Open);
    });
}

/// The first and the second bucket of a ring of two.
fn in_bucket(bucket: u64, thread_slot: u32) -> FixedContext {
    FixedContext {
        nanos: 9 + bucket,
        thread_slot: ThreadSlot(thread_slot),
    }
}

fn two_buckets() -> Ring {
    Ring::Time(TimeRing::new(10, 2, 2, false))
}

/// Like the model above, on both sides of a tick. One writer's clock is a bucket behind the
/// other's, and only the run of failures is a common word.
///
/// Fails when: `View::record_failure` adds to the run before it writes to the window; when
/// `Shards` doesn't count a bucket one turn ahead.
#[test]
fn of_two_failures_on_both_sides_of_a_tick_no_trip_is_lost() {
    model(preemptions(2), || {
        let core = Arc::new(core(TripPolicy::failure_count(2), two_buckets()));
        race(
            &core,
            [
                |core: &Core| call_by(core, Outcome::Failure, in_bucket(0, 0)),
                |core: &Core| call_by(core, Outcome::Failure, in_bucket(1, 1)),
            ],
        );
        assert_eq!(core.state(), State::Open);
    });
}

/// Two failures that trip, in a window of the last n calls.
///
/// Fails when: `View::record_failure` adds to the run before it writes to the window.
#[test]
fn of_two_failures_among_the_last_calls_no_trip_is_lost() {
    model(preemptions(3), || {
        let ring = Ring::Count(Box::new(CountRing::new(20, None, KeptTimes::NONE)));
        let core = Arc::new(core(TripPolicy::failure_count(2), ring));
        // So the two are in different groups, and only the cursor is a common word.
        for _ in 0..15 {
            call(&core, Outcome::Success, 0);
        }
        fail_on_two_lanes(&core);
        assert_eq!(core.state(), State::Open);
    });
}

/// Two failures that trip, in a run of failures.
///
/// Fails when: `Stamped::update` stores instead of exchanging.
#[test]
fn of_two_failures_in_a_row_no_trip_is_lost() {
    model(preemptions(3), || {
        let core = Arc::new(core(TripPolicy::consecutive_failures(2), two_shards()));
        fail_on_two_lanes(&core);
        assert_eq!(core.state(), State::Open);
    });
}

/// A run of failures that trips, with a success between that restarts the run.
///
/// Fails when: `Shards` doesn't count a bucket one turn ahead. (When the exchange of `Stamped::update`
/// only releases, the fence in `TimeRing::failures_and_slow` makes up for it here; see `counter.rs`.)
#[test]
fn of_two_failures_with_a_success_between_no_trip_is_lost() {
    model(preemptions(2), || {
        let core = Arc::new(core(TripPolicy::failure_count(2), two_buckets()));
        race(
            &core,
            [
                |core: &Core| call_by(core, Outcome::Failure, in_bucket(0, 0)),
                |core: &Core| {
                    call_by(core, Outcome::Failure, in_bucket(1, 1));
                    call_by(core, Outcome::Success, in_bucket(1, 1));
                },
            ],
        );
        assert_eq!(core.state(), State::Open);
    });
}

/// Two threads succeed on their own words, and then fail: half of four calls.
///
/// Fails when: `Shards::counts` leaves out the words of other threads.
#[test]
fn of_two_failures_after_successes_on_words_of_their_own_no_trip_is_lost() {
    model(preemptions(2), || {
        let policy = TripPolicy::failure_rate(0.5).min_calls(4);
        let core = Arc::new(core(policy, two_shards()));
        race(
            &core,
            [
                |core: &Core| {
                    call(core, Outcome::Success, 0);
                    call(core, Outcome::Failure, 0);
                },
                |core: &Core| {
                    call(core, Outcome::Success, 1);
                    call(core, Outcome::Failure, 1);
                },
            ],
        );
        assert_eq!(core.state(), State::Open);
    });
}

/// A breaker under a clock that moves on.
struct Turning {
    core: Core,
    clock: Clock,
    hand: MockClock,
}

impl Turning {
    fn call(&self, outcome: Outcome) {
        if let Ok(ticket) = self.core.admit(self) {
            self.core.record(ticket, outcome, None, self);
        }
    }
}

impl Now for Turning {
    fn raw(&self) -> u64 {
        self.clock.raw()
    }

    fn nanos_at(&self, raw: u64) -> u64 {
        self.clock.nanos_at(raw)
    }
}

impl CallContext for Turning {
    fn thread_slot(&self) -> ThreadSlot {
        ThreadSlot(0)
    }
}

/// Two failures of the window's four calls trip, on both sides of a tick. After the tick, the short
/// stretch of two buckets holds only the failures. Before it, the stretch also holds two successes.
///
/// The words and the order of their reads are those of the models above. Only the end of the
/// stretch is new: it follows the reader's clock.
///
/// Fails when: `Core::unless_it_has_stopped` uses the clock reading by which the window was judged.
#[test]
fn of_two_failures_that_burn_on_both_sides_of_a_tick_no_trip_is_lost() {
    model(preemptions(1).full(2), || {
        let (clock, hand) = Clock::mock();
        let policy = TripPolicy::burn_rate(0.5).factor(1.0).min_calls(4);
        let ring = Ring::Time(TimeRing::new(10, 3, 1, false));
        let core = core(policy, ring);
        let turning = Turning { core, clock, hand };
        turning.call(Outcome::Success);
        turning.call(Outcome::Success);
        turning.hand.advance_to(Duration::from_nanos(10));
        let turning = Arc::new(turning);
        race(
            &turning,
            [
                |turning: &Turning| turning.call(Outcome::Failure),
                |turning: &Turning| {
                    turning.hand.advance_to(Duration::from_nanos(20));
                    turning.call(Outcome::Failure);
                },
            ],
        );
        assert_eq!(turning.core.state(), State::Open);
    });
}

/// A call that was let through before a reset fails after it.
///
/// Fails when: `Stamped::update` doesn't ask `is_current`.
#[test]
fn a_failure_from_before_a_reset_is_not_counted_after_it() {
    model(preemptions(2), || {
        let core = Arc::new(core(TripPolicy::failure_count(2), two_shards()));
        race(
            &core,
            [
                |core: &Core| call(core, Outcome::Failure, 0),
                |core: &Core| {
                    core.reset(5);
                    // This call is admitted and fails after the reset, so it is counted.
                    call(core, Outcome::Failure, 0);
                },
            ],
        );
        let seen = core.snapshot(&on_lane(0));
        // The first call is also counted if it was admitted after the reset. Then two failures
        // trip.
        let counted = seen.state() == State::Closed && seen.failures() == 1
            || seen.state() == State::Open && seen.generation() == 2;
        assert!(counted, "{seen:?}");
    });
}

/// Two threads trip the breaker at once.
///
/// Fails when: `AtomicState::change` doesn't enter a new generation.
#[test]
fn a_trip_that_two_threads_find_is_one_transition_and_told_once() {
    model(preemptions(2), || {
        let told = Arc::new(AtomicU64::new(0));
        let listener = {
            let told = Arc::clone(&told);
            std::sync::Arc::new(move |transition: &tripcurve::events::Transition| {
                assert_eq!(transition.generation(), 1);
                assert!(matches!(transition.cause(), Cause::FailureCount { .. }));
                told.fetch_add(1, Ordering::Relaxed);
            })
        };
        let listeners = Listeners::new(vec![listener], &Clock::default());
        let policy = TripPolicy::failure_count(1);
        let core = Arc::new(core_with(policy, two_shards(), listeners));
        fail_on_two_lanes(&core);
        assert_eq!(core.state(), State::Open);
        assert_eq!(told.load(Ordering::Relaxed), 1);
    });
}

/// A reader takes a snapshot during a trip.
///
/// Fails when: `Core::snapshot` takes the counts of a generation that it loads anew.
#[test]
fn a_snapshot_is_that_of_one_generation() {
    model(preemptions(2), || {
        let core = Arc::new(core(TripPolicy::failure_count(1), two_shards()));
        let [seen, _] = race(
            &core,
            [
                |core: &Core| Some(core.snapshot(&on_lane(0))),
                |core: &Core| {
                    call(core, Outcome::Failure, 0);
                    None
                },
            ],
        );
        let Some(seen) = seen else { return };
        match seen.state() {
            State::Closed => assert_eq!(seen.generation(), 0),
            State::Open => {
                assert_eq!((seen.generation(), seen.failures()), (1, 0));
                assert!(seen.remaining_open() > Some(Duration::ZERO));
            }
            other => panic!("{other}"),
        }
    });
}

/// A breaker with one failure is reset, and fails once more. A reader that finds the first
/// generation finds its failure, in the window and in a row.
///
/// Fails when: `Core::state_after` has no fence.
#[test]
fn a_snapshot_during_a_reset_lacks_no_failure_of_its_generation() {
    model(preemptions(2), || {
        let core = Arc::new(core(TripPolicy::failure_count(3), two_shards()));
        call(&core, Outcome::Failure, 0);
        let [seen, _] = race(
            &core,
            [
                |core: &Core| Some(core.snapshot(&on_lane(0))),
                |core: &Core| {
                    core.reset(5);
                    call(core, Outcome::Failure, 0);
                    None
                },
            ],
        );
        let Some(seen) = seen else { return };
        if seen.generation() == 0 {
            let failures = (seen.failures(), seen.consecutive_failures());
            assert_eq!(failures, (1, 1), "{seen:?}");
        }
    });
}

/// After the open time, one of two callers is the only probe, and its success closes the breaker.
///
/// Fails when: `AtomicState::admit` takes a place without a compare-exchange.
#[test]
fn recovery_lets_one_probe_through_and_closes_once() {
    model(preemptions(3), || {
        let core = Arc::new(core(TripPolicy::failure_count(1), two_shards()));
        core.trip(0, 0);
        let admitted = race(
            &core,
            [
                |core: &Core| core.admit(&on_lane(0)).is_ok(),
                |core: &Core| core.admit(&on_lane(1)).is_ok(),
            ],
        );
        assert_eq!(admitted.iter().filter(|admitted| **admitted).count(), 1);
        assert_eq!(core.state(), State::HalfOpen);
        assert_eq!(core.snapshot(&on_lane(0)).generation(), 2);
    });
}

/// After the open time, two callers ask. The limit of the half-open state is shorter than the time
/// since the breaker was built.
#[test]
fn a_half_open_state_that_has_just_begun_is_not_over() {
    model(preemptions(3), || {
        let limit = HalfOpenLimit::new(Duration::from_nanos(2), HalfOpenVerdict::Reopen);
        let optional = OptionalParts {
            half_open_limit: Some(Box::new(limit)),
            ..OptionalParts::default()
        };
        let policy = TripPolicy::failure_count(1);
        let core = Arc::new(core_of(policy, two_shards(), optional.boxed(), None));
        core.trip(0, 0);
        let admitted = race(
            &core,
            [
                |core: &Core| core.admit(&on_lane(0)).is_ok(),
                |core: &Core| core.admit(&on_lane(1)).is_ok(),
            ],
        );
        assert_eq!(admitted.iter().filter(|admitted| **admitted).count(), 1);
        assert_eq!(core.state(), State::HalfOpen);
    });
}
