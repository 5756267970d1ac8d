//! Snapshots and latencies in the format of views; see `guide::watching`.

use serde::ser::{Serialize, SerializeStruct, Serializer};
use std::time::Duration;

use super::{Latency, Snapshot, Totals};
use crate::events::serialize::VERSION;

fn seconds(duration: Option<Duration>) -> Option<f64> {
    duration.map(|duration| duration.as_secs_f64())
}

/// In the format of views, version 1; see [the guide](crate::guide::watching).
///
/// A part that a breaker doesn't have is null.
impl Serialize for Snapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut all = serializer.serialize_struct("Snapshot", 28)?;
        all.serialize_field("version", &VERSION)?;
        all.serialize_field("name", self.name())?;
        all.serialize_field("state", &self.state())?;
        all.serialize_field("generation", &self.generation())?;
        all.serialize_field("at_seconds", &self.at().as_secs_f64())?;
        all.serialize_field("in_state_for_seconds", &self.in_state_for().as_secs_f64())?;
        all.serialize_field("remaining_open_seconds", &seconds(self.remaining_open()))?;
        all.serialize_field("calls", &self.calls())?;
        all.serialize_field("successes", &self.successes())?;
        all.serialize_field("failures", &self.failures())?;
        all.serialize_field("failure_rate", &self.failure_rate())?;
        all.serialize_field("consecutive_failures", &self.consecutive_failures())?;
        all.serialize_field("slow", &self.slow())?;
        all.serialize_field("slow_failures", &self.slow_failures())?;
        all.serialize_field("overdue", &self.overdue())?;
        all.serialize_field("ignored", &self.ignored())?;
        all.serialize_field("rejected", &self.rejected())?;
        all.serialize_field("would_have_opened", &self.would_have_opened())?;
        all.serialize_field("totals", &self.totals())?;
        all.serialize_field("probes_in_flight", &self.probes_in_flight())?;
        all.serialize_field("probes_succeeded", &self.probes_succeeded())?;
        all.serialize_field("probes_slow", &self.probes_slow())?;
        all.serialize_field("probes_failed", &self.probes_failed())?;
        all.serialize_field("admitted_share", &self.admitted_share())?;
        all.serialize_field("latest_opening", &self.latest_opening())?;
        all.serialize_field("latency", &self.latency())?;
        all.serialize_field("latency_of_successes", &self.latency_of_successes())?;
        all.serialize_field("latency_of_failures", &self.latency_of_failures())?;
        all.end()
    }
}

/// Writes a field for each kind of call.
impl Serialize for Totals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut all = serializer.serialize_struct("Totals", 6)?;
        all.serialize_field("successes", &self.successes)?;
        all.serialize_field("failures", &self.failures)?;
        all.serialize_field("timed_out", &self.timed_out)?;
        all.serialize_field("ignored", &self.ignored)?;
        all.serialize_field("rejected", &self.rejected)?;
        all.serialize_field("slow", &self.slow)?;
        all.end()
    }
}

/// As the number of calls and times in seconds. Without calls, the times are null.
impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let percentile = |percentile| seconds(self.percentile(percentile));
        let mut all = serializer.serialize_struct("Latency", 8)?;
        all.serialize_field("calls", &self.count())?;
        all.serialize_field("min_seconds", &seconds(self.min()))?;
        all.serialize_field("mean_seconds", &seconds(self.mean()))?;
        all.serialize_field("p50_seconds", &percentile(50.0))?;
        all.serialize_field("p90_seconds", &percentile(90.0))?;
        all.serialize_field("p99_seconds", &percentile(99.0))?;
        all.serialize_field("p999_seconds", &percentile(99.9))?;
        all.serialize_field("max_seconds", &seconds(self.max()))?;
        all.end()
    }
}
