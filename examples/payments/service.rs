//! The payment service: the bank behind a breaker, and the alternatives without it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tripcurve::recovery::{Backoff, Jitter};
use tripcurve::{CallError, CircuitBreaker, Outcome, TripPolicy};

use crate::alerts::Alerts;
use crate::provider::{Client, Failure, Provider, Reply};

/// Orders that may wait for the bank.
const PLACES: usize = 10;

/// The fate of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    Charged,
    ByBackup,
    Queued,
    Pending,
}

impl Fate {
    pub(crate) fn of(reply: &Reply) -> Option<Self> {
        match (reply.status, reply.by.as_deref()) {
            (StatusCode::OK, Some("bank")) => Some(Self::Charged),
            (StatusCode::OK, Some("backup")) => Some(Self::ByBackup),
            (StatusCode::ACCEPTED, _) => Some(Self::Queued),
            (StatusCode::SERVICE_UNAVAILABLE, _) => Some(Self::Pending),
            _ => None,
        }
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Charged => "charged by the bank",
            Self::ByBackup => "charged by the backup",
            Self::Queued => "queued until the bank is back",
            Self::Pending => "pending: the customer is told when to ask again",
        }
    }
}

type Sent = Result<Reply, Failure>;
type Breaker = CircuitBreaker<fn(&Sent) -> Outcome>;

/// To the client, a 503 is an answer like any other, so the breaker must be told. A refused amount
/// shows that the provider is healthy.
fn judge(sent: &Sent) -> Outcome {
    match sent {
        Ok(reply) if reply.status.is_server_error() => Outcome::Failure,
        Ok(_) => Outcome::Success,
        Err(_) => Outcome::Failure,
    }
}

/// A provider, and the breaker around it.
#[derive(Clone)]
struct Guarded {
    client: Client,
    breaker: Breaker,
}

impl Guarded {
    /// Charges the order. Returns whether the provider took it.
    async fn charge(&self, path: &str) -> Result<bool, CallError<Failure>> {
        let reply = self.breaker.call_async(|| self.client.post(path)).await?;
        Ok(reply.status == StatusCode::OK)
    }
}

struct Shared {
    bank: Guarded,
    backup: Guarded,
    queue: mpsc::Sender<String>,
    pending: AtomicU32,
}

pub(crate) struct Payments {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

impl Payments {
    pub(crate) async fn start(
        bank: &Provider,
        backup: &Provider,
        alerts: &Alerts,
    ) -> Result<Self, Failure> {
        let (base, longest) = (Duration::from_millis(300), Duration::from_secs(5));
        let alerts = alerts.clone();
        let guarded = |provider: &Provider, breaker| Guarded {
            client: Client::new(provider.address),
            breaker,
        };
        let bank_breaker = CircuitBreaker::builder("bank")
            .trip_when(TripPolicy::consecutive_failures(3))
            // It has no jitter, because only one process runs and is watched. A fleet should have
            // jitter.
            .backoff(Backoff::exponential(base, 2.0, longest).jitter(Jitter::None))
            .probes(1)
            .on_transition(move |transition| alerts.tell(transition))
            .classify(judge as fn(&Sent) -> Outcome)
            .build()?;
        let backup_breaker = CircuitBreaker::builder("backup")
            .classify(judge as fn(&Sent) -> Outcome)
            .build()?;
        let (queue, waiting) = mpsc::channel(PLACES);
        let bank = guarded(bank, bank_breaker);
        tokio::spawn(work_off(waiting, bank.clone()));
        // With a health check, no customer's order has to test the bank.
        let asks = bank.client.clone();
        let health_check = bank
            .breaker
            .health_check(async move || asks.get("/health").await)
            .run();
        tokio::spawn(health_check);
        let shared = Arc::new(Shared {
            bank,
            backup: guarded(backup, backup_breaker),
            queue,
            pending: AtomicU32::new(0),
        });
        let app = Router::new()
            .route("/{order}/{amount}", post(pay))
            .with_state(Arc::clone(&shared));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { address, shared })
    }

    pub(crate) fn bank_state(&self) -> tripcurve::State {
        self.shared.bank.breaker.state()
    }

    pub(crate) fn pending(&self) -> u32 {
        self.shared.pending.load(Ordering::SeqCst)
    }

    /// Waits until all queued orders are charged. Then each place is free, including that of the
    /// order at work.
    pub(crate) async fn queue_is_empty(&self) {
        let _all = self.shared.queue.reserve_many(PLACES).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn pay(
    State(shared): State<Arc<Shared>>,
    Path((order, amount)): Path<(u32, u32)>,
) -> Response {
    let path = format!("/{order}/{amount}");
    let refused = match shared.bank.charge(&path).await {
        Ok(true) => return (StatusCode::OK, [("paid-by", "bank")]).into_response(),
        Ok(false) => None,
        Err(error) => error.rejected().cloned(),
    };
    if let Ok(true) = shared.backup.charge(&path).await {
        return (StatusCode::OK, [("paid-by", "backup")]).into_response();
    }
    if shared.queue.try_send(path).is_ok() {
        return StatusCode::ACCEPTED.into_response();
    }
    shared.pending.fetch_add(1, Ordering::SeqCst);
    // The waits are spread, so not all customers return at once.
    let wait = refused.and_then(|rejected| rejected.retry_after());
    let seconds = wait.map_or(1, |wait| wait.as_secs() + 1);
    let header = [("retry-after", seconds.to_string())];
    (StatusCode::SERVICE_UNAVAILABLE, header).into_response()
}

/// Charges the queued orders once the bank takes them again. It asks only when the breaker is
/// closed, and leaves the probes to customers, who have another provider.
async fn work_off(mut waiting: mpsc::Receiver<String>, bank: Guarded) {
    while let Some(path) = waiting.recv().await {
        loop {
            let is_closed = bank.breaker.state() == tripcurve::State::Closed;
            if is_closed && matches!(bank.charge(&path).await, Ok(true)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
