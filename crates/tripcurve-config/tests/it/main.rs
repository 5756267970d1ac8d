//! Tests of configuration files that need a reader of YAML or a validator of JSON Schema.
//!
//! A package of its own, since those take longer to build than tripcurve with all its examples.
#![forbid(unsafe_code)]
