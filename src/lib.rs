//! A lock-free circuit breaker for latency-sensitive services.
//!
//! A circuit breaker stands between your code and a dependency that can fail. It counts how calls
//! end. When too many have failed, it *trips*: it opens. An open breaker answers calls with an
//! error at once instead of making them. That spares your users the wait, and the dependency the
//! load. After a while, the breaker lets a few calls through, the *probes*. If they succeed, it
//! closes. If one fails, it stays open for another while.
//!
//! ```
//! use tripcurve::{CircuitBreaker, Fallback};
//!
//! # fn fetch(_user: u32) -> Result<Vec<&'static str>, std::io::Error> {
//! #     Err(std::io::ErrorKind::ConnectionRefused.into())
//! # }
//! // One for each dependency, made once and shared: clones are the same breaker.
//! let recommendations = CircuitBreaker::new("recommendations");
//!
//! let books = recommendations
//!     .call(|| fetch(42))
//!     .or_fallback(|_error| Some(vec!["Emma", "Dune"]))
//!     .unwrap_or_default();
//! assert_eq!(books, ["Emma", "Dune"]);
//! ```
//!
//! # Contents
//!
//! | | |
//! |---|---|
//! | [The guide](guide) | one page for each question: when a breaker helps, which policy to choose, timeouts, tests, limits |
//! | [Composition](guide::composition) | the order of retries, breaker, bulkhead, time limit and fallback |
//! | [`CircuitBreaker`] | [`call`](CircuitBreaker::call), [`call_async`](CircuitBreaker::call_async), or [`try_acquire`](CircuitBreaker::try_acquire) for a [`Permit`]; commands; [`snapshot`](CircuitBreaker::snapshot) |
//! | [`CircuitBreakerBuilder`] | all settings with their defaults |
//! | [`TripPolicy`], [`Window`] | what makes it trip, and over which stretch of calls |
//! | [`Recovery`], [`Backoff`] | how it recovers |
//! | [`Outcome`], [`Classify`] | what counts as a failure |
//! | [`CallError`], [`Rejected`], [`Fallback`] | what a caller gets instead of a result, and what to do then |
//! | [`CallTimeout`] | how long a call may take |
//! | [`State`], [`Snapshot`], [`Latency`], [`Transition`], [`Cause`] | what a breaker shows |
//! | [`Clock`], [`MockClock`] | time, and time in tests |
//!
//! # Guarantees
//!
//! These hold whatever the threads do at the same time:
//!
//! 1. One call or command makes each state change. Listeners are told of each change once, in
//!    order. (A listener that is held up for too long misses some and is [told how
//!    many](Transition::missed).)
//! 2. While the breaker is half-open, it lets at most [`probes`](CircuitBreakerBuilder::probes)
//!    calls through in each generation. With an [adaptive](Recovery::adaptive) recovery, it lets
//!    one call through, and then at most a growing share of the calls that ask. Calls that gave
//!    their places back don't count, nor do calls [within a call](CircuitBreaker::call). A probe
//!    that never reports can't keep the breaker half-open for good.
//! 3. A call that was let through in one generation can't change another. So a call that began
//!    before the outage and ends after the recovery is not counted. (The breaker still honours a
//!    [`Retry-After`](CircuitBreakerBuilder::retry_after) of a late failure. A late report can give
//!    the probes [more time](CircuitBreakerBuilder::probe_timeout).)
//! 4. Each outcome is counted once, in the bucket of its time. If that bucket has left the window,
//!    the outcome is not counted.
//! 5. No trip is lost. Of two failures that are recorded at the same time, at least one sees the
//!    other.
//!
//! The [loom](https://docs.rs/loom) models in `loom-tests` explore these races on the code that
//! ships. These guarantees hold too:
//!
//! 6. A breaker that one thread drives does step for step what a plain sequential model does
//!    (`tests/it/against_model.rs`, and a fuzz target).
//! 7. No method of a breaker panics, waits for another thread, or allocates on the path of a call.
//!    Two cases are exempt from the last. A breaker allocates once in its life, when its window
//!    [grows](CircuitBreakerBuilder::shards). If it keeps
//!    [histograms](CircuitBreakerBuilder::latency), it then also allocates when a thread gets one
//!    of its own. (A call that opens a breaker wakes its health check and the waiting callers, if
//!    there are any. That may take the runtime's lock.) [`build`](CircuitBreakerBuilder::build)
//!    refuses a setting that makes no sense, and says why. (With the feature `tokio`, a task that
//!    waits outside of a runtime with a timer panics: see `TokioSleep`.)
//! 8. A listener or a classifier that panics harms no other call and no other listener.
//!
//! There is no `unsafe` code and no lock. See the guide for the [limits](guide::limits).
//!
//! # Features
//!
//! | feature | what it adds | by which crates |
//! |---|---|---|
//! | `async` | [`CircuitBreaker::health_check`]: a task checks the dependency in place of a user's call; `Waiting`: calls wait for the verdict of the probes instead of being rejected | event-listener |
//! | `bulkhead` | `Bulkhead`: a bound on the calls in flight, alone or with a breaker; threads of its own for blocking work | event-listener, oneshot, rayon-core |
//! | `fleet` | `CircuitBreaker::fleet_port`: the rule by which a breaker trips, what it has learned, and its latest failures, for packages that judge many processes' calls as one | event-listener |
//! | `grpc` | `CircuitBreakerLayer::grpc`, a layer for clients and servers of gRPC; with it `http` | |
//! | `http` | `CircuitBreakerLayer::http`, a layer for clients and servers of HTTP; with it `tower` | http, http-body, bytes, httpdate |
//! | `metrics` | `Collector`: breakers as metrics of the [metrics](https://docs.rs/metrics) facade; with it `registry` | metrics |
//! | `registry` | `Registry`, breakers by key; `ControlGroup`, one command over many; `Roster`, a list of all | papaya, crossbeam-queue |
//! | `retry` | `RetryBudget`: a bound on the retries of a breaker's calls | |
//! | `serde` | `SavedState`: the saved state of a breaker, for the next process; [snapshots and transitions as JSON](guide::watching) | serde |
//! | `tokio` | `TokioSleep`, tokio's timer, as the default of all handles; without it tasks that wait need [another timer](time::Sleep) | tokio's `time` |
//! | `tower` | `CircuitBreakerLayer`, a layer for services of tower; with it `async` | tower-layer, tower-service |
//! | `tracing` | events for transitions and rejections: `CircuitBreakerBuilder::trace`; spans for calls: `InSpan` | tracing |
//!
//! None is on by default. The crate [tripcurve-config](https://docs.rs/tripcurve-config) reads
//! breakers from a file of TOML, JSON or YAML, and
//! [tripcurve-dashboard](https://docs.rs/tripcurve-dashboard) shows them on a live page. (`__model`
//! is private: it hands the parts to `loom-tests`.)
#![forbid(unsafe_code)]
// clippy.toml lists locks, waits and clocks.
#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::disallowed_types))]
// docs.rs marks each item with the feature that it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]
// Many items are `pub` only for the models of `loom-tests`. With that feature, the lint sees all.
#![cfg_attr(
    not(feature = "__model"),
    allow(unreachable_pub, unused_imports, dead_code)
)]

