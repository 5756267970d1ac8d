//! Asks a server of gRPC whether its services are well, and counts calls by their `Status`.
//! Run it by `echo prices | cargo run --bin without-tonic-status URL`.

use std::{env, error::Error, time::Duration};

use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tonic::transport::Endpoint;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1).ok_or("the server's URL is missing")?;
    let endpoint = Endpoint::from_shared(url)?.timeout(Duration::from_secs(5));
    let mut client = HealthClient::new(endpoint.connect_lazy());

    let mut services = BufReader::new(stdin()).lines();
    while let Some(service) = services.next_line().await? {
        let request = HealthCheckRequest {
            service: service.clone(),
        };
        match client.check(request).await {
            Ok(response) => println!("{service}: {}", response.get_ref().status().as_str_name()),
            Err(error) => println!("{service}: {error}"),
        }
    }
    Ok(())
}
