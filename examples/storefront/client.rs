//! The HTTP client of a storefront, with a pool of connections. Both storefronts use it. It knows
//! nothing of time limits and breakers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tower::BoxError;

/// No answer of the backend is nearly this long.
const LONGEST_BODY: usize = 4_096;

/// A call to the backend.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
}

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

#[derive(Clone)]
pub(crate) struct Client {
    http: HttpClient<HttpConnector, Body>,
    /// hyper opens as many connections as there are calls. A real storefront has a limit, and so
    /// has this process's number of files.
    connections: Arc<Semaphore>,
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
            connections: Arc::new(Semaphore::new(connections)),
            backend,
        }
    }

    /// Makes a call and reads the whole answer. The time includes the wait for a connection.
    pub(crate) async fn send(self, call: Call) -> Result<Reply, BoxError> {
        let sent = Instant::now();
        let _connection = self.connections.acquire().await?;
        let request = Request::builder()
            .method(call.method)
            .uri(format!("http://{}{}", self.backend, call.path))
            .body(Body::empty())?;
        let response = self.http.request(request).await?;
        let status = response.status();
        let body = to_bytes(Body::new(response.into_body()), LONGEST_BODY).await?;
        Ok(Reply {
            status,
            body: String::from_utf8_lossy(&body).into_owned(),
            took: sent.elapsed(),
        })
    }
}
