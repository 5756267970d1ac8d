//! All models in one executable: building one for each file takes longer.

mod anteroom;
mod bucket;
mod bulkhead;
mod clock;
mod control;
mod core;
mod count_ring;
mod counter;
mod evidence;
mod health;
mod histogram;
mod history;
mod in_flight;
mod listeners;
mod open_times;
mod ramp;
mod reconfigure;
mod registry;
mod retry_after;
mod retry_budget;
mod ring;
mod saved;
mod slow;
mod state;
mod templates;
mod tick;
