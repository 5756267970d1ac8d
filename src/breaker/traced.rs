//! The listener that makes events of `tracing` for transitions.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::breaker::shared::SharedBreaker;
use crate::clock::Now;
use crate::events::{Transition, traced::tell_transition};
use crate::state::{Generation, State};

impl SharedBreaker {
    /// Makes an event for each transition from now on.
    pub(crate) fn trace_transitions(self: &Arc<Self>) {
        // A listener that kept the breaker alive would be a cycle.
        let breaker = Arc::downgrade(self);
        let listener = move |transition: &Transition| {
            tell_transition(transition, || open_time(transition, &breaker));
        };
        self.core.listen(Arc::new(listener), &self.clock);
    }
}

/// How long a breaker that has opened stays open. `None` if it has changed its state since.
fn open_time(transition: &Transition, breaker: &Weak<SharedBreaker>) -> Option<Duration> {
    if transition.to() != State::Open {
        return None;
    }
    let breaker = breaker.upgrade()?;
    let refusal = breaker.core.peek(&*breaker).err()?;
    let opened_in = Generation::of_number(transition.generation());
    if refusal.state != State::Open || refusal.opened_in != opened_in {
        return None;
    }
    let remaining = Duration::from_nanos(refusal.retry_after()?);
    let passed = Duration::from_nanos(breaker.nanos()).saturating_sub(transition.at());
    Some(remaining + passed)
}
