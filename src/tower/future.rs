//! The future of a call through the layer.

use std::task::{Context, Poll};
use std::{fmt, future::Future, pin::Pin};

use pin_project_lite::pin_project;

use super::{classifier::EndCall, in_flight::RunningCall, rejection::RejectWith};
use crate::error::Rejected;

pin_project! {
    /// The future of a call through a [`CircuitBreakerService`](super::CircuitBreakerService).
    ///
    /// It holds the call's permit. A future that is dropped before it is ready gives the permit
    /// back, and the call counts as [`on_cancel`](crate::CircuitBreakerBuilder::on_cancel) says. A
    /// call that panics counts as a failure. The outcome is recorded before the inner future is
    /// dropped. So the next call in its place meets a breaker that has counted the outcome. A call
    /// of HTTP or gRPC that goes on after its headers hands the permit on to the response's body.
    ///
    /// # Panics
    /// Polled again after it was ready, it panics, like most futures.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, R, C> {
        #[pin]
        stage: CallStage<F, C>,
        rejection: R,
    }
}

pin_project! {
    #[project = PinnedStage]
    enum CallStage<F, C> {
        // The permit drops before the call's future.
        Called {
            running: Option<RunningCall>,
            call: C,
            #[pin]
            future: F,
        },
        Rejected {
            rejected: Option<Rejected>,
        },
        Over,
    }
}

impl<F, R, C> ResponseFuture<F, R, C> {
    #[inline]
    pub(super) fn called(running: RunningCall, call: C, future: F, rejection: R) -> Self {
        let stage = CallStage::Called {
            running: Some(running),
            call,
            future,
        };
        Self { stage, rejection }
    }

    #[inline]
    pub(super) fn rejected(rejected: Rejected, rejection: R) -> Self {
        let stage = CallStage::Rejected {
            rejected: Some(rejected),
        };
        Self { stage, rejection }
    }
}

impl<F, R, C, T, E> Future for ResponseFuture<F, R, C>
where
    F: Future<Output = Result<T, E>>,
    C: EndCall<T, E>,
    R: RejectWith<T, E>,
{
    type Output = Result<C::Response, R::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let answer = match this.stage.as_mut().project() {
            PinnedStage::Called {
                running: place,
                call,
                future,
            } => place.take().map(|running| {
                // The permit is a local variable while the call runs. A panic of the call drops it
                // while the thread unwinds, so the call counts as a failure.
                match running.run(|| future.poll(context)) {
                    Poll::Pending => {
                        *place = Some(running);
                        Poll::Pending
                    }
                    Poll::Ready(result) => {
                        let result = call.end(running, result);
                        Poll::Ready(result.map_err(|error| this.rejection.inner_error(error)))
                    }
                }
            }),
            PinnedStage::Rejected { rejected } => rejected
                .take()
                .map(|rejected| Poll::Ready(this.rejection.reject(rejected).map(C::rejected))),
            PinnedStage::Over => None,
        };
        let answer = answer.expect("a `ResponseFuture` was polled after it was ready");
        if answer.is_ready() {
            this.stage.set(CallStage::Over);
        }
        answer
    }
}

impl<F, R, C> fmt::Debug for ResponseFuture<F, R, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            CallStage::Called { .. } => "called",
            CallStage::Rejected { .. } => "rejected",
            CallStage::Over => "over",
        };
        f.debug_tuple("ResponseFuture").field(&stage).finish()
    }
}
