//! What a member tells about itself.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::message::FleetState;
use crate::standing::Standing;

/// Whether a member's store works.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreStatus {
    /// The store answers.
    Connected,
    /// The store doesn't answer, so each breaker decides for itself.
    LocalOnly {
        /// What went wrong, as a sentence without a full stop.
        reason: Arc<str>,
    },
}

impl fmt::Display for StoreStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::LocalOnly { reason } => write!(f, "local only: {reason}"),
        }
    }
}

/// What a member knows at a moment; see [`Fleet::status`](crate::Fleet::status).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FleetStatus {
    /// Whether the store works.
    pub store: StoreStatus,
    /// For how long it has been so.
    pub for_time: Duration,
    /// The breakers that have joined, by name.
    pub breakers: Vec<BreakerStatus>,
}

/// What a member knows of one breaker's fleet.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BreakerStatus {
    /// The breaker's name.
    pub name: Arc<str>,
    /// The fleet's state. Closed while the member decides for itself.
    pub state: FleetState,
    /// For how long the state has been so. Zero if no change is known.
    pub for_time: Duration,
    /// The share of calls that all members admit: 1.0 while the fleet is closed.
    pub share: f64,
    /// How many members have announced their traffic within the last two minutes.
    pub members: u64,
    /// The call rate of all members, in calls per second.
    pub calls_per_second: f64,
    /// How near the fleet is to a trip, by the answer to this member's last report. `None` if it
    /// has made none since the fleet last changed its state.
    pub standing: Option<Standing>,
}

/// Something that a member tells its listeners; see
/// [`FleetBuilder::on_notice`](crate::FleetBuilder::on_notice).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Notice {
    /// The store's status has changed.
    Store(StoreStatus),
    /// The fleet of a breaker has changed its state.
    State {
        /// The breaker's name.
        breaker: Arc<str>,
        /// The new state.
        state: FleetState,
    },
    /// Fleets have opened more than half of this member's breakers within a second.
    ///
    /// The member follows all the same.
    MassOrder {
        /// How many were opened.
        opened: usize,
        /// How many have joined.
        joined: usize,
    },
    /// A breaker of a registry can't join.
    NotJoined {
        /// The breaker's name.
        breaker: Arc<str>,
        /// Why not.
        reason: Arc<str>,
    },
    /// Code of a registry panicked while the member looked for its busiest breakers. The member looks
    /// again after 30 s.
    RegistryPanicked {
        /// The message of the panic.
        reason: Arc<str>,
    },
    /// Other members have a breaker of this name with other settings. They are another fleet.
    OtherSettings {
        /// The breaker's name.
        breaker: Arc<str>,
        /// The key of this member's fleet.
        key: String,
        /// The key of the others' fleet.
        other: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(status) => write!(f, "fleet: {status}"),
            Self::State { breaker, state } => {
                let state = match state {
                    FleetState::Closed => "closed",
                    FleetState::Open => "open",
                    FleetState::Ramp => "in a ramp",
                };
                write!(f, "breaker \"{breaker}\": its fleet is {state}")
            }
            Self::MassOrder { opened, joined } => write!(
                f,
                "fleet: {opened} of {joined} breakers were opened within a second"
            ),
            Self::NotJoined { breaker, reason } => {
                write!(f, "breaker \"{breaker}\" hasn't joined its fleet: {reason}")
            }
            Self::RegistryPanicked { reason } => {
                write!(
                    f,
                    "fleet: a registry panicked, its breakers stay as they are: {reason}"
                )
            }
            Self::OtherSettings {
                breaker,
                key,
                other,
            } => write!(
                f,
                "breaker \"{breaker}\": its fleet is {key}, and other members have {other}; give \
                 all of them the same tolerated rate, limit of slow calls and classifier word"
            ),
        }
    }
}