// The modules stand in the order in which a call passes through them. Each file uses only what
// stands below its line (tests/it/house_rules.rs checks it).
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(feature = "registry")]
pub mod registry;
#[cfg(feature = "retry")]
mod retry_budget;
#[cfg(feature = "fleet")]
pub mod fleet;
pub mod handles;
mod builder;
#[cfg(feature = "bulkhead")]
pub mod bulkhead;
mod breaker;
#[cfg(feature = "serde")]
mod saved;
mod engine;
pub mod snapshot;
mod latency;
pub mod policy;
pub mod recovery;
pub mod events;
mod adaptive;
pub mod window;
pub mod outcome;
mod clock;
pub mod error;
mod state;
pub mod name;
mod util;
mod sync;
// The integration tests have the same one.
#[cfg(all(test, not(tripcurve_loom)))]
#[path = "../tests/it/effort.rs"]
mod effort;

pub use breaker::CircuitBreaker;
pub use breaker::fallback::Fallback;
pub use breaker::permit::Permit;
pub use builder::CircuitBreakerBuilder;
pub use error::{CallError, Rejected};
pub use outcome::Outcome;
pub use policy::TripPolicy;
pub use recovery::Recovery;
pub use state::State;

// Only the docs use these names. They keep the links from the root and the guide short.
#[cfg(all(doc, feature = "bulkhead"))]
use bulkhead::*;
#[cfg(all(doc, feature = "registry"))]
use registry::*;
#[cfg(all(doc, feature = "retry"))]
use retry::*;
#[cfg(doc)]
use {
    error::*, events::*, handles::*, outcome::*, persist::*, policy::*, recovery::*, snapshot::*,
    time::*, window::*,
};

