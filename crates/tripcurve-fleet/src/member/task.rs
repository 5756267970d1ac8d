//! The task of a member: does what the machine decides.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures_core::Stream;
use futures_util::future::{AbortHandle, Aborted, abortable};
use futures_util::stream::FuturesUnordered;
use tokio::runtime::Handle;
use tokio::task::yield_now;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tripcurve::CircuitBreaker;
use tripcurve::handles::ListeningGuard;

use super::error::{JoinError, text};
use super::guarded::{Guarded, Panicked, shielded};
use super::joining::Joining;
use super::machine::{BreakerId, Effect, Machine, Outgoing};
use super::recovery::Probed;
use super::request::Reply;
use super::status::{FleetStatus, Notice};
use crate::store::{Announcement, Store, StoreError};

/// The time within which a store must answer.
const ANSWER: Duration = Duration::from_millis(250);

/// The time within which a store must answer the first message, which may make a connection.
const FIRST_ANSWER: Duration = Duration::from_millis(1_250);

/// The time until the task looks again when the machine waits for nothing but events.
const IDLE: Duration = Duration::from_secs(3_600);

/// After so many events that didn't have to be waited for, other tasks have their turn.
const AT_ONCE: u32 = 64;

type Listener = Box<dyn Fn(&Notice) + Send + Sync>;

/// Those who are told of notices.
#[derive(Default)]
pub(super) struct Listeners(Vec<Listener>);

impl Listeners {
    pub(super) fn add(&mut self, listener: impl Fn(&Notice) + Send + Sync + 'static) {
        self.0.push(Box::new(listener));
    }

    fn tell(&self, notice: &Notice) {
        for listener in &self.0 {
            // A panic of one is no matter of the others. The hook has reported it.
            let _reported = shielded(|| listener(notice));
        }
    }
}

/// What handles tell the task.
enum Poke {
    /// A breaker has changed its state.
    Changed(BreakerId, Probed),
    /// The machine has something to do.
    Look,
    /// The last handle is gone.
    Stop,
}

/// What the task and the handles share.
pub(super) struct Shared {
    /// Held for a moment, and never while code of the user runs.
    inner: Mutex<Inner>,
    begun: Instant,
    pokes: UnboundedSender<Poke>,
}

struct Inner {
    machine: Machine,
    /// What tells the task of each breaker's transitions.
    listening: BTreeMap<String, ListeningGuard>,
}

impl Shared {
    fn with<T>(&self, act: impl FnOnce(&mut Inner, Duration) -> T) -> T {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.begun.elapsed();
        act(&mut inner, now)
    }

    fn machine<T>(&self, act: impl FnOnce(&mut Machine, Duration) -> T) -> T {
        self.with(|inner, now| act(&mut inner.machine, now))
    }

    fn poke(&self, poke: Poke) {
        // The task may have ended, with its runtime.
        let _ = self.pokes.unbounded_send(poke);
    }

    pub(super) fn join<C>(&self, breaker: &CircuitBreaker<C>) -> Result<Joining, JoinError> {
        let (id, joined) = self.machine(|machine, now| machine.join(breaker, now))?;
        let pokes = self.pokes.clone();
        let listening = breaker.on_transition(move |it| {
            let _ = pokes.unbounded_send(Poke::Changed(id, Probed::by(it)));
        });
        let name = breaker.name().to_owned();
        let guard = listening.until_dropped();
        let before = self.with(|inner, _| inner.listening.insert(name, guard));
        drop(before);
        self.poke(Poke::Look);
        Ok(Joining(joined))
    }

    pub(super) fn leave(&self, name: &str) -> bool {
        let (left, listening) =
            self.with(|inner, now| (inner.machine.leave(name, now), inner.listening.remove(name)));
        drop(listening);
        self.poke(Poke::Look);
        left
    }

    #[cfg(feature = "registry")]
    pub(super) fn notify(&self, notice: Notice) {
        self.machine(|machine, _| machine.notify(notice));
        self.poke(Poke::Look);
    }

    pub(super) fn status(&self) -> FleetStatus {
        self.machine(|machine, now| machine.status(now))
    }

    pub(super) fn stop(&self) {
        self.poke(Poke::Stop);
    }

    /// Lets all breakers leave.
    fn clear(&self) {
        let names: Vec<_> = self.machine(|machine, _| {
            let names = machine.breakers().map(str::to_owned);
            names.collect()
        });
        for name in names {
            // A panic in one breaker's clock must not keep the others from leaving.
            let _reported = shielded(|| self.leave(&name));
        }
    }
}

