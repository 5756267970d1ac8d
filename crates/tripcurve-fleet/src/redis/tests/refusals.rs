//! Servers that answer and do nothing.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tripcurve::CircuitBreaker;

use super::server::Server;
use super::{RedisStore, runtime};
use crate::member::{Fleet, Joined, StoreStatus};

/// A server that answers each script with an error.
struct Refusing {
    address: String,
    scripts: Arc<AtomicU64>,
}

impl Refusing {
    fn start(to_scripts: &'static str, to_others: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("redis://{}/", listener.local_addr().unwrap());
        let scripts = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&scripts);
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let counted = Arc::clone(&counted);
                std::thread::spawn(move || serve(&connection, to_scripts, to_others, &counted));
            }
        });
        Self { address, scripts }
    }
}

fn serve(
    connection: &TcpStream,
    to_scripts: &str,
    to_others: Option<&str>,
    scripts: &AtomicU64,
) -> Option<()> {
    let (mut commands, mut answers) = (BufReader::new(connection), connection);
    loop {
        let words = words(&mut commands)?;
        let answer = match &*words[0].to_ascii_uppercase() {
            "EVALSHA" => {
                scripts.fetch_add(1, Ordering::Relaxed);
                to_scripts.to_owned()
            }
            _ if to_others.is_some() => to_others?.to_owned(),
            "SCRIPT" => format!("$40\r\n{}\r\n", "0".repeat(40)),
            "SET" => "$-1\r\n".to_owned(),
            "SUBSCRIBE" => {
                let channel = &words[1];
                let length = channel.len();
                format!("*3\r\n$9\r\nsubscribe\r\n${length}\r\n{channel}\r\n:1\r\n")
            }
            _ => "+OK\r\n".to_owned(),
        };
        answers.write_all(answer.as_bytes()).ok()?;
    }
}

/// The words of a command, an array of strings. `None` at the end of the connection.
fn words(commands: &mut impl BufRead) -> Option<Vec<String>> {
    fn number(commands: &mut impl BufRead) -> Option<usize> {
        let mut line = String::new();
        commands.read_line(&mut line).ok()?;
        line.get(1..)?.trim().parse().ok()
    }
    let count = number(commands)?;
    let words = (0..count).map(|_| {
        let length = number(commands)?;
        let mut word = vec![0; length + 2];
        commands.read_exact(&mut word).ok()?;
        word.truncate(length);
        Some(String::from_utf8_lossy(&word).into_owned())
    });
    words.collect()
}

fn reason(fleet: &Fleet) -> Option<Arc<str>> {
    match fleet.status().store {
        StoreStatus::Connected => None,
        StoreStatus::LocalOnly { reason } => Some(reason),
    }
}

async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn never_connects(server: &Refusing, word: &str) {
    let store = RedisStore::open(&server.address).unwrap();
    let fleet = Fleet::builder("shop").store(store).spawn().unwrap();
    let breaker = CircuitBreaker::builder("payments").build().unwrap();
    let joined = fleet.join(&breaker).unwrap().await;
    assert_eq!(joined, Joined::LocalOnly);
    assert!(
        reason(&fleet).unwrap().contains(word),
        "{:?}",
        reason(&fleet)
    );
    // The breaker works.
    breaker.try_acquire().unwrap().success();
}

#[test]
#[ignore = "uses sockets"]
fn with_a_server_that_forgets_each_script_members_decide_alone() {
    runtime().block_on(async {
        let server = Refusing::start("-NOSCRIPT No matching script.\r\n", None);
        never_connects(&server, "NoScript").await;
        // Once as it was, and once after the script was loaded.
        assert_eq!(server.scripts.load(Ordering::Relaxed), 2);
    });
}

#[test]
#[ignore = "uses sockets"]
fn with_a_server_that_still_loads_its_data_members_decide_alone() {
    runtime().block_on(async {
        let loading = "-LOADING Redis is loading the dataset in memory\r\n";
        let server = Refusing::start(loading, Some(loading));
        never_connects(&server, "BusyLoading").await;
        assert_eq!(server.scripts.load(Ordering::Relaxed), 0);
    });
}

/// A member without calls has nothing to say. Its pings find the fault.
async fn is_noticed_by_silent_members(fault: &str, mend: &str, word: &str) {
    let server = Server::start();
    let store = RedisStore::open(&server.address).unwrap();
    let fleet = Fleet::builder("shop").store(store).spawn().unwrap();
    let breaker = CircuitBreaker::builder("payments").build().unwrap();
    fleet.join(&breaker).unwrap().await;
    until(|| reason(&fleet).is_none()).await;
    server.run(fault);
    until(|| reason(&fleet).is_some()).await;
    assert!(
        reason(&fleet).unwrap().contains(word),
        "{:?}",
        reason(&fleet)
    );
    server.run(mend);
    until(|| reason(&fleet).is_none()).await;
}

#[test]
#[ignore = "needs redis-server"]
fn a_full_server_is_noticed_by_members_that_have_nothing_to_say() {
    runtime().block_on(is_noticed_by_silent_members(
        "CONFIG SET maxmemory 1",
        "CONFIG SET maxmemory 0",
        "OOM",
    ));
}

#[test]
#[ignore = "needs redis-server"]
fn a_server_that_may_only_be_read_is_noticed_by_members_that_have_nothing_to_say() {
    runtime().block_on(is_noticed_by_silent_members(
        "REPLICAOF 127.0.0.1 1",
        "REPLICAOF NO ONE",
        "ReadOnly",
    ));
}

#[test]
#[ignore = "needs redis-server"]
fn a_ping_writes_nothing() {
    runtime().block_on(async {
        let server = Server::start();
        let store = RedisStore::open(&server.address).unwrap();
        let changes = || {
            let info = server.run("INFO persistence");
            let mut lines = info.lines();
            let found = lines.find_map(|it| it.strip_prefix("rdb_changes_since_last_save:"));
            found.unwrap().to_owned()
        };
        for _ in 0..3 {
            crate::store::Store::ping(&store, "shop").await.unwrap();
        }
        assert_eq!(changes(), "0");
        assert_eq!(server.run("DBSIZE"), "0");
    });
}
