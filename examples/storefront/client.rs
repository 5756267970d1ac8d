//! The HTTP client of a storefront: a pool of connections and a timeout. Both storefronts use it.
//! It knows nothing of breakers.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// The time limit of a call, including the wait for a connection.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(1);

/// No answer of the backend is nearly this long.
const LONGEST_BODY: usize = 4_096;

/// An answer with any status.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: String,
    pub(crate) took: Duration,
}

impl Reply {
    pub(crate) fn is_server_error(&self) -> bool {
        self.status.is_server_error()
    }
}

#[derive(Debug)]
pub(crate) enum ClientError {
    /// The storefront waited for [`TIMEOUT`].
    TimedOut,
    /// The backend refused the call.
    Refused(StatusCode),
    /// The connection broke before an answer.
    Broken(String),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => write!(f, "no answer within {TIMEOUT:?}"),
            Self::Refused(status) => write!(f, "the backend answered {status}"),
            Self::Broken(what) => write!(f, "the call broke: {what}"),
        }
    }
}

impl std::error::Error for ClientError {}

pub(crate) struct Client {
    http: HttpClient<HttpConnector, Body>,
    /// hyper opens as many connections as there are calls. A real storefront has a limit, and so
    /// has this process's number of files.
    connections: Semaphore,
    backend: SocketAddr,
}

impl Client {
    pub(crate) fn new(backend: SocketAddr, connections: usize) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            http: HttpClient::builder(TokioExecutor::new())
                .pool_max_idle_per_host(connections)
                .build(connector),
            connections: Semaphore::new(connections),
            backend,
        }
    }

    pub(crate) async fn send(&self, method: Method, path: &str) -> Result<Reply, ClientError> {
        let sent = Instant::now();
        let mut reply = tokio::time::timeout(TIMEOUT, self.exchange(method, path))
            .await
            .map_err(|_| ClientError::TimedOut)??;
        reply.took = sent.elapsed();
        Ok(reply)
    }

    async fn exchange(&self, method: Method, path: &str) -> Result<Reply, ClientError> {
        let _connection = self.connections.acquire().await.map_err(broken)?;
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.backend))
            .body(Body::empty())
            .map_err(broken)?;
        let response = self.http.request(request).await.map_err(broken)?;
        let status = response.status();
        let body = to_bytes(Body::new(response.into_body()), LONGEST_BODY)
            .await
            .map_err(broken)?;
        Ok(Reply {
            status,
            body: String::from_utf8_lossy(&body).into_owned(),
            took: Duration::ZERO,
        })
    }
}

fn broken(error: impl fmt::Display) -> ClientError {
    ClientError::Broken(error.to_string())
}
