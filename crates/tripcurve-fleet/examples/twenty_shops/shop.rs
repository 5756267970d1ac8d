//! One shop: two breakers, and the calls that go through both.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tripcurve::events::Cause;
use tripcurve::{CircuitBreaker, State};
use tripcurve_fleet::Fleet;
use tripcurve_fleet::store::Store;

use crate::Failure;
use crate::backend::Link;
use crate::event::{Event, Shown, Side};

#[derive(Clone, Copy)]
pub(crate) struct Shop {
    pub(crate) number: usize,
    pub(crate) backend: SocketAddr,
    /// The mean time between two calls.
    pub(crate) pace: Duration,
}

impl Shop {
    /// Calls until nobody holds the sender of `is_cut`, which says whether the shop has lost its
    /// connection.
    pub(crate) async fn run(
        self,
        store: impl Store,
        events: mpsc::UnboundedSender<Event>,
        mut is_cut: watch::Receiver<bool>,
    ) -> Result<(), Failure> {
        // The fleet needs a member in each process, and each breaker has to join.
        let fleet = Fleet::builder("shops").store(store).spawn()?;
        let joined = breaker(Side::Fleet, &events)?;
        fleet.join(&joined)?.await;
        let alone = breaker(Side::Alone, &events)?;

        let mut by_fleet = Link::open(self.backend, Side::Fleet).await?;
        let mut by_itself = Link::open(self.backend, Side::Alone).await?;
        events.send(Event::Ready)?;
        loop {
            tokio::select! {
                () = sleep(self.pace.mul_f64(0.5 + random())) => {}
                changed = is_cut.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return Ok(()),
                },
            }
            let is_cut = *is_cut.borrow();
            // Rejected calls return at once. A real shop would answer from a cache.
            let _ = tokio::join!(
                joined.call_async(|| call(&mut by_fleet, is_cut)),
                alone.call_async(|| call(&mut by_itself, is_cut)),
            );
        }
    }
}

async fn call(link: &mut Link, is_cut: bool) -> io::Result<()> {
    if is_cut {
        return Err(io::ErrorKind::NetworkUnreachable.into());
    }
    link.call().await
}

/// A breaker that sends each change of its state.
fn breaker(side: Side, events: &mpsc::UnboundedSender<Event>) -> Result<CircuitBreaker, Failure> {
    let breaker = CircuitBreaker::builder("backend").build()?;
    let events = events.clone();
    breaker.on_transition(move |it| {
        let shown = match (it.to(), it.cause()) {
            (State::Closed, _) => Shown::Closed,
            (State::HalfOpen, _) => Shown::HalfOpen,
            (_, Cause::Fleet { .. }) => Shown::OpenByFleet,
            _ => Shown::Open,
        };
        // The story may have ended.
        let _ = events.send(Event::State(side, shown));
    });
    Ok(breaker)
}

/// A number from 0.0 to 1.0, so that shops don't call in step.
#[expect(clippy::cast_precision_loss, reason = "any number does")]
fn random() -> f64 {
    // Each of these hashers has other keys.
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}
