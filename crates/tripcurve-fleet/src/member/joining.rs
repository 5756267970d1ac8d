//! Waits until a breaker has joined its fleet.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_channel::oneshot;

use crate::message::FleetState;

/// What is known when a breaker has joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Joined {
    /// The store has answered, and the breaker follows this state.
    Answered(FleetState),
    /// The store doesn't answer. The breaker decides for itself until it does.
    LocalOnly,
}

/// A future that is ready when the store has answered a breaker's first message, or doesn't answer.
///
/// That takes the time of one answer, and 1.5 s at most. Dropping it changes nothing: the breaker
/// has joined.
#[derive(Debug)]
pub struct Joining(pub(super) oneshot::Receiver<Joined>);

impl Future for Joining {
    type Output = Joined;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Joined> {
        let joined = ready!(Pin::new(&mut self.0).poll(context));
        // The sender is dropped when the breaker leaves, or when the member's task ends.
        Poll::Ready(joined.unwrap_or(Joined::LocalOnly))
    }
}
