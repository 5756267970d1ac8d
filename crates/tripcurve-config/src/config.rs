//! Named breakers and templates, as a file describes them.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use tripcurve::error::ConfigError;
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder};

use crate::fleet::FleetKeys;
use crate::named::Named;
use crate::read::{At, Section, Words, read_section, section};
use crate::registry::RegistryKeys;
use crate::settings::{Settings, Template};
use crate::shown::shown;

section! {
    /// Named breakers, and templates for them, as a file describes them.
    ///
    /// Read the file with the reader of your choice. This type implements [`Deserialize`] for TOML,
    /// JSON, YAML and every other self-describing format.
    ///
    /// ```
    /// use tripcurve_config::Config;
    ///
    /// let config: Config = toml::from_str(r#"
    ///     [templates.default]
    ///     window = { length = "60s", buckets = 10 }
    ///     trip_when = [{ adaptive = { tolerate = 0.25, slower_than = "500ms" } }]
    ///     recovery = "adaptive"
    ///
    ///     [breakers.payments]
    ///     template = "default"
    ///     open_for = "5s"
    ///
    ///     [breakers.search]
    ///     trip_when = [{ consecutive_failures = 8 }, { failure_rate = 0.25, min_calls = 50 }]
    /// "#)?;
    /// config.check()?;
    ///
    /// let payments = config.build("payments")?;
    /// let search = config
    ///     .builder("search")?
    ///     .on_transition(|transition| println!("{transition}"))
    ///     .build()?;
    /// assert_eq!(config.names().collect::<Vec<_>>(), ["payments", "search"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Keys
    ///
    /// Breakers and templates have these keys. A key that is left out has the template's value, or
    /// else the default of [`CircuitBreakerBuilder`]. Each key replaces the template's as a whole.
    /// `open_for` and `backoff` replace each other.
    ///
    /// | key | value |
    /// |---|---|
    /// | `template` | a name of `templates`; for breakers only |
    /// | `window` | `{ length = "60s", buckets = 10 }`, each optional; or `{ calls = 100, within = "60s" }`, with `within` optional |
    /// | `trip_when` | a list of policies, any of which trips; see below. Without it a breaker is adaptive, or classic with a window by count |
    /// | `recovery` | `"adaptive"`; or `{ probes = 3 }`, with `success_threshold = 2`, `failure_threshold = 1` and `slow_threshold = 2`, or with `max_failure_rate = 0.5`; or `{ steps = [0.1, 0.5, 1.0], each = "10s" }`, with `max_failure_rate`; or `{ clients = 100 }`, which is an [adaptive](tripcurve::Recovery::clients) one. All tables take `half_open_limit = "1m"` with `half_open_verdict`, which is `"reopen"` or `"close"` |
    /// | `open_for` | `"5s"`; with every recovery, also an adaptive one |
    /// | `backoff` | instead: `{ base = "5s", factor = 2.0, longest = "2m" }`, with `jitter`, which is `"full"`, `"equal"`, `"decorrelated"` or `"none"`, and `healthy_after` |
    /// | `probe_timeout`, `max_retry_after`, `warm_up` | a duration |
    /// | `on_cancel` | `"ignored"` or `"failure"` |
    /// | `enabled` | `true` or `false`; [off](CircuitBreakerBuilder::enabled), the breaker lets all calls through and records nothing |
    /// | `metrics_only` | `true` or `false`; with `true` the breaker [records](CircuitBreakerBuilder::metrics_only) all calls and never trips |
    /// | `start_in` | `"closed"`, `"open"`, `"half-open"`, `"forced-open"`, `"disabled"` or `"metrics-only"` |
    /// | `latency` | `"off"`, `"combined"` or `"by-outcome"` |
    /// | `timing` | `"sampled"` or `"every-call"` |
    /// | `shards` | a number |
    ///
    /// A duration has units, such as `"250ms"`, `"1m 30s"` or `"1d"`. `"forever"` is
    /// [`Duration::MAX`]. A year has 365.25 days. A policy is one of these:
    ///
    /// - `{ consecutive_failures = 5 }`
    /// - `{ failure_count = 20, min_calls = 100 }`
    /// - `{ failure_rate = 0.5, min_calls = 10 }`
    /// - `{ slow_rate = 0.5, slower_than = "2s", min_calls = 10 }`
    /// - `{ burn_rate = 0.999, factor = 14.4, short = "5m", min_calls = 100 }`
    /// - `{ latency_percentile = 99.0, above = "2s", min_calls = 100 }`
    /// - `{ slower_than_usual = 4.0, percentile = 90.0, min_calls = 100 }`
    /// - `"adaptive"`, or with settings
    ///   `{ adaptive = { tolerate = 0.25, false_trip_budget = "1d", slower_than = "2s" } }`
    /// - `"classic"`, which is five failures in a row, or half of at least ten calls
    ///
    /// A setting that has a default in [`TripPolicy`](tripcurve::TripPolicy) may be left out.
    ///
    /// Registries, in `registries` by name, need the feature `registry`. They have these keys, all
    /// optional:
    ///
    /// | key | value |
    /// |---|---|
    /// | `template` | a name of `templates`, for all breakers of the registry |
    /// | `capacity` | how many breakers the registry keeps before it evicts some |
    /// | `idle_after` | a duration: how long unused open breakers are kept beyond `capacity` |
    /// | `max_open_share` | the share of the breakers that policies may open at once, more than 0 and at most 1 |
    ///
    /// The fleet that the process joins, in `fleet`, needs the feature `fleet`. It has these keys:
    ///
    /// | key | value |
    /// |---|---|
    /// | `address` | where the store is: `"redis://10.0.0.1:6379/"`; `rediss://` for TLS |
    /// | `address_from` | instead: the name of the environment variable that has the address |
    /// | `namespace` | a name that all members share |
    /// | `zone` | optional: each zone is a fleet of its own |
    /// | `classifier_word` | optional: a word that stands for what counts as a failure |
    /// | `join` | a list of breakers' names, where `*` stands for any letters; `["*"]` by default |
    ///
    /// # Changing it while calls run
    ///
    /// `CircuitBreaker::reconfigure` takes the result of [`builder`](Self::builder), and
    /// `Registry::reconfigure` that of [`registry_template`](Self::registry_template). Get all builders first. Then
    /// nothing has changed yet if the file has a mistake. A breaker for which the file says nothing
    /// new stays untouched.
    ///
    /// A change of `enabled` or `metrics_only` switches the breaker off or on. A breaker that was
    /// disabled by hand stays disabled until they change. Of `fleet`, only `join` can change; see
    /// `FleetConfig::check_change`. The guide prints a function that follows
    /// a file. The example `reload` applies one under load.
    ///
    /// # Errors
    ///
    /// The reader refuses what it can't understand, including unknown keys. [`check`](Self::check),
    /// [`builder`](Self::builder) and [`build`](Self::build) refuse settings that make no sense.
    /// Either error names the place in the file.
    ///
    /// ```
    /// use tripcurve_config::Config;
    ///
    /// let error = toml::from_str::<Config>("[breakers.payments]\nwindow = { bucket = 20 }").unwrap_err();
    /// assert_eq!(
    ///     error.message(),
    ///     "breakers.payments.window.bucket: unknown key, expected one of length, buckets, calls, within"
    /// );
    ///
    /// let config: Config = toml::from_str("[breakers.payments]\nwindow = { buckets = 0 }")?;
    /// assert_eq!(
    ///     config.check().unwrap_err().to_string(),
    ///     "breakers.payments.window.buckets: 0 is not in 1..=1024; 10 suit most services"
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Limits
    ///
    /// | of | at most |
    /// |---|---|
    /// | a file | 64 MiB, if you ask [`check_len`](Self::check_len) before you read it |
    /// | breakers, templates and registries | 100,000 each |
    /// | a name | 1,024 characters |
    /// | policies of a breaker | 64 |
    ///
    /// A value beyond its limit is refused at its place in the file. Reading and
    /// [`check`](Self::check) take time in proportion to the file.
    ///
    /// # Editors
    ///
    /// `config.schema.json` of this package is a [JSON Schema](https://json-schema.org) of such a
    /// file. Put it next to your file and name it there. An editor then offers the keys, explains
    /// them, and underlines mistakes as you type:
    ///
    /// | file | first line |
    /// |---|---|
    /// | TOML (taplo, Even Better TOML) | `#:schema ./config.schema.json` |
    /// | JSON, within the braces | `"$schema": "./config.schema.json",` |
    /// | YAML | `# yaml-language-server: $schema=./config.schema.json` |
    ///
    /// The schema knows the bounds of numbers and which keys go together. It can't know the bounds
    /// of durations, or whether settings fit each other. [`check`](Self::check) does. The feature
    /// `schema` adds `schemars::JsonSchema` for `Config`, which generates the schema.
    ///
    /// # Writing
    ///
    /// `Config` also implements [`Serialize`](serde::Serialize), and writes what it has read.
    /// Durations keep their spelling, names keep [their order](Self::names), and keys that were
    /// left out stay out. Comments and layout are lost.
    ///
    /// [`Duration::MAX`]: std::time::Duration::MAX
    pub struct Config {
        /// The place of this schema, for editors. Nothing else reads it.
        schema = "$schema": String,
        /// Settings that breakers can have, by name.
        pub(crate) templates: Named<Template>,
        /// The breakers by name.
        breakers: Named<Settings>,
        /// The registries by name, each with breakers by key.
        pub(crate) registries: Named<RegistryKeys>,
        /// The fleet that the process joins.
        pub(crate) fleet: Box<FleetKeys>,
    }
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        use serde::de::Error;

        let config: Self = read_section(from, "a table with templates and breakers", &At::File)?;
        if cfg!(not(feature = "registry")) && config.registries.is_some() {
            return Err(D::Error::custom(
                "registries: this program reads none; build it with the feature `registry` of \
                 tripcurve-config",
            ));
        }
        if cfg!(not(feature = "fleet")) && config.fleet.is_some() {
            return Err(D::Error::custom(
                "fleet: this program reads none; build it with the feature `fleet` of \
                 tripcurve-config",
            ));
        }
        Ok(config)
    }
}

