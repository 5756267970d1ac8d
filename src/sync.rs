//! The atomics that the whole crate uses, and the only place that chooses among them.
//!
//! Three arms: the standard library's, `portable-atomic`'s where the target has no 64-bit atomics,
//! and loom's when the models are checked. No other file may name an atomic type's home
//! (`tests/house_rules.rs` checks it), so what loom explores is what ships.

#[cfg(tripcurve_loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering, fence};

#[cfg(all(
    not(tripcurve_loom),
    target_has_atomic = "64",
    not(tripcurve_portable_atomic)
))]
pub(crate) use core::sync::atomic::{AtomicU64, Ordering, fence};

#[cfg(all(
    not(tripcurve_loom),
    any(not(target_has_atomic = "64"), tripcurve_portable_atomic)
))]
pub(crate) use portable_atomic::{AtomicU64, Ordering, fence};

/// Numbers threads for the life of the process. Loom doesn't explore it: what a number decides is
/// only on which shard a thread writes, and a model names the shard itself.
pub(crate) use core::sync::atomic::AtomicU32 as ThreadCounter;
