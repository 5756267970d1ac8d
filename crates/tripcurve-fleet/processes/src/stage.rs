//! The processes of a run: members, their network, the store, and the backend.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tripcurve_fleet::key::{FleetKey, Meaning};
use tripcurve_fleet::message::{FleetView, Member, Pulse, Sender};
use tripcurve_fleet::redis::RedisStore;
use tripcurve_fleet::store::Store;

use crate::backend::{Backend, Treats};
use crate::event::{self, Status, What};
use crate::proxy::{Does, Proxy};
use crate::server::{Server, send_signal};
use crate::{BREAKER, NAMESPACE};

/// How long a condition is waited for. Only a fleet that hangs takes so long.
const GUARD: Duration = Duration::from_secs(300);

/// A process and its network.
pub(crate) struct Process {
    pub(crate) number: u16,
    child: Child,
    pub(crate) proxy: Proxy,
    log: Arc<Mutex<Log>>,
}

#[derive(Default)]
struct Log {
    events: Vec<(u64, What)>,
    status: Status,
    longest: u64,
}

impl Process {
    pub(crate) fn status(&self) -> Status {
        self.log.lock().expect("a log").status
    }

    /// When something first happened since a time, in ms after it.
    pub(crate) fn first(&self, since: u64, is: impl Fn(&What) -> bool) -> Option<f64> {
        let log = self.log.lock().expect("a log");
        let found = log.events.iter().find(|it| it.0 >= since && is(&it.1))?.0;
        Some(ms(found - since))
    }

    /// The first opening since a time, in ms after it, and whether the fleet has ordered it.
    pub(crate) fn opening(&self, since: u64) -> Option<(f64, bool)> {
        let log = self.log.lock().expect("a log");
        let mut events = log.events.iter().filter(|it| it.0 >= since);
        events.find_map(|(at, what)| match what {
            What::Opened { by_fleet } => Some((ms(at - since), *by_fleet)),
            _ => None,
        })
    }

    pub(crate) fn signal(&self, signal: &str) {
        send_signal(self.child.id(), signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A process that is stopped would never see that its input has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::cast_precision_loss)]
fn ms(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}

pub(crate) struct Stage {
    pub(crate) runtime: Runtime,
    pub(crate) backend: Backend,
    pub(crate) server: Server,
    pub(crate) members: Vec<Process>,
    /// Calls per second of each member.
    pub(crate) rate: u32,
    /// Asks the store what it knows, past all proxies.
    observer: RedisStore,
}

impl Stage {
    pub(crate) fn new(members: u16, rate: u32) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let server = Server::start();
        let backend = runtime.block_on(Backend::start()).expect("a backend");
        let observer = {
            let _within = runtime.enter();
            RedisStore::open(&format!("redis://{}/", server.address())).expect("an address")
        };
        let mut stage = Self {
            runtime,
            backend,
            server,
            members: Vec::new(),
            rate,
            observer,
        };
        stage.members = (0..members).map(|it| stage.enter(it, "", None)).collect();
        stage
    }

    /// Starts a process.
    pub(crate) fn enter(&self, number: u16, classifier: &str, does: Option<Does>) -> Process {
        let proxy = Proxy::start(self.server.address());
        let proxy = self.runtime.block_on(proxy).expect("a proxy");
        if let Some(it) = does {
            proxy.set(it);
        }
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["member", &number.to_string(), &proxy.address])
            .args([&self.backend.address, &self.rate.to_string(), classifier])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let log = Arc::new(Mutex::new(Log::default()));
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let written = Arc::clone(&log);
        std::thread::spawn(move || {
            for (at, what) in lines
                .map_while(Result::ok)
                .filter_map(|it| event::read(&it))
            {
                let mut log = written.lock().expect("a log");
                if let What::Status(it) = what {
                    log.status = it;
                    log.longest = log.longest.max(it.longest);
                } else {
                    log.events.push((at, what));
                }
            }
        });
        Process {
            number,
            child,
            proxy,
            log,
        }
    }

    /// Waits until something holds of all members.
    pub(crate) fn all(&self, what: &str, holds: impl Fn(&Process) -> bool) {
        self.until(what, || self.members.iter().all(&holds));
    }

    pub(crate) fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !holds() {
            std::thread::sleep(Duration::from_millis(5));
            if begun.elapsed() > GUARD {
                for it in &self.members {
                    eprintln!("{}: {:?}", it.number, it.status());
                }
                panic!(
                    "waited for {what} in vain; the store knows {:?}",
                    self.view()
                );
            }
        }
    }

    /// What the store knows of the fleet. `None` if it doesn't answer.
    pub(crate) fn view(&self) -> Option<FleetView> {
        let pulse = Pulse {
            sender: Sender::new(Member(u64::MAX)),
            rate: 0,
            normal: 0,
        };
        let key = key();
        let pulsed = self.observer.pulse(&key, &pulse);
        self.runtime.block_on(pulsed).ok().map(|it| it.view)
    }

    pub(crate) fn observer(&self) -> RedisStore {
        self.observer.clone()
    }

    /// Waits until all is well, and the store knows the traffic of all members.
    pub(crate) fn recover(&self) {
        self.backend.treat_all(Treats::Well);
        self.all("the members to be closed", |it| {
            let it = it.status();
            it.is_connected && it.is_closed && it.fleet_is_closed
        });
        self.until("the store to know all traffic", || {
            std::thread::sleep(Duration::from_millis(50));
            let members = self.members.len() as u64;
            let calls = 1_000 * members * u64::from(self.rate);
            let known = |it: FleetView| it.members > members && 10 * it.rate >= 8 * calls;
            self.view().is_some_and(known)
        });
    }

    /// The totals of all members: calls that were made, slow ones, and the longest part of a call
    /// that a breaker took, in µs.
    pub(crate) fn totals(&self) -> (u64, u64, u64) {
        let mut totals = (0, 0, 0);
        for it in &self.members {
            let log = it.log.lock().expect("a log");
            totals.0 += log.status.asked;
            totals.1 += log.status.slow;
            totals.2 = log.longest.max(totals.2);
        }
        totals
    }

    pub(crate) fn failed(&self) -> u64 {
        self.members.iter().map(|it| it.status().failed).sum()
    }

    pub(crate) fn asked(&self) -> u64 {
        self.members.iter().map(|it| it.status().asked).sum()
    }
}

/// The fleet of the members.
pub(crate) fn key() -> FleetKey {
    FleetKey::new(NAMESPACE, "", BREAKER, Meaning::new(Some(0.25), None, ""))
}
