//! A lock-free circuit breaker for latency-sensitive services.
#![forbid(unsafe_code)]
// Half of the parts is `pub` only for the models of `loom-tests`; with that feature the lint sees all.
#![cfg_attr(
    not(feature = "__model"),
    allow(unreachable_pub, unused_imports, dead_code)
)]

// In the order in which a call passes through them; each uses only what stands below it.
mod breaker;
mod builder;
mod caller;
mod clock;
mod core;
mod error;
mod fallback;
mod history;
mod listeners;
mod name;
mod outcome;
mod pack;
mod permit;
mod policy;
mod snapshot;
mod stamped;
mod state;
mod sync;
mod transition;
mod window;

pub use breaker::CircuitBreaker;
pub use builder::Builder;
pub use clock::{Clock, MockClock};
pub use error::{CallError, ConfigError, Rejected};
pub use fallback::Fallback;
pub use name::Name;
pub use outcome::{Classify, ErrIsFailure, Outcome};
pub use permit::{OwnedPermit, Permit};
pub use policy::{ErrorRate, TripPolicy};
pub use snapshot::Snapshot;
pub use state::State;
pub use transition::{Cause, Transition};
pub use window::{CountWindow, Window};

/// The parts, for `loom-tests` alone. No promise holds for them.
#[cfg(feature = "__model")]
#[doc(hidden)]
pub mod __model {
    pub use crate::caller::{At, Caller, Lane};
    pub use crate::clock::Now;
    pub use crate::core::{Core, Refusal, Settings, Ticket};
    pub use crate::history::History;
    pub use crate::listeners::{Entry, Listener, Listeners};
    pub use crate::state::{
        Admission, AtomicState, Generation, Kind, Moment, Moved, ProbeReport, ProbeVerdict,
    };
    pub use crate::window::{
        AtomicBucket, CountRing, Counts, GenerationCounter, Ring, Stamp, Tally, TimeRing,
    };
}
