//! The parts of the lab. `main.rs` is its command line.

pub mod backend;
pub mod bound;
pub mod breaker;
pub mod capacity;
pub mod compare;
pub mod completions;
pub mod fleet;
pub mod herd;
pub mod html;
pub mod labels;
pub mod log;
pub mod measure;
pub mod ours;
pub mod peers;
pub mod policies;
pub mod recommend;
pub mod replay;
pub mod sample;
pub mod scenario;
pub mod simulation;
pub mod statistics;
pub mod sweep;
pub mod table;
pub mod time;
pub mod traffic;
pub mod words;
