//! The layer for services of tower, with real services of tower around and within it.
//!
//! The innermost service is [`Strict`]: it panics if it is called without having been ready, or
//! through a clone of the service that was ready. Time is tokio's paused clock.
#![cfg(all(feature = "tower", feature = "registry", feature = "tokio"))]

mod allocations;
mod backpressure;
mod balanced;
mod calls;
mod clones;
mod drive;
mod in_flight;
mod keys;
mod odd_orders;
mod readiness;
mod rejections;
mod stacks;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::runtime::paused;
use tower::{Layer, Service};
use tripcurve::time::Clock;
use tripcurve::tower::{CircuitBreakerLayer, CircuitBreakerService};
use tripcurve::{CircuitBreaker, CircuitBreakerBuilder, Recovery, TripPolicy};

const SECOND: Duration = Duration::from_secs(1);

/// A builder whose breakers trip at the third failure in a row, stay open for 5 seconds, and close
/// after one probe.
fn settings() -> CircuitBreakerBuilder {
    CircuitBreaker::builder("layered")
        .trip_when(TripPolicy::consecutive_failures(3))
        .recovery(Recovery::fixed(5 * SECOND, 1))
        .clock(Clock::tokio())
}

fn breaker() -> CircuitBreaker {
    settings().build().unwrap()
}

/// Lets all tasks go as far as they can without time.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// What a request asks of a [`Strict`] service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Succeed,
    Fail,
    SucceedAfter(Duration),
    Hang,
    /// The future panics.
    Panic,
    /// `call` itself panics.
    PanicInCall,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken")
    }
}

impl std::error::Error for Broken {}

/// What `poll_ready` of a [`Strict`] service answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    Ready,
    Never,
    Gone,
}

/// What all clones of a [`Strict`] service share.
#[derive(Default)]
struct Seen {
    gate: AtomicU32,
    polls: AtomicU32,
    calls: AtomicU32,
}

/// A service that insists on the contract of `Service`.
#[derive(Default)]
struct Strict {
    is_ready: bool,
    seen: Arc<Seen>,
}

/// A clone is not ready, like those of `Buffer` and `ConcurrencyLimit`.
impl Clone for Strict {
    fn clone(&self) -> Self {
        Self {
            is_ready: false,
            seen: Arc::clone(&self.seen),
        }
    }
}

impl Strict {
    fn set(&self, gate: Gate) {
        self.seen.gate.store(gate as u32, Ordering::SeqCst);
    }

    fn polls(&self) -> u32 {
        self.seen.polls.load(Ordering::SeqCst)
    }

    fn calls(&self) -> u32 {
        self.seen.calls.load(Ordering::SeqCst)
    }
}

impl Service<Order> for Strict {
    type Response = u32;
    type Error = Broken;
    type Future = Pin<Box<dyn Future<Output = Result<u32, Broken>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.seen.polls.fetch_add(1, Ordering::SeqCst);
        match self.seen.gate.load(Ordering::SeqCst) {
            gate if gate == Gate::Never as u32 => return Poll::Pending,
            gate if gate == Gate::Gone as u32 => return Poll::Ready(Err(Broken)),
            _ => self.is_ready = true,
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, order: Order) -> Self::Future {
        assert!(self.is_ready, "called without having been ready");
        self.is_ready = false;
        let call = self.seen.calls.fetch_add(1, Ordering::SeqCst);
        assert!(order != Order::PanicInCall, "panics as ordered");
        Box::pin(async move {
            match order {
                Order::Succeed => {}
                Order::SucceedAfter(duration) => tokio::time::sleep(duration).await,
                Order::Hang => std::future::pending().await,
                Order::Panic => panic!("panics as ordered"),
                Order::Fail | Order::PanicInCall => return Err(Broken),
            }
            Ok(call)
        })
    }
}

/// A strict service in a layer of the breaker.
fn layered(breaker: &CircuitBreaker) -> (CircuitBreakerService<Strict>, Strict) {
    let inner = Strict::default();
    let service = CircuitBreakerLayer::new(breaker).layer(inner.clone());
    (service, inner)
}

fn poll_ready<S: Service<Order>>(service: &mut S) -> Poll<Result<(), S::Error>> {
    service.poll_ready(&mut context())
}

/// Polls a service until it is ready, calls it and polls the call, all of which must be ready at
/// once.
fn call<S: Service<Order>>(service: &mut S, order: Order) -> Result<S::Response, S::Error> {
    match poll_ready(service) {
        Poll::Ready(ready) => ready?,
        Poll::Pending => panic!("the service is not ready"),
    }
    match pin!(service.call(order)).poll(&mut context()) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("the call is not ready"),
    }
}
