//! The dependencies: an HTTP server on loopback whose answers name their questions, and a client.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::{Request, StatusCode};
use axum::routing::get;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;

use crate::Failure;

/// The time limit of a call.
const TIMEOUT: Duration = Duration::from_secs(2);

/// No answer is nearly this long.
const LONGEST_BODY: usize = 1_024;

#[derive(Clone)]
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    failing: Mutex<Vec<&'static str>>,
    calls: AtomicU64,
}

impl Backend {
    pub(crate) async fn start() -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let inner = Arc::new(Inner::default());
        let app = Router::new()
            .route("/{dependency}/{question}", get(answer))
            .with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { address, inner })
    }

    /// From now on, fails the calls of exactly these dependencies.
    pub(crate) fn fail(&self, dependencies: &[&'static str]) {
        *self.inner.failing() = dependencies.to_vec();
    }

    /// The number of calls so far.
    pub(crate) fn calls(&self) -> u64 {
        self.inner.calls.load(Ordering::Relaxed)
    }
}

impl Inner {
    fn failing(&self) -> MutexGuard<'_, Vec<&'static str>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(
    State(inner): State<Arc<Inner>>,
    Path((dependency, question)): Path<(String, String)>,
) -> Result<String, StatusCode> {
    inner.calls.fetch_add(1, Ordering::Relaxed);
    if inner.failing().contains(&dependency.as_str()) {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    Ok(format!("{dependency} answers {question}"))
}

#[derive(Debug)]
pub(crate) enum CallFailed {
    /// The dependency refused the call.
    Refused,
    /// The connection broke. On loopback, this shouldn't happen.
    Broken(String),
}

impl fmt::Display for CallFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("the dependency is not available"),
            Self::Broken(what) => write!(f, "the call broke: {what}"),
        }
    }
}

#[derive(Clone)]
pub(crate) struct Client {
    http: HttpClient<HttpConnector, Body>,
    server: SocketAddr,
}

impl Client {
    pub(crate) fn new(server: SocketAddr) -> Self {
        let http = HttpClient::builder(TokioExecutor::new()).build_http();
        Self { http, server }
    }

    /// Asks a question. Returns whether the answer belongs to it.
    pub(crate) async fn ask(&self, dependency: &str, question: u64) -> Result<bool, CallFailed> {
        let uri = format!("http://{}/{dependency}/{question}", self.server);
        let answer = tokio::time::timeout(TIMEOUT, self.get(uri)).await;
        let answer = answer.map_err(|_| CallFailed::Broken("no answer".to_owned()))??;
        Ok(answer == format!("{dependency} answers {question}"))
    }

    async fn get(&self, uri: String) -> Result<String, CallFailed> {
        let request = Request::get(uri).body(Body::empty()).map_err(broken)?;
        let response = self.http.request(request).await.map_err(broken)?;
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            return Err(CallFailed::Refused);
        }
        let body = Body::new(response.into_body());
        let body = to_bytes(body, LONGEST_BODY).await.map_err(broken)?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}

fn broken(error: impl fmt::Display) -> CallFailed {
    CallFailed::Broken(error.to_string())
}
