//! One judgement for the circuit breakers of many processes, for tripcurve.
//!
//! So far there is only the [`judge`]. It does no input and output.
#![forbid(unsafe_code)]

pub mod judge;
