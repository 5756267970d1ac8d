//! What a fleet tells its members to do.

use crate::events::Cause;

/// What a fleet tells the breakers of its members.
///
/// Each order names the fleet's *epoch*, a number that grows with each change of the fleet's state:
/// when it opens, when its ramp begins, and when it closes. A breaker ignores an order of an older
/// epoch than it has heard of.
///
/// A breaker is told of the same epoch again and again. An order to open or to ramp is followed for
/// [`LASTS`](Self::LASTS) after the latest one. Then the breaker recovers by itself.
///
/// # Examples
///
/// ```
/// use tripcurve::fleet::{Followed, Order};
/// use tripcurve::{CircuitBreaker, State};
///
/// let payments = CircuitBreaker::builder("payments").build()?;
/// let port = payments.fleet_port()?;
/// let opens = Order::open(7).members(1_000).calls(46, 46).evidence(21.3, 18.0);
/// assert_eq!(port.follow(opens), Followed::Changed);
/// assert_eq!(payments.state(), State::Open);
/// assert_eq!(port.follow(Order::ramp(8, 1, 0.25)), Followed::Changed);
/// assert_eq!(port.follow(Order::closed(9)), Followed::Changed);
/// assert_eq!(payments.state(), State::Closed);
/// assert_eq!(port.follow(opens), Followed::Outdated);
/// # Ok::<(), tripcurve::error::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Order {
    epoch: u64,
    kind: OrderKind,
    members: u32,
    failures: u64,
    calls: u64,
    nats: f64,
    needed: f64,
}

/// What an order demands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum OrderKind {
    /// To stay open.
    Open,
    /// To end the open time, so that the next call is a probe.
    Probe,
    /// To admit a share of the calls in a round.
    Ramp { round: u32, share: f64 },
    /// To close.
    Closed,
}

impl Order {
    /// How long a breaker follows an order to open or to ramp, unless another one comes.
    pub const LASTS: std::time::Duration = std::time::Duration::from_secs(15);

    /// The highest epoch: 2^53 − 1. A higher number counts as this one.
    pub const MAX_EPOCH: u64 = (1 << 53) - 1;

    const fn new(epoch: u64, kind: OrderKind) -> Self {
        let epoch = if epoch > Self::MAX_EPOCH {
            Self::MAX_EPOCH
        } else {
            epoch
        };
        Self {
            epoch,
            kind,
            members: 0,
            failures: 0,
            calls: 0,
            nats: 0.0,
            needed: 0.0,
        }
    }

    /// The fleet is open.
    ///
    /// A closed breaker opens. An open one stays open for [`LASTS`](Self::LASTS) from now on, or
    /// longer if it would. A half-open one opens only at the first order of this epoch, because a
    /// later one finds a probe that the fleet has leased, or a recovery of its own.
    #[must_use]
    pub const fn open(epoch: u64) -> Self {
        Self::new(epoch, OrderKind::Open)
    }

    /// The fleet is open, and this member has a lease for a probe.
    ///
    /// The breaker's open time ends, unless the dependency's `Retry-After` still runs. The next
    /// call is a probe, and decides as it does without a fleet: a failure opens the breaker again,
    /// a success begins the breaker's recovery. An [open](Self::open) order takes the lease back if
    /// no call has come. A breaker whose [recovery](crate::Recovery) admits several probes at once
    /// admits so many.
    #[must_use]
    pub const fn probe(epoch: u64) -> Self {
        Self::new(epoch, OrderKind::Probe)
    }

    /// The fleet lets a share of the calls through, in a round of its ramp.
    ///
    /// The breaker is half-open and admits exactly this share, with any kind of recovery. The calls
    /// decide nothing here; [`FleetPort::take_round`](crate::fleet::FleetPort::take_round) gives
    /// their outcomes to the fleet. `share` is in `0.0..=1.0`, rounded to a 1,024th and at least
    /// that. NaN counts as zero. A `round` that isn't later than the present one changes nothing;
    /// rounds count from 1 in each epoch.
    ///
    /// A breaker whose `Retry-After` still runs stays open.
    #[must_use]
    pub const fn ramp(epoch: u64, round: u32, share: f64) -> Self {
        Self::new(epoch, OrderKind::Ramp { round, share })
    }

    /// The fleet is closed.
    ///
    /// A breaker closes if an order holds it, even if that order has ended and no call has asked
    /// since. Any other breaker stays as it is: one that has tripped by itself recovers by itself.
    /// While a `Retry-After` runs, the breaker stays open until its end, and then recovers by
    /// itself.
    #[must_use]
    pub const fn closed(epoch: u64) -> Self {
        Self::new(epoch, OrderKind::Closed)
    }

    /// Says how many members the fleet has. By default 0.
    #[must_use]
    pub const fn members(mut self, members: u32) -> Self {
        self.members = members;
        self
    }

    /// Says how many of the fleet's calls have failed, and how many there were. By default 0 of 0.
    #[must_use]
    pub const fn calls(mut self, failures: u64, calls: u64) -> Self {
        (self.failures, self.calls) = (failures, calls);
        self
    }

    /// Says how much evidence there was, and how much it took, in nats. By default 0.0 of 0.0.
    #[must_use]
    pub const fn evidence(mut self, nats: f64, needed: f64) -> Self {
        (self.nats, self.needed) = (nats, needed);
        self
    }

    /// The fleet's epoch.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) const fn kind(&self) -> OrderKind {
        self.kind
    }

    /// The cause of the transition that the order brings about.
    pub(crate) const fn cause(&self) -> Cause {
        Cause::Fleet {
            members: self.members,
            failures: self.failures,
            calls: self.calls,
            nats: self.nats,
            needed: self.needed,
        }
    }
}

/// What a breaker did when its fleet gave it an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Followed {
    /// The breaker has another state now, or another round.
    Changed,
    /// The breaker does so already, or the order doesn't concern it.
    Kept,
    /// The breaker knows of a later epoch or a later round, and ignores the order.
    Outdated,
    /// A command by hand, a control group or the settings decide for this breaker, and it ignores
    /// the order.
    ///
    /// After [`reset`](crate::CircuitBreaker::reset) and [`trip`](crate::CircuitBreaker::trip), this
    /// lasts until the fleet is closed.
    Overridden,
}

/// The calls of a ramp's round that have come back, of which the fleet wasn't told before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundCalls {
    pub(super) round: u32,
    pub(super) good: u32,
    pub(super) bad: u32,
}

impl RoundCalls {
    /// The round in which the calls were admitted and have come back.
    #[must_use]
    pub fn round(self) -> u32 {
        self.round
    }

    /// The calls that succeeded in time: at most 131,071.
    #[must_use]
    pub fn good(self) -> u32 {
        self.good
    }

    /// The calls that failed or took too long: at most 131,071.
    #[must_use]
    pub fn bad(self) -> u32 {
        self.bad
    }
}
