//! What happens between two calls: calls end, messages arrive, and machines wake up.

use std::sync::Arc;
use std::time::Duration;

use tripcurve::State;
use tripcurve::handles::OwnedPermit;
use tripcurve_fleet::member::{Effect, Outgoing, Reply};
use tripcurve_fleet::message::FleetState;
use tripcurve_fleet::store::{Announcement, StoreError};

use super::process::{self, Change};
use super::tally::Tally;
use super::wire::StoreMode;
use super::world::{World, duration, ready, unavailable};
use crate::breaker::Nanos;
use crate::time::{MILLISECOND, number};

/// What happens at a time.
#[derive(Debug)]
pub(super) enum Event {
    /// A call ends.
    Ended {
        process: usize,
        permit: OwnedPermit,
        is_good: bool,
    },
    /// A machine looks again.
    Wakes(usize, u32),
    /// A message reaches the store.
    AtStore(usize, u32, Box<Outgoing>),
    /// An answer reaches its member.
    Answered(usize, u32, Box<(Outgoing, Result<Reply, StoreError>)>),
    /// The announcements of a session begin to come.
    Subscribed(usize, u32, u64),
    /// A session has ended.
    Lost(usize, u32, u64),
    /// An announcement reaches a member.
    Announced(usize, u32, Arc<Announcement>),
}

/// The time within which a store must answer, as in the member's task.
const ANSWER: Nanos = 250 * MILLISECOND;

/// The time within which it must answer the first message, as in the member's task.
const FIRST_ANSWER: Nanos = 1_250 * MILLISECOND;

fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}

impl World {
    pub(super) fn take(&mut self, event: Event) {
        match event {
            Event::Ended {
                process,
                permit,
                is_good,
            } => {
                self.in_flight -= 1;
                if is_good {
                    permit.success();
                } else {
                    permit.failure();
                }
                self.settle();
                if !is_good {
                    self.look_for_failures(process);
                }
            }
            Event::Wakes(number, life) => {
                let now = self.now;
                let wakes = self.with(number, life, |it, _| {
                    let is_due = it.wakes <= now;
                    if is_due {
                        it.wakes = Nanos::MAX;
                    }
                    is_due
                });
                if wakes == Some(true) {
                    self.drive(number);
                }
            }
            Event::AtStore(number, life, outgoing) => self.at_store(number, life, *outgoing),
            Event::Answered(number, life, it) => {
                let (outgoing, answer) = *it;
                if let Ok(reply) = &answer
                    && self.tally.hears(reply)
                {
                    self.leases[number] += 1;
                }
                self.with(number, life, |it, now| {
                    it.machine.answered(&outgoing, answer, now);
                });
                self.drive(number);
            }
            Event::Subscribed(number, life, session) => {
                self.with(number, life, |it, now| it.machine.subscribed(session, now));
                self.drive(number);
            }
            Event::Lost(number, life, session) => {
                self.with(number, life, |it, now| {
                    it.machine.lost(session, "the connection was lost", now);
                });
                self.drive(number);
            }
            Event::Announced(number, life, it) => {
                self.tally.deliveries += 1;
                self.with(number, life, |member, now| {
                    member.machine.announced(&it, now);
                });
                self.drive(number);
            }
        }
    }

    /// Does something with a member, unless its process was restarted.
    fn with<T>(
        &mut self,
        number: usize,
        life: u32,
        act: impl FnOnce(&mut process::Membership, Duration) -> T,
    ) -> Option<T> {
        let process = &mut self.processes[number];
        let member = process.membership.as_mut()?;
        (process.life == life).then(|| act(member, duration(self.now)))
    }

    fn at_store(&mut self, number: usize, life: u32, outgoing: Outgoing) {
        let answer = ready(outgoing.request.send(&self.store, &outgoing.key));
        let delay = self.wire.delay();
        let answered = Event::Answered(number, life, Box::new((outgoing, answer)));
        self.events.push(self.now + delay, answered);
        self.publish();
    }

    /// Delivers what the store has announced.
    pub fn publish(&mut self) {
        while let Ok(announcement) = self.announcements.try_recv() {
            let state = announcement.view.state;
            if self.fleet == FleetState::Closed && state == FleetState::Open {
                self.tally.fleet_trips += 1;
            }
            self.fleet = state;
            let announcement = Arc::new(announcement);
            for number in 0..self.processes.len() {
                let process = &self.processes[number];
                if process.membership.is_none() || process.is_cut_off {
                    continue;
                }
                let event = Event::Announced(number, process.life, Arc::clone(&announcement));
                let delay = self.wire.delay();
                self.events.push(self.now + delay, event);
            }
        }
    }

    fn look_for_failures(&mut self, number: usize) {
        let now = duration(self.now);
        let Some(member) = &mut self.processes[number].membership else {
            return;
        };
        if member.fails() {
            let id = member.id;
            member.machine.fails(id, now);
            self.drive(number);
        }
    }

