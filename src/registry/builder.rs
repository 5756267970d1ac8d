//! Builds registries from their settings.

use std::{fmt, hash::Hash, sync::Arc, time::Duration};

use crossbeam_queue::SegQueue;
use papaya::HashMap;

use super::roster::{ListedRegistry, Roster};
use super::{Breakers, Naming, Registry, Templates, capacity::Capacity};
use crate::registry::control_group::{ControlGroup, Member, open_share};
use crate::{
    builder::CircuitBreakerBuilder, clock::saturating_nanos, engine::OpenShare, error::ConfigError,
    name::Name,
};

const DEFAULT_IDLE_AFTER: Duration = Duration::from_secs(600);

/// Builds a [`Registry`]; see [`Registry::builder`].
///
/// | setting | default |
/// |---|---|
/// | [`capacity`](Self::capacity) | none: a breaker stays until it is removed |
/// | [`idle_after`](Self::idle_after) | 10 minutes |
/// | [`name_with`](Self::name_with) | all breakers have the template's name |
/// | [`control_group`](Self::control_group) | none |
/// | [`enlist`](Self::enlist) | no roster |
/// | [`max_open_share`](Self::max_open_share) | 1: all may be open |
#[must_use = "a builder does nothing until build() is called"]
pub struct RegistryBuilder<K, C> {
    template: CircuitBreakerBuilder<C>,
    name: Option<Naming<K>>,
    capacity: Option<usize>,
    idle_after: Option<Duration>,
    group: Option<ControlGroup>,
    max_open_share: Option<f64>,
    rosters: Vec<Roster>,
}

impl<K, C> RegistryBuilder<K, C> {
    pub(super) fn new(template: CircuitBreakerBuilder<C>) -> Self {
        Self {
            template,
            name: None,
            capacity: None,
            idle_after: None,
            group: None,
            max_open_share: None,
            rosters: Vec::new(),
        }
    }

    /// Sets how many breakers the registry keeps, at least 1, before it evicts some.
    ///
    /// [`Registry`](Registry#capacity) says which breakers it evicts. It keeps breakers with
    /// something to lose beyond the capacity, up to a bound. Set a capacity if users choose the
    /// keys.
    pub fn capacity(self, breakers: usize) -> Self {
        Self {
            capacity: Some(breakers),
            ..self
        }
    }

    /// Sets how long an unused open or half-open breaker is kept beyond the capacity: at least 1
    /// ms, 10 minutes by default.
    ///
    /// The time of an open breaker counts from the end of its open time. That of a half-open
    /// breaker counts from when it became half-open. So the registry forgets a host that is gone
    /// for good. With [`Duration::MAX`] it forgets no breaker for its age. The setting needs a
    /// [`capacity`](Self::capacity), because without one nothing is evicted.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::registry::Registry;
    ///
    /// let hosts = Registry::<String>::builder(CircuitBreaker::builder("host"))
    ///     .capacity(1_000)
    ///     .idle_after(Duration::from_secs(60))
    ///     .build()?;
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn idle_after(self, duration: Duration) -> Self {
        Self {
            idle_after: Some(duration),
            ..self
        }
    }

    /// Gives each breaker its own name, for rejections, snapshots and listeners.
    ///
    /// The name takes memory, and a rejection then counts a reference to it.
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::registry::Registry;
    ///
    /// let tenants = Registry::<u32>::builder(CircuitBreaker::builder("search"))
    ///     .name_with(|tenant| format!("search for tenant {tenant}"))
    ///     .build()?;
    /// assert_eq!(tenants.get_or_create(&7).name(), "search for tenant 7");
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn name_with<N: Into<Name>>(self, name: impl Fn(&K) -> N + Send + Sync + 'static) -> Self {
        Self {
            name: Some(Box::new(move |key| name(key).into())),
            ..self
        }
    }

    /// Adds all breakers to a group, including those made later.
    ///
    /// While the group is isolated, new breakers are isolated before a caller gets them. Isolated
    /// breakers are evicted only if there are [far too many](Registry#capacity).
    pub fn control_group(self, group: &ControlGroup) -> Self {
        Self {
            group: Some(group.clone()),
            ..self
        }
    }

