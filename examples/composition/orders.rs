//! The same five parts around the same call, in the right order and in two wrong ones. This is the file to copy
//! from.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::RngExt;
use tokio::time::{sleep, timeout};
use tripcurve::bulkhead::Bulkhead;
use tripcurve::error::ConfigError;
use tripcurve::handles::{CallTimeout, Handle, WithBulkhead};
use tripcurve::retry::RetryBudget;
use tripcurve::{CircuitBreaker, Fallback, State};

use crate::backend::{Client, Failure};

/// How long an attempt may take.
pub(crate) const LIMIT: Duration = Duration::from_millis(250);
/// How often a call is made before it is given up, the first time included.
const ATTEMPTS: u32 = 3;
/// The mean pause before the second attempt; before each further one it is twice as long.
const PAUSE: Duration = Duration::from_millis(50);
/// How many attempts may be in flight.
const PLACES: u32 = 100;

/// What a user gets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    OfTheBackend,
    Fallback,
}

#[derive(Clone, Copy)]
pub(crate) enum Order {
    Right,
    RetryWithinTheBreaker,
    LimitAroundTheBreaker,
}

/// The parts, one of each for the backend, made once.
pub(crate) struct Parts {
    client: Client,
    guarded: WithBulkhead,
    limited: CallTimeout<WithBulkhead>,
    budget: RetryBudget,
    trips: Arc<AtomicU64>,
}

impl Parts {
    pub(crate) fn new(client: Client) -> Result<Self, ConfigError> {
        let trips = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&trips);
        let breaker = CircuitBreaker::builder("backend")
            .open_for(Duration::from_secs(1))
            .probes(1)
            .on_transition(move |transition| {
                if transition.from() == State::Closed {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            })
            .build()?;
        let budget = RetryBudget::new(&breaker);
        let guarded = breaker.with_bulkhead(Bulkhead::new(PLACES)?);
        let limited = guarded.call_timeout(LIMIT)?;
        Ok(Self {
            client,
            guarded,
            limited,
            budget,
            trips,
        })
    }

    pub(crate) async fn call(&self, order: Order) -> Answer {
        match order {
            Order::Right => self.right().await,
            Order::RetryWithinTheBreaker => self.retry_within_the_breaker().await,
            Order::LimitAroundTheBreaker => self.limit_around_the_breaker().await,
        }
    }

    /// Right: the fallback around the retries, these around the breaker, this around the bulkhead, and the time
    /// limit innermost. `limited` has the last three in their order.
    async fn right(&self) -> Answer {
        let attempt = || self.limited.call_async(|| self.client.ask());
        retried(&self.budget, tripcurve::CallError::was_made, attempt)
            .await
            .or_fallback(|_| Some(Answer::Fallback))
            .unwrap_or(Answer::Fallback)
    }

    /// Wrong: three attempts are one call to the breaker, and go on after it has opened.
    async fn retry_within_the_breaker(&self) -> Answer {
        let attempt = || async {
            let answer = timeout(LIMIT, self.client.ask()).await;
            answer.unwrap_or(Err(Failure::TooSlow))
        };
        self.guarded
            .call_async(|| retried(&self.budget, |_| true, attempt))
            .await
            .or_fallback(|_| Some(Answer::Fallback))
            .unwrap_or(Answer::Fallback)
    }

    /// Wrong: who drops the breaker's call when its time is over tells the breaker that a user has left.
    async fn limit_around_the_breaker(&self) -> Answer {
        let attempt = || async {
            match timeout(LIMIT, self.guarded.call_async(|| self.client.ask())).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(error)) => Err(error.into_inner().unwrap_or(Failure::TurnedAway)),
                Err(_elapsed) => Err(Failure::TooSlow),
            }
        };
        let may_retry = |failure: &Failure| !matches!(failure, Failure::TurnedAway);
        let answer = retried(&self.budget, may_retry, attempt).await;
        answer.unwrap_or(Answer::Fallback)
    }

    /// How often the breaker has tripped.
    pub(crate) fn trips(&self) -> u64 {
        self.trips.load(Ordering::Relaxed)
    }
}

/// Attempts with pauses between them, as long as it makes sense and the budget has a retry.
async fn retried<T, E, F>(
    budget: &RetryBudget,
    makes_sense: impl Fn(&E) -> bool,
    attempt: impl Fn() -> F,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let mut pause = PAUSE;
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(error) if makes_sense(&error) && budget.try_withdraw().is_ok() => {}
            Err(error) => return Err(error),
            Ok(answer) => {
                budget.deposit();
                return Ok(answer);
            }
        }
        // With jitter, or those that have failed together come back together.
        let jitter = rand::rng().random_range(0.5..1.5);
        sleep(pause.mul_f64(jitter)).await;
        pause *= 2;
    }
    attempt().await.inspect(|_| budget.deposit())
}