impl Config {
    /// The most bytes that a file may have: 64 MiB. The largest file tried so far, of 16,000
    /// breakers, has two MiB.
    pub const MAX_FILE_LEN: u64 = 64 << 20;

    /// Refuses a file of `bytes` bytes if it is too long, before a reader takes the memory for it.
    ///
    /// ```
    /// use tripcurve_config::Config;
    ///
    /// # let path = "Cargo.toml";
    /// Config::check_len(std::fs::metadata(path)?.len())?;
    /// let error = Config::check_len(1 << 30).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "the file: 1073741824 bytes is not at most 67108864 bytes; keep breakers in several \
    ///      files, or breakers by key in a registry"
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The file has more than [`MAX_FILE_LEN`](Self::MAX_FILE_LEN).
    pub fn check_len(bytes: u64) -> Result<(), ConfigError> {
        if bytes <= Self::MAX_FILE_LEN {
            return Ok(());
        }
        Err(ConfigError::new(
            "the file",
            format!("{bytes} bytes"),
            format!("at most {} bytes", Self::MAX_FILE_LEN),
            "keep breakers in several files, or breakers by key in a registry",
        ))
    }

    /// The names of the breakers, in the order in which the reader gave them.
    ///
    /// Most readers keep the order of the file. `toml` sorts the names, unless its feature
    /// `preserve_order` is on.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.all_breakers().map(|(name, _)| name.as_str())
    }

    /// The names of the templates, ordered like [`names`](Self::names).
    pub fn template_names(&self) -> impl Iterator<Item = &str> {
        self.all_templates().map(|(name, _)| name.as_str())
    }

    /// Checks all breakers, templates and registries, and the fleet.
    ///
    /// So a mistake is found when the file is read, and not when its breaker is first needed.
    ///
    /// # Errors
    /// The first setting that makes no sense, with its place in the file.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.names()
            .try_for_each(|name| self.builder(name).map(drop))?;
        self.template_names()
            .try_for_each(|name| self.template(name).map(drop))?;
        self.check_registries()?;
        self.fleet().map(drop)
    }

    /// A builder with the settings of a breaker. It can be built.
    ///
    /// Use it for settings that no file can hold: a [clock](CircuitBreakerBuilder::clock), a
    /// [classifier](CircuitBreakerBuilder::classify) or
    /// [listeners](CircuitBreakerBuilder::on_transition).
    ///
    /// # Errors
    /// There is no breaker of this name, or one of its settings makes no sense. An error
    /// about a setting names the setting's place in the file.
    pub fn builder(&self, name: &str) -> Result<CircuitBreakerBuilder, ConfigError> {
        let Some(own) = find(self.breakers.as_ref(), name) else {
            let hint = "a breaker is asked for by its name in the file";
            return Err(unknown("breakers", name, self.names(), hint));
        };
        let at = place("breakers", name);
        let template = match &own.template {
            None => None,
            Some(name) => {
                let found = find(self.templates.as_ref(), name);
                let template = found.ok_or_else(|| {
                    let hint = "a template stands in the file under templates";
                    let at = format!("{at}.template");
                    unknown(at, name, self.template_names(), hint)
                })?;
                Some((name, &template.0))
            }
        };
        let settings = template.map(|(_, template)| own.over(template));
        let settings = settings.as_ref().unwrap_or(own);
        checked(name, settings, |key, error| match template {
            Some((template_name, template)) if !own.has(key) && template.has(key) => {
                // The template's setting may be invalid only in combination with the breaker's own.
                error.hint = format!("{} (for {at})", error.hint);
                place("templates", template_name)
            }
            _ => at,
        })
    }

    /// The breaker of this name, with its settings.
    ///
    /// # Errors
    /// This returns the errors of [`builder`](Self::builder).
    pub fn build(&self, name: &str) -> Result<CircuitBreaker, ConfigError> {
        self.builder(name)?.build()
    }

    /// A builder with the settings and the name of a template.
    ///
    /// Use it for breakers that the file doesn't name.
    ///
    /// # Errors
    /// There is no such template, or one of its settings makes no sense.
    pub fn template(&self, name: &str) -> Result<CircuitBreakerBuilder, ConfigError> {
        let Some(Template(settings)) = find(self.templates.as_ref(), name) else {
            let hint = "a template is asked for by its name in the file";
            return Err(unknown("templates", name, self.template_names(), hint));
        };
        checked(name, settings, |_, _| place("templates", name))
    }

    fn all_breakers(&self) -> impl Iterator<Item = &(String, Settings)> {
        self.breakers.iter().flat_map(Named::iter)
    }

    fn all_templates(&self) -> impl Iterator<Item = &(String, Template)> {
        self.templates.iter().flat_map(Named::iter)
    }
}

