//! A service that calls a dependency through an adaptive breaker, on the mock clock.
//!
//! Calls come at random (Poisson), or from workers that each wait for their call. The dependency is
//! a function. The client may stall: then nothing begins or ends until the stall is over.

#![allow(dead_code, reason = "each file of tests uses a part")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use tripcurve::handles::OwnedPermit;
use tripcurve::time::{Clock, MockClock};
use tripcurve::window::Timing;
use tripcurve::{CircuitBreaker, Outcome, Recovery, State, TripPolicy};

const SECOND: f64 = 1e9;

/// The answer of the dependency to one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// How many seconds the call takes.
    pub(crate) takes: f64,
    pub(crate) outcome: Outcome,
}

impl Answer {
    pub(crate) fn good(takes: f64) -> Self {
        Self {
            takes,
            outcome: Outcome::Success,
        }
    }

    pub(crate) fn bad(takes: f64) -> Self {
        Self {
            takes,
            outcome: Outcome::Failure,
        }
    }
}

/// Where calls come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    /// So many calls a second come at random.
    Open(f64),
    /// So many workers make the next call at once when theirs has ended. A rejected worker waits
    /// 50 ms.
    Closed(u32),
}

/// What happened since the figures were last taken.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    /// Calls that asked.
    pub(crate) calls: u32,
    pub(crate) rejected: u32,
    /// Calls that were let through and failed.
    pub(crate) failed: u32,
    /// Trips of a closed breaker.
    pub(crate) trips: u32,
}

/// A random number of a process of its own.
pub(crate) struct Dice(Xoshiro256PlusPlus);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// A number in `0.0..1.0`.
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0.random_range(0.0..1.0)
    }

    pub(crate) fn is(&mut self, chance: f64) -> bool {
        self.uniform() < chance
    }

    /// A number in this range. All orders of magnitude are equally likely.
    pub(crate) fn of_magnitude(&mut self, least: f64, most: f64) -> f64 {
        least * (most / least).powf(self.uniform())
    }

    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.uniform()).ln()
    }

    /// A latency with a median of 20 ms and a sigma of 0.5.
    pub(crate) fn latency(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * self.uniform()).cos();
        0.02 * (0.5 * normal).exp()
    }
}

struct Call {
    permit: OwnedPermit,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    End(u64),
    Ask,
}

/// The service.
pub(crate) struct Service {
    pub(crate) breaker: CircuitBreaker,
    hand: MockClock,
    pub(crate) dice: Dice,
    load: Load,
    now: f64,
    events: BinaryHeap<Reverse<(u64, Event)>>,
    in_flight: BTreeMap<u64, Call>,
    numbers: u64,
    trips: Arc<AtomicU32>,
    figures: Figures,
    /// The present or next stall: when it begins and when it ends.
    stall: Option<(f64, f64)>,
}

impl Service {
    pub(crate) fn new(policy: impl Into<TripPolicy>, load: Load, seed: u64) -> Self {
        Self::timed(Timing::Sampled, policy, load, seed)
    }

    pub(crate) fn timed(
        timing: Timing,
        policy: impl Into<TripPolicy>,
        load: Load,
        seed: u64,
    ) -> Self {
        let (clock, hand) = Clock::mock();
        let trips = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&trips);
        let breaker = CircuitBreaker::builder(format!("service {seed}"))
            .trip_when(policy)
            .timing(timing)
            .recovery(Recovery::adaptive())
            .clock(clock)
            .on_transition(move |it| {
                let is_trip = it.from() == State::Closed && it.to() == State::Open;
                counted.fetch_add(u32::from(is_trip), Ordering::Relaxed);
            })
            .build()
            .unwrap();
        let mut service = Self {
            breaker,
            hand,
            dice: Dice::new(seed),
            load,
            now: 0.0,
            events: BinaryHeap::new(),
            in_flight: BTreeMap::new(),
            numbers: 0,
            trips,
            figures: Figures::default(),
            stall: None,
        };
        let asks = match load {
            Load::Open(_) => 1,
            Load::Closed(workers) => workers,
        };
        for _ in 0..asks {
            service.schedule(0.0, Event::Ask);
        }
        service
    }

    /// The time, in seconds.
    pub(crate) fn now(&self) -> f64 {
        self.now
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.breaker.state() == State::Closed
    }

    /// Changes the number of calls a second.
    pub(crate) fn load(&mut self, rate: f64) {
        self.load = Load::Open(rate);
    }

    /// The client stalls in `after` seconds, for `length` seconds.
    pub(crate) fn stall(&mut self, after: f64, length: f64) {
        self.stall = Some((self.now + after, self.now + after + length));
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a time of some hours in nanoseconds"
    )]
    fn schedule(&mut self, at: f64, event: Event) {
        self.events.push(Reverse(((at * SECOND) as u64, event)));
    }

    /// Takes the figures since they were last taken.
    pub(crate) fn take_figures(&mut self) -> Figures {
        let trips = self.trips.swap(0, Ordering::Relaxed);
        Figures {
            trips,
            ..std::mem::take(&mut self.figures)
        }
    }

    /// Goes on for so many seconds, or until `is_over`. Returns how many seconds that took.
    pub(crate) fn run_until(
        &mut self,
        seconds: f64,
        mut answer: impl FnMut(&mut Dice, f64) -> Answer,
        is_over: impl Fn(&CircuitBreaker) -> bool,
    ) -> f64 {
        let begin = self.now;
        let end = begin + seconds;
        while let Some(Reverse((at, event))) = self.events.pop() {
            #[allow(clippy::cast_precision_loss, reason = "microseconds are enough")]
            let due = at as f64 / SECOND;
            if due >= end {
                self.events.push(Reverse((at, event)));
                self.now = end;
                break;
            }
            let at = match self.stall {
                Some((from, to)) if due >= from && due < to => to,
                Some((_, to)) if due >= to => {
                    self.stall = None;
                    due
                }
                _ => due,
            };
            self.now = self.now.max(at);
            self.hand.advance_to(Duration::from_secs_f64(self.now));
            match event {
                Event::End(number) => {
                    if let Some(call) = self.in_flight.remove(&number) {
                        call.permit.record(call.outcome);
                    }
                    if let Load::Closed(_) = self.load {
                        self.schedule(self.now, Event::Ask);
                    }
                }
                Event::Ask => self.ask(due, &mut answer),
            }
            if is_over(&self.breaker) {
                break;
            }
        }
        self.now - begin
    }

    pub(crate) fn run(&mut self, seconds: f64, answer: impl FnMut(&mut Dice, f64) -> Answer) {
        self.run_until(seconds, answer, |_| false);
    }

    fn ask(&mut self, due: f64, answer: &mut impl FnMut(&mut Dice, f64) -> Answer) {
        self.figures.calls += 1;
        let answer = answer(&mut self.dice, self.now);
        let permit = self.breaker.try_acquire_owned();
        let is_admitted = permit.is_ok();
        if let Ok(permit) = permit {
            let outcome = answer.outcome;
            self.figures.failed += u32::from(outcome != Outcome::Success);
            self.numbers += 1;
            self.in_flight
                .insert(self.numbers, Call { permit, outcome });
            self.schedule(self.now + answer.takes, Event::End(self.numbers));
        } else {
            self.figures.rejected += 1;
        }
        match self.load {
            Load::Open(rate) => {
                let wait = self.dice.exponential(1.0 / rate);
                self.schedule(due + wait, Event::Ask);
            }
            Load::Closed(_) if !is_admitted => self.schedule(self.now + 0.05, Event::Ask),
            Load::Closed(_) => {}
        }
    }
}
