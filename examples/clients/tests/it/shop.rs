//! A shop on loopback that says prices over HTTP, or 500.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::phases::Server;

pub(crate) const PRICE: &str = "9.99";

#[derive(Default)]
struct Seen {
    calls: AtomicU64,
    fails: AtomicBool,
}

pub(crate) struct Shop {
    pub(crate) url: String,
    seen: Arc<Seen>,
    /// Runs the server until the shop is dropped.
    _runtime: Runtime,
}

impl Shop {
    pub(crate) fn open() -> Self {
        let seen = Arc::new(Seen::default());
        let routes = Router::new()
            .route("/{item}", get(price))
            .with_state(seen.clone());
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(axum::serve(listener, routes).into_future());
        Self {
            url,
            seen,
            _runtime: runtime,
        }
    }
}

async fn price(State(seen): State<Arc<Seen>>) -> Result<&'static str, StatusCode> {
    seen.calls.fetch_add(1, Ordering::SeqCst);
    if seen.fails.load(Ordering::SeqCst) {
        Err(StatusCode::INTERNAL_SERVER_ERROR)
    } else {
        Ok(PRICE)
    }
}

impl Server for Shop {
    fn calls(&self) -> u64 {
        self.seen.calls.load(Ordering::SeqCst)
    }

    fn fail(&self, fails: bool) {
        self.seen.fails.store(fails, Ordering::SeqCst);
    }
}
