//! A store with faults.

use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures_util::StreamExt;

use crate::key::FleetKey;
use crate::memory::MemoryStore;
use crate::message::{AskLease, Leased, ProbeResult, Pulse, Pulsed, Report, Reported, Resulted};
use crate::message::{Round, Rounded, Step, Stepped, Trip, Tripped, Weigh, Weighed};
use crate::store::{Announcement, Store, StoreError};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Fault {
    #[default]
    None,
    /// Each message fails at once.
    Refuses,
    /// Each message fails at once, and pings are answered.
    RefusesMessages,
    /// Each answer takes 100 ms.
    Slow,
    /// Each message panics.
    Panics,
    /// No message is answered.
    Hangs,
    /// The store does what it is asked, and the answer is lost.
    LosesAnswers,
    /// Announcements are lost.
    LosesAnnouncements,
}

/// A store that works until a test says otherwise. Clones share the faults.
#[derive(Clone)]
pub(super) struct Faulty {
    store: MemoryStore,
    faults: Arc<Faults>,
}

#[derive(Default)]
struct Faults {
    fault: Mutex<Fault>,
    messages: AtomicU64,
    pulses: AtomicU64,
    pings: AtomicU64,
    listeners: Mutex<Vec<UnboundedSender<Announcement>>>,
}

impl Faulty {
    pub(super) fn new(store: &MemoryStore) -> Self {
        Self {
            store: store.clone(),
            faults: Arc::default(),
        }
    }

    pub(super) fn set(&self, fault: Fault) {
        *self.faults.fault.lock().unwrap() = fault;
    }

    /// Breaks all connections, as a server does that is killed.
    pub(super) fn kill(&self) {
        self.set(Fault::Refuses);
        self.faults.listeners.lock().unwrap().clear();
    }

    /// How many messages were sent.
    pub(super) fn messages(&self) -> u64 {
        self.faults.messages.load(Ordering::Relaxed)
    }

    pub(super) fn pings(&self) -> u64 {
        self.faults.pings.load(Ordering::Relaxed)
    }

    pub(super) fn pulses(&self) -> u64 {
        self.faults.pulses.load(Ordering::Relaxed)
    }

    fn fault(&self) -> Fault {
        *self.faults.fault.lock().unwrap()
    }

    async fn pass<T>(
        &self,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.faults.messages.fetch_add(1, Ordering::Relaxed);
        self.answer(answer).await
    }

    async fn answer<T>(
        &self,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match self.fault() {
            Fault::None | Fault::LosesAnnouncements => answer.await,
            Fault::Refuses | Fault::RefusesMessages => {
                Err(StoreError::Unavailable("connection refused".into()))
            }
            Fault::Slow => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                answer.await
            }
            Fault::Panics => panic!("boom"),
            Fault::Hangs => pending().await,
            Fault::LosesAnswers => {
                let _lost = answer.await;
                pending().await
            }
        }
    }
}

impl Store for Faulty {
    type Announcements = UnboundedReceiver<Announcement>;

    async fn report(&self, key: &FleetKey, it: &Report) -> Result<Reported, StoreError> {
        self.pass(self.store.report(key, it)).await
    }

    async fn weigh(&self, key: &FleetKey, it: &Weigh) -> Result<Weighed, StoreError> {
        self.pass(self.store.weigh(key, it)).await
    }

    async fn pulse(&self, key: &FleetKey, it: &Pulse) -> Result<Pulsed, StoreError> {
        self.faults.pulses.fetch_add(1, Ordering::Relaxed);
        self.pass(self.store.pulse(key, it)).await
    }

    async fn trip(&self, key: &FleetKey, it: &Trip) -> Result<Tripped, StoreError> {
        self.pass(self.store.trip(key, it)).await
    }

    async fn lease(&self, key: &FleetKey, it: &AskLease) -> Result<Leased, StoreError> {
        self.pass(self.store.lease(key, it)).await
    }

    async fn result(&self, key: &FleetKey, it: &ProbeResult) -> Result<Resulted, StoreError> {
        self.pass(self.store.result(key, it)).await
    }

    async fn round(&self, key: &FleetKey, it: &Round) -> Result<Rounded, StoreError> {
        self.pass(self.store.round(key, it)).await
    }

    async fn step(&self, key: &FleetKey, it: &Step) -> Result<Stepped, StoreError> {
        self.pass(self.store.step(key, it)).await
    }

    async fn ping(&self, namespace: &str) -> Result<(), StoreError> {
        self.faults.pings.fetch_add(1, Ordering::Relaxed);
        match self.fault() {
            Fault::RefusesMessages => Ok(()),
            _ => self.answer(self.store.ping(namespace)).await,
        }
    }

    async fn announcements(&self, namespace: &str) -> Result<Self::Announcements, StoreError> {
        let mut all = self.pass(self.store.announcements(namespace)).await?;
        let (sender, receiver) = unbounded();
        // Only this list keeps the stream open.
        let number = {
            let mut listeners = self.faults.listeners.lock().unwrap();
            listeners.push(sender);
            listeners.len() - 1
        };
        let faulty = self.clone();
        tokio::spawn(async move {
            while let Some(it) = all.next().await {
                let listeners = faulty.faults.listeners.lock().unwrap();
                let Some(listener) = listeners.get(number) else {
                    return;
                };
                if faulty.fault() != Fault::LosesAnnouncements {
                    let _ = listener.unbounded_send(it);
                }
            }
        });
        Ok(receiver)
    }
}