pub(super) fn spawn<S: Store>(
    runtime: &Handle,
    machine: Machine,
    store: S,
    listeners: Listeners,
) -> Arc<Shared> {
    let (pokes, receiver) = unbounded();
    let inner = Inner {
        machine,
        listening: BTreeMap::new(),
    };
    let begun = Instant::now();
    let shared = Arc::new(Shared {
        inner: Mutex::new(inner),
        begun,
        pokes,
    });
    let task = Task {
        shared: Arc::clone(&shared),
        store: Arc::new(store),
        listeners,
        pokes: receiver,
        jobs: FuturesUnordered::new(),
        watches: BTreeMap::new(),
        announcements: None,
    };
    // Made here, so that a runtime without timers panics where the user sees it.
    let timer = Box::pin(sleep_until(begun));
    runtime.spawn(task.run(timer));
    shared
}

/// What the task waits for.
enum Event<S: Store> {
    Poke(Poke),
    Unreported(BreakerId),
    Answered(Box<(Outgoing, Result<Reply, StoreError>)>),
    Pinged(u64, Result<(), StoreError>),
    Subscribed(u64, Result<Guarded<S::Announcements>, StoreError>),
    Announced(Announcement),
    /// The announcements of this session have ended, perhaps by a panic.
    Ended(u64, Option<StoreError>),
    /// It is time to look again.
    Time,
}

type Job<S> = Pin<Box<dyn Future<Output = Event<S>> + Send>>;

struct Task<S: Store> {
    shared: Arc<Shared>,
    store: Arc<S>,
    listeners: Listeners,
    pokes: UnboundedReceiver<Poke>,
    jobs: FuturesUnordered<Job<S>>,
    /// The waits for unreported failures.
    watches: BTreeMap<BreakerId, AbortHandle>,
    announcements: Option<(u64, Guarded<S::Announcements>)>,
}

impl<S: Store> Task<S> {
    async fn run(mut self, mut timer: Pin<Box<Sleep>>) {
        let mut events = 0;
        loop {
            // A stream that always has something to say must not keep others from their turn.
            events = (events + 1) % AT_ONCE;
            if events == 0 {
                yield_now().await;
            }
            self.act_on_all();
            let wake_at = self.shared.machine(|machine, now| {
                let at = machine.wake_at();
                at.unwrap_or(now + IDLE)
            });
            timer.as_mut().reset(self.shared.begun + wake_at);
            match self.event(&mut timer).await {
                Event::Poke(Poke::Stop) => return self.end().await,
                event => _ = self.shielded(|it| it.take(event)),
            }
        }
    }

    /// Does what the machine wants done.
    fn act_on_all(&mut self) {
        loop {
            let acted = self.shielded(|it| {
                let effect = it.shared.machine(Machine::poll);
                effect.map(|effect| it.act(effect)).is_some()
            });
            if acted == Some(false) {
                return;
            }
        }
    }

