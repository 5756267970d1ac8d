//! Tasks that call: over HTTP, with time limits, and with futures that are dropped.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::Method;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt};
use tripcurve::handles::Handle;
use tripcurve::tower::CircuitBreakerLayer;
use tripcurve::{CallError, Outcome};

use crate::books::{End, OpenCall};
use crate::client::{Call, Client, Reply};
use crate::faults::{Fault, Faults, judge};
use crate::parts::{Parts, WebJudge};

/// The time limit of a call to the backend.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The largest number of attempts of a patient call.
const ATTEMPTS: u32 = 3;

/// What the backend serves.
const SERVICES: [(Method, &str); 2] =
    [(Method::POST, "payments"), (Method::GET, "recommendations")];

/// A call to the backend, and the flag that it raises when it is made.
type WebCall = (Call, Arc<AtomicBool>);
type Remote = BoxCloneSyncService<WebCall, Reply, CallError<BoxError>>;

/// The client with a time limit and the breaker's layer, one for each of the backend's services.
pub(crate) fn remotes(parts: &Parts, backend: SocketAddr, connections: usize) -> [Remote; 2] {
    let client = Client::new(backend, connections);
    parts.web.each_ref().map(|line| {
        let client = client.clone();
        let calls =
            ServiceBuilder::new()
                .timeout(TIMEOUT)
                .service_fn(move |(call, made): WebCall| {
                    made.store(true, Ordering::SeqCst);
                    client.clone().send(call)
                });
        let layer = CircuitBreakerLayer::new(&line.breaker).count_in_flight(&parts.web_in_flight);
        Remote::new(layer.layer(calls))
    })
}

/// A shopper who looks at one page after the other.
pub(crate) async fn shop(parts: Arc<Parts>, remotes: [Remote; 2], faults: Faults, shopper: u32) {
    while !faults.are_over() {
        for (which, remote) in remotes.iter().enumerate() {
            let open = OpenCall::ask(&parts.web[which].books);
            let (method, service) = SERVICES[which].clone();
            let path = format!("/{service}/{shopper}");
            let call = Call { method, path };
            let made = Arc::clone(&open.made);
            let Some(result) = in_time(&faults, remote.clone().oneshot((call, made))).await else {
                continue;
            };
            let judge: WebJudge = *parts.web[which].breaker.classifier();
            let end = match result {
                Ok(reply) => End::judged(judge(&Ok(reply))),
                Err(error) => End::of(&Err::<(), _>(error), Outcome::Failure),
            };
            open.ended(end);
        }
        // A rejection comes at once. Without a pause, the rejected would take all of the time.
        tokio::time::sleep(Duration::from_millis(1 + faults.dice.roll() % 20)).await;
    }
}

/// Waits for a call. Gives a few up early, wherever they are.
async fn in_time<F: Future>(faults: &Faults, call: F) -> Option<F::Output> {
    if !faults.dice.roll().is_multiple_of(16) {
        return Some(call.await);
    }
    let patience = Duration::from_micros(faults.dice.roll() % 30_000);
    tokio::time::timeout(patience, call).await.ok()
}

/// Calls that wait for probes and places, have a time limit, and are tried again.
pub(crate) async fn wait(parts: Arc<Parts>, faults: Faults) {
    let line = &parts.patient;
    while !faults.are_over() {
        for attempt in 1..=ATTEMPTS {
            let open = OpenCall::ask(&line.books);
            let made = Arc::clone(&open.made);
            let call = line.breaker.call_async(|| {
                made.store(true, Ordering::SeqCst);
                faults.call()
            });
            let Some(result) = in_time(&faults, call).await else {
                break;
            };
            let answer = match &result {
                Err(CallError::Inner(fault)) => Err(*fault),
                _ => Ok(()),
            };
            open.ended(End::of(&result, judge(&answer)));
            match result {
                Ok(()) => parts.budget.deposit(),
                Err(error) if error.was_made() && attempt < ATTEMPTS => {
                    if parts.budget.try_withdraw().is_ok() {
                        continue;
                    }
                }
                Err(_) => {}
            }
            break;
        }
        tokio::time::sleep(Duration::from_millis(faults.dice.roll() % 5)).await;
    }
}

/// Blocking work on threads of its own.
pub(crate) async fn block(parts: Arc<Parts>, faults: Faults) {
    let line = &parts.blocking;
    while !faults.are_over() {
        let open = OpenCall::ask(&line.books);
        let answer = faults.answer_in(faults.mood());
        let work = move || {
            std::thread::sleep(Duration::from_micros(300));
            answer
        };
        let result = line.breaker.call_async(work).await;
        open.ended(End::of(&result, judge(&answer)));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Checks the health of the patient calls' dependency while their breaker is open.
pub(crate) async fn check_health(parts: Arc<Parts>, faults: Faults) {
    let breaker = parts.patient.breaker.breaker().clone();
    drop(parts);
    let check = async move || {
        tokio::time::sleep(Duration::from_millis(5)).await;
        faults.answer_in(faults.mood()).map_err(|_| Fault::Refused)
    };
    breaker.health_check(check).run().await;
}
