//! A real Prometheus, on loopback, for as long as a test needs it.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::expressions::{ALERTS, Expression};
use super::scrape::output;
use super::{path, text_of};

const CONFIG: &str = "docs/monitoring/prometheus.yml";

/// A process of Prometheus. It ends with this value.
pub(crate) struct Prometheus {
    process: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Prometheus {
    /// Starts a Prometheus that scrapes a server each second.
    ///
    /// It has the configuration in `docs/monitoring`, with other times and addresses.
    pub(crate) fn start(server: SocketAddr) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prometheus");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let mut config = text_of(CONFIG);
        let alerts = path(ALERTS).display().to_string();
        let server = server.to_string();
        for (from, to) in [
            (": 15s", ": 1s"),
            ("alerts.yml", &alerts),
            ("127.0.0.1:9898", &server),
        ] {
            assert!(config.contains(from), "{from} is not in {config}");
            config = config.replace(from, to);
        }
        fs::write(folder.join("prometheus.yml"), config).unwrap();
        let address = free_address();
        let log = File::create(folder.join("log")).unwrap();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--web.listen-address={address}"))
            .arg(format!(
                "--config.file={}",
                folder.join("prometheus.yml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("data").display()
            ))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let process = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut prometheus = Self {
            process,
            address,
            folder,
        };
        prometheus.wait_until_ready();
        prometheus
    }

    fn wait_until_ready(&mut self) {
        let url = format!("http://{}/-/ready", self.address);
        wait_until("Prometheus is ready", Duration::from_secs(60), || {
            if let Some(status) = self.process.try_wait().unwrap() {
                let log = fs::read_to_string(self.folder.join("log"));
                panic!("Prometheus has ended, {status}: {}", log.unwrap());
            }
            let mut curl = Command::new("curl");
            output(curl.args(["--silent", "--fail", &url]))
                .status
                .success()
        });
    }

    /// Asks by promtool. An answer without samples is empty.
    #[track_caller]
    pub(crate) fn ask(&self, expression: &Expression) -> Vec<Value> {
        let mut promtool = Command::new("promtool");
        promtool.args(["query", "instant", "--format=json"]);
        promtool.arg(format!("http://{}", self.address));
        promtool.arg(&expression.text);
        let output = output(&mut promtool);
        assert!(output.status.success(), "{expression:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Asks until each expression has an answer.
    pub(crate) fn wait_for_answers(&self, expressions: Vec<Expression>, limit: Duration) {
        let mut unanswered = expressions;
        let mut last = Vec::new();
        let is_done = || {
            unanswered.retain(|expression| self.ask(expression).is_empty());
            last.clone_from(&unanswered);
            unanswered.is_empty()
        };
        assert!(holds_within(limit, is_done), "no answer to {last:#?}");
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An address on loopback that nobody has now.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Whether a condition becomes true within `limit`.
fn holds_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        thread::sleep(Duration::from_millis(200));
    }
}

#[track_caller]
fn wait_until(what: &str, limit: Duration, condition: impl FnMut() -> bool) {
    assert!(
        holds_within(limit, condition),
        "not within {limit:?}: {what}"
    );
}
