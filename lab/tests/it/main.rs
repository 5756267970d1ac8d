//! The integration tests as one program. It is linked once, and all tests share the cores.
//!
//! `cargo test -p tripcurve-lab --test it peers::` runs the tests of one file.

#[path = "../../../tests/it/effort.rs"]
mod effort;

mod bound;
mod breakers;
mod charts;
mod determinism;
mod fleet;
mod herd;
mod html;
mod log;
mod metamorphic;
mod peers;
mod peers_failsafe;
mod peers_recloser;
mod peers_semian;
mod readme;
mod recommend;
mod replay;
mod scenarios;
