//! What the benchmarks share that measure by turns: how the turns are taken, and what is said about
//! them.

pub mod statistics;
pub mod turns;
