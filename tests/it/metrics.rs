//! A collector writes the breakers of a roster to the recorder of the `metrics` facade.
#![cfg(feature = "metrics")]
#![allow(clippy::float_cmp, reason = "the numbers are whole")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use metrics::with_local_recorder;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
#[cfg(feature = "bulkhead")]
use tripcurve::bulkhead::Bulkhead;
use tripcurve::metrics::Collector;
use tripcurve::registry::{Registry, Roster};
use tripcurve::time::Clock;
use tripcurve::window::Recording;
use tripcurve::{CircuitBreaker, Outcome, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);

/// A collector with a recorder of Prometheus.
struct Scraper {
    collector: Collector,
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

/// The samples of a scrape, by name with labels.
#[derive(Clone)]
struct Scrape(BTreeMap<String, f64>);

impl Scraper {
    fn new(roster: &Roster) -> Self {
        Self::with(Collector::new(roster), PrometheusBuilder::new())
    }

    fn with(collector: Collector, builder: PrometheusBuilder) -> Self {
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        Self {
            collector,
            recorder,
            handle,
        }
    }

    fn text(&self) -> String {
        with_local_recorder(&self.recorder, || self.collector.collect());
        self.handle.render()
    }

    fn scrape(&self) -> Scrape {
        let text = self.text();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.filter_map(|line| line.rsplit_once(' '));
        Scrape(
            samples
                .map(|(series, value)| (series.to_owned(), value.parse().unwrap()))
                .collect(),
        )
    }
}

impl Scrape {
    /// The value of a series such as `window_calls{name="payments"}`.
    #[track_caller]
    fn get(&self, series: &str) -> f64 {
        let series = format!("circuit_breaker_{series}");
        let found = self.0.get(&series);
        *found.unwrap_or_else(|| panic!("{series} is not among {:#?}", self.0))
    }

    #[track_caller]
    fn check(&self, series: &str, expected: f64) {
        let value = self.get(series);
        assert!((value - expected).abs() < 1e-9, "{series} is {value}");
    }

    fn has(&self, series: &str) -> bool {
        self.0.contains_key(&format!("circuit_breaker_{series}"))
    }

    /// The state gauges of a name that aren't 0.
    fn states(&self, name: &str) -> Vec<(&str, f64)> {
        let prefix = format!("circuit_breaker_state{{name=\"{name}\",state=\"");
        let all = self.0.iter().filter_map(|(series, value)| {
            let state = series.strip_prefix(&prefix)?.strip_suffix("\"}")?;
            Some((state, *value))
        });
        let all: Vec<_> = all.collect();
        assert_eq!(all.len(), 6, "the states of {name}: {all:?}");
        all.into_iter().filter(|(_, value)| *value != 0.0).collect()
    }

    /// The sum of the counters of calls.
    fn calls(&self) -> f64 {
        let calls = |series: &str| series.starts_with("circuit_breaker_calls_total");
        let values = self.0.iter().filter(|(series, _)| calls(series));
        values.map(|(_, value)| value).sum()
    }

