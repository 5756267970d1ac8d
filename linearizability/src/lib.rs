//! Runs the histories of `tests/it/linear` by themselves: many more of them on real threads, or
//! under [shuttle](https://docs.rs/shuttle). The files are shared, so this library is empty.
//!
//! `linearizability/run` runs both. Under `--cfg tripcurve_shuttle`, shuttle chooses which thread
//! makes the next access to an atomic of the crate. It runs all threads on one thread of the
//! operating system. `src/sync/scheduled.rs` asks it before each access, and for the number of the
//! thread. Shuttle is a dependency of this package alone.
//!
//! Shuttle shows no order of weak memory. The models in `loom-tests` do.
#![forbid(unsafe_code)]
