//! The atomics that the whole crate uses, and the only place that chooses among them.
//!
//! There are five choices:
//!
//! - The standard library's atomics.
//! - `portable-atomic`'s, if the target has no 64-bit atomics.
//! - Loom's, when the models are checked.
//! - Atomics that note each access, when `tests/cache_lines.rs` counts the traffic between caches.
//! - Atomics that let a scheduler choose the next thread, when `linearizability` makes histories.
//!
//! No other module may name an atomic type's home; `tests/it/house_rules.rs` checks this. So the
//! code that is explored and counted is the code that ships.
//!
//! Most words of the crate have one reason for their orderings, and a type for it:
//!
//! - `relaxed.rs`: hints, words that hold a whole value, and words that another word publishes.
//! - `payloads.rs`: some words that another word publishes together.
//! - `publisher.rs`: words that publish what their writer did before.
//! - `stamped.rs`: words that carry the stamp of their owner.
//!
//! The rest of the module supports these types:
//!
//! - `published.rs`: a value that is published once.
//! - `replaceable.rs`: a value that is replaced as a whole.
//! - `watched.rs`: the atomic of the builds that are explored, counted or scheduled.
//! - `explored.rs`: what loom needs in addition to its atomics.
//! - `sites.rs`: weakens one access, for the check that a model notices.
//! - `traced.rs`: notes each access.
//! - `scheduled.rs`: lets a scheduler choose the next thread.

pub(crate) mod field;
mod publisher;
mod relaxed;
pub(crate) mod stamped;
pub(crate) mod thread_slot;
#[cfg(any(feature = "bulkhead", feature = "async"))]
pub(crate) mod wait_queue;

#[cfg(tripcurve_loom)]
mod explored;
#[cfg(not(tripcurve_loom))]
mod payloads;
#[cfg(not(tripcurve_loom))]
mod published;
#[cfg(not(tripcurve_loom))]
mod replaceable;
#[cfg(tripcurve_shuttle)]
mod scheduled;
#[cfg(tripcurve_loom)]
mod sites;
#[cfg(tripcurve_traced)]
mod traced;
#[cfg(any(tripcurve_loom, tripcurve_shuttle, tripcurve_traced))]
mod watched;

#[cfg(all(
    not(any(tripcurve_loom, tripcurve_shuttle, tripcurve_traced)),
    target_has_atomic = "64",
    not(tripcurve_portable_atomic)
))]
pub(crate) use core::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(all(
    not(any(tripcurve_loom, tripcurve_shuttle, tripcurve_traced)),
    any(not(target_has_atomic = "64"), tripcurve_portable_atomic)
))]
pub(crate) use portable_atomic::{AtomicU64, Ordering, fence};

#[cfg(tripcurve_loom)]
pub(crate) use explored::ExploredPayloads as Payloads;
#[cfg(tripcurve_loom)]
pub(crate) use explored::{ExploredOnce as PublishedOnce, Ordering, fence};
#[cfg(tripcurve_loom)]
pub(crate) use explored::{ExploredReplaceable as Replaceable, ExploredSeen as Seen};
#[cfg(any(tripcurve_loom, tripcurve_shuttle, tripcurve_traced))]
pub(crate) use watched::AtomicU64;

#[cfg(any(tripcurve_shuttle, tripcurve_traced))]
pub(crate) use core::sync::atomic::{Ordering, fence};
#[cfg(tripcurve_shuttle)]
pub use scheduled::{Scheduler, schedule_by};
#[cfg(tripcurve_traced)]
pub use traced::{Access, accesses_of};

#[cfg(not(tripcurve_loom))]
pub(crate) use payloads::Payloads;
#[cfg(not(tripcurve_loom))]
pub(crate) use published::PublishedOnce;
#[cfg(not(tripcurve_loom))]
pub(crate) use replaceable::{Replaceable, Seen};

pub(crate) use publisher::Publisher;
pub(crate) use relaxed::{Hint, Payload, SelfContained};

/// A box that is filled at most once, before threads compete for it. Loom doesn't explore it.
pub(crate) use once_cell::race::OnceBox as LateBox;

/// Numbers threads for the life of the process. Loom doesn't explore it. A number only decides
/// which shard a thread writes to, and a model names the shard itself.
pub(crate) use core::sync::atomic::AtomicU32 as ThreadCounter;

impl<T> Default for PublishedOnce<T> {
    fn default() -> Self {
        Self::new()
    }
}
