//! A breaker follows the orders of its fleet, and recovers by itself without them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tripcurve::events::Cause;
use tripcurve::fleet::{FleetPort, Followed, Order};
use tripcurve::outcome::Report;
use tripcurve::time::{Clock, MockClock};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, Recovery, State};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// The states that were left and entered, and why.
type Told = Arc<Mutex<Vec<(State, State, Cause)>>>;

struct Member {
    breaker: CircuitBreaker,
    port: FleetPort,
    hand: MockClock,
    told: Told,
}

impl Member {
    fn new() -> Self {
        Self::built_by(CircuitBreaker::builder("payments"))
    }

    fn built_by(builder: CircuitBreakerBuilder) -> Self {
        let (clock, hand) = Clock::mock();
        let told = Told::default();
        let log = Arc::clone(&told);
        let breaker = builder
            .clock(clock)
            .on_transition(move |it| log.lock().unwrap().push((it.from(), it.to(), it.cause())))
            .build()
            .unwrap();
        let port = breaker.fleet_port().unwrap();
        Self {
            breaker,
            port,
            hand,
            told,
        }
    }

    fn told(&self) -> Vec<(State, State, &'static str)> {
        let told = std::mem::take(&mut *self.told.lock().unwrap());
        let words = told.iter().map(|(from, to, it)| (*from, *to, it.kind()));
        words.collect()
    }

    /// Makes so many calls with this outcome, and returns how many were admitted.
    fn calls(&self, calls: u32, outcome: Outcome) -> u32 {
        let made = (0..calls).filter(|_| match self.breaker.try_acquire() {
            Ok(permit) => {
                permit.record(outcome);
                true
            }
            Err(_) => false,
        });
        u32::try_from(made.count()).unwrap()
    }

    fn follows(&self, order: Order, followed: Followed, state: State) {
        assert_eq!(self.port.follow(order), followed, "{order:?}");
        assert_eq!(self.breaker.state(), state, "{order:?}");
    }

    fn state(&self) -> State {
        self.breaker.state()
    }
}

use Followed::{Changed, Kept, Outdated, Overridden};
use State::{Closed, ForcedOpen, HalfOpen, Open};

#[test]
fn a_breaker_follows_its_fleet_from_open_through_the_ramp_to_closed() {
    let it = Member::new();
    let facts = Cause::Fleet {
        members: 1_000,
        failures: 46,
        calls: 47,
        nats: 21.25,
        needed: 18.0,
    };
    let opens = Order::open(1)
        .members(1_000)
        .calls(46, 47)
        .evidence(21.25, 18.0);
    it.follows(opens, Changed, Open);
    assert_eq!(it.told.lock().unwrap()[0], (Closed, Open, facts));
    assert_eq!(
        facts.to_string(),
        "its fleet decided so: 46 of 47 calls of 1000 members failed; evidence 21.2 nats of 18.0 \
         needed"
    );
    let rejected = it.breaker.try_acquire().unwrap_err();
    assert_eq!(rejected.cause(), Some(facts));
    assert_eq!(rejected.earliest(), Some(Order::LASTS));
    assert_eq!(it.calls(100, Outcome::Success), 0);
    it.follows(Order::ramp(2, 1, 0.25), Changed, HalfOpen);
    assert_eq!(it.calls(100, Outcome::Success), 25);
    it.follows(Order::ramp(2, 2, 0.5), Changed, HalfOpen);
    assert_eq!(it.calls(100, Outcome::Success), 50);
    assert_eq!(it.breaker.snapshot().admitted_share(), Some(0.5));
    it.follows(Order::closed(3), Changed, Closed);
    assert_eq!(it.calls(100, Outcome::Success), 100);
    let told = [
        (Closed, Open, "fleet"),
        (Open, HalfOpen, "fleet"),
        (HalfOpen, Closed, "fleet"),
    ];
    assert_eq!(it.told(), told);
}

#[test]
fn an_order_to_open_lasts_fifteen_seconds_from_the_latest_one() {
    let it = Member::new();
    it.port.follow(Order::open(1));
    for _ in 0..4 {
        it.hand.advance(14_999 * MILLISECOND);
        assert_eq!(it.calls(3, Outcome::Success), 0);
        it.follows(Order::open(1), Kept, Open);
    }
    it.hand.advance(15 * SECOND);
    // A probe, and then a ramp of its own.
    assert_eq!(it.calls(1, Outcome::Success), 1);
    let told = [
        (Closed, Open, "fleet"),
        (Open, HalfOpen, "open_expired"),
        (HalfOpen, HalfOpen, "probe_succeeded"),
    ];
    assert_eq!(it.told(), told);
}

