//! How a task waits for a place.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::places::Waiter;
use crate::clock::timer::{Alarm, Timer};
use crate::sync::wait_queue::EventQueue;

/// Ready with whether it was given a place. Dropped before, it leaves the line, and no place is lost.
pub(super) struct Wait<'a> {
    waiter: Option<Waiter<'a, EventQueue>>,
    alarm: Option<Alarm>,
}

impl<'a> Wait<'a> {
    /// Waits no longer than this, if there is a bound.
    pub(super) fn new(
        waiter: Waiter<'a, EventQueue>,
        at_most: Option<Duration>,
        timer: &Timer,
    ) -> Self {
        Self {
            waiter: Some(waiter),
            alarm: at_most.map(|wait| timer.after(wait)),
        }
    }
}

impl Future for Wait<'_> {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        let Some(waiter) = &mut self.waiter else {
            return Poll::Ready(false);
        };
        if waiter.poll(context).is_ready() {
            self.waiter = None;
            return Poll::Ready(true);
        }
        let alarm = self.alarm.as_mut();
        if alarm.is_some_and(|alarm| alarm.as_mut().poll(context).is_ready()) {
            // It may have been given a place since it was asked.
            return Poll::Ready(self.waiter.take().is_some_and(Waiter::give_up));
        }
        Poll::Pending
    }
}
