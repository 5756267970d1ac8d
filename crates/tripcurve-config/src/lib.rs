//! Circuit breakers from a file of TOML, JSON or YAML, for [tripcurve].
//!
//! [`Config`] holds named breakers and templates as a file describes them. Each error names the
//! place in the file.
//!
//! ```
//! use tripcurve_config::Config;
//!
//! let config: Config = toml::from_str(r#"
//!     [breakers.payments]
//!     trip_when = [{ failure_rate = 0.5, min_calls = 20 }]
//!     open_for = "5s"
//! "#)?;
//! config.check()?;
//! let payments = config.build("payments")?;
//! assert!(payments.call(|| Ok::<_, &str>("paid")).is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [Following a file](following_a_file) shows how a service applies the changes of a file while
//! calls run.
//!
//! # Features
//!
//! | feature | what it adds | by which crates |
//! |---|---|---|
//! | `fleet` | `Config::fleet`, the fleet that a process joins | those of tripcurve's feature `fleet` |
//! | `registry` | `Config::registry`, registries of breakers by key | those of tripcurve's feature `registry` |
//! | `schema` | `schemars::JsonSchema` for [`Config`], for editors | schemars |
//!
//! None is on by default.
#![forbid(unsafe_code)]
// docs.rs marks each item with the feature that it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod config;
mod fleet;
mod named;
mod pattern;
mod policy;
mod read;
mod registry;
mod scalars;
#[cfg(feature = "schema")]
mod schema;
mod settings;
mod shown;
mod words;

pub use config::Config;
#[cfg(feature = "fleet")]
pub use fleet::FleetConfig;

#[doc = include_str!("docs/following-a-file.md")]
pub mod following_a_file {}

/// Compiles and runs the README's code.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
