//! Drives calls and their bodies in any order, drops them anywhere, and checks what must hold. There
//! is no runtime, and the clock is a mock clock.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use tower::{Layer, Service};
use tripcurve::time::Clock;
use tripcurve::tower::{CallsInFlight, CircuitBreakerLayer};
use tripcurve::{CallError, CircuitBreaker, Recovery, State, TripPolicy};

/// The most bodies at a time.
const MOST: usize = 8;

const SECOND: Duration = Duration::from_secs(1);

/// What a body does when it is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Data(u8),
    /// Trailers with this code of gRPC, if any.
    Trailers(Option<u8>),
    Pending,
    Error,
    Panic,
}

/// An answer of the inner service. A request is the answer that it gets.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) is_head: bool,
    pub(crate) status: u16,
    /// The code of gRPC in the headers.
    pub(crate) code: Option<u8>,
    pub(crate) content_length: Option<u8>,
    pub(crate) promised: Option<u8>,
    /// Whether `is_end_stream` tells the end.
    pub(crate) tells_end: bool,
    pub(crate) pieces: VecDeque<Piece>,
}

/// Numbers of bodies wrap around. What can't be done is left out.
#[derive(Clone, Debug)]
pub(crate) enum BodyOperation {
    Call(Plan),
    Poll(usize),
    Drop(usize),
    /// Milliseconds pass.
    Advance(u64),
    Trip,
    Reset,
}

impl Body for Plan {
    type Data = Bytes;
    type Error = ();

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ()>>> {
        Poll::Ready(match self.pieces.pop_front() {
            None => None,
            Some(Piece::Data(bytes)) => Some(Ok(Frame::data(vec![0; bytes.into()].into()))),
            Some(Piece::Trailers(code)) => Some(Ok(Frame::trailers(status_of(code)))),
            Some(Piece::Pending) => return Poll::Pending,
            Some(Piece::Error) => Some(Err(())),
            // This prints nothing, unlike `panic!`.
            Some(Piece::Panic) => resume_unwind(Box::new("as ordered")),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.tells_end && self.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let exact = |size: u8| SizeHint::with_exact(size.into());
        self.promised.map_or_else(SizeHint::new, exact)
    }
}

fn status_of(code: Option<u8>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(code) = code {
        headers.insert("grpc-status", u16::from(code).into());
    }
    headers
}

#[derive(Clone)]
struct Inner;

impl Service<Request<Plan>> for Inner {
    type Response = Response<Plan>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Plan>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Plan>) -> Self::Future {
        let plan = request.into_body();
        let mut headers = status_of(plan.code);
        if let Some(length) = plan.content_length {
            headers.insert("content-length", u16::from(length).into());
        }
        let mut response = Response::new(plan);
        *response.status_mut() = response.body().status.try_into().unwrap();
        *response.headers_mut() = headers;
        ready(Ok(response))
    }
}

/// How a call has ended: the place of its count among successes, failures and ignored calls.
type End = usize;
const SUCCESS: End = 0;
const FAILURE: End = 1;
const IGNORED: End = 2;

/// What must be counted of a body that has not ended.
struct Expected {
    is_grpc: bool,
    plan: Plan,
    /// How many bytes are left until the call ends.
    left: Option<u64>,
    has_ended: bool,
}

impl Expected {
    fn new(is_grpc: bool, plan: Plan) -> (Self, Option<End>) {
        let length = plan.promised.or(plan.content_length);
        let mut it = Self {
            is_grpc,
            left: length.filter(|_| !is_grpc).map(u64::from),
            plan,
            has_ended: false,
        };
        let end = it.end_of_head();
        it.has_ended = end.is_some();
        (it, end)
    }

    fn end_of_head(&self) -> Option<End> {
        let plan = &self.plan;
        if self.is_grpc {
            match (plan.code, plan.status) {
                (Some(code), 200) => return Some(end_of(code)),
                (Some(code), _) if code != 0 => return Some(end_of(code)),
                // A 404 is `UNIMPLEMENTED`. The other statuses are failures.
                (_, 404) => return Some(SUCCESS),
                (None, 200) => {}
                _ => return Some(FAILURE),
            }
        } else if plan.status >= 500 {
            return Some(FAILURE);
        }
        if plan.is_head || plan.status == 204 || self.left == Some(0) {
            return Some(SUCCESS);
        }
        let is_over = plan.tells_end && plan.pieces.is_empty();
        is_over.then_some(if self.is_grpc { FAILURE } else { SUCCESS })
    }

    fn at_end(&self, trailers: Option<u8>) -> End {
        match trailers {
            _ if self.plan.promised.is_some() && self.left.is_some_and(|left| left > 0) => FAILURE,
            _ if !self.is_grpc => SUCCESS,
            Some(code) => end_of(code),
            None => FAILURE,
        }
    }

    fn poll(&mut self) -> Option<End> {
        let piece = self.plan.pieces.pop_front();
        let is_last = self.plan.tells_end && self.plan.pieces.is_empty();
        let end = match piece {
            _ if self.has_ended => return None,
            None => Some(self.at_end(None)),
            Some(Piece::Data(bytes)) => {
                self.left = self.left.map(|left| left.saturating_sub(bytes.into()));
                (is_last || self.left == Some(0)).then(|| self.at_end(None))
            }
            Some(Piece::Trailers(code)) => Some(self.at_end(code)),
            Some(Piece::Pending) => None,
            Some(Piece::Error | Piece::Panic) => Some(FAILURE),
        };
        self.has_ended = end.is_some();
        end
    }

