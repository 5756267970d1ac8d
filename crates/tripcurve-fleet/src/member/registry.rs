//! The busiest breakers of a registry.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use tripcurve::CircuitBreaker;
use tripcurve::registry::Registry;

use super::error::{JoinError, text};
use super::guarded::{Panicked, shielded};
use super::handle::Fleet;
use super::status::Notice;
use super::task::Shared;

/// How often the member looks for the busiest breakers.
const EVERY: Duration = Duration::from_secs(30);

impl Fleet {
    /// Lets the busiest breakers of a registry join, from now on.
    ///
    /// The member looks at once and then every 30 s. It takes those with the most calls in their
    /// windows, at most as many as [`busiest`](crate::FleetBuilder::busiest) says. Breakers without
    /// calls don't join, and breakers that are no longer among the busiest leave. Each look takes a
    /// snapshot of all breakers, on a thread for blocking work.
    ///
    /// Name the breakers with [`name_with`](tripcurve::registry::RegistryBuilder::name_with): of
    /// several breakers of one name, one joins. A [notice](Notice::NotJoined) names those that
    /// can't join. If a function of the registry panics, such as the one that names breakers, those
    /// that have joined stay. A [notice](Notice::RegistryPanicked) says so, and the member looks again
    /// after 30 s.
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::registry::Registry;
    /// use tripcurve_fleet::Fleet;
    /// use tripcurve_fleet::memory::MemoryStore;
    ///
    /// # let executor = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    /// # executor.block_on(async {
    /// let tenants = Registry::<u32>::builder(CircuitBreaker::builder("search"))
    ///     .name_with(|tenant| format!("search {tenant}"))
    ///     .build()?;
    /// let fleet = Fleet::builder("shop").store(MemoryStore::new()).spawn()?;
    /// fleet.join_all(&tenants);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join_all<K, C>(&self, registry: &Registry<K, C>)
    where
        K: Hash + Eq + Clone + Send + Sync + 'static,
        C: Clone + Send + Sync + 'static,
    {
        let (shared, registry) = (Arc::downgrade(self.shared()), registry.clone());
        let most = self.busiest;
        self.runtime.spawn(async move {
            let mut followed = Followed::default();
            loop {
                let looked = registry.clone();
                let look = move || shielded(|| busiest(&looked, most));
                let busiest = tokio::task::spawn_blocking(look).await;
                let (Ok(busiest), Some(shared)) = (busiest, shared.upgrade()) else {
                    return;
                };
                match busiest.and_then(|them| shielded(|| followed.follow(&shared, them))) {
                    Ok(()) => {}
                    Err(Panicked(message)) => shared.notify(Notice::RegistryPanicked {
                        reason: message.into(),
                    }),
                }
                drop(shared);
                tokio::time::sleep(EVERY).await;
            }
        });
    }
}

/// The breakers with the most calls in their windows, the busiest first.
fn busiest<K, C>(registry: &Registry<K, C>, most: usize) -> Vec<CircuitBreaker<C>>
where
    K: Hash + Eq + Clone,
    C: Clone,
{
    let mut found: Vec<(u64, K)> = Vec::new();
    let keep = |found: &mut Vec<(u64, K)>| {
        found.sort_by_key(|it| std::cmp::Reverse(it.0));
        found.truncate(most);
    };
    registry.for_each(|key, snapshot| {
        if snapshot.calls() > 0 {
            found.push((snapshot.calls(), key.clone()));
        }
        // However many there are, few are kept.
        if found.len() >= 2 * most {
            keep(&mut found);
        }
    });
    keep(&mut found);
    let keys = found.into_iter();
    keys.filter_map(|(_, key)| registry.get(&key)).collect()
}

/// The breakers of a registry that have joined.
#[derive(Default)]
struct Followed {
    joined: BTreeSet<String>,
    /// Those whose failure to join was told.
    told: BTreeSet<String>,
}

impl Followed {
    fn follow<C>(&mut self, shared: &Shared, busiest: Vec<CircuitBreaker<C>>) {
        let mut names: BTreeMap<_, _> = busiest
            .into_iter()
            .rev()
            .map(|it| (it.name().to_owned(), it))
            .collect();
        self.joined.retain(|name| {
            let stays = names.remove(name).is_some();
            if !stays {
                shared.leave(name);
            }
            stays
        });
        for (name, breaker) in names {
            match shared.join(&breaker) {
                Ok(_joining) => {
                    self.joined.insert(name);
                }
                Err(error) => self.tell(shared, name, &error),
            }
        }
    }

    fn tell(&mut self, shared: &Shared, name: String, error: &JoinError) {
        if self.told.insert(name.clone()) {
            shared.notify(Notice::NotJoined {
                breaker: name.into(),
                reason: text(error).into(),
            });
        }
    }
}
