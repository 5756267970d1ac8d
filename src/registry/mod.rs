//! Breakers by key, made on first use.

mod builder;
mod capacity;
mod reconfigure;
pub(crate) mod templates;
pub(crate) mod eviction;
pub(crate) mod control_group;
mod map_guard;
pub(crate) mod roster;
mod readiness;

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::{borrow::Borrow, fmt, hash::Hash, ops::ControlFlow, sync::Arc};

use crossbeam_queue::SegQueue;
use papaya::{Guard, HashMap};

use crate::registry::control_group::{Command, Member};
use crate::{
    breaker::CircuitBreaker, builder::CircuitBreakerBuilder, engine::OpenShare, name::Name,
    outcome::DefaultClassifier, registry::map_guard::guarded, snapshot::Snapshot,
};

pub use builder::RegistryBuilder;
use capacity::Capacity;
pub use control_group::ControlGroup;
pub(crate) use eviction::{AtKey, Counted, RegistryEntry, find_or_make};
pub use readiness::{BreakerTrouble, Health, HealthRule, HealthStatus};
pub use roster::{EnlistedRegistry, Roster};
use roster::{ListedRegistry, Look};
pub(crate) use templates::Templates;

/// Breakers by key, such as an endpoint or a tenant.
///
/// Each breaker is made from a template on its first use. Then all callers of the key share it.
/// Clones are handles to one registry. A lookup takes no lock and waits for no thread.
///
/// ```
/// use tripcurve::CircuitBreaker;
/// use tripcurve::registry::Registry;
///
/// let template = CircuitBreaker::builder("recommendations").shards(1);
/// let tenants = Registry::<String>::builder(template).capacity(10_000).build()?;
///
/// let books = tenants.get_or_create("tenant-7").call(|| Ok::<_, String>(["Emma", "Dune"]));
/// assert_eq!(books, Ok(["Emma", "Dune"]));
/// assert_eq!(tenants.len(), 1);
/// # Ok::<(), tripcurve::error::ConfigError>(())
/// ```
///
/// # Capacity
/// Users often choose the keys, and could make a registry grow without end. With a
/// [`capacity`](RegistryBuilder::capacity), a first use beyond it evicts breakers. A breaker stays
/// while a caller has a handle to it, and so while calls are in flight. The others go in this
/// order:
///
/// | rank | a breaker that is | goes beyond |
/// |---|---|---|
/// | 1 | closed, and its window holds nothing that counts against the dependency | the capacity |
/// | 1 | open or half-open, not used, and [idle](RegistryBuilder::idle_after) for 10 minutes | the capacity |
/// | 2 | closed, not used, and its window holds a failed, slow or overdue call | the capacity, and a sixteenth and 16 more |
/// | 3 | such a breaker that is used | twice the capacity, and a sixteenth and 16 more |
/// | 4 | open or half-open | as 3 |
/// | 5 | under a command, or reconfigured by its handle | as 3 |
///
/// A breaker is *used* if a lookup has found its key since the last eviction looked at it. If
/// policies look at percentiles, any call in the window has rank 2. Settings that a breaker got
/// with the registry don't give it rank 5.
///
/// The last limit bounds the memory. There are never more breakers than that, apart from those to
/// which a caller has a handle. Up to there a flood of made-up keys evicts no breaker that is open.
/// Beyond it unused breakers of a rank go before used ones. [`over_capacity`](Self::over_capacity)
/// tells how many there are beyond the capacity.
///
/// A caller that asks for an evicted key gets a new, closed breaker. The eviction loses its counts,
/// and what an [adaptive](crate::TripPolicy::adaptive) or
/// [relative](crate::TripPolicy::slower_than_usual) policy has learnt. Beyond twice the capacity it
/// also loses the fact that the breaker was open. Callers of a key still share one breaker, because
/// a breaker with a handle is never evicted.
///
/// Each first use beyond the capacity looks at 16 breakers: those that had no look for longest.
/// Used breakers of rank 1 among the first eight get a second chance. A breaker that stays is
/// unused after the look, until the next lookup. So in a flood of keys a breaker with failures
/// stays if it is looked up once while a sixteenth of the capacity is made.
///
/// Callers that make up keys may be able to make their calls fail ("no such tenant"). Let such
/// calls [count](CircuitBreakerBuilder::classify) as ignored or as successes, or
/// [remove](Self::remove) the key. [`retain`](Self::retain) removes by a rule of your own.
///
/// # Cost
/// A lookup hashes the key, reads the map, and counts the handle that it returns, on a counter of
/// that breaker alone. The hasher is the standard library's, whose collisions can't be foreseen.
/// The first lookup after an eviction has looked at the breaker also notes that the breaker is in
/// use. For a key that many threads use all the time, keep a handle in each.
///
/// A first use allocates the breaker and its entry. If several threads use a key for the first time
/// at once, each may make a breaker. The registry keeps one of them, and all threads get it. The
/// threads that make breakers let the map grow in steps. While one of them allocates the larger
/// table, others may wait.
///
/// A breaker takes 1,424 bytes if it is [compact](CircuitBreakerBuilder::shards) with ten buckets.
/// With the [classic](crate::TripPolicy::classic) policies it takes 640. Its entry takes about 60
/// more, with keys of up to eight bytes, and 24 if there is a capacity. With a
/// [listener](CircuitBreakerBuilder::on_transition) each breaker has a log of 3.7 kB.
///
/// # While a thread ends
/// A registry also works in the destructor of a thread-local. But the thread can't write to the map
/// any more. A key without a breaker then gets one that isn't kept, and later callers get another.
///
/// # Panics
/// The registry itself never panics. The key's `Hash`, `Eq` and `Clone`, the classifier's `Clone`
/// and the closures may.
pub struct Registry<K, C = DefaultClassifier>(Arc<Breakers<K, C>>);

