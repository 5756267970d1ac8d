//! A breaker in front of blocking work that runs on its own threads.

use std::{fmt, panic::resume_unwind};

use crate::outcome::{Classify, DefaultClassifier};
use crate::{
    breaker::CircuitBreaker, breaker::permit::PermitGuard, bulkhead::BlockingBulkhead,
    error::CallError,
};

/// A breaker and a [`BlockingBulkhead`] in front of one dependency; made by
/// [`CircuitBreaker::with_blocking`].
///
/// The order is that of [`WithBulkhead`](crate::handles::WithBulkhead):
///
/// - The breaker is asked first.
/// - Work for which the bulkhead has no place is not counted.
/// - Work in the queue holds nothing of the breaker.
/// - When a thread begins the work, the breaker is asked again and the time begins.
///
/// Work whose caller has left still counts with its outcome, because it shows how the dependency
/// does. Work that never began counts for nothing.
///
/// Clones share both.
#[derive(Clone)]
pub struct WithBlocking<C = DefaultClassifier> {
    breaker: CircuitBreaker<C>,
    bulkhead: BlockingBulkhead,
}

impl<C> CircuitBreaker<C> {
    /// Makes a handle that runs blocking work on the bulkhead's threads, if the breaker lets it
    /// through.
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    /// use tripcurve::bulkhead::Bulkhead;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let files = CircuitBreaker::new("files").with_blocking(Bulkhead::blocking(4, 16)?);
    /// let read = files.call_async(|| std::fs::read_to_string("Cargo.toml")).await;
    /// assert!(read.is_ok());
    /// assert_eq!(files.breaker().snapshot().successes(), 1);
    /// # Ok::<(), tripcurve::error::PoolError>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn with_blocking(&self, bulkhead: BlockingBulkhead) -> WithBlocking<C>
    where
        C: Clone,
    {
        WithBlocking {
            breaker: self.clone(),
            bulkhead,
        }
    }
}

impl<C> WithBlocking<C> {
    /// Runs blocking work on a thread of the bulkhead, if the breaker lets it through.
    ///
    /// A panic in `operation` counts as a failure and continues to unwind here.
    ///
    /// # Errors
    /// [`CallError::Rejected`] or [`CallError::Full`] if the work was not done, [`CallError::Inner`] if it
    /// was done and failed.
    pub async fn call_async<T, E>(
        &self,
        operation: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<T, CallError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        C: Classify<T, E> + Clone + Send + 'static,
    {
        let shared = &*self.breaker.shared;
        let permit = PermitGuard::new(shared, shared.admit::<false>()?);
        let place = match self.bulkhead.try_acquire() {
            Ok(place) => place,
            Err(full) => {
                permit.withdraw();
                return Err(full.into());
            }
        };
        let withdrawn = permit.withdraw();
        let breaker = self.breaker.clone();
        let done = self.bulkhead.start(place, move || {
            let shared = &*breaker.shared;
            let permit = PermitGuard::new(shared, shared.admit_again(withdrawn)?);
            let result = permit.run(operation);
            breaker.conclude(permit, result)
        });
        match done.await {
            Ok(done) => done.unwrap_or_else(|panic| resume_unwind(panic)),
            Err(oneshot::RecvError) => Err(self.bulkhead.not_run().into()),
        }
    }

    /// The breaker.
    #[must_use]
    pub fn breaker(&self) -> &CircuitBreaker<C> {
        &self.breaker
    }

    /// The bulkhead.
    #[must_use]
    pub fn bulkhead(&self) -> &BlockingBulkhead {
        &self.bulkhead
    }
}

impl<C> fmt::Debug for WithBlocking<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithBlocking")
            .field("breaker", &self.breaker)
            .field("bulkhead", &self.bulkhead)
            .finish()
    }
}
