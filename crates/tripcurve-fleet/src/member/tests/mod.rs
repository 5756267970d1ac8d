//! Members with real breakers, mock clocks and tokio's paused time.

mod outage;
mod town;
