//! A redis-server on a free port, without files.

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use crate::Failure;

pub(crate) struct Server {
    process: Child,
    pub(crate) address: String,
}

impl Server {
    /// Returns `None` if there is no redis-server.
    pub(crate) fn start() -> Result<Option<Self>, Failure> {
        // Another process may take the port before the server does.
        for _attempt in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            let started = Command::new("redis-server")
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
                .args(["--save", "", "--appendonly", "no", "--dir", "/tmp"])
                .stdout(Stdio::piped())
                .spawn();
            let mut process = match started {
                Ok(process) => process,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            let log = process.stdout.take().ok_or("redis-server has no output")?;
            let mut lines = BufReader::new(log).lines().map_while(Result::ok);
            let is_ready = lines.any(|line| line.contains("Ready to accept connections"));
            // It ends when this is dropped.
            let server = Self {
                process,
                address: format!("redis://127.0.0.1:{port}/"),
            };
            if is_ready {
                // A full pipe would hold up the server.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(Some(server));
            }
        }
        Err("redis-server got no port".into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
