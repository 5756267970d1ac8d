//! The tests of configuration files, as one program.

mod any_config;

mod config;
mod fleet;
mod hostile;
mod names;
mod readers;
mod registries;
mod reload_recipe;
mod round_trip;
mod state_names;
