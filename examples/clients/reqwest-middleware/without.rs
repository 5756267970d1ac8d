//! Asks a shop for prices by reqwest, with a middleware.
//! Run it by `echo Emma | cargo run --bin without-reqwest-middleware URL`.

use std::{env, time::Duration};

use anyhow::Context;
use async_trait::async_trait;
use http::Extensions;
use reqwest::{Client, Request, Response};
use reqwest_middleware::{ClientBuilder, Error, Middleware, Next, Result};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let shop = env::args().nth(1).context("the shop's URL is missing")?;
    let timeout = Duration::from_secs(5);
    let client = ClientBuilder::new(Client::builder().timeout(timeout).build()?)
        .with(ServerErrors)
        .build();

    let mut items = BufReader::new(stdin()).lines();
    while let Some(item) = items.next_line().await? {
        match client.get(format!("{shop}/{item}")).send().await {
            Ok(response) => println!("{item}: {}", response.text().await?),
            Err(error) => println!("{item}: {error}"),
        }
    }
    Ok(())
}

/// Makes an error of a response that says 5xx.
struct ServerErrors;

#[async_trait]
impl Middleware for ServerErrors {
    async fn handle(&self, req: Request, ext: &mut Extensions, next: Next<'_>) -> Result<Response> {
        let response = next.run(req, ext).await?;
        match response.error_for_status_ref() {
            Err(error) if response.status().is_server_error() => Err(Error::Reqwest(error)),
            _ => Ok(response),
        }
    }
}
