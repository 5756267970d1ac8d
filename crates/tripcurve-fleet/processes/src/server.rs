//! The store: a process of `redis-server`.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

pub(crate) struct Server {
    process: Child,
    port: u16,
}

impl Server {
    pub(crate) fn start() -> Self {
        // Another process may take the port before the server does.
        let mut attempts = (0..10).map(|_| {
            let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let port = free.local_addr().expect("a port").port();
            drop(free);
            let process = start(port)?;
            Some(Self { process, port })
        });
        attempts.find_map(|it| it).expect("a server")
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts the server again where it was, without its data.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.process = start(self.port).expect("the port is free again");
    }

    pub(crate) fn signal(&self, signal: &str) {
        send_signal(self.process.id(), signal);
    }

    /// Runs a command on a connection of its own. Returns the first line of the answer.
    pub(crate) fn run(&self, command: &str) -> String {
        let mut connection = TcpStream::connect(self.address()).expect("a connection");
        write!(connection, "{command}\r\n").expect("a command");
        let mut line = String::new();
        let mut answer = BufReader::new(connection);
        answer.read_line(&mut line).expect("an answer");
        assert!(!line.starts_with('-'), "{command}: {line}");
        line
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal such as `STOP` to a process.
pub(crate) fn send_signal(process: u32, signal: &str) {
    let id = process.to_string();
    let signal = format!("-{signal}");
    let status = Command::new("kill").args([&signal, &id]).status();
    assert!(status.is_ok_and(|it| it.success()), "kill {signal} {id}");
}

/// Returns `None` if the server has ended.
fn start(port: u16) -> Option<Child> {
    let mut process = Command::new("redis-server")
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-server, which `apt-get install redis-server` installs");
    let log = BufReader::new(process.stdout.take().expect("a log"));
    let mut lines = log.lines().map_while(Result::ok);
    if !lines.any(|line| line.contains("Ready to accept connections")) {
        let _ = process.kill();
        let _ = process.wait();
        return None;
    }
    // A full pipe would hold up the server.
    std::thread::spawn(move || lines.for_each(drop));
    Some(process)
}
