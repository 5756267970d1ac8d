//! Layers around a breaker. Each lets calls through in its own way, and may limit their time.

use std::{convert::Infallible, future::Future, time::Duration};

use super::span::CallSpan;
use crate::breaker::permit::{Permit, PermitGuard};
use crate::{breaker::CircuitBreaker, breaker::shared::SharedBreaker, error::CallError};

/// A call that was let through. The permit drops before the other things that the call holds.
#[derive(Debug)]
pub struct Admitted<'a, H> {
    pub(crate) permit: PermitGuard<&'a SharedBreaker>,
    pub(crate) held: H,
}

impl<'a, H> Admitted<'a, H> {
    pub(crate) fn into_permit(self) -> Permit<'a, H> {
        Permit(self.permit, self.held)
    }
}

/// A layer's answer to a call.
pub(crate) type LayerAnswer<'a, H> = Result<Admitted<'a, H>, CallError<Infallible>>;

/// A layer around a breaker, or the breaker itself.
pub trait Layer: Sized {
    /// The type that classifies a call's result.
    type Classifier;

    /// The span of a call, or `()` if no layer makes spans.
    type Span: CallSpan;

    /// What a call holds besides its permit, such as a bulkhead's place.
    type Held<'a>
    where
        Self: 'a;

    /// The breaker within all layers.
    fn circuit_breaker(&self) -> &CircuitBreaker<Self::Classifier>;

    /// Begins the span of a call.
    fn call_span(&self) -> Self::Span;

    /// Asks for a call without waiting.
    fn try_admit(&self) -> LayerAnswer<'_, Self::Held<'_>>;

    /// Asks for a call. The thread waits, if this layer waits at all.
    #[inline]
    fn admit(&self) -> LayerAnswer<'_, Self::Held<'_>> {
        self.try_admit()
    }

    /// Asks for a call. The task waits, if this layer waits at all.
    #[inline]
    fn admit_async(&self) -> impl Future<Output = LayerAnswer<'_, Self::Held<'_>>> {
        async { self.try_admit() }
    }

    /// Runs a call that was let through. If the layer gives it up, the error is the call's limit.
    #[inline]
    fn limit_call<F: Future>(&self, call: F) -> impl Future<Output = Result<F::Output, Duration>> {
        async { Ok(call.await) }
    }
}

/// A handle without a time limit.
#[diagnostic::on_unimplemented(
    message = "a handle with a call timeout makes asynchronous calls alone",
    note = "use `call_async`: nothing stops a thread that waits in the kernel"
)]
pub trait Unlimited {}

impl<C> Unlimited for CircuitBreaker<C> {}

impl<C> Layer for CircuitBreaker<C> {
    type Classifier = C;
    type Span = ();
    type Held<'a>
        = ()
    where
        Self: 'a;

    #[inline]
    fn circuit_breaker(&self) -> &CircuitBreaker<C> {
        self
    }

    #[inline]
    fn call_span(&self) {}

    #[inline]
    fn try_admit(&self) -> LayerAnswer<'_, ()> {
        let ticket = self.shared.admit::<false>()?;
        let permit = PermitGuard::new(&*self.shared, ticket);
        Ok(Admitted { permit, held: () })
    }
}
