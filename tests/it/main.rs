//! The integration tests as one program, with one build and one link instead of fifty.
//!
//! `cargo test --test it latency::` runs the tests of one file. A test that needs its own program
//! is next to this folder. `tests/cache_lines.rs` needs a cfg that changes the crate.
//!
//! The crate `allocation-counter` is the allocator here. It counts per thread, so parallel tests
//! don't disturb a test that measures.

// Its HTTP server and client are those of the examples, compiled once.
use example_http as _;

mod effort;
mod model;
mod race;
mod runtime;
mod service;
mod traffic;

mod accounting;
mod adaptive;
mod against_model;
mod aging;
mod allocation;
mod api;
mod ask;
mod attempts;
mod backoff;
mod bad_shards;
mod blocking;
mod budget;
mod bulkhead;
mod burn_rate;
mod call_timeout;
mod clocks;
mod cold_start;
mod configurations;
mod default_policy;
mod default_recovery;
mod defects_of_peers;
mod dropped;
mod exact_times;
mod falling_traffic;
mod faults;
#[cfg(feature = "fleet")]
mod fleet_orders;
#[cfg(feature = "fleet")]
mod fleet_orders_against_model;
#[cfg(feature = "fleet")]
mod fleet_port;
mod generation;
mod grpc;
mod groups;
mod guarded;
mod handles;
mod hanging_probes;
mod health;
mod house_rules;
mod http;
mod invariants;
mod latency;
mod linear;
mod listening;
mod many_generations;
mod memory;
mod metamorphic;
mod metrics;
mod names;
mod nested;
mod open_share;
mod percentile_policies;
mod percentiles;
mod probes;
mod reconfigure;
mod record_result;
mod recovery;
mod recovery_against_model;
mod registry;
mod registry_against_model;
mod registry_reconfigure;
mod resized_window;
mod retry_after;
mod retry_budget;
mod roster;
mod roster_health;
mod runs;
mod sampled_against_model;
mod sampled_evidence;
mod sampling;
mod saved;
mod scenarios_of_peers;
mod slow_probes;
mod slow_shares;
mod stalls;
mod state_names;
mod spans;
mod steps;
mod thread_end;
mod timing;
mod totals;
mod tower;
mod tracing;
mod trip_levels;
mod until_admitting;
mod verification;
mod views;
mod waiting;
mod why_open;
mod warm_up;
mod would_trip;