    /// Runs code that may call the user's, for example the clock of a breaker.
    ///
    /// After a panic each breaker decides for itself until the next attempt.
    fn shielded<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> Option<T> {
        match shielded(|| act(self)) {
            Ok(done) => Some(done),
            Err(Panicked(message)) => {
                let why = format!("the member's task has caught a panic: {message}");
                self.shared.machine(|machine, now| {
                    let session = machine.session();
                    machine.lost(session, &why, now);
                });
                None
            }
        }
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Subscribe { session } => {
                self.announcements = None;
                let (store, shared) = (Arc::clone(&self.store), Arc::clone(&self.shared));
                self.jobs.push(Box::pin(async move {
                    let namespace = shared.machine(|machine, _| machine.namespace().to_owned());
                    let subscribed = limited(FIRST_ANSWER, async {
                        let announcements = store.announcements(&namespace).await?;
                        Ok(Guarded::new(announcements))
                    });
                    Event::Subscribed(session, subscribed.await)
                }));
            }
            Effect::Send(outgoing) => {
                let store = Arc::clone(&self.store);
                let limit = if outgoing.first { FIRST_ANSWER } else { ANSWER };
                self.jobs.push(Box::pin(async move {
                    let sent = outgoing.request.send(&*store, &outgoing.key);
                    let answer = limited(limit, sent).await;
                    Event::Answered(Box::new((outgoing, answer)))
                }));
            }
            Effect::Ping { session } => {
                let (store, shared) = (Arc::clone(&self.store), Arc::clone(&self.shared));
                self.jobs.push(Box::pin(async move {
                    let namespace = shared.machine(|machine, _| machine.namespace().to_owned());
                    let asked = async { store.ping(&namespace).await };
                    let answer = limited(ANSWER, asked).await;
                    Event::Pinged(session, answer)
                }));
            }
            Effect::Watch(id, port) => {
                let (watch, handle) = abortable(async move { port.until_unreported().await });
                self.watches.insert(id, handle);
                self.jobs.push(Box::pin(async move {
                    match watch.await {
                        Ok(()) => Event::Unreported(id),
                        Err(Aborted) => Event::Time,
                    }
                }));
            }
            Effect::Follow(port, order) => {
                let _followed = port.follow(order);
            }
            Effect::DropOrder(port) => port.drop_order(),
            Effect::Unwatch(id) => {
                // Otherwise the wait would keep the breaker alive.
                if let Some(watch) = self.watches.remove(&id) {
                    watch.abort();
                }
            }
            Effect::Notify(notice) => self.listeners.tell(&notice),
            Effect::Tell(sender, joined) => {
                // Nobody may wait.
                let _ = sender.send(joined);
            }
        }
    }

    fn take(&mut self, event: Event<S>) {
        let shared = Arc::clone(&self.shared);
        if let Event::Subscribed(session, Ok(announcements)) = event {
            self.announcements = Some((session, announcements));
            return shared.machine(|machine, now| machine.subscribed(session, now));
        }
        shared.machine(|machine, now| match event {
            Event::Poke(Poke::Changed(id, probed)) => machine.changed(id, probed, now),
            Event::Unreported(id) => machine.fails(id, now),
            Event::Answered(it) => {
                let (outgoing, answer) = *it;
                machine.answered(&outgoing, answer, now);
            }
            Event::Pinged(session, answer) => machine.pinged(session, answer, now),
            Event::Subscribed(session, Err(error)) | Event::Ended(session, Some(error)) => {
                machine.lost(session, &text(&error), now);
            }
            Event::Announced(announcement) => machine.announced(&announcement, now),
            Event::Ended(session, None) => {
                machine.lost(session, "the connection for announcements was lost", now);
            }
            Event::Poke(Poke::Look | Poke::Stop) | Event::Subscribed(_, Ok(_)) | Event::Time => {}
        });
    }

    async fn event(&mut self, timer: &mut Pin<Box<Sleep>>) -> Event<S> {
        poll_fn(|context| {
            // The task holds a sender too, so this stream doesn't end.
            if let Poll::Ready(Some(poke)) = Pin::new(&mut self.pokes).poll_next(context) {
                return Poll::Ready(Event::Poke(poke));
            }
            if let Poll::Ready(Some(event)) = Pin::new(&mut self.jobs).poll_next(context) {
                return Poll::Ready(event);
            }
            if let Some((session, announcements)) = &mut self.announcements {
                let session = *session;
                match Pin::new(announcements).poll_next(context) {
                    Poll::Ready(Some(Ok(it))) => return Poll::Ready(Event::Announced(it)),
                    Poll::Ready(ended) => {
                        self.announcements = None;
                        let error = ended.and_then(Result::err);
                        return Poll::Ready(Event::Ended(session, error));
                    }
                    Poll::Pending => {}
                }
            }
            timer.as_mut().poll(context).map(|()| Event::Time)
        })
        .await
    }

    /// Lets all breakers leave, and tells the store within the time of one answer.
    async fn end(mut self) {
        self.shared.clear();
        self.jobs = FuturesUnordered::new();
        self.act_on_all();
        while poll_fn(|context| Pin::new(&mut self.jobs).poll_next(context))
            .await
            .is_some()
        {}
    }
}

/// Waits for a store, but not for long. Its panic is an error.
///
/// An error of the user is turned into a text here, where its code holds no lock and may panic.
async fn limited<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let answered = Guarded::new(async move {
        match timeout(limit, answer).await {
            Ok(Err(StoreError::Unavailable(error))) => Err(unavailable(&*error)),
            Ok(answer) => answer,
            Err(elapsed) => Err(unavailable(&elapsed)),
        }
    });
    answered.await
}

fn unavailable(error: &dyn std::error::Error) -> StoreError {
    StoreError::Unavailable(text(error).into())
}
