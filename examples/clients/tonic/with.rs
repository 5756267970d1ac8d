//! Asks a server of gRPC whether its services are well.
//! Run it by `echo prices | cargo run --bin with-tonic URL`.

use std::{env, error::Error, time::Duration};

use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tonic::transport::Endpoint;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::Layer;
use tripcurve::CircuitBreaker;
use tripcurve::tower::CircuitBreakerLayer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1).ok_or("the server's URL is missing")?;
    let endpoint = Endpoint::from_shared(url)?.timeout(Duration::from_secs(5));
    let channel = endpoint.connect_lazy();
    let breaker = CircuitBreaker::new("health");
    let channel = CircuitBreakerLayer::grpc(&breaker).layer(channel);
    let mut client = HealthClient::new(channel);

    let mut services = BufReader::new(stdin()).lines();
    while let Some(service) = services.next_line().await? {
        let request = HealthCheckRequest {
            service: service.clone(),
        };
        match client.check(request).await {
            Ok(response) => println!("{service}: {}", response.get_ref().status().as_str_name()),
            Err(status) => println!("{service}: {}", status.message()),
        }
    }
    Ok(())
}
