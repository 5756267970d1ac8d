//! The shop: a bank charges its orders, behind a breaker.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tripcurve::metrics::Collector;
use tripcurve::registry::Roster;
use tripcurve::window::Recording;
use tripcurve::{CallError, CircuitBreaker, TripPolicy};

/// Any error that keeps the shop from its start.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// The connections to the bank.
const CONNECTIONS: usize = 8;

/// A shop that listens.
#[derive(Clone)]
pub(crate) struct Shop(Arc<Shared>);

struct Shared {
    address: SocketAddr,
    payments: CircuitBreaker,
    bank_is_down: AtomicBool,
    connections: Arc<Semaphore>,
    collector: Collector,
    recorder: PrometheusHandle,
}

impl Shop {
    /// Installs the recorder of the process and listens.
    pub(crate) async fn start(address: &str, roster: &Roster) -> Result<Self, Failure> {
        let recorder = PrometheusBuilder::new().install_recorder()?;
        // Before the breakers, so that it counts all of their transitions.
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        let free = Arc::clone(&connections);
        let collector = Collector::new(roster).in_flight("payments", move || {
            u32::try_from(CONNECTIONS - free.available_permits()).unwrap_or(u32::MAX)
        });
        // The classic pair has a threshold that the dashboard can draw. The default weighs
        // evidence.
        let payments = CircuitBreaker::builder("payments")
            .trip_when(TripPolicy::classic())
            .latency(Recording::Combined)
            .enlist(roster)
            .build()?;
        let listener = TcpListener::bind(address).await?;
        let shop = Self(Arc::new(Shared {
            address: listener.local_addr()?,
            payments,
            bank_is_down: AtomicBool::new(false),
            connections,
            collector,
            recorder,
        }));
        let app = Router::new()
            .route("/order/{number}", get(order))
            .route("/metrics", get(metrics))
            .with_state(shop.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(shop)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address
    }

    pub(crate) fn payments(&self) -> &CircuitBreaker {
        &self.0.payments
    }

    pub(crate) fn set_bank_down(&self, is_down: bool) {
        self.0.bank_is_down.store(is_down, Ordering::SeqCst);
    }

    /// Lets the bank charge an order.
    pub(crate) async fn order(&self) -> StatusCode {
        match self.0.payments.call_async(|| self.charge()).await {
            Ok(()) => StatusCode::OK,
            Err(CallError::Inner(_)) => StatusCode::BAD_GATEWAY,
            Err(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The bank, which is in this process here.
    async fn charge(&self) -> Result<(), &'static str> {
        let connection = self.0.connections.acquire().await;
        let _connection = connection.map_err(|_| "the shop is closed")?;
        tokio::time::sleep(Duration::from_millis(1)).await;
        if self.0.bank_is_down.load(Ordering::SeqCst) {
            Err("the bank is down")
        } else {
            Ok(())
        }
    }

    /// The answer to a scrape: the exporter doesn't ask for numbers, so they are collected first.
    pub(crate) fn metrics(&self) -> String {
        self.0.collector.collect();
        self.0.recorder.render()
    }
}

async fn order(State(shop): State<Shop>) -> StatusCode {
    shop.order().await
}

async fn metrics(State(shop): State<Shop>) -> String {
    shop.metrics()
}
