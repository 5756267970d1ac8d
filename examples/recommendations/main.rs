//! A recommendation service for many shops, with a breaker for each. It always has an answer: a
//! fresh one, the shopper's last one, the shop's most popular one, or an empty one.
//!
//! ```text
//! cargo run --release --features registry --example recommendations
//! ```
//!
//! Everything goes over HTTP on loopback: shoppers ask the service ([`service`]), and the service
//! asks the recommender ([`recommender`]). The recommender fails for two shops, a client invents
//! many other shops, and the recommender recovers. Then an operator takes it out of service. This
//! takes about three seconds. The exit code tells whether everything went as it should.

mod client;
mod recommender;
mod service;

// Compiled once for all examples.
use example_http as _;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use client::Client;
use recommender::Recommender;
use service::Service;
use tripcurve::State;

type Failure = Box<dyn Error>;

#[tokio::main]
async fn main() -> ExitCode {
    match play().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("recommendations: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn play() -> Result<(), Failure> {
    let recommender = Recommender::start().await?;
    let service = Service::start(recommender.address).await?;
    let shoppers = Shoppers(Client::new(service.address));

    println!("All is well.");
    for shop in ["books", "music", "toys"] {
        shoppers.expect(shop, "ann", "fresh").await?;
    }

    println!("\nThe recommender fails for books and toys, and for no other shop.");
    recommender.fail(&["books", "toys"]);
    shoppers.expect("books", "ann", "cached").await?;
    // ben never had a recommendation, but others had many.
    shoppers.expect("books", "ben", "popular").await?;
    shoppers.expect("toys", "ben", "popular").await?;
    shoppers.expect("music", "ben", "fresh").await?;
    for _ in 0..2 {
        shoppers.expect("books", "ben", "popular").await?;
    }
    check(
        "the breaker of books is open",
        service.state("books") == Some(State::Open),
    )?;
    check(
        "that of music is closed",
        service.state("music") == Some(State::Closed),
    )?;

    println!("\nWhile it is open, nobody waits for the recommender, and it is left alone.");
    let before = recommender.calls();
    for _ in 0..50 {
        shoppers.ask("books", "ann").await?;
    }
    check("fifty shoppers, no call", recommender.calls() == before)?;

    println!("\nSomebody makes up shops.");
    for number in 0..500 {
        let shop = format!("made-up-{number}");
        check_quietly(shoppers.ask(&shop, "eve").await? == "empty")?;
    }
    println!("  500 shops that don't exist: empty");
    println!("  {}", service.describe());
    check(
        "no more breakers are kept than there is room for",
        service.breakers() <= service::ROOM,
    )?;
    check(
        "that of books is still open",
        service.state("books") == Some(State::Open),
    )?;

    println!("\nThe recommender recovers.");
    recommender.recover();
    tokio::time::sleep(service::OPEN_FOR + Duration::from_millis(50)).await;
    shoppers.expect("books", "ben", "fresh").await?;
    check(
        "the breaker of books is closed",
        service.state("books") == Some(State::Closed),
    )?;

    println!("\nAn operator takes the recommender out of service.");
    service.control.isolate();
    let before = recommender.calls();
    shoppers.expect("books", "ben", "cached").await?;
    shoppers.expect("music", "cid", "popular").await?;
    // A shop that is asked for the first time is isolated from the start.
    shoppers.expect("films", "cid", "empty").await?;
    check("not one call", recommender.calls() == before)?;
    service.control.release();
    shoppers.expect("films", "cid", "fresh").await?;
    Ok(())
}

/// The service's shoppers.
struct Shoppers(Client);

impl Shoppers {
    /// Asks for a recommendation. Returns where the answer came from.
    async fn ask(&self, shop: &str, shopper: &str) -> Result<String, Failure> {
        let answer = self.0.get(&format!("/{shop}/{shopper}")).await?;
        let answer = answer.ok_or("the service has no such page")?;
        let (source, _products) = answer
            .split_once(": ")
            .ok_or("an answer without a source")?;
        Ok(source.to_owned())
    }

    async fn expect(&self, shop: &str, shopper: &str, source: &str) -> Result<(), Failure> {
        let found = self.ask(shop, shopper).await?;
        println!("  {shopper} asks for {shop}: {found}");
        if found == source {
            Ok(())
        } else {
            Err(format!("{shopper} should have got a {source} answer").into())
        }
    }
}

fn check(what: &str, is_so: bool) -> Result<(), Failure> {
    println!("  {what}: {}", if is_so { "yes" } else { "no" });
    check_quietly(is_so)
}

fn check_quietly(is_so: bool) -> Result<(), Failure> {
    if is_so {
        Ok(())
    } else {
        Err("that was not to be".into())
    }
}
