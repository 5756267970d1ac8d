//! Runs blocking work from async code on its own threads.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::{any::Any, fmt, io, sync::Arc};

use rayon_core::{ThreadPool, ThreadPoolBuilder};

use super::{Bulkhead, BulkheadPermit, OwnedBulkheadPermit};
use crate::breaker::nested::run_apart;
use crate::error::{BulkheadFull, ConfigError, PoolError};
use crate::name::{Name, Shown};

impl Bulkhead {
    /// Makes a bulkhead with its own threads, 1 to 4,096, which run blocking work for async code.
    ///
    /// In front of the threads stands a queue of 0 to 1,000,000 places.
    ///
    /// # Errors
    /// A number is out of range, or the threads can't be started.
    ///
    /// ```
    /// use tripcurve::bulkhead::Bulkhead;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let files = Bulkhead::blocking(4, 16)?.named("files");
    /// let read = files.call_async(|| std::fs::read_to_string("Cargo.toml")).await;
    /// assert!(read.is_ok());
    /// # Ok::<(), tripcurve::error::PoolError>(())
    /// # }).unwrap();
    /// ```
    pub fn blocking(threads: u32, queue: u32) -> Result<BlockingBulkhead, PoolError> {
        BlockingBulkhead::new(threads, queue)
    }
}

/// A bulkhead with its own threads for blocking work; made by [`Bulkhead::blocking`].
///
/// Async code must not block. A task that blocks holds up the other tasks of its thread. Enough
/// such tasks hold up the whole service. Here the work goes to a bounded pool instead, behind a
/// bounded queue, first come first served. Work beyond both is rejected at once. So a dependency
/// that hangs costs only these threads, and memory stays bounded too.
///
/// A panic in the work continues in the caller and costs no thread. A thread can't be stopped. So
/// work that has begun is finished even if its caller has left, and keeps its place until then.
/// Work whose caller left before it began is skipped.
///
/// Clones share threads and queue. The threads end when the last clone is dropped and the work is
/// done. No caller waits for them.
///
/// # Cost
/// A bulkhead's [place](Bulkhead#cost), the allocations of a job and of a channel for its result,
/// and the waking of a thread, which takes a few microseconds. The threads are those of
/// [rayon](https://docs.rs/rayon-core): work that uses rayon's parallel iterators stays within
/// them.
#[derive(Clone)]
pub struct BlockingBulkhead {
    pool: Arc<ThreadPool>,
    /// Holds one place for each thread and for each place in the queue.
    places: Bulkhead,
    threads: u32,
}

/// The result of a job, or its panic.
type Done<T> = Result<T, Box<dyn Any + Send>>;

impl BlockingBulkhead {
    const MAX_THREADS: u32 = 4_096;
    const MAX_QUEUE: u32 = 1_000_000;

    fn new(threads: u32, queue: u32) -> Result<Self, PoolError> {
        if !(1..=Self::MAX_THREADS).contains(&threads) {
            return Err(PoolError::Setting(ConfigError::new(
                "bulkhead.threads",
                threads,
                format!("in 1..={}", Self::MAX_THREADS),
                "as many as the dependency serves at a time",
            )));
        }
        if queue > Self::MAX_QUEUE {
            return Err(PoolError::Setting(ConfigError::new(
                "bulkhead.queue",
                queue,
                format!("in 0..={}", Self::MAX_QUEUE),
                "as many as the threads work off before the callers leave",
            )));
        }
        let pool = ThreadPoolBuilder::new()
            .num_threads(usize::try_from(threads).unwrap_or(1))
            .thread_name(|number| format!("bulkhead-{number}"))
            // Catches panics outside of the work, such as the drop of a result whose caller has
            // left.
            .panic_handler(|_| {})
            .build()
            .map_err(|error| PoolError::Threads(io::Error::other(error)))?;
        let places = Bulkhead::new(threads + queue).map_err(PoolError::Setting)?;
        Ok(Self {
            pool: Arc::new(pool),
            places,
            threads,
        })
    }

    /// Sets the bulkhead's name, for its errors. The default is "bulkhead".
    #[must_use]
    pub fn named(mut self, name: impl Into<Name>) -> Self {
        self.places = self.places.named(name);
        self
    }

    /// Runs blocking work on a thread of this bulkhead.
    ///
    /// A panic in `operation` continues to unwind here. If the future is dropped, work that has
    /// begun continues, and its place is free when it ends.
    ///
    /// # Errors
    /// All threads are at work and the queue is full.
    pub async fn call_async<T: Send + 'static>(
        &self,
        operation: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BulkheadFull> {
        let place = self.try_acquire()?;
        match self.start(place, operation).await {
            Ok(done) => Ok(done.unwrap_or_else(|panic| resume_unwind(panic))),
            Err(oneshot::RecvError) => Err(self.not_run()),
        }
    }

    /// The number of jobs that run now.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.places.in_flight().min(self.threads)
    }

    /// The number of jobs in the queue.
    #[must_use]
    pub fn queued(&self) -> u32 {
        self.places.in_flight().saturating_sub(self.threads)
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.places.name()
    }

    /// Takes a place for one job.
    pub(crate) fn try_acquire(&self) -> Result<OwnedBulkheadPermit, BulkheadFull> {
        self.places.try_acquire().map(BulkheadPermit::into_owned)
    }

    pub(crate) fn start<T: Send + 'static>(
        &self,
        place: OwnedBulkheadPermit,
        operation: impl FnOnce() -> T + Send + 'static,
    ) -> oneshot::AsyncReceiver<Done<T>> {
        let (sender, receiver) = oneshot::async_channel();
        self.pool.spawn_fifo(move || {
            if sender.is_closed() {
                return;
            }
            let done = catch_unwind(AssertUnwindSafe(|| run_apart(operation)));
            // Free the place before the caller gets the result. If it then asks again, it finds the
            // place free.
            drop(place);
            let _caller_has_left = sender.send(done);
        });
        receiver
    }

    /// The error for a job that the pool didn't run. The pool runs all jobs, so this doesn't
    /// happen.
    pub(crate) fn not_run(&self) -> BulkheadFull {
        let seen = self.places.places.load();
        self.places.full(seen, std::time::Duration::ZERO)
    }
}

impl fmt::Debug for BlockingBulkhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingBulkhead")
            .field("name", &Shown(self.name()))
            .field("threads", &self.threads)
            .field("queue", &(self.places.max_concurrent() - self.threads))
            .field("in_flight", &self.in_flight())
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}
