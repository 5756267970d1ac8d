//! The fleet that a process joins, as a file describes it.

use std::fmt;

use serde::{Deserializer, Serialize, Serializer};
use tripcurve::error::ConfigError;

use crate::Config;
use crate::config::unknown;
use crate::named::check_name;
use crate::pattern;
use crate::read::{At, Read, read_section, section};
use crate::shown::shown;

/// The beginnings that an address may have.
const SCHEMES: [&str; 3] = ["redis://", "rediss://", "unix://"];

section! {
    /// The settings of a member of a fleet.
    pub(crate) struct FleetKeys {
        /// The address of the store that all members share, such as `redis://10.0.0.1:6379/`.
        address: Address,
        /// Instead of `address`: the name of the environment variable that has the address, such as
        /// `REDIS_URL`. So no password stands in the file.
        address_from: String { "minLength": 1, "maxLength": crate::named::MAX_NAME_CHARS },
        /// A name that all members share, such as that of the application. It must be there.
        namespace: String { "minLength": 1, "maxLength": crate::named::MAX_NAME_CHARS },
        /// The zone: each is a fleet of its own. Default: none.
        zone: String { "maxLength": crate::named::MAX_NAME_CHARS },
        /// A word that stands for what counts as a failure. Change it when the classifier changes.
        /// Default: an empty one.
        classifier_word: String { "maxLength": crate::named::MAX_NAME_CHARS },
        /// The breakers that join, by name. A `*` stands for any letters. Default: ["*"], which is
        /// all breakers that trip on evidence.
        join: Vec<String>,
    }
}

impl Read for FleetKeys {
    fn read<'de, D: Deserializer<'de>>(from: D, at: &At<'_>) -> Result<Self, D::Error> {
        let what = "a fleet, as { address = \"redis://10.0.0.1:6379/\", namespace = \"shop\" },";
        let keys: Self = read_section(from, what, at)?;
        for (key, name) in [
            ("address_from", &keys.address_from),
            ("namespace", &keys.namespace),
            ("zone", &keys.zone),
            ("classifier_word", &keys.classifier_word),
        ] {
            if let Some(name) = name {
                check_name(name, &at.key(key))?;
            }
        }
        Ok(keys)
    }
}

/// The address of a store. It may contain a password, so nothing shows it.
#[derive(Clone, PartialEq)]
pub(crate) struct Address(String);

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Address {
    /// Its beginning. The rest may be a password in the wrong place.
    fn shown(&self) -> String {
        match SCHEMES.iter().find(|it| self.0.starts_with(**it)) {
            Some(scheme) => format!("\"{scheme}…\""),
            None => "this address, which isn't shown,".to_owned(),
        }
    }

    /// Refuses what can't be an address. `at` is its place in the file.
    fn check(&self, at: &'static str) -> Result<(), ConfigError> {
        let rest = SCHEMES.iter().find_map(|it| self.0.strip_prefix(it));
        let is_one = rest.is_some_and(|rest| {
            let (_, place) = rest.rsplit_once('@').unwrap_or(("", rest));
            !place.is_empty() && !place.starts_with(['/', ':']) || self.0.starts_with("unix:///")
        });
        if is_one {
            return Ok(());
        }
        Err(ConfigError::new(
            at,
            self.shown(),
            "redis://, rediss:// or unix:// and a place",
            "write it like redis://10.0.0.1:6379/; characters of a password other than letters and \
             digits are written as %XX",
        ))
    }
}

impl Read for Address {
    fn read<'de, D: Deserializer<'de>>(from: D, at: &At<'_>) -> Result<Self, D::Error> {
        // A reader shows the line of an error, so `check` refuses what is no address.
        String::read(from, at).map(Self)
    }
}

