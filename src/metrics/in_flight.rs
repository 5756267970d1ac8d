//! The sources that know how many calls are in flight.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::export;

/// A bulkhead or another counter, as a function.
pub(super) type InFlightSource = Box<dyn Fn() -> u32 + Send + Sync>;

/// The sources by the names of their series.
#[derive(Default)]
pub(super) struct InFlightSources(BTreeMap<Arc<str>, Vec<InFlightSource>>);

impl InFlightSources {
    pub(super) fn add(&mut self, name: &str, source: InFlightSource) {
        self.0.entry(name.into()).or_default().push(source);
    }

    /// Asks all sources. Those that share a name share the series, which shows their sum.
    pub(super) fn write(&self) {
        for (name, sources) in &self.0 {
            let count = sources.iter().map(|count| u64::from(count())).sum();
            export::calls_in_flight(name, count);
        }
    }
}
