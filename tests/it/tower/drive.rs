//! Drives services and calls in any order, and checks what must hold. There is no runtime: the
//! clock is a mock clock, and no timer ever rings.

use std::cell::Cell;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tower::{Layer, Service};
use tripcurve::time::{Clock, MockClock};
use tripcurve::tower::{CallsInFlight, CircuitBreakerLayer};
use tripcurve::{CallError, CircuitBreaker, Recovery, State, TripPolicy};

/// The most services and calls at a time.
const MOST: usize = 8;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) waits: bool,
    pub(crate) counts_ready_errors: bool,
    pub(crate) probes: u32,
}

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Succeed,
    Fail,
    Panic,
    PanicInCall,
}

/// Numbers of services and calls wrap around. What can't be done is left out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    PollReady(usize),
    /// Calls a service that is ready. The call is pending for this many polls.
    Call {
        service: usize,
        polls: u8,
        reply: Reply,
    },
    PollCall(usize),
    DropCall(usize),
    Clone(usize),
    DropService(usize),
    /// Milliseconds pass.
    Advance(u64),
    /// Opens the breaker for this many milliseconds.
    Trip(u64),
    /// One of the other commands.
    Command(u8),
    /// What `poll_ready` of the inner services answers from now on: ready, pending or an error.
    Gate(u8),
}

/// The innermost service. It insists on the contract of `Service`.
struct Inner {
    is_ready: bool,
    gate: Rc<Cell<u8>>,
}

impl Clone for Inner {
    fn clone(&self) -> Self {
        Self {
            is_ready: false,
            gate: Rc::clone(&self.gate),
        }
    }
}

struct Answer {
    polls: u8,
    reply: Reply,
}

impl Future for Answer {
    type Output = Result<u32, ()>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls > 0 {
            self.polls -= 1;
            return Poll::Pending;
        }
        match self.reply {
            Reply::Succeed => Poll::Ready(Ok(42)),
            Reply::Fail => Poll::Ready(Err(())),
            // This prints nothing, unlike `panic!`.
            Reply::Panic | Reply::PanicInCall => resume_unwind(Box::new("as ordered")),
        }
    }
}

impl Service<(u8, Reply)> for Inner {
    type Response = u32;
    type Error = ();
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
        match self.gate.get() {
            1 => Poll::Pending,
            2 => Poll::Ready(Err(())),
            _ => {
                self.is_ready = true;
                Poll::Ready(Ok(()))
            }
        }
    }

    fn call(&mut self, (polls, reply): (u8, Reply)) -> Answer {
        assert!(self.is_ready, "called without having been ready");
        self.is_ready = false;
        if reply == Reply::PanicInCall {
            resume_unwind(Box::new("as ordered"));
        }
        Answer { polls, reply }
    }
}

/// Runs the operations, and panics if something that must hold doesn't.
pub(crate) fn drive(settings: Settings, operations: &[Operation]) {
    let (clock, hand) = Clock::mock();
    let breaker = CircuitBreaker::builder("driven")
        .trip_when(TripPolicy::consecutive_failures(3))
        .recovery(Recovery::fixed(Duration::from_secs(1), settings.probes))
        .clock(clock)
        .build()
        .unwrap();
    let gate = Rc::new(Cell::new(0));
    let inner = Inner {
        is_ready: false,
        gate: Rc::clone(&gate),
    };
    let in_flight = CallsInFlight::new();
    let mut layer = CircuitBreakerLayer::new(&breaker).count_in_flight(&in_flight);
    if settings.counts_ready_errors {
        layer = layer.count_ready_errors();
    }
    if settings.waits {
        let timer = |_: Duration| pending::<()>();
        let service = layer.backpressure(timer).layer(inner);
        Driver::new(settings, breaker, in_flight, hand, gate).run(service, operations);
    } else {
        Driver::new(settings, breaker, in_flight, hand, gate).run(layer.layer(inner), operations);
    }
}

struct Driver {
    settings: Settings,
    breaker: CircuitBreaker,
    in_flight: CallsInFlight,
    hand: MockClock,
    gate: Rc<Cell<u8>>,
    /// Successes, failures, ignored calls and rejections that the breaker must have counted.
    expected: [u64; 4],
}

/// A call, and whether it holds a permit.
type PendingCall<F> = (Pin<Box<F>>, bool);

impl Driver {
    fn new(
        settings: Settings,
        breaker: CircuitBreaker,
        in_flight: CallsInFlight,
        hand: MockClock,
        gate: Rc<Cell<u8>>,
    ) -> Self {
        Self {
            settings,
            breaker,
            in_flight,
            hand,
            gate,
            expected: [0; 4],
        }
    }

    fn counted(&self) -> [u64; 4] {
        let totals = self.breaker.snapshot().totals();
        assert_eq!(totals.timed_out, 0);
        [
            totals.successes,
            totals.failures,
            totals.ignored,
            totals.rejected,
        ]
    }