/// Clocks, timers, and mock time for tests.
pub mod time {
    #[cfg(feature = "tokio")]
    pub use crate::clock::sleep::TokioSleep;
    pub use crate::clock::sleep::{DefaultSleep, NoSleep, Sleep};
    pub use crate::clock::{Clock, MockClock};
}

/// A budget that bounds retries.
#[cfg(feature = "retry")]
pub mod retry {
    pub use crate::retry_budget::{
        RetryBudget, RetryBudgetBuilder, RetryBudgetExhausted, RetryRefused,
    };
}

/// Saved states of breakers, and results of reconfigurations.
pub mod persist {
    pub use crate::engine::Reconfigured;
    #[cfg(feature = "serde")]
    pub use crate::saved::SavedState;
}

/// The internal parts, for `loom-tests` alone. They carry no promise of stability.
#[cfg(feature = "__model")]
#[doc(hidden)]
pub mod __model {
    #[cfg(feature = "fleet")]
    pub use crate::adaptive::UnreportedWord;
    pub use crate::adaptive::{
        AdaptiveConfig, Evidence, Lesson, Recovered, Stalls, Stream, TripEvidence, Watched,
    };
    #[cfg(feature = "bulkhead")]
    pub use crate::bulkhead::places::{Places, Waiter};
    #[cfg(feature = "bulkhead")]
    pub use crate::bulkhead::word::PlacesWord;
    pub use crate::clock::Now;
    pub use crate::clock::context::{CallContext, FixedContext};
    #[cfg(feature = "async")]
    pub use crate::engine::NextCheck;
    #[cfg(feature = "async")]
    pub use crate::engine::Prospect;
    #[cfg(feature = "serde")]
    pub use crate::engine::SavedCore;
    #[cfg(feature = "async")]
    pub use crate::engine::probe_queue::{ProbeQueue, ProbeQueueEntry, QueuedCaller};
    pub use crate::engine::{
        Core, OptionalParts, Parts, Reconfigured, Refusal, Settings, Switch, Ticket,
    };
    #[cfg(feature = "registry")]
    pub use crate::engine::{EvictionRank, OpenShare};
    pub use crate::error::PackedCause;
    pub use crate::events::entry::{LogEntry, Reason};
    pub use crate::events::listeners::{Listener, Listeners};
    pub use crate::events::slot::Slot;
    pub use crate::latency::baseline::PercentileBaseline;
    pub use crate::latency::in_flight::{InFlight, Watch};
    pub use crate::latency::odds::{Odds, TimedPeriod};
    pub use crate::latency::times::{Sampling, Timed, Times};
    pub use crate::name::label::Label;
    pub use crate::policy::policies::Policies;
    pub use crate::recovery::adaptive::AdaptiveRecovery;
    #[cfg(feature = "async")]
    pub use crate::recovery::checks::HealthChecks;
    pub use crate::recovery::clients::Clients;
    pub use crate::recovery::half_open::HalfOpenLimit;
    pub use crate::recovery::open_times::{LatestOpening, OpenTimes, Streak};
    pub use crate::recovery::outage::Outage;
    pub use crate::recovery::ramp::{Ask, Ramp, RampReport};
    pub use crate::recovery::retry_after::{MaxRetryAfter, RetryAfter};
    #[cfg(feature = "registry")]
    pub use crate::registry::control_group::{Command, Isolate};
    #[cfg(feature = "registry")]
    pub use crate::registry::eviction::{
        AtKey, Counted, EvictOutcome, RegistryEntry, find_or_make,
    };
    #[cfg(feature = "registry")]
    pub use crate::registry::templates::Templates;
    #[cfg(feature = "retry")]
    pub use crate::retry_budget::{Tokens, Turn};
    pub use crate::state::history::{History, date_of};
    pub use crate::state::{
        Admission, AtomicState, Generation, Interrupted, Judgement, Moment, PackedRound, Phase,
        ProbeCounts, ProbeReport, ProbeVerdict, Probes, RampMode, Round, Share, StateChange,
        StateWord,
    };
    pub use crate::sync::thread_slot::{ThreadSlot, ThreadSlots};
    #[cfg(any(feature = "bulkhead", feature = "async"))]
    pub use crate::sync::wait_queue::{EventQueue, InLine, Queue};
    #[cfg(tripcurve_traced)]
    pub use crate::sync::{Access, accesses_of};
    #[cfg(tripcurve_shuttle)]
    pub use crate::sync::{Scheduler, schedule_by};
    #[cfg(feature = "tracing")]
    pub use crate::util::event_limit::EventLimit;
    pub use crate::util::random::draw_next_bits;
    pub use crate::window::bin::Bin;
    pub use crate::window::bucket::{Added, AtomicBucket, BucketWord, Stamp};
    pub use crate::window::config::Recording;
    pub use crate::window::count::CountRing;
    pub use crate::window::counter::GenerationCounter;
    pub use crate::window::histogram::Histograms;
    pub use crate::window::latencies::{BinCounts, Latencies};
    pub use crate::window::latest::ClockReading;
    pub use crate::window::ring::{Call, Counts, KeptTimes, Origin, Ring, Tally, Took};
    pub use crate::window::sample::Sample;
    pub use crate::window::time::TimeRing;
    pub use crate::window::total::Total;
}

