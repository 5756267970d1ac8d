//! The right to make one call.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::core::Ticket;
use crate::outcome::Outcome;
use crate::shared::Shared;

/// A ticket that is settled exactly once: by its holder's word or, unrecorded, when it is dropped.
pub(crate) struct Held<S: Deref<Target = Shared>> {
    shared: S,
    ticket: Option<Ticket>,
    /// What counts when the thread unwinds past the permit.
    on_panic: Outcome,
}

impl<S: Deref<Target = Shared>> Held<S> {
    #[inline]
    pub(crate) fn new(shared: S, ticket: Ticket) -> Self {
        Self {
            shared,
            ticket: Some(ticket),
            on_panic: Outcome::Failure,
        }
    }

    /// From here on the call itself is over, and a panic is somebody else's.
    #[inline]
    pub(crate) fn ignore_panics(&mut self) {
        self.on_panic = Outcome::Ignored;
    }

    #[inline]
    pub(crate) fn settle(mut self, outcome: Outcome) {
        self.settle_once(outcome);
    }

    #[inline]
    fn settle_once(&mut self, outcome: Outcome) {
        if let Some(ticket) = self.ticket.take() {
            self.shared.settle(ticket, outcome);
        }
    }
}

impl<S: Deref<Target = Shared>> Drop for Held<S> {
    #[inline]
    fn drop(&mut self) {
        if self.ticket.is_some() {
            let outcome = if std::thread::panicking() {
                self.on_panic
            } else {
                self.shared.on_cancel
            };
            self.settle_once(outcome);
        }
    }
}

macro_rules! permit {
    ($(#[$docs:meta])* $name:ident $(<$life:lifetime>)?, $holder:ty) => {
        $(#[$docs])*
        #[must_use = "a permit that is dropped unrecorded counts as a cancelled call"]
        pub struct $name $(<$life>)? (pub(crate) Held<$holder>);

        impl $(<$life>)? $name $(<$life>)? {
            /// Records that the call succeeded.
            #[inline]
            pub fn success(self) {
                self.record(Outcome::Success);
            }

            /// Records that the call failed.
            #[inline]
            pub fn failure(self) {
                self.record(Outcome::Failure);
            }

            /// Records how the call ended. Never panics, and does nothing if the breaker has
            /// changed its state since it gave the permit: what was admitted in one generation
            /// can't change another.
            ///
            /// Cost: see [`CircuitBreaker`](crate::CircuitBreaker#cost).
            #[inline]
            pub fn record(self, outcome: Outcome) {
                self.0.settle(outcome);
            }
        }

        impl $(<$life>)? fmt::Debug for $name $(<$life>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("name", self.0.shared.core.name())
                    .field("ticket", &self.0.ticket)
                    .finish()
            }
        }
    };
}

permit! {
    /// The right to make one call, for code that can't be wrapped in
    /// [`call`](crate::CircuitBreaker::call).
    ///
    /// It is recorded exactly once. Dropped unrecorded, as when a future is cancelled, it gives
    /// its place back and counts as [`on_cancel`](crate::Builder::on_cancel) says; dropped by a
    /// panic it counts as a failure.
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    ///
    /// let breaker = CircuitBreaker::new("payments");
    /// let permit = breaker.try_acquire()?;
    /// match "200 OK".split(' ').next() {
    ///     Some("200") => permit.success(),
    ///     _ => permit.failure(),
    /// }
    /// assert_eq!(breaker.snapshot().successes(), 1);
    /// # Ok::<(), tripcurve::Rejected>(())
    /// ```
    Permit<'a>, &'a Shared
}

permit! {
    /// A [`Permit`] that owns its share of the breaker and can be kept or sent anywhere.
    ///
    /// It counts one reference to the breaker, on a counter that all callers share; where a borrow
    /// will do, a [`Permit`] is cheaper.
    OwnedPermit, Arc<Shared>
}
