//! Compares tripcurve's bulkhead with tokio's semaphore: a place is taken and given back, and one
//! is always free.
//!
//! This target has its own feature, so that the breaker's rows measure the crate with default
//! features: `cargo bench --manifest-path benches/compare/Cargo.toml --features bulkhead --bench
//! bulkhead`.

// The breakers' benchmarks use more of these modules than this one.
#[allow(dead_code)]
#[path = "../compare/measure.rs"]
mod measure;
#[allow(dead_code)]
#[path = "../compare/subject.rs"]
mod subject;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use tokio::sync::Semaphore;
use tripcurve::bulkhead::Bulkhead;

use measure::{Failing, all_threads, flat_of_threads};
use subject::{Answer, Settings, Subject, Work};

/// More than the number of threads.
const PLACES: u32 = 1_000;

/// `try_acquire` of tripcurve's bulkhead, and the drop of the permit.
#[derive(Clone)]
struct Ours(Bulkhead);

impl Subject for Ours {
    const NAME: &'static str = "tripcurve";
    type Reply = Option<Answer>;

    fn closed(_: &Settings) -> Self {
        Self(Bulkhead::new(PLACES).expect("a number in range"))
    }

    #[inline]
    fn call(&mut self, work: Work) -> Self::Reply {
        let _permit = self.0.try_acquire().ok()?;
        Some(work.run())
    }

    #[inline]
    fn admitted(reply: &Self::Reply) -> bool {
        reply.is_some()
    }
}

/// `try_acquire` of tokio's semaphore, and the drop of the permit.
#[derive(Clone)]
struct Tokio(Arc<Semaphore>);

impl Subject for Tokio {
    const NAME: &'static str = "tokio";
    type Reply = Option<Answer>;

    fn closed(_: &Settings) -> Self {
        Self(Arc::new(Semaphore::new(PLACES as usize)))
    }

    #[inline]
    fn call(&mut self, work: Work) -> Self::Reply {
        let _permit = self.0.try_acquire().ok()?;
        Some(work.run())
    }

    #[inline]
    fn admitted(reply: &Self::Reply) -> bool {
        reply.is_some()
    }
}

/// The limit of any count of calls in flight: two additions to a shared word. It isn't a bulkhead,
/// because nothing bounds the count.
#[derive(Clone)]
struct TwoAdditions(Arc<AtomicU64>);

impl Subject for TwoAdditions {
    const NAME: &'static str = "limit/two_additions";
    type Reply = Option<Answer>;

    fn closed(_: &Settings) -> Self {
        Self(Arc::default())
    }

    #[inline]
    fn call(&mut self, work: Work) -> Self::Reply {
        self.0.fetch_add(1, Ordering::Acquire);
        let answer = work.run();
        self.0.fetch_sub(1, Ordering::Release);
        Some(answer)
    }

    #[inline]
    fn admitted(reply: &Self::Reply) -> bool {
        reply.is_some()
    }
}

/// One thread, and several threads that share a bulkhead.
fn bulkhead(criterion: &mut Criterion) {
    let mut group = flat_of_threads(criterion, "bulkhead");
    let settings = &Settings::USUAL;
    all_threads(&mut group, "", &Ours::closed(settings), Failing::NONE);
    all_threads(&mut group, "", &Tokio::closed(settings), Failing::NONE);
    let limit = TwoAdditions::closed(settings);
    all_threads(&mut group, "", &limit, Failing::NONE);
    group.finish();
}

criterion_group! {
    name = benches;
    // Like the breakers' benchmarks.
    config = Criterion::default()
        .sample_size(500)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(1))
        .nresamples(10_000);
    targets = bulkhead,
}
criterion_main!(benches);
