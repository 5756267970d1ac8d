//! Registries, as a file describes them.

use serde::Deserializer;
use tripcurve::error::ConfigError;
#[cfg(feature = "registry")]
use tripcurve::registry::{Registry, RegistryBuilder};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder};

use crate::Config;
use crate::config::{checked, find, place, unknown};
use crate::named::{Named, check_name};
#[cfg(feature = "registry")]
use crate::policy::with;
use crate::read::{At, Read, read_section, section};
use crate::settings::Template;
use crate::words::Time;

section! {
    /// The settings of a registry, each under the name of its builder's method.
    pub(crate) struct RegistryKeys {
        /// The template of the registry's breakers: a name of `templates`. Default: the default of
        /// each setting.
        template: String { "maxLength": crate::named::MAX_NAME_CHARS },
        /// How many breakers the registry keeps before it evicts some. Set it if users choose the
        /// keys. Default: no limit.
        capacity: u32 { "minimum": 1, "maximum": u32::MAX },
        /// How long an unused open or half-open breaker is kept beyond `capacity`: at least "1ms".
        /// Default: 10 min.
        idle_after: Time,
        /// The share of the breakers that policies may open at once, rounded down. One breaker may
        /// always open. Default: all may be open.
        max_open_share: f64 { "exclusiveMinimum": 0, "maximum": 1 },
    }
}

impl Read for RegistryKeys {
    fn read<'de, D: Deserializer<'de>>(from: D, at: &At<'_>) -> Result<Self, D::Error> {
        let keys: Self = read_section(from, "a registry, as { capacity = 10000 },", at)?;
        if let Some(template) = &keys.template {
            check_name(template, &at.key("template"))?;
        }
        Ok(keys)
    }
}

#[cfg(feature = "registry")]
impl RegistryKeys {
    fn apply<K, C>(&self, builder: RegistryBuilder<K, C>) -> RegistryBuilder<K, C> {
        let capacity = self
            .capacity
            .map(|it| usize::try_from(it).unwrap_or(usize::MAX));
        let builder = with(builder, capacity, RegistryBuilder::capacity);
        let idle_after = self.idle_after.as_ref().map(|time| time.duration);
        let builder = with(builder, idle_after, RegistryBuilder::idle_after);
        with(
            builder,
            self.max_open_share,
            RegistryBuilder::max_open_share,
        )
    }
}

impl Config {
    /// The names of the registries, ordered like [`names`](Self::names).
    pub fn registry_names(&self) -> impl Iterator<Item = &str> {
        let all = self.registries.iter().flat_map(Named::iter);
        all.map(|(name, _)| name.as_str())
    }

    /// A builder for the breakers of a registry. It has the registry's name and its template's
    /// settings.
    ///
    /// `Registry::reconfigure` takes it when the file has changed. A change of the other keys needs
    /// a new registry.
    ///
    /// # Errors
    /// There is no such registry or no such template, or a setting of the template makes no sense.
    pub fn registry_template(&self, name: &str) -> Result<CircuitBreakerBuilder, ConfigError> {
        self.find_registry(name).map(|(_, builder)| builder)
    }

    /// A builder with the settings of a registry. It can be built.
    ///
    /// `template` adds settings that no file can hold, such as a
    /// [clock](CircuitBreakerBuilder::clock) or a [classifier](CircuitBreakerBuilder::classify).
    /// All breakers have the registry's name, unless [`name_with`](RegistryBuilder::name_with)
    /// names each.
    ///
    /// ```
    /// use tripcurve::registry::Registry;
    /// use tripcurve_config::Config;
    ///
    /// let config: Config = toml::from_str(r#"
    ///     [templates.default]
    ///     open_for = "5s"
    ///
    ///     [registries.endpoints]
    ///     template = "default"
    ///     capacity = 10_000
    ///     max_open_share = 0.5
    /// "#)?;
    /// config.check()?;
    /// let endpoints: Registry<String> = config.registry("endpoints", |template| template)?.build()?;
    /// assert_eq!(endpoints.get_or_create("10.0.0.7").name(), "endpoints");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// There is no registry of this name, or one of its settings makes no sense. The error names
    /// the setting's place in the file.
    #[cfg(feature = "registry")]
    pub fn registry<K, C>(
        &self,
        name: &str,
        template: impl FnOnce(CircuitBreakerBuilder) -> CircuitBreakerBuilder<C>,
    ) -> Result<RegistryBuilder<K, C>, ConfigError> {
        let (keys, breakers) = self.find_registry(name)?;
        keys.apply(Registry::<(), _>::builder(breakers.clone()))
            .validate()
            .map_err(|mut error| {
                let key = error.setting.trim_start_matches("registry.");
                error.setting = format!("{}.{key}", place("registries", name)).into();
                error
            })?;
        Ok(keys.apply(Registry::builder(template(breakers))))
    }

    /// Checks all registries.
    pub(crate) fn check_registries(&self) -> Result<(), ConfigError> {
        self.registry_names().try_for_each(|name| {
            #[cfg(feature = "registry")]
            let _ = self.registry::<(), _>(name, |template| template)?;
            self.registry_template(name).map(drop)
        })
    }

    /// The registry's keys, and a builder for its breakers that can be built.
    fn find_registry(
        &self,
        name: &str,
    ) -> Result<(&RegistryKeys, CircuitBreakerBuilder), ConfigError> {
        let Some(keys) = find(self.registries.as_ref(), name) else {
            let hint = "a registry is asked for by its name in the file";
            return Err(unknown("registries", name, self.registry_names(), hint));
        };
        let Some(template) = &keys.template else {
            return Ok((keys, CircuitBreaker::builder(name.to_owned())));
        };
        let Some(Template(settings)) = find(self.templates.as_ref(), template) else {
            let at = format!("{}.template", place("registries", name));
            let hint = "a template stands in the file under templates";
            return Err(unknown(at, template, self.template_names(), hint));
        };
        let builder = checked(name, settings, |_, _| place("templates", template))?;
        Ok((keys, builder))
    }
}
