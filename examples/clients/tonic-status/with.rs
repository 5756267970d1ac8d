//! Asks a server of gRPC whether its services are well, and counts calls by their `Status`.
//! Run it by `echo prices | cargo run --bin with-tonic-status URL`.

use std::{env, error::Error, time::Duration};

use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tonic::transport::Endpoint;
use tonic::{Code, Status};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tripcurve::{CircuitBreaker, Outcome, outcome::Classify};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1).ok_or("the server's URL is missing")?;
    let endpoint = Endpoint::from_shared(url)?.timeout(Duration::from_secs(5));
    let mut client = HealthClient::new(endpoint.connect_lazy());
    let breaker = CircuitBreaker::new("health").with_classifier(ByStatus);

    let mut services = BufReader::new(stdin()).lines();
    while let Some(service) = services.next_line().await? {
        let request = HealthCheckRequest {
            service: service.clone(),
        };
        match breaker.call_async(|| client.check(request)).await {
            Ok(response) => println!("{service}: {}", response.get_ref().status().as_str_name()),
            Err(error) => println!("{service}: {error}"),
        }
    }
    Ok(())
}

/// Counts like the layer's table. Use it where calls don't go through a layer.
#[derive(Clone, Copy)]
struct ByStatus;

impl<T> Classify<T, Status> for ByStatus {
    fn classify(&self, result: &Result<T, Status>) -> Outcome {
        let Err(status) = result else {
            return Outcome::Success;
        };
        match status.code() {
            Code::DeadlineExceeded => Outcome::TimedOut,
            // tonic says this when its own time limit ends.
            Code::Cancelled if status.message() == "Timeout expired" => Outcome::TimedOut,
            Code::Aborted | Code::Cancelled => Outcome::Ignored,
            Code::DataLoss
            | Code::Internal
            | Code::ResourceExhausted
            | Code::Unavailable
            | Code::Unknown => Outcome::Failure,
            _ => Outcome::Success,
        }
    }
}
