//! A shop whose breaker is watched: its metrics for Prometheus, over real HTTP on loopback.
//!
//! ```text
//! cargo run --release --features metrics --example monitored
//! ```
//!
//! The bank fails for ten seconds of each minute. `docs/monitoring` has the configuration of a
//! Prometheus that scrapes this program, with alert rules and a dashboard for Grafana. An argument
//! such as `127.0.0.1:0` is another address. `--quick` shows one short outage and exits.

mod shop;

// Compiled once for all examples.
use example_http as _;

use std::env;
use std::time::Duration;

use shop::{Failure, Shop};
use tokio::time::{Instant, sleep};
use tripcurve::State;
use tripcurve::registry::Roster;

/// The address that `docs/monitoring/prometheus.yml` scrapes.
const ADDRESS: &str = "127.0.0.1:9898";

/// The time between two orders.
const PACE: Duration = Duration::from_millis(20);

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let is_quick = arguments.iter().any(|it| it == "--quick");
    let address = arguments.iter().find(|it| !it.starts_with("--"));
    let fallback = if is_quick { "127.0.0.1:0" } else { ADDRESS };
    let address = address.map_or(fallback, String::as_str);
    let shop = Shop::start(address, &Roster::new()).await?;
    println!("scrape http://{}/metrics", shop.address());
    if is_quick {
        return show(&shop).await;
    }
    println!("the bank fails for ten seconds of each minute; stop with ctrl-c");
    loop {
        order_for(&shop, Duration::from_secs(50)).await;
        shop.set_bank_down(true);
        order_for(&shop, Duration::from_secs(10)).await;
        shop.set_bank_down(false);
    }
}

/// Orders at a steady pace.
async fn order_for(shop: &Shop, duration: Duration) {
    let end = Instant::now() + duration;
    while Instant::now() < end {
        shop.order().await;
        sleep(PACE).await;
    }
}

/// Shows the metrics of a short outage.
async fn show(shop: &Shop) -> Result<(), Failure> {
    order_for(shop, Duration::from_secs(1)).await;
    shop.set_bank_down(true);
    while shop.payments().state() != State::Open {
        shop.order().await;
    }
    let text = shop.metrics();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    for sample in samples.filter(|line| !line.is_empty()) {
        println!("{sample}");
    }
    let open = r#"circuit_breaker_state{name="payments",state="open"} 1"#;
    assert!(text.lines().any(|line| line == open));
    Ok(())
}
