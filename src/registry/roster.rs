//! A roster: all breakers of a program that are to be seen in one place.

use std::fmt;
use std::ops::ControlFlow;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, Weak};

use crossbeam_queue::SegQueue;
use papaya::{Guard, HashMap};

use crate::breaker::CircuitBreaker;
use crate::breaker::shared::SharedBreaker;
use crate::builder::{CircuitBreakerBuilder, Roll};
use crate::error::ConfigError;
use crate::outcome::DefaultClassifier;
use crate::registry::map_guard::guarded;
use crate::sync::{Hint, SelfContained};

/// Lists the breakers of a program, for metrics, a dashboard or a readiness endpoint.
///
/// [`CircuitBreakerBuilder::enlist`] puts each breaker that is built on the list, and
/// [`RegistryBuilder::enlist`](crate::RegistryBuilder::enlist) a registry as a whole. The roster
/// keeps nothing alive: a breaker that was dropped is no longer listed. Clones are handles to one
/// roster.
///
/// The handles that a roster gives have the [default
/// classifier](crate::outcome::DefaultClassifier), whatever the breaker's own. They show the same
/// state and obey the same commands.
///
/// A roster costs calls nothing. It takes about fifty bytes for each living breaker, and as much for
/// each registry, whatever it holds. It frees the notes of dropped breakers, and their memory, when
/// others are enlisted. There are never more notes than twice as many as there were living breakers,
/// or sixteen. No method panics.
///
/// ```
/// use tripcurve::registry::{Registry, Roster};
/// use tripcurve::{CircuitBreaker, State};
///
/// let roster = Roster::new();
/// let payments = CircuitBreaker::builder("payments").enlist(&roster).build()?;
/// let template = CircuitBreaker::builder("tenants");
/// let tenants = Registry::<u32>::builder(template).enlist(&roster).build()?;
/// tenants.get_or_create(&7);
///
/// payments.force_open();
/// let mut open = Vec::new();
/// roster.for_each(|breaker| {
///     if breaker.state() == State::ForcedOpen {
///         open.push(breaker.name().to_owned());
///     }
/// });
/// assert_eq!(open, ["payments"]);
/// assert_eq!(roster.len(), 2);
///
/// drop(payments);
/// assert!(roster.get("payments").is_none());
/// # Ok::<(), tripcurve::error::ConfigError>(())
/// ```
#[derive(Clone, Default)]
pub struct Roster(Arc<List>);

#[derive(Default)]
struct List {
    entries: HashMap<u64, Entry>,
    /// What threads have enlisted while they ended.
    late: SegQueue<Entry>,
    /// The next entry's number.
    next: SelfContained,
    /// The number of entries at which the roster forgets those that are gone.
    tidy_at: Hint,
    /// Those who are told of each breaker before it is listed.
    #[cfg(feature = "metrics")]
    told: crate::sync::LateBox<Told>,
}

/// Those who are told of breakers that come.
#[cfg(feature = "metrics")]
type Told = crate::sync::Replaceable<Vec<Weak<dyn Newcomers>>>;

/// Is told of each breaker that a roster will list.
#[cfg(feature = "metrics")]
pub(crate) trait Newcomers: Send + Sync {
    /// A breaker was built. It isn't listed yet.
    fn add(&self, breaker: &Arc<SharedBreaker>);
}

#[derive(Clone)]
enum Entry {
    Breaker(Weak<SharedBreaker>),
    Registry(Weak<dyn ListedRegistry>),
}

impl Entry {
    fn is_alive(&self) -> bool {
        match self {
            Self::Breaker(breaker) => breaker.strong_count() > 0,
            Self::Registry(registry) => registry.strong_count() > 0,
        }
    }
}

