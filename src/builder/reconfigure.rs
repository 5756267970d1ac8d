//! Another configuration for a breaker that is in use.

use super::CircuitBreakerBuilder;
use crate::breaker::CircuitBreaker;
use crate::clock::Clock;
#[cfg(feature = "async")]
use crate::engine::probe_queue::ProbeQueue;
use crate::engine::{Parts, Reconfigured};
use crate::error::ConfigError;
use crate::name::Shown;
use crate::state::State;

impl<C> CircuitBreaker<C> {
    /// Puts other settings in the place of the present ones, while calls run.
    ///
    /// All settings are replaced together: a call sees all of the former ones or all of the new ones, and so what the
    /// builder doesn't say becomes the default. No call is rejected for this. A call that is in flight is
    /// recorded if the window is kept.
    ///
    /// | setting | what becomes of it |
    /// |---|---|
    /// | [`trip_when`](CircuitBreakerBuilder::trip_when) | holds from then on; what the window already holds is judged by it at once, and may trip |
    /// | [`window`](CircuitBreakerBuilder::window), [`latency`](CircuitBreakerBuilder::latency), [`shards`](CircuitBreakerBuilder::shards), from when on a call is slow, which percentiles policies look at | if all are as before, the window is carried over with all it holds; otherwise a breaker that is closed or only measures enters a new generation, as it were from closed to closed, with the newest calls or an empty window; see [below](#another-window) |
    /// | [`recovery`](CircuitBreakerBuilder::recovery), [`probes`](CircuitBreakerBuilder::probes) | a recovery that is under way begins anew, half-open; other ones go by it when they come |
    /// | [`open_for`](CircuitBreakerBuilder::open_for), [`backoff`](CircuitBreakerBuilder::backoff) | the next open time goes by it; a present one stays as long as it is. How many recoveries have failed is carried over |
    /// | the adaptive policy | what it has learnt is carried over. If one of its settings has changed, the evidence of the moment isn't |
    /// | [`probe_timeout`](CircuitBreakerBuilder::probe_timeout), [`on_cancel`](CircuitBreakerBuilder::on_cancel), [`max_retry_after`](CircuitBreakerBuilder::max_retry_after) | hold from then on, the last one also for a `Retry-After` that is noted already: when the breaker opens next, it is cut to the new bound |
    /// | [`enabled`](CircuitBreakerBuilder::enabled), [`metrics_only`](CircuitBreakerBuilder::metrics_only) | a change switches the breaker off or on, see below |
    ///
    /// The state stays what it is, but for what is said here.
    ///
    /// # Switching off and on
    /// A breaker that is disabled or made to measure only by these settings enters that state at once,
    /// whatever state it is in. When they change back, it closes with an empty window, as after a
    /// [reset](CircuitBreaker::reset). Only a change acts: a breaker that was
    /// [disabled by hand](CircuitBreaker::disable) stays disabled when the settings are given again unchanged.
    /// Another state that was entered by hand in the meantime stays when the settings change back. A
    /// change of [`start_in`](CircuitBreakerBuilder::start_in) from or to a state that lasts acts alike: forced open,
    /// disabled or metrics only. The latest of settings and commands holds, also for a breaker that its
    /// `ControlGroup` has isolated: settings that switch it off end the isolation of this breaker.
    ///
    /// # Another window
    /// A window of another shape takes over the newest calls of the former one in these cases, if
    /// the breaker is closed or only measures:
    ///
    /// - from one time window to another, whatever their lengths, buckets and shards are
    /// - from the last n calls to the last m
    /// - from the last n calls [within](crate::CountWindow::within) a time to the last m, within
    ///   another time or not
    ///
    /// In each case both windows must have the same limit for slow calls, or none. Otherwise the
    /// new window begins empty, and so does a window that comes while the breaker is open,
    /// half-open or disabled.
    ///
    /// The new window holds as many calls as it has room for, and of those with an age the ones
    /// that are young enough. It knows which calls failed and which were slow. The run of failures
    /// goes on. The new policies judge all this at once, and may trip.
    ///
    /// The age of a call is known as exactly as the former window knew it: to a bucket, or to a
    /// 64th of `within`. So a call may leave the new window early, by less than an old and a new
    /// bucket together. It never leaves late.
    ///
    /// The window doesn't take over how long calls took, how many were ignored, and the adaptive
    /// policy's evidence of the moment. A call that is in flight is recorded in neither window. A
    /// call that another thread records at the moment of the change may be lost. Of two
    /// reconfigurations at the same moment, one may leave the window empty.
    ///
    /// # What a breaker keeps
    /// The breaker keeps its name, its clock, its listeners, how many may wait and its classifier. A builder that
    /// says something else is refused; the type of this method refuses one with a classifier.
    ///
    /// # Errors
    /// The first setting that makes no sense, as [`build`](CircuitBreakerBuilder::build) finds it, or that can't be applied to a
    /// breaker in use: another name, clock or number that may [wait](CircuitBreakerBuilder::max_waiting), a
    /// [listener](CircuitBreakerBuilder::on_transition), a value to [restore](CircuitBreakerBuilder::restore) or the age that one may have, and
    /// [`start_in`](CircuitBreakerBuilder::start_in) with open or half-open where the breaker has not started so. Then nothing has
    /// changed. Never panics.
    ///
    /// # Cost
    /// Makes what `build` makes. The call path pays nothing, except for a load where the breaker isn't closed, or takes the time of
    /// calls, or a call fails. From the first reconfiguration on, each of these reads the new settings
    /// through `arc-swap`, which allocates once in a thread's life; and if the window is no longer that with which
    /// the breaker was built, so does every call.
    ///
    /// ```
    /// use tripcurve::persist::Reconfigured;
    /// use tripcurve::{CircuitBreaker, TripPolicy};
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
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn reconfigure(
        &self,
        settings: CircuitBreakerBuilder,
    ) -> Result<Reconfigured, ConfigError> {
        let core = &self.shared.core;
        settings.check_clock(&self.shared.clock)?;
        #[cfg(feature = "async")]
        settings.check_max_waiting(core.probe_queue().map(ProbeQueue::max))?;
        settings.check_what_cannot_change()?;
        settings.check_start(core.started_in())?;
        let parts = self.parts_by(settings)?;
        Ok(self.shared.core.reconfigure(parts, &*self.shared))
    }

