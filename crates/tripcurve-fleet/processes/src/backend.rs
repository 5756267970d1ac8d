//! The dependency that members call: a server that answers one byte with another.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How the backend treats the calls of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Treats {
    Well,
    /// Each call fails at once.
    Badly,
    /// No call is answered.
    Silently,
}

/// The most members that the backend knows apart.
const MEMBERS: usize = 1_024;

pub(crate) struct Backend {
    pub(crate) address: String,
    treats: Arc<[AtomicU8]>,
    /// The calls that came while the backend was broken for their member.
    dead: Arc<AtomicU64>,
}

impl Backend {
    pub(crate) async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let backend = Self {
            address: listener.local_addr()?.to_string(),
            treats: (0..MEMBERS).map(|_| AtomicU8::new(0)).collect(),
            dead: Arc::default(),
        };
        let (treats, dead) = (Arc::clone(&backend.treats), Arc::clone(&backend.dead));
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (treats, dead) = (Arc::clone(&treats), Arc::clone(&dead));
                tokio::spawn(async move {
                    // A member that has gone ends its connection.
                    let _ended = serve(connection, &treats, &dead).await;
                });
            }
        });
        Ok(backend)
    }

    pub(crate) fn treat_all(&self, how: Treats) {
        for it in &*self.treats {
            it.store(how as u8, Relaxed);
        }
    }

    pub(crate) fn treat(&self, member: usize, how: Treats) {
        self.treats[member].store(how as u8, Relaxed);
    }

    pub(crate) fn dead_calls(&self) -> u64 {
        self.dead.load(Relaxed)
    }
}

async fn serve(
    mut connection: TcpStream,
    treats: &[AtomicU8],
    dead: &AtomicU64,
) -> std::io::Result<()> {
    connection.set_nodelay(true)?;
    let member = usize::from(connection.read_u16().await?) % MEMBERS;
    loop {
        connection.read_u8().await?;
        let how = treats[member].load(Relaxed);
        if how != Treats::Well as u8 {
            dead.fetch_add(1, Relaxed);
        }
        if how == Treats::Well as u8 {
            connection.write_u8(b'+').await?;
        } else if how == Treats::Badly as u8 {
            connection.write_u8(b'-').await?;
        }
    }
}
