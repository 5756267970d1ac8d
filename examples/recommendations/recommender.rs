//! The dependency: it recommends products for some shops, and fails for the shops that it is told.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;

const SHOPS: [&str; 4] = ["books", "music", "toys", "films"];

pub(crate) struct Recommender {
    pub(crate) address: SocketAddr,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    failing: Mutex<&'static [&'static str]>,
    calls: AtomicU64,
}

impl Recommender {
    /// Listens on a free port of loopback and serves until the runtime ends.
    pub(crate) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let inner = Arc::new(Inner::default());
        let app = Router::new()
            .route("/{shop}/{shopper}", get(recommend))
            .with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { address, inner })
    }

    pub(crate) fn fail(&self, shops: &'static [&'static str]) {
        *self.inner.failing() = shops;
    }

    pub(crate) fn recover(&self) {
        self.fail(&[]);
    }

    /// The number of calls so far.
    pub(crate) fn calls(&self) -> u64 {
        self.inner.calls.load(Ordering::Relaxed)
    }
}

impl Inner {
    fn failing(&self) -> impl std::ops::DerefMut<Target = &'static [&'static str]> + '_ {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn recommend(
    State(inner): State<Arc<Inner>>,
    Path((shop, shopper)): Path<(String, String)>,
) -> Result<String, StatusCode> {
    inner.calls.fetch_add(1, Ordering::Relaxed);
    if inner.failing().contains(&shop.as_str()) {
        return Err(StatusCode::INTERNAL_SERVER_ERROR);
    }
    if !SHOPS.contains(&shop.as_str()) {
        return Err(StatusCode::NOT_FOUND);
    }
    Ok(format!("{shop} that suit {shopper}"))
}
