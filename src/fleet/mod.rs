//! What a breaker has for a fleet: many processes that judge their dependency together.
//!
//! A [`FleetPort`] gives the rule by which the breaker trips, what the breaker has learned, and the
//! failures that the fleet hasn't been told of yet. It changes no decision of the breaker. Other
//! packages exchange and judge what they read from it.

use std::{fmt, sync::Arc};

pub use crate::adaptive::{EvidenceRule, FailureShare, UnreportedFailures};
use crate::breaker::CircuitBreaker;
use crate::breaker::shared::SharedBreaker;
use crate::clock::Now;
use crate::engine::UsualTraffic;
use crate::error::ConfigError;
pub use crate::recovery::joint::{FleetRecovery, FleetRound, FleetVerdict};

/// A port through which a fleet reads a breaker.
///
/// Clones are ports of the same breaker. [`CircuitBreaker::fleet_port`] makes one. A port keeps the
/// breaker's state alive. With the breaker's first port, a failing call costs some 40 instructions
/// more. A successful call costs nothing.
#[derive(Clone)]
pub struct FleetPort {
    shared: Arc<SharedBreaker>,
}

impl fmt::Debug for FleetPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.shared.core.name();
        f.debug_struct("FleetPort").field("name", name).finish()
    }
}

impl<C> CircuitBreaker<C> {
    /// Makes a port through which a fleet reads this breaker.
    ///
    /// # Errors
    /// The breaker has no [adaptive](crate::TripPolicy::adaptive) policy. A fleet adds up evidence
    /// against the usual failure rate, and only this policy learns that rate.
    ///
    /// # Panics
    /// Never.
    ///
    /// # Examples
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    ///
    /// let payments = CircuitBreaker::builder("payments").build()?;
    /// let port = payments.fleet_port()?;
    /// assert_eq!(port.calls_per_second(), Some(1.0));
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn fleet_port(&self) -> Result<FleetPort, ConfigError> {
        let port = FleetPort {
            shared: Arc::clone(&self.shared),
        };
        if port.rule().is_some() {
            port.shared.core.join_fleet();
            return Ok(port);
        }
        Err(ConfigError::new(
            "fleet_port",
            format!("breaker \"{}\"", self.shared.core.name()),
            "a breaker with an adaptive policy, which learns the usual failure rate",
            "give it TripPolicy::adaptive, or keep it out of the fleet",
        ))
    }
}

impl FleetPort {
    /// The breaker's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.shared.core.name().as_str()
    }

    /// The rule by which the breaker trips, by the settings in force.
    ///
    /// `None` if the breaker no longer has an adaptive policy, because it got [another
    /// configuration](CircuitBreaker::reconfigure).
    #[must_use]
    pub fn rule(&self) -> Option<EvidenceRule> {
        self.shared.core.evidence_rule()
    }

    /// The breaker's traffic, in calls per second: above 0.0, at most 1e8.
    ///
    /// The breaker measures it about once a second, when a call fails or ends. A new breaker takes
    /// it for 1.0. It is 0.0 while the breaker is open, because no calls are made then. `None` if
    /// the breaker no longer has an adaptive policy.
    #[must_use]
    pub fn calls_per_second(&self) -> Option<f64> {
        self.usual().map(|it| it.calls_per_second)
    }

    /// The share of calls that usually fails, in `0.001..=0.25`.
    ///
    /// It is one standard deviation above what was seen, and about 0.01 in a new breaker. `None` if
    /// the breaker no longer has an adaptive policy.
    #[must_use]
    pub fn failure_rate(&self) -> Option<f64> {
        self.usual().map(|it| it.failure_rate)
    }

    /// Waits until a failure is unreported: a call that failed or took too long since the last
    /// [taking](Self::take_unreported).
    ///
    /// Needs no runtime. Several tasks may wait, and all of them wake. Dropping the future loses
    /// nothing. It allocates, and a breaker without failures never completes it.
    pub async fn until_unreported(&self) {
        while let Some(change) = self.shared.core.join_fleet().listen() {
            change.await;
        }
    }

    /// Takes the failures of which the fleet wasn't told before. `None` if there are none.
    ///
    /// Each failure is taken once, by whichever task comes first. Failures of probes and in a ramp
    /// aren't among them, since the recovery judges those. The breaker counts failures from its
    /// first port on.
    ///
    /// # Examples
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    ///
    /// let payments = CircuitBreaker::builder("payments").build()?;
    /// let port = payments.fleet_port()?;
    /// payments.try_acquire()?.failure();
    /// let report = port.take_unreported().unwrap();
    /// assert_eq!(report.failures(), 1);
    /// // A failure of one call in a hundred: ln 100 = 4.6 nats.
    /// assert_eq!(report.surprise() / 256, 4);
    /// assert_eq!(port.take_unreported(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn take_unreported(&self) -> Option<UnreportedFailures> {
        self.shared.core.take_unreported(self.shared.nanos())
    }

    fn usual(&self) -> Option<UsualTraffic> {
        self.shared.core.usual_traffic()
    }
}
