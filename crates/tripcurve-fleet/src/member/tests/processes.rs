//! Members that call one dependency, on a clock that the test moves.

use std::sync::Arc;
use std::sync::Mutex;

use std::time::Duration;

use tripcurve::time::{Clock, MockClock};
use tripcurve::{CircuitBreaker, State};

use crate::member::{Fleet, Notice};
use crate::memory::MemoryStore;
use crate::message::FleetState;
use crate::store::Store;

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// A process with one breaker.
pub(super) struct Process {
    pub(super) breaker: CircuitBreaker,
    pub(super) fleet: Fleet,
    pub(super) notices: Arc<Mutex<Vec<Notice>>>,
    /// Calls per second.
    pub(super) rate: u64,
    pub(super) admitted: u64,
    pub(super) failed: u64,
}

/// Processes on one clock.
pub(super) struct Processes {
    hand: MockClock,
    clock: Clock,
    /// In ms.
    pub(super) time: u64,
    pub(super) all: Vec<Process>,
}

/// A store whose clock is the clock of the processes.
pub(super) fn store() -> MemoryStore {
    let begun = tokio::time::Instant::now();
    MemoryStore::with_clock(move || {
        1_790_000_000_000 + u64::try_from(begun.elapsed().as_millis()).unwrap()
    })
}

impl Processes {
    /// Members with so many calls a second each, that have had calls for 15 s.
    pub(super) async fn new(members: usize, rate: u64, store: &impl SharedStore) -> Self {
        let mut processes = Self::empty();
        for _ in 0..members {
            processes.enter(rate, store.clone());
        }
        processes.run(15 * SECOND, |_, _| true).await;
        processes
    }

    pub(super) fn empty() -> Self {
        let (clock, hand) = Clock::mock();
        Self {
            hand,
            clock,
            time: 0,
            all: Vec::new(),
        }
    }

    pub(super) fn breaker(&self, name: &str) -> CircuitBreaker {
        let builder = CircuitBreaker::builder(name.to_owned());
        builder.clock(self.clock.clone()).build().unwrap()
    }

    pub(super) fn enter(&mut self, rate: u64, store: impl Store) -> usize {
        let notices = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&notices);
        let fleet = Fleet::builder("shop")
            .on_notice(move |it| told.lock().unwrap().push(it.clone()))
            .store(store)
            .spawn()
            .unwrap();
        let breaker = self.breaker("payments");
        let _joining = fleet.join(&breaker).unwrap();
        self.all.push(Process {
            breaker,
            fleet,
            notices,
            rate,
            admitted: 0,
            failed: 0,
        });
        self.all.len() - 1
    }

    /// Lets time pass. `is_good` says how a call of a process at a time in ms ends.
    pub(super) async fn run(
        &mut self,
        time: Duration,
        mut is_good: impl FnMut(usize, u64) -> bool,
    ) {
        let end = self.time + u64::try_from(time.as_millis()).unwrap();
        while self.time < end {
            self.step(&mut is_good).await;
        }
    }

    /// Lets time pass until all breakers have this state. Returns how long it took.
    pub(super) async fn until(
        &mut self,
        state: State,
        most: Duration,
        mut is_good: impl FnMut(usize, u64) -> bool,
    ) -> Duration {
        let begun = self.time;
        while self.all.iter().any(|it| it.breaker.state() != state) {
            self.step(&mut is_good).await;
            let passed = Duration::from_millis(self.time - begun);
            assert!(passed <= most, "{:?}", self.states());
        }
        Duration::from_millis(self.time - begun)
    }

    async fn step(&mut self, is_good: &mut impl FnMut(usize, u64) -> bool) {
        for (number, process) in self.all.iter_mut().enumerate() {
            // Members call one after the other.
            let shift = number as u64 * 7_919;
            let calls = |time: u64| (time * process.rate + shift % 1_000) / 1_000;
            for _ in calls(self.time)..calls(self.time + 1) {
                let Ok(permit) = process.breaker.try_acquire() else {
                    continue;
                };
                process.admitted += 1;
                if is_good(number, self.time) {
                    permit.success();
                } else {
                    process.failed += 1;
                    permit.failure();
                }
            }
        }
        self.time += 1;
        self.hand.advance(Duration::from_millis(1));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    pub(super) fn states(&self) -> Vec<State> {
        self.all.iter().map(|it| it.breaker.state()).collect()
    }

    pub(super) fn fleet_state(&self, number: usize) -> FleetState {
        self.all[number].fleet.status().breakers[0].state
    }

    pub(super) fn failed(&self) -> u64 {
        self.all.iter().map(|it| it.failed).sum()
    }
}

/// A store that several members can have.
pub(super) trait SharedStore: Store + Clone {}

impl<S: Store + Clone> SharedStore for S {}
