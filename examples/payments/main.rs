//! A payment service whose bank fails: over real HTTP on loopback, in a few seconds.
//!
//! ```text
//! cargo run --release --features async,tokio --example payments
//! ```
//!
//! The bank charges an order. If it can't, a backup provider charges it, but takes only small
//! amounts. Other orders wait in a queue until the bank recovers. If the queue is full, the
//! customer is told that the payment is pending, and when to ask again.
//!
//! Operations hear of the opening and of the recovery, so no one else must watch. The bank's
//! breaker waits longer after each health check that fails. No order reaches the bank before a
//! check has succeeded.
//!
//! It exits by itself and checks what it shows.

mod alerts;
mod provider;
mod service;

// Compiled once for all examples.
use example_http as _;

use std::collections::BTreeMap;
use std::time::Duration;

use alerts::Alerts;
use provider::{Client, Failure, Provider};
use service::{Fate, Payments};
use tripcurve::State;

/// The time between two orders.
const PACE: Duration = Duration::from_millis(20);

/// The number of orders between two checks of the results.
const FEW: u32 = 20;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let bank = Provider::start(u32::MAX).await?;
    let backup = Provider::start(100).await?;
    let (alerts, told) = Alerts::new();
    let service = Payments::start(&bank, &backup, &alerts).await?;
    let customer = Client::new(service.address);

    println!("the bank is well");
    let fates = shop(&customer, 0, FEW).await?;
    show(&fates);
    assert_eq!(fates.get(&Fate::Charged), Some(&FEW), "all by the bank");

    println!("\nthe bank is down");
    bank.set_down(true);
    let mut orders = FEW;
    // Two failed health checks pass first.
    let mut fates = BTreeMap::new();
    while alerts.openings() < 3 {
        add(&mut fates, shop(&customer, orders, FEW).await?);
        orders += FEW;
    }
    show(&fates);
    for fate in [Fate::ByBackup, Fate::Queued, Fate::Pending] {
        assert!(fates.contains_key(&fate), "some are {fate:?}");
    }
    assert!(!fates.contains_key(&Fate::Charged));
    let refused = bank.refused();
    assert!(
        (3..=4).contains(&refused),
        "three that trip, and one from the queue beside them: {refused}"
    );

    println!("\nthe bank is well again");
    bank.set_down(false);
    let mut fates = BTreeMap::new();
    while service.bank_state() != State::Closed {
        add(&mut fates, shop(&customer, orders, FEW).await?);
        orders += FEW;
    }
    service.queue_is_empty().await;
    add(&mut fates, shop(&customer, orders, FEW).await?);
    orders += FEW;
    show(&fates);
    assert!(fates[&Fate::Charged] >= FEW);

    println!("\nwhat operations heard");
    let heard: Vec<_> = told.try_iter().collect();
    for alert in &heard {
        println!("  {alert}");
    }
    assert_eq!(heard.len(), 2, "one outage, one recovery");
    assert!(heard[0].contains("OPEN") && heard[1].contains("RECOVERED"));

    let waits = alerts.open_times();
    println!("\nthe bank's breaker was open for {waits:.1?}");
    assert!(
        waits.windows(2).all(|pair| pair[0] < pair[1]),
        "longer each time"
    );

    let charged = bank.charged() + backup.charged();
    let pending = service.pending();
    println!(
        "{charged} orders are charged once each, {pending} customers were asked to come again"
    );
    assert_eq!(charged + pending, orders);
    Ok(())
}

/// Pays this many orders one after another, small and large ones in turn.
async fn shop(customer: &Client, first: u32, count: u32) -> Result<BTreeMap<Fate, u32>, Failure> {
    let mut fates = BTreeMap::new();
    let mut pace = tokio::time::interval(PACE);
    for order in first..first + count {
        pace.tick().await;
        let amount = if order % 2 == 0 { 40 } else { 400 };
        let reply = customer.post(&format!("/{order}/{amount}")).await?;
        let fate = Fate::of(&reply).ok_or("an answer that the service doesn't give")?;
        *fates.entry(fate).or_default() += 1;
    }
    Ok(fates)
}

fn add(sum: &mut BTreeMap<Fate, u32>, fates: BTreeMap<Fate, u32>) {
    for (fate, orders) in fates {
        *sum.entry(fate).or_default() += orders;
    }
}

fn show(fates: &BTreeMap<Fate, u32>) {
    for (fate, orders) in fates {
        println!("  {orders:3} {}", fate.words());
    }
}
