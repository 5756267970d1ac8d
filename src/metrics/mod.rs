//! Breakers as metrics of the [`metrics`](https://docs.rs/metrics) facade: [`Collector`].

mod breakers;
mod export;
mod in_flight;
mod series;
mod transition_counts;

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_queue::SegQueue;

use self::breakers::{Arrivals, KnownBreakers};
use self::in_flight::InFlightSources;
use self::series::AllSeries;
use crate::clock::sleep::Sleep;
use crate::name::Name;
use crate::registry::Roster;
use crate::registry::roster::Newcomers;

/// Writes the breakers of a [`Roster`] to the recorder of the [`metrics`](https://docs.rs/metrics)
/// facade.
///
/// Call [`collect`](Self::collect) before each scrape. For an exporter that pushes, spawn a task
/// with [`every`](Self::every). Make one collector for a roster, before the breakers.
///
/// | name | type | labels |
/// |---|---|---|
/// | `circuit_breaker_state` | gauge, 1 for the current state and 0 for the five others | `name`, `state` |
/// | `circuit_breaker_calls_total` | counter | `name`, `outcome`: `success`, `failure`, `timed_out`, `ignored` |
/// | `circuit_breaker_rejections_total` | counter | `name` |
/// | `circuit_breaker_slow_calls_total` | counter | `name` |
/// | `circuit_breaker_transitions_total` | counter | `name`, `from`, `to`, `reason` |
/// | `circuit_breaker_window_calls` | gauge | `name` |
/// | `circuit_breaker_window_failures` | gauge | `name` |
/// | `circuit_breaker_window_failure_ratio` | gauge, 0 for an empty window | `name` |
/// | `circuit_breaker_trip_threshold_ratio` | gauge, for policies that judge a share of the calls | `name`, `policy`: `failure_rate`, `burn_rate`, `slow_rate` |
/// | `circuit_breaker_overdue_calls` | gauge | `name` |
/// | `circuit_breaker_calls_in_flight` | gauge, with [`in_flight`](Self::in_flight) | `name` |
/// | `circuit_breaker_probes_in_flight` | gauge | `name` |
/// | `circuit_breaker_open_remaining_seconds` | gauge, 0 unless open | `name` |
/// | `circuit_breaker_admitted_ratio` | gauge, 0 to 1 | `name` |
/// | `circuit_breaker_window_duration_seconds` | gauge, with [`latency`](crate::CircuitBreakerBuilder::latency) | `name`, `percentile`: `50`, `90`, `99`, `99.9` |
///
/// States are spelled as [`State::as_str`](crate::State::as_str) does, reasons as
/// [`Cause::kind`](crate::events::Cause::kind) does. Counters are those of
/// [`Snapshot::totals`](crate::snapshot::Snapshot::totals), and never fall. The admitted ratio is 1
/// for a breaker that lets all calls through. It is the share of a ramp, and otherwise 0.
///
/// A policy trips at its threshold, once the window holds the policy's smallest number of calls.
/// The default policy, the adaptive one, weighs evidence and has no threshold.
/// The label `policy` is the `reason` of its trips. If a breaker has two thresholds of a kind, the
/// smaller one is shown. A [`reconfigure`](crate::CircuitBreaker::reconfigure) without the policy
/// sets its threshold to 0.
///
/// Breakers that share a name share the series. Counts are then sums, also those of states. Times
/// are the longest. The admitted ratio and the thresholds are the smallest. When a breaker is gone,
/// its gauges become 0 and its counters stay. Calls between the last collection and the end are
/// missing.
///
/// # Registries
/// A registry has the state gauge alone, with the number of breakers in each state. Keys that
/// aren't closed have a state gauge of their own, if they have names of their own by
/// [`name_with`](crate::registry::RegistryBuilder::name_with). There are at most [`top`](Self::top)
/// of them: open ones first, then half-open ones, by name. A key that isn't among them any more has
/// 0 for all states.
///
/// # Cost
/// The feature adds nothing to a call. A collection takes a snapshot of each breaker, and reads the
/// state of each breaker of a registry. The listener that counts transitions allocates at the first
/// transition of a kind. It costs each breaker about 6 KiB; see
/// [`CircuitBreaker::on_transition`](crate::CircuitBreaker::on_transition).
///
/// No method panics, unless the recorder or a source of calls in flight does.
///
/// ```
/// use metrics_exporter_prometheus::PrometheusBuilder;
/// use tripcurve::CircuitBreaker;
/// use tripcurve::metrics::Collector;
/// use tripcurve::registry::Roster;
///
/// let recorder = PrometheusBuilder::new().build_recorder();
/// let handle = recorder.handle();
/// # metrics::with_local_recorder(&recorder, || {
/// // metrics::set_global_recorder(recorder)?;
///
/// let roster = Roster::new();
/// let collector = Collector::new(&roster);
/// let payments = CircuitBreaker::builder("payments").enlist(&roster).build()?;
/// let _ = payments.call(|| "42".parse::<u32>());
///
/// // In the handler of the scrape:
/// collector.collect();
/// let text = handle.render();
/// assert!(text.contains(r#"circuit_breaker_calls_total{name="payments",outcome="success"} 1"#));
/// # Ok::<(), tripcurve::error::ConfigError>(())
/// # }).unwrap();
/// ```
pub struct Collector {
    roster: Roster,
    top: usize,
    /// The roster has a weak handle.
    arrivals: Arc<Arrivals>,
    in_flight: InFlightSources,
    /// What the last collection has left. Empty while a thread collects.
    notes: SegQueue<CollectorNotes>,
}

