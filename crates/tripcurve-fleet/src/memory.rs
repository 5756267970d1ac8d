//! A store in the memory of one process, for tests and simulations.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use futures_channel::mpsc;

use crate::key::{self, FleetKey};
use crate::message::{AskLease, Leased, ProbeResult, Pulse, Pulsed, Refused, Report, Reported};
use crate::message::{Resulted, Round, Rounded, Step, Stepped, Trip, Tripped, Weigh, Weighed};
use crate::store::{Announcement, Store, StoreError};
use crate::sums::{Applied, FleetSums};

/// How many announcements wait for a member that doesn't read them. Later ones are lost to it.
const WAITING: usize = 1_024;

/// A store in the memory of this process.
///
/// Clones are one store. Operations take a lock for a short time, so this store is for tests and
/// simulations: processes can't share it.
///
/// ```
/// use tripcurve_fleet::key::{FleetKey, Meaning};
/// use tripcurve_fleet::memory::MemoryStore;
/// use tripcurve_fleet::message::{Member, Pulse, Sender};
/// use tripcurve_fleet::store::Store;
///
/// # let executor = tokio::runtime::Builder::new_current_thread().build()?;
/// # executor.block_on(async {
/// let store = MemoryStore::new();
/// let key = FleetKey::new("shop", "", "payments", Meaning::new(Some(0.25), None, ""));
/// // A member makes ten calls a second, of which one in 128 usually fails.
/// let sender = Sender::new(Member(1));
/// let pulsed = store.pulse(&key, &Pulse { sender, rate: 10_000, normal: 512 }).await?;
/// assert_eq!(pulsed.view.members, 1);
/// # Ok::<(), tripcurve_fleet::store::StoreError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Box<dyn Fn() -> u64 + Send + Sync>,
    fleets: Mutex<Fleets>,
}

#[derive(Default)]
struct Fleets {
    sums: HashMap<String, FleetSums>,
    /// The channels of those who listen.
    listeners: Vec<(String, mpsc::Sender<Announcement>)>,
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// Makes a store whose time is that of this machine, and never goes back.
    #[must_use]
    pub fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let (start, begun) = (since_epoch.unwrap_or_default(), Instant::now());
        Self::with_clock(move || {
            u64::try_from((start + begun.elapsed()).as_millis()).unwrap_or(u64::MAX)
        })
    }

    /// Makes a store whose time, in ms, is what `clock` returns.
    #[must_use]
    pub fn with_clock(clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        let shared = Shared {
            clock: Box::new(clock),
            fleets: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Drops all data, as a store does that is restarted without them.
    ///
    /// Those who listen keep listening.
    pub fn clear(&self) {
        self.fleets(|fleets| fleets.sums.clear());
    }

    fn fleets<T>(&self, act: impl FnOnce(&mut Fleets) -> T) -> T {
        // A panic leaves each fleet as it was before or after a message.
        let mut fleets = self
            .shared
            .fleets
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        act(&mut fleets)
    }

    fn apply<M, A>(
        &self,
        key: &FleetKey,
        message: &M,
        operation: fn(&mut FleetSums, &M, u64) -> Result<Applied<A>, Refused>,
    ) -> Result<A, StoreError> {
        self.fleets(|fleets| {
            // Read under the lock, so that messages come in the order of their times.
            let now = (self.shared.clock)();
            let sums = fleets.sums.entry(key.as_str().to_owned()).or_default();
            let applied = operation(sums, message, now)?;
            if let Some(view) = applied.announced {
                let key_text = key.as_str().to_owned();
                let announcement = Announcement {
                    key: key_text,
                    view,
                };
                fleets.announce(key.channel(), &announcement);
            }
            Ok(applied.answer)
        })
    }
}

impl Fleets {
    fn announce(&mut self, channel: &str, it: &Announcement) {
        self.listeners.retain_mut(|(listened, sender)| {
            if listened != channel {
                return !sender.is_closed();
            }
            match sender.try_send(it.clone()) {
                Ok(()) => true,
                Err(error) => !error.is_disconnected(),
            }
        });
    }
}

impl Store for MemoryStore {
    type Announcements = mpsc::Receiver<Announcement>;

    async fn report(&self, key: &FleetKey, it: &Report) -> Result<Reported, StoreError> {
        self.apply(key, it, FleetSums::report)
    }

    async fn weigh(&self, key: &FleetKey, it: &Weigh) -> Result<Weighed, StoreError> {
        self.apply(key, it, FleetSums::weigh)
    }

    async fn pulse(&self, key: &FleetKey, it: &Pulse) -> Result<Pulsed, StoreError> {
        self.apply(key, it, FleetSums::pulse)
    }

    async fn trip(&self, key: &FleetKey, it: &Trip) -> Result<Tripped, StoreError> {
        self.apply(key, it, FleetSums::trip)
    }

    async fn lease(&self, key: &FleetKey, it: &AskLease) -> Result<Leased, StoreError> {
        self.apply(key, it, FleetSums::lease)
    }

    async fn result(&self, key: &FleetKey, it: &ProbeResult) -> Result<Resulted, StoreError> {
        self.apply(key, it, FleetSums::result)
    }

    async fn round(&self, key: &FleetKey, it: &Round) -> Result<Rounded, StoreError> {
        self.apply(key, it, FleetSums::round)
    }

    async fn step(&self, key: &FleetKey, it: &Step) -> Result<Stepped, StoreError> {
        self.apply(key, it, FleetSums::step)
    }

    async fn ping(&self, _namespace: &str) -> Result<(), StoreError> {
        Ok(())
    }

    async fn announcements(&self, namespace: &str) -> Result<Self::Announcements, StoreError> {
        let (sender, receiver) = mpsc::channel(WAITING);
        self.fleets(|fleets| fleets.listeners.push((key::channel(namespace), sender)));
        Ok(receiver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Stage {
        store: MemoryStore,
        time: Arc<AtomicU64>,
    }

    impl crate::suite::Stage for Stage {
        type Store = MemoryStore;

        fn store(&self) -> &MemoryStore {
            &self.store
        }

        async fn advance(&self, ms: u64) {
            self.time.fetch_add(ms, Ordering::Relaxed);
        }

        async fn clear(&self) {
            self.store.clear();
        }
    }

    #[tokio::test]
    async fn the_memory_store_passes_the_suite() {
        let time = Arc::new(AtomicU64::new(1_790_000_000_000));
        let clock = Arc::clone(&time);
        let store = MemoryStore::with_clock(move || clock.load(Ordering::Relaxed));
        crate::suite::check(&Stage { store, time }).await;
    }

    #[tokio::test]
    async fn a_listener_that_does_not_read_holds_up_nobody() {
        let store = MemoryStore::with_clock(|| 1);
        let unread = store.announcements("suite").await.unwrap();
        let it = Announcement {
            key: String::new(),
            view: crate::message::FleetView::default(),
        };
        let channel = key::channel("suite");
        for _ in 0..2 * WAITING {
            store.fleets(|fleets| fleets.announce(&channel, &it));
        }
        drop(unread);
        store.fleets(|fleets| fleets.announce(&channel, &it));
        assert!(store.fleets(|fleets| fleets.listeners.is_empty()));
    }
}
