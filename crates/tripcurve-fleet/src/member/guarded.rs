//! Code of the user that panics must not end the member's task.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::error::shortened;
use crate::store::StoreError;

/// The panic of code that the task called, with its message.
#[derive(Debug)]
pub(super) struct Panicked(pub(super) String);

impl From<Panicked> for StoreError {
    fn from(it: Panicked) -> Self {
        Self::Panicked(it.0)
    }
}

/// Runs code of the user. The panic hook has reported a panic before this returns it.
pub(super) fn shielded<T>(act: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|payload| {
        let message = message(&*payload);
        // Dropping the panic's payload may panic too.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(payload);
        }
        Panicked(message)
    })
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    shortened(text.unwrap_or("the panic has no message"))
}

/// A future or a stream of the user. Its panic is an error, also if it panics when it is dropped.
#[derive(Debug)]
pub(super) struct Guarded<T>(Option<Pin<Box<T>>>);

impl<T> Guarded<T> {
    pub(super) fn new(it: T) -> Self {
        Self(Some(Box::pin(it)))
    }

    fn poll_by<R>(
        &mut self,
        poll: impl FnOnce(Pin<&mut T>) -> Poll<R>,
    ) -> Poll<Option<Result<R, Panicked>>> {
        let Some(it) = &mut self.0 else {
            return Poll::Ready(None);
        };
        match shielded(|| poll(it.as_mut())) {
            Ok(polled) => polled.map(|it| Some(Ok(it))),
            Err(panicked) => {
                // Nobody knows what it would do if it were polled again.
                self.end();
                Poll::Ready(Some(Err(panicked)))
            }
        }
    }

    fn end(&mut self) {
        let it = self.0.take();
        let _reported = shielded(|| drop(it));
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<T, F: Future<Output = Result<T, StoreError>>> Future for Guarded<F> {
    type Output = Result<T, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.poll_by(|it| it.poll(context)) {
            Poll::Ready(Some(answer)) => {
                self.end();
                Poll::Ready(answer?)
            }
            // A future isn't polled after it was ready.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: Stream> Stream for Guarded<S> {
    type Item = Result<S::Item, StoreError>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<S::Item, StoreError>>> {
        self.poll_by(|it| it.poll_next(context)).map(|polled| {
            let item = polled?.transpose()?;
            Some(item.map_err(StoreError::from))
        })
    }
}