#[test]
fn a_ramp_lasts_fifteen_seconds_from_the_latest_order_and_then_goes_on_by_itself() {
    let it = Member::new();
    it.port.follow(Order::open(1));
    it.port.follow(Order::ramp(2, 1, 0.25));
    it.hand.advance(14 * SECOND);
    it.follows(Order::ramp(2, 1, 0.25), Kept, HalfOpen);
    it.hand.advance(14 * SECOND);
    assert_eq!(it.calls(100, Outcome::Success), 25, "none has decided");
    assert_eq!(it.port.take_round().unwrap().good(), 25);
    it.hand.advance(SECOND);
    for _ in 0..400 {
        it.hand.advance(10 * MILLISECOND);
        it.calls(1, Outcome::Success);
    }
    assert_eq!(it.port.take_round(), None);
    assert_eq!(it.state(), Closed);
    assert_eq!(
        it.told().last(),
        Some(&(HalfOpen, Closed, "ramp_completed"))
    );
}

#[test]
fn calls_of_a_ramp_count_once_and_only_in_their_round() {
    let it = Member::new();
    it.port.follow(Order::open(1));
    let before = it.port.take_round();
    assert_eq!(before, None);
    it.port.follow(Order::ramp(2, 1, 1.0));
    let late = it.breaker.try_acquire().unwrap();
    let later = it.breaker.try_acquire().unwrap();
    assert_eq!(it.calls(7, Outcome::Success), 7);
    assert_eq!(it.calls(2, Outcome::Failure), 2);
    assert_eq!(it.calls(2, Outcome::Ignored), 2);
    let calls = it.port.take_round().unwrap();
    assert_eq!((calls.round(), calls.good(), calls.bad()), (1, 7, 2));
    assert_eq!(it.port.take_round(), None);
    it.port.follow(Order::ramp(2, 2, 1.0));
    late.failure();
    assert_eq!(it.port.take_round(), None, "a call of the first round");
    assert_eq!(it.calls(1, Outcome::Failure), 1);
    it.port.follow(Order::open(3));
    assert_eq!(it.port.take_round(), None, "the ramp has ended");
    it.port.follow(Order::ramp(4, 2, 1.0));
    later.failure();
    assert_eq!(it.port.take_round(), None, "calls of another ramp");
    assert_eq!(it.state(), HalfOpen);
}

#[test]
fn an_order_of_an_older_epoch_or_round_is_ignored() {
    let it = Member::new();
    it.port.follow(Order::ramp(5, 3, 0.5));
    it.follows(Order::open(4), Outdated, HalfOpen);
    it.follows(Order::closed(4), Outdated, HalfOpen);
    it.follows(Order::ramp(5, 2, 0.25), Outdated, HalfOpen);
    assert_eq!(it.calls(10, Outcome::Success), 5);
    it.follows(Order::closed(6), Changed, Closed);
    it.follows(Order::ramp(5, 4, 1.0), Outdated, Closed);
}

#[test]
fn a_command_overrides_the_fleet_until_it_closes() {
    let it = Member::new();
    it.port.follow(Order::open(1));
    it.breaker.reset();
    it.follows(Order::open(1), Overridden, Closed);
    it.follows(Order::ramp(2, 1, 0.1), Overridden, Closed);
    it.follows(Order::open(3), Overridden, Closed);
    it.follows(Order::closed(4), Kept, Closed);
    it.follows(Order::open(5), Changed, Open);
    it.breaker.force_open();
    it.follows(Order::ramp(6, 1, 1.0), Overridden, ForcedOpen);
    it.follows(Order::closed(7), Overridden, ForcedOpen);
    it.breaker.disable();
    it.follows(Order::open(8), Overridden, State::Disabled);
}

#[test]
fn a_breaker_that_was_tripped_by_hand_stays_so() {
    let it = Member::new();
    it.breaker.trip(2 * SECOND);
    it.follows(Order::open(1), Overridden, Open);
    it.follows(Order::ramp(2, 1, 1.0), Overridden, Open);
    it.follows(Order::closed(3), Overridden, Open);
    it.hand.advance(2 * SECOND);
    assert_eq!(it.calls(1, Outcome::Success), 1);
}

#[test]
fn a_breaker_that_tripped_by_itself_while_the_fleet_is_closed_recovers_by_itself() {
    let it = Member::new();
    it.follows(Order::closed(1), Kept, Closed);
    while it.state() == Closed {
        it.calls(1, Outcome::Failure);
    }
    it.follows(Order::closed(1), Kept, Open);
    it.follows(Order::closed(2), Kept, Open);
    it.hand.advance(10 * SECOND);
    assert_eq!(it.calls(1, Outcome::Success), 1);
    it.follows(Order::closed(2), Kept, HalfOpen);
    assert_eq!(it.port.take_round(), None);
}

