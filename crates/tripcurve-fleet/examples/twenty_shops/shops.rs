//! All shops: processes that share a server, or tasks that share a memory.

use std::io::Write;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{mpsc, watch};
use tripcurve_fleet::memory::MemoryStore;
use tripcurve_fleet::redis::RedisStore;

use crate::Failure;
use crate::event::Event;
use crate::server::Server;
use crate::shop::Shop;

/// What a shop reads: the state of its connection.
const CUT: &str = "cut";
const MENDED: &str = "mended";

/// The running shops. They end when this is dropped.
pub(crate) struct Shops {
    all: Vec<Running>,
    pub(crate) events: mpsc::UnboundedReceiver<(usize, Event)>,
    /// The store that the shops share, in words.
    pub(crate) store: String,
    _server: Option<Server>,
}

enum Running {
    Process {
        /// The input ends when this is dropped, and so does the process.
        commands: ChildStdin,
        _process: Box<Child>,
    },
    Task(watch::Sender<bool>),
}

impl Shops {
    pub(crate) fn start(
        number: usize,
        memory: bool,
        backend: SocketAddr,
        pace: Duration,
    ) -> Result<Self, Failure> {
        let server = if memory { None } else { Server::start()? };
        let (events, receiver) = mpsc::unbounded_channel();
        let shops = (0..number).map(|number| Shop {
            number,
            backend,
            pace,
        });
        let (all, store) = if let Some(server) = &server {
            let all = shops.map(|shop| process(shop, &server.address, &events));
            let store = format!("{number} processes, redis-server at {}", server.address);
            (all.collect::<Result<_, _>>()?, store)
        } else {
            let store = MemoryStore::new();
            let all = shops.map(|shop| task(shop, store.clone(), &events));
            let why = if memory {
                ""
            } else {
                ", because redis-server isn't installed"
            };
            let store = format!("{number} shops in one process, which is the store too{why}");
            (all.collect(), store)
        };
        Ok(Self {
            all,
            events: receiver,
            store,
            _server: server,
        })
    }

    /// Cuts the connection of a shop to the backend, or mends it.
    pub(crate) async fn set_cut(&mut self, shop: usize, is_cut: bool) -> Result<(), Failure> {
        match &mut self.all[shop] {
            Running::Process { commands, .. } => {
                let word = if is_cut { CUT } else { MENDED };
                commands.write_all(format!("{word}\n").as_bytes()).await?;
            }
            Running::Task(cut) => cut.send(is_cut)?,
        }
        Ok(())
    }
}

type Events = mpsc::UnboundedSender<(usize, Event)>;

/// Starts this program again, as a shop.
fn process(shop: Shop, store: &str, events: &Events) -> Result<Running, Failure> {
    let pace = shop.pace.as_millis().to_string();
    let mut process = Command::new(std::env::current_exe()?)
        .args(["shop", &shop.number.to_string()])
        .args([&shop.backend.to_string(), &pace, store])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let commands = process.stdin.take().ok_or("a shop has no input")?;
    let output = process.stdout.take().ok_or("a shop has no output")?;
    let events = events.clone();
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(event) = Event::parse(&line) {
                let _ = events.send((shop.number, event));
            }
        }
    });
    Ok(Running::Process {
        commands,
        _process: Box::new(process),
    })
}

fn task(shop: Shop, store: MemoryStore, events: &Events) -> Running {
    let (cut, is_cut) = watch::channel(false);
    let (send, mut heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        if let Err(error) = shop.run(store, send, is_cut).await {
            eprintln!("shop {}: {error}", shop.number);
        }
    });
    let events = events.clone();
    tokio::spawn(async move {
        while let Some(event) = heard.recv().await {
            let _ = events.send((shop.number, event));
        }
    });
    Running::Task(cut)
}

/// Is a shop until the input ends.
pub(crate) async fn be_process(shop: Shop, store: &str) -> Result<bool, Failure> {
    let (send, mut heard) = mpsc::unbounded_channel();
    let (cut, is_cut) = watch::channel(false);
    // Not tokio's input, for which the process would wait when it ends.
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if cut.send(line == CUT).is_err() {
                return;
            }
        }
    });
    let shown = tokio::spawn(async move {
        while let Some(event) = heard.recv().await {
            let mut out = std::io::stdout().lock();
            if writeln!(out, "{event}").and_then(|()| out.flush()).is_err() {
                return;
            }
        }
    });
    shop.run(RedisStore::open(store)?, send, is_cut).await?;
    shown.abort();
    Ok(true)
}
