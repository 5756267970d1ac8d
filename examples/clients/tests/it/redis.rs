//! The client of Redis.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use redis::{Client, cmd};

use crate::phases::{Answer, Server, with_a_breaker, without_a_breaker};
use crate::program::Program;

const PRICE: &str = "9.99";

/// A server of Redis on a port of its own, without files.
struct Redis {
    process: Child,
    url: String,
}

impl Redis {
    /// Starts a server and waits until it accepts connections.
    fn start() -> Self {
        // Another process may take the port meanwhile.
        let mut attempts = std::iter::repeat_with(Self::try_start).take(10);
        attempts.find_map(|server| server).expect("a free port")
    }

    /// Returns `None` if the server has ended.
    fn try_start() -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port().to_string();
        drop(free);
        let mut process = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", ""])
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-server, which `apt-get install redis-server` installs");
        let log = BufReader::new(process.stdout.take().unwrap());
        let mut lines = log.lines().map_while(Result::ok);
        let url = format!("redis://127.0.0.1:{port}/");
        let server = Self { process, url };
        if !lines.any(|line| line.contains("Ready to accept connections")) {
            return None;
        }
        // A full pipe would hold up the server.
        std::thread::spawn(move || lines.for_each(drop));
        Some(server)
    }

    /// Runs a command on a connection of its own.
    fn run(&self, command: &str) -> String {
        let mut connection = Client::open(&*self.url).unwrap().get_connection().unwrap();
        let mut words = command.split(' ');
        let mut command = cmd(words.next().unwrap());
        words.fold(&mut command, |command, word| command.arg(word));
        command.query(&mut connection).unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server for Redis {
    /// The times that a client sent `GET`, by the server's own count.
    fn calls(&self) -> u64 {
        let statistics = self.run("INFO commandstats");
        let of_get = statistics
            .lines()
            .find(|line| line.starts_with("cmdstat_get:"));
        let fields = of_get.into_iter().flat_map(|line| line.split([':', ',']));
        let counts = fields.filter_map(|field| {
            let count = field.strip_prefix("calls=");
            count.or_else(|| field.strip_prefix("rejected_calls="))
        });
        counts.map(|count| count.parse::<u64>().unwrap()).sum()
    }

    /// A replica without a master answers no `GET`.
    fn fail(&self, fails: bool) {
        self.run(if fails {
            "REPLICAOF 127.0.0.1 1"
        } else {
            "REPLICAOF NO ONE"
        });
    }
}

#[test]
fn redis_by_a_permit() {
    let redis = Redis::start();
    redis.run(&format!("SET Emma {PRICE}"));
    redis.run("CONFIG SET replica-serve-stale-data no");

    let by_lines = |path| {
        let mut program = Program::start(path, &[&redis.url]);
        move || {
            let answer = program.ask("Emma");
            Answer::of(&answer, answer == PRICE)
        }
    };
    with_a_breaker(&redis, by_lines(env!("CARGO_BIN_EXE_with-redis")));
    without_a_breaker(&redis, by_lines(env!("CARGO_BIN_EXE_without-redis")));
}
