//! The breakers of a service, configured by a file: two by name, and one per tenant.

use tripcurve::CircuitBreaker;
use tripcurve::error::ConfigError;
use tripcurve::persist::Reconfigured;
use tripcurve::registry::Registry;
use tripcurve_config::Config;

pub(crate) struct Breakers {
    pub(crate) payments: CircuitBreaker,
    pub(crate) search: CircuitBreaker,
    pub(crate) tenants: Registry<String>,
}

impl Breakers {
    /// # Errors
    ///
    /// Returns the mistake in the file and its place.
    pub(crate) fn new(file: &str) -> Result<Self, String> {
        let config = read(file)?;
        let make = || {
            Ok(Self {
                payments: config.build("payments")?,
                search: config.build("search")?,
                tenants: Registry::builder(config.template("tenant")?).build()?,
            })
        };
        make().map_err(|error: ConfigError| error.to_string())
    }

    /// Applies the file to the breakers while calls run. Returns the effect on each named breaker.
    ///
    /// If the file has a mistake, nothing changes.
    ///
    /// # Errors
    ///
    /// Returns the mistake in the file and its place.
    pub(crate) fn apply(&self, file: &str) -> Result<[(&str, Reconfigured); 2], String> {
        let config = read(file)?;
        let apply = || {
            // All breakers are looked up before any is changed. A file that lacks one has a
            // mistake, because the service needs it.
            let payments = config.builder("payments")?;
            let search = config.builder("search")?;
            let tenant = config.template("tenant")?;
            self.tenants.reconfigure(tenant)?;
            Ok([
                (self.payments.name(), self.payments.reconfigure(payments)?),
                (self.search.name(), self.search.reconfigure(search)?),
            ])
        };
        apply().map_err(|error: ConfigError| error.to_string())
    }

    /// The breakers of the file that this service doesn't use: a misspelt name, or one for another
    /// service.
    pub(crate) fn unused(&self, file: &str) -> Vec<String> {
        let known = [self.payments.name(), self.search.name()];
        let config = read(file).unwrap_or_default();
        let names = config.names().filter(|name| !known.contains(name));
        names.map(str::to_owned).collect()
    }
}

fn read(file: &str) -> Result<Config, String> {
    let config: Config = toml::from_str(file).map_err(|error| error.to_string())?;
    // This also checks breakers that this service doesn't use, to report their mistakes.
    config.check().map_err(|error| error.to_string())?;
    Ok(config)
}