/// A registry that a roster can list.
pub(super) trait ListedRegistry: Send + Sync {
    /// The template's name.
    fn name(&self) -> String;
    /// The number of breakers.
    fn len(&self) -> usize;
    /// Shows `look` a handle to each breaker, until it breaks off.
    fn visit(&self, look: &mut Look<'_>) -> ControlFlow<()>;
}

/// A function that is shown breakers, until it breaks off.
pub(crate) type Look<'a> = dyn FnMut(&CircuitBreaker) -> ControlFlow<()> + 'a;

impl Roster {
    /// Makes a roster that lists nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns handles to the living breakers that were enlisted themselves, in the order in which
    /// they were built.
    ///
    /// Breakers of one name are all there. Those of registries are not; see
    /// [`for_each`](Self::for_each). Costs a visit to each entry.
    #[must_use]
    pub fn breakers(&self) -> Vec<CircuitBreaker> {
        let breakers = self.living(|entry| match entry {
            Entry::Breaker(breaker) => breaker.upgrade(),
            Entry::Registry(_) => None,
        });
        breakers.into_iter().map(handle).collect()
    }

    /// Returns handles to the living registries, in the order in which they were built.
    ///
    /// Costs a visit to each entry, however many breakers the registries have.
    #[must_use]
    pub fn registries(&self) -> Vec<EnlistedRegistry> {
        let registries = self.living(|entry| match entry {
            Entry::Breaker(_) => None,
            Entry::Registry(registry) => registry.upgrade(),
        });
        registries.into_iter().map(EnlistedRegistry).collect()
    }

    /// Shows `look` a handle to each living breaker, also to those of the registries.
    ///
    /// The breakers that were enlisted themselves come first. It copies no list of a registry's
    /// breakers, and doesn't count as a use of them. It shows some of those that come or go
    /// meanwhile.
    pub fn for_each(&self, mut look: impl FnMut(&CircuitBreaker)) {
        let _all = self.visit(&mut |breaker| {
            look(breaker);
            ControlFlow::Continue(())
        });
    }

    /// Returns the living breaker of this name; `None` if there is none.
    ///
    /// Of several with one name it returns the one that was built first. Breakers that were enlisted
    /// themselves come before those of registries. It compares names one by one, so keep the handle.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<CircuitBreaker> {
        first_of(name, |look| self.visit(look))
    }

    /// How many living breakers there are, with those of the registries.
    #[must_use]
    pub fn len(&self) -> usize {
        let registries = self.registries();
        let of_registries: usize = registries.iter().map(EnlistedRegistry::len).sum();
        self.breakers().len() + of_registries
    }

    /// Whether there is no living breaker.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn visit(&self, look: &mut Look<'_>) -> ControlFlow<()> {
        for breaker in self.breakers() {
            look(&breaker)?;
        }
        for registry in self.registries() {
            registry.0.visit(look)?;
        }
        ControlFlow::Continue(())
    }

    /// What `pick` finds in the entries, in their order.
    fn living<T>(&self, pick: impl Fn(&Entry) -> Option<T>) -> Vec<T> {
        let list = &*self.0;
        let entries = &list.entries;
        let mut found: Vec<(u64, T)> = guarded!(entries, |guard, can_write| {
            if can_write {
                list.take_in(&guard);
            }
            let all = entries.iter(&guard);
            all.filter_map(|(number, entry)| Some((*number, pick(entry)?)))
                .collect()
        });
        found.sort_by_key(|(number, _)| *number);
        found.into_iter().map(|(_, it)| it).collect()
    }

    /// Tells `newcomers` of each breaker that is built from now on.
    #[cfg(feature = "metrics")]
    pub(crate) fn tell(&self, newcomers: &Weak<dyn Newcomers>) {
        let told = self
            .0
            .told
            .get_or_init(|| Box::new(Told::new(Arc::default())));
        loop {
            let seen = told.load();
            let living = seen.get().iter().filter(|it| it.strong_count() > 0);
            let all = living.cloned().chain([Weak::clone(newcomers)]).collect();
            if told.replace(&seen, Arc::new(all)) {
                return;
            }
        }
    }

    /// Lists a registry as a whole.
    pub(super) fn add(&self, registry: Weak<dyn ListedRegistry>) {
        self.0.admit(Entry::Registry(registry));
    }
}

impl List {
    fn admit(&self, entry: Entry) {
        let entries = &self.entries;
        guarded!(entries, |guard, can_write| if can_write {
            entries.insert(self.next.add(1), entry, &guard);
            if entries.len() as u64 >= self.tidy_at.load() {
                entries.retain(|_, entry| entry.is_alive(), &guard);
                self.tidy_at.store((2 * entries.len() as u64).max(16));
            }
            self.take_in(&guard);
        } else {
            self.late.push(entry);
        });
    }