impl Serialize for Address {
    fn serialize<W: Serializer>(&self, to: W) -> Result<W::Ok, W::Error> {
        self.0.serialize(to)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Address {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        // The place begins behind the last `@`.
        schemars::json_schema!({
            "type": "string",
            "pattern": r"^(rediss?://([\s\S]*@)?[^/:@][^@]*|unix://([\s\S]*@)?[^/:@][^@]*|unix:///[\s\S]*)$",
        })
    }
}

/// The fleet of a file; made by [`Config::fleet`].
///
/// It says what the file says, and connects to nothing. The package `tripcurve-fleet` makes a
/// member of it, with its feature `config`.
#[derive(Clone, PartialEq)]
pub struct FleetConfig {
    keys: FleetKeys,
    namespace: String,
    /// The names of the breakers that join, in the order of the file.
    breakers: Vec<String>,
}

impl fmt::Debug for FleetConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetConfig")
            .field("address", &self.keys.address)
            .field("address_from", &self.keys.address_from)
            .field("namespace", &self.namespace)
            .field("zone", &self.zone())
            .field("classifier_word", &self.classifier_word())
            .field("breakers", &self.breakers)
            .finish()
    }
}

impl FleetConfig {
    /// The address of the store, from the file or from the environment variable that it names.
    ///
    /// It may contain a password. No error and no `Debug` output of this package shows it.
    ///
    /// # Errors
    /// The environment variable isn't set, or it has no address.
    pub fn address(&self) -> Result<String, ConfigError> {
        let variable = match (&self.keys.address, &self.keys.address_from) {
            (Some(address), _) => return Ok(address.0.clone()),
            (None, variable) => variable.as_deref().unwrap_or_default(),
        };
        let at = "fleet.address_from";
        let Ok(found) = std::env::var(variable) else {
            return Err(ConfigError::new(
                at,
                format!("{:?}", shown(variable)),
                "the name of an environment variable that is set",
                "set it to the store's address, or write the address under fleet.address",
            ));
        };
        let address = Address(found);
        address.check(at)?;
        Ok(address.0)
    }

    /// The name that all members share.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The zone, or an empty text if the file names none.
    #[must_use]
    pub fn zone(&self) -> &str {
        self.keys.zone.as_deref().unwrap_or_default()
    }

    /// The word that stands for what counts as a failure, or an empty text.
    #[must_use]
    pub fn classifier_word(&self) -> &str {
        self.keys.classifier_word.as_deref().unwrap_or_default()
    }

    /// The names of the breakers that join, in the order of the file.
    pub fn breakers(&self) -> impl Iterator<Item = &str> {
        self.breakers.iter().map(String::as_str)
    }

    /// Whether the breaker of this name joins.
    #[must_use]
    pub fn joins(&self, name: &str) -> bool {
        self.breakers.iter().any(|it| it == name)
    }

    /// Refuses a change that a running member can't follow. `now` is the fleet of the changed file.
    ///
    /// A member can follow another `join`. With another address, namespace, zone or classifier word
    /// it would be a member of other fleets, so that needs a restart. So do a fleet that comes or
    /// goes.
    ///
    /// ```
    /// use tripcurve_config::Config;
    ///
    /// let read = |zone| toml::from_str::<Config>(&format!(
    ///     "fleet = {{ address_from = 'REDIS_URL', namespace = 'shop', zone = '{zone}' }}"
    /// ));
    /// let (before, now) = (read("a")?.fleet()?.unwrap(), read("b")?.fleet()?.unwrap());
    /// assert_eq!(
    ///     before.check_change(Some(&now)).unwrap_err().to_string(),
    ///     "fleet.zone: \"b\" is not \"a\", as when this process started; restart it to change that"
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first setting that can't change while the process runs.
    pub fn check_change(&self, now: Option<&Self>) -> Result<(), ConfigError> {
        let hint = "restart it to change that";
        let Some(now) = now else {
            let expected = "there as when this process started";
            return Err(ConfigError::new("fleet", "nothing", expected, hint));
        };
        if now.keys.address != self.keys.address || now.keys.address_from != self.keys.address_from
        {
            let expected = "the one with which this process started";
            return Err(ConfigError::new("fleet.address", "another", expected, hint));
        }
        for (at, now, before) in [
            ("fleet.namespace", now.namespace(), self.namespace()),
            ("fleet.zone", now.zone(), self.zone()),
            (
                "fleet.classifier_word",
                now.classifier_word(),
                self.classifier_word(),
            ),
        ] {
            if now != before {
                let expected = format!("{:?}, as when this process started", shown(before));
                let now = format!("{:?}", shown(now));
                return Err(ConfigError::new(at, now, expected, hint));
            }
        }
        Ok(())
    }
}

