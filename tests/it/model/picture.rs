//! The values that a reader should see.

use std::time::Duration;

use tripcurve::State;
use tripcurve::snapshot::{Latency, Snapshot};

use super::totals::Totals;

/// The values that a snapshot should show, accessor by accessor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Picture {
    pub(super) name: String,
    pub(super) state: State,
    pub(super) generation: u64,
    pub(super) at: Duration,
    pub(super) since: Duration,
    pub(super) in_state_for: Duration,
    pub(super) remaining_open: Option<Duration>,
    pub(super) successes: u64,
    pub(super) failures: u64,
    pub(super) calls: u64,
    pub(super) ignored: u64,
    pub(super) rejected: u64,
    pub(super) failure_rate: Option<f64>,
    pub(super) consecutive_failures: u64,
    pub(super) probes_in_flight: u32,
    pub(super) probes_succeeded: u32,
    pub(super) probes_slow: u32,
    pub(super) probes_failed: u32,
    pub(super) admitted_share: Option<f64>,
    pub(super) slow: u64,
    pub(super) overdue: u64,
    pub(super) would_have_opened: u64,
    pub(super) totals: Totals,
    pub(super) latency: Option<Durations>,
    pub(super) latency_of_successes: Option<Durations>,
    pub(super) latency_of_failures: Option<Durations>,
}

impl Picture {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        Self {
            name: snapshot.name().to_owned(),
            state: snapshot.state(),
            generation: snapshot.generation(),
            at: snapshot.at(),
            since: snapshot.since(),
            in_state_for: snapshot.in_state_for(),
            remaining_open: snapshot.remaining_open(),
            successes: snapshot.successes(),
            failures: snapshot.failures(),
            calls: snapshot.calls(),
            ignored: snapshot.ignored(),
            rejected: snapshot.rejected(),
            failure_rate: snapshot.failure_rate(),
            consecutive_failures: snapshot.consecutive_failures(),
            probes_in_flight: snapshot.probes_in_flight(),
            probes_succeeded: snapshot.probes_succeeded(),
            probes_slow: snapshot.probes_slow(),
            probes_failed: snapshot.probes_failed(),
            admitted_share: snapshot.admitted_share(),
            slow: snapshot.slow(),
            overdue: snapshot.overdue(),
            would_have_opened: snapshot.would_have_opened(),
            totals: Totals::of(snapshot),
            latency: snapshot.latency().map(Durations::of),
            latency_of_successes: snapshot.latency_of_successes().map(Durations::of),
            latency_of_failures: snapshot.latency_of_failures().map(Durations::of),
        }
    }
}

/// The number of durations that a histogram should hold, and of those beyond its ends.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Durations {
    calls: u64,
    below: u64,
    above: u64,
}

impl Durations {
    fn of(latency: &Latency) -> Self {
        Self {
            calls: latency.count(),
            below: latency.below(),
            above: latency.above(),
        }
    }

    /// Counts durations in nanoseconds.
    pub(super) fn of_calls(took: impl Iterator<Item = u64>) -> Self {
        took.fold(Self::default(), |sum, nanos| Self {
            calls: sum.calls + 1,
            below: sum.below + u64::from(nanos < 512),
            above: sum.above + u64::from(nanos >= 1 << 36),
        })
    }
}
