//! Callers that never stop, and an account of every call.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tripcurve::{CallError, CircuitBreaker};

use crate::Failure;
use crate::backend::{CallFailed, Client};
use crate::breakers::Breakers;

/// The time from the end of a caller's call to its next call.
const PAUSE: Duration = Duration::from_millis(4);

/// The number of concurrent callers of a dependency.
pub(crate) const CALLERS: u64 = 4;

/// The tenants that make calls all the time.
pub(crate) const TENANTS: [&str; 2] = ["tenant-a", "tenant-b"];

/// The outcomes of the calls to one dependency.
#[derive(Default)]
pub(crate) struct Account {
    asked: AtomicU64,
    answered: AtomicU64,
    failed: AtomicU64,
    rejected: AtomicU64,
    wrong: AtomicU64,
}

/// The final counts, once all calls have ended.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sums {
    pub(crate) asked: u64,
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) rejected: u64,
    pub(crate) wrong: u64,
}

impl Account {
    pub(crate) fn sums(&self) -> Sums {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Sums {
            asked: read(&self.asked),
            answered: read(&self.answered),
            failed: read(&self.failed),
            rejected: read(&self.rejected),
            wrong: read(&self.wrong),
        }
    }

    /// Makes a call through the breaker.
    pub(crate) async fn ask(&self, dependency: &str, breaker: &CircuitBreaker, client: &Client) {
        let question = self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = breaker.call_async(|| client.ask(dependency, question));
        let fate = match answer.await {
            Ok(true) => &self.answered,
            Err(CallError::Inner(CallFailed::Refused)) => &self.failed,
            Err(CallError::Rejected(_)) => &self.rejected,
            other => {
                eprintln!("  {dependency}, question {question}: {other:?}");
                &self.wrong
            }
        };
        fate.fetch_add(1, Ordering::Relaxed);
    }
}

impl Sums {
    /// Whether each call has ended, and no answer belonged to another question.
    pub(crate) fn is_complete(self) -> bool {
        self.asked == self.answered + self.failed + self.rejected && self.wrong == 0
    }

    /// The number of calls that reached the dependency.
    pub(crate) fn made(self) -> u64 {
        self.answered + self.failed
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            asked,
            answered,
            failed,
            rejected,
            wrong,
        } = self;
        write!(
            f,
            "{asked} calls: {answered} answered, {failed} failed, {rejected} rejected, {wrong} answered wrongly"
        )
    }
}

pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    callers: Vec<JoinHandle<()>>,
    pub(crate) payments: Arc<Account>,
    pub(crate) search: Arc<Account>,
    pub(crate) tenants: [Arc<Account>; TENANTS.len()],
}

impl Load {
    pub(crate) fn start(breakers: &Arc<Breakers>, client: &Client) -> Self {
        let mut load = Self {
            stop: Arc::default(),
            callers: Vec::new(),
            payments: Arc::default(),
            search: Arc::default(),
            tenants: Default::default(),
        };
        for _ in 0..CALLERS {
            let of = |breakers: &Breakers| breakers.payments.clone();
            load.call("payments", Arc::clone(&load.payments), breakers, client, of);
            let of = |breakers: &Breakers| breakers.search.clone();
            load.call("search", Arc::clone(&load.search), breakers, client, of);
            for (index, tenant) in TENANTS.into_iter().enumerate() {
                // Looked up for each call, as a service does.
                let of = move |breakers: &Breakers| breakers.tenants.get_or_create(tenant);
                let account = Arc::clone(&load.tenants[index]);
                load.call(tenant, account, breakers, client, of);
            }
        }
        load
    }

    fn call(
        &mut self,
        dependency: &'static str,
        account: Arc<Account>,
        breakers: &Arc<Breakers>,
        client: &Client,
        breaker: impl Fn(&Breakers) -> CircuitBreaker + Send + 'static,
    ) {
        let stop = Arc::clone(&self.stop);
        let (breakers, client) = (Arc::clone(breakers), client.clone());
        self.callers.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                account.ask(dependency, &breaker(&breakers), &client).await;
                tokio::time::sleep(PAUSE).await;
            }
        }));
    }

    /// Stops the callers, and waits until the last call has ended.
    pub(crate) async fn stop(&mut self) -> Result<(), Failure> {
        self.stop.store(true, Ordering::Relaxed);
        for caller in self.callers.drain(..) {
            caller.await?;
        }
        Ok(())
    }
}