pub mod guide {
    #![doc = include_str!("docs/guide.md")]

    // The links of the pages need these names.
    #[cfg(doc)]
    #[allow(clippy::wildcard_imports)]
    use crate::*;

    #[doc = include_str!("docs/guide/when_it_helps.md")]
    pub mod when_it_helps {}
    #[doc = include_str!("docs/guide/mistakes.md")]
    pub mod mistakes {}
    #[doc = include_str!("docs/guide/policies.md")]
    pub mod policies {}
    #[doc = include_str!("docs/guide/evidence.md")]
    pub mod evidence {}
    #[doc = include_str!("docs/guide/windows.md")]
    pub mod windows {}
    #[doc = include_str!("docs/guide/failures.md")]
    pub mod failures {}
    #[doc = include_str!("docs/guide/slow_calls.md")]
    pub mod slow_calls {}
    #[doc = include_str!("docs/guide/timeouts.md")]
    pub mod timeouts {}
    #[doc = include_str!("docs/guide/composition.md")]
    pub mod composition {}
    #[doc = include_str!("docs/guide/wrong_orders.md")]
    pub mod wrong_orders {}
    #[doc = include_str!("docs/guide/probes.md")]
    pub mod probes {}
    #[doc = include_str!("docs/guide/long_outages.md")]
    pub mod long_outages {}
    #[doc = include_str!("docs/guide/bulkheads.md")]
    pub mod bulkheads {}
    #[doc = include_str!("docs/guide/keys.md")]
    pub mod keys {}
    #[doc = include_str!("docs/guide/fleets.md")]
    pub mod fleets {}
    #[doc = include_str!("docs/guide/commands.md")]
    pub mod commands {}
    #[doc = include_str!("docs/guide/reconfiguration.md")]
    pub mod reconfiguration {}
    #[doc = include_str!("docs/guide/restarts.md")]
    pub mod restarts {}
    #[doc = include_str!("docs/guide/testing.md")]
    pub mod testing {}
    #[doc = include_str!("docs/guide/tower.md")]
    pub mod tower {}
    #[doc = include_str!("docs/guide/http.md")]
    pub mod http {}
    #[doc = include_str!("docs/guide/adapters.md")]
    pub mod adapters {}
    #[doc = include_str!("docs/guide/watching.md")]
    pub mod watching {}
    #[doc = include_str!("docs/guide/limits.md")]
    pub mod limits {}
    #[doc = include_str!("docs/guide/from_resilience4j.md")]
    pub mod from_resilience4j {}
    #[doc = include_str!("docs/guide/from_polly.md")]
    pub mod from_polly {}
    #[doc = include_str!("docs/guide/from_gobreaker.md")]
    pub mod from_gobreaker {}
    #[doc = include_str!("docs/guide/from_tower_resilience.md")]
    pub mod from_tower_resilience {}
}

/// Compiles and runs the README's code.
#[cfg(all(doctest, feature = "tower"))]
#[doc = include_str!("../README.md")]
struct Readme;
