//! Lets a task wait for a place.

use std::future::{Future, poll_fn};
use std::{pin::pin, task::Poll};

use super::places::Waiter;
use crate::sync::wait_queue::EventQueue;

/// Waits for a place until `end`, if there is one, and returns whether it was given one.
///
/// A future that is dropped earlier leaves the line, and no place is lost.
pub(super) async fn wait(
    waiter: Waiter<'_, EventQueue>,
    end: Option<impl Future<Output = ()>>,
) -> bool {
    let mut waiter = Some(waiter);
    let mut end = pin!(end);
    poll_fn(|context| {
        let Some(queued) = &mut waiter else {
            return Poll::Ready(false);
        };
        if queued.poll(context).is_ready() {
            waiter = None;
            return Poll::Ready(true);
        }
        let end = end.as_mut().as_pin_mut();
        if end.is_some_and(|end| end.poll(context).is_ready()) {
            // The waiter may have been given a place since it was polled.
            return Poll::Ready(waiter.take().is_some_and(Waiter::give_up));
        }
        Poll::Pending
    })
    .await
}
