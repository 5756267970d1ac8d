//! The names, labels and units, as the recorder gets them.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

use super::transition_counts::TransitionLabels;
use crate::snapshot::{Latency, Snapshot, Totals};
use crate::state::State;

const STATE: &str = "circuit_breaker_state";
const CALLS: &str = "circuit_breaker_calls_total";
const REJECTIONS: &str = "circuit_breaker_rejections_total";
const SLOW_CALLS: &str = "circuit_breaker_slow_calls_total";
const TRANSITIONS: &str = "circuit_breaker_transitions_total";
const WINDOW_CALLS: &str = "circuit_breaker_window_calls";
const WINDOW_FAILURES: &str = "circuit_breaker_window_failures";
const WINDOW_FAILURE_RATIO: &str = "circuit_breaker_window_failure_ratio";
const TRIP_THRESHOLD: &str = "circuit_breaker_trip_threshold_ratio";
const OVERDUE_CALLS: &str = "circuit_breaker_overdue_calls";
const PROBES_IN_FLIGHT: &str = "circuit_breaker_probes_in_flight";
const CALLS_IN_FLIGHT: &str = "circuit_breaker_calls_in_flight";
const OPEN_REMAINING: &str = "circuit_breaker_open_remaining_seconds";
const ADMITTED_RATIO: &str = "circuit_breaker_admitted_ratio";
const WINDOW_DURATION: &str = "circuit_breaker_window_duration_seconds";

const STATES: [State; 6] = [
    State::Closed,
    State::Open,
    State::HalfOpen,
    State::ForcedOpen,
    State::Disabled,
    State::MetricsOnly,
];

/// The percentiles of the window's durations, with their labels.
///
/// The label isn't `quantile`, which Prometheus reserves for summaries.
const PERCENTILES: [(&str, f64); 4] = [("50", 50.0), ("90", 90.0), ("99", 99.0), ("99.9", 99.9)];

/// Tells the recorder what the metrics mean.
pub(super) fn describe() {
    let count = Unit::Count;
    describe_gauge!(STATE, count, "1 for the breaker's state, 0 for the others.");
    describe_counter!(CALLS, count, "Calls that ended, by outcome.");
    describe_counter!(REJECTIONS, count, "Calls that the breaker rejected.");
    describe_counter!(SLOW_CALLS, count, "Calls that took longer than the limit.");
    describe_counter!(TRANSITIONS, count, "Changes of the breaker's state.");
    describe_gauge!(WINDOW_CALLS, count, "Calls in the window.");
    describe_gauge!(WINDOW_FAILURES, count, "Failed calls in the window.");
    describe_gauge!(
        WINDOW_FAILURE_RATIO,
        count,
        "Share of the window's calls that failed."
    );
    describe_gauge!(
        TRIP_THRESHOLD,
        count,
        "Share of the window's calls at which the policy trips."
    );
    describe_gauge!(
        OVERDUE_CALLS,
        count,
        "Calls in flight for longer than the limit."
    );
    describe_gauge!(CALLS_IN_FLIGHT, count, "Calls in flight.");
    describe_gauge!(PROBES_IN_FLIGHT, count, "Probes in flight.");
    describe_gauge!(OPEN_REMAINING, Unit::Seconds, "Time until the first probe.");
    describe_gauge!(
        ADMITTED_RATIO,
        count,
        "Share of the calls that are let through."
    );
    describe_gauge!(
        WINDOW_DURATION,
        Unit::Seconds,
        "Durations of the window's calls."
    );
}

/// A count as the value of a gauge.
#[allow(
    clippy::cast_precision_loss,
    reason = "a count above 2⁵³ loses its last digits"
)]
fn value(count: u64) -> f64 {
    count as f64
}

/// The number of breakers in each state.
#[derive(Default)]
pub(super) struct ByState([u64; STATES.len()]);

impl ByState {
    pub(super) fn add(&mut self, state: State) {
        self.0[state as usize] += 1;
    }
}

/// What the gauges of one name show. All are 0 once no breaker has the name.
#[derive(Default)]
pub(super) struct GaugeValues {
    pub(super) states: ByState,
    calls: u64,
    failures: u64,
    overdue: u64,
    probes_in_flight: u64,
    open_remaining: f64,
    admitted: f64,
    /// The longest duration at each percentile, if the breaker records durations.
    durations: Option<[f64; PERCENTILES.len()]>,
    /// The smallest threshold of each policy. A policy that no breaker has any more shows 0.
    thresholds: BTreeMap<&'static str, Option<f64>>,
}

impl GaugeValues {
    /// Begins a collection: nothing is alive, and no policy that was shown is forgotten.
    pub(super) fn clear(&mut self) {
        let mut thresholds = mem::take(&mut self.thresholds);
        for smallest in thresholds.values_mut() {
            *smallest = None;
        }
        *self = Self {
            thresholds,
            ..Self::default()
        };
    }

    /// Adds the threshold of a policy.
    pub(super) fn add_threshold(&mut self, policy: &'static str, threshold: f64) {
        let smallest = self.thresholds.entry(policy).or_default();
        *smallest = Some(smallest.map_or(threshold, |other| other.min(threshold)));
    }

