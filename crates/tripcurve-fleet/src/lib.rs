//! One judgement for the circuit breakers of many processes, for [tripcurve].
//!
//! A *member* is a process that calls a dependency. Members report failed calls to a
//! [store](store::Store), which adds them up. The member that gets sums with enough evidence
//! [judges](verdict::Judge) them, and opens the breakers of the whole fleet.
//!
//! [`Fleet`] makes a process a member. Its task reports, judges and follows. Without a working store,
//! each breaker decides as it does without a fleet.
//!
//! # Features
//!
//! | feature | what it adds | by which crates |
//! |---|---|---|
//! | `redis`, on by default | `redis::RedisStore` | redis, tokio |
//! | `cluster` | `RedisStore::cluster` | those of redis's feature `cluster-async` |
//! | `config` | `Fleet::from_config`, the fleet of a configuration file | tripcurve-config |
//! | `dashboard` | `Fleet::for_dashboard`, what a dashboard shows of the fleet | tripcurve-dashboard |
//! | `tls` | addresses that begin with `rediss://` | rustls with *ring* |
//! | `registry` | `Fleet::join_all`, for all breakers of a registry | those of tripcurve's feature `registry` |
//! | `store-suite` | `suite`, for those who write a store | none |
#![forbid(unsafe_code)]
// docs.rs marks each item with the feature that it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bounds;
#[cfg(feature = "config")]
mod config;
#[cfg(test)]
mod fault_table;
pub mod judge;
pub mod key;
pub mod member;
pub mod memory;
pub mod message;
#[cfg(feature = "redis")]
pub mod redis;
pub mod standing;
pub mod store;
#[cfg(any(test, feature = "store-suite"))]
pub mod suite;
pub mod sums;
pub mod verdict;

#[cfg(feature = "config")]
pub use config::FromConfigError;
pub use member::{BreakerStatus, FleetStatus, Notice, StoreStatus};
pub use member::{Fleet, FleetBuilder, JoinError, Joined, Joining, SpawnError};

/// Compares the script with the sums, for `fuzz` alone. It carries no promise of stability.
#[cfg(feature = "__fuzz")]
#[doc(hidden)]
pub mod __fuzz {
    pub use crate::redis::compare::{Comparison, Drawn, Failed};
}

/// Compiles and runs the README's code.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
