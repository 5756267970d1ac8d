//! Five parts around one call, in the right order and in two wrong ones. Copy from
//! this file.

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
use tripcurve::{CircuitBreaker, Fallback, State, TripPolicy};

use crate::backend::{Client, Failure};

/// The time limit of an attempt.
pub(crate) const LIMIT: Duration = Duration::from_millis(250);
/// The largest number of attempts, including the first.
const ATTEMPTS: u32 = 3;
/// The mean pause before the second attempt. It doubles before each further one.
const PAUSE: Duration = Duration::from_millis(50);
/// The largest number of attempts in flight.
const PLACES: u32 = 100;

/// The answer that a user gets.
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

/// One of each part, for one backend.
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
            .trip_when(TripPolicy::classic())
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

    /// Right: the fallback is around the retries, they are around the breaker, it is around the
    /// bulkhead, and the time limit is innermost. `limited` has the last three in their order.
    async fn right(&self) -> Answer {
        let attempt = || self.limited.call_async(|| self.client.ask());
        retried(&self.budget, tripcurve::CallError::was_made, attempt)
            .await
            .or_fallback(|_| Some(Answer::Fallback))
            .unwrap_or(Answer::Fallback)
    }

    /// Wrong: three attempts are one call for the breaker, and continue after it has opened.
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

    /// Wrong: the limit drops the breaker's call, and to the breaker this looks like a user who has
    /// left.
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

    /// The number of trips.
    pub(crate) fn trips(&self) -> u64 {
        self.trips.load(Ordering::Relaxed)
    }
}

/// Makes attempts with pauses between them, while a retry makes sense and the budget has one.
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
        // Without jitter, calls that failed together would return together.
        let jitter = rand::rng().random_range(0.5..1.5);
        sleep(pause.mul_f64(jitter)).await;
        pause *= 2;
    }
    attempt().await.inspect(|_| budget.deposit())
}