    /// Takes in what ending threads have enlisted.
    fn take_in(&self, guard: &impl Guard) {
        while let Some(entry) = self.late.pop() {
            self.entries.insert(self.next.add(1), entry, guard);
        }
    }
}

impl Roll for List {
    fn enlist(&self, breaker: &Arc<SharedBreaker>) {
        #[cfg(feature = "metrics")]
        if let Some(told) = self.told.get() {
            for newcomers in told.load().get().iter().filter_map(Weak::upgrade) {
                newcomers.add(breaker);
            }
        }
        self.admit(Entry::Breaker(Arc::downgrade(breaker)));
    }
}

fn handle(shared: Arc<SharedBreaker>) -> CircuitBreaker {
    CircuitBreaker {
        shared,
        classifier: DefaultClassifier,
    }
}

/// The first breaker of this name among those that `visit` shows.
fn first_of(
    name: &str,
    visit: impl FnOnce(&mut Look<'_>) -> ControlFlow<()>,
) -> Option<CircuitBreaker> {
    let mut found = None;
    let _rest = visit(&mut |breaker| {
        if breaker.name() == name {
            found = Some(breaker.clone());
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    found
}

/// A registry on a [`Roster`], whatever its keys and its classifier.
///
/// It keeps the registry alive, so don't hold it for long.
#[derive(Clone)]
pub struct EnlistedRegistry(Arc<dyn ListedRegistry>);

impl EnlistedRegistry {
    /// The name of the registry's template.
    #[must_use]
    pub fn name(&self) -> String {
        self.0.name()
    }

    /// The number of breakers; see [`Registry::len`](crate::Registry::len).
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the registry has no breakers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shows `look` a handle to each breaker, in no particular order; see [`Roster::for_each`].
    pub fn for_each(&self, mut look: impl FnMut(&CircuitBreaker)) {
        let _all = self.visit(&mut |breaker| {
            look(breaker);
            ControlFlow::Continue(())
        });
    }

    /// Returns a breaker of this name; `None` if there is none.
    ///
    /// Breakers have names of their own with
    /// [`name_with`](crate::RegistryBuilder::name_with). It compares names one by one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<CircuitBreaker> {
        first_of(name, |look| self.visit(look))
    }

    pub(crate) fn visit(&self, look: &mut Look<'_>) -> ControlFlow<()> {
        self.0.visit(look)
    }
}

impl<C> CircuitBreakerBuilder<C> {
    /// Lists each breaker that is built on a [`Roster`].
    ///
    /// A breaker can be on several rosters. For a registry's template use
    /// [`RegistryBuilder::enlist`](crate::RegistryBuilder::enlist); a template that is enlisted is
    /// refused. `CircuitBreaker::reconfigure` refuses this setting too.
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::registry::Roster;
    ///
    /// let roster = Roster::new();
    /// let payments = CircuitBreaker::builder("payments").enlist(&roster).build()?;
    /// assert_eq!(roster.breakers()[0].name(), "payments");
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn enlist(self, roster: &Roster) -> Self {
        self.on_roll(Arc::clone(&roster.0) as Arc<dyn Roll>)
    }

    /// Refuses a template that lists each breaker by itself.
    pub(super) fn check_not_enlisted(&self) -> Result<(), ConfigError> {
        if self.rolls() == 0 {
            return Ok(());
        }
        Err(ConfigError::new(
            "registry.template",
            "enlisted",
            "a template of many",
            "enlist the registry as a whole: RegistryBuilder::enlist",
        ))
    }
}

/// A panic of a function that is shown breakers leaves the roster as it is.
impl UnwindSafe for Roster {}
impl RefUnwindSafe for Roster {}

impl fmt::Debug for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let breakers = self.breakers();
        let names: Vec<&str> = breakers.iter().map(CircuitBreaker::name).collect();
        f.debug_struct("Roster")
            .field("breakers", &names)
            .field("registries", &self.registries())
            .finish()
    }
}

impl fmt::Debug for EnlistedRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnlistedRegistry")
            .field("name", &self.name())
            .field("len", &self.len())
            .finish()
    }
}