struct Breakers<K, C> {
    places: HashMap<K, RegistryEntry<CircuitBreaker<C>>>,
    /// All settings in it were accepted.
    templates: Templates<CircuitBreakerBuilder<C>>,
    name: Option<Naming<K>>,
    capacity: Option<Capacity<K>>,
    /// How long an unused breaker is kept after its open time, in nanoseconds.
    idle_after: u64,
    /// Keys that ending threads have removed: the breakers are retired, but still in the map.
    left: SegQueue<(K, u64)>,
    group: Option<ControlGroup>,
    /// The limit on how many breakers are open at once: the registry's own, or its group's.
    share: Option<Arc<OpenShare>>,
}

type Naming<K> = Box<dyn Fn(&K) -> Name + Send + Sync>;

impl<C: Clone> Counted for CircuitBreaker<C> {
    #[inline]
    fn count(&self) -> usize {
        Arc::strong_count(self.shared())
    }

    fn on_retired(&self) {
        self.shared().core.leave_share();
    }
}

impl<K, C> Registry<K, C> {
    /// Starts a registry whose breakers have these settings.
    ///
    /// All breakers have the template's name, unless [`name_with`](RegistryBuilder::name_with)
    /// names each.
    pub fn builder(template: CircuitBreakerBuilder<C>) -> RegistryBuilder<K, C> {
        RegistryBuilder::new(template)
    }
}