    /// Takes what breakers have told of their transitions, and tells their members.
    pub(super) fn settle(&mut self) {
        for change in process::take(&self.changes) {
            if self.note(&change) {
                let id = self.processes[change.process]
                    .membership
                    .as_ref()
                    .map(|it| it.id);
                if let Some(id) = id {
                    self.with(change.process, change.life, |it, now| {
                        it.machine.changed(id, change.probed, now);
                    });
                    self.drive(change.process);
                }
            }
        }
    }

    /// Notes a transition. Returns whether it is one of a process that lives.
    fn note(&mut self, change: &Change) -> bool {
        let process = &mut self.processes[change.process];
        if process.life != change.life {
            return false;
        }
        process.state = change.to;
        if let Some(log) = &mut self.log {
            log.push((self.now, change.process, change.to));
        }
        if change.from == State::Closed {
            self.closed -= 1;
            self.tally.trips += u64::from(change.to == State::Open);
            if !self.cut[change.process] {
                self.cut[change.process] = true;
                self.cuts += 1;
                let share = number(self.cuts as u64) / f64::from(self.setting.members);
                let time = self.now - self.marked;
                for (cut_off, needed) in self.tally.cut_off.iter_mut().zip(Tally::SHARES) {
                    if share >= needed {
                        cut_off.get_or_insert(time);
                    }
                }
            }
        }
        if change.to == State::Closed {
            self.closed += 1;
        }
        true
    }

    /// Does what a member's machine wants done.
    pub(super) fn drive(&mut self, number: usize) {
        loop {
            let now = duration(self.now);
            let Some(member) = &mut self.processes[number].membership else {
                return;
            };
            let Some(effect) = member.machine.poll(now) else {
                break;
            };
            self.act(number, effect);
        }
        let now = self.now;
        let process = &mut self.processes[number];
        let Some(member) = &mut process.membership else {
            return;
        };
        let Some(at) = member.machine.wake_at() else {
            return;
        };
        let at = nanos(at).max(now + 1);
        if at < member.wakes {
            member.wakes = at;
            let event = Event::Wakes(number, process.life);
            self.events.push(at, event);
        }
    }

    fn act(&mut self, number: usize, effect: Effect) {
        let life = self.processes[number].life;
        match effect {
            Effect::Subscribe { session } => {
                self.with(number, life, |it, _| it.session = session);
                let (event, delay) = match self.mode_of(number) {
                    StoreMode::Works | StoreMode::Garbles => {
                        (Event::Subscribed(number, life, session), self.wire.delay())
                    }
                    StoreMode::Absent => (Event::Lost(number, life, session), self.wire.delay()),
                    StoreMode::Hangs => (Event::Lost(number, life, session), FIRST_ANSWER),
                };
                self.events.push(self.now + delay, event);
            }
            Effect::Send(outgoing) => self.send(number, life, outgoing),
            Effect::Watch(id, port) => {
                self.with(number, life, |it, now| {
                    if it.watch(port) {
                        it.machine.fails(id, now);
                    }
                });
            }
            Effect::Follow(port, order) => {
                let _followed = port.follow(order);
                self.settle_later(number);
            }
            Effect::DropOrder(port) => {
                port.drop_order();
                self.settle_later(number);
            }
            _ => {}
        }
    }

    /// Notes transitions that an order has made. The machine is told within [`drive`](Self::drive).
    fn settle_later(&mut self, number: usize) {
        for change in process::take(&self.changes) {
            debug_assert_eq!(change.process, number);
            if self.note(&change) {
                self.with(number, change.life, |it, now| {
                    let id = it.id;
                    it.machine.changed(id, change.probed, now);
                });
            }
        }
    }

    fn mode_of(&self, number: usize) -> StoreMode {
        if self.processes[number].is_cut_off {
            StoreMode::Hangs
        } else {
            self.mode
        }
    }

    fn send(&mut self, number: usize, life: u32, outgoing: Outgoing) {
        self.tally.sends(&outgoing.request);
        let delay = self.wire.delay();
        let limit = if outgoing.first { FIRST_ANSWER } else { ANSWER };
        let (delay, error) = match self.mode_of(number) {
            StoreMode::Works => {
                let event = Event::AtStore(number, life, Box::new(outgoing));
                self.events.push(self.now + delay, event);
                return;
            }
            StoreMode::Absent => (delay, unavailable("the connection is refused")),
            StoreMode::Hangs => (limit, unavailable("no answer within the time limit")),
            StoreMode::Garbles => (2 * delay, StoreError::Garbled("a number is missing")),
        };
        let event = Event::Answered(number, life, Box::new((outgoing, Err(error))));
        self.events.push(self.now + delay, event);
    }
}
