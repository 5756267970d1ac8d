//! A server of Redis for one test.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

pub(in crate::redis) struct Server {
    process: Child,
    port: u16,
    pub(in crate::redis) address: String,
}

impl Server {
    pub(in crate::redis) fn start() -> Self {
        Self::start_at(&["--port"], &[])
    }

    /// Starts a server whose one port speaks TLS. It asks clients for no certificate.
    #[cfg(feature = "tls")]
    pub(in crate::redis) fn start_tls(files: &[&str]) -> Self {
        let options = [&["--tls-auth-clients", "no"], files].concat();
        Self::start_at(&["--port", "0", "--tls-port"], &options)
    }

    /// Starts a server with further options.
    #[cfg(feature = "cluster")]
    pub(in crate::redis) fn start_with(options: &[&str]) -> Self {
        Self::start_at(&["--port"], options)
    }

    /// The port follows `at`.
    fn start_at(at: &[&str], options: &[&str]) -> Self {
        // Another process may take the port before the server does.
        let mut attempts = (0..10).map(|_| {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            let process = start(at, port, options)?;
            let address = format!("redis://127.0.0.1:{port}/");
            Some(Self {
                process,
                port,
                address,
            })
        });
        attempts.find_map(|server| server).expect("a free port")
    }

    /// Starts the server again where it was, without its data.
    pub(in crate::redis) fn restart(&mut self) {
        self.kill();
        self.process = start(&["--port"], self.port, &[]).expect("the port is free again");
    }

    #[cfg(feature = "tls")]
    pub(in crate::redis) fn port(&self) -> u16 {
        self.port
    }

    pub(in crate::redis) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Stops the process without ending it.
    pub(in crate::redis) fn stop(&self) {
        let id = self.process.id().to_string();
        let status = Command::new("kill").args(["-STOP", &id]).status().unwrap();
        assert!(status.success());
    }

    /// Runs a command on a connection of its own. Returns the answer as text.
    pub(in crate::redis) fn run(&self, command: &str) -> String {
        let mut connection = redis::Client::open(&*self.address)
            .unwrap()
            .get_connection()
            .unwrap();
        let mut words = command.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        words.fold(&mut command, |command, word| command.arg(word));
        command.query(&mut connection).unwrap()
    }
}

/// Returns `None` if the server has ended.
fn start(at: &[&str], port: u16, options: &[&str]) -> Option<Child> {
    let port = port.to_string();
    let mut process = Command::new("redis-server")
        .args(at)
        .args([&port, "--bind", "127.0.0.1", "--save", ""])
        .args(options)
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-server, which `apt-get install redis-server` installs");
    let log = BufReader::new(process.stdout.take().unwrap());
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

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
