//! Asks a shop for prices by reqwest, as a service of tower.
//! Run it by `echo Emma | cargo run --bin without-reqwest URL`.

use std::{env, time::Duration};

use http::{Request, Response};
use http_body_util::BodyExt;
use reqwest::{Body, Client};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tower::{BoxError, ServiceBuilder, ServiceExt};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let shop = env::args().nth(1).ok_or("the shop's URL is missing")?;
    // reqwest has types of its own for requests and responses.
    let client = ServiceBuilder::new()
        .filter(|request: Request<Body>| reqwest::Request::try_from(request))
        .map_response(Response::from)
        .service(Client::builder().timeout(Duration::from_secs(5)).build()?);

    let mut items = BufReader::new(stdin()).lines();
    while let Some(item) = items.next_line().await? {
        let request = Request::get(format!("{shop}/{item}")).body(Body::default())?;
        match client.clone().oneshot(request).await {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let price = body.collect().await?.to_bytes();
                println!("{item}: {} {}", head.status, price.escape_ascii());
            }
            Err(error) => println!("{item}: {error}"),
        }
    }
    Ok(())
}
