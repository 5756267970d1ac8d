//! The backend of the reports: an axum server on loopback that hangs on command.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// A backend that listens, on its own runtime.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    hangs: watch::Sender<bool>,
    runtime: Option<Runtime>,
}

impl Backend {
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
        let address = listener.local_addr()?;
        let (hangs, watched) = watch::channel(false);
        let app = Router::new()
            .route("/report", get(report))
            .with_state(watched);
        runtime.spawn(async move { axum::serve(listener, app).await });
        Ok(Self {
            address,
            hangs,
            runtime: Some(runtime),
        })
    }

    /// From now on, the backend accepts calls and doesn't answer them.
    pub(crate) fn hang(&self) {
        self.hangs.send_replace(true);
    }

    /// Answers all waiting calls and all new ones.
    pub(crate) fn recover(&self) {
        self.hangs.send_replace(false);
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn report(State(mut hangs): State<watch::Receiver<bool>>) -> &'static str {
    // An error means that the backend is gone, and this answer with it.
    let _gone = hangs.wait_for(|hangs| !hangs).await;
    "42 pages"
}
