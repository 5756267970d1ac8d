//! The network between a member and the store.
//!
//! A network that loses packets loses no bytes of a connection: they come late, or the connection
//! breaks. So what a proxy swallows is held, and goes on when the network is back, unless the
//! network has forgotten the connection.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What a proxy does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    Pass,
    /// Passes bytes on after a time, in each direction.
    Delay(Duration),
    /// Breaks all connections.
    Lose,
    /// Accepts connections and bytes, and passes nothing on.
    Hold,
    /// Replaces a word by another one on the way to the store, and back.
    Rewrite(&'static str, &'static str),
}

#[derive(Clone, Copy, Debug)]
struct Network {
    does: Does,
    /// Connections of an earlier epoch are dead, and nobody says so.
    epoch: u64,
}

pub(crate) struct Proxy {
    pub(crate) address: String,
    network: watch::Sender<Network>,
}

impl Proxy {
    pub(crate) async fn start(to: String) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("redis://{}/", listener.local_addr()?);
        let (network, seen) = watch::channel(Network {
            does: Does::Pass,
            epoch: 0,
        });
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut seen, to) = (seen.clone(), to.clone());
                tokio::spawn(async move {
                    let epoch = seen.borrow_and_update().epoch;
                    // Dropped at the end, and so both connections are.
                    let _ended = connect(client, &to, &seen, epoch).await;
                });
            }
        });
        Ok(Self { address, network })
    }

    pub(crate) fn set(&self, does: Does) {
        self.network.send_modify(|it| it.does = does);
    }

    /// Forgets all connections, as a firewall does.
    pub(crate) fn forget(&self) {
        self.network.send_modify(|it| it.epoch += 1);
    }
}

async fn connect(
    client: TcpStream,
    to: &str,
    seen: &watch::Receiver<Network>,
    epoch: u64,
) -> std::io::Result<()> {
    if seen.borrow().does == Does::Lose {
        return Ok(());
    }
    let server = TcpStream::connect(to).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        it = pump(from_client, to_server, seen.clone(), epoch, true) => it,
        it = pump(from_server, to_client, seen.clone(), epoch, false) => it,
    }
}

async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut seen: watch::Receiver<Network>,
    epoch: u64,
    to_store: bool,
) -> std::io::Result<()> {
    let mut bytes = vec![0; 65_536];
    loop {
        let read = tokio::select! {
            read = from.read(&mut bytes) => read?,
            changed = seen.changed() => {
                if changed.is_err() || seen.borrow().does == Does::Lose {
                    return Ok(());
                }
                continue;
            }
        };
        if read == 0 {
            return Ok(());
        }
        let mut chunk = bytes[..read].to_vec();
        loop {
            let network = *seen.borrow_and_update();
            if network.epoch != epoch {
                break;
            }
            match network.does {
                Does::Pass => {}
                Does::Delay(time) => tokio::time::sleep(time).await,
                Does::Lose => return Ok(()),
                Does::Hold => {
                    if seen.changed().await.is_err() {
                        return Ok(());
                    }
                    continue;
                }
                Does::Rewrite(ours, theirs) if to_store => replace(&mut chunk, ours, theirs),
                Does::Rewrite(ours, theirs) => replace(&mut chunk, theirs, ours),
            }
            to.write_all(&chunk).await?;
            break;
        }
    }
}

/// Replaces a word by one of the same length.
fn replace(chunk: &mut [u8], word: &str, by: &str) {
    assert_eq!(word.len(), by.len());
    let mut at = 0;
    while at + word.len() <= chunk.len() {
        if chunk[at..].starts_with(word.as_bytes()) {
            chunk[at..at + by.len()].copy_from_slice(by.as_bytes());
        }
        at += 1;
    }
}
