//! Histories of several threads, checked for linearizability.
//!
//! Threads call one object at the same time. Each call notes when it begins, when it ends and what
//! it answers. The history is linearizable if one thread could have made the same calls one after
//! another, with the same answers. The order must keep each call that ended before another began in
//! front of it. A sequential specification says which answers are right.
//!
//! - `checker.rs`: looks for such an order.
//! - `history.rs`: the calls of a history, and how many overlap.
//! - `threads.rs`: makes histories, on real threads or on those of shuttle.
//! - The other files: the objects with their specifications.
//!
//! The package `linearizability` runs these tests at length and under shuttle.

mod breaker_histories;
#[cfg(feature = "bulkhead")]
mod bulkhead_histories;
mod checker;
mod history;
#[cfg(feature = "registry")]
mod registry_histories;
mod threads;
