//! The crate itself, driven by its mock clock.

use std::time::Duration;

use tripcurve::error::ConfigError;
use tripcurve::handles::OwnedPermit;
use tripcurve::time::{Clock, MockClock};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Outcome, State};

use crate::breaker::{Breaker, Nanos, Phase};

/// A breaker of the crate, and the handle that moves its clock.
#[derive(Debug)]
pub struct Ours {
    breaker: CircuitBreaker,
    hand: MockClock,
}

impl Ours {
    /// Builds a breaker with these settings.
    ///
    /// # Errors
    /// Returns an error if a setting is invalid.
    pub fn new(
        name: &'static str,
        settings: impl Fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
    ) -> Result<Self, ConfigError> {
        Self::made_at(0, name, settings)
    }

    /// Like [`new`](Self::new), at another time than the clock's origin.
    ///
    /// # Errors
    /// Returns an error if a setting is invalid.
    pub fn made_at(
        now: Nanos,
        name: &'static str,
        settings: impl Fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder,
    ) -> Result<Self, ConfigError> {
        Self::of(now, settings(CircuitBreaker::builder(name)))
    }

    /// Builds the breaker of a builder, at a time of the clock.
    ///
    /// # Errors
    /// Returns an error if a setting is invalid.
    pub fn of(now: Nanos, builder: CircuitBreakerBuilder) -> Result<Self, ConfigError> {
        let (clock, hand) = Clock::mock();
        hand.advance_to(Duration::from_nanos(now));
        let breaker = builder.clock(clock).build()?;
        Ok(Self { breaker, hand })
    }

    /// The crate's breaker.
    #[must_use]
    pub fn breaker(&self) -> &CircuitBreaker {
        &self.breaker
    }
}

impl Breaker for Ours {
    type Permit = OwnedPermit;

    fn admit(&mut self, now: Nanos) -> Option<OwnedPermit> {
        self.hand.advance_to(Duration::from_nanos(now));
        self.breaker.try_acquire_owned().ok()
    }

    fn record(&mut self, permit: OwnedPermit, now: Nanos, succeeded: bool, _took: Nanos) {
        self.hand.advance_to(Duration::from_nanos(now));
        permit.record(if succeeded {
            Outcome::Success
        } else {
            Outcome::Failure
        });
    }

    fn phase(&self, _now: Nanos) -> Phase {
        match self.breaker.state() {
            State::Closed | State::Disabled | State::MetricsOnly => Phase::Closed,
            State::HalfOpen => Phase::Recovering,
            _ => Phase::Open,
        }
    }
}