    /// The same, as all breakers of its registry.
    #[cfg(feature = "registry")]
    pub(crate) fn bring_into_line<D>(
        &self,
        settings: CircuitBreakerBuilder<D>,
    ) -> Result<Reconfigured, ConfigError> {
        let parts = self.parts_by(settings)?;
        Ok(self.shared.core.bring_into_line(parts, &*self.shared))
    }

    fn parts_by<D>(&self, settings: CircuitBreakerBuilder<D>) -> Result<Parts, ConfigError> {
        settings.check_name(self.name())?;
        let settings = CircuitBreakerBuilder {
            clock: self.shared.clock.clone(),
            ..settings
        };
        settings.parts()
    }
}

impl<C> CircuitBreakerBuilder<C> {
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

    /// Refuses another clock than the breaker's.
    pub(crate) fn check_clock(&self, own: &Clock) -> Result<(), ConfigError> {
        if !self.clock.differs_from(own) {
            return Ok(());
        }
        Err(ConfigError::new(
            "clock",
            "another clock",
            "the breaker's own",
            "a breaker keeps its clock; leave clock() out",
        ))
    }

    /// Refuses another number of callers that may wait than the breaker has.
    #[cfg(feature = "async")]
    pub(crate) fn check_max_waiting(&self, own: Option<u32>) -> Result<(), ConfigError> {
        let Some(max) = self.max_waiting.filter(|max| own != Some(*max)) else {
            return Ok(());
        };
        Err(ConfigError::new(
            "max_waiting",
            max,
            own.map_or("left out".to_owned(), |own| own.to_string()),
            "a breaker keeps how many may wait; another number takes another breaker",
        ))
    }

    /// Refuses settings that mean nothing to a breaker in use.
    pub(crate) fn check_what_cannot_change(&self) -> Result<(), ConfigError> {
        if !self.listeners.is_empty() {
            return Err(ConfigError::new(
                "on_transition",
                format!("set {} times", self.listeners.len()),
                "left out",
                "a breaker keeps its listeners; add them where it is built",
            ));
        }
        #[cfg(feature = "serde")]
        if !self.restored.is_none() {
            return Err(ConfigError::new(
                "restored",
                "set",
                "left out",
                "a breaker in use restores nothing; leave restore() and max_state_age() out",
            ));
        }
        Ok(())
    }

    /// Refuses a state to start in that would mean nothing, since the breaker has started in another. States
    /// that last do mean something.
    fn check_start(&self, started_in: State) -> Result<(), ConfigError> {
        match self.start_in {
            Some(state @ (State::Open | State::HalfOpen)) if state != started_in => {
                Err(ConfigError::new(
                    "start_in",
                    state,
                    format!("{started_in}, in which the breaker has started"),
                    "a breaker in use does not start again; trip() opens it",
                ))
            }
            _ => Ok(()),
        }
    }

    /// The settings of another, and what a breaker keeps.
    #[cfg(feature = "registry")]
    pub(crate) fn with_settings_of<D>(&self, other: &CircuitBreakerBuilder<D>) -> Self
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
            max_retry_after: other.max_retry_after,
            on_cancel: other.on_cancel,
            start_in: other.start_in,
            enabled: other.enabled,
            metrics_only: other.metrics_only,
            recording: other.recording,
            shards: other.shards,
            ..self.clone()
        }
    }

    /// Refuses another template that says something else of what breakers keep.
    #[cfg(feature = "registry")]
    pub(crate) fn check_kept_by<D>(
        &self,
        other: &CircuitBreakerBuilder<D>,
    ) -> Result<(), ConfigError> {
        other.check_clock(&self.clock)?;
        #[cfg(feature = "async")]
        other.check_max_waiting(self.max_waiting)?;
        Ok(())
    }

    #[cfg(feature = "registry")]
    pub(crate) fn name(&self) -> &str {
        self.name.as_str()
    }
}
