//! Listeners that come to a breaker that runs, and go again.
//!
//! A thread that adds the first listener publishes the log and then reads the generation. A winner
//! changes the state and then looks for the log. A fence stands between the two steps of each. So
//! each winner after that generation finds the log, and the log begins after it. No entry is then
//! missing, and the teller never waits for one.

use super::Core;
use crate::clock::Clock;
use crate::events::listeners::{Listener, Listeners};
use crate::sync::{Ordering, fence};

impl Core {
    /// Adds a listener, and returns its number.
    ///
    /// It is told of each transition that is made after this returns, and maybe of some that are
    /// made meanwhile.
    pub fn listen(&self, listener: Listener, clock: &Clock) -> u64 {
        let parts = &self.late.get_or_init(Box::default).listeners;
        let listeners = loop {
            match parts.get() {
                Some(listeners) => break listeners,
                None => parts.publish(Listeners::held(clock)),
            }
        };
        // SeqCst: pairs with the fence in `entered_for`. Either this thread reads the generation of
        // the other thread's transition, or the other thread finds the log. Otherwise the log could
        // begin before a transition that nobody writes, and stop there.
        fence(Ordering::SeqCst);
        let generation = self.history.number(self.state.load().generation());
        let number = listeners.add(generation, listener);
        listeners.begin_after(&self.parts.settings.name, generation);
        number
    }

    /// Removes the listener with this number.
    pub fn stop_listening(&self, number: u64) {
        if let Some(listeners) = self.listeners() {
            listeners.remove(number);
        }
    }
}
