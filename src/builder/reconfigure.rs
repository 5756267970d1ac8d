//! Reconfigures a breaker that is in use.

use std::time::Duration;

use super::CircuitBreakerBuilder;
use crate::clock::{Clock, saturating_nanos};
#[cfg(feature = "async")]
use crate::engine::probe_queue::ProbeQueue;
use crate::engine::{Parts, Reconfigured};
use crate::{breaker::CircuitBreaker, error::ConfigError, name::Shown, state::State};

impl<C> CircuitBreaker<C> {
    /// Replaces all settings while calls run.
    ///
    /// A call sees either all former settings or all new ones. A setting that the builder leaves
    /// out gets its default. A reconfiguration rejects no call. A call in flight is recorded if the
    /// window is kept.
    ///
    /// | setting | effect |
    /// |---|---|
    /// | [`trip_when`](CircuitBreakerBuilder::trip_when) | holds from then on. The new policies judge the present window at once, and may trip |
    /// | [`window`](CircuitBreakerBuilder::window), [`latency`](CircuitBreakerBuilder::latency), [`timing`](CircuitBreakerBuilder::timing), [`shards`](CircuitBreakerBuilder::shards), the limit for slow calls, the percentiles of the policies | if all are unchanged, the breaker keeps the window and its counts. Otherwise a breaker that is closed or only measures enters a new generation, in the same state, with the newest calls or an empty window; see [below](#another-window) |
    /// | [`recovery`](CircuitBreakerBuilder::recovery), [`probes`](CircuitBreakerBuilder::probes) | a recovery in progress starts again, half-open. Later recoveries follow the new settings |
    /// | [`open_for`](CircuitBreakerBuilder::open_for), [`backoff`](CircuitBreakerBuilder::backoff) | hold for the next open time. The present one keeps its length. The number of failed recoveries is carried over |
    /// | the adaptive policy | what it has learnt is carried over from one adaptive policy to another. If one of its settings has changed, the present evidence is dropped |
    /// | [`probe_timeout`](CircuitBreakerBuilder::probe_timeout), [`on_cancel`](CircuitBreakerBuilder::on_cancel), [`max_retry_after`](CircuitBreakerBuilder::max_retry_after) | hold from then on. The last one also holds for a `Retry-After` that is already noted: when the breaker opens next, it is cut to the new bound |
    /// | [`enabled`](CircuitBreakerBuilder::enabled), [`metrics_only`](CircuitBreakerBuilder::metrics_only) | a change switches the breaker off or on; see below |
    ///
    /// Otherwise the state stays.
    ///
    /// # Switching off and on
    /// A breaker that these settings disable, or make measure only, enters that state at once,
    /// whatever its state. When the settings change back, it closes with an empty window, as after
    /// a [reset](CircuitBreaker::reset).
    ///
    /// Only a change of a setting acts. A breaker that was [disabled by
    /// hand](CircuitBreaker::disable) stays disabled when the settings are given again unchanged.
    /// If a command has meanwhile put the breaker in another state, that state stays when the
    /// settings change back. A change of [`start_in`](CircuitBreakerBuilder::start_in) from or to a
    /// state that lasts also acts: forced open, disabled or metrics only.
    ///
    /// The latest setting or command holds. This is also true for a breaker that its `ControlGroup`
    /// has isolated: settings that switch the breaker off end its isolation.
    ///
    /// # Another window
    /// A breaker that is closed or only measures keeps its newest calls when its window changes in
    /// one of these ways:
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
    /// The new window holds as many calls as it has room for. If the calls have ages, it holds
    /// those that are young enough. It knows which calls failed and which were slow. The run of
    /// failures goes on. The new policies judge all this at once, and may trip.
    ///
    /// The age of a call is known as exactly as the former window knew it: to a bucket, or to a
    /// 64th of `within`. So a call may leave the new window early, by less than an old and a new
    /// bucket together. It never leaves late.
    ///
    /// The window doesn't take over how long calls took, how many were ignored, and the adaptive
    /// policy's present evidence. A call in flight is recorded in neither window. A call that
    /// another thread records at the moment of the change may be lost. If two reconfigurations
    /// happen at the same moment, one may leave the window empty.
    ///
    /// # What a breaker keeps
    /// The breaker keeps its name, its clock, its listeners, how many calls may wait and its
    /// classifier. `reconfigure` refuses a builder that changes one of these. The type of this
    /// method refuses a builder with a classifier.
    ///
    /// # Errors
    /// The first setting that makes no sense, as in [`build`](CircuitBreakerBuilder::build), or
    /// that can't be applied to a breaker in use:
    ///
    /// - another name, clock or number of calls that may [wait](CircuitBreakerBuilder::max_waiting)
    /// - a [listener](CircuitBreakerBuilder::on_transition)
    /// - a value to [restore](CircuitBreakerBuilder::restore), or its maximum age
    /// - [`start_in`](CircuitBreakerBuilder::start_in) with open or half-open, if the breaker has
    ///   started in another state
    ///
    /// After an error the breaker is unchanged. This method never panics.
    ///
    /// # Cost
    /// A reconfiguration makes what `build` makes.
    ///
    /// Before the first reconfiguration a closed breaker pays nothing for a call that succeeds. A
    /// call pays one load if the breaker isn't closed, if it takes the time of calls, or if the
    /// call fails.
    ///
    /// After it, each of these calls reads the new settings through `arc-swap`, which allocates
    /// once in a thread's life. If the window has been replaced, every call does.
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
        settings.check_warm_up(core.warm_up())?;
        let parts = self.parts_by(settings)?;
        Ok(self.shared.core.reconfigure(parts, &*self.shared))
    }

    /// Like [`reconfigure`](CircuitBreaker::reconfigure), for a breaker that follows its registry.
    #[cfg(feature = "registry")]
    pub(crate) fn bring_into_line<D>(
        &self,
        settings: CircuitBreakerBuilder<D>,
    ) -> Result<Reconfigured, ConfigError> {
        let parts = self.parts_by(settings)?;
        Ok(self.shared.core.bring_into_line(parts, &*self.shared))
    }

    fn parts_by<D>(&self, mut settings: CircuitBreakerBuilder<D>) -> Result<Parts, ConfigError> {
        settings.check_name(self.name())?;
        settings.fixed.clock.clone_from(&self.shared.clock);
        settings.parts()
    }
}

