//! A real Prometheus scrapes a real server.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::runtime::{Builder, Runtime};
use tripcurve::metrics::Collector;
use tripcurve::registry::Roster;
use tripcurve::window::Recording;
use tripcurve::{CircuitBreaker, State, TripPolicy};

use super::expressions::{self, Expression};
use super::outage::Outage;
use super::prometheus::Prometheus;
use super::scrape::{Scrape, lint, lint_text, run};
use super::shop::Shop;

/// Rules fire after 30 seconds. The rest is for a machine that is busy.
const LIMIT: Duration = Duration::from_secs(90);

#[test]
#[ignore = "needs curl and Prometheus: .ci/ecosystem monitoring"]
fn prometheus_answers_each_expression_and_fires_the_alert() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let roster = Roster::new();
    let shop = runtime.block_on(Shop::start("127.0.0.1:0", &roster));
    let shop = shop.unwrap();
    lint(shop.address());
    a_thousand_calls_and_a_trip_are_counted(&shop);

    let outage = Outage::new(&roster);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| go_on(&runtime, &shop, &outage, &is_over));
        let _over = SetOnDrop(&is_over);
        watch(shop.address());
        lint(shop.address());
    });
}

/// 1,000 orders over HTTP, of which the last five fail and trip the breaker.
fn a_thousand_calls_and_a_trip_are_counted(shop: &Shop) {
    let order = |numbers: &str| {
        run(Command::new("curl")
            .args(["--silent", "--output", "/dev/null"])
            .args(["--write-out", "%{http_code}\n"])
            .arg(format!("http://{}/order/{numbers}", shop.address())))
    };
    let before = Scrape::of(shop.address());
    let answers = order("[1-995]");
    assert_eq!(answers.matches("200\n").count(), 995);
    shop.set_bank_down(true);
    let answers = order("[996-1003]");
    assert_eq!(answers, ["502\n"; 5].concat() + &["503\n"; 3].concat());
    let after = Scrape::of(shop.address());

    let calls = "circuit_breaker_calls_total";
    assert_eq!(after.sum(calls) - before.sum(calls), 1_000.0);
    let rejections = "circuit_breaker_rejections_total";
    assert_eq!(after.sum(rejections) - before.sum(rejections), 3.0);
    after.check_no_counter_fell(&before);
    assert_eq!(before.states("payments"), [("closed", 1.0)]);
    assert_eq!(after.states("payments"), [("open", 1.0)]);
    assert_eq!(shop.payments().state(), State::Open);
}

/// Orders and other calls go on, and the bank stays down.
fn go_on(runtime: &Runtime, shop: &Shop, outage: &Outage, is_over: &AtomicBool) {
    for moment in 0.. {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        outage.step(moment);
        runtime.block_on(shop.order());
        thread::sleep(Duration::from_millis(20));
    }
}

/// Asks Prometheus each expression, and waits for the alert.
fn watch(server: SocketAddr) {
    let prometheus = Prometheus::start(server);
    let mut expressions = expressions::of_dashboard();
    expressions.extend(expressions::of_alerts());
    // An `or` hides a selector that finds nothing. So each is asked by itself too.
    let selectors: BTreeSet<_> = expressions.iter().flat_map(Expression::selectors).collect();
    expressions.extend(selectors);
    prometheus.wait_for_answers(expressions, LIMIT);

    let own = |text: &str| Expression {
        place: "this test".to_owned(),
        text: text.to_owned(),
    };
    let increase = "increase(circuit_breaker_calls_total[30s]) > 0";
    let answer = prometheus.ask(&own(increase));
    let of_search = |outcome: &str| {
        answer.iter().any(|sample| {
            let labels = &sample["metric"];
            labels["name"] == "search" && labels["outcome"] == outcome && labels["job"] == "shop"
        })
    };
    assert!(of_search("success") && of_search("failure"), "{answer:?}");

    let labels = r#"alertname="CircuitBreakerOpen",alertstate="firing",job="shop",name="payments""#;
    prometheus.wait_for_answers(vec![own(&format!("ALERTS{{{labels}}}"))], LIMIT);
}

/// Ends the calls, even if the test fails.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
#[ignore = "needs promtool: .ci/ecosystem monitoring"]
fn promtool_has_nothing_to_say_of_recommended_naming() {
    let builder = PrometheusBuilder::new().with_recommended_naming(true);
    let recorder = builder.build_recorder();
    let roster = Roster::new();
    let collector = Collector::new(&roster).in_flight("search", || 1);
    let search = CircuitBreaker::builder("search")
        .trip_when(TripPolicy::classic())
        .latency(Recording::Combined)
        .enlist(&roster)
        .build()
        .unwrap();
    search.force_open();
    metrics::with_local_recorder(&recorder, || collector.collect());
    let text = recorder.handle().render();
    for metric in super::documented_metrics().keys() {
        assert!(text.contains(&format!("# TYPE {metric} ")), "{metric}");
    }
    lint_text(&text);
}
