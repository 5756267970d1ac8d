//! The storefront: a page is one payment and one set of recommendations, each with a fallback.
//!
//! The storefront without breakers runs the same code with the same fallbacks and timeout. So only
//! the breakers make the difference.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt};
use tripcurve::tower::CircuitBreakerLayer;
use tripcurve::{CallError, Fallback};

use crate::breakers::{Breaker, Breakers};
use crate::client::{Call, Client, Reply};
use crate::ledger::Ledger;
use crate::script::Script;
use crate::shelf::Shelf;

/// The time limit of a call, including the wait for a connection.
const TIMEOUT: Duration = Duration::from_secs(1);

/// One of the backend's services, as the storefront calls it.
type Remote = BoxCloneSyncService<Call, Reply, CallError<BoxError>>;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payment {
    Taken,
    /// The bank declined. This is a full answer.
    Declined,
    /// The fallback: the payment is noted, and charged when the backend is healthy. In a real shop
    /// it needs a key, because a payment that timed out may have been charged.
    Queued,
}

#[derive(Default)]
pub(crate) enum Recommendations {
    Fresh(String),
    /// The first fallback: this shopper's earlier recommendations.
    Cached(String),
    /// The second fallback: the most popular products.
    Popular(String),
    /// The last fallback: a page with a gap.
    #[default]
    Empty,
}

/// The page that the shopper sees.
pub(crate) struct Page {
    pub(crate) payment: Payment,
    pub(crate) recommendations: Recommendations,
}

impl Page {
    /// Whether all parts come from the backend.
    pub(crate) fn is_full(&self) -> bool {
        self.payment != Payment::Queued && matches!(self.recommendations, Recommendations::Fresh(_))
    }
}

pub(crate) struct Storefront {
    pub(crate) breakers: Option<Breakers>,
    pub(crate) ledger: Arc<Ledger>,
    script: Script,
    payments: Remote,
    recommendations: Remote,
    shelf: Shelf,
}

impl Storefront {
    pub(crate) fn new(
        script: Script,
        client: &Client,
        breakers: Option<Breakers>,
        ledger: Ledger,
    ) -> Self {
        let ledger = Arc::new(ledger);
        let remote = |breaker| remote(client.clone(), breaker, script, Arc::clone(&ledger));
        Self {
            payments: remote(breakers.as_ref().map(|b| &b.payments)),
            recommendations: remote(breakers.as_ref().map(|b| &b.recommendations)),
            breakers,
            ledger,
            script,
            shelf: Shelf::default(),
        }
    }

    /// Serves the page of a shopper who came at `arrived`. The time counts from then, so a
    /// storefront that is too busy to start is slow, too.
    pub(crate) async fn serve(self: Arc<Self>, shopper: u32, arrived: Duration) {
        self.ledger.shopper_came(arrived);
        let (payment, recommendations) = tokio::join!(self.pay(shopper), self.recommend(shopper));
        let page = Page {
            payment,
            recommendations,
        };
        self.ledger
            .page_served(arrived, self.script.elapsed(), page);
    }

    async fn pay(&self, shopper: u32) -> Payment {
        self.call(&self.payments, Method::POST, format!("/payments/{shopper}"))
            .await
            .map_or(Payment::Queued, |reply| match reply.status {
                StatusCode::PAYMENT_REQUIRED => Payment::Declined,
                _ => Payment::Taken,
            })
    }

    async fn recommend(&self, shopper: u32) -> Recommendations {
        let path = format!("/recommendations/{shopper}");
        self.call(&self.recommendations, Method::GET, path)
            .await
            .map(|reply| {
                self.shelf.keep(shopper, &reply.body);
                Recommendations::Fresh(reply.body)
            })
            .or_fallback(|_| self.shelf.cached(shopper).map(Recommendations::Cached))
            .or_fallback(|_| self.shelf.popular().map(Recommendations::Popular))
            .unwrap_or_default()
    }

    /// One call to the backend, unless a breaker rejects it.
    async fn call(
        &self,
        remote: &Remote,
        method: Method,
        path: String,
    ) -> Result<Reply, CallError<BoxError>> {
        match remote.clone().oneshot(Call { method, path }).await {
            // The breaker has already judged this answer. The page can't use it.
            Ok(reply) if reply.is_server_error() => {
                let refused = format!("the backend answered {}", reply.status);
                Err(CallError::Inner(refused.into()))
            }
            Err(CallError::Rejected(rejected)) => {
                self.ledger.call_saved();
                Err(CallError::Rejected(rejected))
            }
            other => other,
        }
    }
}

/// Puts a time limit around the client, and the breaker around both, if there is one.
fn remote(
    client: Client,
    breaker: Option<&Breaker>,
    script: Script,
    ledger: Arc<Ledger>,
) -> Remote {
    let calls = ServiceBuilder::new()
        // Outside the time limit, so that it sees the calls that take too long.
        .map_result(move |result: Result<Reply, BoxError>| {
            let failed = result.as_ref().map_or(true, Reply::is_server_error);
            ledger.call_made(script.elapsed(), failed);
            result
        })
        .timeout(TIMEOUT)
        .service_fn(move |call| client.clone().send(call));
    match breaker {
        Some(breaker) => Remote::new(CircuitBreakerLayer::new(breaker).layer(calls)),
        None => Remote::new(calls.map_err(CallError::Inner)),
    }
}
