//! A response body that owns the permit of its call.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::outcome::{Label, Report};
use crate::tower::in_flight::RunningCall;

pin_project! {
    /// A response body that owns the permit of its call; made by the layers of
    /// [`http`](crate::tower::CircuitBreakerLayer::http) and `grpc`.
    ///
    /// The call ends with its body. It succeeds at the first of these:
    ///
    /// - The layer gets a body that has ended already
    ///   ([`is_end_stream`](Body::is_end_stream)).
    /// - The response is one without a body: to a `HEAD` or a `CONNECT` that succeeds, or with the
    ///   status 1xx, 204 or 304.
    /// - As many bytes have come as the body's size or `Content-Length` said.
    /// - The body has ended after a frame, or when it is dropped
    ///   ([`is_end_stream`](Body::is_end_stream)).
    /// - Trailers have come, or there is no frame left.
    ///
    /// A client drops a body after any of these, and seldom asks for another frame. For gRPC only
    /// trailers and the end of the body count, because the trailers have the status.
    ///
    /// It fails with a frame that is an error, and with a panic of the inner body. It also fails if
    /// the body ends before the exact size that its [`size_hint`](Body::size_hint) has promised.
    /// hyper tells the end of a stream of HTTP/2 that a server has cancelled in this way alone.
    ///
    /// A body that is dropped halfway counts as
    /// [`on_cancel`](crate::CircuitBreakerBuilder::on_cancel) says: by default as ignored. The
    /// outcome is recorded before the inner body is dropped.
    ///
    /// `T` decides how the end counts.
    pub struct GuardedBody<B: Body, T: ClassifyEnd = SuccessAtEnd> {
        // The permit drops before the inner body.
        guard: Option<Guard<T>>,
        #[pin]
        inner: B,
    }

    impl<B: Body, T: ClassifyEnd> PinnedDrop for GuardedBody<B, T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            // A caller may see the end without asking for a frame.
            if let Some(guard) = this.guard.take() && this.inner.is_end_stream() {
                guard.end(None);
            }
        }
    }
}

/// Decides how a call counts whose body has ended.
pub trait ClassifyEnd {
    /// Whether the outcome is in the trailers. Then the body's length ends no call.
    const IN_TRAILERS: bool;

    /// Returns how the call counts.
    fn classify_end(&self, trailers: Option<&HeaderMap>) -> Report;
}

/// A body that comes to its end is a success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SuccessAtEnd;

impl ClassifyEnd for SuccessAtEnd {
    const IN_TRAILERS: bool = false;

    #[inline]
    fn classify_end(&self, _: Option<&HeaderMap>) -> Report {
        Report::success()
    }
}

/// What is left to do for a call whose body has not ended.
struct Guard<T> {
    running: RunningCall,
    end: T,
    /// How many bytes will come, if that is known and ends the call.
    bytes: Option<u64>,
    /// Whether the body itself has promised the bytes.
    is_promised: bool,
}

const BROKEN: Label = Label::new("broken_body");

impl<T: ClassifyEnd> Guard<T> {
    fn end(self, trailers: Option<&HeaderMap>) {
        let is_short = self.is_promised && self.bytes.is_some_and(|bytes| bytes > 0);
        self.running.record(if is_short {
            Report::failure().label(BROKEN)
        } else {
            self.end.classify_end(trailers)
        });
    }

    /// Goes on after a frame, unless the frame has ended the call.
    fn after<D: Buf>(mut self, frame: &Frame<D>, is_end: bool) -> Option<Self> {
        if let Some(trailers) = frame.trailers_ref() {
            self.end(Some(trailers));
            return None;
        }
        if let (Some(bytes), Some(data)) = (&mut self.bytes, frame.data_ref()) {
            let came = u64::try_from(data.remaining()).unwrap_or(u64::MAX);
            *bytes = bytes.saturating_sub(came);
        }
        if is_end || self.bytes == Some(0) {
            self.end(None);
            return None;
        }
        Some(self)
    }
}

impl<B: Body, T: ClassifyEnd> GuardedBody<B, T> {
    /// A body without a permit.
    pub(crate) fn unguarded(inner: B) -> Self {
        Self { guard: None, inner }
    }

    /// Hands the permit to a body, if the body has not ended already.
    pub(crate) fn new(inner: B, running: RunningCall, end: T, head: &HeaderMap) -> Self {
        if inner.is_end_stream() {
            running.record(end.classify_end(None));
            return Self::unguarded(inner);
        }
        let promised = inner.size_hint().exact().filter(|_| !T::IN_TRAILERS);
        let guard = Guard {
            running,
            end,
            bytes: promised.or_else(|| content_length(head).filter(|_| !T::IN_TRAILERS)),
            is_promised: promised.is_some(),
        };
        if guard.bytes == Some(0) {
            guard.end(None);
            return Self::unguarded(inner);
        }
        Self {
            guard: Some(guard),
            inner,
        }
    }

    /// The inner body.
    #[must_use]
    pub fn get_ref(&self) -> &B {
        &self.inner
    }
}

fn content_length(head: &HeaderMap) -> Option<u64> {
    head.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl<B: Body, T: ClassifyEnd> Body for GuardedBody<B, T> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(guard) = this.guard.take() else {
            return this.inner.poll_frame(context);
        };
        // The permit is a local variable meanwhile. A panic of the inner body drops it while the
        // thread unwinds, so the call counts as a failure.
        let polled = guard
            .running
            .run(|| this.inner.as_mut().poll_frame(context));
        match &polled {
            Poll::Pending => *this.guard = Some(guard),
            Poll::Ready(None) => guard.end(None),
            Poll::Ready(Some(Ok(frame))) => {
                *this.guard = guard.after(frame, this.inner.is_end_stream());
            }
            Poll::Ready(Some(Err(_))) => {
                guard.running.record(Report::failure().label(BROKEN));
            }
        }
        polled
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A body without a permit.
impl<B: Body + Default, T: ClassifyEnd> Default for GuardedBody<B, T> {
    fn default() -> Self {
        Self::unguarded(B::default())
    }
}

impl<B: Body + fmt::Debug, T: ClassifyEnd> fmt::Debug for GuardedBody<B, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedBody")
            .field("inner", &self.inner)
            .field("holds_permit", &self.guard.is_some())
            .finish()
    }
}
