//! Settings of a registry.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use papaya::HashMap;

use super::capacity::Capacity;
use super::{Breakers, Naming, Registry, Templates};
use crate::builder::Builder;
use crate::control::{ControlGroup, Member};
use crate::error::ConfigError;
use crate::name::Name;

/// Builds a [`Registry`]; see [`Registry::builder`].
///
/// | setting | default |
/// |---|---|
/// | [`capacity`](Self::capacity) | none: a breaker stays until it is removed |
/// | [`name_with`](Self::name_with) | all have the template's name |
/// | [`control_group`](Self::control_group) | none |
#[must_use = "a builder does nothing until build() is called"]
pub struct RegistryBuilder<K, C> {
    template: Builder<C>,
    name: Option<Naming<K>>,
    capacity: Option<usize>,
    group: Option<ControlGroup>,
}

impl<K, C> RegistryBuilder<K, C> {
    pub(super) fn new(template: Builder<C>) -> Self {
        Self {
            template,
            name: None,
            capacity: None,
            group: None,
        }
    }

    /// How many breakers are kept, at least 1, before those go that nobody needs; see
    /// [`Registry`](Registry#capacity) for which these are.
    ///
    /// Breakers that are needed are kept beyond it. Set it where others choose the keys.
    pub fn capacity(self, breakers: usize) -> Self {
        Self {
            capacity: Some(breakers),
            ..self
        }
    }

    /// Gives each breaker a name of its own, as it stands in rejections, in snapshots and in what listeners
    /// are told.
    ///
    /// It takes the memory of the name, and a rejection then counts a reference to it.
    ///
    /// ```
    /// use tripcurve::{CircuitBreaker, Registry};
    ///
    /// let tenants = Registry::<u32>::builder(CircuitBreaker::builder("search"))
    ///     .name_with(|tenant| format!("search for tenant {tenant}"))
    ///     .build()?;
    /// assert_eq!(tenants.of(&7).name(), "search for tenant 7");
    /// # Ok::<(), tripcurve::ConfigError>(())
    /// ```
    pub fn name_with<N: Into<Name>>(self, name: impl Fn(&K) -> N + Send + Sync + 'static) -> Self {
        Self {
            name: Some(Box::new(move |key| name(key).into())),
            ..self
        }
    }

    /// Lets all breakers, those to come included, join a group.
    ///
    /// While the group is isolated no breaker is dropped, and those that are made are forced open before
    /// anybody gets them.
    pub fn control_group(self, group: &ControlGroup) -> Self {
        Self {
            group: Some(group.clone()),
            ..self
        }
    }

    /// Checks all settings, the template's included, and makes the registry. No lookup can fail later.
    ///
    /// # Errors
    /// The first setting that makes no sense, with what was expected and how to mend it.
    pub fn build(self) -> Result<Registry<K, C>, ConfigError>
    where
        K: Hash + Eq + Clone + Send + Sync + 'static,
        C: Clone + Send + Sync + 'static,
    {
        if self.capacity == Some(0) {
            return Err(ConfigError::new(
                "registry.capacity",
                0,
                "at least 1",
                "as many keys as are in use at a time; leave it out if nobody else chooses the keys",
            ));
        }
        self.template.clone().build()?;
        let breakers = Arc::new(Breakers {
            places: HashMap::new(),
            templates: Templates::new(self.template),
            name: self.name,
            capacity: self.capacity.map(Capacity::new),
            group: self.group,
        });
        if let Some(group) = &breakers.group {
            let member: std::sync::Weak<dyn Member> = Arc::<Breakers<K, C>>::downgrade(&breakers);
            group.admit(member);
        }
        Ok(Registry(breakers))
    }
}

impl<K, C> fmt::Debug for RegistryBuilder<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryBuilder")
            .field("template", &self.template)
            .field("capacity", &self.capacity)
            .field("control_group", &self.group)
            .finish_non_exhaustive()
    }
}
