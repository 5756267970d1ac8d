//! Driven step by step, a breaker that follows orders equals a plain sequential model in its state,
//! its answers and its transitions.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tripcurve::fleet::{Followed, Order};
use tripcurve::time::Clock;
use tripcurve::{CircuitBreaker, Outcome, Permit, Recovery, State};

/// The breaker's own open time, in milliseconds.
const OWN: u64 = 2_000;
const LASTS: u64 = 15_000;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Open,
    Probe,
    Ramp { round: u32, quarters: u32 },
    Closed,
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    /// An order of an epoch so much higher than the highest so far, less two.
    Follow(u64, Kind),
    DropOrder,
    TakeRound,
    Reset,
    Trip(u64),
    ForceOpen,
    MetricsOnly,
    Acquire,
    /// Records the outcome of a kept permit. A failure counts as a success if the breaker was
    /// closed, so that no policy trips.
    Settle(usize, Outcome),
    Advance(u64),
}

/// What a permit was given for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum For {
    Recorded,
    Probe,
    Round(u32),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Closed,
    Open {
        until: u64,
        by_hand: bool,
        is_held: bool,
    },
    Probing {
        is_out: bool,
    },
    Ramp {
        round: u32,
        quarters: u32,
        until: u64,
        good: u32,
        bad: u32,
    },
    ForcedOpen,
    MetricsOnly,
}

/// The breaker as the documentation of orders describes it. It has one probe and a fixed open time.
struct Model {
    now: u64,
    phase: Phase,
    generation: u64,
    epoch: u64,
    is_fleet_open: bool,
    is_overridden: bool,
    /// The quarters of a call that may have asked since the last admitted one, in a ramp. A ramp
    /// begins at a random place.
    places: Vec<u32>,
}

