//! A fleet's orders against calls, commands and reconfigurations of the breaker.

use std::time::Duration;

use loom_tests::sync::Arc;
use loom_tests::{breaker, model, preemptions, race};
use tripcurve::__model::{
    Core, EventQueue, FixedContext, InLine, Parts, Probes, Queue, Ring, Settings, Switch,
    ThreadSlot, Ticket, TimeRing,
};
use tripcurve::fleet::{Followed, Order};
use tripcurve::{Outcome, State, TripPolicy};

/// The breaker's own open time, a whole number of the state word's units.
const OPEN_FOR: u64 = 1 << 20;

/// A `Retry-After` that ends after the breaker's own open time, and before an order.
const RETRY_AFTER: u64 = 8 * OPEN_FOR;

/// Everything happens at one reading of the clock.
const NOW: FixedContext = FixedContext {
    nanos: 0,
    thread_slot: ThreadSlot(0),
};

/// A breaker in a fleet. It trips on a failure.
fn core(state: State) -> Core {
    let core = breaker(1, OPEN_FOR, state);
    // So that the part is there: loom can't see it being made.
    core.join_fleet();
    core
}

fn ramp(epoch: u64, round: u32) -> Order {
    Order::ramp(epoch, round, 1.0)
}

/// A breaker in the first round of a fleet's ramp.
fn ramping() -> Core {
    let core = core(State::Closed);
    core.follow(ramp(1, 1), &NOW);
    core
}

fn call(core: &Core, outcome: Outcome) {
    let ticket = core.admit(&NOW).expect("all calls are admitted");
    core.record(ticket, outcome, None, &NOW);
}

fn left(core: &Core) -> Option<Duration> {
    core.snapshot(&NOW).remaining_open()
}

/// Whether the breaker stays open for as long as an order lasts. The winner of an opening notes the
/// exact end late, and until then the rounded end counts.
fn is_held(core: &Core) -> bool {
    let units = |open: Duration| open.as_nanos().div_ceil(1 << 20);
    left(core).map(units) == Some(units(Order::LASTS))
}

fn generation(core: &Core) -> u64 {
    core.snapshot(&NOW).generation()
}

/// What a fleet has learned of the present round: its good and its bad calls.
fn taken(core: &Core) -> (u32, u32) {
    let calls = core.take_round();
    calls.map_or((0, 0), |calls| (calls.good(), calls.bad()))
}

/// The breaker, and a call that it has admitted.
type WithCall = (Core, Ticket);

fn with_call(core: Core) -> Arc<WithCall> {
    let ticket = core.admit(&NOW).expect("nothing has failed");
    Arc::new((core, ticket))
}

fn fails((core, ticket): &WithCall) {
    core.record(*ticket, Outcome::Failure, None, &NOW);
}

/// A failure trips the breaker while the fleet opens it. The breaker opens once and follows the
/// order, so the fleet can close it.
///
/// Fails when: an order doesn't look again after a lost exchange; it doesn't hold a breaker that is
/// open.
#[test]
fn an_order_to_open_and_a_local_trip_open_once_and_for_the_fleet() {
    model(preemptions(2), || {
        let shared = with_call(core(State::Closed));
        race(
            &shared,
            [fails, |(core, _): &WithCall| {
                core.follow(Order::open(1), &NOW);
            }],
        );
        let (core, _) = &*shared;
        assert_eq!(core.state(), State::Open);
        assert_eq!(generation(core), 1);
        assert!(is_held(core));
        assert_eq!(core.follow(Order::closed(2), &NOW), Followed::Changed);
        assert_eq!(core.state(), State::Closed);
    });
}

/// A failure trips the breaker while the fleet begins its ramp. The failure is from before the
/// ramp, so it ends no ramp and counts in none.
///
/// Fails when: an order doesn't look again after a lost exchange.
#[test]
fn an_order_to_ramp_comes_through_against_a_local_trip() {
    model(preemptions(2), || {
        let shared = with_call(core(State::Closed));
        race(
            &shared,
            [fails, |(core, _): &WithCall| {
                core.follow(ramp(1, 1), &NOW);
            }],
        );
        let (core, _) = &*shared;
        assert_eq!(core.snapshot(&NOW).admitted_share(), Some(1.0));
        assert_eq!(taken(core), (0, 0));
        call(core, Outcome::Success);
        assert_eq!(taken(core), (1, 0));
    });
}

