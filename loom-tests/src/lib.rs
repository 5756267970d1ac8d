//! What the models in `tests/` are made of.
//!
//! A model is a scenario of a few threads and what must hold when they are done. [`model`] runs it:
//! built with `--cfg tripcurve_loom`, loom goes through the orders in which the threads' accesses
//! can happen, and through the values that a relaxed load may see; built without, the scenario runs
//! some thousand times on real threads, so that a plain `cargo test` exercises it too. The words
//! that race are tripcurve's own: its `src/sync` swaps the atomics, nothing else.
//!
//! `loom-tests/run` is the way to run all of them under loom and to know that none was left out;
//! `loom-tests/run --full` lifts the bounds that keep a quick run quick. By hand:
//!
//! ```text
//! RUSTFLAGS="--cfg tripcurve_loom" \
//!     cargo test --release -p tripcurve-loom-tests --target-dir target/loom -- --nocapture
//! ```
//!
//! (A target directory of its own, since other flags rebuild everything.)
//!
//! # Rules for a model
//! - Its documentation ends with `Fails when:` and a change of `src/` that makes it fail. A model
//!   that nobody has seen failing shows nothing. `cargo weaken` shows it: the change is a patch in
//!   `loom-tests/weakenings`, unless it is a weaker ordering.
//! - At most four racers, and few accesses each. What needs no race stands before it, on one thread.
//! - What it asserts it asserts of every order, so each outcome that is allowed is named.
//!
//! # What loom 0.7 doesn't show
//! - A thread's load hides the loads of others before it when the thread writes the word next, and
//!   loom then leaves orders out (tokio-rs/loom issue 166). `src/sync` mends this; for a model's
//!   own atomics avoid the pattern.
//! - A compare-exchange never fails spuriously, and one that fails always reads the latest value.
//! - A load never reads a value that is stored later (load buffering).
//! - `SeqCst` on an access is no more than `AcqRel`; only `fence(SeqCst)` is what it should be.
//! - An atomic remembers its last seven values.
#![forbid(unsafe_code)]

mod line;
mod model;
mod race;

pub use line::{Member, SharedLine};
pub use model::{Preemptions, UNBOUNDED, model, preemptions};
pub use race::race;

/// What racers share: loom's under the cfg, else the standard library's.
pub mod sync {
    #[cfg(tripcurve_loom)]
    pub use loom::sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering, fence},
    };
    #[cfg(not(tripcurve_loom))]
    pub use std::sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering, fence},
    };
}
