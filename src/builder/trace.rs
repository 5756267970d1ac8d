//! Events of `tracing`, as a builder asks for them.

use std::sync::Arc;

use super::CircuitBreakerBuilder;
use crate::breaker::shared::SharedBreaker;
use crate::error::ConfigError;
use crate::util::event_limit::EventLimit;

/// The events that a breaker makes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TraceSettings {
    transitions: bool,
    /// The most events for rejections in a second.
    rejections: Option<u32>,
}

impl<C> CircuitBreakerBuilder<C> {
    /// Makes an event of [`tracing`](https://docs.rs/tracing) for each transition.
    ///
    /// | part | value |
    /// |---|---|
    /// | target | `tripcurve` |
    /// | name | `circuit_breaker.transition` |
    /// | level | WARN into [open](crate::State::Open), otherwise INFO |
    /// | message | as the [transition](crate::events::Transition) displays |
    /// | `circuit_breaker.name` | the breaker's name, not escaped |
    /// | `circuit_breaker.state` | the state that was entered, as [`State::as_str`](crate::State::as_str) spells it |
    /// | `circuit_breaker.state.previous` | the state that was left |
    /// | `circuit_breaker.reason` | the [kind](crate::events::Cause::kind) of the cause |
    /// | `circuit_breaker.generation` | the generation that was entered |
    /// | `circuit_breaker.open_for` | the open time in seconds, if the breaker has opened and is still open |
    ///
    /// The event is made by a [listener](Self::on_transition), on the thread whose call made the
    /// transition. So a subscriber sees the span of that call. A subscriber that panics harms no
    /// call. The listener costs the breaker about 6 KiB, and calls nothing. The setting may be in a
    /// registry's template. `CircuitBreaker::reconfigure` refuses it.
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    ///
    /// // tracing_subscriber::fmt().init();
    /// let payments = CircuitBreaker::builder("payments").trace().build()?;
    /// payments.force_open();
    /// // INFO tripcurve: payments: closed -> forced-open, generation 1: by hand …
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn trace(mut self) -> Self {
        self.fixed.trace.transitions = true;
        self
    }

    /// Makes an event of [`tracing`](https://docs.rs/tracing) at level DEBUG for rejections.
    ///
    /// It makes at most `per_second` events in each second of the breaker's clock: at least 1.
    ///
    /// | part | value |
    /// |---|---|
    /// | target | `tripcurve` |
    /// | name | `circuit_breaker.rejection` |
    /// | message | as the [rejection](crate::Rejected) displays |
    /// | `circuit_breaker.name` | the breaker's name, not escaped |
    /// | `circuit_breaker.state` | the state that rejected the call |
    /// | `circuit_breaker.left_out` | how many rejections since the last event made none |
    ///
    /// The thread of the rejected call makes the event. A rejection then reads the clock once more,
    /// if a subscriber takes events of this level and target. Otherwise it costs some 50
    /// instructions more. Closed calls and other breakers pay nothing. A subscriber that panics
    /// harms no call. The setting may be in a registry's template. `CircuitBreaker::reconfigure`
    /// refuses it.
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    ///
    /// let payments = CircuitBreaker::builder("payments").trace().trace_rejections(10).build()?;
    /// payments.force_open();
    /// assert!(payments.try_acquire().is_err());
    /// // DEBUG tripcurve: circuit breaker payments is forced open …
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn trace_rejections(mut self, per_second: u32) -> Self {
        self.fixed.trace.rejections = Some(per_second);
        self
    }
}

impl TraceSettings {
    /// Checks the setting that has a range.
    pub(super) fn check(self) -> Result<(), ConfigError> {
        if self.rejections != Some(0) {
            return Ok(());
        }
        Err(ConfigError::new(
            "trace_rejections",
            0,
            "at least 1 a second",
            "leave it out for no events",
        ))
    }

    /// Refuses the settings for a breaker in use.
    pub(super) fn check_left_out(self) -> Result<(), ConfigError> {
        let setting = match self {
            Self {
                transitions: true, ..
            } => "trace",
            Self {
                rejections: Some(_),
                ..
            } => "trace_rejections",
            _ => return Ok(()),
        };
        Err(ConfigError::new(
            setting,
            "set",
            "left out",
            "a breaker keeps its events; ask for them where it is built",
        ))
    }

    /// Begins to make events, before any other thread knows of the breaker.
    pub(super) fn begin(self, breaker: &Arc<SharedBreaker>) {
        if let Some(per_second) = self.rejections {
            let limit = EventLimit::new(per_second);
            breaker.core.limit_rejection_events(limit);
        }
        if self.transitions {
            breaker.trace_transitions();
        }
    }
}
