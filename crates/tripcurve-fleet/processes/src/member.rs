//! A member: a process with one breaker, which calls the backend at a steady rate.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, oneshot};
use tripcurve::events::Cause;
use tripcurve::{CircuitBreaker, State};
use tripcurve_fleet::message::FleetState;
use tripcurve_fleet::redis::RedisStore;
use tripcurve_fleet::{Fleet, Notice, StoreStatus};

use crate::event::{Status, What, tell};
use crate::{BREAKER, NAMESPACE};

/// A call that takes longer has failed.
const PATIENCE: Duration = Duration::from_millis(100);

/// How often a member tells its status.
const STATUS_EVERY: Duration = Duration::from_millis(100);

/// The part of a call that the breaker takes should be far below this.
const SLOW: Duration = Duration::from_millis(100);

/// What a member is started with.
pub(crate) struct Settings {
    pub(crate) number: u16,
    pub(crate) store: String,
    pub(crate) backend: String,
    /// Calls per second.
    pub(crate) rate: u32,
    pub(crate) classifier: String,
}

#[derive(Default)]
struct Counts {
    asked: AtomicU64,
    admitted: AtomicU64,
    failed: AtomicU64,
    slow: AtomicU64,
    /// The longest part of a call that the breaker took since the last status, in µs.
    longest: AtomicU64,
}

impl Counts {
    /// Measures what the breaker does for a call, on the calling thread.
    fn timed<T>(&self, act: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = act();
        let took = begun.elapsed();
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.longest.fetch_max(micros, Relaxed);
        self.slow.fetch_add(u64::from(took >= SLOW), Relaxed);
        done
    }
}

/// Connections that are free. A call takes one, or makes one.
struct Backend {
    settings: Settings,
    free: Mutex<Vec<TcpStream>>,
}

impl Backend {
    async fn call(&self) -> bool {
        let called = tokio::time::timeout(PATIENCE, self.ask()).await;
        matches!(called, Ok(Ok(b'+')))
    }

    async fn ask(&self) -> std::io::Result<u8> {
        let free = self.free.lock().await.pop();
        let mut connection = if let Some(it) = free {
            it
        } else {
            let mut new = TcpStream::connect(&self.settings.backend).await?;
            new.set_nodelay(true)?;
            new.write_u16(self.settings.number).await?;
            new
        };
        connection.write_u8(b'?').await?;
        let answer = connection.read_u8().await?;
        self.free.lock().await.push(connection);
        Ok(answer)
    }
}

/// Runs until the standard input ends.
pub(crate) fn run(settings: Settings) {
    let (stop, stopped) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = stop.send(());
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(live(settings, stopped));
}

async fn live(settings: Settings, stopped: oneshot::Receiver<()>) {
    let breaker = CircuitBreaker::builder(BREAKER).build().expect("a breaker");
    let _listening = breaker.on_transition(|it| match it.to() {
        State::Open => tell(&What::Opened {
            by_fleet: matches!(it.cause(), Cause::Fleet { .. }),
        }),
        State::Closed => tell(&What::Closed),
        _ => {}
    });
    let store = RedisStore::open(&settings.store).expect("an address");
    let fleet = Fleet::builder(NAMESPACE)
        .classifier_word(settings.classifier.clone())
        .on_notice(|it| match it {
            Notice::Store(StoreStatus::Connected) => tell(&What::Connected),
            Notice::Store(StoreStatus::LocalOnly { reason }) => {
                tell(&What::LocalOnly(reason.to_string()));
            }
            Notice::OtherSettings { .. } => tell(&What::OtherSettings),
            _ => {}
        })
        .store(store)
        .spawn()
        .expect("a member");
    fleet.join(&breaker).expect("a breaker that joins").await;
    let counts = Arc::new(Counts::default());
    let calling = tokio::spawn(call_steadily(
        breaker.clone(),
        settings,
        Arc::clone(&counts),
    ));
    let telling = tokio::spawn({
        let fleet = fleet.clone();
        async move {
            loop {
                tell(&What::Status(status(&breaker, &fleet, &counts)));
                tokio::time::sleep(STATUS_EVERY).await;
            }
        }
    });
    let _ = stopped.await;
    calling.abort();
    telling.abort();
    let _ = telling.await;
    drop(fleet);
    // The task says farewell.
    tokio::time::sleep(Duration::from_millis(300)).await;
}

async fn call_steadily(breaker: CircuitBreaker, settings: Settings, counts: Arc<Counts>) {
    let period = Duration::from_secs(1) / settings.rate;
    // Members call one after the other.
    tokio::time::sleep(period * u32::from(settings.number % 16) / 16).await;
    let backend = Arc::new(Backend {
        settings,
        free: Mutex::default(),
    });
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        counts.asked.fetch_add(1, Relaxed);
        let Ok(permit) = counts.timed(|| breaker.try_acquire_owned()) else {
            continue;
        };
        counts.admitted.fetch_add(1, Relaxed);
        let (backend, counts) = (Arc::clone(&backend), Arc::clone(&counts));
        tokio::spawn(async move {
            if backend.call().await {
                counts.timed(|| permit.success());
            } else {
                counts.failed.fetch_add(1, Relaxed);
                counts.timed(|| permit.failure());
            }
        });
    }
}

fn status(breaker: &CircuitBreaker, fleet: &Fleet, counts: &Counts) -> Status {
    let it = fleet.status();
    let known = it.breakers.first();
    Status {
        is_connected: it.store == StoreStatus::Connected,
        is_closed: breaker.state() == State::Closed,
        fleet_is_closed: known.is_none_or(|it| it.state == FleetState::Closed),
        members: known.map_or(0, |it| it.members),
        asked: counts.asked.load(Relaxed),
        admitted: counts.admitted.load(Relaxed),
        failed: counts.failed.load(Relaxed),
        slow: counts.slow.load(Relaxed),
        longest: counts.longest.swap(0, Relaxed),
    }
}