    /// Adds a breaker: its counts, the longer of two times, and the smaller of two shares.
    pub(super) fn add(&mut self, snapshot: &Snapshot) {
        let is_first = self.states.0.iter().sum::<u64>() == 0;
        self.states.add(snapshot.state());
        self.calls += snapshot.calls();
        self.failures += snapshot.failures();
        self.overdue += snapshot.overdue();
        self.probes_in_flight += u64::from(snapshot.probes_in_flight());
        let remaining = snapshot.remaining_open().unwrap_or_default();
        self.open_remaining = longer(self.open_remaining, remaining);
        let admitted = admitted(snapshot);
        self.admitted = if is_first {
            admitted
        } else {
            self.admitted.min(admitted)
        };
        if let Some(latency) = snapshot.latency() {
            self.add_durations(latency);
        }
    }

    fn add_durations(&mut self, latency: &Latency) {
        let all = self.durations.get_or_insert_default();
        for (longest, (_, percentile)) in all.iter_mut().zip(PERCENTILES) {
            *longest = longer(*longest, latency.percentile(percentile).unwrap_or_default());
        }
    }

    /// Writes all gauges but the states.
    pub(super) fn write(&self, name: &Arc<str>) {
        let set = |metric: &'static str, value: f64| {
            gauge!(metric, "name" => Arc::clone(name)).set(value);
        };
        set(WINDOW_CALLS, value(self.calls));
        set(WINDOW_FAILURES, value(self.failures));
        let ratio = value(self.failures) / value(self.calls.max(1));
        set(WINDOW_FAILURE_RATIO, ratio);
        set(OVERDUE_CALLS, value(self.overdue));
        set(PROBES_IN_FLIGHT, value(self.probes_in_flight));
        set(OPEN_REMAINING, self.open_remaining);
        set(ADMITTED_RATIO, self.admitted);
        for (policy, smallest) in &self.thresholds {
            gauge!(TRIP_THRESHOLD, "name" => Arc::clone(name), "policy" => *policy)
                .set(smallest.unwrap_or_default());
        }
        for (longest, (percentile, _)) in self.durations.iter().flatten().zip(PERCENTILES) {
            let labels = [
                ("name", Arc::clone(name).into()),
                ("percentile", percentile.into()),
            ];
            gauge!(WINDOW_DURATION, &labels as &[(&str, metrics::SharedString)]).set(*longest);
        }
    }
}

/// The longer of two times, in seconds.
fn longer(seconds: f64, other: Duration) -> f64 {
    seconds.max(other.as_secs_f64())
}

/// The share of the calls that a breaker lets through.
fn admitted(snapshot: &Snapshot) -> f64 {
    match snapshot.state() {
        State::Closed | State::Disabled | State::MetricsOnly => 1.0,
        State::HalfOpen => snapshot.admitted_share().unwrap_or_default(),
        State::Open | State::ForcedOpen => 0.0,
    }
}

/// Writes the number of breakers in each state.
pub(super) fn states(name: &Arc<str>, by_state: &ByState) {
    for (state, count) in STATES.into_iter().zip(by_state.0) {
        gauge!(STATE, "name" => Arc::clone(name), "state" => state.as_str()).set(value(count));
    }
}

/// Writes 1 for this state and 0 for the others.
pub(super) fn state(name: &Arc<str>, current: &str) {
    for state in STATES.map(State::as_str) {
        let is_current = if state == current { 1.0 } else { 0.0 };
        gauge!(STATE, "name" => Arc::clone(name), "state" => state).set(is_current);
    }
}

/// Writes the number of calls in flight.
pub(super) fn calls_in_flight(name: &Arc<str>, count: u64) {
    gauge!(CALLS_IN_FLIGHT, "name" => Arc::clone(name)).set(value(count));
}

/// Raises the counters of calls to these totals.
pub(super) fn totals(name: &Arc<str>, totals: &Totals) {
    let outcomes = [
        ("success", totals.successes),
        ("failure", totals.failures),
        ("timed_out", totals.timed_out),
        ("ignored", totals.ignored),
    ];
    for (outcome, total) in outcomes {
        counter!(CALLS, "name" => Arc::clone(name), "outcome" => outcome).absolute(total);
    }
    counter!(REJECTIONS, "name" => Arc::clone(name)).absolute(totals.rejected);
    counter!(SLOW_CALLS, "name" => Arc::clone(name)).absolute(totals.slow);
}

/// Raises the counter of transitions with these labels.
pub(super) fn transitions(name: &Arc<str>, labels: TransitionLabels, count: u64) {
    let TransitionLabels { from, to, reason } = labels;
    counter!(
        TRANSITIONS,
        "name" => Arc::clone(name),
        "from" => from.as_str(),
        "to" => to.as_str(),
        "reason" => reason
    )
    .absolute(count);
}

#[cfg(test)]
mod tests {
    use super::STATES;

    #[test]
    fn each_state_has_its_place_in_the_list() {
        for (place, state) in STATES.into_iter().enumerate() {
            assert_eq!(state as usize, place);
        }
    }
}
