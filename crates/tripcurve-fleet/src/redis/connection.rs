//! Connections to one server or to a cluster, with their time limits.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig, PubSubStream};
use redis::{Client, Cmd, FromRedisValue, RedisError, RedisResult};
#[cfg(feature = "cluster")]
use redis::{cluster::ClusterClient, cluster_async::ClusterConnection};
#[cfg(feature = "cluster")]
use tokio::sync::OnceCell;

use crate::store::StoreError;

use super::unavailable;

/// The time within which a server must accept a connection.
const CONNECT: Duration = Duration::from_secs(1);

/// The time within which a server must answer.
const ANSWER: Duration = Duration::from_millis(250);

/// A connection that is made when it is needed. Clones share it.
#[derive(Clone)]
pub(super) enum Connection {
    Single(Arc<Single>),
    #[cfg(feature = "cluster")]
    Cluster(Arc<Cluster>),
}

pub(super) struct Single {
    client: Client,
    /// Held for a moment, to clone or to replace it.
    connection: Mutex<ConnectionManager>,
}

impl Single {
    pub(super) fn connection(&self) -> ConnectionManager {
        let connection = self.connection.lock();
        connection.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets the next message make a connection.
    fn renew(&self) -> RedisResult<()> {
        let new = managed(&self.client)?;
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *connection = new;
        Ok(())
    }
}

/// A connection that is made with the first message.
fn managed(client: &Client) -> RedisResult<ConnectionManager> {
    // One attempt: a member waits for the next message rather than for the server.
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(Some(ANSWER))
        .set_number_of_retries(0);
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}

#[cfg(feature = "cluster")]
pub(super) struct Cluster {
    client: ClusterClient,
    /// Held for a moment, to clone or to replace it.
    connection: Mutex<Arc<OnceCell<ClusterConnection>>>,
    /// For announcements. The servers of a cluster pass them on to each other.
    servers: Vec<Client>,
}

impl Connection {
    pub(super) fn single(address: &str) -> RedisResult<Self> {
        prepare(address);
        let client = Client::open(address)?;
        let connection = Mutex::new(managed(&client)?);
        Ok(Self::Single(Arc::new(Single { client, connection })))
    }

    #[cfg(feature = "cluster")]
    pub(super) fn cluster(addresses: &[&str]) -> RedisResult<Self> {
        for it in addresses {
            prepare(it);
        }
        // Attempts at other servers, all within the time of one answer.
        let client = ClusterClient::builder(addresses.to_vec())
            .connection_timeout(CONNECT)
            .response_timeout(ANSWER)
            .retries(2)
            .max_retry_wait(50)
            .build()?;
        let servers = addresses.iter().map(|&it| Client::open(it));
        Ok(Self::Cluster(Arc::new(Cluster {
            client,
            connection: Mutex::default(),
            servers: servers.collect::<Result<_, _>>()?,
        })))
    }

    pub(super) async fn run<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::Single(it) => command.query_async(&mut it.connection()).await,
            #[cfg(feature = "cluster")]
            Self::Cluster(it) => command.query_async(&mut it.connection().await?).await,
        }
    }

    /// Subscribes to a channel, on a connection of its own. Messages get a new connection too.
    ///
    /// A member subscribes again when the store hasn't answered. Then the old connection may be
    /// dead without a word, for example because a firewall has forgotten it.
    pub(super) async fn subscribe(&self, channel: &str) -> Result<PubSubStream, StoreError> {
        match self {
            Self::Single(it) => {
                it.renew().map_err(unavailable)?;
                subscribe(&it.client, channel).await
            }
            #[cfg(feature = "cluster")]
            Self::Cluster(it) => {
                it.renew();
                let mut failed = None;
                for server in &it.servers {
                    match subscribe(server, channel).await {
                        Ok(stream) => return Ok(stream),
                        Err(error) => failed = Some(error),
                    }
                }
                Err(failed.unwrap_or(StoreError::Garbled("a cluster without servers")))
            }
        }
    }
}

#[cfg(feature = "cluster")]
impl Cluster {
    async fn connection(&self) -> RedisResult<ClusterConnection> {
        let cell = {
            let connection = self.connection.lock();
            Arc::clone(&connection.unwrap_or_else(PoisonError::into_inner))
        };
        let connect = || self.client.get_async_connection();
        cell.get_or_try_init(connect).await.cloned()
    }

    /// Lets the next message make a connection.
    fn renew(&self) {
        let connection = self.connection.lock();
        *connection.unwrap_or_else(PoisonError::into_inner) = Arc::default();
    }
}

async fn subscribe(client: &Client, channel: &str) -> Result<PubSubStream, StoreError> {
    let subscribed = async {
        let mut connection = client.get_async_pubsub().await?;
        connection.subscribe(channel).await?;
        Ok::<_, RedisError>(connection.into_on_message())
    };
    let messages = tokio::time::timeout(CONNECT + ANSWER, subscribed).await;
    messages.map_err(unavailable)?.map_err(unavailable)
}

/// Makes sure that rustls has its cryptography. Without it, a connection would panic.
fn prepare(address: &str) {
    #[cfg(feature = "tls")]
    if address.starts_with("rediss:") && rustls::crypto::CryptoProvider::get_default().is_none() {
        // If another thread was faster, its choice stands.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    #[cfg(not(feature = "tls"))]
    let _ = address;
}
