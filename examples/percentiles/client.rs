//! The client: requests at a fixed rate, whether earlier ones have returned or not.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::{sleep_until, timeout};
use tripcurve::{CallError, CircuitBreaker};

use crate::script::Script;
use crate::witness::{Ending, Witness};

/// Requests per second.
pub(crate) const RATE: u32 = 200;

/// The time limit of a request at full length. It is long, like limits that were set once to be
/// safe. The calls in flight show a hang sooner.
const TIMEOUT: Duration = Duration::from_secs(3);

/// No answer of the backend is nearly this long.
const LONGEST_BODY: usize = 4_096;

#[derive(Debug)]
pub(crate) enum RequestError {
    TimedOut,
    Refused(StatusCode),
    /// The connection broke before an answer.
    Broken(String),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Refused(status) => write!(f, "the backend answered {status}"),
            Self::Broken(what) => write!(f, "the request broke: {what}"),
        }
    }
}

impl std::error::Error for RequestError {}

pub(crate) struct Client {
    script: Script,
    backend: SocketAddr,
    http: HttpClient<HttpConnector, Body>,
    breaker: CircuitBreaker,
    witness: Arc<Witness>,
    sent: AtomicU64,
}

impl Client {
    pub(crate) fn new(
        script: Script,
        backend: SocketAddr,
        breaker: CircuitBreaker,
        witness: Arc<Witness>,
    ) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            script,
            backend,
            http: HttpClient::builder(TokioExecutor::new()).build(connector),
            breaker,
            witness,
            sent: AtomicU64::new(0),
        }
    }

    /// The number of requests that the breaker has let through so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Sends [`RATE`] requests per second until the script ends.
    pub(crate) async fn run(self: Arc<Self>) {
        for number in 0.. {
            let at = Duration::from_secs(1) * number / RATE;
            if at >= self.script.length() {
                break;
            }
            sleep_until(self.script.instant(at)).await;
            tokio::spawn(Arc::clone(&self).request());
        }
    }

    async fn request(self: Arc<Self>) {
        let called = self.breaker.call_async(|| self.send()).await;
        if let Err(CallError::Inner(RequestError::Broken(what))) = called {
            self.witness.request_broke(what);
        }
    }

    /// Sends one request, without the breaker.
    async fn send(&self) -> Result<(), RequestError> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let sent = self.script.elapsed();
        self.witness.request_sent(sent);
        let result = timeout(self.script.scaled(TIMEOUT), self.exchange())
            .await
            .unwrap_or(Err(RequestError::TimedOut));
        let ending = match result {
            Err(RequestError::TimedOut) => Ending::TimedOut,
            _ => Ending::CameBack,
        };
        let now = self.script.elapsed();
        self.witness.request_ended(sent, now, ending);
        result
    }

    async fn exchange(&self) -> Result<(), RequestError> {
        let request = Request::builder()
            .uri(format!("http://{}/", self.backend))
            .body(Body::empty())
            .map_err(broken)?;
        let response = self.http.request(request).await.map_err(broken)?;
        let status = response.status();
        // The body is read to its end. Otherwise the connection can't be reused.
        to_bytes(Body::new(response.into_body()), LONGEST_BODY)
            .await
            .map_err(broken)?;
        if status.is_success() {
            Ok(())
        } else {
            Err(RequestError::Refused(status))
        }
    }
}

fn broken(error: impl fmt::Display) -> RequestError {
    RequestError::Broken(error.to_string())
}
