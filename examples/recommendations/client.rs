//! An HTTP client with a time limit. It knows nothing of breakers.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// The time limit of a call.
const TIMEOUT: Duration = Duration::from_secs(1);

/// No answer is nearly this long.
const LONGEST_BODY: usize = 4_096;

#[derive(Debug)]
pub(crate) enum CallFailed {
    TimedOut,
    /// The server refused the call.
    Refused(StatusCode),
    /// The connection broke.
    Broken(String),
}

impl fmt::Display for CallFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => write!(f, "no answer within {TIMEOUT:?}"),
            Self::Refused(status) => write!(f, "the answer was {status}"),
            Self::Broken(what) => write!(f, "the call broke: {what}"),
        }
    }
}

impl Error for CallFailed {}

pub(crate) struct Client {
    http: HttpClient<HttpConnector, Body>,
    server: SocketAddr,
}

impl Client {
    pub(crate) fn new(server: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            http: HttpClient::builder(TokioExecutor::new()).build(connector),
            server,
        }
    }

    /// Gets the page. `None` means that there is no such page, which is an answer like any other.
    pub(crate) async fn get(&self, path: &str) -> Result<Option<String>, CallFailed> {
        tokio::time::timeout(TIMEOUT, self.exchange(path))
            .await
            .map_err(|_| CallFailed::TimedOut)?
    }

    async fn exchange(&self, path: &str) -> Result<Option<String>, CallFailed> {
        let request = Request::get(format!("http://{}{path}", self.server))
            .body(Body::empty())
            .map_err(broken)?;
        let response = self.http.request(request).await.map_err(broken)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(CallFailed::Refused(status)),
        }
        let body = to_bytes(Body::new(response.into_body()), LONGEST_BODY)
            .await
            .map_err(broken)?;
        Ok(Some(String::from_utf8_lossy(&body).into_owned()))
    }
}

fn broken(error: impl fmt::Display) -> CallFailed {
    CallFailed::Broken(error.to_string())
}
