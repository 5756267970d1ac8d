//! A member without input and output.

mod announcements;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_channel::oneshot;
use tripcurve::CircuitBreaker;
use tripcurve::fleet::{FleetPort, Order};

use super::error::{JoinError, text};
use super::joined_breaker::JoinedBreaker;
use super::joining::Joined;
use super::link::{Link, Phase};
use super::mass_orders::MassOrders;
use super::random::Random;
use super::recovery::Probed;
use super::request::{Reply, Request};
use super::schedule::Schedule;
use super::settings::Settings;
use super::status::{FleetStatus, Notice, StoreStatus};
use super::tokens::Quota;
use crate::key::FleetKey;
use crate::message::Member;
use crate::store::StoreError;

/// The number of a breaker in a [`Machine`]. None is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BreakerId(u64);

/// Something that a [`Machine`] wants done.
#[derive(Debug)]
#[non_exhaustive]
pub enum Effect {
    /// Begin to receive the namespace's announcements. Then call [`Machine::subscribed`], or
    /// [`Machine::lost`] with this session if that fails.
    Subscribe {
        /// The number of this connection.
        session: u64,
    },
    /// Send a message. Then call [`Machine::answered`].
    Send(Outgoing),
    /// Ask whether the store still works. Then call [`Machine::pinged`].
    Ping {
        /// The number of the connection.
        session: u64,
    },
    /// Wait until the port has unreported failures. Then call [`Machine::fails`].
    Watch(BreakerId, FleetPort),
    /// Let the breaker follow an order.
    Follow(FleetPort, Order),
    /// Let the breaker decide for itself.
    DropOrder(FleetPort),
    /// Stop to wait for unreported failures of a breaker that has left.
    Unwatch(BreakerId),
    /// Tell the listeners.
    Notify(Notice),
    /// Tell a task that its breaker has joined.
    Tell(oneshot::Sender<Joined>, Joined),
}

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outgoing {
    /// The breaker that it is about.
    pub breaker: BreakerId,
    /// The number of the connection.
    pub session: u64,
    /// The fleet.
    pub key: FleetKey,
    /// The message.
    pub request: Request,
    /// Whether the store hasn't answered yet in this session. Then it may need a connection.
    pub first: bool,
}

/// The names that a member has in common with the others.
#[derive(Clone, Debug)]
pub struct Names {
    /// The namespace.
    pub namespace: String,
    /// The zone, or an empty string.
    pub zone: String,
    /// A word that stands for the classifier.
    pub classifier: String,
}

/// A member without input and output: what it says and does, as a function of events and time.
///
/// [`Fleet`](crate::Fleet) drives one with a runtime. A simulation may drive many, with a clock of
/// its own: it calls [`poll`](Self::poll) until there is no effect left, does what the effects say,
/// and calls `poll` again after each event and at [`wake_at`](Self::wake_at). Times are those since
/// any moment, and never go back.
#[derive(Debug)]
pub struct Machine {
    names: Names,
    member: Member,
    random: Random,
    link: Link,
    status: StoreStatus,
    since: Duration,
    quota: Quota,
    breakers: BTreeMap<BreakerId, JoinedBreaker>,
    schedule: Schedule,
    joining: Vec<(BreakerId, oneshot::Sender<Joined>)>,
    next_id: u64,
    effects: VecDeque<Effect>,
    mass: MassOrders,
}

impl Machine {
    /// Makes a member without breakers. `seed` decides its random times.
    #[must_use]
    pub fn new(names: Names, member: Member, seed: u64) -> Self {
        let reason = "the store hasn't answered yet".into();
        Self {
            names,
            member,
            random: Random::new(seed),
            link: Link::new(),
            status: StoreStatus::LocalOnly { reason },
            since: Duration::ZERO,
            quota: Quota::default(),
            breakers: BTreeMap::new(),
            schedule: Schedule::default(),
            joining: Vec::new(),
            next_id: 0,
            effects: VecDeque::new(),
            mass: MassOrders::default(),
        }
    }

