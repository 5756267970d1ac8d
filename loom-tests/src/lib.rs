//! The building blocks of the models in `tests/`.
//!
//! A model is a scenario of a few threads, and assertions that must hold when they are done.
//! [`model`] runs it. Built with `--cfg tripcurve_loom`, loom explores the orders of the threads'
//! accesses, and the values that a relaxed load may see. Built without, the scenario runs some
//! hundred times on real threads, so a plain `cargo test` exercises it, too. The words that race
//! are tripcurve's own. Its `src/sync` swaps only the atomics.
//!
//! `loom-tests/run` runs all models under loom and fails if one was left out. `loom-tests/run
//! --full` lifts the bounds that keep a quick run quick. By hand:
//!
//! ```text
//! RUSTFLAGS="--cfg tripcurve_loom" \
//!     cargo test --release -p tripcurve-loom-tests --target-dir target/loom -- --nocapture
//! ```
//!
//! (It has its own target directory, because other flags rebuild everything.)
//!
//! # Rules for a model
//! - Its documentation ends with `Fails when:` and a change of `src/` that makes it fail. A model
//!   that has never failed shows nothing. `cargo weaken` shows it: the change is a patch in
//!   `loom-tests/weakenings`, unless it is a weaker ordering.
//! - It has at most four racers, with few accesses each. Steps that need no race come before it, on
//!   one thread.
//! - Its assertions hold for every order, so they name each allowed outcome.
//!
//! # What loom 0.7 doesn't show
//! - A thread's load hides other threads' earlier loads when that thread writes the word next. Loom
//!   then leaves orders out (tokio-rs/loom issue 166). `src/sync` works around this. Avoid the
//!   pattern for a model's own atomics.
//! - A compare-exchange never fails spuriously. One that fails always reads the latest value.
//! - A load never reads a value that is stored later (load buffering).
//! - `SeqCst` on an access is no more than `AcqRel`. Only `fence(SeqCst)` has its full effect.
//! - An atomic remembers its last seven values.
//! - Loom doesn't see `event-listener`'s queue, so it doesn't try both orders of two accesses to
//!   it. The last racer runs first. So a racer that enters the queue stands before one that wakes.
#![forbid(unsafe_code)]

mod breaker;
mod context;
// Loom needs no repetition.
#[cfg(not(tripcurve_loom))]
#[path = "../../tests/it/effort.rs"]
mod effort;
mod line;
mod model;
mod race;

pub use breaker::{breaker, breaker_by};
pub use context::{Unwatched, at};
pub use line::{Member, SharedLine};
pub use model::{Preemptions, UNBOUNDED, model, preemptions};
pub use race::race;

/// Types that racers share: loom's under the cfg, the standard library's otherwise.
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
