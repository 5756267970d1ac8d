//! What a member does for one breaker.

use std::sync::Arc;
use std::time::Duration;

use tripcurve::fleet::{FleetPort, FleetRecovery, Order};
use tripcurve::snapshot::Snapshot;
use tripcurve::{CircuitBreaker, State};

use super::known::{Known, News};
use super::pulse::Pulses;
use super::random::Random;
use super::recovery::{Own, Probed, Recovery, millis};
use super::reporting::Reporting;
use super::request::{Reply, Request};
use super::settings::Settings;
use super::status::BreakerStatus;
use super::traffic::{MARGIN, Traffic};
use super::units::{in_thousandths, whole};
use crate::key::FleetKey;
use crate::message::{FleetState, FleetView, Member, Pulse, SHARE, Sender};
use crate::standing::Standing;
use crate::verdict::Judge;

/// A breaker of a member, in its fleet.
#[derive(Debug)]
pub(super) struct JoinedBreaker {
    name: Arc<str>,
    settings: Settings,
    key: FleetKey,
    member: Member,
    breaker: CircuitBreaker,
    port: FleetPort,
    snapshot: Snapshot,
    known: Known,
    reporting: Reporting,
    traffic: Traffic,
    pulses: Pulses,
    in_flight: bool,
    /// Whether the breaker has lost its adaptive policy. Then it says nothing.
    mute: bool,
    /// What the last answer asks for.
    next: Option<Request>,
    standing: Option<Standing>,
    recovery: Recovery,
    /// What the breaker must do, in this order.
    orders: Vec<Order>,
}

/// What an answer has changed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Learned {
    /// The state that the fleet has entered.
    pub(super) entered: Option<FleetState>,
    /// Whether this is the first answer since the store works.
    pub(super) first: bool,
}

impl JoinedBreaker {
    pub(super) fn new(
        (breaker, port): (CircuitBreaker, FleetPort),
        (settings, key): (Settings, FleetKey),
        member: Member,
    ) -> Self {
        Self {
            name: breaker.name().into(),
            settings,
            key,
            member,
            snapshot: breaker.snapshot(),
            breaker,
            port,
            known: Known::default(),
            reporting: Reporting::new(),
            traffic: Traffic::default(),
            pulses: Pulses::default(),
            in_flight: false,
            mute: false,
            next: None,
            standing: None,
            recovery: Recovery::default(),
            orders: Vec::new(),
        }
    }

    /// The settings that the breaker has got since it joined this fleet.
    pub(super) fn new_settings(&self) -> Option<Settings> {
        Settings::of(&self.port).filter(|it| *it != self.settings)
    }

    /// Joins another fleet, and knows nothing of it yet.
    pub(super) fn moved_to(self, settings: Settings, key: FleetKey) -> Self {
        let breaker = (self.breaker, self.port);
        Self::new(breaker, (settings, key), self.member)
    }

    /// Takes what the breaker must do.
    pub(super) fn orders(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.orders)
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn key(&self) -> &FleetKey {
        &self.key
    }

    pub(super) fn port(&self) -> &FleetPort {
        &self.port
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.in_flight
    }

    pub(super) fn has_answer(&self) -> bool {
        self.pulses.answered
    }

    pub(super) fn state(&self) -> FleetState {
        self.known.state()
    }

    /// The breaker has failures that the fleet wasn't told of.
    pub(super) fn fails(&mut self) {
        self.reporting.fails();
    }

    /// Whether the failures have been taken, so that later ones are to be watched for.
    pub(super) fn watches(&self) -> bool {
        self.reporting.watches()
    }

    /// What to send now.
    pub(super) fn tick(&mut self, now: Duration, random: &mut Random) -> Option<Request> {
        if self.known.expire(now) {
            self.standing = None;
            self.recovery.lose();
        }
        self.orders.extend(self.recovery.expire(&self.known, now));
        self.count(now);
        if self.in_flight {
            return None;
        }
        let request = self.request(now, random);
        self.in_flight = request.is_some();
        request
    }

    /// When there may be something to send: in the past if there is something now.
    pub(super) fn wake_at(&self) -> Duration {
        let mut at = self.traffic.due();
        if self.in_flight || self.mute {
            return at;
        }
        if self.next.is_some() || !self.pulses.answered || self.changed() {
            return Duration::ZERO;
        }
        if self.known.state() == FleetState::Closed {
            at = at.min(self.reporting.wake_at());
        }
        at.min(self.pulses.due())
            .min(self.recovery.wake_at(self.known.state()))
    }