    fn run<S>(mut self, service: S, operations: &[Operation])
    where
        S: Service<(u8, Reply), Response = u32, Error = CallError<()>> + Clone,
        S::Future: std::fmt::Debug,
    {
        let first = service.clone();
        // Each service, and whether it has been ready since its last call.
        let mut services = vec![(service, false)];
        let mut calls = Vec::new();
        for operation in operations {
            match *operation {
                Operation::PollReady(number) => {
                    if let Some((service, is_ready)) = at(&mut services, number) {
                        *is_ready = self.poll_ready(service);
                    }
                }
                Operation::Call {
                    service,
                    polls,
                    reply,
                } => {
                    if let Some((service, is_ready @ true)) = at(&mut services, service)
                        && calls.len() < MOST
                    {
                        *is_ready = false;
                        calls.extend(self.call(service, (polls, reply)));
                    }
                }
                Operation::PollCall(number) => {
                    if let Some(call) = at(&mut calls, number)
                        && self.poll_call(call)
                    {
                        let number = number % calls.len();
                        drop(calls.swap_remove(number));
                    }
                }
                Operation::DropCall(number) if !calls.is_empty() => {
                    let (call, holds) = calls.swap_remove(number % calls.len());
                    drop(call);
                    self.expected[2] += u64::from(holds);
                }
                Operation::Clone(number) if services.len() < MOST => {
                    if let Some((service, _)) = at(&mut services, number) {
                        let clone = service.clone();
                        services.push((clone, false));
                    }
                }
                Operation::DropService(number) if services.len() > 1 => {
                    services.swap_remove(number % services.len());
                }
                Operation::Advance(millis) => self.hand.advance(Duration::from_millis(millis)),
                Operation::Trip(millis) => self.breaker.trip(Duration::from_millis(millis)),
                Operation::Command(0) => self.breaker.force_open(),
                Operation::Command(1) => self.breaker.metrics_only(),
                Operation::Command(_) => self.breaker.reset(),
                Operation::Gate(gate) => self.gate.set(gate),
                _ => {}
            }
            assert_eq!(self.counted(), self.expected, "after {operation:?}");
            let go_on = calls.iter().filter(|(_, holds)| *holds).count();
            assert_eq!(
                self.in_flight.count() as usize,
                go_on,
                "after {operation:?}"
            );
        }
        for (call, holds) in calls {
            drop(call);
            self.expected[2] += u64::from(holds);
        }
        drop(services);
        assert_eq!(self.counted(), self.expected);
        assert_eq!(self.breaker.snapshot().probes_in_flight(), 0);
        assert_eq!(self.in_flight.count(), 0);
        self.recovers(first);
    }

    /// Polls a service, and returns whether it is ready.
    fn poll_ready<S: Service<(u8, Reply)>>(&mut self, service: &mut S) -> bool {
        let before = self.counted();
        let is_closed = self.breaker.state() == State::Closed;
        let would_reject = self.breaker.ask().is_err();
        let ready = service.poll_ready(&mut Context::from_waker(Waker::noop()));
        let failed = matches!(ready, Poll::Ready(Err(_)));
        match self.gate.get() {
            _ if would_reject => assert_eq!(ready.is_pending(), self.settings.waits),
            gate => assert_eq!((ready.is_pending(), failed), (gate == 1, gate == 2)),
        }
        if failed && self.settings.counts_ready_errors {
            let counts = self.counted()[1] - before[1];
            assert!(counts == 1 || counts == 0 && !is_closed);
            self.expected[1] += counts;
        }
        matches!(ready, Poll::Ready(Ok(())))
    }

    fn call<S>(&mut self, service: &mut S, request: (u8, Reply)) -> Option<PendingCall<S::Future>>
    where
        S: Service<(u8, Reply)>,
        S::Future: std::fmt::Debug,
    {
        let Ok(call) = catch_unwind(AssertUnwindSafe(|| Box::pin(service.call(request)))) else {
            assert_eq!(request.1, Reply::PanicInCall);
            self.expected[1] += 1;
            return None;
        };
        let holds = format!("{call:?}").contains("called");
        self.expected[3] += u64::from(!holds);
        Some((call, holds))
    }

    /// Polls a call, and returns whether it has ended.
    fn poll_call<F>(&mut self, (call, holds): &mut PendingCall<F>) -> bool
    where
        F: Future<Output = Result<u32, CallError<()>>>,
    {
        let mut context = Context::from_waker(Waker::noop());
        match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut context))) {
            Ok(Poll::Pending) => {
                assert!(*holds);
                return false;
            }
            Ok(Poll::Ready(Ok(_))) => self.expected[0] += 1,
            Ok(Poll::Ready(Err(CallError::Inner(())))) | Err(_) => self.expected[1] += 1,
            Ok(Poll::Ready(Err(error))) => {
                assert!(!*holds);
                assert!(error.rejected().is_some());
            }
        }
        true
    }

    /// Once the dependency works, the probes close the breaker.
    fn recovers<S>(mut self, mut service: S)
    where
        S: Service<(u8, Reply), Response = u32, Error = CallError<()>>,
        S::Future: std::fmt::Debug,
    {
        self.gate.set(0);
        self.breaker.trip(Duration::from_secs(1));
        assert_eq!(self.poll_ready(&mut service), !self.settings.waits);
        self.hand.advance(Duration::from_secs(1));
        for _ in 0..self.settings.probes {
            assert!(self.poll_ready(&mut service));
            let mut call = self.call(&mut service, (0, Reply::Succeed)).unwrap();
            assert!(self.poll_call(&mut call));
        }
        assert_eq!(self.breaker.state(), State::Closed);
        assert_eq!(self.counted(), self.expected);
    }
}

fn at<T>(all: &mut [T], number: usize) -> Option<&mut T> {
    let len = all.len();
    all.get_mut(number.checked_rem(len)?)
}