    /// Sets the share of the breakers that policies may open at once: more than 0, up to 1.
    ///
    /// The share is rounded down, but one breaker may always open. For the rules see
    /// [`ControlGroup::with_max_open_share`]. The registry's breakers are counted from their first
    /// use until they are removed or evicted. Set it here or on the
    /// [group](Self::control_group), not on both.
    ///
    /// ```
    /// use tripcurve::registry::Registry;
    /// use tripcurve::{CircuitBreaker, State, TripPolicy};
    ///
    /// let template = CircuitBreaker::builder("shop").trip_when(TripPolicy::consecutive_failures(1));
    /// let endpoints = Registry::<u32>::builder(template).max_open_share(0.5).build()?;
    /// let [first, second] = [1, 2].map(|endpoint| endpoints.get_or_create(&endpoint));
    /// for endpoint in [&first, &second] {
    ///     let _ = endpoint.call(|| Err::<(), _>("no"));
    /// }
    /// assert_eq!((first.state(), second.state()), (State::Open, State::Closed));
    /// assert_eq!(second.snapshot().would_have_opened(), 1);
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn max_open_share(self, share: f64) -> Self {
        Self {
            max_open_share: Some(share),
            ..self
        }
    }

    /// Lists the registry as a whole on a [`Roster`], with the breakers that it has at any time.
    ///
    /// It costs the roster one entry, and lookups nothing.
    pub fn enlist(mut self, roster: &Roster) -> Self {
        self.rosters.push(roster.clone());
        self
    }

    /// The limit on how many breakers are open at once.
    fn share(&self) -> Result<Option<Arc<OpenShare>>, ConfigError> {
        let own = self.max_open_share.map(open_share).transpose()?;
        let groups = self.group.as_ref().and_then(ControlGroup::share);
        match (own, groups) {
            (Some(own), Some(groups)) => Err(ConfigError::new(
                "registry.max_open_share",
                own.share(),
                format!("left out, because the group has one of {}", groups.share()),
                "a breaker counts in one share; keep the registry's or the group's",
            )),
            (own, groups) => Ok(own.or_else(|| groups.cloned())),
        }
    }

    /// Checks all settings, including the template's, without making the registry.
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::registry::Registry;
    ///
    /// let hosts = Registry::<u32>::builder(CircuitBreaker::builder("host")).capacity(0);
    /// assert_eq!(hosts.validate().unwrap_err().setting, "registry.capacity");
    /// assert_eq!(hosts.capacity(1_000).validate(), Ok(()));
    /// ```
    ///
    /// # Errors
    /// The error that [`build`](Self::build) would return.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.check_evictions()?;
        self.share()?;
        self.template.check_not_enlisted()?;
        #[cfg(feature = "serde")]
        self.template.check_for_many()?;
        self.template.validate()
    }

    fn check_evictions(&self) -> Result<(), ConfigError> {
        if self.capacity == Some(0) {
            return Err(ConfigError::new(
                "registry.capacity",
                0,
                "at least 1",
                "as many keys as are in use at a time; leave it out if nobody else chooses the keys",
            ));
        }
        let Some(idle_after) = self.idle_after else {
            return Ok(());
        };
        ConfigError::check_duration(
            "registry.idle_after",
            idle_after,
            Duration::MAX,
            "at least 1ms",
            "minutes suit hosts that may come back; Duration::MAX forgets none for its age",
        )?;
        if self.capacity.is_some() {
            return Ok(());
        }
        Err(ConfigError::new(
            "registry.idle_after",
            format!("{idle_after:?}"),
            "of any use without a capacity",
            "set capacity too, or leave it out: nothing is dropped without a capacity",
        ))
    }

    /// Checks all settings, including the template's, and makes the registry. No lookup can fail
    /// later.
    ///
    /// # Errors
    /// The first setting that makes no sense. The error says what was expected and how to mend it.
    pub fn build(self) -> Result<Registry<K, C>, ConfigError>
    where
        K: Hash + Eq + Clone + Send + Sync + 'static,
        C: Clone + Send + Sync + 'static,
    {
        self.validate()?;
        let share = self.share()?;
        let breakers = Arc::new(Breakers {
            places: HashMap::new(),
            templates: Templates::new(self.template),
            name: self.name,
            capacity: self.capacity.map(Capacity::new),
            idle_after: saturating_nanos(self.idle_after.unwrap_or(DEFAULT_IDLE_AFTER)),
            left: SegQueue::new(),
            group: self.group,
            share,
        });
        if let Some(group) = &breakers.group {
            let member: std::sync::Weak<dyn Member> = Arc::<Breakers<K, C>>::downgrade(&breakers);
            group.admit(member);
        }
        for roster in &self.rosters {
            let registry: std::sync::Weak<dyn ListedRegistry> =
                Arc::<Breakers<K, C>>::downgrade(&breakers);
            roster.add(registry);
        }
        Ok(Registry(breakers))
    }
}

impl<K, C> fmt::Debug for RegistryBuilder<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryBuilder")
            .field("template", &self.template)
            .field("capacity", &self.capacity)
            .field("idle_after", &self.idle_after)
            .field("control_group", &self.group)
            .field("max_open_share", &self.max_open_share)
            .finish_non_exhaustive()
    }
}
