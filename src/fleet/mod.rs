//! What a breaker has for a fleet: many processes that judge their dependency together.
//!
//! A [`FleetPort`] gives the rule by which the breaker trips, what the breaker has learned, and the
//! failures that the fleet hasn't been told of yet. Other packages exchange and judge what they read
//! from it. What they decide comes back as an [`Order`].

use std::time::Duration;
use std::{fmt, sync::Arc};

pub use crate::adaptive::{EvidenceRule, FailureShare, UnreportedFailures};
use crate::breaker::CircuitBreaker;
use crate::breaker::shared::SharedBreaker;
use crate::clock::Now;
use crate::engine::UsualTraffic;
use crate::error::ConfigError;
pub use crate::recovery::joint::{FleetRecovery, FleetRound, FleetVerdict};
pub use crate::recovery::order::{Followed, Order, RoundCalls};

/// A port through which a fleet reads a breaker and gives it orders.
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

    /// The time above which a call is slow, if the breaker has slow calls.
    #[must_use]
    pub fn slow_limit(&self) -> Option<Duration> {
        self.shared.core.slow_limit()
    }

    /// The breaker's traffic, in calls per second: above 0.0, at most 1e8.
    ///
    /// The breaker measures it about once a second, when a call fails or ends. A new breaker takes
    /// it for 1.0. It is 0.0 while the breaker is open by its own decision or by hand, because no
    /// calls are made then. While it is open by an [order](Self::follow), it is the last traffic
    /// before. `None` if the breaker no longer has an adaptive policy.
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
        while let Some(change) = self.shared.core.join_fleet().unreported.listen() {
            change.await;
        }
    }

    /// Takes the failures of which the fleet wasn't told before. `None` if there are none.
    ///
    /// Each failure is taken once, by whichever task comes first. Failures of calls that were in
    /// flight when the breaker opened without an order are among them, until its first probe.
    /// Failures of probes and in a ramp aren't, since the recovery judges those. The breaker counts
    /// failures from its first port on.
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

    /// Follows an order of the fleet, and says what that changed.
    ///
    /// The breaker ignores an order of an older epoch. It also ignores orders while it is forced
    /// open, isolated, disabled or metrics-only, or tripped by hand. After
    /// [`reset`](CircuitBreaker::reset) and [`trip`](CircuitBreaker::trip), a breaker that knew of an
    /// open fleet ignores orders until one says that the fleet is closed. A breaker without an
    /// adaptive policy ignores all. Unlike a trip of its own, an order opens a breaker that [warms
    /// up](crate::CircuitBreakerBuilder::warm_up). It also takes a place among the breakers of a
    /// registry that may be open, even if none is free.
    ///
    /// Transitions have the cause [`Fleet`](crate::events::Cause::Fleet). Their outcomes belong to
    /// their generation: a call that was admitted before an order changes nothing after it.
    ///
    /// Never blocks, and doesn't allocate. Give the orders of a breaker from one thread at a time.
    /// If two threads give orders of different epochs at once, the breaker may follow either, for
    /// as long as an order [lasts](Order::LASTS).
    ///
    /// # Examples
    ///
    /// ```
    /// use tripcurve::fleet::{Followed, Order};
    /// use tripcurve::time::Clock;
    /// use tripcurve::{CircuitBreaker, State};
    ///
    /// let (clock, hand) = Clock::mock();
    /// let payments = CircuitBreaker::builder("payments").clock(clock).build()?;
    /// let port = payments.fleet_port()?;
    /// port.follow(Order::open(1));
    /// hand.advance(Order::LASTS - std::time::Duration::from_millis(1));
    /// assert!(payments.try_acquire().is_err());
    /// assert_eq!(port.follow(Order::open(1)), Followed::Kept);
    /// hand.advance(Order::LASTS);
    /// assert!(payments.try_acquire().is_ok(), "a probe of its own");
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    #[allow(
        clippy::must_use_candidate,
        reason = "the order is followed whether or not the caller looks at the answer"
    )]
    pub fn follow(&self, order: Order) -> Followed {
        if self.rule().is_none() {
            return Followed::Overridden;
        }
        self.shared.core.follow(order, &*self.shared)
    }

    /// Stops following an order, because the store is lost. Does nothing if none is followed.
    ///
    /// An open breaker then waits for as long as if it had opened by itself now, with its jitter.
    /// It doesn't wait longer than the order lasts. A ramp goes on from its share, by the breaker's
    /// own judgement. If the breaker's [recovery](crate::Recovery) knows no ramp, its probes follow.
    /// A later order of the same epoch is followed again.
    ///
    /// # Examples
    ///
    /// ```
    /// use tripcurve::fleet::Order;
    /// use tripcurve::time::Clock;
    /// use tripcurve::CircuitBreaker;
    ///
    /// let (clock, hand) = Clock::mock();
    /// let payments = CircuitBreaker::builder("payments").clock(clock).build()?;
    /// let port = payments.fleet_port()?;
    /// port.follow(Order::open(1));
    /// port.drop_order();
    /// hand.advance(std::time::Duration::from_secs(5));
    /// assert!(payments.try_acquire().is_ok(), "a probe of its own");
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    pub fn drop_order(&self) {
        self.shared.core.drop_order(self.shared.nanos());
    }

    /// Takes the calls of the present round of the fleet's ramp that have come back. `None` if
    /// there are none, or if the breaker follows no ramp.
    ///
    /// Each call counts once, in the round that admitted it. A call that comes back in a later round
    /// or after the ramp isn't counted. Ignored calls aren't either.
    ///
    /// # Examples
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::fleet::Order;
    ///
    /// let payments = CircuitBreaker::builder("payments").build()?;
    /// let port = payments.fleet_port()?;
    /// port.follow(Order::ramp(1, 1, 1.0));
    /// payments.try_acquire()?.success();
    /// payments.try_acquire()?.failure();
    /// let calls = port.take_round().unwrap();
    /// assert_eq!((calls.round(), calls.good(), calls.bad()), (1, 1, 1));
    /// assert_eq!(port.take_round(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn take_round(&self) -> Option<RoundCalls> {
        self.shared.core.take_round()
    }

    fn usual(&self) -> Option<UsualTraffic> {
        self.shared.core.usual_traffic()
    }
}
