//! Listeners that come to a breaker that runs, and go again.

use std::fmt;
use std::sync::{Arc, Weak};

use crate::breaker::CircuitBreaker;
use crate::breaker::shared::SharedBreaker;
use crate::events::Transition;

impl<C> CircuitBreaker<C> {
    /// Adds a listener to a breaker that already runs; [`Listening`] removes it.
    ///
    /// The listener is told of each transition that is made after this method returns: once, in
    /// order, as one of the [builder](crate::CircuitBreakerBuilder::on_transition) is. It may also
    /// hear of transitions that other threads make while this method runs, but never of earlier
    /// ones.
    ///
    /// The listener stays until it is removed or the breaker is gone. Dropping the returned handle
    /// changes nothing. A [`Registry`](crate::guide::keys) may evict a breaker to which nobody has a
    /// handle, and its listeners with it. A listener of the template stays with all its breakers.
    ///
    /// # Cost
    /// The first listener of a breaker allocates a log of about 6 KiB. Each listener allocates the
    /// list of listeners again. The method waits for no thread and never panics. Calls that make no
    /// transition cost nothing more.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use tripcurve::CircuitBreaker;
    ///
    /// let breaker = CircuitBreaker::new("payments");
    /// breaker.force_open();
    ///
    /// let (sender, told) = mpsc::channel();
    /// let listening = breaker.on_transition(move |it| drop(sender.send(it.to_string())));
    /// breaker.reset();
    /// assert_eq!(told.recv()?, "payments: forced-open -> closed, generation 2: by hand");
    ///
    /// listening.remove();
    /// breaker.force_open();
    /// assert!(told.recv().is_err()); // the listener is gone, and its sender with it
    /// # Ok::<(), mpsc::RecvError>(())
    /// ```
    pub fn on_transition(
        &self,
        listener: impl Fn(&Transition) + Send + Sync + 'static,
    ) -> Listening {
        Listening {
            number: self
                .shared
                .core
                .listen(Arc::new(listener), &self.shared.clock),
            shared: Arc::downgrade(&self.shared),
        }
    }
}

/// A listener that was [added](CircuitBreaker::on_transition) to a breaker that runs.
///
/// Dropping it changes nothing: the listener stays. It doesn't keep the breaker alive.
pub struct Listening {
    shared: Weak<SharedBreaker>,
    number: u64,
}

impl Listening {
    /// Removes the listener. Does nothing if the breaker is gone.
    ///
    /// The listener isn't told of transitions that are made after this method returns. The method
    /// doesn't wait. So a thread that is telling the listener at that moment finishes, and a thread
    /// that has just begun to tell a transition may still tell the listener of this one. The
    /// listener may remove itself.
    pub fn remove(self) {
        self.end();
    }

    /// Removes the listener when the returned guard is dropped.
    ///
    /// ```
    /// use tripcurve::CircuitBreaker;
    ///
    /// let breaker = CircuitBreaker::new("payments");
    /// {
    ///     let _guard = breaker.on_transition(|it| println!("{it}")).until_dropped();
    ///     breaker.force_open(); // is printed
    /// }
    /// breaker.reset(); // isn't
    /// ```
    pub fn until_dropped(self) -> ListeningGuard {
        ListeningGuard(self)
    }

    fn end(&self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.core.stop_listening(self.number);
        }
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening").finish_non_exhaustive()
    }
}

/// Removes a listener when it is dropped; made by [`Listening::until_dropped`].
#[derive(Debug)]
#[must_use = "the listener is removed when this is dropped"]
pub struct ListeningGuard(Listening);

impl Drop for ListeningGuard {
    fn drop(&mut self) {
        self.0.end();
    }
}
