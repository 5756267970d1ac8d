//! A breaker for each key, such as a host.

use std::{fmt, hash::Hash};

use super::breakers::BreakerSource;
use super::{CircuitBreakerLayer, RejectWhileOpen};
use crate::{breaker::CircuitBreaker, registry::Registry};

/// Finds the breaker of a request in a registry, by the request's key; made by
/// [`CircuitBreakerLayer::key_by`].
pub struct BreakerByKey<K, F, D> {
    registry: Registry<K, D>,
    key: F,
    /// The breaker of requests without a key.
    others: CircuitBreaker<D>,
}

impl<R, C, D> CircuitBreakerLayer<R, C, CircuitBreaker<D>, RejectWhileOpen> {
    /// Takes the breaker of each request from `registry`, by a key of the request.
    ///
    /// `key` returns the registry's key, or an `Option` of it. A request without a key belongs to
    /// the breaker of [`new`](Self::new). Only a request tells its breaker, so `poll_ready` asks
    /// the inner service alone, and `call` asks the breaker. A layer with keys has no
    /// [`backpressure`](Self::backpressure), and an inner service that is not ready holds up the
    /// requests of all keys. Put a `load_shed` inside the layer if it may be held up for long. An
    /// error of `poll_ready` counts for nothing here.
    ///
    /// # Cost
    /// A lookup in the registry for each call. A key that is cheap to clone allocates nothing, such
    /// as `http::uri::Authority`. A `String` allocates.
    ///
    /// ```
    /// use tower::{Layer, ServiceExt};
    /// use tripcurve::registry::Registry;
    /// use tripcurve::tower::CircuitBreakerLayer;
    /// use tripcurve::{CircuitBreaker, State};
    ///
    /// struct Request {
    ///     tenant: Option<u32>,
    /// }
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let tenants = Registry::<u32>::builder(CircuitBreaker::builder("tenants")).build()?;
    /// let layer = CircuitBreakerLayer::new(&CircuitBreaker::new("other requests"))
    ///     .key_by(&tenants, |request: &Request| request.tenant);
    /// let fetch = tower::service_fn(|_: Request| async { Ok::<_, String>(42) });
    /// let client = layer.layer(fetch);
    ///
    /// tenants.get_or_create(&7).force_open();
    /// assert!(client.clone().oneshot(Request { tenant: Some(7) }).await.is_err());
    /// assert_eq!(client.clone().oneshot(Request { tenant: Some(8) }).await, Ok(42));
    /// assert_eq!(client.oneshot(Request { tenant: None }).await, Ok(42));
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// # }).unwrap();
    /// ```
    pub fn key_by<K, Request, Q, F>(
        self,
        registry: &Registry<K, D>,
        key: F,
    ) -> CircuitBreakerLayer<R, C, BreakerByKey<K, F, D>, RejectWhileOpen>
    where
        F: Fn(&Request) -> Q,
        Q: Into<Option<K>>,
    {
        self.with_breakers(|others| BreakerByKey {
            registry: registry.clone(),
            key,
            others,
        })
    }
}

impl<Request, K, Q, F, D> BreakerSource<Request> for BreakerByKey<K, F, D>
where
    K: Hash + Eq + Clone,
    F: Fn(&Request) -> Q,
    Q: Into<Option<K>>,
    D: Clone,
{
    type Own = D;

    fn breaker_of_all(&self) -> Option<&CircuitBreaker<D>> {
        None
    }

    fn with_breaker_of<T>(
        &self,
        request: &Request,
        make_call: impl FnOnce(&CircuitBreaker<D>) -> T,
    ) -> T {
        match (self.key)(request).into() {
            Some(key) => make_call(&self.registry.get_or_create(&key)),
            None => make_call(&self.others),
        }
    }
}

impl<K, F: Clone, D: Clone> Clone for BreakerByKey<K, F, D> {
    fn clone(&self) -> Self {
        Self {
            registry: self.registry.clone(),
            key: self.key.clone(),
            others: self.others.clone(),
        }
    }
}

impl<K: Hash + Eq, F, D> fmt::Debug for BreakerByKey<K, F, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerByKey")
            .field("registry", &self.registry)
            .field("others", &self.others)
            .finish_non_exhaustive()
    }
}
