//! The backend: an axum server on loopback. It answers within milliseconds, fails at times, and
//! hangs on command.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;

use crate::orders::Answer;

/// One request in this many fails at once.
const FAILS_EVERY: u64 = 50;
const ANSWERS_WITHIN: Duration = Duration::from_millis(2);

#[derive(Default)]
struct Seen {
    hangs: AtomicBool,
    requests: AtomicU64,
    while_it_hung: AtomicU64,
    at_once: AtomicU64,
    most_at_once: AtomicU64,
}

/// A backend that is listening.
#[derive(Clone)]
pub(crate) struct Backend {
    seen: Arc<Seen>,
    address: SocketAddr,
}

impl Backend {
    pub(crate) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Seen::default());
        let app = Router::new()
            .route("/", get(answer))
            .with_state(Arc::clone(&seen));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { seen, address })
    }

    pub(crate) fn client(&self) -> Client {
        Client {
            http: legacy::Client::builder(TokioExecutor::new()).build_http(),
            uri: format!("http://{}/", self.address),
        }
    }

    /// Makes the backend hang, or answer again. While it hangs, it accepts requests and doesn't
    /// answer them.
    pub(crate) fn set_hanging(&self, hangs: bool) {
        self.seen.hangs.store(hangs, Ordering::Relaxed);
    }

    /// The number of requests that came while it hung.
    pub(crate) fn requests_while_it_hung(&self) -> u64 {
        self.seen.while_it_hung.load(Ordering::Relaxed)
    }

    /// The largest number of concurrent requests.
    pub(crate) fn most_at_once(&self) -> u64 {
        self.seen.most_at_once.load(Ordering::Relaxed)
    }
}

/// Counts a request out when it is answered or its client has left.
struct Counted<'a>(&'a Seen);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.at_once.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn answer(State(seen): State<Arc<Seen>>) -> StatusCode {
    let at_once = seen.at_once.fetch_add(1, Ordering::Relaxed) + 1;
    let _until_it_is_over = Counted(&seen);
    seen.most_at_once.fetch_max(at_once, Ordering::Relaxed);
    let number = seen.requests.fetch_add(1, Ordering::Relaxed) + 1;
    if seen.hangs.load(Ordering::Relaxed) {
        seen.while_it_hung.fetch_add(1, Ordering::Relaxed);
        return std::future::pending().await;
    }
    if number % FAILS_EVERY == 0 {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    tokio::time::sleep(ANSWERS_WITHIN).await;
    StatusCode::OK
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Failure {
    Status,
    Connection,
    TooSlow,
    TurnedAway,
}

/// A client of the backend.
pub(crate) struct Client {
    http: legacy::Client<HttpConnector, Body>,
    uri: String,
}

impl Client {
    /// Makes one attempt.
    pub(crate) async fn ask(&self) -> Result<Answer, Failure> {
        let request = Request::get(&self.uri)
            .body(Body::empty())
            .map_err(|_| Failure::Connection)?;
        let response = self.http.request(request).await;
        match response.map_err(|_| Failure::Connection)?.status() {
            StatusCode::OK => Ok(Answer::OfTheBackend),
            _ => Err(Failure::Status),
        }
    }
}