    fn request(&mut self, now: Duration, random: &mut Random) -> Option<Request> {
        let judge = self.judge();
        self.mute = judge.is_none();
        let judge = judge?;
        if !self.pulses.answered || self.changed() {
            return Some(Request::Pulse(self.announce()));
        }
        if let Some(next) = self.next.take() {
            return Some(next);
        }
        let reports = self.known.state() == FleetState::Closed && self.reporting.wake_at() <= now;
        if reports && self.pulses.is_forgotten(now) {
            return Some(Request::Pulse(self.announce()));
        }
        if let Some(report) = self.report(judge, now) {
            return Some(report);
        }
        let part = self.part_in_recovery(now, random);
        if part.is_some() {
            return part;
        }
        if self.pulses.due() > now {
            return None;
        }
        if self.known.state() == FleetState::Closed && !self.traffic.has_calls() {
            self.pulses.skip();
            self.plan_pulse(now, random);
            return None;
        }
        Some(Request::Pulse(self.announce()))
    }

    fn part_in_recovery(&mut self, now: Duration, random: &mut Random) -> Option<Request> {
        if self.known.state() == FleetState::Closed {
            return None;
        }
        let rule = self.port.rule().map(|it| FleetRecovery::new(&it))?;
        let own = Self::own((&self.known, &self.port), self.member, rule, &self.traffic);
        self.recovery
            .request(&own, &mut self.reporting, now, random)
    }

