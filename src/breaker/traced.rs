//! Events of `tracing` for transitions and rejections.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tracing::{Level, enabled, event};

use crate::breaker::shared::SharedBreaker;
use crate::clock::Now;
use crate::error::Rejected;
use crate::events::Transition;
use crate::state::State;
use crate::util::event_limit::EventLimit;

impl SharedBreaker {
    /// Tells of each transition from now on.
    pub(crate) fn trace_transitions(self: &Arc<Self>) {
        let breaker = Arc::downgrade(self);
        let listener = move |transition: &Transition| tell_transition(transition, &breaker);
        self.core.listen(Arc::new(listener), &self.clock);
    }

    /// For how long a breaker that is now open rejects calls, counted from `began`, in seconds.
    fn seconds_open(&self, began: Duration) -> Option<f64> {
        let refusal = self.core.peek(self).err()?;
        let rejected = self.rejected(refusal);
        let remaining = rejected
            .earliest()
            .filter(|_| rejected.state() == State::Open)?;
        let passed = Duration::from_nanos(self.nanos()).saturating_sub(began);
        Some((remaining + passed).as_secs_f64())
    }
}

fn tell_transition(transition: &Transition, breaker: &Weak<SharedBreaker>) {
    macro_rules! tell {
        ($level:expr) => {
            event!(
                name: "circuit_breaker.transition",
                target: "tripcurve",
                $level,
                {
                    circuit_breaker.name = transition.name(),
                    circuit_breaker.state = transition.to().as_str(),
                    circuit_breaker.state.previous = transition.from().as_str(),
                    circuit_breaker.reason = transition.cause().kind(),
                    circuit_breaker.generation = transition.generation(),
                    circuit_breaker.open_for = open_for(transition, breaker),
                },
                "{transition}"
            )
        };
    }
    if transition.to() == State::Open {
        tell!(Level::WARN);
    } else {
        tell!(Level::INFO);
    }
}

/// How long a breaker that has opened stays open, in seconds.
fn open_for(transition: &Transition, breaker: &Weak<SharedBreaker>) -> Option<f64> {
    if transition.to() != State::Open {
        return None;
    }
    breaker.upgrade()?.seconds_open(transition.at())
}

/// Tells of a rejection, unless the second has had its events.
#[cold]
#[inline(never)]
pub(super) fn tell_rejection(rejected: &Rejected, limit: &EventLimit, clock: &impl Now) {
    // A subscriber that panics harms no call. Its payload isn't dropped, because that may panic too.
    let told = catch_unwind(AssertUnwindSafe(|| {
        if !enabled!(target: "tripcurve", Level::DEBUG) {
            return;
        }
        let Some(left_out) = limit.admit(clock.nanos()) else {
            return;
        };
        event!(
            name: "circuit_breaker.rejection",
            target: "tripcurve",
            Level::DEBUG,
            {
                circuit_breaker.name = rejected.name(),
                circuit_breaker.state = rejected.state().as_str(),
                circuit_breaker.left_out = left_out,
            },
            "{rejected}"
        );
    }));
    if let Err(payload) = told {
        std::mem::forget(payload);
    }
}