    /// Adds a breaker.
    ///
    /// # Errors
    /// The breaker has no adaptive policy, or one of its name has joined already.
    pub fn join<C>(
        &mut self,
        breaker: &CircuitBreaker<C>,
        now: Duration,
    ) -> Result<(BreakerId, oneshot::Receiver<Joined>), JoinError> {
        if self
            .breakers
            .values()
            .any(|it| **it.name() == *breaker.name())
        {
            return Err(JoinError::NameTaken(breaker.name().into()));
        }
        let port = breaker.fleet_port().map_err(JoinError::NotAdaptive)?;
        let settings = Settings::of(&port).unwrap_or_default();
        let key = settings.key(&self.names, breaker.name());
        let breaker = breaker.with_classifier(tripcurve::outcome::DefaultClassifier);
        let id = BreakerId(self.next_id);
        self.next_id += 1;
        self.effects.push_back(Effect::Watch(id, port.clone()));
        let joined = JoinedBreaker::new((breaker, port), (settings, key), self.member);
        self.breakers.insert(id, joined);
        let (sender, receiver) = oneshot::channel();
        match self.link.phase() {
            Phase::Waiting { until } if until > Duration::ZERO => {
                self.effects
                    .push_back(Effect::Tell(sender, Joined::LocalOnly));
            }
            _ => self.joining.push((id, sender)),
        }
        self.plan(id, now);
        Ok((id, receiver))
    }

    /// Removes the breaker of this name. Returns whether there was one.
    ///
    /// Its last message says that no calls of it are to be expected.
    pub fn leave(&mut self, name: &str, now: Duration) -> bool {
        let Some(id) = self.named(name) else {
            return false;
        };
        self.schedule.remove(id);
        let Some(mut joined) = self.breakers.remove(&id) else {
            return false;
        };
        self.joining.retain(|it| it.0 != id);
        self.effects.push_back(Effect::Unwatch(id));
        self.effects
            .push_back(Effect::DropOrder(joined.port().clone()));
        self.say_farewell(id, &mut joined, now);
        true
    }

    fn say_farewell(&mut self, id: BreakerId, joined: &mut JoinedBreaker, now: Duration) {
        if self.link.is_up() && joined.has_answer() {
            self.quota.note(now);
            self.effects.push_back(Effect::Send(Outgoing {
                breaker: id,
                session: self.link.session(),
                key: joined.key().clone(),
                request: joined.farewell(),
                first: false,
            }));
        }
    }

    /// Lets a breaker that has got other settings move to the fleet that has them.
    fn follow_settings(&mut self, id: BreakerId, now: Duration) {
        let moved = |it: &JoinedBreaker| Some((it.new_settings()?, Arc::clone(it.name())));
        let Some((settings, name)) = self.breakers.get(&id).and_then(moved) else {
            return;
        };
        let Some(mut joined) = self.breakers.remove(&id) else {
            return;
        };
        self.say_farewell(id, &mut joined, now);
        self.effects
            .push_back(Effect::DropOrder(joined.port().clone()));
        if !joined.watches() {
            self.effects
                .push_back(Effect::Watch(id, joined.port().clone()));
        }
        let key = settings.key(&self.names, &name);
        self.breakers.insert(id, joined.moved_to(settings, key));
    }

    /// Tells the listeners.
    pub fn notify(&mut self, notice: Notice) {
        self.effects.push_back(Effect::Notify(notice));
    }

