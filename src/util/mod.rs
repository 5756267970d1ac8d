//! Small tools that know nothing of breakers.

#[cfg(feature = "serde")]
pub(crate) mod checksum;
#[cfg(feature = "tracing")]
pub(crate) mod event_limit;
pub(crate) mod number;
pub(crate) mod random;
