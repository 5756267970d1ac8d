//! A store in Redis or Valkey.

#[cfg(any(test, feature = "__fuzz"))]
pub(crate) mod compare;
mod connection;
mod parse;

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::{error, fmt, sync::Arc};

use futures_core::Stream;
use redis::aio::PubSubStream;
use redis::{ErrorKind, RedisError, ServerErrorKind, Value};

use crate::key::{self, FleetKey};
use crate::message::{AskLease, Leased, Message, ProbeResult, Pulse, Pulsed, Refused, Report};
use crate::message::{
    EXACT, Member, Reported, Resulted, Round, Rounded, Step, Stepped, Trip, Tripped,
};
use crate::message::{Weigh, Weighed, all_fields};
use crate::store::{Announcement, Store, StoreError};
use connection::Connection;
use parse::{Numbers, Read};

/// All operations. The server computes each in one step.
const SCRIPT: &str = include_str!("script.lua");

/// A store in Redis or Valkey.
///
/// Clones share one connection. It is made with the first message, and again after it was lost. A
/// server must accept a connection within a second, and answer within 250 ms. Otherwise an
/// operation fails with [`StoreError::Unavailable`].
///
/// Redis 5 or later is needed, because earlier versions let no script write after it has read the
/// time.
///
/// ```
/// use tripcurve_fleet::redis::RedisStore;
///
/// # let executor = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # executor.block_on(async {
/// // Nobody needs to listen yet.
/// let store = RedisStore::open("redis://127.0.0.1:6379/")?;
/// assert!(RedisStore::open("nonsense").is_err());
/// # Ok::<(), tripcurve_fleet::store::StoreError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RedisStore {
    connection: Connection,
    script: Arc<Script>,
    /// Stands for the server's time in a script that was made for it.
    #[cfg(any(test, feature = "__fuzz"))]
    time: Option<Arc<std::sync::atomic::AtomicU64>>,
}

struct Script {
    text: String,
    /// The name by which a server knows it.
    hash: String,
}

impl Script {
    fn new(text: &str) -> Self {
        let hash = redis::Script::new(text).get_hash().to_owned();
        let text = text.to_owned();
        Self { text, hash }
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address may contain a password.
        f.debug_struct("RedisStore").finish_non_exhaustive()
    }
}

impl RedisStore {
    /// Makes a store at an address such as `redis://127.0.0.1:6379/`.
    ///
    /// With the feature `tls`, `rediss://` addresses use TLS and trust the certificates of the
    /// system. If the process has chosen no cryptography for rustls, this chooses *ring*.
    ///
    /// # Errors
    /// The address makes no sense.
    ///
    /// # Panics
    /// There is no runtime of tokio.
    pub fn open(address: &str) -> Result<Self, StoreError> {
        let connection = Connection::single(address).map_err(unavailable)?;
        Ok(Self::with_script(connection, SCRIPT))
    }

    /// Makes a store in a Redis Cluster, of which some servers have these addresses.
    ///
    /// The keys of a fleet are in one slot, so each operation goes to one server.
    ///
    /// # Errors
    /// An address makes no sense, or there is none.
    ///
    /// # Panics
    /// Never.
    ///
    /// ```
    /// use tripcurve_fleet::redis::RedisStore;
    ///
    /// let store = RedisStore::cluster(&["redis://10.0.0.1:6379/", "redis://10.0.0.2:6379/"])?;
    /// assert!(RedisStore::cluster(&[]).is_err());
    /// # Ok::<(), tripcurve_fleet::store::StoreError>(())
    /// ```
    #[cfg(feature = "cluster")]
    pub fn cluster(addresses: &[&str]) -> Result<Self, StoreError> {
        let connection = Connection::cluster(addresses).map_err(unavailable)?;
        Ok(Self::with_script(connection, SCRIPT))
    }

    fn with_script(connection: Connection, script: &str) -> Self {
        Self {
            connection,
            script: Arc::new(Script::new(script)),
            #[cfg(any(test, feature = "__fuzz"))]
            time: None,
        }
    }

    async fn invoke<M: Message, A: Read>(&self, key: &FleetKey, it: &M) -> Result<A, StoreError> {
        // The script knows the server's time, so it checks again.
        it.check(EXACT)?;
        let values = all_fields(it).into_iter().map(|field| field.value);
        match self.send(key, M::NAME, it.sender().member, values).await {
            Ok(numbers) => A::read(&mut Numbers::new(&numbers)).map_err(StoreError::Garbled),
            Err(error) => Err(refused(it, &error).map_or_else(|| unavailable(error), Into::into)),
        }
    }

