//! The payment and recommendation backend: an axum server on loopback whose faults follow the
//! script.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::dice::Dice;
use crate::script::{Mood, PHASES, Script, phase_at};

/// The number of calls that one service works on at a time.
const WORKERS: usize = 40;

/// The number of calls that wait in one service for a worker. With more, it answers 503 at once,
/// like a server with a bounded queue. The bound is too generous, as it often is: callers have left
/// by the time a long queue is worked off.
const QUEUE: usize = 3_000;

/// The share of calls that the errors phase refuses.
const REFUSED: f64 = 0.8;

/// The share of payments that the bank declines. This is an answer, not a fault.
const DECLINED: f64 = 0.02;

/// How long a call takes at the start of the recovery. With [`WORKERS`], the backend then serves
/// about 55 calls per second.
const COLD: Duration = Duration::from_millis(700);

type Answer = (StatusCode, String);

/// A backend that listens.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    arrivals: Arc<Arrivals>,
}

impl Backend {
    /// Listens on a free port of loopback and serves until the runtime ends.
    pub(crate) async fn start(script: Script, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let arrivals = Arc::new(Arrivals::default());
        let service = |usual, seed| {
            Arc::new(Service {
                script,
                usual,
                places: Arc::new(Semaphore::new(WORKERS + QUEUE)),
                workers: Semaphore::new(WORKERS),
                dice: Dice::new(seed),
                arrivals: Arc::clone(&arrivals),
            })
        };
        let payments = Router::new()
            .route("/payments/{shopper}", post(pay))
            .with_state(service(Duration::from_millis(8), seed));
        let recommendations = Router::new()
            .route("/recommendations/{shopper}", get(recommend))
            .with_state(service(Duration::from_millis(5), !seed));
        let app = payments.merge(recommendations);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { address, arrivals })
    }

    /// The calls that reached this backend in each phase.
    pub(crate) fn arrivals(&self) -> [u64; PHASES.len()] {
        self.arrivals.each_ref().map(|n| n.load(Ordering::Relaxed))
    }
}

type Arrivals = [AtomicU64; PHASES.len()];

/// One of the two services, with its own workers: it can be overloaded.
struct Service {
    script: Script,
    usual: Duration,
    places: Arc<Semaphore>,
    workers: Semaphore,
    dice: Dice,
    arrivals: Arc<Arrivals>,
}

async fn pay(State(service): State<Arc<Service>>, Path(shopper): Path<u32>) -> Answer {
    let declined = service.dice.fraction() < DECLINED;
    service
        .answer(move || {
            if declined {
                (StatusCode::PAYMENT_REQUIRED, "card declined".to_owned())
            } else {
                (StatusCode::OK, format!("receipt for shopper {shopper}"))
            }
        })
        .await
}

async fn recommend(State(service): State<Arc<Service>>, Path(shopper): Path<u32>) -> Answer {
    service
        .answer(move || {
            let products: Vec<String> = (1..=3)
                .map(|n| (shopper.wrapping_mul(7).wrapping_add(11 * n) % 40).to_string())
                .collect();
            (StatusCode::OK, products.join(","))
        })
        .await
}

impl Service {
    async fn answer(self: Arc<Self>, work: impl FnOnce() -> Answer + Send + 'static) -> Answer {
        let phase = phase_at(self.script.elapsed());
        self.arrivals[phase].fetch_add(1, Ordering::Relaxed);
        if PHASES[phase].mood == Mood::Errors && self.dice.fraction() < REFUSED {
            return unavailable("no connection to the database");
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return unavailable("the queue is full");
        };
        // It has its own task, because a backend doesn't notice that a caller gave up. The
        // abandoned call keeps its place and costs its work. That is why too many calls keep a
        // recovering backend down.
        let done = tokio::spawn(async move {
            let _place = place;
            let worker = self.workers.acquire().await;
            self.take_time().await;
            drop(worker);
            work()
        });
        done.await
            .unwrap_or_else(|_| unavailable("the worker died"))
    }

    async fn take_time(&self) {
        let phase = &PHASES[phase_at(self.script.elapsed())];
        if phase.mood == Mood::Hanging {
            tokio::time::sleep_until(self.script.instant(phase.until())).await;
        }
        let now = self.script.elapsed();
        let phase = &PHASES[phase_at(now)];
        let mean = if phase.mood == Mood::Recovering {
            // Warming caches: from cold to usual by equal ratios in equal times.
            let left = 1.0 - phase.progress(now);
            let ratio = COLD.as_secs_f64() / self.usual.as_secs_f64();
            self.usual.mul_f64(ratio.powf(left))
        } else {
            self.usual
        };
        tokio::time::sleep(mean.mul_f64(0.6 + 0.8 * self.dice.fraction())).await;
    }
}

fn unavailable(why: &str) -> Answer {
    (StatusCode::SERVICE_UNAVAILABLE, why.to_owned())
}
