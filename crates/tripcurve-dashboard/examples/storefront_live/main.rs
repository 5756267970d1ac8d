//! The dashboard of a shop that has a bad half-minute, again and again.
//!
//! ```text
//! cargo run --release --package tripcurve-dashboard --example storefront_live
//! ```
//!
//! It prints an address to open, and continues until ctrl-c. Two of the shop's dependencies are
//! those of `examples/storefront`: real HTTP on loopback, with the same script of faults. The
//! others have invented calls ([`neighbours`]). `--port 8080` chooses the port, `--look` forbids
//! actions.

mod breakers;
mod neighbours;

#[allow(dead_code, reason = "the storefront's own program uses the rest")]
#[path = "../../../../examples/storefront/backend.rs"]
mod backend;
#[path = "../../../../examples/storefront/client.rs"]
mod client;
#[path = "../../../../examples/storefront/dice.rs"]
mod dice;
#[path = "../../../../examples/storefront/files.rs"]
mod files;
#[allow(dead_code, reason = "the storefront's own program uses the rest")]
#[path = "../../../../examples/storefront/ledger.rs"]
mod ledger;
#[allow(dead_code, reason = "the storefront's own program uses the rest")]
#[path = "../../../../examples/storefront/script.rs"]
mod script;
#[path = "../../../../examples/storefront/shelf.rs"]
mod shelf;
#[path = "../../../../examples/storefront/shoppers.rs"]
mod shoppers;
#[allow(dead_code, reason = "the storefront's own program uses the rest")]
#[path = "../../../../examples/storefront/storefront.rs"]
mod storefront;

// Compiled once for all examples.
use example_http as _;

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use tokio::net::TcpListener;
use tripcurve::registry::{ControlGroup, HealthRule, Roster};
use tripcurve_dashboard::{Attempt, Dashboard};

use backend::Backend;
use breakers::Breakers;
use client::Client;
use ledger::Ledger;
use neighbours::Neighbours;
use script::Script;
use storefront::Storefront;

/// Shoppers a second.
const RATE: u32 = 120;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let port = words.iter().position(|it| it == "--port");
    let port = port.and_then(|place| words.get(place + 1));
    let port: u16 = port.map_or(Ok(8_080), |it| it.parse())?;
    let may_act = !words.iter().any(|it| it == "--look");

    let roster = Roster::new();
    let breakers = Breakers::new(&roster)?;
    let group = ControlGroup::new();
    group.add(&breakers.payments);
    let mut dashboard = Dashboard::new(&roster)
        .title("storefront")
        .health_rule(HealthRule::new().down_if_open("payments"))
        .group("bank", &group);
    if may_act {
        // A real program asks its session for the user.
        dashboard = dashboard.authorize(|_: &Attempt<'_>| Ok("you".to_owned()));
    }
    let neighbours = Arc::new(Neighbours::new(&roster, dashboard.listener())?);
    let app = Router::new()
        .route("/", get(|| async { Redirect::temporary("/breakers") }))
        .nest("/breakers", dashboard.router());
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("open http://{}/breakers", listener.local_addr()?);
    println!("the script of faults takes 35 seconds and begins again; stop with ctrl-c");
    tokio::spawn(async move { axum::serve(listener, app).await });
    tokio::select! {
        played = play(breakers, neighbours) => played,
        stopped = tokio::signal::ctrl_c() => Ok(stopped?),
    }
}

/// Plays the script again and again. The breakers stay.
async fn play(breakers: Breakers, neighbours: Arc<Neighbours>) -> Result<(), Failure> {
    let connections = files::connections_each()?;
    for round in 0_u64.. {
        let script = Script::start();
        let backend = Backend::start(script, round).await?;
        let client = Client::new(backend.address, connections);
        let breakers = Some(breakers.clone());
        let storefront = Storefront::new(script, &client, breakers, Ledger::new()?);
        let others = tokio::spawn(Arc::clone(&neighbours).play(script, round));
        shoppers::come(Arc::new(storefront), script, RATE, round).await?;
        others.await?;
    }
    Ok(())
}
