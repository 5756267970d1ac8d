//! The handles of a breaker: each makes calls through it in a way of its own.

pub(crate) mod call_timeout;
#[cfg(feature = "async")]
pub(crate) mod waiting;
#[cfg(feature = "async")]
mod health_check;
#[cfg(feature = "bulkhead")]
pub(crate) mod with_bulkhead;

pub use crate::breaker::permit::OwnedPermit;
#[cfg(feature = "bulkhead")]
pub use crate::bulkhead::blocking::GuardedBlocking;
pub use call_timeout::CallTimeout;
#[cfg(feature = "async")]
pub use waiting::Waiting;
#[cfg(feature = "bulkhead")]
pub use with_bulkhead::Guarded;
