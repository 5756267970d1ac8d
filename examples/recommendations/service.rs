//! The service: a breaker for each shop, and the answers without the recommender.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use tokio::net::TcpListener;
use tripcurve::registry::{ControlGroup, Registry};
use tripcurve::{CircuitBreaker, Fallback, TripPolicy};

use crate::Failure;
use crate::client::Client;

/// The number of idle breakers that may be kept. Anyone can invent a shop, so there must be a
/// limit. A failing shop keeps its breaker in any case.
pub(crate) const ROOM: usize = 20;

pub(crate) const OPEN_FOR: Duration = Duration::from_secs(2);

pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    /// The operator's switch.
    pub(crate) control: ControlGroup,
    inner: Arc<Inner>,
}

struct Inner {
    recommender: Client,
    breakers: Registry<String>,
    shelf: Shelf,
}

impl Service {
    pub(crate) async fn start(recommender: SocketAddr) -> Result<Self, Failure> {
        let control = ControlGroup::new();
        let breaker = CircuitBreaker::builder("recommender")
            .trip_when(TripPolicy::consecutive_failures(3))
            .open_for(OPEN_FOR)
            .probes(1)
            .shards(1);
        let breakers = Registry::builder(breaker)
            .capacity(ROOM)
            .control_group(&control)
            .build()?;
        let inner = Arc::new(Inner {
            recommender: Client::new(recommender),
            breakers,
            shelf: Shelf::default(),
        });
        let address = serve(Arc::clone(&inner)).await?;
        Ok(Self {
            address,
            control,
            inner,
        })
    }

    /// The state of a shop's breaker, if it has one.
    pub(crate) fn state(&self, shop: &str) -> Option<tripcurve::State> {
        Some(self.inner.breakers.get(shop)?.state())
    }

    pub(crate) fn breakers(&self) -> usize {
        self.inner.breakers.len()
    }

    /// The number of breakers, and the ones that aren't closed.
    pub(crate) fn describe(&self) -> String {
        let mut parts = vec![format!("{} breakers", self.breakers())];
        self.inner.breakers.for_each(|shop, snapshot| {
            if snapshot.state() != tripcurve::State::Closed {
                parts.push(format!("{shop}: {snapshot}"));
            }
        });
        parts.join(", ")
    }
}

async fn serve(inner: Arc<Inner>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let app = Router::new()
        .route("/{shop}/{shopper}", get(recommend))
        .with_state(inner);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}

async fn recommend(
    State(inner): State<Arc<Inner>>,
    Path((shop, shopper)): Path<(String, String)>,
) -> String {
    let Inner {
        recommender,
        breakers,
        shelf,
    } = &*inner;
    let path = format!("/{shop}/{shopper}");
    let breaker = breakers.get_or_create(&shop);
    let answer = breaker.call_async(|| recommender.get(&path)).await;
    if let Ok(Some(products)) = &answer {
        shelf.keep(&shop, &shopper, products);
    }
    answer
        .map(|products| products.map(|products| format!("fresh: {products}")))
        .or_fallback(|_| Some(Some(shelf.cached(&shop, &shopper)?)))
        .or_fallback(|_| Some(Some(shelf.popular(&shop)?)))
        .ok()
        .flatten()
        .unwrap_or_else(|| "empty: nothing to recommend".to_owned())
}

/// Earlier recommendations.
#[derive(Default)]
struct Shelf(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    by_shopper: HashMap<(String, String), String>,
    /// The last answer for any shopper of the shop. A real service would count.
    by_shop: HashMap<String, String>,
}

impl Shelf {
    fn keep(&self, shop: &str, shopper: &str, products: &str) {
        let mut seen = self.seen();
        let key = (shop.to_owned(), shopper.to_owned());
        seen.by_shopper.insert(key, products.to_owned());
        seen.by_shop.insert(shop.to_owned(), products.to_owned());
    }

    fn cached(&self, shop: &str, shopper: &str) -> Option<String> {
        let key = (shop.to_owned(), shopper.to_owned());
        let products = self.seen().by_shopper.get(&key)?.clone();
        Some(format!("cached: {products}"))
    }

    fn popular(&self, shop: &str) -> Option<String> {
        let products = self.seen().by_shop.get(shop)?.clone();
        Some(format!("popular: {products}"))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