/// A probe succeeds while the fleet opens again. The probe is from before the order.
///
/// Fails when: an order finds a probe and leaves it, though its epoch is new.
#[test]
fn an_order_to_open_comes_through_against_a_probe() {
    model(preemptions(2), || {
        let shared = with_call(core(State::HalfOpen));
        race(
            &shared,
            [
                |(core, ticket): &WithCall| {
                    core.record(*ticket, Outcome::Success, None, &NOW);
                },
                |(core, _): &WithCall| {
                    core.follow(Order::open(1), &NOW);
                },
            ],
        );
        let (core, _) = &*shared;
        assert_eq!(core.state(), State::Open);
        assert!(is_held(core));
    });
}

/// A command resets a breaker that follows its fleet, while the fleet says again that it is open.
///
/// Fails when: a command doesn't mark the order before it changes the state; an order looks at the
/// mark before it looks at the state.
#[test]
fn a_reset_overrides_a_fleet_that_stays_open() {
    model(preemptions(3), || {
        let core = core(State::Closed);
        core.follow(Order::open(1), &NOW);
        let core = Arc::new(core);
        race(
            &core,
            [
                |core: &Core| core.reset(0),
                |core: &Core| {
                    core.follow(Order::open(1), &NOW);
                },
            ],
        );
        assert_eq!(core.state(), State::Closed);
        let later = core.follow(Order::open(1), &NOW);
        assert_eq!(later, Followed::Overridden);
        assert_eq!(core.follow(ramp(2, 1), &NOW), Followed::Overridden);
    });
}

/// A command resets a breaker that was tripped by hand, while the fleet opens. Whichever comes last
/// holds, and an order that came before the command is overridden.
///
/// Fails when: a command doesn't mark an order that has come and changed nothing; it looks for one
/// without an exchange.
#[test]
fn a_reset_overrides_an_order_that_came_while_the_breaker_was_tripped_by_hand() {
    model(preemptions(3), || {
        let core = core(State::Closed);
        core.trip(OPEN_FOR, 0);
        let core = Arc::new(core);
        let came = race(
            &core,
            [
                |core: &Core| {
                    core.reset(0);
                    Followed::Kept
                },
                |core: &Core| core.follow(Order::open(1), &NOW),
            ],
        );
        if came[1] == Followed::Changed {
            assert!(is_held(&core));
        } else {
            assert_eq!(core.state(), State::Closed);
            let later = core.follow(Order::open(1), &NOW);
            assert_eq!(later, Followed::Overridden);
        }
    });
}

fn parts(state: Option<State>) -> Parts {
    Parts {
        settings: Settings {
            name: "model".into(),
            policies: [TripPolicy::failure_count(1)].into(),
            open_for: OPEN_FOR,
            probes: Probes::all(1),
            probe_timeout: u64::MAX,
            on_cancel: Outcome::Ignored,
            switch: Switch {
                mode: state,
                ..Switch::default()
            },
        },
        ring: Ring::Time(TimeRing::new(1 << 30, 1, 1, false)),
        optional: None,
    }
}

/// A reconfiguration switches the breaker off while the fleet opens it.
///
/// Fails when: an order changes a state that the settings hold.
#[test]
fn a_breaker_that_is_switched_off_while_the_fleet_opens_is_off() {
    model(preemptions(2), || {
        let core = Arc::new(core(State::Closed));
        race(
            &core,
            [
                |core: &Core| {
                    core.reconfigure(parts(Some(State::Disabled)), &NOW);
                },
                |core: &Core| {
                    core.follow(Order::open(1), &NOW);
                },
            ],
        );
        assert_eq!(core.state(), State::Disabled);
    });
}

/// A reconfiguration starts the recovery over while the fleet begins its ramp. The breaker probes or
/// follows the ramp, and follows the next round in any case.
///
/// Fails when: an order doesn't look again after a lost exchange.
#[test]
fn a_ramp_goes_on_after_a_reconfiguration_of_the_recovery() {
    model(preemptions(2), || {
        let core = Arc::new(core(State::HalfOpen));
        let came = race(
            &core,
            [
                |core: &Core| {
                    let mut parts = parts(None);
                    parts.settings.probes = Probes::all(2);
                    core.reconfigure(parts, &NOW);
                    Followed::Kept
                },
                |core: &Core| core.follow(ramp(1, 1), &NOW),
            ],
        );
        assert_eq!(came[1], Followed::Changed);
        assert_eq!(core.state(), State::HalfOpen);
        assert_eq!(core.follow(ramp(1, 2), &NOW), Followed::Changed);
        assert_eq!(core.snapshot(&NOW).admitted_share(), Some(1.0));
        call(&core, Outcome::Success);
        assert_eq!(taken(&core), (1, 0));
    });
}

