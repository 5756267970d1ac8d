//! What a task asks and tells that checks the dependency's health.

use super::Core;
use super::view::{Fitted, Present, at_present};
use crate::clock::context::Caller;
use crate::events::Cause;
use crate::recovery::HealthChecks;
use crate::state::{Generation, Kind};

/// When a task has to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextCheck {
    /// Not before the breaker opens.
    None,
    /// In so many nanoseconds.
    In(u64),
    /// Now.
    Now {
        /// The generation that it is to end.
        generation: Generation,
        /// How many nanoseconds it may take, if there is a bound.
        at_most: Option<u64>,
    },
}

impl Core {
    /// The tasks that check the dependency's health; allocated for the first of them.
    pub fn checks(&self) -> &HealthChecks {
        self.audience.checks_from_now_on()
    }

    /// When a task has to check; if it is now, the check is taken to begin.
    pub fn next_check(&self, now: u64) -> NextCheck {
        let seen = self.state.load();
        match self.state.kind_of(seen) {
            Kind::Open { until } if now < until.nanos() => NextCheck::In(until.nanos() - now),
            Kind::Open { .. } => {
                self.checks().begin(now);
                let patience = at_present!(self, |present| present.settings().probe_timeout);
                NextCheck::Now {
                    generation: seen.generation(),
                    // Half of what calls wait for a verdict, so that this is one in time.
                    at_most: (patience != u64::MAX).then_some(patience / 2),
                }
            }
            _ => NextCheck::None,
        }
    }

    /// Takes the verdict of a check that began in `generation`; says whether it counted: a command, or a call
    /// that has lost patience, may have been first.
    pub fn checked(&self, generation: Generation, is_well: bool, caller: &impl Caller) -> bool {
        at_present!(self, |present| present.checked(generation, is_well, caller))
    }
}

impl<'a, F: Fitted<'a>> Present<'a, F> {
    fn checked(self, generation: Generation, is_well: bool, caller: &impl Caller) -> bool {
        let (reading, now) = self.ring().read_with_nanos(caller);
        if is_well {
            let asked = self.asked_while_open(reading, now);
            let Some(moved) = self.state.invite_probes(generation, now) else {
                return false;
            };
            // What is counted as asking now is no call.
            self.observe(asked.map(|(calls, within)| (calls - 1, within)));
            self.entered(moved, now, Cause::HealthCheckSucceeded);
        } else {
            let opening = self.next_opening(now);
            let Some(moved) = self.state.leave(generation, opening.kind()) else {
                return false;
            };
            self.opened(moved, opening, now, Cause::HealthCheckFailed);
        }
        true
    }
}