impl<C> CircuitBreakerBuilder<C> {
    /// Refuses a name other than the breaker's.
    pub(crate) fn check_name(&self, name: &str) -> Result<(), ConfigError> {
        if self.fixed.name.as_str() == name {
            return Ok(());
        }
        Err(ConfigError::new(
            "name",
            format!("{:?}", self.fixed.name),
            format!("{:?}", Shown(name)),
            "a breaker keeps its name; another name is another breaker",
        ))
    }

    /// Refuses a clock other than the breaker's.
    pub(crate) fn check_clock(&self, own: &Clock) -> Result<(), ConfigError> {
        if !self.fixed.clock.differs_from(own) {
            return Ok(());
        }
        Err(ConfigError::new(
            "clock",
            "another clock",
            "the breaker's own",
            "a breaker keeps its clock; leave clock() out",
        ))
    }

    /// Refuses a number of waiting calls other than the breaker's.
    #[cfg(feature = "async")]
    pub(crate) fn check_max_waiting(&self, own: Option<u32>) -> Result<(), ConfigError> {
        let Some(max) = self.fixed.max_waiting.filter(|max| own != Some(*max)) else {
            return Ok(());
        };
        Err(ConfigError::new(
            "max_waiting",
            max,
            own.map_or("left out".to_owned(), |own| own.to_string()),
            "a breaker keeps how many may wait; another number takes another breaker",
        ))
    }

    /// Refuses settings that a breaker in use can't take.
    pub(crate) fn check_what_cannot_change(&self) -> Result<(), ConfigError> {
        if !self.fixed.listeners.is_empty() {
            return Err(ConfigError::new(
                "on_transition",
                format!("set {} times", self.fixed.listeners.len()),
                "left out",
                "a breaker keeps its listeners; add them where it is built",
            ));
        }
        if !self.fixed.would_trip.is_empty() {
            return Err(ConfigError::new(
                "on_would_trip",
                format!("set {} times", self.fixed.would_trip.len()),
                "left out",
                "a breaker keeps its listeners; add them where it is built",
            ));
        }
        #[cfg(feature = "tracing")]
        self.fixed.trace.check_left_out()?;
        #[cfg(feature = "registry")]
        if self.rolls() > 0 {
            return Err(ConfigError::new(
                "enlist",
                format!("set {} times", self.rolls()),
                "left out",
                "a breaker stays on its rosters; enlist it where it is built",
            ));
        }
        #[cfg(feature = "serde")]
        if !self.fixed.restored.is_none() {
            return Err(ConfigError::new(
                "restored",
                "set",
                "left out",
                "a breaker in use restores nothing; leave restore() and max_state_age() out",
            ));
        }
        Ok(())
    }

    /// Refuses a warm-up other than the breaker's.
    fn check_warm_up(&self, own: u64) -> Result<(), ConfigError> {
        let warm_up = self.tunable.warm_up;
        if warm_up.is_zero() || saturating_nanos(warm_up) == own {
            return Ok(());
        }
        Err(ConfigError::new(
            "warm_up",
            format!("{warm_up:?}"),
            format!(
                "{:?}, which the breaker was built with",
                Duration::from_nanos(own)
            ),
            "a breaker warms up once; leave it out",
        ))
    }

    /// Refuses to start open or half-open, unless the breaker has started so. States that last are
    /// accepted.
    fn check_start(&self, started_in: State) -> Result<(), ConfigError> {
        match self.tunable.start_in {
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

    /// Combines the settings of `other` with what a breaker of this builder keeps.
    #[cfg(feature = "registry")]
    pub(crate) fn with_settings_of<D>(&self, other: &CircuitBreakerBuilder<D>) -> Self
    where
        C: Clone,
    {
        Self {
            tunable: other.tunable.clone(),
            ..self.clone()
        }
    }

    /// Refuses a template that would change what breakers keep.
    #[cfg(feature = "registry")]
    pub(crate) fn check_kept_by<D>(
        &self,
        other: &CircuitBreakerBuilder<D>,
    ) -> Result<(), ConfigError> {
        other.check_clock(&self.fixed.clock)?;
        #[cfg(feature = "async")]
        other.check_max_waiting(self.fixed.max_waiting)?;
        Ok(())
    }

    #[cfg(feature = "registry")]
    pub(crate) fn name(&self) -> &str {
        self.fixed.name.as_str()
    }
}