/// What a collector remembers between collections.
#[derive(Default)]
struct CollectorNotes {
    breakers: KnownBreakers,
    series: AllSeries,
}

impl Collector {
    /// How many keys of registries a collector shows at most, unless told otherwise.
    const TOP: usize = 20;

    /// Makes a collector for the breakers of a roster.
    ///
    /// It counts transitions from now on. Of breakers that are built later it counts all.
    #[must_use]
    pub fn new(roster: &Roster) -> Self {
        let arrivals = Arc::new(Arrivals::default());
        let newcomers = Arc::clone(&arrivals) as Arc<dyn Newcomers>;
        roster.tell(&Arc::downgrade(&newcomers));
        let mut notes = CollectorNotes::default();
        notes.breakers.learn(&roster.breakers(), &arrivals);
        let collector = Self {
            roster: roster.clone(),
            top: Self::TOP,
            arrivals,
            in_flight: InFlightSources::default(),
            notes: SegQueue::new(),
        };
        collector.notes.push(notes);
        collector
    }

    /// Sets how many keys of registries have a state gauge of their own at most (default 20).
    #[must_use]
    pub fn top(mut self, keys: usize) -> Self {
        self.top = keys;
        self
    }

    /// Adds a gauge of the calls in flight, which `count` knows.
    ///
    /// A breaker doesn't know them, because a closed breaker writes nothing when a call begins. A
    /// [bulkhead](crate::bulkhead) does, and the layer for tower by `count_in_flight`. So may a
    /// semaphore of yours. `name` is usually the breaker's. Sources of one name are added up.
    /// `count` is asked in each collection.
    ///
    /// ```
    /// use tripcurve::metrics::Collector;
    /// use tripcurve::registry::Roster;
    ///
    /// # #[cfg(feature = "bulkhead")] {
    /// use tripcurve::bulkhead::Bulkhead;
    ///
    /// let reports = Bulkhead::new(10)?;
    /// let places = reports.clone();
    /// let collector = Collector::new(&Roster::new()).in_flight("reports", move || places.in_flight());
    /// # }
    /// # Ok::<(), tripcurve::error::ConfigError>(())
    /// ```
    #[must_use]
    pub fn in_flight(
        mut self,
        name: impl Into<Name>,
        count: impl Fn() -> u32 + Send + Sync + 'static,
    ) -> Self {
        let name: Name = name.into();
        self.in_flight.add(name.as_str(), Box::new(count));
        self
    }

    /// Writes all metrics to the recorder.
    ///
    /// If another thread is collecting, this method returns at once and writes nothing.
    pub fn collect(&self) {
        let Some(notes) = self.notes.pop() else {
            return;
        };
        let mut lent = LentNotes {
            notes,
            home: &self.notes,
        };
        let CollectorNotes { breakers, series } = &mut lent.notes;
        export::describe();
        let listed = self.roster.breakers();
        breakers.learn(&listed, &self.arrivals);
        drop(listed);
        series.begin();
        breakers.add_to(series);
        series.write(&self.roster.registries(), self.top);
        self.in_flight.write();
    }

    /// Collects at once and then once in each `period`, until the future is dropped.
    ///
    /// It is for exporters that push: `tokio::spawn(collector.every(period, tokio::time::sleep))`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcurve::metrics::Collector;
    /// use tripcurve::registry::Roster;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// let collector = Collector::new(&Roster::new());
    /// let task = tokio::spawn(collector.every(Duration::from_secs(10), tokio::time::sleep));
    /// # task.abort();
    /// # });
    /// ```
    pub async fn every(self, period: Duration, sleep: impl Sleep) {
        loop {
            self.collect();
            sleep.sleep(period).await;
        }
    }
}

/// The notes while a thread collects. They go home even if the recorder panics.
struct LentNotes<'a> {
    notes: CollectorNotes,
    home: &'a SegQueue<CollectorNotes>,
}

impl Drop for LentNotes<'_> {
    fn drop(&mut self) {
        self.home.push(std::mem::take(&mut self.notes));
    }
}

/// A recorder that panics ends one collection. The next one writes what is missing.
impl UnwindSafe for Collector {}
impl RefUnwindSafe for Collector {}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector")
            .field("roster", &self.roster)
            .field("top", &self.top)
            .finish_non_exhaustive()
    }
}
