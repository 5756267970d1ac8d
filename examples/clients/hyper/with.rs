//! Asks a shop for prices by the client of hyper-util.
//! Run it by `echo Emma | cargo run --bin with-hyper URL`.

use std::{env, time::Duration};

use http::Request;
use http_body_util::BodyExt;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tower::{BoxError, ServiceBuilder, ServiceExt};
use tripcurve::CircuitBreaker;
use tripcurve::tower::{Boxed, CircuitBreakerLayer};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let shop = env::args().nth(1).ok_or("the shop's URL is missing")?;
    let breaker = CircuitBreaker::new("shop");
    let client = ServiceBuilder::new()
        .layer(CircuitBreakerLayer::http(&breaker).reject_with(Boxed))
        .timeout(Duration::from_secs(5))
        .service(Client::builder(TokioExecutor::new()).build_http());

    let mut items = BufReader::new(stdin()).lines();
    while let Some(item) = items.next_line().await? {
        let request = Request::get(format!("{shop}/{item}")).body(String::new())?;
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
