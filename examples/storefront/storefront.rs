//! The storefront: a page is one payment and one set of recommendations, each with a fallback.
//!
//! The storefront without breakers runs the same code with the same fallbacks and timeout. So only
//! the breakers make the difference.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use tripcurve::{CallError, Fallback};

use crate::breakers::{Breaker, Breakers};
use crate::client::{Client, ClientError, Reply};
use crate::ledger::Ledger;
use crate::script::Script;
use crate::shelf::Shelf;

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
    pub(crate) ledger: Ledger,
    script: Script,
    client: Client,
    shelf: Shelf,
}

impl Storefront {
    pub(crate) fn new(
        script: Script,
        client: Client,
        breakers: Option<Breakers>,
        ledger: Ledger,
    ) -> Self {
        Self {
            breakers,
            ledger,
            script,
            client,
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
        let breaker = self.breakers.as_ref().map(|b| &b.payments);
        self.call(breaker, Method::POST, &format!("/payments/{shopper}"))
            .await
            .map_or(Payment::Queued, |reply| match reply.status {
                StatusCode::PAYMENT_REQUIRED => Payment::Declined,
                _ => Payment::Taken,
            })
    }

    async fn recommend(&self, shopper: u32) -> Recommendations {
        let breaker = self.breakers.as_ref().map(|b| &b.recommendations);
        self.call(breaker, Method::GET, &format!("/recommendations/{shopper}"))
            .await
            .map(|reply| {
                self.shelf.keep(shopper, &reply.body);
                Recommendations::Fresh(reply.body)
            })
            .or_fallback(|_| self.shelf.cached(shopper).map(Recommendations::Cached))
            .or_fallback(|_| self.shelf.popular().map(Recommendations::Popular))
            .unwrap_or_default()
    }

    /// One call to the backend, through the breaker if there is one.
    async fn call(
        &self,
        breaker: Option<&Breaker>,
        method: Method,
        path: &str,
    ) -> Result<Reply, CallError<ClientError>> {
        let send = || async {
            let result = self.client.send(method, path).await;
            let failed = result.as_ref().map_or(true, Reply::is_server_error);
            self.ledger.call_made(self.script.elapsed(), failed);
            result
        };
        let result = match breaker {
            Some(breaker) => breaker.call_async(send).await,
            None => send().await.map_err(CallError::Inner),
        };
        match result {
            // The breaker has already judged this answer. The page can't use it.
            Ok(reply) if reply.is_server_error() => {
                Err(CallError::Inner(ClientError::Refused(reply.status)))
            }
            Err(CallError::Rejected(rejected)) => {
                self.ledger.call_saved();
                Err(CallError::Rejected(rejected))
            }
            other => other,
        }
    }
}
