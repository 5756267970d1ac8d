//! Many processes that call one dependency, with one store, on one clock.
//!
//! Time goes from event to event. All that decides is the real crates' code: the breakers, the
//! members' machines, and the memory store. The lab has the clock, the network, the calls and the
//! dependency.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tripcurve::State;
use tripcurve::time::{Clock, MockClock};
use tripcurve_fleet::memory::MemoryStore;
use tripcurve_fleet::message::FleetState;
use tripcurve_fleet::store::{Store, StoreError};

use super::FleetError;
use super::crowd::{Call, Crowd};
use super::events::Event;
use super::process::{Changes, Making, Process};
use super::setting::{Setting, Usual};
use super::tally::Tally;
use super::wire::{StoreMode, Wire};
use crate::breaker::Nanos;
use crate::completions::Completions;
use crate::time::{MILLISECOND, number};

/// A transition of a breaker: when, of which process, and to which state.
pub type Logged = (Nanos, usize, State);

/// Processes, their store and their calls.
#[derive(Debug)]
pub struct World {
    /// What the world is made of.
    pub setting: Setting,
    /// Who calls.
    pub crowd: Crowd,
    /// The processes.
    pub processes: Vec<Process>,
    /// What is counted.
    pub tally: Tally,
    /// All transitions, if they are logged.
    pub log: Option<Vec<Logged>>,
    /// The store, to which a liar may write.
    pub store: MemoryStore,
    /// What the store does.
    pub mode: StoreMode,
    /// The fleet's state, as the store announced it last.
    pub fleet: FleetState,
    /// The most calls in flight at one time, since this was set to 0.
    pub most_in_flight: u64,
    pub(super) in_flight: u64,
    pub(super) now: Nanos,
    hand: MockClock,
    clock: Clock,
    store_ms: Arc<AtomicU64>,
    pub(super) announcements: <MemoryStore as Store>::Announcements,
    pub(super) events: Completions<Event>,
    pub(super) changes: Changes,
    pub(super) wire: Wire,
    /// When the present counts began.
    pub(super) marked: Nanos,
    /// Which members have been cut off since, and how many.
    pub(super) cut: Vec<bool>,
    pub(super) cuts: usize,
    /// How many leases each member has been granted since, less its probes.
    pub(super) leases: Vec<i64>,
    /// How many failures each member's run still has.
    runs: Vec<u32>,
    pub(super) closed: usize,
}

/// The store's time when the simulation begins, in ms.
const EPOCH_MS: u64 = 1_790_000_000_000;

pub(super) fn duration(nanos: Nanos) -> Duration {
    Duration::from_nanos(nanos)
}

/// Polls a future of the memory store, which is always ready.
pub(super) fn ready<T>(
    future: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(answer) => answer,
        std::task::Poll::Pending => Err(unavailable("no answer within the time limit")),
    }
}

pub(super) fn unavailable(why: &str) -> StoreError {
    StoreError::Unavailable(why.into())
}

impl World {
    /// Makes a world in which all processes start now.
    ///
    /// # Errors
    /// The crates refuse a setting.
    pub fn new(setting: Setting) -> Result<Self, FleetError> {
        let (clock, hand) = Clock::mock();
        let store_ms = Arc::new(AtomicU64::new(EPOCH_MS));
        let of_store = Arc::clone(&store_ms);
        // Relaxed: one thread has the world.
        let store = MemoryStore::with_clock(move || of_store.load(Ordering::Relaxed));
        let announcements = ready(store.announcements("lab"))?;
        let members = setting.members as usize;
        let mut world = Self {
            setting,
            crowd: Crowd::new(
                setting.members,
                setting.shape,
                setting.per_second,
                setting.clump,
                setting.seed,
            ),
            processes: Vec::new(),
            tally: Tally::default(),
            log: None,
            store,
            mode: StoreMode::Works,
            fleet: FleetState::Closed,
            most_in_flight: 0,
            in_flight: 0,
            now: 0,
            hand,
            clock,
            store_ms,
            announcements,
            events: Completions::default(),
            changes: Changes::default(),
            wire: Wire::new(setting.delay, setting.seed ^ 2),
            marked: 0,
            cut: vec![false; members],
            cuts: 0,
            leases: vec![0; members],
            runs: vec![0; members],
            closed: members,
        };
        for number in 0..members {
            let process = world.start(number, 0)?;
            world.processes.push(process);
            world.drive(number);
        }
        Ok(world)
    }

    fn start(&mut self, number: usize, life: u32) -> Result<Process, FleetError> {
        let usual = match self.setting.usual {
            Usual::Share(it) => it,
            // The golden ratio spreads the members evenly, and a restart changes nothing.
            Usual::Various => {
                let part = (crate::time::number(number as u64) * 0.618_033_988_75).fract();
                1e-3 * 100.0_f64.powf(part)
            }
        };
        let making = Making {
            clock: &self.clock,
            changes: &self.changes,
            tolerated: self.setting.tolerated,
            member: self.setting.is_fleet.then(|| self.wire.number()),
            now: self.now,
        };
        Process::start(number, life, usual, &making)
    }

