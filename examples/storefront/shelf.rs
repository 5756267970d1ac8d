//! The recommendations that the storefront can make without a call.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// An older recommendation no longer suits the shopper.
const FRESH: Duration = Duration::from_secs(12);

/// The answers so far, in two forms. The second is less useful.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    by_shopper: HashMap<u32, (String, Instant)>,
    by_product: HashMap<String, u32>,
}

impl Shelf {
    /// Keeps an answer of the backend.
    pub(crate) fn keep(&self, shopper: u32, products: &str) {
        let mut seen = self.seen();
        for product in products.split(',') {
            *seen.by_product.entry(product.to_owned()).or_default() += 1;
        }
        let entry = (products.to_owned(), Instant::now());
        seen.by_shopper.insert(shopper, entry);
    }

    /// A recent recommendation for this shopper.
    pub(crate) fn cached(&self, shopper: u32) -> Option<String> {
        let seen = self.seen();
        let (products, since) = seen.by_shopper.get(&shopper)?;
        (since.elapsed() < FRESH).then(|| products.clone())
    }

    /// The three products recommended most often, to anyone.
    pub(crate) fn popular(&self) -> Option<String> {
        let seen = self.seen();
        let mut products: Vec<_> = seen.by_product.iter().collect();
        products.sort_unstable_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let names: Vec<&str> = products.iter().take(3).map(|p| p.0.as_str()).collect();
        (!names.is_empty()).then(|| names.join(","))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
