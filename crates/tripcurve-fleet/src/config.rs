//! A member as a configuration file describes it.

use std::{error, fmt};

use tripcurve::CircuitBreaker;
use tripcurve::error::ConfigError;
use tripcurve_config::{Config, FleetConfig};

use crate::member::{Fleet, FleetBuilder, JoinError, SpawnError};
use crate::redis::RedisStore;
use crate::store::StoreError;

/// A configuration file's fleet can't start.
#[derive(Debug)]
#[non_exhaustive]
pub enum FromConfigError {
    /// The file has a mistake.
    File(ConfigError),
    /// The store's address makes no sense.
    Address(StoreError),
    /// The member can't start.
    Spawn(SpawnError),
    /// A breaker can't join.
    Join(JoinError),
}

impl fmt::Display for FromConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Address(_) => f.write_str(
                "fleet.address: isn't an address of Redis; expected one like \
                 redis://10.0.0.1:6379/, or rediss:// with the feature `tls` of tripcurve-fleet",
            ),
            Self::Spawn(error) => error.fmt(f),
            Self::Join(error) => error.fmt(f),
        }
    }
}

impl error::Error for FromConfigError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::File(error) => error.source(),
            Self::Address(error) => Some(error),
            Self::Spawn(error) => error.source(),
            Self::Join(error) => error.source(),
        }
    }
}

impl Fleet {
    /// Starts the member that a file describes, and lets breakers join as the file says.
    ///
    /// The future is ready when the fleets' states are known, or when it is known that the store
    /// doesn't answer: after 1.5 s at most. Returns `None` if the file has no `fleet`. Breakers
    /// that the file's `join` doesn't name don't join. For listeners, or breakers with different
    /// classifiers, use [`builder_from`](Self::builder_from) and
    /// [`follow_config`](Self::follow_config).
    ///
    /// ```
    /// use tripcurve_config::Config;
    /// use tripcurve_fleet::Fleet;
    ///
    /// # let executor = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// # executor.block_on(async {
    /// let config: Config = toml::from_str(r#"
    ///     [fleet]
    ///     address = "redis://127.0.0.1:1/"
    ///     namespace = "shop"
    ///
    ///     [breakers.payments]
    /// "#)?;
    /// config.check()?;
    /// let payments = config.build("payments")?;
    /// let fleet = Fleet::from_config(&config, [&payments]).await?.expect("the file has a fleet");
    /// assert_eq!(&*fleet.status().breakers[0].name, "payments");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The file has a mistake, there is no runtime, or a breaker can't join.
    ///
    /// # Panics
    /// The runtime has no timers.
    pub async fn from_config<'a, C: 'a>(
        config: &Config,
        breakers: impl IntoIterator<Item = &'a CircuitBreaker<C>>,
    ) -> Result<Option<Self>, FromConfigError> {
        let Some(config) = config.fleet().map_err(FromConfigError::File)? else {
            return Ok(None);
        };
        let fleet = Self::builder_from(&config)?.spawn();
        let fleet = fleet.map_err(FromConfigError::Spawn)?;
        let followed = fleet.follow_config(&config, breakers).await;
        followed.map_err(FromConfigError::Join)?;
        Ok(Some(fleet))
    }

    /// Begins to configure the member that a file describes.
    ///
    /// # Errors
    /// The store's address makes no sense, or the file's environment variable isn't set.
    ///
    /// # Panics
    /// There is no runtime of tokio.
    pub fn builder_from(config: &FleetConfig) -> Result<FleetBuilder<RedisStore>, FromConfigError> {
        let address = config.address().map_err(FromConfigError::File)?;
        let store = RedisStore::open(&address).map_err(FromConfigError::Address)?;
        Ok(Self::builder(config.namespace())
            .zone(config.zone())
            .classifier_word(config.classifier_word())
            .store(store))
    }