pub(crate) fn find<'a, T>(all: Option<&'a Named<T>>, name: &str) -> Option<&'a T> {
    all?.get(name)
}

pub(crate) fn place(group: &str, name: &str) -> String {
    At::Key(&At::Key(&At::File, group), name).to_string()
}

/// Returns a builder that can be built.
///
/// `at` returns the place in the file of the section with the given key.
pub(crate) fn checked(
    name: &str,
    settings: &Settings,
    at: impl FnOnce(&str, &mut ConfigError) -> String,
) -> Result<CircuitBreakerBuilder, ConfigError> {
    let builder = settings.apply(CircuitBreaker::builder(name.to_owned()));
    match builder.validate() {
        Ok(()) => Ok(builder),
        Err(mut error) => {
            let within = settings.place_of(&error);
            let key = within.split(['.', '[']).next().unwrap_or_default();
            error.setting = format!("{}.{within}", at(key, &mut error)).into();
            Err(error)
        }
    }
}

pub(crate) fn unknown<'a>(
    setting: impl Into<Cow<'static, str>>,
    name: &str,
    known: impl Iterator<Item = &'a str>,
    hint: &'static str,
) -> ConfigError {
    let known: Vec<_> = known.collect();
    let expected = match known.len() {
        0 => "in the file, which has none".to_owned(),
        _ => format!("one of {}", Words(known.iter().map(|name| shown(name)))),
    };
    ConfigError::new(setting, format!("{:?}", shown(name)), expected, hint)
}
