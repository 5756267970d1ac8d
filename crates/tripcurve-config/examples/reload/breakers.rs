//! The breakers of a service that come from a file: two by name, and one for each tenant.

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
    /// What is wrong in the file, and where.
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

    /// Lets the breakers be as the file says, while calls run, and says what that means to those with a name.
    /// Of a file with a mistake nothing is taken.
    ///
    /// # Errors
    ///
    /// What is wrong in the file, and where.
    pub(crate) fn apply(&self, file: &str) -> Result<[(&str, Reconfigured); 2], String> {
        let config = read(file)?;
        let apply = || {
            // All are looked up before any is changed. A file that lacks one is a mistake, since it is needed.
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

    /// Which breakers the file has that nobody asks for: a name that is misspelt, or meant for another service.
    pub(crate) fn unused(&self, file: &str) -> Vec<String> {
        let known = [self.payments.name(), self.search.name()];
        let config = read(file).unwrap_or_default();
        let names = config.names().filter(|name| !known.contains(name));
        names.map(str::to_owned).collect()
    }
}

fn read(file: &str) -> Result<Config, String> {
    let config: Config = toml::from_str(file).map_err(|error| error.to_string())?;
    // Those that this service doesn't use as well: who writes the file wants to know.
    config.check().map_err(|error| error.to_string())?;
    Ok(config)
}