    /// Lets breakers join and leave as a file says. Call it again when the file has changed.
    ///
    /// Of these breakers, those that the file's `join` doesn't name leave. The others join, if they
    /// haven't. The future is ready when their fleets' states are known, or when it is known that
    /// the store doesn't answer.
    ///
    /// No other part of the file's fleet can change while the process runs. Refuse such a file with
    /// [`FleetConfig::check_change`], before you change anything:
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve_config::{Config, FleetConfig};
    /// use tripcurve_fleet::Fleet;
    ///
    /// async fn reload(
    ///     text: &str,
    ///     started_with: &FleetConfig,
    ///     fleet: &Fleet,
    ///     payments: &CircuitBreaker,
    /// ) -> Result<(), Box<dyn std::error::Error>> {
    ///     let config: Config = toml::from_str(text)?;
    ///     config.check()?;
    ///     let settings = config.builder("payments")?;
    ///     let now = config.fleet()?;
    ///     started_with.check_change(now.as_ref())?;
    ///     // From here on the file is applied.
    ///     payments.reconfigure(settings)?;
    ///     if let Some(now) = now {
    ///         fleet.follow_config(&now, [payments]).await?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// A breaker can't join. Then none of these has joined or left.
    pub async fn follow_config<'a, C: 'a>(
        &self,
        config: &FleetConfig,
        breakers: impl IntoIterator<Item = &'a CircuitBreaker<C>>,
    ) -> Result<(), JoinError> {
        let (join, leave): (Vec<_>, Vec<_>) = breakers
            .into_iter()
            .partition(|breaker| config.joins(breaker.name()));
        let status = self.status();
        let has_joined = |name: &str| status.breakers.iter().any(|it| *it.name == *name);
        let (_, new): (Vec<_>, Vec<_>) = join
            .into_iter()
            .partition(|breaker| has_joined(breaker.name()));
        for (index, breaker) in new.iter().enumerate() {
            breaker.fleet_port().map_err(JoinError::NotAdaptive)?;
            if new[..index].iter().any(|it| it.name() == breaker.name()) {
                return Err(JoinError::NameTaken(breaker.name().to_owned()));
            }
        }
        for breaker in leave {
            self.leave(breaker);
        }
        let joining: Result<Vec<_>, _> = new.iter().map(|breaker| self.join(breaker)).collect();
        for joining in joining? {
            let _ = joining.await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;
    use crate::member::StoreStatus;
    use crate::memory::MemoryStore;

    const STORE: &str = "namespace = 'shop'\naddress = 'redis://127.0.0.1:1/'";

    fn config(fleet: &str) -> Config {
        let breakers = "[breakers.payments]\n[breakers.search]\n[breakers.mail]\n\
                        trip_when = ['classic']";
        toml::from_str(&format!("[fleet]\n{fleet}\n{breakers}")).unwrap()
    }

    fn fleet(settings: &str) -> FleetConfig {
        config(&format!("{STORE}\n{settings}"))
            .fleet()
            .unwrap()
            .unwrap()
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(future)
    }

    fn joined(fleet: &Fleet) -> Vec<String> {
        let breakers = fleet.status().breakers.into_iter();
        breakers.map(|it| it.name.to_string()).collect()
    }

    #[test]
    fn one_call_starts_a_member_whose_breakers_have_joined() {
        run(async {
            let config = config(STORE);
            let names = ["payments", "search", "mail"];
            let breakers = names.map(|it| config.build(it).unwrap());
            let fleet = Fleet::from_config(&config, &breakers)
                .await
                .unwrap()
                .unwrap();
            assert_eq!(joined(&fleet), ["payments", "search"]);
            // Nobody listens there.
            assert_ne!(fleet.status().store, StoreStatus::Connected);
        });
    }

    #[test]
    fn a_file_without_a_fleet_starts_none() {
        let none = run(Fleet::from_config::<tripcurve::outcome::DefaultClassifier>(
            &Config::default(),
            [],
        ));
        assert!(none.unwrap().is_none());
    }

    #[test]
    fn a_changed_file_lets_breakers_join_and_leave() {
        run(async {
            let member = Fleet::builder("shop")
                .store(MemoryStore::new())
                .spawn()
                .unwrap();
            let config = config(STORE);
            let breakers = ["payments", "search"].map(|it| config.build(it).unwrap());
            for (join, expected) in [
                ("join = ['payments']", vec!["payments"]),
                ("", vec!["payments", "search"]),
                ("join = ['search']", vec!["search"]),
                ("join = []", vec![]),
            ] {
                member.follow_config(&fleet(join), &breakers).await.unwrap();
                assert_eq!(joined(&member), expected, "{join}");
            }
        });
    }

    #[test]
    fn a_breaker_that_cannot_join_changes_nothing() {
        run(async {
            let member = Fleet::builder("shop")
                .store(MemoryStore::new())
                .spawn()
                .unwrap();
            let search = CircuitBreaker::builder("search").build().unwrap();
            member.follow_config(&fleet(""), [&search]).await.unwrap();

            // The program has made another breaker than the file says.
            let classic = CircuitBreaker::builder("payments")
                .trip_when(tripcurve::TripPolicy::consecutive_failures(5))
                .build()
                .unwrap();
            let changed = fleet("join = ['payments']");
            let refused = member.follow_config(&changed, [&search, &classic]).await;
            assert!(matches!(refused, Err(JoinError::NotAdaptive(_))));
            assert_eq!(joined(&member), ["search"]);

            let twins = ["payments"; 2].map(|it| CircuitBreaker::builder(it).build().unwrap());
            let refused = member.follow_config(&changed, &twins).await;
            assert!(matches!(refused, Err(JoinError::NameTaken(_))));
            assert_eq!(joined(&member), ["search"]);
        });
    }

    #[test]
    fn a_wrong_address_is_an_error_without_the_password() {
        run(async {
            // What the file can't know: the port isn't a number.
            let address = "redis://shop:hunter2@store:six/";
            let config = config(&format!("namespace = 'shop'\naddress = '{address}'"));
            let config = config.fleet().unwrap().unwrap();
            let error = Fleet::builder_from(&config).unwrap_err();
            assert!(error.to_string().starts_with("fleet.address: "), "{error}");
            assert!(error.source().is_some(), "{error:?}");
            let mut shown = vec![format!("{error} {error:?}")];
            let mut source = error.source();
            while let Some(it) = source {
                shown.push(format!("{it} {it:?}"));
                source = it.source();
            }
            assert!(!shown.concat().contains("hunter2"), "{shown:?}");
        });
    }
}
