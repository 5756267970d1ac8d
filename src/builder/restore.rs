//! Beginning with what was saved.

use std::sync::Arc;
use std::time::Duration;

use super::CircuitBreakerBuilder;
use crate::clock::{Clock, saturating_nanos};
use crate::engine::Core;
use crate::error::ConfigError;
use crate::name::{Name, Shown};
use crate::saved::SavedState;

/// What a breaker is to begin with.
#[derive(Clone, Debug, Default)]
pub(super) struct Restored {
    /// Shared, since a builder can be cloned.
    saved: Option<Arc<SavedState>>,
    oldest: Option<Duration>,
}

impl<C> CircuitBreakerBuilder<C> {
    /// Lets the breaker begin with what one of the same [name](crate::CircuitBreaker::name) has
    /// [saved](crate::CircuitBreaker::save), instead of in [`start_in`](Self::start_in): in its state, and as if
    /// only time had passed since. See [`SavedState`] for what is kept. A breaker that is not
    /// [enabled](Self::enabled), or [measures only](Self::metrics_only), is restored in that state.
    ///
    /// The value is never trusted: [`build`](Self::build) refuses one that is damaged, of another breaker, of
    /// another release's making, [too old](Self::max_state_age), or saved more than ten seconds in the
    /// future. The error says which, and the builder without it starts anew. What was saved under other
    /// settings is taken as far as it makes sense under these. Listeners are told nothing, for no state changes.
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
        self.restored.saved = Some(Arc::new(saved));
        self
    }

    /// How long ago what is [restored](Self::restore) may have been saved: 1 ms to 365 days; an hour, where
    /// nothing else is said.
    ///
    /// Open times and time windows age as the time passes, so what is older is seldom wrong but seldom of use.
    pub fn max_state_age(mut self, age: Duration) -> Self {
        self.restored.oldest = Some(age);
        self
    }
}

/// Breakers by key have no value of their own to be restored from.
#[cfg(feature = "registry")]
impl<C> CircuitBreakerBuilder<C> {
    /// Refuses to restore many breakers from what one has saved.
    pub(crate) fn check_for_many(&self) -> Result<(), ConfigError> {
        self.restored.saved.as_ref().map_or(Ok(()), |saved| {
            Err(ConfigError::new(
                "registry.template",
                format!("restored from what {:?} has saved", Shown(saved.name())),
                "a template of many",
                "leave restore() out; breakers by key begin anew",
            ))
        })
    }
}

impl Restored {
    /// Whether the builder has neither a saved value nor a largest age for one.
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

    pub(super) fn restore(&self, core: &mut Core, clock: &Clock) {
        if let Some(saved) = &self.saved {
            core.restore(&saved.core, saved.age(clock.system_nanos()), clock);
        }
    }
}
