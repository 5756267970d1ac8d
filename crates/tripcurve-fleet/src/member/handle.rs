//! The handle of a member.

use std::fmt;
use std::sync::Arc;

use tokio::runtime::Handle;
use tripcurve::CircuitBreaker;

use super::builder::FleetBuilder;
use super::error::JoinError;
use super::joining::Joining;
use super::status::FleetStatus;
use super::task::Shared;

/// A process's membership in the fleets of its breakers.
///
/// Clones are handles of one member. Its task ends when the last of them is dropped. Then each
/// breaker decides for itself. A process needs one member, whatever the number of its breakers.
///
/// Joining changes nothing on the path of a call that succeeds. A call that fails notes its failure,
/// in some 40 instructions, and may wake the task. No call waits for the store or for the task.
///
/// ```
/// use tripcurve::CircuitBreaker;
/// use tripcurve_fleet::memory::MemoryStore;
/// use tripcurve_fleet::{Fleet, StoreStatus};
///
/// # let executor = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// # executor.block_on(async {
/// let payments = CircuitBreaker::builder("payments").build()?;
/// let fleet = Fleet::builder("shop").store(MemoryStore::new()).spawn()?;
/// // Whoever awaits this knows before the first call whether the fleet is open.
/// fleet.join(&payments)?.await;
///
/// let status = fleet.status();
/// assert_eq!(status.store, StoreStatus::Connected);
/// assert_eq!(status.breakers[0].members, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Fleet {
    own: Arc<Own>,
    #[cfg_attr(not(feature = "registry"), expect(dead_code))]
    pub(super) runtime: Handle,
    #[cfg_attr(not(feature = "registry"), expect(dead_code))]
    pub(super) busiest: usize,
}

/// Ends the task when the last handle is dropped.
struct Own {
    shared: Arc<Shared>,
}

impl Drop for Own {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet").finish_non_exhaustive()
    }
}

impl Fleet {
    /// Begins to configure a member.
    ///
    /// `namespace` is a name that all members share, for example that of the application. It must
    /// not be empty.
    pub fn builder(namespace: impl Into<String>) -> FleetBuilder {
        FleetBuilder::new(namespace.into())
    }

    pub(super) fn new(shared: Arc<Shared>, runtime: Handle, busiest: usize) -> Self {
        let own = Arc::new(Own { shared });
        Self {
            own,
            runtime,
            busiest,
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.own.shared
    }

    /// Lets a breaker join its fleet: all processes that use this store and have joined a breaker of
    /// this name, with the same namespace, zone, tolerated failure rate, limit of slow calls and
    /// classifier word.
    ///
    /// A breaker that gets another tolerated rate or another limit moves to the fleet that has
    /// them, within a second.
    ///
    /// Await the returned future to know the fleet's state before the first call. The member keeps
    /// the breaker until it [leaves](Self::leave).
    ///
    /// # Errors
    /// The breaker has no adaptive policy, or one of its name has joined already.
    ///
    /// # Panics
    /// Never.
    ///
    /// # Cost
    /// A listener of the breaker's transitions; see [`CircuitBreaker::on_transition`].
    pub fn join<C>(&self, breaker: &CircuitBreaker<C>) -> Result<Joining, JoinError> {
        self.shared().join(breaker)
    }

    /// Lets a breaker leave its fleet. Returns whether one of its name had joined.
    ///
    /// The breaker decides for itself from now on. The fleet no longer expects its calls.
    pub fn leave<C>(&self, breaker: &CircuitBreaker<C>) -> bool {
        self.shared().leave(breaker.name())
    }

    /// What the member knows at this moment. Waits for the task's current step, but never for the
    /// store.
    #[must_use]
    pub fn status(&self) -> FleetStatus {
        self.shared().status()
    }
}
