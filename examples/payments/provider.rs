//! A payment provider that charges cards over HTTP, and a client for it.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Method, Request, StatusCode};
use axum::routing::{get, post};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;

/// Any error on the way to the provider.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// A provider that can be down. It takes amounts up to a limit.
#[derive(Clone)]
pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    largest: u32,
    is_down: AtomicBool,
    charged: AtomicU32,
    refused: AtomicU32,
}

impl Provider {
    pub(crate) async fn start(largest: u32) -> Result<Self, Failure> {
        let shared = Arc::new(Shared {
            largest,
            is_down: AtomicBool::new(false),
            charged: AtomicU32::new(0),
            refused: AtomicU32::new(0),
        });
        let app = Router::new()
            .route("/{order}/{amount}", post(charge))
            .route("/health", get(health))
            .with_state(Arc::clone(&shared));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { address, shared })
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        self.shared.is_down.store(is_down, Ordering::SeqCst);
    }

    /// The number of orders that it has charged.
    pub(crate) fn charged(&self) -> u32 {
        self.shared.charged.load(Ordering::SeqCst)
    }

    /// The number of orders that reached it while it was down.
    pub(crate) fn refused(&self) -> u32 {
        self.shared.refused.load(Ordering::SeqCst)
    }
}

async fn health(State(shared): State<Arc<Shared>>) -> StatusCode {
    if shared.is_down.load(Ordering::SeqCst) {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    }
}

async fn charge(
    State(shared): State<Arc<Shared>>,
    Path((_order, amount)): Path<(u32, u32)>,
) -> StatusCode {
    if shared.is_down.load(Ordering::SeqCst) {
        shared.refused.fetch_add(1, Ordering::SeqCst);
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    if amount > shared.largest {
        return StatusCode::UNPROCESSABLE_ENTITY;
    }
    shared.charged.fetch_add(1, Ordering::SeqCst);
    StatusCode::OK
}

/// An answer: its status and one of its headers.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) by: Option<String>,
}

#[derive(Clone)]
pub(crate) struct Client {
    http: HttpClient<HttpConnector, Body>,
    address: SocketAddr,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let http = HttpClient::builder(TokioExecutor::new()).build_http();
        Self { http, address }
    }

    pub(crate) async fn post(&self, path: &str) -> Result<Reply, Failure> {
        self.send(Method::POST, path).await
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Reply, Failure> {
        self.send(Method::GET, path).await
    }

    async fn send(&self, method: Method, path: &str) -> Result<Reply, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .body(Body::empty())?;
        let response = self.http.request(request).await?;
        let by = response.headers().get("paid-by");
        Ok(Reply {
            status: response.status(),
            by: by.and_then(|by| by.to_str().ok()).map(str::to_owned),
        })
    }
}