    async fn send(
        &self,
        key: &FleetKey,
        operation: &str,
        member: Member,
        values: impl Iterator<Item = i64>,
    ) -> Result<Vec<i64>, RedisError> {
        let key_text = key.as_str();
        let keys = ["", ":m", ":a", ":b"].map(|end| format!("{key_text}{end}"));
        let mut call = redis::cmd("EVALSHA");
        call.arg(&self.script.hash).arg(keys.len()).arg(&keys);
        call.arg(key.channel()).arg(operation);
        call.arg(format!("{:016x}", member.0));
        for value in values {
            call.arg(value);
        }
        #[cfg(any(test, feature = "__fuzz"))]
        if let Some(time) = &self.time {
            call.arg(time.load(std::sync::atomic::Ordering::Relaxed));
        }
        match self.connection.run(&call).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                let mut load = redis::cmd("SCRIPT");
                load.arg("LOAD").arg(&self.script.text);
                // The client's own loading panics if a server answers with another hash.
                let _hash: Value = self.connection.run(&load).await?;
                self.connection.run(&call).await
            }
            answer => answer,
        }
    }
}

fn unavailable(error: impl error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Unavailable(Box::new(error))
}

/// What the script has refused: the place of a number in the message, and its bounds.
fn refused(message: &impl Message, error: &RedisError) -> Option<Refused> {
    if error.code() != Some("REFUSED") {
        return None;
    }
    let mut words = error.detail()?.split(' ').map(str::parse);
    let mut word = || words.next()?.ok();
    let (at, least, most): (i64, i64, i64) = (word()?, word()?, word()?);
    let fields = all_fields(message);
    let field = fields.get(usize::try_from(at - 1).ok()?)?;
    Some(Refused {
        message: name(message),
        name: field.name,
        value: field.value,
        least,
        most,
    })
}

fn name<M: Message>(_: &M) -> &'static str {
    M::NAME
}

/// The announcements of a namespace.
///
/// They come over a connection of their own. The stream ends when it is lost.
pub struct RedisAnnouncements {
    messages: PubSubStream,
}

impl fmt::Debug for RedisAnnouncements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisAnnouncements").finish_non_exhaustive()
    }
}

impl Stream for RedisAnnouncements {
    type Item = Announcement;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Announcement>> {
        loop {
            let Some(message) = ready!(Pin::new(&mut self.messages).poll_next(context)) else {
                return Poll::Ready(None);
            };
            // What makes no sense counts as lost.
            if let Some(it) = parse::announcement(message.get_payload_bytes()) {
                return Poll::Ready(Some(it));
            }
        }
    }
}

impl Store for RedisStore {
    type Announcements = RedisAnnouncements;

    async fn report(&self, key: &FleetKey, it: &Report) -> Result<Reported, StoreError> {
        self.invoke(key, it).await
    }

    async fn weigh(&self, key: &FleetKey, it: &Weigh) -> Result<Weighed, StoreError> {
        self.invoke(key, it).await
    }

    async fn pulse(&self, key: &FleetKey, it: &Pulse) -> Result<Pulsed, StoreError> {
        self.invoke(key, it).await
    }

    async fn trip(&self, key: &FleetKey, it: &Trip) -> Result<Tripped, StoreError> {
        self.invoke(key, it).await
    }

    async fn lease(&self, key: &FleetKey, it: &AskLease) -> Result<Leased, StoreError> {
        self.invoke(key, it).await
    }

    async fn result(&self, key: &FleetKey, it: &ProbeResult) -> Result<Resulted, StoreError> {
        self.invoke(key, it).await
    }

    async fn round(&self, key: &FleetKey, it: &Round) -> Result<Rounded, StoreError> {
        self.invoke(key, it).await
    }

    async fn step(&self, key: &FleetKey, it: &Step) -> Result<Stepped, StoreError> {
        self.invoke(key, it).await
    }

    async fn ping(&self, namespace: &str) -> Result<(), StoreError> {
        // A write that the server refuses if it would refuse a script's writes. The key doesn't
        // exist, so nothing is written, logged or sent to replicas.
        let mut write = redis::cmd("SET");
        let key = format!("{}:none", key::channel(namespace));
        write.arg(key).arg(0).arg("PX").arg(1).arg("XX");
        self.connection.run(&write).await.map_err(unavailable)
    }

    async fn announcements(&self, namespace: &str) -> Result<RedisAnnouncements, StoreError> {
        let messages = self.connection.subscribe(&key::channel(namespace)).await?;
        Ok(RedisAnnouncements { messages })
    }
}

#[cfg(test)]
mod tests;