impl Model {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation += 1;
    }

    fn opened(until: u64, is_held: bool) -> Phase {
        Phase::Open {
            until,
            by_hand: false,
            is_held,
        }
    }

    fn follow(&mut self, epoch: u64, kind: Kind) -> Followed {
        if epoch < self.epoch {
            return Followed::Outdated;
        }
        let is_first = epoch > self.epoch;
        self.epoch = epoch;
        self.is_fleet_open = kind != Kind::Closed;
        self.is_overridden &= self.is_fleet_open;
        let by_hand = matches!(
            self.phase,
            Phase::ForcedOpen | Phase::MetricsOnly | Phase::Open { by_hand: true, .. }
        );
        if self.is_overridden || by_hand {
            return Followed::Overridden;
        }
        let ends = self.now + LASTS;
        match (kind, self.phase) {
            (Kind::Open, Phase::Open { until, is_held, .. }) => {
                self.phase = Self::opened(until.max(ends), is_held || until <= ends);
                Followed::Kept
            }
            (Kind::Open, Phase::Probing { .. } | Phase::Ramp { .. }) if !is_first => Followed::Kept,
            (Kind::Open, _) => {
                self.enter(Self::opened(ends, true));
                Followed::Changed
            }
            (Kind::Probe, Phase::Open { until, is_held, .. }) if is_held => {
                self.phase = Self::opened(until.min(self.now), true);
                Followed::Changed
            }
            (Kind::Ramp { round, quarters }, phase) => {
                let next = Phase::Ramp {
                    round,
                    quarters,
                    until: ends,
                    good: 0,
                    bad: 0,
                };
                match phase {
                    Phase::Ramp { round: present, .. } if !is_first && round < present => {
                        return Followed::Outdated;
                    }
                    Phase::Ramp { round: present, .. } if !is_first && round == present => {
                        if let Phase::Ramp { until, .. } = &mut self.phase {
                            *until = ends;
                        }
                        return Followed::Kept;
                    }
                    Phase::Ramp { .. } if !is_first => self.phase = next,
                    _ => {
                        self.enter(next);
                        self.places = (0..4).collect();
                    }
                }
                Followed::Changed
            }
            (Kind::Closed, Phase::Open { is_held: true, .. } | Phase::Ramp { .. }) => {
                self.enter(Phase::Closed);
                Followed::Changed
            }
            (Kind::Probe | Kind::Closed, _) => Followed::Kept,
        }
    }

    fn drop_order(&mut self) {
        match self.phase {
            Phase::Open {
                until,
                is_held: true,
                ..
            } => self.phase = Self::opened(until.min(self.now + OWN), false),
            Phase::Ramp { .. } => self.phase = Phase::Probing { is_out: false },
            _ => {}
        }
    }

    fn take_round(&mut self) -> Option<(u32, u32, u32)> {
        let Phase::Ramp {
            round, good, bad, ..
        } = &mut self.phase
        else {
            return None;
        };
        let taken = (*round, std::mem::take(good), std::mem::take(bad));
        (taken.1 + taken.2 > 0).then_some(taken)
    }

    fn command(&mut self, phase: Phase) {
        self.is_overridden |= self.is_fleet_open;
        self.enter(phase);
    }

    fn hold(&mut self, phase: Phase) {
        if self.phase != phase {
            self.enter(phase);
        }
    }

    /// `is_admitted` is what the breaker has decided. A ramp may admit the call or not until its
    /// place is known.
    fn acquire(&mut self, is_admitted: bool) -> Option<For> {
        match self.phase {
            Phase::Closed | Phase::MetricsOnly => Some(For::Recorded),
            Phase::ForcedOpen | Phase::Probing { is_out: true } => None,
            Phase::Open { until, .. } if self.now < until => None,
            Phase::Open { .. } => {
                self.enter(Phase::Probing { is_out: true });
                Some(For::Probe)
            }
            Phase::Probing { .. } => {
                self.phase = Phase::Probing { is_out: true };
                Some(For::Probe)
            }
            Phase::Ramp { until, .. } if until <= self.now => {
                self.phase = Phase::Probing { is_out: true };
                Some(For::Probe)
            }
            Phase::Ramp {
                round, quarters, ..
            } => {
                self.places.retain(|it| (it + quarters >= 4) == is_admitted);
                for place in &mut self.places {
                    *place = (*place + quarters) % 4;
                }
                assert!(!self.places.is_empty(), "no place explains this");
                is_admitted.then_some(For::Round(round))
            }
        }
    }

    fn settle(&mut self, (generation, given_for): (u64, For), outcome: Outcome) {
        if generation != self.generation {
            return;
        }
        let opens = Self::opened(self.now + OWN, false);
        match (self.phase, given_for, outcome) {
            (Phase::MetricsOnly, ..) => {}
            (_, _, Outcome::Trip) | (Phase::Probing { .. }, For::Probe, Outcome::Failure) => {
                self.enter(opens);
            }
            (Phase::Probing { .. }, For::Probe, Outcome::Success) => self.enter(Phase::Closed),
            (Phase::Probing { .. }, For::Probe, _) => self.phase = Phase::Probing { is_out: false },
            (Phase::Ramp { .. }, For::Round(own), Outcome::Success | Outcome::Failure) => {
                if let Phase::Ramp {
                    round, good, bad, ..
                } = &mut self.phase
                    && *round == own
                {
                    *(if outcome == Outcome::Success {
                        good
                    } else {
                        bad
                    }) += 1;
                }
            }
            _ => {}
        }
    }

    fn state(&self) -> State {
        match self.phase {
            Phase::Closed => State::Closed,
            Phase::Open { .. } => State::Open,
            Phase::Probing { .. } | Phase::Ramp { .. } => State::HalfOpen,
            Phase::ForcedOpen => State::ForcedOpen,
            Phase::MetricsOnly => State::MetricsOnly,
        }
    }

    /// The open time that is left in milliseconds, and the share.
    fn shown(&self) -> (Option<u128>, Option<f64>) {
        match self.phase {
            Phase::Open { until, .. } => (Some(until.saturating_sub(self.now).into()), None),
            Phase::Ramp { quarters, .. } => (None, Some(f64::from(quarters) / 4.0)),
            _ => (None, None),
        }
    }
}

fn order(epoch: u64, kind: Kind) -> Order {
    match kind {
        Kind::Open => Order::open(epoch),
        Kind::Probe => Order::probe(epoch),
        Kind::Ramp { round, quarters } => Order::ramp(epoch, round, f64::from(quarters) / 4.0),
        Kind::Closed => Order::closed(epoch),
    }
}

