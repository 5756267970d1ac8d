//! Breakers by key, made on first use.

mod builder;
mod capacity;
#[cfg(feature = "reconfigure")]
mod reconfigure;
mod templates;
mod tenure;

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use papaya::{Guard, HashMap};

use crate::breaker::CircuitBreaker;
use crate::builder::Builder;
use crate::control::{Command, ControlGroup, Member};
use crate::name::Name;
use crate::outcome::ErrIsFailure;
use crate::snapshot::Snapshot;

pub use builder::RegistryBuilder;
use capacity::Capacity;
pub use templates::Templates;
pub use tenure::{AtKey, Counted, Fate, Place, find_or_make};

/// Breakers by key, an endpoint or a tenant: each made on its first use from a template, and then
/// shared by all who ask for it.
///
/// Clones are the same registry. A lookup takes no lock and waits for nobody.
///
/// ```
/// use tripcurve::{CircuitBreaker, Registry};
///
/// let template = CircuitBreaker::builder("recommendations").shards(1);
/// let tenants = Registry::<String>::builder(template).capacity(10_000).build()?;
///
/// let books = tenants.of("tenant-7").call(|| Ok::<_, String>(["Emma", "Dune"]));
/// assert_eq!(books, Ok(["Emma", "Dune"]));
/// assert_eq!(tenants.len(), 1);
/// # Ok::<(), tripcurve::ConfigError>(())
/// ```
///
/// # Capacity
/// Whoever can choose keys, as users often can, could make a registry grow without end. With a
/// [`capacity`](RegistryBuilder::capacity), breakers that nobody needs are dropped when others are made.
/// A breaker is *needed*, and never dropped,
/// - while it is anything but closed: open, half-open or under a command;
/// - while anything that its policies look at speaks against its dependency: a failed, slow or overdue
///   call in its window, a run of failures, evidence, or, if they look at percentiles, any call in its window;
/// - while it has settings of its own, because it was reconfigured (feature `reconfigure`) by its handle: until its registry
///   is, which gives all breakers the same;
/// - while somebody has a handle to it, and so while calls are in flight.
///
/// If all are needed, the registry grows beyond its capacity, as [`over_capacity`](Self::over_capacity)
/// tells. If breakers were dropped that count, a flood of made-up keys would keep a breaker from ever
/// tripping. What is lost with a breaker is how many calls went well, and what an
/// [adaptive](crate::TripPolicy::adaptive) or [relative](crate::TripPolicy::slower_than_usual) policy has learnt.
///
/// Of those that nobody needs, about the least recently used go first. Each first use beyond the capacity
/// looks at the breakers that none has looked at for longest, at 16 of them at most, until there are no more than the
/// capacity. Of the first eight it drops those that were not looked up since; of the others all that
/// aren't needed.
///
/// Some breakers stay needed until they are called again, because only calls end what they are in: an open one,
/// a run of failures under a [policy](crate::TripPolicy::consecutive_failures) that counts it, evidence, a failure in a
/// window by [count](crate::Window::count) without a [time](crate::CountWindow::within). So if those who make up
/// keys can make their calls fail as well ("no such tenant"), let such calls
/// [count](Builder::classify) as ignored or as successes, or [remove](Self::remove) the key.
///
/// # Cost
/// A lookup hashes the key, with the standard library's hasher, whose collisions nobody foresees; reads the map;
/// and counts the handle that it returns, on a counter of that breaker alone. Besides, it notes that the
/// breaker is in use, but only once after an eviction has looked at it. For a key that many threads use
/// all the time, keep a handle in each.
///
/// A first use allocates the breaker and its place. If several threads use a key for the first time
/// at once, each may make a breaker; one of them is kept, and all get it. The map grows in steps, by those who make
/// breakers; while one of them allocates the larger table, others may wait.
///
/// Memory: the breaker's, 512 bytes if it is [compact](Builder::shards) with ten buckets; about 60 more
/// for its place, with keys of up to eight bytes, and 24 if there is a capacity. With a
/// [listener](Builder::on_transition) each breaker has a log of 3.7 kB.
///
/// # Panics
/// Nothing here panics, but what the key's `Hash`, `Eq` and `Clone`, the classifier's `Clone` and the closures do is
/// up to them.
pub struct Registry<K, C = ErrIsFailure>(Arc<Breakers<K, C>>);

