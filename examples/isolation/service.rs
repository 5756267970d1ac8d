//! The service: two routes. One of them needs the backend.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::task::spawn_blocking;
use tripcurve::bulkhead::Bulkhead;
use tripcurve::error::PoolError;
use tripcurve::handles::WithBlocking;
use tripcurve::{CircuitBreaker, Recovery, TripPolicy};

/// The blocking threads of the service's runtime. Tokio's default is 512. To use up that many takes
/// eight times this traffic, or eight times as long.
pub(crate) const BARE_THREADS: usize = 64;

/// The threads of the guarded reports, and the places in the queue before them.
pub(crate) const THREADS: u32 = 8;

/// The timeout of the backend's client. It is as generous as timeouts often are.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The file of the page route.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

/// The way in which the service gets its reports.
pub(crate) enum Reports {
    /// On a thread of the runtime's pool, as tokio's documentation recommends.
    Bare(SocketAddr),
    /// On a thread of a bulkhead, behind a breaker.
    Guarded(SocketAddr, WithBlocking),
}

impl Reports {
    pub(crate) fn bare(backend: SocketAddr) -> Self {
        Self::Bare(backend)
    }

    pub(crate) fn guarded(backend: SocketAddr) -> Result<Self, Box<dyn std::error::Error>> {
        // Hanging calls are slow while they are still in flight. So the breaker trips although no
        // call returns.
        let hangs = TripPolicy::slow_rate(0.5)
            .slower_than(Duration::from_millis(250))
            .min_calls(4);
        let breaker = CircuitBreaker::builder("reports")
            .trip_when(hangs)
            .trip_when(TripPolicy::failure_rate(0.5).min_calls(10))
            .recovery(Recovery::fixed(Duration::from_millis(250), 2))
            .probe_timeout(Duration::from_secs(1))
            .build()?;
        let bulkhead: Result<_, PoolError> = Bulkhead::blocking(THREADS, THREADS);
        let bulkhead = bulkhead?.named("reports");
        Ok(Self::Guarded(backend, breaker.with_blocking(bulkhead)))
    }

    async fn get(&self) -> Result<String, String> {
        match self {
            Self::Bare(backend) => {
                let backend = *backend;
                match spawn_blocking(move || fetch(backend)).await {
                    Ok(report) => report.map_err(|error| error.to_string()),
                    Err(error) => Err(error.to_string()),
                }
            }
            Self::Guarded(backend, guarded) => {
                let backend = *backend;
                let report = guarded.call_async(move || fetch(backend)).await;
                report.map_err(|error| error.to_string())
            }
        }
    }
}

/// A service that listens, on its own runtime.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Service {
    pub(crate) fn start(reports: Reports) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(BARE_THREADS)
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
        let address = listener.local_addr()?;
        let app = Router::new()
            .route("/report", get(report))
            .route("/page", get(page))
            .with_state(Arc::new(reports));
        runtime.spawn(async move { axum::serve(listener, app).await });
        Ok(Self {
            address,
            runtime: Some(runtime),
        })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Some of its threads may still wait for the backend.
            runtime.shutdown_background();
        }
    }
}

type Answer = (StatusCode, String);

async fn report(State(reports): State<Arc<Reports>>) -> Answer {
    match reports.get().await {
        Ok(report) => (StatusCode::OK, report),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
    }
}

/// Doesn't need the backend. Like most file reads, this one blocks.
async fn page() -> Answer {
    match spawn_blocking(|| std::fs::read_to_string(PAGE)).await {
        Ok(Ok(page)) => (StatusCode::OK, page),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
    }
}

/// A client of the old kind, which blocks its thread.
fn fetch(backend: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&backend, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET /report HTTP/1.1\r\nhost: backend\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.strip_prefix("HTTP/1.1 200 ") {
        Some(rest) => Ok(rest.rsplit("\r\n").next().unwrap_or_default().to_owned()),
        None => Err(io::Error::other("the backend gave no report")),
    }
}
