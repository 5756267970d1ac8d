//! The metrics, the dashboard and the alert rules of `docs/monitoring`, with the program that they
//! watch.
//!
//! Most tests here read the files. One starts a real Prometheus and asks it each expression. It is
//! ignored unless asked for: `.ci/ecosystem monitoring` installs Prometheus and runs it.
#![allow(clippy::float_cmp, reason = "the numbers are whole")]

mod dashboard;
mod expressions;
mod live;
mod outage;
mod prometheus;
mod scrape;
#[path = "../../examples/monitored/shop.rs"]
mod shop;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A path in this repository.
fn path(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The text of a file in this repository.
fn text_of(file: &str) -> String {
    fs::read_to_string(path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The metrics in the table of `Collector`'s documentation, with their types.
fn documented_metrics() -> BTreeMap<String, String> {
    let source = text_of("src/metrics/mod.rs");
    let rows = source
        .lines()
        .filter_map(|line| line.strip_prefix("/// | `"));
    let metrics: BTreeMap<_, _> = rows
        .map(|row| {
            let (name, rest) = row.split_once("` | ").unwrap();
            let kind = rest.split([' ', ',']).next().unwrap();
            (name.to_owned(), kind.to_owned())
        })
        .collect();
    assert!(metrics.len() >= 15, "{metrics:?}");
    metrics
}