    /// Ends a process without a word, and starts another in its place.
    ///
    /// # Errors
    /// The crates refuse a setting.
    pub fn restart(&mut self, number: usize) -> Result<(), FleetError> {
        let life = self.processes[number].life + 1;
        if self.processes[number].state != State::Closed {
            self.closed += 1;
        }
        self.processes[number] = self.start(number, life)?;
        self.drive(number);
        Ok(())
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Nanos {
        self.now
    }

    /// The share of the breakers that are closed.
    #[must_use]
    pub fn share_closed(&self) -> f64 {
        number(self.closed as u64) / f64::from(self.setting.members)
    }

    /// Sets all counts to zero. Members whose breakers aren't closed are cut off already.
    pub fn mark(&mut self) {
        self.tally = Tally::default();
        self.marked = self.now;
        self.cuts = 0;
        for (number, process) in self.processes.iter().enumerate() {
            self.cut[number] = process.state != State::Closed;
            self.cuts += usize::from(self.cut[number]);
            self.leases[number] = 0;
        }
    }

    /// The time since the last mark.
    #[must_use]
    pub fn since_mark(&self) -> Nanos {
        self.now - self.marked
    }

    /// What the store does from now on.
    pub fn set_store(&mut self, mode: StoreMode) {
        self.mode = mode;
        if mode != StoreMode::Absent {
            return;
        }
        for number in 0..self.processes.len() {
            let process = &self.processes[number];
            if let Some(member) = &process.membership {
                let event = Event::Lost(number, process.life, member.session);
                let delay = self.wire.delay();
                self.events.push(self.now + delay, event);
            }
        }
    }

    /// Lets time pass. `failing` says which share of the calls of a member fails; the member's usual
    /// share is its second argument.
    pub fn run(&mut self, time: Nanos, failing: &mut dyn FnMut(&Call, f64) -> f64) {
        self.run_while(self.now + time, failing, |_| true);
    }

    /// Like [`run`](Self::run), until a time or until a condition no longer holds. The condition is
    /// looked at before each call.
    pub fn run_while(
        &mut self,
        end: Nanos,
        failing: &mut dyn FnMut(&Call, f64) -> f64,
        mut goes_on: impl FnMut(&Self) -> bool,
    ) {
        loop {
            let call = self.crowd.next();
            self.run_events(call.at.min(end));
            if call.at >= end {
                self.move_to(end);
                return;
            }
            if !goes_on(self) {
                return;
            }
            self.crowd.draw();
            self.move_to(call.at);
            self.call(call, failing);
        }
    }

    fn run_events(&mut self, until: Nanos) {
        while let Some((at, event)) = self.events.pop_until(until) {
            self.move_to(at);
            self.take(event);
        }
    }

    fn move_to(&mut self, now: Nanos) {
        if now > self.now {
            self.now = now;
            self.hand.advance_to(duration(now));
            self.store_ms
                .store(EPOCH_MS + now / MILLISECOND, Ordering::Relaxed);
        }
    }

    fn call(&mut self, call: Call, failing: &mut dyn FnMut(&Call, f64) -> f64) {
        let number = call.member;
        let process = &self.processes[number];
        let usual = process.usual;
        let share = failing(&call, usual);
        let is_good = if share > usual || self.setting.run == 1 {
            call.luck >= share
        } else {
            self.in_runs(number, call.luck, share)
        };
        let process = &self.processes[number];
        self.tally.asked += 1;
        let Ok(permit) = process.breaker.try_acquire_owned() else {
            self.tally.good_rejected += u64::from(is_good);
            self.settle();
            return;
        };
        self.tally.admitted += 1;
        self.tally.failed += u64::from(!is_good);
        if !is_good && !self.cut[number] {
            self.tally.failed_before_cut += 1;
        }
        // A transition may have come with the call.
        self.settle();
        let is_probe = self.fleet == FleetState::Open
            && self.processes[number].membership.is_some()
            && self.processes[number].state != State::Closed;
        if is_probe {
            self.tally.probes += 1;
            self.leases[number] -= 1;
            self.tally.without_lease += u64::from(self.leases[number] < 0);
        }
        let event = Event::Ended {
            process: number,
            permit,
            is_good,
        };
        self.in_flight += 1;
        self.most_in_flight = self.most_in_flight.max(self.in_flight);
        self.events.push(self.now + call.took, event);
    }

    /// Whether a call is good where failures come in runs.
    fn in_runs(&mut self, number: usize, luck: f64, share: f64) -> bool {
        let left = &mut self.runs[number];
        if *left > 0 {
            *left -= 1;
            return false;
        }
        let run = f64::from(self.setting.run);
        let begins = luck < share / (run - share * (run - 1.0));
        if begins {
            *left = self.setting.run - 1;
        }
        !begins
    }
}