    fn drop(self) -> Option<End> {
        match self.plan.tells_end && self.plan.pieces.is_empty() {
            _ if self.has_ended => None,
            true => Some(self.at_end(None)),
            false => Some(IGNORED),
        }
    }
}

/// What a code of gRPC counts as. Codes that time out aren't driven.
fn end_of(code: u8) -> End {
    match code {
        1 | 10 => IGNORED,
        2 | 8 | 13 | 14 | 15 | 17.. => FAILURE,
        _ => SUCCESS,
    }
}

/// Runs the operations, and panics if something that must hold doesn't.
pub(crate) fn drive_bodies(is_grpc: bool, operations: &[BodyOperation]) {
    let (clock, hand) = Clock::mock();
    let breaker = CircuitBreaker::builder("driven")
        .trip_when(TripPolicy::consecutive_failures(3))
        .recovery(Recovery::fixed(SECOND, 2))
        .clock(clock)
        .build()
        .unwrap();
    let advance = |millis| hand.advance(Duration::from_millis(millis));
    let in_flight = CallsInFlight::new();
    if is_grpc {
        let layer = CircuitBreakerLayer::grpc(&breaker).count_in_flight(&in_flight);
        let service = layer.layer(Inner);
        run(is_grpc, &breaker, &in_flight, advance, service, operations);
    } else {
        let layer = CircuitBreakerLayer::http(&breaker).count_in_flight(&in_flight);
        let service = layer.layer(Inner);
        run(is_grpc, &breaker, &in_flight, advance, service, operations);
    }
}

fn run<S, B>(
    is_grpc: bool,
    breaker: &CircuitBreaker,
    in_flight: &CallsInFlight,
    advance: impl Fn(u64),
    mut service: S,
    operations: &[BodyOperation],
) where
    S: Service<Request<Plan>, Response = Response<B>, Error = CallError<Infallible>>,
    B: Body + Unpin,
{
    let mut expected = [0_u64; 4];
    let mut bodies: Vec<(B, Expected)> = Vec::new();
    let mut note = |end: Option<usize>| {
        if let Some(end) = end {
            expected[end] += 1;
        }
        expected
    };
    for operation in operations {
        let count = bodies.len().max(1);
        let expected = match operation {
            BodyOperation::Call(plan) if bodies.len() < MOST => {
                match call(&mut service, plan.clone()) {
                    Some(body) => {
                        let (model, end) = Expected::new(is_grpc, plan.clone());
                        bodies.push((body, model));
                        note(end)
                    }
                    None => note(Some(3)),
                }
            }
            BodyOperation::Poll(number) => match bodies.get_mut(number % count) {
                Some((body, model)) => {
                    let mut context = Context::from_waker(Waker::noop());
                    let poll = || Pin::new(body).poll_frame(&mut context).map(drop);
                    // A panic of the inner body passes through.
                    let _ = catch_unwind(AssertUnwindSafe(poll));
                    note(model.poll())
                }
                None => note(None),
            },
            BodyOperation::Drop(number) if !bodies.is_empty() => {
                let (body, model) = bodies.swap_remove(number % count);
                drop(body);
                note(model.drop())
            }
            BodyOperation::Advance(millis) => {
                advance(*millis);
                note(None)
            }
            BodyOperation::Trip => {
                breaker.trip(SECOND);
                note(None)
            }
            BodyOperation::Reset => {
                breaker.reset();
                note(None)
            }
            BodyOperation::Call(_) | BodyOperation::Drop(_) => note(None),
        };
        assert_eq!(counted(breaker), expected, "after {operation:?}");
        let go_on = bodies.iter().filter(|(_, model)| !model.has_ended).count();
        assert_eq!(in_flight.count() as usize, go_on, "after {operation:?}");
    }
    for (body, model) in bodies {
        drop(body);
        assert_eq!(counted(breaker), note(model.drop()));
    }
    assert_eq!(breaker.snapshot().probes_in_flight(), 0);
    assert_eq!(in_flight.count(), 0);
    recovers(breaker, advance, service);
}

/// Makes a call. `None` if it was rejected.
fn call<S, B>(service: &mut S, plan: Plan) -> Option<B>
where
    S: Service<Request<Plan>, Response = Response<B>, Error = CallError<Infallible>>,
{
    let mut context = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut context).is_ready());
    let mut request = Request::new(plan);
    if request.body().is_head {
        *request.method_mut() = Method::HEAD;
    }
    match pin!(service.call(request)).poll(&mut context) {
        Poll::Ready(Ok(response)) => Some(response.into_body()),
        Poll::Ready(Err(_)) => None,
        Poll::Pending => panic!("the inner service is always ready"),
    }
}

/// Once the dependency works, two probes close the breaker.
fn recovers<S, B>(breaker: &CircuitBreaker, advance: impl Fn(u64), mut service: S)
where
    S: Service<Request<Plan>, Response = Response<B>, Error = CallError<Infallible>>,
    B: Body + Unpin,
{
    breaker.trip(SECOND);
    advance(1_000);
    for _ in 0..2 {
        let plan = Plan {
            is_head: false,
            status: 200,
            code: None,
            content_length: None,
            promised: None,
            tells_end: false,
            pieces: [Piece::Data(2), Piece::Trailers(Some(0))].into(),
        };
        let mut body = call(&mut service, plan).expect("a probe has a place");
        for _ in 0..3 {
            assert_ne!(breaker.state(), State::Open);
            let mut context = Context::from_waker(Waker::noop());
            assert!(Pin::new(&mut body).poll_frame(&mut context).is_ready());
        }
    }
    assert_eq!(breaker.state(), State::Closed);
}

fn counted(breaker: &CircuitBreaker) -> [u64; 4] {
    let totals = breaker.snapshot().totals();
    assert_eq!(totals.timed_out, 0);
    [
        totals.successes,
        totals.failures,
        totals.ignored,
        totals.rejected,
    ]
}
