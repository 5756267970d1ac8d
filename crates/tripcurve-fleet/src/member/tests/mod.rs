//! Members with real breakers, mock clocks and tokio's paused time.

mod configuration;
mod faulty;
mod outage;
mod panics;
#[cfg(feature = "registry")]
mod registry;
mod store_faults;
mod processes;
mod wild;
