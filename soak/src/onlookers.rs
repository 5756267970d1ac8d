//! Those who watch and command the breakers while calls run.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::BoxError;
use tripcurve::CircuitBreaker;
use tripcurve::metrics::Collector;
use tripcurve::persist::SavedState;
use tripcurve_dashboard::Dashboard;

use crate::dice::Dice;
use crate::parts::{Parts, changing};

/// What the onlookers found, and whether they should stop.
#[derive(Default)]
pub(crate) struct Desk {
    stop: AtomicBool,
    complaint: Mutex<Option<String>>,
    pub(crate) looks: AtomicU64,
    pub(crate) commands: AtomicU64,
    pub(crate) requests: AtomicU64,
}

impl Desk {
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    pub(crate) fn complain(&self, complaint: String) {
        let complaints = self.complaint.lock();
        let mut complaints = complaints.unwrap_or_else(PoisonError::into_inner);
        complaints.get_or_insert(complaint);
    }

    pub(crate) fn complaint(&self) -> Option<String> {
        let complaint = self.complaint.lock();
        complaint.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Compares snapshots with the books while calls run. A total never falls, and no call is counted
/// twice.
pub(crate) fn look(parts: &Parts, desk: &Desk) {
    let mut before: Vec<[u64; 6]> = Vec::new();
    while desk.is_open() {
        let now: Vec<_> = parts.pairs();
        before.resize(now.len(), [0; 6]);
        for ((snapshot, books), before) in now.iter().zip(&mut before) {
            let (name, totals) = (snapshot.name(), snapshot.totals());
            // The books come after the snapshot, and each call was noted before it was made.
            let (known, asked) = (totals.calls() + totals.rejected, books.asked());
            if known > asked {
                desk.complain(format!(
                    "{name}: {known} calls and rejections, asked {asked}"
                ));
            }
            let now = [
                totals.successes,
                totals.failures,
                totals.timed_out,
                totals.ignored,
                totals.rejected,
                totals.slow,
            ];
            if now.iter().zip(*before).any(|(now, before)| *now < before) {
                desk.complain(format!("{name}: totals fell from {before:?} to {now:?}"));
            }
            *before = now;
        }
        desk.looks.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Commands, saves, restores and reconfigures breakers.
pub(crate) fn command(parts: &Parts, desk: &Desk) {
    let dice = Dice::new(7);
    let mut version = 0;
    while desk.is_open() {
        let pick = usize::try_from(dice.roll() % 1_000).unwrap_or(0);
        let breaker = &parts.plain[pick % parts.plain.len()].breaker;
        match dice.roll() % 16 {
            0 => breaker.trip(Duration::from_millis(50)),
            1 => breaker.force_open(),
            2 => breaker.metrics_only(),
            3..=6 => breaker.reset(),
            7 => parts.group.isolate(),
            8 | 9 => parts.group.release(),
            10 => {
                version += 1;
                let changed = parts
                    .plain
                    .iter()
                    .find(|it| it.breaker.name() == "changing");
                let changed = changed.map(|it| it.breaker.reconfigure(changing(version)));
                if let Some(Err(error)) = changed {
                    desk.complain(error.to_string());
                }
            }
            11 => drop(breaker.trip_levels()),
            12 => _ = parts.keys.remove(&u32::try_from(pick).unwrap_or(0)),
            13 => parts.keys.retain(|key, _| key % 7 != 0),
            _ => {
                if let Err(error) = save_and_restore(&breaker.save()) {
                    desk.complain(format!("{}: {error}", breaker.name()));
                }
            }
        }
        desk.commands.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ends the commands that would keep a breaker from its work.
pub(crate) fn release(parts: &Parts) {
    parts.group.release();
    for line in &parts.plain {
        line.breaker.reset();
    }
}

fn save_and_restore(saved: &SavedState) -> Result<(), BoxError> {
    let text = serde_json::to_string(saved)?;
    let read: SavedState = serde_json::from_str(&text)?;
    let name = read.name().to_owned();
    let restored = CircuitBreaker::builder(name).restore(read).build()?;
    let _ = restored.call(|| Ok::<_, ()>(()));
    Ok(())
}

/// Serves the dashboard on a free port of loopback.
pub(crate) async fn serve(parts: &Parts) -> Result<SocketAddr, BoxError> {
    let dashboard = Dashboard::new(&parts.roster).title("soak");
    let dashboard = dashboard.group("bank", &parts.group);
    let app = Router::new().nest("/breakers", dashboard.router());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}

/// Reads pages of the dashboard, and streams that it leaves in the middle.
pub(crate) async fn visit(address: SocketAddr, desk: Arc<Desk>, seed: u64) {
    const PATHS: [&str; 9] = [
        "/breakers",
        "/breakers/app.js",
        "/breakers/health",
        "/breakers/api/about",
        "/breakers/api/breakers",
        "/breakers/api/breakers/timed",
        "/breakers/api/breakers/keys",
        "/breakers/api/events?limit=500",
        "/breakers/api/stream?show=timed",
    ];
    let dice = Dice::new(seed);
    while desk.is_open() {
        let pick = usize::try_from(dice.roll() % 9).unwrap_or(0);
        let patience = Duration::from_millis(dice.roll() % 3_000);
        let request = request(address, PATHS[pick]);
        match tokio::time::timeout(patience, request).await {
            Ok(Ok(status)) if matches!(status.as_str(), "200" | "503") => {}
            Ok(Ok(status)) => desk.complain(format!("{}: status {status}", PATHS[pick])),
            Ok(Err(error)) => desk.complain(format!("{}: {error}", PATHS[pick])),
            Err(_left) => {}
        }
        desk.requests.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Makes a request and reads the whole answer. Returns its status.
async fn request(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut connection = TcpStream::connect(address).await?;
    let head = format!("GET {path} HTTP/1.1\r\nhost: soak\r\nconnection: close\r\n\r\n");
    connection.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await?;
    let head = String::from_utf8_lossy(&answer[..answer.len().min(12)]);
    Ok(head.split(' ').nth(1).unwrap_or_default().to_owned())
}

/// The metrics, as a scrape gets them.
pub(crate) struct Scrape {
    collector: Collector,
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl Scrape {
    pub(crate) fn new(parts: &Parts) -> Self {
        let places = parts.places.clone();
        let collector =
            Collector::new(&parts.roster).in_flight("guarded", move || places.in_flight());
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        Self {
            collector,
            recorder,
            handle,
        }
    }

    fn read(&self) -> String {
        metrics::with_local_recorder(&self.recorder, || self.collector.collect());
        self.handle.run_upkeep();
        self.handle.render()
    }

    pub(crate) fn go_on(&self, desk: &Desk) {
        while desk.is_open() {
            if self.read().is_empty() {
                desk.complain("the metrics are empty".to_owned());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Whether the metrics say what the callers counted. Only at rest.
    pub(crate) fn check(&self, parts: &Parts) -> Result<(), String> {
        let text = self.read();
        for (snapshot, books) in parts.pairs() {
            let (name, ends) = (snapshot.name(), books.ends());
            for (outcome, counted) in ["success", "failure", "timed_out", "ignored"]
                .iter()
                .zip(ends)
            {
                let series = format!(
                    "circuit_breaker_calls_total{{name=\"{name}\",outcome=\"{outcome}\"}} "
                );
                let line = text.lines().find(|line| line.starts_with(&series));
                let value = line.and_then(|line| line[series.len()..].parse::<u64>().ok());
                if value.unwrap_or(0) != counted {
                    return Err(format!(
                        "metrics: {series}{value:?}, its callers say {counted}"
                    ));
                }
            }
        }
        Ok(())
    }
}