impl Config {
    /// The fleet of the file, or `None` if it has no `fleet`.
    ///
    /// ```
    /// use tripcurve_config::Config;
    ///
    /// let config: Config = toml::from_str(r#"
    ///     [fleet]
    ///     address = "redis://127.0.0.1:6379/"
    ///     namespace = "shop"
    ///     zone = "eu-1a"
    ///     join = ["payments", "search-*"]
    ///
    ///     [breakers.payments]
    ///     [breakers.search-eu]
    ///     [breakers.mail]
    /// "#)?;
    /// let fleet = config.fleet()?.expect("the file has one");
    /// assert_eq!(fleet.breakers().collect::<Vec<_>>(), ["payments", "search-eu"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A breaker can join if it trips on evidence, as breakers do that name no policy. A pattern
    /// passes over the others.
    ///
    /// # Errors
    /// A setting makes no sense, `join` names a breaker that the file hasn't, or a breaker that
    /// it names can't join.
    pub fn fleet(&self) -> Result<Option<FleetConfig>, ConfigError> {
        let Some(keys) = &self.fleet else {
            return Ok(None);
        };
        match (&keys.address, &keys.address_from) {
            (Some(address), None) => address.check("fleet.address")?,
            (None, Some(variable)) if !variable.is_empty() => {}
            (found, _) => {
                let found = if found.is_some() { "both" } else { "nothing" };
                return Err(ConfigError::new(
                    "fleet.address",
                    found,
                    "one of address and address_from",
                    "set address_from to the name of an environment variable, or address itself",
                ));
            }
        }
        let namespace = keys.namespace.clone().unwrap_or_default();
        if namespace.is_empty() {
            return Err(ConfigError::new(
                "fleet.namespace",
                "nothing",
                "a name that all members share",
                "the name of the application suits",
            ));
        }
        Ok(Some(FleetConfig {
            keys: FleetKeys::clone(keys),
            namespace,
            breakers: self.joining(keys)?,
        }))
    }

    /// The names of the breakers that join.
    fn joining(&self, keys: &FleetKeys) -> Result<Vec<String>, ConfigError> {
        let all = [String::from("*")];
        let patterns = keys.join.as_deref().unwrap_or(&all);
        for (index, pattern) in patterns.iter().enumerate() {
            let at = || format!("fleet.join[{index}]");
            // Without `join` a file may have no breaker that can join, such as one of registries.
            if keys.join.is_some() && !self.names().any(|name| pattern::fits(pattern, name)) {
                let hint = "join names breakers of the file; a * stands for any letters";
                return Err(unknown(at(), pattern, self.names(), hint));
            }
            if !pattern.contains('*') && !self.trips_on_evidence(pattern)? {
                return Err(ConfigError::new(
                    at(),
                    format!("{:?}", shown(pattern)),
                    "a breaker that trips on evidence",
                    "give it trip_when = [\"adaptive\"], or leave it out",
                ));
            }
        }
        let mut names = Vec::new();
        for name in self.names() {
            let fits = |it: &String| pattern::fits(it, name);
            if patterns.iter().any(fits) && self.trips_on_evidence(name)? {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    #[cfg(feature = "fleet")]
    fn trips_on_evidence(&self, name: &str) -> Result<bool, ConfigError> {
        Ok(self.build(name)?.fleet_port().is_ok())
    }

    /// Without the feature, no file has a fleet.
    #[cfg(not(feature = "fleet"))]
    fn trips_on_evidence(&self, name: &str) -> Result<bool, ConfigError> {
        self.builder(name).map(|_| false)
    }
}