/// A call of a round comes back while the next round begins, whose first call comes back too.
///
/// Fails when: a call counts in whatever round there is; a late call takes the count over from a
/// later round.
#[test]
fn an_outcome_from_before_a_round_counts_nothing_in_it() {
    model(preemptions(3), || {
        let shared = with_call(ramping());
        race(
            &shared,
            [fails, |(core, _): &WithCall| {
                core.follow(ramp(1, 2), &NOW);
                call(core, Outcome::Success);
            }],
        );
        assert_eq!(taken(&shared.0), (1, 0));
    });
}

/// Calls of a round come back while the fleet takes what it has.
///
/// Fails when: counts are taken by a store.
#[test]
fn each_call_of_a_round_is_taken_once() {
    model(preemptions(3), || {
        let core = Arc::new(ramping());
        let [_, _, (good, bad)] = race(
            &core,
            [
                |core: &Core| {
                    call(core, Outcome::Success);
                    (0, 0)
                },
                |core: &Core| {
                    call(core, Outcome::Failure);
                    (0, 0)
                },
                taken,
            ],
        );
        let (later_good, later_bad) = taken(&core);
        assert_eq!((good + later_good, bad + later_bad), (1, 1));
    });
}

/// A call asks while the fleet's ramp begins. It finds the ramp's end with the ramp.
///
/// Fails when: the end of an order is noted after the state.
#[test]
fn a_call_that_finds_a_ramp_finds_when_its_order_ends() {
    model(preemptions(3), || {
        let core = core(State::Closed);
        core.follow(Order::open(1), &NOW);
        let core = Arc::new(core);
        race(
            &core,
            [
                |core: &Core| {
                    core.follow(ramp(2, 1), &NOW);
                },
                |core: &Core| {
                    if let Ok(ticket) = core.admit(&NOW) {
                        core.record(ticket, Outcome::Failure, None, &NOW);
                    }
                },
            ],
        );
        assert_eq!(core.snapshot(&NOW).admitted_share(), Some(1.0));
    });
}

/// The store is lost while a call brings a `Retry-After`.
///
/// Fails when: the thread that shortens the open time doesn't look for a `Retry-After` again.
#[test]
fn a_retry_after_while_the_order_is_dropped_is_honoured() {
    model(preemptions(3), || {
        let core = core(State::Closed);
        core.follow(Order::open(1), &NOW);
        let core = Arc::new(core);
        race(
            &core,
            [
                |core: &Core| core.drop_order(0),
                |core: &Core| {
                    core.note_retry_after(RETRY_AFTER, 0);
                },
            ],
        );
        assert_eq!(left(&core), Some(Duration::from_nanos(RETRY_AFTER)));
    });
}

/// What a task that waits waits for, and for how long at most.
type Waits = Option<(Option<u64>, <EventQueue as Queue>::InLine)>;

/// A task begins to wait while the store is lost. It waits by the shorter time, or is woken.
///
/// Fails when: the thread that shortens the open time wakes nobody, or has no fence before it does.
#[test]
fn a_task_that_begins_to_wait_while_the_order_is_dropped_waits_no_longer_than_the_breaker() {
    model(preemptions(3), || {
        let core = core(State::Closed);
        core.follow(Order::open(1), &NOW);
        // So that the queue is there: loom can't see it being made.
        core.watch(&NOW).map(|(_, listener)| listener.discard());
        let core = Arc::new(core);
        // The task comes first, because loom doesn't see the queue; see `loom_tests`.
        let [waits, _] = race(
            &core,
            [
                |core: &Core| -> Waits {
                    let (refusal, listener) = core.watch(&NOW)?;
                    Some((refusal.retry_after(), listener))
                },
                |core: &Core| {
                    core.drop_order(0);
                    None
                },
            ],
        );
        let (wait, listener) = waits.expect("the breaker is open");
        let is_woken = listener.discard();
        assert!(is_woken || wait == Some(OPEN_FOR), "it waits for {wait:?}");
    });
}
