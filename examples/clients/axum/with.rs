//! A gateway of axum. It prints its address, and serves `/books/ITEM` and `/prices/ITEM`.
//! Run it by `cargo run --bin with-axum BOOKS_URL PRICES_URL`.

use std::{env, error::Error, fmt::Display, time::Duration};

use axum::extract::{Path, State};
use axum::http::{self, StatusCode, header::RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use axum::{Router, body::Body, routing::get};
use reqwest::Client;
use tokio::net::TcpListener;
use tripcurve::CircuitBreaker;
use tripcurve::tower::{CircuitBreakerLayer, respond};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut urls = env::args().skip(1);
    let (books, prices) = urls
        .next()
        .zip(urls.next())
        .ok_or("the URLs of the upstreams are missing")?;
    let client = Client::builder().timeout(Duration::from_secs(5)).build()?;
    let gateway = Router::new()
        .merge(upstream("books", books, client.clone()))
        .merge(upstream("prices", prices, client));

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, gateway).await?)
}

/// The routes of one upstream.
fn upstream(name: &'static str, url: String, client: Client) -> Router {
    let breaker = CircuitBreaker::new(name);
    let answer = respond(|rejected| unavailable(rejected.retry_after(), &rejected));
    Router::new()
        .route(&format!("/{name}/{{item}}"), get(forward))
        .layer(CircuitBreakerLayer::http(&breaker).reject_with(answer))
        .with_state((url, client))
}

async fn forward(
    State((url, client)): State<(String, Client)>,
    Path(item): Path<String>,
) -> Response {
    match client.get(format!("{url}/{item}")).send().await {
        Ok(response) => http::Response::from(response).map(Body::new),
        Err(error) => unavailable(Some(Duration::from_secs(1)), &error),
    }
}

fn unavailable(wait: Option<Duration>, reason: &dyn Display) -> Response {
    let retry_after = wait.map(|wait| [(RETRY_AFTER, wait.as_secs() + 1)]);
    let status = StatusCode::SERVICE_UNAVAILABLE;
    (status, retry_after, reason.to_string()).into_response()
}