struct Breakers<K, C> {
    places: HashMap<K, Place<CircuitBreaker<C>>>,
    /// Their settings were accepted.
    templates: Templates<Builder<C>>,
    name: Option<Naming<K>>,
    capacity: Option<Capacity<K>>,
    group: Option<ControlGroup>,
}

type Naming<K> = Box<dyn Fn(&K) -> Name + Send + Sync>;

impl<C: Clone> Counted for CircuitBreaker<C> {
    #[inline]
    fn count(&self) -> usize {
        Arc::strong_count(self.shared())
    }
}

impl<K, C> Registry<K, C> {
    /// Starts a registry whose breakers have these settings.
    ///
    /// The name is the same for all, unless [`name_with`](RegistryBuilder::name_with) says otherwise.
    pub fn builder(template: Builder<C>) -> RegistryBuilder<K, C> {
        RegistryBuilder::new(template)
    }
}

impl<K, C> Registry<K, C>
where
    K: Hash + Eq + Clone,
    C: Clone,
{
    /// How many breakers there are. While others come and go, a number that was right at some time.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.places.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The breaker of `key`, which is made if there is none.
    ///
    /// Who asks gets a handle like any other; while it is held, the registry doesn't drop the breaker.
    /// So of all who ask at any time none gets another breaker than the others, unless somebody
    /// [removes](Self::remove) it.
    ///
    /// ```
    /// use tripcurve::{CircuitBreaker, Registry, State};
    ///
    /// let endpoints = Registry::<String>::builder(CircuitBreaker::builder("shop")).build()?;
    /// endpoints.of("/cart").force_open();
    /// assert_eq!(endpoints.of("/cart").state(), State::ForcedOpen);
    /// assert_eq!(endpoints.of("/search").state(), State::Closed);
    /// # Ok::<(), tripcurve::ConfigError>(())
    /// ```
    #[inline]
    pub fn of<Q>(&self, key: &Q) -> CircuitBreaker<C>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let guard = self.0.places.guard();
        let place = self.0.places.get(key, &guard);
        if let Some(handle) =
            place.and_then(|place| place.take(|it, number| self.0.welcome(it, number)))
        {
            return handle;
        }
        self.0.find_or_make(key.to_owned(), &guard)
    }

    /// The breaker of `key`, if there is one.
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<CircuitBreaker<C>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let guard = self.0.places.guard();
        let place = self.0.places.get(key, &guard)?;
        place.take(|it, number| self.0.welcome(it, number))
    }

    /// Takes the breaker of `key` out of the registry, whatever it counts, and returns it. Who has a handle
    /// keeps it; who asks next gets a new breaker.
    pub fn remove<Q>(&self, key: &Q) -> Option<CircuitBreaker<C>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let guard = self.0.places.guard();
        let place = self.0.places.remove(key, &guard)?;
        place.take(|it, number| self.0.welcome(it, number))
    }

    /// By how many the breakers exceed the [`capacity`](RegistryBuilder::capacity), because they are
    /// needed; 0 without one.
    #[must_use]
    pub fn over_capacity(&self) -> usize {
        let capacity = self.0.capacity.as_ref();
        capacity.map_or(0, |capacity| capacity.over(self.len()))
    }

    /// Shows `look` a snapshot of each breaker, in no particular order.
    ///
    /// Each breaker that is there all the time is seen once; of those that come or go meanwhile some
    /// are. It stops nobody, and counts as no use. While the map grows it waits for those who copy it, and
    /// helps. What is dropped meanwhile is freed afterwards. One snapshot is filled again and again, so
    /// nothing is allocated for each.
    ///
    /// ```
    /// use tripcurve::{CircuitBreaker, Registry, State};
    ///
    /// let tenants = Registry::<u32>::builder(CircuitBreaker::builder("search")).build()?;
    /// tenants.of(&7).force_open();
    /// tenants.of(&8);
    /// let mut shut = Vec::new();
    /// tenants.for_each(|tenant, snapshot| {
    ///     if snapshot.state() == State::ForcedOpen {
    ///         shut.push(*tenant);
    ///     }
    /// });
    /// assert_eq!(shut, [7]);
    /// # Ok::<(), tripcurve::ConfigError>(())
    /// ```
    pub fn for_each(&self, mut look: impl FnMut(&K, &Snapshot)) {
        let mut snapshot = None;
        for (key, place) in &self.0.places.pin() {
            let breaker = place.peek();
            let snapshot = snapshot.get_or_insert_with(|| breaker.snapshot());
            breaker.snapshot_into(snapshot);
            look(key, snapshot);
        }
    }

    /// A snapshot of each breaker with its key, in no particular order; see [`for_each`](Self::for_each).
    #[must_use]
    pub fn snapshots(&self) -> Vec<(K, Snapshot)> {
        let mut all = Vec::with_capacity(self.len());
        self.for_each(|key, snapshot| all.push((key.clone(), snapshot.clone())));
        all
    }
}

