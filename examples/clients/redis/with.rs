//! Asks Redis for prices.
//! Run it by `echo Emma | cargo run --bin with-redis redis://127.0.0.1/`.

use std::{env, error::Error, time::Duration};

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands, Client};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tripcurve::{CircuitBreaker, Outcome};

struct Prices {
    redis: ConnectionManager,
    breaker: CircuitBreaker,
}

impl Prices {
    async fn get(&mut self, item: &str) -> Result<Option<String>, Box<dyn Error>> {
        let permit = self.breaker.try_acquire()?;
        let result = self.redis.get(item).await;
        permit.record(match &result {
            Err(error) if error.is_timeout() => Outcome::TimedOut,
            Err(error) if error.code() != Some("WRONGTYPE") => Outcome::Failure,
            Ok(_) | Err(_) => Outcome::Success, // Redis has answered
        });
        Ok(result?)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1).ok_or("the URL of Redis is missing")?;
    let limit = ConnectionManagerConfig::new().set_response_timeout(Some(Duration::from_secs(5)));
    let mut prices = Prices {
        redis: ConnectionManager::new_with_config(Client::open(url)?, limit).await?,
        breaker: CircuitBreaker::new("prices"),
    };

    let mut items = BufReader::new(stdin()).lines();
    while let Some(item) = items.next_line().await? {
        match prices.get(&item).await {
            Ok(price) => println!("{item}: {}", price.as_deref().unwrap_or("no price")),
            Err(error) => println!("{item}: {error}"),
        }
    }
    Ok(())
}
