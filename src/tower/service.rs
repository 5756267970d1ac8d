//! A service with a breaker around it.

use std::fmt;
use std::task::{Context, Poll, ready};

use tower_service::Service;

use super::breakers::BreakerSource;
use super::classifier::{CountCalls, OwnClassifier};
use super::in_flight::RunningCall;
use super::rejection::{RejectWith, Typed};
use super::while_open::{RejectWhileOpen, WhileOpen};
use super::{CircuitBreakerLayer, ResponseFuture};
use crate::{breaker::CircuitBreaker, error::Rejected};

/// A service with a breaker around it; made by [`CircuitBreakerLayer`].
///
/// `poll_ready` asks the breaker first:
///
/// | the breaker | `poll_ready` | the next `call` |
/// |---|---|---|
/// | would let a call through | polls the inner service | takes a permit, and then calls the inner service |
/// | would reject a call | is ready, and doesn't poll the inner service | is rejected, even if the open time has ended meanwhile |
/// | would reject a call, with [`backpressure`](CircuitBreakerLayer::backpressure) | is pending | |
///
/// `poll_ready` takes no permit. A caller that is ready and never calls holds nothing of the
/// breaker. While the breaker is half-open, several callers may be ready for one probe's place.
/// `call` rejects those that come late. The inner service then keeps what its `poll_ready` has
/// reserved, until it is called or dropped.
///
/// A caller may wait for the inner service when the breaker trips. It goes on waiting, until the
/// inner service wakes it.
///
/// A call goes to the inner service that was polled, never to a clone of it. A clone of this
/// service has a clone of the inner one, shares the breaker, and has to be polled anew.
///
/// Within a half-open call of the same breaker, a call is [part of it](CircuitBreaker::call), as
/// long as it runs in the same task.
///
/// # Panics
/// Only if the inner service, the classifier, the function for the key or the rejection's answer
/// does. A panic of the inner service counts as a failure.
pub struct CircuitBreakerService<
    S,
    R = Typed,
    C = OwnClassifier,
    B = CircuitBreaker,
    W: WhileOpen = RejectWhileOpen,
> {
    inner: S,
    settings: CircuitBreakerLayer<R, C, B, W>,
    notes: Notes<W::Wait>,
}

/// What `poll_ready` has found out for the next `call`. It belongs to one service.
#[derive(Default)]
struct Notes<T> {
    /// The rejection that the next call gets.
    rejects: Option<Rejected>,
    wait: T,
}

impl<S, R, C, B, W: WhileOpen> CircuitBreakerService<S, R, C, B, W> {
    pub(super) fn new(inner: S, settings: CircuitBreakerLayer<R, C, B, W>) -> Self {
        Self {
            inner,
            settings,
            notes: Notes::default(),
        }
    }

    /// The inner service.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, to change it.
    #[must_use]
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Unwraps the inner service.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, R, C, B, W, Request> Service<Request> for CircuitBreakerService<S, R, C, B, W>
where
    S: Service<Request>,
    R: RejectWith<S::Response, S::Error> + Clone,
    C: CountCalls<Request, B::Own, S::Response, S::Error>,
    B: BreakerSource<Request>,
    W: WhileOpen,
{
    type Response = C::Response;
    type Error = R::Error;
    type Future = ResponseFuture<S::Future, R, C::Call>;

    #[inline]
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), R::Error>> {
        let settings = &self.settings;
        let breaker = settings.breakers.breaker_of_all();
        self.notes.rejects = None;
        match breaker.map(|breaker| (breaker, breaker.ask())) {
            Some((breaker, Err(rejected))) => {
                let wait = &mut self.notes.wait;
                let open = settings
                    .while_open
                    .poll_open(wait, breaker, rejected, context);
                if let Some(rejected) = ready!(open) {
                    self.notes.rejects = Some(rejected);
                    return Poll::Ready(Ok(()));
                }
            }
            Some((_, Ok(()))) | None => self.notes.wait = W::Wait::default(),
        }
        let Err(error) = ready!(self.inner.poll_ready(context)) else {
            return Poll::Ready(Ok(()));
        };
        let result = Err(error);
        if settings.counting.ready_errors
            && let Some(breaker) = breaker
            && let Ok(permit) = breaker.try_acquire()
        {
            let own = breaker.classifier();
            settings.classifier.count_ready_error(own, permit, &result);
        }
        let result = result.map(|_: S::Response| ());
        Poll::Ready(result.map_err(|error| settings.rejection.inner_error(error)))
    }

    #[inline]
    fn call(&mut self, request: Request) -> Self::Future {
        let settings = &self.settings;
        let rejection = settings.rejection.clone();
        if let Some(rejected) = self.notes.rejects.take() {
            let rejected = match settings.breakers.breaker_of_all() {
                Some(breaker) => breaker.reject(rejected),
                None => rejected,
            };
            return ResponseFuture::rejected(rejected, rejection);
        }
        let in_flight = settings.counting.in_flight.as_ref();
        let admitted = settings.breakers.with_breaker_of(&request, |breaker| {
            let running = RunningCall::new(breaker.try_acquire_owned()?, in_flight);
            let call = settings.classifier.begin(breaker.classifier(), &request);
            Ok((running, call))
        });
        match admitted {
            Ok((running, call)) => {
                let future = running.run(|| self.inner.call(request));
                ResponseFuture::called(running, call, future, rejection)
            }
            Err(rejected) => ResponseFuture::rejected(rejected, rejection),
        }
    }
}

/// Clones the inner service and shares the breaker. The clone has to be polled anew.
impl<S, R, C, B, W> Clone for CircuitBreakerService<S, R, C, B, W>
where
    S: Clone,
    W: WhileOpen,
    CircuitBreakerLayer<R, C, B, W>: Clone,
{
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.settings.clone())
    }
}

impl<S: fmt::Debug, R, C, B: fmt::Debug, W: WhileOpen> fmt::Debug
    for CircuitBreakerService<S, R, C, B, W>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakerService")
            .field("inner", &self.inner)
            .field("settings", &self.settings)
            .field("rejects", &self.notes.rejects)
            .finish_non_exhaustive()
    }
}
