//! The other members of a fleet: nineteen, which play processes that call the same dependency.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use tripcurve::{CircuitBreaker, TripPolicy};
use tripcurve_fleet::Fleet;
use tripcurve_fleet::memory::MemoryStore;

use crate::Failure;

const OTHERS: usize = 19;

/// How many of the other members see only failures.
#[derive(Clone, Default)]
pub(crate) struct Others(Arc<AtomicUsize>);

impl Others {
    /// Lets a breaker join a fleet with the others.
    pub(crate) async fn start(&self, breaker: &CircuitBreaker) -> Result<Fleet, Failure> {
        let store = MemoryStore::new();
        let member = || Fleet::builder("stage").store(store.clone()).spawn();
        for number in 0..OTHERS {
            let fleet = member()?;
            let policy = TripPolicy::adaptive().slower_than(Duration::from_secs(1));
            let own = CircuitBreaker::builder(breaker.name().to_owned()).trip_when(policy);
            let own = own.build()?;
            fleet.join(&own)?.await;
            let failing = Arc::clone(&self.0);
            tokio::spawn(async move {
                let _fleet = fleet;
                loop {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    if let Ok(permit) = own.try_acquire() {
                        // No other memory depends on this word.
                        if number < failing.load(Ordering::Relaxed) {
                            permit.failure();
                        } else {
                            permit.success();
                        }
                    }
                }
            });
        }
        let fleet = member()?;
        fleet.join(breaker)?.await;
        Ok(fleet)
    }
}

/// Lets so many of the other members see only failures.
pub(crate) async fn fail_others(
    State(others): State<Others>,
    Path(failing): Path<usize>,
) -> StatusCode {
    others.0.store(failing, Ordering::Relaxed);
    StatusCode::OK
}
