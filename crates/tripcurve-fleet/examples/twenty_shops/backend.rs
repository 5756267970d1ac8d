//! The dependency: a server over TCP that answers each call with one byte.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::event::Side;

/// How long an answer takes while the backend works.
const WORK: Duration = Duration::from_millis(3);

/// How long a shop waits for an answer.
const PATIENCE: Duration = Duration::from_secs(1);

const GOOD: u8 = b'+';
const BAD: u8 = b'-';

/// What the backend and the story share.
#[derive(Default)]
pub(crate) struct Backend {
    is_down: AtomicBool,
    /// The calls that came while the backend was down, for each side.
    failed: [AtomicU64; 2],
}

impl Backend {
    pub(crate) async fn start() -> io::Result<(Arc<Self>, SocketAddr)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let backend = Arc::new(Self::default());
        let shared = Arc::clone(&backend);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let backend = Arc::clone(&shared);
                tokio::spawn(async move { backend.answer(connection).await });
            }
        });
        Ok((backend, address))
    }

    async fn answer(&self, mut connection: TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        loop {
            let side = Side::from_byte(connection.read_u8().await?);
            // No other memory depends on these words.
            let answer = if self.is_down.load(Ordering::Relaxed) {
                self.failed[side as usize].fetch_add(1, Ordering::Relaxed);
                BAD
            } else {
                sleep(WORK).await;
                GOOD
            };
            connection.write_u8(answer).await?;
        }
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::Relaxed);
    }

    /// How many calls have come while the backend was down.
    pub(crate) fn failed(&self, side: Side) -> u64 {
        self.failed[side as usize].load(Ordering::Relaxed)
    }
}

/// A shop's connection to the backend.
pub(crate) struct Link {
    connection: TcpStream,
    side: Side,
}

impl Link {
    pub(crate) async fn open(backend: SocketAddr, side: Side) -> io::Result<Self> {
        let connection = TcpStream::connect(backend).await?;
        connection.set_nodelay(true)?;
        Ok(Self { connection, side })
    }

    pub(crate) async fn call(&mut self) -> io::Result<()> {
        let answer = async {
            self.connection.write_u8(self.side as u8).await?;
            self.connection.read_u8().await
        };
        match timeout(PATIENCE, answer).await?? {
            GOOD => Ok(()),
            _ => Err(io::Error::other("the backend is down")),
        }
    }
}
