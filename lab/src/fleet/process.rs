//! One process: a breaker of the crate, and the machine that makes it a member.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tripcurve::fleet::FleetPort;
use tripcurve::time::Clock;
use tripcurve::{CircuitBreaker, Recovery, State, TripPolicy};
use tripcurve_fleet::member::{BreakerId, Machine, Names, Probed};
use tripcurve_fleet::message::Member;

use super::FleetError;
use crate::breaker::Nanos;

/// A change of a breaker's state.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// Which process's breaker.
    pub process: usize,
    /// How many times the process had been restarted.
    pub life: u32,
    /// The state before.
    pub from: State,
    /// The state after.
    pub to: State,
    /// What the change says about a probe.
    pub probed: Probed,
}

/// The changes that nobody has looked at yet.
pub type Changes = Arc<Mutex<Vec<Change>>>;

/// Takes the changes.
pub fn take(changes: &Changes) -> Vec<Change> {
    let mut changes = changes.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut *changes)
}

/// A wait for unreported failures.
struct Watch(Pin<Box<dyn Future<Output = ()>>>);

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

/// A member's part of a process.
#[derive(Debug)]
pub struct Membership {
    /// What the member decides.
    pub machine: Machine,
    /// The breaker's number in the machine.
    pub id: BreakerId,
    watch: Option<Watch>,
    /// When the machine is woken next.
    pub wakes: Nanos,
    /// The connection that the machine has begun last.
    pub session: u64,
}

impl Membership {
    /// Waits for unreported failures. Returns whether there are some already.
    pub fn watch(&mut self, port: FleetPort) -> bool {
        let wait = async move { port.until_unreported().await };
        self.watch = Some(Watch(Box::pin(wait)));
        self.fails()
    }

    /// Whether the wait for unreported failures has just ended.
    pub fn fails(&mut self) -> bool {
        let Some(watch) = &mut self.watch else {
            return false;
        };
        let ends = watch
            .0
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        if ends.is_ready() {
            self.watch = None;
        }
        matches!(ends, Poll::Ready(()))
    }
}

/// A process.
#[derive(Debug)]
pub struct Process {
    /// Its breaker.
    pub breaker: CircuitBreaker,
    /// `None` in a world without a fleet.
    pub membership: Option<Box<Membership>>,
    /// The breaker's state after its last change.
    pub state: State,
    /// How many times it was restarted. Events of earlier lives are ignored.
    pub life: u32,
    /// Whether no message of it reaches the store.
    pub is_cut_off: bool,
    /// Its share of the calls that usually fails.
    pub usual: f64,
}

/// What a process is made of.
#[derive(Debug)]
pub struct Making<'a> {
    /// The clock of all processes.
    pub clock: &'a Clock,
    /// Where changes go.
    pub changes: &'a Changes,
    /// The tolerated failure rate.
    pub tolerated: f64,
    /// The member's number and the seed of its random times. `None` without a fleet.
    pub member: Option<u64>,
    /// The time.
    pub now: Nanos,
}

impl Process {
    /// Starts a process.
    ///
    /// # Errors
    /// The crate refuses the settings.
    pub fn start(
        number: usize,
        life: u32,
        usual: f64,
        making: &Making<'_>,
    ) -> Result<Self, FleetError> {
        let changes = Arc::clone(making.changes);
        let breaker = CircuitBreaker::builder("fleet")
            .trip_when(TripPolicy::adaptive().tolerate(making.tolerated))
            .recovery(Recovery::adaptive())
            .clock(making.clock.clone())
            .on_transition(move |it| {
                let change = Change {
                    process: number,
                    life,
                    from: it.from(),
                    to: it.to(),
                    probed: Probed::by(it),
                };
                let mut changes = changes.lock().unwrap_or_else(PoisonError::into_inner);
                changes.push(change);
            })
            .build()?;
        let membership = match making.member {
            None => None,
            Some(member) => {
                let names = Names {
                    namespace: "lab".into(),
                    zone: String::new(),
                    classifier: String::new(),
                };
                let mut machine = Machine::new(names, Member(member), member);
                let now = Duration::from_nanos(making.now);
                let (id, _joining) = machine.join(&breaker, now)?;
                Some(Box::new(Membership {
                    machine,
                    id,
                    watch: None,
                    wakes: Nanos::MAX,
                    session: 0,
                }))
            }
        };
        Ok(Self {
            breaker,
            membership,
            state: State::Closed,
            life,
            is_cut_off: false,
            usual,
        })
    }
}
