//! Small tools that know nothing of breakers.

#[cfg(feature = "serde")]
pub(crate) mod checksum;
pub(crate) mod number;
pub(crate) mod random;