/// Returns the states that the breaker came to.
fn drive(operations: &[Operation]) -> Vec<State> {
    let (clock, hand) = Clock::mock();
    let breaker = CircuitBreaker::builder("payments")
        .recovery(Recovery::fixed(Duration::from_millis(OWN), 1))
        .probe_timeout(Duration::MAX)
        .clock(clock)
        .build()
        .unwrap();
    let port = breaker.fleet_port().unwrap();
    let mut model = Model {
        now: 0,
        phase: Phase::Closed,
        generation: 0,
        epoch: 0,
        is_fleet_open: false,
        is_overridden: false,
        places: Vec::new(),
    };
    let mut permits: Vec<(Permit<'_>, (u64, For))> = Vec::new();
    let mut states = Vec::new();
    for operation in operations {
        match *operation {
            Operation::Follow(ahead, kind) => {
                let epoch = (model.epoch + ahead).saturating_sub(2).max(1);
                let followed = port.follow(order(epoch, kind));
                assert_eq!(followed, model.follow(epoch, kind), "{operation:?}");
            }
            Operation::DropOrder => {
                port.drop_order();
                model.drop_order();
            }
            Operation::TakeRound => {
                let taken = port.take_round();
                let taken = taken.map(|it| (it.round(), it.good(), it.bad()));
                assert_eq!(taken, model.take_round());
            }
            Operation::Reset => {
                breaker.reset();
                model.command(Phase::Closed);
            }
            Operation::Trip(millis) => {
                breaker.trip(Duration::from_millis(millis));
                model.command(Phase::Open {
                    until: model.now + millis,
                    by_hand: true,
                    is_held: false,
                });
            }
            Operation::ForceOpen => {
                breaker.force_open();
                model.hold(Phase::ForcedOpen);
            }
            Operation::MetricsOnly => {
                breaker.metrics_only();
                model.hold(Phase::MetricsOnly);
            }
            Operation::Acquire => {
                let permit = breaker.try_acquire().ok();
                let expected = model.acquire(permit.is_some());
                assert_eq!(permit.is_some(), expected.is_some(), "{operation:?}");
                if let (Some(permit), Some(given_for)) = (permit, expected) {
                    permits.push((permit, (model.generation, given_for)));
                }
            }
            Operation::Settle(which, outcome) if !permits.is_empty() => {
                let (permit, given) = permits.swap_remove(which % permits.len());
                let outcome = match (given.1, outcome) {
                    (For::Recorded, Outcome::Failure) => Outcome::Success,
                    _ => outcome,
                };
                permit.record(outcome);
                model.settle(given, outcome);
            }
            Operation::Settle(..) => {}
            Operation::Advance(millis) => {
                hand.advance(Duration::from_millis(millis));
                model.now += millis;
            }
        }
        let snapshot = breaker.snapshot();
        let left = snapshot.remaining_open().map(|it| it.as_millis());
        let seen = (snapshot.state(), snapshot.generation());
        assert_eq!(seen, (model.state(), model.generation), "{operation:?}");
        let shown = (left, snapshot.admitted_share());
        assert_eq!(shown, model.shown(), "{operation:?}");
        states.push(snapshot.state());
    }
    states
}

fn operations() -> impl Strategy<Value = Operation> {
    let ramp = (1..5_u32, 1..=4_u32);
    let kind = prop_oneof![
        3 => Just(Kind::Open),
        2 => Just(Kind::Probe),
        5 => ramp.prop_map(|(round, quarters)| Kind::Ramp { round, quarters }),
        2 => Just(Kind::Closed),
    ];
    let ahead = prop_oneof![1 => 0..2_u64, 5 => Just(2_u64), 3 => Just(3_u64)];
    let outcome = prop_oneof![
        8 => Just(Outcome::Success),
        5 => Just(Outcome::Failure),
        2 => Just(Outcome::Ignored),
        1 => Just(Outcome::Trip),
    ];
    let millis = prop_oneof![
        4 => 0..500_u64,
        3 => Just(OWN),
        2 => Just(LASTS),
        1 => Just(LASTS - 1),
    ];
    prop_oneof![
        20 => (ahead, kind).prop_map(|(ahead, kind)| Operation::Follow(ahead, kind)),
        2 => Just(Operation::DropOrder),
        5 => Just(Operation::TakeRound),
        1 => Just(Operation::Reset),
        1 => prop_oneof![Just(OWN), Just(2 * LASTS)].prop_map(Operation::Trip),
        1 => prop_oneof![Just(Operation::ForceOpen), Just(Operation::MetricsOnly)],
        30 => Just(Operation::Acquire),
        25 => (any::<usize>(), outcome).prop_map(|(which, it)| Operation::Settle(which, it)),
        10 => millis.prop_map(Operation::Advance),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::effort::share_of(1_000)))]

    #[test]
    fn a_breaker_that_follows_orders_equals_a_sequential_model(
        operations in vec(operations(), 1..200),
    ) {
        let states = drive(&operations);
        prop_assert_eq!(states.len(), operations.len());
    }
}