impl<K, C> Registry<K, C>
where
    K: Hash + Eq + Clone,
    C: Clone,
{
    /// The number of breakers. While others come and go, it was right at some moment.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.places.len()
    }

    /// Whether the registry has no breakers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the breaker of `key`, and makes it if there is none.
    ///
    /// The caller gets a handle like any other. While it is held, the registry doesn't evict the
    /// breaker. So concurrent callers of a key always share one breaker, unless a call of
    /// [`remove`](Self::remove) takes it out.
    ///
    /// ```
    /// use tripcurve::registry::Registry;
    /// use tripcurve::{CircuitBreaker, State};
    ///
    /// let endpoints = Registry::<String>::builder(CircuitBreaker::builder("shop")).build()?;
    /// endpoints.get_or_create("/cart").force_open();
    /// assert_eq!(endpoints.get_or_create("/cart").state(), State::ForcedOpen);
    /// assert_eq!(endpoints.get_or_create("/search").state(), State::Closed);
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    #[inline]
    pub fn get_or_create<Q>(&self, key: &Q) -> CircuitBreaker<C>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        guarded!(&self.0.places, |guard, can_write| {
            let found = self.0.find(key, &guard);
            found.unwrap_or_else(|| {
                if can_write {
                    self.0.find_or_make(key.to_owned(), &guard)
                } else {
                    self.0.make_for_nobody_else(&key.to_owned())
                }
            })
        })
    }

    /// Returns the breaker of `key`, if there is one.
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<CircuitBreaker<C>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        guarded!(&self.0.places, |guard| self.0.find(key, &guard))
    }

    /// Removes the breaker of `key`, whatever its window holds, and returns it.
    ///
    /// A caller with a handle keeps it. The next caller of the key gets a new breaker.
    pub fn remove<Q>(&self, key: &Q) -> Option<CircuitBreaker<C>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        guarded!(&self.0.places, |guard, can_write| {
            if can_write {
                self.0.tidy(&guard);
                let place = self.0.places.remove(key, &guard)?;
                let breaker = place.take(|it, number| self.0.on_first_use(it, number))?;
                breaker.on_retired();
                Some(breaker)
            } else {
                let (key, place) = self.0.places.get_key_value(key, &guard)?;
                self.0.leave(key, place)
            }
        })
    }

    /// Keeps the breakers for which `keep` returns `true`, and [removes](Self::remove) the others,
    /// whatever their windows hold.
    ///
    /// The look doesn't count as a use. A caller with a handle keeps it. A caller that asks later
    /// for a removed key gets a new, closed breaker. `keep` sees some of the breakers that come or
    /// go meanwhile. The method needs no capacity.
    ///
    /// ```
    /// use tripcurve::registry::Registry;
    /// use tripcurve::{CircuitBreaker, State};
    ///
    /// let hosts = Registry::<String>::builder(CircuitBreaker::builder("host")).build()?;
    /// hosts.get_or_create("10.0.0.7");
    /// hosts.get_or_create("10.0.0.8").force_open();
    /// hosts.retain(|host, breaker| host != "10.0.0.7" || breaker.state() != State::Closed);
    /// assert!(hosts.get("10.0.0.7").is_none());
    /// assert!(hosts.get("10.0.0.8").is_some());
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn retain(&self, mut keep: impl FnMut(&K, &CircuitBreaker<C>) -> bool) {
        let places = &self.0.places;
        guarded!(
            places,
            |guard, can_write| for (key, place) in places.iter(&guard) {
                // An eviction may have retired it since the iteration found it.
                let taken = place.take_unnoted(|it, number| self.0.on_first_use(it, number));
                if let Some(breaker) = taken.filter(|breaker| !keep(key, breaker)) {
                    if can_write {
                        breaker.on_retired();
                        self.0.take_away(key, place.number(), &guard);
                    } else {
                        self.0.leave(key, place);
                    }
                }
            }
        );
    }

    /// How many breakers there are beyond the [`capacity`](RegistryBuilder::capacity), because they
    /// have something to lose; 0 without one.
    #[must_use]
    pub fn over_capacity(&self) -> usize {
        let capacity = self.0.capacity.as_ref();
        capacity.map_or(0, |capacity| capacity.over(self.len()))
    }

    /// Shows `look` a snapshot of each breaker, in no particular order.
    ///
    /// It shows each breaker that is there all the time once, and some of those that come or go
    /// meanwhile. It stops no thread, and doesn't count as a use. While the map grows it waits for
    /// the threads that copy the map, and helps them. What is dropped meanwhile is freed
    /// afterwards. It fills one snapshot again and again, so it doesn't allocate for each breaker.
    ///
    /// ```
    /// use tripcurve::registry::Registry;
    /// use tripcurve::{CircuitBreaker, State};
    ///
    /// let tenants = Registry::<u32>::builder(CircuitBreaker::builder("search")).build()?;
    /// tenants.get_or_create(&7).force_open();
    /// tenants.get_or_create(&8);
    /// let mut shut = Vec::new();
    /// tenants.for_each(|tenant, snapshot| {
    ///     if snapshot.state() == State::ForcedOpen {
    ///         shut.push(*tenant);
    ///     }
    /// });
    /// assert_eq!(shut, [7]);
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn for_each(&self, mut look: impl FnMut(&K, &Snapshot)) {
        let mut snapshot = None;
        let places = &self.0.places;
        guarded!(places, |guard| for (key, place) in places.iter(&guard) {
            if place.is_retired() {
                continue;
            }
            let breaker = place.peek();
            let snapshot = snapshot.get_or_insert_with(|| breaker.snapshot());
            breaker.snapshot_into(snapshot);
            look(key, snapshot);
        });
    }

    /// Returns a snapshot of each breaker with its key, in no particular order; see
    /// [`for_each`](Self::for_each).
    #[must_use]
    pub fn snapshots(&self) -> Vec<(K, Snapshot)> {
        let mut all = Vec::with_capacity(self.len());
        self.for_each(|key, snapshot| all.push((key.clone(), snapshot.clone())));
        all
    }
}

/// The map at one key, with a guard that keeps alive what was read.
struct EntryAtKey<'a, K, C, G> {
    places: &'a HashMap<K, RegistryEntry<CircuitBreaker<C>>>,
    key: &'a K,
    guard: &'a G,
}

impl<K, C, G> AtKey<CircuitBreaker<C>> for EntryAtKey<'_, K, C, G>
where
    K: Hash + Eq + Clone,
    G: Guard,
{
    fn get(&self) -> Option<&RegistryEntry<CircuitBreaker<C>>> {
        self.places.get(self.key, self.guard)
    }

    fn put(&self, place: RegistryEntry<CircuitBreaker<C>>) -> &RegistryEntry<CircuitBreaker<C>> {
        self.places
            .get_or_insert(self.key.clone(), place, self.guard)
    }

    fn take_away(&self, number: u64) {
        let is_it = |_: &K, place: &RegistryEntry<CircuitBreaker<C>>| place.number() == number;
        // An error means that the key already has another breaker.
        let _other = self.places.remove_if(self.key, is_it, self.guard);
    }
}

