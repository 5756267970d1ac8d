//! Events of `tracing` for transitions and rejections.

use std::time::Duration;

use tracing::{Level, event};

use super::Transition;
use crate::error::Rejected;
use crate::state::State;

/// Makes the event of a transition. `open_for` is the open time of a breaker that has opened.
pub(crate) fn tell_transition(transition: &Transition, open_for: impl Fn() -> Option<Duration>) {
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
                    circuit_breaker.open_for = open_for().map(|it| it.as_secs_f64()),
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

/// Makes the event of a rejection. `left_out` counts the rejections since the last event.
pub(crate) fn tell_rejection(rejected: &Rejected, left_out: u64) {
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
}
