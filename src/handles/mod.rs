//! The handles of a breaker: each makes calls through it in a way of its own.

pub(crate) mod call_timeout;
#[cfg(feature = "wait")]
pub(crate) mod waiting;
#[cfg(feature = "health")]
mod health_check;
#[cfg(feature = "bulkhead")]
pub(crate) mod with_bulkhead;
