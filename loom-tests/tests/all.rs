//! All models in one executable: building one for each file takes longer.

mod anteroom;
mod bucket;
mod bulkhead;
mod clock;
mod control;
mod core;
mod count_ring;
mod counter;
mod credit;
mod evidence;
mod health;
mod histogram;
mod history;
mod in_flight;
mod isolation;
mod listeners;
mod listening;
mod open_share;
mod open_times;
mod ramp;
mod reconfigure;
mod registry;
#[cfg(feature = "tracing")]
mod rejection_events;
mod retry_after;
mod retry_budget;
mod ring;
mod saved;
mod slow;
mod stalls;
mod state;
mod templates;
mod tick;
mod totals;
mod watch;
mod would_trip;
