//! Restores a breaker from a saved state.

use std::{sync::Arc, time::Duration};

use super::CircuitBreakerBuilder;
use crate::clock::{Clock, saturating_nanos};
use crate::name::{Name, Shown};
use crate::{engine::Core, error::ConfigError, saved::SavedState};

/// The saved state to restore from.
#[derive(Clone, Debug, Default)]
pub(super) struct Restored {
    /// Shared, since a builder can be cloned.
    saved: Option<Arc<SavedState>>,
    oldest: Option<Duration>,
}

impl<C> CircuitBreakerBuilder<C> {
    /// Restores the breaker from a state that a breaker of this [name](crate::CircuitBreaker::name)
    /// has [saved](crate::CircuitBreaker::save).
    ///
    /// The breaker starts in the saved state instead of in [`start_in`](Self::start_in), as if only
    /// time had passed since. [`SavedState`] lists what is kept. A breaker that is not
    /// [enabled](Self::enabled), or [measures only](Self::metrics_only), is restored in that state.
    ///
    /// The value is never trusted. [`build`](Self::build) refuses a value that
    ///
    /// - is damaged,
    /// - belongs to another breaker,
    /// - has the format of another release,
    /// - is [too old](Self::max_state_age), or
    /// - was saved more than ten seconds in the future.
    ///
    /// The error names the reason. Without the value the builder makes a new breaker. A value that
    /// was saved under other settings is applied as far as it fits the present ones. Listeners are
    /// not told of a restored state, because it is not a transition.
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::persist::SavedState;
    ///
    /// let before = CircuitBreaker::new("payments");
    /// let _ = before.call(|| Err::<(), _>("timeout"));
    /// let saved: String = serde_json::to_string(&before.save())?;
    ///
    /// let after = CircuitBreaker::builder("payments")
    ///     .restore(serde_json::from_str::<SavedState>(&saved)?)
    ///     .build()?;
    /// assert_eq!(after.snapshot().consecutive_failures(), 1);
    ///
    /// let error = CircuitBreaker::builder("search").restore(before.save()).build().unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "restored.name: \"payments\" is not \"search\"; a breaker is restored from what it has saved itself, \
    ///      start without it"
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn restore(mut self, saved: SavedState) -> Self {
        self.fixed.restored.saved = Some(Arc::new(saved));
        self
    }

    /// Sets the maximum age of a [restored](Self::restore) value: 1 ms to 365 days, one hour by
    /// default.
    ///
    /// Open times and time windows age as time passes. So an old value is rarely wrong, but rarely
    /// useful.
    pub fn max_state_age(mut self, age: Duration) -> Self {
        self.fixed.restored.oldest = Some(age);
        self
    }
}

/// Checks for breakers by key, which can't be restored from one saved value.
#[cfg(feature = "registry")]
impl<C> CircuitBreakerBuilder<C> {
    /// Refuses to restore many breakers from what one has saved.
    pub(crate) fn check_for_many(&self) -> Result<(), ConfigError> {
        self.fixed.restored.saved.as_ref().map_or(Ok(()), |saved| {
            Err(ConfigError::new(
                "registry.template",
                format!("restored from what {:?} has saved", Shown(saved.name())),
                "a template of many",
                "leave restore() out; breakers by key start fresh",
            ))
        })
    }
}

impl Restored {
    /// Whether the builder has neither a saved value nor a maximum age.
    pub(super) fn is_none(&self) -> bool {
        self.saved.is_none() && self.oldest.is_none()
    }

    const OLDEST: Duration = Duration::from_secs(3_600);

    pub(super) fn check(&self, name: &Name, clock: &Clock) -> Result<(), ConfigError> {
        let oldest = self.oldest.unwrap_or(Self::OLDEST);
        ConfigError::check_duration(
            "max_state_age",
            oldest,
            Duration::from_secs(365 * 86_400),
            "in 1ms..=365 days",
            "1 h suits most services",
        )?;
        self.saved.as_ref().map_or(Ok(()), |saved| {
            saved.check(name, clock.system_nanos(), saturating_nanos(oldest))
        })
    }

    pub(super) fn restore(&self, mut core: Core, clock: &Clock) -> Core {
        if let Some(saved) = &self.saved {
            core.restore(&saved.core, saved.age(clock.system_nanos()), clock);
        }
        core
    }
}
