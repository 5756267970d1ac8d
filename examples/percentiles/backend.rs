//! The backend: an axum server on loopback whose faults follow the script.

use std::f64::consts::TAU;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::time::{sleep, sleep_until};

use crate::dice::Dice;
use crate::script::{Mood, Script};

/// The log-normal distribution of durations, as in most services: the median and the spread.
type Spread = (Duration, f64);

const USUAL: Spread = (Duration::from_millis(4), 0.5);

/// The slow path, such as a lock or a cache miss. With the usual path, it gives the distribution
/// two peaks. The mean lies between them, where there are no calls.
const SLOW: Spread = (Duration::from_millis(300), 0.35);

/// The share of calls on the slow path, at the slow phase's begin and end. At its end, less than a
/// third of the window's calls are slow, which doesn't trip the breaker.
const SLOW_SHARE: (f64, f64) = (0.10, 0.45);

/// The share of calls that the slow phase refuses at once. Because of them, the breaker records
/// latency by outcome: together they would make the slow phase look faster than it is.
const REFUSED: f64 = 0.05;

/// The median when the recovery begins, with cold caches.
const COLD: Duration = Duration::from_millis(40);

/// Any seed works. A fixed one makes runs alike.
const SEED: u64 = 2_013;

struct Service {
    script: Script,
    dice: Dice,
}

/// Listens on a free port of loopback and serves until the runtime ends.
pub(crate) async fn start(script: Script) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let service = Service {
        script,
        dice: Dice::new(SEED),
    };
    let app = Router::new()
        .route("/", get(answer))
        .with_state(Arc::new(service));
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}

async fn answer(State(service): State<Arc<Service>>) -> StatusCode {
    let Service { script, dice } = &*service;
    let now = script.elapsed();
    let phase = script.phase_at(now);
    let progress = phase.progress(now);
    match phase.mood {
        Mood::Healthy => sleep(dice.log_normal(USUAL)).await,
        Mood::Slow => {
            if dice.fraction() < REFUSED {
                return StatusCode::SERVICE_UNAVAILABLE;
            }
            let (first, last) = SLOW_SHARE;
            let slow = dice.fraction() < first + (last - first) * progress;
            sleep(dice.log_normal(if slow { SLOW } else { USUAL })).await;
        }
        Mood::Hanging => sleep_until(script.instant(phase.until)).await,
        Mood::Recovering => {
            // Warming caches: from cold to usual by equal ratios in equal times.
            let (usual, width) = USUAL;
            let ratio = COLD.as_secs_f64() / usual.as_secs_f64();
            let median = usual.mul_f64(ratio.powf(1.0 - progress));
            sleep(dice.log_normal((median, width))).await;
        }
    }
    StatusCode::OK
}

impl Dice {
    fn log_normal(&self, (median, width): Spread) -> Duration {
        // The method of Box and Muller for a normal number. One minus, because zero has no
        // logarithm.
        let radius = (-2.0 * (1.0 - self.fraction()).ln()).sqrt();
        let normal = radius * (TAU * self.fraction()).cos();
        median.mul_f64((width * normal).exp())
    }
}
