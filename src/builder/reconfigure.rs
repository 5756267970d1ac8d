//! Another configuration for a breaker that is in use.

use super::Builder;
use crate::breaker::CircuitBreaker;
use crate::error::ConfigError;
use crate::fittings::{Outfit, Reconfigured};
use crate::name::Shown;

impl<C> CircuitBreaker<C> {
    /// Puts other settings in the place of the present ones, while calls run.
    ///
    /// All settings are replaced together: a call sees all of the former ones or all of the new ones, and so what the
    /// builder doesn't say becomes the default. Calls that are in flight are recorded, and none is
    /// rejected for this.
    ///
    /// | setting | what becomes of it |
    /// |---|---|
    /// | [`trip_when`](Builder::trip_when) | holds from then on; what the window already holds is judged by it at once, and may trip |
    /// | [`window`](Builder::window), [`latency`](Builder::latency), [`shards`](Builder::shards), from when on a call is slow, which percentiles policies look at | if all are as before, the window is carried over with all it holds; otherwise it begins anew: a breaker that is closed or only measures enters a new generation, as it were from closed to closed |
    /// | [`recovery`](Builder::recovery), [`probes`](Builder::probes) | a recovery that is under way begins anew, half-open; other ones go by it when they come |
    /// | [`open_for`](Builder::open_for), [`backoff`](Builder::backoff) | the next open time goes by it; a present one stays as long as it is. How many recoveries have failed is carried over |
    /// | the adaptive policy | what it has learnt is carried over. If one of its settings has changed, the evidence of the moment isn't |
    /// | [`probe_timeout`](Builder::probe_timeout), [`on_cancel`](Builder::on_cancel), [`longest_retry_after`](Builder::longest_retry_after) | hold from then on, the last one also for a `Retry-After` that is noted already: when the breaker opens next, it is cut to the new bound |
    ///
    /// The breaker keeps its clock, its classifier, its listeners and how many may wait; those of the builder
    /// mean nothing here, as where it [starts](Builder::start_in) and what it restores. The state stays what it is, but for what is said above.
    ///
    /// # Errors
    /// The first setting that makes no sense, as [`build`](Builder::build) finds it, or another name than the breaker has; then nothing
    /// has changed. Never panics.
    ///
    /// # Cost
    /// Makes what `build` makes. The call path pays nothing, except for a load where the breaker isn't closed, or takes the time of
    /// calls, or a call fails. From the first reconfiguration on, each of these reads the new settings
    /// through `arc-swap`, which allocates once in a thread's life; and if the window is no longer that with which
    /// the breaker was built, so does every call.
    ///
    /// ```
    /// use tripcurve::{CircuitBreaker, Reconfigured, TripPolicy};
    ///
    /// let payments = |limit| {
    ///     CircuitBreaker::builder("payments").trip_when(TripPolicy::consecutive_failures(limit))
    /// };
    /// let breaker = payments(5).build()?;
    /// for _ in 0..3 {
    ///     let _ = breaker.call(|| Err::<(), _>("no"));
    /// }
    /// assert_eq!(breaker.reconfigure(payments(4))?, Reconfigured::WindowKept);
    /// assert_eq!(breaker.snapshot().failures(), 3);
    /// let _ = breaker.call(|| Err::<(), _>("no"));
    /// assert_eq!(breaker.state(), tripcurve::State::Open);
    /// # Ok::<(), tripcurve::ConfigError>(())
    /// ```
    pub fn reconfigure<D>(&self, settings: Builder<D>) -> Result<Reconfigured, ConfigError> {
        let outfit = self.outfit_by(settings)?;
        Ok(self.shared.core.reconfigure(outfit, &*self.shared))
    }

    /// The same, as all breakers of its registry.
    #[cfg(feature = "registry")]
    pub(crate) fn bring_into_line<D>(
        &self,
        settings: Builder<D>,
    ) -> Result<Reconfigured, ConfigError> {
        let outfit = self.outfit_by(settings)?;
        Ok(self.shared.core.bring_into_line(outfit, &*self.shared))
    }

    fn outfit_by<D>(&self, settings: Builder<D>) -> Result<Outfit, ConfigError> {
        settings.check_name(self.name())?;
        let settings = Builder {
            clock: self.shared.clock.clone(),
            ..settings
        };
        settings.outfit()
    }
}

impl<C> Builder<C> {
    /// Whether it has the name that breakers have.
    pub(crate) fn check_name(&self, name: &str) -> Result<(), ConfigError> {
        if self.name.as_str() == name {
            return Ok(());
        }
        Err(ConfigError::new(
            "name",
            format!("{:?}", self.name),
            format!("{:?}", Shown(name)),
            "a breaker keeps its name; another name is another breaker",
        ))
    }

    /// The settings of another, and what a breaker keeps.
    #[cfg(feature = "registry")]
    pub(crate) fn with_settings_of<D>(&self, other: &Builder<D>) -> Self
    where
        C: Clone,
    {
        Self {
            window: other.window.clone(),
            policies: other.policies.clone(),
            recovery: other.recovery,
            open_for: other.open_for,
            backoff: other.backoff,
            probes: other.probes,
            probe_timeout: other.probe_timeout,
            longest_retry_after: other.longest_retry_after,
            on_cancel: other.on_cancel,
            start_in: other.start_in,
            recording: other.recording,
            shards: other.shards,
            ..self.clone()
        }
    }

    #[cfg(feature = "registry")]
    pub(crate) fn name(&self) -> &str {
        self.name.as_str()
    }
}