impl<K, C> Breakers<K, C>
where
    K: Hash + Eq + Clone,
    C: Clone,
{
    #[inline]
    fn find<Q>(&self, key: &Q, guard: &impl Guard) -> Option<CircuitBreaker<C>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let place = self.places.get(key, guard)?;
        place.take(|it, number| self.on_first_use(it, number))
    }

    #[cold]
    #[inline(never)]
    fn find_or_make(&self, key: K, guard: &impl Guard) -> CircuitBreaker<C> {
        self.tidy(guard);
        let at = EntryAtKey {
            places: &self.places,
            key: &key,
            guard,
        };
        let (handle, made) = find_or_make(
            &at,
            || self.make(&key),
            |it, number| self.on_first_use(it, number),
        );
        if let (Some(capacity), Some(number)) = (&self.capacity, made) {
            let rank_of = |breaker: &CircuitBreaker<C>, was_used| {
                let shared = breaker.shared();
                let core = &shared.core;
                core.eviction_rank(was_used, self.idle_after, &**shared)
            };
            capacity.enter((key, number), &self.places, guard, rank_of);
        }
        handle
    }

    /// Makes a breaker for this caller alone, in a thread that is ending and can't write to the
    /// map.
    #[cold]
    #[inline(never)]
    fn make_for_nobody_else(&self, key: &K) -> CircuitBreaker<C> {
        let place = self.make(key);
        let taken = place.take(|it, number| self.on_first_use(it, number));
        taken.unwrap_or_else(|| unreachable!("nobody can have retired it"))
    }

    /// Removes a breaker in a thread that is ending. Other threads change the map later.
    #[cold]
    #[inline(never)]
    fn leave(
        &self,
        key: &K,
        place: &RegistryEntry<CircuitBreaker<C>>,
    ) -> Option<CircuitBreaker<C>> {
        let breaker = place.retire_by_hand(|it, number| self.on_first_use(it, number))?;
        self.left.push((key.clone(), place.number()));
        Some(breaker)
    }

    /// Removes breakers from the map that ending threads have retired.
    fn tidy(&self, guard: &impl Guard) {
        while let Some((key, number)) = self.left.pop() {
            self.take_away(&key, number, guard);
        }
    }

    fn take_away(&self, key: &K, number: u64, guard: &impl Guard) {
        // An error means that the key already has another breaker.
        let _other = self
            .places
            .remove_if(key, |_, it| it.number() == number, guard);
    }

    fn make(&self, key: &K) -> RegistryEntry<CircuitBreaker<C>> {
        self.templates.make(|template, number| {
            let name = self.name.as_ref().map(|name| name(key));
            let breaker = template.clone().one_of_many(name, number);
            let breaker = breaker.build_with_any_name();
            let breaker = breaker.unwrap_or_else(|error| {
                unreachable!("the same settings were accepted before: {error}")
            });
            RegistryEntry::new(breaker, number)
        })
    }

    /// Brings a new breaker into line before a caller has a handle, or at the same time.
    fn on_first_use(&self, breaker: &CircuitBreaker<C>, #[allow(unused)] number: u64) {
        self.templates.follow(number, |template| {
            reconfigure::bring_into_line(breaker, number, template);
        });
        if let Some(share) = &self.share {
            breaker.shared().core.join_share(share);
        }
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
        let places = &self.places;
        guarded!(places, |guard| for place in places.values(&guard) {
            command.align(&**place.peek().shared());
        });
    }
}

impl<K, C> ListedRegistry for Breakers<K, C>
where
    K: Hash + Eq + Clone + Send + Sync,
    C: Clone + Send + Sync,
{
    fn name(&self) -> String {
        self.templates.with(|template| template.name().to_owned())
    }

    fn len(&self) -> usize {
        self.places.len()
    }

    fn visit(&self, look: &mut Look<'_>) -> ControlFlow<()> {
        let places = &self.places;
        guarded!(places, |guard| for place in places.values(&guard) {
            let taken = place.take_unnoted(|it, number| self.on_first_use(it, number));
            if let Some(breaker) = taken {
                look(&breaker.with_classifier(DefaultClassifier))?;
            }
        });
        ControlFlow::Continue(())
    }
}

/// Clones the handle. Both share one registry.
impl<K, C> Clone for Registry<K, C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// A panic leaves the registry consistent. A naming that panics makes no breaker. A key whose
/// `Hash` or `Eq` panics isn't found.
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