    fn own<'a>(
        (known, port): (&'a Known, &'a FleetPort),
        member: Member,
        rule: FleetRecovery,
        traffic: &Traffic,
    ) -> Own<'a> {
        let rate = traffic.regular().or_else(|| port.calls_per_second());
        Own {
            known,
            member,
            port,
            rule,
            rate: in_thousandths(rate.unwrap_or_default()),
        }
    }

    fn report(&mut self, judge: Judge, now: Duration) -> Option<Request> {
        if self.known.state() != FleetState::Closed {
            return None;
        }
        let (number, failures) = self.reporting.next(&self.port, now)?;
        Some(Request::Report(judge.report(
            self.sender(),
            number,
            failures,
        )))
    }

    fn announce(&mut self) -> Pulse {
        let (own, is_silent) = (self.port.calls_per_second(), self.is_silent());
        let own = own.unwrap_or_default();
        let rate = self.pulses.announce(&self.traffic, own, is_silent);
        let normal = self.port.failure_rate().unwrap_or_default();
        Pulse {
            sender: self.sender(),
            rate: in_thousandths(rate),
            normal: u32::try_from(whole(normal * f64::from(SHARE)))
                .unwrap_or(u32::MAX)
                .min(SHARE / 4),
        }
    }

    /// The last message: no calls are to be expected.
    pub(super) fn farewell(&mut self) -> Request {
        Request::Pulse(Pulse {
            rate: 0,
            ..self.announce()
        })
    }

    fn changed(&self) -> bool {
        self.pulses.changed(&self.traffic, self.is_silent())
    }

    /// Whether the breaker's calls must not be expected, because its failures aren't reported.
    fn is_silent(&self) -> bool {
        let counts = matches!(self.breaker.state(), State::Closed | State::MetricsOnly);
        !counts && self.known.state() == FleetState::Closed
    }

    fn count(&mut self, now: Duration) {
        if self.traffic.due() <= now {
            self.breaker.snapshot_into(&mut self.snapshot);
            let totals = self.snapshot.totals();
            let asked = totals.calls().saturating_add(totals.rejected);
            self.traffic.count(asked, now);
        }
    }

    fn plan_pulse(&mut self, now: Duration, random: &mut Random) {
        let in_outage = self.known.state() != FleetState::Closed;
        self.pulses.plan(in_outage, now, random);
    }

    fn sender(&self) -> Sender {
        self.known.sender(self.member)
    }

    /// Takes an answer.
    pub(super) fn answered(
        &mut self,
        reply: &Reply,
        now: Duration,
        random: &mut Random,
    ) -> Learned {
        self.in_flight = false;
        let entered = self.hear(reply.view(), now, random);
        let mut first = false;
        match reply {
            Reply::Pulse(_) => {
                first = !self.pulses.answered;
                if first {
                    // What failed while there was no store is no news.
                    self.reporting.drop_all(&self.port);
                }
                self.pulses.answered(now);
                self.plan_pulse(now, random);
            }
            Reply::Report(it) => {
                self.reporting.answered();
                if !it.counted && it.view.state == FleetState::Closed {
                    // The store may have lost what was announced.
                    self.pulses.hurry();
                }
                if let Some(judge) = self.judge().filter(|_| it.counted) {
                    self.standing = judge.standing(it);
                    let asks = judge.may_trip(it);
                    self.next = asks.then(|| Request::Weigh(judge.weigh(self.sender())));
                }
            }
            Reply::Weigh(it) => {
                let is_closed = it.view.state == FleetState::Closed;
                if let Some(judge) = self.judge().filter(|_| is_closed) {
                    self.standing = judge.standing_without_loudest(it);
                    let trip = judge.trip(it, self.sender(), self.first_wait(it.view.rate));
                    self.next = trip.map(Request::Trip);
                }
            }
            Reply::Result(_) => self.recovery.resulted(),
            Reply::Lease(_) | Reply::Round(_) => self.recover(reply, now, random),
            Reply::Trip(_) | Reply::Step(_) => {}
        }
        Learned { entered, first }
    }

    /// Takes an answer that belongs to the recovery.
    fn recover(&mut self, reply: &Reply, now: Duration, random: &mut Random) {
        let Some(rule) = self.port.rule().map(|it| FleetRecovery::new(&it)) else {
            return;
        };
        let own = Self::own((&self.known, &self.port), self.member, rule, &self.traffic);
        match reply {
            Reply::Lease(it) => {
                let order = self.recovery.leased(it, &own, now, random);
                self.orders.extend(order);
            }
            Reply::Round(it) => {
                let step = self.recovery.rounded(it, &own, now);
                self.next = step.map(Request::Step);
            }
            _ => {}
        }
    }

    /// The time until the first probe, in ms.
    fn first_wait(&self, rate: u64) -> u32 {
        let rate = crate::judge::number(rate) / 1_000.0;
        let wait = self
            .port
            .rule()
            .map(|it| FleetRecovery::new(&it).wait(rate, Duration::ZERO));
        wait.map_or(1_000, millis)
    }

    /// The breaker has changed its state.
    pub(super) fn changes(&mut self, probed: Probed) {
        self.orders.extend(self.recovery.probed(probed));
    }

    /// Takes a view that an answer or an announcement has. Returns the state that it enters.
    pub(super) fn hear(
        &mut self,
        view: &FleetView,
        now: Duration,
        random: &mut Random,
    ) -> Option<FleetState> {
        let before = self.known.state();
        let news = self.known.learn(view, now);
        if news == News::Older {
            return None;
        }
        if news == News::Newer || self.known.state() != FleetState::Closed {
            self.follow(now, random);
        }
        if self.known.state() == before {
            return None;
        }
        if self.known.state() == FleetState::Closed {
            self.standing = None;
        }
        self.next = None;
        // Failures of the former state say nothing about this one.
        self.reporting.drop_all(&self.port);
        self.plan_pulse(now, random);
        Some(self.known.state())
    }

    /// Gives the breaker the order that belongs to the known state.
    fn follow(&mut self, now: Duration, random: &mut Random) {
        let Some(rule) = self.port.rule().map(|it| FleetRecovery::new(&it)) else {
            return;
        };
        let own = Self::own((&self.known, &self.port), self.member, rule, &self.traffic);
        let order = self.recovery.hear(&own, now, random);
        let members = u32::try_from(self.known.view().members).unwrap_or(u32::MAX);
        let order = order.members(members);
        self.orders.push(match &self.standing {
            Some(it) => {
                let it = it.usual;
                let calls = whole(it.expected_calls).max(it.failures);
                let order = order.calls(it.failures, calls);
                order.evidence(it.evidence, it.needed)
            }
            None => order,
        });
    }

    /// An answer is missing.
    pub(super) fn failed(&mut self, was_refused: bool) {
        self.in_flight = false;
        self.next = None;
        // The next message shows whether the store is gone.
        self.pulses.hurry();
        if was_refused {
            // Perhaps the store refuses an epoch that a liar has named.
            self.known.forget();
            self.reporting.clear();
        }
    }

    /// The store is gone: the breaker decides for itself.
    pub(super) fn lose(&mut self) {
        self.in_flight = false;
        self.next = None;
        self.pulses.answered = false;
        self.reporting.clear();
        self.standing = None;
        self.recovery.lose();
        self.orders.clear();
    }

    fn judge(&self) -> Option<Judge> {
        self.port.rule().map(Judge::new)
    }

    pub(super) fn status(&self, now: Duration) -> BreakerStatus {
        let nothing = FleetView::default();
        let view = if self.pulses.answered {
            self.known.view()
        } else {
            &nothing
        };
        BreakerStatus {
            name: Arc::clone(&self.name),
            state: view.state,
            for_time: if view.epoch == 0 {
                Duration::ZERO
            } else {
                self.known.age(now)
            },
            share: match view.state {
                FleetState::Closed => 1.0,
                FleetState::Open => 0.0,
                FleetState::Ramp => f64::from(view.share) / f64::from(SHARE),
            },
            members: view.members,
            calls_per_second: crate::judge::number(view.rate) / 1_000.0 / MARGIN,
            standing: self.standing,
        }
    }
}
