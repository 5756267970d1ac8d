//! The task that makes a process a member of its breakers' fleets.
//!
//! [`Fleet`] is the handle. Its task reports failures, judges sums and follows the fleet's state.
//! [`machine`](Machine) is what the task decides, without input and output.

mod builder;
#[cfg(feature = "dashboard")]
mod dashboard;
mod error;
mod guarded;
mod handle;
mod joining;
mod known;
mod link;
mod machine;
mod mass_orders;
mod outbox;
mod pulse;
mod random;
#[cfg(feature = "registry")]
mod registry;
mod recovery;
mod reporting;
mod request;
mod schedule;
mod settings;
mod joined_breaker;
mod status;
mod task;
mod tokens;
mod traffic;
mod units;

pub use builder::{FleetBuilder, NoStore};
pub use error::{JoinError, SpawnError};
pub use handle::Fleet;
pub use joining::{Joined, Joining};
pub use machine::{BreakerId, Effect, Machine, Names, Outgoing};
pub use recovery::Probed;
pub use request::{Reply, Request};
pub use status::{BreakerStatus, FleetStatus, Notice, StoreStatus};

#[cfg(test)]
mod tests;