#[test]
fn a_dropped_order_leaves_the_open_time_that_the_breaker_would_have_had() {
    let it = Member::new();
    it.port.follow(Order::open(1));
    it.hand.advance(SECOND);
    it.port.drop_order();
    let left = it.breaker.snapshot().remaining_open().unwrap();
    assert!((SECOND / 10..5 * SECOND).contains(&left), "{left:?}");
    it.follows(Order::open(1), Kept, Open);
    assert_eq!(
        it.breaker.snapshot().remaining_open(),
        Some(Order::LASTS),
        "the store is back"
    );
}

#[test]
fn a_dropped_ramp_goes_on_from_its_share() {
    for recovery in [
        Recovery::adaptive(),
        Recovery::steps(&[0.1, 0.5, 1.0], SECOND),
    ] {
        let it = Member::built_by(CircuitBreaker::builder("payments").recovery(recovery));
        it.port.follow(Order::ramp(1, 1, 0.5));
        it.port.drop_order();
        assert_eq!(it.breaker.snapshot().admitted_share(), Some(0.5));
        for _ in 0..1_000 {
            it.hand.advance(10 * MILLISECOND);
            it.calls(1, Outcome::Success);
        }
        assert_eq!(
            it.told().last(),
            Some(&(HalfOpen, Closed, "ramp_completed"))
        );
    }
}

#[test]
fn a_recovery_by_probes_follows_a_ramp_and_probes_afterwards() {
    let probes = CircuitBreaker::builder("payments").recovery(Recovery::fixed(SECOND, 2));
    let it = Member::built_by(probes);
    it.port.follow(Order::ramp(1, 1, 0.5));
    let late = it.breaker.try_acquire();
    let late = late.or_else(|_| it.breaker.try_acquire()).unwrap();
    assert_eq!(it.calls(10, Outcome::Success), 5);
    it.hand.advance(Order::LASTS);
    assert_eq!(it.calls(1, Outcome::Success), 1);
    late.failure();
    assert_eq!(it.state(), HalfOpen);
    assert_eq!(it.calls(1, Outcome::Success), 1);
    assert_eq!(it.state(), Closed);
}

#[test]
fn a_leased_probe_decides_as_without_a_fleet() {
    let it = Member::new();
    it.port.follow(Order::open(1));
    it.follows(Order::probe(1), Changed, Open);
    assert_eq!(it.calls(2, Outcome::Failure), 1);
    it.follows(Order::open(1), Kept, Open);
    assert_eq!(it.breaker.snapshot().remaining_open(), Some(Order::LASTS));
    it.follows(Order::probe(1), Changed, Open);
    // No call came in time.
    it.follows(Order::open(1), Kept, Open);
    assert_eq!(it.calls(2, Outcome::Success), 0);
    it.follows(Order::probe(1), Changed, Open);
    let probe = it.breaker.try_acquire().unwrap();
    it.follows(Order::open(1), Kept, HalfOpen);
    probe.success();
    it.follows(Order::open(1), Kept, HalfOpen);
    it.follows(Order::ramp(2, 1, 1.0), Changed, HalfOpen);
    assert_eq!(it.calls(2, Outcome::Success), 2);
    assert_eq!(it.port.take_round().unwrap().good(), 2);
}

#[test]
fn an_open_time_that_a_dependency_wants_stays_whatever_the_fleet_orders() {
    let it = Member::new();
    let permit = it.breaker.try_acquire().unwrap();
    it.port.follow(Order::open(1));
    let report = Report::from(Outcome::Failure).retry_after(40 * SECOND);
    permit.record(report);
    it.follows(Order::ramp(2, 1, 1.0), Kept, Open);
    it.follows(Order::closed(3), Kept, Open);
    it.port.drop_order();
    let left = it.breaker.snapshot().remaining_open();
    assert_eq!(left, Some(40 * SECOND));
}

#[test]
fn a_breaker_whose_retry_after_is_just_over_closes_when_the_fleet_orders_it() {
    let it = Member::new();
    let permit = it.breaker.try_acquire().unwrap();
    it.port.follow(Order::open(1));
    let report = Report::from(Outcome::Failure).retry_after(4 * SECOND);
    permit.record(report);
    it.hand.advance(4 * SECOND);
    it.follows(Order::closed(2), Changed, Closed);
}

#[test]
fn a_breaker_that_the_fleet_holds_open_keeps_its_call_rate() {
    let it = Member::new();
    it.port.follow(Order::open(1));
    assert_eq!(it.port.calls_per_second(), Some(1.0));
    it.port.drop_order();
    it.hand.advance(Order::LASTS);
    it.calls(1, Outcome::Failure);
    assert_eq!(it.port.calls_per_second(), Some(0.0));
}