/// The map at one key, with a guard that keeps what was read.
struct At<'a, K, C, G> {
    places: &'a HashMap<K, Place<CircuitBreaker<C>>>,
    key: &'a K,
    guard: &'a G,
}

impl<K, C, G> AtKey<CircuitBreaker<C>> for At<'_, K, C, G>
where
    K: Hash + Eq + Clone,
    G: Guard,
{
    fn get(&self) -> Option<&Place<CircuitBreaker<C>>> {
        self.places.get(self.key, self.guard)
    }

    fn put(&self, place: Place<CircuitBreaker<C>>) -> &Place<CircuitBreaker<C>> {
        self.places
            .get_or_insert(self.key.clone(), place, self.guard)
    }

    fn take_away(&self, number: u64) {
        let is_it = |_: &K, place: &Place<CircuitBreaker<C>>| place.number() == number;
        // An error says that another breaker has taken the place already.
        let _other = self.places.remove_if(self.key, is_it, self.guard);
    }
}

impl<K, C> Breakers<K, C>
where
    K: Hash + Eq + Clone,
    C: Clone,
{
    #[cold]
    #[inline(never)]
    fn find_or_make(&self, key: K, guard: &impl Guard) -> CircuitBreaker<C> {
        let at = At {
            places: &self.places,
            key: &key,
            guard,
        };
        let (handle, made) = find_or_make(
            &at,
            || self.make(&key),
            |it, number| self.welcome(it, number),
        );
        if let (Some(capacity), Some(number)) = (&self.capacity, made) {
            capacity.enter(key, number, &self.places, guard, |breaker| {
                let shared = breaker.shared();
                shared.core.has_nothing_to_lose(&**shared)
            });
        }
        handle
    }

    fn make(&self, key: &K) -> Place<CircuitBreaker<C>> {
        self.templates.make(|template, number| {
            let name = self.name.as_ref().map(|name| name(key));
            let breaker = template.clone().one_of_many(name, number).build();
            let breaker = breaker.unwrap_or_else(|error| {
                unreachable!("the same settings were accepted before: {error}")
            });
            Place::new(breaker, number)
        })
    }

    /// Before anybody has a handle, or at the same time.
    fn welcome(&self, breaker: &CircuitBreaker<C>, #[allow(unused)] number: u64) {
        #[cfg(feature = "reconfigure")]
        self.templates.follow(number, |template| {
            reconfigure::bring_into_line(breaker, number, template);
        });
        if let Some(group) = &self.group {
            group.command().follow(&**breaker.shared());
        }
    }
}

impl<K, C> Member for Breakers<K, C>
where
    K: Hash + Eq + Clone + Send + Sync,
    C: Clone + Send + Sync,
{
    fn align(&self, command: &Command) {
        for place in self.places.pin().values() {
            command.align(&**place.peek().shared());
        }
    }
}

/// The same registry.
impl<K, C> Clone for Registry<K, C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// A naming that panics makes no breaker, and a key whose `Hash` or `Eq` does isn't found.
impl<K, C: UnwindSafe> UnwindSafe for Registry<K, C> {}
impl<K, C: RefUnwindSafe> RefUnwindSafe for Registry<K, C> {}

impl<K: Hash + Eq, C> fmt::Debug for Registry<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.templates.with(|template| {
            f.debug_struct("Registry")
                .field("len", &self.0.places.len())
                .field("template", template)
                .finish_non_exhaustive()
        })
    }
}