    /// The namespace, whose announcements the member hears.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.names.namespace
    }

    /// The names of the breakers that have joined.
    pub fn breakers(&self) -> impl Iterator<Item = &str> {
        self.breakers.values().map(|it| &**it.name())
    }

    /// What to do now. `None` if there is nothing until an event or until
    /// [`wake_at`](Self::wake_at).
    pub fn poll(&mut self, now: Duration) -> Option<Effect> {
        loop {
            if let Some(effect) = self.effects.pop_front() {
                return Some(effect);
            }
            if self.link.begin(now) {
                let session = self.link.session();
                return Some(Effect::Subscribe { session });
            }
            if self.link.ping(now) {
                let session = self.link.session();
                return Some(Effect::Ping { session });
            }
            if !matches!(self.link.phase(), Phase::Trying | Phase::Up) || self.quota.next() > now {
                return None;
            }
            let (at, id) = self.schedule.first()?;
            if at > now {
                return None;
            }
            // The first pulse tries the store. The others wait for its answer.
            if !self.link.is_up() && self.breakers.values().any(JoinedBreaker::is_waiting) {
                return None;
            }
            if let Some(outgoing) = self.tick(id, now) {
                self.quota.note(now);
                self.link.note(now);
                return Some(Effect::Send(outgoing));
            }
        }
    }

    fn tick(&mut self, id: BreakerId, now: Duration) -> Option<Outgoing> {
        self.follow_settings(id, now);
        let (key, request) = self.with(id, now, |joined, random| {
            let request = joined.tick(now, random);
            (joined.key().clone(), request)
        })?;
        request.map(|request| Outgoing {
            breaker: id,
            session: self.link.session(),
            key,
            request,
            first: !self.link.is_up(),
        })
    }

    /// Does something with a breaker, and then what the breaker wants done.
    fn with<T>(
        &mut self,
        id: BreakerId,
        now: Duration,
        act: impl FnOnce(&mut JoinedBreaker, &mut Random) -> T,
    ) -> Option<T> {
        let joined = self.breakers.get_mut(&id)?;
        let watched = joined.watches();
        let done = act(joined, &mut self.random);
        if !watched && joined.watches() {
            self.effects
                .push_back(Effect::Watch(id, joined.port().clone()));
        }
        for order in joined.orders() {
            self.effects
                .push_back(Effect::Follow(joined.port().clone(), order));
        }
        self.plan(id, now);
        Some(done)
    }

    /// When to call [`poll`](Self::poll) without an event.
    #[must_use]
    pub fn wake_at(&self) -> Option<Duration> {
        match self.link.phase() {
            Phase::Waiting { until } => Some(until),
            Phase::Subscribing => None,
            Phase::Trying if self.breakers.values().any(JoinedBreaker::is_waiting) => None,
            Phase::Trying | Phase::Up => {
                let tick = self.schedule.first().map(|it| it.0.max(self.quota.next()));
                tick.into_iter().chain(self.link.ping_at()).min()
            }
        }
    }

    /// The announcements of a session have begun to come.
    pub fn subscribed(&mut self, session: u64, now: Duration) {
        self.link.subscribed(session);
        if self.link.phase() == Phase::Trying && self.breakers.is_empty() {
            self.answers(now);
        }
    }

    /// The number of the current connection.
    pub(super) fn session(&self) -> u64 {
        self.link.session()
    }

    /// The store of a session is gone.
    pub fn lost(&mut self, session: u64, why: &str, now: Duration) {
        if session != self.link.session() || matches!(self.link.phase(), Phase::Waiting { .. }) {
            return;
        }
        self.link.lose(now, &mut self.random);
        let status = StoreStatus::LocalOnly { reason: why.into() };
        if self.status != status {
            if self.status == StoreStatus::Connected {
                self.since = now;
            }
            self.status = status.clone();
            self.effects
                .push_back(Effect::Notify(Notice::Store(status)));
        }
        for joined in self.breakers.values_mut() {
            joined.lose();
            self.effects
                .push_back(Effect::DropOrder(joined.port().clone()));
        }
        for (_, sender) in self.joining.drain(..) {
            self.effects
                .push_back(Effect::Tell(sender, Joined::LocalOnly));
        }
    }

    /// A breaker has unreported failures.
    pub fn fails(&mut self, id: BreakerId, now: Duration) {
        self.with(id, now, |joined, _| joined.fails());
    }

    /// A breaker has changed its state.
    pub fn changed(&mut self, id: BreakerId, probed: Probed, now: Duration) {
        self.with(id, now, |joined, _| joined.changes(probed));
    }

    /// A message was answered, or wasn't.
    pub fn answered(&mut self, it: &Outgoing, answer: Result<Reply, StoreError>, now: Duration) {
        if it.session != self.link.session() || matches!(self.link.phase(), Phase::Waiting { .. }) {
            return;
        }
        self.link.note(now);
        let answer = answer.and_then(|reply| match reply.check() {
            Ok(()) => Ok(reply),
            Err(what) => Err(StoreError::Garbled(what)),
        });
        let joined = self.breakers.get(&it.breaker);
        let is_current = joined.is_some_and(|joined| *joined.key() == it.key);
        match answer {
            Ok(reply) => {
                self.answers(now);
                if is_current {
                    self.learn(it.breaker, &reply, now);
                }
            }
            Err(error) => {
                if is_current {
                    let was_refused = matches!(error, StoreError::Refused(_));
                    self.with(it.breaker, now, |joined, _| joined.failed(was_refused));
                }
                if self.link.missed() || has_panicked(&error) {
                    self.lost(it.session, &text(&error), now);
                }
            }
        }
    }

    /// A ping was answered, or wasn't.
    pub fn pinged(&mut self, session: u64, answer: Result<(), StoreError>, now: Duration) {
        if session != self.link.session() || !self.link.is_up() {
            return;
        }
        let is_gone = self.link.pinged(answer.is_ok(), now);
        if let Err(error) = answer
            && (is_gone || has_panicked(&error))
        {
            self.lost(session, &text(&error), now);
        }
    }

    /// The store works.
    fn answers(&mut self, now: Duration) {
        if !self.link.answered() {
            return;
        }
        self.status = StoreStatus::Connected;
        self.since = now;
        let notice = Notice::Store(StoreStatus::Connected);
        self.effects.push_back(Effect::Notify(notice));
        let all: Vec<_> = self.breakers.keys().copied().collect();
        for id in all {
            self.plan(id, now);
        }
    }

    fn learn(&mut self, id: BreakerId, reply: &Reply, now: Duration) {
        let learned = self.with(id, now, |joined, random| {
            (joined.answered(reply, now, random), joined.state())
        });
        let Some((learned, state)) = learned else {
            return;
        };
        if let Some(state) = learned.entered {
            self.entered(id, state, now);
        }
        if learned.first {
            let (told, waiting) = std::mem::take(&mut self.joining)
                .into_iter()
                .partition(|it| it.0 == id);
            self.joining = waiting;
            let told: Vec<_> = told;
            for (_, sender) in told {
                self.effects
                    .push_back(Effect::Tell(sender, Joined::Answered(state)));
            }
        }
    }

    fn plan(&mut self, id: BreakerId, now: Duration) {
        if let Some(joined) = self.breakers.get(&id) {
            self.schedule.set(id, joined.wake_at().max(now));
        }
    }

    fn named(&self, name: &str) -> Option<BreakerId> {
        let mut breakers = self.breakers.iter();
        Some(*breakers.find(|(_, it)| **it.name() == *name)?.0)
    }

    /// What the member knows.
    #[must_use]
    pub fn status(&self, now: Duration) -> FleetStatus {
        let mut breakers: Vec<_> = self.breakers.values().map(|it| it.status(now)).collect();
        breakers.sort_by(|a, b| a.name.cmp(&b.name));
        FleetStatus {
            store: self.status.clone(),
            for_time: now.saturating_sub(self.since),
            breakers,
        }
    }
}

/// Whether the store may be in any state. Then only a new session helps.
fn has_panicked(error: &StoreError) -> bool {
    matches!(error, StoreError::Panicked(_))
}