    #[track_caller]
    fn check_no_counter_fell(&self, before: &Self) {
        for (series, value) in &before.0 {
            if series.contains("_total") {
                assert!(self.0[series] >= *value, "{series}");
            }
        }
    }
}

fn enlisted(roster: &Roster, name: &'static str) -> CircuitBreaker {
    CircuitBreaker::builder(name)
        .trip_when(TripPolicy::consecutive_failures(3))
        .clock(Clock::mock().0)
        .enlist(roster)
        .build()
        .unwrap()
}

fn fail(breaker: &CircuitBreaker) {
    let _ = breaker.call(|| Err::<(), _>("timeout"));
}

fn succeed(breaker: &CircuitBreaker) {
    let _ = breaker.call(|| Ok::<_, &str>(()));
}

#[test]
fn a_thousand_calls_and_a_trip_differ_by_exactly_that() {
    let roster = Roster::new();
    let payments = enlisted(&roster, "payments");
    let scraper = Scraper::new(&roster);
    succeed(&payments);
    let before = scraper.scrape();
    assert_eq!(before.states("payments"), [("closed", 1.0)]);

    for call in 0..1_000 {
        match call % 100 {
            0 => fail(&payments),
            1 => drop(payments.try_acquire()),
            2 => drop(payments.try_acquire().unwrap().record(Outcome::TimedOut)),
            _ => succeed(&payments),
        }
    }
    payments.trip(SECOND);
    assert!(payments.try_acquire().is_err());
    let after = scraper.scrape();

    after.check_no_counter_fell(&before);
    assert_eq!(after.calls() - before.calls(), 1_000.0);
    after.check(r#"calls_total{name="payments",outcome="success"}"#, 971.0);
    after.check(r#"calls_total{name="payments",outcome="failure"}"#, 10.0);
    after.check(r#"calls_total{name="payments",outcome="timed_out"}"#, 10.0);
    after.check(r#"calls_total{name="payments",outcome="ignored"}"#, 10.0);
    after.check(r#"rejections_total{name="payments"}"#, 1.0);
    assert_eq!(after.states("payments"), [("open", 1.0)]);
    let labels = r#"name="payments",from="closed",to="open",reason="manual""#;
    after.check(&format!("transitions_total{{{labels}}}"), 1.0);
}

#[test]
fn transitions_before_the_first_collection_are_counted_by_their_labels() {
    let roster = Roster::new();
    let earlier = enlisted(&roster, "earlier");
    let scraper = Scraper::new(&roster);
    let later = enlisted(&roster, "later");
    for breaker in [&earlier, &later] {
        for _ in 0..3 {
            fail(breaker);
        }
        breaker.reset();
        breaker.force_open();
        breaker.reset();
        breaker.force_open();
    }
    let scrape = scraper.scrape();
    for name in ["earlier", "later"] {
        let count = |from, to, reason, expected| {
            let labels = format!(r#"name="{name}",from="{from}",to="{to}",reason="{reason}""#);
            scrape.check(&format!("transitions_total{{{labels}}}"), expected);
        };
        count("closed", "open", "consecutive_failures", 1.0);
        count("open", "closed", "manual", 1.0);
        count("closed", "forced-open", "manual", 2.0);
        count("forced-open", "closed", "manual", 1.0);
        assert_eq!(scrape.states(name), [("forced-open", 1.0)]);
    }
}

#[test]
fn each_collector_of_a_roster_counts_from_a_breakers_first_transition() {
    let roster = Roster::new();
    let scrapers = [(); 3].map(|()| Scraper::new(&roster));
    let payments = enlisted(&roster, "payments");
    payments.force_open();
    for scraper in &scrapers {
        let labels = r#"name="payments",from="closed",to="forced-open",reason="manual""#;
        let scrape = scraper.scrape();
        scrape.check(&format!("transitions_total{{{labels}}}"), 1.0);
    }
}

#[test]
fn the_gauges_show_window_probes_and_times() {
    let roster = Roster::new();
    let scraper = Scraper::new(&roster);
    let (clock, hand) = Clock::mock();
    let search = CircuitBreaker::builder("search")
        .trip_when(TripPolicy::failure_rate(0.9).min_calls(5))
        .trip_when(TripPolicy::slow_rate(0.9).slower_than(SECOND))
        .latency(Recording::Combined)
        .clock(clock)
        .enlist(&roster)
        .build()
        .unwrap();
    for millis in [100, 2_000, 100] {
        let _ = search.call(|| {
            hand.advance(Duration::from_millis(millis));
            Ok::<_, &str>(())
        });
    }
    fail(&search);
    let scrape = scraper.scrape();
    scrape.check(r#"window_calls{name="search"}"#, 4.0);
    scrape.check(r#"window_failures{name="search"}"#, 1.0);
    scrape.check(r#"window_failure_ratio{name="search"}"#, 0.25);
    scrape.check(r#"slow_calls_total{name="search"}"#, 1.0);
    scrape.check(r#"overdue_calls{name="search"}"#, 0.0);
    scrape.check(r#"probes_in_flight{name="search"}"#, 0.0);
    scrape.check(r#"admitted_ratio{name="search"}"#, 1.0);
    scrape.check(r#"open_remaining_seconds{name="search"}"#, 0.0);
    let longest = scrape.get(r#"window_duration_seconds{name="search",percentile="99.9"}"#);
    assert!((longest - 2.0).abs() < 0.07, "{longest}");

    search.trip(4 * SECOND);
    hand.advance(SECOND);
    let scrape = scraper.scrape();
    scrape.check(r#"open_remaining_seconds{name="search"}"#, 3.0);
    scrape.check(r#"admitted_ratio{name="search"}"#, 0.0);
    scrape.check(r#"window_calls{name="search"}"#, 0.0);

    hand.advance(3 * SECOND);
    let _probe = search.try_acquire().unwrap();
    let scrape = scraper.scrape();
    scrape.check(r#"probes_in_flight{name="search"}"#, 1.0);
    assert_eq!(scrape.states("search"), [("half-open", 1.0)]);
}

#[test]
fn the_thresholds_are_those_of_the_policies_in_force() {
    let roster = Roster::new();
    let scraper = Scraper::new(&roster);
    let threshold = |name: &str, policy: &str| {
        format!(r#"trip_threshold_ratio{{name="{name}",policy="{policy}"}}"#)
    };
    let strict = TripPolicy::failure_rate(0.25).min_calls(50);
    let search = CircuitBreaker::builder("search")
        .trip_when(TripPolicy::failure_rate(0.5))
        .trip_when(strict.clone())
        .trip_when(TripPolicy::slow_rate(0.75).slower_than(SECOND))
        .trip_when(TripPolicy::burn_rate(0.99).factor(10.0))
        .trip_when(TripPolicy::adaptive())
        .enlist(&roster)
        .build()
        .unwrap();
    let payments = CircuitBreaker::builder("payments");
    let payments = [
        payments.clone().enlist(&roster).build().unwrap(),
        payments.trip_when(strict).enlist(&roster).build().unwrap(),
    ];
    let consecutive = CircuitBreaker::builder("consecutive")
        .trip_when(TripPolicy::consecutive_failures(3))
        .enlist(&roster)
        .build()
        .unwrap();
    let scrape = scraper.scrape();
    scrape.check(&threshold("search", "failure_rate"), 0.25);
    scrape.check(&threshold("search", "slow_rate"), 0.75);
    scrape.check(&threshold("search", "burn_rate"), 0.1);
    scrape.check(&threshold("payments", "failure_rate"), 0.25);
    let shown = |scrape: &Scrape| {
        let names = scrape.0.keys().filter(|it| it.contains("threshold"));
        names.count()
    };
    assert_eq!(shown(&scrape), 4);

    let settings = CircuitBreaker::builder("search").trip_when(TripPolicy::failure_rate(0.4));
    search.reconfigure(settings).unwrap();
    drop(payments);
    let scrape = scraper.scrape();
    scrape.check(&threshold("search", "failure_rate"), 0.4);
    scrape.check(&threshold("search", "slow_rate"), 0.0);
    scrape.check(&threshold("search", "burn_rate"), 0.0);
    scrape.check(&threshold("payments", "failure_rate"), 0.0);
    assert_eq!(shown(&scrape), 4);
    drop((search, consecutive));
}

#[test]
fn a_policy_is_spelled_as_the_reason_of_its_trips() {
    let roster = Roster::new();
    let scraper = Scraper::new(&roster);
    let (clock, hand) = Clock::mock();
    let policies = [
        TripPolicy::failure_rate(0.5).min_calls(1).into(),
        TripPolicy::burn_rate(0.9).factor(2.0).min_calls(1).into(),
        TripPolicy::slow_rate(0.5)
            .slower_than(SECOND)
            .min_calls(1)
            .into(),
    ];
    let breakers = policies.map(|policy: TripPolicy| {
        let breaker = CircuitBreaker::builder("search")
            .trip_when(policy)
            .clock(clock.clone())
            .enlist(&roster)
            .build()
            .unwrap();
        let _ = breaker.call(|| {
            hand.advance(2 * SECOND);
            Err::<(), _>("timeout")
        });
        breaker
    });
    let scrape = scraper.scrape();
    let words = |metric: &str, label: &str| -> BTreeSet<String> {
        let all = scrape.0.keys().filter(|it| it.contains(metric));
        let labels = all.flat_map(|series| series.split(['{', ',', '}']));
        let values = labels.filter_map(|it| it.strip_prefix(label));
        values.map(ToOwned::to_owned).collect()
    };
    let reasons = words("_transitions_total", "reason=");
    assert_eq!(reasons, words("_trip_threshold_ratio", "policy="));
    assert_eq!(reasons.len(), breakers.len());
}

#[test]
#[cfg(feature = "bulkhead")]
fn a_bulkhead_shows_its_calls_in_flight() {
    let roster = Roster::new();
    let [reports, images] = [3, 5].map(|places| Bulkhead::new(places).unwrap());
    let count = |bulkhead: &Bulkhead| {
        let bulkhead = bulkhead.clone();
        move || bulkhead.in_flight()
    };
    let collector = Collector::new(&roster)
        .in_flight("backend", count(&reports))
        .in_flight("backend", count(&images))
        .in_flight("images", count(&images));
    let scraper = Scraper::with(collector, PrometheusBuilder::new());
    let permits = [&reports, &images, &images].map(|it| it.try_acquire().unwrap());
    let scrape = scraper.scrape();
    scrape.check(r#"calls_in_flight{name="backend"}"#, 3.0);
    scrape.check(r#"calls_in_flight{name="images"}"#, 2.0);
    drop(permits);
    let scrape = scraper.scrape();
    scrape.check(r#"calls_in_flight{name="backend"}"#, 0.0);
    scrape.check(r#"calls_in_flight{name="images"}"#, 0.0);
}

#[test]
fn the_gauges_of_a_breaker_that_is_gone_become_zero() {
    let roster = Roster::new();
    let scraper = Scraper::new(&roster);
    let payments = enlisted(&roster, "payments");
    fail(&payments);
    payments.force_open();
    let before = scraper.scrape();
    assert_eq!(before.states("payments"), [("forced-open", 1.0)]);
    payments.reset();
    drop(payments);
    let after = scraper.scrape();
    after.check_no_counter_fell(&before);
    assert_eq!(after.states("payments"), []);
    for (series, value) in &after.0 {
        assert!(series.contains("_total") || *value == 0.0, "{series}");
    }
    let labels = r#"name="payments",from="forced-open",to="closed",reason="manual""#;
    after.check(&format!("transitions_total{{{labels}}}"), 1.0);
}

#[test]
fn a_successor_of_the_same_name_goes_on_with_the_counters() {
    let roster = Roster::new();
    let scraper = Scraper::new(&roster);
    let first = enlisted(&roster, "payments");
    (0..5).for_each(|_| succeed(&first));
    scraper.scrape();
    drop(first);
    let second = enlisted(&roster, "payments");
    succeed(&second);
    let third = enlisted(&roster, "payments");
    third.force_open();
    succeed(&third);
    let scrape = scraper.scrape();
    assert_eq!(scrape.calls(), 6.0);
    scrape.check(r#"rejections_total{name="payments"}"#, 1.0);
    scrape.check(r#"admitted_ratio{name="payments"}"#, 0.0);
    let states = scrape.states("payments");
    assert_eq!(states, [("closed", 1.0), ("forced-open", 1.0)]);
}

#[test]
fn two_collectors_write_the_same_numbers() {
    let roster = Roster::new();
    let payments = enlisted(&roster, "payments");
    let (one, other) = (Scraper::new(&roster), Collector::new(&roster));
    (0..5).for_each(|_| succeed(&payments));
    payments.force_open();
    let before = one.scrape();
    with_local_recorder(&one.recorder, || other.collect());
    assert_eq!(one.scrape().0, before.0);
}

fn tenants(roster: &Roster, capacity: usize) -> Registry<u32> {
    Registry::<u32>::builder(CircuitBreaker::builder("tenants"))
        .name_with(|tenant| format!("tenant {tenant}"))
        .capacity(capacity)
        .enlist(roster)
        .build()
        .unwrap()
}

#[test]
fn a_registry_shows_sums_and_its_worst_keys() {
    let roster = Roster::new();
    let collector = Collector::new(&roster).top(3);
    let scraper = Scraper::with(collector, PrometheusBuilder::new());
    let tenants = tenants(&roster, 10_000);
    for key in 0..1_000 {
        tenants.get_or_create(&key);
    }
    tenants.get_or_create(&1).metrics_only();
    for key in [7, 8, 900] {
        tenants.get_or_create(&key).force_open();
    }
    let scrape = scraper.scrape();
    let sums = [
        ("closed", 996.0),
        ("forced-open", 3.0),
        ("metrics-only", 1.0),
    ];
    assert_eq!(scrape.states("tenants"), sums);
    for key in [7, 8, 900] {
        assert_eq!(
            scrape.states(&format!("tenant {key}")),
            [("forced-open", 1.0)]
        );
    }
    assert!(!scrape.has(r#"state{name="tenant 1",state="metrics-only"}"#));
    assert!(!scrape.has(r#"calls_total{name="tenants",outcome="success"}"#));
    assert_eq!(scrape.0.len(), 6 * 4);

    tenants.get_or_create(&7).reset();
    tenants.remove(&8);
    let scrape = scraper.scrape();
    assert_eq!(scrape.states("tenant 7"), []);
    assert_eq!(scrape.states("tenant 8"), []);
    assert_eq!(scrape.states("tenant 1"), [("metrics-only", 1.0)]);
    let sums = [
        ("closed", 997.0),
        ("forced-open", 1.0),
        ("metrics-only", 1.0),
    ];
    assert_eq!(scrape.states("tenants"), sums);

    drop(tenants);
    let scrape = scraper.scrape();
    assert!(scrape.0.values().all(|value| *value == 0.0));
}

#[test]
fn keys_without_names_of_their_own_are_in_the_sum_alone() {
    let roster = Roster::new();
    let scraper = Scraper::new(&roster);
    let template = CircuitBreaker::builder("hosts");
    let hosts = Registry::<u32>::builder(template)
        .enlist(&roster)
        .build()
        .unwrap();
    hosts.get_or_create(&1).force_open();
    hosts.get_or_create(&2);
    let scrape = scraper.scrape();
    assert_eq!(
        scrape.states("hosts"),
        [("closed", 1.0), ("forced-open", 1.0)]
    );
    assert_eq!(scrape.0.len(), 6);
}

#[test]
fn a_collection_is_no_use_of_a_key() {
    let roster = Roster::new();
    let scraper = Scraper::new(&roster);
    let tenants = tenants(&roster, 10);
    for key in 0..200 {
        tenants.get_or_create(&key);
        if key % 10 == 0 {
            scraper.scrape();
        }
    }
    assert_eq!(tenants.len(), 10);
}

#[test]
fn no_counter_falls_while_threads_call_and_trip() {
    let roster = Roster::new();
    let scraper = Scraper::new(&roster);
    let payments = CircuitBreaker::builder("payments")
        .enlist(&roster)
        .build()
        .unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for thread in 0..2 {
            let (payments, is_over) = (&payments, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    succeed(payments);
                    fail(payments);
                    if thread == 0 {
                        payments.reset();
                    }
                }
            });
        }
        let mut before = scraper.scrape();
        for _ in 0..50 {
            let after = scraper.scrape();
            after.check_no_counter_fell(&before);
            assert_eq!(after.states("payments").len(), 1);
            before = after;
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let scrape = scraper.scrape();
    let totals = payments.snapshot().totals();
    #[allow(clippy::cast_precision_loss, reason = "the numbers are small")]
    let expected = [totals.calls() as f64, totals.rejected as f64];
    let rejected = scrape.get(r#"rejections_total{name="payments"}"#);
    assert_eq!([scrape.calls(), rejected], expected);
}

#[test]
fn the_names_are_those_of_the_docs_and_fit_recommended_naming() {
    let roster = Roster::new();
    let builder = PrometheusBuilder::new().with_recommended_naming(true);
    let collector = Collector::new(&roster).in_flight("search", || 1);
    let scraper = Scraper::with(collector, builder);
    let search = CircuitBreaker::builder("search")
        .trip_when(TripPolicy::classic())
        .latency(Recording::Combined)
        .enlist(&roster)
        .build()
        .unwrap();
    search.force_open();
    let text = scraper.text();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let found: BTreeSet<_> = types
        .filter_map(|line| line.split_once(' '))
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect();

    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/metrics/mod.rs");
    let source = fs::read_to_string(source).unwrap();
    let rows = source
        .lines()
        .filter_map(|line| line.strip_prefix("/// | `"));
    let documented: BTreeSet<_> = rows
        .map(|row| {
            let (name, rest) = row.split_once("` | ").unwrap();
            let kind = rest.split([' ', ',']).next().unwrap();
            (name.to_owned(), kind.to_owned())
        })
        .collect();
    assert_eq!(found, documented);
    assert_eq!(documented.len(), 15);
    for (name, _) in &found {
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
    }
    // `promtool check metrics` refuses these labels, which are for summaries and histograms.
    for label in ["{quantile=", ",quantile=", "{le=", ",le="] {
        assert!(!text.contains(label), "{text}");
    }
}

#[test]
fn a_name_with_quotes_and_line_ends_stays_one_label() {
    let roster = Roster::new();
    let scraper = Scraper::new(&roster);
    let _breaker = enlisted(&roster, "pay\"ments\n\\");
    let text = scraper.text();
    let expected = r#"circuit_breaker_window_calls{name="pay\"ments\n\\"} 0"#;
    assert!(text.lines().any(|line| line == expected), "{text}");
}

#[test]
fn a_recorder_that_panics_costs_one_collection() {
    struct Panics;

    impl metrics::Recorder for Panics {
        fn describe_counter(
            &self,
            _: metrics::KeyName,
            _: Option<metrics::Unit>,
            _: metrics::SharedString,
        ) {
            panic!("a recorder that panics");
        }
        fn describe_gauge(
            &self,
            _: metrics::KeyName,
            _: Option<metrics::Unit>,
            _: metrics::SharedString,
        ) {
        }
        fn describe_histogram(
            &self,
            _: metrics::KeyName,
            _: Option<metrics::Unit>,
            _: metrics::SharedString,
        ) {
        }
        fn register_counter(
            &self,
            _: &metrics::Key,
            _: &metrics::Metadata<'_>,
        ) -> metrics::Counter {
            metrics::Counter::noop()
        }
        fn register_gauge(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
            metrics::Gauge::noop()
        }
        fn register_histogram(
            &self,
            _: &metrics::Key,
            _: &metrics::Metadata<'_>,
        ) -> metrics::Histogram {
            metrics::Histogram::noop()
        }
    }

    let roster = Roster::new();
    let scraper = Scraper::new(&roster);
    let payments = enlisted(&roster, "payments");
    succeed(&payments);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        with_local_recorder(&Panics, || scraper.collector.collect());
    }));
    assert!(panicked.is_err());
    assert_eq!(scraper.scrape().calls(), 1.0);
}

#[test]
fn calls_of_a_breaker_with_a_collector_allocate_nothing() {
    let roster = Roster::new();
    let scraper = Scraper::new(&roster);
    let payments = enlisted(&roster, "payments");
    succeed(&payments);
    scraper.scrape();
    let made = allocation_counter::measure(|| (0..1_000).for_each(|_| succeed(&payments)));
    assert_eq!(made.count_total, 0, "{made:?}");
}

#[tokio::test(start_paused = true)]
async fn a_task_collects_once_in_each_period() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let roster = Roster::new();
    let collector = Collector::new(&roster);
    let payments = enlisted(&roster, "payments");
    let waits = Arc::new(AtomicU32::new(0));
    let sleep = {
        let waits = Arc::clone(&waits);
        move |duration| {
            waits.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(duration)
        }
    };
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let task = collector.every(10 * SECOND, sleep);
    let calls = async {
        for _ in 0..3 {
            succeed(&payments);
            tokio::time::sleep(10 * SECOND).await;
        }
        tokio::time::sleep(SECOND).await;
    };
    tokio::select! {
        () = task => unreachable!("the task never ends"),
        () = calls => {}
    }
    assert_eq!(waits.load(Ordering::Relaxed), 4);
    let expected = r#"circuit_breaker_calls_total{name="payments",outcome="success"} 3"#;
    assert!(handle.render().contains(expected));
}
