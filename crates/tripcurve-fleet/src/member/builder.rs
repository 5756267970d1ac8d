//! Configures and starts a member.

use std::fmt;

use rand::TryRng;
use rand::rngs::SysRng;
use tokio::runtime::Handle;

use super::error::SpawnError;
use super::handle::Fleet;
use super::machine::{Machine, Names};
use super::status::Notice;
use super::task::{self, Listeners};
use crate::message::Member;
use crate::store::Store;

/// The absence of a store in a [`FleetBuilder`].
#[derive(Clone, Copy, Debug, Default)]
pub struct NoStore;

/// Configures a member; made by [`Fleet::builder`].
///
/// ```
/// use tripcurve_fleet::Fleet;
/// use tripcurve_fleet::memory::MemoryStore;
///
/// # let executor = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// # executor.block_on(async {
/// let fleet = Fleet::builder("shop")
///     .zone("eu-1a")
///     .classifier_word("5xx")
///     .on_notice(|notice| eprintln!("{notice}"))
///     .store(MemoryStore::new())
///     .spawn()?;
/// # Ok::<(), tripcurve_fleet::SpawnError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a builder does nothing until it is spawned"]
pub struct FleetBuilder<S = NoStore> {
    names: Names,
    busiest: usize,
    listeners: Listeners,
    store: S,
}

impl<S> fmt::Debug for FleetBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetBuilder")
            .field("names", &self.names)
            .field("busiest", &self.busiest)
            .finish_non_exhaustive()
    }
}

impl FleetBuilder {
    pub(super) fn new(namespace: String) -> Self {
        let (zone, classifier) = (String::new(), String::new());
        Self {
            names: Names {
                namespace,
                zone,
                classifier,
            },
            busiest: 1_000,
            listeners: Listeners::default(),
            store: NoStore,
        }
    }

    /// Sets the store, which all members share.
    pub fn store<S: Store>(self, store: S) -> FleetBuilder<S> {
        FleetBuilder {
            names: self.names,
            busiest: self.busiest,
            listeners: self.listeners,
            store,
        }
    }
}

impl<S> FleetBuilder<S> {
    /// Sets the zone. The default is none.
    ///
    /// Each zone is a fleet of its own. Use one where members can lose the dependency together: a
    /// rack, a cluster or a region.
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.names.zone = zone.into();
        self
    }

    /// Sets a word that stands for what counts as a failure. The default is an empty one.
    ///
    /// Members with different words are different fleets. Change it when the classifier changes.
    pub fn classifier_word(mut self, word: impl Into<String>) -> Self {
        self.names.classifier = word.into();
        self
    }

    /// Sets how many breakers of a registry join: the busiest ones, in `1..=100_000`. The default is
    /// 1,000.
    pub fn busiest(mut self, breakers: usize) -> Self {
        self.busiest = breakers;
        self
    }

    /// Adds a listener.
    ///
    /// The member's task calls it. So it should return soon. A listener that panics harms nobody
    /// else.
    pub fn on_notice(mut self, listener: impl Fn(&Notice) + Send + Sync + 'static) -> Self {
        self.listeners.add(listener);
        self
    }

    fn check(&self) -> Result<(), SpawnError> {
        let error = |name, value, expected| {
            Err(SpawnError::Setting {
                name,
                value,
                expected,
            })
        };
        if self.names.namespace.is_empty() {
            let expected = "a name that all members share, for example that of the application";
            return error("namespace", "empty".to_owned(), expected);
        }
        if !(1..=100_000).contains(&self.busiest) {
            return error("busiest", self.busiest.to_string(), "1..=100000");
        }
        Ok(())
    }
}

impl<S: Store> FleetBuilder<S> {
    /// Starts the member's task in the runtime of tokio that this thread is in.
    ///
    /// The task asks the store at once. If the store doesn't answer, each breaker decides for itself
    /// until it does.
    ///
    /// # Errors
    /// A setting makes no sense, or there is no runtime.
    ///
    /// # Panics
    /// The runtime has no timers.
    pub fn spawn(self) -> Result<Fleet, SpawnError> {
        self.check()?;
        let runtime = Handle::try_current().map_err(SpawnError::NoRuntime)?;
        let random = || {
            let number = SysRng.try_next_u64();
            number.map_err(|error| SpawnError::NoRandomNumber(Box::new(error)))
        };
        let machine = Machine::new(self.names, Member(random()?), random()?);
        let shared = task::spawn(&runtime, machine, self.store, self.listeners);
        Ok(Fleet::new(shared, runtime, self.busiest))
    }
}
